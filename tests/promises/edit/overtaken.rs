//! A file that is another one when the edit is saved, or when a draft is resumed: rows 40, 44 and 45.

mod come_and_gone;
mod conflicts;
mod drafts;
mod merged;
mod rules;

use std::fs;

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::{Pty, without_terminal};
use crate::support::sandbox::{Ended, ended};
use crate::support::sops::Sops;

const START: &str = "# the shop\nHOST=db\nPORT=5432\n\nTOKEN=first\nNAME=shop\n";

/// What the user does: one value changed, one added.
const OURS: &str = r#"sed -i 's/^HOST=.*/HOST=our-host/' "$1"; printf 'OURS=canary+5f/3a"91e7\n' >> "$1""#;

/// What others do to a copy of the file: one value changed, one removed, one added.
const THEIRS: &[&[&str]] = &[
    &["set", "-f", "theirs.env", "PORT", "their-port"],
    &["unset", "-f", "theirs.env", "NAME"],
    &["set", "-f", "theirs.env", "THEIRS", "their-line"],
];

const BOTH: &str = "# the shop\nHOST=our-host\nPORT=their-port\n\nTOKEN=first\nOURS=canary+5f/3a\"91e7\nTHEIRS=their-line\n";

const SECRETS: &[&str] = &[CANARY, "our-host", "their-port", "their-line", "our-token", "their-token"];

/// `secrets.env` with [`START`], and `theirs.env` beside it: a copy on which the `changes` were made.
fn with_theirs(changes: &[&[&str]]) -> Editing {
    let editing = Editing::of(START);
    fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path("theirs.env")).unwrap();
    for change in changes {
        let ended = editing.sandbox.run(change);
        assert_eq!(ended.code, 0, "{change:?}: {}", ended.stderr);
    }
    editing
}

fn theirs(editing: &Editing) -> Vec<u8> {
    fs::read(editing.sandbox.path("theirs.env")).unwrap()
}

/// An editor that does `first` when it is run, and `then` when it is run again.
fn first_and_then(first: &str, then: &str) -> String {
    format!("if [ -e \"$NOTES/again\" ]; then {then}; else : > \"$NOTES/again\"; {first}; fi")
}

/// An edit that is overtaken by `theirs.env`, before a terminal; the editor does `then` when it is opened again.
fn overtaken(editing: &Editing, ours: &str, then: &str) -> Pty {
    let script = first_and_then(&format!("{ours}; cp theirs.env secrets.env"), then);
    Pty::run(&mut editing.command(&script, &["secrets.env"]))
}

/// The same without a terminal.
fn overtaken_without_terminal(editing: &Editing, ours: &str) -> Ended {
    let script = format!("{ours}; cp theirs.env secrets.env");
    let mut command = editing.command(&script, &["secrets.env"]);
    without_terminal(&mut command);
    ended(&mut command)
}

/// The lines of the data, values as tokens.
fn tokens(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().filter(|line| !line.starts_with("sops_")).map(str::to_owned).collect()
}

fn field(bytes: &[u8], name: &str) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap_or_default().to_owned()
}

fn by_sops(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8(Sops::find()?.decrypt(bytes).unwrap()).unwrap())
}

/// The text is `expected`, also to the real sops, which drops blank lines, and nothing is left of the edit.
fn assert_saved(editing: &Editing, expected: &str) {
    assert_eq!(editing.text(), expected);
    if let Some(text) = by_sops(&editing.bytes()) {
        assert_eq!(text, expected.replace("\n\n", "\n"));
    }
    assert!(!editing.has_draft());
    editing.assert_no_plaintext(SECRETS);
}

/// The file is as others left it, and a draft has what was typed.
fn assert_kept(editing: &Editing) {
    assert!(editing.bytes() == theirs(editing));
    assert!(editing.has_draft());
    editing.assert_no_plaintext(SECRETS);
}

fn assert_says_no_value(said: &str) {
    for secret in SECRETS {
        assert!(!said.contains(secret), "{said}");
    }
}
