//! The drafts that are kept, listed and thrown away: `dotsops drafts`.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::Pty;
use crate::support::sandbox::{Ended, ended};

fn drafts(editing: &Editing, arguments: &[&str]) -> Ended {
    ended(&mut editing.dotsops(&[&["drafts"], arguments].concat()))
}

/// Leaves a draft of `file`, in which `script` changed the text.
fn leave(editing: &Editing, file: &str, script: &str) {
    let failed = ended(&mut editing.command(&format!("{script}; exit 1"), &[file]));
    assert_eq!(failed.code, 7, "{}", failed.stderr);
    assert!(editing.has_draft());
}

const CHANGES: &str = r#"printf 'A=canary+5f/3a"91e7\nB=1\nNEW=1\nexport X=2\n' > "$1""#;

#[test]
fn drafts_are_listed_with_what_became_of_their_file_and_the_names_they_change() {
    let editing = Editing::without_file();
    let none = drafts(&editing, &[]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("no draft is kept"), "{}", none.stderr);
    for file in ["same.env", "changed.env", "gone.env"] {
        editing.sandbox.encrypted(file, "A=old-value\nB=1\nGONE=1\n");
        leave(&editing, file, CHANGES);
    }
    leave(&editing, "new.env", "echo A=1 > \"$1\"");
    editing.sandbox.encrypted("changed.env", "A=their-value\n");
    fs::remove_file(editing.sandbox.path("gone.env")).unwrap();
    for list in [&["list"][..], &[]] {
        let listed = drafts(&editing, list);
        assert_eq!((listed.code, listed.stderr.as_str()), (0, ""));
        let mut lines: Vec<&str> = listed.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 4);
        for (line, (file, standing, names)) in lines.iter().zip([
            ("changed.env", "the file was changed since", "; adds NEW, X; changes A; removes GONE"),
            ("gone.env", "the file is gone", "; adds NEW, X; changes A; removes GONE"),
            ("new.env", "the file is not made yet", "; adds A"),
            ("same.env", "the file is as it was", "; adds NEW, X; changes A; removes GONE"),
        ]) {
            assert!(line.starts_with(&format!("{file}: kept ")), "{line}");
            assert!(line.ends_with(&format!("; {standing}{names}")), "{line}");
        }
        assert!(!listed.stdout.contains("canary"));
    }
}

#[test]
fn without_a_key_at_hand_the_names_stay_out_and_nobody_is_asked() {
    let editing = Editing::of("A=old-value\n");
    leave(&editing, "secrets.env", CHANGES);
    let keys = editing.sandbox.home().join(".config/sops/age/keys.txt");
    let identity = fs::read_to_string(&keys).unwrap();
    fs::remove_file(keys).unwrap();
    let told = "secrets.env: kept ";
    // Neither a program is run nor a question asked, whatever that would give.
    let script = editing.editor(&format!(": > \"$NOTES/ran\"; echo {}", identity.trim()));
    let mut command = editing.dotsops(&["drafts"]);
    command.env("SOPS_AGE_KEY_CMD", &script);
    let (code, shown) = Pty::run(&mut command).end();
    assert!(code == 0 && shown.contains(told) && !shown.contains("NEW"), "{shown}");
    assert!(!editing.note("ran").exists());
    // A key in the environment is at hand.
    let listed = ended(editing.dotsops(&["drafts"]).env("SOPS_AGE_KEY", identity.trim()));
    assert!(listed.stdout.contains("adds B, NEW"), "{}", listed.stdout);
}

#[test]
fn a_draft_that_could_not_be_saved_is_listed_without_names() {
    let editing = Editing::of("A=old-value\n");
    assert_eq!(editing.edit(&format!("printf '{CANARY}\\n' >> \"$1\"")).code, 3);
    let listed = drafts(&editing, &[]);
    assert!(listed.stdout.ends_with("; the file is as it was\n"), "{}", listed.stdout);
    assert!(!listed.stdout.contains("canary") && !listed.stderr.contains("canary"));
}

