//! `recipients add`

use std::fs;

use super::{all_files, commit, done, encrypt, git, read_by_sops, recipients, repository, tokens};
use crate::support::groups::{Person, config, identities, people};
use crate::support::pty::Pty;
use crate::support::sops::Sops;

const SSH: &str = include_str!("../../vectors/ssh/throwaway_ed25519.pub");

#[test]
fn whoever_is_let_in_reads_every_file_of_the_rule_and_no_other() {
    let Some(sops) = Sops::find() else { return };
    let [lead, alice] = people(["lead", "alice"]);
    let rules = format!(
        "# who reads what\ncreation_rules:\n  - path_regex: prod\n    age:\n      - {0} # lead\n  - path_regex: \\.env$\n    \
         age:\n      - {0} # lead\n",
        lead.recipient
    );
    let files = [("dev.env", "A=1\n"), ("sub/stage.env", "B=2\n"), ("prod.env", "C=3\n")];
    let Some(sandbox) = repository(&rules, &files) else { return };
    let before = all_files(&sandbox);
    let added = done(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "-f", "dev.env", "--yes"]);
    assert_eq!(
        added.stdout,
        format!(
            "+ {} (alice)\n  into .sops.yaml, the rule on line 6 (`\\.env$`)\n  and so into 2 files:\n  dev.env\n  sub/stage.env\n",
            alice.recipient
        )
    );
    assert_eq!(sandbox.read(".sops.yaml"), format!("{rules}      - {} # alice\n", alice.recipient));
    for (name, text) in files {
        assert_eq!(read_by_sops(&sops, &sandbox, &lead, name).as_deref(), Some(text), "{name}");
        let expected = (name != "prod.env").then_some(text);
        assert_eq!(read_by_sops(&sops, &sandbox, &alice, name).as_deref(), expected, "{name}");
    }
    // No value is encrypted anew, and what is not of that rule keeps its bytes.
    for (name, bytes) in before.iter().filter(|(name, _)| name != ".sops.yaml") {
        let old = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(tokens(&sandbox.read(name)), tokens(&old), "{name}");
        assert_eq!(sandbox.read(name) == old, name == "prod.env", "{name}");
    }
    // Somebody who is in only some of the rules is let into the others, too.
    done(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "--all-rules", "--yes"]);
    assert_eq!(read_by_sops(&sops, &sandbox, &alice, "prod.env").as_deref(), Some("C=3\n"));
}

#[test]
fn nothing_changes_before_somebody_agreed() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n"), ("b.env", "B=1\n")]) else { return };
    let before = all_files(&sandbox);
    let add = ["add", "alice", &alice.recipient];
    let dry = recipients(&sandbox, &[], &[&add[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "needs no key: {}", dry.stderr);
    assert!(dry.stdout.contains("and so into 2 files:\n  a.env\n  b.env\n"), "{}", dry.stdout);
    let refused = recipients(&sandbox, &[&lead], &add);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_eq!(all_files(&sandbox), before);
    for (answer, is_added) in [("n\r", false), ("y\r", true)] {
        let mut command = sandbox.dotsops(["recipients", "add", "alice", &alice.recipient]);
        let mut terminal = Pty::run(command.env("SOPS_AGE_KEY", identities(&[&lead])));
        terminal.wait_for("Let alice read these 2 files? [y/N]");
        terminal.type_keys(answer);
        let (code, shown) = terminal.end();
        assert_eq!(code, 0, "{shown}");
        assert_eq!(all_files(&sandbox) != before, is_added, "{shown}");
    }
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "b.env"]).stdout, "B=1\n");
}

