//! What git lists and cannot be seen or changed: nobody stays a reader there without a word.

use std::fs;

use super::{all_files, commit, done, git, recipients, repository};
use crate::support::groups::{config, identities, people};
use crate::support::sandbox::ended;

const FILES: [(&str, &str); 2] = [("a.env", "A=1\n"), ("b.env", "B=1\n")];

#[test]
fn in_a_repository_without_a_program_git_nobody_is_let_in_or_put_out() {
    let [lead, alice, bob] = people(["lead", "alice", "bob"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &FILES) else { return };
    let before = all_files(&sandbox);
    for arguments in [&["remove", "alice", "--yes"] as &[&str], &["add", "bob", &bob.recipient, "--yes"]] {
        let mut command = sandbox.dotsops([&["recipients"], arguments].concat());
        let refused = ended(command.env("SOPS_AGE_KEY", identities(&[&lead])).env("PATH", sandbox.path("nothing")));
        assert_eq!(refused.code, 2, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("there is no program git"), "{arguments:?}: {}", refused.stderr);
        assert!(all_files(&sandbox) == before, "{arguments:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_keeps_all_as_they_are() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &FILES) else { return };
    // More than is read of any file, as root may read the others.
    fs::File::options().write(true).open(sandbox.path("b.env")).unwrap().set_len((64 << 20) + 1).unwrap();
    let before = (sandbox.read("a.env"), sandbox.read(".sops.yaml"));
    let refused = recipients(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("b.env"), "{}", refused.stderr);
    assert!((sandbox.read("a.env"), sandbox.read(".sops.yaml")) == before);
}

#[test]
fn a_tracked_file_that_is_not_there_is_named() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &FILES) else { return };
    fs::remove_file(sandbox.path("b.env")).unwrap();
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    let said = |line: &&str| line.contains("not here") && line.contains("b.env") && !line.contains("a.env");
    assert_eq!(removed.stderr.lines().filter(said).count(), 1, "{}", removed.stderr);
}

#[test]
fn a_file_in_conflict_counts_once() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &FILES) else { return };
    // All three sides of a conflict are in the index then.
    let object = git(&sandbox, &["rev-parse", "HEAD:a.env"]);
    let sides: String = (1..=3).map(|stage| format!("100644 {} {stage}\ta.env\n", object.trim())).collect();
    git(&sandbox, &["rm", "-q", "--cached", "a.env"]);
    fs::write(sandbox.path("sides"), sides).unwrap();
    let mut command = sandbox.program("git".as_ref());
    command.args(["update-index", "--index-info"]).stdin(fs::File::open(sandbox.path("sides")).unwrap());
    assert_eq!(ended(&mut command).code, 0);
    assert_eq!(git(&sandbox, &["ls-files", "a.env"]).lines().count(), 3);
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert!(removed.stdout.contains("out of 2 files"), "{}", removed.stdout);
}

#[test]
fn what_somebody_could_read_who_was_put_out_can_still_be_asked_for() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &FILES) else { return };
    done(&sandbox, &[&lead], &["remove", &alice.recipient, "--yes"]);
    commit(&sandbox, "alice has left");
    let before = all_files(&sandbox);
    let asked = done(&sandbox, &[&lead], &["remove", &alice.recipient, "--dry-run"]);
    assert!(asked.stdout.contains("a.env: A\n") && asked.stdout.contains("b.env: B\n"), "{}", asked.stdout);
    assert!(all_files(&sandbox) == before);
    assert_eq!(recipients(&sandbox, &[&lead], &["remove", &alice.recipient, "--yes"]).code, 1);
}

#[test]
fn a_private_key_is_nobodys_name_and_is_not_repeated() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &FILES) else { return };
    let before = all_files(&sandbox);
    let private = identities(&[&alice]);
    let private = private.trim();
    assert!(private.starts_with("AGE-SECRET-KEY-1"));
    for arguments in [
        &["add", private, &alice.recipient, "--yes"] as &[&str],
        &["remove", private, "--yes"],
        &["remove", private, "--dry-run"],
    ] {
        let refused = recipients(&sandbox, &[&lead], arguments);
        assert_ne!(refused.code, 0, "{}", refused.stderr);
        assert!(!refused.stderr.contains("AGE-SECRET") && !refused.stdout.contains("AGE-SECRET"), "{}", refused.stderr);
        assert!(all_files(&sandbox) == before);
    }
}
