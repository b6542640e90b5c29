//! `updatekeys`: files follow their rule, nothing else of them changes, and nobody is let in or put out unseen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dotsops::sys::file_lock::FileLock;

use crate::support::groups::{Person, config, identities, people, without_wraps};
use crate::support::pty::Pty;
use crate::support::sandbox::{Sandbox, ended};
use crate::support::sops::Sops;

const PLAINTEXT: &str = "# the shop\nAPI_KEY=hunter2\nEMPTY=\n";

/// A file for alice under a rule that names alice and bob.
fn bob_is_to_come() -> (Sandbox, [Person; 3]) {
    let all = people(["alice", "bob", "carol"]);
    let [alice, bob, _] = &all;
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[alice]], 0), "secrets.env", PLAINTEXT);
    sandbox.write(".sops.yaml", config(&[&[alice, bob]], 0));
    (sandbox, all)
}

fn git(sandbox: &Sandbox, arguments: &[&str]) {
    let mut command = sandbox.program(Path::new("git"));
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]).args(arguments);
    let done = ended(&mut command);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

/// The lines of a file that hold no wrapped data key.
fn all_but_keys(file: &str) -> Vec<String> {
    file.lines()
        .filter(|line| !line.starts_with("sops_age__") && !line.starts_with("sops_key_groups"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn who_the_rule_names_can_read_the_file_afterwards_and_nothing_else_changes() {
    let (sandbox, [alice, bob, _]) = bob_is_to_come();
    let before = sandbox.read("secrets.env");
    let updated = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "secrets.env"]);
    let expected = format!("secrets.env\n    {} (alice)\n  + {} (bob)\nsecrets.env: updated\n", alice.recipient, bob.recipient);
    assert_eq!((updated.code, updated.stdout.as_str(), updated.stderr.as_str()), (0, expected.as_str(), ""));
    assert_eq!(sandbox.run_as(&[&bob], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    assert_eq!(all_but_keys(&sandbox.read("secrets.env")), all_but_keys(&before));

    // Again there is nothing to do, and the bytes stay.
    let after = sandbox.read("secrets.env");
    let again = sandbox.run_as(&[], &["updatekeys", "secrets.env"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "secrets.env: up to date\n"), "{}", again.stderr);
    assert_eq!(sandbox.read("secrets.env"), after);

    sandbox.write(".sops.yaml", config(&[&[&bob]], 0));
    let out = sandbox.run_as(&[&bob], &["updatekeys", "--yes", "secrets.env"]);
    assert!(out.stdout.contains(&format!("\n  - {}\n", alice.recipient)), "{}", out.stdout);
    assert!(out.stderr.contains("dotsops rotate"), "{}", out.stderr);
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "secrets.env"]).code, 4);
}

