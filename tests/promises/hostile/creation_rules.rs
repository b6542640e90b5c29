//! `.sops.yaml` from somebody else, or broken: what chooses readers refuses it by file and line, and nobody is kept from what is there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::sealed::sealed;
use super::table::{FILE, State, make_fifo, prepare, put, refuses};
use crate::support::peers::peer;
use crate::support::sandbox::{IDENTITY, RECIPIENT, STRANGER, Sandbox};

/// What asks the config: each verb that chooses readers.
const ASKING: &[&[&str]] = &[
    &["encrypt", "plain.env"],
    &["encrypt", "-i", "plain.env"],
    &["edit", "--allow-disk-plaintext", "--editor", "../tmp/types", "new.env"],
    &["rule", FILE],
    &["updatekeys", "--yes", FILE],
    &["rotate", "--yes", FILE],
    &["init", "--yes"],
];

/// What reads or changes a file that is there, and must go on.
const NOT_ASKING: &[&[&str]] = &[
    &["decrypt", FILE],
    &["get", "-f", FILE, "API_KEY"],
    &["keys", FILE],
    &["filestatus", FILE],
    &["groups", "list", "-f", FILE],
    &["exec", "-f", FILE, "--", "true"],
    &["set", "-f", FILE, "API_KEY"],
    &["unset", "-f", FILE, "LAST"],
    &["generate", "-f", FILE, "FRESH"],
    &["edit", "--allow-disk-plaintext", "--editor", "../tmp/types", FILE],
];

/// A config that cannot be used, in which line (nothing: in none), and what is said.
type Case<'a> = (&'a str, Option<usize>, &'a [&'a str]);

/// Puts something at a path, or does something to what is there.
type Make = fn(&Path);

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    sandbox.write("plain.env", "API_KEY=cnry\n");
    fs::create_dir(sandbox.path(".git")).unwrap();
    sandbox
}

/// What is not so: that all verbs of `asking` refuse the config that lies there, and all others go on.
fn faults(what: &str, sandbox: &Sandbox, asking: &[&[&str]], code: i32, says: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for arguments in asking {
        put(sandbox, sealed().as_bytes());
        let before = State::of(sandbox);
        let plain = sandbox.read("plain.env");
        let ended = sandbox.run_with(arguments, "");
        // These say what they found before they came to what is wrong.
        let printed = if ["rule", "init"].contains(&arguments[0]) { "" } else { &ended.stdout };
        let mut faults = refuses(code, printed, &ended, says);
        faults.extend(before.differs(&State::of(sandbox)));
        if sandbox.read("plain.env") != plain {
            faults.push("the plaintext is another".to_owned());
        }
        if !faults.is_empty() {
            wrong.push(format!("{what}: {arguments:?}: {}\n{}", faults.join(", "), ended.stderr));
        }
    }
    for arguments in NOT_ASKING {
        put(sandbox, sealed().as_bytes());
        let ended = sandbox.run_with(arguments, "cnry-new\n");
        if ended.code != 0 || ended.stderr.contains("dotsops: error") {
            wrong.push(format!("{what}: {arguments:?}: ended with {}\n{}", ended.code, ended.stderr));
        }
    }
    let _ = fs::remove_dir_all(sandbox.home().join(".local"));
    wrong
}

