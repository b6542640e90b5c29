//! The file that every row begins with, and the ways to spoil it.

use crate::support::document::{encrypted, metadata};
use crate::support::sandbox::RECIPIENT;

/// The plaintext of [`sealed`]. Its values and its comment have the canary, its names have not.
pub const PLAINTEXT: &str =
    "# cnry: a note\nAPI_KEY=cnry-cnry-1\nTOKEN=cnry-cnry-2\nEMPTY=\nMODE_unencrypted=dev\nLAST=cnry-cnry-3\n";

/// A file that only the reader of the rows opens, under a data key of its own.
pub fn sealed() -> String {
    sealed_with(PLAINTEXT)
}

/// The same with another plaintext.
pub fn sealed_with(plaintext: &str) -> String {
    String::from_utf8(encrypted(plaintext.as_bytes(), metadata(&[RECIPIENT], None, false)).unwrap()).unwrap()
}

/// The lines of a file, to be changed one by one.
pub struct Lines(Vec<String>);

/// A fresh file that `change` spoiled.
pub fn spoiled(change: impl FnOnce(&mut Lines)) -> String {
    spoiled_file(&sealed(), change)
}

/// `file` after `change` spoiled it.
pub fn spoiled_file(file: &str, change: impl FnOnce(&mut Lines)) -> String {
    let mut lines = Lines(file.lines().map(str::to_owned).collect());
    change(&mut lines);
    lines.0.into_iter().map(|line| line + "\n").collect()
}

impl Lines {
    fn at(&self, start: &str) -> usize {
        self.0.iter().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line {start}"))
    }

    /// What stands behind `start` in its line.
    pub fn value(&self, start: &str) -> String {
        self.0[self.at(start)][start.len()..].to_owned()
    }

    /// Puts `value` behind `start`.
    pub fn set(&mut self, start: &str, value: &str) {
        let at = self.at(start);
        self.0[at] = format!("{start}{value}");
    }

    /// Replaces text in the line that begins with `start`; it has to be there.
    pub fn replace(&mut self, start: &str, old: &str, new: &str) {
        let at = self.at(start);
        assert!(self.0[at].contains(old), "no {old} in {start}");
        self.0[at] = self.0[at].replacen(old, new, 1);
    }

    /// Takes the line that begins with `start` out.
    pub fn remove(&mut self, start: &str) -> String {
        let at = self.at(start);
        self.0.remove(at)
    }

    /// Puts `line` before the one that begins with `start`.
    pub fn insert(&mut self, start: &str, line: &str) {
        let at = self.at(start);
        self.0.insert(at, line.to_owned());
    }

    /// Puts `line` at the end.
    pub fn push(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }

    /// Moves all metadata before the line that begins with `start`.
    pub fn metadata_before(&mut self, start: &str) {
        let (metadata, mut data): (Vec<_>, Vec<_>) = self.0.drain(..).partition(|line| line.starts_with("sops_"));
        let at = data.iter().position(|line| line.starts_with(start)).unwrap();
        data.splice(at..at, metadata);
        self.0 = data;
    }
}

/// A token of the same length with another byte in its `part` (`data`, `iv` or `tag`).
pub fn other_byte(token: &str, part: &str) -> String {
    let at = token.find(&format!("{part}:")).unwrap() + part.len() + 1;
    let other = if token.as_bytes()[at] == b'A' { 'B' } else { 'A' };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}
