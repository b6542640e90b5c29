//! What the guard does when dotsops is killed while an editor is open: rows 7, 8 and 21.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, getsid, kill_process};

use super::super::hygiene::is_root;
use crate::support::editing::{CANARY, CLEAN_WITHIN, Editing};
use crate::support::memory::{memory, places};
use crate::support::peers::given;
use crate::support::pty::{Pty, is_alive, wait, wait_until};
use crate::support::sandbox::{copy_program, ended};

/// Saves once, says so, and then is an open editor.
const SAVES_AND_STAYS: &str =
    r#"printf 'NEW=canary+5f/3a"91e7\n' >> "$1"; echo $$ > "$NOTES/pid"; : > "$NOTES/ready"; exec sleep 600"#;

fn begun(editing: &Editing, script: &str) -> Child {
    let child = editing.command(script, &["secrets.env"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("editor", || editing.note("ready").exists());
    child
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn is_gone(editing: &Editing) -> bool {
    !is_alive(&editing.noted("pid"))
}

#[test]
fn row_7_a_kill_after_a_save_leaves_a_draft_and_nothing_else_within_three_seconds() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let mut edit = begun(&editing, SAVES_AND_STAYS);
    let killed = Instant::now();
    kill(&mut edit);
    wait_until("end of the session", || editing.sessions().is_empty());
    assert!(killed.elapsed() < CLEAN_WITHIN, "{:?}", killed.elapsed());
    editing.wait_for_guard();
    assert!(is_gone(&editing));
    assert_eq!(editing.bytes(), before);
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    let next = editing.edit(":");
    assert_eq!(next.code, 6, "{}", next.stderr);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
}

#[test]
fn row_7_an_editor_that_saves_when_it_is_hung_up_is_waited_for() {
    let editing = Editing::of("A=old-value\n");
    // It is in the middle of a slow write.
    let script = r#"trap 'printf "tail\n" >> "$1"; exit' HUP; printf 'NEW=head-' >> "$1"; echo $$ > "$NOTES/pid"
: > "$NOTES/ready"; while :; do sleep 0.02; done"#;
    kill(&mut begun(&editing, script));
    editing.wait_for_guard();
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), "A=old-value\nNEW=head-tail\n");
}

#[test]
fn row_6_a_kill_before_a_save_leaves_nothing() {
    let editing = Editing::of("A=old-value\n");
    kill(&mut begun(&editing, "echo $$ > \"$NOTES/pid\"; : > \"$NOTES/ready\"; exec sleep 600"));
    editing.wait_for_guard();
    assert!(is_gone(&editing) && !editing.has_draft());
    editing.assert_no_plaintext(&["old-value"]);
    assert_eq!(editing.edit(":").code, 0);
}

#[test]
fn row_21_an_editor_that_ignores_the_hang_up_is_killed_and_the_file_is_locked_until_then() {
    let editing = Editing::of("A=old-value\n");
    let script = format!(
        "trap '' HUP TERM; printf 'NEW={CANARY}\\n' >> \"$1\"; echo $$ > \"$NOTES/pid\"; : > \"$NOTES/ready\"; exec sleep 600"
    );
    let mut edit = begun(&editing, &script);
    kill(&mut edit);
    // For two seconds, in which the editor could still save.
    let second = editing.edit(":");
    assert_eq!(second.code, 6, "{}", second.stderr);
    assert!(second.stderr.contains("being edited already"), "{}", second.stderr);
    editing.wait_for_guard();
    assert!(is_gone(&editing));
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
}

#[test]
fn an_edit_whose_guard_is_killed_goes_on_unharmed() {
    let editing = Editing::of("A=old-value\n");
    let script = "printf 'B=2\\n' >> \"$1\"; : > \"$NOTES/ready\"; while [ ! -e \"$NOTES/go\" ]; do sleep 0.02; done";
    let mut edit = begun(&editing, script);
    let guards = editing.guards(edit.id());
    assert_eq!(guards.len(), 1);
    kill_process(guards[0], Signal::KILL).unwrap();
    fs::write(editing.note("go"), "").unwrap();
    assert_eq!(wait(&mut edit), 0);
    assert_eq!(editing.text(), "A=old-value\nB=2\n");
    editing.assert_no_plaintext(&["old-value"]);
    assert_eq!(editing.edit(":").code, 0, "nothing holds the file");
}

#[test]
fn an_edit_that_gets_no_guard_says_so_once_and_goes_on() {
    let editing = Editing::of("A=old-value\n");
    fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path("theirs.env")).unwrap();
    assert_eq!(editing.sandbox.run(&["set", "-f", "theirs.env", "THEIRS", "1"]).code, 0);
    let program = editing.sandbox.root().join("dotsops");
    copy_program(Path::new(env!("CARGO_BIN_EXE_dotsops")), &program);
    // Run for an identity when the program runs already, and its guard does not yet.
    let identity = editing.sandbox.home().join(".config/sops/age/keys.txt");
    let moved = editing.sandbox.write("identity", fs::read(&identity).unwrap());
    fs::remove_file(identity).unwrap();
    let prints = editing.editor(&format!("chmod a-x {}; cat {}", program.display(), moved.display()));
    // Overtaken, so that there is a second session.
    let script = r#"if [ -e "$NOTES/again" ]; then echo MORE=1 >> "$1"; exit; fi
