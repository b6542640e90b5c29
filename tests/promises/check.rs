//! `check` finds what is wrong with a file, without any key, and says where.

mod hooks;

use std::collections::BTreeSet;

use dotsops::document::metadata::Metadata;
use dotsops::document::selection::SelectionOption;
use serde_json::Value;

use crate::support::document::{encrypted, metadata};
use crate::support::repository::Repository;
use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, Sandbox};

/// What `--format json` prints: id, line, name, level.
type Found = (String, Option<u64>, Option<String>, String);

fn found(ended: &Ended) -> Vec<Found> {
    let list: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let object = |object: &Value| {
        let fields: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["file", "line", "name", "id", "level", "text", "do"]);
        assert!(!text(&object["text"]).is_empty() && !text(&object["do"]).is_empty(), "{object}");
        (text(&object["id"]), object["line"].as_u64(), object["name"].as_str().map(str::to_owned), text(&object["level"]))
    };
    list.as_array().unwrap().iter().map(object).collect()
}

fn finding(id: &str, line: Option<u64>, name: Option<&str>) -> Found {
    (id.to_owned(), line, name.map(str::to_owned), "finding".to_owned())
}

fn note(id: &str, line: Option<u64>, name: Option<&str>) -> Found {
    (id.to_owned(), line, name.map(str::to_owned), "note".to_owned())
}

/// A rule for two people, so that nothing hangs on one key.
fn rule(more: &str) -> String {
    format!("creation_rules:\n  - path_regex: \\.env$\n    age: {RECIPIENT},{STRANGER}\n{more}")
}

fn for_two() -> Metadata {
    metadata(&[RECIPIENT, STRANGER], None, false)
}

const PLAINTEXT: &str = "# canary-words\nAPI_KEY=canary-1\n\nDB_URL=canary-2\n";

fn file_of(plaintext: &str, metadata: Metadata) -> String {
    String::from_utf8(encrypted(plaintext.as_bytes(), metadata).unwrap()).unwrap()
}

fn whole() -> String {
    file_of(PLAINTEXT, for_two())
}

/// Somebody without any key, whose rule is for two people.
fn nobody(file: impl AsRef<[u8]>) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write(".sops.yaml", rule(""));
    sandbox.write("secrets.env", file);
    sandbox
}

fn checked(sandbox: &Sandbox) -> Ended {
    let ended = sandbox.run(&["check", "--format", "json", "secrets.env"]);
    assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"), "{}", ended.stdout);
    ended
}

