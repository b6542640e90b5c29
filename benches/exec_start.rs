//! How long it takes until a program runs: under `dotsops exec` with 20 values, against `env` alone and against `sops exec-env`.
//!
//! `cargo bench --bench exec_start`. Whole processes in turn, so that what else the machine does falls on all of them alike; the
//! medians count. `$DOTSOPS_ROUNDS` is how many runs each gets (300). `sops` is left out if it is not on PATH.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DOTSOPS: &str = env!("CARGO_BIN_EXE_dotsops");
const VALUES: usize = 20;

fn main() {
    let rounds = std::env::var("DOTSOPS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let mut contenders = vec![
        ("env true", command(folder.path(), &["env", "true"])),
        ("dotsops exec -- true", command(folder.path(), &[DOTSOPS, "exec", "--", "true"])),
    ];
    if which::which("sops").is_ok() {
        contenders.push(("sops exec-env … true", command(folder.path(), &["sops", "exec-env", "secrets.env", "true"])));
    }
    let mut times: Vec<Vec<Duration>> = contenders.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds + 10 {
        for ((_, command), times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let status = command.status().unwrap();
            let time = start.elapsed();
            assert!(status.success());
            // The first rounds fill the page cache.
            if round >= 10 {
                times.push(time);
            }
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    println!("{VALUES} values, medians of {rounds} runs each");
    for ((name, _), median) in contenders.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!("{name:<22} {:>8.3} ms  {ratio:>6.2} × env", median.as_secs_f64() * 1e3);
    }
}

/// An identity and an encrypted file.
fn prepare(folder: &Path) {
    let run = |arguments: &[&str]| assert!(command(folder, arguments).status().unwrap().success(), "{arguments:?}");
    run(&[DOTSOPS, "--quiet", "keygen"]);
    let keys = std::fs::read_to_string(folder.join(".config/sops/age/keys.txt")).unwrap();
    let recipient = keys.split_once("public key: ").unwrap().1.lines().next().unwrap();
    let plaintext: String =
        (0..VALUES).map(|n| format!("SERVICE_{n}_URL=https://user:{n:032}@service-{n}.example.org/\n")).collect();
    std::fs::write(folder.join("plain.env"), plaintext).unwrap();
    run(&[DOTSOPS, "--quiet", "encrypt", "--age", recipient, "-o", "secrets.env", "plain.env"]);
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder).env("HOME", folder).env_remove("XDG_CONFIG_HOME").stdout(Stdio::null());
    for variable in ["SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "DOTSOPS_FILE"] {
        command.env_remove(variable);
    }
    command
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