: > "$NOTES/again"; echo OURS=1 >> "$1"; cp theirs.env secrets.env"#;
    let mut command = editing.sandbox.program(&program);
    command.args(["edit", "--editor"]).arg(editing.editor(script)).arg("secrets.env");
    let mut pty = Pty::run(command.env("XDG_RUNTIME_DIR", editing.memory()).env("SOPS_AGE_KEY_CMD", &prints));
    pty.wait_for("What now?");
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("no guard could be started").count(), 1, "{shown}");
    assert!(shown.contains("if dotsops is killed, the plaintext stays in memory until the next edit"), "{shown}");
    fs::rename(moved, editing.sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
    assert_eq!(editing.text(), "A=old-value\nOURS=1\nTHEIRS=1\nMORE=1\n");
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn signals_do_not_end_the_guard_and_the_end_of_the_edit_does() {
    let editing = Editing::of("A=old-value\n");
    let script = ": > \"$NOTES/ready\"; while [ ! -e \"$NOTES/go\" ]; do sleep 0.02; done";
    let mut edit = begun(&editing, script);
    let guard = editing.guards(edit.id())[0];
    // Until it has taken over, it is about to ignore them.
    wait_until("guard", || stands(&descriptors(guard)));
    for signal in [Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT] {
        kill_process(guard, signal).unwrap();
    }
    assert_eq!(editing.guards(edit.id()), [guard]);
    fs::write(editing.note("go"), "").unwrap();
    assert_eq!(wait(&mut edit), 0);
    assert!(!fs::exists(format!("/proc/{}", guard.as_raw_nonzero())).unwrap());
}

fn descriptors(process: Pid) -> Vec<String> {
    let folder = format!("/proc/{}/fd", process.as_raw_nonzero());
    let links = fs::read_dir(folder).into_iter().flatten().map(|entry| fs::read_link(entry.unwrap().path()));
    links.filter_map(|link| Some(link.ok()?.display().to_string())).collect()
}

/// Whether a guard with these descriptors has taken over, and knows the editor; on the way there it has as many for a moment.
fn stands(open: &[String]) -> bool {
    open.len() == 9 && open.iter().any(|link| link.contains("[pidfd]"))
}

#[test]
fn the_guard_holds_what_it_needs_and_no_value() {
    if !given(is_root(), "only root can look into a process that is not dumpable") {
        return;
    }
    let editing = Editing::of(&format!("A={CANARY}\n"));
    let mut edit = begun(&editing, SAVES_AND_STAYS);
    let guard = editing.guards(edit.id())[0];
    let number = guard.as_raw_nonzero();
    wait_until("guard", || stands(&descriptors(guard)));
    let open = descriptors(guard);
    let count = |what: &str| open.iter().filter(|link| link.contains(what)).count();
    let session = editing.sessions().remove(0).display().to_string();
    let counts = ["/dev/null", "pipe:", "[pidfd]", "/locks/", "owner.lock", &session].map(count);
    assert_eq!(counts, [3, 1, 1, 1, 1, 2], "{open:?}");
    assert_eq!(fs::read(format!("/proc/{number}/cmdline")).unwrap(), b"dotsops-guard\0");
    assert_eq!(fs::read(format!("/proc/{number}/environ")).unwrap(), b"");
    assert_eq!(fs::read_link(format!("/proc/{number}/cwd")).unwrap(), Path::new("/"));
    assert_eq!(getsid(Some(guard)).unwrap(), guard);
    let limits = fs::read_to_string(format!("/proc/{number}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let regions = memory(number.get() as u32).unwrap();
    assert_eq!(places(&regions, &CANARY.as_bytes()[..12]), [""; 0]);
    assert_eq!(places(&regions, b"AGE-SECRET-KEY"), [""; 0]);
    // The search does find what is there.
    assert!(!places(&memory(edit.id()).unwrap(), &CANARY.as_bytes()[..12]).is_empty());
    kill(&mut edit);
    editing.wait_for_guard();
}

#[test]
fn a_draft_that_cannot_be_written_leaves_the_text_for_the_next_edit() {
    let editing = Editing::of("A=old-value\n");
    let mut edit = begun(&editing, SAVES_AND_STAYS);
    let drafts = editing.sandbox.home().join(".local/state/dotsops/drafts");
    fs::write(&drafts, "").unwrap();
    kill(&mut edit);
    editing.wait_for_guard();
    let text = editing.sessions().remove(0).join("secrets.env");
    assert!(fs::read_to_string(text).unwrap().contains(CANARY));
    fs::remove_file(drafts).unwrap();
    assert_eq!(editing.edit(":").code, 6);
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
}

#[test]
fn called_by_hand_a_guard_does_nothing() {
    let editing = Editing::of("A=old-value\n");
    let mut command = editing.dotsops(&[]);
    let alone = ended(command.arg0("dotsops-guard"));
    assert_eq!((alone.code, alone.stdout.as_str(), alone.stderr.as_str()), (7, "", ""));
}
