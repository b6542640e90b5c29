//! A file that is about to be written, compared with what was meant.
//!
//! Its one invariant: it passes only if opening it would give what was meant, names, order and MAC included. It is parsed from the
//! very bytes that shall be written; only a token that is, byte for byte and under the same name, one that was opened before with the
//! same data key is not opened once more.

use std::ops::Range;

use super::decrypt::{self, DecryptError, Hashing, Opened};
use super::known::{Known, Places, is_same, text};
use super::walk::{LeafRef, leaves};
use super::{DecryptedDocument, EncryptedDocument, many};
use crate::crypto::cipher::Cipher;
use crate::crypto::scalar::{self, Decoded};
use crate::secret::{DataKey, SecretBytes, with_clean_stack};
use crate::tree::{Element, Item, Mapping, Scalar, Tree, Value};

impl EncryptedDocument {
    /// Whether opening this file with `data_key` gives `meant`.
    ///
    /// # Errors
    /// [`DecryptError`] if it does not open at all.
    pub fn says(&self, meant: &Tree, data_key: &DataKey) -> Result<bool, DecryptError> {
        with_clean_stack(|| says(self, meant, data_key, None))
    }
}

impl DecryptedDocument {
    /// Whether opening `written`, which is to take the place of this file under the same data key, gives `meant`.
    ///
    /// # Errors
    /// [`DecryptError`] if it does not open at all.
    pub fn becomes(&self, written: &EncryptedDocument, meant: &Tree) -> Result<bool, DecryptError> {
        with_clean_stack(|| says(written, meant, &self.data_key, Some(&Known::of_document(self))))
    }
}

fn says(written: &EncryptedDocument, meant: &Tree, data_key: &DataKey, known: Option<&Known>) -> Result<bool, DecryptError> {
    if !has_same_names(&written.tree, meant) {
        return Ok(false);
    }
    let cipher = Cipher::new(data_key);
    let metadata = &written.metadata;
    let comparing = Comparing {
        cipher: &cipher,
        places: Places::of(&written.tree, &metadata.selection),
        written: leaves(&written.tree),
        meant: leaves(meant),
        known,
    };
    // Where all leaves say what was meant, what a reader hashes is that.
    let hash = || {
        let mut hashing = Hashing::new(metadata);
        for (at, leaf) in comparing.meant.iter().enumerate() {
            if let LeafRef::Scalar(scalar) = leaf {
                hashing.feed(scalar, comparing.places.encrypted(at)).ok()?;
            }
        }
        Some(hashing)
    };
    let (hashing, same) = many::in_ranges(comparing.meant.len(), hash, |range| comparing.is_same(range));
    match hashing.filter(|_| same.into_iter().all(|same| same)) {
        Some(hashing) => hashing.check(metadata, &cipher).map(|()| true),
        None => Ok(false),
    }
}

/// The leaves of the written file with the plaintext that was meant beside them: as many, since the names are the same.
struct Comparing<'a> {
    cipher: &'a Cipher,
    places: Places,
    written: Vec<LeafRef<'a>>,
    meant: Vec<LeafRef<'a>>,
    known: Option<&'a Known<'a>>,
}

impl Comparing<'_> {
    /// Whether the leaves in `range` say what was meant.
    fn is_same(&self, range: Range<usize>) -> bool {
        let was_opened: Vec<bool> = range.clone().map(|at| self.was_opened(at)).collect();
        let is_asked = |at: usize| !was_opened[at - range.start];
        let opened = decrypt::open(self.cipher, &self.places, &self.written, range.clone(), is_asked);
        range.clone().zip(opened).all(|(at, opened)| !is_asked(at) || self.says(at, opened))
    }

    /// Whether the token of leaf `at` was opened before. A change is mostly in one place: before and behind it all leaves are as far
    /// from the beginning, or from the end, as they were.
    fn was_opened(&self, at: usize) -> bool {
        let Some(known) = self.known else { return false };
        let token = text(self.written[at]);
        let from_end = (at + known.len()).checked_sub(self.meant.len());
        let is_that = |there: usize| known.has_opened(there, &self.places, at, token, self.meant[at]);
        is_that(at) || from_end.is_some_and(is_that)
    }

    /// Whether leaf `at`, whose token holds what was `opened`, says what was meant.
    fn says(&self, at: usize, opened: Opened) -> bool {
        let (written, meant) = (self.written[at], self.meant[at]);
        match (opened, written) {
            (Some(Ok(Decoded::Scalar(scalar))), LeafRef::Scalar(_)) => is_same(LeafRef::Scalar(&scalar), meant),
            (Some(Ok(Decoded::Comment(text))), LeafRef::Comment(_)) => is_comment(&text, meant),
            (Some(Ok(Decoded::Comment(text))), LeafRef::Scalar(_)) => self.places.in_list(at) && is_comment(&text, meant),
            (Some(Ok(Decoded::Scalar(_))), LeafRef::Comment(_)) | (Some(Err(_)), LeafRef::Scalar(_)) => false,
            // A comment that is no token stands for itself.
            (Some(Err(_)) | None, LeafRef::Comment(_)) => is_same(written, meant),
            // In clear, a number is its digits.
            (None, LeafRef::Scalar(Scalar::Text(text))) if !self.places.encrypted(at) => {
                matches!(meant, LeafRef::Scalar(meant) if scalar::encode(meant).is_ok_and(|(_, meant)| meant.expose() == text.expose()))
            }
            (None, LeafRef::Scalar(scalar)) => {
                let is_empty = matches!(scalar, Scalar::Text(text) if text.is_empty());
                (is_empty || !self.places.encrypted(at)) && is_same(written, meant)
            }
        }
    }
}

