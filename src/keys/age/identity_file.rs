//! Identities in a text: a key file, line by line, or a variable, word by word.
//!
//! Knows the layout of such texts. Its one invariant: a bad line makes none of the others unusable, and is remembered by its number.
//!
//! Source: getsops/sops `age/keysource.go`, `parseIdentities` and `loadIdentities`. More tolerant here: blanks around a line, and
//! good lines beside bad ones.

use crate::keys::age::identity::{Identity, IdentityProblem};
use crate::keys::age::locked_file::LockedFile;

/// How identities stand in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One to a line: a key file.
    Lines,
    /// Any number to a line, between blanks: the variable `SOPS_AGE_KEY`.
    Words,
}

/// What a text had in it.
#[derive(Default)]
pub(crate) struct Found {
    /// In the order of the text.
    pub(crate) identities: Vec<Identity>,
    /// What could not be used, with its line counted from 1; no line if it is about the whole text.
    pub(crate) problems: Vec<(Option<usize>, IdentityProblem)>,
    /// The text itself, if it is encrypted with a passphrase.
    pub(crate) locked: Option<LockedFile>,
}

/// Reads all identities in `bytes`. Empty lines and those that start with `#` are skipped.
pub(crate) fn read(bytes: &[u8], layout: Layout) -> Found {
    let mut found = Found::default();
    let start = bytes.trim_ascii_start();
    if start.starts_with(b"age-encryption") || start.starts_with(b"-----BEGIN AGE") {
        match LockedFile::read(bytes) {
            Ok(file) => found.locked = Some(file),
            Err(problem) => found.problems.push((None, problem)),
        }
        return found;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        found.problems.push((None, IdentityProblem::NotText));
        return found;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut in_pem = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if in_pem {
            in_pem = !line.starts_with("-----END ");
        } else if line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY") {
            // Remembered once, not once for each of its lines.
            in_pem = true;
            found.problems.push((Some(number), IdentityProblem::SshKeyHere));
        } else if !line.is_empty() && !line.starts_with('#') {
            match layout {
                Layout::Lines => found.add(line, number),
                Layout::Words => line.split_whitespace().for_each(|word| found.add(word, number)),
            }
        }
    }
    found
}

impl Found {
    /// A text that cannot be read at all.
    pub(crate) fn of_problem(problem: IdentityProblem) -> Self {
        Self { problems: vec![(None, problem)], ..Self::default() }
    }

    fn add(&mut self, word: &str, line: usize) {
        match Identity::parse(word) {
            Ok(identity) => self.identities.push(identity),
            Err(problem) => self.problems.push((Some(line), problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";
    const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";

    fn problems(text: &str, layout: Layout) -> Vec<(Option<usize>, IdentityProblem)> {
        read(text.as_bytes(), layout).problems
    }

    #[test]
    fn a_key_file_is_read_with_comments_blanks_and_crlf() {
        let found = read(format!("\u{feff}# public key: x\r\n\r\n  {SECRET} \r\n").as_bytes(), Layout::Lines);
        assert!(found.problems.is_empty());
        assert_eq!(found.identities.iter().map(Identity::recipient).collect::<Vec<_>>(), [RECIPIENT]);
    }

    #[test]
    fn a_variable_is_split_into_words() {
        let found = read(format!("# a comment {SECRET}\n{SECRET} {SECRET}\tnonsense").as_bytes(), Layout::Words);
        assert_eq!(found.identities.len(), 2);
        assert_eq!(found.problems, [(Some(2), IdentityProblem::NotAnIdentity)]);
    }

    #[test]
    fn two_identities_on_a_line_of_a_key_file_are_none() {
        let found = read(format!("{SECRET} {SECRET}").as_bytes(), Layout::Lines);
        assert!(found.identities.is_empty());
        assert_eq!(found.problems, [(Some(1), IdentityProblem::Damaged)]);
    }

    #[test]
    fn each_bad_line_is_remembered_by_number_and_reason_and_spoils_no_other() {
        let text = format!(
            "nonsense\n{}\nAGE-SECRET-KEY-PQ-1ABC\nAGE-PLUGIN-YUBIKEY-1ABC\n{RECIPIENT}\n{SECRET}\n{}\nage-plugin-yubikey-1abc\n",
            SECRET.to_lowercase(),
            &SECRET[..60],
        );
        let found = read(text.as_bytes(), Layout::Lines);
        assert_eq!(found.identities.len(), 1);
        let expected = [
            (Some(1), IdentityProblem::NotAnIdentity),
            (Some(2), IdentityProblem::Case),
            (Some(3), IdentityProblem::Damaged),
            (Some(4), IdentityProblem::PluginDamaged),
            (Some(5), IdentityProblem::PublicKey),
            (Some(7), IdentityProblem::Damaged),
            (Some(8), IdentityProblem::Case),
        ];
        assert_eq!(found.problems, expected);
    }

    #[test]
    fn an_encrypted_file_and_a_file_that_is_no_text_are_told_apart() {
        assert_eq!(problems("\n-----BEGIN AGE ENCRYPTED FILE-----\nx", Layout::Lines), [(None, IdentityProblem::LockedDamaged)]);
        assert_eq!(read(b"age-encryption.org/v1\n\xff", Layout::Lines).problems, [(None, IdentityProblem::LockedDamaged)]);
        assert_eq!(read(b"\xff\xfe#\0", Layout::Lines).problems, [(None, IdentityProblem::NotText)]);
    }

    #[test]
    fn an_ssh_key_among_identities_is_one_problem_not_thirty() {
        let key = include_str!("../../../tests/vectors/ssh/throwaway_rsa_2048");
        let found = read(format!("{key}{SECRET}\n").as_bytes(), Layout::Lines);
        assert_eq!(found.problems, [(Some(1), IdentityProblem::SshKeyHere)]);
        assert_eq!(found.identities.len(), 1);
    }

    #[test]
    fn an_empty_text_has_nothing_and_is_no_problem() {
        for text in ["", " \n\t", "# only a comment\n"] {
            let found = read(text.as_bytes(), Layout::Words);
            assert!(found.identities.is_empty() && found.problems.is_empty(), "{text:?}");
        }
    }
}
