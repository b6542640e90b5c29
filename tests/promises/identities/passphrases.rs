//! Passphrases: asked for only when nothing else opens the file, once for each source, and with the echo back whatever happens.

use std::fs;
use std::process::Command;

use super::*;
use crate::support::pty::wait_until;

const KEYS: &str = ".config/sops/age/keys.txt";

fn signal(pty: &Pty, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pty.pid().to_string()]).status().unwrap();
    assert!(status.success());
}

/// The letter of a process's state.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// A file for somebody else and an identity that is in a locked keys.txt.
fn with_locked_keys() -> Sandbox {
    let mine = native();
    let sandbox = sandbox(&[&native().recipient, &mine.recipient]);
    at_home(&sandbox, KEYS, locked(&mine.identity));
    sandbox
}

#[test]
fn nobody_is_asked_while_something_else_opens_the_file() {
    let (mine, key) = (native(), ssh("ed25519_passphrase"));
    let sandbox = sandbox(&[&key.recipient, &mine.recipient]);
    at_home(&sandbox, KEYS, locked(&mine.identity));
    at_home(&sandbox, ".ssh/id_ed25519", &key.identity);
    let printed = at_home(&sandbox, "printed", &mine.identity);
    for variable in [("SOPS_AGE_KEY", mine.identity.clone()), ("SOPS_AGE_KEY_CMD", format!("cat '{}'", printed.display()))] {
        let (code, shown) = on_terminal(&sandbox, &[(variable.0, &variable.1)]).end();
        assert_eq!((code, shown.as_str()), (0, "A=opened\r\n"));
    }
}

#[test]
fn an_ssh_key_is_asked_for_only_if_the_file_names_it_and_before_an_identity_file() {
    let (mine, key) = (native(), ssh("ed25519_passphrase"));
    let sandbox = sandbox(&[&key.recipient, &mine.recipient]);
    at_home(&sandbox, KEYS, locked(&mine.identity));
    at_home(&sandbox, ".ssh/id_ed25519", &key.identity);
    let mut pty = on_terminal(&sandbox, &[]);
    pty.wait_for("passphrase for ~/.ssh/id_ed25519: ");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.ends_with("A=opened\r\n") && shown.matches("passphrase").count() == 1, "{shown}");

    // A file for somebody else, and one for an identity in keys.txt alone, do not ask for the SSH key.
    let sandbox = with_locked_keys();
    at_home(&sandbox, ".ssh/id_ed25519", &key.identity);
    let mut pty = on_terminal(&sandbox, &[]);
    pty.wait_for("passphrase for ");
    pty.wait_for("keys.txt: ");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && !shown.contains("id_ed25519"), "{shown}");
    let sandbox = super::sandbox(&[&ssh("ed25519").recipient]);
    at_home(&sandbox, ".ssh/id_ed25519", &key.identity);
    at_home(&sandbox, KEYS, locked(&mine.identity));
    let (code, shown) = on_terminal(&sandbox, &[]).end();
    assert!(code == 4 && !shown.contains("passphrase for"), "{shown}");
}

#[test]
fn a_passphrase_is_not_shown_and_may_be_corrected_twice() {
    let sandbox = with_locked_keys();
    let mut pty = on_terminal(&sandbox, &[]);
    pty.wait_for("passphrase for ");
    assert!(!pty.is_cooked());
    pty.type_keys("wrong-1\n");
    pty.wait_for("wrong passphrase; passphrase for ");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.ends_with("A=opened\r\n"), "{shown}");
    assert!(!shown.contains("wrong-1") && !shown.contains(PASSPHRASE), "{shown}");

    let mut pty = on_terminal(&sandbox, &[]);
    for _ in 0..3 {
        pty.wait_for("passphrase for ");
        pty.type_keys("wrong-2\n");
    }
    let (code, shown) = pty.end();
    assert_eq!(code, 4, "{shown}");
    assert!(shown.contains("is protected by a passphrase, which was wrong three times"), "{shown}");
    assert!(shown.contains("hint: run it again with the right passphrase") && !shown.contains("wrong-2"), "{shown}");
}

