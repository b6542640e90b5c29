//! Editors as people have them set, and surroundings in which there is nobody to ask.

use std::path::PathBuf;
use std::process::Stdio;

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::{Pty, without_terminal};
use crate::support::sandbox::ended;

const APPENDS: &str = r#"printf 'B=canary+5f/3a"91e7\n' >> "$1""#;

/// The editor that runs `script`, in a folder whose name has a space and quotes in it.
fn editor_with_an_odd_path(editing: &Editing, script: &str) -> PathBuf {
    let folder = editing.note("my \"own\" editors");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("edit it");
    std::fs::rename(editing.editor(script), &path).unwrap();
    path
}

#[test]
fn an_editor_whose_path_has_spaces_is_run_with_its_own_arguments() {
    let editing = Editing::of("A=old-value\n");
    let editor =
        editor_with_an_odd_path(&editing, r#"printf '%s|' "$@" > "$NOTES/arguments"; for text; do :; done; echo C=3 >> "$text""#);
    let quoted = shlex::try_quote(editor.to_str().unwrap()).unwrap().into_owned();
    let escaped = editor.to_str().unwrap().replace(' ', "\\ ").replace('"', "\\\"");
    for (variable, path) in [("EDITOR", &quoted), ("VISUAL", &escaped), ("SOPS_EDITOR", &quoted)] {
        let mut command = editing.dotsops(&["edit", "secrets.env"]);
        let edited = ended(command.env("TERM", "xterm").env(variable, format!("{path} --wait 'two words' -- $HOME")));
        assert_eq!(edited.code, 0, "{variable}: {}", edited.stderr);
        let arguments = editing.noted("arguments");
        assert!(arguments.starts_with("--wait|two words|--|$HOME|/"), "{variable}: {arguments}");
        assert!(editing.text().ends_with("C=3\n"));
        assert_eq!(ended(&mut editing.dotsops(&["unset", "C"])).code, 0);
    }
    // Without the quotes it is another program, and that is said before anything is in clear.
    let unquoted = ended(editing.dotsops(&["edit", "secrets.env"]).env("EDITOR", &editor));
    assert_eq!(unquoted.code, 7, "{}", unquoted.stderr);
    assert!(unquoted.stderr.contains("EDITOR"), "{}", unquoted.stderr);
}

#[test]
fn a_script_as_editor_works_where_there_is_no_terminal_at_all() {
    let editing = Editing::of("A=old-value\n");
    let editor = editing.editor(APPENDS);
    let mut command = editing.dotsops(&["edit", "secrets.env"]);
    without_terminal(&mut command);
    // As in a job: no TERM, nothing on standard input, everything else into a pipe.
    let edited = ended(command.env("EDITOR", &editor).env_remove("TERM").stdin(Stdio::null()));
    assert_eq!(edited.code, 0, "{}", edited.stderr);
    assert_eq!(edited.stdout, "");
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"));
    // What would be asked about is refused, and nobody is waited for.
    for (script, code) in [("echo odd >> \"$1\"", 3), (": > \"$1\"", 6), ("exit 2", 7)] {
        let refused = ended(editing.dotsops(&["edit", "secrets.env"]).env("EDITOR", editing.editor(script)));
        assert_eq!(refused.code, code, "{script}: {}", refused.stderr);
        assert!(!refused.stderr.contains("What now?"), "{}", refused.stderr);
        ended(&mut editing.dotsops(&["edit", "--discard", "secrets.env"]));
    }
}

#[test]
fn with_standard_streams_closed_an_edit_saves_all_the_same() {
    let editing = Editing::of("A=old-value\n");
    let edit = editing.command(APPENDS, &["secrets.env"]);
    for closed in ["<&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let mut shell = editing.sandbox.program("/bin/sh".as_ref());
        shell.args(["-c", &format!("exec \"$@\" {closed}"), "sh"]).arg(edit.get_program()).args(edit.get_args());
        let edited = ended(shell.env("XDG_RUNTIME_DIR", editing.memory()));
        assert_eq!(edited.code, 0, "{closed}: {}", edited.stderr);
        assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"), "{closed}");
        assert_eq!(ended(&mut editing.dotsops(&["unset", "B"])).code, 0);
    }
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn a_dumb_terminal_gets_the_line_editor_and_questions_without_any_control_sequence() {
    let editing = Editing::of("A=old-value\n");
    let (visual, editor) = (editing.editor("echo visual > \"$NOTES/ran\""), editing.editor("echo odd >> \"$1\""));
    let inside = editing.dotsops(&["edit", "secrets.env"]);
    let mut command = editing.sandbox.program("/bin/sh".as_ref());
    command.args(["-c", "TERM=dumb exec \"$@\" 2> \"$SAID\"", "sh"]).arg(inside.get_program()).args(inside.get_args());
    command
        .env("XDG_RUNTIME_DIR", editing.memory())
        .env("VISUAL", visual)
        .env("EDITOR", editor)
        .env("SAID", editing.note("said"));
    let mut pty = Pty::run(&mut command);
    pty.wait_for("What now? [e]dit again, [k]eep your text as a draft and quit, [d]iscard your changes: ");
    pty.type_keys("d\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!editing.note("ran").exists());
    let said = editing.noted("said");
    assert!(said.contains("secrets.env: line 2: there is no `=`") && !said.contains('\x1b'), "{said}");
}

#[test]
fn row_47_a_save_needs_nobody_who_unwraps_or_wraps() {
    let editing = Editing::of("A=old-value\n");
    let keys = editing.sandbox.home().join(".config/sops/age/keys.txt");
    let before = editing.sandbox.read("secrets.env");
    // While the editor is open, whatever opened the file goes away, and the rules too.
    let gone = editing.edit(&format!("rm '{}' .sops.yaml; {APPENDS}", keys.display()));
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    let after = editing.sandbox.read("secrets.env");
    let wrapped = |text: &str| text.lines().filter(|line| line.starts_with("sops_age")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(wrapped(&after), wrapped(&before), "nothing was wrapped again");
    std::fs::write(keys, crate::support::sandbox::IDENTITY).unwrap();
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"));
}

#[test]
fn an_editor_that_was_quick_and_changed_something_is_not_waited_for() {
    let editing = Editing::of("A=old-value\n");
    let (code, shown) = Pty::run(&mut editing.command(APPENDS, &["secrets.env"])).end();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("Press Enter"), "{shown}");
}
