//! AES-256-GCM, SOPS's way: 32-byte nonces, and the key path as AAD.
//!
//! Knows bytes, not what they mean. Its one invariant: no plaintext leaves before its tag was found right.

use aes::Aes256;
use aes::cipher::KeyInit;
use aes::cipher::generic_array::GenericArray;
use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::consts::U32;
use aes_gcm::{AesGcm, Nonce};

use super::odd_nonce;
use super::token::{Token, ValueType};
use crate::secret::{DataKey, SecretBytes};

/// The length in bytes of every nonce that is written.
pub const NONCE_LENGTH: usize = 32;

/// Encrypts and decrypts the values of one file.
pub struct Cipher {
    aes: Aes256,
    gcm: AesGcm<Aes256, U32>,
}

impl Cipher {
    /// The cipher under `data_key`, whose expanded forms are wiped when it is dropped.
    pub fn new(data_key: &DataKey) -> Self {
        // A data key has 32 bytes, the size of an AES-256 key.
        let aes = Aes256::new(GenericArray::from_slice(data_key.expose()));
        Self { gcm: AesGcm::from(aes.clone()), aes }
    }

    /// Encrypts one value.
    ///
    /// `aad` is the key path, e.g. `DATABASE_URL:`. A nonce may come again only with the same plaintext and the same `aad`; see
    /// [`Nonces`]. An empty plaintext has no token: the caller writes it as it is.
    ///
    /// Source: getsops/sops `aes/cipher.go`, `Cipher.Encrypt`.
    pub fn encrypt(&self, plaintext: &[u8], kind: ValueType, aad: &[u8], nonce: &[u8; NONCE_LENGTH]) -> Token {
        // The buffer holds plaintext until the call returns; after that there is nothing in it to wipe.
        let mut data = plaintext.to_vec();
        let tag = self
            .gcm
            .encrypt_in_place_detached(Nonce::from_slice(nonce), aad, &mut data)
            // GCM refuses only more than 64 GiB; no format reads more than 64 MiB.
            .expect("a value is far shorter than 64 GiB");
        Token { data, nonce: nonce.to_vec(), tag: tag.into(), kind }
    }

    /// Decrypts one token. Its nonce may have any length.
    ///
    /// # Errors
    /// [`DecryptError::NotAuthentic`] if key, nonce, `aad`, data or tag is another than at encryption; no bytes are returned. The type
    /// in the token is not checked: nothing authenticates it.
    ///
    /// Source: getsops/sops `aes/cipher.go`, `Cipher.Decrypt`.
    pub fn decrypt(&self, token: &Token, aad: &[u8]) -> Result<SecretBytes, DecryptError> {
        let mut buffer = SecretBytes::copy_of(&token.data);
        let authentic = if token.nonce.len() == NONCE_LENGTH {
            let nonce = Nonce::from_slice(&token.nonce);
            self.gcm.decrypt_in_place_detached(nonce, aad, buffer.expose_mut(), GenericArray::from_slice(&token.tag)).is_ok()
        } else {
            !token.nonce.is_empty() && odd_nonce::decrypt_in_place(&self.aes, &token.nonce, aad, buffer.expose_mut(), &token.tag)
        };
        if authentic { Ok(buffer) } else { Err(DecryptError::NotAuthentic) }
    }
}

/// Fresh random nonces, fetched from the system a batch at a time: one call a value would be half of the time of encrypting a large
/// file. Batches grow, so that one value does not cost a page of randomness.
#[derive(Default)]
pub struct Nonces {
    batch: Vec<[u8; NONCE_LENGTH]>,
    last_size: usize,
}

impl Nonces {
    /// A source that has asked for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A nonce that was never drawn before.
    ///
    /// # Errors
    /// The system's, if it has no randomness to give.
    pub fn draw(&mut self) -> Result<[u8; NONCE_LENGTH], getrandom::Error> {
        if let Some(nonce) = self.batch.pop() {
            return Ok(nonce);
        }
        let size = (self.last_size * 4).clamp(4, 256);
        let mut fresh = vec![[0; NONCE_LENGTH]; size];
        getrandom::fill(fresh.as_flattened_mut())?;
        self.last_size = size;
        self.batch = fresh;
        self.draw()
    }
}

