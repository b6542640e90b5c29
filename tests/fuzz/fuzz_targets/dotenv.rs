//! The dotenv format. Laws: what is accepted is written back byte for byte, an encrypted file in the one order that metadata has, and
//! reads back as the same; what is refused is refused at a line of the text that bears it out.

#![no_main]

use dotsops::format::dotenv::{Dotenv, PREFIX};
use dotsops::format::{Contents, Format, ParseError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match Dotenv.parse(text) {
        Ok(contents) if contents.metadata.is_none() => assert_eq!(emitted(&contents), with_end(text)),
        Ok(contents) => accepted_encrypted(text, &contents),
        Err(error) => refused(text, &error),
    }
});

fn accepted_encrypted(text: &[u8], contents: &Contents) {
    let written = emitted(contents);
    let again = Dotenv.parse(&written).unwrap_or_else(|error| panic!("what was written is refused: {error}"));
    assert_eq!(emitted(&again), written);
    let mut whole = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).peekable();
    let from_crlf = whole.peek().is_some() && whole.all(|line| line.ends_with(b"\r\n"));
    assert_eq!(data(&written, false), data(text, from_crlf), "the data are not those that were read");
}

/// The lines that are neither blank nor metadata.
fn data(text: &[u8], from_crlf: bool) -> Vec<&[u8]> {
    let end = |line| if from_crlf { <[u8]>::strip_suffix(line, b"\r").unwrap_or(line) } else { line };
    let lines = text.split(|byte| *byte == b'\n').map(end);
    lines.filter(|line| !line.is_empty() && !line.starts_with(PREFIX.as_bytes())).collect()
}

fn refused(text: &[u8], error: &ParseError) {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let at = |line: usize| *lines.get(line - 1).unwrap_or_else(|| panic!("there is no line {line}: {error}"));
    match error {
        ParseError::NoEquals { line } => {
            let line = at(*line);
            assert!(!line.is_empty() && !line.starts_with(b"#") && !line.contains(&b'='));
        }
        ParseError::MergeConflict { line } => assert!(at(*line).starts_with(b"<<<<<<< ")),
        ParseError::StrayCarriageReturn { line } => {
            assert!(at(*line).starts_with(PREFIX.as_bytes()) && at(*line).ends_with(b"\r"))
        }
        ParseError::Metadata { line, .. } => assert!(at(*line).starts_with(PREFIX.as_bytes())),
        other => panic!("a text of {} bytes cannot be refused so: {other}", text.len()),
    }
}

fn emitted(contents: &Contents) -> Vec<u8> {
    let written = Dotenv.emit(&contents.tree, contents.metadata.as_ref(), None);
    written.unwrap_or_else(|error| panic!("what was read cannot be written: {error}")).expose().to_vec()
}

fn with_end(text: &[u8]) -> Vec<u8> {
    let end: &[u8] = if text.is_empty() || text.ends_with(b"\n") { b"" } else { b"\n" };
    [text, end].concat()
}
