//! How long a writer that takes no lock can come between our last look at a file and our rename, without being seen: row 41.

use std::fs;

use dotsops::sys::fault::{FaultPoint, LOGGED_TO};

use crate::support::editing::Editing;
use crate::support::peers::say;
use crate::support::sandbox::ended;

/// Measured from before the file is opened to be looked at until the rename is called, with what noting the time costs.
#[test]
fn row_41_the_time_in_which_a_foreign_writer_is_not_seen_is_short() {
    for (names, rounds) in [(20, 60), (20_000, 5)] {
        let editing = Editing::of(&(0..names).map(|n| format!("NAME_{n}={n}\n")).collect::<String>());
        let mut windows: Vec<u128> = (0..rounds).map(|round| window(&editing, round)).collect();
        windows.sort_unstable();
        let (median, longest) = (windows[rounds / 2], windows[rounds - 1]);
        say(&format!("{names} values, {rounds} writes: {median} µs in the middle, {longest} µs at most"));
        assert!(median < 50_000, "{windows:?}");
    }
}

/// In microseconds.
fn window(editing: &Editing, round: usize) -> u128 {
    let log = editing.note("log");
    let _ = fs::remove_file(&log);
    let set = ended(editing.sandbox.dotsops(["set", "NAME_1", &format!("changed-{round}")]).env(LOGGED_TO, &log));
    assert_eq!(set.code, 0, "{}", set.stderr);
    let log = fs::read_to_string(log).unwrap();
    let time = |point: FaultPoint| -> u128 {
        let line = log.lines().rfind(|line| line.split(' ').next() == Some(point.name())).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    time(FaultPoint::Named) - time(FaultPoint::Synced)
}
