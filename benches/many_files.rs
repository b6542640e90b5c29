//! What it costs to change many files in one go: `updatekeys` and `rotate`, against sops file by file and sops with all files at once.
//!
//! `cargo bench --bench many_files`. Whole processes in turn; the medians count. `$DOTSOPS_ROUNDS` is how many runs each gets (5); a loop
//! over all files, which takes most of the time, gets a third of them. Fewer than five are a trial of the benchmark itself, with few files.
//! dotsops puts all files on the disk before it ends, and sops leaves that to the system; before each run everything older is put there.
//! sops and its rows are left out if it is not on PATH. What each made is checked; how long it took is printed, with a verdict on each
//! target, and fails nothing.
#![allow(clippy::print_stdout)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Contender, Cost, DOTSOPS, Place, Summary, cost, has_sops, in_turn, milliseconds, ratio, rounds, verdict};

/// How many files there are, and how many values each has.
const FILES: usize = 1_000;
const VALUES: usize = 20;

/// How many files are in one folder.
const IN_FOLDER: usize = 50;

fn main() {
    let rounds = rounds(5);
    let repository = Repository::new(if rounds < 5 { 60 } else { FILES });
    let (files, sops) = (repository.names.len(), has_sops());
    println!("{files} files of {VALUES} values, medians of {rounds} runs each; of loops over all files, of {}", loops(rounds));
    println!("{:<34}{:>12}{:>12}{:>9}  target", "", "ms", "(cpu)", "faster");

    let ours = |place: &Place| cost(&mut self::ours(place, &["updatekeys", "--yes"]));
    let together = |_: &Place| cost(repository.sops(&["updatekeys", "-y"]).args(&repository.names));
    let mut contenders = vec![repository.updates("dotsops", ours)];
    if sops {
        contenders.push(repository.updates("sops", together));
    }
    let summaries = in_turn(&mut contenders, 1, rounds);
    print_row("dotsops updatekeys", &summaries[0], &summaries[0], None);
    if sops {
        print_row("sops updatekeys -y, all files", &summaries[0], &summaries[1], Some(2.0));
        let each = |_: &Place| repository.one_by_one(&["updatekeys", "-y"]);
        let each = in_turn(&mut [repository.updates("each", each)], 0, loops(rounds));
        print_row("sops updatekeys -y, each file", &summaries[0], &each[0], Some(8.0));
    }

    let ours = |place: &Place| cost(&mut self::ours(place, &["rotate", "--all", "--yes"]));
    let rotated = in_turn(&mut [repository.rotates("dotsops", ours)], 1, rounds);
    print_row("dotsops rotate --all", &rotated[0], &rotated[0], None);
    if sops {
        let each = |_: &Place| repository.one_by_one(&["rotate", "-i"]);
        let each = in_turn(&mut [repository.rotates("each", each)], 0, loops(rounds));
        print_row("sops rotate -i, each file", &rotated[0], &each[0], Some(8.0));
    }
}

fn loops(rounds: usize) -> usize {
    rounds.div_ceil(3)
}

fn ours(place: &Place, arguments: &[&str]) -> Command {
    place.command(&[&[DOTSOPS, "--quiet"], arguments].concat())
}

fn print_row(name: &str, ours: &Summary, other: &Summary, target: Option<f64>) {
    print!("{name:<34}{:>12.1}{:>12.1}", milliseconds(other.wall), milliseconds(other.cpu));
    if let Some(target) = target {
        let faster = ratio(other.wall, ours.wall);
        print!("{faster:>8.1}×  {target}×: {}", verdict(faster >= target));
    }
    println!();
}

/// A git repository full of files that its rule wants to be read by one person more.
struct Repository {
    place: Place,
    names: Vec<String>,
    newcomer: String,
}

impl Repository {
    fn new(files: usize) -> Self {
        let place = Place::new();
        cost(&mut ours(&place, &["keygen", "-o", "newcomer.txt"]));
        let keys = fs::read_to_string(place.path("newcomer.txt")).unwrap();
        let newcomer = keys.split_once("public key: ").unwrap().1.lines().next().unwrap().to_owned();
        let rule = format!("creation_rules:\n  - path_regex: env$\n    age: {},{newcomer}\n", place.recipient);
        fs::write(place.path(".sops.yaml"), rule).unwrap();
        place.write_plaintext("plain.txt", VALUES, None);
        let names: Vec<String> = (0..files).map(|n| format!("service-{}/{n}.env", n / IN_FOLDER)).collect();
        for name in &names {
            fs::create_dir_all(place.path(&format!("before/{name}")).parent().unwrap()).unwrap();
            fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
            let words = [DOTSOPS, "--quiet", "encrypt", "--age", &place.recipient, "--filename-override", name, "plain.txt"];
            place.cost_into(&format!("before/{name}"), &words);
            fs::copy(place.path(&format!("before/{name}")), place.path(name)).unwrap();
        }
        cost(&mut place.command(&["git", "init", "-q"]));
        cost(place.command(&["git", "add", ".sops.yaml"]).args(&names));
        Self { place, names, newcomer }
    }

    /// A contender that lets the newcomer in everywhere.
    fn updates<'a>(&'a self, name: &'static str, mut run: impl FnMut(&Place) -> Cost + 'a) -> Contender<'a> {
        Contender::new(name, move || {
            self.begin_anew();
            let cost = run(&self.place);
            self.check(|before, after| {
                assert!(after.contains(&self.newcomer));
                assert_eq!(values(before), values(after), "a value was encrypted anew");
            });
            cost
        })
    }

    /// A contender that encrypts everything anew.
    fn rotates<'a>(&'a self, name: &'static str, mut run: impl FnMut(&Place) -> Cost + 'a) -> Contender<'a> {
        Contender::new(name, move || {
            self.begin_anew();
            let cost = run(&self.place);
            self.check(|before, after| assert!(values(before).iter().zip(values(after)).all(|(before, after)| *before != after)));
            cost
        })
    }

    /// Puts back all files as they were, and everything that was written so far on the disk.
    fn begin_anew(&self) {
        for name in &self.names {
            fs::copy(self.place.path(&format!("before/{name}")), self.place.path(name)).unwrap();
        }
        rustix::fs::sync();
    }

    /// Looks at all files, and opens some.
    fn check(&self, is_right: impl Fn(&str, &str)) {
        for (at, name) in self.names.iter().enumerate() {
            let read = |path: PathBuf| fs::read_to_string(path).unwrap();
            is_right(&read(self.place.path(&format!("before/{name}"))), &read(self.place.path(name)));
            if at % (self.names.len() / 5) == 0 {
                self.place.cost_into("decrypted.txt", &[DOTSOPS, "decrypt", name]);
                self.place.assert_same("decrypted.txt", "plain.txt");
            }
        }
    }

    fn sops(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(&[&["sops"], arguments].concat());
        command.stderr(std::process::Stdio::null());
        command
    }

    /// One process for each file.
    fn one_by_one(&self, arguments: &[&str]) -> Cost {
        let start = Instant::now();
        let each = self.names.iter().map(|name| cost(self.sops(arguments).arg(name)));
        let (cpu, peak) = each.fold((Duration::ZERO, 0), |(cpu, peak), cost| (cpu + cost.cpu, cost.peak.max(peak)));
        Cost { wall: start.elapsed(), cpu, peak }
    }
}

fn values(file: &str) -> Vec<&str> {
    file.lines().filter(|line| line.starts_with("SERVICE_")).collect()
}
