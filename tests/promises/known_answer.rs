//! A file that sops wrote, whose every byte is known: read, refused once changed, and kept as it is.

use dotsops::document::{DecryptError, EncryptedDocument, OpenError};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;

use crate::support::document::{copy_of, decrypted, keyring, lines, open, text_of};
use crate::support::sandbox::Sandbox;
use time::UtcDateTime;

const FILE: &str = include_str!("../vectors/known_answer.env");
const PLAINTEXT: &str = "# demo\nURL=https://x/?a=b\nPEM=one\\ntwo\nEMPTY=\nMODE_unencrypted=dev\n";

#[test]
fn the_library_and_the_program_read_it() {
    assert_eq!(String::from_utf8(decrypted(FILE.as_bytes(), &keyring()).unwrap()).unwrap(), PLAINTEXT);
    let sandbox = Sandbox::with_identity();
    sandbox.write("secrets.env", FILE);
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    assert_eq!(
        sandbox.run(&["exec", "--", "sh", "-c", "printf '%s|%s' \"$URL\" \"$MODE_unencrypted\""]).stdout,
        "https://x/?a=b|dev"
    );
}

#[test]
fn a_changed_value_in_clear_is_not_authentic() {
    let changed = FILE.replace("MODE_unencrypted=dev", "MODE_unencrypted=prod");
    let document = EncryptedDocument::new(Dotenv.parse(changed.as_bytes()).unwrap()).ok().unwrap();
    assert!(matches!(document.open(&keyring()).err(), Some(OpenError::Decrypt(DecryptError::MacMismatch))));

    let sandbox = Sandbox::with_identity();
    sandbox.write("secrets.env", &changed);
    for arguments in [["decrypt", "secrets.env"].as_slice(), &["edit", "--editor", "true", "secrets.env"]] {
        let ended = sandbox.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (5, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains("MAC does not match"), "{}", ended.stderr);
    }
    assert_eq!(sandbox.run(&["exec", "--", "true"]).code, 125);
    assert_eq!(sandbox.read("secrets.env"), changed);
}

#[test]
fn a_comment_whose_token_is_relabelled_is_refused_and_one_that_does_not_open_is_kept() {
    let file = FILE.replacen(",type:comment]", ",type:str]", 1);
    let document = EncryptedDocument::new(Dotenv.parse(file.as_bytes()).unwrap()).ok().unwrap();
    assert!(matches!(document.open(&keyring()).err(), Some(OpenError::Decrypt(DecryptError::ValueAsComment))));

    let other = FILE.replacen("#ENC[AES256_GCM,data:S", "#ENC[AES256_GCM,data:T", 1);
    for first in ["# by hand", other.lines().next().unwrap()] {
        let file = FILE.replacen(FILE.lines().next().unwrap(), first, 1);
        let document = open(file.as_bytes(), &keyring()).unwrap();
        assert_eq!(document.clear_comments, 1);
        let plaintext = PLAINTEXT.replacen("# demo", first, 1);
        assert_eq!(decrypted(file.as_bytes(), &keyring()).unwrap(), plaintext.as_bytes());
    }
}

/// As in sops; nothing but a text can be a MAC.
#[test]
fn a_mac_whose_token_is_relabelled_is_refused() {
    let (before, mac) = FILE.split_once("sops_mac=").unwrap();
    let relabelled = format!("{before}sops_mac={}", mac.replacen("type:str", "type:int", 1));
    let sandbox = Sandbox::with_identity();
    sandbox.write("s.env", relabelled);
    let ended = sandbox.run(&["decrypt", "s.env"]);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("MAC cannot be read"), "{}", ended.stderr);
}

#[test]
fn encrypted_again_unchanged_it_keeps_every_line_but_mac_and_date() {
    let mut document = open(FILE.as_bytes(), &keyring()).unwrap();
    let tree = copy_of(&document.tree);
    let again = text_of(&document.encrypt(&tree, UtcDateTime::from_unix_timestamp(1_800_000_000).unwrap()).unwrap());
    assert_eq!(names_of_changed_lines(FILE.as_bytes(), &again), ["sops_lastmodified", "sops_mac"]);
    assert_eq!(decrypted(&again, &keyring()).unwrap(), PLAINTEXT.as_bytes());
}

#[test]
fn the_editor_changes_one_line_mac_date_and_an_older_version() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("secrets.env", FILE);
    let edited = PLAINTEXT.replace("a=b", "a=c");
    let prepared = sandbox.write("prepared", &edited);
    let ended = sandbox.run(&["edit", "--editor", &format!("cp {}", prepared.display()), "secrets.env"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let now = sandbox.read("secrets.env");
    assert_eq!(names_of_changed_lines(FILE.as_bytes(), now.as_bytes()), ["URL", "sops_lastmodified", "sops_mac", "sops_version"]);
    assert!(now.contains("\nsops_version=3.13.3\n"));
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, edited);
}

#[test]
fn converted_to_crlf_it_opens_and_is_written_back_with_lf() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("secrets.env", FILE.replace('\n', "\r\n"));
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    let prepared = sandbox.write("prepared", PLAINTEXT.replace("EMPTY=", "EMPTY=full"));
    let ended = sandbox.run(&["edit", "--editor", &format!("cp {}", prepared.display()), "secrets.env"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let now = sandbox.read("secrets.env");
    assert!(!now.contains('\r'));
    assert_eq!(
        names_of_changed_lines(FILE.as_bytes(), now.as_bytes()),
        ["EMPTY", "sops_lastmodified", "sops_mac", "sops_version"]
    );
}

/// What stands before the first `=` of each line that differs.
fn names_of_changed_lines(before: &[u8], after: &[u8]) -> Vec<String> {
    let (before, after) = (lines(before), lines(after));
    assert_eq!(before.len(), after.len());
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    changed.map(|(_, after)| String::from_utf8_lossy(after).split('=').next().unwrap().to_owned()).collect()
}
