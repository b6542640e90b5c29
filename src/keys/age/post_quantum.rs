//! Age's post-quantum keys: `age1pq1…` and `AGE-SECRET-KEY-PQ-1…`, ML-KEM-768 and X25519 together.
//!
//! The age crate does not know them yet; once it does, this file can go. Knows no files and no keyrings. Its two invariants: what it
//! takes is what it would write itself, byte for byte; secrets that are ours to wipe are wiped.
//!
//! Source: FiloSottile/age `pq.go`, v1.3; RFC 9180 §4 and §5.1 with the KEM MLKEM768-X25519 (X-Wing) of draft-ietf-hpke-pq; FIPS 203.

use std::collections::HashSet;
use std::fmt;
use std::io;

use age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode_to_fmt};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bech32::Hrp;
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hkdf::{Hkdf, HkdfExtract};
use ml_kem::kem::{Decapsulate, DecapsulationKey, EncapsulationKey};
use ml_kem::{B32, Ciphertext, EncapsulateDeterministic, EncodedSizeUser, KemCore, MlKem768, MlKem768Params};
use sha2::Sha256;
use sha3::digest::ExtendableOutput;
use sha3::{Digest, Sha3_256, Shake256};
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::age::recipient::{RecipientError, is_low_order};
use crate::secret::SecretString;

const STANZA_TAG: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// Keeps age from putting a classic stanza into the same header.
const LABEL: &str = "postquantum";

const RECIPIENT_PREFIX: Hrp = Hrp::parse_unchecked("age1pq");
const IDENTITY_PREFIX: Hrp = Hrp::parse_unchecked("age-secret-key-pq-");

const POINT: usize = 32;
const SEED: usize = 32;
const ENCAPSULATION_KEY: usize = 1184;
const CIPHERTEXT: usize = 1088;
/// How long the only argument of a stanza is: 1,120 bytes in base64 without padding.
const ARGUMENT: usize = ((CIPHERTEXT + POINT) * 4).div_ceil(3);
const TAG: usize = 16;

/// HPKE's name for the suite: KEM 0x647a, HKDF-SHA256, ChaCha20-Poly1305.
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
/// Ends the input of X-Wing's combiner.
const COMBINER_LABEL: &[u8] = br"\.//^\";

/// `age1pq1…`: an encapsulation key and a point of X25519.
pub(super) struct Recipient {
    mlkem: Box<EncapsulationKey<MlKem768Params>>,
    point: PublicKey,
}

/// `AGE-SECRET-KEY-PQ-1…`: the two private halves that its seed of 32 bytes stands for.
pub(super) struct Identity {
    mlkem: Box<DecapsulationKey<MlKem768Params>>,
    scalar: Box<StaticSecret>,
}

impl Recipient {
    /// Parses `age1pq1…`, all in lower case.
    pub(super) fn parse(text: &str) -> Result<Self, RecipientError> {
        let bytes = decode(text, RECIPIENT_PREFIX).ok_or(RecipientError::Damaged)?;
        let (mlkem, point) = bytes.split_at_checked(ENCAPSULATION_KEY).ok_or(RecipientError::Damaged)?;
        let mlkem = mlkem.try_into().map_err(|_| RecipientError::Damaged)?;
        let point: [u8; POINT] = point.try_into().map_err(|_| RecipientError::Damaged)?;
        if is_low_order(&point) {
            return Err(RecipientError::Weak);
        }
        let recipient = Self { mlkem: Box::new(EncapsulationKey::from_bytes(mlkem)), point: PublicKey::from(point) };
        // The crate reduces coefficients of q or more, which FIPS 203 §7.2 refuses, and bech32 takes padding bits that are not zero: only
        // what would be written the same way is taken.
        if recipient.to_string() != text {
            return Err(RecipientError::Damaged);
        }
        Ok(recipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.mlkem.as_bytes().to_vec();
        bytes.extend_from_slice(self.point.as_bytes());
        bech32_encode_to_fmt(f, RECIPIENT_PREFIX, &bytes)
    }
}

impl age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let (mut message, mut scalar) = (B32::default(), Zeroizing::new([0; POINT]));
        getrandom::fill(&mut message).and_then(|()| getrandom::fill(&mut *scalar)).map_err(io::Error::from)?;
        let encapsulated = self.mlkem.encapsulate_deterministic(&message);
        message.zeroize();
        // It fails for no key and no message.
        let Ok((ciphertext, mut secret)) = encapsulated else { return Err(io::Error::other("ML-KEM failed").into()) };
        let scalar = StaticSecret::from(*scalar);
        let share = PublicKey::from(&scalar);
        let combined = combine(&secret, &scalar.diffie_hellman(&self.point), &share, &self.point);
        secret.zeroize();

