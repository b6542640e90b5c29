//! How a syntax without types prints a scalar: dotenv and ini.
//!
//! Not the bytes that are encrypted and hashed, which are `crypto::scalar`'s. Its one invariant: no text has an escape.
//!
//! Source: getsops/sops `stores/stores.go`, `ValToString`.

use std::io::Write;

use crate::secret::SecretBytes;
use crate::tree::Scalar;

/// Space that is enough for any scalar that is no text.
pub const LONGEST: usize = 64;

/// Appends the text of `scalar`.
///
/// A number or a time that is not encrypted reads back as a text, which the MAC hashes otherwise: convert it before the MAC is made.
pub fn push_plain(scalar: &Scalar, text: &mut SecretBytes) {
    match scalar {
        Scalar::Text(bytes) => text.push(bytes.expose()),
        Scalar::Bool(truth) => text.push(if *truth { b"true" } else { b"false" }),
        Scalar::Int(number) => print(text, format_args!("{number}")),
        Scalar::Float(number) => push_float(*number, text),
        Scalar::Time(time) => {
            // Whole seconds only.
            let (seconds, rest) = time.split_once('.').unwrap_or((time, ""));
            text.push(seconds.as_bytes());
            text.push(rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).as_bytes());
        }
    }
}

/// Go's `%G` with the fewest digits, and `.0` where it shows neither a point nor an exponent.
fn push_float(number: f64, text: &mut SecretBytes) {
    if number.is_nan() {
        return text.push(b"NaN");
    }
    if number.is_infinite() {
        return text.push(if number > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        // `{:?}` is the shortest text without an exponent that has a decimal point.
        -4..=5 => print(text, format_args!("{number:?}")),
        exponent => print(text, format_args!("{digits}E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())),
    }
}

fn print(text: &mut SecretBytes, arguments: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(scalar: Scalar) -> String {
        let mut text = SecretBytes::with_capacity(LONGEST);
        push_plain(&scalar, &mut text);
        assert!(text.len() <= LONGEST);
        String::from_utf8(text.expose().to_vec()).unwrap()
    }

    #[test]
    fn floats_print_as_sops_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (200000.0, "200000.0"),
            (123456.0, "123456.0"),
            (99999.5, "99999.5"),
            (1e6, "1E+06"),
            (1234567.5, "1.2345675E+06"),
            (0.0001, "0.0001"),
            (0.00001, "1E-05"),
            (1e-7, "1E-07"),
            (-2e10, "-2E+10"),
            (1e100, "1E+100"),
            (0.25, "0.25"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-2.2250738585072014e-308, "-2.2250738585072014E-308"),
        ];
        for (number, expected) in cases {
            assert_eq!(plain(Scalar::Float(number)), expected);
        }
    }

    #[test]
    fn the_other_types_print_as_sops_prints_them() {
        assert_eq!(plain(Scalar::Int(-5)), "-5");
        assert_eq!(plain(Scalar::Bool(true)), "true");
        assert_eq!(plain(Scalar::Bool(false)), "false");
        assert_eq!(plain(Scalar::Time("2024-05-06T07:08:09.5+02:00".to_owned())), "2024-05-06T07:08:09+02:00");
        assert_eq!(plain(Scalar::Time("2024-05-06T07:08:09.25Z".to_owned())), "2024-05-06T07:08:09Z");
        assert_eq!(plain(Scalar::Time("2024-05-06T07:08:09Z".to_owned())), "2024-05-06T07:08:09Z");
    }
}
