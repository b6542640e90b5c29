//! `--strict`: what is a warning about a file or its rule is a refusal, and everything else is as without it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dotsops::document::selection::SelectionOption;

use super::sealed::{PLAINTEXT, sealed, sealed_with, spoiled, spoiled_file};
use super::table::{FILE, State, make_fifo, put, refuses};
use crate::support::document::{encrypted, metadata};
use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, Sandbox, ended};

const EDIT: &[&str] = &["edit", "--allow-disk-plaintext", "--editor", "../tmp/types", FILE];
const EXEC: &[&str] = &["exec", "-f", FILE, "--", "/bin/echo", "ran"];
const LITERAL: &[&str] = &["exec", "--literal", "-f", FILE, "--", "/bin/echo", "ran"];
const ROTATE: &[&str] = &["rotate", "--yes", FILE];
const SET: &[&str] = &["set", "-f", FILE, "API_KEY"];
const UPDATE: &[&str] = &["updatekeys", "--yes", FILE];

/// A file, and the verbs that warn about it, with what they say.
type Row<'a> = (&'a str, String, &'a [(&'a [&'a str], &'a str)]);

/// A rule that names the reader alone; an editor that changes a value.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    let editor = sandbox.root().join("tmp/types");
    fs::write(&editor, "#!/bin/sh\nsed -i 's/^LAST=.*/LAST=other/' \"$1\"\n").unwrap();
    fs::set_permissions(editor, PermissionsExt::from_mode(0o700)).unwrap();
    sandbox
}

/// Runs a verb, to which a value is piped, with `--strict` before it.
fn strictly(sandbox: &Sandbox, arguments: &[&str]) -> Ended {
    sandbox.run_with(&[&["--strict"], arguments].concat(), "cnry-new\n")
}

fn code_of(arguments: &[&str]) -> i32 {
    if arguments[0] == "exec" { 125 } else { 6 }
}

fn check(sandbox: &Sandbox, (what, file, cells): &Row) {
    for (arguments, says) in *cells {
        put(sandbox, file.as_bytes());
        let loose = sandbox.run_with(arguments, "cnry-new\n");
        assert_eq!(loose.code, 0, "{what}: {arguments:?}: {}", loose.stderr);
        let warned = loose.stderr.lines().any(|line| line.starts_with("dotsops: warning: ") && line.contains(says));
        assert!(warned, "{what}: {arguments:?} does not warn of {says:?}: {}", loose.stderr);

        put(sandbox, file.as_bytes());
        let _ = fs::remove_dir_all(sandbox.home().join(".local"));
        let before = State::of(sandbox);
        let ended = strictly(sandbox, arguments);
        // Whom it is about is shown before the file is opened.
        let printed = if arguments[0] == "updatekeys" { "" } else { &ended.stdout };
        let mut faults = refuses(code_of(arguments), printed, &ended, &[says]);
        faults.extend(before.differs(&State::of(sandbox)));
        if ended.stderr.contains("dotsops: warning") {
            faults.push("warns all the same".to_owned());
        }
        assert!(faults.is_empty(), "{what}: {arguments:?}: {}\n{}", faults.join(", "), ended.stderr);
        let _ = fs::remove_dir_all(sandbox.home().join(".local"));
    }
}

