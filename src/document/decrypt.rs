//! Decrypts all values, then checks the MAC; all or nothing.
//!
//! Source: getsops/sops `sops.go` (`Tree.Decrypt`), `decrypt/decrypt.go`, v3.13.3.

use std::ops::Range;

use super::known::{Places, text};
use super::metadata::{Metadata, MetadataError};
use super::walk::{Leaf, LeafRef, Leaves, Place, leaves, walk};
use super::{EncryptedDocument, many};
use crate::crypto::cipher::Cipher;
use crate::crypto::mac::Mac;
use crate::crypto::scalar::{self, Decoded, ScalarError};
use crate::crypto::token::{Token, ValueType};
use crate::secret::{DataKey, SecretBytes, with_clean_stack};
use crate::tree::{Comment, Key, Scalar, Tree};

/// A file's plaintext.
pub(super) struct Decrypted {
    pub(super) tree: Tree,
    pub(super) clear_comments: usize,
    pub(super) lines_in_comments: usize,
}

/// Decrypts every leaf of `document` and checks its MAC.
pub(super) fn decrypt(document: &EncryptedDocument, data_key: &DataKey) -> Result<Decrypted, DecryptError> {
    with_clean_stack(|| decrypt_all(document, data_key))
}

fn decrypt_all(document: &EncryptedDocument, data_key: &DataKey) -> Result<Decrypted, DecryptError> {
    let cipher = Cipher::new(data_key);
    let metadata = &document.metadata;
    let (places, tokens) = (Places::of(&document.tree, &metadata.selection), leaves(&document.tree));
    let ((), opened) = many::in_ranges(tokens.len(), || (), |range| open(&cipher, &places, &tokens, range, |_| true));
    drop((places, tokens));
    let mut opening = Opening {
        opened: opened.into_iter().flatten(),
        hashing: Hashing::new(metadata),
        clear_comments: 0,
        lines_in_comments: 0,
    };
    let tree = walk(&document.tree, &metadata.selection, &mut opening)?;
    opening.hashing.check(metadata, &cipher)?;
    Ok(Decrypted { tree, clear_comments: opening.clear_comments, lines_in_comments: opening.lines_in_comments })
}

/// Whether `data_key` opens the token of the MAC, whatever the MAC is.
pub(super) fn opens_mac(metadata: &Metadata, data_key: &DataKey) -> bool {
    stored_mac(metadata, &Cipher::new(data_key)).is_ok()
}

pub(super) fn stored_mac(metadata: &Metadata, cipher: &Cipher) -> Result<SecretBytes, DecryptError> {
    let stored = metadata.mac.as_deref().ok_or(DecryptError::NoMac)?;
    let token = Token::parse(stored).ok().filter(|token| token.kind == ValueType::Str).ok_or(DecryptError::MacToken)?;
    let aad = metadata.mac_aad()?;
    cipher.decrypt(&token, aad.as_bytes()).map_err(|_| DecryptError::MacToken)
}

/// The MAC of a file that is read: over what it says, as against what its writer hashed.
pub(super) struct Hashing {
    mac: Mac,
    only_encrypted: bool,
}

impl Hashing {
    pub(super) fn new(metadata: &Metadata) -> Self {
        Self { mac: Mac::new(metadata.mac_only_encrypted), only_encrypted: metadata.mac_only_encrypted }
    }

    /// Feeds what the next value says.
    pub(super) fn feed(&mut self, scalar: &Scalar, encrypted: bool) -> Result<(), ScalarError> {
        if encrypted || !self.only_encrypted {
            self.mac.update(scalar::encode(scalar)?.1.expose());
        }
        Ok(())
    }

    /// Compares the MAC over all values so far with the one in `metadata`.
    pub(super) fn check(self, metadata: &Metadata, cipher: &Cipher) -> Result<(), DecryptError> {
        let stored = stored_mac(metadata, cipher)?;
        if stored.ct_eq(self.mac.finish().expose()) { Ok(()) } else { Err(DecryptError::MacMismatch) }
    }
}

/// What a token holds; `None` where none can stand, or none was asked for.
pub(super) type Opened = Option<Result<Decoded, Fault>>;

