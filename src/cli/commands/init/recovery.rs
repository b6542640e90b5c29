//! A second key for the files of a new repository, kept offline: for the day on which the other keys are lost.
//!
//! Its one invariant: the private half is written or shown once, never into a repository, and kept nowhere else.

use std::path::{Path, PathBuf};

use super::Ready;
use crate::cli::commands::keygen;
use crate::cli::consent::{Answer, ask};
use crate::cli::failure::Failure;
use crate::keys::Kind;
use crate::keys::age::generate::{NewIdentity, generate_identity};
use crate::keys::age::recipient::is_same;
use crate::keys::new_master_key;
use crate::sys::terminal::{ask_line, show_line, show_secret};

/// How often a place is asked for.
const TRIES: usize = 3;

impl Ready<'_> {
    /// The public key of `--recovery`, or one that is made now if somebody at a terminal wants it.
    pub(super) fn recovery(&self, own: &str) -> Result<Option<String>, Failure> {
        if let Some(key) = &self.arguments.recovery {
            let key = key.trim().to_owned();
            new_master_key(Kind::Age, &key).map_err(|error| Failure::recovery_key(&error))?;
            if is_same(&key, own) {
                return Err(Failure::recovery_is_own());
            }
            self.say(format_args!("recovery: {}", crate::cli::failure::short(&key)))?;
            return Ok(Some(key));
        }
        if self.arguments.yes || self.arguments.dry_run {
            return Ok(None);
        }
        let question = "If you lose your key, nobody can read the files. Make a second one, a recovery key to be kept offline?";
        if ask(question) != Answer::Yes {
            return Ok(None);
        }
        let identity = generate_identity();
        let recipient = identity.recipient.clone();
        self.hand_over(identity)?;
        Ok(Some(recipient))
    }

    /// Writes the private half where the user says, or shows it.
    fn hand_over(&self, identity: NewIdentity) -> Result<(), Failure> {
        let prompt = "A file for it, best on a medium that you can take away (nothing: show it here, once): ";
        for _ in 0..TRIES {
            let answer = ask_line(prompt, None).ok().flatten().ok_or_else(Failure::recovery_not_kept)?;
            let path = PathBuf::from(answer.trim());
            if path.as_os_str().is_empty() {
                return show(&identity);
            }
            if let Some(root) = repository_of(&path) {
                show_line(&format!("{} lies in the repository {}, where it must never be", path.display(), root.display()));
                continue;
            }
            if path.symlink_metadata().is_ok() {
                show_line(&format!("{} is there already, and is never overwritten", path.display()));
                continue;
            }
            keygen::create(&path, identity, None, self.surroundings)?;
            return self.say(format_args!(
                "recovery: new in {}; take that file away from this machine: whoever has it can read everything",
                path.display()
            ));
        }
        Err(Failure::recovery_not_kept())
    }
}

fn show(identity: &NewIdentity) -> Result<(), Failure> {
    let is_shown = show_line("Write this down or print it. It opens every file here, and is never shown again:")
        && show_secret(&identity.secret)
        && show_line("Then clear the terminal, with what it remembers. In a file of its own, SOPS_AGE_KEY_FILE=FILE uses it.");
    match is_shown && ask_line("Press Enter when you have it: ", None).is_ok_and(|answer| answer.is_some()) {
        true => Ok(()),
        false => Err(Failure::recovery_not_kept()),
    }
}

/// The repository in which a new file `path` would lie.
fn repository_of(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let there = absolute.ancestors().skip(1).find_map(|folder| folder.canonicalize().ok())?;
    there.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}
