//! A look at an age header before the age crate reads it, and a way to hand it over that costs no more than its length.
//!
//! The crate's parser starts again at each line that it is given, so many lines take quadratic time: 48 KB of them kept it busy for 4.7
//! seconds. It also takes stanzas without the short line at their end, which a beta of age wrote and which age refuses. Hence the whole
//! grammar is checked here, in one pass, and the crate gets the header in one piece. Its one invariant: what passes is an age header as
//! age writes them, and no larger than the limits.
//!
//! Source: C2SP `age.md`, "Header".

use std::io::{BufRead, Read, Result as IoResult};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::keys::fields::MAX_WRAPPED_LENGTH;

/// How many stanzas a wrapped data key may have. Sops writes one, age a second one as grease.
pub const MAX_STANZAS: usize = 64;

const FIRST_LINE: &[u8] = b"age-encryption.org/v1";
const MAGIC: &[u8] = b"age-encryption.org/";
const COLUMNS: usize = 64;
const MAC: usize = 32;

/// The length in bytes of the header at the start of `file`, its last line included.
///
/// # Errors
/// [`HeaderError`] if it is no header of version 1, is against the grammar in any way, or larger than the limits.
pub(super) fn check(file: &[u8]) -> Result<usize, HeaderError> {
    // What is longer is no header for us, so there is no need to look further.
    let within_limit = file.get(..MAX_WRAPPED_LENGTH).unwrap_or(file);
    let too_long = || if within_limit.len() < file.len() { HeaderError::TooLong } else { HeaderError::Malformed };
    let mut lines = within_limit.split_inclusive(|byte| *byte == b'\n');
    let mut length = 0;
    let mut next = || -> Result<(&[u8], usize), HeaderError> {
        let line = lines.next().and_then(|line| line.strip_suffix(b"\n")).ok_or_else(too_long)?;
        length += line.len() + 1;
        Ok((line, length))
    };

    match within_limit.split(|byte| *byte == b'\n').next() {
        Some(FIRST_LINE) => next()?,
        Some(line) if line.starts_with(MAGIC) => return Err(HeaderError::Version),
        _ => return Err(HeaderError::NotAge),
    };
    let mut stanzas = 0;
    loop {
        let (line, length) = next()?;
        if let Some(mac) = line.strip_prefix(b"--- ") {
            let is_whole = stanzas > 0 && decoded_length(mac) == Some(MAC);
            return if is_whole { Ok(length) } else { Err(HeaderError::Malformed) };
        }
        let words = line.strip_prefix(b"-> ").ok_or(HeaderError::Malformed)?;
        if !words.split(|byte| *byte == b' ').all(is_word) {
            return Err(HeaderError::Malformed);
        }
        stanzas += 1;
        if stanzas > MAX_STANZAS {
            return Err(HeaderError::TooManyStanzas);
        }
        // A body ends with a line that is not full, and be it empty.
        loop {
            let (line, _) = next()?;
            match decoded_length(line) {
                Some(_) if line.len() < COLUMNS => break,
                Some(_) if line.len() == COLUMNS => {}
                _ => return Err(HeaderError::Malformed),
            }
        }
    }
}

fn is_word(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_graphic)
}

/// How many bytes a line stands for; `None` if it is not canonical base64 without padding.
fn decoded_length(line: &[u8]) -> Option<usize> {
    STANDARD_NO_PAD.decode_slice(line, &mut [0; COLUMNS]).ok()
}

/// An age file for the crate's [`Decryptor`](age::Decryptor): it asks for a line, and gets the whole header.
pub(super) struct HeaderFirst<'a> {
    header: &'a [u8],
    rest: &'a [u8],
}

impl<'a> HeaderFirst<'a> {
    /// `file`, whose header [`check`] found to be `length` bytes long.
    pub(super) fn new(file: &'a [u8], length: usize) -> Self {
        let (header, rest) = file.split_at_checked(length).unwrap_or((file, &[]));
        Self { header, rest }
    }
}

impl Read for HeaderFirst<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        self.rest.read(buffer)
    }
}

impl BufRead for HeaderFirst<'_> {
    fn fill_buf(&mut self) -> IoResult<&[u8]> {
        Ok(self.rest)
    }

    fn consume(&mut self, amount: usize) {
        self.rest.consume(amount);
    }

    fn read_until(&mut self, _: u8, buffer: &mut Vec<u8>) -> IoResult<usize> {
        let header = std::mem::take(&mut self.header);
        buffer.extend_from_slice(header);
        Ok(header.len())
    }
}

/// The first lines of the stanzas in a header that [`check`] took, without the arrow.
pub(super) fn stanzas(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = file.split(|byte| *byte == b'\n').take_while(|line| !line.starts_with(b"---"));
    lines.filter_map(|line| line.strip_prefix(b"-> "))
}

