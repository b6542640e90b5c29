//! Whoever cannot open a file reads three lines: who can, what was tried and where that came from, and what a colleague must run.

use std::path::Path;

use crate::support::groups::{Person, config, identities, people};
use crate::support::sandbox::{Ended, Sandbox, ended};

const PLAINTEXT: &str = "A=canary\n";

/// A file for alice and bob.
fn for_alice_and_bob() -> (Sandbox, [Person; 3]) {
    let all = people(["alice", "bob", "carol"]);
    let [alice, bob, _] = &all;
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[alice, bob]], 0), "secrets.env", PLAINTEXT);
    (sandbox, all)
}

/// The command between backticks behind `run`.
fn command(said: &Ended) -> Vec<String> {
    let hint = said.stderr.lines().last().unwrap();
    let text = hint.split("to run `").nth(1).and_then(|rest| rest.split('`').next()).unwrap_or_else(|| panic!("{hint}"));
    shlex::split(text).unwrap()
}

fn carol_runs(sandbox: &Sandbox, carol: &Person, arguments: &[&str]) -> Ended {
    ended(sandbox.dotsops(arguments).env("SOPS_AGE_KEY", identities(&[carol])).env("USER", "carol"))
}

#[test]
fn every_verb_that_opens_files_says_who_can_what_was_tried_and_what_to_ask_for() {
    let (sandbox, [.., carol]) = for_alice_and_bob();
    sandbox.write("new.env", sandbox.read("secrets.env"));
    let verbs: [(&[&str], i32); 10] = [
        (&["decrypt", "secrets.env"], 4),
        (&["get", "-f", "secrets.env", "A"], 4),
        (&["exec", "-f", "secrets.env", "--", "true"], 125),
        (&["edit", "--allow-disk-plaintext", "--editor", "true", "secrets.env"], 4),
        (&["set", "-f", "secrets.env", "A", "b"], 4),
        (&["unset", "-f", "secrets.env", "A"], 4),
        (&["rename", "-f", "secrets.env", "A", "B"], 4),
        (&["generate", "-f", "secrets.env", "B"], 4),
        (&["rotate", "secrets.env"], 4),
        (&["groups", "add", "-i", "-f", "secrets.env", "--age", &carol.recipient], 4),
    ];
    for (arguments, code) in verbs {
        let said = carol_runs(&sandbox, &carol, arguments);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{arguments:?}: {}", said.stderr);
        let lines: Vec<&str> = said.stderr.lines().filter(|line| !line.contains(": warning: ")).collect();
        let [error, cause, hint] = lines.as_slice() else { panic!("{arguments:?}: {}", said.stderr) };
        assert_eq!(*error, "dotsops: error: cannot decrypt secrets.env: none of your identities is a recipient");
        for name in ["(alice)", "(bob)"] {
            assert!(cause.contains(name), "{cause}");
        }
        assert!(cause.ends_with(&format!("tried 1 identity: {}… from SOPS_AGE_KEY", &carol.recipient[..24])), "{cause}");
        let asked = format!("ask alice or bob to run `dotsops recipients add -f secrets.env carol {}`", carol.recipient);
        assert_eq!(*hint, format!("dotsops: hint: {asked}"), "{arguments:?}");
    }
}

