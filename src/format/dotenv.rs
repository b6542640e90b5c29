//! dotenv as sops reads and writes it: `KEY=value` lines, `#` comments, `\n` for a line break in a value, and nothing else.
//!
//! Knows lines and the prefix `sops_`; not what a program makes of quotes, which is `dialect`'s. Its one invariant: what was read from a
//! file that sops or dotsops wrote is written back byte for byte, blank lines included.
//!
//! Where the reader is kinder than sops: blank lines stay, and an encrypted file all of whose lines end in CR LF (git can do that) is
//! read as if they ended in LF.
//!
//! Source: getsops/sops `stores/dotenv/store.go`, v3.13.3.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::flatten::{FlattenError, Nesting, flatten, is_in_list};
use super::plain::{LONGEST, push_plain};
use super::{Contents, EmitError, Format, MAX_BYTES, MAX_ENTRIES, ParseError};
use crate::secret::SecretBytes;
use crate::tree::{Comment, Item, Key, Mapping, Scalar, Tree, Value};

/// The dotenv format.
pub struct Dotenv;

/// What the key of every metadata line begins with, and no key of the data.
pub const PREFIX: &str = "sops_";

impl Format for Dotenv {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Blank lines right behind a metadata line are not kept: the metadata is written anew, at the end, as sops does.
    fn parse_secret(&self, whole: &SecretBytes) -> Result<Contents, ParseError> {
        let text = whole.expose();
        if text.len() > MAX_BYTES {
            return Err(ParseError::TooLarge);
        }
        let encrypted = lines(text).any(is_metadata);
        if encrypted && let Some(line) = merge_conflict(text) {
            return Err(ParseError::MergeConflict { line });
        }
        let converted = encrypted && every_line_ends_in_crlf(text);

        let mut items = Vec::with_capacity(memchr_iter(b'\n', text).count().min(MAX_ENTRIES) + 1);
        let mut metadata = Nesting::default();
        let mut behind_metadata = false;
        let mut next = 0;
        for (line, bytes) in numbered(text) {
            let start = next;
            next += bytes.len() + 1;
            let bytes = if converted { bytes.strip_suffix(b"\r").unwrap_or(bytes) } else { bytes };
            if is_metadata(bytes) {
                if bytes.ends_with(b"\r") {
                    return Err(ParseError::StrayCarriageReturn { line });
                }
                let (key, value) = entry(bytes).ok_or(ParseError::NoEquals { line })?;
                metadata
                    .insert(&key[PREFIX.len()..], unescaped(value))
                    .map_err(|source| ParseError::Metadata { line, source })?;
                behind_metadata = true;
                continue;
            }
            if bytes.is_empty() && behind_metadata {
                continue;
            }
            behind_metadata = false;
            if items.len() == MAX_ENTRIES {
                return Err(ParseError::TooManyEntries { line });
            }
            items.push(
                item(bytes, |range| whole.piece(start + range.start..start + range.end)).ok_or(ParseError::NoEquals { line })?,
            );
        }
        let metadata = encrypted.then(|| metadata.into_mapping()).transpose().map_err(|source| {
            let line = first_line_of_list(text, &source);
            ParseError::Metadata { line, source }
        })?;
        Ok(Contents { tree: Tree::of(Mapping { items }), metadata })
    }

    fn needs_original(&self) -> bool {
        false
    }

    fn emit(&self, tree: &Tree, metadata: Option<&Mapping>, _original: Option<&[u8]>) -> Result<SecretBytes, EmitError> {
        if tree.documents.len() > 1 {
            return Err(EmitError::SeveralDocuments { syntax: NAME });
        }
        let items = tree.first();
        for item in items {
            check(item, metadata.is_some())?;
        }
        let metadata = metadata.map(flatten).transpose()?.unwrap_or_default();
        for (key, _) in &metadata {
            check_key(key)?;
        }

        let size = items.iter().map(size_of_item).sum::<usize>()
            + metadata.iter().map(|(key, scalar)| PREFIX.len() + key.len() + size_of_scalar(scalar) + 2).sum::<usize>();
        let mut text = SecretBytes::with_capacity(size);
        for item in items {
            push_item(item, &mut text);
        }
        for (key, scalar) in &metadata {
            text.push(PREFIX.as_bytes());
            push_entry(key, scalar, &mut text);
        }
        Ok(text)
    }