#[test]
fn where_it_is_not_clear_which_rule_or_group_is_meant_that_must_be_said() {
    let [lead, alice] = people(["lead", "alice"]);
    let rules = format!(
        "creation_rules:\n  - path_regex: ^a\n    age: [{0}]\n  - path_regex: ^empty\n  - path_regex: ^b\n    key_groups:\n      - age:\n          - {0}\n      \
         - age:\n          - {0}\n",
        lead.recipient
    );
    let Some(sandbox) = repository(&rules, &[("a.env", "A=1\n"), ("b.env", "B=1\n")]) else { return };
    let before = all_files(&sandbox);
    let add = |more: &[&str]| recipients(&sandbox, &[&lead], &[&["add", "alice", &alice.recipient, "--yes"], more].concat());
    let unclear = add(&[]);
    assert_eq!(unclear.code, 2, "{}", unclear.stderr);
    assert!(unclear.stderr.contains("line 2 (`^a`), line 5 (`^b`)"), "{}", unclear.stderr);
    let unclear = add(&["-f", "b.env"]);
    assert_eq!(unclear.code, 2, "{}", unclear.stderr);
    assert!(unclear.stderr.contains("2 key groups") && unclear.stderr.contains("`--group N`"), "{}", unclear.stderr);
    assert_eq!(add(&["-f", "b.env", "--group", "2"]).code, 2);
    assert_eq!(add(&["-f", "a.env", "--group", "1"]).code, 2);
    assert_eq!(all_files(&sandbox), before);
    assert_eq!(add(&["-f", "b.env", "--group", "1"]).code, 0);
    assert!(
        sandbox.read("b.env").contains(&format!("sops_key_groups__list_1__map_age__list_1__map_recipient={}", alice.recipient))
    );
    assert_eq!(sandbox.run_as(&[&lead], &["decrypt", "b.env"]).stdout, "B=1\n");
}

#[test]
fn the_same_key_again_is_nothing_to_do_but_a_file_that_lacks_it_gets_it() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n")]) else { return };
    let add = ["add", "alice", &alice.recipient, "--yes"];
    done(&sandbox, &[&lead], &add);
    let rules = sandbox.read(".sops.yaml");
    let before = all_files(&sandbox);
    let again = done(&sandbox, &[], &add);
    assert!(again.stderr.contains("there is nothing to do"), "{}", again.stderr);
    assert_eq!(all_files(&sandbox), before);
    // Somebody encrypted a file without her meanwhile; git does not know it yet.
    encrypt(&sandbox, &config(&[&[&lead]], 0), "secrets.env", "B=1\n");
    sandbox.write(".sops.yaml", &rules);
    done(&sandbox, &[&lead], &add);
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "secrets.env"]).stdout, "B=1\n");
    assert_eq!(sandbox.read(".sops.yaml"), rules);
}

#[test]
fn a_second_key_of_a_person_is_added_and_one_that_is_somebody_elses_is_not() {
    let [lead, phone, laptop] = people(["lead", "alice", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &laptop]], 0), &[("a.env", "A=1\n")]) else { return };
    let added = done(&sandbox, &[&lead], &["add", "alice", &phone.recipient, "-y"]);
    assert!(added.stderr.contains("alice has another key already, which stays"), "{}", added.stderr);
    for key in [&phone, &laptop] {
        assert_eq!(sandbox.run_as(&[key], &["decrypt", "a.env"]).stdout, "A=1\n");
    }
    let before = all_files(&sandbox);
    let refused = recipients(&sandbox, &[&lead], &["add", "mallory", &phone.recipient, "-y"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("alice's"), "{}", refused.stderr);
    assert_eq!(all_files(&sandbox), before);
}

#[test]
fn a_file_that_does_not_follow_its_rule_is_never_made_to_silently() {
    let [lead, alice, stranger] = people(["lead", "alice", "stranger"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &stranger]], 0), &[("a.env", "A=1\n")]) else { return };
    sandbox.write(".sops.yaml", config(&[&[&lead]], 0));
    let before = all_files(&sandbox);
    let add = ["add", "alice", &alice.recipient];
    let refused = recipients(&sandbox, &[&lead], &add);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    let said = format!("made to follow it now: a.env: goes out: {}", &stranger.recipient[..24]);
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    assert_eq!(all_files(&sandbox), before);
    let agreed = done(&sandbox, &[&lead], &[&add[..], &["--yes"]].concat());
    assert!(agreed.stderr.contains(&said), "{}", agreed.stderr);
    assert_eq!(sandbox.run_as(&[&stranger], &["decrypt", "a.env"]).code, 4);
}