fn is_comment(text: &SecretBytes, meant: LeafRef<'_>) -> bool {
    matches!(meant, LeafRef::Comment(meant) if meant.text.expose() == text.expose())
}

/// Whether two trees have the same keys, comments and blank lines in the same order.
fn has_same_names(one: &Tree, other: &Tree) -> bool {
    all_same(&one.documents, &other.documents, |one, other| all_same(&one.items, &other.items, is_same_item))
}

fn is_same_item(one: &Item, other: &Item) -> bool {
    match (one, other) {
        (Item::Entry(key, value), Item::Entry(other_key, other)) => key == other_key && has_same_form(value, other),
        (Item::Comment(_), Item::Comment(_)) | (Item::BlankLine, Item::BlankLine) => true,
        _ => false,
    }
}

fn has_same_form(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Mapping(Mapping { items: one }), Value::Mapping(Mapping { items: other })) => all_same(one, other, is_same_item),
        (Value::List(one), Value::List(other)) => all_same(one, other, |one, other| match (one, other) {
            (Element::Value(one), Element::Value(other)) => has_same_form(one, other),
            // An encrypted comment stands in a list like a value.
            (one, other) => [one, other].iter().all(|is| matches!(is, Element::Comment(_) | Element::Value(Value::Scalar(_)))),
        }),
        (Value::Scalar(_), Value::Scalar(_)) | (Value::Null, Value::Null) => true,
        _ => false,
    }
}

