//! The one byte encoding per scalar, which is both what is encrypted and what the MAC hashes.
//!
//! Knows types, not tokens and not syntax: how a file writes a number is `format`'s. Its one invariant: decoding what was encoded gives
//! the same scalar, and encoding what was decoded gives bytes that sops would write.
//!
//! Source: getsops/sops `aes/cipher.go`, `Cipher.Encrypt` and `Cipher.Decrypt`, and `sops.go`, `ToBytes`.

use std::fmt::Arguments;
use std::io::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::token::ValueType;
use crate::secret::SecretBytes;
use crate::tree::Scalar;

/// The bytes of a scalar: those of a text are not copied.
pub enum Encoded<'a> {
    /// The bytes of the text itself.
    Borrowed(&'a [u8]),
    /// Bytes made for the other types.
    Owned(SecretBytes),
}

impl Encoded<'_> {
    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes.expose(),
        }
    }
}

/// What decrypted bytes are.
pub enum Decoded {
    /// A value.
    Scalar(Scalar),
    /// The text of a comment, without its marker.
    Comment(SecretBytes),
}

/// The type and the bytes of `scalar`.
///
/// # Errors
/// [`ScalarError::Time`] if a time is no RFC 3339 text.
pub fn encode(scalar: &Scalar) -> Result<(ValueType, Encoded<'_>), ScalarError> {
    Ok(match scalar {
        Scalar::Text(text) => (ValueType::Str, Encoded::Borrowed(text.expose())),
        Scalar::Int(number) => (ValueType::Int, printed(format_args!("{number}"))),
        Scalar::Float(f64::INFINITY) => (ValueType::Float, Encoded::Borrowed(b"+Inf")),
        Scalar::Float(f64::NEG_INFINITY) => (ValueType::Float, Encoded::Borrowed(b"-Inf")),
        // Rust prints floats as sops does: the shortest digits that give the number back, never an exponent.
        Scalar::Float(number) => (ValueType::Float, printed(format_args!("{number}"))),
        Scalar::Bool(true) => (ValueType::Bool, Encoded::Borrowed(b"True")),
        Scalar::Bool(false) => (ValueType::Bool, Encoded::Borrowed(b"False")),
        Scalar::Time(text) => {
            (ValueType::Time, Encoded::Owned(SecretBytes::from_vec(normal_time(text).ok_or(ScalarError::Time)?.into_bytes())))
        }
    })
}

/// The scalar or comment that `bytes` are, if they are of type `kind`.
///
/// [`ValueType::Bytes`] gives a text; a syntax that never holds bytes refuses that type before.
///
/// # Errors
/// The variant of [`ScalarError`] named after the type.
pub fn decode(kind: ValueType, bytes: SecretBytes) -> Result<Decoded, ScalarError> {
    let text = || std::str::from_utf8(bytes.expose()).ok();
    Ok(Decoded::Scalar(match kind {
        ValueType::Comment => return Ok(Decoded::Comment(bytes)),
        ValueType::Str | ValueType::Bytes => Scalar::Text(bytes),
        ValueType::Int => Scalar::Int(text().and_then(|text| text.parse().ok()).ok_or(ScalarError::Int)?),
        ValueType::Float => Scalar::Float(text().and_then(|text| text.parse().ok()).ok_or(ScalarError::Float)?),
        ValueType::Bool => Scalar::Bool(truth(bytes.expose()).ok_or(ScalarError::Bool)?),
        ValueType::Time => Scalar::Time(text().and_then(normal_time).ok_or(ScalarError::Time)?),
    }))
}

