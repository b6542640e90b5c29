//! Versions that could not be merged.

use std::path::Path;

use super::{ExitCode, Failure, chain, shell_word};
use crate::keys::keyring::Keyring;
use crate::ops::change::ChangeError;
use crate::ops::git::GitRefused;
use crate::ops::merge::{MergeError, OpenVersionError};

impl Failure {
    /// A version that does not open.
    pub fn version(path: &Path, error: OpenVersionError, keyring: &Keyring) -> Self {
        let OpenVersionError { side, source } = error;
        let is_locked = matches!(source, ChangeError::Open(_));
        let mut failure = Self::change(path, source, "nothing was changed", keyring);
        failure.error = format!("{side} version of {}: {}", path.display(), failure.error);
        match is_locked {
            true => failure.hint(
                "whoever can read both versions can merge; `git -c merge.dotsops.driver=false merge …` leaves a conflict with our version",
            ),
            false => failure,
        }
    }

    /// Versions of a plaintext of which git makes nothing.
    pub fn plaintext_not_merged(path: &Path, error: &GitRefused) -> Self {
        Self::new(ExitCode::World, format!("{} cannot be merged", path.display()))
            .because(format!("no version is encrypted, and {error} to merge them: it may be no text"))
            .hint("choose one version: `git checkout --ours FILE` or `--theirs`")
    }

    /// Versions that open, and of which no file can be made.
    pub fn merge(path: &Path, error: MergeError) -> Self {
        let (shown, word) = (path.display(), shell_word(path));
        let what = format!("{shown} cannot be merged");
        let by_hand = format!(
            "`git -c merge.dotsops.driver=false merge …` leaves a conflict with our version; bring theirs in with `dotsops edit {word}`"
        );
        match error {
            MergeError::Selection
            | MergeError::WouldBeClear { .. }
            | MergeError::MarksInClear
            | MergeError::Unnamed { .. }
            | MergeError::Readers(_) => Self::new(ExitCode::Refused, what).because(chain(&error)).hint(by_hand),
            MergeError::Wrap(_) | MergeError::NewKey(_) => Self::new(ExitCode::World, what).because(chain(&error)).hint(by_hand),
            MergeError::Encrypt(_) | MergeError::Emit(_) | MergeError::Seal(_) => {
                Self::new(ExitCode::Bug, what).because(chain(&error)).hint(by_hand)
            }
        }
    }
}
