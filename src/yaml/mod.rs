//! YAML syntax with byte spans and comments, on granit-parser.
//!
//! Knows what stands where in a text and how go-yaml types a plain scalar; must not know what any key means. One invariant: every
//! span is a range of the text that was read, on character boundaries. Texts are plain `String`s and so must hold nothing secret:
//! this reads `.sops.yaml`, not documents.

mod expected;
mod load;
mod scalar;

use std::ops::Range;

pub use load::load;
pub use scalar::{Typed, is_text};

/// The first document of a stream, with anchors, aliases and merge keys already followed.
pub struct Document {
    /// The outermost node; `None` if there is nothing but comments and blanks.
    pub root: Option<Node>,
    /// Every comment of the document, in file order.
    pub comments: Vec<Comment>,
    /// The line on which another document starts, from 1.
    pub next_document: Option<usize>,
}

/// One scalar, mapping or sequence, and where it was written.
///
/// A node that was reached through an alias or a merge key says where it was defined, not where it was used.
pub struct Node {
    /// Its bytes in the text. A block scalar starts at its content, without the header, and runs over following blank lines;
    /// a block list starts at its first dash, or at its first item if the dashes stand in line with the key above.
    pub span: Range<usize>,
    /// The line it starts on, from 1.
    pub line: usize,
    /// The column it starts at in characters, from 1.
    pub column: usize,
    /// The tag as short as it can be written (`!!str`, `!name`), if there is one.
    pub tag: Option<String>,
    /// How its text counts in more than one place.
    pub sharing: Option<Sharing>,
    /// What it is.
    pub kind: NodeKind,
}

/// Why a change of a node's text would not be a change of that node alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// What makes it so.
    pub by: SharedBy,
    /// The line on which that stands, from 1.
    pub line: usize,
}

/// What lets one text count in several places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedBy {
    /// `&name`: other places may repeat this node.
    Anchor,
    /// `*name`: this node repeats another place.
    Alias,
    /// `<<`: some of its pairs are those of another mapping.
    MergeKey,
}

/// The three kinds of node.
pub enum NodeKind {
    /// Text, with quotes, escapes and folding undone. Where nothing at all was written it is empty and plain.
    Scalar {
        /// The text.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// Keys and values in file order, each key once; those that a merge key brings in come last.
    Mapping(Vec<(Node, Node)>),
    /// The items in file order.
    Sequence(Vec<Node>),
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes; the only style whose text may mean something else than text.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// A comment, from its `#` to the end of its line.
pub struct Comment {
    /// Its bytes, the `#` included and the line end not.
    pub span: Range<usize>,
    /// The line it stands on, from 1.
    pub line: usize,
}

impl Document {
    /// The comment that follows `node` on the line it ends on, without `#` and blanks around it, if nothing but punctuation stands
    /// between the two. `text` is the text that was read.
    ///
    /// Block scalars have none: what follows them stands on a line of its own.
    pub fn comment_after<'text>(&self, node: &Node, text: &'text str) -> Option<&'text str> {
        self.comment_behind(node, text).map(|comment| comment.words(text))
    }

    /// The comment that [`Document::comment_after`] reads.
    pub fn comment_behind(&self, node: &Node, text: &str) -> Option<&Comment> {
        if matches!(node.kind, NodeKind::Scalar { style: Style::Literal | Style::Folded, .. }) {
            return None;
        }
        let next = self.comments.partition_point(|comment| comment.span.start < node.span.end);
        let comment = self.comments.get(next)?;
        let between = text.get(node.span.end..comment.span.start)?;
        if !between.chars().all(|c| matches!(c, ' ' | '\t' | ',' | ']' | '}')) {
            return None;
        }
        Some(comment)
    }
}

impl Comment {
    /// What it says, without `#` and blanks around it.
    pub fn words<'text>(&self, text: &'text str) -> &'text str {
        text.get(self.span.clone()).unwrap_or_default().trim_start_matches('#').trim()
    }
}

impl Node {
    /// The text of a scalar, however it is typed; `None` for a mapping or sequence.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            NodeKind::Mapping(_) | NodeKind::Sequence(_) => None,
        }
    }

    /// Whether this stands for no value: nothing written, `~`, or `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.typed(), Some(Typed::Null))
    }

    /// The value under `key` of a mapping; `None` if there is none, or if this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.pair(key).map(|(_, value)| value)
    }

    /// The same with the key as it stands there.
    pub fn pair(&self, key: &str) -> Option<&(Node, Node)> {
        let NodeKind::Mapping(pairs) = &self.kind else { return None };
        pairs.iter().find(|(name, _)| name.text() == Some(key))
    }

    fn error(&self, problem: YamlProblem) -> YamlError {
        YamlError { line: self.line, column: self.column, problem }
    }
}

/// A text cannot be read as YAML. Names line and column, and what stood in the way, but nothing of the text except names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: YamlProblem,
}

/// What stands in the way of reading a YAML text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum YamlProblem {
    /// It breaks YAML's grammar.
    #[error("expected {expected}")]
    Syntax {
        /// What could have stood there.
        expected: &'static str,
    },
    /// A backslash in double quotes with something behind it that YAML gives no meaning.
    #[error("expected an escape that YAML knows")]
    UnknownEscape,
    /// A control character, or one that only some YAML readers take for a line break.
    #[error("a character that YAML readers do not agree on: U+{code_point:04X}")]
    Character {
        /// Its number.
        code_point: u32,
    },
    /// A key stands in a mapping for the second time.
    #[error("the key `{key}` stands already on line {first_line}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it stood first, from 1.
        first_line: usize,
    },
    /// A `<<` with something else than mappings behind it.
    #[error("expected a mapping, or a list of mappings, to merge")]
    MergeOfNoMapping,
    /// An alias names an anchor that has not been defined, or whose node is not finished yet.
    #[error("expected an alias to an anchor defined before")]
    UnknownAnchor,
    /// Deeper than [`load`] goes.
    #[error("nested too deeply")]
    TooDeep,
    /// Aliases that would make a small text into a large one.
    #[error("anchors and aliases repeat too much")]
    TooMuchRepeated,
}
