//! One statement → the line that a sops dotenv store can hold with the same meaning, or why there is none.
//!
//! Knows that the store cuts a line at its first `=` and asks its selection rule with what stands before. Must not know what was
//! stored before. Its one invariant: a line that it hands out, read back, is the same definition.

use std::ops::RangeInclusive;

use memchr::memchr;

use super::names::{RESERVED_PREFIX, is_surely_a_name, shown};
use super::quote::in_double_quotes;
use super::refusal::{Note, NoteKind, Reason, Refusal};
use super::scanner::{Definition, Kind, Quote, Statement, Value, is_space, scan};
use crate::secret::SecretString;

/// A line to store.
pub(super) enum Line<'text> {
    /// As it was given.
    Given(&'text str),
    /// Written anew.
    Made(SecretString),
}

impl Line<'_> {
    /// The line itself.
    pub(super) fn expose(&self) -> &str {
        match self {
            Self::Given(line) => line,
            Self::Made(line) => line.expose(),
        }
    }
}

/// The line to store for a new statement, without LF; `None` for white space after the last LF.
pub(super) fn storable<'text>(
    text: &'text str,
    statement: &Statement<'_>,
    encrypted: &dyn Fn(&str) -> bool,
    notes: &mut Vec<Note>,
) -> Result<Option<Line<'text>>, Refusal> {
    let bytes = &text[statement.range.clone()];
    if let Some(refusal) = nul_in(text, statement) {
        return Err(refusal);
    }
    match &statement.kind {
        Kind::Blank if statement.range.end == text.len() => Ok(None),
        Kind::Blank => Ok(Some(Line::Given(""))),
        Kind::Comment { start } => Ok(Some(Line::Given(&text[*start..statement.range.end]))),
        Kind::Failed { failure, at, name } => {
            let column = bytes.get(..at - statement.range.start).filter(|before| !before.contains('\n'));
            let column = column.map(|_| column_of(text, *at));
            Err(Refusal { lines: statement.lines.clone(), column, name: name.and_then(shown), reason: Reason::Ignored(*failure) })
        }
        Kind::Definition(definition) => stored_definition(text, statement, definition, encrypted, notes).map(Some),
    }
}

fn stored_definition<'text>(
    text: &'text str,
    statement: &Statement<'_>,
    definition: &Definition<'_>,
    encrypted: &dyn Fn(&str) -> bool,
    notes: &mut Vec<Note>,
) -> Result<Line<'text>, Refusal> {
    if let Some(refusal) = name_refusal(statement, definition) {
        return Err(refusal);
    }
    let refusal = |reason, name| Refusal { lines: statement.lines.clone(), column: None, name, reason };
    let Some((equals, value)) = &definition.value else {
        // It may be a piece of a value, of which not even a copy is made.
        let name = Some(definition.name).filter(|name| is_surely_a_name(name)).and_then(shown);
        return Err(refusal(Reason::NoEquals, name));
    };
    let mut note = |kind| notes.push(Note { line: *statement.lines.start(), name: shown(definition.name), kind });

    let quoted_name = &text[definition.name_range.clone()];
    let mut before_name = &text[statement.range.start..definition.name_range.start];
    let meant = encrypted(definition.name);
    if !before_name.is_empty() && encrypted(stored_key(&format!("{before_name}{quoted_name}"))) != meant {
        before_name = "";
        note(NoteKind::ExportDropped);
    }
    if before_name.is_empty() && encrypted(stored_key(quoted_name)) != meant {
        return Err(refusal(Reason::SelectionDiffers, shown(definition.name)));
    }

    let given = &text[statement.range.clone()];
    let is_one_line = memchr(b'\n', given.as_bytes()).is_none();
    let starts_the_same = before_name.len() == definition.name_range.start - statement.range.start;
    let nothing_moves = definition.name_range.end == *equals && equals + 1 == value.range.start;
    if is_one_line && starts_the_same && nothing_moves {
        return Ok(Line::Given(given));
    }
    let mut line = SecretString::with_capacity(2 * statement.range.len());
    line.push(before_name);
    line.push(quoted_name);
    line.push("=");
    if memchr(b'\n', &text.as_bytes()[value.range.clone()]).is_some() {
        if value.quote == Quote::Single {
            note(NoteKind::SingleQuotesBecameDouble { others_may_expand: value.raw.contains(['$', '`']) });
        }
        line.push(joined(value).expose());
        line.push(&text[value.range.end..statement.range.end]);
    } else {
        let after = &text[equals + 1..statement.range.end];
        let trimmed = after.trim_start_matches(is_space);
        // `A= #c` is empty, `A=#c` is not.
        line.push(if trimmed.starts_with('#') { after } else { trimmed });
    }
    match first_difference(given, &line) {
        None => Ok(Line::Made(line)),
        Some(_) => Err(refusal(Reason::WouldChange, shown(definition.name))),
    }
}

