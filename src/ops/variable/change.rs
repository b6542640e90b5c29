//! A change of one variable → the lines to store.
//!
//! The changed text goes the same way as one that comes out of an editor, so that it is stored, asked about and refused alike. Then it
//! is compared, line by line and definition by definition, with what was meant.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memchr_iter;

use super::error::VariableError;
use super::find::{Occurrence, Variables};
use crate::dialect;
use crate::dialect::interpolation::references;
use crate::dialect::names::{RESERVED_PREFIX, is_portable_name};
use crate::dialect::quote::quote;
use crate::dialect::refusal::Note;
use crate::dialect::scanner::{Quote, Scanner, Statement, Value, scan};
use crate::ops::edit::check::{self, Checked};
use crate::ops::exec::policy::Effect;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::{Item, Tree};

/// A change that can be saved.
pub struct Plan {
    /// The lines to store.
    pub tree: Tree,
    /// What storing them changed.
    pub notes: Vec<Note>,
    /// Names that will now stand in clear, and did not before.
    pub newly_clear: Vec<String>,
    /// New names that load code or redirect programs.
    pub notable: Vec<(String, Effect)>,
    /// Lines, of the file before, that defined the name too and are gone.
    pub dropped_lines: Vec<usize>,
    /// Values that refer to a name that is gone.
    pub referring: Vec<Referring>,
}

/// A value that refers to a name that is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Referring {
    /// Its line in the file before.
    pub line: usize,
    /// Its own name, if that can be shown.
    pub name: Option<String>,
}

/// What a program reads: each definition's name and value, before interpolation.
type Definitions<'a> = Vec<(&'a str, Option<Meant<'a>>)>;

/// What a value says before interpolation.
enum Meant<'a> {
    /// What is written between such quotes, or without any.
    Written(Quote, &'a str),
    /// Something else.
    Given(SecretString),
}

/// The lines as they are wanted.
#[derive(Default)]
struct Wanted {
    /// By item: another text, or none for a line that goes.
    items: HashMap<usize, Option<SecretString>>,
    /// A line behind all others.
    appended: Option<SecretString>,
}

