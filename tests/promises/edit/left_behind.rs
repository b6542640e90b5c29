//! What is left when nothing outlives a kill, and what the next command makes of it: rows 14 and 15.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::{is_alive, wait, wait_until};
use crate::support::sandbox::{Ended, ended};
use crate::support::writing::{WRITERS, World};

/// An editor that saves once and stays open; `name` is what it notes.
fn saves(name: &str) -> String {
    format!("printf 'NEW={CANARY}\\n' >> \"$1\"; {}", stays(name))
}

fn stays(name: &str) -> String {
    format!("echo $$ > \"$NOTES/pid-{name}\"; : > \"$NOTES/ready-{name}\"; exec sleep 600")
}

fn begun(editing: &Editing, name: &str, script: &str, arguments: &[&str]) -> Child {
    let child = editing.command(script, arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_until("editor", || editing.note(&format!("ready-{name}")).exists());
    child
}

/// Kills the edit and every process it started.
fn kill_all(mut edit: Child) {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", edit.id())).unwrap();
    let children: Vec<Pid> = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    // One that still ran would clean up after the others' death.
    kill_process(Pid::from_child(&edit), Signal::STOP).unwrap();
    for process in &children {
        kill_process(*process, Signal::KILL).unwrap();
    }
    edit.kill().unwrap();
    edit.wait().unwrap();
    // A process holds its locks until it is dead, which is later than the kill.
    let is_dead = |process: &Pid| !is_alive(&process.as_raw_nonzero().to_string());
    wait_until("end of all", || children.iter().all(is_dead));
}

fn killed(editing: &Editing, name: &str, script: &str, arguments: &[&str]) {
    kill_all(begun(editing, name, script, arguments));
    assert_eq!(editing.sessions().len(), 1, "nothing was left to clean up");
}

fn set(editing: &Editing, file: &str) -> Ended {
    ended(&mut editing.dotsops(&["set", "-f", file, "LATER", "1"]))
}

/// What was said about killed edits of this test: in the folder that all users of memory share there may be others.
fn named<'a>(ended: &'a Ended, editing: &Editing) -> Vec<&'a str> {
    let own = [editing.sandbox.root(), editing.memory()].map(|folder| folder.display().to_string());
    ended.stderr.lines().filter(|line| line.contains("was killed") && own.iter().any(|own| line.contains(own))).collect()
}

#[test]
fn row_14_what_was_saved_when_everything_was_killed_becomes_a_draft() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    killed(&editing, "a", &saves("a"), &["secrets.env"]);
    assert_eq!(editing.bytes(), before);
    assert!(!editing.has_draft());
    let next = editing.edit(": > \"$NOTES/ran\"");
    assert_eq!(next.code, 6, "{}", next.stderr);
    assert!(next.stderr.contains("was killed") && next.stderr.contains("--resume secrets.env"), "{}", next.stderr);
    assert!(!editing.note("ran").exists());
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
}

#[test]
fn row_14_the_next_resume_goes_on_at_once() {
    let editing = Editing::of("A=old-value\n");
    killed(&editing, "a", &saves("a"), &["secrets.env"]);
    let resumed = editing.resume("echo B=2 >> \"$1\"");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\nB=2\n"));
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn row_14_of_a_new_file_and_of_one_that_changed_since_too() {
    let editing = Editing::of("A=old-value\n");
    killed(&editing, "a", &saves("a"), &["new.env"]);
    assert_eq!(ended(&mut editing.command(":", &["new.env"])).code, 6);
    editing.assert_no_plaintext(&[CANARY]);
    assert_eq!(ended(&mut editing.command(":", &["--resume", "new.env"])).code, 0);
    assert!(editing.sandbox.run(&["decrypt", "new.env"]).stdout.contains(CANARY));

    killed(&editing, "b", &saves("b"), &["secrets.env"]);
    editing.sandbox.encrypted("secrets.env", "A=their-value\n");
    assert_eq!(editing.edit(":").code, 6);
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    let resumed = editing.resume(":");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.text(), format!("A=their-value\nNEW={CANARY}\n"));
}

