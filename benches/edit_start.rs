//! How long it takes from the start of `dotsops edit` until the editor runs: with one age key, 20 values, and a guard.
//!
//! `cargo bench --bench edit_start`. Whole processes; the editor is this program itself under another name, which writes down the time as
//! the first thing it does. `$DOTSOPS_ROUNDS` is how many runs there are (300).
#![allow(clippy::print_stdout)]

mod support;

use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use support::{Contender, Cost, DOTSOPS, Place, cost, in_turn, milliseconds, rounds, verdict};

/// Where the editor writes down when it began.
const BEGAN: &str = "EDIT_START_BEGAN";

const TARGET: Duration = Duration::from_millis(50);

fn main() {
    let first = now();
    if let Some(began) = std::env::var_os(BEGAN) {
        std::fs::write(began, first.as_nanos().to_string()).unwrap();
        return;
    }
    let rounds = rounds(300);
    let place = Place::new();
    place.write_plaintext("plain.env", 20, None);
    cost(&mut place.command(&[DOTSOPS, "--quiet", "encrypt", "--age", &place.recipient, "-o", "secrets.env", "plain.env"]));
    // Under the name of an editor that runs in the terminal: of another, dotsops would ask whether it is still open.
    let editor = place.path("ed");
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &editor).unwrap();
    let editor = editor.to_str().unwrap();

    let mut edit = place.command(&[DOTSOPS, "--quiet", "edit", "--editor", editor, "secrets.env"]);
    edit.env(BEGAN, place.path("began"));
    // Alone, for what of that is the start of any program.
    let mut alone = place.command(&[editor]);
    alone.env(BEGAN, place.path("began"));
    let until_it_began = |command: &mut Command| {
        let start = now();
        let used = cost(command);
        let began = std::fs::read_to_string(place.path("began")).unwrap();
        let began = Duration::from_nanos(began.parse().unwrap());
        assert!(start < began && began < now());
        Cost { wall: began - start, ..used }
    };
    let mut contenders = [
        Contender::new("the editor alone", || until_it_began(&mut alone)),
        Contender::new("dotsops edit", || until_it_began(&mut edit)),
    ];
    let summaries = in_turn(&mut contenders, 10, rounds);

    println!("until the editor runs, medians of {rounds} runs each, between them the middle half of the runs");
    for (contender, summary) in contenders.iter().zip(&summaries) {
        let (first, third) = summary.quartiles;
        println!(
            "{:<18} {:>7.2} ms ({:.2}–{:.2}), quickest {:.2}; processor time to its end {:.2} ms",
            contender.name,
            milliseconds(summary.wall),
            milliseconds(first),
            milliseconds(third),
            milliseconds(summary.quickest),
            milliseconds(summary.cpu),
        );
    }
    println!("at most {} ms: {}", TARGET.as_millis(), verdict(summaries[1].wall < TARGET));
}

/// A clock that all processes share.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
