//! Plaintext `.env` ⇄ what a program sees.
//!
//! Knows how python-dotenv 1.2.4 reads a file, and which lines a line-based store can hold. Must not know sops files, keys or
//! tokens. Its one invariant: what [`read`] makes of a text is what `dotenv run` would make of it, and nothing in here changes that
//! without saying so.
//!
//! Everything but [`decode`] takes text that [`decode`] made: UTF-8 in which LF alone ends a line.

pub mod fix;
pub mod interpolation;
mod line;
pub mod names;
pub mod quote;
pub mod refusal;
pub mod scanner;
pub mod store;

use std::ops::RangeInclusive;

use memchr::memchr;

use self::interpolation::{Binding, Duplicate, Precedence};
use self::names::shown;
use self::scanner::{Failure, Kind};
use crate::secret::{SecretBytes, SecretString, with_clean_stack};

/// A file's bytes as text in which LF alone ends a line.
pub struct Decoded {
    /// The text.
    pub text: SecretString,
    /// Whether there was a CR LF or a CR, which is now an LF.
    pub line_endings_changed: bool,
    /// Whether a byte-order mark stood at the very start, which is gone.
    pub byte_order_mark_dropped: bool,
}

/// Decodes a whole file as Python's text mode does.
///
/// # Errors
/// [`DecodeError`] at the first byte that is no UTF-8, wherever it stands: python-dotenv then loads nothing.
///
/// Source: python-dotenv 1.2.4 `main.py` (`open`), `parser.py` (`Reader`); pinned by `tests/vectors/dotenv-cases-bytes.jsonl`.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let all = std::str::from_utf8(bytes).map_err(|error| DecodeError::at(bytes, error.valid_up_to()))?;
    let (rest, byte_order_mark_dropped) = match all.strip_prefix('\u{feff}') {
        Some(rest) => (rest, true),
        None => (all, false),
    };
    let mut text = SecretString::with_capacity(rest.len());
    let mut lines = rest.split('\r');
    text.push(lines.next().unwrap_or_default());
    let mut line_endings_changed = false;
    for after_return in lines {
        line_endings_changed = true;
        text.push("\n");
        text.push(after_return.strip_prefix('\n').unwrap_or(after_return));
    }
    Ok(Decoded { text, line_endings_changed, byte_order_mark_dropped })
}

/// The same; where `bytes` are [shared](SecretBytes::shared) and nothing in them has to change, the text is a piece of them.
///
/// # Errors
/// As for [`decode`].
pub fn decode_secret(bytes: &SecretBytes) -> Result<Decoded, DecodeError> {
    if memchr(b'\r', bytes.expose()).is_some() || bytes.expose().starts_with("\u{feff}".as_bytes()) {
        return decode(bytes.expose());
    }
    let text = bytes.piece(0..bytes.len()).into_string().map_err(|error| DecodeError::at(bytes.expose(), error.offset))?;
    Ok(Decoded { text, line_endings_changed: false, byte_order_mark_dropped: false })
}

/// The line, counted from 1, of the byte at `offset`; CR, LF and CR LF each end one.
fn line_at(bytes: &[u8], offset: usize) -> usize {
    let before = &bytes[..offset];
    let breaks = before.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => before.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    1 + breaks.count()
}

/// What a program would get out of a text.
pub struct Reading {
    /// Each variable once, in the order of first appearance. No two have the same key.
    pub bindings: Vec<Binding>,
    /// The statements that yield nothing, in order.
    pub failed: Vec<Failed>,
    /// The keys that are defined more than once, in the order of first appearance.
    pub duplicates: Vec<Duplicate>,
}

/// A statement that yields nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its lines, counted from 1.
    pub lines: RangeInclusive<usize>,
    /// The variable whose value fails, if it came as far as that and the name is portable.
    pub name: Option<String>,
    /// Why.
    pub failure: Failure,
}

/// Reads a text as python-dotenv does, interpolation included.
///
/// [`Precedence::FileFirst`] is `dotenv run` and `load_dotenv(override=True)`, [`Precedence::EnvironmentFirst`] is `load_dotenv()`.
/// `environment` is asked for the names in `${…}` only; whether a binding replaces a variable that exists is the caller's matter.
///
/// ```
/// use dotsops::dialect::{interpolation::Precedence, read};
/// let reading = read("export HOST=db # dev\nURL='${HOST}:5432'\n", Precedence::FileFirst, &|_| None);
/// let url = reading.bindings[1].value.as_ref().map(|value| value.expose());
/// assert_eq!((reading.bindings[1].key.as_str(), url), ("URL", Some("db:5432")));
/// ```
pub fn read(text: &str, precedence: Precedence, environment: &dyn Fn(&str) -> Option<SecretString>) -> Reading {
    with_clean_stack(|| read_all(text, precedence, environment))
}

