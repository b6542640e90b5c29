//! What a file says, in any syntax: ordered entries, comments, typed values, key paths.
//!
//! Knows neither text nor keys: `format` makes trees and writes them, `document` encrypts and decrypts them. The same types hold a
//! plaintext and an encrypted file; a token is a text like any other here. Order is kept everywhere, and duplicate keys stay.
//!
//! Source of the model: getsops/sops `sops.go` (`Tree`, `TreeBranch`, `TreeItem`).

use std::sync::Arc;

use crate::secret::SecretBytes;

/// A file's data, without its metadata: one mapping per document.
///
/// Only YAML can have more than one document; dotenv, ini, json and binary always have exactly one.
#[derive(Default)]
pub struct Tree {
    /// In file order.
    pub documents: Vec<Mapping>,
}

/// Entries, comments and blank lines in file order.
#[derive(Default)]
pub struct Mapping {
    /// In file order; nothing is merged.
    pub items: Vec<Item>,
}

/// One thing in a mapping.
pub enum Item {
    /// `key: value`.
    Entry(Key, Value),
    /// A comment on its own.
    Comment(Comment),
    /// An empty line, which dotenv keeps where it is. It is neither encrypted nor authenticated.
    BlankLine,
}

/// What a key can stand for.
pub enum Value {
    /// Never encrypted, never part of the MAC.
    Null,
    /// A leaf.
    Scalar(Scalar),
    /// Keys of their own.
    Mapping(Mapping),
    /// Elements without keys.
    List(Vec<Element>),
}

/// One thing in a list.
pub enum Element {
    /// A value; it has the list's key path.
    Value(Value),
    /// A comment between the values.
    Comment(Comment),
}

/// A leaf with its type.
pub enum Scalar {
    /// Bytes as they stand, usually UTF-8; or one token.
    Text(SecretBytes),
    /// A whole number.
    Int(i64),
    /// An IEEE double.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A moment as RFC 3339 text, with up to nine fractional digits and no trailing zeros among them.
    Time(String),
}

/// A comment without its marker. Comments are as secret as values.
pub struct Comment {
    /// Everything after the marker, a leading blank included.
    pub text: SecretBytes,
    /// Whether it stood behind a value on the same line. Only the YAML reader sets it.
    pub inline: bool,
}

/// The name of an entry. Names are public; they are usually UTF-8, but dotenv files of sops may hold any bytes.
///
/// A copy shares its bytes: a name stands in every form that a file goes through.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// The name as it stands in the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, or `None` if it is no UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

/// For messages: bytes that are no UTF-8 are replaced. Control characters stay; the printer escapes them.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Tree {
    /// A file with one document.
    pub fn of(document: Mapping) -> Self {
        Self { documents: vec![document] }
    }

    /// The first document's items; none if there is no document.
    pub fn first(&self) -> &[Item] {
        self.documents.first().map_or(&[], |document| &document.items)
    }
}

impl Scalar {
    /// A copy. There is no `Clone`, so that no copy is made by oversight.
    pub fn copy(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(SecretBytes::copy_of(text.expose())),
            Self::Int(number) => Self::Int(*number),
            Self::Float(number) => Self::Float(*number),
            Self::Bool(truth) => Self::Bool(*truth),
            Self::Time(time) => Self::Time(time.clone()),
        }
    }

    /// Whether both say the same: of one type, with the same bytes.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.ct_eq(b.expose()),
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            _ => false,
        }
    }
}

impl Comment {
    /// A copy. There is no `Clone`, so that no copy is made by oversight.
    pub fn copy(&self) -> Self {
        Self { text: SecretBytes::copy_of(self.text.expose()), inline: self.inline }
    }
}

impl Item {
    /// The same; a text that is [shared](SecretBytes::shared) is not copied.
    pub fn share(&self) -> Self {
        match self {
            Self::Entry(key, Value::Scalar(Scalar::Text(text))) => {
                Self::Entry(key.clone(), Value::Scalar(Scalar::Text(text.piece(0..text.len()))))
            }
            Self::Comment(Comment { text, inline }) => {
                Self::Comment(Comment { text: text.piece(0..text.len()), inline: *inline })
            }
            other => other.copy(),
        }
    }

    /// A copy. There is no `Clone`, so that no copy is made by oversight.
    pub fn copy(&self) -> Self {
        match self {
            Self::Entry(key, value) => Self::Entry(key.clone(), value.copy()),
            Self::Comment(comment) => Self::Comment(comment.copy()),
            Self::BlankLine => Self::BlankLine,
        }
    }

    /// Whether both say the same, name and value.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entry(a, x), Self::Entry(b, y)) => a == b && x.is_same(y),
            (Self::Comment(a), Self::Comment(b)) => a.text.ct_eq(b.text.expose()),
            (Self::BlankLine, Self::BlankLine) => true,
            _ => false,
        }
    }
}

impl Element {
    /// A copy. There is no `Clone`, so that no copy is made by oversight.
    pub fn copy(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(value.copy()),
            Self::Comment(comment) => Self::Comment(comment.copy()),
        }
    }

    /// Whether both say the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => a.is_same(b),
            (Self::Comment(a), Self::Comment(b)) => a.text.ct_eq(b.text.expose()),
            _ => false,
        }
    }
}

impl Value {
    /// A text leaf.
    pub fn text(bytes: &[u8]) -> Self {
        Self::Scalar(Scalar::Text(SecretBytes::copy_of(bytes)))
    }

    /// A copy of a leaf; `None` for containers. There is no `Clone`, so that no copy is made by oversight.
    pub fn copy_of_leaf(&self) -> Option<Self> {
        Some(match self {
            Self::Null => Self::Null,
            Self::Scalar(scalar) => Self::Scalar(scalar.copy()),
            Self::Mapping(_) | Self::List(_) => return None,
        })
    }

    /// A copy, containers with all that is in them.
    pub fn copy(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Scalar(scalar) => Self::Scalar(scalar.copy()),
            Self::Mapping(mapping) => Self::Mapping(Mapping { items: mapping.items.iter().map(Item::copy).collect() }),
            Self::List(elements) => Self::List(elements.iter().map(Element::copy).collect()),
        }
    }

    /// Whether both say the same: of one type, with the same bytes.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Scalar(a), Self::Scalar(b)) => a.is_same(b),
            (Self::Mapping(Mapping { items: a }), Self::Mapping(Mapping { items: b })) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b)),
            _ => false,
        }
    }

    /// The bytes of a text leaf; `None` for everything else.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Self::Scalar(Scalar::Text(text)) => Some(text.expose()),
            _ => None,
        }
    }
}

impl Mapping {
    /// The entries, without comments and blank lines.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.items.iter().filter_map(|item| match item {
            Item::Entry(key, value) => Some((key, value)),
            Item::Comment(_) | Item::BlankLine => None,
        })
    }

    /// The first entry named `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries().find(|(key, _)| key.as_bytes() == name.as_bytes()).map(|(_, value)| value)
    }

    /// Appends an entry.
    pub fn push(&mut self, key: &str, value: Value) {
        self.items.push(Item::Entry(Key::from(key), value));
    }
}
