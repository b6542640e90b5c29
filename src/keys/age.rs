//! The age kind: a data key wrapped as an ASCII-armored age file of its own, one per recipient.
//!
//! Knows age's limits and traps (version 0.12.1 of the crate): it panics when `age::encrypt` meets a bad recipient, so the
//! [`Encryptor`] is used; its header parser takes quadratic time, so [`header`] counts stanzas first and everything is read from memory;
//! it stops at the first identity that fails, so one `Router` stands for all of them. Its one invariant: whatever a file holds, no
//! panic and no long wait.

pub mod armor;
pub mod generate;
pub mod header;
pub mod identity;
pub(super) mod identity_file;
pub mod recipient;
pub mod router;
mod ssh_private;
mod ssh_public;

use std::io::{Read, Write};
use std::iter;

use ::age::{DecryptError, Decryptor, EncryptError, Encryptor};

use crate::keys::age::recipient::{Recipient, RecipientError};
use crate::keys::age::router::Router;
use crate::keys::fields::{EntryError, Fields};
use crate::keys::keyring::Keyring;
use crate::keys::{Kind, MasterKey, UnwrapError, WrapError, shown};
use crate::secret::SecretBytes;
use crate::tree::Mapping;

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

    fn wrap_data_key(&mut self, payload: &SecretBytes) -> Result<(), WrapError> {
        let named = || shown(self.recipient()).to_owned();
        let recipient =
            Recipient::parse(self.recipient()).map_err(|source| WrapError::Recipient { recipient: named(), source })?;
        let file =
            encrypt(&recipient, payload).map_err(|source| WrapError::Age { recipient: named(), source: Box::new(source) })?;
        self.fields.set_text("enc", armor::encode(&file));
        Ok(())
    }

    fn unwrap_data_key(&self, keyring: &Keyring) -> Result<SecretBytes, UnwrapError> {
        let armored = self.fields.text("enc");
        if armored.is_empty() {
            return Err(UnwrapError::NothingWrapped);
        }
        let file = armor::decode(armored)?;
        header::check(&file)?;
        decrypt(&file, keyring)
    }

    fn to_fields(&self) -> Mapping {
        self.fields.to_mapping()
    }
}

fn encrypt(recipient: &Recipient, payload: &SecretBytes) -> Result<Vec<u8>, EncryptError> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient.as_age()))?;
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file)?;
    writer.write_all(payload.expose())?;
    writer.finish()?;
    Ok(file)
}

fn decrypt(file: &[u8], keyring: &Keyring) -> Result<SecretBytes, UnwrapError> {
    let identities = keyring.identities();
    if identities.is_empty() {
        return Err(UnwrapError::NoIdentities);
    }
    let decryptor = Decryptor::new_buffered(file).map_err(|_| header::HeaderError::Malformed)?;
    let router = Router::over(identities);
    let opened = decryptor.decrypt(iter::once(&router as &dyn ::age::Identity));
    let mut reader = match opened {
        Ok(reader) => reader,
        Err(DecryptError::NoMatchingKeys) => return Err(UnwrapError::NoMatch(router.into_attempts())),
        Err(_) => return Err(UnwrapError::NotAuthentic),
    };
    let mut payload = SecretBytes::from_vec(vec![0; MAX_PAYLOAD + 1]);
    let mut length = 0;
    while let Some(rest) = payload.expose_mut().get_mut(length..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(_) => return Err(UnwrapError::NotAuthentic),
        }
    }
    if length > MAX_PAYLOAD {
        return Err(UnwrapError::PayloadLength);
    }
    payload.truncate(length);
    Ok(payload)
}

#[cfg(test)]
mod tests;
