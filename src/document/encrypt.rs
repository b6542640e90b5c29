//! Encrypts a tree: untouched values keep their token, the rest get a fresh nonce; then the new MAC.
//!
//! Its one invariant: a nonce is used twice only for the same value under the same name and data key, which gives the same token.
//!
//! Source: getsops/sops `sops.go` (`Tree.Encrypt`), `aes/cipher.go` (the nonce stash), v3.13.3. sops remembers one nonce for each
//! value and name; we remember every token and its place, so that equal lines keep different tokens, each its own.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};
use time::UtcDateTime;

use super::known::{Known, Places};
use super::metadata::{Metadata, MetadataError};
use super::selection::SelectionOption;
use super::walk::{Leaf, LeafRef, Leaves, Place, leaves, walk};
use super::{DecryptedDocument, EncryptedDocument};
use crate::crypto::cipher::{Cipher, Nonces};
use crate::crypto::mac::Mac;
use crate::crypto::scalar::{self, Encoded};
use crate::crypto::token::ValueType;
use crate::format::Contents;
use crate::secret::{DataKey, SecretBytes, with_clean_stack};
use crate::tree::{Comment, Key, Scalar, Tree};

/// Encrypts `tree` as a new file. `metadata` says who can read it and which values are encrypted; its date and MAC are set here.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt_new(tree: &Tree, mut metadata: Metadata, data_key: &DataKey, now: UtcDateTime) -> Result<Contents, EncryptError> {
    metadata.touch(now);
    with_clean_stack(|| encrypt(tree, &mut metadata, data_key, Vec::new()))
}

/// Encrypts `tree` in place of the data of `document`. `other` has tokens under the same data key.
pub(super) fn encrypt_again(
    document: &mut DecryptedDocument,
    tree: &Tree,
    other: Option<&DecryptedDocument>,
    now: UtcDateTime,
) -> Result<Contents, EncryptError> {
    let DecryptedDocument { tree: plaintext, encrypted, data_key, .. } = document;
    let EncryptedDocument { tree: tokens, metadata } = encrypted;
    with_clean_stack(|| {
        let selection = &metadata.selection;
        let known = Known::of(plaintext, tokens, selection);
        let beside = other.map(Known::of_document);
        let kept = kept_tokens(&known, beside.as_ref(), &Places::of(tree, selection), &leaves(tree));
        metadata.touch(now);
        encrypt(tree, metadata, data_key, kept)
    })
}

/// `kept` has the token to write for each leaf, in order; where it has none or has run out, a new one is made.
fn encrypt(tree: &Tree, metadata: &mut Metadata, data_key: &DataKey, kept: Vec<Option<&[u8]>>) -> Result<Contents, EncryptError> {
    let cipher = Cipher::new(data_key);
    let mut sealing = Sealing {
        cipher: &cipher,
        mac: Mac::new(metadata.mac_only_encrypted),
        metadata,
        nonces: Nonces::new(),
        kept: kept.into_iter(),
    };
    let encrypted = walk(tree, &metadata.selection, &mut sealing)?;
    let Sealing { mac, mut nonces, .. } = sealing;
    let aad = metadata.mac_aad()?;
    let token = cipher.encrypt(mac.finish().expose(), ValueType::Str, aad.as_bytes(), &nonces.draw()?);
    metadata.mac = Some(token.print());
    Ok(Contents { tree: encrypted, metadata: Some(metadata.to_mapping()) })
}

struct Sealing<'a> {
    cipher: &'a Cipher,
    mac: Mac,
    metadata: &'a Metadata,
    nonces: Nonces,
    kept: std::vec::IntoIter<Option<&'a [u8]>>,
}

impl Sealing<'_> {
    fn seal(
        &mut self,
        place: &Place,
        kind: ValueType,
        plaintext: &[u8],
        kept: Option<&[u8]>,
    ) -> Result<SecretBytes, EncryptError> {
        if let Some(token) = kept {
            return Ok(SecretBytes::copy_of(token));
        }
        let nonce = self.nonces.draw()?;
        Ok(SecretBytes::from_vec(self.cipher.encrypt(plaintext, kind, place.aad, &nonce).print()))
    }
}