fn all_same<T>(one: &[T], other: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::encrypt_new;
    use crate::document::metadata::Metadata;
    use crate::document::selection::Selection;
    use crate::format::{Format, dotenv::Dotenv};
    use time::UtcDateTime;

    const TEXT: &[u8] = b"# one\nA=1\nB=2\n\nB=2\nC_unencrypted=3\nD=\n";

    fn tree(text: &[u8]) -> Tree {
        Dotenv.parse(text).unwrap().tree
    }

    fn key() -> DataKey {
        DataKey::from_slice(&[7; DataKey::LENGTH]).unwrap()
    }

    /// The lines of `TEXT`, encrypted; the rest is metadata.
    fn lines() -> Vec<String> {
        let metadata = Metadata::new(Vec::new(), Selection::default(), false);
        let contents = encrypt_new(&tree(TEXT), metadata, &key(), UtcDateTime::UNIX_EPOCH).unwrap();
        let bytes = Dotenv.emit(&contents.tree, contents.metadata.as_ref(), None).unwrap();
        // Who could read it does not matter here.
        let somebody = ["sops_age__list_0__map_recipient=age1", "sops_age__list_0__map_enc=wrapped"];
        std::str::from_utf8(bytes.expose()).unwrap().lines().chain(somebody).map(str::to_owned).collect()
    }

    fn document(lines: &[String]) -> EncryptedDocument {
        EncryptedDocument::new(Dotenv.parse(lines.join("\n").as_bytes()).unwrap()).unwrap()
    }

    /// Whether the lines are taken for `meant`, read alone and as what becomes of the file `before`.
    fn passes(lines: &[String], before: &[String], meant: &Tree) -> [bool; 2] {
        let alone = document(lines).says(meant, &key()).unwrap_or(false);
        let opened = document(before).open_with(key()).ok().unwrap();
        [alone, opened.becomes(&document(lines), meant).unwrap_or(false)]
    }

    #[test]
    fn what_was_meant_passes_and_everything_else_does_not() {
        let good = lines();
        assert_eq!(passes(&good, &good, &tree(TEXT)), [true; 2]);
        for other in ["# one\nA=1\nB=2\n\nB=2\nC_unencrypted=3\nD=1\n", "# one\nA=1\nB=2\nB=2\nC_unencrypted=3\nD=\n", ""] {
            assert_eq!(passes(&good, &good, &tree(other.as_bytes())), [false; 2], "{other}");
        }
        for name in ["A=", "#", "C_"] {
            let meant = String::from_utf8(TEXT.to_vec()).unwrap().replace(name, &format!("{name}x"));
            assert_eq!(passes(&good, &good, &tree(meant.as_bytes())), [false; 2], "{meant}");
        }
    }

    #[test]
    fn a_mistake_in_writing_is_found_wherever_it_is() {
        type Mistake = (&'static str, fn(&mut Vec<String>));
        let mistakes: [Mistake; 10] = [
            ("a lost line", |lines| drop(lines.remove(1))),
            ("a lost comment", |lines| drop(lines.remove(0))),
            ("a lost blank line", |lines| drop(lines.remove(3))),
            ("a line twice", |lines| lines.insert(1, lines[1].clone())),
            ("another order", |lines| lines.swap(1, 2)),
            ("the token of another name", |lines| lines[1] = lines[2].replace("B=", "A=")),
            ("another name", |lines| lines[1] = lines[1].replace("A=", "E=")),
            ("a value in clear", |lines| lines[1] = "A=1".to_owned()),
            ("another value in clear", |lines| lines[5] = "C_unencrypted=4".to_owned()),
            ("no empty value", |lines| lines[6] = "D=1".to_owned()),
        ];
        let good = lines();
        for (what, spoil) in mistakes {
            let mut bad = good.clone();
            spoil(&mut bad);
            assert_eq!(passes(&bad, &good, &tree(TEXT)), [false; 2], "{what}");
        }
        // Every letter of every token, and of the MAC's.
        for line in [0, 1, 2, 4, good.iter().position(|line| line.starts_with("sops_mac=")).unwrap()] {
            let (start, end) = (good[line].find("data:").unwrap() + 5, good[line].find(",type").unwrap());
            for at in start..end {
                let mut bad = good.clone();
                let other = if &bad[line][at..=at] == "x" { "y" } else { "x" };
                bad[line].replace_range(at..=at, other);
                assert_eq!(passes(&bad, &good, &tree(TEXT)), [false; 2], "line {line}, letter {at}");
            }
        }
    }

    #[test]
    fn the_old_mac_is_not_enough_for_a_new_value() {
        // Every token of the file before was opened; that they are those which were meant is the MAC's to say.
        let good = lines();
        let mut shorter = good.clone();
        shorter.remove(1);
        assert_eq!(passes(&shorter, &good, &tree(b"# one\nB=2\n\nB=2\nC_unencrypted=3\nD=\n")), [false; 2]);
    }

    #[test]
    fn a_file_that_several_threads_work_on_is_checked_leaf_by_leaf_all_the_same() {
        let text: String = (0..10_000).map(|n| format!("# {n}\nNAME_{n}=value {n}\n")).collect();
        let meant = tree(text.as_bytes());
        let metadata = Metadata::new(Vec::new(), Selection::default(), false);
        let contents = encrypt_new(&meant, metadata, &key(), UtcDateTime::UNIX_EPOCH).unwrap();
        let bytes = Dotenv.emit(&contents.tree, contents.metadata.as_ref(), None).unwrap();
        let somebody = ["sops_age__list_0__map_recipient=age1", "sops_age__list_0__map_enc=wrapped"];
        let good: Vec<String> = std::str::from_utf8(bytes.expose()).unwrap().lines().chain(somebody).map(str::to_owned).collect();
        assert_eq!(passes(&good, &good, &meant), [true; 2]);
        for line in [0, 1, 9_999, 19_998, 19_999] {
            let mut bad = good.clone();
            bad[line] = bad[line].replace("data:", "data:AAAA");
            assert_eq!(passes(&bad, &good, &meant), [false; 2], "line {line}");
        }

        // Of several values that are not authentic, the first is told, whichever was found first.
        let mut bad = good.clone();
        for line in [9_001, 17_001, 19_999] {
            bad[line] = bad[line].replace("data:", "data:AAAA");
        }
        let error = document(&bad).open_with(key()).err().unwrap();
        assert!(matches!(error, DecryptError::NotAuthentic { key } if key.as_bytes() == b"NAME_4500"));
        let opened = document(&good).open_with(key()).ok().unwrap();
        assert!(opened.tree.first().iter().zip(meant.first()).all(|(opened, meant)| opened.is_same(meant)));
    }
}
