//! What a program would get for one name.

use super::error::VariableError;
use super::find::Variables;
use crate::dialect;
use crate::dialect::interpolation::Precedence;
use crate::dialect::scanner::{Kind, Quote, scan};
use crate::format::dotenv;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::Item;

/// A value, and what the user should know about it.
pub struct Found {
    /// The value.
    pub value: SecretString,
    /// What is odd about it.
    pub notices: Vec<Notice>,
}

/// Something odd about a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// These lines define it, and the last counts.
    Duplicate {
        /// The file's lines.
        lines: Vec<usize>,
    },
    /// It holds a line break outside of quotes, which sops passes on as one, and python-dotenv as a backslash and an n.
    BareLineBreak,
}

impl Variables<'_> {
    /// The value that `dotenv run` would give to a program for `name`. `environment` is asked for what the file does not define.
    ///
    /// # Errors
    /// [`VariableError::Missing`] and its kind if a program would get nothing, [`VariableError::OpenLines`].
    pub fn value(&self, name: &str, environment: &dyn Fn(&str) -> Option<SecretString>) -> Result<Found, VariableError> {
        let text = self.read.expose();
        let statements = scan(text);
        let found = self.occurrences(name, &statements);
        if let Some(open) = found.iter().find(|occurrence| occurrence.is_open) {
            return Err(VariableError::OpenLines { name: name.to_owned(), line: open.line() });
        }
        let Some(last) = found.iter().rev().find(|occurrence| occurrence.is_defined) else {
            return Err(match found.last().map(|failed| (failed.line(), &statements[failed.statement].kind)) {
                Some((line, Kind::Failed { failure, .. })) => {
                    VariableError::Ignored { name: name.to_owned(), line, failure: *failure }
                }
                _ => self.hidden(name, &found).unwrap_or_else(|| self.missing(vec![name.to_owned()])),
            });
        };
        let reading = dialect::read(text, Precedence::FileFirst, environment);
        let line = last.line();
        let Some(binding) = reading.bindings.into_iter().find(|binding| binding.key == name) else {
            let failure = dialect::scanner::Failure::TooLarge;
            return Err(VariableError::Ignored { name: name.to_owned(), line, failure });
        };
        let value = binding.value.ok_or_else(|| VariableError::NoValue { name: name.to_owned(), line })?;

        let mut notices = Vec::new();
        if found.len() > 1 {
            notices.push(Notice::Duplicate { lines: found.iter().map(|occurrence| occurrence.line()).collect() });
        }
        let definition = statements[last.statement].definition();
        let is_bare =
            definition.and_then(|definition| definition.value.as_ref()).is_some_and(|(_, value)| value.quote == Quote::None);
        if is_bare && self.stored_value(*last.items.start()).is_some_and(|stored| stored.expose().contains(&b'\n')) {
            notices.push(Notice::BareLineBreak);
        }
        Ok(Found { value, notices })
    }

    /// The value of `name` as it is stored, quotes and comment included, with a real LF for each line break; of several the last.
    ///
    /// # Errors
    /// [`VariableError::Missing`].
    pub fn literal(&self, name: &str) -> Result<SecretBytes, VariableError> {
        let item = self.stored_names().filter(|(_, stored)| stored == name).last().map(|(item, _)| item);
        item.and_then(|item| self.stored_value(item)).ok_or_else(|| self.missing(vec![name.to_owned()]))
    }

    pub(super) fn missing(&self, names: Vec<String>) -> VariableError {
        VariableError::Missing { names, known: self.names() }
    }

    fn stored_value(&self, item: usize) -> Option<SecretBytes> {
        match self.document.tree.first().get(item)? {
            Item::Entry(_, value) => dotenv::value_text(value),
            Item::Comment(_) | Item::BlankLine => None,
        }
    }
}
