//! The one table: library error → exit code, cause and hint.
//!
//! The library states facts; only here is said what to do about them, because only here the commands are known.

mod change;

use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::exit_code::ExitCode;
use super::people::People;
use crate::config::{ConfigError, Fault, Problem, Stranger};
use crate::document::metadata::MetadataError;
use crate::document::{DecryptError, NotADocument, OpenError};
use crate::format::{EmitError, ParseError};
use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::plugin::PluginError;
use crate::keys::age::recipient::RecipientError;
use crate::keys::command::CommandError;
use crate::keys::group::{GroupOutcome, KeyFailure, Outcome, UnlockError};
use crate::keys::keyring::{IdentityFailure, Keyring};
use crate::keys::{Kind, UnwrapError, WrapError};
use crate::ops::change::ChangeError;
use crate::ops::edit::editors::EditorError;
use crate::ops::edit::error::EditError;
use crate::ops::encrypt::{EncryptError, PrepareError};
use crate::ops::exec::{ExecError, Reason};
use crate::ops::file::FileError;
use crate::ops::init::InitError;
use crate::ops::new_file::NewFileError;
use crate::ops::rewrap::{RewrapError, SaveError};
use crate::sys::atomic_write::ReplaceError;
use crate::sys::file_lock::LockError;
use crate::sys::process::{ExecError as ExecveError, ResolveError, TooLarge};
use crate::sys::regular_file::ReadError;
use crate::sys::scratch::ScratchError;
use crate::yaml::{YamlError, YamlProblem};

/// How a command failed, in at most three lines.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code.
    pub code: ExitCode,
    /// What failed.
    pub error: String,
    /// Why.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the reader of our output has gone: then there is nothing to say, and nobody to say it to.
    pub reader_gone: bool,
}

impl Failure {
    fn new(code: ExitCode, error: impl ToString) -> Self {
        Self { code, error: error.to_string(), cause: None, hint: None, reader_gone: false }
    }

    /// The failure of `error`, its sources as the cause.
    fn of(code: ExitCode, error: &dyn Error) -> Self {
        let failure = Self::new(code, error);
        match causes(error.source()) {
            // An error that tells its source's text itself has told the cause.
            Some(cause) if !failure.error.ends_with(&cause) => failure.because(cause),
            _ => failure,
        }
    }

    fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    fn hint(mut self, hint: impl ToString) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same, with the file's name before it.
    pub fn about(mut self, path: &Path) -> Self {
        self.error = format!("{}: {}", path.display(), self.error);
        self
    }

    /// A command line that makes no sense.
    pub fn usage(error: &str, hint: &str) -> Self {
        Self::new(ExitCode::Usage, error).hint(hint)
    }

    /// Before `exec` ran its program, every failure of ours has one code.
    pub fn before_exec(mut self) -> Self {
        if !matches!(self.code, ExitCode::ExecCannotRun | ExitCode::ExecNotFound) {
            self.code = ExitCode::ExecFailed;
        }
        self
    }

    /// No file was named and none was found.
    pub fn no_file(here: &Path) -> Self {
        let failure = Self::new(ExitCode::Usage, "no file is named, and none is found")
            .because(format!("looked for secrets.env and an encrypted .env from {} up to the repository's root", here.display()));
        match here.join(".env").is_file() {
            true => failure.hint("the .env here is not encrypted, so it counts only if it is named; `dotsops init` encrypts it"),
            false => failure.hint("`dotsops edit secrets.env` makes one, `dotsops init` makes the repository ready for it"),
        }
    }

    /// No home folder.
    pub fn no_home() -> Self {
        Self::new(ExitCode::World, "there is no home folder to keep anything in")
            .because("HOME is not set to an absolute path")
            .hint("set HOME; `keygen -o FILE` needs none")
    }

    /// `keygen --passphrase` without anybody to ask, or without an answer.
    pub fn no_passphrase() -> Self {
        Self::new(ExitCode::Refused, "no passphrase was given, so no identity was made")
            .hint("--passphrase asks for it twice on the terminal; where there is none, use `dotsops keygen` alone")
    }

    /// Too much on standard input.
    pub fn stdin_too_large() -> Self {
        Self::new(ExitCode::Malformed, "standard input is larger than 64 MiB")
    }

