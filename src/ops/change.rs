//! A file that is about to be changed: opened, and written again.
//!
//! Knows neither what is changed nor who asks. Its one invariant: nothing is decrypted that could not be saved again, and the file is
//! replaced only if it is still the one that was opened, by one that was read back.

use std::path::Path;

use time::UtcDateTime;

use super::encrypt::{self, EncryptError as SealError};
use super::file::{self, FileError, MAX_FILE};
use super::merge::marks::disarm;
use crate::document::{DecryptedDocument, EncryptError, EncryptedDocument, OpenError};
use crate::format::{EmitError, Format, Syntax};
use crate::keys::keyring::Keyring;
use crate::secret::{SecretBytes, SecretString};
use crate::sys::atomic_write::{self, Expected, ReadOnly, ReplaceError};
use crate::sys::fault::fault_point;
use crate::sys::file_lock::LockError;
use crate::sys::regular_file::{FileBytes, ReadError, read_regular};
use crate::tree::Tree;

/// A file as it was when its change began.
pub struct Original {
    /// Its bytes; where there is no file, those of the document to begin with: an empty one, or the one that was removed.
    pub bytes: SecretBytes,
    /// Whether there is no file yet.
    pub is_new: bool,
    /// The file, opened; what looks like the marks of a merge and stands in clear is an ordinary comment.
    pub document: DecryptedDocument,
    /// How many such there are.
    pub clear_marks: usize,
    /// Its syntax.
    pub format: &'static dyn Format,
}

/// Whether a written file is safe from a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is.
    Durable,
    /// The system did not confirm it.
    NotConfirmed,
}

impl Original {
    /// Opens `bytes`, which are those of the file `path` or, if it `is_new`, will be.
    ///
    /// # Errors
    /// [`ChangeError::File`], [`ChangeError::Open`], [`ChangeError::LineInComment`].
    pub fn open(path: &Path, bytes: SecretBytes, is_new: bool, keyring: &Keyring) -> Result<Self, ChangeError> {
        let (format, contents) = file::parse_secret(path, &bytes, is_new.then_some(Syntax::Dotenv))?;
        let not_a_document = |source| FileError::NotADocument { path: path.to_owned(), source };
        let mut document = EncryptedDocument::new(contents).map_err(not_a_document)?.open(keyring)?;
        if document.lines_in_comments > 0 {
            return Err(ChangeError::LineInComment);
        }
        let clear_marks = disarm(&mut document);
        Ok(Self { bytes, is_new, document, clear_marks, format })
    }

    /// The plaintext.
    ///
    /// # Errors
    /// [`ChangeError::NotText`] if it is no UTF-8.
    pub fn text(&self) -> Result<SecretString, ChangeError> {
        plaintext(&self.document, self.format)
    }

    /// Encrypts `tree` in place of the data, reads the result back, and replaces the file `path`. What did not change keeps its token.
    ///
    /// # Errors
    /// [`ChangeError`]; the file is as it was.
    pub fn save(&mut self, path: &Path, tree: &Tree, now: UtcDateTime, read_only: ReadOnly) -> Result<Durability, ChangeError> {
        let contents = self.document.encrypt(tree, now)?;
        let bytes = self.format.emit(&contents.tree, contents.metadata.as_ref(), Some(self.bytes.expose()))?.shared();
        drop(contents);
        encrypt::read_back(&bytes, self.format, |written| self.document.becomes(written, tree))?;
        fault_point!(kill ReadBack);
        let expected = match self.is_new {
            true => Expected::Absent,
            false => Expected::Bytes(self.bytes.expose()),
        };
        replace(path, &bytes, expected, read_only)
    }
}

/// The plaintext of `document`.
///
/// # Errors
/// [`ChangeError::NotText`] if it is no UTF-8.
pub fn plaintext(document: &DecryptedDocument, format: &dyn Format) -> Result<SecretString, ChangeError> {
    let text = format.emit(&document.tree, None, None)?;
    text.into_string().map_err(|error| ChangeError::NotText { offset: error.offset })
}

/// Puts `bytes`, an encrypted file that was read back, in the place of what was `expected` at `path`.
///
/// # Errors
/// [`ChangeError::Overtaken`] if something else is there, [`ChangeError::Replace`] if the system does not let us.
pub fn replace(path: &Path, bytes: &SecretBytes, expected: Expected<'_>, read_only: ReadOnly) -> Result<Durability, ChangeError> {
    durability(atomic_write::replace(path, bytes.expose(), expected, read_only)).map_err(|error| match error {
        ReplaceError::Changed | ReplaceError::Gone | ReplaceError::Exists => ChangeError::Overtaken(error),
        error => ChangeError::Replace(error),
    })
}

/// Whether a file that was replaced is safe from a power cut.
///
/// # Errors
/// Those of [`atomic_write::replace`] but that one.
pub fn durability(replaced: Result<(), ReplaceError>) -> Result<Durability, ReplaceError> {
    match replaced {
        Ok(()) => Ok(Durability::Durable),
        Err(ReplaceError::NotDurable(_)) => Ok(Durability::NotConfirmed),
        Err(error) => Err(error),
    }
}

/// The file `path` as it is, if it is there. What could not be replaced later is refused now, before anything is decrypted.
///
/// # Errors
/// [`ChangeError::File`] if it cannot be read, [`ChangeError::NotReplaceable`].
pub fn current(path: &Path, read_only: ReadOnly) -> Result<Option<FileBytes>, ChangeError> {
    let file = match read_regular(path, MAX_FILE) {
        Ok(file) => Some(file),
        Err(ReadError::NotFound) => None,
        Err(source) => return Err(FileError::Read { path: path.to_owned(), source }.into()),
    };
    if let Some(file) = &file {
        atomic_write::check_replaceable(file, read_only).map_err(ChangeError::NotReplaceable)?;
    }
    atomic_write::check_directory(path).map_err(ChangeError::NotReplaceable)?;
    Ok(file)
}

/// Opens the file `path`, which must be there, to change it.
///
/// # Errors
/// [`ChangeError`]; a file that is not there is one that cannot be read.
pub fn open(path: &Path, keyring: &Keyring) -> Result<Original, ChangeError> {
    let missing = || ChangeError::File(FileError::Read { path: path.to_owned(), source: ReadError::NotFound });
    let file = current(path, ReadOnly::Refuse)?.ok_or_else(missing)?;
    Original::open(path, file.bytes, false, keyring)
}

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Somebody else changes the file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file stays shut.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A comment that anybody can have added would become a line of its own.
    #[error("a comment that is not encrypted holds a carriage return, behind which a line would hide that nobody signed")]
    LineInComment,
    /// The plaintext is no text.
    #[error("the decrypted text is not UTF-8 at byte {offset}, so no editor would keep it as it is")]
    NotText {
        /// How many bytes before the first bad one are good.
        offset: usize,
    },
    /// The file is one that could not be replaced. Nothing was decrypted.
    #[error(transparent)]
    NotReplaceable(ReplaceError),
    /// The file is not the one that was opened: changed, gone, or there now.
    #[error(transparent)]
    Overtaken(ReplaceError),
    /// The file could not be replaced.
    #[error(transparent)]
    Replace(ReplaceError),
    /// It could not be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// What was encrypted did not read back.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It could not be written as text.
    #[error(transparent)]
    Emit(#[from] EmitError),
}