    fn reserved_key(&self, tree: &Tree) -> Option<Key> {
        let keys = tree.documents.first()?.entries().map(|(key, _)| key);
        keys.into_iter().find(|key| key.as_bytes().starts_with(PREFIX.as_bytes())).cloned()
    }
}

const NAME: &str = "dotenv";

/// What stands behind the `=` for `value`, with a real LF for each line break; `None` for what dotenv cannot hold.
pub fn value_text(value: &Value) -> Option<SecretBytes> {
    match value {
        Value::Scalar(Scalar::Text(text)) => Some(SecretBytes::copy_of(text.expose())),
        Value::Scalar(other) => {
            let mut text = SecretBytes::with_capacity(LONGEST);
            push_plain(other, &mut text);
            Some(text)
        }
        Value::Null | Value::Mapping(_) | Value::List(_) => None,
    }
}

/// Whether `value` reads back as it is once it is written: a text without a backslash followed by n.
pub fn reads_back(value: &Value) -> bool {
    value.as_text().is_some_and(|text| backslash_n(text).is_none())
}

/// What `value` reads back as once it is written: a text, and another one than it was if it holds a backslash followed by n.
pub fn read_back(value: &Value) -> Option<SecretBytes> {
    value_text(value).map(|text| unescaped(text.expose()))
}

/// The line, from 1, of each entry, comment and blank line that [`Dotenv`] reads out of `text`, in order.
pub fn item_lines(text: &[u8]) -> Vec<usize> {
    let mut behind_metadata = false;
    let mut found = Vec::new();
    for (at, line) in numbered(text) {
        let is_blank = matches!(line, [] | b"\r");
        match is_metadata(line) {
            true => behind_metadata = true,
            false if is_blank && behind_metadata => {}
            false => {
                behind_metadata = false;
                found.push(at);
            }
        }
    }
    found
}

/// The lines without their LF. Text behind the last LF is a line too, if there is any.
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr(b'\n', text).unwrap_or(text.len());
        let line = &text[..end];
        text = text.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// The lines with their numbers from 1.
fn numbered(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(lines(text))
}

fn is_metadata(line: &[u8]) -> bool {
    line.starts_with(PREFIX.as_bytes())
}

/// The line of the first `<<<<<<< ` that has its `=======` and `>>>>>>> `: a key could begin with any of them, but not with all three.
fn merge_conflict(text: &[u8]) -> Option<usize> {
    let mut lines = numbered(text);
    let (first, _) = lines.find(|(_, line)| line.starts_with(b"<<<<<<< "))?;
    lines.find(|(_, line)| line.trim_ascii_end() == b"=======")?;
    lines.find(|(_, line)| line.starts_with(b">>>>>>> "))?;
    Some(first)
}

fn every_line_ends_in_crlf(text: &[u8]) -> bool {
    let mut whole_lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).peekable();
    whole_lines.peek().is_some() && whole_lines.all(|line| line.ends_with(b"\r\n"))
}

/// What `line` says; `piece` gives some of its bytes.
fn item(line: &[u8], piece: impl Fn(Range<usize>) -> SecretBytes) -> Option<Item> {
    Some(match line {
        [] => Item::BlankLine,
        [b'#', ..] => Item::Comment(Comment { text: piece(1..line.len()), inline: false }),
        _ => {
            let (key, value) = entry(line)?;
            let text = match backslash_n(value) {
                None => piece(line.len() - value.len()..line.len()),
                Some(_) => unescaped(value),
            };
            Item::Entry(Key::from(key), Value::Scalar(Scalar::Text(text)))
        }
    })
}

/// Key and value, as it is written, of a line that has a `=`.
fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr(b'=', line)?;
    Some((&line[..equals], &line[equals + 1..]))
}

/// `value` with each backslash-n turned into LF.
fn unescaped(mut value: &[u8]) -> SecretBytes {
    let mut text = SecretBytes::with_capacity(value.len());
    while let Some(start) = backslash_n(value) {
        text.push(&value[..start]);
        text.push(b"\n");
        value = &value[start + 2..];
    }
    text.push(value);
    text
}

