//! A file that is removed meanwhile, or made.

use std::fs;
use std::path::PathBuf;

use super::{OURS, START, assert_kept, assert_saved, field, overtaken, overtaken_without_terminal, theirs, tokens};
use crate::support::editing::{CANARY, Editing};
use crate::support::pty::Pty;

#[test]
fn row_40_a_file_that_was_removed_is_made_again_if_the_user_says_so() {
    let removes = format!("{OURS}; rm secrets.env");
    let expected = START.replace("HOST=db", "HOST=our-host") + "OURS=" + CANARY + "\n";
    let editing = Editing::of(START);
    let recipient = field(&editing.bytes(), "sops_age__list_0__map_recipient");
    let mut pty = Pty::run(&mut editing.command(&removes, &["secrets.env"]));
    pty.wait_for("secrets.env was removed by someone else meanwhile");
    pty.wait_for("What now?");
    assert!(editing.has_draft());
    pty.type_keys("m\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, &expected);
    assert_eq!(field(&editing.bytes(), "sops_age__list_0__map_recipient"), recipient);

    let editing = Editing::of(START);
    let mut pty = Pty::run(&mut editing.command(&removes, &["secrets.env"]));
    pty.wait_for("What now?");
    pty.type_keys("k\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 6, "{shown}");
    assert!(!editing.sandbox.path("secrets.env").exists() && editing.has_draft());
}

#[test]
fn rows_40_and_45_without_a_terminal_a_file_that_is_gone_is_not_made_again_and_the_draft_waits_for_it() {
    let editing = Editing::of(START);
    let before = editing.bytes();
    let refused = editing.edit(&format!("{OURS}; rm secrets.env"));
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("removed by someone else"), "{}", refused.stderr);
    assert!(refused.stderr.contains("git checkout -- secrets.env"), "{}", refused.stderr);
    let gone = editing.resume(":");
    assert_eq!(gone.code, 6, "{}", gone.stderr);
    assert!(gone.stderr.contains("git checkout -- secrets.env"), "{}", gone.stderr);
    assert!(!editing.sandbox.path("secrets.env").exists() && editing.has_draft());
    editing.sandbox.write("secrets.env", before);
    assert_eq!(editing.resume(":").code, 0);
    assert_saved(&editing, &(START.replace("HOST=db", "HOST=our-host") + "OURS=" + CANARY + "\n"));
}

#[test]
fn row_45_a_draft_whose_file_is_gone_makes_it_again_on_a_terminal_also_with_nothing_changed() {
    for (script, expected) in [(":", "A=old\nB=2\n"), ("printf 'A=old\\n' > \"$1\"", "A=old\n")] {
        let editing = Editing::of("A=old\n");
        assert_eq!(editing.edit("echo B=2 >> \"$1\"; exit 1").code, 7);
        fs::remove_file(editing.sandbox.path("secrets.env")).unwrap();
        let mut pty = Pty::run(&mut editing.command(script, &["--resume", "secrets.env"]));
        pty.wait_for("What now?");
        pty.type_keys("m\r");
        if script == ":" {
            pty.wait_for("Press Enter");
            pty.type_keys("\r");
        }
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{shown}");
        assert_saved(&editing, expected);
    }
}

/// A new file that somebody else makes too.
fn appearing() -> (Editing, PathBuf, String) {
    let editing = Editing::without_file();
    let theirs = editing.sandbox.encrypted("theirs.env", "A=their-token\nB=2\n");
    (editing, theirs, format!("printf 'A={CANARY}\\nC=3\\n' > \"$1\""))
}

#[test]
fn row_44_a_file_that_appears_meanwhile_is_not_overwritten_and_resuming_merges() {
    let (editing, _, ours) = appearing();
    let refused = overtaken_without_terminal(&editing, &ours);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("made by someone else meanwhile"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume secrets.env"), "{}", refused.stderr);
    assert_kept(&editing);
    let resumed = editing.resume(r#"cp "$1" "$NOTES/seen"; sed -i '/^#!dotsops/d' "$1""#);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let seen = format!("#!dotsops mine A={CANARY}\n#!dotsops theirs A=their-token\nA={CANARY}\nB=2\nC=3\n");
    assert_eq!(editing.noted("seen"), seen);
    assert_saved(&editing, &format!("A={CANARY}\nB=2\nC=3\n"));
}

#[test]
fn row_44_on_a_terminal_a_file_that_appears_meanwhile_is_merged() {
    let (editing, _, _) = appearing();
    let mut pty = overtaken(&editing, "printf 'B=2\\nC=3\\n' > \"$1\"", ":");
    pty.wait_for("by them: added A, B");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, "A=their-token\nB=2\nC=3\n");
    assert!(tokens(&editing.bytes()).starts_with(&tokens(&theirs(&editing))));
}
