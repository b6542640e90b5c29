//! What edits that were killed left behind, looked for by the commands that write a file.

use std::path::PathBuf;

use super::Surroundings;
use super::failure::shell_word;
use super::output::Output;
use crate::ops::edit::sweep::{Found, sweep};
use crate::sys::scratch::{Scratch, ScratchCandidates, existing_scratches};

/// Every place where an edit's plaintext may lie, if it is there.
pub fn places(surroundings: &Surroundings) -> Vec<Scratch> {
    let environment = &surroundings.environment;
    existing_scratches(&candidates(surroundings), &environment.temporary_folder())
}

/// The folders that the user chose or the session has.
pub fn candidates(surroundings: &Surroundings) -> ScratchCandidates {
    let folder = |name| surroundings.environment.var(name).map(PathBuf::from);
    ScratchCandidates::of_current_user(folder("DOTSOPS_EDIT_DIR"), folder("XDG_RUNTIME_DIR"))
}

/// Removes what is no loss, and says where the rest is.
pub fn look(surroundings: &Surroundings) {
    sweep(&places(surroundings), None, &mut |found| tell(found, &surroundings.output));
}

/// Says what was found, in one line.
pub fn tell(found: &Found, output: &Output) {
    match found {
        Found::Unchanged { file } => output.note(format_args!(
            "an edit of {} was killed before anything was saved in it; its plaintext is removed now",
            file.display()
        )),
        Found::Changed { file } => output.warning(format_args!(
            "an edit of {} was killed, and what was saved in it is still in memory, unencrypted: `dotsops edit {}` keeps it",
            file.display(),
            shell_word(file)
        )),
        Found::Stuck { session } => output.warning(format_args!(
            "an edit was killed, and no draft can be made of the plaintext it left in {}: copy what you need, then remove that folder",
            session.display()
        )),
        Found::Kept => output.note("the last edit was killed; what was saved in it is kept, encrypted, and its plaintext is removed now"),
    }
}
