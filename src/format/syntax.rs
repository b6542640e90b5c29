//! Which syntax a file has: by its name, or by its metadata.
//!
//! Knows endings and a few bytes; reads nothing. Its one invariant: every path has a syntax, as in sops.

use std::path::Path;

use memchr::{memchr, memmem};

use super::dotenv::lines;

/// The five syntaxes that sops knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// `KEY=value` lines.
    Dotenv,
    /// YAML, one or more documents.
    Yaml,
    /// JSON.
    Json,
    /// Sections of `key = value` lines.
    Ini,
    /// Any bytes; encrypted, they are a JSON file with one value.
    Binary,
}

impl Syntax {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Dotenv, Self::Yaml, Self::Json, Self::Ini, Self::Binary];

    /// Its name on the command line, as in sops.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dotenv => "dotenv",
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }

    /// The syntax with that name, if there is one.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|syntax| syntax.name() == name)
    }

    /// The syntax of a plaintext at `path`: sops's rule, and what it leaves over is dotenv if `.env.` stands in the file's name, as in
    /// `.env.production` and `secrets.env.local`.
    ///
    /// Where it differs from [`Syntax::by_sops_rule`], sops has to be told with `--input-type dotenv`.
    pub fn by_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        match Self::by_sops_rule(path) {
            Self::Binary if name.windows(5).any(|part| part == b".env.") => Self::Dotenv,
            syntax => syntax,
        }
    }

    /// The syntax that sops takes a file at `path` for: its ending decides, in lower case only.
    ///
    /// Source: getsops/sops `cmd/sops/formats/formats.go`, `FormatForPath`.
    pub fn by_sops_rule(path: &Path) -> Self {
        let path = path.as_os_str().as_encoded_bytes();
        let endings: [(&[u8], Self); 5] = [
            (b".yaml", Self::Yaml),
            (b".yml", Self::Yaml),
            (b".json", Self::Json),
            (b".env", Self::Dotenv),
            (b".ini", Self::Ini),
        ];
        endings.into_iter().find(|(ending, _)| path.ends_with(ending)).map_or(Self::Binary, |(_, syntax)| syntax)
    }
}

/// The syntax of an encrypted file, recognised by its metadata whatever the file's name; `None` for everything else.
///
/// A guess from a few lines, without parsing. A file of which any part of the metadata is left is still an encrypted one, so that it
/// is refused and not taken for a plaintext; one that has lost them all shows it by [`has_tokens`]. JSON is the answer for binary
/// files too: encrypted, they are JSON.
pub fn detect(text: &[u8]) -> Option<Syntax> {
    if text.trim_ascii_start().starts_with(b"{") {
        let metadata = memmem::find(text, b"\"sops\"").map(|start| &text[start..])?;
        return (memmem::find(metadata, b"\"mac\"").or_else(|| memmem::find(metadata, b"\"lastmodified\"")).is_some())
            .then_some(Syntax::Json);
    }
    let mut section = None;
    for line in lines(text) {
        if is_flat_metadata(line) {
            return Some(Syntax::Dotenv);
        }
        let words = line.trim_ascii();
        // A line at the margin ends a mapping, a heading ends a section.
        match section {
            Some(Syntax::Yaml) if !words.is_empty() && words.first() == line.first() => section = None,
            Some(Syntax::Ini) if words.starts_with(b"[") => section = None,
            _ => {}
        }
        if section.is_some() && (words.starts_with(b"mac") || words.starts_with(b"lastmodified")) {
            return section;
        }
        match words {
            b"sops:" if line.starts_with(b"sops:") => section = Some(Syntax::Yaml),
            b"[sops]" => section = Some(Syntax::Ini),
            _ => {}
        }
    }
    None
}

/// Whether a dotenv text has an encrypted value or comment, or ends within the beginning of one. If [`detect`] finds no metadata in it,
/// their lines were cut off: nobody writes such a plaintext.
pub fn has_tokens(text: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"ENC[AES256_GCM,";
    const LEAST: &[u8] = b"ENC[";
    let is_cut = |value: &[u8]| value.starts_with(LEAST) && BEGINNING.starts_with(value) && text.ends_with(value);
    lines(text).any(|line| {
        let value = match line.strip_prefix(b"#") {
            Some(comment) => comment,
            None => memchr(b'=', line).map_or(&[][..], |equals| &line[equals + 1..]),
        };
        value.starts_with(BEGINNING) || is_cut(value)
    })
}