#[test]
fn a_file_that_is_as_its_rule_says_has_no_finding_and_takes_no_key() {
    let sandbox = nobody(whole());
    let ended = sandbox.run(&["check", "secrets.env"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    assert_eq!(ended.stderr, "dotsops: note: 1 file looked at, nothing found\n");
    assert_eq!(sandbox.run(&["check", "--quiet", "--strict", "--format", "json", "secrets.env"]).stdout, "[]\n");
}

/// What somebody without a key does to a file, and what is then found.
fn spoiled() -> Vec<(String, Vec<Found>)> {
    let whole = whole();
    let (line, value) = whole.lines().nth(1).unwrap().split_once('=').unwrap();
    assert_eq!(line, "API_KEY");
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let comment = whole.lines().next().unwrap();
    let last = 1 + whole.lines().count() as u64;
    let name = Some("API_KEY");
    vec![
        ("A=canary\n".to_owned(), vec![finding("plaintext", None, None)]),
        (with(value, "canary"), vec![finding("value-in-clear", Some(2), name)]),
        (format!("{whole}NEW=canary\n"), vec![finding("value-in-clear", Some(last), Some("NEW"))]),
        (with(value, &value.replacen("tag:", "tag:AAAA", 1)), vec![finding("broken-token", Some(2), name)]),
        (with(value, &format!("{value}]")), vec![finding("broken-token", Some(2), name)]),
        (with(comment, &comment.replacen("tag:", "tag:AAAA", 1)), vec![finding("broken-token", Some(1), None)]),
        (with(comment, "# harmless"), vec![note("comment-in-clear", Some(1), None)]),
        (with(comment, "# was API_KEY=canary"), vec![finding("secret-in-comment", Some(1), name)]),
        (with(comment, "# x\rAPI_KEY=canary"), vec![finding("line-in-comment", Some(1), None)]),
        (with(comment, "#!dotsops mine API_KEY=canary"), vec![finding("undecided-merge", Some(1), None)]),
        (format!("{whole}API_KEY=\n"), vec![finding("duplicate-name", Some(last), name)]),
        (format!("{whole}=\n"), vec![finding("no-variable", Some(last), Some(""))]),
        (format!("{whole}A B=\n"), vec![finding("no-variable", Some(last), Some("A B"))]),
        (format!("{whole}'=\n"), vec![finding("no-variable", Some(last), Some("'"))]),
        (format!("\u{feff}A=\n{whole}"), vec![finding("no-variable", Some(1), Some("\u{feff}A"))]),
        (format!("{whole}LD_PRELOAD=\n"), vec![finding("loads-code", Some(last), Some("LD_PRELOAD"))]),
        (format!("{whole}export X=\n"), vec![note("export", Some(last), Some("X"))]),
        (format!("{whole}X =\n"), vec![note("wrapped-name", Some(last), Some("X"))]),
        (format!("{whole}a.b=\n"), vec![note("narrow-name", Some(last), Some("a.b"))]),
        (whole.replace('\n', "\r\n"), vec![note("carriage-returns", None, None)]),
        (with("sops_mac=ENC[", "sops_mac=x["), vec![finding("no-mac", None, None)]),
        (with("sops_lastmodified=2", "sops_lastmodified=x2"), vec![finding("damaged", None, None)]),
        (with("sops_version=3.", "sops_version=99."), vec![note("newer-version", None, None)]),
        (with("sops_version=3.", "sops_version=x."), vec![finding("damaged", None, None)]),
        (format!("{comment}\n"), vec![finding("damaged", None, None)]),
        (format!("<<<<<<< ours\nA=\n=======\nB=\n>>>>>>> theirs\n{whole}"), vec![finding("merge-conflict", Some(1), None)]),
        (with("_unencrypted\n", "_KEY\n"), vec![finding("other-selection", None, None), finding("stray-token", Some(2), name)]),
        (with("sops_mac=", "sops_mac_only_encrypted=true\nsops_mac="), vec![finding("mac-only-encrypted", None, None)]),
    ]
}

#[test]
fn what_somebody_without_a_key_did_to_a_file_is_found_with_its_line_and_name() {
    for (file, expected) in spoiled() {
        let ended = checked(&nobody(&file));
        assert_eq!(found(&ended), expected, "{file}");
        let is_finding = expected.iter().any(|(.., level)| level == "finding");
        assert_eq!(ended.code, i32::from(is_finding), "{file}");
    }
}

#[test]
fn what_the_file_itself_is_weak_in_is_found() {
    let (selected, reason) = (SelectionOption::EncryptedRegex, "^API");
    let selective = || metadata(&[RECIPIENT, STRANGER], Some((selected, reason)), false);
    let rules = rule("    encrypted_regex: ^API\n");
    let cases = [
        (
            file_of("A=1\n", metadata(&[RECIPIENT], None, false)),
            rule("").replace(&format!(",{STRANGER}"), ""),
            vec![note("one-recipient", None, None)],
        ),
        (file_of("API_KEY=1\nPORT=2\nHOST=h\n", selective()), rules.clone(), vec![note("left-in-clear", None, None)]),
        (
            file_of("export API_KEY=1\n", selective()),
            rules.clone(),
            vec![note("export", Some(1), Some("API_KEY")), finding("value-in-clear", Some(1), Some("API_KEY"))],
        ),
        (
            file_of("# old: API_KEY=1\nAPI_KEY=2\n", selective()),
            rules,
            vec![finding("secret-in-comment", Some(1), Some("API_KEY"))],
        ),
        (file_of("PYTHONPATH=src\n", for_two()), rule(""), vec![note("loads-code", Some(1), Some("PYTHONPATH"))]),
        (
            file_of("A=1\n", metadata(&[RECIPIENT, STRANGER], None, true)),
            rule("    mac_only_encrypted: true\n"),
            vec![note("mac-only-encrypted", None, None)],
        ),
    ];
    for (file, rules, expected) in cases {
        let sandbox = nobody(file);
        sandbox.write(".sops.yaml", rules);
        assert_eq!(found(&checked(&sandbox)), expected);
    }
}

#[test]
fn classic_recipients_beside_a_post_quantum_one_are_told_by_name() {
    let sandbox = Sandbox::empty();
    let pq = sandbox.run(&["keygen", "--pq"]).stdout;
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age:\n      - {} # me\n      - {STRANGER} # bob\n", pq.trim()));
    sandbox.encrypted("secrets.env", "A=1\n");
    let ended = checked(&sandbox);
    assert_eq!(found(&ended), [note("not-post-quantum", None, None)]);
    assert!(ended.stdout.contains("(bob)") && !ended.stdout.contains("(me)"), "{}", ended.stdout);
}

#[test]
fn readers_are_compared_with_the_rule_in_both_directions() {
    let sandbox = nobody(file_of("A=1\n", metadata(&[RECIPIENT, STRANGER], None, false)));
    let alone = rule("").replace(&format!("{RECIPIENT},"), "");
    sandbox.write(".sops.yaml", alone.replace("age: ", "age:\n      - ").replace(STRANGER, &format!("{STRANGER} # bob")));
    let unknown = checked(&sandbox);
    let line = sandbox.read("secrets.env").lines().position(|line| line.ends_with(RECIPIENT)).unwrap() as u64 + 1;
    assert_eq!(found(&unknown), [finding("recipient-unknown", Some(line), None)]);
    assert!(unknown.stdout.contains("dotsops updatekeys secrets.env"), "{}", unknown.stdout);

    sandbox.write("secrets.env", file_of("A=1\n", metadata(&[RECIPIENT], None, false)));
    let both = sandbox.run(&["check", "secrets.env"]);
    assert_eq!(both.code, 1);
    assert!(both.stdout.contains(" (bob) cannot read it, although the rule says so"), "{}", both.stdout);
    assert!(both.stdout.contains("age1syfl80l704uvg7exdg67… can read it, and the rule does not say so"), "{}", both.stdout);
}

#[test]
fn groups_and_their_threshold_are_compared_with_the_rule() {
    let mut three = metadata(&[RECIPIENT, STRANGER], None, false);
    three.key_groups.extend(metadata(&[STRANGER, RECIPIENT], None, false).key_groups);
    three.key_groups.extend(metadata(&[STRANGER, RECIPIENT], None, false).key_groups);
    three.shamir_threshold = 3;
    let sandbox = nobody(file_of("A=1\n", three));
    let group = format!("      - age: [{RECIPIENT}, {STRANGER}]\n");
    let rules =
        |threshold: u32, groups: String| format!("creation_rules:\n  - shamir_threshold: {threshold}\n    key_groups:\n{groups}");
    let check = |rules: String| {
        sandbox.write(".sops.yaml", rules);
        found(&checked(&sandbox))
    };
    assert_eq!(check(rules(3, group.repeat(3))), []);
    assert_eq!(check(rules(2, group.repeat(3))), [finding("threshold", None, None)]);
    assert_eq!(check(rules(9, group.repeat(3))), [finding("bad-rule", None, None)]);
    let fewer = check(rules(3, format!("{}      - age: [{STRANGER}]\n", group.repeat(2))));
    assert_eq!(fewer.iter().map(|found| found.0.as_str()).collect::<Vec<_>>(), ["recipient-unknown"]);
}

#[test]
fn a_file_without_a_rule_or_without_any_rules_is_told() {
    let sandbox = nobody(whole());
    sandbox.write(".sops.yaml", rule("").replace("\\.env$", "prod"));
    assert_eq!(found(&checked(&sandbox)), [finding("no-rule", None, None)]);
    std::fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    let none = checked(&sandbox);
    assert_eq!((none.code, found(&none)), (0, vec![note("no-config", None, None)]));
    assert_eq!(sandbox.run(&["check", "--strict", "secrets.env"]).code, 1, "what may be meant counts with --strict");
}

#[test]
fn what_is_wrong_with_the_rules_themselves_is_told() {
    let sandbox = nobody(whole());
    sandbox.write(".sops.yaml", rule("    encrypted_regexp: ^A\n"));
    assert_eq!(found(&checked(&sandbox)), [finding("misspelled-field", Some(4), None)]);

    sandbox.write("sub/.sops.yml", "");
    sandbox.write("sub/secrets.env", whole());
    sandbox.write(".sops.yaml", rule(""));
    let ignored = sandbox.run(&["check", "sub/secrets.env"]);
    let expected = "sub/.sops.yml: nobody reads this file: the name must be .sops.yaml; `git mv sub/.sops.yml sub/.sops.yaml`\n";
    assert_eq!((ignored.code, ignored.stdout.as_str()), (1, expected));

    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(sandbox.path(".sops.yaml"), PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(found(&checked(&sandbox)), [note("writable-config", None, None)]);

    sandbox.write(".sops.yaml", "creation_rules: 1\n");
    let broken = sandbox.run(&["check", "secrets.env"]);
    assert_eq!((broken.code, broken.stdout.as_str()), (3, ""), "{}", broken.stderr);
    assert!(broken.stderr.contains("hint"), "{}", broken.stderr);
}

#[test]
fn a_name_of_the_example_that_is_missing_is_told() {
    let sandbox = nobody(whole());
    for name in [".env.template", ".env.sample", ".env.example", "secrets.env.example"] {
        // The first that is there counts.
        sandbox.write(name, format!("# {name}\nAPI_KEY=\nexport NEW_KEY=x\nNEW_KEY=\nsops_x=\n"));
        let ended = checked(&sandbox);
        assert_eq!(found(&ended), [finding("missing-name", None, Some("NEW_KEY"))], "{name}");
        assert!(ended.stdout.contains(&format!("line 3 of {name} lists it")), "{}", ended.stdout);
    }
    sandbox.write("secrets.env.example", "API_KEY=\nexport DB_URL=\n");
    assert_eq!(found(&checked(&sandbox)), []);
    sandbox.write("secrets.env.example", b"A=\xff\n");
    assert_eq!(found(&checked(&sandbox)), [note("bad-example", None, None)]);
}

#[test]
fn without_files_all_that_git_tracks_is_looked_at_and_nothing_else() {
    let Some(repository) = Repository::empty("") else { return };
    let sandbox = &repository.sandbox;
    sandbox.write(".sops.yaml", rule(""));
    sandbox.write("good.env", whole());
    sandbox.write("any-name", whole().replacen("\nAPI_KEY=", "\nAPI_KEY=canary", 1));
    sandbox.write("mistake.env", "A=canary\n");
    sandbox.write("names.env", "# nothing\nA=\n");
    sandbox.write(".env.example", "API_KEY=\nDB_URL=\n");
    sandbox.write("other/.sops.yaml", rule("").replace(&format!(",{STRANGER}"), ""));
    sandbox.write("other/secrets.env", whole());
    sandbox.write("free/settings.txt", "A=1\n");
    sandbox.write("about.md", format!("A text:\n{}", whole()));
    repository.git(&["add", "-A"]);
    sandbox.write("untracked.env", "A=canary\n");
    std::os::unix::fs::symlink("mistake.env", sandbox.path("link.env")).unwrap();
    repository.git(&["add", "link.env"]);

    let ended = repository.dotsops(&["check"]);
    let lines: Vec<&str> = ended.stdout.lines().map(|line| line.split("; ").next().unwrap()).collect();
    let line = whole().lines().position(|line| line.ends_with(STRANGER)).unwrap() + 1;
    let unknown = format!("other/secrets.env:{line}: age1lggyhqrw2nlhcxprm67z… can read it, and the rule does not say so");
    let expected = [
        "any-name: no rule of .sops.yaml is for it, so nothing says who is to read it",
        "any-name:2: `API_KEY` is in clear, although this file encrypts it",
        "mistake.env: it is not encrypted, although line 2 of .sops.yaml wants it to be",
        &unknown,
    ];
    assert_eq!(lines, expected, "{}", ended.stdout);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.ends_with("4 files looked at: 4 findings, 0 notes\n"), "{}", ended.stderr);

    let below = repository.dotsops(&["check", "other"]);
    assert_eq!(below.stdout.lines().count(), 1, "{}", below.stdout);
}

#[test]
fn what_keeps_a_file_from_being_looked_at_has_a_code_of_its_own_and_the_others_are_looked_at() {
    let sandbox = nobody(whole().replacen("\nAPI_KEY=", "\nAPI_KEY=x", 1));
    let ended = sandbox.run(&["check", "none.env", "secrets.env"]);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("secrets.env:2: `API_KEY` is in clear"), "{}", ended.stdout);
    assert!(ended.stderr.contains("cannot read none.env"), "{}", ended.stderr);
    for arguments in [&["check"][..], &["check", "--staged"]] {
        let ended = sandbox.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn whatever_a_name_is_a_finding_is_one_line_and_good_json() {
    let sandbox = nobody(format!("{}\u{1b}[2J\"\\ \u{85}\u{2028}\t=x\n", whole()));
    let json = checked(&sandbox);
    assert_eq!(found(&json).len(), 3, "{}", json.stdout);
    let text = sandbox.run(&["check", "secrets.env"]).stdout;
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn the_page_lists_every_finding() {
    let source = std::fs::read_to_string("src/ops/check/finding.rs").unwrap();
    let ids: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.split_once(" => \"")?.1.strip_suffix("\","))
        .filter(|id| id.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-'))
        .collect();
    assert!(ids.len() > 30, "{ids:?}");
    let page = std::fs::read_to_string("docs/check.md").unwrap();
    let listed: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ").map(|(id, _)| id)).collect();
    assert_eq!(listed, ids);
}
