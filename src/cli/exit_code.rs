//! What the process's exit code means. A public promise: never renumbered.

use std::ffi::OsStr;

/// The ways a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A file or a configuration is malformed.
    Malformed = 3,
    /// No key opens it.
    Locked = 4,
    /// It is not what its writer wrote.
    NotAuthentic = 5,
    /// Going on would lose or expose something.
    Refused = 6,
    /// The world failed: files, network, editor.
    World = 7,
    /// `edit --sops-exit-codes`: options that exclude each other.
    SopsConflict = 8,
    /// `edit --sops-exit-codes`: a value that does not open.
    SopsValues = 25,
    /// `edit --sops-exit-codes`: the MAC is missing or wrong.
    SopsNotAuthentic = 51,
    /// A mistake of ours.
    Bug = 70,
    /// `edit --sops-exit-codes`: no file is named.
    SopsNoFile = 100,
    /// `exec`: everything of ours that went wrong before the program ran, as in `env(1)`.
    ExecFailed = 125,
    /// `exec`: the program is there but cannot be run.
    ExecCannotRun = 126,
    /// `exec`: there is no such program.
    ExecNotFound = 127,
    /// `edit --sops-exit-codes`: no key opens it.
    SopsLocked = 128,
    /// `merge`: everything that went wrong. To git that is a merge that could not be tried, and 1 to 128 a conflict.
    MergeFailed = 129,
    /// `edit --sops-exit-codes`: nothing was changed.
    SopsUnchanged = 200,
    /// `edit --sops-exit-codes`: there is no editor, or it failed.
    SopsEditor = 201,
}

impl ExitCode {
    /// The code that a verb with codes of its own has for this one, which is not success.
    pub fn of_verb(self, verb: Option<&OsStr>) -> Self {
        match (verb.map(OsStr::as_encoded_bytes), self) {
            (Some(b"exec"), Self::ExecCannotRun | Self::ExecNotFound) => self,
            (Some(b"exec"), _) => Self::ExecFailed,
            (Some(b"merge"), _) => Self::MergeFailed,
            _ => self,
        }
    }
}

impl ExitCode {
    /// `edit --sops-exit-codes`: the file cannot be read. It has the number of one of ours.
    pub const SOPS_NOT_READ: Self = Self::Usage;
    /// `edit --sops-exit-codes`: the file cannot be written. It has the number of one of ours.
    pub const SOPS_NOT_WRITTEN: Self = Self::Malformed;

    /// The code that `sops edit` has for this one, which is not success, as far as this one tells. What is not told apart there is 1.
    ///
    /// Source: getsops/sops `cmd/sops/codes/codes.go`, v3.13; pinned by `the_exit_codes_are_those_of_sops_edit`.
    pub fn of_sops_edit(self) -> Self {
        match self {
            Self::Locked => Self::SopsLocked,
            Self::NotAuthentic => Self::SopsNotAuthentic,
            _ => Self::No,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