        let (cipher, nonce) = combined.map(|secret| hpke(&secret)).ok_or_else(|| io::Error::other("the recipient is weak"))?;
        let mut body = file_key.expose_secret().to_vec();
        // It fails for texts of gigabytes alone.
        let tag = cipher.encrypt_in_place_detached(&nonce, b"", &mut body).map_err(|_| io::Error::other("sealing failed"))?;
        body.extend_from_slice(&tag);
        let argument = STANDARD_NO_PAD.encode([ciphertext.as_slice(), share.as_bytes()].concat());
        let stanza = Stanza { tag: STANZA_TAG.to_owned(), args: vec![argument], body };
        Ok((vec![stanza], HashSet::from([LABEL.to_owned()])))
    }
}

impl Identity {
    /// Parses `AGE-SECRET-KEY-PQ-1…`, all in capitals; `None` if it is damaged.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let bytes = Zeroizing::new(decode(word, IDENTITY_PREFIX)?);
        let seed: &[u8; SEED] = bytes.as_slice().try_into().ok()?;
        to_text(seed).ct_eq(word).then(|| Self::from_seed(seed))
    }

    /// The public half.
    pub(super) fn recipient(&self) -> Recipient {
        Recipient { mlkem: Box::new(self.mlkem.encapsulation_key().clone()), point: PublicKey::from(&*self.scalar) }
    }

    fn from_seed(seed: &[u8; SEED]) -> Self {
        let mut expanded = Zeroizing::new([[0; 32]; 3]);
        Shake256::digest_xof(seed, expanded.as_flattened_mut());
        let [d, z, scalar] = &*expanded;
        let (mut d, mut z) = (B32::from(*d), B32::from(*z));
        let (mlkem, _) = MlKem768::generate_deterministic(&d, &z);
        d.zeroize();
        z.zeroize();
        Self { mlkem: Box::new(mlkem), scalar: Box::new(StaticSecret::from(*scalar)) }
    }

    /// The file key in a stanza of ours; `None` if it is for somebody else, which only the tag of its body tells.
    fn open(&self, stanza: &Stanza) -> Result<Option<FileKey>, DecryptError> {
        let argument = match stanza.args.as_slice() {
            [argument] if argument.len() == ARGUMENT => STANDARD_NO_PAD.decode(argument).ok(),
            _ => None,
        };
        let encapsulation = argument.ok_or(DecryptError::InvalidHeader)?;
        let (ciphertext, share) = encapsulation.split_at_checked(CIPHERTEXT).ok_or(DecryptError::InvalidHeader)?;
        let ciphertext: &Ciphertext<MlKem768> = ciphertext.try_into().map_err(|_| DecryptError::InvalidHeader)?;
        let share: [u8; POINT] = share.try_into().map_err(|_| DecryptError::InvalidHeader)?;
        let (wrapped, tag) = stanza.body.split_at_checked(FILE_KEY_BYTES).ok_or(DecryptError::InvalidHeader)?;
        let tag: [u8; TAG] = tag.try_into().map_err(|_| DecryptError::InvalidHeader)?;

        let mut secret = self.mlkem.decapsulate(ciphertext).map_err(|()| DecryptError::InvalidHeader)?;
        let (share, own) = (PublicKey::from(share), PublicKey::from(&*self.scalar));
        let combined = combine(&secret, &self.scalar.diffie_hellman(&share), &share, &own);
        secret.zeroize();
        let combined = combined.ok_or(DecryptError::InvalidHeader)?;
        let (cipher, nonce) = hpke(&combined);
        let opened = FileKey::try_init_with_mut(|file_key| {
            file_key.copy_from_slice(wrapped);
            cipher.decrypt_in_place_detached(&nonce, b"", file_key, &tag.into())
        });
        Ok(opened.ok())
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != STANZA_TAG {
            return None;
        }
        self.open(stanza).transpose()
    }
}

