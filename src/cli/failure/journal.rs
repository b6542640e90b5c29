//! Many files that could not be replaced as one.

use super::{ExitCode, Failure, chain, folder, shell_word};
use crate::ops::journal::JournalError;
use crate::sys::file_lock::LockError;

impl Failure {
    /// Files that were not replaced.
    pub fn journal(error: JournalError) -> Self {
        match error {
            JournalError::NoState { .. } => Self::of(ExitCode::World, &error)
                .because("there is no folder for the log of the change: HOME is not set to an absolute path")
                .hint("set HOME or XDG_STATE_HOME, or name one file at a time"),
            JournalError::Lock { source: source @ LockError::State { .. }, .. } if is_too_many(&source) => {
                Self::new(ExitCode::World, "no file is replaced: they are more than this process may have open at once")
                    .because(chain(&source))
                    .hint("raise the limit (`ulimit -Hn` shows it), or name some of the files at a time")
            }
            JournalError::Lock { path, source } => Self::lock(&path, &source),
            JournalError::NoRoom { source } => {
                Self::new(ExitCode::World, "no file is replaced: there is no room for the new ones")
                    .because(chain(&source))
                    .hint("make room on their disk; a moment is all it takes beside the old files")
            }
            JournalError::NoLog { folder, source } => {
                Self::new(ExitCode::World, format!("no file is replaced: no log can be kept in {}", folder.display()))
                    .because(chain(&source))
                    .hint("make room there, or set XDG_STATE_HOME to a folder that you can write")
            }
            JournalError::NotReplaced { path, source, files } => {
                let error = match files {
                    1 => format!("{} is not replaced", path.display()),
                    files => format!("none of {files} files is replaced: {} cannot be", path.display()),
                };
                Self { error, ..Self::not_written(&path, source) }
            }
            JournalError::Torn { path, source, log } => {
                Self::new(ExitCode::World, format!("{} is not replaced, and others could not be put back", path.display()))
                    .because(chain(&source))
                    .hint(format!(
                        "`ls -ld {}`; the next command that writes a file tries again to finish it, from {}",
                        shell_word(folder(&path)),
                        log.display()
                    ))
            }
        }
    }
}

fn is_too_many(error: &LockError) -> bool {
    matches!(error, LockError::State { source, .. } if source.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()))
}