    /// `keygen` where there is a file already.
    pub fn key_file_exists(path: &Path) -> Self {
        Self::new(ExitCode::Refused, format!("{} exists already, and is never overwritten", path.display()))
            .hint("it probably holds your identity; `dotsops keygen -o OTHER_FILE` makes another one")
    }

    /// An encrypted file that has plaintext values.
    pub fn partly_plain(path: &Path, names: &[String]) -> Self {
        Self::new(ExitCode::Refused, format!("{} is encrypted already, but some of its values are not", path.display()))
            .because(format!("in clear, although the file's rule encrypts them: {}", names.join(", ")))
            .hint(format!("take these lines out, then add them with `dotsops edit {}`", path.display()))
    }

    /// A target that is an encrypted file.
    pub fn would_replace_encrypted(target: &Path) -> Self {
        let shown = target.display();
        Self::new(ExitCode::Refused, format!("{shown} is an encrypted file, whose values would be gone"))
            .hint(format!("`dotsops edit {shown}` changes it; --force replaces it"))
    }

    /// A plaintext where the encrypted file is to be.
    pub fn plaintext_in_place(file: &Path) -> Self {
        let shown = file.display();
        Self::new(ExitCode::Refused, format!("{shown} is there, and is not encrypted")).hint(format!(
            "`dotsops encrypt -i {shown}` encrypts it where it is; `dotsops init` without a name makes secrets.env of .env"
        ))
    }

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

    /// Nobody agreed to values in clear.
    pub fn would_be_clear(names: &[String]) -> Self {
        Self::new(ExitCode::Refused, "under this rule some values would be stored in clear")
            .because(format!("not encrypted: {}", names.join(", ")))
            .hint("allow them with `--allow-plaintext NAME` (`*` for any text), or change the rule in .sops.yaml")
    }

    /// Who encrypts could not read the result.
    pub fn blind(recipients: &[String]) -> Self {
        let recipients: Vec<String> = recipients.iter().map(|recipient| short(recipient)).collect();
        Self::new(ExitCode::Refused, "you could not read what is encrypted here: no recipient is one of your identities")
            .because(format!("it would be encrypted to {}", listed(&recipients)))
            .hint("if that is meant: --blind; `dotsops keygen` makes an identity, whose public key belongs into .sops.yaml or --age")
    }

