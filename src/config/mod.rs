//! `.sops.yaml`: path → recipients and selection rules.
//!
//! Knows where the file is looked for, how it is written and which rule governs a path; must not know how a recipient wraps a key,
//! and reads no file but its own. One invariant: what sops takes from the file is what stands in the [`CreationRule`]; where sops
//! would fail, this fails too, naming the line.
//!
//! Source: getsops/sops `config/config.go`, tried against sops 3.13.3.

pub mod editing;
mod explain;
mod field;
mod key;
mod names;
mod rule;
mod stores;
mod template;
mod types;

use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

use self::names::Names;
use crate::document::pattern::Pattern;
use crate::sys::regular_file::{FileBytes, ReadError, read_regular};
use crate::yaml::{self, Document, YamlError};

pub use explain::{Explanation, NearMiss, PassedOver};
pub use field::{ConfigWarning, Fault, Problem};
pub use key::RuleKey;
pub use rule::{CreationRule, RuleGroup};
pub use stores::Stores;
pub use template::new_file_text;

/// The only name the file may have.
pub const FILE_NAME: &str = ".sops.yaml";

/// The name that people expect to work as well.
pub const IGNORED_NAME: &str = ".sops.yml";

/// How many folders are searched, the first included. Source: getsops/sops `config/config.go`, `maxDepth`.
const LEVELS: usize = 100;

/// The largest file that is read, in bytes.
const SIZE: u64 = 1 << 20;

/// One `.sops.yaml`.
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// A `.sops.yml` that was passed on the way to the file, which sops and we do not read.
    pub ignored: Option<PathBuf>,
    /// What is probably not meant as it stands, in file order.
    pub warnings: Vec<ConfigWarning>,
    /// Who besides the user and root can change the file, as far as its own owner and mode tell.
    pub writable_by: Option<Stranger>,
    /// How files of other syntaxes are to be laid out.
    pub stores: Stores,
    /// The folder that paths are relative to, absolute.
    directory: PathBuf,
    /// `None` if the file names no creation rules at all.
    rules: Option<Vec<Rule>>,
}

/// Somebody who can decide, by changing the config, who reads new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// The file belongs to this user, who is neither the current one nor root.
    Owner(u32),
    /// Everybody may write it.
    Everybody,
}

impl Stranger {
    fn of(file: &FileBytes) -> Option<Self> {
        if file.mode & 0o002 != 0 {
            return Some(Self::Everybody);
        }
        (!file.is_mine && file.owner != 0).then_some(Self::Owner(file.owner))
    }
}

impl std::fmt::Display for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner(user) => write!(f, "it belongs to user {user}"),
            Self::Everybody => f.write_str("everybody may write it"),
        }
    }
}

/// A rule and when it applies. A rule that does not apply may be broken: sops does not look at it either.
struct Rule {
    line: usize,
    applies: Applies,
    rule: Result<CreationRule, Fault>,
}

enum Applies {
    Always,
    Where(Pattern),
    Broken(Fault),
}

/// What was found on the way up from a folder.
#[derive(Debug, Default)]
pub struct Search {
    /// The first `.sops.yaml`.
    pub config: Option<PathBuf>,
    /// The first `.sops.yml` in a folder below it.
    pub ignored: Option<PathBuf>,
}

impl Search {
    /// Looks in `start` and the folders above it, at most 100 in all. `start` should be absolute: nothing is above a relative path.
    pub fn from(start: &Path) -> Self {
        let mut found = Self::default();
        for folder in start.ancestors().take(LEVELS) {
            let config = folder.join(FILE_NAME);
            if config.exists() {
                found.config = Some(config);
                break;
            }
            let ignored = folder.join(IGNORED_NAME);
            if found.ignored.is_none() && ignored.exists() {
                found.ignored = Some(ignored);
            }
        }
        found
    }
}

