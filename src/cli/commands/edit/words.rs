//! What an edit says of changes: counted for one that is saved, by name for those of two that met.

use std::path::Path;

use crate::ops::edit::check::Changes;
use crate::ops::edit::meanwhile::Meanwhile;
use crate::ops::edit::session::Outcome;

/// How an edit ended.
pub(super) fn outcome(path: &Path, outcome: &Outcome) -> String {
    let shown = path.display();
    match outcome {
        Outcome::Unchanged => format!("{shown} is unchanged"),
        Outcome::NothingCreated => "nothing was saved, so no file was made".to_owned(),
        Outcome::Discarded => format!("your changes are discarded; {shown} is as it was"),
        Outcome::SavedByOthers => format!("{shown} says already what you wrote: someone else saved it meanwhile"),
        Outcome::Saved(changes) => format!("{shown} is saved, encrypted: {}", summary(changes)),
    }
}

fn summary(changes: &Changes) -> String {
    let counted = [(&changes.added, "added"), (&changes.changed, "changed"), (&changes.removed, "removed")];
    let said: Vec<String> = counted
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, what)| format!("{} {what}", names.len()))
        .collect();
    if said.is_empty() { "no value changed, only comments, blank lines or the order".to_owned() } else { said.join(", ") }
}

/// Who changed what, a line each.
pub(super) fn merged(meanwhile: &Meanwhile) -> String {
    let Meanwhile { theirs, ours, conflicts, new_data_key, other_readers } = meanwhile;
    let mut said = format!("\nby them: {}\nby you: {}", by_name(theirs), by_name(ours));
    if *new_data_key || *other_readers {
        let what = [(*new_data_key, "it has another data key"), (*other_readers, "it is encrypted to others than before")];
        let what: Vec<&str> = what.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
        said.push_str(&format!("\nbesides, {}", what.join(", and ")));
    }
    if !conflicts.is_empty() {
        said.push_str(&format!("\nby both, each in its own way: {}", listed(conflicts)));
    }
    said
}

/// The names that were added, changed and removed.
pub(super) fn by_name(changes: &Changes) -> String {
    if changes.is_none() {
        return "no value, only comments, blank lines, the order or who can read it".to_owned();
    }
    let by_kind = [("added", &changes.added), ("changed", &changes.changed), ("removed", &changes.removed)];
    let said: Vec<String> = by_kind
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {}", listed(names)))
        .collect();
    said.join("; ")
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    match names.len().saturating_sub(MOST) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}
