//! Changes of a text: bytes that go, bytes that come, and which comments that means.
//!
//! Knows lines and their ends; must not know YAML. One invariant: what no change names stays as it is, byte for byte.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::names::Names;
use crate::yaml::Comment;

/// What is to become of a text.
pub(super) struct Changes<'config> {
    names: Names<'config>,
    splices: Vec<(Range<usize>, String)>,
    gone: BTreeSet<usize>,
    new_comments: Vec<String>,
}

impl<'config> Changes<'config> {
    pub(super) fn of(names: Names<'config>) -> Self {
        Self { names, splices: Vec::new(), gone: BTreeSet::new(), new_comments: Vec::new() }
    }

    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.splices.push((at..at, text.into()));
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.splices.push((range, text.into()));
    }

    pub(super) fn delete(&mut self, range: Range<usize>) {
        if !self.splices.iter().any(|(other, with)| *other == range && with.is_empty()) {
            self.splices.push((range, String::new()));
        }
    }

    /// Adds a line, given without its end, below the one that holds the byte before `at`.
    pub(super) fn insert_line_below(&mut self, at: usize, line: &str) {
        let text = self.names.text;
        let (end, after) = (line_end(text, at), line_after(text, at));
        match end < after {
            true => self.insert(after, format!("{line}{}", line_break(text, at))),
            false => self.insert(end, format!("{}{line}", line_break(text, at))),
        }
    }

    /// Adds a comment on a line of its own above the line that holds `at`, in line with what starts there.
    pub(super) fn insert_comment_above(&mut self, at: usize, words: &str) {
        let text = self.names.text;
        let comment = self.new_comment(words);
        self.insert(line_start(text, at), format!("{}{comment}{}", indentation(text, at), line_break(text, at)));
    }

    /// Deletes the whole lines from the one that holds `from` to the one that holds `to`, comments and all.
    pub(super) fn delete_lines(&mut self, from: usize, to: usize) {
        let text = self.names.text;
        let range = line_start(text, from)..line_after(text, to);
        let inside = self.comments_in(&range).map(|comment| comment.span.start);
        self.gone.extend(inside.collect::<Vec<_>>());
        self.delete(range);
    }

    /// Deletes a comment with the blanks before it.
    pub(super) fn delete_comment(&mut self, comment: &Comment) {
        let blanks = self.names.text[..comment.span.start].trim_end_matches([' ', '\t']).len();
        self.delete(blanks..comment.span.end);
        self.forget(comment);
    }

    /// Knows that a comment is in the range of another change.
    pub(super) fn forget(&mut self, comment: &Comment) {
        self.gone.insert(comment.span.start);
    }

    /// Knows that what a comment said is said elsewhere.
    pub(super) fn remember(&mut self, comment: &Comment) {
        self.new_comments.push(comment.words(self.names.text).to_owned());
    }

    /// The text of a new comment.
    pub(super) fn new_comment(&mut self, words: &str) -> String {
        self.new_comments.push(words.to_owned());
        format!("# {words}")
    }

    /// The comments within a range of the text.
    pub(super) fn comments_in(&self, range: &Range<usize>) -> impl Iterator<Item = &'config Comment> + use<'config> {
        let comments = &self.names.document.comments;
        let first = comments.partition_point(|comment| comment.span.start < range.start);
        let end = range.end;
        comments[first..].iter().take_while(move |comment| comment.span.start < end)
    }

    /// The text after the changes; `None` if two of them are about the same bytes.
    pub(super) fn text(mut self) -> Option<String> {
        let old = self.names.text;
        self.splices.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(old.len() + 256);
        let mut at = 0;
        for (range, with) in &self.splices {
            text.push_str(old.get(at..range.start)?);
            text.push_str(with);
            at = range.end;
        }
        text.push_str(old.get(at..)?);
        // The last line of a file that does not end with a line break takes the one before it away with it.
        if !old.ends_with(['\n', '\r']) && text.ends_with(['\n', '\r']) {
            let line_break = if text.ends_with("\r\n") { 2 } else { 1 };
            text.truncate(text.len() - line_break);
        }
        Some(text)
    }

    /// What the comments must say afterwards, sorted.
    pub(super) fn comments_after(&self) -> Vec<String> {
        let kept = self.names.document.comments.iter().filter(|comment| !self.gone.contains(&comment.span.start));
        let mut comments: Vec<String> = kept.map(|comment| comment.words(self.names.text).to_owned()).collect();
        comments.extend(self.new_comments.iter().cloned());
        comments.sort();
        comments
    }
}

/// Where the line starts that holds `at`. A byte order mark is no part of a line.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    match text[..at].rfind(['\n', '\r']) {
        Some(line_break) => line_break + 1,
        None if text.starts_with('\u{feff}') => '\u{feff}'.len_utf8().min(at),
        None => 0,
    }
}

/// Where the line that holds `at` ends, its line break left out.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(['\n', '\r']).map_or(text.len(), |length| at + length)
}

/// Where the line after the one that holds `at` starts.
pub(super) fn line_after(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    let rest = &text[end..];
    end + if rest.starts_with("\r\n") { 2 } else { usize::from(!rest.is_empty()) }
}

/// The blanks at the start of the line that holds `at`.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The line break of the line that holds `at`; the file's first one if that line has none.
pub(super) fn line_break(text: &str, at: usize) -> &str {
    let of_line = |at: usize| &text[line_end(text, at)..line_after(text, at)];
    match of_line(at) {
        "" if of_line(0).is_empty() => "\n",
        "" => of_line(0),
        line_break => line_break,
    }
}
