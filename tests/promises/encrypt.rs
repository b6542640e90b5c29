//! `encrypt` and `decrypt`: whole files, in and out, and what is asked before anything is stored in clear.

use std::os::unix::fs::PermissionsExt;

use crate::support::sandbox::{RECIPIENT, STRANGER, Sandbox, ended};

#[test]
fn the_rule_of_the_output_name_decides() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("plain.txt", "A=1\n");
    let none = sandbox.run(&["encrypt", "plain.txt"]);
    assert_eq!(none.code, 3, "{}", none.stderr);
    let done = sandbox.run(&["encrypt", "-o", "s.env", "plain.txt"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{}", done.stderr);
    assert_eq!(sandbox.run(&["decrypt", "s.env"]).stdout, "A=1\n");
}

#[test]
fn recipients_of_the_command_line_replace_those_of_the_rule() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    let done = sandbox.run(&["encrypt", "--blind", "--age", STRANGER, "p.env"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains(STRANGER) && !done.stdout.contains(RECIPIENT));
    assert!(done.stderr.contains("you will not be able to read"), "{}", done.stderr);
    let both = sandbox.run(&["encrypt", "--age", &format!("{STRANGER}, {RECIPIENT}"), "-o", "both.env", "p.env"]);
    assert_eq!(both.code, 0, "{}", both.stderr);
    assert_eq!(sandbox.run(&["decrypt", "both.env"]).stdout, "A=1\n");
}

#[test]
fn names_in_clear_need_consent() {
    let sandbox = Sandbox::with_identity();
    let input = "API_KEY=canary\nPORT=80\nHOST=h\nEMPTY=\n";
    sandbox.write("p.env", input);
    let arguments = ["encrypt", "--encrypted-regex", "^API_", "-o", "s.env", "p.env"];
    let refused = sandbox.run(&arguments);
    assert_eq!(refused.code, 6);
    assert!(refused.stderr.contains("PORT, HOST") && !refused.stderr.contains("EMPTY"), "{}", refused.stderr);
    assert!(!sandbox.path("s.env").exists());
    let mut allowed: Vec<&str> = arguments.to_vec();
    allowed.extend(["--allow-plaintext", "PORT", "--allow-plaintext", "H*"]);
    assert_eq!(sandbox.run(&allowed).code, 0);
    let encrypted = sandbox.read("s.env");
    assert!(encrypted.contains("PORT=80\nHOST=h\nEMPTY=\n") && !encrypted.contains("canary"), "{encrypted}");
}

#[test]
fn an_exported_name_is_encrypted_where_the_rule_means_the_name() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "export API_KEY=canary\n");
    let done = sandbox.run(&["encrypt", "--encrypted-regex", "^API_", "-o", "s.env", "p.env"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("`export` was dropped"), "{}", done.stderr);
    let encrypted = sandbox.read("s.env");
    assert!(encrypted.starts_with("API_KEY=ENC[") && !encrypted.contains("canary"), "{encrypted}");
}

#[test]
fn all_six_selection_options_are_written_and_read_back() {
    let sandbox = Sandbox::with_identity();
    let input = "# public below\nA_clear=one\n# secret below\nB_secret=two\n";
    sandbox.write("p.env", input);
    let cases = [
        ("--unencrypted-suffix", "_clear", "one"),
        ("--encrypted-suffix", "_secret", "one"),
        ("--unencrypted-regex", "^A", "one"),
        ("--encrypted-regex", "^B", "one"),
        ("--unencrypted-comment-regex", "public", "one"),
        ("--encrypted-comment-regex", "secret", "one"),
    ];
    for (option, text, in_clear) in cases {
        let done = sandbox.run(&["encrypt", "--force", option, text, "--allow-plaintext", "*", "-o", "s.env", "p.env"]);
        assert_eq!(done.code, 0, "{option}: {}", done.stderr);
        let encrypted = sandbox.read("s.env");
        let field = format!("sops_{}={text}\n", option.trim_start_matches("--").replace('-', "_"));
        assert!(encrypted.contains(&field), "{option}: {encrypted}");
        assert!(encrypted.contains(&format!("A_clear={in_clear}\n")) && encrypted.contains("B_secret=ENC["), "{option}");
        assert_eq!(sandbox.run(&["decrypt", "s.env"]).stdout, input, "{option}");
    }
    let both = sandbox.run(&["encrypt", "--encrypted-regex", "^B", "--encrypted-suffix", "B", "p.env"]);
    assert_eq!(both.code, 2, "{}", both.stderr);
}

