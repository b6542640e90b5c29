//! `diff` says by name what is different: of two files, of a file and what git has of it, with a key and without.

use std::fs;

use crate::support::repository::Repository;
use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, Sandbox, ended};

const OLD: &str = "# canary of old\n# stays\nSAME=canary-0\nTOKEN=canary-1\nexport GONE=canary-2\nDB=canary-3\nEMPTY=\n";
const NEW: &str = "# stays\nEMPTY=\nTOKEN='canary 4'\nSAME=canary-0\nDB_URL=canary-3\nNEW=canary-5\n";

fn said(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

fn two() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("old.env", OLD);
    sandbox.encrypted("new.env", NEW);
    sandbox.write("plain.env", NEW);
    sandbox
}

#[test]
fn what_differs_is_said_by_name_and_a_value_only_if_it_is_asked_for() {
    let sandbox = two();
    let differ = sandbox.run(&["diff", "old.env", "new.env"]);
    assert_eq!((differ.code, differ.stderr.as_str()), (1, ""));
    let expected = [
        "changed  TOKEN",
        "removed  GONE",
        "renamed  DB -> DB_URL",
        "added    NEW",
        "order    the names stand in another order",
        "comments 0 added, 1 removed",
    ];
    assert_eq!(said(&differ), expected);
    // A plaintext is compared with what `encrypt` makes of it, whichever side it stands on.
    assert_eq!(said(&sandbox.run(&["diff", "old.env", "plain.env"])), expected);
    let revealed = sandbox.run(&["diff", "--reveal", "old.env", "plain.env"]);
    assert_eq!(said(&revealed)[..3], ["changed  TOKEN", "  - TOKEN=canary-1", "  + TOKEN='canary 4'"]);
    assert!(said(&revealed).ends_with(&["comments 0 added, 1 removed", "  - # canary of old"]), "{}", revealed.stdout);
    for same in [["new.env", "plain.env"], ["plain.env", "new.env"], ["old.env", "old.env"], ["plain.env", "plain.env"]] {
        let same = sandbox.run(&[&["diff"], &same[..]].concat());
        assert_eq!((same.code, same.stdout.as_str(), same.stderr.as_str()), (0, "", ""));
    }
    // A new data key is no difference; a value that several names have had is not renamed.
    fs::copy(sandbox.path("old.env"), sandbox.path("rotated.env")).unwrap();
    assert_eq!(sandbox.run(&["rotate", "rotated.env"]).code, 0);
    assert_eq!(sandbox.run(&["diff", "old.env", "rotated.env"]).code, 0);
    sandbox.write("a.env", "A=1\nB=1\nD=1\nD=2\n");
    sandbox.write("b.env", "C=1\nD=2\nD=1\n");
    assert_eq!(said(&sandbox.run(&["diff", "a.env", "b.env"])), ["removed  A", "removed  B", "changed  D", "added    C"]);
}

#[test]
fn readers_rules_and_groups_are_said() {
    let sandbox = two();
    let encrypt = |name: &str, more: &[&str]| {
        let arguments = ["encrypt", "--allow-plaintext", "*", "-o", name];
        let made = sandbox.run(&[&arguments[..], more, &["plain.env"]].concat());
        assert_eq!(made.code, 0, "{}", made.stderr);
    };
    let both = format!("{RECIPIENT},{STRANGER}");
    encrypt("both.env", &["--age", &both]);
    encrypt("ruled.env", &["--encrypted-regex", "^TOKEN$"]);
    assert_eq!(said(&sandbox.run(&["diff", "new.env", "both.env"])), [format!("joined   {STRANGER}")]);
    assert_eq!(said(&sandbox.run(&["diff", "both.env", "new.env"])), [format!("left     {STRANGER}")]);
    let ruled = sandbox.run(&["diff", "new.env", "ruled.env"]);
    assert_eq!(said(&ruled), ["rule     which values are encrypted, or covered by the MAC, is said otherwise"]);
    fs::copy(sandbox.path("new.env"), sandbox.path("grouped.env")).unwrap();
    let grouped = sandbox.run(&["groups", "add", "-i", "--age", RECIPIENT, "-f", "grouped.env"]);
    assert_eq!(grouped.code, 0, "{}", grouped.stderr);
    let differ = sandbox.run(&["diff", "new.env", "grouped.env"]);
    assert_eq!(said(&differ), ["groups   there are other key groups, or another number of them is needed"]);
}

