//! Any `.env` text → lines that a sops dotenv store can hold with the same meaning; what cannot, and why.
//!
//! Knows that the store is line-based: each line is empty, a comment, or has a `=`, and a two-byte `\n` stands for a line break.
//! Must not know how it encrypts. Its one invariant: reading the stored text gives the bindings of the given text, which is checked
//! before it is handed out.
//!
//! Lines that were stored before keep their bytes, whatever they look like. The rule, for each statement of the whole new text:
//!
//! 1. Each of its lines is, byte for byte, a line of the previous text: it stays as it is.
//! 2. It begins with such an old line, and an open quote there makes it fail with new lines inside: the old lines up to the first
//!    new one stay, and what follows is looked at as if it began there. A note says that the old line hides it.
//! 3. Otherwise it is new, and is stored or refused as a whole. A note says where it takes in old lines too, for that is what the
//!    text now means.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use memchr::{memchr, memrchr};

use super::line::{first_difference, storable};
use super::refusal::{Note, NoteKind, Reason, Refusal};
use super::scanner::{Kind, Scanner, Statement};
use crate::secret::SecretString;

/// Text that a line-based store takes.
pub struct Stored {
    /// The lines, each ended by LF.
    pub text: SecretString,
    /// What the user should hear of, in the order of the lines.
    pub notes: Vec<Note>,
}

/// Makes `text` storable.
///
/// `encrypted` is the file's selection rule: whether the value of a stored key is encrypted. It is asked with the key as it is
/// stored (`export API_KEY`) and with the variable's name.
///
/// # Errors
/// Every refusal there is, in the order of the lines.
///
/// Source: getsops/sops `stores/dotenv/store.go`, v3.13; pinned by `tests/vectors/dotenv-sops-cases.jsonl`.
pub fn store(text: &str, encrypted: &dyn Fn(&str) -> bool) -> Result<Stored, Vec<Refusal>> {
    store_keeping(text, "", encrypted)
}

/// Makes `text` storable, keeping the bytes of lines that are lines of `previous`, by the rule above.
///
/// `previous` is the text as it was stored, where lines may still end in CR LF: such a line, untouched, keeps its CR.
///
/// # Errors
/// Every refusal there is, in the order of the lines.
pub fn store_keeping(text: &str, previous: &str, encrypted: &dyn Fn(&str) -> bool) -> Result<Stored, Vec<Refusal>> {
    let old_lines = OldLines::of(text, previous);
    let mut stored = SecretString::with_capacity(text.len() + 1);
    let (mut notes, mut refusals) = (Vec::new(), Vec::new());
    let (mut kept_failure, mut hidden) = (None, false);
    let mut scanner = Scanner::new(text);
    while let Some(statement) = scanner.next() {
        let first_line = *statement.lines.start();
        let whole = whole_lines(text, &statement);
        if old_lines.are_untouched(&whole) {
            if matches!(statement.kind, Kind::Failed { .. }) {
                kept_failure = kept_failure.or(Some(first_line));
            }
            let lines = &text[whole];
            push_line(&mut stored, lines.strip_suffix('\n').unwrap_or(lines));
            continue;
        }
        let old = old_lines.leading(whole.clone());
        if old.lines.len() == statement.lines.clone().count() {
            if matches!(statement.kind, Kind::Failed { .. }) {
                kept_failure = kept_failure.or(Some(first_line));
            }
            old.lines.iter().for_each(|line| push_line(&mut stored, line));
            continue;
        }
        if !old.lines.is_empty() && swallows(&statement) {
            old.lines.iter().for_each(|line| push_line(&mut stored, line));
            let line = first_line + old.lines.len();
            notes.push(Note { line, name: None, kind: NoteKind::HiddenBy { earlier_line: first_line } });
            scanner = Scanner::starting_at(text, whole.start + old.bytes, line);
            hidden = true;
            continue;
        }
        if statement.lines.end() > &first_line && old_lines.has_part_in(whole) {
            let kind = NoteKind::Joined { last_line: *statement.lines.end() };
            notes.push(Note { line: first_line, name: None, kind });
        }
        match storable(text, &statement, encrypted, &mut notes) {
            Ok(Some(line)) => push_line(&mut stored, line.expose()),
            Ok(None) => {}
            Err(refusal) => refusals.push(refusal),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    // Where old lines hide new ones both texts lose them; each new statement was checked on its own.
    if !hidden && let Some(lines) = first_difference(text, &stored) {
        match kept_failure {
            Some(line) => notes.push(Note { line, name: None, kind: NoteKind::HidesOthers }),
            None => return Err(vec![Refusal { lines, column: None, name: None, reason: Reason::WouldChange }]),
        }
    }
    notes.sort_by_key(|note| note.line);
    Ok(Stored { text: stored, notes })
}

/// Which lines of the text were stored before, and as what.
struct OldLines<'text> {
    text: &'text str,
    /// Up to the first and from the second of these offsets on, whole lines are the same in both texts.
    untouched: (usize, usize),
    /// For lines between them: those that stood anywhere in the text before, by what [`super::decode`] makes of them.
    others: HashMap<&'text str, &'text str>,
}

/// The old lines at the beginning of a statement.
struct Leading<'text> {
    /// Their stored bytes, without LF.
    lines: Vec<&'text str>,
    /// How many bytes they take in the new text, with their LFs.
    bytes: usize,
}

