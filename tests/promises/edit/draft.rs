//! What is kept when an edit does not end well, and how it goes on: row 45. What it goes on with if the file changed, see `overtaken`.

use std::fs;

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::Pty;
use crate::support::sandbox::{STRANGER, ended};

/// Leaves a draft of `A=old-value` with a line more, and `secrets.env` as it was.
fn with_draft() -> Editing {
    let editing = Editing::of("A=old-value\n");
    let ended = editing.edit(&format!("printf 'B={CANARY}\\n' >> \"$1\"; exit 1"));
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(editing.has_draft());
    editing
}

#[test]
fn a_draft_is_encrypted_private_and_goes_on_where_the_edit_ended() {
    use std::os::unix::fs::MetadataExt;
    let editing = with_draft();
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    let draft = editing.drafts().remove(0);
    assert_eq!(draft.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(draft.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
    let resumed = editing.resume(r#"cp "$1" "$NOTES/seen"; echo C=3 >> "$1""#);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.noted("seen"), format!("A=old-value\nB={CANARY}\n"));
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\nC=3\n"));
    assert!(!editing.has_draft());
}

#[test]
fn a_plain_edit_is_refused_while_a_draft_is_kept_and_both_ways_on_are_named() {
    let editing = with_draft();
    let refused = editing.edit(": > \"$NOTES/ran\"");
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("dotsops edit --resume secrets.env"), "{}", refused.stderr);
    assert!(refused.stderr.contains("dotsops edit --discard secrets.env"), "{}", refused.stderr);
    assert!(!editing.note("ran").exists());

    let discarded = ended(&mut editing.dotsops(&["edit", "--discard", "secrets.env"]));
    assert_eq!(discarded.code, 0, "{}", discarded.stderr);
    assert!(!editing.has_draft());
    assert_eq!(editing.edit(":").code, 0);
    let nothing = editing.resume(":");
    assert_eq!(nothing.code, 6);
    assert!(nothing.stderr.contains("no draft"), "{}", nothing.stderr);
    assert_eq!(ended(&mut editing.dotsops(&["edit", "--discard", "secrets.env"])).code, 0);
}

#[test]
fn a_draft_that_is_left_as_it_was_shown_is_asked_about_on_a_terminal() {
    let resumed = |editing: &Editing, script: &str| {
        let mut pty = Pty::run(&mut editing.command(script, &["--resume", "secrets.env"]));
        pty.wait_for("Press Enter");
        pty.type_keys("\r");
        pty.wait_for("You left the text as it was shown. What it changes in secrets.env: added B");
        pty.wait_for("What now?");
        // Nothing is decided, and the draft is there whatever comes.
        assert!(editing.has_draft());
        pty
    };
    let saved = format!("A=old-value\nB={CANARY}\n");
    for (keys, code, text, is_kept) in [
        ("y\r", 0, saved.clone(), false),
        ("k\r", 6, "A=old-value\n".to_owned(), true),
        ("\x04", 6, "A=old-value\n".to_owned(), true),
        ("\x03", 130, "A=old-value\n".to_owned(), true),
        ("e\r", 0, format!("{saved}C=3\n"), false),
    ] {
        let editing = with_draft();
        // What it is opened for again it changes, and nobody is asked any more.
        let script = "if [ -e \"$NOTES/again\" ]; then echo C=3 >> \"$1\"; fi; : > \"$NOTES/again\"";
        let pty = resumed(&editing, script);
        pty.type_keys(keys);
        let (ended, shown) = pty.end();
        assert_eq!(ended, code, "{keys:?}: {shown}");
        assert!(!shown.contains(CANARY), "{shown}");
        assert_eq!(shown.contains("goes on from it"), is_kept, "{keys:?}: {shown}");
        assert_eq!((editing.text(), editing.has_draft()), (text, is_kept), "{keys:?}");
        editing.assert_no_plaintext(&[CANARY, "old-value"]);
    }
}

#[test]
fn the_commands_that_are_proposed_can_be_pasted() {
    let editing = Editing::without_file();
    editing.sandbox.encrypted("my secrets.env", "A=1\n");
    let failed = ended(&mut editing.command("echo B=2 >> \"$1\"; exit 1", &["my secrets.env"]));
    assert!(failed.stderr.contains("`dotsops edit --resume 'my secrets.env'`"), "{}", failed.stderr);
}

#[test]
fn a_resumed_edit_that_is_undone_drops_the_draft_and_touches_nothing() {
    let editing = with_draft();
    let before = editing.bytes();
    let resumed = editing.resume(r#"printf 'A=old-value\n' > "$1""#);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.bytes(), before);
    assert!(!editing.has_draft());
}

#[test]
fn a_resumed_edit_whose_editor_fails_keeps_the_draft() {
    let editing = with_draft();
    let failed = editing.resume("exit 1");
    assert_eq!(failed.code, 7);
    assert!(failed.stderr.contains("--resume secrets.env"), "{}", failed.stderr);
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"));
}

#[test]
fn a_draft_of_what_is_saved_already_does_not_block_the_next_edit() {
    let editing = with_draft();
    let draft = editing.drafts().remove(0);
    let sealed = fs::read(&draft).unwrap();
    assert_eq!(editing.resume(":").code, 0);
    // As if we had been killed between the rename and the end.
    fs::write(&draft, sealed).unwrap();
    let next = editing.edit(r#"cp "$1" "$NOTES/seen""#);
    assert_eq!(next.code, 0, "{}", next.stderr);
    assert_eq!(editing.noted("seen"), format!("A=old-value\nB={CANARY}\n"));
    assert!(!editing.has_draft());
}

#[test]
fn row_45_a_draft_with_a_flipped_bit_is_not_authentic_and_stays() {
    let editing = with_draft();
    let draft = editing.drafts().remove(0);
    let mut sealed = fs::read(&draft).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    fs::write(&draft, &sealed).unwrap();
    let refused = editing.resume(": > \"$NOTES/ran\"");
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(!editing.note("ran").exists());
    assert!(fs::read(&draft).unwrap() == sealed);
}

#[test]
fn row_45_a_draft_stays_shut_without_the_right_identity() {
    let editing = with_draft();
    fs::remove_file(editing.sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
    let refused = editing.resume(": > \"$NOTES/ran\"");
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(!editing.note("ran").exists() && editing.has_draft());
    // Nor is anything shown of a file that somebody else's key closes.
    assert!(!refused.stderr.contains(STRANGER));
}

#[test]
fn a_link_in_place_of_the_draft_is_not_followed() {
    let editing = with_draft();
    let draft = editing.drafts().remove(0);
    let elsewhere = editing.sandbox.write("elsewhere", fs::read(&draft).unwrap());
    fs::remove_file(&draft).unwrap();
    std::os::unix::fs::symlink(elsewhere, &draft).unwrap();
    let refused = editing.resume(": > \"$NOTES/ran\"");
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    assert!(!editing.note("ran").exists());
}
