//! PEM blocks: shown over several lines, stored on one.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::python_dotenv;
use crate::support::editing::{CANARY, Editing};
use crate::support::peers::peer;
use crate::support::pty::Pty;
use crate::support::random::{Random, seed};
use crate::support::sandbox::ended;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nabc+/def==\n-----END PRIVATE KEY-----\n";

fn stored(name: &str, text: &str) -> String {
    format!("{name}=\"{}\"\n", text.replace('\n', "\\n"))
}

fn shown(name: &str, text: &str) -> String {
    format!("{name}=\"{text}\"\n")
}

#[test]
fn a_private_key_is_pasted_as_it_is_and_shown_as_it_was_pasted() {
    let editing = Editing::of("A=1\n");
    std::fs::write(editing.note("key"), shown("KEY", KEY)).unwrap();
    let pasted = editing.edit(r#"cat "$NOTES/key" >> "$1""#);
    assert_eq!(pasted.code, 0, "{}", pasted.stderr);
    assert_eq!(editing.text(), format!("A=1\n{}", stored("KEY", KEY)));
    let seen = ended(&mut editing.dotsops(&["get", "KEY"]));
    assert_eq!(seen.stdout, KEY);
    let before = editing.bytes();
    let again = editing.edit(r#"cp "$1" "$NOTES/seen""#);
    assert_eq!(editing.noted("seen"), format!("A=1\n{}", shown("KEY", KEY)));
    assert!(again.stderr.contains("is unchanged"), "{}", again.stderr);
    assert!(editing.bytes() == before && !editing.has_draft());
    editing.assert_no_plaintext(&["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"]);
}

#[test]
fn beside_a_changed_value_an_untouched_block_keeps_its_token() {
    let editing = Editing::of(&format!("A=old-value\n{}B=1\n", stored("KEY", KEY)));
    let before = editing.sandbox.read("secrets.env");
    let changed = editing.edit(r#"sed -i 's/^A=.*/A=new/' "$1""#);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert!(changed.stderr.contains("1 changed"), "{}", changed.stderr);
    let after = editing.sandbox.read("secrets.env");
    let token = |text: &str| text.lines().find(|line| line.starts_with("KEY=")).unwrap().to_owned();
    assert_eq!(token(&after), token(&before));
    // A changed line of it is a changed value.
    let changed = editing.edit(r#"sed -i 's/^abc/xyz/' "$1""#);
    assert!(changed.stderr.contains("1 changed"), "{}", changed.stderr);
    assert_eq!(editing.text(), format!("A=new\n{}B=1\n", stored("KEY", &KEY.replace("abc", "xyz"))));
}

#[test]
fn every_form_a_block_was_stored_in_comes_back_and_python_reads_the_same() {
    let (seed, editing) = (seed(), Editing::without_file());
    let mut random = Random(seed);
    let pieces = [
        "\\n",
        "\\n",
        "\\r\\n",
        "\\\\n",
        "\\\\",
        "\\\"",
        "'",
        "$",
        "${K1}",
        "\\$",
        " # ",
        "=",
        "é",
        "MIIE+/",
        "\\t",
        "-----END X-----",
    ];
    let mut text = String::new();
    for number in 0..300 {
        let quote = random.pick(&["\"", "\"", "\"", "'", ""]);
        let body: String = (0..random.below(10)).map(|_| random.pick(&pieces)).collect();
        let body = if quote == "'" { body.replace('\'', "") } else { body };
        let end = random.pick(&["", " # note", "  "]);
        let _ = writeln!(text, "K{number}={quote}-----BEGIN X-----\\n{body}{quote}{end}");
    }
    super::super::exec_values::as_sops_writes(&editing.sandbox, "secrets.env", text.as_bytes());
    let tokens = |text: &str| -> BTreeMap<String, String> {
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, token)| (name.to_owned(), token.to_owned())).collect()
    };
    let before = tokens(&editing.sandbox.read("secrets.env"));
    let first = editing.edit(r#"cp "$1" "$NOTES/shown""#);
    assert!(first.stderr.contains("is unchanged"), "DOTSOPS_SEED={seed}: {}", first.stderr);
    let shown = editing.noted("shown");
    assert!(shown.lines().count() > text.lines().count() + 100, "nothing was shown over several lines");
    let saved = editing.edit(r#"echo NEW=1 >> "$1""#);
    assert_eq!(saved.code, 0, "DOTSOPS_SEED={seed}: {}", saved.stderr);
    assert_eq!(editing.text(), format!("{text}NEW=1\n"), "DOTSOPS_SEED={seed}");
    let mut after = tokens(&editing.sandbox.read("secrets.env"));
    after.remove("NEW");
    for (name, token) in before.iter().filter(|(name, _)| name.starts_with('K')) {
        assert_eq!(after.get(name), Some(token), "DOTSOPS_SEED={seed}");
    }
    let Some(python) = peer("a Python with python-dotenv 1.2.4", python_dotenv::find_python()) else { return };
    let mut python = python_dotenv::Python::start(&python);
    assert_eq!(python.read_as(shown.as_bytes(), true, true), python.read_as(text.as_bytes(), true, true), "DOTSOPS_SEED={seed}");
}

#[test]
fn a_mistake_below_a_block_is_named_by_its_line_in_the_editor() {
    let editing = Editing::of(&format!("{}B=1\n", stored("KEY", KEY)));
    // The block takes five lines: the last holds the closing quote.
    let wrong = editing.edit(&format!("printf '{CANARY} odd\\nB=2\\n' >> \"$1\""));
    assert_eq!(wrong.code, 3, "{}", wrong.stderr);
    let said: Vec<&str> = wrong.stderr.lines().filter(|line| line.contains("problem:")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("secrets.env: line 7") && said[1].contains("line 8: `B` is defined in line 6 already"), "{said:?}");
    // The draft has it as it was typed.
    let resumed = editing.resume(r#"cp "$1" "$NOTES/seen"; sed -i '7,8d' "$1""#);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(editing.noted("seen"), format!("{}B=1\n{CANARY} odd\nB=2\n", shown("KEY", KEY)));
    assert!(resumed.stderr.contains("is unchanged"), "{}", resumed.stderr);
}

#[test]
fn a_block_without_quotes_is_one_mistake_that_says_what_is_missing() {
    let editing = Editing::of("A=1\n");
    std::fs::write(editing.note("key"), format!("KEY={KEY}")).unwrap();
    let mut pty = Pty::run(&mut editing.command(
        r#"if [ -e "$NOTES/second" ]; then sed -i -e 's/=-----BEGIN/="-----BEGIN/' -e 's/^-----END.*/&"/' "$1"; exit; fi
: > "$NOTES/second"; cat "$NOTES/key" >> "$1""#,
        &["secrets.env"],
    ));
    pty.wait_for("secrets.env: line 2: a value that goes on to line 5 needs quotes");
    pty.wait_for("What now?");
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("problem:").count(), 1, "{shown}");
    assert!(!shown.contains("MIIE"), "{shown}");
    assert_eq!(editing.text(), format!("A=1\n{}", stored("KEY", KEY.trim_end())));
}

#[test]
fn of_very_many_mistakes_the_first_are_told() {
    let editing = Editing::of("A=1\n");
    let wrong = editing.edit(r#"for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "$n odd" >> "$1"; done"#);
    assert_eq!(wrong.code, 3);
    assert_eq!(wrong.stderr.matches("problem:").count(), 11, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("secrets.env: and 2 more lines"), "{}", wrong.stderr);
}
