//! How the editor ends, and what ends us while it runs: rows 16–24 and 32.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::{Pty, is_alive, wait, wait_until};
use crate::support::sandbox::ended;

/// Saves once, says so, and then is an open editor.
const SAVES_AND_STAYS: &str =
    r#"printf 'NEW=canary+5f/3a"91e7\n' >> "$1"; echo $$ > "$NOTES/pid"; : > "$NOTES/ready"; exec sleep 600"#;

fn signalled(editing: &Editing, script: &str, signal: Signal) -> (i32, String) {
    let mut command = editing.command(script, &["secrets.env"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_until("editor", || editing.note("ready").exists());
    kill_process(Pid::from_child(&child), signal).unwrap();
    let code = wait(&mut child);
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    (code, said)
}

/// The edit is in the draft, the file as it was, the editor dead.
fn assert_only_the_draft_has_it(editing: &Editing, before: &[u8]) {
    assert_eq!(editing.bytes(), before);
    assert!(editing.has_draft());
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    let resumed = editing.resume(":");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"));
    assert!(!editing.has_draft());
}

#[test]
fn rows_16_and_17_termination_and_hang_up_leave_a_draft_and_nothing_else() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let editing = Editing::of("A=old-value\n");
        let before = editing.bytes();
        let (ended, said) = signalled(&editing, SAVES_AND_STAYS, signal);
        assert_eq!(ended, code, "{said}");
        assert!(said.contains("dotsops edit --resume secrets.env"), "{said}");
        assert!(!is_alive(&editing.noted("pid")));
        assert_only_the_draft_has_it(&editing, &before);
    }
}

#[test]
fn row_18_a_closed_terminal_leaves_a_draft_and_nothing_else() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let mut pty = Pty::run(&mut editing.command(SAVES_AND_STAYS, &["secrets.env"]));
    pty.wait_until("editor", || editing.note("ready").exists());
    assert_eq!(pty.hang_up(), 129);
    assert!(!is_alive(&editing.noted("pid")));
    assert_only_the_draft_has_it(&editing, &before);
}

#[test]
fn a_terminal_closed_at_a_question_leaves_a_draft_and_nothing_else() {
    let editing = Editing::of("A=old-value\n");
    let script = format!("printf '{CANARY} no equals\\n' >> \"$1\"");
    let mut pty = Pty::run(&mut editing.command(&script, &["secrets.env"]));
    pty.wait_for("What now?");
    assert_eq!(pty.hang_up(), 129);
    assert!(editing.has_draft());
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn a_signal_without_anything_saved_leaves_no_draft() {
    let editing = Editing::of("A=old-value\n");
    let (code, said) = signalled(&editing, ": > \"$NOTES/ready\"; exec sleep 600", Signal::TERM);
    assert_eq!(code, 143);
    assert!(!said.contains("resume") && !editing.has_draft(), "{said}");
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn row_19_an_interrupt_is_the_editors_business() {
    let editing = Editing::of("A=old-value\n");
    let script = r#"trap 'printf "INT=seen\n" >> "$1"; exit 0' INT; : > "$NOTES/ready"; while :; do sleep 0.05; done"#;
    let mut pty = Pty::run(&mut editing.command(script, &["secrets.env"]));
    pty.wait_until("editor", || editing.note("ready").exists());
    pty.type_keys("\x03");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editing.text(), "A=old-value\nINT=seen\n");
}

#[test]
fn row_20_a_stopped_edit_goes_on_in_the_foreground() {
    let editing = Editing::of("A=old-value\n");
    let edit = editing.command(
        r#": > "$NOTES/ready"; while [ ! -e "$NOTES/go" ]; do sleep 0.05; done; printf 'B=2\n' >> "$1""#,
        &["secrets.env"],
    );
    let words: Vec<String> = [edit.get_program()]
        .into_iter()
        .chain(edit.get_args())
        .map(|word| shlex::try_quote(word.to_str().unwrap()).unwrap().into_owned())
        .collect();
    let mut shell = editing.sandbox.program(Path::new("/bin/sh"));
    shell.arg("-i").env("PS1", "prompt> ").env("XDG_RUNTIME_DIR", editing.memory());
    let mut pty = Pty::run(&mut shell);
    pty.wait_for("prompt> ");
    pty.type_keys(&format!("{}\r", words.join(" ")));
    pty.wait_until("editor", || editing.note("ready").exists());
    pty.type_keys("\x1a");
    pty.wait_for("Stopped");
    pty.wait_for("prompt> ");
    std::fs::write(editing.note("go"), "").unwrap();
    pty.type_keys("fg\r");
    pty.wait_for("1 added");
    pty.wait_for("prompt> ");
    pty.type_keys("exit\r");
    assert_eq!(pty.end().0, 0);
    assert_eq!(editing.text(), "A=old-value\nB=2\n");
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn row_21_an_editor_that_ignores_signals_is_killed_after_two_seconds() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let script = format!("trap '' HUP TERM; {SAVES_AND_STAYS}");
    let begun = std::time::Instant::now();
    let (code, _) = signalled(&editing, &script, Signal::TERM);
    assert_eq!(code, 143);
    assert!(begun.elapsed().as_secs() >= 2);
    assert!(!is_alive(&editing.noted("pid")));
    assert_only_the_draft_has_it(&editing, &before);
}

#[test]
fn row_22_an_editor_that_fails_saves_nothing_and_loses_nothing() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let ended = editing.edit(&format!("printf 'NEW={CANARY}\\n' >> \"$1\"; exit 3"));
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(ended.stderr.contains("exit code 3") && ended.stderr.contains("--resume secrets.env"), "{}", ended.stderr);
    assert_only_the_draft_has_it(&editing, &before);

    let unsaved = editing.edit("exit 3");
    assert_eq!(unsaved.code, 7);
    assert!(!editing.has_draft() && unsaved.stderr.contains("nothing is lost"), "{}", unsaved.stderr);
}

