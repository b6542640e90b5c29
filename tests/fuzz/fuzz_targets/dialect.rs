//! What a program reads. Laws: stored text means the same, goes through the dotenv format unchanged and is its own stored form; a fixed
//! text can be stored and sets the same variables; a quoted value reads back; a refusal is about lines of the text.
//!
//! The input is the new text; behind a byte 0xFF, which no text has, may stand the text that was stored before.

#![no_main]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use dotsops::dialect::fix::fix;
use dotsops::dialect::interpolation::Precedence;
use dotsops::dialect::quote::quote;
use dotsops::dialect::store::{store, store_keeping};
use dotsops::dialect::{DecodeError, decode, read};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::secret::SecretString;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0xFF);
    let bytes = parts.next().unwrap_or_default();
    let previous = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let decoded = match decode(bytes) {
        Ok(decoded) => decoded,
        Err(DecodeError { offset, line }) => {
            assert!(offset < bytes.len() && std::str::from_utf8(&bytes[..offset]).is_ok());
            return assert!((1..=lines_in(&String::from_utf8_lossy(bytes).replace('\r', "\n"))).contains(&line));
        }
    };
    let text = decoded.text.expose();
    stored(text);
    kept(text, &previous);
    fixed(text);
    quoted(text);
});

fn stored(text: &str) {
    match store(text, &|_| true) {
        Ok(stored) => {
            let stored = stored.text.expose();
            assert_eq!(values(stored), values(text), "the stored text means something else");
            let contents = Dotenv.parse(stored.as_bytes()).expect("the format takes what is stored");
            assert!(contents.metadata.is_none());
            assert_eq!(Dotenv.emit(&contents.tree, None, None).unwrap().expose(), stored.as_bytes());
            let again = store(stored, &|_| true).unwrap_or_else(|_| panic!("what was stored cannot be stored again"));
            assert_eq!(again.text.expose(), stored);
            assert!(again.notes.is_empty());
        }
        Err(refusals) => {
            assert!(!refusals.is_empty());
            refusals.iter().for_each(|refusal| within(text, &refusal.lines));
        }
    }
}

fn kept(text: &str, previous: &str) {
    match store_keeping(text, previous, &|_| true) {
        Ok(stored) if store(text, &|_| true).is_ok() => {
            let stored = decode(stored.text.expose().as_bytes()).unwrap();
            assert_eq!(values(stored.text.expose()), values(text), "what stood there before changes the meaning");
        }
        Ok(_) => {}
        Err(refusals) => {
            assert!(store(text, &|_| true).is_err(), "what stood there before forbids what can be stored");
            refusals.iter().for_each(|refusal| within(text, &refusal.lines));
        }
    }
}

fn fixed(text: &str) {
    match fix(text) {
        Ok(fixed) => {
            assert_eq!(injected(fixed.text.expose()), injected(text), "the fixed text sets something else");
            let stored = store(fixed.text.expose(), &|_| true).unwrap_or_else(|_| panic!("a fixed text cannot be stored"));
            assert_eq!(injected(stored.text.expose()), injected(text));
        }
        Err(refusal) => within(text, &refusal.lines),
    }
}

fn quoted(value: &str) {
    let line = format!("A={}\n", quote(value).expose());
    assert!(!line.trim_end_matches('\n').contains(['\n', '\r']));
    let reading = read(&line, Precedence::EnvironmentFirst, &every_variable);
    assert!(reading.failed.is_empty() && reading.bindings.len() == 1);
    assert_eq!(reading.bindings[0].value.as_ref().map(SecretString::expose), Some(value));
}

/// Every variable there can be: no name is empty.
fn every_variable(name: &str) -> Option<SecretString> {
    (!name.is_empty()).then(|| SecretString::copy_of("found"))
}

/// Keys and values in order.
fn values(text: &str) -> Vec<(String, Option<String>)> {
    let reading = read(text, Precedence::FileFirst, &|name| name.starts_with('B').then(|| SecretString::copy_of("b")));
    reading.failed.iter().for_each(|failed| within(text, &failed.lines));
    let value = |value: &SecretString| value.expose().to_owned();
    reading.bindings.iter().map(|binding| (binding.key.clone(), binding.value.as_ref().map(value))).collect()
}

fn injected(text: &str) -> BTreeMap<String, String> {
    values(text).into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn within(text: &str, lines: &RangeInclusive<usize>) {
    assert!(!lines.is_empty() && *lines.start() >= 1 && *lines.end() <= lines_in(text), "no such lines: {lines:?}");
}

fn lines_in(text: &str) -> usize {
    text.split('\n').count()
}
