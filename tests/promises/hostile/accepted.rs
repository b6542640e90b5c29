//! What is accepted although somebody without a key made it, for nothing in the format could tell. sops reads all of it alike.

use super::sealed::{sealed, sealed_with, spoiled, spoiled_file};
use super::table::{FILE, put};
use crate::support::document::{encrypted, metadata};
use crate::support::sandbox::{RECIPIENT, STRANGER, Sandbox};
use crate::support::sops::Sops;

#[test]
fn row_61_what_nobody_can_tell_from_the_real_file_is_read_and_sops_reads_it_too() {
    let two = metadata(&[RECIPIENT, STRANGER], None, false);
    let files = [
        // Whoever knows the public recipients can write a whole file.
        ("forged", sealed_with("API_KEY=theirs\nLAST=forged\n")),
        ("suffix swap", spoiled_file(&sealed_with("API_KEY=1\n"), |lines| lines.set("sops_unencrypted_suffix=", "_TOKEN"))),
        ("recipient", String::from_utf8(encrypted(b"API_KEY=1\n", two).unwrap()).unwrap()),
        ("an empty name", spoiled(|lines| lines.insert("LAST=", "NEW="))),
        ("a comment taken out", spoiled(|lines| drop(lines.remove("#")))),
    ];
    let sandbox = Sandbox::with_identity();
    let sops = Sops::find();
    for (what, file) in files {
        put(&sandbox, file.as_bytes());
        let ours = sandbox.run(&["decrypt", FILE]);
        assert_eq!(ours.code, 0, "{what}: {}", ours.stderr);
        if let Some(sops) = &sops {
            assert_eq!(sops.decrypt(file.as_bytes()).as_deref(), Ok(ours.stdout.as_bytes()), "{what}");
        }
    }
    // An older version stays valid.
    put(&sandbox, sealed().as_bytes());
    let older = sandbox.read(FILE);
    assert_eq!(sandbox.run_with(&["set", "-f", FILE, "API_KEY"], "newer").code, 0);
    put(&sandbox, older.as_bytes());
    assert_eq!(sandbox.run(&["get", "-f", FILE, "API_KEY"]).stdout, "cnry-cnry-1");
    if let Some(sops) = &sops {
        let text = sops.decrypt(older.as_bytes()).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("API_KEY=cnry-cnry-1\n"));
    }
}