#[test]
fn row_61_every_warning_about_a_file_is_a_refusal() {
    let sandbox = sandbox();
    let twice = "`API_KEY` stands more than once";
    let other_rule = spoiled_file(&sealed_with("API_KEY=cnry-1\nLAST=cnry-2\n"), |lines| {
        lines.set("sops_unencrypted_suffix=", "_TOKEN");
    });
    let not_as_rule = "which values are encrypted is not as its rule says";
    let two = metadata(&[RECIPIENT, STRANGER], None, false);
    let unnamed = String::from_utf8(encrypted(PLAINTEXT.as_bytes(), two).unwrap()).unwrap();
    let no_rule_names = "has recipients that no rule names";
    let loads = "makes programs load code";
    let comments = "comment stands in clear";
    let rows: &[Row] = &[
        (
            "a name twice",
            sealed_with("API_KEY=cnry-1\nTOKEN=cnry-2\nAPI_KEY=cnry-3\nLAST=cnry-4\n"),
            &[
                (&["decrypt", FILE], twice),
                (&["keys", FILE], twice),
                (&["get", "-f", FILE, "API_KEY"], "is defined several times"),
                (EXEC, twice),
                (LITERAL, twice),
                (ROTATE, "some names several times: API_KEY"),
                (&["groups", "add", "-i", "--age", STRANGER, "-f", FILE], twice),
            ],
        ),
        ("another rule", other_rule, &[(&["decrypt", FILE], not_as_rule), (&["get", "-f", FILE, "API_KEY"], not_as_rule)]),
        (
            "a recipient that no rule names",
            unnamed,
            &[
                (EDIT, no_rule_names),
                (SET, no_rule_names),
                (&["unset", "-f", FILE, "LAST"], no_rule_names),
                (&["rename", "-f", FILE, "LAST", "LATEST"], no_rule_names),
                (&["generate", "-f", FILE, "FRESH"], no_rule_names),
            ],
        ),
        (
            "a new name that loads code",
            sealed(),
            &[
                (&["set", "-f", FILE, "LD_PRELOAD"], loads),
                (&["generate", "-f", FILE, "BASH_ENV"], loads),
                (&["rename", "-f", FILE, "LAST", "PERL5OPT"], loads),
            ],
        ),
        (
            "a name that chooses whom a program talks to",
            sealed_with("HTTPS_PROXY=cnry-1\n"),
            &[(EXEC, "`HTTPS_PROXY` chooses a program, host or certificate"), (LITERAL, "`HTTPS_PROXY`")],
        ),
        ("a name that is none to a shell", sealed_with("A-B=cnry-1\n"), &[(EXEC, "`A-B` is no name for a shell")]),
        (
            "an empty line that a value refers to",
            spoiled_file(&sealed_with("API_KEY=cnry${HOST}\nLAST=cnry-1\n"), |lines| lines.insert("LAST=", "HOST=")),
            &[(EXEC, "`API_KEY` refers to `HOST`")],
        ),
        (
            "a comment in clear",
            spoiled(|lines| lines.insert("LAST=", "# by hand")),
            &[(&["decrypt", FILE], comments), (SET, comments), (EDIT, comments), (ROTATE, comments)],
        ),
        (
            "a plaintext",
            "API_KEY=1\n".to_owned(),
            &[(EXEC, "is not encrypted; its values are passed"), (&["keys", FILE], "is not encrypted")],
        ),
        (
            "an option without effect",
            sealed(),
            &[(&["exec", "--except", "APIKEY", "-f", FILE, "--", "/bin/echo", "ran"], "nothing is left out by `APIKEY`")],
        ),
    ];
    rows.iter().for_each(|row| check(&sandbox, row));
    // `updatekeys` needs somebody who comes.
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT},{STRANGER}\n"));
    check(&sandbox, &("a name twice", sealed_with("API_KEY=cnry-1\nAPI_KEY=cnry-3\n"), &[(UPDATE, twice)]));
}

#[test]
fn what_changes_a_file_is_refused_under_another_rule_also_where_nobody_would_be_asked() {
    let sandbox = sandbox();
    let file =
        spoiled_file(&sealed_with("API_KEY=cnry-1\nLAST=cnry-2\n"), |lines| lines.set("sops_unencrypted_suffix=", "_TOKEN"));
    for arguments in [SET, EDIT] {
        put(&sandbox, file.as_bytes());
        assert_eq!(sandbox.run_with(arguments, "cnry-new\n").code, 0);
        put(&sandbox, file.as_bytes());
        let before = State::of(&sandbox);
        let ended = strictly(&sandbox, arguments);
        let mut faults = refuses(6, &ended.stdout, &ended, &["is not as its rule says", "`unencrypted_suffix: _TOKEN`"]);
        faults.extend(before.differs(&State::of(&sandbox)));
        assert!(faults.is_empty(), "{arguments:?}: {}\n{}", faults.join(", "), ended.stderr);
    }
}

