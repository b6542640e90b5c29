//! `recipients remove`

use std::collections::HashSet;

use super::{all_files, commit, done, encrypt, git, read_by_sops, recipients, repository, tokens};
use crate::support::groups::{config, identities, people};
use crate::support::pty::Pty;
use crate::support::sops::Sops;

#[test]
fn whoever_is_put_out_reads_nothing_of_what_is_there_then() {
    let Some(sops) = Sops::find() else { return };
    let [lead, alice, ci] = people(["lead", "alice", "ci"]);
    let files = [("a.env", "# note\nA=1\nB=\nC=three\n"), ("sub/b.env", "A=1\n")];
    let rules = config(&[&[&lead, &alice, &ci]], 0);
    let Some(sandbox) = repository(&rules, &files) else { return };
    let before = all_files(&sandbox);
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    let shown = format!(
        "- {} (alice)\n  out of .sops.yaml, the rule on line 2 (for every path)\n  and so out of 2 files:\n  a.env\n  sub/b.env\n",
        alice.recipient
    );
    assert_eq!(removed.stdout, format!("{shown}a.env: A\na.env: C\nsub/b.env: A\n"));
    for said in ["alice could read these 3 values", "git's history still opens with the old key", "Change each at its source"] {
        assert!(removed.stderr.contains(said), "{said}: {}", removed.stderr);
    }
    assert_eq!(sandbox.read(".sops.yaml"), config(&[&[&lead, &ci]], 0));
    for (name, text) in files {
        assert_eq!(read_by_sops(&sops, &sandbox, &alice, name), None, "{name}");
        for person in [&lead, &ci] {
            assert_eq!(read_by_sops(&sops, &sandbox, person, name).as_deref(), Some(text), "{name}");
        }
        assert_eq!(sandbox.run_as(&[&ci], &["decrypt", name]).stdout, text, "{name}");
        // No token and no nonce of the old file is left.
        let old = String::from_utf8(before.iter().find(|(known, _)| known == name).unwrap().1.clone()).unwrap();
        let new = sandbox.read(name);
        let parts = |file: &str| -> HashSet<String> {
            tokens(file).iter().flat_map(|token| token.split(',')).filter(|part| part.len() > 20).map(str::to_owned).collect()
        };
        assert!(parts(&old).is_disjoint(&parts(&new)) && parts(&new).len() >= 5, "{name}");
        assert!(!new.contains(&alice.recipient), "{name}");
    }
    // The data key that alice may have kept opens nothing any more: what she had, wrapped for her, put into the new file.
    let kept = String::from_utf8(before.iter().find(|(name, _)| name == "sub/b.env").unwrap().1.clone()).unwrap();
    let is_wrap = |line: &&str| line.starts_with("sops_age");
    let new = sandbox.read("sub/b.env");
    let forged: Vec<&str> = new.lines().filter(|line| !is_wrap(line)).chain(kept.lines().filter(is_wrap)).collect();
    sandbox.write("sub/b.env", forged.join("\n") + "\n");
    assert_eq!(read_by_sops(&sops, &sandbox, &alice, "sub/b.env"), None);
    let again = recipients(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    assert!(again.stderr.contains("it names lead, ci"), "{}", again.stderr);
}

#[test]
fn nothing_changes_before_somebody_agreed_and_the_names_can_be_seen_before() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &[("a.env", "A=1\n")]) else { return };
    let before = all_files(&sandbox);
    let dry = done(&sandbox, &[&lead], &["remove", "alice", "--dry-run"]);
    assert!(dry.stdout.ends_with("  a.env\na.env: A\n"), "{}", dry.stdout);
    let refused = recipients(&sandbox, &[&lead], &["remove", "alice"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    for (answer, is_removed) in [("\r", false), ("yes\r", true)] {
        let mut command = sandbox.dotsops(["recipients", "remove", "alice"]);
        let mut terminal = Pty::run(command.env("SOPS_AGE_KEY", identities(&[&lead])));
        terminal.wait_for("Let alice read this file no more? [y/N]");
        assert_eq!(all_files(&sandbox), before);
        terminal.type_keys(answer);
        let (code, shown) = terminal.end();
        assert_eq!((code, all_files(&sandbox) != before), (0, is_removed), "{shown}");
    }
}

#[test]
fn all_keys_of_a_name_go_or_the_one_that_is_given() {
    let [lead, phone, laptop] = people(["lead", "alice", "alice"]);
    let rules = config(&[&[&lead, &phone, &laptop]], 0);
    let Some(sandbox) = repository(&rules, &[("a.env", "A=1\n")]) else { return };
    done(&sandbox, &[&lead], &["remove", &phone.recipient, "--yes"]);
    assert_eq!(sandbox.run_as(&[&phone], &["decrypt", "a.env"]).code, 4);
    assert_eq!(sandbox.run_as(&[&laptop], &["decrypt", "a.env"]).code, 0);
    encrypt(&sandbox, &rules, "a.env", "A=1\n");
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert!(removed.stdout.contains(&phone.recipient) && removed.stdout.contains(&laptop.recipient), "{}", removed.stdout);
    assert_eq!(sandbox.read(".sops.yaml"), config(&[&[&lead]], 0));
    assert_eq!(sandbox.run_as(&[&phone, &laptop], &["decrypt", "a.env"]).code, 4);
}

#[test]
fn of_several_rules_one_alone_can_be_meant() {
    let [lead, alice] = people(["lead", "alice"]);
    let keys = format!("\n      - {} # lead\n      - {} # alice\n", lead.recipient, alice.recipient);
    let rules = format!("creation_rules:\n  - path_regex: ^a\n    age:{keys}  - path_regex: ^b\n    age:{keys}");
    let Some(sandbox) = repository(&rules, &[("a.env", "A=1\n"), ("b.env", "B=1\n")]) else { return };
    let kept = sandbox.read("b.env");
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "-f", "a.env", "--yes"]);
    assert!(removed.stdout.ends_with("a.env: A\n") && !removed.stdout.contains("b.env"), "{}", removed.stdout);
    assert_eq!(sandbox.read("b.env"), kept);
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "a.env"]).code, 4);
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert!(removed.stdout.contains("the rule on line") && removed.stdout.ends_with("b.env: B\n"), "{}", removed.stdout);
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "b.env"]).code, 4);
    assert!(!sandbox.read(".sops.yaml").contains(&alice.recipient));
}

