//! git merges encrypted files by name: real repositories with two branches that changed the same file.

use crate::support::repository::Repository;
use crate::support::sandbox::{RECIPIENT, STRANGER};
use crate::support::sops::Sops;

const START: &str = "# the shop\nHOST=db\nPORT=5432\n\nTOKEN=first\nNAME=shop\n";

const OURS: &[&[&str]] = &[&["set", "HOST", "db.internal"], &["set", "OURS", "1"]];
const THEIRS: &[&[&str]] = &[&["set", "PORT", "6432"], &["unset", "NAME"], &["set", "THEIRS", "2"]];
const BOTH: &str = "# the shop\nHOST=db.internal\nPORT=6432\n\nTOKEN=first\nOURS=1\nTHEIRS=2\n";

#[test]
fn changes_of_different_names_are_merged_and_what_did_not_change_keeps_its_token() {
    let Some(repository) = Repository::of(START) else { return };
    let token = repository.token("TOKEN");
    repository.branch("theirs", THEIRS);
    let port = repository.token("PORT");
    repository.branch("ours", OURS);
    let host = repository.token("HOST");
    repository.git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_eq!(repository.plaintext(), BOTH);
    assert_eq!([repository.token("TOKEN"), repository.token("PORT"), repository.token("HOST")], [token, port, host]);
    assert_eq!(repository.git(&["status", "--porcelain"]), "");

    // Whoever merges in the other direction gets the same tokens in the same order.
    let data = |text: String| text.lines().filter(|line| !line.starts_with("sops_")).map(str::to_owned).collect::<Vec<_>>();
    let merged = data(repository.sandbox.read("secrets.env"));
    repository.git(&["checkout", "-q", "theirs"]);
    repository.git(&["merge", "-q", "--no-edit", "ours^1"]);
    assert_eq!(data(repository.sandbox.read("secrets.env")), merged);
}

#[test]
fn rebase_cherry_pick_and_stash_merge_too() {
    for how in ["rebase", "cherry-pick", "stash"] {
        let Some(repository) = Repository::of(START) else { return };
        repository.branch("theirs", THEIRS);
        repository.branch("ours", OURS);
        match how {
            "rebase" => drop(repository.git(&["rebase", "-q", "theirs"])),
            "cherry-pick" => drop(repository.git(&["cherry-pick", "theirs"])),
            _ => {
                repository.git(&["checkout", "-q", "main"]);
                for change in THEIRS {
                    assert_eq!(repository.sandbox.run(change).code, 0);
                }
                repository.git(&["stash", "-q"]);
                repository.git(&["merge", "-q", "ours"]);
                repository.git(&["stash", "pop", "-q"]);
            }
        }
        assert_eq!(repository.plaintext(), BOTH, "{how}");
    }
}

#[test]
fn one_name_changed_on_both_sides_is_a_conflict_that_holds_both_values_and_no_edit_saves() {
    let Some(repository) = Repository::of(START) else { return };
    repository.branch("theirs", &[&["set", "TOKEN", "theirs"], &["set", "PORT", "6432"]]);
    repository.branch("ours", &[&["set", "TOKEN", "ours"]]);
    let merged = repository.try_git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_eq!(merged.code, 1, "{}", merged.stderr);
    assert!(
        merged.stderr.contains("both sides changed `TOKEN`; `dotsops edit secrets.env` shows both values"),
        "{}",
        merged.stderr
    );
    assert!(repository.git(&["status", "--porcelain"]).contains("UU secrets.env"));
    let text = repository.sandbox.read("secrets.env");
    assert!(!text.contains("theirs") && !text.contains("#!dotsops"), "{text}");
    let marked =
        "# the shop\nHOST=db\nPORT=6432\n\n#!dotsops mine TOKEN=ours\n#!dotsops theirs TOKEN=theirs\nTOKEN=ours\nNAME=shop\n";
    assert_eq!(repository.plaintext(), marked);

    // As long as the marks stand, the file is not saved; then it is.
    let edit = |script: &str| {
        let editor = repository.sandbox.write("editor", format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        repository.sandbox.run(&["edit", "--allow-disk-plaintext", "--editor", editor.to_str().unwrap(), "secrets.env"])
    };
    let refused = edit("sed -i 's/^TOKEN=.*/TOKEN=both/' \"$1\"");
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("line 5, 6"), "{}", refused.stderr);
    assert_eq!(repository.sandbox.run(&["edit", "--discard", "secrets.env"]).code, 0);
    let saved = edit("sed -i -e '/^#!dotsops/d' -e 's/^TOKEN=.*/TOKEN=both/' \"$1\"");
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert_eq!(repository.plaintext(), "# the shop\nHOST=db\nPORT=6432\n\nTOKEN=both\nNAME=shop\n");
}

