//! What a new file starts from.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::editing::{CANARY, Editing};
use crate::support::sandbox::{Ended, ended};

const EXAMPLE: &str = "# The shop\nDATABASE_URL=postgres://example # where\nexport TOKEN='example'\n\nBARE\n";
const SHOWN: &str = "# The shop\n# where\nDATABASE_URL=\nexport TOKEN=\n\nBARE=\n";

const SEES: &str = r#"cp "$1" "$NOTES/seen""#;

fn edit_new(editing: &Editing, file: &str, script: &str) -> Ended {
    ended(&mut editing.command(script, &[file]))
}

#[test]
fn a_new_file_starts_from_the_names_and_comments_of_the_example_and_none_of_its_values() {
    let editing = Editing::without_file();
    editing.sandbox.write(".env.example", EXAMPLE);
    let made = edit_new(&editing, "secrets.env", &format!("{SEES}; sed -i 's/^DATABASE_URL=/&{CANARY_IN_SED}/' \"$1\""));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("starts from the names in .env.example"), "{}", made.stderr);
    assert_eq!(editing.noted("seen"), SHOWN);
    assert_eq!(editing.text(), SHOWN.replace("DATABASE_URL=", &format!("DATABASE_URL={CANARY}")));
    editing.assert_no_plaintext(&[CANARY]);
    // Only a new file does.
    let again = edit_new(&editing, "secrets.env", ":");
    assert!(!again.stderr.contains("example"), "{}", again.stderr);
}

/// The canary, as sed takes it.
const CANARY_IN_SED: &str = r#"canary+5f\/3a"91e7"#;

#[test]
fn an_example_that_nobody_touched_makes_nothing() {
    for script in [":", r#"touch "$1""#, r#": > "$1""#, r#"sed -i 's/$/\r/' "$1""#] {
        let editing = Editing::without_file();
        editing.sandbox.write(".env.example", EXAMPLE);
        let ended = edit_new(&editing, "secrets.env", script);
        assert_eq!(ended.code, 0, "{script}: {}", ended.stderr);
        assert!(ended.stderr.contains("no file was made"), "{script}: {}", ended.stderr);
        assert!(!editing.sandbox.path("secrets.env").exists() && !editing.has_draft());
    }
    // Nor does it leave a draft when the editor fails.
    let editing = Editing::without_file();
    editing.sandbox.write(".env.example", EXAMPLE);
    let failed = edit_new(&editing, "secrets.env", "exit 1");
    assert_eq!(failed.code, 7);
    assert!(!editing.has_draft() && failed.stderr.contains("nothing is lost"), "{}", failed.stderr);
}

#[test]
fn the_nearest_example_counts_beside_the_file_before_the_root_of_the_repository() {
    let editing = Editing::without_file();
    let sandbox = &editing.sandbox;
    fs::create_dir(sandbox.path(".git")).unwrap();
    fs::create_dir_all(sandbox.path("app/deep")).unwrap();
    // Each is found only while none before it is there.
    let examples = [
        "app/deep/new.env.example",
        "app/deep/.env.example",
        "app/deep/.env.sample",
        "app/deep/.env.template",
        "new.env.example",
        ".env.example",
        ".env.sample",
        ".env.template",
    ];
    for (number, example) in examples.iter().enumerate() {
        sandbox.write(example, format!("FROM_{number}=\n"));
    }
    sandbox.write("app/.env.example", "BETWEEN=\n");
    for (number, example) in examples.iter().enumerate() {
        assert_eq!(edit_new(&editing, "app/deep/new.env", SEES).code, 0);
        assert_eq!(editing.noted("seen"), format!("FROM_{number}=\n"), "{example}");
        fs::remove_file(sandbox.path(example)).unwrap();
    }
    assert_eq!(edit_new(&editing, "app/deep/new.env", SEES).code, 0);
    assert_eq!(editing.noted("seen"), "");
    // Without a repository only the folder itself.
    fs::remove_dir(sandbox.path(".git")).unwrap();
    sandbox.write(".env.example", "FAR=\n");
    assert_eq!(edit_new(&editing, "app/deep/new.env", SEES).code, 0);
    assert_eq!(editing.noted("seen"), "");
}

/// What lies in the place of an example, and what is said about it.
struct Case {
    said: &'static str,
    make: fn(&Editing),
}

fn case(said: &'static str, make: fn(&Editing)) -> Case {
    Case { said, make }
}

#[test]
fn an_example_that_is_none_does_no_harm_and_is_named() {
    let cases = [
        case("not a regular file", |editing| {
            assert!(Command::new("mkfifo").arg(editing.sandbox.path(".env.example")).status().unwrap().success());
        }),
        case("not a regular file", |editing| fs::create_dir(editing.sandbox.path(".env.example")).unwrap()),
        case("it is a link", |editing| {
            let elsewhere = editing.sandbox.home().join("private.env");
            fs::write(&elsewhere, format!("# {CANARY}\nPRIVATE=1\n")).unwrap();
            symlink(elsewhere, editing.sandbox.path(".env.example")).unwrap();
        }),
        case("it is a link", |editing| symlink("nowhere", editing.sandbox.path(".env.example")).unwrap()),
        case("larger than 1 MiB", |editing| {
            let huge = fs::File::create(editing.sandbox.path(".env.example")).unwrap();
            huge.set_len(1 << 40).unwrap();
        }),
        case("not UTF-8", |editing| drop(editing.sandbox.write(".env.example", b"A=\xff\xfe\n"))),
        case("it is an encrypted file", |editing| {
            fs::rename(editing.sandbox.encrypted("other.env", "A=1\n"), editing.sandbox.path(".env.example")).unwrap();
        }),
    ];
    for Case { said, make } in cases {
        let editing = Editing::without_file();
        make(&editing);
        let made = edit_new(&editing, "secrets.env", &format!("{SEES}; echo B=2 >> \"$1\""));
        assert_eq!(made.code, 0, "{said}: {}", made.stderr);
        let warned = format!("warning: .env.example is not used: {said}");
        assert!(made.stderr.contains(&warned), "{said}: {}", made.stderr);
        assert_eq!(editing.noted("seen"), "");
        assert_eq!(editing.text(), "B=2\n");
    }
}

#[test]
fn nothing_of_a_hostile_example_drives_a_terminal_or_keeps_the_file_from_being_saved() {
    let editing = Editing::without_file();
    let example =
        "# \x1b]0;title\x07\n# fine\nsops_mac_like=1\n1a=1\nA=1\nA=2\nB=\"x\0y\"\n#!dotsops mine A=1\n'C D'=1\nE=a\rF=b\n= 1\n";
    editing.sandbox.write(".env.example", example);
    let made = edit_new(&editing, "secrets.env", &format!("{SEES}; sed -i 's/^A=/A=1/' \"$1\""));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(editing.noted("seen"), "# fine\nA=\nB=\nE=\nF=\n");
    assert_eq!(editing.text(), "# fine\nA=1\nB=\nE=\nF=\n");
}