#[test]
fn the_last_one_and_oneself_stay_unless_that_is_meant() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &[("a.env", "A=1\n")]) else { return };
    let before = all_files(&sandbox);
    let oneself = recipients(&sandbox, &[&lead], &["remove", "lead", "--yes"]);
    assert_eq!(oneself.code, 6, "{}", oneself.stderr);
    assert!(oneself.stderr.contains("`--lock-myself-out`"), "{}", oneself.stderr);
    assert_eq!(all_files(&sandbox), before);
    done(&sandbox, &[&lead], &["remove", "lead", "--yes", "--lock-myself-out"]);
    assert_eq!(sandbox.run_as(&[&lead], &["decrypt", "a.env"]).code, 4);
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "a.env"]).stdout, "A=1\n");
    let before = all_files(&sandbox);
    let last = recipients(&sandbox, &[&alice], &["remove", "alice", "--yes", "--lock-myself-out"]);
    assert_eq!(last.code, 6, "{}", last.stderr);
    assert!(last.stderr.contains("the only one") && last.stderr.contains("recipients add"), "{}", last.stderr);
    assert_eq!(all_files(&sandbox), before);
}

#[test]
fn what_is_odd_about_a_file_keeps_nobody_in_and_gets_no_more_authentic() {
    let Some(sops) = Sops::find() else { return };
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &[("a.env", "A=1\nB=2\n")]) else { return };
    let good = sandbox.read("a.env");
    let twice = good.lines().find(|line| line.starts_with("A=")).unwrap();
    let odd: [(String, &[&str], i32); 5] = [
        (format!("CLEAR=canary\n{good}"), &["`CLEAR` stands in clear"], 5),
        (format!("A=canary\n{good}"), &["`A` stands more than once", "`A` stands in clear"], 5),
        (format!("# in clear\n{good}"), &[], 0),
        (format!("# x\rEVIL=1\n{good}"), &[], 0),
        (good.replacen("A=", &format!("{twice}\nA="), 1), &[], 5),
    ];
    for (number, (file, said, reads)) in odd.iter().enumerate() {
        sandbox.write("a.env", file);
        sandbox.write(".sops.yaml", config(&[&[&lead, &alice]], 0));
        let before = sandbox.run_as(&[&lead], &["decrypt", "a.env"]);
        assert_eq!(before.code, *reads, "{number}: {}", before.stderr);
        let removed = recipients(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
        // A line that was there once more makes the MAC wrong: that is no oddity but a file of somebody else's making.
        if number == 4 {
            assert_eq!(removed.code, 5, "{}", removed.stderr);
            continue;
        }
        assert_eq!(removed.code, 0, "{number}: {}", removed.stderr);
        for said in *said {
            assert!(removed.stderr.contains(said), "{number}: {}", removed.stderr);
        }
        assert!(!removed.stderr.contains("canary"), "{}", removed.stderr);
        let new = sandbox.read("a.env");
        assert!(!new.contains(&alice.recipient) && !new.contains(twice), "{number}");
        assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "a.env"]).code, 4, "{number}");
        // What was refused still is, and what nobody signed is as it was.
        let after = sandbox.run_as(&[&lead], &["decrypt", "a.env"]);
        assert_eq!((after.code, &after.stdout), (*reads, &before.stdout), "{number}: {}", after.stderr);
        let added = file.strip_suffix(good.as_str()).unwrap();
        let rest = new.strip_prefix(added).unwrap();
        sandbox.write("a.env", rest);
        assert_eq!(sandbox.run_as(&[&lead], &["decrypt", "a.env"]).stdout, "A=1\nB=2\n", "{number}");
        assert_eq!(read_by_sops(&sops, &sandbox, &lead, "a.env").as_deref(), Some("A=1\nB=2\n"), "{number}");
    }
}

