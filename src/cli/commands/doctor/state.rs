//! What earlier commands left: drafts, plaintext of killed edits, remembered answers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::report::Report;
use crate::cli::Surroundings;
use crate::cli::failure::shell_word;
use crate::cli::left_behind;
use crate::ops::edit::draft::Draft;
use crate::ops::edit::drafts::DraftPlace;
use crate::sys::left_session::abandoned_sessions;
use crate::sys::own_lines::check_own;

/// The state folder and what is in it, and every place where plaintext may lie.
pub fn look(report: &mut Report, surroundings: &Surroundings) {
    match surroundings.environment.state_folder() {
        Some(state) => {
            folder(report, &state);
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
        return report.good("state", format!("{shown}, which is made when it is needed"));
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
    let known = state.join("known");
    if let Some(why) = check_own(&known).err().filter(|_| metadata.is_dir()) {
        finding(
            format!("{} is not used, so `exec` asks again what was answered: {why}", known.display()),
            format!("`rm -r {}`", shell_word(&known)),
        );
    }
    if is_good {
        report.good("state", shown);
    }
}

fn drafts(report: &mut Report, state: &Path, surroundings: &Surroundings) {
    let entries = fs::read_dir(state.join("drafts")).into_iter().flatten().flatten();
    let now = surroundings.now().unix_timestamp();
    for entry in entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
        let path = entry.path();
        let sealed = DraftPlace::at(path.clone()).read().ok().flatten().unwrap_or_default();
        match Draft::read(&sealed) {
            Ok(sealed) => {
                let (file, word) = (sealed.draft.path.display(), shell_word(&sealed.draft.path));
                let age = age(now.saturating_sub(i64::try_from(sealed.draft.time).unwrap_or(i64::MAX)));
                report.finding(
                    "drafts",
                    format!("what was typed in an edit of {file} {age} is not saved in it"),
                    format!("`dotsops edit --resume {word}` goes on from it, `dotsops edit --discard {word}` throws it away"),
                );
            }
            Err(error) => report.finding("drafts", format!("{}: {error}", path.display()), format!("`rm {}`", shell_word(&path))),
        }
    }
}

/// How long ago something was, in seconds.
fn age(seconds: i64) -> String {
    let (count, unit) = match seconds {
        172_800.. => (seconds / 86_400, "days"),
        7200.. => (seconds / 3600, "hours"),
        120.. => (seconds / 60, "minutes"),
        _ => return "just now".to_owned(),
    };
    format!("{count} {unit} ago")
}

fn sessions(report: &mut Report, surroundings: &Surroundings) {
    for session in left_behind::places(surroundings).iter().flat_map(abandoned_sessions) {
        report.finding(
            "drafts",
            format!("an edit was killed, and its plaintext is still in {}", session.display()),
            "the next command that changes a file, such as `dotsops edit`, removes it, or says how to keep it",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_is_told_in_the_unit_that_fits() {
        let told = [-5, 0, 119, 120, 7199, 7200, 172_799, 172_800, 864_000].map(age);
        let expected = ["just now", "just now", "just now", "2 minutes ago", "119 minutes ago", "2 hours ago", "47 hours ago"];
        assert_eq!(told[..7], expected);
        assert_eq!(told[7..], ["2 days ago", "10 days ago"]);
    }
}