    /// A plaintext that cannot be stored.
    pub fn cannot_store(path: &Path, error: PrepareError, fix: Option<&str>) -> Self {
        let what = format!("cannot store {}", path.display());
        match error {
            PrepareError::Lines(refusals) => {
                let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                let failure = Self::new(ExitCode::Malformed, what).because(lines.join("\n"));
                match fix.filter(|_| refusals.iter().all(|refusal| refusal.reason.can_be_fixed())) {
                    Some(command) => failure
                        .hint(format!("change these lines, or let `{command}` turn what python-dotenv ignores into comments")),
                    None => failure.hint("change these lines in your editor"),
                }
            }
            error => Self::new(ExitCode::Malformed, what)
                .because(error)
                .hint("save the file as UTF-8; python-dotenv loads nothing from it as it is"),
        }
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
            NewFileError::SeveralSelections { .. } => Self::of(ExitCode::Usage, error).hint("choose one of them"),
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
            _ => failure,
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

    fn wrap(error: &WrapError) -> Self {
        match error {
            WrapError::Plugin { source, .. } => match plugin_hint(source) {
                Some(hint) => Self::of(ExitCode::World, error).hint(hint),
                None => Self::of(ExitCode::World, error),
            },
            WrapError::NotSupported { .. } => Self::of(ExitCode::Refused, error).hint("use sops for this file"),
            WrapError::Threshold { .. } => Self::of(ExitCode::Usage, error).hint("--threshold N says how many are to be needed"),
            WrapError::EmptyGroup(_) | WrapError::NoGroups => Self::of(ExitCode::Malformed, error),
            error => Self::of(ExitCode::World, error),
        }
    }

    /// A file that stays shut.
    pub fn cannot_open(path: &Path, error: &OpenError, keyring: &Keyring) -> Self {
        let what = format!("cannot decrypt {}", path.display());
        match error {
            OpenError::Decrypt(error) => Self::not_authentic(path, what, error),
            OpenError::Locked(error) => Self::locked(path, what, error, keyring),
        }
    }

    fn not_authentic(path: &Path, what: String, error: &DecryptError) -> Self {
        let code = match error {
            DecryptError::Metadata(_) => ExitCode::Malformed,
            _ => ExitCode::NotAuthentic,
        };
        Self::new(code, what).because(error).hint(format!(
            "the last good version is in git: `git log -p {0}`, `git checkout -- {0}`; change values only with `dotsops edit`",
            shell_word(path)
        ))
    }

    fn locked(path: &Path, what: String, error: &UnlockError, keyring: &Keyring) -> Self {
        const CHANGED: &str = "the file's metadata was changed; the last good version is in git";
        let (keys, identities) = match error {
            UnlockError::Locked { keys, identities } => (keys, identities),
            UnlockError::GroupsLocked { groups, needed, identities } => {
                return Self::groups_locked(what, groups, *needed, identities, keyring);
            }
            UnlockError::Shares(_) => return Self::new(ExitCode::NotAuthentic, what).because(chain(error)).hint(CHANGED),
            error => return Self::new(ExitCode::Malformed, what).because(error).hint(CHANGED),
        };
        if let Some(key) = keys.iter().find(|key| key.is_damage()) {
            return Self::damaged_key(what, key);
        }
        let people = People::nearby();
        let recipients: Vec<String> = keys
            .iter()
            .map(|key| match key.kind {
                Kind::Age => format!("{} {}", key.kind.title(), people.brief(key.kind, &key.recipient)),
                _ => people.brief(key.kind, &key.recipient),
            })
            .collect();
        let cause = format!("encrypted to {}{}", listed(&recipients), tried(keyring, identities));
        let held = keyring.recipients();
        let only_others = keys.iter().all(|key| matches!(key.why, UnwrapError::NotSupported(_)));
        let untried = identities.iter().find_map(|failure| untried_hint(&failure.problem));
        let why = match untried {
            Some(_) => "no identity that could be used opens it",
            None => "none of your identities is a recipient",
        };
        let failure = Self::new(ExitCode::Locked, format!("{what}: {why}")).because(cause);
        match held.first() {
            _ if untried.is_some() => failure.hint(untried.unwrap_or_default()),
            _ if only_others => failure.hint("this version opens files with age keys only; use sops for this one"),
            None => failure.hint(
                "`dotsops keygen` makes an identity; then somebody who can read the file adds its public key to \
                                  .sops.yaml and runs `dotsops updatekeys`. An identity elsewhere: SOPS_AGE_KEY_FILE=FILE",
            ),
            Some((_, own)) => failure.hint(format!(
                "ask somebody who can read it to add {} to .sops.yaml and to run `dotsops updatekeys {}`",
                short_only_ssh(own),
                shell_word(path)
            )),
        }
    }

    /// Too few groups of several opened: says which, and who is in the others.
    fn groups_locked(
        what: String,
        groups: &[GroupOutcome],
        needed: usize,
        identities: &[IdentityFailure],
        keyring: &Keyring,
    ) -> Self {
        let mut opened = 0;
        let mut locked = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            match &group.outcome {
                Outcome::Opened => opened += 1,
                Outcome::Locked(keys) => locked.push((at, &group.keys, keys)),
            }
        }
        if let Some(key) = locked.iter().flat_map(|(.., keys)| keys.iter()).find(|key| key.is_damage()) {
            return Self::damaged_key(what, key);
        }
        let people = People::nearby();
        let needs = |(at, keys, _): &(usize, &Vec<(Kind, String)>, _)| {
            let members: Vec<String> = keys.iter().map(|(kind, recipient)| people.brief(*kind, recipient)).collect();
            match members.len() {
                0 => format!("group {at} has no keys"),
                1 => format!("group {at} needs {}", members[0]),
                _ => format!("group {at} needs one of {}", listed(&members)),
            }
        };
        let missing: Vec<String> = locked.iter().map(needs).collect();
        let cause = format!("{}{}", missing.join("; "), tried(keyring, identities));
        let count = groups.len();
        let failure =
            Self::new(ExitCode::Locked, format!("{what}: {opened} of its {count} key groups opened, {needed} are needed"))
                .because(cause);
        let is_foreign = |key: &KeyFailure| matches!(key.why, UnwrapError::NotSupported(_));
        if locked.iter().all(|(.., keys)| keys.iter().all(is_foreign)) {
            return failure.hint("this version opens groups with age keys only; use sops for this file");
        }
        failure.hint(format!(
            "it takes identities of {needed} groups at once; SOPS_AGE_KEY_FILE=FILE names a file that holds more of them"
        ))
    }

