//! The text of a new `.sops.yaml`.
//!
//! Knows the layout we propose; must not know files. One invariant: what it writes, [`super::Config::parse`] reads back as it was
//! given.

use crate::yaml;

/// The text of a config with one rule, for the paths that match `path_regex` and the age recipients of the given names.
///
/// Names become comments; characters that would end a comment or drive a terminal are left out of them. An empty name gives none.
pub fn new_file_text(path_regex: &str, recipients: &[(&str, &str)]) -> String {
    let mut text = format!("creation_rules:\n  - path_regex: {}\n    age:", scalar(path_regex));
    if recipients.is_empty() {
        text.push_str(" []");
    }
    text.push('\n');
    for (recipient, name) in recipients {
        text.push_str(&format!("      - {}", scalar(recipient)));
        let name = comment(name);
        if !name.is_empty() {
            text.push_str(&format!(" # {name}"));
        }
        text.push('\n');
    }
    text
}

/// Plain where it is surely text to every YAML reader, else in quotes.
pub(super) fn scalar(text: &str) -> String {
    let is_plain_char =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '\\' | '$' | '^' | '(' | ')' | '+' | '-');
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '\\' | '^' | '(' | '/'));
    if starts_plain && text.chars().all(is_plain_char) && yaml::is_text(text) {
        return text.to_owned();
    }
    if !text.chars().any(is_unprintable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if is_unprintable(c) => format!("\\U{:08X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

fn comment(name: &str) -> String {
    let visible: String = name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_unprintable(*c)).collect();
    visible.trim_start_matches(['#', ' ']).trim().to_owned()
}

/// Controls, line breaks of any kind, and marks that change the direction of text or are not seen.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