#[test]
fn row_23_a_killed_editor_leaves_a_usable_terminal() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let script = format!("printf 'NEW={CANARY}\\n' >> \"$1\"; stty raw -echo; : > \"$NOTES/ready\"; sleep 0.2; kill -KILL $$");
    let mut pty = Pty::run(&mut editing.command(&script, &["secrets.env"]));
    pty.wait_until("raw terminal", || editing.note("ready").exists());
    assert!(!pty.is_cooked());
    pty.wait_for("--resume secrets.env");
    assert!(pty.is_cooked());
    let (code, shown) = pty.end();
    assert_eq!(code, 7, "{shown}");
    assert_only_the_draft_has_it(&editing, &before);
}

#[test]
fn row_24_a_missing_editor_is_found_out_before_any_plaintext() {
    let editing = Editing::of("A=old-value\n");
    let mut command = editing.dotsops(&["edit", "--editor", "no-such-editor --flag", "secrets.env"]);
    let missing = ended(&mut command);
    assert_eq!(missing.code, 7);
    assert!(missing.stderr.contains("`no-such-editor`") && missing.stderr.contains("EDITOR"), "{}", missing.stderr);
    assert!(!editing.memory().join("dotsops").exists());

    // There, but no program.
    let broken = editing.editor(":");
    std::fs::write(&broken, "#!/no/such/shell\n").unwrap();
    let broken = ended(editing.dotsops(&["edit", "secrets.env", "--editor"]).arg(broken));
    assert_eq!(broken.code, 7, "{}", broken.stderr);
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn row_32_an_editor_that_is_back_at_once_is_waited_for() {
    let editing = Editing::of("A=old-value\n");
    let script = r#"(while [ ! -e "$NOTES/go" ]; do sleep 0.02; done; printf 'B=2\n' >> "$1"; : > "$NOTES/saved") </dev/null >/dev/null 2>&1 &
exit 0"#;
    let mut pty = Pty::run(&mut editing.command(script, &["secrets.env"]));
    pty.wait_for("Press Enter");
    std::fs::write(editing.note("go"), "").unwrap();
    pty.wait_until("save", || editing.note("saved").exists());
    pty.type_keys("\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editing.text(), "A=old-value\nB=2\n");
}

#[test]
fn an_interrupt_while_an_editor_is_waited_for_keeps_what_it_saved() {
    let editing = Editing::of("A=old-value\n");
    let script = r#"(while [ ! -e "$NOTES/go" ]; do sleep 0.02; done; printf 'B=2\n' >> "$1"; : > "$NOTES/saved") </dev/null >/dev/null 2>&1 &
exit 0"#;
    let mut pty = Pty::run(&mut editing.command(script, &["secrets.env"]));
    pty.wait_for("Press Enter");
    std::fs::write(editing.note("go"), "").unwrap();
    pty.wait_until("save", || editing.note("saved").exists());
    pty.type_keys("\x03");
    let (code, shown) = pty.end();
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("--resume secrets.env"), "{shown}");
    assert_eq!(editing.text(), "A=old-value\n");
    assert!(editing.has_draft());
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn row_39_the_editor_inherits_no_descriptor_and_no_key() {
    let editing = Editing::of("A=old-value\n");
    let keys = editing.sandbox.home().join(".config/sops/age/keys.txt");
    let identity = std::fs::read_to_string(&keys).unwrap();
    std::fs::remove_file(keys).unwrap();
    let script = r#"env > "$NOTES/environment"; ls /proc/self/fd > "$NOTES/descriptors""#;
    let mut command = editing.command(script, &["secrets.env"]);
    command.env("SOPS_AGE_KEY", identity.trim()).env("DOTSOPS_AGE_KEY", identity.trim()).env("SOPS_AGE_KEY_FILE", "/none");
    // What we inherit ourselves is not for us to close.
    let mut plain = Command::new("ls");
    let inherited = ended(plain.arg("/proc/self/fd").stdin(Stdio::null()));
    assert_eq!(ended(&mut command).code, 0);
    assert_eq!(editing.noted("descriptors"), inherited.stdout);
    let environment = editing.noted("environment");
    assert!(!environment.contains("AGE-SECRET-KEY"), "{environment}");
    assert!(environment.contains("SOPS_AGE_KEY_FILE=/none"));
}
