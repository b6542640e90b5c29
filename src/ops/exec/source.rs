//! One file's variables, and whether each may reach a program.
//!
//! Its one invariant: what decides about a variable is authentic. A line that is empty or in clear can be added by anybody who can
//! change the file, without a key and unnoticed by the MAC; such a line never hides, blanks or extends another.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

use super::known::Answer;
use super::policy::{self, Effect};
use super::report::{ExecError, Reason, Warning};
use super::{Options, Variable};
use crate::dialect::interpolation::{Precedence, references};
use crate::dialect::names::is_portable_name;
use crate::dialect::scanner::scan;
use crate::dialect::{self, Failed, Reading};
use crate::document::EncryptedDocument;
use crate::format::{Format, Syntax, dotenv};
use crate::keys::keyring::Keyring;
use crate::ops::file::{self, FileError};
use crate::ops::merge::marks::unresolved;
use crate::secret::{DataKey, SecretBytes, SecretString};
use crate::tree::{Item, Scalar, Tree, Value};

/// One opened file.
pub(super) struct Source<'a> {
    path: &'a Path,
    content: Content,
}

enum Content {
    /// The user's own word: nobody else's key protects it, so nothing in it is told apart.
    Plaintext(SecretBytes),
    Encrypted {
        tree: Tree,
        standings: Vec<Standing>,
        mac_only_encrypted: bool,
        /// What an answer about the file is bound to.
        data_key: DataKey,
    },
}

/// How far a change of an item would have been noticed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// An encrypted value: nobody without a key could have added, moved or changed it.
    Authentic,
    /// A value in clear. The MAC covers it, unless it covers encrypted values alone.
    Clear,
    /// An empty value: anybody can add or remove it.
    Empty,
    /// A comment or a blank line, encrypted or not: anybody can add, repeat, move or remove it.
    Loose,
}

