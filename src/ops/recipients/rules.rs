//! A `.sops.yaml` whose recipients are about to change: as it is, and as it is to be.
//!
//! Knows which rules name whom, not which files they are for. Its one invariant: rules are told apart by their place in the file, which
//! an edit keeps; their lines are those of the text at hand.

use std::path::{Path, PathBuf};

use crate::config::editing::{self, EditError, NewRecipient, StringForm};
use crate::config::{Config, ConfigError, CreationRule, RuleKey};
use crate::keys::Kind;
use crate::keys::age::recipient::is_same;
use crate::secret::SecretBytes;
use crate::sys::regular_file::{FileDigest, read_regular};

/// The largest config, in bytes.
const SIZE: u64 = 1 << 20;

/// A config and its text.
pub struct Rules {
    /// What it says.
    pub config: Config,
    /// How it says so.
    text: String,
    /// What it was read from.
    before: FileDigest,
}

/// Some of a person's keys.
pub type Key = (Kind, String);

impl Rules {
    /// Reads the config at `path`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = read_regular(path, SIZE).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let before = FileDigest::of(file.bytes.expose());
        let text = String::from_utf8(file.bytes.expose().to_vec())
            .map_err(|error| ConfigError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
        Ok(Self { config: Config::parse(path, &text)?, text, before })
    }

    /// The same, to be edited.
    pub fn again(&self) -> Self {
        // It was read once, so it reads again.
        let config = Config::parse(self.path(), &self.text).unwrap_or_else(|_| unreachable!("the same text"));
        Self { config, text: self.text.clone(), before: self.before }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.config.path
    }

    /// Every rule that can be used, with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &CreationRule)> {
        self.config.rules().enumerate().filter_map(|(at, rule)| Some((at, rule.ok()?)))
    }

    /// The rule with this number.
    pub fn rule(&self, number: usize) -> Option<&CreationRule> {
        self.config.rules().nth(number)?.ok()
    }

    /// The number of the rule that governs the file `path`, which is absolute.
    ///
    /// # Errors
    /// [`ConfigError`]; `None` if there are no rules.
    pub fn governing(&self, path: &Path) -> Result<Option<usize>, ConfigError> {
        let Some(rule) = self.config.rule_for(path)? else { return Ok(None) };
        Ok(self.numbered().find(|(_, numbered)| std::ptr::eq(*numbered, rule)).map(|(at, _)| at))
    }

    /// The keys that any rule has a name for: those of `name`.
    pub fn keys_of(&self, name: &str) -> Vec<Key> {
        self.keys(|key| key.name.as_deref() == Some(name))
    }

    /// The keys in any rule that are the recipient `text`.
    pub fn keys_that_are(&self, text: &str) -> Vec<Key> {
        self.keys(|key| is_same(&key.recipient, text))
    }

    /// Every name, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for name in self.all_keys().filter_map(|key| key.name.as_ref()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn keys(&self, is_meant: impl Fn(&RuleKey) -> bool) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for key in self.all_keys().filter(|key| is_meant(key)) {
            if !keys.iter().any(|(kind, known)| *kind == key.kind && is_same(known, &key.recipient)) {
                keys.push((key.kind, key.recipient.clone()));
            }
        }
        keys
    }

    fn all_keys(&self) -> impl Iterator<Item = &RuleKey> {
        self.numbered().flat_map(|(_, rule)| &rule.groups).flat_map(|group| &group.keys)
    }

    /// Whether a name needs it to be said in what form the recipients of `group` of the rule are to be written.
    pub fn needs_form(&self, rule: usize, group: usize) -> bool {
        self.rule(rule).is_some_and(|rule| editing::needs_form(&self.text, rule.line, group))
    }

    /// The config with one recipient more in `group` of the rule.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn with(&self, rule: usize, group: usize, new: &NewRecipient<'_>, form: StringForm) -> Result<Self, RuleError> {
        self.edited(rule, |text, line| editing::add(text, line, group, new, form))
    }

    /// The config without a recipient of the rule.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn without(&self, rule: usize, (kind, recipient): &Key) -> Result<Self, RuleError> {
        self.edited(rule, |text, line| editing::remove(text, line, *kind, recipient))
    }

    fn edited(&self, rule: usize, edit: impl FnOnce(&str, usize) -> Result<String, EditError>) -> Result<Self, RuleError> {
        let failed = |source| RuleError { config: self.path().to_owned(), source };
        let line = self.rule(rule).map(|rule| rule.line).ok_or_else(|| failed(EditError::NoSuchRule { line: 0 }))?;
        let text = edit(&self.text, line).map_err(failed)?;
        // What the editor made it has read back, so this cannot fail.
        let config = Config::parse(self.path(), &text).map_err(|_| failed(EditError::NoSuchRule { line }))?;
        Ok(Self { config, text, before: self.before })
    }

    /// The text, and what the file must still be to be replaced by it.
    pub fn into_file(self) -> (PathBuf, SecretBytes, FileDigest) {
        (self.config.path, SecretBytes::from_vec(self.text.into_bytes()), self.before)
    }

    /// Whether the text is another one than that of `other`.
    pub fn differs_from(&self, other: &Self) -> bool {
        self.text != other.text
    }
}

/// Whether the rule names the key, in whatever group.
pub fn names(rule: &CreationRule, (kind, recipient): &Key) -> bool {
    let mut keys = rule.groups.iter().flat_map(|group| &group.keys);
    keys.any(|key| key.kind == *kind && is_same(&key.recipient, recipient))
}

/// A config is not edited.
#[derive(Debug, thiserror::Error)]
#[error("{} is not edited: {source}", config.display())]
pub struct RuleError {
    /// The config.
    pub config: PathBuf,
    /// Why.
    pub source: EditError,
}