#[test]
fn keys_on_one_line_become_a_list_if_that_is_wanted() {
    let [lead, bob, alice] = people(["lead", "bob", "alice"]);
    let rules = format!("creation_rules:\n  - age: {},{}\n", lead.recipient, bob.recipient);
    for (answer, expected) in
        [("y\r", format!("    - {} # alice\n", alice.recipient)), ("n\r", format!("# {} alice\n", alice.recipient))]
    {
        let Some(sandbox) = repository(&rules, &[("a.env", "A=1\n")]) else { return };
        let mut command = sandbox.dotsops(["recipients", "add", "alice", &alice.recipient]);
        let mut terminal = Pty::run(command.env("SOPS_AGE_KEY", identities(&[&lead])));
        terminal.wait_for("Let alice read this file?");
        terminal.type_keys("y\r");
        terminal.wait_for("Write them as a list");
        terminal.type_keys(answer);
        let (code, shown) = terminal.end();
        assert_eq!(code, 0, "{shown}");
        assert!(sandbox.read(".sops.yaml").contains(&expected), "{}", sandbox.read(".sops.yaml"));
        assert!(done(&sandbox, &[], &["list"]).stdout.contains("alice"));
        assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "a.env"]).stdout, "A=1\n");
    }
}

#[test]
fn keys_of_ssh_come_from_a_file_or_as_they_are_pasted() {
    let [lead] = people(["lead"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n")]) else { return };
    sandbox.write("alice.pub", SSH);
    let words: Vec<&str> = SSH.split_whitespace().collect();
    let from_file = done(&sandbox, &[&lead], &["add", "alice", "alice.pub", "--dry-run"]);
    let pasted = done(&sandbox, &[&lead], &[&["add", "alice", "--dry-run"], &words[..]].concat());
    assert!(from_file.stdout.starts_with("alice.pub: ssh-ed25519 SHA256:"), "{}", from_file.stdout);
    let end = &words[1][words[1].len() - 12..];
    assert!(from_file.stdout.contains(end) && pasted.stdout.contains(end), "{}", pasted.stdout);
    done(&sandbox, &[&lead], &["add", "alice", "alice.pub", "--yes"]);
    assert!(
        sandbox.read(".sops.yaml").contains(&format!("'{} {}' # alice", words[0], words[1])),
        "{}",
        sandbox.read(".sops.yaml")
    );
    assert!(sandbox.read("a.env").contains(words[1]));
    // A private key is no key to let anybody in with, and is not repeated.
    let [private] = people(["alice"]);
    let refused = recipients(&sandbox, &[&lead], &["add", "alice", &private.identity, "--yes"]);
    assert!(refused.code == 6 && !refused.stderr.contains(&private.identity), "{}", refused.stderr);
}

#[test]
fn whoever_has_a_post_quantum_key_reads_with_the_real_sops() {
    let Some(sops) = Sops::find() else { return };
    let [lead] = people(["lead"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n"), ("b.env", "B=1\n")]) else { return };
    let made = sandbox.run(&["keygen", "--pq", "-o", "../home/alice.key"]);
    let recipient = made.stdout.trim().to_owned();
    assert!(recipient.starts_with("age1pq1"), "{}", made.stderr);
    let identity = fs::read_to_string(sandbox.home().join("alice.key")).unwrap();
    let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-PQ-1")).unwrap().to_owned();
    let alice = Person { name: "alice", recipient, identity };
    let added = done(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "--yes"]);
    assert!(added.stderr.contains("this is not post-quantum safe"), "{}", added.stderr);
    assert_eq!(sandbox.read(".sops.yaml"), config(&[&[&lead, &alice]], 0));
    for (name, text) in [("a.env", "A=1\n"), ("b.env", "B=1\n")] {
        assert_eq!(read_by_sops(&sops, &sandbox, &alice, name).as_deref(), Some(text), "{name}");
        assert_eq!(read_by_sops(&sops, &sandbox, &lead, name).as_deref(), Some(text), "{name}");
    }
    done(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert_eq!(read_by_sops(&sops, &sandbox, &alice, "a.env"), None);
    assert_eq!(sandbox.read(".sops.yaml"), config(&[&[&lead]], 0));
}

#[test]
fn one_file_that_cannot_be_opened_keeps_all_as_they_are() {
    let [lead, other, alice] = people(["lead", "other", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n"), ("c.env", "C=1\n")]) else { return };
    encrypt(&sandbox, &config(&[&[&other]], 0), "b.env", "B=1\n");
    sandbox.write(".sops.yaml", config(&[&[&lead, &other]], 0));
    commit(&sandbox, "b");
    let before = all_files(&sandbox);
    let locked = recipients(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "--yes"]);
    assert_eq!(locked.code, 4, "{}", locked.stderr);
    assert!(locked.stderr.contains("cannot decrypt b.env"), "{}", locked.stderr);
    sandbox.write("b.env", sandbox.read("a.env").replacen("data:", "data:AA", 1));
    let tampered = recipients(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "--yes"]);
    assert_eq!(tampered.code, 5, "{}", tampered.stderr);
    fs::write(sandbox.path("b.env"), &before.iter().find(|(name, _)| name == "b.env").unwrap().1).unwrap();
    assert_eq!(all_files(&sandbox), before);
}

#[test]
fn without_a_rule_to_add_to_init_is_named() {
    let [lead, alice] = people(["lead", "alice"]);
    for text in [None, Some("stores: {}\n"), Some("creation_rules:\n  - path_regex: x\n")] {
        let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n")]) else { return };
        match text {
            Some(text) => drop(sandbox.write(".sops.yaml", text)),
            None => fs::remove_file(sandbox.path(".sops.yaml")).unwrap(),
        }
        let refused = recipients(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "--yes"]);
        assert_eq!(refused.code, 3, "{}", refused.stderr);
        assert!(refused.stderr.contains("`dotsops init`"), "{}", refused.stderr);
    }
}

#[test]
fn key_and_name_the_wrong_way_round_and_names_that_are_none_are_refused() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n")]) else { return };
    let before = all_files(&sandbox);
    for name in [alice.recipient.as_str(), "", "#a", "a\nb", &"x".repeat(101)] {
        let refused = recipients(&sandbox, &[&lead], &["add", name, &alice.recipient, "--yes"]);
        assert_eq!(refused.code, 2, "{name}: {}", refused.stderr);
    }
    assert_eq!(all_files(&sandbox), before);
}

#[test]
fn what_another_config_governs_is_left_alone_and_said() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n"), ("own/b.env", "B=1\n")]) else { return };
    sandbox.write("own/.sops.yaml", config(&[&[&lead]], 0));
    commit(&sandbox, "own");
    let before = sandbox.read("own/b.env");
    let added = done(&sandbox, &[&lead], &["add", "alice", &alice.recipient, "--yes"]);
    assert!(added.stderr.contains("own/b.env is left out"), "{}", added.stderr);
    assert_eq!(sandbox.read("own/b.env"), before);
    git(&sandbox, &["status"]);
}

#[test]
fn one_passphrase_is_asked_for_once_for_all_files() {
    const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/ssh/throwaway_ed25519_passphrase");
    let [alice, bob] = people(["alice", "bob"]);
    let public = fs::read_to_string(format!("{KEYS}.pub")).unwrap();
    let public = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let rules = format!("creation_rules:\n  - age:\n      - {public} # lead\n      - {} # bob\n", bob.recipient);
    let files: Vec<String> = (0..25).map(|number| format!("{number}.env")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|name| (name.as_str(), "A=1\n")).collect();
    let Some(sandbox) = repository(&rules, &files) else { return };
    fs::create_dir_all(sandbox.home().join(".ssh")).unwrap();
    fs::copy(KEYS, sandbox.home().join(".ssh/id_ed25519")).unwrap();
    for line in [&["add", "alice", &alice.recipient, "--yes"][..], &["remove", "bob", "--yes"]] {
        let mut terminal = Pty::run(&mut sandbox.dotsops([&["recipients"], line].concat()));
        terminal.wait_for("passphrase for ~/.ssh/id_ed25519: ");
        terminal.type_keys("throwaway\n");
        let (code, shown) = terminal.end();
        assert!(code == 0 && shown.matches("passphrase").count() == 1, "{shown}");
        assert!(shown.contains("of 25 files made") && shown.contains("of 26 files replaced"), "{shown}");
    }
    for (name, text) in files {
        assert_eq!(sandbox.run_as(&[&alice], &["decrypt", name]).stdout, text);
        assert_eq!(sandbox.run_as(&[&bob], &["decrypt", name]).code, 4);
    }
}
