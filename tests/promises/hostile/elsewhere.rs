//! The verbs that no column of the table asks, with the reason; and those of them that take an encrypted file, on spoiled ones.

use super::sealed::{Lines, PLAINTEXT, other_byte, sealed, spoiled_file};
use super::table::{FILE, State, VERBS, prepare, put, refuses};
use crate::promises::verbs::verbs;
use crate::support::document::{encrypted, metadata};
use crate::support::sandbox::{RECIPIENT, Sandbox};

/// What is not asked in every row.
const ELSEWHERE: &[(&str, &str)] = &[
    ("check", "says what is wrong with a file, and refuses none: `check`"),
    ("completions", "shows names alone, and nothing of a file that it cannot read"),
    ("diff", "takes two files: `diff`"),
    ("doctor", "says what is wrong with a file, and refuses none: `doctor`"),
    ("drafts drop", "takes a draft, by the name of its file: `edit::kept`"),
    ("drafts list", "takes no file"),
    ("groups delete", "needs more groups than the files of the rows have: below"),
    ("init", "takes a plaintext, and never an encrypted file"),
    ("keygen", "takes no file"),
    ("man", "takes no file"),
    ("merge", "takes three files: below"),
    ("recipients add", "takes every file of a rule: `recipients::add`"),
    ("recipients list", "says what is odd about who reads a file, and refuses none but for its metadata: `recipients::list`"),
    ("recipients remove", "takes every file of a rule: `recipients::remove`"),
    ("rule", "reads .sops.yaml alone: `creation_rules`"),
    ("textconv", "refuses nothing: `textconv`"),
];

#[test]
fn every_verb_has_a_column_or_a_reason() {
    let all = verbs();
    let has_column =
        |verb: &String| VERBS.iter().any(|(.., words)| verb.split(' ').eq(words.iter().copied().take(verb.split(' ').count())));
    let has_reason = |verb: &String| ELSEWHERE.iter().any(|(name, _)| name == verb);
    for verb in &all {
        assert!(has_column(verb) != has_reason(verb), "`{verb}` needs a column in `table::VERBS`, or else a line here");
    }
    for (name, _) in ELSEWHERE {
        assert!(all.iter().any(|verb| verb == name), "there is no verb `{name}`");
    }
}

/// A way to spoil a file.
type Spoiling = (&'static str, fn(&mut Lines));

const FORGERIES: [Spoiling; 6] = [
    ("a byte of a value is another", |lines| lines.set("API_KEY=", &other_byte(&lines.value("API_KEY="), "data"))),
    ("a byte of the MAC is another", |lines| lines.set("sops_mac=", &other_byte(&lines.value("sops_mac="), "data"))),
    ("a line is gone", |lines| drop(lines.remove("TOKEN="))),
    ("a line has another name", |lines| lines.replace("TOKEN=", "TOKEN=", "OTHER=")),
    ("a value is another one's", |lines| lines.set("API_KEY=", &lines.value("TOKEN="))),
    ("the MAC is gone", |lines| drop(lines.remove("sops_mac="))),
];

#[test]
fn a_changed_file_loses_no_group() {
    let mut two_groups = metadata(&[RECIPIENT], None, false);
    two_groups.key_groups.extend(metadata(&[RECIPIENT], None, false).key_groups);
    two_groups.shamir_threshold = 2;
    let whole = String::from_utf8(encrypted(PLAINTEXT.as_bytes(), two_groups).unwrap()).unwrap();
    let delete = ["groups", "delete", "-i", "--threshold", "1", "-f", FILE, "1"];
    let sandbox = Sandbox::with_identity();
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT}\n"));
    for (what, spoil) in FORGERIES {
        put(&sandbox, spoiled_file(&whole, spoil).as_bytes());
        let before = State::of(&sandbox);
        let ended = sandbox.run(&delete);
        let mut faults = refuses(5, &ended.stdout, &ended, &[FILE]);
        faults.extend(before.differs(&State::of(&sandbox)));
        assert!(faults.is_empty(), "{what}: {}\n{}", faults.join(", "), ended.stderr);
    }
    put(&sandbox, whole.as_bytes());
    let ended = sandbox.run(&delete);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn nothing_is_merged_from_or_into_a_changed_file() {
    let whole = sealed();
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    for (what, spoil) in FORGERIES {
        let forged = spoiled_file(&whole, spoil);
        for (place, says) in [("base.env", "the common version of"), (FILE, "our version of"), ("theirs.env", "their version of")]
        {
            for name in ["base.env", "theirs.env"] {
                sandbox.write(name, if name == place { &forged } else { &whole });
            }
            put(&sandbox, if place == FILE { &forged } else { &whole }.as_bytes());
            let before = State::of(&sandbox);
            let ended = sandbox.run(&["merge", "base.env", FILE, "theirs.env"]);
            let mut faults = refuses(129, &ended.stdout, &ended, &[says, FILE]);
            faults.extend(before.differs(&State::of(&sandbox)));
            assert!(faults.is_empty(), "{what}, {place}: {}\n{}", faults.join(", "), ended.stderr);
        }
    }
}
