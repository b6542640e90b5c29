//! `rotate` leaves nothing of the old ciphertext, and lets nobody in unasked.

use std::collections::HashSet;

use dotsops::crypto::Token;

use crate::support::document::{decrypted, keyring, lines, open, without_blank_lines};
use crate::support::pty::Pty;
use crate::support::random::{Random, seed};
use crate::support::sandbox::{RECIPIENT, STRANGER, Sandbox};
use crate::support::sops::Sops;

/// The tokens of a file, each with its nonce.
fn tokens(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let token = |line: &[u8]| {
        let start = line.windows(4).position(|bytes| bytes == b"ENC[")?;
        let token = line[start..].to_vec();
        let nonce = Token::parse(&token).ok()?.nonce.to_vec();
        Some((token, nonce))
    };
    lines(file).into_iter().filter_map(token).collect()
}

#[test]
fn no_token_and_no_nonce_of_the_old_file_is_left_and_the_data_key_is_another() {
    let sandbox = Sandbox::with_identity();
    let seed = seed();
    let mut random = Random(seed);
    for _ in 0..20 {
        let names = (0..1 + random.below(20)).map(|n| format!("N{n}={}\n", random.pick(&["", "x", "'two words'", "x # c"])));
        let plain = format!("# first\n{}\n# last\n", names.collect::<String>());
        sandbox.encrypted("secrets.env", &plain);
        let before = std::fs::read(sandbox.path("secrets.env")).unwrap();
        let ended = sandbox.run(&["rotate", "secrets.env"]);
        assert_eq!(ended.code, 0, "seed {seed}: {}", ended.stderr);
        let after = std::fs::read(sandbox.path("secrets.env")).unwrap();

        assert_eq!(decrypted(&after, &keyring()), decrypted(&before, &keyring()), "seed {seed}");
        let old: HashSet<Vec<u8>> = tokens(&before).into_iter().flat_map(|(token, nonce)| [token, nonce]).collect();
        let new = tokens(&after);
        assert_eq!(new.len() * 2, old.len(), "seed {seed}");
        assert!(!new.iter().any(|(token, nonce)| old.contains(token) || old.contains(nonce)), "seed {seed}");
        let data_key = |file: &[u8]| open(file, &keyring()).unwrap().data_key().expose().to_vec();
        assert_ne!(data_key(&before), data_key(&after), "seed {seed}");
        let wrapped =
            |file: &[u8]| lines(file).iter().find(|line| line.starts_with(b"sops_age__list_0__map_enc")).unwrap().to_vec();
        assert_ne!(wrapped(&before), wrapped(&after), "seed {seed}");
    }
}