impl Variables<'_> {
    /// Gives `name` the value `value`: in its line, or in a new one at the end. `None` if it has that value already.
    ///
    /// If several lines define the name, the last, which counts for programs, stays and the others go.
    ///
    /// # Errors
    /// [`VariableError`]; [`VariableError::Exists`] only with `must_be_new`.
    pub fn set(&self, name: &str, value: &SecretString, must_be_new: bool) -> Result<Option<Plan>, VariableError> {
        let statements = scan(self.read.expose());
        let found = self.clear_occurrences(name, &statements)?;
        if let (true, Some(first)) = (must_be_new, found.first()) {
            return Err(VariableError::Exists { name: name.to_owned(), line: first.line() });
        }
        let quoted = quote(value.expose());
        let mut wanted = Wanted::default();
        let mut expected = Definitions::new();
        let Some((last, earlier)) = found.split_last() else {
            check_new_name(name)?;
            wanted.appended = Some(joined(&[name, "=", quoted.expose()]));
            expected.extend(statements.iter().filter_map(defined));
            drop(statements);
            expected.push((name, Some(Meant::Given(meaning(&quoted)))));
            return self.plan(wanted, &expected, &[], &[]).map(Some);
        };
        if let (Some((_, Some(now))), []) = (defined(&statements[last.statement]), earlier)
            && now.is(&Meant::Given(meaning(&quoted)))
        {
            return Ok(None);
        }
        if let Some(first) = earlier.first()
            && statements[first.statement..last.statement].iter().any(|between| refers_to(between, name))
        {
            let lines = found.iter().map(Occurrence::line).collect();
            return Err(VariableError::Ambiguous { name: name.to_owned(), lines });
        }
        for (at, statement) in statements.iter().enumerate() {
            match found.iter().any(|occurrence| occurrence.statement == at) {
                true if at == last.statement => expected.push((name, Some(Meant::Given(meaning(&quoted))))),
                true => {}
                false => expected.extend(defined(statement)),
            }
        }
        found.iter().for_each(|occurrence| wanted.drop_all(occurrence));
        let line = self.line_with(&statements[last.statement], last, &quoted);
        wanted.items.insert(*last.items.start(), Some(line));
        let dropped: Vec<usize> = earlier.iter().map(Occurrence::line).collect();
        drop(statements);
        self.plan(wanted, &expected, &dropped, &[]).map(Some)
    }

    /// Takes the lines of `names` out. `None` if there are none and `may_be_missing`.
    ///
    /// # Errors
    /// [`VariableError`]; [`VariableError::Missing`] unless `may_be_missing`.
    pub fn unset(&self, names: &[String], may_be_missing: bool) -> Result<Option<Plan>, VariableError> {
        let statements = scan(self.read.expose());
        let mut wanted = Wanted::default();
        let (mut gone, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let found = self.clear_occurrences(name, &statements)?;
            if found.is_empty() {
                missing.push(name.clone());
            }
            found.iter().for_each(|occurrence| wanted.drop_all(occurrence));
            gone.extend(found.into_iter().map(|occurrence| occurrence.statement));
        }
        if !missing.is_empty() && !may_be_missing {
            return Err(self.missing(missing));
        }
        if gone.is_empty() {
            return Ok(None);
        }
        let kept = statements.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        let expected: Definitions = kept.filter_map(|(_, statement)| defined(statement)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan = self.plan(wanted, &expected, &[], &names)?;
        let is_gone = |referring: &Referring| referring.name.as_deref().is_some_and(|name| names.contains(&name));
        let referring = plan.referring.into_iter().filter(|referring| !is_gone(referring)).collect();
        Ok(Some(Plan { referring, ..plan }))
    }

    /// Calls `old` `new`, in its place. `None` if the two are the same.
    ///
    /// # Errors
    /// [`VariableError`]; [`VariableError::Exists`] if `new` is there, [`VariableError::Ambiguous`] if `old` is there several times.
    pub fn rename(&self, old: &str, new: &str) -> Result<Option<Plan>, VariableError> {
        let statements = scan(self.read.expose());
        let found = self.clear_occurrences(old, &statements)?;
        let [only] = found.as_slice() else {
            return Err(match found.is_empty() {
                true => self.missing(vec![old.to_owned()]),
                false => {
                    let lines = found.iter().map(Occurrence::line).collect();
                    VariableError::Ambiguous { name: old.to_owned(), lines }
                }
            });
        };
        if old == new {
            return Ok(None);
        }
        let taken = self.clear_occurrences(new, &statements)?.first().map(Occurrence::line);
        if let Some(line) = taken {
            return Err(VariableError::Exists { name: new.to_owned(), line });
        }
        check_new_name(new)?;
        let statement = &statements[only.statement];
        let Some(definition) = statement.definition() else {
            return Err(VariableError::Tangled { name: old.to_owned(), line: only.line() });
        };
        let text = self.read.expose();
        let (before, after) =
            (statement.range.start..definition.name_range.start, definition.name_range.end..statement.range.end);
        let mut wanted = Wanted::default();
        wanted.drop_all(only);
        wanted.items.insert(*only.items.start(), Some(joined(&[&text[before], new, &text[after]])));
        let expected: Definitions = statements
            .iter()
            .enumerate()
            .filter_map(|(at, statement)| {
                let (name, value) = defined(statement)?;
                Some((if at == only.statement { new } else { name }, value))
            })
            .collect();
        self.plan(wanted, &expected, &[], &[old]).map(Some)
    }

    /// The statements of `name`, all of which can be changed without touching anything else.
    fn clear_occurrences(&self, name: &str, statements: &[Statement<'_>]) -> Result<Vec<Occurrence>, VariableError> {
        let found = self.occurrences(name, statements);
        for occurrence in &found {
            let (name, line) = (name.to_owned(), occurrence.line());
            if occurrence.is_open {
                return Err(VariableError::OpenLines { name, line });
            }
            if !occurrence.is_alone || (!occurrence.is_defined && occurrence.items.clone().count() > 1) {
                return Err(VariableError::Tangled { name, line });
            }
        }
        self.hidden(name, &found).map_or(Ok(found), Err)
    }

    /// The error for a line of `name` that no program sees, if there is one.
    pub(super) fn hidden(&self, name: &str, found: &[Occurrence]) -> Option<VariableError> {
        let is_seen = |item: usize| found.iter().any(|occurrence| occurrence.items.contains(&item));
        let (item, name) = self.stored_names().find(|(item, stored)| stored == name && !is_seen(*item))?;
        Some(VariableError::Hidden { name: name.into_owned(), line: item + 1 })
    }

    /// The line of `statement` with another value. What stands before and behind the value stays.
    fn line_with(&self, statement: &Statement<'_>, occurrence: &Occurrence, quoted: &SecretString) -> SecretString {
        let text = self.read.expose();
        let Some(definition) = statement.definition() else {
            // What would be comment and what value in a line that fails, nobody knows.
            let key = match self.document.tree.first().get(*occurrence.items.start()) {
                Some(Item::Entry(key, _)) => key.to_string(),
                _ => String::new(),
            };
            return joined(&[&key, "=", quoted.expose()]);
        };
        let (name_end, value_end) = match &definition.value {
            Some((equals, value)) => (*equals, value.range.end),
            None => (definition.name_range.end, definition.name_range.end),
        };
        let behind = &text[value_end..statement.range.end];
        let blank = if behind.starts_with('#') { " " } else { "" };
        joined(&[&text[statement.range.start..name_end], "=", quoted.expose(), blank, behind])
    }

    /// Makes the wanted lines storable, and checks that they say what is `expected` and nothing else is touched.
    fn plan(
        &self,
        wanted: Wanted,
        expected: &Definitions<'_>,
        dropped_lines: &[usize],
        gone: &[&str],
    ) -> Result<Plan, VariableError> {
        let (edited, touched) = wanted.text(self.stored.expose());
        let edited = edited.shared();
        let tree = &self.document.tree;
        let checked = check::check(&edited, &self.stored, tree, self.document.metadata(), self.rule, self.format)?;
        let Checked { tree, notes, newly_clear, notable, .. } = checked;

        let after = self.format.emit(&tree, None, None)?.shared();
        if !has_same_lines(edited.expose(), after.expose(), touched) {
            return Err(VariableError::WouldChangeOthers);
        }
        let after = dialect::decode_secret(&after)?.text;
        if !says(after.expose(), expected) {
            return Err(VariableError::WouldChangeOthers);
        }
        let referring = self.referring(gone);
        Ok(Plan { tree, notes, newly_clear, notable, dropped_lines: dropped_lines.to_vec(), referring })
    }

    /// The values that refer to one of `gone`.
    fn referring(&self, gone: &[&str]) -> Vec<Referring> {
        let mut referring = Vec::new();
        if gone.is_empty() {
            return referring;
        }
        for statement in scan(self.read.expose()) {
            if gone.iter().any(|name| refers_to(&statement, name)) {
                let name = statement.definition().map(|definition| definition.name.to_owned());
                let line = self.item(*statement.lines.start()) + 1;
                referring.push(Referring { line, name: name.filter(|name| is_portable_name(name)) });
            }
        }
        referring
    }
}

impl Wanted {
    fn drop_all(&mut self, occurrence: &Occurrence) {
        self.items.extend(occurrence.items.clone().map(|item| (item, None)));
    }

    /// The whole text, and which of its lines are new.
    fn text(&self, stored: &str) -> (SecretBytes, Range<usize>) {
        let added: usize = self.items.values().flatten().chain(&self.appended).map(|line| line.len() + 1).sum();
        let mut text = SecretBytes::with_capacity(stored.len() + added);
        let (mut lines, mut touched) = (0, 0..0);
        let mut push = |line: &str, is_new: bool| {
            let count = line.matches('\n').count() + 1;
            if is_new {
                touched = lines..lines + count;
            }
            lines += count;
            text.push(line.as_bytes());
            text.push(b"\n");
        };
        for (item, line) in stored.split_terminator('\n').enumerate() {
            match self.items.get(&item) {
                None => push(line, false),
                Some(Some(line)) => push(line.expose(), true),
                Some(None) => {}
            }
        }
        if let Some(line) = &self.appended {
            push(line.expose(), true);
        }
        (text, touched)
    }
}

/// Whether `after` has the lines of `before`, with one line in the place of those `touched`. All lines of both end in LF.
fn has_same_lines(before: &[u8], after: &[u8], touched: Range<usize>) -> bool {
    let line_start =
        |line: usize| line.checked_sub(1).map_or(Some(0), |last| memchr_iter(b'\n', before).nth(last).map(|end| end + 1));
    let (Some(start), Some(end)) = (line_start(touched.start), line_start(touched.end)) else { return false };
    let between = after.strip_prefix(&before[..start]).and_then(|rest| rest.strip_suffix(&before[end..]));
    between.is_some_and(|between| match touched.is_empty() {
        true => between.is_empty(),
        false => memchr_iter(b'\n', between).count() == 1 && between.ends_with(b"\n"),
    })
}

impl Meant<'_> {
    fn is(&self, other: &Self) -> bool {
        // Both are our own: how long it takes to compare them tells nobody anything.
        match (self, other) {
            (Self::Written(quote, raw), Self::Written(other_quote, other)) if (quote, raw) == (other_quote, other) => true,
            _ => self.text().expose() == other.text().expose(),
        }
    }

    fn text(&self) -> SecretString {
        match self {
            Self::Written(quote, raw) => Value { quote: *quote, raw, range: 0..raw.len() }.decode(),
            Self::Given(text) => SecretString::copy_of(text.expose()),
        }
    }
}