    fn damaged_key(what: String, key: &KeyFailure) -> Self {
        Self::new(ExitCode::NotAuthentic, what)
            .because(format!("the data key wrapped for {}: {}", short(&key.recipient), key.why))
            .hint("the file's metadata was changed; the last good version is in git")
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
            SaveError::Replace(error @ ReplaceError::NotDurable(_)) => Self::of(ExitCode::World, &error).about(path),
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

    /// Files are to be found through git, which does not know any.
    pub fn no_repository(here: &Path) -> Self {
        Self::new(ExitCode::Usage, "no file is named, and git tracks none here")
            .because(format!("{} is in no repository, or there is no program git", here.display()))
            .hint("name the files")
    }

    /// A file that another edit holds, or that no lock can be taken for.
    pub fn lock(path: &Path, error: &LockError) -> Self {
        let shown = path.display();
        match error {
            LockError::Busy { pid, since, terminal } => {
                let mut who = pid.map_or("another dotsops".to_owned(), |pid| format!("process {pid}"));
                if let Some(terminal) = terminal {
                    who.push_str(&format!(" on {terminal}"));
                }
                if let Some(age) = since.and_then(|since| since.elapsed().ok()) {
                    who.push_str(&format!(", begun {} ago", counted_time(age)));
                }
                Self::new(ExitCode::Refused, format!("{shown} is being edited already"))
                    .because(who)
                    .hint("close that editor first")
            }
            LockError::Io(source) if source.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                Self::new(ExitCode::Refused, format!("{shown} is a link to a file that does not exist"))
            }
            LockError::Io(source) if source.kind() == io::ErrorKind::NotFound => {
                Self::new(ExitCode::World, format!("the folder of {shown} does not exist")).hint("make it first with mkdir")
            }
            error => Self::new(ExitCode::World, format!("{shown} cannot be locked against a second edit"))
                .because(causes(error.source()).unwrap_or_default()),
        }
    }

    /// The editor cannot be found.
    pub fn editor(error: &EditorError) -> Self {
        Self::of(ExitCode::World, error).hint("set EDITOR to your editor's command, or give --editor; nothing was decrypted")
    }

    /// There is no editor at all.
    pub fn no_editor() -> Self {
        Self::new(ExitCode::World, "there is no editor")
            .because("none of DOTSOPS_EDITOR, SOPS_EDITOR, VISUAL, EDITOR is set, and nvim, vim, nano, vi are not there")
            .hint("set EDITOR, or give --editor")
    }

    /// There is no place for plaintext.
    pub fn no_scratch(error: &ScratchError) -> Self {
        Self::of(ExitCode::Refused, error)
            .hint("name a folder in memory in DOTSOPS_EDIT_DIR, or allow a disk with --allow-disk-plaintext")
    }

