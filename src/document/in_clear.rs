//! What a selection rule leaves readable for everybody.

use std::convert::Infallible;

use super::selection::Selection;
use super::walk::{Leaf, Leaves, NOTHING, Place, walk};
use crate::crypto::Token;
use crate::secret::SecretBytes;
use crate::tree::{Comment, Key, Scalar, Tree};

/// What stands in clear in an encrypted file.
#[derive(Default)]
pub struct InClear {
    /// The names of the values, in file order; empty values hold no secret and are left out.
    pub names: Vec<Key>,
    /// The comments that say something, without their marker.
    pub comments: Vec<SecretBytes>,
}

/// Tells which leaves of the plaintext `tree` the rule leaves in clear.
pub fn leaves_in_clear(tree: &Tree, selection: &Selection) -> InClear {
    let mut found = InClear::default();
    let _ = walk(tree, selection, &mut found);
    found
}

impl Leaves for InClear {
    type Error = Infallible;
    const MAKES_TREE: bool = false;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, Infallible> {
        let is_empty = matches!(scalar, Scalar::Text(text) if text.is_empty());
        if !place.encrypted && !is_empty {
            self.names.extend(place.key.cloned());
        }
        Ok(NOTHING)
    }

    fn comment(&mut self, place: &Place, comment: &Comment) -> Result<Leaf, Infallible> {
        if !place.encrypted && !comment.text.is_empty() {
            self.comments.push(SecretBytes::copy_of(comment.text.expose()));
        }
        Ok(NOTHING)
    }
}

/// The names of the values of an encrypted file that its rule encrypts and that are no tokens.
pub fn plain_where_encrypted(encrypted: &Tree, selection: &Selection) -> Vec<Key> {
    let mut found = Plain { names: Vec::new() };
    let _ = walk(encrypted, selection, &mut found);
    found.names
}

struct Plain {
    names: Vec<Key>,
}

impl Leaves for Plain {
    type Error = Infallible;
    const MAKES_TREE: bool = false;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, Infallible> {
        let is_token = matches!(scalar, Scalar::Text(text) if text.is_empty() || Token::is_token(text.expose()));
        if place.encrypted && !is_token {
            self.names.extend(place.key.cloned());
        }
        Ok(NOTHING)
    }

    fn comment(&mut self, _: &Place, _: &Comment) -> Result<Leaf, Infallible> {
        Ok(NOTHING)
    }
}
