//! Putting oneself out is refused wherever the key lies, and nobody else's is taken for one's own.

use std::fs;

use super::{all_files, repository};
use crate::promises::identities::locked;
use crate::support::groups::{Person, config, identities, people};
use crate::support::pty::Pty;
use crate::support::sandbox::{Ended, Sandbox, ended};

const KEYS: &str = ".config/sops/age/keys.txt";

/// Puts `text` into the home.
fn at_home(sandbox: &Sandbox, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = sandbox.home().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A command that prints the key of `person`.
fn printing(sandbox: &Sandbox, person: &Person) -> String {
    format!("cat '{}'", at_home(sandbox, person.name, identities(&[person])))
}

/// Runs `recipients remove` with `--yes` for somebody whose keys come from `keys.txt` and from a command.
fn remove(sandbox: &Sandbox, arguments: &[&str], command: &str) -> Ended {
    let arguments = [&["recipients", "remove", "--yes"], arguments].concat();
    ended(sandbox.dotsops(arguments).env("SOPS_AGE_KEY_CMD", command))
}

fn two_readers() -> Option<(Sandbox, [Person; 3])> {
    let [lead, alice, other] = people(["lead", "alice", "other"]);
    Some((repository(&config(&[&[&lead, &alice]], 0), &[("a.env", "A=1\n")])?, [lead, alice, other]))
}

fn assert_refused(sandbox: &Sandbox, before: &[(String, Vec<u8>)], (code, said): (i32, &str)) {
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("none of your identities could read a.env then") && said.contains("`--lock-myself-out`"), "{said}");
    assert_eq!(all_files(sandbox), before);
}

fn assert_is_out(sandbox: &Sandbox, [lead, alice, _]: &[Person; 3]) {
    assert_eq!(sandbox.run_as(&[lead], &["decrypt", "a.env"]).code, 4);
    assert_eq!(sandbox.run_as(&[alice], &["decrypt", "a.env"]).stdout, "A=1\n");
}

#[test]
fn a_key_that_a_command_prints_is_ones_own() {
    let Some((sandbox, people)) = two_readers() else { return };
    let before = all_files(&sandbox);
    let command = printing(&sandbox, &people[0]);
    let refused = remove(&sandbox, &["lead"], &command);
    assert_refused(&sandbox, &before, (refused.code, &refused.stderr));
    let meant = remove(&sandbox, &["lead", "--lock-myself-out"], &command);
    assert_eq!(meant.code, 0, "{}", meant.stderr);
    assert_is_out(&sandbox, &people);
}

#[test]
fn a_command_for_other_keys_beside_keys_txt_keeps_nobody_in() {
    for command in ["true", "printing"] {
        let Some((sandbox, people)) = two_readers() else { return };
        let before = all_files(&sandbox);
        at_home(&sandbox, KEYS, identities(&[&people[0]]));
        let command = if command == "true" { command.to_owned() } else { printing(&sandbox, &people[2]) };
        let refused = remove(&sandbox, &["lead"], &command);
        assert_refused(&sandbox, &before, (refused.code, &refused.stderr));
        let meant = remove(&sandbox, &["lead", "--lock-myself-out"], &command);
        assert_eq!(meant.code, 0, "{}", meant.stderr);
        assert_is_out(&sandbox, &people);
    }
}

#[test]
fn a_key_behind_a_passphrase_is_ones_own() {
    let Some((sandbox, people)) = two_readers() else { return };
    let before = all_files(&sandbox);
    at_home(&sandbox, KEYS, locked(&people[0].identity));
    let on_terminal = |more: &[&str]| {
        let arguments = [&["recipients", "remove", "lead", "--yes"], more].concat();
        let mut terminal = Pty::run(&mut sandbox.dotsops(arguments));
        terminal.wait_for("passphrase for ");
        terminal.type_keys("throwaway\n");
        let (code, shown) = terminal.end();
        assert_eq!(shown.matches("passphrase for").count(), 1, "{shown}");
        (code, shown.replace("\r\n", "\n"))
    };
    let (code, shown) = on_terminal(&[]);
    assert_refused(&sandbox, &before, (code, &shown));
    let (code, shown) = on_terminal(&["--lock-myself-out"]);
    assert_eq!(code, 0, "{shown}");
    assert_is_out(&sandbox, &people);
}

#[test]
fn whoever_keeps_a_key_behind_a_command_is_not_refused() {
    for is_choosing in [false, true] {
        let Some((sandbox, people)) = two_readers() else { return };
        let [lead, alice, _] = &people;
        at_home(&sandbox, KEYS, identities(&[lead]));
        let prints = printing(&sandbox, alice);
        let command = match is_choosing {
            false => prints,
            // As one that looks up a key for whom it is asked.
            true => format!("sh -c \"[ \\\"$SOPS_AGE_RECIPIENT\\\" = {} ] && {prints}\"", alice.recipient),
        };
        let removed = remove(&sandbox, &["lead"], &command);
        assert_eq!(removed.code, 0, "{command}: {}", removed.stderr);
        assert_is_out(&sandbox, &people);
    }
}
