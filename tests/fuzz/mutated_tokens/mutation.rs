//! The ways to mutate a file.

use std::fmt;

use dotsops::crypto::{Token, ValueType};

use crate::file::File;
use crate::random::Random;

/// A file as it stands after the mutation.
#[derive(Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The name of the value.
    pub name: Vec<u8>,
    /// Whether the token stands in a comment.
    pub is_comment: bool,
    /// The token of the value.
    pub token: Vec<u8>,
    /// The token of the MAC.
    pub mac: Vec<u8>,
    /// The date of the last change, which the MAC is bound to.
    pub date: String,
    /// Whether the data key is another.
    pub other_key: bool,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, token, mac] = [&self.name, &self.token, &self.mac].map(|text| text.escape_ascii());
        write!(f, "name {name}, token {token}, MAC {mac}, date {}, other key {}", self.date, self.other_key)
    }
}

/// A way to mutate.
#[derive(Clone, Copy)]
pub enum Class {
    DataBit,
    NonceBit,
    TagBit,
    LetterBit,
    FieldsSwapped,
    FieldOfAnother,
    Truncated,
    Extended,
    FieldCut,
    Alphabet,
    Padding,
    UnusedBits,
    Label,
    KeyPath,
    Case,
    WhiteSpace,
    OfAnother,
    ValueAndMacSwapped,
    OtherKey,
}

