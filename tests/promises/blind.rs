//! Encrypting to people none of whom is oneself.

use crate::support::sandbox::{RECIPIENT, STRANGER, Sandbox, ended};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=canary\n");
    sandbox
}

#[test]
fn it_is_refused_unless_it_is_meant() {
    let sandbox = sandbox();
    for more in [&["-o", "s.env"][..], &["-i"], &[]] {
        let arguments: Vec<&str> = ["encrypt", "--age", STRANGER, "p.env"].iter().chain(more).copied().collect();
        let refused = sandbox.run(&arguments);
        assert_eq!((refused.code, refused.stdout.as_str()), (6, ""), "{}", refused.stderr);
        assert!(refused.stderr.contains("--blind") && refused.stderr.contains(&STRANGER[..20]), "{}", refused.stderr);
        assert!(!sandbox.path("s.env").exists() && sandbox.read("p.env") == "A=canary\n");
    }
}

#[test]
fn with_the_option_it_works_and_says_that_one_cannot_read_it() {
    let sandbox = sandbox();
    let made = sandbox.run(&["encrypt", "--blind", "--age", STRANGER, "-o", "s.env", "p.env"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("you will not be able to read"), "{}", made.stderr);
    assert_eq!(sandbox.run(&["decrypt", "s.env"]).code, 4);
    let own = sandbox.run(&["encrypt", "--blind", "--age", &format!("{STRANGER},{RECIPIENT}"), "p.env"]);
    assert_eq!((own.code, own.stderr.as_str()), (0, ""), "nothing to say about a file that one can read");
}

#[test]
fn a_machine_without_identities_encrypts_with_a_warning_as_long_as_the_plaintext_stays() {
    let sandbox = Sandbox::empty();
    sandbox.write("p.env", "A=canary\n");
    let made = sandbox.run(&["encrypt", "--age", STRANGER, "-o", "s.env", "p.env"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("you have no identity"), "{}", made.stderr);
    let refused = sandbox.run(&["encrypt", "--age", STRANGER, "-i", "p.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_eq!(sandbox.read("p.env"), "A=canary\n");
    assert_eq!(sandbox.run(&["encrypt", "--blind", "--age", STRANGER, "-i", "p.env"]).code, 0);
}

#[test]
fn an_identity_behind_a_passphrase_may_be_a_recipient() {
    let sandbox = Sandbox::empty();
    sandbox.write("p.env", "A=canary\n");
    std::fs::create_dir_all(sandbox.home().join(".ssh")).unwrap();
    let key = include_str!("../vectors/ssh/throwaway_ed25519_passphrase");
    std::fs::write(sandbox.home().join(".ssh/id_ed25519"), key).unwrap();
    let public = include_str!("../vectors/ssh/throwaway_ed25519_passphrase.pub").trim_end();
    let made = sandbox.run(&["encrypt", "--age", public, "-i", "p.env"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
}

#[test]
fn an_edit_never_goes_blind_for_its_draft_could_not_be_opened() {
    let sandbox = sandbox();
    let mut command = sandbox.dotsops(["edit", "--age", STRANGER, "--editor", "touch ran", "new.env"]);
    let refused = ended(&mut command);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("encrypt --blind -o new.env"), "{}", refused.stderr);
    assert!(!sandbox.path("new.env").exists() && !sandbox.path("ran").exists());
}