#[test]
fn every_source_of_identities_may_be_locked() {
    let mine = native();
    let text = locked_as_keygen_does(&mine.identity);
    let sandbox = sandbox(&[&mine.recipient]);
    let file = at_home(&sandbox, "locked", &text).display().to_string();
    let command = format!("cat {file}");
    for (variable, value) in [("SOPS_AGE_KEY", &text), ("SOPS_AGE_KEY_FILE", &file), ("SOPS_AGE_KEY_CMD", &command)] {
        let mut pty = on_terminal(&sandbox, &[(variable, value)]);
        pty.wait_for(&format!("passphrase for {variable}"));
        pty.type_keys("throwaway\n");
        let (code, shown) = pty.end();
        assert!(code == 0 && shown.ends_with("A=opened\r\n"), "{variable}: {shown}");
    }
    let key = ssh("ed25519_passphrase");
    let sandbox = super::sandbox(&[&key.recipient]);
    let command = format!("cat {}", at_home(&sandbox, "key", &key.identity).display());
    let mut pty = on_terminal(&sandbox, &[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", &command)]);
    pty.wait_for("passphrase for SOPS_AGE_SSH_PRIVATE_KEY_CMD: ");
    pty.type_keys("throwaway\n");
    assert_eq!(pty.end().0, 0);
}

#[test]
fn init_asks_for_the_identity_that_is_there_before_it_makes_one() {
    let mine = native();
    let sandbox = Sandbox::empty();
    at_home(&sandbox, KEYS, locked(&mine.identity));
    let mut pty = Pty::run(&mut sandbox.dotsops(["init", "--yes"]));
    pty.wait_for("passphrase for ");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.contains(&format!("identity: {} from ", mine.recipient)), "{shown}");
    assert!(sandbox.read(".sops.yaml").contains(&mine.recipient));
}

#[test]
fn many_files_ask_once() {
    let sandbox = with_locked_keys();
    fs::copy(sandbox.path("secrets.env"), sandbox.path("more.env")).unwrap();
    let arguments = ["exec", "-f", "secrets.env", "-f", "more.env", "--", "printenv", "A"];
    let mut pty = Pty::run(&mut sandbox.dotsops(arguments));
    pty.wait_for("passphrase for ");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.ends_with("opened\r\n") && shown.matches("passphrase").count() == 1, "{shown}");
}

#[test]
fn interrupt_and_termination_at_the_question_bring_the_echo_back() {
    let sandbox = with_locked_keys();
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3)] {
        let mut pty = on_terminal(&sandbox, &[]);
        pty.wait_for("passphrase for ");
        assert!(!pty.is_cooked());
        signal(&pty, name);
        wait_until("echo", || pty.is_cooked());
        let (code, shown) = pty.end();
        assert_eq!(code, 128 + number, "{name}: {shown}");
    }
    // The same from the keyboard.
    let mut pty = on_terminal(&sandbox, &[]);
    pty.wait_for("passphrase for ");
    pty.type_keys("\x03");
    wait_until("echo", || pty.is_cooked());
    assert_eq!(pty.end().0, 130);
}

#[test]
fn a_stop_at_the_question_brings_the_echo_back_and_asks_again() {
    let sandbox = with_locked_keys();
    let mut pty = on_terminal(&sandbox, &[]);
    for _ in 0..2 {
        pty.wait_for("passphrase for ");
        assert!(!pty.is_cooked());
        signal(&pty, "TSTP");
        let pid = pty.pid();
        wait_until("stop", || state(pid) == Some('T'));
        assert!(pty.is_cooked());
        signal(&pty, "CONT");
    }
    pty.wait_for("passphrase for ");
    assert!(!pty.is_cooked());
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.ends_with("A=opened\r\n"), "{shown}");
}

#[test]
fn the_end_of_input_is_no_passphrase() {
    let sandbox = with_locked_keys();
    let mut pty = on_terminal(&sandbox, &[]);
    pty.wait_for("passphrase for ");
    pty.type_keys("\x04");
    let (code, shown) = pty.end();
    assert!(code == 4 && shown.contains("is protected by a passphrase, which was not given"), "{shown}");
}