#[test]
fn one_name_is_compared_with_its_last_commit_and_git_names_older_ones() {
    let Some(repository) = Repository::new() else { return };
    repository.change(&[&["set", "TOKEN", "canary-2"]]);
    repository.commit("token");
    repository.change(&[&["unset", "NAME"]]);
    std::fs::create_dir(repository.root.join("below")).unwrap();
    let diff = |below: &str, arguments: &[&str]| {
        let mut command = repository.sandbox.dotsops([&["diff"], arguments].concat());
        let ended = ended(command.current_dir(repository.root.join(below)));
        assert_eq!(ended.stderr, "", "{arguments:?}");
        (ended.code, ended.stdout)
    };
    let told = |lines: &str| (1, lines.to_owned());
    let unset = told("removed  NAME\n");
    assert_eq!(diff("", &["secrets.env"]), unset);
    assert_eq!(diff("", &[]), unset);
    assert_eq!(diff("below", &["../secrets.env"]), unset);
    assert_eq!(diff("below", &[]), unset);
    assert_eq!(diff("", &["HEAD:secrets.env", "secrets.env"]), unset);
    // An older version alone is compared with the file as it is.
    let both = told("changed  TOKEN\nremoved  NAME\n");
    assert_eq!(diff("", &["HEAD~1:secrets.env"]), both);
    assert_eq!(diff("below", &["HEAD~1:secrets.env"]), both);
    assert_eq!(diff("below", &["HEAD~1:../secrets.env"]), both);
    assert_eq!(diff("", &["HEAD~1:./secrets.env", "HEAD:secrets.env"]), told("changed  TOKEN\n"));
    // What is staged, and a file whose name looks like one of git's.
    repository.git(&["add", "secrets.env"]);
    assert_eq!(diff("", &[":secrets.env"]), (0, String::new()));
    std::fs::copy(repository.root.join("secrets.env"), repository.root.join("HEAD:secrets.env")).unwrap();
    assert_eq!(diff("", &["HEAD:secrets.env", "secrets.env"]), (0, String::new()));
}

#[test]
fn what_stays_shut_is_compared_by_ciphertext_or_by_name_and_that_is_said() {
    let sandbox = two();
    fs::copy(sandbox.path("old.env"), sandbox.path("changed.env")).unwrap();
    assert_eq!(sandbox.run(&["set", "-f", "changed.env", "TOKEN", "canary-9"]).code, 0);
    fs::remove_file(sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
    let shut = sandbox.run(&["diff", "--reveal", "old.env", "changed.env"]);
    assert_eq!((shut.code, said(&shut)), (1, vec!["changed  TOKEN"]), "{}", shut.stderr);
    let warnings = shut.stderr.matches("no identity of yours opens").count();
    assert!(warnings == 2 && shut.stderr.contains("changed.env: ciphertext is compared"), "{}", shut.stderr);
    assert_eq!(sandbox.run(&["diff", "old.env", "old.env"]).code, 0);
    let names = sandbox.run(&["diff", "plain.env", "old.env"]);
    let expected = ["removed  DB_URL", "removed  NEW", "added    GONE", "added    DB"];
    assert_eq!(said(&names)[..4], expected);
    assert!(names.stderr.contains("old.env: only names are compared"), "{}", names.stderr);
    assert!(![shut, names].iter().any(|said| said.stdout.contains("canary") || said.stderr.contains("canary")));
}

#[test]
fn what_is_not_authentic_is_not_compared() {
    let sandbox = two();
    let file = sandbox.read("old.env");
    let cut: String = file.lines().filter(|line| !line.starts_with("sops_")).map(|line| format!("{line}\n")).collect();
    for (bytes, code, says) in [
        (file.replacen("TOKEN=ENC", "SAME=ENC", 1), 5, "not authentic"),
        (file.replacen("sops_mac=ENC[AES256_GCM,data:", "sops_mac=ENC[AES256_GCM,data:AAAA", 1), 5, "MAC"),
        (cut, 3, "end is missing"),
        ("A=1\nJ=\"{\"canary\": 1}\"\n".to_owned(), 3, "line 2"),
    ] {
        sandbox.write("bad.env", bytes);
        for pair in [["bad.env", "new.env"], ["new.env", "bad.env"]] {
            let refused = sandbox.run(&[&["diff", "--reveal"], &pair[..]].concat());
            assert_eq!((refused.code, refused.stdout.as_str()), (code, ""), "{says}: {}", refused.stderr);
            assert!(refused.stderr.contains(says) && refused.stderr.contains("bad.env"), "{says}: {}", refused.stderr);
            assert!(refused.stderr.contains("hint: ") && !refused.stderr.contains("canary"), "{}", refused.stderr);
        }
    }
}

#[test]
fn what_git_does_not_have_is_said_with_the_next_step() {
    let Some(repository) = Repository::new() else { return };
    repository.sandbox.encrypted("new.env", NEW);
    for name in ["new.env", "HEAD~9:secrets.env", "HEAD:no.env", "--textconv:x"] {
        let missing = repository.dotsops(&["diff", "--", name]);
        assert_eq!((missing.code, missing.stdout.as_str()), (7, ""), "{name}: {}", missing.stderr);
        assert!(missing.stderr.contains("git has no file ") && missing.stderr.contains("hint: "), "{}", missing.stderr);
    }
    let sandbox = two();
    let nowhere = ended(sandbox.dotsops(["diff", "new.env"]).current_dir(sandbox.work()));
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("`dotsops diff OLD NEW`"), "{}", nowhere.stderr);
}
