//! No verb talks to a network, and none opens a file outside of the places that `docs/places.md` names; what it starts is told neither
//! values nor identities. All of that as strace sees it, with the right key and without one.
#![cfg(target_os = "linux")]

mod list;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use list::{PLACES, Run};

use super::verbs::{CANARY, FILES, VALUE, furnish, rows, verbs};
use crate::support::peers;
use crate::support::pty::Pty;
use crate::support::sandbox::{IDENTITY, RECIPIENT, Sandbox, ended};
use crate::support::trace::{Access, Event, Trace, strace};

/// Verbs that only ever read, unless `-o` names a file.
const READERS: &[&str] = &[
    "exec",
    "decrypt",
    "get",
    "keys",
    "check",
    "filestatus",
    "rule",
    "groups list",
    "drafts list",
    "completions",
    "man",
    "diff",
    "doctor",
];

impl Run {
    /// What is wrong with what was done, and which places were used.
    fn judge(&self, events: &[Event], used: &mut BTreeSet<(&'static str, Access)>) -> Vec<String> {
        let mut wrong = Vec::new();
        let reads_only =
            READERS.iter().any(|verb| self.line.join(" ").starts_with(verb)) && !self.line.iter().any(|word| word == "-o");
        for event in events {
            match event {
                Event::Socket(call) if is_local(call) => {}
                Event::Socket(call) => wrong.push(call.clone()),
                Event::Path(access, path) => {
                    let mut fitting = PLACES.iter().filter(|place| place.most >= *access && (place.holds)(self, path)).peekable();
                    if fitting.peek().is_none() {
                        wrong.push(format!("{access:?} {}", path.display()));
                    }
                    used.extend(fitting.map(|place| (place.name, *access)));
                    if reads_only && *access == Access::Write && !path.starts_with("/dev") {
                        wrong.push(format!("it only reads, and writes {}", path.display()));
                    }
                }
                Event::Start { program, arguments, environment } => {
                    let (argv, variables) = (arguments.join("\n"), environment.join("\n"));
                    let is_exec = self.line.first().is_some_and(|verb| verb == "exec");
                    if argv.contains(CANARY) || argv.contains(&IDENTITY[16..32]) {
                        wrong.push(format!("{} is told a secret by its arguments", program.display()));
                    }
                    if variables.contains(&IDENTITY[16..32]) || variables.contains(CANARY) && !is_exec {
                        wrong.push(format!("{} is told a secret by its environment", program.display()));
                    }
                }
            }
        }
        wrong
    }
}

/// Whether a call about sockets is about an unnamed pair inside this process: the other half of every socket there is, if none is
/// ever made in another way.
fn is_local(call: &str) -> bool {
    ["socketpair(AF_UNIX, ", "send", "recv"].iter().any(|beginning| call.starts_with(beginning))
}

/// What was seen in all calls.
#[derive(Default)]
struct Seen {
    used: BTreeSet<(&'static str, Access)>,
    started: BTreeSet<String>,
    values_passed: bool,
    calls: usize,
}

impl Seen {
    /// Runs and judges `line`; `run` runs the traced command to its end.
    fn look(
        &mut self,
        strace: &Path,
        sandbox: &Sandbox,
        line: &[&str],
        variables: &[(&str, String)],
        run: &dyn Fn(&mut Command),
    ) {
        let mut command = sandbox.dotsops(line);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let (mut command, trace) = Trace::of(strace, &command);
        run(&mut command);
        let events = trace.events();
        let wrong = Run::new(sandbox, line, variables).judge(&events, &mut self.used);
        assert!(wrong.is_empty(), "{line:?} with {:?}: {wrong:#?}", variables.iter().map(|(name, _)| name).collect::<Vec<_>>());
        for event in events {
            if let Event::Start { program, environment, .. } = event {
                self.started.insert(program.file_name().unwrap().to_string_lossy().into_owned());
                self.values_passed |= environment.iter().any(|variable| variable.contains(CANARY));
            }
        }
        self.calls += 1;
    }
}

fn runs(command: &mut Command) {
    ended(command);
}

fn executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn no_verb_talks_to_a_network_or_opens_a_file_outside_of_the_documented_places() {
    let Some(strace) = strace() else { return };
    let mut seen = Seen::default();
    for verb in verbs() {
        for has_key in [true, false] {
            let sandbox = Sandbox::with_identity();
            furnish(&sandbox);
            if !has_key {
                fs::remove_file(sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
            }
            let runtime = [("XDG_RUNTIME_DIR", sandbox.root().join("runtime").display().to_string())];
            let left_out = if has_key { &FILES[2..10] } else { &FILES[1..] };
            for line in rows(&verb).0.iter().filter(|line| line.iter().all(|word| !left_out.contains(word))) {
                seen.look(&strace, &sandbox, line, &runtime, &runs);
            }
        }
    }
    assert!(seen.calls > 100, "{}", seen.calls);
    look_at_surroundings(&strace, &mut seen);
    // The search does find what is there: values where they belong, programs, and every place of the list at its most.
    assert!(seen.values_passed);
    for program in ["shows", "git", "prints-key", "age-plugin-fake"] {
        assert!(seen.started.contains(program), "{program} was never started: {:?}", seen.started);
    }
    let unused: Vec<_> =
        PLACES.iter().filter(|place| !seen.used.contains(&(place.name, place.most))).map(|place| place.name).collect();
    assert!(unused.is_empty(), "nothing was done to that degree in: {unused:#?}");
}

/// What the environment, a repository, key files elsewhere, commands, plugins and a terminal add.
fn look_at_surroundings(strace: &Path, seen: &mut Seen) {
    let sandbox = Sandbox::with_identity();
    furnish(&sandbox);
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    let text = |path: PathBuf| path.display().to_string();
    let runtime = ("XDG_RUNTIME_DIR", text(sandbox.root().join("runtime")));

    // Typed at a terminal.
    seen.look(strace, &sandbox, &["set", "A"], &[], &|command| {
        let mut terminal = Pty::run(command);
        terminal.wait_for("Value of A (not shown): ");
        terminal.type_keys(&format!("{VALUE}\n"));
        assert_eq!(terminal.end().0, 0);
    });
    // A repository, whose files git lists, and a new one.
    let new = Sandbox::empty();
    for sandbox in [&sandbox, &new] {
        assert_eq!(ended(sandbox.program(Path::new("git")).args(["init", "-q"])).code, 0);
    }
    seen.look(strace, &sandbox, &["updatekeys", "--yes"], &[], &runs);
    seen.look(strace, &sandbox, &["diff"], &[], &runs);
    seen.look(strace, &new, &["init", "--yes"], &[], &runs);
    // Enough files that each processor gets some.
    let many = Sandbox::with_identity();
    for name in ["one.env", "two.env", "three.env", "four.env"] {
        many.encrypted(name, "A=1\n");
    }
    for arguments in [&["init", "-q"][..], &["add", "--all"]] {
        assert_eq!(ended(many.program(Path::new("git")).args(arguments)).code, 0);
    }
    let before = many.read("four.env");
    seen.look(strace, &many, &["rotate", "--all"], &[], &runs);
    assert_ne!(many.read("four.env"), before);
    // Other names for files.
    let rules = text(sandbox.write("rules/other.yaml", sandbox.read(".sops.yaml")));
    seen.look(strace, &sandbox, &["encrypt", "plain.env"], &[("SOPS_CONFIG", rules)], &runs);
    seen.look(strace, &sandbox, &["get", "A"], &[("DOTSOPS_FILE", text(sandbox.path("secrets.env")))], &runs);
    let edits = sandbox.root().join("edits");
    fs::create_dir(&edits).unwrap();
    fs::set_permissions(&edits, PermissionsExt::from_mode(0o700)).unwrap();
    let edit = ["edit", "--allow-disk-plaintext", "--editor", "./adds", "secrets.env"];
    seen.look(strace, &sandbox, &edit, &[("DOTSOPS_EDIT_DIR", text(edits))], &runs);
    // Identities from elsewhere.
    let elsewhere = sandbox.root().join("elsewhere");
    fs::rename(&keys, &elsewhere).unwrap();
    for line in [&["get", "A"][..], &["exec", "--", "./shows"], &edit] {
        seen.look(strace, &sandbox, line, &[runtime.clone(), ("SOPS_AGE_KEY", IDENTITY.to_owned())], &runs);
        seen.look(strace, &sandbox, line, &[runtime.clone(), ("SOPS_AGE_KEY_FILE", text(elsewhere.clone()))], &runs);
    }
    let ssh = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/ssh/throwaway_ed25519");
    seen.look(strace, &sandbox, &["get", "A"], &[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", ssh.to_owned())], &runs);
    let bin = sandbox.root().join("bin");
    fs::create_dir(&bin).unwrap();
    executable(&bin.join("prints-key"), &format!("#!/bin/sh\ncat '{}'\n", elsewhere.display()));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let command = [("PATH", path.clone()), ("SOPS_AGE_KEY_CMD", "prints-key".to_owned())];
    seen.look(strace, &sandbox, &["get", "A"], &command, &runs);
    executable(&bin.join("age-plugin-fake"), include_str!("../support/fake_plugin.sh"));
    let encoded = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age1fake").unwrap(), &[7; 20]).unwrap();
    let recipients = format!("{RECIPIENT},{encoded}");
    let line = ["encrypt", "-o", "plugged.env", "--age", &recipients, "plain.env"];
    seen.look(strace, &sandbox, &line, &[("PATH", path), ("SOPS_AGE_KEY", IDENTITY.to_owned())], &runs);
}

#[test]
fn a_connection_and_a_file_elsewhere_are_found() {
    let Some(strace) = strace() else { return };
    let sandbox = Sandbox::empty();
    sandbox.write("elsewhere/file", "");
    let mut command = sandbox.program(Path::new("bash"));
    // To itself: nothing listens there.
    command.args(["-c", "(: > /dev/tcp/127.0.0.1/1); : < elsewhere/file"]);
    let (mut command, trace) = Trace::of(&strace, &command);
    runs(&mut command);
    let run = Run::new(&sandbox, &[], &[]);
    let wrong = run.judge(&trace.events(), &mut BTreeSet::new());
    let elsewhere = format!("Read {}", sandbox.path("elsewhere/file").display());
    assert!(wrong.contains(&elsewhere), "{wrong:#?}");
    for call in ["socket(AF_INET, ", "connect("] {
        assert!(wrong.iter().any(|found| found.starts_with(call)), "{wrong:#?}");
    }
}

#[test]
fn the_page_about_places_is_the_list() {
    let page = include_str!("../../docs/places.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let expected: Vec<String> = PLACES
        .iter()
        .map(|place| {
            let most = match place.most {
                Access::Look => "looked at",
                Access::Read => "read",
                Access::Write => "written",
            };
            format!("| {} | {most} | {} |", place.name, place.why)
        })
        .collect();
    if rows != expected {
        expected.iter().for_each(|row| peers::say(row));
    }
    assert_eq!(rows, expected);
}
