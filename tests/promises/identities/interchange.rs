//! The same identities in the hands of the real age and the real sops.

use std::fs;
use std::process::Command;

use super::*;
use crate::support::peers::peer;
use crate::support::sandbox::Ended;
use crate::support::sops::Sops;

/// sops on a terminal, in a sandbox of ours.
fn sops_on_terminal(sops: &Sops, sandbox: &Sandbox, variables: &[(&str, &str)]) -> Pty {
    let mut command = sops.command(&["decrypt", "secrets.env"]);
    command.current_dir(sandbox.work()).env("HOME", sandbox.home()).env_remove("SOPS_AGE_KEY");
    command.envs(variables.iter().copied());
    Pty::run(&mut command)
}

#[test]
fn sops_opens_an_identity_file_that_keygen_locked_and_one_of_age_opens_here() {
    let Some(sops) = Sops::find() else { return };
    let Some(age) = peer("age", which::which("age").ok()) else { return };
    let mine = native();
    let sandbox = sandbox(&[&mine.recipient]);
    let keys = at_home(&sandbox, ".config/sops/age/keys.txt", locked_as_keygen_does(&format!("# mine\n{}\n", mine.identity)));
    let mut pty = sops_on_terminal(&sops, &sandbox, &[]);
    pty.wait_for("Enter passphrase for identity");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.contains("A=opened"), "{shown}");

    let plain = at_home(&sandbox, "plain.txt", format!("{}\n", mine.identity));
    for armor in [&["-a"][..], &[]] {
        fs::remove_file(&keys).unwrap();
        let mut command = sandbox.program(&age);
        command.args(["-p"]).args(armor).arg("-o").arg(&keys).arg(&plain);
        let mut pty = Pty::run(&mut command);
        pty.wait_for("Enter passphrase");
        pty.type_keys("throwaway\n");
        pty.wait_for("Confirm passphrase");
        pty.type_keys("throwaway\n");
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{shown}");
        let mut pty = on_terminal(&sandbox, &[]);
        pty.wait_for("passphrase for ");
        pty.type_keys("throwaway\n");
        let (code, shown) = pty.end();
        assert!(code == 0 && shown.ends_with("A=opened\r\n"), "{shown}");
    }
}

#[test]
fn sops_and_we_ask_for_the_same_ssh_key_and_run_the_same_commands() {
    let Some(sops) = Sops::find() else { return };
    let (mine, key) = (native(), ssh("ed25519_passphrase"));
    let sandbox = sandbox(&[&key.recipient]);
    at_home(&sandbox, ".ssh/id_ed25519", &key.identity);
    let mut pty = sops_on_terminal(&sops, &sandbox, &[]);
    pty.wait_for("Enter passphrase for");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.contains("A=opened"), "{shown}");

    // A command that gives each recipient's own identity.
    let other = native();
    let sandbox = super::sandbox(&[&other.recipient, &mine.recipient]);
    let folder = program(&sandbox, "chooses", "#!/bin/sh\ncat \"$KEYS/$SOPS_AGE_RECIPIENT\"\n");
    at_home(&sandbox, &format!("keys/{}", mine.recipient), &mine.identity);
    let keys = sandbox.home().join("keys").display().to_string();
    let variables = [("SOPS_AGE_KEY_CMD", "chooses"), ("KEYS", keys.as_str()), ("PATH", &path_with(&folder))];
    for (code, shown) in [sops_on_terminal(&sops, &sandbox, &variables).end(), on_terminal(&sandbox, &variables).end()] {
        assert!(code == 0 && shown.contains("A=opened"), "{shown}");
    }
}