#[test]
fn sops_reads_a_rotated_file_and_we_rotate_one_of_sops() {
    let Some(sops) = Sops::find() else { return };
    let sandbox = Sandbox::with_identity();
    let plain = "# comment\nA=1\nexport B='x y' # c\nEMPTY=\n";
    sandbox.encrypted("secrets.env", plain);
    let theirs = sops.set(&std::fs::read(sandbox.path("secrets.env")).unwrap(), "A", "\"two\\nlines\"").unwrap();
    let expected = sops.decrypt(&theirs).unwrap();
    sandbox.write("secrets.env", &theirs);
    let ended = sandbox.run(&["rotate", "--add-age", STRANGER, "secrets.env"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rotated = std::fs::read(sandbox.path("secrets.env")).unwrap();
    assert_eq!(sops.decrypt(&rotated).map(|read| without_blank_lines(&read)), Ok(expected));
    assert_eq!(sandbox.read("secrets.env").matches(STRANGER).count(), 1);
}

#[test]
fn a_recipient_that_nobody_with_a_key_added_gets_nothing_unasked() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    // Anybody can write this without a key: an entry that opens nothing yet.
    let forged = sandbox.read("secrets.env").replace(
        "sops_lastmodified",
        &format!("sops_age__list_1__map_enc=none\nsops_age__list_1__map_recipient={STRANGER}\nsops_lastmodified"),
    );
    sandbox.write("secrets.env", &forged);
    let refused = sandbox.run(&["rotate", "secrets.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains(STRANGER));
    assert_eq!(sandbox.read("secrets.env"), forged);

    let mut command = sandbox.dotsops(["rotate", "secrets.env"]);
    let mut terminal = Pty::run(&mut command);
    terminal.wait_for("Go on? [y/N] ");
    terminal.type_keys("n\n");
    assert_eq!(terminal.end().0, 6);
    assert_eq!(sandbox.read("secrets.env"), forged);

    let removed = sandbox.run(&["rotate", "--rm-age", STRANGER, "secrets.env"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert!(!sandbox.read("secrets.env").contains(STRANGER));

    sandbox.write("secrets.env", &forged);
    assert_eq!(sandbox.run(&["rotate", "-y", "secrets.env"]).code, 0);
    assert!(sandbox.read("secrets.env").contains(STRANGER));
}

#[test]
fn of_several_files_none_is_replaced_if_one_cannot_be() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("one.env", "A=1\n");
    sandbox.encrypted("two.env", "A=1\n");
    let (one, two) = (sandbox.read("one.env"), sandbox.read("two.env"));
    sandbox.write("two.env", two.replacen("data:", "data:A", 1));
    let damaged = sandbox.run(&["rotate", "one.env", "two.env"]);
    assert_eq!(damaged.code, 5, "{}", damaged.stderr);
    assert_eq!(sandbox.read("one.env"), one);

    sandbox.write("two.env", &two);
    let dry = sandbox.run(&["rotate", "--dry-run", "one.env", "two.env", "one.env"]);
    assert_eq!((dry.code, dry.stderr.matches("would get").count()), (0, 2));
    assert_eq!((sandbox.read("one.env"), sandbox.read("two.env")), (one.clone(), two.clone()));

    // A file named twice is rotated once.
    let both = sandbox.run(&["rotate", "one.env", "./one.env", "two.env"]);
    assert_eq!(both.code, 0, "{}", both.stderr);
    assert_ne!(sandbox.read("one.env"), one);
    assert_ne!(sandbox.read("two.env"), two);
}

#[test]
fn who_takes_himself_out_is_told_and_the_last_one_stays() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let before = sandbox.read("secrets.env");
    let last = sandbox.run(&["rotate", "--rm-age", RECIPIENT, "secrets.env"]);
    assert_eq!(last.code, 6, "{}", last.stderr);
    assert_eq!(sandbox.read("secrets.env"), before);
    let out = sandbox.run(&["rotate", "--add-age", STRANGER, "--rm-age", RECIPIENT, "secrets.env"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(out.stderr.contains("none of your identities can read secrets.env then"), "{}", out.stderr);
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).code, 4);
}

#[test]
fn a_recipient_line_that_somebody_changed_locks_nobody_out_unsaid() {
    use crate::support::sandbox::{RECIPIENT, STRANGER};
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let _ = std::fs::remove_file(sandbox.path(".sops.yaml"));
    // The wrapped key is still ours; only its label is somebody else's.
    let relabelled = sandbox.read("secrets.env").replace(RECIPIENT, STRANGER);
    for arguments in [&["rotate", "secrets.env"][..], &["rotate", "--yes", "secrets.env"]] {
        sandbox.write("secrets.env", &relabelled);
        let ended = sandbox.run(arguments);
        assert!(ended.code == 6 || ended.stderr.contains("none of your identities can read"), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_recipient_that_nobody_can_encrypt_to_is_the_files_fault() {
    use crate::support::sandbox::RECIPIENT;
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let damaged = sandbox.read("secrets.env").replace(RECIPIENT, "age1nobody");
    sandbox.write("secrets.env", &damaged);
    let ended = sandbox.run(&["rotate", "--yes", "secrets.env"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("git checkout -- secrets.env"), "{}", ended.stderr);
    assert_eq!(sandbox.read("secrets.env"), damaged);
}
