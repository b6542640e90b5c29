//! Whether files are what their rules want them to be, as far as that can be told without any key.
//!
//! Knows a file's bytes, the rules and the example beside it; must not know how findings are told. Its one invariant: no value gets
//! into a finding, only names, recipients and lines.

mod entries;
mod example;
mod finding;
pub mod place;
mod readers;

use std::path::Path;

pub use finding::{Example, Finding, Level, Reason, Recipient, Sort};

use super::edit::example::is_example;
use super::file::{self, FileError};
use crate::config::{Config, ConfigError};
use crate::dialect::{self, scanner};
use crate::document::EncryptedDocument;
use crate::format::{ParseError, Syntax, detect, dotenv, has_tokens};
use crate::secret::SecretBytes;
use place::Place;

/// A file to look at.
pub struct Subject<'a> {
    /// Its absolute path, which rules are asked with.
    pub path: &'a Path,
    /// What it is called in messages.
    pub shown: &'a Path,
    /// Its bytes.
    pub bytes: &'a SecretBytes,
    /// The rules that are nearest to it.
    pub config: Option<&'a Config>,
}

/// What a file is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// An encrypted dotenv file.
    Encrypted,
    /// An encrypted file of another syntax, which this version cannot read.
    OtherSyntax,
    /// A plaintext with a dotenv name that has something to protect.
    Plaintext,
    /// A list of names to fill in, a plaintext without any value, or no dotenv file at all.
    Other,
}

impl Subject<'_> {
    /// What the file is, by content and name.
    pub fn nature(&self) -> Nature {
        let text = self.bytes.expose();
        let has_name = Syntax::by_path(self.path) == Syntax::Dotenv;
        match detect(text) {
            Some(Syntax::Dotenv) if has_name || self.is_whole() => Nature::Encrypted,
            Some(Syntax::Dotenv) | None if !has_name => Nature::Other,
            Some(Syntax::Dotenv) => Nature::Encrypted,
            Some(_) => Nature::OtherSyntax,
            None if has_tokens(text) => Nature::Encrypted,
            None if is_example(self.path) || !has_values(text) => Nature::Other,
            None => Nature::Plaintext,
        }
    }

    /// Whether the file parses and has what every encrypted file has; a text about such files has not.
    fn is_whole(&self) -> bool {
        let text = self.bytes.expose();
        let has = |field: &[u8]| text.split(|byte| *byte == b'\n').any(|line| line.starts_with(field));
        has(b"sops_mac=") && has(b"sops_version=") && file::parse_secret(self.shown, self.bytes, Some(Syntax::Dotenv)).is_ok()
    }

    /// Whether a rule wants the file encrypted.
    ///
    /// # Errors
    /// [`ConfigError`] if the rules cannot be used.
    pub fn is_governed(&self) -> Result<bool, ConfigError> {
        match self.config.map(|config| config.rule_for(self.path)) {
            None | Some(Ok(None) | Err(ConfigError::NoMatchingRule { .. })) => Ok(false),
            Some(Ok(Some(_))) => Ok(true),
            Some(Err(error)) => Err(error),
        }
    }

    /// All there is to say about an encrypted file, in the order of its lines; `place` has the example beside it.
    ///
    /// # Errors
    /// [`ConfigError`] if the rules cannot be used.
    pub fn judge(&self, place: &Place) -> Result<Vec<Finding>, ConfigError> {
        let document = match self.document() {
            Ok(document) => document,
            Err(error) => return Ok(vec![Finding { line: line_of(&error), ..Finding::of(Sort::Damaged(Box::new(error))) }]),
        };
        let lines = dotenv::item_lines(self.bytes.expose());
        let mut findings = entries::judge(&document, &lines, self.bytes.expose());
        findings.extend(readers::judge(self, &document.metadata)?);
        findings.extend(example::judge(self, &document.tree, place));
        // What is about the whole file comes first.
        findings.sort_by_key(|finding| finding.line);
        Ok(findings)
    }

    fn document(&self) -> Result<EncryptedDocument, FileError> {
        let (_, contents) = file::parse_secret(self.shown, self.bytes, None)?;
        EncryptedDocument::new(contents).map_err(|source| FileError::NotADocument { path: self.shown.to_owned(), source })
    }
}

/// Whether a plaintext gives any variable a value, or tries to.
fn has_values(text: &[u8]) -> bool {
    let Ok(decoded) = dialect::decode(text) else { return true };
    scanner::Scanner::new(decoded.text.expose()).any(|statement| match statement.kind {
        scanner::Kind::Definition(definition) => definition.value.is_some_and(|(_, value)| !value.raw.is_empty()),
        scanner::Kind::Failed { .. } => true,
        scanner::Kind::Blank | scanner::Kind::Comment { .. } => false,
    })
}

fn line_of(error: &FileError) -> Option<usize> {
    let FileError::Parse { source, .. } = error else { return None };
    match source {
        ParseError::TooManyEntries { line }
        | ParseError::NoEquals { line }
        | ParseError::MergeConflict { line }
        | ParseError::StrayCarriageReturn { line }
        | ParseError::Metadata { line, .. } => Some(*line),
        _ => None,
    }
}

/// What is wrong with the rules themselves, whatever the files are.
pub fn judge_config(config: &Config) -> Vec<Finding> {
    let warnings = config.warnings.iter().map(|warning| Finding {
        line: Some(warning.line),
        name: None,
        sort: Sort::Misspelled { field: warning.field.clone(), meant: warning.meant },
    });
    let stranger = config.writable_by.map(|stranger| Finding::of(Sort::WritableBy(stranger)));
    warnings.chain(stranger).collect()
}
