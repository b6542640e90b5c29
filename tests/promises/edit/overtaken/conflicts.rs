//! A name that both changed, and the marks that show both values.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::{OURS, assert_kept, assert_saved, assert_says_no_value, overtaken, overtaken_without_terminal, theirs, with_theirs};
use crate::support::editing::Editing;

/// Both changed `TOKEN`; besides, each something else.
fn with_conflict() -> Editing {
    with_theirs(&[&["set", "-f", "theirs.env", "TOKEN", "their-token"], &["set", "-f", "theirs.env", "PORT", "their-port"]])
}

const OUR_TOKEN: &str = r#"sed -i -e 's/^TOKEN=.*/TOKEN=our-token/' -e 's/^HOST=.*/HOST=our-host/' "$1""#;

const MARKED: &str = "# the shop\nHOST=our-host\nPORT=their-port\n\n\
    #!dotsops mine TOKEN=our-token\n#!dotsops theirs TOKEN=their-token\nTOKEN=our-token\nNAME=shop\n";

#[test]
fn row_40_a_name_that_both_changed_reopens_the_editor_with_both_values_until_it_is_decided() {
    let editing = with_conflict();
    // Opened a second time it leaves the marks, a third time it decides.
    let then = r#"if [ -e "$NOTES/seen" ]; then sed -i -e '/^#!dotsops/d' -e 's/^TOKEN=.*/TOKEN=their-token/' "$1"; else cp "$1" "$NOTES/seen"; fi"#;
    let mut pty = overtaken(&editing, OUR_TOKEN, then);
    pty.wait_for("by both, each in its own way: TOKEN");
    pty.wait_for("What now?");
    assert_kept(&editing);
    pty.type_keys("e\r");
    pty.wait_for("Press Enter");
    pty.type_keys("\r");
    pty.wait_for("line 5, 6: `TOKEN` was changed by both: decide for one side");
    pty.wait_for("What now?");
    assert_eq!(editing.noted("seen"), MARKED);
    assert!(editing.bytes() == theirs(&editing));
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_says_no_value(&shown);
    assert_saved(&editing, "# the shop\nHOST=our-host\nPORT=their-port\n\nTOKEN=their-token\nNAME=shop\n");
}

#[test]
fn row_40_a_name_that_both_changed_is_kept_without_a_terminal_and_shown_by_resuming() {
    let editing = with_conflict();
    let refused = overtaken_without_terminal(&editing, OUR_TOKEN);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("by both, each in its own way: TOKEN"), "{}", refused.stderr);
    assert_says_no_value(&refused.stderr);
    assert_kept(&editing);

    let unresolved = editing.resume(r#"cp "$1" "$NOTES/seen""#);
    assert_eq!(unresolved.code, 3, "{}", unresolved.stderr);
    assert_eq!(editing.noted("seen"), MARKED);
    assert!(unresolved.stderr.contains("line 5, 6: `TOKEN`"), "{}", unresolved.stderr);
    assert_says_no_value(&unresolved.stderr);
    assert_kept(&editing);

    // Once more, and the same is shown, not a mark upon a mark.
    assert_eq!(editing.resume(r#"cp "$1" "$NOTES/again"; exit 1"#).code, 7);
    assert_eq!(editing.noted("again"), MARKED);
    let resolved = editing.resume("sed -i '/^#!dotsops/d' \"$1\"");
    assert_eq!(resolved.code, 0, "{}", resolved.stderr);
    assert_saved(&editing, "# the shop\nHOST=our-host\nPORT=their-port\n\nTOKEN=our-token\nNAME=shop\n");
}

#[test]
fn a_value_that_one_side_removed_and_the_other_changed_is_decided_too() {
    let editing = with_theirs(&[&["unset", "-f", "theirs.env", "TOKEN"]]);
    overtaken_without_terminal(&editing, OUR_TOKEN);
    assert_eq!(editing.resume("cp \"$1\" \"$NOTES/seen\"; exit 1").code, 7);
    let marks = "#!dotsops mine TOKEN=our-token\n#!dotsops theirs TOKEN was removed\nTOKEN=our-token\n";
    assert!(editing.noted("seen").contains(marks), "{}", editing.noted("seen"));
    assert_eq!(editing.resume("sed -i '/TOKEN/d' \"$1\"").code, 0);
    assert_saved(&editing, "# the shop\nHOST=our-host\nPORT=5432\n\nNAME=shop\n");
}

#[test]
fn a_kill_or_a_failing_editor_over_the_merged_text_leaves_a_draft_and_no_plaintext() {
    for (then, code) in [("exit 3", 7), (": > \"$NOTES/open\"; exec sleep 600", 137)] {
        let editing = with_conflict();
        let mut pty = overtaken(&editing, OUR_TOKEN, then);
        pty.wait_for("What now?");
        pty.type_keys("e\r");
        if code == 137 {
            pty.wait_until("editor", || editing.note("open").exists());
            assert!(editing.guards(pty.pid()).len() == 1);
            kill_process(Pid::from_raw(pty.pid() as i32).unwrap(), Signal::KILL).unwrap();
        }
        let (ended, shown) = pty.end();
        assert_eq!(ended, code, "{shown}");
        editing.wait_for_guard();
        assert_kept(&editing);
        assert_eq!(editing.resume("cp \"$1\" \"$NOTES/seen\"; sed -i '/^#!dotsops/d' \"$1\"").code, 0);
        assert_eq!(editing.noted("seen"), MARKED);
    }
}

#[test]
fn marks_that_a_merge_by_git_left_in_the_file_are_decided_before_anything_is_saved() {
    let editing = with_theirs(&[]);
    for (name, token) in [("ours.env", "our-token"), ("theirs.env", "their-token")] {
        if name == "ours.env" {
            fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path(name)).unwrap();
        }
        assert_eq!(editing.sandbox.run(&["set", "-f", name, "TOKEN", token]).code, 0);
    }
    assert_eq!(editing.sandbox.run(&["merge", "secrets.env", "theirs.env", "ours.env"]).code, 1);
    let decide = "sed -i '/^#!dotsops/d' \"$1\"";
    let mut pty = overtaken(&editing, OURS, decide);
    pty.wait_for("`TOKEN` was changed by both");
    pty.wait_for("What now?");
    assert_kept(&editing);
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    let expected = "# the shop\nHOST=our-host\nPORT=5432\n\nTOKEN=their-token\nNAME=shop\nOURS=canary+5f/3a\"91e7\n";
    assert_saved(&editing, expected);
}
