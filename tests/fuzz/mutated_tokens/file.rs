//! Small files, each of one value or comment, and the judgement of a mutation.

use dotsops::crypto::cipher::Cipher;
use dotsops::crypto::scalar::{self, Decoded};
use dotsops::crypto::{Mac, Token, ValueType};
use dotsops::document::metadata::Metadata;
use dotsops::document::selection::Selection;
use dotsops::document::{DecryptError, EncryptedDocument};
use dotsops::secret::{DataKey, SecretBytes};
use dotsops::tree::{Comment, Item, Key, Mapping, Scalar, Tree, Value};

use crate::mutation::Mutation;

/// A file and what it was made of.
pub struct File {
    key: DataKey,
    plaintext: Vec<u8>,
    /// What stands in it unchanged.
    pub whole: Mutation,
    document: EncryptedDocument,
}

/// Where a mutation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The grammar of a token, or of the date.
    Grammar,
    /// The tag of a value.
    Tag,
    /// The type that the token names.
    Type,
    /// The token of the MAC.
    MacToken,
    /// The MAC itself.
    Mac,
    /// A comment that does not open stays as it stands.
    NotOpened,
    /// Only the name of the type is another, and the value is the same: nothing authenticates that name.
    SameValue,
    /// It must not be.
    Accepted,
    /// The file opened as it was made: no mutation.
    Unchanged,
}

impl Layer {
    /// Where mutations end.
    pub const ALL: [Self; 8] =
        [Self::Grammar, Self::Tag, Self::Type, Self::MacToken, Self::Mac, Self::NotOpened, Self::SameValue, Self::Accepted];

    pub fn name(self) -> &'static str {
        match self {
            Self::Grammar => "grammar",
            Self::Tag => "tag",
            Self::Type => "type",
            Self::MacToken => "MAC token",
            Self::Mac => "MAC",
            Self::NotOpened => "not opened",
            Self::Unchanged => "unchanged",
            Self::SameValue => "same value",
            Self::Accepted => "ACCEPTED",
        }
    }
}

/// Texts of every length up to 200, the other types, and comments, under names of several sorts and two keys.
pub fn files() -> Vec<File> {
    let names =
        ["PASSWORD", "A", "export API_KEY", "db.host", "k\u{e9}y", "A_VERY_LONG_NAME_THAT_DOES_NOT_FIT_INTO_A_BLOCK_OF_AES"];
    let others = [
        (ValueType::Int, "42"),
        (ValueType::Int, "-9223372036854775808"),
        (ValueType::Float, "0.25"),
        (ValueType::Float, "+Inf"),
        (ValueType::Bool, "True"),
        (ValueType::Bool, "False"),
        (ValueType::Time, "2024-05-06T07:08:09.5+02:00"),
        (ValueType::Str, "True"),
        (ValueType::Str, "1"),
        (ValueType::Comment, " note"),
        (ValueType::Comment, "x"),
    ];
    let texts = (0..=200).map(|length| {
        let text = (0..length).map(|at| (b' ' + ((at * 7 + length) % 95) as u8) as char).collect();
        (ValueType::Str, text)
    });
    let values: Vec<(ValueType, String)> = texts.chain(others.map(|(kind, text)| (kind, text.to_owned()))).collect();
    let file =
        |(at, (kind, text)): (usize, (ValueType, String))| File::new(at as u8, names[at % names.len()], kind, text.as_bytes());
    values.into_iter().enumerate().map(file).collect()
}