impl<'text> OldLines<'text> {
    fn of(text: &'text str, previous: &'text str) -> Self {
        let (before, behind) = common_lines(text.as_bytes(), previous.as_bytes());
        let untouched = (before, text.len() - behind);
        if previous.is_empty() {
            return Self { text, untouched, others: HashMap::new() };
        }
        let touched: HashSet<&str> = text[untouched.0..untouched.1].split_terminator('\n').collect();
        // A CR inside a line makes several lines of it when it is read, so such a line is never met again.
        let lines = previous.split_terminator('\n').map(|line| (line.strip_suffix('\r').unwrap_or(line), line));
        let others = lines.filter(|(decoded, _)| touched.contains(decoded)).collect();
        Self { text, untouched, others }
    }

    /// Whether all of `lines` stand where they stood.
    fn are_untouched(&self, lines: &Range<usize>) -> bool {
        lines.end <= self.untouched.0 || lines.start >= self.untouched.1
    }

    /// What the line `line`, without its LF, was stored as.
    fn stored(&self, line: Range<usize>) -> Option<&'text str> {
        let text = &self.text[line.clone()];
        if self.are_untouched(&line) { Some(text) } else { self.others.get(text).copied() }
    }

    fn has_part_in(&self, whole_lines: Range<usize>) -> bool {
        lines_in(self.text, whole_lines).any(|(line, _)| !line.is_empty() && self.stored(line).is_some())
    }

    fn leading(&self, whole_lines: Range<usize>) -> Leading<'text> {
        let mut leading = Leading { lines: Vec::new(), bytes: 0 };
        for (line, length) in lines_in(self.text, whole_lines) {
            let Some(old) = self.stored(line) else { break };
            leading.lines.push(old);
            leading.bytes += length;
        }
        leading
    }
}

