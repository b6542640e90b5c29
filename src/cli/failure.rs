//! The one table: library error → exit code, cause and hint.
//!
//! The library states facts; only here is said what to do about them, because only here the commands are known. The table is cut by what
//! the user was about to do: [`open`] a file, change it ([`change`], [`edit`]), run a program with it ([`exec`]), or say who reads it
//! ([`readers`]).

mod change;
mod diff;
mod edit;
mod exec;
mod given;
mod init;
mod journal;
mod let_in;
mod merge;
mod open;
mod readers;
mod recipients;

pub use edit::counted_time;
pub use let_in::Wanted;

use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::exit_code::ExitCode;
use crate::config::ConfigError;
use crate::dialect::refusal::Refusal;
use crate::document::NotADocument;
use crate::document::metadata::MetadataError;
use crate::format::{EmitError, ParseError};
use crate::ops::encrypt::{EncryptError, PrepareError};
use crate::ops::file::FileError;
use crate::ops::init::InitError;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::regular_file::ReadError;

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
    /// The code that `sops edit` has for it, where that cannot be told from ours.
    sops: Option<ExitCode>,
}

impl Failure {
    fn new(code: ExitCode, error: impl ToString) -> Self {
        Self { code, error: error.to_string(), cause: None, hint: None, reader_gone: false, sops: None }
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

    /// The same with the code that `verb` has for it.
    pub fn of_verb(mut self, verb: Option<&OsStr>) -> Self {
        self.code = self.code.of_verb(verb);
        self
    }

    fn of_sops(mut self, code: ExitCode) -> Self {
        self.sops = Some(code);
        self
    }

    /// The same with the code that `sops edit` has for it.
    pub fn of_sops_edit(mut self) -> Self {
        self.code = self.sops.unwrap_or(self.code.of_sops_edit());
        self
    }

    /// The same of options that exclude each other.
    pub fn of_conflict(self) -> Self {
        self.of_sops(ExitCode::SopsConflict)
    }

    /// No file was named and none was found.
    pub fn no_file(here: &Path) -> Self {
        let failure = Self::new(ExitCode::Usage, "no file is named, and none is found")
            .of_sops(ExitCode::SopsNoFile)
            .because(format!("looked for secrets.env and an encrypted .env from {} up to the repository's root", here.display()));
        match here.join(".env").is_file() {
            true => failure.hint("the .env here is not encrypted, so it counts only if it is named; `dotsops init` encrypts it"),
            false => failure.hint("`dotsops edit secrets.env` makes one, `dotsops init` makes the repository ready for it"),
        }
    }

    /// No working directory, or another of the system's reasons.
    pub fn no_working_directory(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => {
                Self::new(ExitCode::World, "the working directory is gone").because(error).hint("cd to another one")
            }
            _ => error.into(),
        }
    }

    /// What would be a warning.
    pub fn strict(what: impl ToString) -> Self {
        Self::new(ExitCode::Refused, what).hint("this is refused because of --strict or DOTSOPS_STRICT; else it is a warning")
    }

