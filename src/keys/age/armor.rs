//! Age's ASCII armor: bytes ⇄ base64 lines of 64 columns between two markers.
//!
//! The age crate's reader refuses white space before the first line, which sops and age allow, and its writer ends lines in CRLF on
//! Windows, which sops never does; hence ours. Knows nothing of what is armored.
//!
//! Source: C2SP `age.md`, "ASCII armor"; FiloSottile/age `armor/armor.go`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::keys::fields::MAX_WRAPPED_LENGTH;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;

/// Armors `bytes`: LF line ends, the last line too.
pub(in crate::keys) fn encode(bytes: &[u8]) -> String {
    let base64 = STANDARD.encode(bytes);
    let mut armored = String::with_capacity(BEGIN.len() + END.len() + base64.len() * 66 / COLUMNS + 4);
    armored.push_str(BEGIN);
    armored.push('\n');
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is a boundary.
        let (line, later) = rest.split_at(rest.len().min(COLUMNS));
        armored.push_str(line);
        armored.push('\n');
        rest = later;
    }
    armored.push_str(END);
    armored.push('\n');
    armored
}

/// The bytes in `armored`. White space around it and CRLF line ends are allowed, nothing else that is not canonical.
///
/// # Errors
/// [`ArmorError`]; lines count from the first marker.
pub fn decode(armored: &str) -> Result<Vec<u8>, ArmorError> {
    decode_within(armored, MAX_WRAPPED_LENGTH)
}

/// The same for armor of any other length.
pub(super) fn decode_within(armored: &str, limit: usize) -> Result<Vec<u8>, ArmorError> {
    if armored.len() > limit {
        return Err(ArmorError::TooLong);
    }
    let armored = armored.trim_matches(|character: char| character.is_ascii_whitespace());
    let mut lines = armored.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).zip(1..);
    if lines.next().is_none_or(|(line, _)| line != BEGIN) {
        return Err(ArmorError::NoBegin);
    }
    let mut base64 = String::with_capacity(armored.len());
    let mut is_last = false;
    for (text, line) in lines.by_ref() {
        if text == END {
            return match lines.next() {
                Some((_, line)) => Err(ArmorError::AfterEnd { line }),
                None => STANDARD.decode(base64).map_err(|_| ArmorError::Base64),
            };
        }
        if is_last || text.is_empty() || text.len() > COLUMNS {
            return Err(ArmorError::Line { line });
        }
        is_last = text.len() < COLUMNS;
        base64.push_str(text);
    }
    Err(ArmorError::NoEnd)
}

/// Why a text is no age armor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmorError {
    /// Longer than any wrapped data key.
    #[error("it is longer than {MAX_WRAPPED_LENGTH} bytes")]
    TooLong,
    /// It does not begin with the marker of an armored age file.
    #[error("it does not begin like an armored age file")]
    NoBegin,
    /// A line that is empty, too long, or short but not the last.
    #[error("line {line} of the armor has the wrong length")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Not canonical base64.
    #[error("the armor is not canonical base64")]
    Base64,
    /// The end marker is missing.
    #[error("the armor is cut short")]
    NoEnd,
    /// Something follows the end marker.
    #[error("line {line} stands behind the end of the armor")]
    AfterEnd {
        /// Counted from 1.
        line: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_armored_comes_back() {
        for length in [0usize, 1, 47, 48, 49, 96, 200] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let armored = encode(&bytes);
            assert!(armored.ends_with("-----END AGE ENCRYPTED FILE-----\n"), "{length}");
            assert!(armored.lines().all(|line| line.len() <= 64), "{length}");
            assert_eq!(decode(&armored).unwrap(), bytes, "{length}");
        }
    }

    #[test]
    fn white_space_around_it_and_crlf_are_allowed() {
        let armored = encode(&[9; 100]);
        assert_eq!(decode(&format!(" \r\n\t\n{armored}\n  \n")).unwrap(), [9; 100]);
        assert_eq!(decode(&armored.replace('\n', "\r\n")).unwrap(), [9; 100]);
        assert_eq!(decode(armored.trim_end()).unwrap(), [9; 100]);
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = |lines: &[&str]| decode(&lines.join("\n")).unwrap_err();
        let full = "AAAA".repeat(16);
        assert_eq!(refused(&[]), ArmorError::NoBegin);
        assert_eq!(refused(&["-----BEGIN PGP MESSAGE-----", END]), ArmorError::NoBegin);
        assert_eq!(refused(&["age-encryption.org/v1"]), ArmorError::NoBegin);
        assert_eq!(refused(&[BEGIN, &full]), ArmorError::NoEnd);
        assert_eq!(refused(&[BEGIN, "AAAA", "AAAA", END]), ArmorError::Line { line: 3 });
        assert_eq!(refused(&[BEGIN, &full, "", END]), ArmorError::Line { line: 3 });
        assert_eq!(refused(&[BEGIN, &format!("{full}AAAA"), END]), ArmorError::Line { line: 2 });
        assert_eq!(refused(&[BEGIN, "AAAA", END, "", "x"]), ArmorError::AfterEnd { line: 4 });
        assert_eq!(refused(&[BEGIN, "AAAA", END, BEGIN, "AAAA", END]), ArmorError::AfterEnd { line: 4 });
        for base64 in ["AAA", "AA==A", "AB==", "A A=", "AA=", "!!!!", "AAA\u{e9}", "AA\rA"] {
            assert_eq!(refused(&[BEGIN, base64, END]), ArmorError::Base64, "{base64:?}");
        }
        assert_eq!(decode(&" ".repeat(MAX_WRAPPED_LENGTH + 1)).unwrap_err(), ArmorError::TooLong);
    }
}
