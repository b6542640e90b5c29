//! Files that could not be changed.

use std::path::Path;

use super::{ExitCode, Failure, chain, shell_word};
use crate::document::EncryptError;
use crate::keys::keyring::Keyring;
use crate::ops::change::ChangeError;
use crate::sys::atomic_write::ReplaceError;

impl Failure {
    /// A file that was not changed. `kept` says what became of what the user gave.
    pub fn change(path: &Path, error: ChangeError, kept: &str, keyring: &Keyring) -> Self {
        let (shown, word) = (path.display(), shell_word(path));
        let what = format!("{shown} is not saved");
        match error {
            ChangeError::Lock(error) => Self::lock(path, &error),
            ChangeError::File(error) => error.into(),
            ChangeError::Open(error) => Self::cannot_open(path, &error, keyring),
            ChangeError::LineInComment => Self::of(ExitCode::NotAuthentic, &error)
                .hint(format!("take that comment out of {shown}; `git log -p {shown}` shows who added it")),
            ChangeError::NotText { .. } => {
                Self::of(ExitCode::Malformed, &error).hint("use `dotsops decrypt` and `encrypt` for it")
            }
            ChangeError::NotReplaceable(source) => {
                let failure = Self::new(ExitCode::Refused, format!("{shown} could not be saved")).because(chain(&source));
                match source {
                    ReplaceError::HardLinked { .. } => failure
                        .hint("nothing was decrypted; its other names would go on leading to the old file: remove them first"),
                    ReplaceError::ReadOnly { .. } => failure.hint(format!("nothing was decrypted; `chmod u+w {word}` first, or edit it with --force")),
                    _ => failure.hint("nothing was decrypted"),
                }
            }
            ChangeError::Overtaken(_) => Self::new(ExitCode::Refused, what).because(&error).hint(kept),
            ChangeError::Replace(ref source) => Self::new(ExitCode::World, what).because(chain(source)).hint(kept),
            ChangeError::Encrypt(EncryptError::CommentLooksLikeMarker) => {
                Self::new(ExitCode::Malformed, what).because(chain(&error)).hint(kept)
            }
            ChangeError::Encrypt(_) | ChangeError::Emit(_) | ChangeError::Seal(_) => {
                Self::new(ExitCode::Bug, what).because(chain(&error)).hint(kept)
            }
        }
    }
}
