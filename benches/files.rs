//! What commands cost on large files: against the real sops on the same files, without any key, from 1,000 to 200,000 values, and in
//! memory.
//!
//! `cargo bench --bench files`. Whole processes in turn; the medians count. `$DOTSOPS_ROUNDS` is how many runs each gets (15); fewer than
//! five are a trial of the benchmark itself, with small files. `sops` is left out if it is not on PATH. What each command made is
//! checked; how long it took is printed, with a verdict on each target, and fails nothing.
#![allow(clippy::print_stdout)]

mod support;

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use support::{CHANGED, Contender, Cost, DOTSOPS, Place, Summary, cost, has_sops, in_turn, milliseconds, ratio, rounds, verdict};

/// How many values the file has on which sops is compared.
const VALUES: usize = 20_000;

const SIZES: [usize; 4] = [1_000, 10_000, 50_000, 200_000];

/// How many times the file's size a command may take of memory.
const MEMORY_TARGET: f64 = 4.0;

fn main() {
    let rounds = rounds(15);
    let place = Place::new();
    std::fs::create_dir(place.path("nobody")).unwrap();
    let is_trial = rounds < 5;
    let (values, sizes): (usize, &[usize]) = if is_trial { (1_000, &[100, 1_000]) } else { (VALUES, &SIZES) };
    against_sops(&place, values, rounds);
    linearity(&place, sizes, rounds.div_ceil(3));
    memory(&place, *sizes.last().unwrap_or(&values));
}

/// The same work on the same files.
fn against_sops(place: &Place, values: usize, rounds: usize) {
    prepare(place, values);
    let sops = has_sops();
    println!("{values} values, {:.1} MB, medians of {rounds} runs each", megabytes(place.size("secrets.env")));
    println!("{:<12}{:>12}{:>12}{:>12}{:>12}{:>9}  target", "", "dotsops ms", "(cpu)", "sops ms", "(cpu)", "faster");

    compare(
        rounds,
        sops,
        "decrypt",
        Some(4.0),
        || decrypt(place, DOTSOPS, "secrets.env"),
        || decrypt(place, "sops", "secrets.env"),
    );
    compare(rounds, sops, "encrypt", Some(3.0), || encrypt(place, DOTSOPS), || encrypt(place, "sops"));
    compare(rounds, sops, "set", Some(4.0), || set(place, values), || set_by_sops(place, values));
    compare(rounds, sops, "rotate", None, || rotate(place), || rotate_by_sops(place));
    compare(rounds, sops, "filestatus", None, || status(place, DOTSOPS), || status(place, "sops"));
    // sops has nothing that lists names without a key.
    compare(rounds, false, "keys", None, || keys(place, values), || unreachable!());
    println!();

    if sops {
        // Each reads what the other wrote; what `decrypt` gave was compared with the plaintext in every run.
        encrypt(place, "sops");
        decrypt(place, DOTSOPS, "encrypted.env");
        encrypt(place, DOTSOPS);
        decrypt(place, "sops", "encrypted.env");
    }
}

fn compare(
    rounds: usize,
    sops: bool,
    verb: &'static str,
    target: Option<f64>,
    mut ours: impl FnMut() -> Cost,
    mut theirs: impl FnMut() -> Cost,
) {
    let mut contenders = vec![Contender::new("dotsops", &mut ours)];
    if sops {
        contenders.push(Contender::new("sops", &mut theirs));
    }
    let summaries = in_turn(&mut contenders, 1, rounds);
    let times = |summary: &Summary| format!("{:>12.1}{:>12.1}", milliseconds(summary.wall), milliseconds(summary.cpu));
    print!("{verb:<12}{}", times(&summaries[0]));
    if let Some(other) = summaries.get(1) {
        let faster = ratio(other.wall, summaries[0].wall);
        print!("{}{faster:>8.1}×", times(other));
        if let Some(target) = target {
            print!("  {target}×: {}", verdict(faster >= target));
        }
    }
    println!();
}

