//! A draft of a file that changed since.

use std::fs;

use super::{BOTH, OURS, START, THEIRS, assert_saved, field, with_theirs};
use crate::support::editing::Editing;
use crate::support::pty::Pty;

#[test]
fn row_45_a_draft_is_merged_into_a_file_that_was_rotated_since() {
    let editing = Editing::of(START);
    assert_eq!(editing.edit(&format!("{OURS}; exit 1")).code, 7);
    for change in [&["set", "PORT", "their-port"][..], &["unset", "NAME"], &["set", "THEIRS", "their-line"], &["rotate"]] {
        assert_eq!(editing.sandbox.run(change).code, 0);
    }
    let wrapped = field(&editing.bytes(), "sops_age__list_0__map_enc");
    let resumed = editing.resume("cp \"$1\" \"$NOTES/seen\"");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("it has another data key"), "{}", resumed.stderr);
    assert_eq!(editing.noted("seen"), BOTH);
    assert_saved(&editing, BOTH);
    assert_eq!(field(&editing.bytes(), "sops_age__list_0__map_enc"), wrapped);
}

#[test]
fn what_a_draft_had_removed_stays_removed() {
    let editing = Editing::of("A=1\nB=1\nC=1\n");
    assert_eq!(editing.edit("sed -i '/^B=/d' \"$1\"; exit 1").code, 7);
    assert_eq!(editing.sandbox.run(&["set", "C", "2"]).code, 0);
    assert_eq!(editing.resume(":").code, 0);
    assert_saved(&editing, "A=1\nC=2\n");
}

#[test]
fn a_draft_with_mistakes_is_corrected_first_and_merged_when_it_is_saved() {
    let editing = with_theirs(THEIRS);
    let mistaken = editing.edit(&format!("{OURS}; echo no equals sign >> \"$1\""));
    assert_eq!(mistaken.code, 3, "{}", mistaken.stderr);
    fs::copy(editing.sandbox.path("theirs.env"), editing.sandbox.path("secrets.env")).unwrap();
    let mut pty = Pty::run(&mut editing.command("sed -i '/no equals/d' \"$1\"", &["--resume", "secrets.env"]));
    pty.wait_for("it is merged when you save it");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, BOTH);
}