#[test]
fn whoever_is_in_files_alone_is_put_out_of_those() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &[("a.env", "A=1\n"), ("other.env.txt", "B=1\n")]) else {
        return;
    };
    // Somebody took her out of the rules by hand, and no rule is for one of the files any more.
    let rules = config(&[&[&lead]], 0).replacen("  - age", "  - path_regex: a.env$\n    age", 1);
    sandbox.write(".sops.yaml", &rules);
    commit(&sandbox, "by hand");
    let unknown = recipients(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert_eq!(unknown.code, 1, "{}", unknown.stderr);
    let removed = done(&sandbox, &[&lead], &["remove", &alice.recipient, "--yes"]);
    assert!(removed.stdout.ends_with("a.env: A\nother.env.txt: B\n"), "{}", removed.stdout);
    assert_eq!(sandbox.read(".sops.yaml"), rules);
    for (name, text) in [("a.env", "A=1\n"), ("other.env.txt", "B=1\n")] {
        assert_eq!(sandbox.run_as(&[&alice], &["decrypt", name]).code, 4, "{name}");
        assert_eq!(sandbox.run_as(&[&lead], &["decrypt", name]).stdout, text, "{name}");
    }
}

#[test]
fn a_stranger_in_a_file_that_no_rule_is_for_gets_no_new_data_key_unasked() {
    let [lead, alice, stranger] = people(["lead", "alice", "stranger"]);
    let files = [("a.env", "A=1\n"), ("other.env.txt", "B=1\n")];
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &files) else { return };
    sandbox.write(".sops.yaml", config(&[&[&lead]], 0).replacen("  - age", "  - path_regex: a.env$\n    age", 1));
    // Anybody can write somebody into a file; a wrap that opens nothing does for that.
    let good = sandbox.read("other.env.txt");
    let forged = good.lines().filter(|line| line.starts_with("sops_age__list_0__"));
    let forged = forged.map(|line| line.replace("list_0", "list_2").replace(&lead.recipient, &stranger.recipient) + "\n");
    sandbox.write("other.env.txt", good.clone() + &forged.collect::<String>());
    commit(&sandbox, "by hand");
    let before = all_files(&sandbox);
    let remove = ["remove", &alice.recipient];
    let refused = recipients(&sandbox, &[&lead], &remove);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    let listed = |said: &str| {
        let line = said.lines().find(|line| line.contains("other.env.txt has recipients that no rule names"));
        line.is_some_and(|line| line.contains(&stranger.recipient) && !line.contains(&alice.recipient))
    };
    for said in ["other.env.txt is not changed: it has recipients that no rule names", "agree with --yes"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert!(listed(&refused.stderr) && !refused.stderr.contains("a.env has"), "{}", refused.stderr);
    assert_eq!(all_files(&sandbox), before);
    let dry = done(&sandbox, &[], &[&remove[..], &["--dry-run"]].concat());
    assert!(listed(&dry.stderr), "{}", dry.stderr);
    let mut command = sandbox.dotsops([&["recipients"], &remove[..]].concat());
    let mut terminal = Pty::run(command.env("SOPS_AGE_KEY", identities(&[&lead])));
    terminal.wait_for(&stranger.recipient);
    terminal.wait_for("From now on they could read what is written to other.env.txt. Go on? [y/N]");
    terminal.type_keys("\r");
    let (code, shown) = terminal.end();
    assert_eq!(code, 6, "{shown}");
    assert_eq!(all_files(&sandbox), before);
    let agreed = done(&sandbox, &[&lead], &[&remove[..], &["--yes"]].concat());
    assert!(listed(&agreed.stderr), "{}", agreed.stderr);
    assert_eq!(sandbox.run_as(&[&stranger], &["decrypt", "other.env.txt"]).stdout, "B=1\n");
    for (name, _) in files {
        assert_eq!(sandbox.run_as(&[&alice], &["decrypt", name]).code, 4, "{name}");
    }
}