/// Time for each value beyond what a file with one value takes, file by file.
fn linearity(place: &Place, sizes: &[usize], rounds: usize) {
    println!("µs for each value, beyond the time of a file with one value; medians of {rounds} runs each");
    print!("{:<12}", "");
    sizes.iter().for_each(|size| print!("{size:>12}"));
    println!("{:>12}", "exponent");
    type Verb = (&'static str, fn(&Place, usize) -> Cost);
    let verbs: [Verb; 4] = [
        ("decrypt", |place, _| decrypt(place, DOTSOPS, "secrets.env")),
        ("encrypt", |place, _| encrypt(place, DOTSOPS)),
        ("set", set),
        ("keys", keys),
    ];
    let mut times: Vec<Vec<Duration>> = Vec::new();
    for size in [1].iter().chain(sizes) {
        prepare(place, *size);
        let mut contenders = verbs.map(|(name, run)| Contender::new(name, move || run(place, *size)));
        times.push(in_turn(&mut contenders, 1, rounds).iter().map(|summary| summary.wall).collect());
    }
    for (verb, (name, _)) in verbs.iter().enumerate() {
        let beyond: Vec<f64> = times[1..].iter().map(|time| (time[verb].saturating_sub(times[0][verb])).as_secs_f64()).collect();
        print!("{name:<12}");
        sizes.iter().zip(&beyond).for_each(|(size, time)| print!("{:>12.2}", time * 1e6 / *size as f64));
        let exponent = exponent(sizes, &beyond);
        println!("{exponent:>12.2}  at most 1.1: {}", verdict(exponent <= 1.1));
    }
    println!();
}

/// The `e` for which `size ^ e` fits the times best: 1 is linear, 2 is quadratic.
fn exponent(sizes: &[usize], times: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> =
        sizes.iter().zip(times).map(|(size, time)| ((*size as f64).ln(), time.max(1e-9).ln())).collect();
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let rise: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let run: f64 = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    rise / run
}

/// The most memory that each command has at once.
fn memory(place: &Place, values: usize) {
    prepare(place, values);
    let file = place.size("secrets.env");
    let alone = cost(&mut place.command(&[DOTSOPS, "--version"])).peak;
    println!("peak memory with {values} values, {:.1} MB; without any file {:.1} MB", megabytes(file), megabytes(alone));
    println!("{:<12}{:>12}{:>12}{:>18}", "", "MB", "× file", "× file, net");
    let row = |name: &str, target: Option<f64>, cost: Cost| {
        let times = |bytes: u64| bytes as f64 / file as f64;
        print!(
            "{name:<20}{:>8.1}{:>12.2}{:>14.2}",
            megabytes(cost.peak),
            times(cost.peak),
            times(cost.peak.saturating_sub(alone))
        );
        if let Some(target) = target {
            print!("  {target}×: {}", verdict(times(cost.peak) <= target));
        }
        println!();
    };
    row("decrypt", Some(MEMORY_TARGET), decrypt(place, DOTSOPS, "secrets.env"));
    row("encrypt", Some(MEMORY_TARGET), encrypt(place, DOTSOPS));
    row("set", Some(MEMORY_TARGET), set(place, values));
    row("rotate", Some(MEMORY_TARGET), rotate(place));
    row("keys", Some(MEMORY_TARGET), keys(place, values));
    row("filestatus", Some(MEMORY_TARGET), status(place, DOTSOPS));
    if has_sops() {
        row("sops decrypt", None, decrypt(place, "sops", "secrets.env"));
        row("sops encrypt", None, encrypt(place, "sops"));
        row("sops set", None, set_by_sops(place, values));
    }
}

/// `plain.env`, `changed.env`, and the first of them encrypted as `secrets.env`.
fn prepare(place: &Place, values: usize) {
    place.write_plaintext("plain.env", values, None);
    place.write_plaintext("changed.env", values, Some(values / 2));
    std::fs::write(place.path("value"), CHANGED).unwrap();
    place.cost_into("secrets.env", &[DOTSOPS, "--quiet", "encrypt", "--age", &place.recipient, "plain.env"]);
}

fn decrypt(place: &Place, program: &str, file: &str) -> Cost {
    let cost = place.cost_into("decrypted.env", &[program, "decrypt", file]);
    place.assert_same("decrypted.env", "plain.env");
    cost
}

fn encrypt(place: &Place, program: &str) -> Cost {
    let cost = place.cost_into("encrypted.env", &[program, "encrypt", "--age", &place.recipient, "plain.env"]);
    assert!(place.size("encrypted.env") > place.size("plain.env"));
    cost
}

fn set(place: &Place, values: usize) -> Cost {
    let name = format!("SERVICE_{}_URL", values / 2);
    let mut command = place.command(&[DOTSOPS, "--quiet", "set", "-f", "work.env", &name]);
    command.stdin(File::open(place.path("value")).unwrap());
    change(place, &mut command, "changed.env")
}

fn set_by_sops(place: &Place, values: usize) -> Cost {
    let path = format!("[\"SERVICE_{}_URL\"]", values / 2);
    let value = format!("\"{CHANGED}\"");
    change(place, &mut place.command(&["sops", "set", "work.env", &path, &value]), "changed.env")
}

fn rotate(place: &Place) -> Cost {
    change(place, &mut place.command(&[DOTSOPS, "--quiet", "rotate", "--yes", "work.env"]), "plain.env")
}

fn rotate_by_sops(place: &Place) -> Cost {
    change(place, &mut place.command(&["sops", "rotate", "--in-place", "work.env"]), "plain.env")
}

/// What `command` costs that changes `work.env`, a copy of `secrets.env`, into the encrypted `meant`.
fn change(place: &Place, command: &mut Command, meant: &str) -> Cost {
    std::fs::copy(place.path("secrets.env"), place.path("work.env")).unwrap();
    let cost = cost(command);
    place.cost_into("decrypted.env", &[DOTSOPS, "decrypt", "work.env"]);
    place.assert_same("decrypted.env", meant);
    cost
}

/// Run by somebody who has no key at all.
fn keys(place: &Place, values: usize) -> Cost {
    let cost = by_nobody(place, &[DOTSOPS, "keys", "secrets.env"]);
    let names = std::fs::read_to_string(place.path("output")).unwrap();
    assert!(names.lines().enumerate().all(|(n, name)| name == format!("SERVICE_{n}_URL")), "not the names of the file");
    assert_eq!(names.lines().count(), values);
    cost
}

fn status(place: &Place, program: &str) -> Cost {
    let cost = by_nobody(place, &[program, "filestatus", "secrets.env"]);
    assert_eq!(std::fs::read_to_string(place.path("output")).unwrap().trim_end(), "{\"encrypted\":true}");
    cost
}

fn by_nobody(place: &Place, words: &[&str]) -> Cost {
    let output = File::create(place.path("output")).unwrap();
    cost(place.command(words).env("HOME", place.path("nobody")).stdout(output))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