#[test]
fn a_plugins_file_goes_to_sops_and_back() {
    let Some(sops) = Sops::find() else { return };
    let pair = fake();
    let sandbox = Sandbox::empty();
    let path = path_with(&program(&sandbox, "age-plugin-fake", FAKE_PLUGIN));
    sandbox.write("plain.env", "A=opened\n");
    let run = |mut command: Command| -> Ended {
        command.current_dir(sandbox.work()).env("PATH", &path).env("SOPS_AGE_KEY", &pair.identity);
        crate::support::sandbox::ended(&mut command)
    };
    let ours = run(sandbox.dotsops(["encrypt", "--age", &pair.recipient, "plain.env"]));
    assert_eq!(ours.code, 0, "{}", ours.stderr);
    sandbox.write("ours.env", &ours.stdout);
    let opened = run(sops.command(&["decrypt", "ours.env"]));
    assert_eq!((opened.code, opened.stdout.as_str()), (0, "A=opened\n"), "{}", opened.stderr);
    let theirs = run(sops.command(&["encrypt", "--age", &pair.recipient, "plain.env"]));
    assert_eq!(theirs.code, 0, "{}", theirs.stderr);
    sandbox.write("theirs.env", &theirs.stdout);
    let opened = run(sandbox.dotsops(["decrypt", "theirs.env"]));
    assert_eq!((opened.code, opened.stdout.as_str()), (0, "A=opened\n"), "{}", opened.stderr);
}

#[test]
fn a_data_key_that_a_plugin_wrapped_goes_to_age_and_back() {
    let Some(age) = peer("age", which::which("age").ok()) else { return };
    let pair = fake();
    let sandbox = Sandbox::empty();
    let path = path_with(&program(&sandbox, "age-plugin-fake", FAKE_PLUGIN));
    sandbox.write("plain.env", "A=opened\n");
    sandbox.write("identity.txt", format!("{}\n", pair.identity));
    let run = |mut command: Command, arguments: &[&str]| -> Vec<u8> {
        let output = command.args(arguments).env("PATH", &path).env("SOPS_AGE_KEY", &pair.identity).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let ours = run(sandbox.dotsops(["encrypt"]), &["--age", &pair.recipient, "plain.env"]);
    let ours = String::from_utf8(ours).unwrap();
    let wrapped = ours.lines().find_map(|line| line.strip_prefix("sops_age__list_0__map_enc=")).unwrap();
    sandbox.write("wrapped.age", wrapped.replace("\\n", "\n"));
    let data_key = run(sandbox.program(&age), &["-d", "-i", "identity.txt", "wrapped.age"]);
    assert_eq!(data_key.len(), 32);

    sandbox.write("data_key", &data_key);
    let again = run(sandbox.program(&age), &["-a", "-r", &pair.recipient, "data_key"]);
    let again = String::from_utf8(again).unwrap().replace('\n', "\\n");
    assert_ne!(again, wrapped);
    sandbox.write("again.env", ours.replace(wrapped, &again));
    assert_eq!(run(sandbox.dotsops(["decrypt"]), &["again.env"]), b"A=opened\n");
}

#[test]
fn every_cipher_that_ssh_keygen_protects_a_key_with_is_read_or_named() {
    let Some(keygen) = peer("ssh-keygen", which::which("ssh-keygen").ok()) else { return };
    for (kind, cipher, is_read) in [
        ("ed25519", "aes128-ctr", true),
        ("ed25519", "aes192-ctr", true),
        ("rsa", "aes256-ctr", true),
        ("ed25519", "aes256-cbc", true),
        ("ed25519", "aes256-gcm@openssh.com", true),
        ("ed25519", "chacha20-poly1305@openssh.com", false),
        ("ed25519", "aes128-gcm@openssh.com", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let mut command = Command::new(&keygen);
        command.args(["-q", "-t", kind, "-N", PASSPHRASE, "-C", "", "-a", "4", "-Z", cipher, "-f"]).arg(&key);
        assert!(command.status().unwrap().success(), "{cipher}");
        let recipient = fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned();
        let sandbox = sandbox(&[&recipient]);
        let mut pty = on_terminal(&sandbox, &[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", key.to_str().unwrap())]);
        if is_read {
            pty.wait_for("passphrase for SOPS_AGE_SSH_PRIVATE_KEY_FILE (");
            pty.type_keys("throwaway\n");
        }
        let (code, shown) = pty.end();
        assert_eq!(code, if is_read { 0 } else { 4 }, "{cipher}: {shown}");
        assert!(
            is_read
                || shown.contains(&format!(
                    "encrypted with {cipher}, which cannot be read; `ssh-keygen -p -Z aes256-ctr -f` on a copy"
                )),
            "{shown}"
        );
    }
}
