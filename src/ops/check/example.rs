//! Names that the example beside a file lists, and the file has not.

use std::collections::HashSet;
use std::path::PathBuf;

use super::Subject;
use super::finding::{Example, Finding, Sort};
use super::place::Place;
use crate::dialect;
use crate::dialect::names::{RESERVED_PREFIX, is_portable_name};
use crate::dialect::scanner::Scanner;
use crate::ops::edit::example::{LARGEST, NotUsed, names};
use crate::ops::file::variable_name;
use crate::secret::SecretBytes;
use crate::tree::Tree;

/// What an encrypted file has among its names.
const ENCRYPTED: &str = "sops_mac";

/// Compares the names of `tree` with those of the first example that lies beside the file.
pub fn judge(subject: &Subject, tree: &Tree, place: &Place) -> Vec<Finding> {
    let Some((path, read)) = find(subject, place) else { return Vec::new() };
    let listed = match read.and_then(|bytes| listed(&bytes)) {
        Ok(listed) => listed,
        Err(problem) => return vec![Finding::of(Sort::BadExample { path, problem })],
    };
    let entries = tree.documents.iter().flat_map(|document| document.entries());
    let there: HashSet<String> = entries.map(|(key, _)| variable_name(key).into_owned()).collect();
    let missing = listed.into_iter().filter(|(name, _)| !there.contains(name));
    missing
        .map(|(name, line)| Finding {
            line: None,
            name: Some(name),
            sort: Sort::MissingName(Example { path: path.clone(), line }),
        })
        .collect()
}

type Read = Result<SecretBytes, NotUsed>;

fn find(subject: &Subject, place: &Place) -> Option<(PathBuf, Read)> {
    let (folder, shown) = (subject.path.parent()?, subject.shown.parent()?);
    names(subject.path.file_name()?).into_iter().find_map(|name| {
        let read = place.example(&folder.join(&name), LARGEST)?;
        Some((shown.join(name), read))
    })
}

/// The names that a new line may have, each with its first line.
fn listed(bytes: &SecretBytes) -> Result<Vec<(String, usize)>, NotUsed> {
    let decoded = dialect::decode(bytes.expose())?;
    let mut listed: Vec<(String, usize)> = Vec::new();
    let mut seen = HashSet::new();
    for statement in Scanner::new(decoded.text.expose()) {
        let Some(name) = statement.definition().map(|definition| definition.name) else { continue };
        if name == ENCRYPTED {
            return Err(NotUsed::Encrypted);
        }
        if is_portable_name(name) && !name.starts_with(RESERVED_PREFIX) && seen.insert(name.to_owned()) {
            listed.push((name.to_owned(), *statement.lines.start()));
        }
    }
    Ok(listed)
}