/// The key that a line-based store makes of a line that begins with `key` and goes on with `=`.
fn stored_key(key: &str) -> &str {
    key.split('=').next().unwrap_or_default()
}

/// A value of several lines in double quotes on one line.
fn joined(value: &Value<'_>) -> SecretString {
    if value.quote == Quote::Single {
        return in_double_quotes(value.decode().expose());
    }
    let mut joined = SecretString::with_capacity(2 * value.range.len());
    joined.push("\"");
    let mut rest = value.raw;
    while let Some(at) = rest.find(['\\', '\n']) {
        joined.push(&rest[..at]);
        let (written, length) = match &rest.as_bytes()[at..] {
            // A backslash before a line break means itself; behind the joint it would take the one of `\n`.
            [b'\\', b'\n', ..] => ("\\\\\\n", 2),
            [b'\n', ..] => ("\\n", 1),
            [_, second, ..] if second.is_ascii() => (&rest[at..at + 2], 2),
            _ => (&rest[at..at + 1], 1),
        };
        joined.push(written);
        rest = &rest[at + length..];
    }
    joined.push(rest);
    joined.push("\"");
    joined
}

/// What is wrong with a name that no rewriting mends.
pub(super) fn name_refusal(statement: &Statement<'_>, definition: &Definition<'_>) -> Option<Refusal> {
    let name = definition.name;
    let reason = match name {
        _ if name.starts_with('\u{feff}') => Reason::ByteOrderMark,
        _ if name.contains('\n') => Reason::LineBreakInName,
        _ if name.starts_with(RESERVED_PREFIX) => Reason::Reserved,
        _ => return None,
    };
    let name = Some(name).filter(|name| definition.value.is_some() || is_surely_a_name(name)).and_then(shown);
    Some(Refusal { lines: statement.lines.clone(), column: None, name, reason })
}

/// The refusal for a NUL anywhere in a statement.
pub(super) fn nul_in(text: &str, statement: &Statement<'_>) -> Option<Refusal> {
    let at = statement.range.start + memchr(0, &text.as_bytes()[statement.range.clone()])?;
    let line = statement.lines.start() + text[statement.range.start..at].matches('\n').count();
    Some(Refusal { lines: line..=line, column: Some(column_of(text, at)), name: None, reason: Reason::Nul })
}

/// The place of `at` in its line, in characters counted from 1.
fn column_of(text: &str, at: usize) -> usize {
    let line_start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    text[line_start..at].chars().count() + 1
}

/// The lines of the first definition in `text` that `stored`, read back, does not have in the same place with the same value.
pub(super) fn first_difference(text: &str, stored: &SecretString) -> Option<RangeInclusive<usize>> {
    // Most lines are stored as they are, and one text has one meaning. A mark at its start would not be read.
    if stored.expose() == text && !text.starts_with('\u{feff}') {
        return None;
    }
    let Ok(read_back) = super::decode(stored.expose().as_bytes()) else { return Some(1..=1) };
    if read_back.text.expose() == text {
        return None;
    }
    let (given, stored) = (scan(text), scan(read_back.text.expose()));
    let mut after = stored.iter().filter_map(Statement::definition);
    for statement in &given {
        let Some(before) = statement.definition() else { continue };
        if !after.next().is_some_and(|after| before.name == after.name && same_value(before, after)) {
            return Some(statement.lines.clone());
        }
    }
    after.next().map(|_| given.last().map_or(1..=1, |last| last.lines.clone()))
}

fn same_value(one: &Definition<'_>, other: &Definition<'_>) -> bool {
    match (&one.value, &other.value) {
        (None, None) => true,
        (Some((_, one)), Some((_, other))) => one.decode().ct_eq(other.decode().expose()),
        _ => false,
    }
}
