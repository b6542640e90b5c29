//! `docs/scenarios.md` has a row for each scenario of the design, and each names tests that exist.

use std::fs;

use crate::promises_page::{in_backticks, is_there, tests};

const PAGE: &str = "docs/scenarios.md";

/// How many scenarios the design has.
const SCENARIOS: usize = 61;

/// Those that are no part of what there is.
const NOT_PLAYED: &[usize] = &[34, 55, 56];

#[test]
fn every_scenario_of_the_design_has_a_test_that_is_there() {
    let (tests, page) = (tests(), fs::read_to_string(PAGE).unwrap());
    let mut next = 1;
    let mut mistakes = Vec::new();
    for line in page.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = cells.split(" | ").collect();
        let (Some(numbers), Some(proofs)) = (cells.first().and_then(|cell| numbers(cell)), cells.last()) else { continue };
        assert_eq!(*numbers.start(), next, "the rows are not in order");
        next = numbers.end() + 1;
        let proofs = in_backticks(proofs);
        let is_played = !numbers.clone().all(|number| NOT_PLAYED.contains(&number));
        if is_played && proofs.is_empty() {
            mistakes.push(format!("{numbers:?}: no test"));
        }
        mistakes.extend(
            proofs.iter().filter(|proof| !is_there(proof, &tests) && is_played).map(|proof| format!("{numbers:?}: {proof}")),
        );
    }
    assert_eq!(next, SCENARIOS + 1, "rows are missing");
    assert!(mistakes.is_empty(), "{PAGE}:\n{}", mistakes.join("\n"));
}

/// `7–8` or `33`.
fn numbers(cell: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = cell.split_once('–').unwrap_or((cell, cell));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
