//! One pass over every leaf of a file, in the order of the MAC, making a new tree on the way.
//!
//! Encrypting and decrypting are the same walk with another hand at the leaves. Knows where each leaf stands (its AAD, whether the
//! selection rule encrypts it), never what a token or a data key is.

use super::selection::{Selection, SelectionWalk};
use crate::tree::{Comment, Element, Item, Key, Mapping, Scalar, Tree, Value};

/// What to do with each leaf.
pub(super) trait Leaves {
    type Error;

    /// Whether the new tree is wanted. If not, it stays empty, and what is made of a leaf is thrown away.
    const MAKES_TREE: bool = true;

    /// Makes the new leaf from a scalar. Nulls and containers are not asked about.
    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, Self::Error>;

    /// Makes the new leaf from a comment.
    fn comment(&mut self, place: &Place, comment: &Comment) -> Result<Leaf, Self::Error>;
}

/// A leaf of the new tree.
pub(super) enum Leaf {
    Scalar(Scalar),
    Comment(Comment),
}

/// What is made of a leaf where no tree is wanted.
pub(super) const NOTHING: Leaf = Leaf::Scalar(Scalar::Bool(false));

/// Where a leaf stands.
pub(super) struct Place<'a> {
    /// The AAD: the keys from the root, each followed by `:`; `:` alone at the root. Lists add nothing.
    ///
    /// Source: getsops/sops `sops.go`, `Tree.Encrypt`.
    pub(super) aad: &'a [u8],
    /// The nearest key; empty for a comment at the root.
    pub(super) key: Option<&'a Key>,
    /// Whether the selection rule encrypts it.
    pub(super) encrypted: bool,
    /// Whether it is an element of a list, where an encrypted comment is written as an ordinary element.
    pub(super) in_list: bool,
}

/// Walks `tree` and returns the tree of what `leaves` made.
pub(super) fn walk<L: Leaves>(tree: &Tree, selection: &Selection, leaves: &mut L) -> Result<Tree, L::Error> {
    let documents = tree.documents.iter().map(|document| {
        let mut walker = Walker { leaves, selection: SelectionWalk::new(selection), aad: Vec::new(), keys: Vec::new() };
        walker.mapping(document)
    });
    Ok(Tree { documents: documents.collect::<Result<_, _>>()? })
}

struct Walker<'a, L> {
    leaves: &'a mut L,
    selection: SelectionWalk<'a>,
    aad: Vec<u8>,
    keys: Vec<&'a Key>,
}

impl<'a, L: Leaves> Walker<'a, L> {
    fn mapping(&mut self, mapping: &'a Mapping) -> Result<Mapping, L::Error> {
        self.selection.enter();
        let mut items = Vec::with_capacity(if L::MAKES_TREE { mapping.items.len() } else { 0 });
        for item in &mapping.items {
            let made = match item {
                Item::BlankLine => Item::BlankLine,
                Item::Comment(comment) => match self.comment(comment, false)? {
                    Leaf::Comment(comment) => Item::Comment(comment),
                    // A comment among entries has no key that a value could stand under, so it stays a comment.
                    Leaf::Scalar(Scalar::Text(text)) => Item::Comment(Comment { text, inline: comment.inline }),
                    Leaf::Scalar(_) => continue,
                },
                Item::Entry(key, value) => {
                    let length = self.aad.len();
                    self.aad.extend_from_slice(key.as_bytes());
                    self.aad.push(b':');
                    self.keys.push(key);
                    self.selection.enter_key(key.as_bytes());
                    let value = self.value(value)?;
                    self.selection.leave_key();
                    self.keys.pop();
                    self.aad.truncate(length);
                    self.selection.finish_sibling();
                    if !L::MAKES_TREE {
                        continue;
                    }
                    Item::Entry(key.clone(), value)
                }
            };
            if L::MAKES_TREE {
                items.push(made);
            }
        }
        self.selection.leave();
        Ok(Mapping { items })
    }

