//! Where the three pillars meet: a file whose values are encrypted, and the same file opened.
//!
//! Its one invariant: no plaintext leaves before every value is authentic and the MAC is right.

pub mod access;
mod decrypt;
mod encrypt;
mod in_clear;
mod known;
mod many;
pub mod metadata;
mod outside;
pub mod pattern;
mod rekey;
pub mod selection;
mod version;
mod walk;
mod written;

pub use decrypt::DecryptError;
pub use encrypt::{EncryptError, encrypt_new};
pub use in_clear::{InClear, leaves_in_clear, plain_where_encrypted};
pub use outside::{Standing, standings};
pub use rekey::RekeyError;

use crate::format::Contents;
use crate::keys::WrapError;
use crate::keys::group::{UnlockError, unwrap_data_key};
use crate::keys::keyring::Keyring;
use crate::secret::DataKey;
use crate::tree::Tree;
use metadata::{Metadata, MetadataError};

/// A file as it stands on disk: values are tokens, names are readable.
pub struct EncryptedDocument {
    /// The data, its selected values as tokens.
    pub tree: Tree,
    /// The `sops` block.
    pub metadata: Metadata,
}

impl EncryptedDocument {
    /// Takes a parsed file for an encrypted one.
    ///
    /// # Errors
    /// [`NotADocument::Plaintext`] if it has no `sops` block, [`NotADocument::Metadata`] if that cannot be used.
    pub fn new(contents: Contents) -> Result<Self, NotADocument> {
        let block = contents.metadata.ok_or(NotADocument::Plaintext)?;
        Ok(Self { tree: contents.tree, metadata: Metadata::from_mapping(block)? })
    }

    /// Unwraps the data key, decrypts every value and checks the MAC.
    ///
    /// # Errors
    /// [`OpenError`]: no identity unwraps the data key, or the file is not what its writer wrote.
    pub fn open(self, keyring: &Keyring) -> Result<DecryptedDocument, OpenError> {
        let data_key = unwrap_data_key(&self.metadata.key_groups, self.metadata.shamir_threshold, keyring)?;
        Ok(self.open_with(data_key)?)
    }

    /// The same with a data key that is at hand already.
    ///
    /// # Errors
    /// [`DecryptError`] if the file is not what its writer wrote, or the key is another file's.
    pub fn open_with(self, data_key: DataKey) -> Result<DecryptedDocument, DecryptError> {
        let decrypt::Decrypted { tree, clear_comments, lines_in_comments } = decrypt::decrypt(&self, &data_key)?;
        Ok(DecryptedDocument { tree, clear_comments, lines_in_comments, encrypted: self, data_key })
    }

    /// Checks that `data_key` opens this file, every value and the MAC, and lets go of the plaintext at once.
    ///
    /// # Errors
    /// As [`Self::open_with`].
    pub fn verify(&self, data_key: &DataKey) -> Result<Tree, DecryptError> {
        Ok(decrypt::decrypt(self, data_key)?.tree)
    }

    /// Whether `data_key` is this file's, as the MAC's own token tells. Says nothing about the values.
    pub fn is_key(&self, data_key: &DataKey) -> bool {
        decrypt::opens_mac(&self.metadata, data_key)
    }
}

/// An opened file: its plaintext, and what is needed to encrypt it again without touching what did not change.
pub struct DecryptedDocument {
    /// The plaintext.
    pub tree: Tree,
    /// How many comments stood in clear, or were no tokens of this file, where the rule encrypts them. They are kept as they were.
    pub clear_comments: usize,
    /// How many comments in clear hold a carriage return, behind which readers of the plaintext see a line of its own. Anybody can add
    /// such a comment, so nothing may be stored again that came out of one.
    pub lines_in_comments: usize,
    encrypted: EncryptedDocument,
    data_key: DataKey,
}

impl DecryptedDocument {
    /// What the file says about its own encryption.
    pub fn metadata(&self) -> &Metadata {
        &self.encrypted.metadata
    }

    /// The same, to change it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.encrypted.metadata
    }

    /// The file as it was read.
    pub fn encrypted(&self) -> &EncryptedDocument {
        &self.encrypted
    }

    /// The key of its values.
    pub fn data_key(&self) -> &DataKey {
        &self.data_key
    }

    /// The plaintext and the metadata, without the data key.
    pub fn into_parts(self) -> (Tree, Metadata) {
        (self.tree, self.encrypted.metadata)
    }

    /// Encrypts `tree` in place of the file's data. A value or comment that stands unchanged under the same name keeps its token.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing of the file has changed then.
    pub fn encrypt(&mut self, tree: &Tree, now: time::UtcDateTime) -> Result<Contents, EncryptError> {
        encrypt::encrypt_again(self, tree, None, now)
    }

    /// The same; what stands unchanged in `other`, a file under the same data key, keeps the token it has there.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing of the file has changed then.
    pub fn encrypt_beside(&mut self, tree: &Tree, other: &Self, now: time::UtcDateTime) -> Result<Contents, EncryptError> {
        encrypt::encrypt_again(self, tree, Some(other), now)
    }

    /// Wraps the data key anew for everybody in the metadata.
    ///
    /// # Errors
    /// [`WrapError`]; the file is then not to be written.
    pub fn wrap_data_key(&mut self, keyring: &Keyring) -> Result<(), WrapError> {
        self.encrypted.metadata.wrap_data_key(&self.data_key, keyring)
    }
}

/// Why a parsed file is no encrypted document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotADocument {
    /// It has no `sops` block.
    #[error("not encrypted: there is no sops metadata in it")]
    Plaintext,
    /// Its `sops` block cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Why a document stays shut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No identity unwraps the data key.
    #[error(transparent)]
    Locked(#[from] UnlockError),
    /// It is not what its writer wrote.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
}
