//! Regular expressions in the syntax of Go's `regexp` package, which is what sops reads, on Rust's `regex` crate.
//!
//! Must not know what is matched. Go and Rust share RE2's family, so most patterns read the same in both; but where they differ, a
//! pattern taken as it stands would select other values than sops does. Hence the invariant: a pattern matches what it matches in
//! sops, or it is refused.

mod go_syntax;

use regex::{Regex, RegexBuilder};

use crate::secret::SecretString;

/// A compiled pattern that searches anywhere in a text unless it is anchored.
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// The longest pattern in bytes.
    pub const LENGTH: usize = 4096;

    /// How much memory a compiled pattern may take, in bytes.
    const COMPILED_SIZE: usize = 4 << 20;

    /// Compiles `go_syntax` so that it matches what it matches in sops.
    ///
    /// # Errors
    /// [`PatternError`] if Go would refuse it, or if it is longer or larger than patterns are allowed to be.
    pub fn compile(go_syntax: &str) -> Result<Self, PatternError> {
        if go_syntax.len() > Self::LENGTH {
            return Err(PatternError::TooLong);
        }
        let regex = compile_rust(&go_syntax::translate(go_syntax)?)?;
        Ok(Self { text: go_syntax.to_owned(), regex })
    }

    /// Whether the pattern matches somewhere in `bytes`.
    ///
    /// Bytes that are no UTF-8 are taken for U+FFFD one by one, as in Go.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.regex.is_match(text),
            // The bytes may be a secret comment, so the copy is one that gets wiped.
            Err(_) => self.regex.is_match(go_text(bytes).expose()),
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn compile_rust(pattern: &str) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(pattern);
    // Every group of ours may be repeated, which is a level of its own to Rust.
    builder.size_limit(Pattern::COMPILED_SIZE).nest_limit(4 * go_syntax::NESTING);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        _ => PatternError::Unsupported,
    })
}

