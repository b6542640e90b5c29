//! Edits that did not end with a saved file, and what an edit needs.

use std::error::Error;
use std::io;
use std::path::Path;

use super::{ExitCode, Failure, causes, chain, counted, shell_word};
use crate::document::OpenError;
use crate::keys::keyring::Keyring;
use crate::ops::change::ChangeError;
use crate::ops::edit::editors::EditorError;
use crate::ops::edit::error::EditError;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::file_lock::LockError;
use crate::sys::scratch::ScratchError;

impl Failure {
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
            LockError::State { .. } => Self::new(ExitCode::World, format!("{shown} cannot be locked against a second edit"))
                .because(chain(error))
                .hint("set XDG_STATE_HOME to a folder that you can write"),
            LockError::Io(source) if source.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                Self::new(ExitCode::Refused, format!("{shown} is a link to a file that does not exist"))
                    .hint(format!("`readlink {}` says where it leads", shell_word(path)))
            }
            LockError::Io(source) if source.kind() == io::ErrorKind::NotFound => {
                Self::new(ExitCode::World, format!("the folder of {shown} does not exist")).hint("make it first with mkdir")
            }
            error => Self::new(ExitCode::World, format!("{shown} cannot be locked against a second edit"))
                .because(causes(error.source()).unwrap_or_default())
                .hint(format!("`ls -l {}` says what it is", shell_word(path))),
        }
    }

    /// The editor cannot be found.
    pub fn editor(error: &EditorError) -> Self {
        Self::of(ExitCode::World, error)
            .hint("set EDITOR to your editor's command, or give --editor; nothing was decrypted")
            .of_sops(ExitCode::SopsEditor)
    }

    /// There is no editor at all.
    pub fn no_editor() -> Self {
        Self::new(ExitCode::World, "there is no editor")
            .because("none of DOTSOPS_EDITOR, SOPS_EDITOR, VISUAL, EDITOR is set, and nvim, vim, nano, vi are not there")
            .hint("set EDITOR, or give --editor")
            .of_sops(ExitCode::SopsEditor)
    }

    /// There is no place for plaintext.
    pub fn no_scratch(error: &ScratchError) -> Self {
        Self::of(ExitCode::Refused, error)
            .hint("name a folder in memory in DOTSOPS_EDIT_DIR, or allow a disk with --allow-disk-plaintext")
    }

    /// The same, and what became of the text.
    pub fn with_draft(self, path: &Path, draft_kept: bool) -> Self {
        match draft_kept {
            true => self.hint(format!("what you typed is kept, encrypted: `dotsops edit --resume {}`", shell_word(path))),
            false => self,
        }
    }

    /// A draft that was to be thrown away, and nobody was there to ask.
    pub fn draft_not_dropped(file: &Path) -> Self {
        Self::new(ExitCode::Refused, format!("the draft of {} is kept", file.display()))
            .because("it is the only place of what was typed, and nobody is there to ask")
            .hint(format!("`dotsops drafts drop --yes {}` throws it away", shell_word(file)))
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
                .hint(format!(
                    "bring the file back (`git checkout -- {word}`), or resume on a terminal to have it made again; the draft is kept"
                )),
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
            EditError::Change(ChangeError::Overtaken(source)) if draft_kept => {
                let next = match source {
                    ReplaceError::Gone => {
                        format!("bring the file back (`git checkout -- {word}`), then `dotsops edit --resume {word}` goes on")
                    }
                    _ => format!("`dotsops edit --resume {word}` merges it with the file as it is now"),
                };
                let why = match source {
                    ReplaceError::Exists => "the file was made by someone else meanwhile".to_owned(),
                    source => source.to_string(),
                };
                Self::new(ExitCode::Refused, what).because(why).hint(format!("what you typed is kept, encrypted: {next}"))
            }
            EditError::Change(error) => Self::change(path, error, &kept, keyring),
            EditError::Theirs(source) => {
                let Self { code, error, cause, .. } = Self::change(path, source, "", keyring);
                let why: Vec<String> = ["the file was changed by someone else meanwhile".to_owned(), error].into_iter().chain(cause).collect();
                let next = format!("when the file can be opened again, `dotsops edit --resume {word}` merges both");
                Self::new(code, what).because(why.join(": ")).hint(format!("what you typed is kept, encrypted: {next}"))
            }
            EditError::NewFile(error) => Self::new_file(&error),
            // What is wrong was said when it was found, and asked about.
            EditError::Mistakes(_) => Self::new(ExitCode::Malformed, what).hint(kept),
            EditError::WouldBeClear { .. } => {
                Self::new(ExitCode::Refused, what).hint(format!("{kept}; with `--allow-plaintext NAME` it is saved"))
            }
            EditError::LeftAsShown => Self::new(ExitCode::Refused, what).because(&error).hint(kept),
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
                .hint("set EDITOR to your editor's command, or give --editor; nothing is changed")
                .of_sops(ExitCode::SopsEditor),
            EditError::EditorNotStarted { .. } | EditError::EditorFailed { .. } => {
                Self::new(ExitCode::World, what).because(chain(&error)).hint(kept).of_sops(ExitCode::SopsEditor)
            }
            error => Self::new(ExitCode::World, what).because(chain(&error)).hint(kept),
        }
    }
}

pub fn counted_time(age: std::time::Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => counted(seconds as usize, "second", "seconds"),
        seconds @ 60..3600 => counted(seconds as usize / 60, "minute", "minutes"),
        seconds @ 3600..172_800 => counted(seconds as usize / 3600, "hour", "hours"),
        seconds => counted(seconds as usize / 86_400, "day", "days"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::counted_time;

    #[test]
    fn a_time_is_told_in_the_unit_that_fits() {
        let told =
            [0, 1, 59, 60, 3599, 3600, 172_799, 172_800, 864_000].map(|seconds| counted_time(Duration::from_secs(seconds)));
        let fits = ["0 seconds", "1 second", "59 seconds", "1 minute", "59 minutes", "1 hour", "47 hours", "2 days", "10 days"];
        assert_eq!(told, fits);
    }
}
