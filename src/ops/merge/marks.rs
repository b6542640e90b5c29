//! The lines that a merge leaves where both sides changed a name, read again.
//!
//! Its one invariant: of a mark nothing is told but its side, and a name that stands in the file anyway.

use std::collections::HashSet;

use crate::dialect::scanner::{Kind, scan};
use crate::ops::edit::check::CONFLICT;
use crate::ops::file::variable_name;
use crate::tree::{Comment, Item, Tree};

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

/// The marks among the comments of the plaintext `tree`.
pub fn unresolved(tree: &Tree) -> Vec<Mark> {
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
pub fn undecided(tree: &Tree) -> Vec<String> {
    let mut names: Vec<String> = unresolved(tree).into_iter().filter_map(|mark| mark.name).collect();
    names.dedup();
    names
}

fn text_of(item: &Item) -> Option<&str> {
    let Item::Comment(Comment { text, .. }) = item else { return None };
    std::str::from_utf8(text.expose()).ok()?.strip_prefix(CONFLICT.trim_start_matches('#'))
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
        unresolved(&tree).into_iter().map(|mark| (mark.item, mark.side, mark.name)).collect()
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