/// The truth value that `text` says, in one of the twelve spellings that sops accepts.
///
/// Source: Go `strconv.ParseBool`.
pub fn truth(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

/// `text` as sops prints that moment: at most nine digits of a second, none that is a trailing zero, `Z` for an offset of zero.
/// `None` if it is not strictly RFC 3339.
pub fn normal_time(text: &str) -> Option<String> {
    let (date_time, fraction_and_offset) = text.split_at_checked("YYYY-MM-DDTHH:MM:SS".len())?;
    let (fraction, offset) = match fraction_and_offset.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().position(|byte| !byte.is_ascii_digit())?),
        None => ("0", fraction_and_offset),
    };
    let strict = has_shape(date_time, "dddd-dd-ddTdd:dd:dd")
        && !date_time.ends_with(":60")
        && !fraction.is_empty()
        && (offset == "Z" || has_shape(offset, "+dd:dd") || has_shape(offset, "-dd:dd"))
        && offset.get(1..3).is_none_or(|hours| hours <= "23");
    // Days of a month, hours, minutes and the minutes of the offset.
    if !strict || OffsetDateTime::parse(&format!("{date_time}{offset}"), &Rfc3339).is_err() {
        return None;
    }
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let offset = if matches!(offset, "+00:00" | "-00:00") { "Z" } else { offset };
    Some(format!("{date_time}{point}{fraction}{offset}"))
}