/// The lines in a range of `text`, each without its LF, and how long it is with it.
fn lines_in(text: &str, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> {
    let mut start = range.start;
    text[range].split_inclusive('\n').map(move |line| {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let found = (start..start + content.len(), line.len());
        start += line.len();
        found
    })
}

/// How many bytes at the beginning and at the end of two texts are the same whole lines.
fn common_lines(one: &[u8], other: &[u8]) -> (usize, usize) {
    if one == other {
        return (one.len(), 0);
    }
    let before = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let before = memrchr(b'\n', &one[..before]).map_or(0, |at| at + 1);
    let (one, other) = (&one[before..], &other[before..]);
    let behind = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
    let behind = &one[one.len() - behind..];
    (before, memchr(b'\n', behind).map_or(0, |at| behind.len() - at - 1))
}

/// The bytes of a statement with its indentation and the LF that ends it.
fn whole_lines(text: &str, statement: &Statement<'_>) -> Range<usize> {
    let start = memrchr(b'\n', &text.as_bytes()[..statement.range.start]).map_or(0, |at| at + 1);
    start..(statement.range.end + 1).min(text.len())
}

/// Whether an open quote makes the statement useless, so that new lines in it were not meant to be in it.
fn swallows(statement: &Statement<'_>) -> bool {
    match &statement.kind {
        Kind::Failed { .. } => true,
        Kind::Definition(definition) => definition.name.contains('\n'),
        Kind::Blank | Kind::Comment { .. } => false,
    }
}

fn push_line(stored: &mut SecretString, line: &str) {
    stored.push(line);
    stored.push("\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &dyn Fn(&str) -> bool = &|_| true;

    fn text_of(stored: Result<Stored, Vec<Refusal>>) -> Result<String, Vec<String>> {
        let told = |refusals: Vec<Refusal>| refusals.iter().map(Refusal::to_string).collect();
        stored.map(|stored| stored.text.expose().to_owned()).map_err(told)
    }

    fn kept(text: &str, previous: &str) -> Result<String, Vec<String>> {
        text_of(store_keeping(text, previous, ALL))
    }

    fn notes(stored: Result<Stored, Vec<Refusal>>) -> Vec<NoteKind> {
        stored.unwrap().notes.iter().map(|note| note.kind).collect()
    }

    #[test]
    fn every_refusal_is_told_without_the_text_of_its_line() {
        let text = "API_KEY\nhunter2\nB=\"x\"y\n'k\nl'=1\nsops_mac=1\nC=a\0b\n\u{feff}D=1\n=1\nE F=1\nG=\"x\ny\"z\nH='x";
        let expected = [
            "line 1: `API_KEY` has no `=`. python-dotenv sets nothing for it. Write `API_KEY=` for an empty value, or put `#` before it",
            "line 2: there is no `=`. python-dotenv sets nothing for it. Write `NAME=` for an empty value, or put `#` before it",
            "line 3, column 6: python-dotenv ignores this line (text after the closing quote). Nothing of it would reach your program",
            "line 4: a quoted name goes on to line 5",
            "line 6: names that begin with `sops_` are kept for the file's own data",
            "line 7, column 4: a NUL character, which no variable can hold",
            "line 8: a byte-order mark in the middle; two files were joined?",
            "line 9, column 1: python-dotenv ignores this line (no name). Nothing of it would reach your program",
            "line 10, column 3: python-dotenv ignores this line (more than one word before `=`). Nothing of it would reach your program",
            "line 11: python-dotenv ignores everything up to line 12 (text after the closing quote). Nothing of it would reach your program",
            "line 13, column 3: python-dotenv ignores this line (unclosed quote). Nothing of it would reach your program",
        ];
        assert_eq!(text_of(store(text, ALL)).err().unwrap(), expected);
    }

    #[test]
    fn an_export_that_hides_the_name_from_the_rule_is_dropped() {
        let rule = |key: &str| key.starts_with("API_");
        let stored = store("export API_KEY=x\nexport OTHER=y\n", &rule).unwrap();
        assert_eq!(stored.text.expose(), "API_KEY=x\nexport OTHER=y\n");
        assert_eq!(stored.notes, [Note { line: 1, name: Some("API_KEY".to_owned()), kind: NoteKind::ExportDropped }]);
        let refused = store("'API_KEY'=x\nexport 'API_KEY'=x\n", &rule).err().unwrap();
        assert!(refused.iter().all(|refusal| refusal.reason == Reason::SelectionDiffers) && refused.len() == 2);
        assert!(store("'OTHER'=x\n", &rule).is_ok());
    }

    #[test]
    fn the_rule_is_asked_with_the_key_as_a_line_based_store_cuts_it() {
        // The stored key of `'A=B'=1` is `'A`.
        assert!(store("'A=B'=1\n", &|key| key == "'A" || key == "A=B").is_ok());
        assert!(store("'A=B'=1\n", &|key| key == "A=B").is_err());
    }

    #[test]
    fn single_quotes_over_lines_become_double_and_say_so() {
        let others_may_expand = |text| match notes(store(text, ALL))[..] {
            [NoteKind::SingleQuotesBecameDouble { others_may_expand }] => others_may_expand,
            _ => panic!("other notes"),
        };
        assert!(!others_may_expand("A='x\ny'"));
        assert!(others_may_expand("A='x\n$y'"));
        assert!(others_may_expand("A='x\n`y`'"));
    }

    #[test]
    fn white_space_stays_where_a_comment_begins_behind_the_equals() {
        assert_eq!(text_of(store("A =\t #c\nB = #\nC=#c\n", ALL)).unwrap(), "A=\t #c\nB= #\nC=#c\n");
    }

    #[test]
    fn what_follows_a_backslash_in_a_value_of_several_lines_stays_with_it() {
        let cases = [
            ("A=\"x\\\"q\ny\"\n", "A=\"x\\\"q\\ny\"\n"),
            ("A=\"x\\\\\ny\"\n", "A=\"x\\\\\\ny\"\n"),
            ("A=\"x\\\ny\"\n", "A=\"x\\\\\\ny\"\n"),
            ("A=\"x\\é\ny\"\n", "A=\"x\\é\\ny\"\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(text_of(store(text, ALL)).unwrap(), expected);
        }
    }

    #[test]
    fn blanks_behind_the_last_line_end_are_no_line() {
        assert_eq!(text_of(store("A=1\n \t", ALL)).unwrap(), "A=1\n");
        assert_eq!(text_of(store("A=1\n \n", ALL)).unwrap(), "A=1\n\n");
    }

    #[test]
    fn old_lines_keep_their_bytes_whatever_they_look_like() {
        let previous = "J=\"{\"a\": 1}\"\n  A = 1\nX=\"abc\nsops_x=1\n";
        let text = "J=\"{\"a\": 1}\"\n  A = 1\n  B = 2\nX=\"abc\nsops_x=1\n";
        assert_eq!(kept(text, previous).unwrap(), text.replace("  B = 2", "B=2"));
        assert!(store(text, ALL).is_err());
    }

    #[test]
    fn an_old_line_keeps_its_carriage_return_and_a_new_one_gets_none() {
        assert_eq!(kept("A=1\nB=2\n", "A=1\r\n").unwrap(), "A=1\r\nB=2\n");
    }

    #[test]
    fn lines_that_stand_where_they_stood_are_told_from_the_changed_ones() {
        let cases = [
            ("A\nB\nC\n", "A\nX\nC\n", (2, 2)),
            ("A\nB\nC", "A\nX\nC", (2, 1)),
            ("AB\nC\n", "XB\nC\n", (0, 2)),
            ("A\nB\n", "A\nC\n", (2, 0)),
            ("A\nA\nA\n", "A\nA\n", (4, 0)),
            ("A\n", "A\nA\n", (2, 0)),
            ("A", "A\n", (0, 0)),
            ("", "A\n", (0, 0)),
            ("A", "A", (1, 0)),
        ];
        for (one, other, expected) in cases {
            assert_eq!(common_lines(one.as_bytes(), other.as_bytes()), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn an_old_line_that_moved_keeps_its_bytes_too() {
        assert_eq!(kept("B\n  A = 1\nC=2\n", "  A = 1\nB\nC=2\n").unwrap(), "B\n  A = 1\nC=2\n");
        assert_eq!(kept("  A = 1\n  A = 1\nC=2\n", "  A = 1\nC=2\n").unwrap(), "  A = 1\n  A = 1\nC=2\n");
    }

    #[test]
    fn an_old_line_inside_a_new_value_belongs_to_the_value() {
        assert_eq!(kept("KEY=\"x\nA=1\n\ny\"\nA=1\n", "A=1\n\n").unwrap(), "KEY=\"x\\nA=1\\n\\ny\"\nA=1\n");
    }

    #[test]
    fn a_changed_line_inside_an_old_value_of_several_lines_keeps_its_white_space() {
        let stored = store_keeping("A=\"x=1\ny  = 3\"\n", "A=\"x=1\ny=2\"\n", ALL).unwrap();
        assert_eq!(stored.text.expose(), "A=\"x=1\\ny  = 3\"\n");
        assert_eq!(stored.notes, [Note { line: 1, name: None, kind: NoteKind::Joined { last_line: 2 } }]);
    }

    #[test]
    fn a_new_line_that_an_old_open_quote_hides_is_saved_with_a_note() {
        let stored = store_keeping("X=\"abc\nB = \"x\"\nC=1\n", "X=\"abc\nC=1\n", ALL).unwrap();
        assert_eq!(stored.text.expose(), "X=\"abc\nB=\"x\"\nC=1\n");
        assert_eq!(stored.notes, [Note { line: 2, name: None, kind: NoteKind::HiddenBy { earlier_line: 1 } }]);
    }

    #[test]
    fn a_quote_that_has_to_be_written_below_an_old_open_one_is_told() {
        let stored = store_keeping("X=\"abc\nB='x\ny'\n", "X=\"abc\n", ALL).unwrap();
        assert_eq!(stored.text.expose(), "X=\"abc\nB=\"x\\ny\"\n");
        assert_eq!(stored.notes[0], Note { line: 1, name: None, kind: NoteKind::HidesOthers });
    }

    #[test]
    fn a_new_open_quote_is_refused_even_if_it_swallows_old_lines() {
        let expected = "line 1: python-dotenv ignores everything up to line 2 (text after the closing quote). Nothing of it would reach your program";
        assert_eq!(kept("X=\"abc\nB=\"x\"\n", "B=\"x\"\n").err().unwrap(), [expected]);
    }
}
