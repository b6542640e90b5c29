//! Who can read a new file and which of its values are encrypted: options first, then the rule of `.sops.yaml`.
//!
//! Source: getsops/sops `cmd/sops/main.go` (`keyGroups`, `getEncryptConfig`), v3.13.3.

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError};
use crate::document::metadata::Metadata;
use crate::document::pattern::PatternError;
use crate::document::selection::{Selection, SelectionOption};
use crate::keys::age::recipient::RecipientError;
use crate::keys::group::{KeyGroup, wrap_for_all};
use crate::keys::keyring::Keyring;
use crate::keys::{Kind, WrapError, new_master_key};
use crate::secret::DataKey;

/// What the command line says about a new file.
#[derive(Default)]
pub struct Choice {
    /// age recipients. If there are any, the rule's keys do not count.
    pub age: Vec<String>,
    /// Selection options with a text.
    pub selection: Vec<(SelectionOption, String)>,
    /// Whether the MAC covers encrypted values alone.
    pub mac_only_encrypted: bool,
}

/// Makes the metadata of a new file at `path` (absolute) from the command line and `config`. No key is wrapped yet.
///
/// # Errors
/// [`NewFileError`]: nobody could read the file, or it is not clear what of it would be encrypted.
pub fn metadata(path: &Path, choice: &Choice, config: Option<&Config>) -> Result<Metadata, NewFileError> {
    // sops asks for a matching rule even if all keys are given as options, so that a config with rules is never passed by.
    let rule = config.map(|config| config.rule_for(path)).transpose()?.flatten();
    let mut group = KeyGroup::default();
    if choice.age.is_empty() {
        let rule = rule.ok_or_else(|| NewFileError::NoKeys { config: config.map(|config| config.path.clone()) })?;
        let groups: Vec<_> = rule.groups.iter().filter(|group| !group.keys.is_empty()).collect();
        let [only] = groups.as_slice() else {
            return Err(match groups.len() {
                0 => NewFileError::NoKeys { config: config.map(|config| config.path.clone()) },
                count => NewFileError::SeveralGroups { count, line: rule.line },
            });
        };
        for key in &only.keys {
            if key.kind != Kind::Age {
                return Err(NewFileError::KindNotSupported { kind: key.kind, line: key.line });
            }
            let key_error = |source| NewFileError::RuleRecipient { line: key.line, source };
            group.keys.push(new_master_key(key.kind, &key.recipient).map_err(key_error)?);
        }
    } else {
        for recipient in &choice.age {
            group.keys.push(new_master_key(Kind::Age, recipient)?);
        }
    }

    let mut selections = choice.selection.clone();
    if let Some((option, text)) = rule.and_then(|rule| rule.selection.as_ref())
        && !selections.iter().any(|(chosen, _)| chosen == option)
    {
        selections.push((*option, text.clone()));
    }
    selections.retain(|(_, text)| !text.is_empty());
    let selection = match selections.as_slice() {
        [] => Selection::default(),
        [(option, text)] => Selection::new(*option, text).map_err(|source| NewFileError::Pattern { option: *option, source })?,
        [(first, _), (second, _), ..] => return Err(NewFileError::SeveralSelections { first: *first, second: *second }),
    };
    let mac_only_encrypted = choice.mac_only_encrypted || rule.is_some_and(|rule| rule.mac_only_encrypted);
    Ok(Metadata::new(vec![group], selection, mac_only_encrypted))
}

/// Makes a data key and wraps it for everybody in `metadata`, with what the user may run for that.
///
/// # Errors
/// [`NewFileError::Randomness`], or [`NewFileError::Wrap`] naming the recipient it failed for.
pub fn data_key(metadata: &mut Metadata, keyring: &Keyring) -> Result<DataKey, NewFileError> {
    let data_key = DataKey::generate()?;
    wrap_for_all(&mut metadata.key_groups, &data_key, keyring)?;
    Ok(data_key)
}

/// Why a new file cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewFileError {
    /// Nobody could read it.
    #[error("nobody could read the file: no recipients are given")]
    NoKeys {
        /// The `.sops.yaml` that was looked at, if there is one.
        config: Option<PathBuf>,
    },
    /// Shamir groups.
    #[error("the rule on line {line} of .sops.yaml has {count} key groups; this version writes files with one")]
    SeveralGroups {
        /// How many.
        count: usize,
        /// Where the rule begins.
        line: usize,
    },
    /// A kind of key that this version cannot wrap for.
    #[error("line {line} of .sops.yaml names {} key; this version wraps for age keys", article(kind.title()))]
    KindNotSupported {
        /// Which.
        kind: Kind,
        /// Where it stands.
        line: usize,
    },
    /// A recipient of the rule is none.
    #[error("line {line} of .sops.yaml has no usable recipient")]
    RuleRecipient {
        /// Where it stands.
        line: usize,
        /// What is wrong with it.
        source: RecipientError,
    },
    /// A recipient of the command line is none.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// A pattern that would mean "encrypt nothing".
    #[error("`{}` is no pattern that can be used", option.field())]
    Pattern {
        /// The option.
        option: SelectionOption,
        /// What is wrong with it.
        source: PatternError,
    },
    /// Two selection options.
    #[error("`{}` and `{}` cannot be used for the same file", first.field(), second.field())]
    SeveralSelections {
        /// One of them.
        first: SelectionOption,
        /// The other.
        second: SelectionOption,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A recipient cannot be wrapped for.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The system has no randomness to give.
    #[error("the system gave no random numbers")]
    Randomness(#[from] getrandom::Error),
}

fn article(title: &str) -> String {
    let article = if title.starts_with(['A', 'a']) { "an" } else { "a" };
    format!("{article} {title}")
}
