//! People's names: comments that say whose a recipient is.
//!
//! Knows the two places of a name: above the field as `# RECIPIENT NAME`, or else behind the recipient, where there is room for that.
//! Must not know kinds of keys. One invariant: a comment behind several recipients on one line names none of them.

use crate::yaml::{Comment, Document, Node};

/// The comments of one config.
#[derive(Clone, Copy)]
pub(super) struct Names<'config> {
    pub(super) document: &'config Document,
    pub(super) text: &'config str,
}

impl<'config> Names<'config> {
    /// The comment that names the item `at` of a list; none if it shares its line with another.
    pub(super) fn behind_item(&self, items: &[Node], at: usize) -> Option<&'config Comment> {
        let item = &items[at];
        let is_beside = |other: Option<&Node>| other.is_some_and(|other| other.line == item.line);
        if is_beside(items.get(at + 1)) || at.checked_sub(1).is_some_and(|before| is_beside(items.get(before))) {
            return None;
        }
        self.behind(item)
    }

    /// The comment behind a node, unless it is empty.
    pub(super) fn behind(&self, node: &Node) -> Option<&'config Comment> {
        self.document.comment_behind(node, self.text).filter(|comment| !comment.words(self.text).is_empty())
    }

    /// The comments on lines of their own directly above `key`, sorted by what they say.
    pub(super) fn above(&self, key: &Node) -> Above<'config> {
        let mut line = key.line;
        let before = self.document.comments.partition_point(|comment| comment.line < line);
        let mut comments: Vec<_> = self.document.comments[..before]
            .iter()
            .rev()
            .take_while(|comment| {
                line -= 1;
                comment.line == line && self.has_own_line(comment)
            })
            .map(|comment| (comment.words(self.text), comment))
            .collect();
        comments.sort_by_key(|(words, _)| *words);
        Above { comments }
    }

    fn has_own_line(&self, comment: &Comment) -> bool {
        let before = self.text[..comment.span.start].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with(['\n', '\r', '\u{feff}'])
    }
}

/// The comments above a field.
#[derive(Default)]
pub(super) struct Above<'config> {
    comments: Vec<(&'config str, &'config Comment)>,
}

impl<'config> Above<'config> {
    /// The name of `recipient`, which is written as it is in the field.
    pub(super) fn name_of(&self, recipient: &str) -> Option<&'config str> {
        self.naming(recipient).next().map(|(name, _)| name)
    }

    /// The names of `recipient` and the comments they stand in.
    pub(super) fn naming(&self, recipient: &str) -> impl Iterator<Item = (&'config str, &'config Comment)> {
        let first = self.comments.partition_point(|(words, _)| *words < recipient);
        self.comments[first..]
            .iter()
            .map_while(move |(words, comment)| Some((words.strip_prefix(recipient)?, *comment)))
            .filter_map(|(rest, comment)| {
                rest.starts_with([' ', '\t']).then(|| (rest.trim(), comment)).filter(|(name, _)| !name.is_empty())
            })
    }
}