    fn value(&mut self, value: &'a Value) -> Result<Value, L::Error> {
        Ok(match value {
            Value::Null => Value::Null,
            Value::Mapping(mapping) => Value::Mapping(self.mapping(mapping)?),
            Value::List(elements) => Value::List(self.list(elements)?),
            Value::Scalar(scalar) => match self.scalar(scalar, false)? {
                Leaf::Scalar(scalar) => Value::Scalar(scalar),
                Leaf::Comment(comment) => Value::Scalar(Scalar::Text(comment.text)),
            },
        })
    }

    fn list(&mut self, elements: &'a [Element]) -> Result<Vec<Element>, L::Error> {
        self.selection.enter();
        let mut made = Vec::with_capacity(elements.len());
        for element in elements {
            made.push(match element {
                Element::Comment(comment) => element_of(self.comment(comment, true)?),
                Element::Value(Value::Scalar(scalar)) => {
                    let leaf = self.scalar(scalar, true)?;
                    self.selection.finish_sibling();
                    element_of(leaf)
                }
                Element::Value(value) => {
                    let value = self.value(value)?;
                    self.selection.finish_sibling();
                    Element::Value(value)
                }
            });
        }
        self.selection.leave();
        Ok(made)
    }

    fn scalar(&mut self, scalar: &Scalar, in_list: bool) -> Result<Leaf, L::Error> {
        let encrypted = self.selection.encrypts_value();
        let place = Place { aad: path_aad(&self.aad), key: self.keys.last().copied(), encrypted, in_list };
        self.leaves.scalar(&place, scalar)
    }

    fn comment(&mut self, comment: &Comment, in_list: bool) -> Result<Leaf, L::Error> {
        self.selection.meet_comment(comment.text.expose());
        let encrypted = self.selection.encrypts_comment();
        let place = Place { aad: path_aad(&self.aad), key: self.keys.last().copied(), encrypted, in_list };
        self.leaves.comment(&place, comment)
    }
}

fn element_of(leaf: Leaf) -> Element {
    match leaf {
        Leaf::Scalar(scalar) => Element::Value(Value::Scalar(scalar)),
        Leaf::Comment(comment) => Element::Comment(comment),
    }
}

fn path_aad(keys: &[u8]) -> &[u8] {
    if keys.is_empty() { b":" } else { keys }
}

/// A leaf of a tree.
#[derive(Clone, Copy)]
pub(super) enum LeafRef<'a> {
    Scalar(&'a Scalar),
    Comment(&'a Comment),
}

/// The leaves of `tree` in the order of [`walk`].
pub(super) fn leaves(tree: &Tree) -> Vec<LeafRef<'_>> {
    // In a file of one level, that is how many there are.
    let mut found = Vec::with_capacity(tree.documents.iter().map(|document| document.items.len()).sum());
    tree.documents.iter().for_each(|document| leaves_of_mapping(document, &mut found));
    found
}

fn leaves_of_mapping<'a>(mapping: &'a Mapping, found: &mut Vec<LeafRef<'a>>) {
    for item in &mapping.items {
        match item {
            Item::Entry(_, value) => leaves_of_value(value, found),
            Item::Comment(comment) => found.push(LeafRef::Comment(comment)),
            Item::BlankLine => {}
        }
    }
}

fn leaves_of_value<'a>(value: &'a Value, found: &mut Vec<LeafRef<'a>>) {
    match value {
        Value::Null => {}
        Value::Scalar(scalar) => found.push(LeafRef::Scalar(scalar)),
        Value::Mapping(mapping) => leaves_of_mapping(mapping, found),
        Value::List(elements) => elements.iter().for_each(|element| match element {
            Element::Value(value) => leaves_of_value(value, found),
            Element::Comment(comment) => found.push(LeafRef::Comment(comment)),
        }),
    }
}
