//! Who can read a new file and which of its values are encrypted: options first, then the rule of `.sops.yaml`.
//!
//! Source: getsops/sops `cmd/sops/main.go` (`keyGroups`, `getEncryptConfig`), v3.13.3.

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, CreationRule, RuleGroup, RuleKey};
use crate::document::metadata::Metadata;
use crate::document::pattern::PatternError;
use crate::document::selection::{Selection, SelectionOption};
use crate::keys::age::recipient::RecipientError;
use crate::keys::group::KeyGroup;
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
    /// How many key groups are needed to open the file, instead of what the rule says; 0 stands for all.
    pub threshold: Option<u32>,
}

/// Makes the metadata of a new file at `path` (absolute) from the command line and `config`. No key is wrapped yet.
///
/// # Errors
/// [`NewFileError`]: nobody could read the file, or it is not clear what of it would be encrypted.
pub fn metadata(path: &Path, choice: &Choice, config: Option<&Config>) -> Result<Metadata, NewFileError> {
    // sops asks for a matching rule even if all keys are given as options, so that a config with rules is never passed by.
    let rule = config.map(|config| config.rule_for(path)).transpose()?.flatten();
    let (groups, threshold) = if choice.age.is_empty() {
        let rule = rule.ok_or_else(|| match config {
            Some(config) => NewFileError::NoRules { config: config.path.clone() },
            None => NewFileError::NoKeys { config: None },
        })?;
        let groups = key_groups(rule)?;
        let threshold = match choice.threshold {
            None => threshold(rule)?,
            chosen => chosen,
        };
        (groups, threshold)
    } else {
        // As in sops, a rule that names somebody who is nobody is wrong also where options take its place.
        let age_keys =
            rule.iter().flat_map(|rule| &rule.groups).flat_map(|group| &group.keys).filter(|key| key.kind == Kind::Age);
        for RuleKey { recipient, line, .. } in age_keys {
            new_master_key(Kind::Age, recipient).map_err(|source| {
                let config = config.map(|config| config.path.clone()).unwrap_or_default();
                NewFileError::RuleRecipient { config, line: *line, source }
            })?;
        }
        let keys = choice.age.iter().map(|recipient| new_master_key(Kind::Age, recipient)).collect::<Result<_, _>>()?;
        // With one group it has no effect; sops writes it down all the same.
        (vec![KeyGroup { keys }], choice.threshold.or(rule.and_then(|rule| rule.shamir_threshold)))
    };

    // An empty text is the same as no option.
    let mut selections: Vec<_> = choice.selection.iter().filter(|(_, text)| !text.is_empty()).cloned().collect();
    if let Some((option, text)) = rule.and_then(|rule| rule.selection.as_ref())
        && !selections.iter().any(|(chosen, _)| chosen == option)
    {
        selections.push((*option, text.clone()));
    }
    let selection = match selections.as_slice() {
        [] => Selection::default(),
        [(option, text)] => Selection::new(*option, text).map_err(|source| NewFileError::Pattern { option: *option, source })?,
        [(first, _), (second, _), ..] => return Err(NewFileError::SeveralSelections { first: *first, second: *second }),
    };
    let mac_only_encrypted = choice.mac_only_encrypted || rule.is_some_and(|rule| rule.mac_only_encrypted);
    let mut metadata = Metadata::new(groups, selection, mac_only_encrypted);
    metadata.shamir_threshold = threshold.unwrap_or_default();
    Ok(metadata)
}

/// The key groups that `rule` asks for. No key is wrapped yet.
///
/// # Errors
/// [`NewFileError`], naming the config and the line of what cannot be used.
pub fn key_groups(rule: &CreationRule) -> Result<Vec<KeyGroup>, NewFileError> {
    if rule.groups.iter().all(|group| group.keys.is_empty()) {
        return Err(NewFileError::NoKeys { config: Some(rule.config.clone()) });
    }
    let key = |key: &RuleKey| {
        if key.kind != Kind::Age {
            return Err(NewFileError::KindNotSupported { config: rule.config.clone(), kind: key.kind, line: key.line });
        }
        let unusable = |source| NewFileError::RuleRecipient { config: rule.config.clone(), line: key.line, source };
        new_master_key(key.kind, &key.recipient).map_err(unusable)
    };
    let group = |group: &RuleGroup| match group.keys.as_slice() {
        [] => Err(NewFileError::EmptyGroup { config: rule.config.clone(), line: rule.line }),
        keys => Ok(KeyGroup { keys: keys.iter().map(key).collect::<Result<_, _>>()? }),
    };
    rule.groups.iter().map(group).collect()
}

/// How many of its groups `rule` asks for; `None` if it does not say.
///
/// # Errors
/// [`NewFileError::Threshold`] if that makes no sense.
pub fn threshold(rule: &CreationRule) -> Result<Option<u32>, NewFileError> {
    let groups = rule.groups.len();
    match rule.shamir_threshold.filter(|threshold| *threshold != 0) {
        Some(threshold) if groups > 1 && !(2..=groups).contains(&(threshold as usize)) => {
            Err(NewFileError::Threshold { config: rule.config.clone(), threshold, groups, line: rule.line })
        }
        threshold => Ok(threshold),
    }
}

