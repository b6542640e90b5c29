//! A value → text that reads back as it.
//!
//! Knows the grammar backwards; must not know names. Its one invariant: for every value `read("A=" + quote(value))` gives `value`
//! again, on one line, whatever the environment holds.

use super::interpolation::{Piece, pieces};
use crate::secret::SecretString;

/// Writes `value` as the right-hand side of a `NAME=` line: bare if it is plain, else quoted. The result has no line break.
///
/// A `${NAME}` inside is kept from being replaced by making it the default of a name that nobody can set: `${:-${NAME}}`.
///
/// ```
/// use dotsops::dialect::quote::quote;
/// assert_eq!(quote("plain").expose(), "plain");
/// assert_eq!(quote("it's #1").expose(), r"'it\'s #1'");
/// assert_eq!(quote("${HOME}").expose(), "'${:-${HOME}}'");
/// ```
pub fn quote(value: &str) -> SecretString {
    let variables = value.matches("${").count();
    let mut literal = SecretString::with_capacity(value.len() + variables * "${:-}".len());
    for piece in pieces(value) {
        match piece {
            Piece::Text(text) => literal.push(text),
            Piece::Variable { whole, .. } => {
                literal.push("${:-");
                literal.push(whole);
                literal.push("}");
            }
        }
    }
    let text = literal.expose();
    if !text.is_empty() && text.chars().all(is_plain) {
        return literal;
    }
    // Single quotes can hold everything but a line break on one line.
    match text.contains(['\n', '\r']) {
        true => in_double_quotes(text),
        false => escaped(text, "'", |c| match c {
            '\\' => Some("\\\\"),
            '\'' => Some("\\'"),
            _ => None,
        }),
    }
}

/// Writes decoded text in double quotes, on one line.
pub(super) fn in_double_quotes(text: &str) -> SecretString {
    escaped(text, "\"", |c| match c {
        '\\' => Some("\\\\"),
        '"' => Some("\\\""),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        _ => None,
    })
}

fn escaped(text: &str, mark: &str, escape: fn(char) -> Option<&'static str>) -> SecretString {
    let mut written = SecretString::with_capacity(2 * text.len() + 2 * mark.len());
    written.push(mark);
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        if let Some(escape) = escape(character) {
            written.push(&text[plain_from..at]);
            written.push(escape);
            plain_from = at + character.len_utf8();
        }
    }
    written.push(&text[plain_from..]);
    written.push(mark);
    written
}

/// Characters that all known readers of `.env` files take as they are.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_./:@%+,=-".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotes_depend_on_what_is_inside() {
        for (value, written) in [
            ("", "''"),
            ("a-b_c/d:e@f%g+h,i=j.k", "a-b_c/d:e@f%g+h,i=j.k"),
            ("a b", "'a b'"),
            ("C:\\dir\\", "'C:\\\\dir\\\\'"),
            ("x\ny\r\"\\", "\"x\\ny\\r\\\"\\\\\""),
            ("p${x}w", "'p${:-${x}}w'"),
            ("${a:-b}$", "'${:-${a:-b}}$'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quote(value).expose(), written);
        }
    }
}
