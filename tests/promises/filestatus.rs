//! `filestatus` says what sops says, of whole files and of such that lack something.

use crate::support::sandbox::{RECIPIENT, Sandbox};
use crate::support::sops::Sops;

#[test]
fn filestatus_answers_as_sops_does() {
    let Some(sops) = Sops::find() else { return };
    let sandbox = Sandbox::with_identity();
    let encrypted = sandbox.encrypted("secrets.env", "API_KEY=s3cret\n# a comment\n\nB=2\n");
    let text = std::fs::read_to_string(encrypted).unwrap();
    let without = |start: &str| text.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect();
    let with = |start: &str, value: &str| -> String {
        let line = |line: &str| if line.starts_with(start) { format!("{start}{value}\n") } else { format!("{line}\n") };
        text.lines().map(line).collect()
    };
    let cases: [(&str, String); 19] = [
        ("whole", text.clone()),
        ("plain", "A=1\n".to_owned()),
        ("empty", String::new()),
        ("no MAC", without("sops_mac=")),
        ("an empty MAC", with("sops_mac=", "")),
        ("a MAC that is none", with("sops_mac=", "x")),
        ("no version", without("sops_version=")),
        ("an empty version", with("sops_version=", "")),
        ("a version that is none", with("sops_version=", "x")),
        ("no keys", without("sops_age")),
        ("no time", without("sops_lastmodified=")),
        ("a time that is none", with("sops_lastmodified=", "x")),
        ("no values", without("API_KEY=")),
        ("two selection options", format!("{text}sops_encrypted_suffix=_x\n")),
        ("a line that is none", format!("garbage\n{text}")),
        ("a plain line that is none", "garbage\n".to_owned()),
        ("a field alone", "sops_foo=1\n".to_owned()),
        ("a name like a field", "sops=1\n".to_owned()),
        ("plain values under metadata", with("API_KEY=", "plain")),
    ];
    assert!(text.contains(RECIPIENT));
    for (what, file) in cases {
        let theirs = sops.run(&["filestatus", "file.env"], "file.env", file.as_bytes());
        sandbox.write("file.env", &file);
        let ours = sandbox.run(&["filestatus", "file.env"]);
        match theirs {
            Ok(answer) => assert_eq!((ours.stdout, ours.code), (String::from_utf8(answer).unwrap(), 0), "{what}"),
            Err(why) => assert_eq!((ours.stdout.as_str(), ours.code), ("", 3), "{what}: {why}"),
        }
    }
}
