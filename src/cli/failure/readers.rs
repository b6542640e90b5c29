//! Who can read a file: `.sops.yaml`, recipients, key groups.

use std::path::Path;

use super::open::plugin_hint;
use super::{ExitCode, Failure, counted, from_here, listed, shell_word, short};
use crate::config::{ConfigError, Fault, Problem, Stranger};
use crate::keys::WrapError;
use crate::keys::age::plugin::PluginError;
use crate::keys::age::recipient::RecipientError;
use crate::ops::new_file::NewFileError;
use crate::ops::rewrap::{RewrapError, SaveError};
use crate::sys::regular_file::ReadError;
use crate::yaml::{YamlError, YamlProblem};

impl Failure {
    /// A `.sops.yaml` outside of the work tree that somebody else can change.
    pub fn foreign_config(config: &Path, stranger: &Stranger) -> Self {
        Self::new(ExitCode::Refused, format!("{} is not used: it decides who reads new files", config.display()))
            .because(format!("it lies outside of this repository, and {stranger}"))
            .hint("put a .sops.yaml of your own into the repository (`dotsops init`)")
    }

    /// A variable of sops that asks for keys this version cannot wrap for.
    pub fn key_variable(name: &str) -> Self {
        Self::new(ExitCode::Usage, format!("{name} is set, and this version wraps for age keys only"))
            .hint(format!("use sops for this file, or unset {name}"))
    }

    /// Who encrypts could not read the result.
    pub fn blind(recipients: &[String]) -> Self {
        let recipients: Vec<String> = recipients.iter().map(|recipient| short(recipient)).collect();
        Self::new(ExitCode::Refused, "you could not read what is encrypted here: no recipient is one of your identities")
            .because(format!("it would be encrypted to {}", listed(&recipients)))
            .hint("if that is meant: --blind; `dotsops keygen` makes an identity, whose public key belongs into .sops.yaml or --age")
    }

    /// Who can read a new file is not clear.
    pub fn new_file(error: &NewFileError) -> Self {
        let hint_at_rule = "`dotsops init` writes down who can read the files of this folder, you to begin with; or say it once: `--age PUBLIC_KEY`";
        match error {
            NewFileError::NoKeys { config: None } => {
                Self::of(ExitCode::Malformed, error).because("there is no .sops.yaml here or above").hint(hint_at_rule)
            }
            NewFileError::NoKeys { config: Some(path) } => Self::of(ExitCode::Malformed, error)
                .because(format!("the rule of {} names no keys", path.display()))
                .hint(hint_at_rule),
            NewFileError::NoRules { config } => Self::of(ExitCode::Malformed, error)
                .because(format!("{} has no `creation_rules`", config.display()))
                .hint(hint_at_rule),
            NewFileError::KindNotSupported { .. } => {
                Self::of(ExitCode::Malformed, error).hint("use sops for this file, or name age recipients with --age")
            }
            NewFileError::EmptyGroup { .. } => {
                Self::of(ExitCode::Malformed, error).hint("nobody could open that group: give it keys, or take it out")
            }
            NewFileError::Threshold { groups, .. } => {
                Self::of(ExitCode::Malformed, error).hint(format!("`shamir_threshold` can be from 2 to {groups} there"))
            }
            NewFileError::RuleRecipient { source, .. } | NewFileError::Recipient(source) => {
                Self::of(ExitCode::Malformed, error).hint(recipient_hint(source))
            }
            NewFileError::Pattern { .. } => Self::of(ExitCode::Malformed, error)
                .hint("correct the pattern; sops would take it for one that matches nothing, and leave everything in clear"),
            NewFileError::SeveralSelections { .. } => {
                Self::of(ExitCode::Usage, error).hint("choose one of them").of_sops(ExitCode::SopsConflict)
            }
            NewFileError::Config(source) => Self::config(source),
            NewFileError::Wrap(source) => Self::wrap(source),
            NewFileError::Randomness(_) => Self::of(ExitCode::World, error),
        }
    }

    /// `.sops.yaml` cannot be used.
    pub fn config(error: &ConfigError) -> Self {
        let code = match error {
            ConfigError::Read { source: ReadError::NotRegular, .. } => ExitCode::Malformed,
            ConfigError::Read { .. } => ExitCode::World,
            _ => ExitCode::Malformed,
        };
        let failure = Self::of(code, error);
        match error {
            ConfigError::NoMatchingRule { file, .. } => failure.hint(format!(
                "`dotsops rule {}` says why; add a rule whose `path_regex` matches, or one without `path_regex` as the last",
                shell_word(&from_here(file))
            )),
            ConfigError::Invalid { fault: Fault { problem: Problem::Pattern { field: "path_regex", .. }, .. }, .. } => {
                failure.hint(r"it is a regular expression, no glob: what `*.env` means is written `\.env$`")
            }
            ConfigError::Yaml { source: YamlError { problem: YamlProblem::UnknownEscape, .. }, .. } => {
                failure.hint(r"in double quotes a backslash is YAML's own: write a pattern in single quotes, as in '\.env$'")
            }
            ConfigError::Read { source: ReadError::NotRegular, .. } => {
                failure.hint("a config is a file: put one there, or nothing")
            }
            ConfigError::Read { .. } => {
                failure.hint("the rules for new files are read from it, and nothing is done without them")
            }
            ConfigError::TooLarge { .. } => failure.hint("no config is that large: look at what it is"),
            ConfigError::NotUtf8 { .. } => failure.hint("save it as UTF-8"),
            _ => failure.hint("correct it there; `dotsops rule FILE` then says which rule counts for FILE, and why"),
        }
    }