    /// An edit that did not end with a saved file.
    pub fn edit(path: &Path, error: EditError, draft_kept: bool, keyring: &Keyring) -> Self {
        let (shown, word) = (path.display(), shell_word(path));
        let what = format!("{shown} is not saved");
        let kept = match draft_kept {
            true => format!("what you typed is kept, encrypted: `dotsops edit --resume {word}` goes on from it"),
            false if matches!(error, EditError::ReadBack(_)) => "the file is as it was; what the editor left is gone".to_owned(),
            false => "nothing had been saved in the editor, so nothing is lost".to_owned(),
        };
        match error {
            EditError::Lock(error) => Self::lock(path, &error),
            EditError::DraftPending => {
                Self::new(ExitCode::Refused, format!("there is an unfinished edit of {shown}, kept as an encrypted draft")).hint(
                    format!("`dotsops edit --resume {word}` goes on from it, `dotsops edit --discard {word}` throws it away"),
                )
            }
            EditError::NoDraft => Self::new(ExitCode::Refused, format!("there is no draft of {shown} to go on from"))
                .hint(format!("`dotsops edit {word}` edits the file")),
            EditError::DraftOfMissingFile => Self::new(ExitCode::Refused, format!("{shown} is not there any more"))
                .because("the draft was made from it")
                .hint(format!("bring the file back (`git checkout -- {word}`), then resume; the draft is kept")),
            EditError::Draft(error) => {
                Self::of(ExitCode::NotAuthentic, &error).hint(format!("`dotsops edit --discard {word}` throws it away"))
            }
            // A draft of such a text could not be opened again, so an edit never goes blind.
            EditError::Change(ChangeError::Open(OpenError::Locked(_))) if !draft_kept && !path.exists() => {
                Self::new(ExitCode::Refused, format!("you could not read {shown}: no recipient is one of your identities"))
                    .because("an edit that fails is gone on with from an encrypted draft, which you could not open either")
                    .hint(format!(
                        "add yourself to the recipients; or write it elsewhere: `dotsops encrypt --blind -o {word} PLAINTEXT`"
                    ))
            }
            EditError::Change(error) => Self::change(path, error, &kept, keyring),
            EditError::NewFile(error) => Self::new_file(&error),
            // What is wrong was said when it was found, and asked about.
            EditError::Mistakes(_) => Self::new(ExitCode::Malformed, what).hint(kept),
            EditError::WouldBeClear { .. } => {
                Self::new(ExitCode::Refused, what).hint(format!("{kept}; with `--allow-plaintext NAME` it is saved"))
            }
            EditError::WouldBeEmpty => {
                Self::new(ExitCode::Refused, what).because(&error).hint(format!("{kept}; with `--allow-empty` it is saved"))
            }
            EditError::DraftNotKept { ref session, .. } | EditError::TextNotRead { ref session, .. } => {
                Self::new(ExitCode::World, what).because(chain(&error)).hint(format!(
                    "your text is still in {}, unencrypted: copy it to a safe place, then remove that folder",
                    session.display()
                ))
            }
            EditError::EditorNotStarted { .. } if !draft_kept => Self::of(ExitCode::World, &error)
                .hint("set EDITOR to your editor's command, or give --editor; nothing is changed"),
            error => Self::new(ExitCode::World, what).because(chain(&error)).hint(kept),
        }
    }

    /// Something in a file must not reach a program, or the file stays shut.
    pub fn exec(error: &ExecError, keyring: &Keyring) -> Self {
        match error {
            ExecError::File(error) => Self::file(error),
            ExecError::Open { path, source } => Self::cannot_open(path, source, keyring),
            ExecError::Plaintext { path } => Self::of(ExitCode::Refused, error)
                .hint(format!("if it is meant, name it: -f {0}; `dotsops encrypt -i {0}` encrypts it", path.display())),
            ExecError::OpenOverride { name, .. } => Self::of(ExitCode::Refused, error)
                .because("anybody can add such a line unnoticed")
                .hint(format!("if that is meant: --allow {name}")),
            ExecError::NoSuchName { .. } => {
                Self::of(ExitCode::Usage, error).hint("`dotsops keys` lists the names; in a pattern only `*` stands for others")
            }
            ExecError::Refused { path, line, name, reason } => {
                let shown = path.display();
                let place = match name.is_empty() {
                    true => format!("{shown}, line {line}"),
                    false => format!("{shown}, line {line}: `{name}`"),
                };
                let failure = Self::new(ExitCode::Refused, format!("{place} cannot be passed on")).because(reason);
                match reason {
                    Reason::Dropped(_) | Reason::NoValue | Reason::NotUtf8 => failure
                        .hint(format!("correct it with `dotsops edit {shown}`, or pass values as they stand with --literal")),
                    Reason::LoadsCode => failure.hint(format!("if that is meant: --allow {name}")),
                    Reason::RefersToClear(referred) => failure.hint(format!("if that is meant: --allow {referred}")),
                    Reason::LoadsCodeOpen | Reason::OpenDuplicate | Reason::SwallowsOpenLine | Reason::TakesInComment => failure
                        .hint(format!(
                            "look at who added it (`git log -p {shown}`), and take it out or encrypt it with `dotsops edit`"
                        )),
                    _ => failure.hint(format!("correct it with `dotsops edit {shown}`")),
                }
            }
        }
    }

    /// The program of `exec` is not there, or is none.
    pub fn program(name: &OsStr, error: &ResolveError) -> Self {
        let name = name.to_string_lossy();
        match error {
            ResolveError::NotFound => {
                let failure = Self::new(ExitCode::ExecNotFound, format!("there is no program `{name}`"));
                match name.contains('/') {
                    true => failure,
                    false => failure.because("it is in no folder of your PATH; a PATH in the file does not count"),
                }
            }
            error => Self::new(ExitCode::ExecCannotRun, format!("cannot run `{name}`")).because(error),
        }
    }

