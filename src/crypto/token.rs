//! `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`: strict parse, exact print.
//!
//! Knows the letters of a token and nothing of what is inside. Its one invariant: a token has ciphertext, a nonce, and a tag of 16
//! bytes, and printing it gives the one form that sops writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;

use super::cipher::NONCE_LENGTH;

/// The length of a tag in bytes.
pub const TAG_LENGTH: usize = 16;

/// The type of a value before it was encrypted, as a token names it.
///
/// The name is not authenticated: whoever can write the file can turn `str` into `int`, not more.
///
/// Source: getsops/sops `aes/cipher.go`, `Cipher.Encrypt` and `Cipher.Decrypt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Text.
    Str,
    /// A whole number.
    Int,
    /// An IEEE double.
    Float,
    /// A truth value.
    Bool,
    /// A moment.
    Time,
    /// The text of a comment.
    Comment,
    /// Bytes. sops can read it and then crashes; nobody writes it.
    Bytes,
}

impl ValueType {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Str, Self::Int, Self::Float, Self::Bool, Self::Time, Self::Comment, Self::Bytes];

    /// Its name in a token.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Comment => "comment",
            Self::Bytes => "bytes",
        }
    }
}

/// One encrypted value. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The ciphertext, at least one byte: what is empty is never encrypted.
    pub data: Vec<u8>,
    /// The nonce: 32 bytes in everything that sops and dotsops write, at least one in what can be read.
    pub nonce: Vec<u8>,
    /// The GCM tag.
    pub tag: [u8; TAG_LENGTH],
    /// What the plaintext is.
    pub kind: ValueType,
}

impl Token {
    /// Whether `text` looks like one token: its beginning and its end are right. Cheap, and no promise that [`Token::parse`] succeeds.
    pub fn is_token(text: &[u8]) -> bool {
        text.starts_with(PREFIX) && text.ends_with(b"]")
    }

    /// How many bytes the nonce of `text` has, told by its letters: for a token that was opened already. `None` if there is none.
    pub fn nonce_length(text: &[u8]) -> Option<usize> {
        let (_, rest) = part(text.strip_prefix(PREFIX)?, b"data:", b',')?;
        let (nonce, _) = part(rest, b"iv:", b',')?;
        let padding = nonce.iter().rev().take_while(|letter| **letter == b'=').count();
        (nonce.len() / 4 * 3).checked_sub(padding)
    }

    /// How many letters the token of `plaintext` bytes has, as sops and dotsops write it.
    pub fn size(plaintext: usize, kind: ValueType) -> usize {
        printed_size(plaintext, NONCE_LENGTH, kind)
    }

    /// Reads one token that is all of `text`.
    ///
    /// Stricter than sops, which ignores what follows the last `]`, carriage returns inside base64 and the unused bits of its last
    /// digit: each would let a file hold something that nothing checks. So the text that is read is the text that [`Token::print`]
    /// gives.
    ///
    /// # Errors
    /// [`TokenError`]; it never holds the text.
    ///
    /// Source: getsops/sops `aes/cipher.go`, `parse`.
    pub fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let rest = text.strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        let (data, rest) = part(rest, b"data:", b',').ok_or(TokenError::Malformed("data"))?;
        let (nonce, rest) = part(rest, b"iv:", b',').ok_or(TokenError::Malformed("iv"))?;
        let (tag, rest) = part(rest, b"tag:", b',').ok_or(TokenError::Malformed("tag"))?;
        let (kind, rest) = part(rest, b"type:", b']').ok_or(TokenError::Malformed("type"))?;
        if !rest.is_empty() {
            return Err(TokenError::TrailingBytes);
        }
        let tag = STANDARD.decode(tag).map_err(|_| TokenError::Malformed("tag"))?;
        Ok(Self {
            data: STANDARD.decode(data).map_err(|_| TokenError::Malformed("data"))?,
            nonce: STANDARD.decode(nonce).map_err(|_| TokenError::Malformed("iv"))?,
            tag: tag.try_into().map_err(|_| TokenError::TagLength)?,
            kind: ValueType::ALL.into_iter().find(|known| known.tag().as_bytes() == kind).ok_or(TokenError::UnknownType)?,
        })
    }

    /// The token as sops writes it, in a buffer of exactly its size.
    pub fn print(&self) -> Vec<u8> {
        let mut text = String::with_capacity(printed_size(self.data.len(), self.nonce.len(), self.kind));
        text.push_str("ENC[AES256_GCM,data:");
        STANDARD.encode_string(&self.data, &mut text);
        text.push_str(",iv:");
        STANDARD.encode_string(&self.nonce, &mut text);
        text.push_str(",tag:");
        STANDARD.encode_string(self.tag, &mut text);
        text.push_str(",type:");
        text.push_str(self.kind.tag());
        text.push(']');
        text.into_bytes()
    }
}

const PREFIX: &[u8] = b"ENC[AES256_GCM,";

fn printed_size(data: usize, nonce: usize, kind: ValueType) -> usize {
    let letters = [data, nonce, TAG_LENGTH].map(|bytes| bytes.div_ceil(3) * 4);
    PREFIX.len() + "data:,iv:,tag:,type:]".len() + kind.tag().len() + letters.iter().sum::<usize>()
}

