//! The published identity and the file encrypted to it are what other programs take them for.

use std::path::Path;

use crate::support::peers::peer;
use crate::support::sandbox::{Sandbox, ended};

#[test]
fn age_finds_one_identity_in_keys_example_and_its_recipient_is_the_one_in_the_comments() {
    let Some(age_keygen) = peer("age-keygen", which::which("age-keygen").ok()) else { return };
    let ended = ended(Sandbox::empty().program(&age_keygen).arg("-y").arg(Path::new("keys.example").canonicalize().unwrap()));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let text = std::fs::read_to_string("keys.example").unwrap();
    assert!(text.contains(&format!("# public key: {}", ended.stdout)), "{}", ended.stdout);
    let example = std::fs::read_to_string("examples/secrets.env").unwrap();
    assert!(example.contains(&format!("recipient={}", ended.stdout)));
}

#[test]
fn sops_opens_the_example_with_keys_example() {
    let Some(sops) = peer("sops", which::which("sops").ok()) else { return };
    let absolute = |path: &str| Path::new(path).canonicalize().unwrap();
    let ended = ended(
        Sandbox::empty()
            .program(&sops)
            .env("SOPS_AGE_KEY_FILE", absolute("keys.example"))
            .arg("decrypt")
            .arg(absolute("examples/secrets.env")),
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("\nDB_USER=shop\n") && !ended.stdout.contains("ENC["));
}