/// Whether a dotenv line is metadata that every encrypted file has, or belongs to a master key.
fn is_flat_metadata(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"sops_") else { return false };
    let name = rest.split(|byte| *byte == b'=').next().unwrap_or_default();
    matches!(name, b"mac" | b"version" | b"lastmodified") || memmem::find(name, b"__list_").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_as_in_sops() {
        let cases = [
            (".env", Syntax::Dotenv),
            ("secrets.env", Syntax::Dotenv),
            ("deploy/.env", Syntax::Dotenv),
            ("a.yaml", Syntax::Yaml),
            ("a.yml", Syntax::Yaml),
            ("a.json", Syntax::Json),
            ("a.ini", Syntax::Ini),
            ("a.ENV", Syntax::Binary),
            ("env", Syntax::Binary),
            ("a.txt", Syntax::Binary),
            ("", Syntax::Binary),
        ];
        for (path, expected) in cases {
            assert_eq!(Syntax::by_sops_rule(Path::new(path)), expected, "{path}");
            assert_eq!(Syntax::by_path(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn env_with_a_suffix_is_dotenv_for_us_and_binary_for_sops() {
        for path in [".env.production", "secrets.env.local", "deploy/.env.enc", ".env.d.bak"] {
            assert_eq!(Syntax::by_path(Path::new(path)), Syntax::Dotenv, "{path}");
            assert_eq!(Syntax::by_sops_rule(Path::new(path)), Syntax::Binary, "{path}");
        }
        for (path, expected) in [
            (".env.yaml", Syntax::Yaml),
            ("a.env.json", Syntax::Json),
            ("a.env.ini", Syntax::Ini),
            ("my.env.d/file", Syntax::Binary),
            (".environment", Syntax::Binary),
        ] {
            assert_eq!(Syntax::by_path(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for syntax in Syntax::ALL {
            assert_eq!(Syntax::by_name(syntax.name()), Some(syntax));
        }
        assert_eq!(Syntax::by_name("toml"), None);
    }

    #[test]
    fn an_encrypted_file_is_recognised_by_its_metadata() {
        let cases: [(&str, Option<Syntax>); 16] = [
            ("A=ENC[]\nsops_mac=x\nsops_version=3.13.3\n", Some(Syntax::Dotenv)),
            ("A=ENC[]\nsops_age__list_0__map_enc=-----BEG", Some(Syntax::Dotenv)),
            ("A=ENC[]\nsops_lastmodified=2026", Some(Syntax::Dotenv)),
            ("sops_x=1\nsops_ag\n", None),
            ("A=ENC[]\r\nsops_version=3.13.3\r\n", Some(Syntax::Dotenv)),
            ("A=1\n#sops_mac=x\nB=sops_version=1\n", None),
            ("", None),
            ("{\n\t\"a\": 1,\n\t\"sops\": {\n\t\t\"lastmodified\": \"\",\n\t\t\"mac\": \"\"}}", Some(Syntax::Json)),
            ("{\"a\": \"sops\"}", None),
            ("{\"sops\": 1}", None),
            ("a: 1\nsops:\n    lastmodified: \"x\"\n    mac: y\n", Some(Syntax::Yaml)),
            ("sops:\n    age: []\nmac: 1\n", None),
            ("a:\n  sops:\n    mac: y\n", None),
            ("[s]\nk = v\n\n[sops]\nlastmodified = x\nmac = y\n", Some(Syntax::Ini)),
            ("[sops]\nx = 1\n[other]\nmac = y\n", None),
            ("plain text\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(detect(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_token_without_metadata_is_seen_in_values_and_comments_only() {
        for text in ["A=ENC[AES256_GCM,", "X=1\n#ENC[AES256_GCM,data:AA==,iv:", "export A=ENC[AES256_GCM,data:x"]
            .into_iter()
            .chain(["A=ENC[AES256_GCM", "A=1\nB=ENC[", "#ENC[AES"])
        {
            assert!(has_tokens(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "A=1",
            "# see ENC[AES256_GCM,data:x",
            "A=\"ENC[AES256_GCM,data:x\"",
            "ENC[AES256_GCM,data:x=1",
            "A=ENC[AES256_GCM\n",
            "A=ENC[]",
            "A=ENC",
        ] {
            assert!(!has_tokens(text.as_bytes()), "{text}");
        }
    }
}
