//! What cannot be saved as it was typed, and the questions about it: row 37.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::Pty;
use crate::support::sandbox::ended;

/// A line with the canary in it, what is said about it, and how it looks corrected.
const MISTAKES: &[(&str, &str)] = &[
    (r#"canary+5f/3a"91e7 no equals"#, "line 2"),
    (r#"NEW="canary+5f/3a"91e7"#, "line 2"),
    (r#"NEW=a\000canary+5f/3a"91e7"#, "line 2"),
    (r#"A=canary+5f/3a"91e7"#, "line 2: `A` is defined in line 1 already"),
    (r#"sops_x=canary+5f/3a"91e7"#, "line 2"),
    (r#"1a=canary+5f/3a"91e7"#, "line 2"),
];

/// An editor that appends `line` on its first run and takes all of line 2 out on its second.
fn append_then_correct(line: &str) -> String {
    format!(
        r#"if [ -e "$NOTES/second" ]; then cp "$1" "$NOTES/seen"; sed -i '2,$d' "$1"; printf 'B=corrected\n' >> "$1"; exit 0; fi
: > "$NOTES/second"; printf '%b\n' '{line}' >> "$1""#
    )
}

#[test]
fn row_37_without_a_terminal_a_mistake_is_named_and_the_text_kept() {
    for (line, said) in MISTAKES {
        let editing = Editing::of("A=old-value\n");
        let before = editing.bytes();
        let ended = editing.edit(&append_then_correct(line));
        assert_eq!(ended.code, 3, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains("dotsops edit --resume secrets.env"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("canary") && !ended.stderr.contains("5f/3a"), "{}", ended.stderr);
        assert_eq!(editing.bytes(), before);
        assert!(editing.has_draft());
        editing.assert_no_plaintext(&[CANARY, "old-value"]);

        let resumed = editing.resume(&append_then_correct(line));
        assert_eq!(resumed.code, 0, "{line}: {}", resumed.stderr);
        assert!(editing.noted("seen").contains(CANARY), "{line}: the text as it was left");
        assert_eq!(editing.text(), "A=old-value\nB=corrected\n");
        assert!(!editing.has_draft());
    }
}

#[test]
fn row_37_every_way_out_of_the_menu() {
    for (line, said) in MISTAKES {
        for (keys, code, text, draft) in [
            ("e\r", 0, "A=old-value\nB=corrected\n", false),
            ("x\r\rE\r", 0, "A=old-value\nB=corrected\n", false),
            ("k\r", 3, "A=old-value\n", true),
            ("d\r", 0, "A=old-value\n", false),
            ("\x04", 3, "A=old-value\n", true),
            ("\x03", 130, "A=old-value\n", true),
        ] {
            let editing = Editing::of("A=old-value\n");
            let mut pty = Pty::run(&mut editing.command(&append_then_correct(line), &["secrets.env"]));
            pty.wait_for(said);
            pty.wait_for("What now?");
            pty.type_keys(keys);
            let (ended, shown) = pty.end();
            assert_eq!(ended, code, "{line}, {keys:?}: {shown}");
            assert!(!shown.contains("canary") && !shown.contains("5f/3a"), "{shown}");
            assert_eq!(editing.has_draft(), draft, "{line}, {keys:?}");
            assert_eq!(shown.contains("--resume secrets.env"), draft, "{line}, {keys:?}: {shown}");
            assert_eq!(editing.text(), text);
            if keys == "e\r" {
                assert!(editing.noted("seen").contains(CANARY), "{line}: the text as it was left");
            }
            editing.assert_no_plaintext(&[CANARY, "old-value"]);
        }
    }
}

#[test]
fn a_question_is_asked_again_after_a_stop() {
    let editing = Editing::of("A=old-value\n");
    let stop_twice = |pty: &mut Pty, question: &str| {
        for _ in 0..2 {
            pty.wait_for(question);
            pty.type_keys("half an answer\x1a");
            pty.wait_until_stopped();
            kill_process(Pid::from_raw(pty.pid() as i32).unwrap(), Signal::CONT).unwrap();
        }
        pty.wait_for(question);
    };
    let mut pty = Pty::run(&mut editing.command("echo wrong >> \"$1\"", &["secrets.env"]));
    stop_twice(&mut pty, "What now?");
    pty.type_keys("k\r");
    assert_eq!(pty.end().0, 3);
    // One that a signal ends as usual.
    let mut pty = Pty::run(&mut editing.dotsops(&["drafts", "drop", "secrets.env"]));
    stop_twice(&mut pty, "Throw it away?");
    assert!(editing.has_draft());
    pty.type_keys("y\r");
    assert_eq!(pty.end().0, 0);
    assert!(!editing.has_draft());
}

#[test]
fn a_line_gets_one_reason() {
    let editing = Editing::of("A=old-value\n");
    let ended = editing.edit(r#"printf '"oops\nB=1\n1a=2\n' >> "$1""#);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let said: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("problem:")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("line 2") && said[1].contains("line 4"), "{said:?}");
}

#[test]
fn what_is_undone_in_the_second_round_leaves_no_draft() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let script =
        r#"if [ -e "$NOTES/second" ]; then printf 'A=old-value\n' > "$1"; exit; fi; : > "$NOTES/second"; echo wrong >> "$1""#;
    let mut pty = Pty::run(&mut editing.command(script, &["secrets.env"]));
    pty.wait_for("What now?");
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("unchanged"), "{shown}");
    assert_eq!(editing.bytes(), before);
    assert!(!editing.has_draft());
}

#[test]
fn an_editor_that_fails_in_the_second_round_still_leaves_the_first_rounds_draft_and_says_so() {
    let editing = Editing::of("A=old-value\n");
    let script =
        r#"if [ -e "$NOTES/second" ]; then printf 'A=old-value\n' > "$1"; exit 9; fi; : > "$NOTES/second"; echo wrong >> "$1""#;
    let mut pty = Pty::run(&mut editing.command(script, &["secrets.env"]));
    pty.wait_for("What now?");
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 7, "{shown}");
    assert!(shown.contains("--resume secrets.env") && editing.has_draft(), "{shown}");
}

#[test]
fn text_that_is_not_utf_8_is_named_by_its_place_and_kept() {
    let editing = Editing::of("A=old-value\n");
    let ended = editing.edit(r#"printf 'B=\377\376\n' >> "$1""#);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("UTF-8") && editing.has_draft(), "{}", ended.stderr);
    let resumed = editing.resume(r#"cp "$1" "$NOTES/seen"; printf 'A=old-value\nB=2\n' > "$1""#);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(std::fs::read(editing.note("seen")).unwrap(), b"A=old-value\nB=\xff\xfe\n");
}

#[test]
fn old_lines_never_block_a_save_whatever_they_look_like() {
    // Made by plain sops, which takes any line with a `=`.
    let Some(sops) = crate::support::peers::peer("sops", which::which("sops").ok()) else { return };
    let odd = "J=\"{\"a\": 1}\"\nA=1\nA=2\n a b = c\nOPEN=\"x\n1digit=y\n";
    let editing = Editing::without_file();
    editing.sandbox.write("plain.env", odd);
    let made = crate::support::sandbox::ended(editing.sandbox.program(&sops).args([
        "encrypt",
        "--filename-override",
        "secrets.env",
        "--output",
        "secrets.env",
        "plain.env",
    ]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    let ended = editing.edit(r#"printf 'NEW=1\n%s\n' "$(cat "$1")" > "$1.new"; mv "$1.new" "$1""#);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(editing.text(), format!("NEW=1\n{odd}"));
}

/// A file whose rule encrypts names that begin with `API_` alone.
fn selective() -> Editing {
    let editing = Editing::without_file();
    let rule = editing.sandbox.read(".sops.yaml") + "    encrypted_regex: ^API_\n";
    editing.sandbox.write(".sops.yaml", rule);
    editing.sandbox.encrypted("secrets.env", "API_A=old-value\nCLEAR=1\n");
    editing
}

const NEW_IN_CLEAR: &str = r#"printf 'TOKEN=canary+5f/3a"91e7\nCLEAR2=1\n' >> "$1""#;

#[test]
fn a_new_name_in_clear_is_refused_without_a_terminal_and_without_consent() {
    let editing = selective();
    let before = editing.bytes();
    let ended_edit = editing.edit(NEW_IN_CLEAR);
    assert_eq!(ended_edit.code, 6, "{}", ended_edit.stderr);
    assert!(
        ended_edit.stderr.contains("TOKEN, CLEAR2") && ended_edit.stderr.contains("--allow-plaintext"),
        "{}",
        ended_edit.stderr
    );
    assert!(!ended_edit.stderr.contains("CLEAR,"), "the old one is not asked about: {}", ended_edit.stderr);
    assert_eq!(editing.bytes(), before);
    assert!(editing.has_draft());
    editing.assert_no_plaintext(&[CANARY, "old-value"]);

    let mut some = editing.command(":", &["--resume", "secrets.env", "--allow-plaintext", "CLEAR*"]);
    let some = crate::support::sandbox::ended(&mut some);
    assert_eq!(some.code, 6);
    assert!(some.stderr.contains("TOKEN") && !some.stderr.contains("CLEAR2"), "{}", some.stderr);
    let mut all = editing.command(":", &["--resume", "secrets.env", "--allow-plaintext", "CLEAR*", "--allow-plaintext", "TOKEN"]);
    let all = crate::support::sandbox::ended(&mut all);
    assert_eq!(all.code, 0, "{}", all.stderr);
    assert!(editing.sandbox.read("secrets.env").contains("\nCLEAR2=1\n"));
    assert!(!editing.has_draft());
}

#[test]
fn a_new_name_in_clear_is_asked_about_on_a_terminal() {
    for (keys, code, is_saved) in [("y\r", 0, true), ("k\r", 6, false), ("\x04", 6, false), ("\x03", 130, false)] {
        let editing = selective();
        let mut pty = Pty::run(&mut editing.command(NEW_IN_CLEAR, &["secrets.env"]));
        pty.wait_for("TOKEN, CLEAR2");
        pty.wait_for("What now?");
        pty.type_keys(keys);
        let (ended, shown) = pty.end();
        assert_eq!(ended, code, "{keys:?}: {shown}");
        assert_eq!(editing.sandbox.read("secrets.env").contains(CANARY), is_saved);
        assert_eq!(editing.has_draft(), !is_saved);
    }
    let editing = selective();
    let script = format!(
        r#"if [ -e "$NOTES/second" ]; then sed -i '/^TOKEN/d; /^CLEAR2/d' "$1"; echo API_B=2 >> "$1"; exit; fi; : > "$NOTES/second"; {NEW_IN_CLEAR}"#
    );
    let mut pty = Pty::run(&mut editing.command(&script, &["secrets.env"]));
    pty.wait_for("What now?");
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editing.text(), "API_A=old-value\nCLEAR=1\nAPI_B=2\n");
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn export_goes_where_it_would_hide_a_name_from_the_rule_and_that_is_said() {
    let editing = selective();
    let ended = editing.edit(r#"printf 'export API_KEY=canary+5f/3a"91e7\n' >> "$1""#);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("line 3: `export` was dropped"), "{}", ended.stderr);
    assert_eq!(editing.text(), format!("API_A=old-value\nCLEAR=1\nAPI_KEY={CANARY}\n"));
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn an_emptied_file_is_asked_about() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let ended = editing.edit(r#": > "$1""#);
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    assert_eq!(editing.bytes(), before);
    let mut pty = Pty::run(&mut editing.command(":", &["--resume", "secrets.env"]));
    // The editor was back at once, with the text as it was given to it.
    pty.wait_for("Press Enter");
    pty.type_keys("\r");
    pty.wait_for("nothing would be left");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editing.text(), "");
}

#[test]
fn an_emptied_file_needs_no_question_where_that_was_allowed() {
    let editing = Editing::of("A=old-value\n");
    let ended = ended(&mut editing.command(r#": > "$1""#, &["--allow-empty", "secrets.env"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(editing.text(), "");
}
