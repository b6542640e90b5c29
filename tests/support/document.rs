//! Whole files through the library: encrypt, open, change one value.

use dotsops::document::metadata::Metadata;
use dotsops::document::selection::{Selection, SelectionOption};
use dotsops::document::{DecryptedDocument, EncryptedDocument};
use dotsops::format::dotenv::Dotenv;
use dotsops::format::{Contents, Format};
use dotsops::keys::group::KeyGroup;
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::keys::{Kind, new_master_key};
use dotsops::ops::encrypt::encrypt;
use dotsops::secret::SecretString;
use dotsops::tree::{Item, Tree, Value};
use time::UtcDateTime;

use super::sandbox::IDENTITY;

/// A keyring that holds [`IDENTITY`] alone.
pub fn keyring() -> Keyring {
    let material = Material::Text(SecretString::copy_of(IDENTITY));
    Keyring::new(vec![IdentitySource { origin: Origin::Variable("SOPS_AGE_KEY".to_owned()), material }])
}

/// The metadata of a new file for `recipients`.
pub fn metadata(recipients: &[&str], selection: Option<(SelectionOption, &str)>, mac_only_encrypted: bool) -> Metadata {
    let keys = recipients.iter().map(|recipient| new_master_key(Kind::Age, recipient).unwrap()).collect();
    let selection = selection.map_or_else(Selection::default, |(option, text)| Selection::new(option, text).unwrap());
    Metadata::new(vec![KeyGroup { keys }], selection, mac_only_encrypted)
}

/// Encrypts `plaintext`, a dotenv file, and reads it back.
///
/// # Errors
/// What the library says.
pub fn encrypted(plaintext: &[u8], metadata: Metadata) -> Result<Vec<u8>, String> {
    let tree = Dotenv.parse(plaintext).map_err(|error| error.to_string())?.tree;
    let now = UtcDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    encrypt(tree, metadata, &Dotenv, &keyring(), now).map(|bytes| bytes.expose().to_vec()).map_err(|error| error.to_string())
}

/// Opens an encrypted file.
///
/// # Errors
/// What the library says.
pub fn open(file: &[u8], keyring: &Keyring) -> Result<DecryptedDocument, String> {
    let contents = Dotenv.parse(file).map_err(|error| error.to_string())?;
    let document = EncryptedDocument::new(contents).map_err(|error| error.to_string())?;
    document.open(keyring).map_err(|error| error.to_string())
}

/// The plaintext of an encrypted file.
///
/// # Errors
/// What the library says.
pub fn decrypted(file: &[u8], keyring: &Keyring) -> Result<Vec<u8>, String> {
    let document = open(file, keyring)?;
    Ok(text_of(&Contents { tree: document.tree, metadata: None }))
}

/// `contents` as dotenv.
pub fn text_of(contents: &Contents) -> Vec<u8> {
    Dotenv.emit(&contents.tree, contents.metadata.as_ref(), None).unwrap().expose().to_vec()
}

/// Encrypts `document` again with `value` (LF as LF) for the item at `index`, as `edit` does.
pub fn with_value(document: &mut DecryptedDocument, index: usize, value: &[u8]) -> Vec<u8> {
    let mut tree = copy_of(&document.tree);
    let Item::Entry(_, old) = &mut tree.documents[0].items[index] else { panic!("item {index} is no entry") };
    *old = Value::text(value);
    encrypted_again(document, &tree)
}

/// Encrypts `document` again with `tree` in place of its data, as `edit` does.
pub fn encrypted_again(document: &mut DecryptedDocument, tree: &Tree) -> Vec<u8> {
    document.metadata_mut().raise_version();
    let now = UtcDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    text_of(&document.encrypt(tree, now).unwrap())
}

/// A copy of a dotenv tree, types and all.
pub fn copy_of(tree: &Tree) -> Tree {
    let items = tree.first().iter().map(|item| match item {
        Item::BlankLine => Item::BlankLine,
        Item::Entry(key, value) => Item::Entry(key.clone(), value.copy_of_leaf().unwrap()),
        Item::Comment(comment) => Item::Comment(dotsops::tree::Comment {
            text: dotsops::secret::SecretBytes::copy_of(comment.text.expose()),
            inline: comment.inline,
        }),
    });
    Tree::of(dotsops::tree::Mapping { items: items.collect() })
}

/// The lines of a file, without the end behind the last LF.
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

/// `text` without its blank lines, ended by LF: what sops keeps of it.
pub fn without_blank_lines(text: &[u8]) -> Vec<u8> {
    lines(text).iter().filter(|line| !line.is_empty()).flat_map(|line| [line, b"\n".as_slice()].concat()).collect()
}
