//! Files that do not follow their rule, and what changes while somebody is asked.

use super::{all_files, done, encrypt, recipients, repository};
use crate::support::groups::{Person, config, identities, people};
use crate::support::pty::Pty;
use crate::support::sandbox::Sandbox;
use crate::support::sops::Sops;

#[test]
fn strictly_a_file_that_does_not_follow_its_rule_is_refused_by_both() {
    let [lead, bob, stranger, alice] = people(["lead", "bob", "stranger", "alice"]);
    let Some(sandbox) = repository(&config(&[&[&lead, &bob, &stranger]], 0), &[("a.env", "A=1\n")]) else { return };
    sandbox.write(".sops.yaml", config(&[&[&lead, &bob]], 0));
    let before = all_files(&sandbox);
    let both = [&["add", "alice", &alice.recipient, "--yes"][..], &["remove", "bob", "--yes"]];
    for arguments in both {
        let strictly = [&["--strict", "recipients"], arguments].concat();
        let refused = sandbox.run_as(&[&lead], &strictly);
        assert_eq!(refused.code, 6, "{arguments:?}: {}", refused.stderr);
        for said in ["made to follow it now: a.env: goes out: ", &stranger.recipient[..24], "--strict"] {
            assert!(refused.stderr.contains(said), "{arguments:?}: {}", refused.stderr);
        }
        assert!(!refused.stderr.contains("dotsops: warning"), "{arguments:?}: {}", refused.stderr);
        assert_eq!(all_files(&sandbox), before, "{arguments:?}");
    }
    encrypt(&sandbox, &config(&[&[&lead, &bob]], 0), "a.env", "A=1\n");
    for arguments in both {
        let passes = sandbox.run_as(&[&lead], &[&["--strict", "recipients"], arguments].concat());
        assert_eq!(passes.code, 0, "{arguments:?}: {}", passes.stderr);
    }
    assert_eq!(sandbox.run_as(&[&alice], &["decrypt", "a.env"]).stdout, "A=1\n");
    assert_eq!(sandbox.run_as(&[&bob], &["decrypt", "a.env"]).code, 4);
}

#[test]
fn groups_and_how_many_are_needed_follow_the_rule_and_that_is_said_before() {
    let Some(sops) = Sops::find() else { return };
    let [lead, bob, ci, stranger, carol, alice] = people(["lead", "bob", "ci", "stranger", "carol", "alice"]);
    let holders = [&lead, &bob, &ci];
    let opens = |sandbox: &Sandbox, people: &[&Person]| {
        let sops = sops.another().with_identities(&identities(people));
        sops.decrypt(sandbox.read("a.env").as_bytes()).is_ok()
    };
    let old = config(&[&[&lead, &stranger], &[&bob, &alice], &[&ci]], 3);
    let Some(sandbox) = repository(&old, &[("a.env", "A=1\n")]) else { return };
    let moved = |verb: &[&str], rules: &str, said: &[&str]| {
        sandbox.write(".sops.yaml", rules);
        let refused = recipients(&sandbox, &holders, verb);
        assert_eq!(refused.code, 6, "{}", refused.stderr);
        let agreed = done(&sandbox, &holders, &[verb, &["--yes"]].concat());
        for said in said {
            assert!(refused.stderr.contains(said) && agreed.stderr.contains(said), "{said}: {}", agreed.stderr);
        }
    };
    let comes = format!("comes in: {}… (carol)", &carol.recipient[..24]);
    let goes = format!("goes out: {}…", &stranger.recipient[..24]);
    let fewer = "key groups needed: 2 instead of 3";
    moved(&["remove", "alice"], &config(&[&[&lead], &[&bob, &alice, &carol], &[&ci]], 2), &[&comes, &goes, fewer]);
    assert!(opens(&sandbox, &[&carol, &ci]) && opens(&sandbox, &[&lead, &bob]));
    assert!(![&[&stranger, &ci][..], &[&alice, &ci], &[&carol, &bob]].iter().any(|people| opens(&sandbox, people)));

    encrypt(&sandbox, &old.replace(&format!("          - {} # alice\n", alice.recipient), ""), "a.env", "A=1\n");
    let rules = config(&[&[&lead], &[&bob, &carol], &[&ci]], 2);
    moved(&["add", "alice", &alice.recipient, "--group", "2"], &rules, &[&comes, &goes, fewer]);
    assert!(opens(&sandbox, &[&alice, &carol]) && opens(&sandbox, &[&alice, &lead]));
    assert!(![&[&alice, &ci][..], &[&stranger, &alice]].iter().any(|people| opens(&sandbox, people)));
}

#[test]
fn what_somebody_changes_while_the_question_is_open_is_not_overwritten() {
    let [lead, bob, alice] = people(["lead", "bob", "alice"]);
    let rules = config(&[&[&lead, &bob]], 0);
    for arguments in [&["recipients", "add", "alice", &alice.recipient][..], &["recipients", "remove", "bob"]] {
        for changed in [".sops.yaml", "b.env"] {
            let Some(sandbox) = repository(&rules, &[("a.env", "A=1\n"), ("b.env", "B=1\n")]) else { return };
            let mut command = sandbox.dotsops(arguments);
            let mut terminal = Pty::run(command.env("SOPS_AGE_KEY", identities(&[&lead])));
            terminal.wait_for("[y/N]");
            match changed {
                "b.env" => encrypt(&sandbox, &rules, "b.env", "B=theirs\n"),
                config => drop(sandbox.write(config, format!("{rules}# theirs\n"))),
            }
            let before = all_files(&sandbox);
            terminal.type_keys("y\r");
            let (code, shown) = terminal.end();
            assert_eq!(code, 6, "{arguments:?}, {changed}: {shown}");
            assert!(shown.contains(changed), "{arguments:?}, {changed}: {shown}");
            assert_eq!(all_files(&sandbox), before, "{arguments:?}, {changed}");
            // Nothing is left of it that the next command would finish.
            assert_eq!(sandbox.run_as(&[&lead], &["rotate", "--yes", "a.env"]).code, 0);
            let others =
                |files: Vec<(String, Vec<u8>)>| -> Vec<_> { files.into_iter().filter(|(name, _)| name != "a.env").collect() };
            assert_eq!(others(all_files(&sandbox)), others(before), "{arguments:?}, {changed}");
        }
    }
}
