//! `textconv` has an answer for whatever git hands to it, asks nobody, and shows no value.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dotsops::keys::keyring::Keyring;
use dotsops::ops::mask::MaskKey;
use dotsops::ops::textconv::{Showing, show};
use dotsops::secret::{DataKey, SecretBytes};

use crate::support::document::{encrypted, keyring, metadata};
use crate::support::peers::say;
use crate::support::pty::Pty;
use crate::support::random::{Random, seed};
use crate::support::sandbox::{RECIPIENT, Sandbox, ended};
use crate::support::trace::{Access, Event, Trace, strace};

const TEXT: &str = "# canary\nA=canary\nexport B='canary x' # canary\n\nEMPTY=\nCLEAR_unencrypted=open\n";

fn shown(bytes: &[u8], keyring: &Keyring) -> String {
    let masks = |data_key: &DataKey| MaskKey::of_file(data_key);
    let showing = Showing { keyring, masks: Some(&masks), named: &|_, recipient| recipient.to_owned() };
    String::from_utf8(show(&SecretBytes::copy_of(bytes), &showing).expose().to_vec()).unwrap_or_else(|_| "(raw)".to_owned())
}

/// Every run of hexadecimal digits in angle brackets replaced.
fn without_masks(text: &str) -> String {
    regex::Regex::new("<(masked|encrypted) [0-9a-f]+>").unwrap().replace_all(text, "<$1>").into_owned()
}

#[test]
fn names_order_and_what_is_in_clear_stay_and_values_and_comments_are_masked() {
    let file = encrypted(TEXT.as_bytes(), metadata(&[RECIPIENT], None, false)).unwrap();
    let of = |word: &str| {
        format!("#<{word}>\nA=<{word}>\nexport B=<{word}>\n\nEMPTY=\nCLEAR_unencrypted=open\n\nrecipient: {RECIPIENT}\n")
    };
    assert_eq!(without_masks(&shown(&file, &keyring())), of("masked") + "data key: <masked>\n");
    assert_eq!(without_masks(&shown(&file, &Keyring::unattended(Vec::new()))), of("encrypted"));
}

#[test]
fn whatever_the_bytes_are_there_is_an_answer_without_a_value() {
    let file = encrypted(TEXT.as_bytes(), metadata(&[RECIPIENT], None, false)).unwrap();
    let keyrings = [keyring(), Keyring::unattended(Vec::new())];
    let check = |bytes: &[u8], keyring: &Keyring| {
        let text = shown(bytes, keyring);
        assert!(!text.contains("canary"), "{text}");
        // What has a token of the file left shows none.
        assert!(bytes.is_empty() || !text.is_empty());
        text
    };
    // Cut anywhere: keys are not tried, since none of these opens.
    for length in 0..file.len() {
        let text = check(&file[..length], &keyrings[1]);
        let is_cut = file[..length].windows(15).any(|part| part == b"ENC[AES256_GCM,");
        assert!(!is_cut || text.contains("<encrypted "), "{length}: {text}");
    }
    let seed = seed();
    say(&format!("DOTSOPS_SEED={seed}"));
    let mut random = Random(seed);
    for round in 0..600 {
        let mut bytes = file.clone();
        for _ in 0..=random.below(4) {
            let (at, end) = (random.below(bytes.len()), random.below(bytes.len()));
            match random.below(6) {
                0 => bytes[at] = random.next() as u8,
                1 => drop(bytes.drain(at.min(end)..at.max(end))),
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.splice(at..at, b"\n<<<<<<< x\nsops_mac=1\n=======\n\x1b[2J\xff\0>>>>>>> y\n".to_vec())),
                4 => bytes.extend_from_slice(&file[at.min(file.len())..]),
                _ => bytes = (0..random.below(200)).map(|_| random.next() as u8).chain(bytes).collect(),
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        check(&bytes, &keyrings[round % 2]);
    }
}

#[test]
fn what_nobody_who_holds_the_key_wrote_is_said_and_has_no_mask() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", TEXT);
    let file = sandbox.read("secrets.env");
    for (changed, why) in [
        (file.replacen("tag:", "tag:A", 1), "(not authentic: the file's MAC"),
        (file.replacen("A=ENC", "Z=ENC", 1), "(not authentic: the encrypted value of `Z`"),
        (file.replacen("A=ENC[", "A=in-clear[", 1), "(not authentic: the value of `A` is not encrypted"),
        (file.lines().filter(|line| !line.starts_with("sops_")).map(|line| format!("{line}\n")).collect(), "its end is missing)"),
        (format!("<<<<<<< HEAD\nX=1\n=======\nX=2\n>>>>>>> x\n{file}"), "line 1: an unresolved merge conflict begins here)"),
        (file.replace("sops_version", "sops_ver_sion"), "(cannot be read: "),
    ] {
        sandbox.write("changed.env", &changed);
        let shown = sandbox.run(&["textconv", "changed.env"]);
        assert_eq!((shown.code, shown.stderr.as_str()), (0, ""), "{why}");
        let is_comment = why.contains("MAC");
        assert!(is_comment || shown.stdout.contains(why), "{why}: {}", shown.stdout);
        assert!(is_comment || !shown.stdout.contains("masked"), "{why}: {}", shown.stdout);
        assert!(!shown.stdout.contains("canary") && !shown.stdout.contains("sops_mac"), "{}", shown.stdout);
    }
}