    /// No rules where a file must be compared with some.
    pub fn nothing_to_compare() -> Self {
        Self::new(ExitCode::Refused, "there is no .sops.yaml to compare the file with")
            .because("--strict or DOTSOPS_STRICT asks for that")
            .hint("`--config PATH` names one, `dotsops init` writes one")
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

    /// Nobody agreed to values in clear.
    pub fn would_be_clear(names: &[String]) -> Self {
        Self::new(ExitCode::Refused, "under this rule some values would be stored in clear")
            .because(format!("not encrypted: {}", names.join(", ")))
            .hint("allow them with `--allow-plaintext NAME` (`*` for any text), or change the rule in .sops.yaml")
    }

    /// A plaintext that cannot be stored.
    pub fn cannot_store(path: &Path, error: PrepareError, fix: Option<&str>) -> Self {
        let what = format!("cannot store {}", path.display());
        match error {
            PrepareError::Lines(refusals) => {
                let failure = Self::new(ExitCode::Malformed, what).because(first_lines(&refusals));
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

    /// A file that could not be written.
    pub fn not_written(path: &Path, error: ReplaceError) -> Self {
        let hint = match error {
            ReplaceError::Io(ref source) if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("make its folder first: `mkdir -p {}`", shell_word(folder(path))))
            }
            ReplaceError::DirectoryNotWritable(_) => {
                Some(format!("`ls -ld {}` says who may write there", shell_word(folder(path))))
            }
            ReplaceError::DanglingLink => Some(format!("`readlink {}` says where it leads", shell_word(path))),
            ReplaceError::ReadOnly { .. } => Some(format!("`chmod u+w {}` first", shell_word(path))),
            _ => None,
        };
        let failure = Self { error: format!("nothing was written to {}", path.display()), ..error.into() };
        Self { hint: hint.or(failure.hint), ..failure }
    }

    /// A file that cannot be used.
    pub fn file(error: &FileError) -> Self {
        match error {
            FileError::Read { path, source } => {
                let failure = match source {
                    ReadError::TooLarge { .. } => Self::of(ExitCode::Malformed, error).hint(TOO_LARGE),
                    ReadError::NotRegular => Self::of(ExitCode::Malformed, error)
                        .hint("folders, pipes and devices are never read; `dotsops decrypt` takes a file on standard input"),
                    ReadError::NotFound if path.is_symlink() => Self::of(ExitCode::World, error)
                        .hint(format!("it is a link to what is not there: `readlink {}` says where it leads", shell_word(path))),
                    ReadError::Io(_) => {
                        Self::of(ExitCode::World, error).hint(format!("`ls -l {}` says what it is", shell_word(path)))
                    }
                    ReadError::NotFound => Self::of(ExitCode::World, error).hint(format!(
                        "look at its name and folder: `ls -a {}`; `dotsops edit {}` makes a new file",
                        shell_word(folder(path)),
                        shell_word(path)
                    )),
                };
                failure.of_sops(ExitCode::SOPS_NOT_READ)
            }
            FileError::Parse { path, source: ParseError::MergeConflict { .. } } => Self::of(ExitCode::Malformed, error)
                .hint(format!("resolve it with git (`git checkout --ours {0}` or `--theirs {0}`)", path.display())),
            FileError::CutShort { path } => Self::of(ExitCode::Malformed, error)
                .because("its values are encrypted, but the `sops_…` lines that hold its key are not there")
                .hint(last_good(path)),
            FileError::Parse { path, source } => {
                let failure = Self::of(ExitCode::Malformed, error);
                match source {
                    ParseError::TooLarge | ParseError::TooManyEntries { .. } => failure.hint(TOO_LARGE),
                    ParseError::Metadata { .. } => failure.hint(metadata_changed(path)),
                    ParseError::StrayCarriageReturn { .. } => {
                        failure.hint(format!("give all its lines the same line end; {}", last_good(path)))
                    }
                    _ => failure.hint(format!("correct that line; {}", last_good(path))),
                }
            }
            FileError::Syntax { .. } => Self::of(ExitCode::Malformed, error).hint("use sops for this file"),
            FileError::NotADocument { path, source: NotADocument::Plaintext } => {
                Self::of(ExitCode::Malformed, error).hint(format!("`dotsops encrypt -i {}` encrypts it", path.display()))
            }
            FileError::NotADocument { path, source: NotADocument::Metadata(source) } => {
                let failure = Self::of(ExitCode::Malformed, error);
                match source {
                    MetadataError::Pattern { .. } => {
                        failure.hint("a pattern that cannot be used would mean that nothing is encrypted")
                    }
                    _ => failure.hint(metadata_changed(path)),
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
            InitError::Write { path, source } => {
                let failure = Self::not_written(&path, source);
                let hint = failure.hint.unwrap_or_default();
                Self { hint: Some(format!("{hint}; then `dotsops init` goes on: what it made already stays")), ..failure }
            }
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
        let hint = match error {
            ReplaceError::Changed | ReplaceError::Gone => "look at what is there now, then run it again",
            ReplaceError::Exists => "choose another name, or move that file away",
            ReplaceError::HardLinked { .. } => "its other names would go on leading to the old file: remove them first",
            ReplaceError::ReadOnly { .. } => "`chmod u+w` it first",
            ReplaceError::DanglingLink => "`readlink` says where it leads",
            ReplaceError::NotRegular => "name a file, not a folder, pipe or device",
            ReplaceError::CannotKeep { .. } => "write to a new file, and move it there yourself",
            ReplaceError::MountPoint => "write to a file in another folder, and copy it",
            _ => "make room, or write to a folder and a disk that you can write",
        };
        Self::new(code, "nothing was written").because(chain(&error)).hint(hint)
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

/// What is wrong with the first lines of a text. In a file that is none of secrets it is all of them.
fn first_lines(refusals: &[Refusal]) -> String {
    const SHOWN: usize = 10;
    let mut lines: Vec<String> = refusals.iter().take(SHOWN).map(ToString::to_string).collect();
    if refusals.len() > SHOWN {
        lines.push(format!("and {} more like these", counted(refusals.len() - SHOWN, "line", "lines")));
    }
    lines.join("\n")
}

/// What to do about a file that is too large to be one of secrets.
const TOO_LARGE: &str = "no file of secrets is that large: look at what it is, or split it into several files";

/// How to get back what a file was.
fn last_good(path: &Path) -> String {
    format!("the last good version is in git: `git log -p {0}`, `git checkout -- {0}`", shell_word(path))
}

/// What to do about metadata that nobody can have written so.
fn metadata_changed(path: &Path) -> String {
    format!("its metadata, the `sops_…` lines, were changed by something; {}", last_good(path))
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

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Some items, the last of many left out.
pub fn listed(items: &[String]) -> String {
    match items {
        [first, second, third, rest @ ..] if rest.len() > 1 => format!("{first}, {second}, {third} and {} more", rest.len()),
        items => items.join(", "),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A path as short as it can be.
pub fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

/// A path as a word of a command that can be pasted.
pub fn shell_word(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or(path.to_string(), |quoted| quoted.into_owned())
}
