//! The leaves of an opened file: where each stands, its token, its plaintext.
//!
//! Knows by them which tokens of a file are good for what shall be written, and that a token is one that was opened already.

use std::convert::Infallible;
use std::ops::Range;

use super::DecryptedDocument;
use super::selection::Selection;
use super::walk::{Leaf, LeafRef, Leaves, NOTHING, Place, leaves, walk};
use crate::crypto::cipher::NONCE_LENGTH;
use crate::crypto::scalar;
use crate::crypto::token::Token;
use crate::secret::SecretBytes;
use crate::tree::{Comment, Item, Scalar, Tree};

/// The leaves of an opened file.
pub(super) struct Known<'a> {
    places: Places,
    tokens: Vec<LeafRef<'a>>,
    plaintext: Vec<LeafRef<'a>>,
}

impl<'a> Known<'a> {
    /// Those of a file of which `plaintext` and `encrypted` are the two sides: both have the same leaves in the same order.
    pub(super) fn of(plaintext: &'a Tree, encrypted: &'a Tree, selection: &Selection) -> Self {
        Self { places: Places::of(encrypted, selection), tokens: leaves(encrypted), plaintext: leaves(plaintext) }
    }

    pub(super) fn of_document(document: &'a DecryptedDocument) -> Self {
        Self::of(&document.tree, &document.encrypted.tree, &document.encrypted.metadata.selection)
    }

    pub(super) fn len(&self) -> usize {
        self.plaintext.len()
    }

    pub(super) fn aad(&self, at: usize) -> &[u8] {
        self.places.aad(at)
    }

    pub(super) fn plaintext(&self, at: usize) -> LeafRef<'a> {
        self.plaintext[at]
    }

    /// Whether leaf `at` says `wanted`, under the keys `aad`.
    pub(super) fn says(&self, at: usize, aad: &[u8], wanted: LeafRef<'_>) -> bool {
        self.aad(at) == aad && is_same(self.plaintext[at], wanted)
    }

    /// The token of leaf `at`, if it can be written again.
    pub(super) fn token(&self, at: usize) -> Option<&'a SecretBytes> {
        let whole = secret(self.tokens[at])?;
        let token = whole.expose();
        // What says something else than itself was opened. A nonce of another length than ours is only ever read; sops itself cannot
        // write it again.
        let is_kept = match self.places.encrypted(at) {
            false => false,
            true if text(self.plaintext[at]) != token => Token::nonce_length(token) == Some(NONCE_LENGTH),
            true => Token::parse(token).is_ok_and(|token| token.nonce.len() == NONCE_LENGTH),
        };
        is_kept.then_some(whole)
    }

    /// Whether `token`, which stands at leaf `there` of `places`, is that of leaf `at`, with which the data key made `meant` of it, and
    /// would again.
    pub(super) fn has_opened(&self, at: usize, places: &Places, there: usize, token: &[u8], meant: LeafRef<'_>) -> bool {
        at < self.len()
            && places.encrypted(there)
            && !places.in_list(there)
            && self.places.encrypted(at)
            && text(self.tokens[at]) == token
            && self.says(at, places.aad(there), meant)
    }
}

/// Whether two leaves have the same type and the same bytes. The user has both: how long it takes tells nobody anything.
pub(super) fn is_same(one: LeafRef<'_>, other: LeafRef<'_>) -> bool {
    match (one, other) {
        (LeafRef::Comment(one), LeafRef::Comment(other)) => one.text.expose() == other.text.expose(),
        (LeafRef::Scalar(one), LeafRef::Scalar(other)) => match (scalar::encode(one), scalar::encode(other)) {
            (Ok((kind, one)), Ok((other_kind, other))) => kind == other_kind && one.expose() == other.expose(),
            _ => false,
        },
        _ => false,
    }
}

pub(super) fn text<'a>(leaf: LeafRef<'a>) -> &'a [u8] {
    secret(leaf).map_or(&[], SecretBytes::expose)
}

pub(super) fn secret<'a>(leaf: LeafRef<'a>) -> Option<&'a SecretBytes> {
    match leaf {
        LeafRef::Scalar(Scalar::Text(text)) => Some(text),
        LeafRef::Comment(comment) => Some(&comment.text),
        LeafRef::Scalar(_) => None,
    }
}

/// Where the leaves of a tree stand, in order.
pub(super) struct Places {
    aads: Vec<u8>,
    leaves: Vec<Standing>,
}

/// What a [`Place`] says but for the key.
struct Standing {
    aad_end: usize,
    encrypted: bool,
    in_list: bool,
}

impl Places {
    pub(super) fn of(tree: &Tree, selection: &Selection) -> Self {
        // In a file of one level, that is how much there is.
        let items = tree.documents.iter().flat_map(|document| &document.items);
        let names = items.clone().map(|item| if let Item::Entry(key, _) = item { key.as_bytes().len() } else { 0 } + ":".len());
        let mut places = Self { aads: Vec::with_capacity(names.sum()), leaves: Vec::with_capacity(items.count()) };
        let _ = walk(tree, selection, &mut places);
        places
    }

    pub(super) fn aad(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.leaves[before].aad_end);
        &self.aads[Range { start, end: self.leaves[at].aad_end }]
    }

    pub(super) fn encrypted(&self, at: usize) -> bool {
        self.leaves[at].encrypted
    }

    pub(super) fn in_list(&self, at: usize) -> bool {
        self.leaves[at].in_list
    }

    fn note(&mut self, place: &Place) -> Leaf {
        self.aads.extend_from_slice(place.aad);
        self.leaves.push(Standing { aad_end: self.aads.len(), encrypted: place.encrypted, in_list: place.in_list });
        NOTHING
    }
}

impl Leaves for Places {
    type Error = Infallible;
    const MAKES_TREE: bool = false;

    fn scalar(&mut self, place: &Place, _: &Scalar) -> Result<Leaf, Infallible> {
        Ok(self.note(place))
    }

    fn comment(&mut self, place: &Place, _: &Comment) -> Result<Leaf, Infallible> {
        Ok(self.note(place))
    }
}