impl Class {
    pub const ALL: [Self; 19] = [
        Self::DataBit,
        Self::NonceBit,
        Self::TagBit,
        Self::LetterBit,
        Self::FieldsSwapped,
        Self::FieldOfAnother,
        Self::Truncated,
        Self::Extended,
        Self::FieldCut,
        Self::Alphabet,
        Self::Padding,
        Self::UnusedBits,
        Self::Label,
        Self::KeyPath,
        Self::Case,
        Self::WhiteSpace,
        Self::OfAnother,
        Self::ValueAndMacSwapped,
        Self::OtherKey,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::DataBit => "a bit of the data",
            Self::NonceBit => "a bit of the nonce",
            Self::TagBit => "a bit of the tag",
            Self::LetterBit => "a bit of the text",
            Self::FieldsSwapped => "two fields swapped",
            Self::FieldOfAnother => "a field of another token",
            Self::Truncated => "the text cut short",
            Self::Extended => "bytes added to the text",
            Self::FieldCut => "a field cut or extended",
            Self::Alphabet => "another base64 alphabet",
            Self::Padding => "other padding",
            Self::UnusedBits => "unused bits of base64 set",
            Self::Label => "another type named",
            Self::KeyPath => "another name or date",
            Self::Case => "a letter of the other case",
            Self::WhiteSpace => "white space put in",
            Self::OfAnother => "the token of another file",
            Self::ValueAndMacSwapped => "value and MAC exchanged",
            Self::OtherKey => "another data key",
        }
    }

    /// `file` after a mutation of this class; `other` is where foreign parts come from.
    pub fn of(self, file: &File, other: &File, random: &mut Random) -> Mutation {
        let mut mutation = file.whole.clone();
        // An empty value has no token, so there the MAC is all there is.
        let of_mac = mutation.token.is_empty() || random.below(4) == 0;
        match self {
            Self::KeyPath if of_mac || mutation.is_comment => {
                let mut date = mutation.date.into_bytes();
                let at = random.below(date.len());
                date[at] = random.pick(b"0123456789-+TZ:. tz");
                mutation.date = String::from_utf8(date).expect("ASCII stays ASCII");
            }
            Self::KeyPath => mutation.name = other_name(&mutation.name, &other.whole.name, random),
            Self::ValueAndMacSwapped => std::mem::swap(&mut mutation.token, &mut mutation.mac),
            Self::OtherKey => mutation.other_key = true,
            _ => {
                let foreign = if of_mac { &other.whole.mac } else { &other.whole.token };
                let text = if of_mac { &mut mutation.mac } else { &mut mutation.token };
                *text = self.of_text(text, foreign, random);
            }
        }
        mutation
    }

    fn of_text(self, text: &[u8], foreign: &[u8], random: &mut Random) -> Vec<u8> {
        let mut text = text.to_vec();
        let token = Token::parse(&text).expect("the file's own token");
        match self {
            Self::DataBit => printed(token, |token| flip(&mut token.data, random)),
            Self::NonceBit => printed(token, |token| flip(&mut token.nonce, random)),
            Self::TagBit => printed(token, |token| flip(&mut token.tag, random)),
            Self::LetterBit => {
                flip(&mut text, random);
                text
            }
            Self::FieldsSwapped => {
                let pair = random.pick(&[(0, 1), (0, 2), (1, 2), (2, 3), (0, 3)]);
                let mut fields = fields(&text);
                fields.swap(pair.0, pair.1);
                joined(&fields)
            }
            Self::FieldOfAnother if foreign.is_empty() => text,
            Self::FieldOfAnother => {
                let at = random.below(3);
                let mut fields = fields(&text);
                fields[at] = self::fields(foreign)[at];
                joined(&fields)
            }
            Self::Truncated => {
                match random.below(2) {
                    0 => text.truncate(random.below(text.len())),
                    _ => drop(text.drain(..1 + random.below(text.len() - 1))),
                }
                text
            }
            Self::Extended => {
                let more: &[u8] = random.pick(&[b"]".as_slice(), b"A", b"=", b",", b"ENC[", b"\0", b",type:str]", b"\xff"]);
                let somewhere = random.below(text.len());
                let at = random.pick(&[0, text.len(), text.len() - 1, somewhere]);
                text.splice(at..at, more.iter().copied());
                text
            }
            Self::FieldCut => {
                let at = random.below(3);
                let mut owned = fields(&text).map(<[u8]>::to_vec);
                let letters = &mut owned[at];
                match random.below(3) {
                    0 => letters.truncate(letters.len() - 4),
                    1 => drop(letters.drain(..4)),
                    _ => drop(letters.splice(0..0, *b"AAAA")),
                }
                joined(&[&owned[0], &owned[1], &owned[2], &owned[3]])
            }
            Self::Alphabet => {
                let from = random.pick(b"+/=");
                let to = random.pick(b"-_.,~%:");
                text.iter_mut().filter(|letter| **letter == from).for_each(|letter| *letter = to);
                text
            }
            Self::Padding => {
                let places: Vec<usize> = (0..text.len()).filter(|at| b",]".contains(&text[*at])).skip(1).take(3).collect();
                let at = random.pick(&places);
                match random.below(3) {
                    0 if text[at - 1] == b'=' => drop(text.remove(at - 1)),
                    1 if text[at - 1] == b'=' => drop(text.splice(at - 1..at, *b"%3D")),
                    _ => text.insert(at, b'='),
                }
                text
            }
            Self::UnusedBits => {
                let ends: Vec<usize> = (1..text.len())
                    .filter(|at| text[*at] == b'=' && text[at - 1] != b'=' && text[at - 1] != b':')
                    .map(|at| at - 1)
                    .collect();
                let at = random.pick(&ends);
                let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let digit = letters.iter().position(|letter| *letter == text[at]).expect("a base64 digit");
                let unused = if text[at + 1..].starts_with(b"==") { 15 } else { 3 };
                text[at] = letters[digit | (1 + random.below(unused))];
                text
            }
            Self::Label => {
                let mut fields = fields(&text);
                let names: [&[u8]; 4] = [b"STR", b"json", b"st\xc5\x99", b"null"];
                let known = ValueType::ALL[random.below(ValueType::ALL.len())].tag().as_bytes();
                fields[3] = if random.below(2) == 0 { known } else { random.pick(&names) };
                joined(&fields)
            }
            Self::Case => {
                let letters: Vec<usize> = (0..text.len()).filter(|at| text[*at].is_ascii_alphabetic()).collect();
                let at = random.pick(&letters);
                text[at] ^= 0x20;
                text
            }
            Self::WhiteSpace => {
                let white: &[u8] = random.pick(&[b" ".as_slice(), b"\t", b"\r", b"\n", b"\r\n", b"\xc2\xa0", b"\x0b"]);
                let at = random.below(text.len() + 1);
                text.splice(at..at, white.iter().copied());
                text
            }
            Self::OfAnother => foreign.to_vec(),
            Self::KeyPath | Self::ValueAndMacSwapped | Self::OtherKey => text,
        }
    }
}

fn printed(mut token: Token, change: impl FnOnce(&mut Token)) -> Vec<u8> {
    change(&mut token);
    token.print()
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    bytes[at] ^= 1 << random.below(8);
}

/// Data, nonce, tag and type as they are written.
fn fields(text: &[u8]) -> [&[u8]; 4] {
    let inside = &text[b"ENC[AES256_GCM,".len()..text.len() - 1];
    let mut parts = inside.split(|byte| *byte == b',');
    std::array::from_fn(|_| {
        let part = parts.next().expect("a token has four fields");
        &part[part.iter().position(|byte| *byte == b':').expect("a field has a name") + 1..]
    })
}

fn joined([data, nonce, tag, kind]: &[&[u8]; 4]) -> Vec<u8> {
    [b"ENC[AES256_GCM,data:", *data, b",iv:", *nonce, b",tag:", *tag, b",type:", *kind, b"]"].concat()
}

fn other_name(name: &[u8], foreign: &[u8], random: &mut Random) -> Vec<u8> {
    let mut name = name.to_vec();
    match random.below(4) {
        0 => return foreign.to_vec(),
        1 => flip(&mut name, random),
        2 => name.push(random.pick(b":_ A\0")),
        _ => drop(name.pop()),
    }
    name
}