/// What stands between `name` and the next `end`, at least one byte, and what follows `end`.
fn part<'a>(text: &'a [u8], name: &[u8], end: u8) -> Option<(&'a [u8], &'a [u8])> {
    let text = text.strip_prefix(name)?;
    let length = memchr(end, text).filter(|length| *length > 0)?;
    Some((&text[..length], &text[length + 1..]))
}

/// Why a text is no token. The text itself, which may be a plaintext, is never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It does not begin like one: probably a plaintext.
    #[error("not an encrypted value")]
    NotAToken,
    /// A field is missing, empty, or no base64.
    #[error("malformed encrypted value: bad or missing field {0}")]
    Malformed(&'static str),
    /// The tag is not 16 bytes.
    #[error("malformed encrypted value: the authentication tag is not 16 bytes long")]
    TagLength,
    /// Something follows the closing bracket.
    #[error("malformed encrypted value: more text follows it")]
    TrailingBytes,
    /// The type is none that sops knows.
    #[error("malformed encrypted value: unknown datatype")]
    UnknownType,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From a file that sops 3.13.2 wrote.
    const COMMENT: &[u8] =
        b"ENC[AES256_GCM,data:Sk4YYrE=,iv:1IGsqfNQ0HleKgAPxtPNtrupnGm+ueZl4p/yInCdnIE=,tag:x511v+eAknHIhdBM/vbAzg==,type:comment]";

    #[test]
    fn a_token_of_sops_is_read_and_printed_byte_for_byte() {
        let token = Token::parse(COMMENT).unwrap();
        assert_eq!(token.kind, ValueType::Comment);
        assert_eq!((token.data.len(), token.nonce.len()), (5, 32));
        assert_eq!(token.print(), COMMENT);
        assert!(Token::is_token(COMMENT));
    }

    #[test]
    fn what_has_only_the_beginning_or_the_end_of_a_token_does_not_look_like_one() {
        for text in [b"ENC[AES256_GCM,data".as_slice(), b"ENC[AES128_GCM,data]", b"hunter2]", b"hunter2", b""] {
            assert!(!Token::is_token(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_reason() {
        let cases: [(&str, TokenError); 19] = [
            ("", TokenError::NotAToken),
            ("hunter2", TokenError::NotAToken),
            (" ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::NotAToken),
            ("ENC[AES128_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::NotAToken),
            ("ENC[AES256_GCM,", TokenError::Malformed("data")),
            ("ENC[AES256_GCM,data:,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::Malformed("data")),
            ("ENC[AES256_GCM,data:AA=,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::Malformed("data")),
            ("ENC[AES256_GCM,data:A_==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::Malformed("data")),
            ("ENC[AES256_GCM,data:AA\r==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::Malformed("data")),
            ("ENC[AES256_GCM,data:AA==,iv:,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::Malformed("iv")),
            ("ENC[AES256_GCM,data:AA==, iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]", TokenError::Malformed("iv")),
            ("ENC[AES256_GCM,data:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,iv:AA==,type:str]", TokenError::Malformed("iv")),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAAA=,type:str]", TokenError::TagLength),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAA,type:str]", TokenError::TagLength),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:]", TokenError::Malformed("type")),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str", TokenError::Malformed("type")),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:STR]", TokenError::UnknownType),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]\r", TokenError::TrailingBytes),
            ("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]]", TokenError::TrailingBytes),
        ];
        for (text, expected) in cases {
            assert_eq!(Token::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn an_error_never_holds_the_text() {
        for text in ["hunter2", "ENC[AES256_GCM,data:hunter2", "ENC[AES256_GCM,data:AA==,iv:AA==,tag:hunter2=,type:hunter2]"] {
            let error = Token::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn unused_bits_of_base64_are_refused_for_they_are_not_authenticated() {
        let text = "ENC[AES256_GCM,data:AA==,iv:AAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]";
        assert!(Token::parse(text.as_bytes()).is_ok());
        for (good, bad, field) in [("data:AA", "data:AB", "data"), ("iv:AAA", "iv:AAB", "iv"), ("AA==,type", "AP==,type", "tag")]
        {
            let text = text.replace(good, bad);
            assert_eq!(Token::parse(text.as_bytes()).unwrap_err(), TokenError::Malformed(field), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(
            data in prop::collection::vec(any::<u8>(), 1..80),
            nonce in prop::collection::vec(any::<u8>(), 1..80),
            tag in any::<[u8; TAG_LENGTH]>(),
            kind in prop::sample::select(&ValueType::ALL[..]),
        ) {
            let token = Token { data, nonce, tag, kind };
            let text = token.print();
            prop_assert_eq!(text.capacity(), text.len());
            prop_assert!(Token::is_token(&text));
            prop_assert_eq!(Token::nonce_length(&text), Some(token.nonce.len()));
            prop_assert_eq!(Token::parse(&text).unwrap(), token);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Token::parse(&text);
            let _ = Token::parse(&[PREFIX, &text].concat());
        }
    }
}
