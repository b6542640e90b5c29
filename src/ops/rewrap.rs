//! The same data key, wrapped for others: what `groups`, `updatekeys` and `recipients add` do to a file. Or a new one, wrapped for those
//! who stay: what `recipients remove` does.
//!
//! Its one invariant: no value and no comment changes, and what is to be written was read back. With the same data key it has the same
//! tokens, date and MAC too, and as far as the user's own identities open it, that data key.

use std::path::{Path, PathBuf};

use time::UtcDateTime;

use super::change::{Durability, durability};
use super::file::{FileError, OpenedFile};
use super::journal::Planned;
use crate::document::metadata::Metadata;
use crate::document::{DecryptError, EncryptedDocument, NotADocument, OpenError, RekeyError};
use crate::format::{EmitError, Format, ParseError};
use crate::keys::WrapError;
use crate::keys::group::{KeyGroup, UnlockError, is_for, unwrap_data_key};
use crate::keys::keyring::Keyring;
use crate::secret::{DataKey, SecretBytes};
use crate::sys::atomic_write::{self, Expected, ReadOnly, ReplaceError};
use crate::sys::file_lock::{FileLock, LockError};
use crate::sys::regular_file::FileDigest;
use crate::tree::{Key, Tree};

/// An encrypted file.
pub struct EncryptedFile {
    /// The file as given.
    pub path: PathBuf,
    /// What it says.
    pub document: EncryptedDocument,
    base: SecretBytes,
    format: &'static dyn Format,
}

/// An encrypted file and its data key.
pub struct Unlocked {
    /// The file. Its key groups may be taken to be wrapped for again.
    pub file: EncryptedFile,
    /// An entry whose value stands in clear although the rule encrypts it. That keeps nobody from being put out, so it is no error.
    pub in_clear: Option<Key>,
    data_key: DataKey,
}

/// An encrypted file as it is to be.
pub struct Rewrapped {
    /// The file as given.
    pub path: PathBuf,
    /// Its new bytes.
    pub bytes: SecretBytes,
    /// Whether the user's own identities open it; what is in there for others cannot be looked at.
    pub opens: bool,
    base: SecretBytes,
}

impl EncryptedFile {
    /// Takes a parsed file for an encrypted one.
    ///
    /// # Errors
    /// [`FileError::NotADocument`].
    pub fn of(file: OpenedFile) -> Result<Self, FileError> {
        let OpenedFile { path, snapshot, format, contents } = file;
        match EncryptedDocument::new(contents) {
            Ok(document) => Ok(Self { path, document, base: snapshot.bytes, format }),
            Err(source) => Err(FileError::NotADocument { path, source }),
        }
    }

    /// Unwraps the data key, and checks that the file is what its writer wrote: a key that somebody slipped in would take the place of
    /// the right one for everybody.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn unlock(self, keyring: &Keyring) -> Result<Unlocked, OpenError> {
        let metadata = &self.document.metadata;
        let data_key = unwrap_data_key(&metadata.key_groups, metadata.shamir_threshold, keyring)?;
        let in_clear = match self.document.verify(&data_key) {
            Ok(_) => None,
            Err(DecryptError::NotEncrypted { key }) if self.document.is_key(&data_key) => Some(key),
            Err(error) => return Err(error.into()),
        };
        Ok(Unlocked { file: self, in_clear, data_key })
    }
}

impl Unlocked {
    /// Wraps the data key for `groups`, `threshold` of which are then needed (0 stands for all), and reads the result back.
    ///
    /// # Errors
    /// [`RewrapError`]; nothing is written anywhere.
    pub fn wrap_for(mut self, groups: Vec<KeyGroup>, threshold: u32, keyring: &Keyring) -> Result<Rewrapped, RewrapError> {
        let metadata = &mut self.file.document.metadata;
        metadata.key_groups = groups;
        metadata.shamir_threshold = threshold;
        metadata.wrap_data_key(&self.data_key, keyring)?;
        let block = metadata.to_mapping();
        let EncryptedFile { document, base, format, .. } = &self.file;
        let bytes = format.emit(&document.tree, Some(&block), Some(base.expose()))?;
        let opens = self.read_back(&bytes, keyring)?;
        Ok(Rewrapped { path: self.file.path, bytes, opens, base: self.file.base })
    }