/// Makes an identity from the system's randomness: its text and that of its recipient.
pub(super) fn generate() -> Result<(SecretString, String), getrandom::Error> {
    let mut seed = Zeroizing::new([0; SEED]);
    getrandom::fill(&mut *seed)?;
    Ok((to_text(&seed), Identity::from_seed(&seed).recipient().to_string()))
}

fn to_text(seed: &[u8; SEED]) -> SecretString {
    struct Capitals(SecretString);
    impl fmt::Write for Capitals {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            text.chars().for_each(|character| self.0.push_char(character.to_ascii_uppercase()));
            Ok(())
        }
    }
    let mut text = Capitals(SecretString::with_capacity(128));
    // Writing into memory does not fail.
    let _ = bech32_encode_to_fmt(&mut text, IDENTITY_PREFIX, seed);
    text.0
}

/// The bytes that stand behind `prefix`, whatever the case.
fn decode(text: &str, prefix: Hrp) -> Option<Vec<u8>> {
    let is_ours = |found| (found == prefix).then_some(()).ok_or(());
    bech32_decode(text, |_| (), is_ours, |_, bytes| Ok(bytes.collect())).ok()
}

/// One secret of the two; `None` if X25519 gave zero, which it gives for any scalar if a point is of low order.
///
/// Source: draft-connolly-cfrg-xwing-kem §5.3.
fn combine(mlkem: &B32, x25519: &SharedSecret, share: &PublicKey, recipient: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
    if !x25519.was_contributory() {
        return None;
    }
    let parts: [&[u8]; 5] = [mlkem, x25519.as_bytes(), share.as_bytes(), recipient.as_bytes(), COMBINER_LABEL];
    let mut hash = Sha3_256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut combined = Zeroizing::new([0; 32]);
    hash.finalize_into((&mut *combined).into());
    Some(combined)
}

/// The cipher and the nonce of the first and only message under `secret`, in HPKE's base mode.
///
/// Source: RFC 9180 §5.1, `KeySchedule`.
fn hpke(secret: &[u8; 32]) -> (ChaCha20Poly1305, Nonce) {
    let extract = |salt: &[u8], label: &[u8], input: &[u8]| {
        let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
        [b"HPKE-v1", SUITE, label, input].iter().for_each(|part| extract.input_ikm(part));
        extract.finalize()
    };
    let (no_psk, _) = extract(b"", b"psk_id_hash", b"");
    let (info, _) = extract(b"", b"info_hash", INFO);
    let (mut bytes, derived): (_, Hkdf<Sha256>) = extract(secret, b"secret", b"");
    bytes.as_mut_slice().zeroize();
    let expand = |label: &[u8], output: &mut [u8]| {
        let length = u16::try_from(output.len()).unwrap_or_default().to_be_bytes();
        let base_mode = [0];
        // It fails for more than 8,160 bytes alone.
        let _ = derived.expand_multi_info(&[&length, b"HPKE-v1", SUITE, label, &base_mode, &no_psk, &info], output);
    };
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), Nonce::default());
    expand(b"key", &mut *key);
    expand(b"base_nonce", &mut nonce);
    (ChaCha20Poly1305::new((&*key).into()), nonce)
}

#[cfg(test)]
mod tests;