impl Config {
    /// Reads the first `.sops.yaml` in `start`, which is absolute, or a folder above it; `None` if there is none.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn find(start: &Path) -> Result<Option<Self>, ConfigError> {
        let found = Search::from(start);
        let Some(path) = found.config else { return Ok(None) };
        Ok(Some(Self { ignored: found.ignored, ..Self::load(&path)? }))
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], but never [`ConfigError::NoMatchingRule`]. A field of a wrong type spoils the whole file, as in sops; other
    /// mistakes inside a single rule are kept for [`Config::rule_for`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = match read_regular(path, SIZE) {
            Ok(file) => file,
            Err(ReadError::TooLarge { .. }) => return Err(ConfigError::TooLarge { path: path.to_owned() }),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        let writable_by = Stranger::of(&file);
        match String::from_utf8(file.bytes.expose().to_vec()) {
            Ok(text) => Ok(Self { writable_by, ..Self::parse(path, &text)? }),
            Err(error) => Err(ConfigError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() }),
        }
    }

    /// Reads `text` as if it stood in the file at `path`; paths are relative to the folder of `path`.
    ///
    /// # Errors
    /// [`ConfigError`], but never [`ConfigError::NoMatchingRule`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let absolute =
            std::path::absolute(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source: source.into() })?;
        let directory = clean(absolute.parent().unwrap_or(&absolute));
        if text.len() as u64 > SIZE {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        let document = yaml::load(text).map_err(|source| ConfigError::Yaml { path: path.to_owned(), source })?;
        let mut warnings = Vec::new();
        let invalid = |fault| ConfigError::Invalid { path: path.to_owned(), fault };
        let root = document.root.as_ref().filter(|root| !root.is_null());
        let stores = root.map(|root| stores::read(root.get("stores"))).transpose().map_err(invalid)?.unwrap_or_default();
        let rules = rules(path, &document, text, &mut warnings).map_err(invalid)?;
        Ok(Self { path: path.to_owned(), ignored: None, warnings, writable_by: None, stores, directory, rules })
    }

    /// The rule that governs `file`, an absolute path: the first whose `path_regex` is absent, empty or matches.
    ///
    /// The path is matched relative to the folder of the config if it lies in there, else as it is. Links are not followed. `None` if
    /// the config has no `creation_rules`; sops then goes on as if there were no config.
    ///
    /// # Errors
    /// [`ConfigError::NoMatchingRule`]; [`ConfigError::Invalid`] if the rule is broken, or the `path_regex` of one before it.
    pub fn rule_for(&self, file: &Path) -> Result<Option<&CreationRule>, ConfigError> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let file = clean(file);
        for Rule { applies, rule, .. } in rules {
            match applies {
                Applies::Broken(fault) => return Err(self.invalid(fault)),
                Applies::Where(pattern) if !pattern.matches(self.relative(&file)) => {}
                Applies::Where(_) | Applies::Always => return rule.as_ref().map(Some).map_err(|fault| self.invalid(fault)),
            }
        }
        Err(ConfigError::NoMatchingRule { path: self.path.clone(), file })
    }

    /// Every rule in file order, broken ones as errors; nothing if there are no `creation_rules`.
    pub fn rules(&self) -> impl Iterator<Item = Result<&CreationRule, ConfigError>> {
        self.rules.iter().flatten().map(|Rule { applies, rule, .. }| match (applies, rule) {
            (Applies::Broken(fault), _) | (_, Err(fault)) => Err(self.invalid(fault)),
            (_, Ok(rule)) => Ok(rule),
        })
    }

    fn relative<'file>(&self, file: &'file Path) -> &'file [u8] {
        let file = file.as_os_str().as_encoded_bytes();
        // As in sops, which cuts off text: a config in `/` has the prefix `//`, so that paths stay absolute there.
        let separator = [MAIN_SEPARATOR as u8];
        let inside = file.strip_prefix(self.directory.as_os_str().as_encoded_bytes());
        inside.and_then(|inside| inside.strip_prefix(separator.as_slice())).unwrap_or(file)
    }

    fn invalid(&self, fault: &Fault) -> ConfigError {
        ConfigError::Invalid { path: self.path.clone(), fault: fault.clone() }
    }
}

/// The path without `.` and `..`, taken as text like Go's `filepath.Clean`.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => cleaned.push(component),
        }
    }
    cleaned
}

fn rules(config: &Path, document: &Document, text: &str, warnings: &mut Vec<ConfigWarning>) -> Result<Option<Vec<Rule>>, Fault> {
    let Some(root) = document.root.as_ref().filter(|root| !root.is_null()) else { return Ok(None) };
    let fields = field::mapping(root).ok_or_else(|| Fault::at(root, Problem::NoMapping))?;
    field::warn_of_near_misses(fields, field::Place::File, warnings);
    // They are for sops's `publish` alone, so what stands in them is not looked at.
    field::list(root.get("destination_rules"), "destination_rules")?;
    // An empty list is something else than none: then no file has a rule.
    let Some(items) = field::list(root.get("creation_rules"), "creation_rules")? else { return Ok(None) };
    let mut rules = Vec::new();
    for item in items.iter().filter(|item| !item.is_null()) {
        let fields = field::mapping(item).ok_or_else(|| Fault::expected(item, "creation_rules", "a list of mappings"))?;
        field::warn_of_near_misses(fields, field::Place::Rule, warnings);
        types::check_rule(item)?;
        let applies = match field::text(item.get("path_regex"), "path_regex") {
            Ok(None) => Applies::Always,
            Ok(Some(regex)) => match field::pattern(item.get("path_regex"), "path_regex", &regex) {
                Ok(pattern) => Applies::Where(pattern),
                Err(fault) => Applies::Broken(fault),
            },
            Err(fault) => Applies::Broken(fault),
        };
        let rule = rule::read(item, config, Names { document, text }, warnings);
        rules.push(Rule { line: item.line, applies, rule });
    }
    Ok(Some(rules))
}

/// A config cannot be read, or does not say what it should. Names path and line; what stands there is repeated only where it is a
/// name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The system did not give us the file.
    #[error("cannot read {}", path.display())]
    Read {
        /// The config.
        path: PathBuf,
        /// The system's reason.
        source: ReadError,
    },
    /// Larger than any config needs to be.
    #[error("{} is larger than 1 MiB", path.display())]
    TooLarge {
        /// The config.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("{} is not UTF-8 at byte {offset}", path.display())]
    NotUtf8 {
        /// The config.
        path: PathBuf,
        /// How many bytes before the first bad one are good.
        offset: usize,
    },
    /// Not YAML.
    #[error("{}: {source}", path.display())]
    Yaml {
        /// The config.
        path: PathBuf,
        /// Where, and what was expected.
        source: YamlError,
    },
    /// YAML, but no config, or a rule that cannot be used.
    #[error("{}: {fault}", path.display())]
    Invalid {
        /// The config.
        path: PathBuf,
        /// Where, and what was expected.
        fault: Fault,
    },
    /// There are rules, and none is for this file.
    #[error("no creation rule of {} matches {}", path.display(), file.display())]
    NoMatchingRule {
        /// The config.
        path: PathBuf,
        /// The file.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests;
