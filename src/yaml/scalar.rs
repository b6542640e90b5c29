//! What a scalar means besides its text: the types that go-yaml reads out of plain scalars.
//!
//! Source: go.yaml.in/yaml/v3 `resolve.go`, tried against sops 3.13.3.

use super::{Node, NodeKind, Style};

/// A scalar's type and value as go-yaml resolves it into an untyped field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Typed {
    /// Nothing, `~`, `null`.
    Null,
    /// `true` and `false`. `yes`, `on` and the like are text here; only a field that must be a truth value reads them as one.
    Bool(bool),
    /// A whole number in any of the notations of YAML 1.1 and 1.2 (`0x1F`, `010`, `0o17`, `1_000`).
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A date, with or without a time.
    Time,
    /// Everything else.
    Text,
}

impl Node {
    /// The type of a scalar; `None` for a mapping or sequence.
    ///
    /// Quoted and block scalars are text, unless a tag says otherwise.
    pub fn typed(&self) -> Option<Typed> {
        let NodeKind::Scalar { text, style } = &self.kind else { return None };
        Some(match self.tag.as_deref() {
            Some("!!str" | "!!binary") => Typed::Text,
            Some("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp") => typed(text),
            _ if *style == Style::Plain => typed(text),
            _ => Typed::Text,
        })
    }
}

/// Whether `text`, written without quotes, is text and not a number, a date, a truth value or nothing.
///
/// The words that YAML 1.1 takes for truth values are not text here, because other readers may do so.
pub fn is_text(text: &str) -> bool {
    let is_word = ["y", "n", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    typed(text) == Typed::Text && !is_word
}

fn typed(text: &str) -> Typed {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Typed::Null,
        "true" | "True" | "TRUE" => Typed::Bool(true),
        "false" | "False" | "FALSE" => Typed::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Typed::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Typed::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Typed::Float(f64::NEG_INFINITY),
        _ if text.starts_with(|first: char| matches!(first, '0'..='9' | '+' | '-' | '.')) => number_or_time(text),
        _ => Typed::Text,
    }
}

fn number_or_time(text: &str) -> Typed {
    if is_time(text) {
        return Typed::Time;
    }
    let digits = text.replace('_', "");
    if let Some(value) = int(&digits) {
        return Typed::Int(value);
    }
    // Rust's own reader also takes `inf` and `1.e`; YAML's shape comes first.
    match digits.parse::<f64>() {
        Ok(value) if is_float(&digits) && value.is_finite() => Typed::Float(value),
        _ => Typed::Text,
    }
}

fn int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// Sign, digits with at most one point, and an exponent of digits.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match mantissa.split_once('.') {
        Some(("", fraction)) => is_number(fraction),
        Some((whole, fraction)) => is_number(whole) && (fraction.is_empty() || is_number(fraction)),
        None => is_number(mantissa),
    };
    whole && exponent.is_none_or(is_number)
}

/// Whether the text starts as a date of four, one or two, and one or two digits, and then ends or goes on with a time.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let is_number = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let day_length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at(day_length);
    let time_follows =
        time.is_empty() || time.trim_start_matches([' ', '\t', 'T', 't']).starts_with(|c: char| c.is_ascii_digit());
    is_number(year, 4..=4) && is_number(month, 1..=2) && is_number(day, 1..=2) && time_follows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_types_go_yaml_gives_them() {
        let cases = [
            ("", Typed::Null),
            ("~", Typed::Null),
            ("true", Typed::Bool(true)),
            ("tRue", Typed::Text),
            ("yes", Typed::Text),
            ("0", Typed::Int(0)),
            ("12", Typed::Int(12)),
            ("+2", Typed::Int(2)),
            ("-2", Typed::Int(-2)),
            ("010", Typed::Int(8)),
            ("0o17", Typed::Int(15)),
            ("0x1F", Typed::Int(31)),
            ("0b11", Typed::Int(3)),
            ("1_000", Typed::Int(1000)),
            ("08", Typed::Float(8.0)),
            ("1.0", Typed::Float(1.0)),
            ("1e1", Typed::Float(10.0)),
            (".5", Typed::Float(0.5)),
            ("1.", Typed::Float(1.0)),
            ("1e400", Typed::Text),
            (".", Typed::Text),
            ("-", Typed::Text),
            ("+-2", Typed::Text),
            ("0x", Typed::Text),
            ("0x-1", Typed::Text),
            ("2020-01-01", Typed::Time),
            ("2020-01-01T10:00:00Z", Typed::Time),
            ("2020-01-01x", Typed::Text),
            ("85D77543B3D624B63CEA9E6DBC17301B491B3F21", Typed::Text),
            ("1234567890123456789012345678901234567890", Typed::Float(1.234_567_890_123_456_8e39)),
            ("age1x", Typed::Text),
            ("<<", Typed::Text),
        ];
        for (text, expected) in cases {
            assert_eq!(typed(text), expected, "{text:?}");
        }
    }
}
