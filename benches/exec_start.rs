//! How long it takes until a program runs: under `dotsops exec` with 20 values, against `env` alone and against `sops exec-env`.
//!
//! `cargo bench --bench exec_start`. Whole processes in turn, so that what else the machine does falls on all of them alike; the
//! medians count. `$DOTSOPS_ROUNDS` is how many runs each gets (300). `sops` is left out if it is not on PATH.
#![allow(clippy::print_stdout)]

mod support;

use support::{Contender, DOTSOPS, Place, cost, has_sops, in_turn, milliseconds, ratio, rounds, verdict};

const VALUES: usize = 20;

/// How many times `env true` it may take.
const TARGET: f64 = 1.7;

fn main() {
    let rounds = rounds(300);
    let place = Place::new();
    place.write_plaintext("plain.env", VALUES, None);
    cost(&mut place.command(&[DOTSOPS, "--quiet", "encrypt", "--age", &place.recipient, "-o", "secrets.env", "plain.env"]));
    place.cost_into("seen", &[DOTSOPS, "exec", "--", "env"]);
    let seen = std::fs::read_to_string(place.path("seen")).unwrap();
    let plaintext = std::fs::read_to_string(place.path("plain.env")).unwrap();
    assert!(plaintext.lines().all(|line| seen.lines().any(|variable| variable == line)), "the program does not see the values");

    let run = |words: &'static [&'static str]| {
        let mut command = place.command(words);
        move || cost(&mut command)
    };
    let mut contenders = vec![
        Contender::new("env true", run(&["env", "true"])),
        Contender::new("dotsops exec -- true", run(&[DOTSOPS, "exec", "--", "true"])),
    ];
    if has_sops() {
        contenders.push(Contender::new("sops exec-env … true", run(&["sops", "exec-env", "secrets.env", "true"])));
    }
    let summaries = in_turn(&mut contenders, 10, rounds);

    println!("{VALUES} values, medians of {rounds} runs each, between them the middle half of the runs");
    for (contender, summary) in contenders.iter().zip(&summaries) {
        println!(
            "{:<22} {:>8.3} ms ({:.3}–{:.3})  {:>6.2} × env",
            contender.name,
            milliseconds(summary.wall),
            milliseconds(summary.quartiles.0),
            milliseconds(summary.quartiles.1),
            ratio(summary.wall, summaries[0].wall),
        );
    }
    let found = ratio(summaries[1].wall, summaries[0].wall);
    println!("exec at most {TARGET} × env true: {found:.2}, {}", verdict(found <= TARGET));
}
