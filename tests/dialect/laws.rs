//! Laws over random texts and values.

use std::collections::BTreeMap;

use dotsops::dialect::fix::fix;
use dotsops::dialect::interpolation::Precedence;
use dotsops::dialect::quote::quote;
use dotsops::dialect::store::{store, store_keeping};
use dotsops::dialect::{decode, read};
use dotsops::secret::SecretString;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quoted_value_reads_back_in_any_environment_and_through_a_line_based_store(value in awkward(0..12)) {
        let line = format!("A={}\n", quote(&value).expose());
        prop_assert!(!line.trim_end_matches('\n').contains(['\n', '\r']));
        let through_sops = sops_emit(&sops_items(&line).unwrap());
        prop_assert_eq!(&through_sops, &line);
        for line in [line, through_sops] {
            for environment in [no_variable, every_variable] {
                let reading = read(decode(line.as_bytes()).unwrap().text.expose(), Precedence::EnvironmentFirst, &environment);
                prop_assert!(reading.failed.is_empty());
                prop_assert_eq!(reading.bindings.len(), 1);
                prop_assert_eq!(reading.bindings[0].value.as_ref().map(SecretString::expose), Some(value.as_str()));
            }
        }
    }

    #[test]
    fn stored_text_means_the_same_goes_through_sops_and_is_its_own_store(text in dotenv_text()) {
        let decoded = decode(text.as_bytes()).unwrap();
        if let Ok(stored) = store(decoded.text.expose(), &|_| true) {
            let stored = stored.text.expose();
            prop_assert_eq!(values(stored), values(decoded.text.expose()));
            let items = sops_items(stored);
            prop_assert!(items.is_some());
            prop_assert_eq!(sops_emit(&items.unwrap()), without_blank_lines(stored));
            let again = store(stored, &|_| true).unwrap();
            prop_assert_eq!(again.text.expose(), stored);
            prop_assert!(again.notes.is_empty());
        }
    }

    #[test]
    fn a_fixed_text_can_be_stored_and_sets_the_same_variables(text in dotenv_text()) {
        let decoded = decode(text.as_bytes()).unwrap();
        if let Ok(fixed) = fix(decoded.text.expose()) {
            prop_assert_eq!(injected(fixed.text.expose()), injected(decoded.text.expose()));
            let stored = store(fixed.text.expose(), &|_| true);
            prop_assert!(stored.is_ok());
            prop_assert_eq!(injected(stored.unwrap().text.expose()), injected(decoded.text.expose()));
        }
    }

    #[test]
    fn what_can_be_stored_is_stored_alike_whatever_else_was_there(text in dotenv_text(), previous in dotenv_text()) {
        let decoded = decode(text.as_bytes()).unwrap();
        if store(decoded.text.expose(), &|_| true).is_ok() {
            let stored = store_keeping(decoded.text.expose(), &previous, &|_| true);
            prop_assert!(stored.is_ok());
            let stored = decode(stored.unwrap().text.expose().as_bytes()).unwrap();
            prop_assert_eq!(values(stored.text.expose()), values(decoded.text.expose()));
        }
    }

    #[test]
    fn an_untouched_text_is_stored_byte_for_byte(previous in dotenv_text()) {
        let ended = previous.split('\n').filter(|line| !line.strip_suffix('\r').unwrap_or(line).contains(['\r', '\u{feff}']));
        let previous: String = ended.map(|line| format!("{line}\n")).collect();
        let decoded = decode(previous.as_bytes()).unwrap();
        let stored = store_keeping(decoded.text.expose(), &previous, &|_| true).unwrap();
        // Of lines that differ in their CR alone either may come back.
        let normal = |text: &str| text.replace('\r', "");
        prop_assert_eq!(normal(stored.text.expose()), normal(&previous));
        if !previous.contains('\r') {
            prop_assert_eq!(stored.text.expose(), &previous);
        }
    }

    #[test]
    fn no_bytes_make_anything_panic(bytes in vec(any::<u8>(), 0..200), text in dotenv_text()) {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(decoded) = decode(bytes) {
                values(decoded.text.expose());
                let _ = store(decoded.text.expose(), &|key| key.len() % 2 == 0);
                let _ = store_keeping(decoded.text.expose(), &text, &|key| key.len() % 2 == 0);
                let _ = fix(decoded.text.expose());
                quote(decoded.text.expose());
            }
            // Text that did not go through `decode` is read wrongly where it has a CR, but it is read.
            let _ = std::str::from_utf8(bytes).map(|text| store(text, &|_| false).is_ok());
        }
    }
}

