//! Post-quantum keys as a user meets them: made, used, and warned about where classic ones undo them.

use crate::support::sandbox::{RECIPIENT, STRANGER, Sandbox};

const WARNING: &str = "dotsops: warning: this is not post-quantum safe: beside post-quantum recipients there are classic ones, which a \
                       quantum computer would open: ";
const PLAINTEXT: &str = "API_KEY=s3cret\n";

/// A sandbox whose user made a post-quantum identity; and its public key.
fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::empty();
    let made = sandbox.run(&["keygen", "--pq", "--quiet"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    let recipient = made.stdout.trim().to_owned();
    assert!(recipient.starts_with("age1pq1") && recipient.len() == 1959, "{recipient}");
    (sandbox, recipient)
}

fn rule(sandbox: &Sandbox, recipients: &[&str]) {
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {}\n", recipients.join(",")));
}

#[test]
fn a_post_quantum_identity_works_from_the_place_where_keygen_puts_it() {
    let (sandbox, recipient) = sandbox();
    rule(&sandbox, &[&recipient]);
    sandbox.write("plain.env", PLAINTEXT);
    let encrypted = sandbox.run(&["encrypt", "-o", "secrets.env", "plain.env"]);
    assert_eq!((encrypted.code, encrypted.stderr.as_str()), (0, ""));
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    assert_eq!(sandbox.run(&["exec", "-f", "secrets.env", "--", "printenv", "API_KEY"]).stdout, "s3cret\n");
    let again = sandbox.run(&["keygen", "--pq"]);
    assert_eq!(again.code, 6, "{}", again.stderr);
}

#[test]
fn encrypt_edit_and_init_warn_of_a_file_for_post_quantum_and_classic_recipients() {
    let (sandbox, recipient) = sandbox();
    rule(&sandbox, &[&recipient, RECIPIENT, STRANGER]);
    let warning = format!("{WARNING}{}…, {}…\n", &RECIPIENT[..24], &STRANGER[..24]);

    sandbox.write("plain.env", PLAINTEXT);
    let encrypted = sandbox.run(&["encrypt", "-o", "one.env", "plain.env"]);
    assert_eq!((encrypted.code, encrypted.stderr), (0, warning.clone()));
    assert_eq!(sandbox.run(&["decrypt", "one.env"]).stdout, PLAINTEXT);
    assert_eq!(sandbox.run(&["encrypt", "--quiet", "-o", "two.env", "plain.env"]).stderr, "");
    let named = format!("{recipient},{STRANGER}");
    let encrypted = sandbox.run(&["encrypt", "--age", &named, "-o", "three.env", "plain.env"]);
    assert_eq!(encrypted.stderr, format!("{WARNING}{}…\n", &STRANGER[..24]));

    let edited = sandbox.run(&["edit", "--editor", "cp plain.env", "new.env"]);
    assert!(edited.stderr.contains(&warning), "{}", edited.stderr);
    let edited = sandbox.run(&["edit", "--editor", "true", "one.env"]);
    assert!(!edited.stderr.contains(WARNING), "a file that exists was decided about: {}", edited.stderr);

    sandbox.write(".env", PLAINTEXT);
    let ready = sandbox.run(&["init", "--yes", "four.env"]);
    assert_eq!((ready.code, ready.stderr.contains(&warning)), (0, true), "{}", ready.stderr);
}

#[test]
fn nobody_is_warned_of_recipients_of_one_sort() {
    let (sandbox, recipient) = sandbox();
    sandbox.write("plain.env", PLAINTEXT);
    let other = sandbox.run(&["keygen", "--pq", "--quiet", "-o", "other.txt"]).stdout;
    for recipients in [format!("{recipient},{}", other.trim()), format!("{RECIPIENT},{STRANGER}")] {
        let encrypted = sandbox.run(&["encrypt", "--blind", "--age", &recipients, "plain.env"]);
        assert_eq!(encrypted.code, 0);
        assert!(!encrypted.stderr.contains(WARNING), "{}", encrypted.stderr);
    }
}

#[test]
fn a_file_that_stays_shut_names_long_keys_by_their_beginning() {
    let (sandbox, recipient) = sandbox();
    let encrypted = sandbox.run(&["keygen", "--pq", "--quiet", "-o", "other.txt"]);
    sandbox.write("plain.env", PLAINTEXT);
    sandbox.run(&["encrypt", "--blind", "--age", encrypted.stdout.trim(), "-o", "secrets.env", "plain.env"]);
    let refused = sandbox.run(&["decrypt", "secrets.env"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.lines().all(|line| line.len() < 300), "{}", refused.stderr);
    assert!(refused.stderr.contains(&recipient[..20]), "{}", refused.stderr);
}

#[test]
fn rotate_updatekeys_and_groups_warn_as_well() {
    let (sandbox, recipient) = sandbox();
    rule(&sandbox, &[RECIPIENT, &recipient]);
    sandbox.write("plain.env", PLAINTEXT);
    let pure = ["encrypt", "--age", &recipient, "--force", "-o", "secrets.env", "plain.env"];
    let weak = format!("{}…", &RECIPIENT[..24]);
    for arguments in [
        &["rotate", "--add-age", RECIPIENT, "secrets.env"][..],
        &["updatekeys", "--yes", "secrets.env"],
        &["groups", "add", "-i", "--age", RECIPIENT, "--threshold", "2", "-f", "secrets.env"],
    ] {
        assert_eq!(sandbox.run(&pure).stderr, "");
        let ended = sandbox.run(arguments);
        let is_warned = ended.stderr.contains(WARNING) && ended.stderr.contains(&weak);
        // Of two groups that are both needed, one that a quantum computer cannot open is enough.
        assert_eq!(is_warned, arguments[0] != "groups", "{arguments:?}: {}", ended.stderr);
    }
}
