//! Encrypts a tree: untouched values keep their token, the rest get a fresh nonce; then the new MAC.
//!
//! Its one invariant: a nonce is used twice only for the same value under the same name and data key, which gives the same token.
//!
//! Source: getsops/sops `sops.go` (`Tree.Encrypt`), `aes/cipher.go` (the nonce stash), v3.13.3. sops remembers one nonce for each
//! value and name; we remember every token and its place, so that equal lines keep different tokens, each its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use sha2::{Digest, Sha256};
use time::UtcDateTime;

use super::known::{Known, Places};
use super::many;
use super::metadata::{Metadata, MetadataError};
use super::selection::SelectionOption;
use super::walk::{Leaf, LeafRef, Leaves, Place, leaves, walk};
use super::{DecryptedDocument, EncryptedDocument};
use crate::crypto::cipher::{Cipher, Nonces};
use crate::crypto::mac::Mac;
use crate::crypto::scalar::{self, Encoded};
use crate::crypto::token::{Token, ValueType};
use crate::format::Contents;
use crate::secret::{DataKey, SecretBytes, with_clean_stack};
use crate::tree::{Comment, Key, Scalar, Tree};

/// Encrypts `tree` as a new file. `metadata` says who can read it and which values are encrypted; its date and MAC are set here.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt_new(tree: &Tree, mut metadata: Metadata, data_key: &DataKey, now: UtcDateTime) -> Result<Contents, EncryptError> {
    metadata.touch(now);
    with_clean_stack(|| {
        let (places, wanted) = (Places::of(tree, &metadata.selection), leaves(tree));
        encrypt(tree, &places, &wanted, &mut metadata, data_key, Vec::new())
    })
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
        let (places, wanted) = (Places::of(tree, selection), leaves(tree));
        let kept = kept_tokens(&known, beside.as_ref(), &places, &wanted);
        metadata.touch(now);
        encrypt(tree, &places, &wanted, metadata, data_key, kept)
    })
}