/// Makes a data key and wraps it for everybody in `metadata`, with what the user may run for that.
///
/// # Errors
/// [`NewFileError::Randomness`], or [`NewFileError::Wrap`] naming the recipient it failed for.
pub fn data_key(metadata: &mut Metadata, keyring: &Keyring) -> Result<DataKey, NewFileError> {
    let data_key = DataKey::generate()?;
    metadata.wrap_data_key(&data_key, keyring)?;
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
    /// Nobody could read it: there is a `.sops.yaml`, but it has no `creation_rules`.
    #[error("nobody could read the file: no recipients are given")]
    NoRules {
        /// The `.sops.yaml`.
        config: PathBuf,
    },
    /// A group that nobody could open.
    #[error("{}: line {line}: the rule has a key group without keys", config.display())]
    EmptyGroup {
        /// The config.
        config: PathBuf,
        /// Where the rule begins.
        line: usize,
    },
    /// A threshold below 2, or more groups than there are.
    #[error("{}: line {line}: the rule asks for {threshold} of its {groups} key groups", config.display())]
    Threshold {
        /// The config.
        config: PathBuf,
        /// How many are to be needed.
        threshold: u32,
        /// How many there are.
        groups: usize,
        /// Where the rule begins.
        line: usize,
    },
    /// A kind of key that this version cannot wrap for.
    #[error("{}: line {line}: here is {} key; this version wraps for age keys", config.display(), article(kind.title()))]
    KindNotSupported {
        /// The config.
        config: PathBuf,
        /// Which.
        kind: Kind,
        /// Where it stands.
        line: usize,
    },
    /// A recipient of the rule is none.
    #[error("{}: line {line}: here is no usable recipient", config.display())]
    RuleRecipient {
        /// The config.
        config: PathBuf,
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

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
    const B: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn made(config: &str, choice: &Choice) -> Result<Metadata, NewFileError> {
        let config = config.replace("$A", A).replace("$B", B);
        let config = Config::parse(Path::new("/repo/.sops.yaml"), &config).unwrap();
        metadata(Path::new("/repo/x.env"), choice, Some(&config))
    }

    fn recipients(metadata: &Metadata) -> Vec<&str> {
        metadata.key_groups.iter().flat_map(|group| &group.keys).map(|key| key.recipient()).collect()
    }

    #[test]
    fn keys_of_the_command_line_take_the_place_of_the_rules_and_the_rest_of_the_rule_stays() {
        let config = "creation_rules: [{age: $A, encrypted_regex: X, mac_only_encrypted: true, shamir_threshold: 2}]";
        let metadata = made(config, &Choice { age: vec![B.to_owned()], ..Choice::default() }).ok().unwrap();
        assert_eq!(recipients(&metadata), [B]);
        assert_eq!((metadata.selection.text(), metadata.mac_only_encrypted, metadata.shamir_threshold), ("X", true, 2));
    }

    #[test]
    fn a_config_without_a_rule_for_the_file_is_not_passed_by_even_if_keys_are_given() {
        let choice = || Choice { age: vec![B.to_owned()], ..Choice::default() };
        for config in ["creation_rules: []", "creation_rules: [{path_regex: yaml, age: $A}]"] {
            let error = made(config, &choice()).err().unwrap();
            assert!(matches!(error, NewFileError::Config(ConfigError::NoMatchingRule { .. })), "{error}");
        }
        assert_eq!(recipients(&made("stores: {}", &choice()).ok().unwrap()), [B]);
        assert!(matches!(made("stores: {}", &Choice::default()), Err(NewFileError::NoRules { .. })));
        assert!(matches!(metadata(Path::new("/x"), &Choice::default(), None), Err(NewFileError::NoKeys { config: None })));
    }

    #[test]
    fn each_selection_option_comes_from_the_command_line_or_else_from_the_rule() {
        let chosen = |option, text: &str| Choice { selection: vec![(option, text.to_owned())], ..Choice::default() };
        let config = "creation_rules: [{age: $A, encrypted_regex: X}]";
        let text = |choice| made(config, &choice).map(|metadata| metadata.selection.text().to_owned());
        assert_eq!(text(chosen(SelectionOption::EncryptedRegex, "Y")).ok().unwrap(), "Y");
        assert_eq!(text(chosen(SelectionOption::EncryptedRegex, "")).ok().unwrap(), "X");
        assert_eq!(text(chosen(SelectionOption::EncryptedSuffix, "")).ok().unwrap(), "X");
        assert!(matches!(text(chosen(SelectionOption::EncryptedSuffix, "Y")), Err(NewFileError::SeveralSelections { .. })));
    }

    #[test]
    fn an_empty_group_among_others_is_refused_and_never_left_out() {
        let error = made("creation_rules:\n- key_groups: [{age: [$A]}, {}]", &Choice::default()).err().unwrap();
        assert!(matches!(error, NewFileError::EmptyGroup { line: 2, .. }), "{error}");
        let empty = ["creation_rules: [{}]", "creation_rules: [{key_groups: [{}]}]"];
        for config in empty {
            assert!(matches!(made(config, &Choice::default()), Err(NewFileError::NoKeys { config: Some(_) })), "{config}");
        }
    }
}