/// Whether `text` is `shape`, in which `d` stands for a digit.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, shape): (u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// `text` in a buffer that never moves: the longest, the smallest double, has fewer than 350 characters.
fn printed(text: Arguments<'_>) -> Encoded<'static> {
    let mut bytes = SecretBytes::with_capacity(350);
    // Writing to memory does not fail.
    let _ = bytes.write_fmt(text);
    Encoded::Owned(bytes)
}

/// Why bytes are not of the type they should be. The bytes are never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScalarError {
    /// No decimal number of 64 bits.
    #[error("the value is no whole number")]
    Int,
    /// No number.
    #[error("the value is no number")]
    Float,
    /// None of the spellings of true and false.
    #[error("the value is neither true nor false")]
    Bool,
    /// No RFC 3339 time.
    #[error("the value is no RFC 3339 time")]
    Time,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(scalar: &Scalar) -> (ValueType, String) {
        let (kind, bytes) = encode(scalar).unwrap();
        (kind, String::from_utf8(bytes.expose().to_vec()).unwrap())
    }

    fn decoded(kind: ValueType, text: &str) -> Result<(ValueType, String), ScalarError> {
        match decode(kind, SecretBytes::copy_of(text.as_bytes()))? {
            Decoded::Scalar(scalar) => Ok(bytes_of(&scalar)),
            Decoded::Comment(text) => Ok((ValueType::Comment, String::from_utf8(text.expose().to_vec()).unwrap())),
        }
    }

    #[test]
    fn floats_are_positional() {
        let cases = [
            (0.25, "0.25"),
            (1.0, "1"),
            (1e3, "1000"),
            (1e-7, "0.0000001"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (number, expected) in cases {
            assert_eq!(bytes_of(&Scalar::Float(number)), (ValueType::Float, expected.to_owned()));
        }
        assert_eq!(bytes_of(&Scalar::Float(1e100)).1, format!("1{}", "0".repeat(100)));
        assert!(bytes_of(&Scalar::Float(-f64::MIN_POSITIVE)).1.len() < 350);
    }

    #[test]
    fn the_other_types_are_encoded_as_sops_does() {
        assert_eq!(bytes_of(&Scalar::Int(i64::MIN)), (ValueType::Int, "-9223372036854775808".to_owned()));
        assert_eq!(bytes_of(&Scalar::Bool(true)), (ValueType::Bool, "True".to_owned()));
        assert_eq!(bytes_of(&Scalar::Bool(false)), (ValueType::Bool, "False".to_owned()));
        let text = Scalar::Text(SecretBytes::copy_of(b"\xff\x00"));
        let (kind, bytes) = encode(&text).unwrap();
        assert!(kind == ValueType::Str && matches!(bytes, Encoded::Borrowed(b"\xff\x00")));
        assert_eq!(encode(&Scalar::Time("yesterday".to_owned())).err(), Some(ScalarError::Time));
    }

    #[test]
    fn each_type_accepts_what_sops_accepts_and_no_more() {
        use ValueType::{Bool, Float, Int, Time};
        let accepted = [
            (Int, "42", "42"),
            (Int, "+42", "42"),
            (Int, "-0042", "-42"),
            (Int, "9223372036854775807", "9223372036854775807"),
            (Float, "1e3", "1000"),
            (Float, "1E-7", "0.0000001"),
            (Float, ".5", "0.5"),
            (Float, "inf", "+Inf"),
            (Float, "-Inf", "-Inf"),
            (Float, "+Infinity", "+Inf"),
            (Float, "nan", "NaN"),
            (Bool, "1", "True"),
            (Bool, "t", "True"),
            (Bool, "T", "True"),
            (Bool, "TRUE", "True"),
            (Bool, "true", "True"),
            (Bool, "True", "True"),
            (Bool, "0", "False"),
            (Bool, "f", "False"),
            (Bool, "F", "False"),
            (Bool, "FALSE", "False"),
            (Bool, "false", "False"),
            (Bool, "False", "False"),
            (Time, "2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
            (Time, "2024-05-06T07:08:09.500+02:00", "2024-05-06T07:08:09.5+02:00"),
            (Time, "2024-05-06T07:08:09.000Z", "2024-05-06T07:08:09Z"),
            (Time, "2024-05-06T07:08:09.1234567891Z", "2024-05-06T07:08:09.123456789Z"),
            (Time, "2024-02-29T23:59:59-00:00", "2024-02-29T23:59:59Z"),
            (Time, "0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00+23:59"),
        ];
        for (kind, text, expected) in accepted {
            assert_eq!(decoded(kind, text), Ok((kind, expected.to_owned())), "{text}");
        }
        for text in ["", " 1", "1.0", "0x10", "1_000", "9223372036854775808", "+", "٣"] {
            assert_eq!(decoded(Int, text), Err(ScalarError::Int), "{text}");
        }
        for text in ["", ".", "1 ", "1,5", "one", "e5"] {
            assert_eq!(decoded(Float, text), Err(ScalarError::Float), "{text}");
        }
        for text in ["", "yes", "tRUE", "2", "True "] {
            assert_eq!(decoded(Bool, text), Err(ScalarError::Bool), "{text}");
        }
        let times = [
            "",
            "2024-05-06",
            "2024-05-06 07:08:09Z",
            "2024-05-06t07:08:09Z",
            "2024-05-06T07:08:09z",
            "2024-05-06T07:08:09",
            "2024-05-06T07:08:09.Z",
            "2024-05-06T07:08:09,5Z",
            "2024-05-06T7:08:09Z",
            "2024-05-06T07:08:60Z",
            "2016-12-31T23:59:60Z",
            "2024-05-06T24:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-05-06T07:08:09+24:00",
            "2024-05-06T07:08:09+00:60",
            "2024-05-06T07:08:09+0200",
            "10000-01-01T00:00:00Z",
            "2024-05-06T07:08:09ZZ",
            "2024-05-06T07:08:09.5",
            "2024-05-06T07:08:0é",
        ];
        for text in times {
            assert_eq!(decoded(Time, text), Err(ScalarError::Time), "{text}");
        }
    }

    #[test]
    fn a_comment_is_told_from_a_value_and_bytes_are_text() {
        assert_eq!(decoded(ValueType::Comment, " note"), Ok((ValueType::Comment, " note".to_owned())));
        assert_eq!(decoded(ValueType::Bytes, "x"), Ok((ValueType::Str, "x".to_owned())));
    }

    #[test]
    fn bytes_that_are_no_text_are_no_number() {
        for kind in [ValueType::Int, ValueType::Float, ValueType::Bool, ValueType::Time] {
            assert!(decode(kind, SecretBytes::copy_of(b"\xff")).is_err());
        }
    }

    proptest! {
        #[test]
        fn numbers_survive(whole in any::<i64>(), float in any::<f64>()) {
            prop_assert_eq!(decoded(ValueType::Int, &whole.to_string()).unwrap().1, whole.to_string());
            let (_, text) = bytes_of(&Scalar::Float(float));
            prop_assert!(!text.contains(['e', 'E']));
            let Ok(Decoded::Scalar(Scalar::Float(back))) = decode(ValueType::Float, SecretBytes::copy_of(text.as_bytes())) else {
                panic!("a float that was printed is a float");
            };
            prop_assert!(back.to_bits() == float.to_bits() || back.is_nan() && float.is_nan());
        }
    }
}
