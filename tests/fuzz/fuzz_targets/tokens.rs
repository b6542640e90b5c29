//! Tokens. Laws: a text that is taken for a token is the very text that the token prints; nothing opens but the tokens that were made
//! with the key, each at its own key path; what a scalar decodes to encodes to bytes that decode to the same.
//!
//! The input is a key path, LF, and the text of a token.

#![no_main]

use std::sync::LazyLock;

use dotsops::crypto::scalar::{decode, encode};
use dotsops::crypto::{Cipher, Decoded, Token, ValueType};
use dotsops::secret::{DataKey, SecretBytes};
use libfuzzer_sys::fuzz_target;

/// What was made with the key; `seeds/tokens` holds the same.
static GENUINE: LazyLock<Vec<(&[u8], Token)>> = LazyLock::new(|| {
    let made: [(&[u8], &[u8], ValueType); 6] = [
        (b"PASSWORD:", b"hunter2", ValueType::Str),
        (b"port:", b"42", ValueType::Int),
        (b"a:b:", b"0.25", ValueType::Float),
        (b"on:", b"True", ValueType::Bool),
        (b"at:", b"2024-05-06T07:08:09.5+02:00", ValueType::Time),
        (b":", b" note", ValueType::Comment),
    ];
    made.into_iter().zip(1..).map(|((aad, text, kind), nonce)| (aad, cipher().encrypt(text, kind, aad, &[nonce; 32]))).collect()
});

fuzz_target!(|input: &[u8]| {
    scalars(input);
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (aad, text) = (&input[..end], &input[end + 1..]);
    let Ok(token) = Token::parse(text) else { return };
    assert!(Token::is_token(text));
    assert_eq!(token.print(), text, "a token has one form");
    if cipher().decrypt(&token, aad).is_ok() {
        // The name of the type is not authenticated.
        let is_the_same = |made: &Token| made == &Token { kind: made.kind, ..token.clone() };
        assert!(GENUINE.iter().any(|(own, made)| *own == aad && is_the_same(made)), "a token that nobody made was opened");
    }
});

fn scalars(bytes: &[u8]) {
    for kind in ValueType::ALL {
        let Ok(Decoded::Scalar(scalar)) = decode(kind, SecretBytes::copy_of(bytes)) else { continue };
        let (kind, encoded) = encode(&scalar).unwrap();
        let Ok(Decoded::Scalar(again)) = decode(kind, SecretBytes::copy_of(encoded.expose())) else {
            panic!("what was encoded is no {}", kind.tag());
        };
        assert_eq!(encode(&again).unwrap().1.expose(), encoded.expose());
    }
}

fn cipher() -> Cipher {
    Cipher::new(&DataKey::from_slice(b"the key of the fuzz targets' own").unwrap())
}