fn no_variable(_: &str) -> Option<SecretString> {
    None
}

/// Every variable there can be: no name is empty.
fn every_variable(name: &str) -> Option<SecretString> {
    (!name.is_empty()).then(|| SecretString::copy_of("found"))
}

/// What the dotenv store of sops makes of a text: key and value, or `None` and a comment; `None` if it refuses the text.
///
/// Source: getsops/sops `stores/dotenv/store.go`, v3.13; pinned by the `sops_…` columns of `tests/vectors/dotenv-sops-cases.jsonl`.
pub fn sops_items(text: &str) -> Option<Vec<(Option<String>, String)>> {
    let lines = text.split('\n').filter(|line| !line.is_empty());
    let item = |line: &str| match line.strip_prefix('#') {
        Some(comment) => Some((None, comment.to_owned())),
        None => line.split_once('=').map(|(key, value)| (Some(key.to_owned()), value.replace("\\n", "\n"))),
    };
    lines.map(item).collect()
}

/// What the dotenv store of sops writes for items.
pub fn sops_emit(items: &[(Option<String>, String)]) -> String {
    let line = |(key, value): &(Option<String>, String)| match key {
        None => format!("#{value}\n"),
        Some(key) => format!("{key}={}\n", value.replace('\n', "\\n")),
    };
    items.iter().map(line).collect()
}

fn without_blank_lines(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| *line != "\n").collect()
}

/// Keys, values and failures, in order.
fn values(text: &str) -> Vec<(String, Option<String>)> {
    let reading = read(text, Precedence::FileFirst, &|name| name.starts_with('B').then(|| SecretString::copy_of("b")));
    let value = |value: &SecretString| value.expose().to_owned();
    reading.bindings.iter().map(|binding| (binding.key.clone(), binding.value.as_ref().map(value))).collect()
}

fn injected(text: &str) -> BTreeMap<String, String> {
    values(text).into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn awkward(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-zA-Z0-9]{1,3}",
    ];
    vec(piece, pieces).prop_map(|pieces| pieces.concat())
}

/// Texts of which a good part can be stored: statements that are well formed for the most part, with accidents.
fn dotenv_text() -> impl Strategy<Value = String> {
    let key = prop_oneof![6 => select(&["A", "B", "C", "export A", "'D'", " A ", "sops_x", "'x=y'"][..]).prop_map(str::to_owned), 1 => awkward(0..3)];
    let quoted = |mark: &'static str| awkward(0..6).prop_map(move |inside| format!("{mark}{}{mark}", inside.replace(mark, "")));
    let value =
        prop_oneof![quoted("\""), quoted("'"), awkward(0..5), awkward(0..8).prop_map(|value| quote(&value).expose().to_owned())];
    let between = prop_oneof![6 => Just("="), 1 => Just(" = "), 1 => Just("")];
    let after = prop_oneof![4 => Just(""), 1 => Just(" # c"), 1 => Just("  "), 1 => Just("x")];
    let statement = prop_oneof![
        8 => (key, between, value, after).prop_map(|(key, between, value, after)| [&key, between, &value, after].concat()),
        1 => awkward(0..6),
        1 => Just(String::new()),
        1 => Just(" # comment".to_owned()),
    ];
    (vec(statement, 0..5), select(&["\n", "\r\n", "\n\n"][..])).prop_map(|(lines, end)| lines.join(end))
}

const PIECES: &[&str] = &[
    "'", "\"", "`", "\\", "\\n", "\\\\", "#", " #", "=", "$", "${", "}", "${A}", "${B:-", ":-", ":", "export ", "export", "A",
    "B", " ", "\t", "\n", "\r", "\u{1c}", "\u{85}", "\u{a0}", "\u{feff}", "\u{2028}", "\0", "ü", "sops_",
];
