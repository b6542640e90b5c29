//! The main job by the program itself: encrypt, list, run, edit, decrypt.

use crate::support::sandbox::{Sandbox, ended};

const PLAINTEXT: &str = "# database\nDATABASE_URL=\"postgres://u:p@h/db\" # main\n\nexport API_KEY='a b'\nEMPTY=\n";

#[test]
fn what_is_encrypted_decrypts_to_the_same_bytes() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", PLAINTEXT);
    let encrypted = sandbox.read("secrets.env");
    assert!(!encrypted.contains("postgres") && !encrypted.contains("database") && !encrypted.contains("a b"));
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, PLAINTEXT);
}

#[test]
fn a_program_gets_what_python_dotenv_would_give_it() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", PLAINTEXT);
    let ended = sandbox.run(&["exec", "--", "sh", "-c", "printf '%s|%s|%s' \"$DATABASE_URL\" \"$API_KEY\" \"${EMPTY-unset}\""]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "postgres://u:p@h/db|a b|"));
}

#[test]
fn names_are_listed_without_any_key() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", PLAINTEXT);
    let mut command = sandbox.dotsops(["keys", "secrets.env"]);
    command.env("HOME", sandbox.root().join("nobody"));
    assert_eq!(ended(&mut command).stdout, "DATABASE_URL\nAPI_KEY\nEMPTY\n");
}

#[test]
fn encrypting_again_does_nothing_and_a_value_added_in_clear_is_refused() {
    for rule in ["--encrypted-regex=^A", "--encrypted-comment-regex=secret"] {
        let sandbox = Sandbox::with_identity();
        sandbox.write("plain.env", "# secret\nA=hunter2\nB=open\n");
        let ended = sandbox.run(&["encrypt", rule, "--allow-plaintext", "*", "-o", "secrets.env", "plain.env"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let encrypted = sandbox.read("secrets.env");
        let ended = sandbox.run(&["encrypt", "secrets.env"]);
        assert_eq!((ended.code, &ended.stdout), (0, &encrypted), "{}", ended.stderr);

        sandbox.write("secrets.env", format!("# secret\nAPI_KEY=hunter3\n{encrypted}"));
        let ended = sandbox.run(&["encrypt", "-i", "secrets.env"]);
        assert_eq!(ended.code, 6, "{rule}: {}", ended.stderr);
        assert!(ended.stderr.contains("API_KEY") && !ended.stderr.contains("hunter3"), "{}", ended.stderr);
    }
}

#[test]
fn a_comment_whose_token_would_be_taken_for_a_marker_is_refused_and_the_edit_kept() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("plain.env", "A=hunter2\n");
    let rule = "--unencrypted-comment-regex=^ENC";
    assert_eq!(sandbox.run(&["encrypt", rule, "-o", "secrets.env", "plain.env"]).code, 0);
    let prepared = sandbox.write("prepared.env", "# note\nA=hunter2\n");
    for arguments in [
        ["encrypt", rule, prepared.to_str().unwrap()].as_slice(),
        &["edit", "--editor", &format!("cp {}", prepared.display()), "secrets.env"],
    ] {
        let ended = sandbox.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains("unencrypted_comment_regex"), "{}", ended.stderr);
    }
    assert!(sandbox.run(&["edit", "--editor", "true", "secrets.env"]).stderr.contains("--resume"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::with_identity();
    let plaintext: String = (0..5_000).map(|number| format!("NAME_{number}=1\n")).collect();
    sandbox.encrypted("secrets.env", &plaintext);
    let line = format!("'{}' keys secrets.env | head -n 1", env!("CARGO_BIN_EXE_dotsops"));
    let done = ended(sandbox.program(std::path::Path::new("/bin/sh")).args(["-c", &line]));
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "NAME_0\n", ""));
}
