//! What the benchmarks of whole processes share: a folder with an identity, runs in turn, medians.
//!
//! Nothing here keeps a large file in memory: until a child has become its program, the system counts our memory as its own.
#![allow(dead_code)]

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wait4::Wait4;

pub const DOTSOPS: &str = env!("CARGO_BIN_EXE_dotsops");

/// A folder that is home and working directory of every command, with an identity of its own.
pub struct Place {
    folder: TempDir,
    pub recipient: String,
}

impl Place {
    pub fn new() -> Self {
        let mut place = Self { folder: tempfile::tempdir().unwrap(), recipient: String::new() };
        cost(&mut place.command(&[DOTSOPS, "--quiet", "keygen"]));
        let keys = std::fs::read_to_string(place.path(".config/sops/age/keys.txt")).unwrap();
        place.recipient = keys.split_once("public key: ").unwrap().1.lines().next().unwrap().to_owned();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn size(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).unwrap().len()
    }

    /// `words`, to be run here; its output is thrown away.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.folder.path()).env("HOME", self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["SOPS_", "DOTSOPS_", "XDG_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        command.stdout(Stdio::null());
        command
    }

    /// What `words` cost; their output is kept in the file `output`.
    pub fn cost_into(&self, output: &str, words: &[&str]) -> Cost {
        let output = File::create(self.path(output)).unwrap();
        cost(self.command(words).stdout(output))
    }

    /// Writes the plaintext `name` with `values` values; `changed` is the number of one that has another value than usual.
    pub fn write_plaintext(&self, name: &str, values: usize, changed: Option<usize>) {
        let mut file = BufWriter::new(File::create(self.path(name)).unwrap());
        for n in 0..values {
            match changed == Some(n) {
                true => writeln!(file, "SERVICE_{n}_URL={CHANGED}").unwrap(),
                false => writeln!(file, "SERVICE_{n}_URL=https://user:{n:032}@service-{n}.example.org/").unwrap(),
            }
        }
        file.flush().unwrap();
    }

    /// Fails unless the two files have the same bytes.
    pub fn assert_same(&self, one: &str, other: &str) {
        let bytes = |name| BufReader::new(File::open(self.path(name)).unwrap()).bytes().map(Result::unwrap);
        assert!(bytes(one).eq(bytes(other)), "{one} and {other} differ");
    }
}

/// The value that a benchmark puts in the place of one of the others.
pub const CHANGED: &str = "https://changed.example.org/";

/// What one process took.
#[derive(Clone, Copy)]
pub struct Cost {
    /// From before it was started until it was gone.
    pub wall: Duration,
    /// What it computed, on all processors together.
    pub cpu: Duration,
    /// The most memory that it had, in bytes.
    pub peak: u64,
}

/// Runs `command`, which must succeed.
pub fn cost(command: &mut Command) -> Cost {
    let start = Instant::now();
    let used = command.spawn().unwrap().wait4().unwrap();
    let wall = start.elapsed();
    assert!(used.status.success(), "{:?} failed", command.get_program());
    Cost { wall, cpu: used.rusage.utime + used.rusage.stime, peak: used.rusage.maxrss }
}

/// One of those that are compared.
pub struct Contender<'a> {
    pub name: &'static str,
    pub run: Box<dyn FnMut() -> Cost + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, run: impl FnMut() -> Cost + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// The middle of many runs.
pub struct Summary {
    pub wall: Duration,
    pub cpu: Duration,
    /// The shortest: what else the machine does only adds to it.
    pub quickest: Duration,
    /// Between a quarter and three quarters of the runs lie these.
    pub quartiles: (Duration, Duration),
    /// The largest.
    pub peak: u64,
}

/// Runs all of them in turn, so that what else the machine does falls on all alike. The first `warm_up` rounds do not count.
pub fn in_turn(contenders: &mut [Contender<'_>], warm_up: usize, rounds: usize) -> Vec<Summary> {
    let mut costs: Vec<Vec<Cost>> = contenders.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..warm_up + rounds {
        for (contender, costs) in contenders.iter_mut().zip(&mut costs) {
            let cost = (contender.run)();
            if round >= warm_up {
                costs.push(cost);
            }
        }
    }
    costs.into_iter().map(summary).collect()
}

fn summary(costs: Vec<Cost>) -> Summary {
    let sorted = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let (wall, cpu) = (sorted(|cost| cost.wall), sorted(|cost| cost.cpu));
    let at = |quarter: usize| wall[(wall.len() * quarter / 4).min(wall.len() - 1)];
    let peak = costs.iter().map(|cost| cost.peak).max().unwrap_or_default();
    Summary { wall: at(2), quickest: at(0), cpu: cpu[cpu.len() / 2], quartiles: (at(1), at(3)), peak }
}

/// `$DOTSOPS_ROUNDS`, or `usual`.
pub fn rounds(usual: usize) -> usize {
    std::env::var("DOTSOPS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// Whether the real sops is there to compare with; without it its rows are left out.
pub fn has_sops() -> bool {
    let found = which::which("sops").is_ok();
    let required = std::env::var_os("DOTSOPS_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(found || !required, "sops is missing, and DOTSOPS_REQUIRE_PEERS=1 is set");
    found
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// How a target and what was found are printed. A missed target fails nothing: how long something takes is no test.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