#[test]
fn row_14_what_a_draft_holds_already_is_only_removed_and_what_is_newer_takes_its_place() {
    let editing = Editing::of("A=old-value\n");
    assert_eq!(editing.edit("echo B=2 >> \"$1\"; exit 1").code, 7);
    killed(&editing, "a", &saves("a"), &["--resume", "secrets.env"]);
    assert_eq!(editing.edit(":").code, 6);
    let sealed = fs::read(editing.drafts().remove(0)).unwrap();
    killed(&editing, "b", &stays("b"), &["--resume", "secrets.env"]);
    assert_eq!(editing.edit(":").code, 6);
    assert!(fs::read(editing.drafts().remove(0)).unwrap() == sealed);
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nB=2\nNEW={CANARY}\n"));
}

#[test]
fn row_15_an_unchanged_text_is_removed_by_the_next_command() {
    let editing = Editing::of("A=old-value\n");
    editing.sandbox.encrypted("other.env", "A=1\n");
    killed(&editing, "a", &stays("a"), &["secrets.env"]);
    let next = set(&editing, "other.env");
    assert_eq!(next.code, 0);
    assert_eq!(named(&next, &editing).len(), 1, "{}", next.stderr);
    assert!(!editing.has_draft());
    editing.assert_no_plaintext(&["old-value"]);
    let last = set(&editing, "other.env");
    assert!(named(&last, &editing).is_empty(), "{}", last.stderr);
}

/// A copy of what the killed edit of another sandbox left, in the memory of this one; its name is the only session's.
fn plant(session: &Path, editing: &Editing) {
    let scratch = editing.memory().join("dotsops");
    fs::create_dir_all(&scratch).unwrap();
    fs::set_permissions(&scratch, PermissionsExt::from_mode(0o700)).unwrap();
    let copied = ended(Command::new("cp").arg("-a").arg(session).arg(&scratch));
    assert_eq!((copied.code, editing.sessions().len()), (0, 1), "{}", copied.stderr);
}

#[test]
fn row_15_every_command_that_writes_a_file_removes_it_and_none_that_reads_does() {
    let killed_edit = Editing::of("A=old-value\n");
    killed(&killed_edit, "a", &stays("a"), &["secrets.env"]);
    let session = killed_edit.sessions().remove(0);
    for writer in WRITERS {
        let world = World::of(writer);
        plant(&session, &world.editing);
        let next = ended(&mut world.command());
        assert_eq!(next.code, 0, "{}: {}", writer.name, next.stderr);
        assert_eq!(named(&next, &killed_edit).len(), 1, "{}: {}", writer.name, next.stderr);
        world.editing.assert_no_plaintext(&["old-value"]);
    }
    let editing = Editing::of("A=1\n");
    editing.sandbox.write("plain.env", "A=1\n");
    plant(&session, &editing);
    for line in [
        &["get", "-f", "secrets.env", "A"] as &[&str],
        &["exec", "-f", "secrets.env", "--", "true"],
        &["decrypt", "secrets.env"],
        &["encrypt", "plain.env"],
        &["keys", "-f", "secrets.env"],
        &["filestatus", "secrets.env"],
        &["textconv", "secrets.env"],
        &["drafts", "list"],
    ] {
        let reader = ended(&mut editing.dotsops(line));
        assert_eq!(reader.code, 0, "{line:?}: {}", reader.stderr);
        assert!(named(&reader, &killed_edit).is_empty(), "{line:?}: {}", reader.stderr);
        assert_eq!(editing.sessions().len(), 1, "{line:?}");
    }
}

#[test]
fn what_was_left_in_another_place_is_found_too() {
    let editing = Editing::of("A=old-value\n");
    let chosen = editing.memory().join("chosen");
    fs::create_dir(&chosen).unwrap();
    fs::set_permissions(&chosen, PermissionsExt::from_mode(0o700)).unwrap();
    killed(&editing, "a", &saves("a"), &["secrets.env"]);
    let script = "echo \"$1\" > \"$NOTES/path\"";
    let mut next = editing.command(script, &["--resume", "secrets.env"]);
    let next = ended(next.env("DOTSOPS_EDIT_DIR", &chosen));
    assert_eq!(next.code, 0, "{}", next.stderr);
    assert!(editing.noted("path").starts_with(chosen.to_str().unwrap()));
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
}

