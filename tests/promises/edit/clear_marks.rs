//! Lines in clear that look like the sides of a conflict. Whoever can change the file can add them without a key.

use std::fs;

use crate::support::editing::Editing;
use crate::support::sandbox::{Ended, ended};

const PLANTED: &str = "#!dotsops mine HOST=good\n#!dotsops theirs HOST=evil\n";

/// What becomes of them.
const DISARMED: &str = "# !dotsops mine HOST=good\n# !dotsops theirs HOST=evil\n";

const SAID: &str = "2 comments look like sides of a conflict, but stand in clear, so no merge of dotsops wrote them";

/// `secrets.env` with marks above its lines that no merge has made.
fn planted() -> Editing {
    let editing = Editing::of("HOST=db\nB=1\n");
    let file = editing.sandbox.read("secrets.env");
    editing.sandbox.write("secrets.env", format!("{PLANTED}{file}"));
    editing
}

fn run(editing: &Editing, arguments: &[&str]) -> Ended {
    let ended = ended(&mut editing.dotsops(arguments));
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    ended
}

/// Programs run with the file, and it says nothing about a conflict.
fn assert_harmless(editing: &Editing) {
    let expected = "db";
    assert_eq!(run(editing, &["exec", "-f", "secrets.env", "--", "printenv", "HOST"]).stdout, format!("{expected}\n"));
    let got = run(editing, &["get", "-f", "secrets.env", "HOST"]);
    assert_eq!(got.stdout, expected);
    assert!(!got.stderr.contains("merge"), "{}", got.stderr);
}

#[test]
fn an_edit_shows_them_as_ordinary_comments_says_so_and_goes_on() {
    let editing = planted();
    assert_harmless(&editing);
    let saved = editing.edit(r#"cp "$1" "$NOTES/seen"; echo C=3 >> "$1""#);
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert!(saved.stderr.contains(SAID), "{}", saved.stderr);
    assert_eq!(editing.noted("seen"), format!("{DISARMED}HOST=db\nB=1\n"));
    assert_eq!(editing.text(), format!("{DISARMED}HOST=db\nB=1\nC=3\n"));
    assert!(!String::from_utf8(editing.bytes()).unwrap().contains("!dotsops"), "it is encrypted like every comment");
    assert_harmless(&editing);
    let next = editing.edit(":");
    assert!(next.code == 0 && !next.stderr.contains("conflict"), "{}", next.stderr);
}

#[test]
fn an_edit_that_changes_nothing_leaves_them_where_they_are() {
    let editing = planted();
    let before = editing.bytes();
    let unchanged = editing.edit(":");
    assert_eq!(unchanged.code, 0, "{}", unchanged.stderr);
    assert!(unchanged.stderr.contains("is unchanged"), "{}", unchanged.stderr);
    assert!(editing.bytes() == before);
    let strict = ended(&mut editing.dotsops(&["--strict", "set", "-f", "secrets.env", "C", "3"]));
    assert!(strict.code == 6 && editing.bytes() == before, "{}", strict.stderr);
}

#[test]
fn no_command_that_changes_the_file_makes_real_ones_of_them() {
    for arguments in [
        &["set", "-f", "secrets.env", "C", "3"] as &[&str],
        &["unset", "-f", "secrets.env", "B"],
        &["rename", "-f", "secrets.env", "B", "C"],
        &["generate", "-f", "secrets.env", "C"],
        &["rotate", "secrets.env"],
        &["merge", "base.env", "secrets.env", "theirs.env"],
    ] {
        let editing = Editing::of("HOST=db\nB=1\n");
        for name in ["base.env", "theirs.env"] {
            fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path(name)).unwrap();
        }
        run(&editing, &["set", "-f", "theirs.env", "C", "3"]);
        let file = editing.sandbox.read("secrets.env");
        editing.sandbox.write("secrets.env", format!("{PLANTED}{file}"));
        let changed = run(&editing, arguments);
        assert!(changed.stderr.contains(SAID), "{arguments:?}: {}", changed.stderr);
        assert!(editing.text().starts_with(DISARMED), "{arguments:?}: {}", editing.text());
        assert_harmless(&editing);
    }
}

#[test]
fn beside_a_real_conflict_only_that_is_to_be_decided() {
    let editing = Editing::of("HOST=db\nB=1\n");
    for (name, value) in [("ours.env", "2"), ("theirs.env", "3")] {
        fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path(name)).unwrap();
        run(&editing, &["set", "-f", name, "B", value]);
    }
    let merged = ended(&mut editing.dotsops(&["merge", "secrets.env", "ours.env", "theirs.env"]));
    assert_eq!(merged.code, 1, "{}", merged.stderr);
    let file = editing.sandbox.read("ours.env");
    editing.sandbox.write("secrets.env", format!("{PLANTED}{file}"));
    let undecided = editing.edit("echo C=3 >> \"$1\"");
    assert_eq!(undecided.code, 3, "{}", undecided.stderr);
    assert!(undecided.stderr.contains("`B` was changed by both"), "{}", undecided.stderr);
    assert!(!undecided.stderr.contains("`HOST`"), "{}", undecided.stderr);
    assert_eq!(editing.resume("sed -i '/^#!dotsops/d' \"$1\"").code, 0);
    assert_eq!(editing.text(), format!("{DISARMED}HOST=db\nB=2\nC=3\n"));
}