#[test]
fn a_name_that_loads_code_typed_in_an_editor_is_refused_and_the_text_kept() {
    let sandbox = sandbox();
    fs::write(sandbox.root().join("tmp/types"), "#!/bin/sh\necho LD_PRELOAD=cnry >> \"$1\"\n").unwrap();
    put(&sandbox, sealed().as_bytes());
    let before = State::of(&sandbox);
    let refused = strictly(&sandbox, EDIT);
    let mut faults = refuses(6, &refused.stdout, &refused, &["`LD_PRELOAD` makes programs load code", "dotsops edit --resume"]);
    faults.extend(before.differs(&State::of(&sandbox)));
    assert!(faults.is_empty(), "{}\n{}", faults.join(", "), refused.stderr);
    let resumed = ["edit", "--allow-disk-plaintext", "--resume", "--editor", "true", FILE];
    assert_eq!(sandbox.run(&resumed).code, 0);
    assert_eq!(sandbox.run(&["get", "-f", FILE, "LD_PRELOAD"]).stdout, "cnry");
}

#[test]
fn a_new_file_is_refused_for_what_would_be_said_of_it_or_of_its_rule() {
    let sandbox = sandbox();
    sandbox.write("plain.env", "LD_PRELOAD=cnry\n");
    let line = ["encrypt", "-o", "new.env", "plain.env"];
    let refused = |says: &str| {
        let ended = strictly(&sandbox, &line);
        let faults = refuses(6, &ended.stdout, &ended, &[says]);
        assert!(faults.is_empty() && !sandbox.path("new.env").exists(), "{}\n{}", faults.join(", "), ended.stderr);
    };
    refused("`LD_PRELOAD` makes programs load code");
    sandbox.write("plain.env", "A=cnry\n");
    assert_eq!(strictly(&sandbox, &line).code, 0);
    fs::remove_file(sandbox.path("new.env")).unwrap();
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - agee: x\n    age: {RECIPIENT}\n"));
    refused("`agee` has no meaning");
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT}\n"));
    fs::set_permissions(sandbox.path(".sops.yaml"), PermissionsExt::from_mode(0o666)).unwrap();
    refused("everybody may write it");
}

#[test]
fn there_must_be_a_rule_to_compare_with_and_one_that_can_be_used() {
    let cases: [(&str, i32, &str); 4] = [
        ("", 6, "there is no .sops.yaml to compare the file with"),
        ("creation_rules: [\n", 3, ".sops.yaml"),
        ("creation_rules:\n  - path_regex: other\n    age: x\n", 3, "no creation rule"),
        ("stores: {}\n", 3, "no creation_rules"),
    ];
    for (config, code, says) in cases {
        let sandbox = sandbox();
        match config {
            "" => fs::remove_file(sandbox.path(".sops.yaml")).unwrap(),
            config => drop(sandbox.write(".sops.yaml", config)),
        }
        let verbs: [&[&str]; 4] = [&["decrypt", FILE], &["get", "-f", FILE, "API_KEY"], SET, EDIT];
        for arguments in verbs {
            put(&sandbox, sealed().as_bytes());
            let before = State::of(&sandbox);
            let ended = strictly(&sandbox, arguments);
            let mut faults = refuses(code, &ended.stdout, &ended, &[says]);
            faults.extend(before.differs(&State::of(&sandbox)));
            assert!(faults.is_empty(), "{config:?}: {arguments:?}: {}\n{}", faults.join(", "), ended.stderr);
        }
        // Nothing that a program gets is compared with a rule.
        put(&sandbox, sealed().as_bytes());
        assert_eq!(strictly(&sandbox, EXEC).stdout, "ran\n");
    }
    let sandbox = sandbox();
    fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    make_fifo(&sandbox.path(".sops.yaml"));
    put(&sandbox, sealed().as_bytes());
    assert_eq!(strictly(&sandbox, SET).code, 3);
}

