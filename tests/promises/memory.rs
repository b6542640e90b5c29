//! Values and identities are in memory no longer than they are needed, and no more often.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::hygiene::{Waiting, is_root};
use super::verbs::{FILES, VALUE, furnish, rows, verbs};
use crate::support::memory::{Region, Stop, memory, memory_at_end, memory_of_waiting, places};
use crate::support::peers;
use crate::support::pty::Pty;
use crate::support::sandbox::{IDENTITY, RECIPIENT, STRANGER, Sandbox};
use crate::support::trace::strace;

const FIRST: &str = "canary-31415926535897932384626433832795";
const SECOND: &str = "canary-27182818284590452353602874713526";

#[test]
fn when_a_verb_ends_no_value_and_no_identity_is_left_in_memory() {
    let Some(strace) = strace() else { return };
    if !peers::given(is_root(), "only root can look into a process that is not dumpable") {
        return;
    }
    let sandbox = Sandbox::with_identity();
    furnish(&sandbox);
    let input = sandbox.write("value.txt", VALUE);
    let file = sandbox.read("secrets.env");
    let mut passed_on = 0;
    for verb in verbs() {
        for line in rows(&verb).0.into_iter().filter(|line| is_looked_at(line)) {
            sandbox.write("secrets.env", &file);
            let mut command = sandbox.dotsops(&line);
            command.env("XDG_RUNTIME_DIR", sandbox.root().join("runtime"));
            let (stop, regions) = memory_at_end(&strace, &command, &input, VALUE.as_bytes());
            let copies = places(&regions, VALUE.as_bytes());
            match stop {
                Stop::End => assert_eq!(places(&regions, &VALUE.as_bytes()[..8]), [""; 0], "{line:?}"),
                // Two of each value: in the list of variables, and in the environment that is handed over. As they are stored, a
                // comment belongs to one of them.
                Stop::Exec => {
                    passed_on += 1;
                    let values = if line.contains(&"--literal") { 3 } else { 2 };
                    assert_eq!(copies, vec!["[heap]"; 2 * values], "{line:?}");
                }
            }
            assert_eq!(places(&regions, &IDENTITY.as_bytes()[16..48]), [""; 0], "{line:?}");
            assert_eq!(places(&regions, &raw_identity()), [""; 0], "{line:?}");
        }
    }
    assert_eq!(passed_on, 3);
}

/// Lines about good files and plaintexts, without a value as an argument, which stays where the system put it.
fn is_looked_at(line: &[&str]) -> bool {
    let is_other = |word: &&str| FILES[1..].contains(word) && *word != "messy.env" || word.contains(VALUE);
    // Names are no secrets, and this file has values where names should be; nor is what somebody calls a configuration.
    let is_public = line[0] == "exec" && line.contains(&"messy.env") || line[0] == "--config";
    !line.iter().any(is_other) && !is_public
}

#[test]
fn while_it_waits_each_value_is_in_memory_as_often_as_it_is_needed() {
    if !peers::given(is_root(), "only root can look into a process that is not dumpable") {
        return;
    }
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", &format!("A={FIRST}\nB={SECOND}\n"));
    let check = |situation: &str, regions: &[Region], values: usize, identities: usize| {
        for value in [FIRST, SECOND] {
            assert_eq!(places(regions, value.as_bytes()), vec!["[heap]"; values], "{situation}");
        }
        assert_eq!(places(regions, &IDENTITY.as_bytes()[16..48]), [""; 0], "{situation}");
        assert_eq!(places(regions, &raw_identity()), vec!["[heap]"; identities], "{situation}");
    };

    let waiting = Waiting::start(&sandbox, &mut sandbox.dotsops(["edit", "secrets.env"]));
    check("in the editor: opened, as text, and what the editor was given", &memory(waiting.id()).unwrap(), 3, 1);
    waiting.end();

    let breaks = executable(&sandbox, "breaks", "echo broken >> \"$1\"");
    let keys = sandbox.root().join("keys");
    let prints =
        executable(&sandbox, "prints", &format!("echo started > /dev/tty; read line < /dev/tty; cat {}", keys.display()));
    let on_terminal = |arguments: &[&str], shown: &str| {
        let mut command = sandbox.dotsops(arguments);
        command.env("XDG_RUNTIME_DIR", sandbox.root().join("runtime")).env("SOPS_AGE_KEY_CMD", &prints);
        let mut terminal = Pty::run(&mut command);
        terminal.wait_for(shown);
        let regions = memory_of_waiting(terminal.pid());
        terminal.hang_up();
        regions
    };
    check("asked for a value: opened", &on_terminal(&["set", "A"], "Value of A (not shown): "), 1, 1);
    let edit = ["edit", "--allow-disk-plaintext", "--editor", &breaks];
    check("asked about a mistake: as in the editor, and what came back", &on_terminal(&edit, "What now? "), 4, 1);
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT},{STRANGER}\n"));
    check("asked about new readers: the values were let go", &on_terminal(&["updatekeys", "secrets.env"], "[y"), 0, 1);
    fs::rename(sandbox.home().join(".config/sops/age/keys.txt"), keys).unwrap();
    check("a command is to say the identity", &on_terminal(&["decrypt", "secrets.env"], "started"), 0, 0);
}

/// A script in the work folder; gives its path.
fn executable(sandbox: &Sandbox, name: &str, script: &str) -> String {
    let path = sandbox.write(name, format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// The 32 bytes that [`IDENTITY`] stands for.
fn raw_identity() -> Vec<u8> {
    bech32::decode(IDENTITY).unwrap().1
}