#[test]
fn without_a_key_nothing_is_merged_and_our_version_stays() {
    let Some(repository) = Repository::of(START) else { return };
    repository.branch("theirs", THEIRS);
    repository.branch("ours", OURS);
    let before = repository.sandbox.read("secrets.env");
    std::fs::remove_file(repository.sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
    let merged = repository.try_git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_ne!(merged.code, 0);
    assert!(merged.stderr.contains("our version of secrets.env: cannot decrypt"), "{}", merged.stderr);
    assert!(merged.stderr.contains("whoever can read both versions can merge"), "{}", merged.stderr);
    assert_eq!(repository.sandbox.read("secrets.env"), before);
    for line in [&["merge", "a", "b"][..], &["merge", "secrets.env", "secrets.env", "no.env"]] {
        assert_eq!(repository.sandbox.run(line).code, 129, "{line:?}");
    }
}

#[test]
fn readers_are_merged_and_sops_reads_the_file() {
    let Some(repository) = Repository::of(START) else { return };
    let Some(sops) = Sops::find() else { return };
    let second = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let rule = |recipients: &str| repository.sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {recipients}\n"));
    rule(&format!("{RECIPIENT},{STRANGER}"));
    repository.branch("theirs", &[&["updatekeys", "--yes", "secrets.env"], &["set", "PORT", "6432"]]);
    repository.git(&["checkout", "-q", "main"]);
    rule(&format!("{RECIPIENT},{second}"));
    repository.git(&["checkout", "-q", "-b", "ours"]);
    assert_eq!(repository.sandbox.run(&["updatekeys", "--yes", "secrets.env"]).code, 0);
    assert_eq!(repository.sandbox.run(&["set", "HOST", "db.internal"]).code, 0);
    repository.git(&["add", "secrets.env"]);
    repository.git(&["commit", "-q", "-m", "ours"]);
    std::fs::remove_file(repository.sandbox.path(".sops.yaml")).unwrap();
    repository.git(&["merge", "-q", "--no-edit", "theirs"]);
    let text = repository.sandbox.read("secrets.env");
    for recipient in [RECIPIENT, STRANGER, second] {
        assert_eq!(text.matches(recipient).count(), 1, "{recipient}");
    }
    let expected = "# the shop\nHOST=db.internal\nPORT=6432\n\nTOKEN=first\nNAME=shop\n";
    assert_eq!(repository.plaintext(), expected);
    let by_sops = sops.run(&["decrypt", "secrets.env"], "secrets.env", text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(by_sops).unwrap(), expected.replace("\n\n", "\n"));
}

#[test]
fn a_recipient_that_no_rule_names_gets_no_new_key_by_a_merge() {
    let Some(repository) = Repository::of(START) else { return };
    let second = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    repository.sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT},{second}\n"));
    repository.commit("rule");
    // Somebody without a key writes himself in; what stands wrapped for him is nothing.
    repository.git(&["checkout", "-q", "-b", "theirs", "main"]);
    let entry = format!("sops_age__list_1__map_enc=x\nsops_age__list_1__map_recipient={STRANGER}\nsops_lastmodified");
    let forged = repository.sandbox.read("secrets.env").replacen("sops_lastmodified", &entry, 1);
    repository.sandbox.write("secrets.env", forged);
    repository.commit("theirs");
    repository.branch("ours", &[&["updatekeys", "--yes", "secrets.env"], &["rotate", "secrets.env"]]);
    let before = repository.sandbox.read("secrets.env");
    let merged = repository.try_git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_ne!(merged.code, 0, "{} {}", merged.stderr, repository.sandbox.read("secrets.env"));
    assert!(merged.stderr.contains("recipients that no rule names: ") && merged.stderr.contains(STRANGER), "{}", merged.stderr);
    assert_eq!(repository.sandbox.read("secrets.env"), before);
}

#[test]
fn a_line_that_hides_in_a_comment_is_not_merged_into_what_is_signed() {
    let Some(repository) = Repository::of(START) else { return };
    repository.git(&["checkout", "-q", "-b", "theirs", "main"]);
    let text = repository.sandbox.read("secrets.env");
    repository.sandbox.write("secrets.env", format!("# harmless\rEVIL=1\n{text}"));
    repository.commit("theirs");
    repository.branch("ours", OURS);
    let before = repository.sandbox.read("secrets.env");
    let merged = repository.try_git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_ne!(merged.code, 0, "{}", merged.stderr);
    assert!(merged.stderr.contains("carriage return"), "{}", merged.stderr);
    assert_eq!(repository.sandbox.read("secrets.env"), before);
}