#[test]
fn every_file_and_none_ends_with_0_and_what_is_not_encrypted_is_as_it_is() {
    let sandbox = Sandbox::with_identity();
    let plain = b"A=1\r\n\x00\xff\x1b[2J no newline";
    sandbox.write("plain.env", plain);
    let mut command = sandbox.dotsops(["textconv", "plain.env"]);
    assert_eq!(command.output().unwrap().stdout, plain);
    sandbox.write("-q.env", "A=1\n");
    fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.write("empty", "");
    fs::File::create(sandbox.path("huge")).unwrap().set_len((64 << 20) + 1).unwrap();
    for (file, expected) in [
        ("-q.env", "A=1\n"),
        ("no.env", "(no such file)\n"),
        ("folder", "(not a regular file)\n"),
        ("/dev/null", "(not a regular file)\n"),
        ("empty", ""),
        ("huge", "(larger than 64 MiB)\n"),
    ] {
        let shown = sandbox.run(&["textconv", file]);
        assert_eq!((shown.code, shown.stdout.as_str(), shown.stderr.as_str()), (0, expected, ""), "{file}");
    }
    let full = std::process::Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let failed = sandbox.dotsops(["textconv", "plain.env"]).stdout(full).output().unwrap();
    assert_eq!(failed.status.code(), Some(7), "what cannot be printed is an error");
}

#[test]
fn where_nothing_can_be_kept_masks_stay_as_long_as_the_data_key() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", TEXT);
    let shown = |home: Option<&str>| {
        let mut command = sandbox.dotsops(["textconv", "secrets.env"]);
        command.env_remove("HOME").env("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY);
        let ended = ended(command.envs(home.map(|home| ("XDG_STATE_HOME", home))));
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        ended.stdout
    };
    let first = shown(None);
    assert!(first.contains("A=<masked "), "{first}");
    assert_eq!(shown(Some("/dev/null/below")), first, "no state folder can be made there");
    let kept = sandbox.root().join("state").display().to_string();
    assert_ne!(shown(Some(&kept)), first);
    assert_eq!(shown(Some(&kept)), shown(Some(&kept)));
    assert_eq!(sandbox.run(&["rotate", "secrets.env"]).code, 0);
    let line = |text: &str| text.lines().find(|line| line.starts_with("A=")).unwrap().to_owned();
    assert_ne!(line(&shown(None)), line(&first));
}

#[test]
fn no_socket_no_terminal_and_no_program_whatever_the_identities_are() {
    let Some(strace) = strace() else { return };
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", TEXT);
    let script = sandbox.write("script", "#!/bin/sh\ntouch ran\n");
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    fs::copy(&script, sandbox.path("age-plugin-fake")).unwrap();
    for own_key in [true, false] {
        if !own_key {
            let ssh = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/ssh/throwaway_ed25519_passphrase");
            fs::create_dir(sandbox.home().join(".ssh")).unwrap();
            fs::copy(ssh, sandbox.home().join(".ssh/id_ed25519")).unwrap();
            let plugin = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age-plugin-fake-").unwrap(), &[7; 20]).unwrap();
            fs::write(sandbox.home().join(".config/sops/age/keys.txt"), plugin.to_uppercase()).unwrap();
        }
        let mut command = sandbox.dotsops(["textconv", "secrets.env"]);
        command.env("PATH", sandbox.work()).env("SOPS_AGE_KEY_CMD", &script).env("SOPS_AGE_KEY_FILE", "/dev/stdin");
        let (mut command, trace) = Trace::of(&strace, &command);
        let shown = ended(&mut command);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        assert_eq!(shown.stdout.contains("<masked "), own_key, "{}", shown.stdout);
        for event in trace.events() {
            match event {
                Event::Socket(call) => panic!("{call}"),
                Event::Start { program, .. } => panic!("{} was started", program.display()),
                Event::Path(access, path) => assert!(access == Access::Look || !path.starts_with("/dev"), "{}", path.display()),
            }
        }
    }
    assert!(!sandbox.path("ran").exists());
}

