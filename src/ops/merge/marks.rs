//! The lines that a merge leaves where both sides changed a name: written, and read again.
//!
//! Its one invariant: a mark holds all that its side has, and of it nothing is told but its side, and a name that stands in the file
//! anyway.

use std::collections::HashSet;

use super::items::{Conflict, Merged};
use crate::dialect::scanner::{Kind, scan};
use crate::document::selection::Selection;
use crate::document::{DecryptedDocument, leaves_in_clear};
use crate::format::{EmitError, Format};
use crate::ops::file::variable_name;
use crate::secret::SecretBytes;
use crate::tree::{Comment, Item, Mapping, Tree};

/// How a line begins that shows the two sides of a conflict. It is a question to the user, and no edit stores it.
pub const CONFLICT: &str = "#!dotsops ";

/// The same without what makes it a comment.
const HEAD: &str = "!dotsops ";

/// The merged tree; above each entry in conflict both sides as lines that begin with [`CONFLICT`].
///
/// # Errors
/// [`EmitError`] if an entry cannot be written.
pub fn with_marks(merged: Merged, format: &dyn Format) -> Result<Tree, EmitError> {
    let Merged { tree, conflicts } = merged;
    let mut conflicts = conflicts.into_iter().peekable();
    let mut items = Vec::new();
    for (at, item) in tree.documents.into_iter().flat_map(|document| document.items).enumerate() {
        if let Some(Conflict { name, ours, theirs, .. }) = conflicts.next_if(|conflict| conflict.at == at) {
            for (whose, side) in [("mine", ours), ("theirs", theirs)] {
                items.push(Item::Comment(mark(whose, &name, side, format)?));
            }
        }
        items.push(item);
    }
    Ok(Tree::of(Mapping { items }))
}

/// One side of a conflict as a comment.
fn mark(whose: &str, name: &str, side: Option<Item>, format: &dyn Format) -> Result<Comment, EmitError> {
    let line = match side {
        Some(item) => format.emit(&Tree::of(Mapping { items: vec![item] }), None, None)?,
        None => SecretBytes::copy_of(format!("{name} was removed").as_bytes()),
    };
    let mut text = SecretBytes::with_capacity(HEAD.len() + whose.len() + 1 + line.len());
    text.push(HEAD.as_bytes());
    text.push(whose.as_bytes());
    text.push(b" ");
    text.push(line.expose().strip_suffix(b"\n").unwrap_or(line.expose()));
    Ok(Comment { text, inline: false })
}

/// The lines of `text` that are no marks.
pub fn without(text: &SecretBytes) -> SecretBytes {
    let mut rest = SecretBytes::with_capacity(text.len());
    let lines = text.expose().split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(CONFLICT.as_bytes())).for_each(|line| rest.push(line));
    rest
}

/// Whether marks stand in `tree` that a file would leave in clear. They hold values, so they must be encrypted like these.
pub fn are_in_clear(tree: &Tree, selection: &Selection) -> bool {
    leaves_in_clear(tree, selection).comments.iter().any(|comment| comment.expose().starts_with(HEAD.as_bytes()))
}

/// Whether `comment` is a mark.
pub fn is_mark(comment: &Comment) -> bool {
    comment.text.expose().starts_with(HEAD.as_bytes())
}

/// One side of a conflict that nobody has decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which item it is, counted from 0.
    pub item: usize,
    /// Whose value it holds: `mine`, or else `theirs`.
    pub side: &'static str,
    /// Which variable it is about, if that is one of the file.
    pub name: Option<String>,
}

/// The marks among the comments of `document`. One that stands in clear is none: no merge of ours wrote it, and anybody can have.
pub fn unresolved(document: &DecryptedDocument) -> Vec<Mark> {
    let clear = in_clear(document);
    among(&document.tree).into_iter().filter(|mark| !clear.contains(&mark.item)).collect()
}