#[test]
fn where_no_rule_is_for_the_file_the_command_works_when_a_colleague_pastes_it() {
    let (sandbox, [alice, _, carol]) = for_alice_and_bob();
    std::fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    let said = carol_runs(&sandbox, &carol, &["decrypt", "secrets.env"]);
    let words = command(&said);
    assert_eq!(words[..2], ["dotsops", "rotate"], "{words:?}");
    let run = sandbox.run_as(&[&alice], &words[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(carol_runs(&sandbox, &carol, &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
}

#[test]
fn who_is_in_the_rule_already_asks_for_nothing_but_that_the_file_follows_it() {
    let (sandbox, [alice, bob, carol]) = for_alice_and_bob();
    sandbox.write(".sops.yaml", config(&[&[&alice, &bob, &carol]], 0));
    let said = carol_runs(&sandbox, &carol, &["decrypt", "secrets.env"]);
    let words = command(&said);
    assert_eq!(words, ["dotsops", "updatekeys", "secrets.env"]);
    assert_eq!(sandbox.run_as(&[&bob], &["updatekeys", "--yes", "secrets.env"]).code, 0);
    assert_eq!(carol_runs(&sandbox, &carol, &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
}

#[test]
fn each_identity_is_named_with_the_place_it_came_from() {
    let (sandbox, [.., carol]) = for_alice_and_bob();
    let [dave] = people(["dave"]);
    std::fs::create_dir_all(sandbox.home().join(".ssh")).unwrap();
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ssh/throwaway_ed25519");
    std::fs::copy(&key, sandbox.home().join(".ssh/id_ed25519")).unwrap();
    sandbox.write("dave.txt", &dave.identity);
    let mut decrypt = sandbox.dotsops(["decrypt", "secrets.env"]);
    decrypt.env("SOPS_AGE_KEY", identities(&[&carol])).env("SOPS_AGE_KEY_FILE", "dave.txt");
    let said = ended(&mut decrypt).stderr;
    let cause = said.lines().nth(1).unwrap();
    for part in [
        "tried 3 identities: ssh-ed25519 …",
        " from ~/.ssh/id_ed25519",
        &format!("{}… from SOPS_AGE_KEY, ", &carol.recipient[..24]),
        &format!("{}… from SOPS_AGE_KEY_FILE (dave.txt)", &dave.recipient[..24]),
    ] {
        assert!(cause.contains(part), "`{part}` is not in {cause}");
    }
}

#[test]
fn a_key_too_long_for_a_line_is_sent_as_a_file_and_an_ssh_key_stands_in_quotes() {
    let (sandbox, _) = for_alice_and_bob();
    std::fs::create_dir_all(sandbox.home().join(".ssh")).unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ssh");
    std::fs::copy(vectors.join("throwaway_ed25519"), sandbox.home().join(".ssh/id_ed25519")).unwrap();
    let words = command(&sandbox.run(&["decrypt", "secrets.env"]));
    assert_eq!(words[..6], ["dotsops", "recipients", "add", "-f", "secrets.env", "YOUR_NAME"]);
    let public = std::fs::read_to_string(vectors.join("throwaway_ed25519.pub")).unwrap();
    assert!(public.starts_with(&words[6]) && words.len() == 7, "{words:?}");

    std::fs::remove_file(sandbox.home().join(".ssh/id_ed25519")).unwrap();
    std::fs::copy(vectors.join("throwaway_rsa_3072"), sandbox.home().join(".ssh/id_rsa")).unwrap();
    let said = sandbox.run(&["decrypt", "secrets.env"]).stderr;
    let hint = said.lines().last().unwrap();
    assert!(hint.contains("send ~/.ssh/id_rsa.pub to alice or bob, who runs `dotsops recipients add"), "{hint}");
    assert!(hint.len() < 300, "{hint}");
}

#[test]
fn who_has_no_identity_makes_one_first_and_who_is_in_no_group_asks_for_one() {
    let (sandbox, [alice, bob, carol]) = for_alice_and_bob();
    let said = sandbox.run(&["decrypt", "secrets.env"]).stderr;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[1].contains("you have no identity (looked in "), "{said}");
    let next =
        "`dotsops keygen` makes you an identity and prints its public key; then ask alice or bob to run `dotsops recipients add";
    assert!(lines[2].contains(next), "{said}");

    sandbox.encrypted_under(&config(&[&[&alice], &[&bob]], 0), "both.env", PLAINTEXT);
    let words = command(&carol_runs(&sandbox, &carol, &["decrypt", "both.env"]));
    let start = ["dotsops", "recipients", "add", "-f", "both.env", "--group", "0", "carol"];
    assert_eq!(words[..8], start);
}