#[test]
fn nothing_in_an_encrypted_file_drives_the_terminal_behind_git() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", TEXT);
    let odd = "\x1b[2J\u{202e}\u{9b}";
    sandbox.write("odd.env", format!("A{odd}=\n# {odd}\n{}", sandbox.read("secrets.env")));
    for reveal in [&[][..], &["--reveal"]] {
        let shown = sandbox.run(&[&["textconv"], reveal, &["odd.env"]].concat()).stdout;
        assert!(shown.starts_with("A\\x1b[2J\\u{202e}"), "{shown}");
        assert!(!shown.contains(['\x1b', '\u{202e}', '\u{9b}']), "{shown}");
    }
    // A recipient with a line break in it begins no line.
    let forged = "sops_age__list_1__map_enc=x\nsops_age__list_1__map_recipient=x\\nrecipient: all is well\nsops_lastmodified";
    sandbox.write("odd.env", sandbox.read("secrets.env").replacen("sops_lastmodified", forged, 1));
    let shown = sandbox.run(&["textconv", "odd.env"]).stdout;
    assert!(!shown.lines().any(|line| line == "recipient: all is well"), "{shown}");
}

/// A user whose only identity has a passphrase, and `ssh.env` and `more.env` that it opens.
fn with_a_locked_identity() -> Sandbox {
    let sandbox = Sandbox::empty();
    let locked = include_str!("../vectors/ssh/throwaway_ed25519_passphrase");
    let recipient = include_str!("../vectors/ssh/throwaway_ed25519_passphrase.pub").trim();
    for (name, text) in [("ssh.env", TEXT.to_owned()), ("more.env", format!("{TEXT}MORE=1\n"))] {
        sandbox.write("plain.env", text);
        let made = sandbox.run(&["encrypt", "--blind", "--allow-plaintext", "*", "--age", recipient, "-o", name, "plain.env"]);
        assert_eq!(made.code, 0, "{}", made.stderr);
    }
    fs::create_dir(sandbox.home().join(".ssh")).unwrap();
    fs::write(sandbox.home().join(".ssh/id_ed25519"), locked).unwrap();
    sandbox
}

#[test]
fn nobody_at_a_terminal_is_asked_for_the_passphrase_of_an_identity() {
    let sandbox = with_a_locked_identity();
    let (code, shown) = Pty::run(&mut sandbox.dotsops(["textconv", "ssh.env"])).end();
    assert!(code == 0 && shown.contains("A=<encrypted ") && !shown.contains("passphrase for"), "{shown}");
}

#[test]
fn diff_and_merge_which_a_person_runs_ask_for_it_and_run_commands_for_identities() {
    let sandbox = with_a_locked_identity();
    sandbox.write("base.env", "");
    for (line, end) in [(&["diff", "ssh.env", "more.env"] as &[&str], 1), (&["merge", "base.env", "ssh.env", "more.env"], 0)] {
        let mut pty = Pty::run(&mut sandbox.dotsops(line));
        pty.wait_for("passphrase for");
        pty.type_keys("throwaway\r");
        let (code, shown) = pty.end();
        assert_eq!(code, end, "{line:?}: {shown}");
    }
    let sandbox = Sandbox::with_identity();
    sandbox.write("base.env", "");
    sandbox.encrypted("ssh.env", TEXT);
    sandbox.encrypted("more.env", &format!("{TEXT}MORE=1\n"));
    fs::rename(sandbox.home().join(".config/sops/age/keys.txt"), sandbox.path("identity")).unwrap();
    let prints = format!("cat {}", sandbox.path("identity").display());
    for (line, end) in [(&["diff", "ssh.env", "more.env"] as &[&str], 1), (&["merge", "base.env", "ssh.env", "more.env"], 0)] {
        let run = ended(sandbox.dotsops(line).env("SOPS_AGE_KEY_CMD", &prints));
        assert_eq!(run.code, end, "{line:?}: {}", run.stderr);
    }
}
