//! Files that an edit makes: row 44.

use std::fs;

use crate::support::editing::{CANARY, Editing};
use crate::support::sandbox::{RECIPIENT, ended};

const TYPES: &str = r#"printf 'A=canary+5f/3a"91e7\n' > "$1""#;

#[test]
fn row_44_a_new_file_is_made_by_the_rule_and_read_by_its_recipients() {
    let editing = Editing::without_file();
    let made = editing.edit(TYPES);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(editing.text(), format!("A={CANARY}\n"));
    assert!(editing.sandbox.read("secrets.env").contains(RECIPIENT));
    assert!(!editing.has_draft());
    editing.assert_no_plaintext(&[CANARY]);
}

#[test]
fn a_recipient_on_the_command_line_is_enough() {
    let editing = Editing::without_file();
    fs::remove_file(editing.sandbox.path(".sops.yaml")).unwrap();
    let made = ended(&mut editing.command(TYPES, &["--age", RECIPIENT, "secrets.env"]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(editing.text(), format!("A={CANARY}\n"));
}

#[test]
fn row_44_a_file_nobody_could_read_fails_before_the_user_types() {
    let editing = Editing::without_file();
    fs::remove_file(editing.sandbox.path(".sops.yaml")).unwrap();
    for (arguments, hint) in [
        (&["secrets.env"][..], "dotsops init"),
        (&["--age", "age1nonsense", "secrets.env"], "public key"),
        (&["--age", crate::support::sandbox::IDENTITY, "secrets.env"], "private key"),
    ] {
        let refused = ended(&mut editing.command(": > \"$NOTES/ran\"", arguments));
        assert_eq!(refused.code, 3, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(hint), "{}", refused.stderr);
        assert!(!refused.stderr.contains("AGE-SECRET-KEY-1UW"), "{}", refused.stderr);
        assert!(!editing.note("ran").exists());
        assert!(!editing.sandbox.path("secrets.env").exists());
    }
}

#[test]
fn nothing_saved_makes_nothing() {
    let editing = Editing::without_file();
    for script in [":", r#": > "$1""#, r#"printf '\n' > "$1""#] {
        let ended = editing.edit(script);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("no file was made"), "{}", ended.stderr);
        assert!(!editing.sandbox.path("secrets.env").exists());
        assert!(!editing.has_draft());
    }
}

#[test]
fn a_draft_of_a_new_file_makes_it_on_resume() {
    let editing = Editing::without_file();
    assert_eq!(editing.edit(&format!("{TYPES}; exit 1")).code, 7);
    assert!(!editing.sandbox.path("secrets.env").exists());
    assert_eq!(editing.edit(":").code, 6, "the draft is not forgotten");
    let resumed = editing.resume(":");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.text(), format!("A={CANARY}\n"));
    assert!(!editing.has_draft());
}

#[test]
fn a_new_file_of_another_syntax_is_not_made_as_dotenv() {
    let editing = Editing::without_file();
    for name in ["secrets.yaml", "secrets.json", "notes"] {
        let refused = ended(&mut editing.command(TYPES, &["--age", RECIPIENT, name]));
        assert_eq!(refused.code, 3, "{name}: {}", refused.stderr);
        assert!(!editing.sandbox.path(name).exists());
    }
}

#[test]
fn a_missing_folder_and_a_link_to_nothing_are_named() {
    let editing = Editing::without_file();
    let missing = ended(&mut editing.command(TYPES, &["none/secrets.env"]));
    assert_eq!(missing.code, 7);
    assert!(missing.stderr.contains("the folder of none/secrets.env does not exist"), "{}", missing.stderr);
    std::os::unix::fs::symlink("nowhere.env", editing.sandbox.path("link.env")).unwrap();
    let dangling = ended(&mut editing.command(TYPES, &["link.env"]));
    assert_eq!(dangling.code, 6);
    assert!(dangling.stderr.contains("link to a file that does not exist"), "{}", dangling.stderr);
}