/// Why a token does not open.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    NotEncrypted,
    Malformed,
    NotAuthentic,
}

impl Fault {
    fn of(self, place: &Place) -> DecryptError {
        let key = place.name();
        match self {
            Self::NotEncrypted => DecryptError::NotEncrypted { key },
            Self::Malformed => DecryptError::Malformed { key },
            Self::NotAuthentic => DecryptError::NotAuthentic { key },
        }
    }
}

/// Opens the tokens of the leaves in `range` that are `asked` for. Their plaintexts lie in one buffer.
pub(super) fn open(
    cipher: &Cipher,
    places: &Places,
    tokens: &[LeafRef<'_>],
    range: Range<usize>,
    asked: impl Fn(usize) -> bool,
) -> Vec<Opened> {
    let parsed: Vec<Option<Result<Token, Fault>>> = range
        .clone()
        .map(|at| {
            let text = text(tokens[at]);
            (places.encrypted(at) && !text.is_empty() && asked(at)).then(|| parse(text))
        })
        .collect();
    let sizes = parsed.iter().flatten().flatten().map(|token| token.data.len());
    let mut plaintext = SecretBytes::with_capacity(sizes.sum());
    let mut decrypt = |(at, token): (usize, Option<Result<Token, Fault>>)| {
        let decrypt = |token: Token| {
            let start = plaintext.len();
            let bytes = cipher.decrypt(&token, places.aad(at)).map_err(|_| Fault::NotAuthentic)?;
            plaintext.push(bytes.expose());
            Ok((token.kind, start..plaintext.len()))
        };
        token.map(|token| token.and_then(decrypt))
    };
    let decrypted: Vec<_> = range.zip(parsed).map(&mut decrypt).collect();
    let plaintext = plaintext.shared();
    let decode = |(kind, range)| scalar::decode(kind, plaintext.piece(range)).map_err(|_| Fault::Malformed);
    decrypted.into_iter().map(|decrypted| decrypted.map(|decrypted| decrypted.and_then(decode))).collect()
}

fn parse(text: &[u8]) -> Result<Token, Fault> {
    match Token::parse(text) {
        Ok(token) if token.kind == ValueType::Bytes => Err(Fault::Malformed),
        Ok(token) => Ok(token),
        Err(_) if Token::is_token(text) => Err(Fault::Malformed),
        Err(_) => Err(Fault::NotEncrypted),
    }
}

/// Puts plaintexts in the place of tokens, and computes the MAC over them.
struct Opening<T> {
    /// For each leaf, in order.
    opened: T,
    hashing: Hashing,
    clear_comments: usize,
    lines_in_comments: usize,
}

impl<T: Iterator<Item = Opened>> Leaves for Opening<T> {
    type Error = DecryptError;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, DecryptError> {
        let opened = match self.opened.next().flatten().transpose().map_err(|fault| fault.of(place))? {
            Some(Decoded::Scalar(scalar)) => scalar,
            // In a list an encrypted comment stands as an element; its type alone tells. Comments are not in the MAC.
            Some(Decoded::Comment(text)) if place.in_list => return Ok(Leaf::Comment(Comment { text, inline: false })),
            Some(Decoded::Comment(_)) => return Err(DecryptError::malformed(place)),
            None if place.encrypted && !is_empty(scalar) => return Err(DecryptError::NotEncrypted { key: place.name() }),
            None => scalar.copy(),
        };
        self.hashing.feed(&opened, place.encrypted).map_err(|_| DecryptError::malformed(place))?;
        Ok(Leaf::Scalar(opened))
    }

    /// A comment that is no token of this file stays as it is: people add comments by hand, and sops lets them. One that is a token,
    /// but of a value, was made by nobody.
    fn comment(&mut self, _: &Place, comment: &Comment) -> Result<Leaf, DecryptError> {
        let text = match self.opened.next().flatten() {
            Some(Ok(Decoded::Comment(opened))) => Some(opened),
            Some(Ok(Decoded::Scalar(_))) => return Err(DecryptError::ValueAsComment),
            Some(Err(_)) => {
                self.clear_comments += 1;
                None
            }
            None => None,
        };
        // Readers of the plaintext take a carriage return for a line end: what follows it would be a line that anybody can add.
        let is_open = text.is_none();
        let text = text.unwrap_or_else(|| SecretBytes::copy_of(comment.text.expose()));
        let before_end = text.expose().strip_suffix(b"\r").unwrap_or(text.expose());
        if is_open && before_end.contains(&b'\r') {
            self.lines_in_comments += 1;
        }
        Ok(Leaf::Comment(Comment { text, inline: comment.inline }))
    }
}

fn is_empty(scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Text(text) if text.is_empty())
}