#[test]
fn without_a_terminal_nothing_changes_until_somebody_says_yes() {
    let (sandbox, [alice, bob, _]) = bob_is_to_come();
    let before = sandbox.read("secrets.env");
    let refused = sandbox.run_as(&[&alice], &["updatekeys", "secrets.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stdout.contains("(bob)") && refused.stderr.contains("-y"), "{}{}", refused.stdout, refused.stderr);
    // A dry run needs no key and no answer.
    let dry = sandbox.run_as(&[], &["updatekeys", "--dry-run", "secrets.env"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains(&format!("  + {} (bob)", bob.recipient)) && !dry.stdout.contains("updated"), "{}", dry.stdout);
    assert_eq!(sandbox.read("secrets.env"), before);
}

#[test]
fn on_a_terminal_it_asks() {
    let (sandbox, [alice, bob, _]) = bob_is_to_come();
    let before = sandbox.read("secrets.env");
    for (answer, is_updated) in [("n\r", false), ("\r", false), ("y\r", true)] {
        let mut terminal = Pty::run(sandbox.dotsops(["updatekeys", "secrets.env"]).env("SOPS_AGE_KEY", identities(&[&alice])));
        terminal.wait_for("(bob)");
        terminal.wait_for("Change who can read secrets.env?");
        terminal.type_keys(answer);
        let (code, shown) = terminal.end();
        assert_eq!(code, 0, "{shown}");
        assert_eq!(sandbox.read("secrets.env") != before, is_updated, "{shown}");
    }
    assert_eq!(sandbox.run_as(&[&bob], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
}

#[test]
fn a_recipient_that_no_rule_names_is_listed_and_put_out() {
    let (sandbox, [alice, bob, carol]) = bob_is_to_come();
    sandbox.encrypted_under(&config(&[&[&alice, &carol]], 0), "secrets.env", PLAINTEXT);
    sandbox.write(".sops.yaml", config(&[&[&alice, &bob]], 0));
    let updated = sandbox.run_as(&[&alice], &["updatekeys", "-y", "secrets.env"]);
    assert!(updated.stdout.contains(&format!("  - {}\n", carol.recipient)), "{}", updated.stdout);
    assert_eq!(sandbox.run_as(&[&carol], &["decrypt", "secrets.env"]).code, 4);
    assert!(!sandbox.read("secrets.env").contains(&carol.recipient));
}

#[test]
fn whoever_puts_themselves_out_is_told_before() {
    let (sandbox, [alice, bob, _]) = bob_is_to_come();
    sandbox.write(".sops.yaml", config(&[&[&bob]], 0));
    let dry = sandbox.run_as(&[&alice], &["updatekeys", "--dry-run", "secrets.env"]);
    assert!(dry.stderr.contains("your identities cannot read secrets.env afterwards"), "{}", dry.stderr);
    assert_eq!(sandbox.run_as(&[&alice], &["updatekeys", "-y", "secrets.env"]).code, 0);
    assert_eq!(sandbox.run_as(&[&bob], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
}

#[test]
fn the_threshold_of_the_rule_counts_and_it_is_said_where_sops_would_ignore_it() {
    let all = people(["alice", "bob", "carol"]);
    let [alice, bob, carol] = &all;
    let groups: [&[&Person]; 3] = [&[alice], &[bob], &[carol]];
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&groups, 3), "secrets.env", PLAINTEXT);
    sandbox.write(".sops.yaml", config(&groups, 2));
    let updated = sandbox.run_as(&[alice, bob, carol], &["updatekeys", "-y", "secrets.env"]);
    let line = "  groups needed: 2 of 3 (now 3 of 3), as the rule says; `sops updatekeys` would make it 3\n";
    assert!(updated.stdout.contains(line) && updated.stdout.contains("    group 1: age1"), "{}", updated.stdout);
    assert!(sandbox.read("secrets.env").contains("sops_shamir_threshold=2\n"));
    assert_eq!(sandbox.run_as(&[carol, bob], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);

    sandbox.write(".sops.yaml", config(&groups, 4));
    let refused = sandbox.run_as(&[alice, bob, carol], &["updatekeys", "-y", "secrets.env"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains(".sops.yaml: line 2: the rule asks for 4 of its 3 key groups"), "{}", refused.stderr);
}

#[test]
fn of_several_files_each_says_what_happened_and_the_exit_code_is_that_of_the_worst() {
    let (sandbox, all) = bob_is_to_come();
    let [alice, bob, carol] = &all;
    let rule = sandbox.read(".sops.yaml");
    let file = sandbox.read("secrets.env");
    sandbox.write("tampered.env", file.replacen("API_KEY=ENC[AES256_GCM,data:", "API_KEY=ENC[AES256_GCM,data:AA", 1));
    sandbox.write("plain.env", "A=1\n");
    sandbox.encrypted_under(&config(&[&[carol]], 0), "carols.env", PLAINTEXT);
    sandbox.write(".sops.yaml", &rule);
    let names = ["secrets.env", "tampered.env", "plain.env", "carols.env", "gone.env"];
    let before: BTreeMap<_, _> = names[..4].iter().map(|name| (*name, sandbox.read(name))).collect();
    let arguments: Vec<&str> = ["updatekeys", "--yes"].iter().chain(&names).copied().collect();
    let done = sandbox.run_as(&[alice], &arguments);
    // Not authentic, no document, locked, not there: 5, 3, 4, 7.
    assert_eq!(done.code, 7, "{}", done.stderr);
    for expected in ["cannot decrypt tampered.env", "plain.env", "cannot decrypt carols.env", "cannot read gone.env"] {
        assert!(done.stderr.contains(expected), "{expected}: {}", done.stderr);
    }
    assert!(done.stdout.ends_with("secrets.env: updated\n") && done.stdout.matches("updated").count() == 1, "{}", done.stdout);
    for name in &names[1..4] {
        assert_eq!(sandbox.read(name), before[name], "{name}");
    }
    assert_eq!(sandbox.run_as(&[bob], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    // Files that change alike are told together.
    sandbox.write("one.env", &file);
    sandbox.write("two.env", &file);
    let alike = sandbox.run_as(&[alice], &["updatekeys", "--dry-run", "one.env", "two.env"]);
    assert!(alike.stdout.starts_with("one.env\ntwo.env\n    age1"), "{}", alike.stdout);
}

#[test]
fn without_a_file_it_is_every_encrypted_one_that_git_tracks() {
    let (sandbox, all) = bob_is_to_come();
    let [alice, bob, _] = &all;
    let file = sandbox.read("secrets.env");
    for name in ["sub/deep/prod.env", "odd name\n.txt", "own/secrets.env", "untracked.env", "gone.env"] {
        sandbox.write(name, &file);
    }
    sandbox.write("own/.sops.yaml", config(&[&[alice]], 0));
    sandbox.write("plain.env", "A=1\n");
    sandbox.write("about.md", format!("# How a file looks\n\n{file}\nThat is it.\n"));
    std::os::unix::fs::symlink("secrets.env", sandbox.path("link.env")).unwrap();
    let no_git = sandbox.run_as(&[alice], &["updatekeys", "--yes"]);
    assert_eq!(no_git.code, 2, "{}", no_git.stderr);
    assert!(no_git.stderr.contains("name the files"), "{}", no_git.stderr);

    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "--all"]);
    git(&sandbox, &["rm", "-q", "--cached", "untracked.env"]);
    fs::remove_file(sandbox.path("gone.env")).unwrap();
    let index = fs::read(sandbox.path(".git/index")).unwrap();
    let done = sandbox.run_as(&[alice], &["updatekeys", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for name in ["secrets.env", "sub/deep/prod.env", "odd name\n.txt"] {
        assert!(done.stdout.contains(&format!("{name}: updated\n")), "{}", done.stdout);
        assert!(sandbox.read(name).contains(&bob.recipient), "{name}");
    }
    for name in ["own/secrets.env", "untracked.env"] {
        assert_eq!(sandbox.read(name), file, "{name}");
    }
    assert!(done.stderr.contains("own/secrets.env is left out"), "{}", done.stderr);
    assert!(sandbox.path("link.env").is_symlink());
    // git was asked, and nothing of it changed.
    assert_eq!(fs::read(sandbox.path(".git/index")).unwrap(), index);
    let again = sandbox.run_as(&[], &["updatekeys"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{}", again.stderr);
    assert!(again.stderr.contains("3 files are up to date"), "{}", again.stderr);
}

#[test]
fn a_config_that_is_named_counts_for_all_files_and_for_rotate_too() {
    let (sandbox, [alice, _, carol]) = bob_is_to_come();
    sandbox.encrypted_under(&config(&[&[&alice]], 0), "secrets.env", PLAINTEXT);
    sandbox.write("sub/secrets.env", sandbox.read("secrets.env"));
    sandbox.write("sub/.sops.yaml", config(&[&[&alice]], 0));
    sandbox.write("rules/team.yaml", config(&[&[&alice, &carol]], 0));
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "--all"]);
    let updated = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "--config", "rules/team.yaml"]);
    assert_eq!((updated.code, updated.stderr.as_str()), (0, ""), "{}", updated.stdout);
    for file in ["secrets.env", "sub/secrets.env"] {
        assert_eq!(sandbox.run_as(&[&carol], &["decrypt", file]).stdout, PLAINTEXT, "{file}");
    }
    git(&sandbox, &["rm", "-q", "-f", "--cached", "-r", "."]);
    let none = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "--config", "rules/team.yaml"]);
    assert_eq!((none.code, none.stderr.as_str()), (0, "dotsops: note: git tracks no encrypted file here\n"));
    let refused = sandbox.run_as(&[&alice], &["rotate", "secrets.env"]);
    assert_eq!(refused.code, 6, "the nearest rule does not name carol: {}", refused.stderr);
    let rotated = sandbox.run_as(&[&alice], &["rotate", "--config", "rules/team.yaml", "secrets.env"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
}

#[test]
fn a_data_key_that_somebody_slipped_in_takes_nobodys_place() {
    let (sandbox, [alice, ..]) = bob_is_to_come();
    let rule = sandbox.read(".sops.yaml");
    // Somebody without a key wraps another data key for alice, as anybody can who knows her recipient.
    sandbox.encrypted_under(&config(&[&[&alice]], 0), "other.env", PLAINTEXT);
    sandbox.write(".sops.yaml", rule);
    let keys = |file: &str| file.lines().find(|line| line.starts_with("sops_age__list_0__map_enc=")).unwrap().to_owned();
    let file = sandbox.read("secrets.env");
    let forged = file.replace(&keys(&file), &keys(&sandbox.read("other.env")));
    sandbox.write("secrets.env", &forged);
    let refused = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "secrets.env"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert_eq!(sandbox.read("secrets.env"), forged);
    // Also if a line in clear makes the file look merely odd.
    let odd = format!("CLEAR=1\n{forged}");
    sandbox.write("secrets.env", &odd);
    assert_eq!(sandbox.run_as(&[&alice], &["updatekeys", "--yes", "secrets.env"]).code, 5);
    assert_eq!(sandbox.read("secrets.env"), odd);
}

#[test]
fn a_value_in_clear_keeps_nobody_in() {
    let (sandbox, [alice, bob, _]) = bob_is_to_come();
    sandbox.write(".sops.yaml", config(&[&[&bob]], 0));
    let odd = format!("CLEAR=canary\nEMPTY=\n{}", sandbox.read("secrets.env"));
    sandbox.write("secrets.env", &odd);
    let done = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "secrets.env"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("`CLEAR` stands in clear") && !done.stderr.contains("canary"), "{}", done.stderr);
    assert_eq!(all_but_keys(&sandbox.read("secrets.env")), all_but_keys(&odd));
    assert!(!sandbox.read("secrets.env").contains(&alice.recipient));
}

#[test]
fn a_file_that_is_being_edited_or_cannot_be_replaced_is_left_alone() {
    let (sandbox, [alice, ..]) = bob_is_to_come();
    let before = sandbox.read("secrets.env");
    let state = sandbox.home().join(".local/state/dotsops");
    let lock = FileLock::acquire(&state, &sandbox.path("secrets.env")).unwrap();
    for arguments in
        [&["updatekeys", "--yes", "secrets.env"][..], &["groups", "add", "-i", "-f", "secrets.env", "--age", &alice.recipient]]
    {
        let busy = sandbox.run_as(&[&alice], arguments);
        assert_eq!(busy.code, 6, "{}", busy.stderr);
        assert!(busy.stderr.contains("is being edited already"), "{}", busy.stderr);
    }
    drop(lock);
    fs::hard_link(sandbox.path("secrets.env"), sandbox.path("twin.env")).unwrap();
    let linked = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "secrets.env"]);
    assert_eq!(linked.code, 6, "{}", linked.stderr);
    assert!(linked.stderr.contains("secrets.env is not replaced"), "{}", linked.stderr);
    assert_eq!(sandbox.read("secrets.env"), before);
}

#[test]
fn without_a_rule_there_is_nothing_to_follow() {
    let (sandbox, [alice, ..]) = bob_is_to_come();
    let cases = [
        (Some("creation_rules:\n  - path_regex: other\n    age: x\n"), "no creation rule"),
        (Some("stores: {}\n"), "has no creation_rules"),
        (Some("creation_rules:\n  - pgp: AB12\n"), "here is a PGP key"),
        (None, "there is no .sops.yaml here or above"),
    ];
    for (config, expected) in cases {
        match config {
            Some(config) => drop(sandbox.write(".sops.yaml", config)),
            None => fs::remove_file(sandbox.path(".sops.yaml")).unwrap(),
        }
        let refused = sandbox.run_as(&[&alice], &["updatekeys", "--yes", "secrets.env"]);
        assert_eq!(refused.code, 3, "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn many_files_show_how_far_it_is_on_a_terminal_only() {
    let (sandbox, [alice, ..]) = bob_is_to_come();
    let file = sandbox.read("secrets.env");
    let names: Vec<String> = (0..25).map(|n| format!("n{n}.env")).collect();
    names.iter().for_each(|name| drop(sandbox.write(name, &file)));
    let arguments: Vec<&str> = ["updatekeys", "--yes"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut command = sandbox.dotsops(&arguments);
    command.env("SOPS_AGE_KEY", identities(&[&alice]));
    let (code, shown) = Pty::run(&mut command).end();
    assert!(code == 0 && shown.contains("24 of 25 files replaced"), "{shown}");
    names.iter().for_each(|name| drop(sandbox.write(name, &file)));
    let piped = sandbox.run_as(&[&alice], &arguments);
    assert_eq!((piped.code, piped.stderr.as_str()), (0, ""));
    assert_eq!(piped.stdout.matches(": updated\n").count(), 25);
}

#[test]
fn the_outcome_is_that_of_sops_updatekeys() {
    let Some(sops) = Sops::find() else { return };
    let all = people(["alice", "bob", "carol"]);
    let [alice, bob, carol] = &all;
    let everybody = sops.with_identities(&identities(&[alice, bob, carol]));
    let groups: [(&[&[&Person]], u32); 6] = [
        (&[&[alice]], 0),
        (&[&[bob, alice]], 0),
        (&[&[alice], &[bob]], 0),
        (&[&[alice], &[bob], &[carol]], 2),
        (&[&[carol], &[alice, bob]], 2),
        (&[&[carol, bob], &[alice], &[bob]], 3),
    ];
    let sandbox = Sandbox::empty();
    for (before, threshold) in groups {
        for (after, _) in groups {
            let sops = everybody.another();
            sandbox.encrypted_under(&config(before, threshold), "secrets.env", PLAINTEXT);
            let file = sandbox.read("secrets.env");
            // A rule that leaves the threshold open: then we do as sops, which never looks at it.
            let rule = config(after, 0);
            sandbox.write(".sops.yaml", &rule);
            fs::write(sops.folder().join(".sops.yaml"), &rule).unwrap();
            sops.run(&["updatekeys", "--yes", "secrets.env"], "secrets.env", file.as_bytes()).unwrap();
            let theirs = fs::read_to_string(sops.folder().join("secrets.env")).unwrap();
            let done = sandbox.run_as(&[alice, bob, carol], &["updatekeys", "--yes", "secrets.env"]);
            assert_eq!(done.code, 0, "{}", done.stderr);
            let ours = sandbox.read("secrets.env");
            // With one group the number has no effect; sops leaves a 1 there, we leave it out.
            let comparable = |file: &str| without_wraps(file).replace("sops_shamir_threshold=1\n", "");
            assert_eq!(comparable(&ours), comparable(&theirs), "{rule}");
            assert_eq!(sops.decrypt(ours.as_bytes()).unwrap(), PLAINTEXT.as_bytes());
            sandbox.write("theirs.env", &theirs);
            assert_eq!(sandbox.run_as(&[alice, bob, carol], &["decrypt", "theirs.env"]).stdout, PLAINTEXT);
        }
    }
}