impl Leaves for Sealing<'_> {
    type Error = EncryptError;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, EncryptError> {
        let kept = self.kept.next().flatten();
        let (kind, bytes) = scalar::encode(scalar).map_err(|_| EncryptError::Value { key: place.key.cloned() })?;
        if place.encrypted || !self.metadata.mac_only_encrypted {
            self.mac.update(bytes.expose());
        }
        // An empty value stays empty and in clear, in every syntax.
        let sealed = if place.encrypted && !bytes.expose().is_empty() {
            Scalar::Text(self.seal(place, kind, bytes.expose(), kept)?)
        } else {
            scalar.copy()
        };
        Ok(Leaf::Scalar(sealed))
    }

    fn comment(&mut self, place: &Place, comment: &Comment) -> Result<Leaf, EncryptError> {
        let kept = self.kept.next().flatten();
        let text = &comment.text;
        if !place.encrypted || text.is_empty() {
            return Ok(Leaf::Comment(Comment { text: SecretBytes::copy_of(text.expose()), inline: comment.inline }));
        }
        let token = self.seal(place, ValueType::Comment, text.expose(), kept)?;
        let selection = &self.metadata.selection;
        if selection.option() == SelectionOption::UnencryptedCommentRegex && selection.matches_comment(token.expose()) {
            // The reader would take the token for the marker that keeps the next value in clear. Under the opposite rule it does no
            // harm: a comment is encrypted only where another one has switched encryption on already.
            return Err(EncryptError::CommentLooksLikeMarker);
        }
        Ok(match place.in_list {
            true => Leaf::Scalar(Scalar::Text(token)),
            false => Leaf::Comment(Comment { text: token, inline: comment.inline }),
        })
    }
}

/// Chooses for each leaf of `wanted` the token of `known` that it keeps.
///
/// What stands unchanged from the beginning of the file, or from its end, keeps its own. Between, equal values under one name take
/// their tokens in file order, first those of `known`, then those of `beside`.
fn kept_tokens<'a>(
    known: &Known<'a>,
    beside: Option<&Known<'a>>,
    places: &Places,
    wanted: &[LeafRef<'_>],
) -> Vec<Option<&'a [u8]>> {
    let (count, total) = (known.len(), wanted.len());
    let shorter = count.min(total);
    let same = |at: usize, there: usize| known.says(at, places.aad(there), wanted[there]);
    let before = (0..shorter).take_while(|at| same(*at, *at)).count();
    let behind = (1..=shorter - before).take_while(|back| same(count - back, total - back)).count();

    let mut between: HashMap<Meaning, VecDeque<&[u8]>> = HashMap::new();
    let pool = beside.into_iter().flat_map(|beside| (0..beside.len()).map(move |at| (beside, at)));
    for (known, at) in (before..count - behind).map(|at| (known, at)).chain(pool) {
        between.entry(meaning(known.aad(at), known.plaintext(at))).or_default().extend(known.token(at));
    }
    let mut kept = Vec::with_capacity(total);
    kept.extend((0..before).map(|at| known.token(at)));
    kept.extend((before..total - behind).map(|at| between.get_mut(&meaning(places.aad(at), wanted[at]))?.pop_front()));
    kept.extend((count - behind..count).map(|at| known.token(at)));
    kept
}

/// What a leaf says and where: a digest, so that no second copy of the plaintext is made. `None` if it has no encoding.
type Meaning = Option<[u8; 32]>;

fn meaning(aad: &[u8], leaf: LeafRef<'_>) -> Meaning {
    let (kind, bytes) = match leaf {
        LeafRef::Scalar(scalar) => scalar::encode(scalar).ok()?,
        LeafRef::Comment(comment) => (ValueType::Comment, Encoded::Borrowed(comment.text.expose())),
    };
    let mut digest = Sha256::new();
    digest.update((aad.len() as u64).to_le_bytes());
    digest.update(aad);
    digest.update(kind.tag());
    digest.update([0]);
    digest.update(bytes.expose());
    Some(digest.finalize().into())
}

/// Why a tree could not be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// A value that has no encoding, such as a date that is none.
    #[error("the value of `{}` has no encoding", key.as_ref().map(Key::to_string).unwrap_or_default())]
    Value {
        /// The name of the entry.
        key: Option<Key>,
    },
    /// An encrypted comment that its reader would take for a marker.
    #[error("an encrypted comment matches `unencrypted_comment_regex`, so the value below it could not be read again")]
    CommentLooksLikeMarker,
    /// The date cannot be written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The system has no randomness to give.
    #[error("the system gave no random numbers")]
    Randomness(#[from] getrandom::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::selection::Selection;
    use crate::tree::{Item, Mapping};

    #[test]
    fn a_comment_whose_token_would_keep_the_next_value_in_clear_is_refused() {
        let encrypt = |pattern: &str| {
            let selection = Selection::new(SelectionOption::UnencryptedCommentRegex, pattern).unwrap();
            let comment = Item::Comment(Comment { text: SecretBytes::copy_of(b" note"), inline: false });
            let metadata = Metadata::new(Vec::new(), selection, false);
            let key = DataKey::from_slice(&[1; 32]).unwrap();
            encrypt_new(&Tree::of(Mapping { items: vec![comment] }), metadata, &key, UtcDateTime::UNIX_EPOCH).map(drop)
        };
        assert!(matches!(encrypt("GCM"), Err(EncryptError::CommentLooksLikeMarker)));
        assert!(encrypt("clear").is_ok());
    }
}
