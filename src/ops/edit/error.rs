//! Why an edit did not end with a saved file.
//!
//! Whether a draft is kept then is not said here: [`super::draft_place::DraftPlace::is_taken`] knows.

use std::io;
use std::path::PathBuf;

use super::check::Mistakes;
use super::draft::DraftError;
use crate::ops::change::ChangeError;
use crate::ops::new_file::NewFileError;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::editor::EditorEnd;
use crate::sys::file_lock::LockError;
use crate::sys::private_file::ReadBackError;
use crate::sys::regular_file::ReadError;

/// Why a draft could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftFailure {
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] DraftError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] ReplaceError),
}

/// Why an edit did not end with a saved file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Somebody else edits the file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A draft from before is kept.
    #[error("a draft of an earlier edit is kept")]
    DraftPending,
    /// There is none to go on from.
    #[error("no draft is kept for this file")]
    NoDraft,
    /// The draft's file is gone.
    #[error("the draft's file is not there any more")]
    DraftOfMissingFile,
    /// The kept draft cannot be used.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The kept draft cannot be read.
    #[error("the kept draft cannot be read")]
    DraftRead(#[from] ReadError),
    /// The file cannot be opened to be changed, or not be changed. Once something was typed, a draft is kept.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The file changed since the edit began, and cannot be merged as it is now. A draft is kept.
    #[error("the file was changed by someone else meanwhile, and cannot be used as it is now")]
    Theirs(#[source] ChangeError),
    /// It is not clear who could read the new file, or what of it would be encrypted.
    #[error(transparent)]
    NewFile(#[from] NewFileError),
    /// The editor cannot be run.
    #[error("the editor `{name}` cannot be started")]
    EditorNotStarted {
        /// Its name as given.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The editor says that it failed.
    #[error("the editor `{name}` {}", ended(end))]
    EditorFailed {
        /// Its name as given.
        name: String,
        /// How it ended.
        end: EditorEnd,
    },
    /// We were told to end.
    #[error("ended by signal {signal}")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// What the editor left is no text of ours any more.
    #[error(transparent)]
    ReadBack(ReadBackError),
    /// What the editor left cannot be read, so the session stays.
    #[error("the edited text cannot be read")]
    TextNotRead {
        /// Why.
        source: io::Error,
        /// Where the text still is.
        session: PathBuf,
    },
    /// The draft could not be kept, so the session stays.
    #[error("the edited text could not be kept as a draft")]
    DraftNotKept {
        /// Why.
        source: DraftFailure,
        /// Where the text still is.
        session: PathBuf,
    },
    /// The text cannot be stored. A draft is kept.
    #[error("{0}")]
    Mistakes(Mistakes),
    /// A draft or a merged text was left as it was shown, and the user did not say that it is to be saved. A draft is kept.
    #[error("it was left as it was shown")]
    LeftAsShown,
    /// Something speaks against going on, and that is to be a reason.
    #[error("the file is not as it should be")]
    Refused,
    /// Names would stand in clear, and nobody agreed. A draft is kept.
    #[error("these names would stand in the file unencrypted: {}", names.join(", "))]
    WouldBeClear {
        /// Which.
        names: Vec<String>,
    },
    /// The file would be empty, and nobody agreed. A draft is kept.
    #[error("nothing would be left in the file")]
    WouldBeEmpty,
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn ended(end: &EditorEnd) -> String {
    match end {
        EditorEnd::Code(code) => format!("ended with exit code {code}"),
        EditorEnd::Signal(signal) | EditorEnd::Interrupted(signal) => format!("was ended by signal {signal}"),
    }
}