fn go_text(bytes: &[u8]) -> SecretString {
    let mut text = SecretString::with_capacity(bytes.len() * char::REPLACEMENT_CHARACTER.len_utf8());
    for chunk in bytes.utf8_chunks() {
        text.push(chunk.valid());
        for _ in chunk.invalid() {
            text.push_char(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// A text is no pattern. Says where in the pattern, but nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Longer than [`Pattern::LENGTH`].
    #[error("the pattern is longer than 4 KiB")]
    TooLong,
    /// Too much memory or nesting.
    #[error("the pattern is too large once compiled")]
    TooLarge,
    /// Go would refuse it, or nearly so.
    #[error("the pattern is wrong at byte {offset}: expected {expected}")]
    Syntax {
        /// How many bytes of the pattern are before the mistake.
        offset: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// Go may accept it, the regex crate does not.
    #[error("the pattern uses something that cannot be read the way sops reads it")]
    Unsupported,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &[u8]) -> bool {
        Pattern::compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        // Pattern, texts it matches, texts it does not match.
        let cases: [(&str, &[&str], &[&str]); 46] = [
            ("", &["", "x"], &[]),
            (r"\.env$", &["a.env", ".env"], &["aenv", "a.env\n"]),
            ("^(DATA|API)_", &["DATA_X", "API_"], &["XAPI_"]),
            (r"^\d+$", &["12"], &["١٢", ""]),
            (r"^\D$", &["a", "١"], &["1"]),
            (r"^\w+$", &["a_B9"], &["é"]),
            (r"^\W$", &["é", "-"], &["_"]),
            (r"^\s$", &[" ", "\t", "\n", "\u{c}", "\r"], &["\u{b}", "\u{a0}", "\u{85}"]),
            (r"^\S$", &["\u{b}", "\u{a0}", "x"], &[" "]),
            (r"^[\s-]$", &[" ", "-"], &["\u{b}"]),
            (r"^[^\s]$", &["\u{b}", "a"], &["\t"]),
            (r"\bé", &[], &["é", " é"]),
            (r"a\bé", &["aé"], &[]),
            (r"\B", &["é", "ab"], &["a", "aéb"]),
            (r"\Qa.b\E*$", &["a.", "a.bb"], &["axb"]),
            (r"^\Qa|(", &["a|("], &["a"]),
            (r"[[:alpha:]]", &["x"], &["1", "é", ":"]),
            (r"^[[:^alpha:]]$", &["1", "é"], &["x"]),
            (r"^[[:word:][:space:]]$", &["_", "\u{b}"], &["-"]),
            (r"^[a&&b]$", &["a", "&", "b"], &["ab", "c"]),
            (r"^[*--a]$", &["*", ",", "-", "a"], &["."]),
            (r"^[a~~b]$", &["a", "~"], &[]),
            (r"^[[a]$", &["[", "a"], &["]"]),
            (r"^[]a]$", &["]", "a"], &["["]),
            (r"^[^]a]$", &["b"], &["]", "a"]),
            (r"^[\w-z]$", &["-", "z", "a"], &["."]),
            (r"^[a\-z]$", &["a", "-", "z"], &["b"]),
            (r"^[\x41-\x{43}]$", &["A", "C"], &["D"]),
            (r"^\pL\p{Lu}\PL$", &["éÉ1"], &["1É1"]),
            (r"^\p{Greek}\p{^Greek}$", &["λx"], &["xλ"]),
            (r"(?i)^k$", &["K", "k", "\u{212a}"], &["x"]),
            (r"(?i:a)b", &["Ab"], &["AB"]),
            (r"(?i)a(?-i)b", &["Ab"], &["AB"]),
            (r"(?ii-i)a", &["a"], &["A"]),
            (r"^(?P<x>a)(?<1y>b)$", &["ab"], &[]),
            (r"(?s)a.b", &["a\nb"], &[]),
            (r"a.b", &["a b", "aéb"], &["a\nb"]),
            (r"(?m)^b$", &["a\nb\nc"], &["ab"]),
            (r"b\z", &["ab"], &["b\n"]),
            (r"^a{2}$", &["aa"], &["a{2}"]),
            (r"^a{,2}$", &["a{,2}"], &["aa", ""]),
            (r"^a{02}$", &["a{02}"], &["aa"]),
            (r"^{$", &["{"], &[""]),
            (r"^\<\>\_\#\/$", &["<>_#/"], &[]),
            (r"^\012\x0A\n\0$", &["\n\n\n\0"], &[]),
            ("a b#c", &["a b#c"], &["ab"]),
        ];
        for (pattern, good, bad) in cases {
            for text in good {
                assert!(matches(pattern, text.as_bytes()), "{pattern} should match {text:?}");
            }
            for text in bad {
                assert!(!matches(pattern, text.as_bytes()), "{pattern} should not match {text:?}");
            }
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        let patterns = [
            "(",
            ")",
            "a)",
            "(a",
            "[",
            "[a",
            "[z-a]",
            "[]",
            "[^]",
            "*",
            "+a",
            "(*)",
            "a|*",
            "a**",
            "a*+",
            "a+?+",
            "a{2}{3}",
            "a{1001}",
            "a{5,2}",
            "a{2,1001}",
            "((a{50}){50}){50}",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(?>a)",
            "(?x)a",
            "(?u)a",
            "(?R)a",
            "(?-)a",
            "(?i-)a",
            "(?i",
            "(?P<>a)",
            "(?P<a-b>a)",
            "(?P<a",
            "(?P<n>a)(?P<n>b)",
            "(?P=n)",
            r"\",
            r"\1",
            r"\8",
            r"\Z",
            r"\C",
            r"\G",
            r"\K",
            r"\R",
            r"\h",
            r"\e",
            r"\cA",
            r"\u0041",
            r"\E",
            r"\y",
            r"\x",
            r"\x4",
            r"\x{}",
            r"\x{110000}",
            r"\x{+1}",
            r"\p",
            r"\p{",
            r"\p{Foo}",
            r"\p{Alphabetic}",
            r"\p{sc=Greek}",
            r"\p{Grek}",
            r"\p{isGreek}",
            r"\p{White_Space}",
            r"[\b]",
            r"[\Qa\E]",
            r"[a-\d]",
            r"[\z]",
            "[[:foo:]]",
            "[[:^:]]",
        ];
        for pattern in patterns {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn patterns_have_a_limit() {
        assert_eq!(Pattern::compile(&"a".repeat(4097)).err(), Some(PatternError::TooLong));
        assert!(Pattern::compile(&"a".repeat(4096)).is_ok());
        assert_eq!(Pattern::compile(r"(\pL{500}|\p{Greek}{700}){1}").err(), Some(PatternError::TooLarge));
        assert_eq!(Pattern::compile(&"(".repeat(2000)).err(), Some(PatternError::TooLarge));
    }

    #[test]
    fn bytes_that_are_no_text_count_one_by_one() {
        assert!(matches("^a..b$", b"a\xE2\x82b"));
        assert!(!matches("^a.b$", b"a\xE2\x82b"));
        assert!(matches(r"^\x{FFFD}$", b"\xFF"));
        assert!(matches(r"\.env$", b"\xFF.env"));
    }

    #[test]
    fn mistakes_say_where_they_are() {
        let message = |pattern| Pattern::compile(pattern).err().unwrap().to_string();
        assert_eq!(message("ab(c"), "the pattern is wrong at byte 2: expected `)` for this `(`");
        assert_eq!(message(r"é\Z"), r"the pattern is wrong at byte 2: expected an escape that Go knows");
    }
}
