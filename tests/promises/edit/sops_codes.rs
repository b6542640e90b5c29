//! `edit --sops-exit-codes`.

use std::process::Command;

use crate::support::document::{encrypted, metadata};
use crate::support::editing::Editing;
use crate::support::sandbox::{RECIPIENT, STRANGER, ended};
use crate::support::sops::Sops;

#[test]
fn scripts_that_were_written_for_sops_find_its_exit_codes() {
    let editing = Editing::of("A=old-value\n");
    let edit = |script: &str, arguments: &[&str]| {
        let code = ended(&mut editing.command(script, arguments)).code;
        ended(&mut editing.dotsops(&["edit", "--discard", "secrets.env"]));
        code
    };
    let both = |script: &str, file: &str| [edit(script, &["--sops-exit-codes", file]), edit(script, &[file])];
    assert_eq!(both(":", "secrets.env"), [200, 0]);
    assert_eq!(both(":", "new.env"), [200, 0]);
    assert_eq!(both("exit 3", "secrets.env"), [201, 7]);
    assert_eq!(both("echo odd >> \"$1\"", "secrets.env"), [1, 3]);
    assert_eq!(both("echo B$$=1 >> \"$1\"", "secrets.env"), [0, 0]);
    let missing = ended(&mut editing.dotsops(&["edit", "--sops-exit-codes", "--editor", "no-such-editor", "secrets.env"]));
    assert_eq!(missing.code, 201);
    let text = editing.sandbox.read("secrets.env");
    editing.sandbox.write("forged.env", text.replacen("sops_mac=ENC[AES256_GCM,data:", "sops_mac=ENC[AES256_GCM,data:AAAA", 1));
    assert_eq!(both(":", "forged.env"), [51, 5]);
    std::fs::remove_file(editing.sandbox.home().join(".config/sops/age/keys.txt")).unwrap();
    assert_eq!(both(":", "secrets.env"), [128, 4]);
}

/// Both programs edit the same files with the same editor.
#[test]
fn the_exit_codes_are_those_of_sops_edit() {
    let Some(sops) = Sops::find() else { return };
    let editing = Editing::of("A=old-value\n");
    let text = editing.sandbox.read("secrets.env");
    let line = |start: &str, becomes: &dyn Fn(&str) -> String| -> String {
        text.lines().map(|line| if line.starts_with(start) { becomes(line) } else { format!("{line}\n") }).collect()
    };
    let gone = |_: &str| String::new();
    let of_others = encrypted(b"A=1\n", metadata(&[STRANGER], None, false)).unwrap();
    let files: [(&str, Vec<u8>); 14] = [
        ("whole.env", text.clone().into()),
        ("value-changed.env", line("A=", &|line| format!("{}\n", line.replacen("data:", "data:AAAA", 1))).into()),
        ("value-in-clear.env", line("A=", &|_| "A=plain\n".to_owned()).into()),
        ("value-damaged.env", line("A=", &|_| "A=ENC[AES256_GCM,data:zz]\n".to_owned()).into()),
        ("value-gone.env", line("A=", &gone).into()),
        ("mac-changed.env", line("sops_mac=", &|line| format!("{}\n", line.replacen("data:", "data:AAAA", 1))).into()),
        ("mac-gone.env", line("sops_mac=", &gone).into()),
        (
            "key-damaged.env",
            line("sops_age__list_0__map_enc=", &|line| format!("{}\n", line.replacen("age-encryption", "age-x", 1))).into(),
        ),
        ("of-others.env", of_others),
        ("time-damaged.env", line("sops_lastmodified=", &|_| "sops_lastmodified=x\n".to_owned()).into()),
        ("version-empty.env", line("sops_version=", &|_| "sops_version=\n".to_owned()).into()),
        ("plaintext.env", b"A=1\n".to_vec()),
        ("no-file-of-ours.env", b"no equals sign\n".to_vec()),
        ("two-options.env", format!("{text}sops_encrypted_suffix=_x\n").into()),
    ];
    for (name, bytes) in &files {
        editing.sandbox.write(name, bytes);
        std::fs::write(sops.folder().join(name), bytes).unwrap();
    }
    // sops has no rule either.
    std::fs::remove_file(editing.sandbox.path(".sops.yaml")).unwrap();
    for folder in [editing.sandbox.path("folder.env"), sops.folder().join("folder.env")] {
        std::fs::create_dir(folder).unwrap();
    }
    let compare = |editor: &str, arguments: &[&str]| {
        let code = |command: &mut Command| ended(command.env("SOPS_EDITOR", editor)).code;
        let theirs = code(&mut sops.command(&[&["edit"], arguments].concat()));
        let ours = code(&mut editing.dotsops(&[&["edit", "--sops-exit-codes"], arguments].concat()));
        assert_eq!(ours, theirs, "{editor} {arguments:?}");
        ours
    };
    let mut met: Vec<i32> = files.iter().map(|(name, _)| compare("true", &[*name])).collect();
    met.push(compare("true", &["folder.env"]));
    met.push(compare("false", &["whole.env"]));
    met.push(compare("/no/such/editor", &["whole.env"]));
    met.push(compare("true", &["--no-such-option", "whole.env"]));
    met.push(compare("true", &["--encrypted-suffix", "a", "--unencrypted-suffix", "b", "--age", RECIPIENT, "new.env"]));
    met.push(compare("true", &["new-without-rule.env"]));
    met.push(compare("true", &["--age", RECIPIENT, "new.env"]));
    met.push(compare("true", &["--age", "age1none", "new.env"]));
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, [1, 2, 8, 25, 51, 128, 200, 201], "a kind of end is not compared");
}

#[test]
fn without_a_file_it_is_sops_code_too() {
    let Some(sops) = Sops::find() else { return };
    let editing = Editing::without_file();
    let ours = ended(&mut editing.dotsops(&["edit", "--sops-exit-codes"])).code;
    assert_eq!((ours, ended(&mut sops.command(&["edit"])).code), (100, 100));
}
