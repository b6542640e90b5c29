//! `docs/promises.md` names tests that exist, at least one for each promise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/promises.md";

#[test]
fn every_promise_has_a_test_that_is_there() {
    let tests = tests();
    let mut mistakes = Vec::new();
    let mut promises = 0;
    for line in fs::read_to_string(PAGE).unwrap().lines() {
        let Some((promise, proofs)) = row(line) else { continue };
        promises += 1;
        let proofs = in_backticks(proofs);
        if proofs.is_empty() {
            mistakes.push(format!("{promise}: no test"));
        }
        for proof in proofs {
            if !is_there(proof, &tests) {
                mistakes.push(format!("{promise}: {proof} is not there"));
            }
        }
    }
    assert!(promises > 40, "{promises} rows were found");
    assert!(mistakes.is_empty(), "{PAGE}:\n{}", mistakes.join("\n"));
}

/// The two cells of a row, unless it is the head of a table.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let (promise, proofs) = cells.split_once(" | ")?;
    (proofs != "tests").then_some((promise, proofs))
}

/// Whether there is a file or folder of that name, or else a test.
pub fn is_there(proof: &str, tests: &BTreeSet<String>) -> bool {
    if proof.contains('/') { Path::new(proof).exists() } else { tests.contains(proof) }
}

pub fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The names of all functions that are marked as tests, in the sources and beside them.
pub fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["src", "tests"].into_iter().flat_map(|folder| rust_files(Path::new(folder))) {
        let text = fs::read_to_string(file).unwrap();
        for (at, mark) in text.match_indices("#[test]") {
            let behind = &text[at + mark.len()..];
            let name = behind.split_once("fn ").map_or("", |(_, rest)| rest);
            names.insert(name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false if path.extension().is_some_and(|extension| extension == "rs") => vec![path],
            false => Vec::new(),
        })
        .collect()
}