fn faults_of((config, line, says): &Case, asking: &[&[&str]]) -> Vec<String> {
    let sandbox = sandbox();
    sandbox.write(".sops.yaml", config);
    let place = line.map(|line| format!("line {line}")).unwrap_or_default();
    let what: String = config.chars().take(60).collect();
    faults(&what, &sandbox, asking, 3, &[says, &[".sops.yaml", place.as_str()][..]].concat())
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_config_that_cannot_be_read_is_named_by_line() {
    let nine = |name: &str| vec![format!("*{name}"); 9].join(", ");
    let bomb: String = (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", nine(&format!("a{}", n - 1)))).collect();
    let bomb = format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{bomb}creation_rules: []\n");
    let deep = format!("creation_rules:\n  {}", "[".repeat(100_000));
    let deep_blocks = format!("creation_rules:\n  {}x", "- ".repeat(1000));
    let huge = format!("creation_rules: []\n{}", "# x\n".repeat(270_000));
    let cases: &[Case] = &[
        (&bomb, None, &["line ", "anchors and aliases repeat too much"]),
        (&deep, Some(2), &["nested"]),
        (&deep_blocks, Some(2), &["nested"]),
        (&huge, None, &["larger than 1 MiB"]),
        ("creation_rules:\n\t- age: x\n", Some(2), &["spaces, not a tab"]),
        ("creation_rules:\n  - age: a\n    age: b\n", Some(3), &["`age`", "already on line 2"]),
        ("creation_rules: [\n", Some(1), &["brackets"]),
        ("creation_rules: 'x", Some(1), &["closing quote"]),
        ("creation_rules:\n  - age: *nobody\n", Some(2), &["alias"]),
        ("creation_rules:\n  - age: a\u{0}b\n", Some(2), &["U+0000"]),
        ("creation_rules:\n  - age: a\u{2028}b\n", Some(2), &["U+2028"]),
        ("- creation_rules\n", Some(1), &["mapping"]),
        ("creation_rules: x\n", Some(1), &["`creation_rules`", "list"]),
        ("creation_rules:\n  - x\n", Some(2), &["`creation_rules`"]),
        ("creation_rules:\n  - age: {a: b}\n", Some(2), &["`age`"]),
        ("creation_rules:\n  - age: x\n    shamir_threshold: many\n", Some(3), &["`shamir_threshold`"]),
    ];
    let mut wrong: Vec<String> = cases.iter().flat_map(|case| faults_of(case, ASKING)).collect();
    let sandbox = sandbox();
    sandbox.write(".sops.yaml", b"creation_rules:\n  - age: \xff\n");
    wrong.extend(faults("not UTF-8", &sandbox, ASKING, 3, &[".sops.yaml", "not UTF-8 at byte 25", "save it as UTF-8"]));
    assert_none(wrong);
}

#[test]
fn a_rule_that_cannot_be_used_is_named_by_line() {
    // `init` adds a rule of its own in front, and `rule` says what is there.
    let asking: Vec<&[&str]> = ASKING.iter().copied().filter(|words| words[0] != "init").collect();
    let long = "a".repeat(4097);
    let (two, long) = (
        format!("creation_rules:\n  - age: {RECIPIENT}\n    encrypted_regex: ^A\n    encrypted_suffix: B\n"),
        format!("creation_rules:\n  - age: {RECIPIENT}\n    encrypted_regex: {long}\n"),
    );
    let pattern = |pattern: &str| format!("creation_rules:\n  - age: {RECIPIENT}\n    encrypted_regex: '{pattern}'\n");
    let (bad, large) = (pattern("^(API"), pattern("((((a{100}){100}){100}){100})"));
    let cases: &[Case] = &[
        ("creation_rules:\n  - path_regex: '^(sec'\n", Some(2), &["`path_regex`", "pattern"]),
        ("creation_rules:\n  - path_regex: '*.env'\n", Some(2), &["`path_regex`", r"\.env$"]),
        (&bad, Some(3), &["`encrypted_regex`", "pattern"]),
        (&large, Some(3), &["`encrypted_regex`", "pattern"]),
        (&long, Some(3), &["`encrypted_regex`", "longer than 4 KiB"]),
        (&two, None, &["`encrypted_regex`", "`encrypted_suffix`"]),
    ];
    let mut wrong: Vec<String> = cases.iter().flat_map(|case| faults_of(case, &asking)).collect();
    // A recipient that is none matters to whoever wraps for it.
    let wrapping: Vec<&[&str]> =
        ASKING.iter().copied().filter(|words| ["encrypt", "edit", "updatekeys"].contains(&words[0])).collect();
    let private = format!("creation_rules:\n  - age: {IDENTITY}\n");
    let cases: &[Case] = &[
        ("creation_rules:\n  - age: age1nonsense\n", Some(2), &["damaged"]),
        (&private, Some(2), &["private key", "treat it as leaked"]),
        ("creation_rules:\n  - pgp: AB12\n", Some(2), &["a PGP key"]),
    ];
    wrong.extend(cases.iter().flat_map(|case| faults_of(case, &wrapping)));
    assert_none(wrong);
    let sandbox = sandbox();
    sandbox.write(".sops.yaml", &private);
    for arguments in ASKING.iter().chain(NOT_ASKING) {
        let ended = sandbox.run(arguments);
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(&IDENTITY[..20]), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_rule_is_named_by_the_file_it_stands_in_whatever_that_is_called() {
    let sandbox = sandbox();
    let two_groups = format!(
        "creation_rules:\n  - shamir_threshold: 3\n    key_groups:\n      - age: [{RECIPIENT}]\n      - age: [{STRANGER}]\n"
    );
    let empty_group = format!("creation_rules:\n  - key_groups:\n      - age: [{RECIPIENT}]\n      - {{}}\n");
    for (text, said) in [
        ("creation_rules:\n  - age: age1nonsense\n", "rules/other.yaml: line 2: here is no usable recipient"),
        ("creation_rules:\n  - pgp: AB12\n", "rules/other.yaml: line 2: here is a PGP key"),
        (&two_groups, "rules/other.yaml: line 2: the rule asks for 3 of its 2 key groups"),
        (&empty_group, "rules/other.yaml: line 2: the rule has a key group without keys"),
    ] {
        sandbox.write("rules/other.yaml", text);
        let ended = sandbox.run(&["--config", "rules/other.yaml", "encrypt", "plain.env"]);
        let faults = refuses(3, &ended.stdout, &ended, &[said]);
        assert!(faults.is_empty() && !ended.stderr.contains(".sops.yaml"), "{}\n{}", faults.join(", "), ended.stderr);
    }
}

#[test]
fn a_config_that_is_no_file_is_refused_and_never_waited_for() {
    let make: [(&str, Make); 4] = [
        ("a folder", |path| fs::create_dir(path).unwrap()),
        ("a FIFO", make_fifo),
        ("/dev/zero", |path| symlink("/dev/zero", path).unwrap()),
        ("/dev/null", |path| symlink("/dev/null", path).unwrap()),
    ];
    for (what, make) in make {
        let sandbox = sandbox();
        make(&sandbox.path(".sops.yaml"));
        let asking: Vec<&[&str]> = ASKING.iter().copied().filter(|words| words[0] != "init").collect();
        assert_none(faults(what, &sandbox, &asking, 3, &["cannot read ", ".sops.yaml", "not a regular file"]));
    }
}

#[test]
fn a_config_that_others_can_change_is_said_and_outside_of_the_repository_refused() {
    let is_root = rustix::process::geteuid().is_root();
    let root = peer("root, who can give files away,", is_root.then(|| "/".into()));
    let strangers: [(&str, Make); 2] = [
        ("everybody may write it", |path| fs::set_permissions(path, PermissionsExt::from_mode(0o666)).unwrap()),
        ("it belongs to user 65534", |path| std::os::unix::fs::chown(path, Some(65534), None).unwrap()),
    ];
    for (said, give_away) in strangers.into_iter().take(if root.is_some() { 2 } else { 1 }) {
        let sandbox = sandbox();
        sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT},{STRANGER}\n"));
        give_away(&sandbox.path(".sops.yaml"));
        let ended = sandbox.run(&["encrypt", "plain.env"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended.stderr.contains(".sops.yaml decides who reads new files") && ended.stderr.contains(said),
            "{}",
            ended.stderr
        );
        // The same file, seen from a repository below it.
        fs::create_dir_all(sandbox.path("sub/.git")).unwrap();
        sandbox.write("sub/plain.env", "API_KEY=cnry\n");
        sandbox.write("sub/secrets.env", sealed());
        for arguments in [
            &["encrypt", "plain.env"][..],
            &["encrypt", "-i", "plain.env"],
            &["rule", "plain.env"],
            &["updatekeys", "-y", "secrets.env"],
            &["rotate", "secrets.env"],
        ] {
            let ended = crate::support::sandbox::ended(sandbox.dotsops(arguments).current_dir(sandbox.path("sub")));
            let faults = refuses(6, &ended.stdout, &ended, &[".sops.yaml", "outside of this repository", said, "`dotsops init`"]);
            assert!(faults.is_empty(), "{arguments:?}: {}\n{}", faults.join(", "), ended.stderr);
            assert_eq!(sandbox.read("sub/plain.env"), "API_KEY=cnry\n");
        }
    }
}