/// `wanted` are the leaves of `tree`. `kept` has the token to write for each, in order; where it has none or has run out, a new one is
/// made.
fn encrypt(
    tree: &Tree,
    places: &Places,
    wanted: &[LeafRef<'_>],
    metadata: &mut Metadata,
    data_key: &DataKey,
    kept: Vec<Option<&SecretBytes>>,
) -> Result<Contents, EncryptError> {
    let cipher = Cipher::new(data_key);
    let mac = || mac_over(wanted, places, metadata.mac_only_encrypted);
    let (mac, sealed) = many::in_ranges(wanted.len(), mac, |range| seal(&cipher, places, wanted, &kept, range));
    let sealed = sealed.into_iter().collect::<Result<Vec<_>, _>>()?;

    let mut sealing = Sealing { metadata, kept: kept.into_iter(), sealed: sealed.into_iter().flatten() };
    let encrypted = walk(tree, &metadata.selection, &mut sealing)?;
    let aad = metadata.mac_aad()?;
    let token = cipher.encrypt(mac.finish().expose(), ValueType::Str, aad.as_bytes(), &Nonces::new().draw()?);
    metadata.mac = Some(token.print());
    Ok(Contents { tree: encrypted, metadata: Some(metadata.to_mapping()) })
}

/// The MAC over `leaves`. What has no encoding is left out; nothing is written that has none.
fn mac_over(leaves: &[LeafRef<'_>], places: &Places, only_encrypted: bool) -> Mac {
    let mut mac = Mac::new(only_encrypted);
    for (at, leaf) in leaves.iter().enumerate() {
        if let LeafRef::Scalar(scalar) = leaf
            && (places.encrypted(at) || !only_encrypted)
            && let Ok((_, bytes)) = scalar::encode(scalar)
        {
            mac.update(bytes.expose());
        }
    }
    mac
}

/// New tokens of the leaves in `range`, all in one buffer. What has none is kept, stands in clear, or has no encoding, which is found
/// when it is put in its place.
fn seal(
    cipher: &Cipher,
    places: &Places,
    wanted: &[LeafRef<'_>],
    kept: &[Option<&SecretBytes>],
    range: Range<usize>,
) -> Result<Vec<Option<SecretBytes>>, EncryptError> {
    let plaintext = |at: usize| match kept.get(at).copied().flatten() {
        None if places.encrypted(at) => encode(wanted[at]).filter(|(_, bytes)| !bytes.expose().is_empty()),
        _ => None,
    };
    let sizes = range.clone().filter_map(|at| plaintext(at).map(|(kind, bytes)| Token::size(bytes.expose().len(), kind)));
    let mut text = SecretBytes::with_capacity(sizes.sum());
    let mut nonces = Nonces::new();
    let mut made = Vec::with_capacity(range.len());
    for at in range.clone() {
        made.push(match plaintext(at) {
            None => None,
            Some((kind, bytes)) => {
                let start = text.len();
                text.push(&cipher.encrypt(bytes.expose(), kind, places.aad(at), &nonces.draw()?).print());
                Some(start..text.len())
            }
        });
    }
    let text = text.shared();
    Ok(made.into_iter().map(|made| made.map(|range| text.piece(range))).collect())
}

fn encode(leaf: LeafRef<'_>) -> Option<(ValueType, Encoded<'_>)> {
    match leaf {
        LeafRef::Scalar(scalar) => scalar::encode(scalar).ok(),
        LeafRef::Comment(comment) => Some((ValueType::Comment, Encoded::Borrowed(comment.text.expose()))),
    }
}

/// Puts tokens in the place of leaves.
struct Sealing<'a, T> {
    metadata: &'a Metadata,
    /// For each leaf, in order, the old token that it keeps.
    kept: std::vec::IntoIter<Option<&'a SecretBytes>>,
    /// For each leaf, in order, its new token.
    sealed: T,
}

impl<T: Iterator<Item = Option<SecretBytes>>> Sealing<'_, T> {
    fn next_token(&mut self) -> Option<SecretBytes> {
        let (kept, sealed) = (self.kept.next().flatten(), self.sealed.next().flatten());
        kept.map(|token| token.piece(0..token.len())).or(sealed)
    }
}

impl<T: Iterator<Item = Option<SecretBytes>>> Leaves for Sealing<'_, T> {
    type Error = EncryptError;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, EncryptError> {
        let token = self.next_token();
        let (_, bytes) = scalar::encode(scalar).map_err(|_| EncryptError::Value { key: place.key.cloned() })?;
        // An empty value stays empty and in clear, in every syntax.
        if !place.encrypted || bytes.expose().is_empty() {
            return Ok(Leaf::Scalar(scalar.copy()));
        }
        let token = token.ok_or_else(|| EncryptError::Value { key: place.key.cloned() })?;
        Ok(Leaf::Scalar(Scalar::Text(token)))
    }

    fn comment(&mut self, place: &Place, comment: &Comment) -> Result<Leaf, EncryptError> {
        let token = self.next_token();
        if !place.encrypted || comment.text.is_empty() {
            return Ok(Leaf::Comment(comment.copy()));
        }
        let token = token.ok_or_else(|| EncryptError::Value { key: place.key.cloned() })?;
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
/// their tokens in file order, first those of `known`, then those that `beside` alone has: no two lines get one token.
fn kept_tokens<'a>(
    known: &Known<'a>,
    beside: Option<&Known<'a>>,
    places: &Places,
    wanted: &[LeafRef<'_>],
) -> Vec<Option<&'a SecretBytes>> {
    let (count, total) = (known.len(), wanted.len());
    let shorter = count.min(total);
    let same = |at: usize, there: usize| known.says(at, places.aad(there), wanted[there]);
    let before = (0..shorter).take_while(|at| same(*at, *at)).count();
    let behind = (1..=shorter - before).take_while(|back| same(count - back, total - back)).count();

    let mut between: HashMap<Meaning, VecDeque<&SecretBytes>> = HashMap::new();
    let mut offer = |known: &Known<'a>, at: usize, token: &'a SecretBytes| {
        between.entry(meaning(known.aad(at), known.plaintext(at))).or_default().push_back(token);
    };
    for at in before..count - behind {
        known.token(at).into_iter().for_each(|token| offer(known, at, token));
    }
    if let Some(beside) = beside {
        let own: HashSet<&[u8]> = (0..count).filter_map(|at| known.token(at)).map(SecretBytes::expose).collect();
        let only_there = |at| beside.token(at).filter(|token| !own.contains(token.expose()));
        (0..beside.len()).for_each(|at| only_there(at).into_iter().for_each(|token| offer(beside, at, token)));
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
    let (kind, bytes) = encode(leaf)?;
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
