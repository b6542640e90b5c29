//! Says how a file departs from its rule, or repeats itself, where that is no reason to refuse it.
//!
//! Its one invariant: a `.sops.yaml` that is missing or broken keeps nobody from what is there already.

use std::path::Path;

use super::Surroundings;
use super::consent::{Answer, ask};
use super::failure::Failure;
use crate::document::metadata::Metadata;
use crate::ops::departures::{duplicates, other_selection, unnamed_recipients};
use crate::ops::merge::marks::undecided;
use crate::tree::Tree;

/// What somebody who reads the file should know.
pub fn of_reading(path: &Path, metadata: &Metadata, surroundings: &Surroundings) {
    let (Some(config), Ok(absolute)) = (surroundings.config_to_compare(), std::path::absolute(path)) else { return };
    let Some((option, text)) = other_selection(metadata, &config, &absolute) else { return };
    let (own, shown) = (&metadata.selection, path.display());
    surroundings.output.warning(format_args!(
        "{shown}: which values are encrypted is not as its rule says: it has `{}: {}`, the rule in {} `{}: {text}`",
        own.option().field(),
        own.text(),
        config.path.display(),
        option.field(),
    ));
}

/// What somebody who changes the file should know.
pub fn of_changing(path: &Path, metadata: &Metadata, surroundings: &Surroundings) {
    let (Some(config), Ok(absolute)) = (surroundings.config_to_compare(), std::path::absolute(path)) else { return };
    let unnamed = unnamed_recipients(metadata, Some(&config), &absolute).unwrap_or_default();
    if !unnamed.is_empty() {
        say_unnamed(path, &unnamed, surroundings);
    }
}

/// Says who can read the file although no rule names them.
pub fn say_unnamed(path: &Path, unnamed: &[String], surroundings: &Surroundings) {
    surroundings.output.warning(format_args!("{} has recipients that no rule names: {}", path.display(), unnamed.join(", ")));
}

/// Asks whether recipients that no rule names may get what they could not read so far.
pub fn consent_to_unnamed(path: &Path, unnamed: &[String], is_given: bool, surroundings: &Surroundings) -> Result<(), Failure> {
    say_unnamed(path, unnamed, surroundings);
    if is_given {
        return Ok(());
    }
    match ask(&format!("From now on they could read what is written to {}. Go on?", path.display())) {
        Answer::Yes => Ok(()),
        Answer::No | Answer::Nobody => Err(Failure::unnamed_recipients(path)),
    }
}

/// Says for which names a merge left two values in the plaintext `tree`.
pub fn say_undecided(path: &Path, tree: &Tree, surroundings: &Surroundings) {
    for name in undecided(tree) {
        surroundings.output.warning(format_args!(
            "{}: both sides of a merge changed `{name}`, and nobody has decided yet: `dotsops edit`",
            path.display()
        ));
    }
}

/// Says which names stand several times.
pub fn say_duplicates(path: &Path, tree: &Tree, surroundings: &Surroundings) {
    for name in duplicates(tree) {
        surroundings.output.warning(format_args!("{}: `{name}` stands more than once; the last value counts", path.display()));
    }
}