#[test]
fn a_file_that_is_as_it_should_be_passes() {
    let sandbox = sandbox();
    let verbs: [&[&str]; 9] = [
        &["keys", FILE],
        &["decrypt", FILE],
        &["get", "-f", FILE, "API_KEY"],
        EXEC,
        EDIT,
        SET,
        &["unset", "-f", FILE, "LAST"],
        ROTATE,
        UPDATE,
    ];
    for arguments in verbs {
        put(&sandbox, sealed().as_bytes());
        let strict = strictly(&sandbox, arguments);
        put(&sandbox, sealed().as_bytes());
        let loose = sandbox.run_with(arguments, "cnry-new\n");
        assert_eq!((strict.code, &strict.stderr, &strict.stdout), (0, &loose.stderr, &loose.stdout), "{arguments:?}");
    }
}

#[test]
fn the_variable_means_the_same_as_the_option_unless_it_says_no() {
    let sandbox = sandbox();
    put(&sandbox, sealed_with("HTTPS_PROXY=cnry-1\n").as_bytes());
    for (value, code) in [("1", 125), ("true", 125), ("whatever", 125), ("0", 0), ("", 0), ("False", 0), ("no", 0), ("off", 0)] {
        for quiet in [&[][..], &["-q"]] {
            let mut command = sandbox.dotsops([quiet, EXEC].concat());
            assert_eq!(ended(command.env("DOTSOPS_STRICT", value)).code, code, "{value:?}");
        }
    }
    // It may stand behind the verb too.
    assert_eq!(sandbox.run(&["exec", "--strict", "-f", FILE, "--", "true"]).code, 125);
}

#[test]
fn row_61_a_value_in_clear_is_not_replaced_unasked_under_another_rule_than_that_of_the_file() {
    // Somebody without a key can add `STRIPE_TOKEN` in clear where the MAC does not cover it, together with such a rule.
    let selection = Some((SelectionOption::UnencryptedRegex, "^STRIPE_"));
    let file =
        encrypted(b"STRIPE_TOKEN=placeholder\nSTRIPE_URL=x\nLAST=cnry\n", metadata(&[RECIPIENT], selection, true)).unwrap();
    let sandbox = sandbox();
    let editor = sandbox.root().join("tmp/types");
    fs::write(editor, "#!/bin/sh\nsed -i 's/^STRIPE_TOKEN=.*/STRIPE_TOKEN=cnry-live/' \"$1\"\n").unwrap();
    let set: &[&str] = &["set", "-f", FILE, "STRIPE_TOKEN"];
    let refused = |arguments: &[&str]| {
        put(&sandbox, &file);
        let before = State::of(&sandbox);
        let ended = sandbox.run_with(arguments, "cnry-live\n");
        let mut faults = refuses(6, &ended.stdout, &ended, &["STRIPE_TOKEN", "--allow-plaintext", "is not as its rule says"]);
        faults.extend(before.differs(&State::of(&sandbox)));
        assert!(
            faults.is_empty() && !ended.stderr.contains("STRIPE_URL"),
            "{arguments:?}: {}\n{}",
            faults.join(", "),
            ended.stderr
        );
        let _ = fs::remove_dir_all(sandbox.home().join(".local"));
    };
    refused(set);
    refused(EDIT);
    let passes = |arguments: &[&str]| {
        put(&sandbox, &file);
        let ended = sandbox.run_with(arguments, "cnry-live\n");
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        ended
    };
    passes(&["set", "-f", FILE, "STRIPE_TOKEN", "--allow-plaintext", "STRIPE_*"]);
    // What is not touched, or is encrypted, is not asked about.
    passes(&["set", "-f", FILE, "LAST"]);
    // Nor anything if the rule says the same.
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT}\n    unencrypted_regex: ^STRIPE_\n"));
    passes(set);
    passes(EDIT);
    // Nor where there is no rule to tell.
    fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    passes(set);
}
