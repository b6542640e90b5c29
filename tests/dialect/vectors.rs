//! The vectors in `tests/vectors/dotenv-*.jsonl`, whose README says how they were made.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use dotsops::dialect::fix::fix;
use dotsops::dialect::interpolation::{Binding, Precedence};
use dotsops::dialect::refusal::{NoteKind, Reason};
use dotsops::dialect::scanner::scan;
use dotsops::dialect::store::store;
use dotsops::dialect::{Decoded, decode, read};
use dotsops::secret::SecretString;
use serde_json::Value;

use super::laws::{sops_emit, sops_items};

#[test]
fn every_text_is_read_as_python_dotenv_reads_it() {
    let cases = cases(include_str!("../vectors/dotenv-cases.jsonl"));
    assert_eq!(cases.len(), 294);
    for case in &cases {
        let decoded = decode(text(case, "input").as_bytes()).unwrap();
        let reading = read(decoded.text.expose(), Precedence::FileFirst, &|_| None);
        let ours: Vec<(&str, Option<&str>)> = reading.bindings.iter().map(shown).collect();
        assert_eq!(ours, expected_bindings(&case["python_dotenv"]), "{}", case["name"]);
    }
}

#[test]
fn every_environment_becomes_what_load_dotenv_makes_of_it() {
    let cases = cases(include_str!("../vectors/dotenv-cases-env.jsonl"));
    assert_eq!(cases.len(), 34);
    for case in &cases {
        let before: BTreeMap<String, String> = serde_json::from_value(case["env"].clone()).unwrap();
        let expected: BTreeMap<String, String> = serde_json::from_value(case["environ"].clone()).unwrap();
        assert!(case["error"].is_null());
        assert_eq!(load_dotenv(text(case, "input"), &case["args"], before), expected, "{}", case["name"]);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_and_the_rest_is_read() {
    let cases = cases(include_str!("../vectors/dotenv-cases-bytes.jsonl"));
    assert_eq!(cases.len(), 19);
    for case in &cases {
        let bytes = STANDARD.decode(text(case, "input_b64")).unwrap();
        match decode(&bytes) {
            Err(_) => assert_eq!(case["error"], "UnicodeDecodeError", "{}", case["name"]),
            Ok(decoded) => {
                assert!(case["error"].is_null(), "{}", case["name"]);
                let reading = read(decoded.text.expose(), Precedence::FileFirst, &|_| None);
                let ours: Vec<(&str, Option<&str>)> = reading.bindings.iter().map(shown).collect();
                assert_eq!(ours, expected_bindings(&case["python_dotenv"]), "{}", case["name"]);
                // What Python cannot put into an environment, no process can hold: our callers refuse it by these two marks.
                let impossible = |(key, value): &(&str, Option<&str>)| {
                    value.is_some_and(|value| key.contains(['=', '\0']) || value.contains('\0'))
                };
                let stopped = case["load_dotenv"]["error"] == "ValueError";
                assert_eq!(ours.iter().any(impossible), stopped, "{}", case["name"]);
            }
        }
    }
}

#[test]
fn every_text_is_stored_or_refused_as_the_reference_does() {
    let inputs = cases(include_str!("../vectors/dotenv-cases.jsonl"));
    let cases = cases(include_str!("../vectors/dotenv-sops-cases.jsonl"));
    assert_eq!(cases.len(), 293);
    for case in &cases {
        let name = text(case, "name");
        let input = inputs.iter().find(|input| input["name"] == name).unwrap();
        check_sops_columns(name, text(input, "input"), case);
        let decoded = decode(text(input, "input").as_bytes()).unwrap();
        match store(decoded.text.expose(), &|_| true) {
            Ok(stored) => {
                assert_eq!(stored.text.expose(), case["store_text"], "{name}");
                assert_eq!(items_json(stored.text.expose()), case["store_items"], "{name}");
                assert_eq!(notes(&decoded, &stored.notes), case["notes"].as_array().unwrap().clone(), "{name}");
            }
            Err(refusals) => {
                assert_eq!(reference_words(&refusals[0].reason, *refusals[0].lines.start()), case["refused"], "{name}");
                check_fix(name, decoded.text.expose(), case);
            }
        }
    }
}

fn check_fix(name: &str, text: &str, case: &Value) {
    match fix(text) {
        Ok(fixed) => {
            let stored = store(fixed.text.expose(), &|_| true).expect(name);
            assert_eq!(stored.text.expose(), case["fixed_text"], "{name}");
        }
        Err(_) => assert!(case["fixed_text"].is_null() && !case["fix_refused"].is_null(), "{name}"),
    }
}

/// Checks our model of sops's store, which the laws rely on, against sops itself.
fn check_sops_columns(name: &str, input: &str, case: &Value) {
    let items = sops_items(input);
    assert_eq!(items.is_some(), case["sops_accepts"], "{name}");
    if let Some(items) = items.filter(|_| !case["sops_items"].is_null()) {
        assert_eq!(items_json(input), case["sops_items"], "{name}");
        assert_eq!(sops_emit(&items), case["sops_emit"], "{name}");
    }
}

fn items_json(text: &str) -> Value {
    serde_json::to_value(sops_items(text).unwrap()).unwrap()
}

fn notes(decoded: &Decoded, notes: &[dotsops::dialect::refusal::Note]) -> Vec<Value> {
    let mut words = Vec::new();
    if decoded.byte_order_mark_dropped {
        words.push("bom".into());
    }
    if decoded.line_endings_changed {
        words.push("newlines".into());
    }
    words.extend(notes.iter().map(|note| match note.kind {
        NoteKind::SingleQuotesBecameDouble { .. } => {
            format!("line {}: single-quoted multi-line value rewritten with double quotes", note.line).into()
        }
        other => panic!("a note the reference does not have: {other:?}"),
    }));
    words
}

fn reference_words(reason: &Reason, line: usize) -> String {
    let words = match reason {
        Reason::NoEquals => "no \"=\"",
        Reason::Ignored(_) => "python-dotenv cannot parse",
        Reason::ByteOrderMark => "byte-order mark inside the file",
        Reason::Reserved => "reserved key",
        Reason::LineBreakInName => "key with a line break",
        other => panic!("a refusal the reference does not have: {other:?}"),
    };
    format!("line {line}: {words}")
}

/// `load_dotenv(**args)` on an environment, as `exec` will do it with our reading.
fn load_dotenv(input: &str, args: &Value, environ: BTreeMap<String, String>) -> BTreeMap<String, String> {
    // Both belong to Python's function, not to the dialect, and are here so that every vector runs.
    let disabled = environ.get("PYTHON_DOTENV_DISABLED").map(|value| value.to_lowercase());
    if disabled.is_some_and(|value| ["1", "true", "t", "yes", "y"].contains(&value.as_str())) {
        return environ;
    }
    let latin1 = args["encoding"] == "latin-1";
    let input: String = if latin1 { input.bytes().map(char::from).collect() } else { input.to_owned() };

    let decoded = decode(input.as_bytes()).unwrap();
    let replaces = args["override"] == true;
    let precedence = if replaces { Precedence::FileFirst } else { Precedence::EnvironmentFirst };
    let reading = read(decoded.text.expose(), precedence, &|name| environ.get(name).map(|value| SecretString::copy_of(value)));
    let mut values: Vec<(String, Option<String>)> = reading.bindings.iter().map(shown).map(owned).collect();
    if args["interpolate"] == false {
        values = scan(decoded.text.expose())
            .iter()
            .filter_map(|statement| statement.definition())
            .map(|definition| {
                let value = definition.value.as_ref().map(|(_, value)| value.decode().expose().to_owned());
                (definition.name.to_owned(), value)
            })
            .collect();
    }
    let mut after = environ.clone();
    for (key, value) in values {
        if let Some(value) = value.filter(|_| replaces || !environ.contains_key(&key)) {
            after.insert(key, value);
        }
    }
    after
}

fn owned((key, value): (&str, Option<&str>)) -> (String, Option<String>) {
    (key.to_owned(), value.map(str::to_owned))
}

fn shown(binding: &Binding) -> (&str, Option<&str>) {
    (&binding.key, binding.value.as_ref().map(SecretString::expose))
}

fn expected_bindings(object: &Value) -> Vec<(&str, Option<&str>)> {
    object.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn cases(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}
