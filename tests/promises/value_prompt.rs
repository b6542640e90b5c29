//! A value that is typed is not shown, and the terminal is left as it was; a value on a terminal cannot drive it.

use std::path::PathBuf;

use crate::support::pty::Pty;
use crate::support::sandbox::Sandbox;

fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let file = sandbox.read("secrets.env");
    (sandbox, file)
}

/// `dotsops set A` at a shell on a terminal, which afterwards says how it ended and how the terminal is set.
fn asked(sandbox: &Sandbox) -> Pty {
    let mut command = sandbox.program(&PathBuf::from("/bin/sh"));
    let line = format!(
        "'{}' set A; echo \"code $?.\"; stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon -e isig | tr '\\n' ,; read rest; echo \"rest <$rest>\"",
        env!("CARGO_BIN_EXE_dotsops")
    );
    let mut terminal = Pty::run(command.args(["-c", &line]));
    terminal.wait_for("Value of A (not shown): ");
    terminal
}

/// What the shell says behind it, after somebody typed `ok`.
fn end(mut terminal: Pty, code: &str) -> String {
    terminal.wait_for(&format!("code {code}."));
    terminal.wait_for("isig,icanon,echo,");
    terminal.type_keys("ok\n");
    terminal.wait_for("rest <ok>");
    terminal.end().1
}

#[test]
fn what_is_typed_is_not_shown_and_is_the_value() {
    let (sandbox, _) = sandbox();
    let terminal = asked(&sandbox);
    // A slip is taken back: a character of two bytes, then a whole line.
    terminal.type_keys("wrong\u{15}cnryö\u{7f}cnry ${X}\n");
    let shown = end(terminal, "0");
    assert!(!shown.contains("cnry") && !shown.contains("wrong"), "{shown}");
    assert_eq!(sandbox.run(&["get", "A"]).stdout, "cnrycnry ${X}");
}

#[test]
fn keys_that_are_no_characters_never_become_part_of_the_value() {
    let (sandbox, _) = sandbox();
    for (keys, value) in [
        ("one two\u{17}three\n", "one three"),
        ("ab\u{1b}[D\u{1b}OCc\n", "abc"),
        ("\u{1b}[200~pasted\u{1b}[201~\n", "pasted"),
        ("a\tb\n", "a\tb"),
    ] {
        let terminal = asked(&sandbox);
        terminal.type_keys(keys);
        end(terminal, "0");
        assert_eq!(sandbox.run(&["get", "A"]).stdout, value);
    }
    let file = sandbox.read("secrets.env");
    let terminal = asked(&sandbox);
    terminal.type_keys("a\u{6}b\n");
    let shown = end(terminal, "3");
    assert!(shown.contains("control character"), "{shown}");
    assert_eq!(sandbox.read("secrets.env"), file);
}

#[test]
fn a_question_that_is_left_changes_nothing_and_the_terminal_is_as_before() {
    let (sandbox, file) = sandbox();
    for (keys, code) in [("half\u{3}", "130"), ("half\u{1c}", "131"), ("\u{4}", "2"), ("\n", "2")] {
        let terminal = asked(&sandbox);
        terminal.type_keys(keys);
        let shown = end(terminal, code);
        assert!(!shown.contains("half"), "{shown}");
        assert_eq!(sandbox.read("secrets.env"), file);
    }
}

#[test]
fn of_a_pasted_text_with_several_lines_nothing_reaches_the_shell() {
    let (sandbox, file) = sandbox();
    let terminal = asked(&sandbox);
    terminal.type_keys("first\nsecond\nthird\n");
    let shown = end(terminal, "3");
    assert!(!shown.contains("second") && shown.contains("several lines"), "{shown}");
    assert_eq!(sandbox.read("secrets.env"), file);
}

#[test]
fn a_value_is_escaped_on_a_terminal_and_raw_in_a_pipe() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=\"x\u{1b}[2Jy\"\n");
    assert_eq!(sandbox.run(&["get", "A"]).stdout, "x\u{1b}[2Jy");
    let (code, shown) = Pty::run(&mut sandbox.dotsops(["get", "A"])).end();
    assert_eq!((code, shown.as_str()), (0, "x\\x1b[2Jy\r\n"));
}
