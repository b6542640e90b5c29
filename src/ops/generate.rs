//! Fresh random secrets, as text.
//!
//! Its one invariant: whatever the shape, a secret is as hard to guess as the random bytes that were asked for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{SecretBytes, SecretString};

/// How few bytes a secret may have.
pub const SHORTEST: usize = 16;

/// How many it may have: more is no secret but a file.
pub const LONGEST: usize = 4096;

/// How a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// base64 with `-` and `_`, without padding.
    Base64Url,
    /// Lower-case hexadecimal digits.
    Hexadecimal,
    /// ASCII letters and digits, as many as it takes for the same strength.
    Alphanumeric,
}

/// Makes a secret of `length` random bytes, or of as many characters as are as hard to guess.
///
/// # Errors
/// The system's, if it has no randomness to give.
pub fn secret(length: usize, shape: Shape) -> Result<SecretString, getrandom::Error> {
    let written = match shape {
        Shape::Base64Url => {
            let bytes = random(length)?;
            let mut text = SecretBytes::from_vec(vec![0; length.div_ceil(3) * 4]);
            // The buffer has room for the padding that is not written.
            let written = URL_SAFE_NO_PAD.encode_slice(bytes.expose(), text.expose_mut()).unwrap_or_default();
            text.truncate(written);
            text
        }
        Shape::Hexadecimal => spelled(random(length)?.expose(), |byte, text| {
            text.push(&[HEXADECIMAL[usize::from(byte >> 4)], HEXADECIMAL[usize::from(byte & 15)]]);
        }),
        Shape::Alphanumeric => alphanumeric(characters(length))?,
    };
    Ok(written.into_string().unwrap_or_default())
}

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// How many letters and digits hold `length` bytes. One holds 5.9541… bits.
fn characters(length: usize) -> usize {
    (length * 8 * 1000).div_ceil(5954)
}

/// Each of the 62 is as likely as the others: bytes from 248 on, of which there is no whole set, are thrown away.
fn alphanumeric(length: usize) -> Result<SecretBytes, getrandom::Error> {
    let mut text = SecretBytes::with_capacity(length);
    while text.len() < length {
        for byte in random(length)?.expose().iter().filter(|byte| **byte < 248).take(length - text.len()) {
            text.push(&[ALPHANUMERIC[usize::from(byte % 62)]]);
        }
    }
    Ok(text)
}

fn spelled(bytes: &[u8], spell: impl Fn(u8, &mut SecretBytes)) -> SecretBytes {
    let mut text = SecretBytes::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| spell(*byte, &mut text));
    text
}

fn random(length: usize) -> Result<SecretBytes, getrandom::Error> {
    let mut bytes = SecretBytes::from_vec(vec![0; length]);
    getrandom::fill(bytes.expose_mut())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_length_and_the_characters_of_its_shape() {
        for length in [SHORTEST, 17, 18, 32, 64, LONGEST] {
            let secret = |shape| secret(length, shape).unwrap().expose().to_owned();
            let base64 = secret(Shape::Base64Url);
            assert_eq!(URL_SAFE_NO_PAD.decode(&base64).unwrap().len(), length);
            let hexadecimal = secret(Shape::Hexadecimal);
            assert_eq!(hexadecimal.len(), 2 * length);
            assert!(hexadecimal.bytes().all(|byte| HEXADECIMAL.contains(&byte)));
            let alphanumeric = secret(Shape::Alphanumeric);
            assert!(alphanumeric.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            // No weaker than asked for, and no longer than that takes.
            let bits = |length: usize| length as f64 * 62f64.log2();
            assert!(bits(alphanumeric.len()) >= 8.0 * length as f64 && bits(alphanumeric.len() - 2) < 8.0 * length as f64);
        }
    }

    #[test]
    fn each_letter_and_digit_is_as_likely_as_the_others() {
        let mut counts = [0u32; 256];
        let drawn = 620_000;
        alphanumeric(drawn).unwrap().expose().iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        // 10,000 expected; the standard deviation is 99, and seven of them are not met by chance.
        assert!(ALPHANUMERIC.iter().all(|byte| (9_300..10_700).contains(&counts[usize::from(*byte)])), "{counts:?}");
    }

    #[test]
    fn no_two_secrets_are_alike() {
        let secrets: std::collections::HashSet<String> =
            (0..100).map(|_| secret(SHORTEST, Shape::Base64Url).unwrap().expose().to_owned()).collect();
        assert_eq!(secrets.len(), 100);
    }
}