fn backslash_n(value: &[u8]) -> Option<usize> {
    memchr_iter(b'\\', value).find(|at| value.get(at + 1) == Some(&b'n'))
}

/// Where the list that is incomplete begins.
fn first_line_of_list(text: &[u8], error: &FlattenError) -> usize {
    let FlattenError::IncompleteList { key } = error else { return 1 };
    let is_element = |line: &[u8]| {
        let flat_key = line.strip_prefix(PREFIX.as_bytes()).and_then(|line| line.split(|byte| *byte == b'=').next());
        flat_key.is_some_and(|flat_key| is_in_list(flat_key, key.as_bytes()))
    };
    numbered(text).find(|(_, line)| is_element(line)).map_or(1, |(line, _)| line)
}

/// Whether `item` reads back as it is.
fn check(item: &Item, encrypted: bool) -> Result<(), EmitError> {
    let (key, value) = match item {
        Item::BlankLine => return Ok(()),
        Item::Comment(comment) if comment.text.expose().contains(&b'\n') => {
            return Err(EmitError::CommentLineBreak { syntax: NAME });
        }
        Item::Comment(_) => return Ok(()),
        Item::Entry(key, value) => (key, value),
    };
    if key.as_bytes().starts_with(PREFIX.as_bytes()) {
        return Err(EmitError::ReservedKey { key: key.clone(), reserved: PREFIX });
    }
    check_key(key.as_bytes())?;
    if key.as_bytes().starts_with(b"#") {
        return Err(EmitError::UnwritableKey { key: key.clone(), syntax: NAME, problem: "begin with `#`" });
    }
    match value {
        Value::Null => Err(EmitError::NullValue { key: key.clone(), syntax: NAME }),
        Value::Mapping(_) | Value::List(_) => Err(EmitError::ComplexValue { key: key.clone(), syntax: NAME }),
        // In a plaintext it is written, as sops does: the file would otherwise not open at all.
        Value::Scalar(Scalar::Text(text)) if encrypted && backslash_n(text.expose()).is_some() => {
            Err(EmitError::LiteralBackslashN { key: key.clone(), syntax: NAME })
        }
        Value::Scalar(_) => Ok(()),
    }
}

fn check_key(key: &[u8]) -> Result<(), EmitError> {
    let problem = match key.iter().find(|byte| matches!(byte, b'=' | b'\n')) {
        None => return Ok(()),
        Some(b'=') => "contain `=`",
        Some(_) => "contain a line break",
    };
    Err(EmitError::UnwritableKey { key: Key::from(key), syntax: NAME, problem })
}

fn size_of_item(item: &Item) -> usize {
    match item {
        Item::BlankLine => 1,
        Item::Comment(comment) => comment.text.len() + 2,
        Item::Entry(key, Value::Scalar(scalar)) => key.as_bytes().len() + size_of_scalar(scalar) + 2,
        Item::Entry(..) => 0,
    }
}

fn size_of_scalar(scalar: &Scalar) -> usize {
    match scalar {
        Scalar::Text(text) => text.len() + memchr_iter(b'\n', text.expose()).count(),
        Scalar::Int(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::Time(_) => LONGEST,
    }
}

fn push_item(item: &Item, text: &mut SecretBytes) {
    match item {
        Item::BlankLine => text.push(b"\n"),
        Item::Comment(comment) => {
            text.push(b"#");
            text.push(comment.text.expose());
            text.push(b"\n");
        }
        Item::Entry(key, Value::Scalar(scalar)) => push_entry(key.as_bytes(), scalar, text),
        // Refused before.
        Item::Entry(_, Value::Null | Value::Mapping(_) | Value::List(_)) => {}
    }
}

fn push_entry(key: &[u8], scalar: &Scalar, text: &mut SecretBytes) {
    text.push(key);
    text.push(b"=");
    match scalar {
        Scalar::Text(value) => {
            let mut rest = value.expose();
            while let Some(end) = memchr(b'\n', rest) {
                text.push(&rest[..end]);
                text.push(b"\\n");
                rest = &rest[end + 1..];
            }
            text.push(rest);
        }
        other => push_plain(other, text),
    }
    text.push(b"\n");
}

#[cfg(test)]
mod tests;