/// Why a token was not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The key, the key path or the token itself is another than when it was encrypted.
    #[error("the value is not authentic: it was changed, moved, or encrypted with another key")]
    NotAuthentic,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn cipher() -> Cipher {
        let key: Vec<u8> = (0..32).collect();
        Cipher::new(&DataKey::from_slice(&key).unwrap())
    }

    fn nonce() -> [u8; 32] {
        std::array::from_fn(|position| 0xa0 + (position % 16) as u8)
    }

    /// Made and read again by the cipher of sops 3.13.2: type, AAD, plaintext, data, tag.
    const VECTORS: [(ValueType, &str, &str, &str, &str); 8] = [
        (ValueType::Str, "PASSWORD:", "hunter2", "4LNRyJec2A==", "9D18IW4yJ2OCspVtJwL2Lg=="),
        (ValueType::Int, "port:", "42", "vPQ=", "NRF5Omwrd1mExkdgb/sXCw=="),
        (ValueType::Float, "a:b:", "0.25", "uOgNiQ==", "rn8EohsglYbT7s6HF/3iCQ=="),
        (ValueType::Bool, "on:", "True", "3LRK2Q==", "sea+BttDDpTYPb4sXZ287Q=="),
        (ValueType::Bool, "on:", "False", "zqdTz5c=", "yVcBEqBWr7KfHJgW8ReikA=="),
        (
            ValueType::Time,
            "t:",
            "2024-05-06T07:08:09.5+02:00",
            "uvYNiN/e31SesjtvGj6XO6WpJ0RhN3b6xP2q",
            "sTJRwgjGwGAHeV/BwNWyDQ==",
        ),
        (ValueType::Comment, ":", " note", "qKhQyJc=", "Vxsr4TIWfxwzDxvNtMX5uQ=="),
        (ValueType::Str, "l:", "x", "8A==", "GpO0oO2Vhmbornn6NFWBKg=="),
    ];

    #[test]
    fn tokens_are_those_of_sops_in_both_directions() {
        for (kind, aad, plaintext, data, tag) in VECTORS {
            let expected = format!(
                "ENC[AES256_GCM,data:{data},iv:oKGio6SlpqeoqaqrrK2ur6ChoqOkpaanqKmqq6ytrq8=,tag:{tag},type:{}]",
                kind.tag()
            );
            let token = cipher().encrypt(plaintext.as_bytes(), kind, aad.as_bytes(), &nonce());
            assert_eq!(String::from_utf8(token.print()).unwrap(), expected);
            let read = Token::parse(expected.as_bytes()).unwrap();
            assert_eq!(cipher().decrypt(&read, aad.as_bytes()).ok().unwrap().expose(), plaintext.as_bytes());
        }
    }

    #[test]
    fn a_token_with_a_short_nonce_is_read() {
        let text = b"ENC[AES256_GCM,data:jm0SWSC5MA==,iv:oKGio6Slpqeoqaqr,tag:5oGVyVUxLaAZ4DgygqgNew==,type:str]";
        let token = Token::parse(text).unwrap();
        assert_eq!(cipher().decrypt(&token, b"PASSWORD:").ok().unwrap().expose(), b"hunter2");
        assert!(cipher().decrypt(&token, b"PASSWORD").is_err());
    }

    #[test]
    fn the_mac_text_of_a_file_is_a_value_like_any_other() {
        let text = "ENC[AES256_GCM,data:sfQJhbPb3k7tsl5objaSMKrfXVpsLQWOv/3bzLG+bNGaNgG6cwu0mRovVrYAVyw0qOMjr4IymWRmwOhFwhMAB6HbVM5R\
                    rFDUqMfEcB5eDeCBt0Dhkv/up3QqWqhsspfnXvUuz+O+JQUBTo0Q2iBK0VqDZuknHGioyZnsJo/DzUU=,iv:oKGio6SlpqeoqaqrrK2ur6ChoqOk\
                    paanqKmqq6ytrq8=,tag:bxXr+8CokZu8sVQSKYCb7A==,type:str]";
        let mut mac = super::super::Mac::new(false);
        mac.update(b"db.local");
        mac.update(b"hunter2");
        let mac = mac.finish();
        let token = cipher().encrypt(mac.expose(), ValueType::Str, b"2024-05-06T07:08:09Z", &nonce());
        assert_eq!(String::from_utf8(token.print()).unwrap(), text);
    }

    #[test]
    fn the_values_of_a_file_of_sops_decrypt() {
        let key = "ad1e29b221ddb464b79348cf4fc836f59102fa825c261dbb90f9e254cd1a5b83";
        let key: Vec<u8> = (0..32).map(|byte| u8::from_str_radix(&key[byte * 2..byte * 2 + 2], 16).unwrap()).collect();
        let cipher = Cipher::new(&DataKey::from_slice(&key).unwrap());
        let cases: [(&str, &str, &[u8]); 3] = [
            (
                "ENC[AES256_GCM,data:Sk4YYrE=,iv:1IGsqfNQ0HleKgAPxtPNtrupnGm+ueZl4p/yInCdnIE=,tag:x511v+eAknHIhdBM/vbAzg==,type:comment]",
                ":",
                b" demo",
            ),
            (
                "ENC[AES256_GCM,data:i3UONfsUubj+IaoyXBs=,iv:BC+5c1s46lOHiyvxmYJxUfvxV3cURMvI0YgXj8BP0nk=,tag:Mh/LL9kJjgx03dmSM9OZqQ==,type:str]",
                "URL:",
                b"https://x/?a=b",
            ),
            (
                "ENC[AES256_GCM,data:tvPae2y2iw==,iv:xpukPtuMBDelqJbzCZK2Dr4TYkwISzAlle64bu8bsDM=,tag:MumCWJJ1jOlreMeMsHXO0A==,type:str]",
                "PEM:",
                b"one\ntwo",
            ),
        ];
        for (text, aad, plaintext) in cases {
            let token = Token::parse(text.as_bytes()).unwrap();
            assert_eq!(cipher.decrypt(&token, aad.as_bytes()).ok().unwrap().expose(), plaintext);
            assert!(cipher.decrypt(&token, b"OTHER:").is_err(), "a value moved to another key is refused");
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_refused() {
        let token = cipher().encrypt(b"hunter2", ValueType::Str, b"PASSWORD:", &nonce());
        let refused = |token: &Token, aad: &[u8]| cipher().decrypt(token, aad).err() == Some(DecryptError::NotAuthentic);
        for bit in 0..8 {
            for position in 0..token.data.len() {
                let mut changed = token.clone();
                changed.data[position] ^= 1 << bit;
                assert!(refused(&changed, b"PASSWORD:"));
            }
            for position in 0..token.nonce.len() {
                let mut changed = token.clone();
                changed.nonce[position] ^= 1 << bit;
                assert!(refused(&changed, b"PASSWORD:"));
            }
            for position in 0..token.tag.len() {
                let mut changed = token.clone();
                changed.tag[position] ^= 1 << bit;
                assert!(refused(&changed, b"PASSWORD:"));
            }
            for position in 0..9 {
                let mut aad = *b"PASSWORD:";
                aad[position] ^= 1 << bit;
                assert!(refused(&token, &aad));
            }
            for position in 0..32 {
                let mut key: Vec<u8> = (0..32).collect();
                key[position] ^= 1 << bit;
                let other = Cipher::new(&DataKey::from_slice(&key).unwrap());
                assert!(other.decrypt(&token, b"PASSWORD:").is_err());
            }
        }
    }

    #[test]
    fn a_byte_moved_between_data_and_tag_or_a_cut_nonce_is_refused() {
        let token = cipher().encrypt(b"hunter2", ValueType::Str, b"K:", &nonce());
        for length in 0..32 {
            let cut = Token { nonce: token.nonce[..length].to_vec(), ..token.clone() };
            assert!(cipher().decrypt(&cut, b"K:").is_err(), "{length}");
        }
        let shorter = Token { data: token.data[..6].to_vec(), ..token };
        assert!(cipher().decrypt(&shorter, b"K:").is_err());
    }

    #[test]
    fn the_type_is_not_authenticated() {
        // A fact of the format, kept here so that nobody relies on the contrary.
        let token = cipher().encrypt(b"42", ValueType::Int, b"K:", &nonce());
        let relabelled = Token { kind: ValueType::Str, ..token };
        assert_eq!(cipher().decrypt(&relabelled, b"K:").ok().unwrap().expose(), b"42");
    }

    #[test]
    fn no_nonce_is_drawn_twice() {
        let mut nonces = Nonces::new();
        let drawn: HashSet<[u8; 32]> = (0..2000).map(|_| nonces.draw().unwrap()).collect();
        assert_eq!(drawn.len(), 2000);
        assert!(!drawn.contains(&[0; 32]));
    }

    #[test]
    fn the_system_is_asked_for_more_nonces_each_time_up_to_256() {
        let mut nonces = Nonces::new();
        let mut batches = Vec::new();
        while batches.len() < 6 {
            nonces.draw().unwrap();
            batches.push(nonces.batch.len() + 1);
            nonces.batch.clear();
        }
        assert_eq!(batches, [4, 16, 64, 256, 256, 256]);
    }

    proptest! {
        #[test]
        fn decrypting_what_was_encrypted_gives_it_back(
            plaintext in prop::collection::vec(any::<u8>(), 0..300),
            aad in prop::collection::vec(any::<u8>(), 0..60),
            nonce in any::<[u8; 32]>(),
        ) {
            let token = cipher().encrypt(&plaintext, ValueType::Str, &aad, &nonce);
            let decrypted = cipher().decrypt(&token, &aad).ok().unwrap();
            prop_assert_eq!(decrypted.expose(), plaintext);
        }
    }
}
