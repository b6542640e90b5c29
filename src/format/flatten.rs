//! Nested metadata ⇄ flat keys, for syntaxes without nesting: `age__list_0__map_enc`.
//!
//! Knows neither the prefix nor the line around a flat key. Its one invariant: what [`flatten`] gives, [`Nesting`] turns into the
//! same mapping, in time and space proportional to the text, whatever the text is.
//!
//! Source: getsops/sops `stores/flatten.go`.

use std::collections::{BTreeMap, HashSet};
use std::num::IntErrorKind;

use crate::secret::SecretBytes;
use crate::tree::{Element, Item, Key, Mapping, Scalar, Value};

/// How deep metadata may be nested.
pub const MAX_DEPTH: usize = 64;

/// How many elements one list of the metadata may have: there are never more master keys than that.
pub const MAX_LIST: usize = 1_000;

/// How many flat keys metadata may have.
pub const MAX_LEAVES: usize = 100_000;

const MAP: &[u8] = b"__map_";
const LIST: &[u8] = b"__list_";

/// The leaves of `mapping` with their flat keys, each mapping in ascending byte order of its keys, each list in its own order.
///
/// Comments and nulls are left out, and so are empty mappings and lists: they have no flat form.
///
/// # Errors
/// [`FlattenError::Collision`], [`FlattenError::AmbiguousKey`], [`FlattenError::TooDeep`].
pub fn flatten(mapping: &Mapping) -> Result<Vec<(Vec<u8>, &Scalar)>, FlattenError> {
    let mut leaves = Vec::new();
    flatten_mapping(mapping, &[], 1, &mut leaves)?;
    let mut seen = HashSet::with_capacity(leaves.len());
    match leaves.iter().find(|(key, _)| !seen.insert(key.as_slice())) {
        Some((key, _)) => Err(FlattenError::Collision { key: Key::from(key.as_slice()) }),
        None => Ok(leaves),
    }
}

fn flatten_mapping<'a>(
    mapping: &'a Mapping,
    parent: &[u8],
    depth: usize,
    leaves: &mut Vec<(Vec<u8>, &'a Scalar)>,
) -> Result<(), FlattenError> {
    let mut entries: Vec<(&Key, &Value)> = mapping.entries().collect();
    entries.sort_by_key(|(key, _)| key.as_bytes());
    for (key, value) in entries {
        let separator = if depth == 1 { b"".as_slice() } else { MAP };
        let flat = [parent, separator, key.as_bytes()].concat();
        // A container's key is followed by an underscore, which may complete a separator begun in the key.
        let key = if matches!(value, Value::Scalar(_)) { key.as_bytes().to_vec() } else { [key.as_bytes(), b"_"].concat() };
        if next_separator(&key).is_some() {
            return Err(FlattenError::AmbiguousKey { key: Key::from(flat.as_slice()) });
        }
        flatten_value(value, flat, depth, leaves)?;
    }
    Ok(())
}

fn flatten_value<'a>(
    value: &'a Value,
    key: Vec<u8>,
    depth: usize,
    leaves: &mut Vec<(Vec<u8>, &'a Scalar)>,
) -> Result<(), FlattenError> {
    if depth > MAX_DEPTH {
        return Err(FlattenError::TooDeep);
    }
    match value {
        Value::Null => Ok(()),
        Value::Scalar(scalar) => {
            leaves.push((key, scalar));
            Ok(())
        }
        Value::Mapping(mapping) => flatten_mapping(mapping, &key, depth + 1, leaves),
        Value::List(elements) => {
            let values = elements.iter().filter_map(|element| match element {
                Element::Value(value) => Some(value),
                Element::Comment(_) => None,
            });
            values.enumerate().try_for_each(|(index, value)| {
                let key = [&key, LIST, index.to_string().as_bytes()].concat();
                flatten_value(value, key, depth + 1, leaves)
            })
        }
    }
}

/// A mapping that is being put together from flat keys, in any order.
#[derive(Default)]
pub struct Nesting {
    root: BTreeMap<Vec<u8>, Node>,
    leaves: usize,
}

enum Node {
    /// Just made; what comes next decides what it is.
    New,
    Leaf(SecretBytes),
    Mapping(BTreeMap<Vec<u8>, Node>),
    /// By index, so that a huge index costs nothing.
    List(BTreeMap<usize, Node>),
}

impl Nesting {
    /// Puts `value` where `flat_key` says.
    ///
    /// # Errors
    /// [`FlattenError`] if the place is taken or makes no sense, or a limit is passed.
    pub fn insert(&mut self, flat_key: &[u8], value: SecretBytes) -> Result<(), FlattenError> {
        self.leaves += 1;
        if self.leaves > MAX_LEAVES {
            return Err(FlattenError::TooMany);
        }
        let (first, mut rest) = split(flat_key);
        let mut node = self.root.entry(first.to_vec()).or_insert(Node::New);
        for depth in 1.. {
            let Some((is_list, after)) = separator_at(rest) else { break };
            if depth == MAX_DEPTH {
                return Err(FlattenError::TooDeep);
            }
            let (step, next) = split(after);
            rest = next;
            if matches!(node, Node::New) {
                *node = if is_list { Node::List(BTreeMap::new()) } else { Node::Mapping(BTreeMap::new()) };
            }
            node = match (node, is_list) {
                (Node::Mapping(children), false) => children.entry(step.to_vec()).or_insert(Node::New),
                (Node::List(children), true) => children.entry(index(step, flat_key)?).or_insert(Node::New),
                _ => return Err(FlattenError::TypeMismatch { key: Key::from(flat_key) }),
            };
        }
        match node {
            Node::New => *node = Node::Leaf(value),
            Node::Leaf(_) => return Err(FlattenError::Duplicate { key: Key::from(flat_key) }),
            Node::Mapping(_) | Node::List(_) => return Err(FlattenError::TypeMismatch { key: Key::from(flat_key) }),
        }
        Ok(())
    }

