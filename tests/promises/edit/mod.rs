//! What `edit` promises, whatever editors, signals, disks and other people do meanwhile.
//!
//! Row numbers are those of the table of scenarios in the design of the secure edit: what is killed where, and what must be left.

mod blocks;
mod clear_marks;
mod draft;
mod editor_ends;
mod example;
mod guard;
mod habits;
mod kept;
mod left_behind;
mod mistakes;
mod new_file;
mod overtaken;
mod places;
mod races;
mod sops_codes;
mod text;
mod wiping;

use std::time::SystemTime;

use base64::Engine;

use crate::support::editing::CANARY;
use crate::support::leaks::leaks;

#[test]
fn a_planted_canary_is_found_in_every_shape() {
    let found = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/file"), [b"\0before ", bytes, b" after\xff"].concat()).unwrap();
        leaks(&[folder.path()], &["planted-word", CANARY], SystemTime::UNIX_EPOCH)
    };
    assert!(found(b"nothing").is_empty());
    assert_eq!(found(CANARY.as_bytes()).len(), 1);
    for before in ["", "a", "ab", "abc"] {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{before}{CANARY}{before}"));
        assert!(found(encoded.as_bytes())[0].contains("base64"), "{before}");
    }
    assert!(found(b"canary%2B5f%2F3a%2291e7")[0].ends_with("(URL)"));
    assert!(found(br#"{"key": "canary+5f/3a\"91e7"}"#)[0].ends_with("(JSON)"));
    assert!(found(b"63616e6172792b35662f33612239316537")[0].ends_with("(hex)"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("named planted-word"), b"").unwrap();
    std::os::unix::fs::symlink("/to/planted-word", folder.path().join("link")).unwrap();
    assert_eq!(leaks(&[folder.path()], &["planted-word"], SystemTime::UNIX_EPOCH).len(), 2);
    let later = SystemTime::now() + std::time::Duration::from_secs(60);
    std::fs::write(folder.path().join("old"), b"planted-word").unwrap();
    assert_eq!(leaks(&[folder.path()], &["planted-word"], later).len(), 2);
}
