//! What earlier commands left: drafts, plaintext of killed edits, remembered answers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::report::Report;
use crate::cli::Surroundings;
use crate::cli::commands::drafts::age;
use crate::cli::failure::{chain, shell_word};
use crate::cli::left_behind;
use crate::keys::keyring::Keyring;
use crate::ops::edit::kept::{self, Damaged};
use crate::ops::journal::recovery::pending;
use crate::sys::left_session::abandoned_sessions;
use crate::sys::own_lines::check_own;

/// The state folder and what is in it, and every place where plaintext may lie.
pub fn look(report: &mut Report, surroundings: &Surroundings) {
    match surroundings.environment.state_folder() {
        Some(state) => {
            folder(report, &state);
            changes(report, &state);
            drafts(report, &state, surroundings);
        }
        None => report.finding(
            "state",
            "there is no folder for locks and drafts, so no file can be changed",
            "set HOME, or XDG_STATE_HOME, to an absolute path",
        ),
    }
    sessions(report, surroundings);
}

fn folder(report: &mut Report, state: &Path) {
    let (shown, word) = (state.display(), shell_word(state));
    let Ok(metadata) = state.metadata() else {
        return match can_be_made(state) {
            true => report.good("state", format!("{shown}, which is made when it is needed")),
            false => report.finding(
                "state",
                format!("{shown} cannot be made, so no file can be changed"),
                "set XDG_STATE_HOME to a folder that can be written",
            ),
        };
    };
    let mut is_good = true;
    let mut finding = |text: String, hint: String| {
        is_good = false;
        report.finding("state", text, hint);
    };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if !metadata.is_dir() {
        finding(format!("{shown} is no folder"), format!("move it away: `mv {word} {word}.old`"));
    } else if access(state, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        finding(format!("{shown} cannot be written, so no file can be changed"), format!("`ls -ld {word}` says why"));
    } else if owner != rustix::process::geteuid().as_raw() {
        finding(format!("{shown} belongs to user {owner}"), format!("`sudo chown -R $(id -u) {word}` gives it to you"));
    } else if mode & 0o077 != 0 {
        finding(format!("{shown} is open to others (mode {mode:04o})"), format!("`chmod 700 {word}`"));
    }
    for answers in ["known", "plugins"].map(|name| state.join(name)) {
        if let Some(why) = check_own(&answers).err().filter(|_| metadata.is_dir()) {
            finding(
                format!("{} is not used, so what was answered is asked again: {why}", answers.display()),
                format!("`rm -r {}`", shell_word(&answers)),
            );
        }
    }
    if is_good {
        report.good("state", shown);
    }
}

/// Whether the nearest folder above that is there can be written.
fn can_be_made(folder: &Path) -> bool {
    let above = folder.ancestors().find(|above| above.symlink_metadata().is_ok());
    above.is_some_and(|above| above.is_dir() && access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

fn changes(report: &mut Report, state: &Path) {
    for change in pending(state) {
        report.finding(
            "state",
            format!("`dotsops {}` of {} files was interrupted, and some may not be replaced yet", change.verb, change.files),
            "the next command that writes a file, such as `dotsops edit`, finishes it",
        );
    }
}

fn drafts(report: &mut Report, state: &Path, surroundings: &Surroundings) {
    // What they say is not asked for, so no key is needed.
    let Ok((kept, damaged)) = kept::all(state, &Keyring::new(Vec::new())) else { return };
    for draft in &kept {
        let (file, word) = (draft.file.display(), shell_word(&draft.file));
        report.finding(
            "drafts",
            format!("what was typed in an edit of {file} {} is not saved in it", age(draft, surroundings)),
            format!("`dotsops edit --resume {word}` goes on from it, `dotsops edit --discard {word}` throws it away"),
        );
    }
    for Damaged { path, problem } in &damaged {
        report.finding("drafts", format!("{}: {}", path.display(), chain(problem)), format!("`rm {}`", shell_word(path)));
    }
}

fn sessions(report: &mut Report, surroundings: &Surroundings) {
    for session in left_behind::places(surroundings).iter().flat_map(abandoned_sessions) {
        report.finding(
            "drafts",
            format!("an edit was killed, and its plaintext is still in {}", session.display()),
            "the next command that writes a file, such as `dotsops edit`, removes it, or says how to keep it",
        );
    }
}