fn read_all(text: &str, precedence: Precedence, environment: &dyn Fn(&str) -> Option<SecretString>) -> Reading {
    let statements = scanner::scan(text);
    let resolved = interpolation::resolve(&statements, precedence, environment);
    let mut failed = resolved.too_large;
    failed.extend(statements.iter().filter_map(|statement| match &statement.kind {
        Kind::Failed { failure, name, .. } => {
            Some(Failed { lines: statement.lines.clone(), name: name.and_then(shown), failure: *failure })
        }
        _ => None,
    }));
    failed.sort_by_key(|failed| *failed.lines.start());
    Reading { bindings: resolved.bindings, failed, duplicates: resolved.duplicates }
}

/// A file is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not UTF-8 in line {line} (byte {offset})")]
pub struct DecodeError {
    /// How many bytes before the first bad one are good.
    pub offset: usize,
    /// The line of the first bad byte, counted from 1.
    pub line: usize,
}

impl DecodeError {
    fn at(bytes: &[u8], offset: usize) -> Self {
        Self { offset, line: line_at(bytes, offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_break_becomes_a_line_feed() {
        let decoded = decode(b"a\r\nb\rc\nd\r\r\n\n").unwrap();
        assert_eq!(decoded.text.expose(), "a\nb\nc\nd\n\n\n");
        assert!(decoded.line_endings_changed);
    }

    #[test]
    fn one_byte_order_mark_is_dropped_and_a_second_is_not() {
        let decoded = decode("\u{feff}\u{feff}A=1".as_bytes()).unwrap();
        assert_eq!(decoded.text.expose(), "\u{feff}A=1");
        assert!(decoded.byte_order_mark_dropped && !decoded.line_endings_changed);
    }

    #[test]
    fn a_bad_byte_is_located_whatever_ends_the_lines() {
        let error = decode(b"a\r\nb\rc\n\xff").err().unwrap();
        assert_eq!(error, DecodeError { offset: 7, line: 4 });
        assert_eq!(error.to_string(), "not UTF-8 in line 4 (byte 7)");
        assert_eq!(decode(b"a\rb\rc\xff").err().unwrap().line, 3);
        assert_eq!(decode(b"a\r\nb\r\n\xff").err().unwrap().line, 3);
    }

    #[test]
    fn what_yields_nothing_is_told_with_its_lines_and_its_name() {
        let reading = read("A=1\nB=\"x\ny\"z\n=2\nC=3\n", Precedence::FileFirst, &|_| None);
        let told: Vec<_> = reading.failed.iter().map(|failed| (failed.lines.clone(), failed.name.as_deref())).collect();
        assert_eq!(told, [(2..=3, Some("B")), (4..=4, None)]);
        assert_eq!(reading.bindings.iter().map(|binding| binding.key.as_str()).collect::<Vec<_>>(), ["A", "C"]);
    }

    #[test]
    fn a_shared_text_is_decoded_like_any_other_and_copied_only_to_be_changed() {
        for (bytes, is_copied) in [
            (&b"A=1\nB=2\n"[..], false),
            (b"", false),
            (b"A=1\r\nB=2\n", true),
            (b"A=1\rB", true),
            ("\u{feff}A=1".as_bytes(), true),
        ] {
            let shared = SecretBytes::copy_of(bytes).shared();
            let (one, other) = (decode(bytes).unwrap(), decode_secret(&shared).unwrap());
            assert_eq!(one.text.expose(), other.text.expose());
            assert_eq!(one.line_endings_changed, other.line_endings_changed);
            assert_eq!(one.byte_order_mark_dropped, other.byte_order_mark_dropped);
            assert_eq!(!std::ptr::eq(shared.expose(), other.text.expose().as_bytes()), is_copied, "{bytes:?}");
        }
        let error = |bytes: &[u8]| decode_secret(&SecretBytes::copy_of(bytes)).err().unwrap();
        assert_eq!(error(b"A=1\nB\xff"), decode(b"A=1\nB\xff").err().unwrap());
    }
}
