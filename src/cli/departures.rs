//! Says how a file departs from its rule, or repeats itself, where that is no reason to refuse it.
//!
//! Its one invariant: a `.sops.yaml` that is missing or broken keeps nobody from what is there already, unless it is to be strict.

use std::path::{Path, PathBuf};

use super::Surroundings;
use super::consent::{Answer, ask};
use super::failure::{Failure, listed, shell_word};
use super::people::People;
use crate::config::Config;
use crate::document::DecryptedDocument;
use crate::document::metadata::Metadata;
use crate::document::selection::Selection;
use crate::ops::departures::{duplicates, left_out, other_selection, unnamed_recipients};
use crate::ops::merge::marks::undecided;
use crate::tree::Tree;

/// What somebody who reads the file should know.
///
/// # Errors
/// As all of this room: only if what is worth a warning is to be refused.
pub fn of_reading(path: &Path, metadata: &Metadata, surroundings: &Surroundings) -> Result<(), Failure> {
    match compared(path, surroundings)?.and_then(|(config, absolute)| said_of_selection(path, metadata, &config, &absolute)) {
        Some(said) => surroundings.finding(said),
        None => Ok(()),
    }
}

/// What somebody who changes the file should know. That another rule encrypts it is only asked about where it matters.
pub fn of_changing(path: &Path, metadata: &Metadata, surroundings: &Surroundings) -> Result<(), Failure> {
    if surroundings.strict {
        of_reading(path, metadata, surroundings)?;
    }
    let Some((config, absolute)) = compared(path, surroundings)? else { return Ok(()) };
    let unnamed = unnamed_recipients(metadata, Some(&config), &absolute).unwrap_or_default();
    if !unnamed.is_empty() {
        surroundings.finding(said_of_unnamed(path, &unnamed))?;
    }
    say_left_out(path, metadata, &config, &absolute, surroundings)
}

/// What somebody who gives the file a new key should know. Who can read it although no rule names them is asked about.
pub fn of_rotating(path: &Path, metadata: &Metadata, surroundings: &Surroundings) -> Result<(), Failure> {
    of_reading(path, metadata, surroundings)?;
    match compared(path, surroundings)? {
        Some((config, absolute)) => say_left_out(path, metadata, &config, &absolute, surroundings),
        None => Ok(()),
    }
}

/// Says who cannot read the file although its rule names them.
fn say_left_out(
    path: &Path,
    metadata: &Metadata,
    config: &Config,
    absolute: &Path,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let people = People::of(config);
    let left_out: Vec<String> =
        left_out(metadata, config, absolute).iter().map(|(kind, recipient)| people.brief(*kind, recipient)).collect();
    match left_out.as_slice() {
        [] => Ok(()),
        names => surroundings.finding(format_args!(
            "{} cannot be read by everybody its rule names: {}; `dotsops updatekeys {}` lets them in",
            path.display(),
            listed(names),
            shell_word(path)
        )),
    }
}

/// What the file's rule encrypts, if the file itself says something else, and that in words.
pub fn other_rule(path: &Path, metadata: &Metadata, surroundings: &Surroundings) -> Option<(Selection, String)> {
    let (config, absolute) = compared(path, surroundings).ok().flatten()?;
    let (option, text) = other_selection(metadata, &config, &absolute)?;
    Some((Selection::new(option, &text).ok()?, said_of_selection(path, metadata, &config, &absolute)?))
}

/// The rules to compare a file with, and its absolute path.
fn compared(path: &Path, surroundings: &Surroundings) -> Result<Option<(Config, PathBuf)>, Failure> {
    let (Some(config), Ok(absolute)) = (surroundings.config_to_compare()?, std::path::absolute(path)) else { return Ok(None) };
    if surroundings.strict && config.rule_for(&absolute)?.is_none() {
        return Err(Failure::no_rules(Some(&config.path)));
    }
    Ok(Some((config, absolute)))
}

/// What to say where the file's rule encrypts other values than the file itself.
pub fn said_of_selection(path: &Path, metadata: &Metadata, config: &Config, absolute: &Path) -> Option<String> {
    let (option, text) = other_selection(metadata, config, absolute)?;
    let (own, shown) = (&metadata.selection, path.display());
    Some(format!(
        "{shown}: which values are encrypted is not as its rule says: it has `{}: {}`, the rule in {} `{}: {text}`",
        own.option().field(),
        own.text(),
        config.path.display(),
        option.field(),
    ))
}

fn said_of_unnamed(path: &Path, unnamed: &[String]) -> String {
    format!("{} has recipients that no rule names: {}", path.display(), unnamed.join(", "))
}

/// Says who can read the file although no rule names them.
pub fn say_unnamed(path: &Path, unnamed: &[String], surroundings: &Surroundings) {
    surroundings.output.warning(said_of_unnamed(path, unnamed));
}

/// Asks whether recipients that no rule names may get what they could not read so far.
pub fn consent_to_unnamed(path: &Path, unnamed: &[String], is_given: bool, surroundings: &Surroundings) -> Result<(), Failure> {
    consent_to_all_unnamed(&[(path, unnamed)], is_given, surroundings)
}

/// The same for several files, in one question. Those that have no such recipients are passed over.
pub fn consent_to_all_unnamed(files: &[(&Path, &[String])], is_given: bool, surroundings: &Surroundings) -> Result<(), Failure> {
    let concerned: Vec<_> = files.iter().filter(|(_, unnamed)| !unnamed.is_empty()).collect();
    concerned.iter().for_each(|(path, unnamed)| say_unnamed(path, unnamed, surroundings));
    let what = match concerned.as_slice() {
        [] => return Ok(()),
        _ if is_given => return Ok(()),
        [(path, _)] => path.display().to_string(),
        several => format!("these {} files", several.len()),
    };
    match ask(&format!("From now on they could read what is written to {what}. Go on?")) {
        Answer::Yes => Ok(()),
        Answer::No | Answer::Nobody => Err(Failure::unnamed_recipients(concerned[0].0)),
    }
}

/// Says for which names a merge left two values in `document`.
pub fn say_undecided(path: &Path, document: &DecryptedDocument, surroundings: &Surroundings) -> Result<(), Failure> {
    let shown = path.display();
    let said = |name| format!("{shown}: both sides of a merge changed `{name}`, and nobody has decided yet: `dotsops edit`");
    undecided(document).into_iter().try_for_each(|name| surroundings.finding(said(name)))
}

/// Says which names stand several times.
pub fn say_duplicates(path: &Path, tree: &Tree, surroundings: &Surroundings) -> Result<(), Failure> {
    said_of_duplicates(path, tree).into_iter().try_for_each(|said| surroundings.finding(said))
}

/// The same, to be said later.
pub fn said_of_duplicates(path: &Path, tree: &Tree) -> Vec<String> {
    let said = |name: String| format!("{}: `{name}` stands more than once; the last value counts", path.display());
    duplicates(tree).into_iter().map(said).collect()
}