    /// The mapping, its keys in ascending byte order at every level.
    ///
    /// # Errors
    /// [`FlattenError::IncompleteList`] if the indexes of a list are not 0, 1, 2 and so on.
    pub fn into_mapping(self) -> Result<Mapping, FlattenError> {
        mapping_of(self.root, None)
    }
}

/// `parent` is the mapping's own flat key, which may be empty; only the root has none.
fn mapping_of(children: BTreeMap<Vec<u8>, Node>, parent: Option<&[u8]>) -> Result<Mapping, FlattenError> {
    let items = children.into_iter().map(|(key, node)| {
        let flat = parent.map_or(key.clone(), |parent| [parent, MAP, &key].concat());
        let value = value_of(node, &flat)?;
        Ok(Item::Entry(Key::from(key.as_slice()), value))
    });
    Ok(Mapping { items: items.collect::<Result<_, _>>()? })
}

fn value_of(node: Node, key: &[u8]) -> Result<Value, FlattenError> {
    Ok(match node {
        // Every insertion that succeeds ends in a leaf.
        Node::New => Value::Null,
        Node::Leaf(text) => Value::Scalar(Scalar::Text(text)),
        Node::Mapping(children) => Value::Mapping(mapping_of(children, Some(key))?),
        Node::List(children) => {
            if children.last_key_value().is_some_and(|(last, _)| last + 1 != children.len()) {
                return Err(FlattenError::IncompleteList { key: Key::from(key) });
            }
            let elements = children.into_iter().map(|(index, node)| {
                let key = [key, LIST, index.to_string().as_bytes()].concat();
                value_of(node, &key).map(Element::Value)
            });
            Value::List(elements.collect::<Result<_, _>>()?)
        }
    })
}

/// Whether `flat_key` belongs to an element of `list`, whatever the way its indexes are written.
pub fn is_in_list(flat_key: &[u8], list: &[u8]) -> bool {
    let ((step, rest), (expected, expected_rest)) = (split(flat_key), split(list));
    is_below(step == expected, rest, expected_rest)
}

fn is_below(same_so_far: bool, rest: &[u8], list: &[u8]) -> bool {
    if !same_so_far {
        return false;
    }
    match (separator_at(rest), separator_at(list)) {
        (Some((is_list, _)), None) => is_list && list.is_empty(),
        (Some((is_list, after)), Some((expected_list, expected))) if is_list == expected_list => {
            let ((step, rest), (expected, list)) = (split(after), split(expected));
            let same = if is_list { index(step, step).ok() == index(expected, expected).ok() } else { step == expected };
            is_below(same, rest, list)
        }
        _ => false,
    }
}

/// What stands before the next separator, and the rest with the separator.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(next_separator(text).unwrap_or(text.len()))
}

fn next_separator(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|start| separator_at(&text[*start..]).is_some())
}

/// Whether the separator at the beginning of `text` is that of a list, and what follows it.
fn separator_at(text: &[u8]) -> Option<(bool, &[u8])> {
    text.strip_prefix(MAP).map(|rest| (false, rest)).or_else(|| text.strip_prefix(LIST).map(|rest| (true, rest)))
}

/// A list index as sops reads it: what is no number at all counts as 0.
fn index(step: &[u8], flat_key: &[u8]) -> Result<usize, FlattenError> {
    let number = match std::str::from_utf8(step).unwrap_or_default().parse::<i64>() {
        Ok(number) => number,
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => i64::MAX,
        Err(error) if *error.kind() == IntErrorKind::NegOverflow => i64::MIN,
        Err(_) => 0,
    };
    match usize::try_from(number) {
        Ok(number) if number < MAX_LIST => Ok(number),
        Ok(_) => Err(FlattenError::ListTooLong { key: Key::from(flat_key) }),
        Err(_) => Err(FlattenError::IncompleteList { key: Key::from(flat_key) }),
    }
}

/// Why metadata has no flat form, or flat keys no nested one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlattenError {
    /// The same flat key twice, as after a careless merge.
    #[error("the metadata has `{key}` twice")]
    Duplicate {
        /// The flat key.
        key: Key,
    },
    /// One place is both a value and a container, or both a mapping and a list.
    #[error("the metadata has `{key}` next to a key that contradicts it")]
    TypeMismatch {
        /// The flat key that came second.
        key: Key,
    },
    /// The indexes of a list are not 0, 1, 2 and so on.
    #[error("the list `{key}` in the metadata is incomplete")]
    IncompleteList {
        /// The flat key of the list, or of an element that cannot be.
        key: Key,
    },
    /// A list index of [`MAX_LIST`] or more.
    #[error("the list of `{key}` in the metadata would have more than {MAX_LIST} elements")]
    ListTooLong {
        /// The flat key.
        key: Key,
    },
    /// Nested more than [`MAX_DEPTH`] deep.
    #[error("the metadata is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// More than [`MAX_LEAVES`] flat keys.
    #[error("the metadata has more than {MAX_LEAVES} lines")]
    TooMany,
    /// Two places have the same flat key.
    #[error("two entries of the metadata have the flat key `{key}`")]
    Collision {
        /// The flat key.
        key: Key,
    },
    /// A key holds a separator and would read back as several.
    #[error("the key `{key}` in the metadata holds `__map_` or `__list_`")]
    AmbiguousKey {
        /// The flat key.
        key: Key,
    },
}

#[cfg(test)]
mod tests;