#[test]
fn a_pattern_that_cannot_be_used_never_means_encrypt_nothing() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    let done = sandbox.run(&["encrypt", "--encrypted-regex", "(", "--allow-plaintext", "*", "p.env"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, ""), "{}", done.stderr);
}

#[test]
fn what_is_encrypted_already_is_left_alone() {
    let sandbox = Sandbox::with_identity();
    let path = sandbox.encrypted("s.env", "A=1\nB=2\n");
    let before = std::fs::read(&path).unwrap();
    let again = sandbox.run(&["encrypt", "-i", "s.env"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(sandbox.run(&["encrypt", "s.env"]).stdout.as_bytes(), before);

    let mut text = String::from_utf8(before).unwrap();
    text.insert_str(0, "NEW=canary\n");
    sandbox.write("s.env", &text);
    let refused = sandbox.run(&["encrypt", "-i", "s.env"]);
    assert_eq!(refused.code, 6);
    assert!(refused.stderr.contains("NEW") && !refused.stderr.contains("canary"), "{}", refused.stderr);
    assert_eq!(sandbox.read("s.env"), text);
}

#[test]
fn in_place_encryption_of_dot_env_warns_of_load_dotenv() {
    let sandbox = Sandbox::with_identity();
    sandbox.write(".env", "A=1\n");
    let done = sandbox.run(&["encrypt", "-i", ".env"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("load_dotenv()") && done.stderr.contains("secrets.env"), "{}", done.stderr);
    assert!(sandbox.read(".env").starts_with("A=ENC["));
}

#[test]
fn fix_turns_what_no_program_sees_into_comments() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\nB=\"open\nC=it's\n[section]\n");
    let refused = sandbox.run(&["encrypt", "-o", "s.env", "p.env"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("line 2") && refused.stderr.contains("line 4") && refused.stderr.contains("--fix"));
    assert!(!refused.stderr.contains("open") && !refused.stderr.contains("section"), "{}", refused.stderr);
    assert_eq!(sandbox.run(&["encrypt", "--fix", "-o", "s.env", "p.env"]).code, 0);
    assert_eq!(sandbox.run(&["decrypt", "s.env"]).stdout, "A=1\n#B=\"open\nC=it's\n#[section]\n");
}

#[test]
fn windows_line_endings_and_a_byte_order_mark_go_and_that_is_said() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "\u{feff}A=1\r\n\r\nB=2\r\n");
    let done = sandbox.run(&["encrypt", "-o", "s.env", "p.env"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("line endings became LF") && done.stderr.contains("byte-order mark"), "{}", done.stderr);
    assert_eq!(sandbox.run(&["decrypt", "s.env"]).stdout, "A=1\n\nB=2\n");
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", b"A=1\nB=caf\xe9\n");
    let done = sandbox.run(&["encrypt", "p.env"]);
    assert_eq!(done.code, 3);
    assert!(done.stderr.contains("line 2") && !done.stderr.contains("caf"), "{}", done.stderr);
    sandbox.write("p.env", b"A=1\0\n");
    assert_eq!(sandbox.run(&["encrypt", "p.env"]).code, 3);
}

#[test]
fn standard_input_and_output_are_enough() {
    let sandbox = Sandbox::with_identity();
    let encrypted = sandbox.run_with(&["encrypt", "--filename-override", "x.env"], "A=1\n");
    assert_eq!(encrypted.code, 0, "{}", encrypted.stderr);
    let decrypted = sandbox.run_with(&["decrypt"], &encrypted.stdout);
    assert_eq!((decrypted.code, decrypted.stdout.as_str()), (0, "A=1\n"), "{}", decrypted.stderr);
    assert_eq!(sandbox.run_with(&["decrypt", "-"], &encrypted.stdout).stdout, "A=1\n");
    assert_eq!(sandbox.run_with(&["encrypt", "-i"], "A=1\n").code, 2);
}

#[test]
fn decrypted_files_are_readable_by_their_owner_alone() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "A=1\n");
    assert_eq!(sandbox.run(&["decrypt", "-o", "plain.txt", "s.env"]).code, 0);
    let mode = std::fs::metadata(sandbox.path("plain.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(sandbox.read("plain.txt"), "A=1\n");
    let in_place = sandbox.run(&["decrypt", "-i", "s.env"]);
    assert_eq!(in_place.code, 0);
    assert!(in_place.stderr.contains("in clear"), "{}", in_place.stderr);
    assert_eq!(sandbox.read("s.env"), "A=1\n");
}

#[test]
fn whoever_holds_no_key_is_told_who_does_and_what_was_tried() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    assert_eq!(sandbox.run(&["encrypt", "--blind", "--age", STRANGER, "-o", "s.env", "p.env"]).code, 0);
    let locked = sandbox.run(&["decrypt", "s.env"]);
    assert_eq!((locked.code, locked.stdout.as_str()), (4, ""));
    assert!(locked.stderr.contains(&STRANGER[..20]) && locked.stderr.contains("keys.txt"), "{}", locked.stderr);
    assert!(
        locked.stderr.contains(&RECIPIENT[..20]) && locked.stderr.contains("`dotsops updatekeys s.env`"),
        "{}",
        locked.stderr
    );
    let nobody = ended(sandbox.dotsops(["decrypt", "s.env"]).env("HOME", sandbox.root().join("nobody")));
    assert_eq!(nobody.code, 4);
    assert!(nobody.stderr.contains("you have no identity") && nobody.stderr.contains("dotsops keygen"), "{}", nobody.stderr);
}

