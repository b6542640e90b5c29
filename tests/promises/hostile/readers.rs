//! Metadata that are none of the rule's: who can read the file, and what of it is encrypted. Nothing signs them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::sealed::{PLAINTEXT, sealed, sealed_with, spoiled, spoiled_file};
use super::table::{FILE, State, put, refuses};
use crate::support::document::{encrypted, metadata};
use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, Sandbox, ended};

/// A verb on a file, which is to go on (0) or to refuse (6), and to say all of the texts.
type Case<'a> = (&'a [&'a str], i32, &'a [&'a str]);

/// Runs each case on `file`, where the rule names the reader alone.
fn check(file: &str, cases: &[Case]) {
    let sandbox = Sandbox::with_identity();
    let editor = sandbox.root().join("tmp/adds");
    fs::write(&editor, "#!/bin/sh\necho STRIPE_TOKEN=cnry >> \"$1\"\n").unwrap();
    fs::set_permissions(editor, PermissionsExt::from_mode(0o700)).unwrap();
    for (arguments, code, says) in cases {
        put(&sandbox, file.as_bytes());
        let before = State::of(&sandbox);
        let ended: Ended = sandbox.run_with(arguments, "cnry-new\n");
        let mut faults = Vec::new();
        if *code == 0 {
            let missing = says.iter().filter(|text| !ended.stderr.contains(**text));
            faults.extend(missing.map(|text| format!("does not say `{text}`")));
            assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        } else {
            // Whom it is about is shown before it is asked.
            let printed = if arguments[0] == "updatekeys" { "" } else { &ended.stdout };
            faults.extend(refuses(*code, printed, &ended, says));
            faults.extend(before.differs(&State::of(&sandbox)));
        }
        assert!(faults.is_empty(), "{arguments:?}: {}\n{}", faults.join(", "), ended.stderr);
        let _ = fs::remove_dir_all(sandbox.home().join(".local"));
    }
}

#[test]
fn a_rule_that_somebody_slipped_in_stores_nothing_in_clear_unasked() {
    // sops would write the next `STRIPE_TOKEN` in clear.
    let whole = sealed_with("API_KEY=cnry-1\nLAST=cnry-2\n");
    let file = spoiled_file(&whole, |lines| lines.set("sops_unencrypted_suffix=", "_TOKEN"));
    let differs: &[&str] = &["secrets.env", "`unencrypted_suffix: _TOKEN`", "`unencrypted_suffix: _unencrypted`", ".sops.yaml"];
    let named: &[&str] = &["STRIPE_TOKEN", "--allow-plaintext"];
    check(
        &file,
        &[
            (&["decrypt", FILE], 0, differs),
            (&["get", "-f", FILE, "API_KEY"], 0, differs),
            (&["keys", FILE], 0, &[]),
            (&["exec", "-f", FILE, "--", "true"], 0, &[]),
            (&["edit", "--allow-disk-plaintext", "--editor", "../tmp/adds", FILE], 6, named),
            (&["set", "-f", FILE, "STRIPE_TOKEN"], 6, named),
            (&["generate", "-f", FILE, "STRIPE_TOKEN"], 6, named),
            (&["rename", "-f", FILE, "LAST", "STRIPE_TOKEN"], 6, named),
            (&["set", "-f", FILE, "API_KEY"], 0, &[]),
            (&["rotate", FILE], 0, &[]),
            (&["set", "-f", FILE, "STRIPE_TOKEN", "--allow-plaintext", "STRIPE_TOKEN"], 0, &[]),
        ],
    );
}

#[test]
fn a_value_that_was_in_clear_before_under_the_same_rule_is_not_asked_about() {
    check(
        &sealed(),
        &[
            (&["set", "-f", FILE, "MODE_unencrypted"], 0, &[]),
            (&["set", "-f", FILE, "OTHER_unencrypted"], 6, &["OTHER_unencrypted", "--allow-plaintext"]),
        ],
    );
}

#[test]
fn a_recipient_that_no_rule_names_is_said_on_a_change_and_asked_about_before_it_gains_anything() {
    let file = encrypted(PLAINTEXT.as_bytes(), metadata(&[RECIPIENT, STRANGER], None, false)).unwrap();
    let said: &[&str] = &["secrets.env has recipients that no rule names", STRANGER];
    check(
        &String::from_utf8(file).unwrap(),
        &[
            (&["decrypt", FILE], 0, &[]),
            (&["get", "-f", FILE, "API_KEY"], 0, &[]),
            (&["exec", "-f", FILE, "--", "true"], 0, &[]),
            (&["edit", "--allow-disk-plaintext", "--editor", "../tmp/adds", FILE], 0, said),
            (&["set", "-f", FILE, "API_KEY"], 0, said),
            (&["unset", "-f", FILE, "LAST"], 0, said),
            (&["rename", "-f", FILE, "LAST", "LATEST"], 0, said),
            (&["generate", "-f", FILE, "FRESH"], 0, said),
            (&["rotate", FILE], 6, &["secrets.env", STRANGER, "--rm-age", "--yes"]),
            (&["rotate", "--yes", FILE], 0, said),
            (&["updatekeys", FILE], 6, &["`-y` agrees"]),
        ],
    );
}

#[test]
fn somebody_whom_the_rule_names_and_the_file_leaves_out_is_said_on_a_change() {
    let sandbox = Sandbox::with_identity();
    let value = sandbox.write("value", "cnry-new\n");
    let said = "secrets.env cannot be read by everybody its rule names: age1lggyhqrw2nlhcxprm67z… (bob); `dotsops updatekeys secrets.env`";
    let verbs: [&[&str]; 6] = [
        &["edit", "--allow-disk-plaintext", "--editor", "true", FILE],
        &["set", "-f", FILE, "API_KEY"],
        &["unset", "-f", FILE, "LAST"],
        &["rename", "-f", FILE, "LAST", "LATEST"],
        &["generate", "-f", FILE, "FRESH"],
        &["rotate", FILE],
    ];
    for arguments in verbs {
        put(&sandbox, sealed().as_bytes());
        let run = |rules: String| {
            sandbox.write(".sops.yaml", rules);
            let input = fs::File::open(&value).unwrap();
            ended(sandbox.dotsops(arguments).stdin(input))
        };
        let other = run(format!("creation_rules:\n  - age:\n      - {RECIPIENT}\n      - {STRANGER} # bob\n"));
        assert!(other.code == 0 && other.stderr.contains(said), "{arguments:?}: {}", other.stderr);
        put(&sandbox, sealed().as_bytes());
        let same = run(format!("creation_rules:\n  - age: {RECIPIENT}\n"));
        assert!(same.code == 0 && !same.stderr.contains("everybody"), "{arguments:?}: {}", same.stderr);
    }
}

#[test]
fn another_selection_than_the_rules_is_said_whoever_wraps_or_merges() {
    let sandbox = Sandbox::with_identity();
    let other =
        spoiled_file(&sealed_with("API_KEY=cnry-1\nLAST=cnry-2\n"), |lines| lines.set("sops_unencrypted_suffix=", "_TOKEN"));
    sandbox.write("base.env", &other);
    sandbox.write("theirs.env", &other);
    let verbs: [&[&str]; 5] = [
        &["rotate", FILE],
        &["updatekeys", "--yes", FILE],
        &["groups", "add", "-i", "--age", STRANGER, "-f", FILE],
        &["merge", "base.env", FILE, "theirs.env"],
        &["decrypt", FILE],
    ];
    for arguments in verbs {
        put(&sandbox, other.as_bytes());
        let more = if arguments[0] == "updatekeys" { format!("      - {STRANGER}\n") } else { String::new() };
        sandbox.write(".sops.yaml", format!("creation_rules:\n  - age:\n      - {RECIPIENT}\n{more}"));
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("which values are encrypted is not as its rule says"), "{arguments:?}: {}", ended.stderr);
        put(&sandbox, other.as_bytes());
        let strict = sandbox.run(&[&["--strict"], arguments].concat());
        assert_eq!(strict.code, if arguments[0] == "merge" { 129 } else { 6 }, "{arguments:?}: {}", strict.stderr);
        assert_eq!(sandbox.read(FILE), other, "{arguments:?}");
    }
}

/// A recipient that names a program: nothing is run for it while a file is read, and nothing outside of PATH ever.
#[test]
fn a_plugin_that_the_file_names_is_not_run_to_read_it_and_must_have_a_plain_name() {
    let odd = |name: &str| {
        spoiled(|lines| {
            let wrapped = lines.value("sops_age__list_0__map_enc=");
            lines.push(&format!("sops_age__list_1__map_enc={wrapped}"));
            lines.push(&format!("sops_age__list_1__map_recipient={name}"));
        })
    };
    let plain = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age1fake").unwrap(), &[7; 20]).unwrap();
    let cases: [(&[&str], i32); 4] = [
        (&["decrypt", FILE], 0),
        (&["exec", "-f", FILE, "--", "true"], 0),
        (&["set", "-f", FILE, "API_KEY"], 0),
        (&["rotate", FILE], 6),
    ];
    for recipient in [bech32_like("age1../../../bin/planted"), plain.clone()] {
        let sandbox = Sandbox::with_identity();
        let trace = sandbox.root().join("trace");
        let folder = sandbox.root().join("a/b");
        // `age-plugin-` and either name, as a path from a folder of PATH, lead to these programs.
        fs::create_dir_all(folder.join("age-plugin-..")).unwrap();
        fs::create_dir(sandbox.root().join("a/bin")).unwrap();
        for program in [folder.join("age-plugin-../../../bin/planted"), folder.join("age-plugin-fake")] {
            fs::write(&program, format!("#!/bin/sh\n: > '{}'\n", trace.display())).unwrap();
            fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let run = |arguments: &[&str]| {
            put(&sandbox, odd(&recipient).as_bytes());
            let input = fs::File::open(sandbox.write("value", "cnry-new\n")).unwrap();
            ended(sandbox.dotsops(arguments).env("PATH", &path).stdin(input))
        };
        for (arguments, code) in cases {
            let ended = run(arguments);
            assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
            assert!(code == 0 || ended.stderr.contains("no rule names"), "{}", ended.stderr);
            assert!(!trace.exists(), "{arguments:?} runs what {recipient} names");
        }
        // Who agrees to such a reader has not agreed to run its plugin, which takes a plain name besides.
        let agreed = run(&["rotate", "--yes", FILE]);
        assert!(agreed.code != 0 && !trace.exists(), "{}", agreed.stderr);
        assert_eq!(agreed.code == 6 && agreed.stderr.contains("`--allow-plugin fake`"), recipient == plain, "{}", agreed.stderr);
        run(&["rotate", "--yes", "--allow-plugin", "fake", "--allow-plugin", "../../../bin/planted", FILE]);
        assert_eq!(trace.exists(), recipient == plain, "{recipient}");
    }
}

/// What looks like a plugin's recipient under a name that is a path.
fn bech32_like(name: &str) -> String {
    format!("{name}1qqqqqqqqqqqq")
}
