//! A file whose rule, readers or data key are others by then.

use std::fs;

use dotsops::document::selection::SelectionOption;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    BOTH, OURS, THEIRS, assert_kept, assert_saved, assert_says_no_value, field, overtaken, overtaken_without_terminal, theirs,
    tokens, with_theirs,
};
use crate::support::document;
use crate::support::editing::Editing;
use crate::support::sandbox::{RECIPIENT, STRANGER};

#[test]
fn a_rule_that_changed_meanwhile_lets_no_value_get_into_the_clear_unasked() {
    let ours = r#"printf 'NEW_TOKEN=canary+5f/3a"91e7\n' >> "$1""#;
    let swapped = || {
        let editing = Editing::of("A=1\nB=1\n");
        let rule = "creation_rules:\n  - age: RECIPIENT\n    unencrypted_suffix: _TOKEN\n";
        let own = editing.sandbox.read(".sops.yaml");
        editing.sandbox.write(".sops.yaml", rule.replace("RECIPIENT", RECIPIENT));
        editing.sandbox.encrypted("theirs.env", "A=1\nB=2\n");
        editing.sandbox.write(".sops.yaml", own);
        editing
    };
    let editing = swapped();
    let mut pty = overtaken(&editing, ours, ":");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    pty.wait_for("anybody could read them: NEW_TOKEN");
    pty.wait_for("What now?");
    pty.type_keys("k\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 6, "{shown}");
    assert_kept(&editing);
    // Nor by resuming.
    let refused = editing.resume(":");
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_kept(&editing);
}

#[test]
fn a_name_that_a_changed_rule_brought_into_the_clear_gets_no_new_value_unasked() {
    let ours = r#"printf 'MY_TOKEN=canary+5f/3a"91e7\n' > "$1""#;
    for (answer, is_killed) in [("y", false), ("e", false), ("e", true)] {
        let editing = Editing::without_file();
        let document =
            |text: &str, rule| document::encrypted(text.as_bytes(), document::metadata(&[RECIPIENT], rule, false)).unwrap();
        editing.sandbox.write("secrets.env", document("MY_TOKEN=changeme\n", None));
        // The values are the same, so whoever knows them can do this; the MAC does not tell.
        let rule = Some((SelectionOption::UnencryptedSuffix, "_TOKEN"));
        editing.sandbox.write("theirs.env", document("MY_TOKEN=changeme\nB=2\n", rule));
        let then = if is_killed { "; : > \"$NOTES/open\"; exec sleep 600" } else { "" };
        let mut pty = overtaken(&editing, ours, &format!("echo C=3 >> \"$1\"{then}"));
        pty.wait_for("What now?");
        pty.type_keys(&format!("{answer}\r"));
        if is_killed {
            pty.wait_until("editor", || editing.note("open").exists());
            kill_process(Pid::from_raw(pty.pid() as i32).unwrap(), Signal::KILL).unwrap();
        } else {
            pty.wait_for("anybody could read them: MY_TOKEN");
            pty.wait_for("What now?");
            pty.type_keys("k\r");
        }
        let (code, shown) = pty.end();
        assert_eq!(code, if is_killed { 137 } else { 6 }, "{shown}");
        editing.wait_for_guard();
        assert_kept(&editing);
        let resumed = editing.resume(":");
        assert_eq!(resumed.code, 6, "{}", resumed.stderr);
        assert!(resumed.stderr.contains("anybody could read them: MY_TOKEN"), "{}", resumed.stderr);
        assert_kept(&editing);
    }
}

#[test]
fn a_file_that_got_other_readers_and_another_data_key_keeps_them() {
    let editing = with_theirs(THEIRS);
    let rotated = editing.sandbox.run(&["rotate", "--add-age", STRANGER, "--yes", "theirs.env"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    let mut pty = overtaken(&editing, OURS, ":");
    pty.wait_for("besides, it has another data key, and it is encrypted to others than before");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("recipients that no rule names"), "{shown}");
    assert_saved(&editing, BOTH);
    let (theirs, merged) = (theirs(&editing), editing.bytes());
    let wrapped = |bytes: &[u8]| ["0", "1"].map(|n| field(bytes, &format!("sops_age__list_{n}__map_enc")));
    assert_eq!(wrapped(&merged), wrapped(&theirs));
    assert!(!wrapped(&merged)[1].is_empty());
    let kept = tokens(&merged).into_iter().filter(|line| tokens(&theirs).contains(line)).count();
    assert_eq!(kept, 5);
}

#[test]
fn a_file_that_cannot_be_opened_by_then_is_left_alone_and_the_draft_is_kept() {
    let bytes = |editing: &Editing| String::from_utf8(theirs(editing)).unwrap();
    let half = |text: String| text[..text.len() / 2].to_owned();
    let tampered = |text: String| text.replacen("TOKEN=ENC[AES256_GCM,data:", "TOKEN=ENC[AES256_GCM,data:AAAA", 1);
    let cases: [(&dyn Fn(String) -> String, i32); 3] = [(&half, 3), (&|_| "A=plain\n".into(), 3), (&tampered, 5)];
    for (damage, code) in cases {
        let editing = with_theirs(THEIRS);
        let whole = bytes(&editing);
        editing.sandbox.write("theirs.env", damage(whole.clone()));
        let refused = overtaken_without_terminal(&editing, OURS);
        assert_eq!(refused.code, code, "{}", refused.stderr);
        assert!(refused.stderr.contains("changed by someone else meanwhile"), "{}", refused.stderr);
        assert!(refused.stderr.contains("`dotsops edit --resume secrets.env` merges both"), "{}", refused.stderr);
        assert_says_no_value(&refused.stderr);
        assert_kept(&editing);
        let again = editing.resume(": > \"$NOTES/ran\"");
        assert_eq!(again.code, code, "{}", again.stderr);
        assert!(!editing.note("ran").exists());
        editing.sandbox.write("secrets.env", whole);
        assert_eq!(editing.resume(":").code, 0);
        assert_saved(&editing, BOTH);
    }

    let editing = with_theirs(&[]);
    editing
        .sandbox
        .run_with(&["encrypt", "--blind", "--age", STRANGER, "--filename-override", "theirs.env", "-o", "other.env"], "A=1\n");
    fs::rename(editing.sandbox.path("other.env"), editing.sandbox.path("theirs.env")).unwrap();
    let refused = overtaken_without_terminal(&editing, OURS);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert_kept(&editing);
}