/// Why bytes are no age file that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// No age file at all.
    #[error("it is no age file")]
    NotAge,
    /// A later version of age's format.
    #[error("it is an age file of an unknown version")]
    Version,
    /// More stanzas than any wrapped data key needs.
    #[error("its age header has more than {MAX_STANZAS} stanzas")]
    TooManyStanzas,
    /// Longer than the header of any wrapped data key.
    #[error("its age header is longer than {MAX_WRAPPED_LENGTH} bytes")]
    TooLong,
    /// Cut short, or against age's grammar.
    #[error("its age header is malformed")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use age::{Decryptor, Identity};
    use age_core::format::{FileKey, Stanza};

    use super::*;

    const MAC_LINE: &str = "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

    fn file(stanzas: &str) -> Vec<u8> {
        format!("age-encryption.org/v1\n{stanzas}{MAC_LINE}0123456789abcdef and a body").into_bytes()
    }

    /// Counts how often the crate asks for a line; each time it parses all it has.
    struct Counting<'a> {
        inner: HeaderFirst<'a>,
        asked: usize,
    }

    impl Read for Counting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
            self.inner.read(buffer)
        }
    }

    impl BufRead for Counting<'_> {
        fn fill_buf(&mut self) -> IoResult<&[u8]> {
            self.inner.fill_buf()
        }

        fn consume(&mut self, amount: usize) {
            self.inner.consume(amount);
        }

        fn read_until(&mut self, byte: u8, buffer: &mut Vec<u8>) -> IoResult<usize> {
            self.asked += 1;
            self.inner.read_until(byte, buffer)
        }
    }

    /// Opens nothing, and remembers what it was shown.
    #[derive(Default)]
    struct Witness(std::cell::RefCell<Vec<usize>>);

    impl Identity for Witness {
        fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
            unreachable!("the stanzas are shown together")
        }

        fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
            self.0.borrow_mut().push(stanzas.len());
            None
        }
    }

    #[test]
    fn the_crate_parses_a_header_once_however_many_lines_it_has() {
        let full = format!("{}\n", "A".repeat(64));
        let long = format!("-> mlkem768x25519 {}\n{}\n", "A".repeat(1494), "A".repeat(43));
        for (stanzas, count) in [
            ("-> a\n\n".to_owned(), 1),
            ("-> a\n\n".repeat(MAX_STANZAS), MAX_STANZAS),
            (format!("-> a\n{}\n", full.repeat(900)), 1),
            (format!("-> a {}\n\n", "a".repeat(60_000)), 1),
            (format!("-> a{}\n\n", " a".repeat(30_000)), 1),
            (long.repeat(40), 40),
        ] {
            let file = file(&stanzas);
            let length = check(&file).unwrap();
            let mut reader = Counting { inner: HeaderFirst::new(&file, length), asked: 0 };
            let witness = Witness::default();
            let decryptor = Decryptor::new_buffered(&mut reader).unwrap();
            assert!(decryptor.decrypt(std::iter::once(&witness as &dyn Identity)).is_err());
            assert_eq!((reader.asked, witness.0.into_inner()), (1, vec![count]), "{} bytes", file.len());
        }
    }

    #[test]
    fn sixty_four_stanzas_pass_and_one_more_does_not() {
        let stanza = "-> a b\nAAAA\n";
        assert!(check(&file(&stanza.repeat(64))).is_ok());
        assert_eq!(check(&file(&stanza.repeat(65))), Err(HeaderError::TooManyStanzas));
    }

    #[test]
    fn a_header_longer_than_any_wrapped_key_is_refused_without_a_look_at_the_rest() {
        assert_eq!(check(&file(&format!("-> {}\n\n", "a".repeat(66_000)))), Err(HeaderError::TooLong));
        assert_eq!(check(&file(&format!("-> a\n{}\n", "A".repeat(66_000)))), Err(HeaderError::TooLong));
        let mut long_body = file("-> a\n\n");
        let length = check(&long_body).unwrap();
        long_body.extend_from_slice(&[0; 100_000]);
        assert_eq!(check(&long_body), Ok(length));
    }

    #[test]
    fn the_length_ends_behind_the_line_of_the_mac() {
        let mut bytes = file("-> a\n\n");
        let length = check(&bytes).unwrap();
        assert_eq!(&bytes[length..], b"0123456789abcdef and a body");
        // Nothing behind it counts.
        bytes.extend_from_slice("\n-> b".repeat(1000).as_bytes());
        assert_eq!(check(&bytes), Ok(length));
    }

    #[test]
    fn stanzas_against_the_grammar_are_refused_also_those_that_the_crate_takes() {
        let full = "A".repeat(64);
        for stanzas in [
            "".to_owned(),
            "-> a\n".to_owned(),
            format!("-> a\n{full}\n"),
            format!("-> a\n{full}A\n\n"),
            "-> \n\n".to_owned(),
            "->\n\n".to_owned(),
            "->a\n\n".to_owned(),
            "-> a  b\n\n".to_owned(),
            "-> a \n\n".to_owned(),
            "-> \u{e9}\n\n".to_owned(),
            "-> a\r\n\r\n".to_owned(),
            "-> a\nAAA=\n".to_owned(),
            "-> a\nAB\n".to_owned(),
            "-> a\nAAAA\nAAAA\n".to_owned(),
            "x -> a\n\n".to_owned(),
        ] {
            assert_eq!(check(&file(&stanzas)), Err(HeaderError::Malformed), "{stanzas:?}");
        }
    }

    #[test]
    fn what_is_no_age_file_is_told_apart() {
        assert_eq!(check(b""), Err(HeaderError::NotAge));
        assert_eq!(check(b"age-encryption.org/v2\n-> a\n\n--- x\n"), Err(HeaderError::Version));
        assert_eq!(check(b"age-encryption.org/v1"), Err(HeaderError::Malformed));
        assert_eq!(check(b"age-encryption.org/v1\n-> a\n"), Err(HeaderError::Malformed));
        for mac in ["---\n", "--- x\n", &MAC_LINE.replace("A\n", "B\n"), &MAC_LINE.replace("A\n", "AA\n"), MAC_LINE.trim_end()] {
            let header = format!("age-encryption.org/v1\n-> a\n\n{mac}");
            assert_eq!(check(header.as_bytes()), Err(HeaderError::Malformed), "{mac:?}");
        }
    }
}
