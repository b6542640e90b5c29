//! What commands that were killed left behind, looked for by those that write a file: edits, and changes of many files.

use std::path::PathBuf;

use super::Surroundings;
use super::failure::{chain, from_here, shell_word};
use super::output::Output;
use crate::ops::edit::sweep::{Found, sweep};
use crate::ops::journal::recovery::{Found as Interrupted, Pending, pending, recover};
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

/// Finishes a change of many files that was interrupted; removes what is no loss of an edit, and says where the rest is.
pub fn look(surroundings: &Surroundings) {
    finish(surroundings);
    look_for_edits(surroundings);
}

/// The same for a command that writes; one that `only_shows` what it would do leaves it.
pub fn look_or_mention(only_shows: bool, surroundings: &Surroundings) {
    match only_shows {
        true => mention(surroundings),
        false => look(surroundings),
    }
}

/// The same for edits alone, as for the merge driver: git is at work on the files then.
pub fn look_for_edits(surroundings: &Surroundings) {
    sweep(&places(surroundings), None, &mut |found| tell(found, &surroundings.output));
}

/// Finishes a change of many files that was interrupted, or rolls it back, and says so.
pub fn finish(surroundings: &Surroundings) {
    if let Some(state) = surroundings.environment.state_folder() {
        recover(&state, &mut |found| tell_of_change(found, &surroundings.output));
    }
}

/// Says that such a change is not finished, and leaves it, for a command that only reads.
pub fn mention(surroundings: &Surroundings) {
    let Some(state) = surroundings.environment.state_folder() else { return };
    for Pending { verb, files } in pending(&state) {
        surroundings.output.warning(format_args!(
            "{}, and some of them may not be replaced yet: the next command that writes a file, such as `dotsops edit`, finishes it",
            interrupted(&verb, files)
        ));
    }
}

fn interrupted(verb: &str, files: usize) -> String {
    format!("`dotsops {verb}` of {files} files was interrupted")
}

fn tell_of_change(found: &Interrupted, output: &Output) {
    let left_alone = |left: &[PathBuf]| {
        if !left.is_empty() {
            output.warning(format_args!("changed by something else since then, and left as they are: {}", named(left)));
        }
    };
    match found {
        Interrupted::RolledBack => {
            output.note("a change of several files was interrupted before the first was replaced: all are as they were");
        }
        Interrupted::Finished { verb, files, left } => {
            output.note(format_args!("{}; it is finished now", interrupted(verb, *files)));
            if verb.starts_with("recipients remove ") {
                output.note("`dotsops recipients remove KEY --dry-run`, with the public key, lists the values to change at their source");
            }
            left_alone(left);
        }
        Interrupted::PutBack { verb, files, path, source, left } => {
            output.warning(format_args!(
                "{} and cannot be finished, so all are as they were before it; {}: {}",
                interrupted(verb, *files),
                from_here(path).display(),
                chain(source)
            ));
            left_alone(left);
        }
        Interrupted::Stuck { verb, files, path, why, .. } => output.warning(format_args!(
            "{} and cannot be finished now; the next command tries again; {}: {}",
            interrupted(verb, *files),
            from_here(path).display(),
            chain(why)
        )),
        Interrupted::Damaged { log } => output.warning(format_args!(
            "a change of several files was interrupted, and its log is damaged: look at the files with `git status`, then `rm {}`",
            shell_word(log)
        )),
    }
}

fn named(paths: &[PathBuf]) -> String {
    const MOST: usize = 5;
    let names: Vec<String> = paths.iter().take(MOST).map(|path| from_here(path).display().to_string()).collect();
    match paths.len().saturating_sub(MOST) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Says what was found of an edit, in one line.
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
