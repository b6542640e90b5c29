//! Other programs that tests compare us with.

use std::io::Write;
use std::path::PathBuf;

/// Hands through a program that was `found`; otherwise says on stderr that its test is skipped.
///
/// # Panics
/// If it was not found and `DOTSOPS_REQUIRE_PEERS=1` is set.
pub fn peer(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        assert!(!are_required(), "{name} is missing, and DOTSOPS_REQUIRE_PEERS=1 is set");
        say(&format!("skipped: {name} is missing"));
    }
    found
}

/// Whether what a test needs of the machine `is_given`; otherwise says on stderr why its test is skipped.
///
/// # Panics
/// If it is not given and `DOTSOPS_REQUIRE_PEERS=1` is set.
pub fn given(is_given: bool, why_not: &str) -> bool {
    if !is_given {
        assert!(!are_required(), "{why_not}, and DOTSOPS_REQUIRE_PEERS=1 is set");
        say(&format!("skipped: {why_not}"));
    }
    is_given
}

/// Writes a line on stderr, also where the test passes: the test harness hides what `eprintln!` writes.
#[allow(clippy::explicit_write)]
pub fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Whether the machine has what nobody can install, be it that other peers are required: a test without it is skipped with a word.
pub fn has(is_there: bool, why: &str) -> bool {
    if !is_there {
        say(&format!("skipped: {why}"));
    }
    is_there
}

/// Whether a missing program fails its test.
pub fn are_required() -> bool {
    std::env::var_os("DOTSOPS_REQUIRE_PEERS").is_some_and(|value| value == "1")
}
