//! The editor of `edit`, what it is told, and what it keeps all the same.

use std::path::PathBuf;

use super::report::Report;
use crate::cli::Surroundings;
use crate::cli::commands::edit::find_editor;
use crate::cli::left_behind;
use crate::ops::edit::editors::Editor;
use crate::ops::editor_check::{CheckError, Kept, check};
use crate::sys::scratch::find_scratch;

const TOPIC: &str = "editor";
const CHOOSE: &str = "let DOTSOPS_EDITOR name vim, nvim, nano, emacs or micro: these are told to keep nothing";

/// Which editor it is; with `is_checked` also what it leaves in the home.
pub fn look(report: &mut Report, is_checked: bool, surroundings: &Surroundings) {
    let editor = match find_editor(None, surroundings) {
        Ok(editor) => editor,
        Err(failure) => return report.failure(TOPIC, failure),
    };
    let precautions = editor.precautions("FOLDER-OF-THE-EDIT".as_ref());
    let mut words: Vec<String> = precautions.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    words.extend(editor.arguments.iter().map(|word| word.to_string_lossy().into_owned()));
    let words = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    let told = match words.is_empty() {
        true => String::new(),
        false => format!(", run as `{} {words} FILE`", editor.name),
    };
    let text = format!("{}{told}", editor.program.display());
    match precautions.warning {
        None => report.good(TOPIC, text),
        Some(warning) if precautions.arguments.is_empty() => report.finding(TOPIC, format!("{text}: {warning}"), CHOOSE),
        Some(warning) => report.note(TOPIC, format!("{text}: {warning}"), CHOOSE),
    }
    if is_checked {
        run(report, &editor, surroundings);
    }
}

fn run(report: &mut Report, editor: &Editor, surroundings: &Surroundings) {
    let environment = &surroundings.environment;
    let folder = |name| environment.var(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let names = ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"];
    let folders: Vec<PathBuf> = environment.home().into_iter().chain(names.into_iter().filter_map(folder)).collect();
    let scratch = match find_scratch(&left_behind::candidates(surroundings), None) {
        Ok(scratch) => scratch,
        Err(error) => return report.note(TOPIC, format!("it is not tried out: {error}"), "see `memory` above"),
    };
    match check(editor, &scratch, &folders, &environment.key_variables()) {
        Ok(Kept { copies, is_whole }) => {
            for copy in &copies {
                report.finding(
                    TOPIC,
                    format!("it keeps copies of what it shows, such as {}", copy.display()),
                    "take out of its configuration what makes them, then remove them; they may hold values of earlier edits",
                );
            }
            if !is_whole {
                report.note(TOPIC, "there is more in your home than was looked at", "look for copies in the rest of it yourself");
            } else if copies.is_empty() {
                report.good(TOPIC, "it was tried out, saving, killed and hung up, and left no copy in your home");
            }
        }
        Err(CheckError::NotDriven) => report.note(
            TOPIC,
            "it cannot be tried out: that is known of vim, neovim, nano and emacs only",
            "edit a file that holds no secret, and look for copies of it in your home",
        ),
        Err(error) => report.note(TOPIC, format!("it could not be tried out: {error}"), "run it by hand to see whether it works"),
    }
}