#[test]
fn without_a_terminal_it_is_said_at_once_what_would_help() {
    let sandbox = with_locked_keys();
    let ended = sandbox.run(&["decrypt", "secrets.env"]);
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    let expected = "keys.txt: is protected by a passphrase, and there is no terminal to ask for it on";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: run it where there is a terminal, or give an identity"), "{}", ended.stderr);
    assert!(ended.stderr.contains("no identity that could be used opens it"), "{}", ended.stderr);
    let key = ssh("ed25519_passphrase");
    let sandbox = super::sandbox(&[&key.recipient]);
    at_home(&sandbox, ".ssh/id_ed25519", &key.identity);
    let ended = sandbox.run(&["exec", "--", "true"]);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(ended.stderr.contains("~/.ssh/id_ed25519: is protected by a passphrase, and there"), "{}", ended.stderr);
}

#[test]
fn a_new_identity_is_locked_with_a_passphrase_that_is_typed_twice() {
    let sandbox = Sandbox::empty();
    let mut pty = Pty::run(&mut sandbox.dotsops(["keygen", "--passphrase"]));
    for (prompt, answer) in [
        ("new passphrase: ", "\n"),
        ("an empty passphrase protects nothing; new passphrase: ", "one\n"),
        ("the same again: ", "two\n"),
        ("they differ; new passphrase: ", "throwaway\n"),
        ("the same again: ", "throwaway\n"),
    ] {
        pty.wait_for(prompt);
        assert!(!pty.is_cooked());
        pty.type_keys(answer);
    }
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    let recipient = shown.lines().last().unwrap().trim().to_owned();
    let file = fs::read_to_string(sandbox.home().join(KEYS)).unwrap();
    assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") && recipient.starts_with("age1"), "{shown}");

    sandbox.write("plain.env", "A=opened\n");
    let ended =
        sandbox.run(&["encrypt", "--age", &recipient, "--filename-override", "secrets.env", "-o", "secrets.env", "plain.env"]);
    assert_eq!((ended.code, ended.stderr.contains("none of your identities")), (0, false), "{}", ended.stderr);
    let mut pty = on_terminal(&sandbox, &[]);
    pty.wait_for("passphrase for ");
    pty.type_keys("throwaway\n");
    assert!(pty.end().1.ends_with("A=opened\r\n"));

    // It is never overwritten, and nobody is asked first.
    let (code, shown) = Pty::run(&mut sandbox.dotsops(["keygen", "--passphrase"])).end();
    assert!(code == 6 && !shown.contains("new passphrase"), "{shown}");
    assert_eq!(fs::read_to_string(sandbox.home().join(KEYS)).unwrap(), file);
    let ended = sandbox.run(&["keygen", "--passphrase", "-o", "other.txt"]);
    assert!(ended.code == 6 && ended.stderr.contains("no passphrase was given"), "{}", ended.stderr);
    assert!(!sandbox.path("other.txt").exists());
}

#[test]
fn an_edit_asks_before_the_editor_is_run_and_ends_by_an_interrupt_there() {
    let sandbox = with_locked_keys();
    let edit = |sandbox: &Sandbox| {
        let mut command =
            sandbox.dotsops(["edit", "--allow-disk-plaintext", "--editor", "sh -c 'echo B=2 >> \"$0\"'", "secrets.env"]);
        command.env("XDG_RUNTIME_DIR", sandbox.root().join("runtime"));
        Pty::run(&mut command)
    };
    let before = sandbox.read("secrets.env");
    let mut pty = edit(&sandbox);
    pty.wait_for("passphrase for ");
    pty.type_keys("\x03");
    wait_until("echo", || pty.is_cooked());
    assert_eq!(pty.end().0, 130);
    assert_eq!(sandbox.read("secrets.env"), before);
    let mut pty = edit(&sandbox);
    pty.wait_for("passphrase for ");
    pty.type_keys("throwaway\n");
    pty.wait_for("is saved, encrypted: 1 added");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.matches("passphrase").count() == 1, "{shown}");
}