#[test]
fn of_a_file_with_several_groups_the_person_leaves_each() {
    let Some(sops) = Sops::find() else { return };
    let [lead, bob, alice] = people(["lead", "bob", "alice"]);
    let rules = config(&[&[&lead, &alice], &[&bob, &alice]], 2);
    let Some(sandbox) = repository(&rules, &[("a.env", "A=1\n")]) else { return };
    done(&sandbox, &[&lead, &bob], &["remove", "alice", "--yes", "--lock-myself-out"]);
    assert_eq!(sandbox.read(".sops.yaml"), config(&[&[&lead], &[&bob]], 2));
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "a.env"]).code, 4);
    let both = sops.with_identities(&identities(&[&lead, &bob]));
    assert_eq!(both.decrypt(sandbox.read("a.env").as_bytes()).unwrap(), b"A=1\n");
}

#[test]
fn without_git_the_nearest_file_is_the_one() {
    let [lead, alice] = people(["lead", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &[("secrets.env", "A=1\n")]) else { return };
    std::fs::remove_dir_all(sandbox.path(".git")).unwrap();
    let removed = done(&sandbox, &[&lead], &["remove", "alice", "--yes", "--history"]);
    assert!(removed.stdout.ends_with("secrets.env: A (not committed)\n"), "{}", removed.stdout);
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "secrets.env"]).code, 4);
}

#[test]
fn a_file_that_is_not_theirs_to_open_keeps_all_as_they_are() {
    let [lead, other, alice] = people(["lead", "other", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &alice]], 0), &[("a.env", "A=1\n")]) else { return };
    encrypt(&sandbox, &config(&[&[&other, &alice]], 0), "b.env", "B=1\n");
    sandbox.write(".sops.yaml", config(&[&[&lead, &other, &alice]], 0));
    commit(&sandbox, "b");
    let before = all_files(&sandbox);
    let locked = recipients(&sandbox, &[&lead], &["remove", "alice", "--yes"]);
    assert_eq!(locked.code, 4, "{}", locked.stderr);
    assert!(locked.stderr.contains("b.env"), "{}", locked.stderr);
    assert_eq!(all_files(&sandbox), before);
    git(&sandbox, &["status"]);
}
