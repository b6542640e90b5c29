//! The age kind: a data key wrapped as an ASCII-armored age file of its own, one per recipient.
//!
//! Knows age's limits and traps (version 0.12.1 of the crate): it panics when `age::encrypt` meets a bad recipient, so the
//! [`Encryptor`] is used; its header parser takes quadratic time and takes too much, so [`header`] checks first and hands over;
//! it stops at the first identity that fails, so one `Router` stands for all of them. Its one invariant: whatever a file holds, no
//! panic and no long wait.

pub mod armor;
pub mod generate;
pub mod header;
pub mod identity;
pub(super) mod identity_file;
pub mod locked_file;
pub mod plugin;
mod post_quantum;
pub mod recipient;
pub mod router;
mod ssh_private;
pub(super) mod ssh_public;

use std::io::{Read, Write};
use std::iter;

use ::age::{DecryptError, Decryptor, EncryptError, Encryptor};

use crate::keys::age::header::{HeaderError, HeaderFirst};
use crate::keys::age::recipient::{EncryptFailure, Recipient, RecipientError};
use crate::keys::age::router::Router;
use crate::keys::fields::{EntryError, Fields};
use crate::keys::keyring::Keyring;
use crate::keys::step::Step;
use crate::keys::{Kind, MasterKey, UnwrapError, WrapError, shown};
use crate::secret::SecretBytes;
use crate::tree::Mapping;

/// What only the fuzz targets may reach: no part of the library's promises.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    use super::header::HeaderError;

    /// What stands in a file for `bytes`.
    pub fn armored(bytes: &[u8]) -> String {
        super::armor::encode(bytes)
    }

    /// The length of the header that `file` begins with.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn header_length(file: &[u8]) -> Result<usize, HeaderError> {
        super::header::check(file)
    }
}

/// More than any payload: a data key has 32 bytes, a Shamir share 33.
const MAX_PAYLOAD: usize = 64;

/// One entry of the `age` list.
pub struct AgeKey {
    fields: Fields,
}

impl AgeKey {
    /// A key for `recipient`, kept as it is written except for blanks around it; nothing is wrapped yet.
    ///
    /// # Errors
    /// [`RecipientError`] if it cannot be encrypted to.
    pub fn new(recipient: &str) -> Result<Self, RecipientError> {
        let recipient = recipient.trim();
        Recipient::parse(recipient)?;
        let mut fields = Fields::empty(Kind::Age);
        fields.set_text("recipient", recipient.to_owned());
        Ok(Self { fields })
    }

    /// Reads an entry. Its recipient may be of a sort this version cannot encrypt to: it is kept, and may still be opened.
    ///
    /// # Errors
    /// [`EntryError`] if a field has the wrong type.
    ///
    /// Source: getsops/sops `stores/stores.go`, `agekey`.
    pub fn from_fields(fields: &Mapping) -> Result<Self, EntryError> {
        Ok(Self { fields: Fields::read(Kind::Age, fields, &["enc", "recipient"], &[])? })
    }
}

impl MasterKey for AgeKey {
    fn kind(&self) -> Kind {
        Kind::Age
    }

    fn recipient(&self) -> &str {
        self.fields.text("recipient")
    }

    fn wrap_data_key(&mut self, payload: &SecretBytes, keyring: &Keyring) -> Result<(), WrapError> {
        let named = || shown(self.recipient()).to_owned();
        let recipient =
            Recipient::parse(self.recipient()).map_err(|source| WrapError::Recipient { recipient: named(), source })?;
        let file = recipient.encrypt(keyring, |recipient| encrypt(recipient, payload)).map_err(|failure| match failure {
            EncryptFailure::Plugin(source) => WrapError::Plugin { recipient: named(), source },
            EncryptFailure::Age(source) => WrapError::Age { recipient: named(), source: Box::new(source) },
        })?;
        self.fields.set_text("enc", armor::encode(&file));
        Ok(())
    }

    fn unwrap_data_key(&self, keyring: &Keyring, step: Step<'_>) -> Result<SecretBytes, UnwrapError> {
        let armored = self.fields.text("enc");
        if armored.is_empty() {
            return Err(UnwrapError::NothingWrapped);
        }
        let file = armor::decode(armored)?;
        if matches!(step, Step::LockedFile { .. }) {
            // Nobody is asked for the passphrase of an identity that the file cannot be for.
            header::check(&file)?;
            if header::stanzas(&file).all(is_not_for_age_identities) {
                return Err(UnwrapError::NoMatch(Vec::new()));
            }
        }
        open(&file, keyring, step, MAX_PAYLOAD)
    }

    fn to_fields(&self) -> Mapping {
        self.fields.to_mapping()
    }
}

/// Opens an age file, unarmored, with whatever `keyring` has for `step`, if its payload has no more than `limit` bytes.
///
/// # Errors
/// [`UnwrapError`]. Nothing of a payload comes out before all of it was checked.
pub fn open(file: &[u8], keyring: &Keyring, step: Step<'_>, limit: usize) -> Result<SecretBytes, UnwrapError> {
    let identities = keyring.identities(step);
    if identities.is_empty() {
        return Err(UnwrapError::NoIdentities);
    }
    let router = Router::over(&identities, keyring);
    open_with(file, &router, limit).map_err(|error| match error {
        UnwrapError::NoMatch(_) => UnwrapError::NoMatch(router.into_attempts()),
        error => error,
    })
}

/// The same with one identity of the age crate. What was tried is not told.
///
/// # Errors
/// [`UnwrapError`].
pub fn open_with(file: &[u8], identity: &dyn ::age::Identity, limit: usize) -> Result<SecretBytes, UnwrapError> {
    let header = header::check(file)?;
    let malformed = |_| UnwrapError::Header(HeaderError::Malformed);
    let decryptor = Decryptor::new_buffered(HeaderFirst::new(file, header)).map_err(malformed)?;
    let mut reader = decryptor.decrypt(iter::once(identity)).map_err(|error| match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed => UnwrapError::NoMatch(Vec::new()),
        DecryptError::InvalidMac => UnwrapError::NotAuthentic,
        error => malformed(error),
    })?;
    // No payload is longer than its file.
    let mut payload = SecretBytes::from_vec(vec![0; limit.min(file.len()) + 1]);
    let mut length = 0;
    while let Some(rest) = payload.expose_mut().get_mut(length..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(_) => return Err(UnwrapError::PayloadNotAuthentic),
        }
    }
    if length > limit {
        return Err(UnwrapError::PayloadLength);
    }
    payload.truncate(length);
    Ok(payload)
}

/// Whether a stanza is for an SSH key or a passphrase, or for nobody: grease.
fn is_not_for_age_identities(stanza: &[u8]) -> bool {
    let tag = stanza.split(|byte| *byte == b' ').next().unwrap_or_default();
    [b"ssh-ed25519".as_slice(), b"ssh-rsa", b"scrypt"].contains(&tag) || tag.ends_with(b"-grease")
}

fn encrypt(recipient: &dyn ::age::Recipient, payload: &SecretBytes) -> Result<Vec<u8>, EncryptError> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient))?;
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file)?;
    writer.write_all(payload.expose())?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