    /// The program of `exec` did not start.
    pub fn cannot_run(name: &OsStr, error: &ExecveError) -> Self {
        let code = match error {
            ExecveError::NotFound => ExitCode::ExecNotFound,
            _ => ExitCode::ExecCannotRun,
        };
        Self::new(code, format!("cannot run `{}`", name.to_string_lossy())).because(chain(error))
    }

    /// The system cannot pass so much.
    pub fn too_large(name: &OsStr, error: &TooLarge) -> Self {
        let failure =
            Self::new(ExitCode::ExecCannotRun, format!("cannot run `{}` with this environment", name.to_string_lossy()))
                .because(error);
        match error {
            TooLarge::Total { largest: Some(largest), .. } => {
                failure.hint(format!("the largest variable is {}", largest.to_string_lossy()))
            }
            _ => failure,
        }
    }

    fn file(error: &FileError) -> Self {
        match error {
            FileError::Read { source, .. } => {
                let code = match source {
                    ReadError::TooLarge { .. } | ReadError::NotRegular => ExitCode::Malformed,
                    _ => ExitCode::World,
                };
                Self::of(code, error)
            }
            FileError::Parse { path, source: ParseError::MergeConflict { .. } } => Self::of(ExitCode::Malformed, error)
                .hint(format!("resolve it with git (`git checkout --ours {0}` or `--theirs {0}`)", path.display())),
            FileError::CutShort { path } => Self::of(ExitCode::Malformed, error)
                .because("its values are encrypted, but the `sops_…` lines that hold its key are not there")
                .hint(format!("the last good version is in git: `git log -p {0}`, `git checkout -- {0}`", shell_word(path))),
            FileError::Parse { .. } | FileError::Syntax { .. } => Self::of(ExitCode::Malformed, error),
            FileError::NotADocument { path, source: NotADocument::Plaintext } => {
                Self::of(ExitCode::Malformed, error).hint(format!("`dotsops encrypt -i {}` encrypts it", path.display()))
            }
            FileError::NotADocument { source: NotADocument::Metadata(source), .. } => {
                let failure = Self::of(ExitCode::Malformed, error);
                match source {
                    MetadataError::Pattern { .. } => {
                        failure.hint("a pattern that cannot be used would mean that nothing is encrypted")
                    }
                    _ => failure.hint("the last good version is in git"),
                }
            }
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::file(&error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::config(&error)
    }
}

impl From<EncryptError> for Failure {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::NewFile(error) => Self::new_file(&error),
            EncryptError::File(error) => error.into(),
            EncryptError::Emit(error) => error.into(),
            EncryptError::Document(_) => Self::of(ExitCode::Malformed, &error),
            error => Self::of(ExitCode::Bug, &error).hint("nothing was written; please report this"),
        }
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match error {
            InitError::File(error) => error.into(),
            InitError::Encrypt(error) => error.into(),
            InitError::Emit(error) => error.into(),
            InitError::Io(error) => error.into(),
            InitError::Open(_) => Self::of(ExitCode::Locked, &error)
                .hint("the rule in .sops.yaml does not name your key; the plaintext was left as it is"),
            error => Self::of(ExitCode::World, &error),
        }
    }
}

impl From<age::EncryptError> for Failure {
    fn from(error: age::EncryptError) -> Self {
        Self::of(ExitCode::Bug, &error)
    }
}

impl From<EmitError> for Failure {
    fn from(error: EmitError) -> Self {
        Self::of(ExitCode::Malformed, &error)
    }
}