    /// `.sops.yaml` is there, but no rule of it is for the file.
    pub fn no_rule_for(file: &Path, config: &Path, recipient: &str) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let pattern = match name.ends_with(".env") {
            true => r"\.env$".to_owned(),
            false => format!("{}$", regex::escape(&name)),
        };
        Self::new(ExitCode::Malformed, format!("no rule of {} is for {}", config.display(), file.display()))
            .hint(format!(
                "`dotsops rule {}` says why; or add to `creation_rules:` this rule: `- {{path_regex: '{pattern}', age: {recipient}}}`",
                shell_word(file)
            ))
    }

    pub(super) fn wrap(error: &WrapError) -> Self {
        match error {
            WrapError::Plugin { source, .. } => {
                let is_refused = matches!(source, PluginError::NotAgreed { .. });
                let failure = Self::of(if is_refused { ExitCode::Refused } else { ExitCode::World }, error);
                match plugin_hint(source) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            WrapError::NotSupported { .. } => Self::of(ExitCode::Refused, error).hint("use sops for this file"),
            WrapError::Threshold { .. } => Self::of(ExitCode::Usage, error).hint("--threshold N says how many are to be needed"),
            WrapError::EmptyGroup(_) | WrapError::NoGroups => Self::of(ExitCode::Malformed, error),
            error => Self::of(ExitCode::World, error),
        }
    }

    /// A file that could not be wrapped for others.
    pub fn rewrap(path: &Path, error: RewrapError) -> Self {
        match error {
            RewrapError::Wrap(error) => Self::wrap(&error).about(path),
            RewrapError::Emit(error) => error.into(),
            error => Self::of(ExitCode::Bug, &error).hint("nothing was written; please report this"),
        }
    }

    /// A file that could not be replaced.
    pub fn save(path: &Path, error: SaveError) -> Self {
        match error {
            SaveError::Lock(error) => Self::lock(path, &error),
            SaveError::Replace(error) => Self { error: format!("{} is not replaced", path.display()), ..error.into() },
        }
    }

    /// A group that is not there.
    pub fn no_such_group(index: usize, groups: usize) -> Self {
        Self::new(ExitCode::Usage, format!("there is no key group {index}"))
            .because(match groups {
                1 => "the file has one, group 0".to_owned(),
                groups => format!("the file has {groups}, from 0 to {}", groups - 1),
            })
            .hint("`dotsops groups list` shows them")
    }

    /// Fewer groups than are needed would be left.
    pub fn too_few_groups(left: usize, needed: usize) -> Self {
        let failure = Self::new(ExitCode::Refused, format!("{} would be left", counted(left, "key group", "key groups")));
        match left {
            0 => failure.because("nobody could read the file").hint("`dotsops groups add` first adds another one"),
            1 => failure
                .because(format!("{needed} are needed to open the file"))
                .hint("--threshold 1 lets the one that is left open it alone"),
            left => failure
                .because(format!("{needed} are needed to open the file"))
                .hint(format!("--threshold N with N from 2 to {left} says how many are to be needed")),
        }
    }

    /// There is no `.sops.yaml`, or it has no rules.
    pub fn no_rules(config: Option<&Path>) -> Self {
        let failure = Self::new(ExitCode::Malformed, "there is no rule that files could be made to follow");
        match config {
            None => failure.because("there is no .sops.yaml here or above"),
            Some(config) => failure.because(format!("{} has no creation_rules", config.display())),
        }
        .hint("`dotsops init` writes one")
    }

    /// Nobody could be asked whether recipients may change.
    pub fn recipients_not_agreed() -> Self {
        Self::new(ExitCode::Refused, "nobody agreed to these changes, and nothing was changed")
            .because("there is no terminal to ask on")
            .hint("`-y` agrees to them")
    }

    /// A change after which the user could not read the file any more.
    pub fn own_loss(path: &Path) -> Self {
        Self::new(
            ExitCode::Refused,
            format!("your identities could not read {} any more, and nothing was changed", path.display()),
        )
        .hint("if that is meant: `-y`")
    }

    /// Files are to be found through git, which does not know any.
    pub fn no_repository(here: &Path) -> Self {
        Self::new(ExitCode::Usage, "no file is named, and git tracks none here")
            .because(format!("{} is in no repository, or there is no program git", here.display()))
            .hint("name the files")
    }
}

pub(super) fn recipient_hint(error: &RecipientError) -> &'static str {
    match error {
        RecipientError::PrivateKey => {
            "that is a private key: treat it as leaked if it was committed anywhere, and give the public one (age1…)"
        }
        _ => "a recipient is an age public key (age1…) or an SSH public key (ssh-ed25519 …, ssh-rsa …)",
    }
}