#[test]
fn a_draft_in_which_something_is_not_decided_is_listed_with_what_that_is() {
    let editing = Editing::of("A=old-value\nB=1\n");
    leave(&editing, "secrets.env", CHANGES);
    assert_eq!(editing.sandbox.run(&["set", "-f", "secrets.env", "A", "their-value"]).code, 0);
    assert_eq!(editing.resume(":").code, 3);
    let listed = drafts(&editing, &[]);
    assert!(
        listed.stdout.ends_with("; the file is as it was; adds NEW, X; changes A; changed by both, and to be decided: A\n"),
        "{}",
        listed.stdout
    );
    assert!(!listed.stdout.contains("canary") && !listed.stdout.contains("their-value"), "{}", listed.stdout);
}

#[test]
fn what_is_no_draft_is_passed_over_and_named() {
    let editing = Editing::of("A=old-value\n");
    leave(&editing, "secrets.env", CHANGES);
    let folder = editing.sandbox.home().join(".local/state/dotsops/drafts");
    fs::write(folder.join("damaged"), "nonsense").unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("link")).unwrap();
    let listed = drafts(&editing, &[]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (0, 1), "{}", listed.stderr);
    for name in ["damaged is passed over: the kept draft is damaged", "link is passed over: not a regular file"] {
        assert!(listed.stderr.contains(name), "{}", listed.stderr);
    }
}

#[test]
fn a_draft_is_thrown_away_when_that_is_confirmed() {
    let editing = Editing::of("A=old-value\n");
    leave(&editing, "secrets.env", CHANGES);
    let refused = drafts(&editing, &["drop", "secrets.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("`dotsops drafts drop --yes secrets.env`"), "{}", refused.stderr);
    for (answer, is_kept) in [("n\r", true), ("\r", true), ("y\r", false)] {
        let mut pty = Pty::run(&mut editing.dotsops(&["drafts", "drop", "secrets.env"]));
        pty.wait_for("[y/N]");
        pty.type_keys(answer);
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{shown}");
        assert_eq!(editing.has_draft(), is_kept, "{answer:?}");
    }
    assert!(drafts(&editing, &["drop", "secrets.env"]).stderr.contains("no draft is kept for secrets.env"));
    leave(&editing, "secrets.env", CHANGES);
    assert_eq!(drafts(&editing, &["drop", "--yes", "secrets.env"]).code, 0);
    assert!(!editing.has_draft());
}

#[test]
fn the_draft_of_a_file_whose_folder_is_gone_or_made_again_can_be_thrown_away_too() {
    let editing = Editing::without_file();
    for is_made_again in [false, true] {
        fs::create_dir_all(editing.sandbox.path("clone")).unwrap();
        editing.sandbox.encrypted("clone/secrets.env", "A=1\n");
        leave(&editing, "clone/secrets.env", CHANGES);
        fs::remove_dir_all(editing.sandbox.path("clone")).unwrap();
        if is_made_again {
            // Beside it, so that it does not get the number of the old one.
            fs::create_dir(editing.sandbox.path("other")).unwrap();
            fs::create_dir(editing.sandbox.path("clone")).unwrap();
        }
        let dropped = drafts(&editing, &["drop", "--yes", "clone/secrets.env"]);
        assert_eq!(dropped.code, 0, "{}", dropped.stderr);
        assert!(!editing.has_draft(), "{}", dropped.stderr);
    }
}

#[test]
fn an_old_draft_is_reminded_of_by_the_next_edit_in_one_line() {
    let editing = Editing::of("A=old-value\n");
    editing.sandbox.encrypted("other.env", "A=1\n");
    leave(&editing, "secrets.env", CHANGES);
    let edit_other = || ended(&mut editing.command(":", &["other.env"]));
    let begun = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    let draft = File::options().write(true).open(editing.drafts().remove(0)).unwrap();
    draft.set_modified(begun(6)).unwrap();
    assert!(!edit_other().stderr.contains("older"));
    draft.set_modified(begun(8)).unwrap();
    let reminded = edit_other();
    assert_eq!(reminded.code, 0);
    assert_eq!(reminded.stderr.matches("a draft is older than 7 days: `dotsops drafts` shows it").count(), 1);
    // Not whoever is about to go on from it, not in scripts that change one value, and not with --quiet.
    let resumed = editing.resume("exit 1");
    let set = ended(&mut editing.dotsops(&["set", "-f", "other.env", "A", "2"]));
    let quiet = ended(&mut editing.command(":", &["--quiet", "other.env"]));
    for other in [resumed, set, quiet] {
        assert!(!other.stderr.contains("older"), "{}", other.stderr);
    }
}
