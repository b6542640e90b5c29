//! Letting people in and out.

use std::path::Path;

use super::{ExitCode, Failure, chain, from_here, listed, shell_word};
use crate::config::editing::EditError;
use crate::document::{OpenError, RekeyError};
use crate::keys::keyring::Keyring;
use crate::ops::recipients::rules::RuleError;
use crate::ops::rewrap::RewrapError;

impl Failure {
    /// A person without a name, or one that is a key.
    pub fn no_person_name() -> Self {
        Self::new(ExitCode::Usage, "the person's name comes first, then the key")
            .hint("as in `dotsops recipients add alice age1…`; the name stands in .sops.yaml behind the key")
    }

    /// Nothing in what was given can be used.
    pub fn no_usable_key(place: &str) -> Self {
        Self::new(ExitCode::Malformed, format!("{place} has no key that can be used"))
            .hint("an age key (`dotsops keygen`) or an SSH key of type ed25519 or RSA is needed")
    }

    /// The key has another name in the config.
    pub fn known_by_another_name(key: &str, known: &str, name: &str) -> Self {
        Self::new(ExitCode::Refused, format!("{key} is not added for {name}")).because(format!(".sops.yaml says that it is {known}'s")).hint(
            format!("if {name} is that person, change the comment behind the key in .sops.yaml; else ask {name} for a key of their own"),
        )
    }

    /// No rule names anybody.
    pub fn no_rule_with_keys(config: &Path) -> Self {
        Self::new(ExitCode::Malformed, format!("no rule of {} names anybody yet", config.display()))
            .hint("`dotsops init` writes down your own key; others are added then")
    }

    /// It is not clear which rule is meant.
    pub fn several_rules(config: &Path, described: &[String]) -> Self {
        Self::new(ExitCode::Usage, format!("{} has several rules, and it is not said which is meant", config.display()))
            .because(format!("they are on {}", listed(described)))
            .hint("`-f FILE` means the rule that is for FILE, `--all-rules` all of them")
    }

    /// It is not clear which group is meant.
    pub fn which_group(rule: &str, groups: usize) -> Self {
        Self::new(ExitCode::Usage, format!("the rule on {rule} has {groups} key groups, and it is not said which is meant"))
            .hint(format!("`--group N`, from 0 to {}; `dotsops recipients list` shows who is in which", groups - 1))
    }

    /// A group that the rule does not have.
    pub fn no_such_rule_group(rule: &str, group: usize, groups: usize) -> Self {
        let failure = Self::new(ExitCode::Usage, format!("the rule on {rule} has no key group {group}"));
        match groups {
            0 | 1 => failure.hint("it has one group alone: leave --group out"),
            groups => failure.hint(format!("`--group N`, from 0 to {}", groups - 1)),
        }
    }

    /// Neither a name nor a key that is known.
    pub fn nobody_of_that_name(whom: &str, names: &[String]) -> Self {
        let failure = Self::new(ExitCode::No, format!("nobody is called {whom} in .sops.yaml, and no file has that key"));
        match names {
            [] => failure.because("its keys have no names").hint("give the public key, as `dotsops recipients list` shows it"),
            names => failure
                .because(format!("it names {}", listed(names)))
                .hint("`dotsops recipients list` shows who reads what; somebody without a name is named by their public key"),
        }
    }

    /// Nobody would be left in a file.
    pub fn last_reader(path: &Path) -> Self {
        Self::new(ExitCode::Refused, format!("nobody could read {} then, and nothing was changed", path.display()))
            .because("no other key opens it, or one of its key groups")
            .hint("let somebody else in first: `dotsops recipients add NAME KEY`")
    }

    /// Whoever puts others out would be out too.
    pub fn would_lock_oneself_out(files: &str) -> Self {
        Self::new(ExitCode::Refused, format!("none of your identities could read {files} then, and nothing was changed"))
            .hint("if that is meant: `--lock-myself-out`; somebody who stays could do it as well")
    }

    /// A file that could not be put under a new key.
    pub fn rotate_for(path: &Path, error: RewrapError, keyring: &Keyring) -> Self {
        match error {
            RewrapError::Rekey(RekeyError::Decrypt(error)) => Self::cannot_open(path, &OpenError::Decrypt(error), keyring),
            error => Self::rewrap(path, error),
        }
    }
}

impl From<RuleError> for Failure {
    fn from(RuleError { config, source }: RuleError) -> Self {
        let shown = from_here(&config);
        let word = shell_word(&shown);
        let failure = Self::new(ExitCode::Refused, format!("{} is not edited, and nothing was changed", shown.display()));
        let failure = failure.because(chain(&source));
        match source {
            EditError::LastOfGroup { .. } => {
                failure.hint("nobody could read its files then: let somebody else in first (`dotsops recipients add NAME KEY`)")
            }
            EditError::Unsafe { line, .. } => failure.hint(format!(
                "change line {line} of {word} by hand, then `dotsops updatekeys` makes the files follow it (`dotsops rotate` after \
                 somebody was put out)"
            )),
            EditError::NameCharacter { .. } | EditError::NameEdges | EditError::NameTooLong => {
                Self { code: ExitCode::Usage, ..failure }.hint("choose a plain name, as in `dotsops recipients add alice age1…`")
            }
            EditError::Yaml(_) | EditError::Invalid(_) => Self { code: ExitCode::Malformed, ..failure }
                .hint(format!("correct it there; `dotsops rule FILE` says which rule of {word} counts")),
            _ => failure.hint(format!("look at what stands in {word}, then run it again")),
        }
    }
}