#[test]
fn what_was_saved_in_another_file_is_named_and_stays() {
    let editing = Editing::of("A=old-value\n");
    editing.sandbox.encrypted("other.env", "A=1\n");
    killed(&editing, "a", &saves("a"), &["secrets.env"]);
    let expected = format!("`dotsops edit {}` keeps it", editing.sandbox.path("secrets.env").display());
    let in_other = ended(&mut editing.command(":", &["other.env"]));
    for other in [set(&editing, "other.env"), set(&editing, "secrets.env"), in_other] {
        assert_eq!(other.code, 0, "{}", other.stderr);
        assert!(other.stderr.contains(&expected), "{}", other.stderr);
        assert_eq!(editing.sessions().len(), 1);
    }
    assert_eq!(editing.edit(":").code, 6);
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn without_a_key_that_opens_it_what_was_saved_stays() {
    let editing = Editing::of("A=old-value\n");
    killed(&editing, "a", &saves("a"), &["secrets.env"]);
    fs::remove_file(editing.sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
    let refused = editing.edit(":");
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let session = editing.sessions().remove(0);
    assert!(refused.stderr.contains(session.to_str().unwrap()), "{}", refused.stderr);
    assert!(fs::read_to_string(session.join("secrets.env")).unwrap().contains(CANARY));
}

#[test]
fn an_edit_that_runs_is_left_alone() {
    let editing = Editing::of("A=old-value\n");
    editing.sandbox.encrypted("other.env", "A=1\n");
    let script =
        format!("printf 'NEW={CANARY}\\n' >> \"$1\"; : > \"$NOTES/ready-a\"; while [ ! -e \"$NOTES/go\" ]; do sleep 0.02; done");
    let mut first = begun(&editing, "a", &script, &["secrets.env"]);
    let other = set(&editing, "other.env");
    assert!(other.code == 0 && named(&other, &editing).is_empty(), "{}", other.stderr);
    fs::write(editing.note("go"), "").unwrap();
    assert_eq!(wait(&mut first), 0);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
}

#[test]
fn nothing_is_followed_and_nothing_of_others_is_touched() {
    use std::os::unix::fs::symlink;
    let editing = Editing::of("A=old-value\n");
    killed(&editing, "a", &stays("a"), &["secrets.env"]);
    let session = editing.sessions().remove(0);
    let scratch = session.parent().unwrap();
    // The same session elsewhere, behind a link; one open to others; one that says nothing; one that is empty; something else.
    let elsewhere = editing.memory().join("elsewhere");
    fs::rename(&session, &elsewhere).unwrap();
    symlink(&elsewhere, &session).unwrap();
    for (name, mode) in [("s-open", 0o755), ("s-silent", 0o700), ("s-empty", 0o700), ("mine", 0o700)] {
        fs::create_dir(scratch.join(name)).unwrap();
        fs::set_permissions(scratch.join(name), PermissionsExt::from_mode(mode)).unwrap();
        if name != "s-empty" {
            fs::write(scratch.join(name).join("owner.lock"), "").unwrap();
            fs::write(scratch.join(name).join("text.env"), "kept").unwrap();
        }
    }
    let next = editing.edit(":");
    assert_eq!(next.code, 0, "{}", next.stderr);
    assert!(elsewhere.join("secrets.env").exists() && session.is_symlink());
    for name in ["s-open", "s-silent", "mine"] {
        assert_eq!(fs::read_to_string(scratch.join(name).join("text.env")).unwrap(), "kept");
    }
    assert!(!scratch.join("s-empty").exists());
    assert!(matches!(named(&next, &editing).as_slice(), [line] if line.contains("s-silent")), "{}", next.stderr);
}

#[test]
fn what_the_text_has_become_is_not_read_through() {
    let editing = Editing::of("A=old-value\n");
    killed(&editing, "a", &stays("a"), &["secrets.env"]);
    let session = editing.sessions().remove(0);
    let elsewhere = editing.sandbox.write("elsewhere", "kept");
    fs::remove_file(session.join("secrets.env")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, session.join("secrets.env")).unwrap();
    let next = editing.edit(":");
    assert_eq!(next.code, 0, "{}", next.stderr);
    assert!(next.stderr.contains(session.to_str().unwrap()), "{}", next.stderr);
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
}
