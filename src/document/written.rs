//! A file that is about to be written, compared with what was meant.
//!
//! Its one invariant: it passes only if opening it would give what was meant, names, order and MAC included. It is parsed from the
//! very bytes that shall be written; only a token that is, byte for byte and under the same name, one that was opened before with the
//! same data key is not opened once more.

use super::decrypt::{DecryptError, Opening};
use super::known::{Known, is_same};
use super::walk::{Leaf, LeafRef, Leaves, NOTHING, Place, leaves, walk};
use super::{DecryptedDocument, EncryptedDocument};
use crate::crypto::cipher::Cipher;
use crate::crypto::scalar;
use crate::secret::{DataKey, with_clean_stack};
use crate::tree::{Comment, Element, Item, Mapping, Scalar, Tree, Value};

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
    let opening = Opening::new(&cipher, &written.metadata);
    let mut comparing = Comparing { opening, meant: leaves(meant), known, at: 0, is_same: true };
    walk(&written.tree, &written.metadata.selection, &mut comparing)?;
    let Comparing { opening, meant, at, is_same, .. } = comparing;
    opening.check_mac(&written.metadata)?;
    Ok(is_same && at == meant.len())
}

/// Walks the written file with the plaintext that was meant beside it.
struct Comparing<'a> {
    opening: Opening<'a>,
    meant: Vec<LeafRef<'a>>,
    known: Option<&'a Known<'a>>,
    at: usize,
    is_same: bool,
}

impl<'a> Comparing<'a> {
    fn next(&mut self) -> Option<LeafRef<'a>> {
        let meant = self.meant.get(self.at).copied();
        self.at += 1;
        meant
    }

    /// Whether `token`, of the leaf that came last, was opened before. A change is mostly in one place: before and behind it all
    /// leaves are as far from the beginning, or from the end, as they were.
    fn was_opened(&self, place: &Place, token: &[u8], meant: LeafRef<'_>) -> bool {
        let Some(known) = self.known else { return false };
        let from_start = self.at - 1;
        let from_end = (from_start + known.len()).checked_sub(self.meant.len());
        let is_that = |at: usize| at < known.len() && known.has_opened(at, place, token, meant);
        is_that(from_start) || from_end.is_some_and(is_that)
    }

    fn compare(&mut self, place: &Place, opened: &Leaf, meant: Option<LeafRef<'_>>) {
        let opened = match opened {
            Leaf::Scalar(scalar) => LeafRef::Scalar(scalar),
            Leaf::Comment(comment) => LeafRef::Comment(comment),
        };
        self.is_same &= match (opened, meant) {
            // In clear, a number is its digits.
            (LeafRef::Scalar(Scalar::Text(text)), Some(LeafRef::Scalar(meant))) if !place.encrypted => {
                scalar::encode(meant).is_ok_and(|(_, meant)| meant.expose() == text.expose())
            }
            (opened, Some(meant)) => is_same(opened, meant),
            (_, None) => false,
        };
    }
}

impl Leaves for Comparing<'_> {
    type Error = DecryptError;
    const MAKES_TREE: bool = false;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, DecryptError> {
        let meant = self.next();
        if let (Scalar::Text(token), Some(leaf @ LeafRef::Scalar(value))) = (scalar, meant)
            && self.was_opened(place, token.expose(), leaf)
        {
            self.opening.hash(place, value)?;
            return Ok(NOTHING);
        }
        let opened = self.opening.scalar(place, scalar)?;
        self.compare(place, &opened, meant);
        Ok(NOTHING)
    }

    fn comment(&mut self, place: &Place, comment: &Comment) -> Result<Leaf, DecryptError> {
        let meant = self.next();
        if meant.is_some_and(|meant| self.was_opened(place, comment.text.expose(), meant)) {
            return Ok(NOTHING);
        }
        let opened = self.opening.comment(place, comment)?;
        self.compare(place, &opened, meant);
        Ok(NOTHING)
    }
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
}