/// Whether a program reads `expected` in `text`.
fn says(text: &str, expected: &Definitions) -> bool {
    let mut found = Scanner::new(text).filter_map(|statement| defined(&statement));
    let is_next = |(name, value): &(&str, Option<Meant<'_>>)| {
        found.next().is_some_and(|(found_name, found)| {
            *name == found_name
                && match (value, &found) {
                    (Some(value), Some(found)) => value.is(found),
                    (value, found) => value.is_none() && found.is_none(),
                }
        })
    };
    expected.iter().all(is_next) && found.next().is_none()
}

fn defined<'a>(statement: &Statement<'a>) -> Option<(&'a str, Option<Meant<'a>>)> {
    let definition = statement.definition()?;
    Some((definition.name, definition.value.as_ref().map(|(_, value)| Meant::Written(value.quote, value.raw))))
}

fn refers_to(statement: &Statement<'_>, name: &str) -> bool {
    let value = statement.definition().and_then(|definition| definition.value.as_ref());
    value.is_some_and(|(_, value)| references(value.decode().expose()).contains(&name))
}

/// What `quoted` says before interpolation.
fn meaning(quoted: &SecretString) -> SecretString {
    let line = joined(&["A=", quoted.expose()]);
    let value = scan(line.expose()).first().and_then(defined).and_then(|(_, value)| value.map(|value| value.text()));
    value.unwrap_or_default()
}

fn joined(pieces: &[&str]) -> SecretString {
    let mut text = SecretString::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| text.push(piece));
    text
}

fn check_new_name(name: &str) -> Result<(), VariableError> {
    match is_portable_name(name) && !name.starts_with(RESERVED_PREFIX) {
        true => Ok(()),
        false => Err(VariableError::NewName),
    }
}
