//! One part of a file, by its path in the tree.
//!
//! Source: getsops/sops `cmd/sops/main.go` (`parseTreePath`), `sops.go` (`TreeBranch.Truncate`), v3.13.3. Where sops crashes or prints
//! how it is made inside, this refuses.

use crate::tree::{Element, Tree, Value};

/// The way to a part of a tree: `["database"]["hosts"][0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// Reads a path: keys in quotes of either kind, without escapes, and numbers from 0 for the elements of lists.
    ///
    /// # Errors
    /// [`KeyPathError`].
    pub fn parse(text: &str) -> Result<Self, KeyPathError> {
        let pieces = text.split('[').filter(|piece| !piece.is_empty());
        let steps = pieces.map(step).collect::<Result<Vec<_>, _>>()?;
        if steps.is_empty() { Err(KeyPathError::Empty) } else { Ok(Self(steps)) }
    }

    /// The value in `tree` that the path leads to. Of several equal keys it is the first, as for sops.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn find<'a>(&self, tree: &'a Tree) -> Result<&'a Value, NotFound> {
        let (first, rest) = self.0.split_first().ok_or(NotFound::Step(1))?;
        let Step::Key(key) = first else { return Err(NotFound::Index(1)) };
        let mut value = tree.documents.first().and_then(|document| document.get(key)).ok_or(NotFound::Step(1))?;
        for (at, step) in (2..).zip(rest) {
            value = match (step, value) {
                (Step::Key(key), Value::Mapping(mapping)) => mapping.get(key).ok_or(NotFound::Step(at))?,
                (Step::Index(index), Value::List(elements)) => match elements.get(*index) {
                    Some(Element::Value(value)) => value,
                    // Comments count, and are no values.
                    Some(Element::Comment(_)) | None => return Err(NotFound::Step(at)),
                },
                (Step::Index(_), _) => return Err(NotFound::Index(at)),
                (Step::Key(_), _) => return Err(NotFound::Key(at)),
            };
        }
        Ok(value)
    }
}

/// One piece, without the `[` before it.
fn step(piece: &str) -> Result<Step, KeyPathError> {
    let inside = piece.strip_suffix(']').ok_or(KeyPathError::NoEnd)?;
    if inside.starts_with(['"', '\'']) {
        let mut characters = inside.chars();
        let (Some(_), Some(_)) = (characters.next(), characters.next_back()) else { return Err(KeyPathError::NoEndOfKey) };
        return Ok(Step::Key(characters.as_str().to_owned()));
    }
    inside.parse().map(Step::Index).map_err(|_| KeyPathError::NoStep)
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyPathError {
    /// It leads nowhere.
    #[error("the path is empty")]
    Empty,
    /// A `[` has no `]` at the end of its piece; a key cannot hold `[`.
    #[error("each piece of a path begins with `[` and ends with `]`")]
    NoEnd,
    /// A lone quote.
    #[error("a key in a path stands between two quotes")]
    NoEndOfKey,
    /// Neither a quoted key nor a number.
    #[error("a piece of a path holds a key in quotes, or a number from 0")]
    NoStep,
}

/// Where a path ends early. Pieces are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotFound {
    /// There is no such key or element.
    #[error("piece {0} of the path leads nowhere")]
    Step(usize),
    /// A number where there is no list.
    #[error("piece {0} of the path is a number, but there is no list")]
    Index(usize),
    /// A key where there is nothing with keys.
    #[error("piece {0} of the path is a key, but there is nothing below")]
    Key(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Comment, Mapping};

    fn tree() -> Tree {
        let comment = Element::Comment(Comment { text: Default::default(), inline: false });
        let list = vec![Element::Value(Value::text(b"a")), comment, Element::Value(Value::text(b"b"))];
        let mut inner = Mapping::default();
        inner.push("list", Value::List(list));
        let mut root = Mapping::default();
        root.push("A", Value::text(b"1"));
        root.push("A", Value::text(b"2"));
        root.push("it's]", Value::text(b"3"));
        root.push("", Value::text(b"4"));
        root.push("map", Value::Mapping(inner));
        Tree::of(root)
    }

    #[test]
    fn a_path_leads_to_its_value() {
        let tree = tree();
        for (path, value) in [
            ("[\"A\"]", "1"),
            ("['A']", "1"),
            ("[[\"A\"]", "1"),
            ("[\"it's]\"]", "3"),
            ("[\"\"]", "4"),
            ("[\"map\"]['list'][0]", "a"),
            ("[\"map\"]['list'][2]", "b"),
        ] {
            let found = KeyPath::parse(path).unwrap().find(&tree).ok().and_then(Value::as_text).map(<[u8]>::to_vec);
            assert_eq!(found.as_deref(), Some(value.as_bytes()), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_says_why() {
        for (text, error) in [
            ("", KeyPathError::Empty),
            ("[", KeyPathError::Empty),
            ("A", KeyPathError::NoEnd),
            ("[\"A\"", KeyPathError::NoEnd),
            ("[\"A[0]\"]", KeyPathError::NoEnd),
            ("[\"]", KeyPathError::NoEndOfKey),
            ("[]", KeyPathError::NoStep),
            ("[A]", KeyPathError::NoStep),
            ("[-1]", KeyPathError::NoStep),
        ] {
            assert_eq!(KeyPath::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_says_where() {
        let tree = tree();
        for (path, error) in [
            ("[\"B\"]", NotFound::Step(1)),
            ("[0]", NotFound::Index(1)),
            ("[\"A\"][0]", NotFound::Index(2)),
            ("[\"A\"][\"B\"]", NotFound::Key(2)),
            ("[\"map\"][\"B\"]", NotFound::Step(2)),
            ("[\"map\"][\"list\"][1]", NotFound::Step(3)),
            ("[\"map\"][\"list\"][3]", NotFound::Step(3)),
            ("[\"map\"][\"list\"][\"a\"]", NotFound::Key(3)),
        ] {
            assert_eq!(KeyPath::parse(path).unwrap().find(&tree).err(), Some(error), "{path}");
        }
    }
}
