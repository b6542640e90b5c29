//! An encrypted file as people can read and compare it, line by line, without its values.
//!
//! Names, blank lines and order stay. A value that opens has its mask, one that stays shut a hash of its ciphertext; of the metadata
//! only who can read the file is left, and what says that the data key or the rule is another one. Its one invariant: whatever the bytes
//! are, there is an answer, and it can drive no terminal.

use std::borrow::Cow;

use memchr::memchr;
use sha2::{Digest, Sha256};

use crate::document::metadata::Metadata;
use crate::document::selection::Selection;
use crate::document::{DecryptedDocument, EncryptedDocument, OpenError};
use crate::format::dotenv::{Dotenv, PREFIX, value_text};
use crate::format::{Format, Syntax, detect, has_tokens};
use crate::keys::Kind;
use crate::keys::group::needed;
use crate::keys::keyring::Keyring;
use crate::ops::file::variable_name;
use crate::ops::mask::MaskKey;
use crate::ops::merge::marks;
use crate::secret::{DataKey, SecretBytes, SecretString};
use crate::sys::terminal::escape_bytes_for_terminal;
use crate::tree::{Comment, Item, Mapping, Scalar, Tree, Value};

/// How a file is to be shown.
pub struct Showing<'a> {
    /// What opens files.
    pub keyring: &'a Keyring,
    /// The key of the masks for a file with this data key; without it values are shown as they are.
    pub masks: Option<&'a dyn Fn(&DataKey) -> MaskKey>,
    /// What a recipient is called.
    pub named: &'a dyn Fn(Kind, &str) -> String,
}

/// Shows the file that `bytes` are. What is no encrypted dotenv file is shown as it is.
pub fn show(bytes: &SecretBytes, showing: &Showing<'_>) -> SecretBytes {
    let is_dotenv = match detect(bytes.expose()) {
        Some(syntax) => syntax == Syntax::Dotenv,
        None => has_tokens(bytes.expose()),
    };
    if !is_dotenv {
        return SecretBytes::copy_of(bytes.expose());
    }
    let (lines, about) = match parsed(bytes.expose()) {
        Err(why) => (sealed(bytes.expose()), vec![format!("(cannot be read: {why})")]),
        Ok(document) => {
            let mut about = about(&document.metadata, showing.named);
            match document.open(showing.keyring) {
                Ok(document) => match opened(&document, showing) {
                    Some((lines, key)) => {
                        about.extend(key.map(|key| format!("data key: <masked {key}>")));
                        (lines, about)
                    }
                    None => (sealed(bytes.expose()), about),
                },
                Err(error) => {
                    if let OpenError::Decrypt(why) = error {
                        about.push(format!("(not authentic: {why})"));
                    }
                    (sealed(bytes.expose()), about)
                }
            }
        }
    };
    escaped(joined(lines, &about))
}

fn parsed(bytes: &[u8]) -> Result<EncryptedDocument, String> {
    if detect(bytes).is_none() {
        return Err("its end is missing".to_owned());
    }
    let contents = Dotenv.parse(bytes).map_err(|error| error.to_string())?;
    EncryptedDocument::new(contents).map_err(|error| error.to_string())
}

