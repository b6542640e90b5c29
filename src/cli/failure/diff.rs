//! Versions that cannot be compared.

use std::path::Path;

use super::{ExitCode, Failure, chain, metadata_changed, shell_word};
use crate::ops::diff::ReadVersionError;

impl Failure {
    /// A version that is none, or not what its writer wrote.
    pub fn cannot_compare(name: &Path, error: ReadVersionError) -> Self {
        let what = format!("cannot compare {}", name.display());
        match error {
            ReadVersionError::File(error) => error.into(),
            ReadVersionError::Plaintext(error) => Self { error: what, ..Self::cannot_store(name, error, None) },
            ReadVersionError::NotAuthentic(error) => Self::not_authentic(name, what, &error),
            ReadVersionError::Unlock(error) => {
                Self::new(ExitCode::Malformed, what).because(chain(&error)).hint(metadata_changed(name))
            }
        }
    }

    /// A version that git does not have.
    pub fn not_in_git(name: &Path, root: &Path) -> Self {
        let root = shell_word(root);
        Self::new(ExitCode::World, format!("git has no file {}", name.display()))
            .because("no commit of that name has it, or it is larger than any file of secrets")
            .hint(format!(
                "`git -C {root} log --oneline -- FILE` lists the commits that have it; name another file to compare with"
            ))
    }

    /// One name without a repository.
    pub fn nothing_to_compare_with(here: &Path) -> Self {
        Self::new(ExitCode::Usage, "there is no older version to compare with")
            .because(format!("{} is in no repository, or there is no program git", here.display()))
            .hint("name two files: `dotsops diff OLD NEW`")
    }
}