impl Place<'_> {
    pub(super) fn name(&self) -> Key {
        self.key.cloned().unwrap_or_else(|| Key::from(""))
    }
}

/// Why a file is not what its writer wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// A value in clear, or nothing like a token, where the selection rule encrypts.
    #[error("the value of `{key}` is not encrypted, although the file's rule says it is")]
    NotEncrypted {
        /// The name of the entry.
        key: Key,
    },
    /// A token that is damaged, of an unknown type, or of a type that cannot stand here.
    #[error("the encrypted value of `{key}` is damaged")]
    Malformed {
        /// The name of the entry.
        key: Key,
    },
    /// A token that was changed, or that belongs to another name or another file.
    #[error("the encrypted value of `{key}` is not authentic: it was changed, or moved here from another name or file")]
    NotAuthentic {
        /// The name of the entry.
        key: Key,
    },
    /// The token of a value where a comment stands.
    #[error("an encrypted comment is damaged: what it holds is of a type that no comment has")]
    ValueAsComment,
    /// The file has no MAC.
    #[error("the file has no MAC, so nobody can tell whether lines were added, changed or removed")]
    NoMac,
    /// The MAC's own token does not open.
    #[error("the file's MAC cannot be read: it, or the date of the last change, was edited")]
    MacToken,
    /// The values are each authentic, but not all of those that were written, or not in that order.
    #[error("the file's MAC does not match its values: lines were added, changed, moved or removed")]
    MacMismatch,
    /// The metadata does not say when the file was changed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl DecryptError {
    fn malformed(place: &Place) -> Self {
        Self::Malformed { key: place.name() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::format::dotenv::Dotenv;
    use crate::tree::{Element, Item, Mapping, Value};

    const FILE: &str = include_str!("../../tests/vectors/known_answer.env");
    const KEY: [u8; 32] = [
        0xad, 0x1e, 0x29, 0xb2, 0x21, 0xdd, 0xb4, 0x64, 0xb7, 0x93, 0x48, 0xcf, 0x4f, 0xc8, 0x36, 0xf5, 0x91, 0x02, 0xfa, 0x82,
        0x5c, 0x26, 0x1d, 0xbb, 0x90, 0xf9, 0xe2, 0x54, 0xcd, 0x1a, 0x5b, 0x83,
    ];

    fn document(file: &str) -> EncryptedDocument {
        EncryptedDocument::new(Dotenv.parse(file.as_bytes()).unwrap()).unwrap()
    }

    fn error(document: &EncryptedDocument) -> DecryptError {
        document.verify(&DataKey::from_slice(&KEY).unwrap()).err().unwrap()
    }

    #[test]
    fn the_key_of_a_file_is_known_by_the_token_of_its_mac_and_the_date_alone() {
        let [own, other] = [KEY, [1; 32]].map(|key| DataKey::from_slice(&key).unwrap());
        assert!(document(FILE).is_key(&own) && !document(FILE).is_key(&other));
        assert!(document(&FILE.replace("URL=ENC", "URL=")).is_key(&own));
        assert!(!document(&FILE.replace("2026-11-22T", "2026-11-23T")).is_key(&own));
    }

    #[test]
    fn what_is_damaged_is_told_from_what_was_never_encrypted() {
        for damaged in ["URL=ENC[AES256_GCM,data:?", "URL=ENC[AES256_GCM,dat:"] {
            let error = error(&document(&FILE.replace("URL=ENC[AES256_GCM,data:", damaged)));
            assert!(matches!(error, DecryptError::Malformed { key } if key == Key::from("URL")), "{damaged}");
        }
        for plain in ["URL=ENC[AES128_GCM,data:", "URL=hunter2"] {
            let error = error(&document(&FILE.replace("URL=ENC[AES256_GCM,data:", plain)));
            assert!(matches!(error, DecryptError::NotEncrypted { key } if key == Key::from("URL")), "{plain}");
        }
    }

    #[test]
    fn a_value_that_calls_itself_a_comment_or_bytes_is_refused() {
        let (before, url) = FILE.split_once("URL=").unwrap();
        for kind in ["comment", "bytes"] {
            let relabelled = format!("{before}URL={}", url.replacen("type:str", &format!("type:{kind}"), 1));
            assert!(
                matches!(error(&document(&relabelled)), DecryptError::Malformed { key } if key == Key::from("URL")),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_comment_without_text_is_not_one_that_stands_in_clear() {
        let opened = |file: &str| document(file).open_with(DataKey::from_slice(&KEY).unwrap()).unwrap();
        assert_eq!(opened(&FILE.replace("URL=", "#\nURL=")).clear_comments, 0);
        assert_eq!(opened(&FILE.replace("URL=", "# \nURL=")).clear_comments, 1);
    }

    #[test]
    fn a_line_behind_a_carriage_return_counts_in_comments_that_stand_in_clear() {
        let key = || DataKey::from_slice(&KEY).unwrap();
        let mut opened = document(&FILE.replace("URL=", "# a\rB=1\n#c\r\n# d\rE=1\nURL=")).open_with(key()).unwrap();
        assert_eq!((opened.clear_comments, opened.lines_in_comments), (3, 2));
        // Once it is encrypted, nobody without a key can have added it.
        let comment = Item::Comment(Comment { text: SecretBytes::copy_of(b" a\rB=1"), inline: false });
        let encrypted = opened.encrypt(&Tree::of(Mapping { items: vec![comment] }), time::UtcDateTime::UNIX_EPOCH).unwrap();
        let opened = EncryptedDocument::new(encrypted).unwrap().open_with(key()).unwrap();
        assert_eq!((opened.clear_comments, opened.lines_in_comments), (0, 0));
    }

    #[test]
    fn a_comment_in_a_list_comes_back_as_one() {
        let mut opened = document(FILE).open_with(DataKey::from_slice(&KEY).unwrap()).unwrap();
        let comment = |text: &[u8]| Comment { text: SecretBytes::copy_of(text), inline: false };
        let list = vec![Element::Comment(comment(b" note")), Element::Value(Value::text(b"hunter2"))];
        let tree = Tree::of(Mapping { items: vec![Item::Entry(Key::from("list"), Value::List(list))] });
        let encrypted = opened.encrypt(&tree, time::UtcDateTime::UNIX_EPOCH).unwrap();
        let document = EncryptedDocument::new(encrypted).unwrap();
        let Some(Value::List(list)) = document.tree.documents[0].get("list") else { panic!("a list stays one") };
        assert!(matches!(&list[..], [Element::Value(_), Element::Value(_)]), "as sops writes it");
        let tree = document.verify(&DataKey::from_slice(&KEY).unwrap()).unwrap();
        let Some(Value::List(list)) = tree.documents[0].get("list") else { panic!("a list stays one") };
        let [Element::Comment(comment), Element::Value(value)] = &list[..] else { panic!("one comment and one value") };
        assert_eq!((comment.text.expose(), value.as_text()), (b" note".as_slice(), Some(b"hunter2".as_slice())));
    }

    #[test]
    fn a_number_in_clear_is_refused_by_name_only_where_the_rule_encrypts() {
        for scalar in [Scalar::Int(1), Scalar::Float(0.5), Scalar::Bool(true), Scalar::Time("2024-05-06T07:08:09Z".to_owned())] {
            let with = |name: &str| {
                let mut document = document(FILE);
                document.tree.documents[0].items.push(Item::Entry(Key::from(name), Value::Scalar(scalar.copy())));
                error(&document)
            };
            assert!(matches!(with("PORT"), DecryptError::NotEncrypted { key } if key == Key::from("PORT")));
            assert!(matches!(with("PORT_unencrypted"), DecryptError::MacMismatch));
        }
    }
}