impl From<ReplaceError> for Failure {
    fn from(error: ReplaceError) -> Self {
        let code = match error {
            ReplaceError::Changed | ReplaceError::HardLinked { .. } | ReplaceError::ReadOnly { .. } | ReplaceError::Exists => {
                ExitCode::Refused
            }
            _ => ExitCode::World,
        };
        Self::new(code, "nothing was written").because(chain(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let reader_gone = error.kind() == io::ErrorKind::BrokenPipe;
        Self { reader_gone, ..Self::new(ExitCode::World, error) }
    }
}

/// An error and its sources, in one line.
pub fn chain(error: &dyn Error) -> String {
    causes(Some(error)).unwrap_or_default()
}

fn causes(first: Option<&dyn Error>) -> Option<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut next = first;
    while let Some(error) = next {
        let text = error.to_string();
        // A transparent error repeats its source.
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = error.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

/// What lets an identity be tried that could not be; `None` if it could.
fn untried_hint(problem: &IdentityProblem) -> Option<String> {
    match problem {
        IdentityProblem::NobodyToAsk => Some(
            "run it where there is a terminal, or give an identity without a passphrase in SOPS_AGE_KEY or SOPS_AGE_KEY_FILE"
                .into(),
        ),
        IdentityProblem::Declined | IdentityProblem::WrongPassphrase => Some("run it again with the right passphrase".into()),
        IdentityProblem::TooMuchWork => Some(
            "`age -d` opens the file where there is enough memory; `age -p` or `ssh-keygen -p` protects it with less work".into(),
        ),
        IdentityProblem::Command(CommandError::Quotes | CommandError::Program { .. }) => {
            Some("correct the variable: it is split into words as by a shell, but no shell runs it".into())
        }
        IdentityProblem::Command(_) => Some("run that command yourself to see what it says".into()),
        IdentityProblem::Plugin(error) => {
            Some(plugin_hint(error).unwrap_or("run it again, and do what the plugin asks for".into()))
        }
        _ => None,
    }
}

fn plugin_hint(error: &PluginError) -> Option<String> {
    match error {
        PluginError::Missing { plugin } => {
            Some(format!("install age-plugin-{plugin} into a folder of your PATH (an absolute one: others do not count)"))
        }
        PluginError::NobodyToAsk { .. } => Some("run it where there is a terminal".into()),
        _ => None,
    }
}

fn recipient_hint(error: &RecipientError) -> &'static str {
    match error {
        RecipientError::PrivateKey => {
            "that is a private key: treat it as leaked if it was committed anywhere, and give the public one (age1…)"
        }
        _ => "a recipient is an age public key (age1…) or an SSH public key (ssh-ed25519 …, ssh-rsa …)",
    }
}

/// The beginning of a long public key.
pub fn short(recipient: &str) -> String {
    let shown = crate::keys::shown(recipient);
    let end = shown.char_indices().nth(24).map_or(shown.len(), |(at, _)| at);
    match end < shown.len() {
        true => format!("{}…", &shown[..end]),
        false => shown.to_owned(),
    }
}

/// A public key whole, so that it can be copied; SSH and post-quantum keys are too long for a line.
fn short_only_ssh(recipient: &str) -> String {
    if recipient.starts_with("age1") && recipient.len() < 100 { recipient.to_owned() } else { short(recipient) }
}

/// What the user has to open files with, behind a semicolon.
fn tried(keyring: &Keyring, identities: &[IdentityFailure]) -> String {
    let held = keyring.recipients();
    let mut origins: Vec<String> = held.iter().map(|(origin, _)| origin.to_string()).collect();
    origins.dedup();
    let mut tried = String::new();
    match held.len() {
        0 => {
            let places: Vec<String> = keyring.sources().iter().map(|source| source.origin.to_string()).collect();
            tried.push_str("; you have no identity");
            if !places.is_empty() {
                tried.push_str(&format!(" (looked in {})", places.join(", ")));
            }
        }
        count => tried.push_str(&format!("; tried {} from {}", counted(count, "identity", "identities"), origins.join(", "))),
    }
    for failure in identities {
        let line = failure.line.map(|line| format!(", line {line}")).unwrap_or_default();
        tried.push_str(&format!("; {}{line}: {}", failure.origin, failure.problem));
    }
    tried
}

fn listed(items: &[String]) -> String {
    match items {
        [first, second, third, rest @ ..] if rest.len() > 1 => format!("{first}, {second}, {third} and {} more", rest.len()),
        items => items.join(", "),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A path as short as it can be.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

/// A path as a word of a command that can be pasted.
fn shell_word(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or(path.to_string(), |quoted| quoted.into_owned())
}

fn counted_time(age: std::time::Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => counted(seconds as usize, "second", "seconds"),
        seconds @ 60..3600 => counted(seconds as usize / 60, "minute", "minutes"),
        seconds => counted(seconds as usize / 3600, "hour", "hours"),
    }
}
