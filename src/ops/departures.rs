//! How a file departs from what one would expect of it, though nothing in it is wrong: from its rule, and in its names.
//!
//! Anybody who can change the file can bring this about without a key. Knows what is so, not whether it matters to a verb.

use std::collections::HashSet;
use std::path::Path;

use super::file::variable_name;
use crate::config::{Config, ConfigError};
use crate::document::metadata::Metadata;
use crate::document::selection::{Selection, SelectionOption};
use crate::keys::age::recipient::is_same;
use crate::keys::group::KeyGroup;
use crate::keys::{Kind, shown};
use crate::tree::Tree;

/// The recipients of a file at `path` (absolute) that its rule in `config` does not name.
///
/// They could be somebody's who added them without any key: reading the file they cannot, but after a rotation they could.
///
/// # Errors
/// [`ConfigError`] if the config cannot be used. A file that no rule is for has nobody named.
pub fn unnamed_recipients(metadata: &Metadata, config: Option<&Config>, path: &Path) -> Result<Vec<String>, ConfigError> {
    unnamed_among(&metadata.key_groups, config, path)
}

/// The same for some key groups.
///
/// # Errors
/// As [`unnamed_recipients`].
pub fn unnamed_among(groups: &[KeyGroup], config: Option<&Config>, path: &Path) -> Result<Vec<String>, ConfigError> {
    let rule = match config.map(|config| config.rule_for(path)) {
        None | Some(Ok(None)) => return Ok(Vec::new()),
        Some(Ok(Some(rule))) => Some(rule),
        Some(Err(ConfigError::NoMatchingRule { .. })) => None,
        Some(Err(error)) => return Err(error),
    };
    let named: Vec<(Kind, String)> =
        rule.iter().flat_map(|rule| &rule.groups).flat_map(|group| &group.keys).map(|key| (key.kind, key.identity())).collect();
    let keys = groups.iter().flat_map(|group| &group.keys);
    let unnamed = keys.filter(|key| !named.iter().any(|(kind, name)| *kind == key.kind() && is_same(name, key.recipient())));
    Ok(unnamed.map(|key| shown(key.recipient()).to_owned()).collect())
}

/// Whom the rule of a file at `path` (absolute) names and the file knows nothing of, in whatever group.
///
/// A rule that cannot be used, and a file that no rule is for, have nobody to miss.
pub fn left_out(metadata: &Metadata, config: &Config, path: &Path) -> Vec<(Kind, String)> {
    let Some(rule) = config.rule_for(path).ok().flatten() else { return Vec::new() };
    let keys = rule.groups.iter().flat_map(|group| &group.keys).map(|key| (key.kind, key.identity()));
    let there = || metadata.key_groups.iter().flat_map(|group| &group.keys);
    keys.filter(|(kind, named)| !there().any(|key| key.kind() == *kind && is_same(key.recipient(), named))).collect()
}

/// What the rule of a file at `path` (absolute) encrypts, if the file's own metadata say something else.
///
/// A rule that cannot be used, and a file that no rule is for, have nothing to compare with.
pub fn other_selection(metadata: &Metadata, config: &Config, path: &Path) -> Option<(SelectionOption, String)> {
    let rule = config.rule_for(path).ok().flatten()?;
    let unsaid = Selection::default();
    let (option, text) = rule.selection.clone().unwrap_or_else(|| (unsaid.option(), unsaid.text().to_owned()));
    let own = &metadata.selection;
    ((own.option(), own.text()) != (option, text.as_str())).then_some((option, text))
}

/// The names that stand several times, each once.
pub fn duplicates(tree: &Tree) -> Vec<String> {
    let keys = tree.documents.iter().flat_map(|document| document.entries()).map(|(key, _)| key);
    let (mut seen, mut told, mut twice) = (HashSet::new(), HashSet::new(), Vec::new());
    for name in keys.map(variable_name) {
        if !seen.contains(&name) {
            seen.insert(name);
        } else if told.insert(name.clone()) {
            twice.push(name.into_owned());
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Format, dotenv::Dotenv};

    #[test]
    fn a_name_that_stands_several_times_is_told_once_whatever_its_spelling() {
        let tree = Dotenv.parse(b"A=1\nB=2\nexport A=3\nC D=4\nA=5\n'B'=6\nC D=\n").unwrap().tree;
        assert_eq!(duplicates(&tree), ["A", "B", "C D"]);
    }
}
