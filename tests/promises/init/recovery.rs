//! A recovery key: offered once, handed over once, never in the repository.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;

use super::{everything_below, git, repository};
use crate::support::groups::{config, identities, people};
use crate::support::leaks::leaks;
use crate::support::pty::Pty;
use crate::support::sandbox::{RECIPIENT, Sandbox, ended};

const PRIVATE: &str = "AGE-SECRET-KEY-1";
const OFFER: &str = "a recovery key to be kept offline? [y/N] ";
const PLACE: &str = "(nothing: show it here, once): ";

/// `init` on a terminal, up to the offer.
fn offered(sandbox: &Sandbox) -> Pty {
    let mut terminal = Pty::run(&mut sandbox.dotsops(["init"]));
    terminal.wait_for(OFFER);
    terminal
}

/// The recipient that the new rule calls `recovery`.
fn recovery_recipient(sandbox: &Sandbox) -> String {
    let rules = sandbox.read(".sops.yaml");
    let line = rules.lines().find(|line| line.ends_with(" # recovery")).unwrap_or_else(|| panic!("{rules}"));
    line.trim_start_matches([' ', '-']).split(' ').next().unwrap().to_owned()
}

#[test]
fn a_recovery_key_is_written_where_the_user_says_and_opens_what_is_encrypted_later() {
    let Some(sandbox) = repository() else { return };
    let stick = sandbox.root().join("stick");
    fs::create_dir(&stick).unwrap();
    let mut terminal = offered(&sandbox);
    terminal.type_keys("y\n");
    for wrong in ["inside.txt", "no/folder/yet.txt"] {
        terminal.wait_for(PLACE);
        terminal.type_keys(&format!("{wrong}\n"));
        terminal.wait_for("where it must never be");
    }
    terminal.wait_for(PLACE);
    terminal.type_keys("../stick/recovery.txt\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains(PRIVATE), "{shown}");
    let file = stick.join("recovery.txt");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&recovery_recipient(&sandbox)) && shown.contains("../stick/recovery.txt"), "{shown}");

    sandbox.encrypted("secrets.env", "A=1\n");
    fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
    let mut decrypt = sandbox.dotsops(["decrypt", "secrets.env"]);
    assert_eq!(ended(decrypt.env("SOPS_AGE_KEY_FILE", &file)).stdout, "A=1\n");
    let found = leaks(&[sandbox.root()], &[PRIVATE], UNIX_EPOCH);
    assert!(found.iter().all(|leak| leak.contains("stick/recovery.txt")), "{found:?}");
}

#[test]
fn a_recovery_key_can_be_shown_instead_once_and_is_then_nowhere() {
    let Some(sandbox) = repository() else { return };
    let mut terminal = offered(&sandbox);
    terminal.type_keys("yes\n");
    terminal.wait_for(PLACE);
    terminal.type_keys("\n");
    terminal.wait_for("Press Enter when you have it: ");
    assert!(!sandbox.path(".sops.yaml").exists(), "nothing counts on it before somebody has it");
    terminal.type_keys("\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches(PRIVATE).count(), 1, "{shown}");
    let identity = shown.split_whitespace().find(|word| word.starts_with(PRIVATE)).unwrap();
    sandbox.encrypted("secrets.env", "A=1\n");
    let mut decrypt = sandbox.dotsops(["decrypt", "secrets.env"]);
    let decrypt = ended(decrypt.env("HOME", sandbox.root().join("nobody")).env("SOPS_AGE_KEY", identity));
    assert_eq!(decrypt.stdout, "A=1\n", "{}", decrypt.stderr);
    let found = leaks(&[sandbox.root()], &[identity], UNIX_EPOCH);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn whoever_does_not_keep_it_has_no_rule_with_it_and_can_begin_again() {
    let Some(sandbox) = repository() else { return };
    for place in [PLACE, "Press Enter when you have it: "] {
        let mut terminal = offered(&sandbox);
        terminal.type_keys("y\n");
        terminal.wait_for(PLACE);
        if place != PLACE {
            terminal.type_keys("\n");
            terminal.wait_for(place);
        }
        terminal.type_keys("\u{4}");
        let (code, shown) = terminal.end();
        assert_eq!(code, 6, "{shown}");
        assert!(shown.contains("was not kept") && !sandbox.path(".sops.yaml").exists(), "{shown}");
    }
    let terminal = offered(&sandbox);
    terminal.type_keys("\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!sandbox.read(".sops.yaml").contains("recovery") && shown.contains("dotsops recipients add recovery"), "{shown}");
}

#[test]
fn a_public_key_is_taken_where_nobody_can_be_asked_and_only_for_new_rules() {
    let Some(sandbox) = repository() else { return };
    for (key, says) in [("AGE-SECRET-KEY-1QQQQ", "private key"), ("age1nonsense", "age public key"), ("", "age public key")] {
        let refused = sandbox.run(&["init", "--recovery", key]);
        assert_eq!(refused.code, 2, "{key}: {}", refused.stderr);
        assert!(refused.stderr.contains(says) && !refused.stderr.contains("1QQQQ"), "{}", refused.stderr);
        assert!(!sandbox.path(".sops.yaml").exists());
    }
    let made = sandbox.run(&["init", "--recovery", RECIPIENT]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(recovery_recipient(&sandbox), RECIPIENT);
    let before = everything_below(sandbox.root());
    let again = sandbox.run(&["init", "--recovery", RECIPIENT]);
    assert_eq!((again.code, everything_below(sandbox.root()) == before), (0, true), "{}", again.stderr);
    let [other] = people(["other"]);
    let late = sandbox.run(&["init", "--recovery", &other.recipient]);
    assert_eq!(late.code, 6, "{}", late.stderr);
    assert!(late.stderr.contains("dotsops recipients add recovery"), "{}", late.stderr);

    std::fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    let own = sandbox.run(&["keygen", "-o", "../own.txt"]).stdout;
    let mut init = sandbox.dotsops(["init", "--recovery", own.trim()]);
    let refused = ended(init.env("HOME", sandbox.root().join("new")).env("SOPS_AGE_KEY_FILE", "../own.txt"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("your own key"), "{}", refused.stderr);
}

#[test]
fn who_comes_later_is_told_whom_to_ask_for_what() {
    let Some(sandbox) = repository() else { return };
    let [alice, bob] = people(["alice", "bob"]);
    sandbox.write(".sops.yaml", config(&[&[&alice]], 0));
    git(&sandbox, &["add", "-A"]);
    let mut init = sandbox.dotsops(["init"]);
    let told = ended(init.env("SOPS_AGE_KEY", identities(&[&bob])).env("USER", "bob"));
    assert_eq!(told.code, 0, "{}", told.stderr);
    let expected = format!(
        "to do: the rule does not name you yet: ask alice to run `dotsops recipients add -f secrets.env bob {}`\n",
        bob.recipient
    );
    assert!(told.stdout.contains(&expected), "{}", told.stdout);
    let mut init = sandbox.dotsops(["init"]);
    assert!(!ended(init.env("SOPS_AGE_KEY", identities(&[&alice]))).stdout.contains("does not name you"));
}
