//! Plaintext → an encrypted file that was read back before anybody relies on it.

use std::path::{Path, PathBuf};

use super::exec::policy::{Effect, effect};
use super::file::{self, FileError};
use super::new_file::{self, NewFileError};
use crate::dialect::names::is_portable_name;
use crate::dialect::refusal::{Note, Refusal};
use crate::dialect::scanner::{Definition, Kind, scan};
use crate::dialect::store;
use crate::dialect::{self, DecodeError};
use crate::document::metadata::Metadata;
use crate::document::selection::Selection;
use crate::document::{
    DecryptError, EncryptError as DocumentError, EncryptedDocument, NotADocument, encrypt_new, plain_where_encrypted,
};
use crate::format::{EmitError, Format, ParseError};
use crate::keys::keyring::Keyring;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::Tree;

/// A plaintext as it will be stored, and what the user should know before it is.
pub struct Prepared {
    /// The lines to store.
    pub tree: Tree,
    /// The same as text.
    pub text: SecretString,
    /// What storing changed.
    pub notes: Vec<Note>,
    /// Whether Windows line endings became LF.
    pub line_endings_changed: bool,
    /// Whether a byte-order mark went.
    pub byte_order_mark_dropped: bool,
    /// Lines that `--fix` turned into comments.
    pub fixed_lines: Vec<usize>,
}

/// Makes `bytes` ready to be stored under `selection`.
///
/// # Errors
/// [`PrepareError`]: what cannot be stored, line by line, unless `fix` may turn it into comments.
pub fn prepare(bytes: &[u8], selection: &Selection, format: &dyn Format, fix: bool) -> Result<Prepared, PrepareError> {
    let decoded = dialect::decode(bytes)?;
    let mut text = decoded.text;
    let mut fixed_lines = Vec::new();
    if fix {
        let fixed = crate::dialect::fix::fix(text.expose()).map_err(|refusal| PrepareError::Lines(vec![refusal]))?;
        text = fixed.text;
        fixed_lines = fixed.changed_lines;
    }
    let stored = store::store(text.expose(), &|key| selection.encrypts_key(key.as_bytes())).map_err(PrepareError::Lines)?;
    let text = stored.text.shared();
    let contents = format.parse_secret(text.as_bytes())?;
    Ok(Prepared {
        tree: contents.tree,
        text,
        notes: stored.notes,
        line_endings_changed: decoded.line_endings_changed,
        byte_order_mark_dropped: decoded.byte_order_mark_dropped,
        fixed_lines,
    })
}

/// The variable that a comment in clear gives a value that the rule would encrypt: a secret that was commented out is one still, also
/// behind other words (`# was API_KEY=…`).
pub fn secret_in_comment(comment: &SecretBytes, selection: &Selection) -> Option<String> {
    let text = std::str::from_utf8(comment.expose()).ok()?.trim_start_matches(['#', ' ', '\t']);
    let as_line = match scan(text).into_iter().next().map(|statement| statement.kind) {
        Some(Kind::Definition(Definition { name, value: Some((_, value)), .. })) if !value.raw.is_empty() => Some(name),
        Some(Kind::Failed { name: Some(name), .. }) => Some(name),
        _ => None,
    };
    let among_words = text.split_whitespace().filter_map(|word| word.split_once('=').filter(|(_, value)| !value.is_empty()));
    let is_secret = |name: &&str| is_portable_name(name) && selection.encrypts_key(name.as_bytes());
    as_line.into_iter().chain(among_words.map(|(name, _)| name)).find(is_secret).map(|name| format!("#{name}"))
}

/// The names that load code or redirect programs, which `exec` will ask or warn about.
pub fn notable_names(tree: &Tree) -> Vec<(String, Effect)> {
    let entries = tree.documents.iter().flat_map(|document| document.entries());
    let named = entries.map(|(key, _)| file::variable_name(key));
    let effects = named.map(|name| (effect(&name), name)).filter(|(effect, _)| *effect != Effect::Ordinary);
    effects.map(|(effect, name)| (name.into_owned(), effect)).collect()
}

