//! The plaintext of a file, line by line as it is stored and statement by statement as it is read.
//!
//! An item of the tree is one line of the store, but may be several for python-dotenv, where a carriage return ends a line too; and a
//! statement may take in several items, where a quote is left open.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::error::VariableError;
use crate::dialect;
use crate::dialect::scanner::{Kind, Statement};
use crate::document::DecryptedDocument;
use crate::document::selection::Selection;
use crate::format::Format;
use crate::ops::change::plaintext;
use crate::ops::file::variable_name;
use crate::secret::SecretString;
use crate::tree::{Item, Scalar, Value};

/// The variables of an opened file.
pub struct Variables<'a> {
    pub(super) document: &'a DecryptedDocument,
    pub(super) format: &'static dyn Format,
    /// The plaintext as it is stored: a line for each item.
    pub(super) stored: SecretString,
    /// The same as it is read.
    pub(super) read: SecretString,
    /// What the rule of the file encrypts, if the file itself says something else.
    pub(super) rule: Option<&'a Selection>,
    /// For each line of `read`, its item.
    items: Vec<usize>,
}

/// A statement that gives a variable its value, or was to.
pub(super) struct Occurrence {
    /// Which statement.
    pub statement: usize,
    /// The items it is made of.
    pub items: RangeInclusive<usize>,
    /// Whether it defines the variable; else it fails.
    pub is_defined: bool,
    /// Whether nothing else stands in its items.
    pub is_alone: bool,
    /// Whether lines that anybody can have added take part in it.
    pub is_open: bool,
}

impl Occurrence {
    /// The file's line that it begins in.
    pub fn line(&self) -> usize {
        self.items.start() + 1
    }
}

impl<'a> Variables<'a> {
    /// Reads the plaintext of `document`.
    ///
    /// # Errors
    /// [`VariableError::Text`] if it is no UTF-8.
    pub fn of(document: &'a DecryptedDocument, format: &'static dyn Format) -> Result<Self, VariableError> {
        let stored = plaintext(document, format)?.shared();
        let read = dialect::decode_secret(stored.as_bytes())?.text;
        let mut items = Vec::new();
        for (item, line) in stored.expose().split_terminator('\n').enumerate() {
            let returns = line.strip_suffix('\r').unwrap_or(line).matches('\r').count();
            items.extend(std::iter::repeat_n(item, returns + 1));
        }
        Ok(Self { document, format, stored, read, rule: None, items })
    }

    /// The same, compared with what the `rule` of the file encrypts, if the file itself says something else.
    pub fn compared_with(self, rule: Option<&'a Selection>) -> Self {
        Self { rule, ..self }
    }

    /// The names in the file, each once.
    pub fn names(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        self.stored_names().map(|(_, name)| name).filter(|name| seen.insert(name.clone())).map(Cow::into_owned).collect()
    }

    /// Each item that has a name, and the variable it stands for.
    pub(super) fn stored_names(&self) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
        self.document.tree.first().iter().enumerate().filter_map(|(at, item)| match item {
            Item::Entry(key, _) => Some((at, variable_name(key))),
            Item::Comment(_) | Item::BlankLine => None,
        })
    }

    /// The statements of `name`, in order. `statements` are those of the whole text.
    pub(super) fn occurrences(&self, name: &str, statements: &[Statement<'_>]) -> Vec<Occurrence> {
        let found = statements.iter().enumerate().filter_map(|(at, statement)| {
            let is_defined = match &statement.kind {
                Kind::Definition(definition) if definition.name == name => true,
                Kind::Failed { name: Some(failed), .. } if *failed == name => false,
                _ => return None,
            };
            let (first_line, last_line) = (*statement.lines.start(), *statement.lines.end());
            let (first, last) = (self.item(first_line), self.item(last_line));
            let begins = first_line == 1 || self.item(first_line - 1) != first;
            let ends = self.items.get(last_line) != Some(&last);
            let is_open = match first == last {
                true => !matches!(self.document.tree.first().get(first), Some(Item::Entry(..))),
                false => !(first..=last).all(|item| self.is_authentic(item)),
            };
            Some(Occurrence { statement: at, items: first..=last, is_defined, is_alone: begins && ends, is_open })
        });
        found.collect()
    }

    /// The item of `line`, counted from 1. White space behind the last line belongs to the last item.
    pub(super) fn item(&self, line: usize) -> usize {
        self.items.get(line - 1).or(self.items.last()).copied().unwrap_or_default()
    }

    /// Whether nobody without a key could have added, moved or changed an item.
    fn is_authentic(&self, item: usize) -> bool {
        let (plaintext, encrypted) = (self.document.tree.first().get(item), self.document.encrypted().tree.first().get(item));
        let (Some(Item::Entry(_, Value::Scalar(plaintext))), Some(Item::Entry(_, token))) = (plaintext, encrypted) else {
            return false;
        };
        let token = token.as_text().unwrap_or_default();
        !token.is_empty() && !matches!(plaintext, Scalar::Text(text) if text.expose() == token)
    }
}
