//! A repository that cannot be made ready as asked.

use std::path::Path;

use super::readers::recipient_hint;
use super::{ExitCode, Failure};
use crate::keys::age::recipient::RecipientError;

impl Failure {
    /// A recovery key that is none.
    pub fn recovery_key(error: &RecipientError) -> Self {
        Self::of(ExitCode::Usage, error).hint(recipient_hint(error))
    }

    /// The user's own key as the one for the day on which it is lost.
    pub fn recovery_is_own() -> Self {
        Self::new(ExitCode::Usage, "the recovery key is your own key, and would be lost with it")
            .hint("`dotsops keygen -o FILE` makes another one; keep FILE offline")
    }

    /// A recovery key for rules that are there.
    pub fn recovery_comes_late(config: &Path) -> Self {
        Self::new(ExitCode::Refused, format!("{} is there already, and `init` never changes it", config.display()))
            .hint("`dotsops recipients add recovery PUBLIC_KEY` lets the key read the files")
    }

    /// A recovery key that nobody has kept.
    pub fn recovery_not_kept() -> Self {
        Self::new(ExitCode::Refused, "the recovery key was not kept, so it was thrown away, and no rule was made")
            .hint("run `dotsops init` again; `--recovery PUBLIC_KEY` takes a key that you have already")
    }
}
