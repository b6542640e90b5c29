//! Files that sops encrypts and dotsops does not change: whoever is put out of the others still reads them, so they are named.

use super::{commit, recipients, repository};
use crate::support::groups::{Person, config, identities, people};
use crate::support::sandbox::Sandbox;
use crate::support::sops::Sops;

/// What is said of the files in [`foreign`].
const SAID: &str = "warning: not dotenv, so left as they are, and whoever reads them still does: app.json, sub/app.yaml";

/// `text` as sops encrypts it for `readers`.
fn foreign(sops: &Sops, sandbox: &Sandbox, readers: &[&Person], name: &str, text: &str) {
    let recipients: Vec<&str> = readers.iter().map(|person| person.recipient.as_str()).collect();
    let plain = name.rsplit('/').next().unwrap();
    let encrypted = sops.run(&["encrypt", "--age", &recipients.join(","), plain], plain, text.as_bytes()).unwrap();
    sandbox.write(name, encrypted);
}

#[test]
fn encrypted_files_of_another_syntax_are_named_once_and_stay() {
    let Some(sops) = Sops::find() else { return };
    let [lead, bob, alice, stranger] = people(["lead", "bob", "alice", "stranger"]);
    let files = [("a.env", "A=1\n"), ("own/b.env", "B=1\n")];
    let Some(sandbox) = repository(&config(&[&[&lead, &bob, &stranger]], 0), &files) else { return };
    sandbox.write(".sops.yaml", config(&[&[&lead, &bob]], 0));
    foreign(&sops, &sandbox, &[&lead, &bob], "app.json", "{\"a\": \"one\"}\n");
    foreign(&sops, &sandbox, &[&lead, &bob], "sub/app.yaml", "a: one\n");
    // Neither a plaintext nor what another config governs.
    sandbox.write("plain.yaml", "a: one\nsops: none\n");
    sandbox.write("own/.sops.yaml", config(&[&[&lead, &bob]], 0));
    foreign(&sops, &sandbox, &[&lead, &bob], "own/app.yaml", "a: one\n");
    commit(&sandbox, "more");
    let kept = ["app.json", "sub/app.yaml", "own/app.yaml"].map(|name| (name, sandbox.read(name)));
    let verbs: [&[&str]; 6] = [
        &["recipients", "remove", &stranger.recipient, "--dry-run"],
        &["recipients", "add", "alice", &alice.recipient, "--dry-run"],
        &["recipients", "add", "alice", &alice.recipient, "--yes"],
        &["recipients", "remove", "bob", "--yes"],
        &["updatekeys", "--yes"],
        &["rotate", "--all", "--yes"],
    ];
    for arguments in verbs {
        let done = sandbox.run_as(&[&lead], arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.matches("own/b.env is left out").count() == 1, "{arguments:?}: {}", done.stderr);
        let said: Vec<&str> = done.stderr.lines().filter(|line| line.contains("not dotenv")).collect();
        assert!(matches!(said.as_slice(), [line] if line.contains(SAID)), "{arguments:?}: {}", done.stderr);
        assert!(!said[0].contains("plain.yaml") && !said[0].contains("own/"), "{arguments:?}: {}", done.stderr);
        for (name, text) in &kept {
            assert_eq!(sandbox.read(name), *text, "{arguments:?}, {name}");
        }
    }
    // What is said is so.
    assert_eq!(sandbox.run_as(&[&bob], &["decrypt", "a.env"]).code, 4);
    let bob = sops.another().with_identities(&identities(&[&bob]));
    assert_eq!(bob.run(&["decrypt", "app.json"], "app.json", kept[0].1.as_bytes()).unwrap(), b"{\n\t\"a\": \"one\"\n}\n");
    assert_eq!(recipients(&sandbox, &[], &["list"]).code, 0);
}