/// The plaintext as python-dotenv would read it.
struct Plaintext {
    text: SecretString,
    /// For each line of the text: the item of the tree it comes from. Of a plaintext file, every line is an item.
    items: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Opens `path` with what is in `keyring`; a plaintext is taken as it is, with a warning, if `plaintext_allowed`.
    pub(super) fn read(
        path: &'a Path,
        keyring: &Keyring,
        plaintext_allowed: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, ExecError> {
        let bytes = file::read_bytes(path)?.bytes;
        if !file::is_encrypted(path, bytes.expose())? {
            if !plaintext_allowed {
                return Err(ExecError::Plaintext { path: path.to_owned() });
            }
            warnings.push(Warning::Plaintext { path: path.to_owned() });
            return Ok(Self { path, content: Content::Plaintext(bytes) });
        }
        let (_, contents) = file::parse_secret(path, &bytes, None)?;
        let not_a_document = |source| FileError::NotADocument { path: path.to_owned(), source };
        let document = EncryptedDocument::new(contents).map_err(not_a_document)?;
        let document = document.open(keyring).map_err(|source| ExecError::Open { path: path.to_owned(), source })?;
        let pairs = document.tree.first().iter().zip(document.encrypted().tree.first());
        let standings = pairs.map(|(plaintext, encrypted)| standing(plaintext, encrypted)).collect();
        // A value that nobody has chosen reaches no program, be it passed or only referred to.
        let undecided = unresolved(&document).into_iter().next();
        let mac_only_encrypted = document.metadata().mac_only_encrypted;
        let data_key = document.data_key().copy();
        let source = Self { path, content: Content::Encrypted { tree: document.tree, standings, mac_only_encrypted, data_key } };
        match undecided {
            Some(mark) => Err(source.named_refusal(mark.item, mark.name.unwrap_or_default(), Reason::Undecided)),
            None => Ok(source),
        }
    }

    /// The items as they are: names and values verbatim, comments left out, the last of two equal names.
    pub(super) fn literal(&self, options: &Options, warnings: &mut Vec<Warning>) -> Result<Vec<Variable>, ExecError> {
        let mut variables: Vec<Variable> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut items_of: Vec<Vec<usize>> = Vec::new();
        let parsed;
        let tree = match &self.content {
            Content::Encrypted { tree, .. } => tree,
            Content::Plaintext(bytes) => {
                parsed = file::parse_secret(self.path, bytes, Some(Syntax::Dotenv))?.1.tree;
                &parsed
            }
        };
        for (index, item) in tree.first().iter().enumerate() {
            let Item::Entry(key, value) = item else { continue };
            let passed_as = options.names.passed_as(&key.to_string());
            let text = match (dotenv::value_text(value), &passed_as) {
                (Some(text), _) => text,
                (None, Some(_)) => return Err(self.refusal(index, &key.to_string(), Reason::NotText)),
                (None, None) => continue,
            };
            let variable = self.checked(index, key.as_bytes().to_vec(), text, passed_as.is_some())?;
            let place = *places.entry(key.as_bytes()).or_insert(variables.len());
            match variables.get_mut(place) {
                Some(known) => *known = variable,
                None => variables.push(variable),
            }
            match items_of.get_mut(place) {
                Some(items) => items.push(index),
                None => items_of.push(vec![index]),
            }
        }
        for (variable, items) in variables.iter_mut().zip(items_of) {
            let name = String::from_utf8_lossy(&variable.name);
            let passed_as = options.names.passed_as(&name);
            variable.is_protected =
                self.check_protection(&name, passed_as.as_deref(), &items, items.len() > 1, options, warnings)?;
            if let Some(passed_as) = passed_as {
                self.warn_of(&name, &passed_as, items[0], items.len() > 1, warnings);
            }
        }
        Ok(variables)
    }

    /// What python-dotenv makes of the plaintext. `earlier` gives the values of the files before this one.
    pub(super) fn values(
        &self,
        earlier: &dyn Fn(&str) -> Option<SecretString>,
        options: &Options,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<Variable>, ExecError> {
        let plaintext = self.plaintext()?;
        let precedence = if options.keep_existing { Precedence::EnvironmentFirst } else { Precedence::FileFirst };
        let lookup = |name: &str| match precedence {
            Precedence::FileFirst => earlier(name).or_else(|| (options.inherited)(name)),
            Precedence::EnvironmentFirst => (options.inherited)(name).or_else(|| earlier(name)),
        };
        let reading = dialect::read(plaintext.text.expose(), precedence, &lookup);
        for failed in &reading.failed {
            let items = plaintext.items_of(&failed.lines);
            if !self.is_left_out(failed, &items, options) {
                return Err(self.refusal(items[0], &self.name_of(items[0]), Reason::Dropped(failed.failure)));
            }
        }
        let statements = statements_by_name(&reading);
        self.check_references(&plaintext, &statements, options, warnings)?;
        let mut variables = Vec::with_capacity(reading.bindings.len());
        for binding in reading.bindings {
            let name = binding.key;
            let all = &statements[name.as_str()];
            for lines in all {
                self.check_span(&name, &plaintext.items_of(lines), warnings)?;
            }
            let items: Vec<usize> = all.iter().flat_map(|lines| plaintext.items_of(lines)).collect();
            let passed_as = options.names.passed_as(&name);
            let is_protected = self.check_protection(&name, passed_as.as_deref(), &items, all.len() > 1, options, warnings)?;
            if let Some(passed_as) = &passed_as {
                self.warn_of(&name, passed_as, items[0], all.len() > 1, warnings);
            }
            let item = plaintext.item(*binding.lines.start());
            let value = match binding.value {
                Some(value) => value.into_bytes(),
                None if passed_as.is_none() => continue,
                // A word without `=` may as well be a piece of a value that was torn off.
                None => return Err(self.refusal(item, "", Reason::NoValue)),
            };
            variables.push(Variable { is_protected, ..self.checked(item, name.into_bytes(), value, passed_as.is_some())? });
        }
        Ok(variables)
    }

    /// An item is one line, unless a carriage return in it counts as a line end, as it does for Python.
    fn plaintext(&self) -> Result<Plaintext, ExecError> {
        let tree = match &self.content {
            Content::Plaintext(bytes) => return self.decoded(bytes, Vec::new()),
            Content::Encrypted { tree, .. } => tree,
        };
        let mut items = Vec::with_capacity(tree.first().len());
        for (index, item) in tree.first().iter().enumerate() {
            let more_lines = match item {
                Item::BlankLine => 0,
                Item::Comment(comment) => lone_returns(b"", comment.text.expose()),
                Item::Entry(key, value) => lone_returns(key.as_bytes(), dotenv::value_text(value).unwrap_or_default().expose()),
            };
            items.extend(std::iter::repeat_n(index, more_lines + 1));
        }
        let bytes = dotenv::Dotenv.emit(tree, None, None).map_err(|_| self.refusal(0, "", Reason::NotText))?;
        self.decoded(&bytes, items)
    }

    fn decoded(&self, bytes: &SecretBytes, items: Vec<usize>) -> Result<Plaintext, ExecError> {
        match dialect::decode(bytes.expose()) {
            Ok(decoded) => Ok(Plaintext { text: decoded.text, items }),
            Err(error) => {
                let item = items.get(error.line - 1).copied().unwrap_or(error.line - 1);
                Err(self.refusal(item, &self.name_of(item), Reason::NotUtf8))
            }
        }
    }

    /// Whether nothing that is to be passed can have been meant by a line that python-dotenv drops.
    fn is_left_out(&self, failed: &Failed, items: &[usize], options: &Options) -> bool {
        let is_left_out = |name: &str| options.names.passed_as(name).is_none();
        match (&self.content, &failed.name) {
            (Content::Plaintext(_), Some(name)) => items.len() == 1 && is_left_out(name),
            (Content::Plaintext(_), None) => false,
            (Content::Encrypted { .. }, _) => items.iter().all(|item| match self.item(*item) {
                Some(Item::Entry(key, _)) => is_left_out(&file::variable_name(key)),
                _ => false,
            }),
        }
    }

    /// An authentic value that takes in `${NAME}` is only as authentic as what defines that name in the file.
    fn check_references(
        &self,
        plaintext: &Plaintext,
        statements: &HashMap<String, Vec<RangeInclusive<usize>>>,
        options: &Options,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ExecError> {
        let Content::Encrypted { mac_only_encrypted, .. } = &self.content else { return Ok(()) };
        for statement in scan(plaintext.text.expose()) {
            let Some(definition) = statement.definition() else { continue };
            let item = plaintext.item(*statement.lines.start());
            let Some((_, value)) = definition.value.as_ref().filter(|_| self.standing(item) == Standing::Authentic) else {
                continue;
            };
            for name in references(value.decode().expose()) {
                let Some(lines) = statements.get(name) else { continue };
                let items: Vec<usize> = lines.iter().flat_map(|lines| plaintext.items_of(lines)).collect();
                let is = |standing| items.iter().any(|item| self.standing(*item) == standing);
                let is_allowed = options.allow.iter().any(|allowed| allowed == name);
                let referred = self.shown(items[0], name);
                if *mac_only_encrypted && is(Standing::Clear) && !is_allowed {
                    return Err(self.refusal(item, definition.name, Reason::RefersToClear(referred)));
                }
                if is(Standing::Empty) && !is_allowed {
                    let name = self.shown(item, definition.name);
                    warnings.push(Warning::RefersToEmpty { path: self.path.to_owned(), name, referred });
                }
            }
        }
        Ok(())
    }

    /// A statement over several items is what plain sops makes of a value with line breaks. Nothing loose may take part in it, nor may
    /// a comment with a carriage return be a statement of its own.
    fn check_span(&self, name: &str, items: &[usize], warnings: &mut Vec<Warning>) -> Result<(), ExecError> {
        let first = items[0];
        if items.iter().any(|item| self.standing(*item) == Standing::Loose) {
            return Err(self.refusal(first, name, Reason::TakesInComment));
        }
        if items.len() == 1 {
            return Ok(());
        }
        if !items.iter().all(|item| self.standing(*item) == Standing::Authentic) {
            return Err(self.refusal(first, name, Reason::SwallowsOpenLine));
        }
        if matches!(self.content, Content::Encrypted { .. }) {
            warnings.push(Warning::SeveralLines { path: self.path.to_owned(), line: first + 1, name: self.shown(first, name) });
        }
        Ok(())
    }

    /// Whether every line of the name is authentic, if it may pass at all. What it does is asked of the name it is `passed_as`.
    fn check_protection(
        &self,
        name: &str,
        passed_as: Option<&str>,
        items: &[usize],
        twice: bool,
        options: &Options,
        warnings: &mut Vec<Warning>,
    ) -> Result<bool, ExecError> {
        let first = items.first().copied().unwrap_or_default();
        let is_protected = items.iter().all(|item| self.standing(*item) == Standing::Authentic);
        if twice && !is_protected {
            return Err(self.refusal(first, name, Reason::OpenDuplicate));
        }
        let Some(passed_as) = passed_as.filter(|name| policy::effect(name) == Effect::LoadsCode) else {
            return Ok(is_protected);
        };
        let refusal = |reason| {
            let name = self.shown_as_passed(first, name, passed_as);
            self.named_refusal(first, name, reason)
        };
        if !is_protected {
            return Err(refusal(Reason::LoadsCodeOpen));
        }
        if options.allow.iter().any(|allowed| allowed == passed_as) || self.is_agreed(passed_as, options, warnings) {
            return Ok(is_protected);
        }
        Err(refusal(Reason::LoadsCode))
    }

    /// Whether the user agrees, or did before, to a name that loads code. A plaintext has no key that an answer could be bound to.
    fn is_agreed(&self, passed_as: &str, options: &Options, warnings: &mut Vec<Warning>) -> bool {
        let answer = match &self.content {
            Content::Encrypted { data_key, .. } => options.known.and_then(|known| known.answer(self.path, data_key, passed_as)),
            Content::Plaintext(_) => None,
        };
        if answer.as_ref().is_some_and(Answer::is_yes) {
            return true;
        }
        if !(options.ask)(self.path, passed_as, answer.is_some()) {
            return false;
        }
        if let Some(Err(source)) = answer.map(|answer| answer.remember()) {
            warnings.push(Warning::NotRemembered { name: passed_as.to_owned(), source });
        }
        true
    }

    fn standing(&self, item: usize) -> Standing {
        match &self.content {
            Content::Plaintext(_) => Standing::Authentic,
            Content::Encrypted { standings, .. } => standings.get(item).copied().unwrap_or(Standing::Loose),
        }
    }

    fn item(&self, item: usize) -> Option<&Item> {
        match &self.content {
            Content::Plaintext(_) => None,
            Content::Encrypted { tree, .. } => tree.first().get(item),
        }
    }

    fn warn_of(&self, name: &str, passed_as: &str, item: usize, twice: bool, warnings: &mut Vec<Warning>) {
        let (path, shown) = (self.path.to_owned(), self.shown(item, name));
        if twice {
            warnings.push(Warning::Duplicate { path: path.clone(), name: shown.clone() });
        }
        if let Some(Item::Entry(_, Value::Scalar(Scalar::Int(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::Time(_)))) =
            self.item(item)
        {
            warnings.push(Warning::Typed { path: path.clone(), name: shown });
        }
        if policy::effect(passed_as) == Effect::Redirects {
            warnings.push(Warning::Redirects { path, name: self.shown_as_passed(item, name, passed_as) });
        } else if !is_identifier(passed_as) {
            warnings.push(Warning::OddName { path, name: self.shown_as_passed(item, name, passed_as) });
        }
    }

    /// A variable that a process can hold, or one that `is_passed` to none.
    fn checked(&self, item: usize, name: Vec<u8>, value: SecretBytes, is_passed: bool) -> Result<Variable, ExecError> {
        let shown = String::from_utf8_lossy(&name);
        if is_passed && name.is_empty() {
            return Err(self.refusal(item, "", Reason::EmptyName));
        }
        if is_passed && (name.contains(&b'=') || name.contains(&0)) {
            return Err(self.refusal(item, &shown, Reason::ImpossibleName));
        }
        if is_passed && value.expose().contains(&0) {
            return Err(self.refusal(item, &shown, Reason::Nul));
        }
        Ok(Variable { name, value, is_protected: false })
    }

    /// The variable's name in an item, as far as there is one.
    fn name_of(&self, item: usize) -> String {
        match self.item(item) {
            Some(Item::Entry(key, _)) => file::variable_name(key).into_owned(),
            _ => String::new(),
        }
    }

    /// `name` as it may be shown: only if it is the item's own, which anybody can read in the file. Another one comes out of a value,
    /// by a quote that swallowed text or by a carriage return.
    fn shown(&self, item: usize, name: &str) -> String {
        match self.item(item) {
            Some(Item::Entry(key, _)) if key.as_bytes() == name.as_bytes() => name.to_owned(),
            Some(_) => self.name_of(item),
            None if is_portable_name(name) => name.to_owned(),
            None => String::new(),
        }
    }

    /// The same of the name that the program sees. A prefix is the user's own text.
    fn shown_as_passed(&self, item: usize, name: &str, passed_as: &str) -> String {
        match self.shown(item, name) {
            shown if shown.is_empty() => shown,
            shown => format!("{}{shown}", passed_as.strip_suffix(name).unwrap_or_default()),
        }
    }

    fn refusal(&self, item: usize, name: &str, reason: Reason) -> ExecError {
        self.named_refusal(item, self.shown(item, name), reason)
    }

    fn named_refusal(&self, item: usize, name: String, reason: Reason) -> ExecError {
        let is_plaintext = matches!(self.content, Content::Plaintext(_));
        ExecError::Refused { path: self.path.to_owned(), line: item + 1, name, reason, is_plaintext }
    }
}

impl Plaintext {
    /// The item that `line`, counted from 1, comes from.
    fn item(&self, line: usize) -> usize {
        self.items.get(line - 1).copied().unwrap_or(line - 1)
    }

    fn items_of(&self, lines: &RangeInclusive<usize>) -> Vec<usize> {
        let mut items: Vec<usize> = lines.clone().map(|line| self.item(line)).collect();
        items.dedup();
        items
    }
}

/// For each name: the lines of every statement that defines it.
fn statements_by_name(reading: &Reading) -> HashMap<String, Vec<RangeInclusive<usize>>> {
    let mut statements: HashMap<String, Vec<RangeInclusive<usize>>> =
        reading.bindings.iter().map(|binding| (binding.key.clone(), vec![binding.lines.clone()])).collect();
    statements.extend(reading.duplicates.iter().map(|duplicate| (duplicate.key.clone(), duplicate.lines.clone())));
    statements
}

/// How many line ends Python sees in `start` followed by `end` besides the last: each CR, but for one at the very end.
fn lone_returns(start: &[u8], end: &[u8]) -> usize {
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\r').count();
    count(start) + count(end.strip_suffix(b"\r").unwrap_or(end))
}

fn standing(plaintext: &Item, encrypted: &Item) -> Standing {
    let (Item::Entry(_, Value::Scalar(plaintext)), Item::Entry(_, token)) = (plaintext, encrypted) else {
        return Standing::Loose;
    };
    let token = token.as_text().unwrap_or_default();
    match plaintext {
        _ if token.is_empty() => Standing::Empty,
        Scalar::Text(text) if text.expose() == token => Standing::Clear,
        _ => Standing::Authentic,
    }
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}