    /// Encrypts every value afresh under a new data key, wrapped for `groups`, `threshold` of which are then needed (0 stands for all),
    /// and reads the result back. What stands in clear stays as it is, and the file is not more authentic than it was.
    ///
    /// # Errors
    /// [`RewrapError`]; nothing is written anywhere.
    pub fn rotate_for(
        self,
        groups: Vec<KeyGroup>,
        threshold: u32,
        keyring: &Keyring,
        now: UtcDateTime,
    ) -> Result<Rewrapped, RewrapError> {
        let Self { file: EncryptedFile { path, document, base, format }, in_clear, data_key } = self;
        let new_key = DataKey::generate().map_err(RekeyError::from)?;
        let mut metadata = Metadata::from_mapping(document.metadata.to_mapping()).map_err(NotADocument::from)?;
        metadata.key_groups = groups;
        metadata.shamir_threshold = threshold;
        metadata.wrap_data_key(&new_key, keyring)?;
        let contents = document.rekeyed(&data_key, &new_key, metadata, now)?;
        let bytes = format.emit(&contents.tree, contents.metadata.as_ref(), Some(base.expose()))?.shared();
        drop(contents);

        let written = EncryptedDocument::new(format.parse_secret(&bytes)?)?;
        let is_same = document.says_under(&data_key, &written, &new_key).map_err(RekeyError::from)?;
        let is_good = match in_clear {
            None => written.verify(&new_key).is_ok(),
            Some(_) => written.is_key(&new_key),
        };
        if !is_same || !is_good {
            return Err(RewrapError::ReadBack);
        }
        let opens = opens_with(&written, &new_key, keyring)?;
        Ok(Rewrapped { path, bytes, opens, base })
    }

    /// Whether the user can open what is to be written; everything else in it must be as it was.
    fn read_back(&self, bytes: &SecretBytes, keyring: &Keyring) -> Result<bool, RewrapError> {
        let EncryptedFile { document, format, .. } = &self.file;
        let written = EncryptedDocument::new(format.parse_secret(bytes)?)?;
        let tokens = |tree: &Tree| format.emit(tree, None, None);
        let (is, was) = (&written.metadata, &document.metadata);
        let is_same = tokens(&written.tree)?.ct_eq(tokens(&document.tree)?.expose())
            && (&is.mac, &is.last_modified, &is.version) == (&was.mac, &was.last_modified, &was.version)
            && is.shamir_threshold == was.shamir_threshold;
        if !is_same {
            return Err(RewrapError::ReadBack);
        }
        opens_with(&written, &self.data_key, keyring)
    }
}

/// Whether the user can open what is to be written, which then must give `data_key`.
fn opens_with(written: &EncryptedDocument, data_key: &DataKey, keyring: &Keyring) -> Result<bool, RewrapError> {
    let Metadata { key_groups, shamir_threshold, .. } = &written.metadata;
    // What is for others alone is not tried: that could ask for passphrases, or run plugins, in vain.
    if !is_for(key_groups, *shamir_threshold, keyring) {
        return Ok(false);
    }
    match unwrap_data_key(key_groups, *shamir_threshold, keyring) {
        Ok(unwrapped) if SecretBytes::copy_of(unwrapped.expose()).ct_eq(data_key.expose()) => Ok(true),
        Ok(_) => Err(RewrapError::ReadBack),
        Err(error) => Err(RewrapError::ReadBackKey(error)),
    }
}

impl Rewrapped {
    /// The file as one of several that are replaced as one.
    pub fn planned(self) -> Planned {
        Planned { before: FileDigest::of(self.base.expose()), path: self.path, bytes: self.bytes }
    }

    /// Replaces the file, if it still is the one that was opened. `state` is where locks are; without it there is no lock, only the
    /// comparison.
    ///
    /// # Errors
    /// [`SaveError`]; the file is as it was.
    pub fn save(&self, state: Option<&Path>) -> Result<Durability, SaveError> {
        let _lock = state.map(|state| FileLock::acquire(state, &self.path)).transpose()?;
        let expected = Expected::Bytes(self.base.expose());
        Ok(durability(atomic_write::replace(&self.path, self.bytes.expose(), expected, ReadOnly::Refuse))?)
    }
}

/// Why a file could not be wrapped for others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// Its data key cannot be wrapped for somebody.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// It cannot be put under a new data key.
    #[error(transparent)]
    Rekey(#[from] RekeyError),
    /// It cannot be written as text.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// What was to be written does not parse.
    #[error("the new file could not be read back")]
    ReadBackParse(#[from] ParseError),
    /// What was to be written is no document.
    #[error("the new file could not be read back")]
    ReadBackDocument(#[from] NotADocument),
    /// What was to be written stays shut for a recipient.
    #[error("the new file could not be read back")]
    ReadBackKey(#[source] UnlockError),
    /// What was to be written says something else.
    #[error("the new file, read back, is another one than was meant")]
    ReadBack,
}

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// Somebody edits it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It changed meanwhile, or cannot be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}
