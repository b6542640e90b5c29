//! The same file under another data key, whatever is odd about it.
//!
//! Every token is opened and made afresh; what is no token stays as it is, and so does what the MAC says. So a file that was not authentic
//! is not authentic afterwards: nothing that somebody without a key wrote into it becomes anything better. Its one invariant: no token and
//! no nonce of the old file is in the new one, but for tokens that nobody can open.

use time::UtcDateTime;

use super::EncryptedDocument;
use super::decrypt::{DecryptError, stored_mac};
use super::known::{Places, text};
use super::metadata::Metadata;
use super::walk::{Leaf, LeafRef, Leaves, Place, leaves, walk};
use crate::crypto::cipher::{Cipher, Nonces};
use crate::crypto::token::{Token, ValueType};
use crate::format::Contents;
use crate::secret::{DataKey, SecretBytes, with_clean_stack};
use crate::tree::{Comment, Scalar};

impl EncryptedDocument {
    /// The file under the data key `new` instead of `old`. `metadata` says who can read it, and encrypts the same values.
    ///
    /// # Errors
    /// [`RekeyError::Decrypt`] if a token of a value is not authentic, or the MAC cannot be read.
    pub fn rekeyed(
        &self,
        old: &DataKey,
        new: &DataKey,
        mut metadata: Metadata,
        now: UtcDateTime,
    ) -> Result<Contents, RekeyError> {
        with_clean_stack(|| {
            let (old, new) = (Cipher::new(old), Cipher::new(new));
            let mut nonces = Nonces::new();
            let mac = stored_mac(&self.metadata, &old)?;
            metadata.touch(now);
            let aad = metadata.mac_aad().map_err(DecryptError::from)?;
            metadata.mac = Some(new.encrypt(mac.expose(), ValueType::Str, aad.as_bytes(), &nonces.draw()?).print());

            let places = Places::of(&self.tree, &self.metadata.selection);
            let mut rekeying = Rekeying { opened: self.opened(&old).into_iter(), places, at: 0, new, nonces };
            let tree = walk(&self.tree, &self.metadata.selection, &mut rekeying)?;
            Ok(Contents { tree, metadata: Some(metadata.to_mapping()) })
        })
    }

    /// Whether `rekeyed`, opened with `new`, says what this file says with `old`: every value, comment and name, and the MAC.
    ///
    /// # Errors
    /// [`DecryptError`] if the MAC of one of them cannot be read.
    pub fn says_under(&self, old: &DataKey, rekeyed: &Self, new: &DataKey) -> Result<bool, DecryptError> {
        with_clean_stack(|| {
            let (old, new) = (Cipher::new(old), Cipher::new(new));
            let is_same_mac = stored_mac(&self.metadata, &old)?.ct_eq(stored_mac(&rekeyed.metadata, &new)?.expose());
            let names = |document: &Self| -> Vec<_> {
                document.tree.documents.iter().flat_map(|tree| tree.entries()).map(|(key, _)| key.clone()).collect()
            };
            let (before, after) = (self.opened(&old), rekeyed.opened(&new));
            let same_leaves = before.len() == after.len()
                && before.iter().zip(&after).zip(leaves(&self.tree).iter().zip(leaves(&rekeyed.tree))).all(|(opened, stored)| {
                    match opened {
                        (Some(Ok((kind, one))), Some(Ok((other_kind, other)))) => kind == other_kind && one.ct_eq(other.expose()),
                        (Some(Err(_)) | None, Some(Err(_)) | None) => text(*stored.0) == text(stored.1),
                        _ => false,
                    }
                });
            Ok(is_same_mac && same_leaves && names(self) == names(rekeyed))
        })
    }

    /// What each leaf's token holds; `None` where none stands.
    fn opened(&self, cipher: &Cipher) -> Vec<Opened> {
        let places = Places::of(&self.tree, &self.metadata.selection);
        let open = |(at, leaf): (usize, LeafRef<'_>)| {
            let text = text(leaf);
            if !places.encrypted(at) || !Token::is_token(text) {
                return None;
            }
            let Ok(token) = Token::parse(text) else { return Some(Err(Shut)) };
            Some(cipher.decrypt(&token, places.aad(at)).map(|bytes| (token.kind, bytes)).map_err(|_| Shut))
        };
        leaves(&self.tree).into_iter().enumerate().map(open).collect()
    }
}

/// A token that does not open.
struct Shut;

type Opened = Option<Result<(ValueType, SecretBytes), Shut>>;

struct Rekeying {
    opened: std::vec::IntoIter<Opened>,
    places: Places,
    at: usize,
    new: Cipher,
    nonces: Nonces,
}

impl Rekeying {
    /// The new token of the next leaf, if its old one opened.
    fn next(&mut self) -> Result<Option<Result<SecretBytes, Shut>>, RekeyError> {
        let (at, opened) = (self.at, self.opened.next().flatten());
        self.at += 1;
        Ok(match opened {
            None => None,
            Some(Err(shut)) => Some(Err(shut)),
            Some(Ok((kind, bytes))) => {
                let token = self.new.encrypt(bytes.expose(), kind, self.places.aad(at), &self.nonces.draw()?);
                Some(Ok(SecretBytes::from_vec(token.print())))
            }
        })
    }
}

impl Leaves for Rekeying {
    type Error = RekeyError;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, RekeyError> {
        match self.next()? {
            None => Ok(Leaf::Scalar(scalar.copy())),
            Some(Ok(token)) => Ok(Leaf::Scalar(Scalar::Text(token))),
            Some(Err(Shut)) => Err(DecryptError::NotAuthentic { key: place.name() }.into()),
        }
    }

    fn comment(&mut self, _: &Place, comment: &Comment) -> Result<Leaf, RekeyError> {
        Ok(Leaf::Comment(match self.next()? {
            Some(Ok(token)) => Comment { text: token, inline: comment.inline },
            // It may be of another file. Nothing protects comments anyway.
            None | Some(Err(Shut)) => comment.copy(),
        }))
    }
}

/// Why a file could not be put under another key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// It is damaged beyond what may stay as it is.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// The system has no randomness to give.
    #[error("the system gave no random numbers")]
    Randomness(#[from] getrandom::Error),
}