/// Encrypts `tree` as a new file for everybody in `metadata`, and reads the result back.
///
/// # Errors
/// [`EncryptError`]; nothing was written anywhere.
pub fn encrypt(
    tree: Tree,
    mut metadata: Metadata,
    format: &dyn Format,
    keyring: &Keyring,
    now: time::UtcDateTime,
) -> Result<SecretBytes, EncryptError> {
    let data_key = new_file::data_key(&mut metadata, keyring)?;
    let contents = encrypt_new(&tree, metadata, &data_key, now)?;
    let bytes = format.emit(&contents.tree, contents.metadata.as_ref(), None)?.shared();
    // Each form of a large file takes as much memory as the file; none is kept longer than it is needed.
    drop(contents);
    read_back(&bytes, format, |written| written.says(&tree, &data_key))?;
    Ok(bytes)
}

/// Parses what is about to be written, and asks `says_what_was_meant`.
///
/// # Errors
/// [`EncryptError::ReadBack`] and its kind: a mistake of ours that must not reach the disk.
pub fn read_back(
    bytes: &SecretBytes,
    format: &dyn Format,
    says_what_was_meant: impl FnOnce(&EncryptedDocument) -> Result<bool, DecryptError>,
) -> Result<(), EncryptError> {
    let written = EncryptedDocument::new(format.parse_secret(bytes)?)?;
    if says_what_was_meant(&written)? { Ok(()) } else { Err(EncryptError::ReadBack) }
}

/// How far the values of a file that has a `sops` block are encrypted.
pub enum State {
    /// Every selected value is a token.
    Encrypted,
    /// These are not.
    PartlyPlain(Vec<String>),
}

/// Tells whether all selected values of an encrypted file are tokens.
pub fn state(document: &EncryptedDocument) -> State {
    let names = plain_where_encrypted(&document.tree, &document.metadata.selection);
    match names.as_slice() {
        [] => State::Encrypted,
        names => State::PartlyPlain(names.iter().map(|key| file::variable_name(key).into_owned()).collect()),
    }
}

/// Why a plaintext cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// It is no text.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Lines that cannot be stored with the meaning they have.
    #[error("{} of its lines cannot be stored", .0.len())]
    Lines(Vec<Refusal>),
    /// What was to be stored does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Why a file could not be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// Nobody could read it, or no key could be wrapped.
    #[error(transparent)]
    NewFile(#[from] NewFileError),
    /// A value cannot be encrypted.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A name or value cannot be written.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The written file does not parse.
    #[error("the encrypted file could not be read back")]
    ReadBackParse(#[from] ParseError),
    /// The written file is no document.
    #[error("the encrypted file could not be read back")]
    ReadBackDocument(#[from] NotADocument),
    /// The written file does not decrypt.
    #[error("the encrypted file could not be read back")]
    ReadBackDecrypt(#[from] DecryptError),
    /// The written file says something else.
    #[error("the encrypted file, read back, says something else")]
    ReadBack,
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The sibling that a plaintext's encrypted twin is best called: `secrets.env` for `.env`.
pub fn proposed_name(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let proposed = match name.strip_prefix(".env") {
        Some("") => "secrets.env".to_owned(),
        Some(stage) => format!("secrets{stage}.env"),
        None => name,
    };
    path.with_file_name(proposed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::selection::SelectionOption;

    #[test]
    fn a_secret_in_a_comment_is_found_behind_other_words_too() {
        let selection = Selection::new(SelectionOption::EncryptedRegex, "^SECRET").unwrap();
        let found = |text: &str| secret_in_comment(&SecretBytes::copy_of(text.as_bytes()), &selection);
        for text in [
            " SECRET_A=v",
            " was SECRET_A=v",
            " !dotsops theirs SECRET_A=v",
            "!Dotsops theirs SECRET_A=v",
            " old: SECRET_A='v w'",
        ] {
            assert_eq!(found(text).as_deref(), Some("#SECRET_A"), "{text}");
        }
        for text in [" SECRET_A=", " OTHER=v", " https://x.example/?SECRET_A=v", " SECRET_A is old", ""] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