#[test]
fn every_tampering_is_refused_and_nothing_is_printed() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "A=one\nB=two\nC=three\n");
    let good = sandbox.read("s.env");
    let lines: Vec<&str> = good.lines().collect();
    let value = |line: &str| line.split_once('=').unwrap().1.to_owned();
    let swapped = good.replacen(lines[0], &format!("A={}", value(lines[1])), 1);
    let renamed = good.replacen("B=ENC", "Z=ENC", 1);
    let deleted = good.replacen(&format!("{}\n", lines[2]), "", 1);
    let cleared = good.replacen(lines[0], "A=one", 1);
    let mac = lines.iter().find(|line| line.starts_with("sops_mac=")).unwrap();
    let no_mac = good.replacen(&format!("{mac}\n"), "", 1);
    let date = lines.iter().find(|line| line.starts_with("sops_lastmodified=")).unwrap();
    let redated = good.replacen(date, "sops_lastmodified=2020-01-01T00:00:00Z", 1);
    let trailing = good.replacen(lines[0], &format!("{}x", lines[0]), 1);
    for (what, text) in [
        ("swapped", swapped),
        ("renamed", renamed),
        ("deleted", deleted),
        ("in clear", cleared),
        ("without a MAC", no_mac),
        ("redated", redated),
        ("trailing", trailing),
    ] {
        sandbox.write("t.env", &text);
        let refused = sandbox.run(&["decrypt", "t.env"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (5, ""), "{what}: {}", refused.stderr);
        assert_eq!(sandbox.run(&["exec", "-f", "t.env", "--", "true"]).code, 125, "{what}");
        assert!(!refused.stderr.contains("one"), "{what}: {}", refused.stderr);
    }
}

#[test]
fn a_name_that_sops_takes_for_binary_is_written_with_a_word_about_it() {
    let sandbox = Sandbox::empty();
    sandbox.write("p.env", "A=1\n");
    let done = sandbox.run(&["encrypt", "--age", RECIPIENT, "-o", ".env.production", "p.env"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("--input-type dotenv") && done.stderr.contains("secrets.production.env"), "{}", done.stderr);
    let yaml = sandbox.run(&["encrypt", "--age", RECIPIENT, "-o", "x.yaml", "p.env"]);
    assert_eq!(yaml.code, 3, "{}", yaml.stderr);
    assert!(yaml.stderr.contains("yaml files are not supported yet"), "{}", yaml.stderr);
}

#[test]
fn an_encrypted_file_replaces_another_one_only_by_force() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("a.env", "ONE=1\n");
    sandbox.encrypted("b.env", "TWO=2\n");
    let before = sandbox.read("b.env");
    let refused = sandbox.run(&["encrypt", "a.env", "-o", "b.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_eq!(sandbox.read("b.env"), before);
    assert_eq!(sandbox.run(&["encrypt", "--force", "a.env", "-o", "b.env"]).code, 0);
    assert_eq!(sandbox.read("b.env"), sandbox.read("a.env"));
    let again = sandbox.run(&["encrypt", "a.env", "-o", "b.env"]);
    assert_eq!(again.code, 0, "the same bytes lose nothing: {}", again.stderr);
}