/// Makes ordinary comments of what looks like marks and stands in clear, and tells how many there were: encrypted with the rest of the
/// file they would pass for those of a merge.
pub fn disarm(document: &mut DecryptedDocument) -> usize {
    let clear = in_clear(document);
    let items = document.tree.documents.first_mut().map(|document| document.items.as_mut_slice()).unwrap_or_default();
    for at in &clear {
        if let Some(Item::Comment(comment)) = items.get_mut(*at) {
            let mut text = SecretBytes::with_capacity(1 + comment.text.len());
            text.push(b" ");
            text.push(comment.text.expose());
            comment.text = text;
        }
    }
    clear.len()
}

/// Which items of `document` look like marks and stand in clear, counted from 0.
fn in_clear(document: &DecryptedDocument) -> Vec<usize> {
    let pairs = document.tree.first().iter().zip(document.encrypted().tree.first()).enumerate();
    let is_mark = |item: &Item| matches!(item, Item::Comment(comment) if comment.text.expose().starts_with(HEAD.as_bytes()));
    pairs.filter(|(_, (plain, stored))| is_mark(plain) && plain.is_same(stored)).map(|(at, _)| at).collect()
}

/// The marks among the comments of the plaintext `tree`.
fn among(tree: &Tree) -> Vec<Mark> {
    let marks: Vec<(usize, &str)> = tree.first().iter().enumerate().filter_map(|(at, item)| Some((at, text_of(item)?))).collect();
    if marks.is_empty() {
        return Vec::new();
    }
    let names: HashSet<String> = tree.first().iter().filter_map(name_of).collect();
    let mark = |(item, text): (usize, &str)| {
        let (side, line) = text.split_once(' ').unwrap_or((text, ""));
        let name = match scan(line).into_iter().next().map(|statement| statement.kind) {
            Some(Kind::Definition(definition)) => definition.name,
            Some(Kind::Failed { name: Some(name), .. }) => name,
            _ => "",
        };
        let name = names.get(name).or_else(|| names.get(line.strip_suffix(" was removed")?));
        Mark { item, side: if side == "mine" { "mine" } else { "theirs" }, name: name.cloned() }
    };
    marks.into_iter().map(mark).collect()
}

/// The names that are undecided, each once.
pub fn undecided(document: &DecryptedDocument) -> Vec<String> {
    let mut names: Vec<String> = unresolved(document).into_iter().filter_map(|mark| mark.name).collect();
    names.dedup();
    names
}

fn text_of(item: &Item) -> Option<&str> {
    let Item::Comment(Comment { text, .. }) = item else { return None };
    std::str::from_utf8(text.expose()).ok()?.strip_prefix(HEAD)
}

fn name_of(item: &Item) -> Option<String> {
    match item {
        Item::Entry(key, _) => Some(variable_name(key).into_owned()),
        Item::Comment(_) | Item::BlankLine => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Format, dotenv::Dotenv};

    fn found(text: &str) -> Vec<(usize, &'static str, Option<String>)> {
        let tree = Dotenv.parse(text.as_bytes()).unwrap().tree;
        among(&tree).into_iter().map(|mark| (mark.item, mark.side, mark.name)).collect()
    }

    #[test]
    fn marks_are_told_by_side_and_by_names_of_the_file_alone() {
        let text = "A=1\n#!dotsops mine export B='x # y'\n#!dotsops theirs B was removed\nexport B=2\n# !dotsops mine A=1\n";
        let mark = |item, side, name: Option<&str>| (item, side, name.map(str::to_owned));
        assert_eq!(found(text), [mark(1, "mine", Some("B")), mark(2, "theirs", Some("B"))]);
        // What is no name of the file may be a piece of a value.
        assert_eq!(found("#!dotsops canary\n#!dotsops mine canary=1\n"), [mark(0, "theirs", None), mark(1, "mine", None)]);
        assert_eq!(found("A=1\n#!dotsops\n"), []);
    }
}