impl File {
    fn new(number: u8, name: &str, kind: ValueType, plaintext: &[u8]) -> Self {
        let key = DataKey::from_slice(&[number % 2; 32]).expect("a key has 32 bytes");
        let cipher = Cipher::new(&key);
        let is_comment = kind == ValueType::Comment;
        let aad = if is_comment { ":".to_owned() } else { format!("{name}:") };
        // The only text without a token is the empty one.
        let token = (!plaintext.is_empty()).then(|| cipher.encrypt(plaintext, kind, aad.as_bytes(), &[number; 32]).print());
        let token = token.unwrap_or_default();
        let mut mac = Mac::new(false);
        if !is_comment {
            mac.update(plaintext);
        }
        // The MAC of a comment is that of an empty value, so it has a date of its own.
        let date = format!("2024-05-06T07:08:{:02}Z", if is_comment { 10 } else { 9 });
        let mac = cipher.encrypt(mac.finish().expose(), ValueType::Str, date.as_bytes(), &[number ^ 0xff; 32]).print();
        let whole = Mutation { name: name.as_bytes().to_vec(), is_comment, token, mac, date, other_key: false };
        let document =
            EncryptedDocument { tree: Tree::default(), metadata: Metadata::new(Vec::new(), Selection::default(), false) };
        let mut file = Self { key, plaintext: plaintext.to_vec(), whole, document };
        assert_eq!(file.judge(&file.whole.clone()), Layer::Unchanged, "the file itself opens: {}", file.whole);
        file
    }

    /// What the library makes of the file as `mutation` has it.
    pub fn judge(&mut self, mutation: &Mutation) -> Layer {
        let text = SecretBytes::copy_of(&mutation.token);
        let item = match mutation.is_comment {
            true => Item::Comment(Comment { text, inline: false }),
            false => Item::Entry(Key::from(mutation.name.as_slice()), Value::Scalar(Scalar::Text(text))),
        };
        self.document.tree = Tree::of(Mapping { items: vec![item] });
        self.document.metadata.mac = Some(mutation.mac.clone());
        self.document.metadata.last_modified.clone_from(&mutation.date);
        let other_key = DataKey::from_slice(&[9; 32]).expect("a key has 32 bytes");
        let key = if mutation.other_key { &other_key } else { &self.key };
        match self.document.verify(key) {
            Ok(tree) => self.opened(mutation, &tree),
            Err(error) => refused(mutation, &error),
        }
    }

    fn opened(&self, mutation: &Mutation, tree: &Tree) -> Layer {
        let value = match &tree.first()[0] {
            Item::Comment(comment) if comment.text.expose() == mutation.token && *mutation != self.whole => {
                return Layer::NotOpened;
            }
            Item::Comment(comment) => comment.text.expose().to_vec(),
            Item::Entry(_, Value::Scalar(value)) => scalar::encode(value).expect("a value that was read").1.expose().to_vec(),
            Item::Entry(..) | Item::BlankLine => return Layer::Accepted,
        };
        if value != self.plaintext {
            return Layer::Accepted;
        }
        if *mutation == self.whole {
            return Layer::Unchanged;
        }
        let relabelled = |text: &[u8], own: &[u8]| match (Token::parse(text), Token::parse(own)) {
            (Ok(token), Ok(own)) => Token { kind: own.kind, ..token.clone() } == own && token.print() == text,
            _ => text == own,
        };
        let rest = Mutation { token: self.whole.token.clone(), ..mutation.clone() };
        let is_same = rest == self.whole && relabelled(&mutation.token, &self.whole.token);
        if is_same && means_the_same(&mutation.token, &self.plaintext) { Layer::SameValue } else { Layer::Accepted }
    }
}

/// Whether the type that `token` names would have been written as `plaintext`.
fn means_the_same(token: &[u8], plaintext: &[u8]) -> bool {
    let Ok(token) = Token::parse(token) else { return false };
    let Ok(Decoded::Scalar(value)) = scalar::decode(token.kind, SecretBytes::copy_of(plaintext)) else { return false };
    scalar::encode(&value).is_ok_and(|(_, bytes)| bytes.expose() == plaintext)
}

fn refused(mutation: &Mutation, error: &DecryptError) -> Layer {
    match error {
        DecryptError::NotEncrypted { .. } | DecryptError::NoMac | DecryptError::Metadata(_) => Layer::Grammar,
        DecryptError::Malformed { .. } if Token::parse(&mutation.token).is_err() => Layer::Grammar,
        DecryptError::Malformed { .. } | DecryptError::ValueAsComment => Layer::Type,
        DecryptError::NotAuthentic { .. } => Layer::Tag,
        DecryptError::MacToken if Token::parse(&mutation.mac).is_err() => Layer::Grammar,
        DecryptError::MacToken => Layer::MacToken,
        DecryptError::MacMismatch => Layer::Mac,
        other => panic!("a refusal that no layer is named after: {other}"),
    }
}
