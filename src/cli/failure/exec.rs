//! Programs that did not start, and values that must not reach them.

use std::ffi::OsStr;
use std::path::Path;

use super::{ExitCode, Failure, chain, shell_word};
use crate::keys::keyring::Keyring;
use crate::ops::exec::{ExecError, Reason};
use crate::sys::process::{ExecError as ExecveError, ResolveError, TooLarge};

impl Failure {
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
            ExecError::Refused { path, line, name, reason, is_plaintext } => {
                let shown = path.display();
                let place = match name.is_empty() {
                    true => format!("{shown}, line {line}"),
                    false => format!("{shown}, line {line}: `{name}`"),
                };
                let failure = Self::new(ExitCode::Refused, format!("{place} cannot be passed on")).because(reason);
                let correct = match is_plaintext {
                    true => format!("correct line {line} in your editor"),
                    false => format!("correct it with `dotsops edit {shown}`"),
                };
                match reason {
                    Reason::Dropped(_) | Reason::NoValue | Reason::NotUtf8 => {
                        failure.hint(format!("{correct}, or pass values as they stand with --literal"))
                    }
                    Reason::Undecided => failure.hint(format!(
                        "`dotsops edit {}` shows both values; leave one of them, and no line `#!dotsops`",
                        shell_word(path)
                    )),
                    Reason::LoadsCode if *is_plaintext => failure.hint(format!("if that is meant: --allow {name}")),
                    Reason::LoadsCode => failure.hint(format!(
                        "if that is meant: --allow {name}, or say yes to it once at a terminal, which is remembered"
                    )),
                    Reason::RefersToClear(referred) => failure.hint(format!("if that is meant: --allow {referred}")),
                    Reason::LoadsCodeOpen | Reason::OpenDuplicate | Reason::SwallowsOpenLine | Reason::TakesInComment => failure
                        .hint(format!(
                            "look at who added it (`git log -p {shown}`), and take it out or encrypt it with `dotsops edit`"
                        )),
                    _ => failure.hint(correct),
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
                    true => failure.hint("look at its path, which counts from the working directory"),
                    false => failure
                        .because("it is in no folder of your PATH; a PATH in the file does not count")
                        .hint("install it, or give its path"),
                }
            }
            error => Self::new(ExitCode::ExecCannotRun, format!("cannot run `{name}`"))
                .because(error)
                .hint(format!("`ls -l {}` says who may run it", shell_word(Path::new(&*name)))),
        }
    }

    /// The program of `exec` did not start.
    pub fn cannot_run(name: &OsStr, error: &ExecveError) -> Self {
        let code = match error {
            ExecveError::NotFound => ExitCode::ExecNotFound,
            _ => ExitCode::ExecCannotRun,
        };
        let hint = match error {
            ExecveError::NotFound => "the program that its first line names is not there: install that",
            _ => "run it without dotsops to see whether it runs at all",
        };
        Self::new(code, format!("cannot run `{}`", name.to_string_lossy())).because(chain(error)).hint(hint)
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
}
