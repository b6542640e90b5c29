//! `recipients list`

use serde_json::{Value, json};

use super::{encrypt, git, recipients, repository};
use crate::support::groups::{Person, config, people};

/// alice and ci read two files; the rule names alice and bob by now.
fn drifted() -> Option<(crate::support::sandbox::Sandbox, [Person; 3])> {
    let all = people(["alice", "bob", "ci"]);
    let [alice, bob, ci] = &all;
    let before = config(&[&[alice, ci]], 0);
    let sandbox = repository(&before, &[("secrets.env", "A=1\n"), ("sub/prod.env", "B=1\n")])?;
    let after = format!("{}      - {} # bob\n", config(&[&[alice]], 0), bob.recipient);
    encrypt(&sandbox, &after, "new.env", "C=1\n");
    git(&sandbox, &["add", "-A"]);
    Some((sandbox, all))
}

#[test]
fn a_table_says_who_reads_which_file_and_whether_the_rule_says_the_same() {
    let Some((sandbox, [alice, bob, ci])) = drifted() else { return };
    let listed = recipients(&sandbox, &[], &["list"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let ci_key = format!("{}…", &ci.recipient[..12]);
    let expected = format!(
        "\
FILE          alice  bob      {ci_key}
new.env       yes    yes      -
secrets.env   yes    missing  extra
sub/prod.env  yes    missing  extra

alice          {}
bob            {}
{ci_key}  {}
",
        alice.recipient, bob.recipient, ci.recipient
    );
    assert_eq!(listed.stdout, expected);
    // Once for the files that are alike.
    let lines: Vec<&str> = listed.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", listed.stderr);
    assert!(lines[0].contains("secrets.env, sub/prod.env: with a key that no rule names"), "{}", lines[0]);
    assert!(lines[0].contains(&ci.recipient[..20]) && lines[0].contains("`dotsops updatekeys`"), "{}", lines[0]);
    assert!(lines[1].contains("secrets.env, sub/prod.env: not yet readable") && lines[1].contains("(bob)"), "{}", lines[1]);
    let strict = recipients(&sandbox, &[], &["list", "--strict"]);
    assert_eq!(strict.code, 6, "{}", strict.stderr);
}

#[test]
fn the_list_for_programs_has_every_key_of_every_file() {
    let Some((sandbox, [alice, bob, ci])) = drifted() else { return };
    let listed = recipients(&sandbox, &[], &["list", "--format", "json", "secrets.env"]);
    let key = |name: Option<&str>, person: &Person, in_file: bool, in_rule: bool| json!({"name": name, "kind": "age", "recipient": person.recipient, "in_file": in_file, "in_rule": in_rule});
    let keys = [key(Some("alice"), &alice, true, true), key(None, &ci, true, false), key(Some("bob"), &bob, false, true)];
    let rule = json!({"config": ".sops.yaml", "line": 2});
    let expected = json!([{"file": "secrets.env", "rule": rule, "needed": 1, "groups": [keys]}]);
    assert_eq!(serde_json::from_str::<Value>(&listed.stdout).unwrap(), expected);
    std::fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    let listed = recipients(&sandbox, &[], &["list", "--format", "json", "secrets.env"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((&listed[0]["rule"], &listed[0]["groups"][0][0]["in_rule"]), (&Value::Null, &json!(false)));
}

#[test]
fn with_several_groups_it_is_said_in_which_a_key_is_and_how_many_it_takes() {
    let all = people(["alice", "bob", "ci"]);
    let [alice, bob, ci] = &all;
    let grouped = config(&[&[alice, ci], &[bob, ci], &[ci]], 2);
    let Some(sandbox) = repository(&grouped, &[("secrets.env", "A=1\n")]) else { return };
    sandbox.write(".sops.yaml", config(&[&[alice, ci], &[bob, alice], &[ci]], 2));
    let listed = recipients(&sandbox, &[], &["list"]);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["FILE", "GROUPS", "alice", "ci"]);
    assert_eq!(lines[1], "secrets.env  2 of 3  group 0, missing in group 1  groups 0+2, extra in group 1");
    // What is too wide for a terminal goes on in another table.
    assert_eq!(lines[2..5], ["", "FILE         GROUPS  bob", "secrets.env  2 of 3  group 1"]);
}

#[test]
fn a_file_that_one_lost_key_would_lock_for_ever_is_warned_about() {
    let [alice, bob] = people(["alice", "bob"]);
    for (groups, threshold, is_warned) in [
        (&[&[&alice][..]][..], 0, true),
        (&[&[&alice, &bob]], 0, false),
        (&[&[&alice], &[&alice, &bob]], 0, true),
        (&[&[&alice], &[&bob], &[&bob]], 2, false),
    ] {
        let Some(sandbox) = repository(&config(groups, threshold), &[("secrets.env", "A=1\n")]) else { return };
        let listed = recipients(&sandbox, &[], &["list"]);
        let warning = "secrets.env: nobody can open it without this one key";
        assert_eq!(listed.stderr.contains(warning), is_warned, "{}", listed.stderr);
        assert_eq!(listed.stderr.contains("(alice)"), is_warned, "{}", listed.stderr);
    }
}

#[test]
fn however_many_people_there_are_no_line_is_wider_than_a_terminal_and_nobody_is_left_out() {
    let one = people(["alice"]);
    let many = people(["x"; 23]);
    let mut text = config(&[&[&one[0]]], 0);
    for (number, person) in many.iter().enumerate() {
        text.push_str(&format!("      - {} # somebody whose name is long, number {number}\n", person.recipient));
    }
    let long = format!("{}/secrets.env", "a_folder_of_a_long_name/".repeat(3));
    let Some(sandbox) = repository(&text, &[("a.env", "A=1\n"), (&long, "A=1\n")]) else { return };
    let listed = recipients(&sandbox, &[], &["list"]);
    let (tables, keys) = listed.stdout.rsplit_once("\n\n").unwrap();
    assert!(tables.matches("FILE").count() > 3, "{tables}");
    for line in tables.lines().filter(|line| !line.contains("a_folder")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // Every person has a column with a yes for both files.
    assert_eq!(tables.matches("yes").count(), 2 * (1 + many.len()), "{tables}");
    many.iter().for_each(|person| assert!(keys.contains(&person.recipient)));
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_the_others_are_listed() {
    let [alice] = people(["alice"]);
    let Some(sandbox) = repository(&config(&[&[&alice]], 0), &[("a.env", "A=1\n"), ("b.env", "A=1\n")]) else { return };
    sandbox.write("plain.env", "A=canary\n");
    let listed = recipients(&sandbox, &[], &["list", "gone.env", "a.env", "plain.env", "b.env"]);
    // What is missing is worse than what is no encrypted file: 7 and 3.
    assert_eq!(listed.code, 7, "{}", listed.stderr);
    assert!(listed.stderr.contains("gone.env") && listed.stderr.contains("plain.env"), "{}", listed.stderr);
    assert!(listed.stdout.contains("\na.env  yes\nb.env  yes\n"), "{}", listed.stdout);
}

#[test]
fn names_that_are_written_to_deceive_stay_in_their_column() {
    let [alice, bob] = people(["alice", "bob"]);
    let text = config(&[&[&alice, &bob]], 0).replace("# bob", "# b\u{202e}b");
    let Some(sandbox) = repository(&text, &[("a.env", "A=1\n")]) else { return };
    let mut command = sandbox.dotsops(["recipients", "list"]);
    let (code, shown) = crate::support::pty::Pty::run(&mut command).end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("yes") && !shown.contains('\u{202e}'), "{shown:?}");
}