/// The lines of an opened file, and the mask of its data key. `None` if what is in it cannot be written.
fn opened(document: &DecryptedDocument, showing: &Showing<'_>) -> Option<(SecretBytes, Option<String>)> {
    let Some(masks) = showing.masks else {
        return Some((Dotenv.emit(&document.tree, None, None).ok()?, None));
    };
    let masks = masks(document.data_key());
    let marks = marks::unresolved(document);
    let pairs = document.tree.first().iter().zip(document.encrypted().tree.first()).enumerate();
    let items = pairs.map(|(at, (plain, stored))| match (plain, stored) {
        (Item::Entry(key, value), Item::Entry(_, token)) => {
            let is_clear =
                matches!(value, Value::Scalar(Scalar::Text(text)) if text.expose() == token.as_text().unwrap_or_default());
            let name = variable_name(key);
            let text = value_text(value).filter(|_| !is_clear);
            let shown = text.map(|text| Value::text(masked(&masks, name.as_bytes(), &text).as_bytes()));
            Item::Entry(key.clone(), shown.unwrap_or_else(|| value.copy()))
        }
        (Item::Comment(comment), Item::Comment(token)) if !comment.text.ct_eq(token.text.expose()) => {
            let mut shown = masked(&masks, b"#", &comment.text);
            if let Some(mark) = marks.iter().find(|mark| mark.item == at) {
                shown = format!("!dotsops {} {}={shown}", mark.side, mark.name.as_deref().unwrap_or_default());
            }
            Item::Comment(Comment { text: SecretBytes::copy_of(shown.as_bytes()), inline: comment.inline })
        }
        (item, _) => item.copy(),
    });
    let tree = Tree::of(Mapping { items: items.collect() });
    let key = masks.mask(b"data key", document.data_key().expose());
    Some((Dotenv.emit(&tree, None, None).ok()?, Some(key)))
}

fn masked(masks: &MaskKey, name: &[u8], secret: &SecretBytes) -> String {
    format!("<masked {}>", masks.mask(name, secret.expose()))
}

/// The lines of a file that stays shut, whatever they are, without those of its metadata.
fn sealed(bytes: &[u8]) -> SecretBytes {
    let mut shown = SecretBytes::with_capacity(bytes.len());
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n');
    for line in lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| !line.starts_with(PREFIX.as_bytes())) {
        let value = match line {
            [b'#', ..] => 1,
            _ => memchr(b'=', line).map_or(line.len(), |equals| equals + 1),
        };
        let (before, value) = line.split_at(value);
        shown.push(before);
        match value.starts_with(b"ENC[") {
            true => shown.push(format!("<encrypted {}>", hash(value)).as_bytes()),
            false => shown.push(value),
        }
        shown.push(b"\n");
    }
    shown
}

/// Sixteen hexadecimal digits: nobody makes another ciphertext with the same.
fn hash(token: &[u8]) -> String {
    Sha256::digest(token).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Who can read the file, and what its rule is if that is not the usual one.
fn about(metadata: &Metadata, named: &dyn Fn(Kind, &str) -> String) -> Vec<String> {
    let (groups, usual) = (&metadata.key_groups, Selection::default());
    let mut lines = Vec::new();
    for (number, group) in (1..).zip(groups) {
        let which = if groups.len() > 1 { format!(" of group {number}") } else { String::new() };
        let mut readers: Vec<String> =
            group.keys.iter().map(|key| format!("recipient{which}: {}", named(key.kind(), key.recipient()))).collect();
        // A reader who only moved is no news.
        readers.sort();
        lines.extend(readers);
    }
    if groups.len() > 1 {
        lines.push(format!("groups needed: {}", needed(metadata.shamir_threshold, groups.len())));
    }
    let own = &metadata.selection;
    if (own.option(), own.text()) != (usual.option(), usual.text()) {
        lines.push(format!("rule: {}: {}", own.option().field(), own.text()));
    }
    if metadata.mac_only_encrypted {
        lines.push("rule: mac_only_encrypted".to_owned());
    }
    lines
}

fn joined(mut lines: SecretBytes, about: &[String]) -> SecretBytes {
    if !about.is_empty() && !lines.is_empty() {
        lines.push(b"\n");
    }
    for line in about {
        // A line break in a recipient begins no line of its own.
        lines.push(line.replace('\n', "\\n").as_bytes());
        lines.push(b"\n");
    }
    lines
}

fn escaped(text: SecretBytes) -> SecretBytes {
    match escape_bytes_for_terminal(text.expose()) {
        Cow::Borrowed(_) => {}
        Cow::Owned(escaped) => return SecretString::from_string(escaped).into_bytes(),
    }
    text
}
