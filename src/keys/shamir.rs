//! Shamir's secret sharing, byte by byte over GF(2^8), in sops's layout: a share is its y bytes, then its one x.
//!
//! Own code, because crates of this kind put x first, look the field up in tables by secret bytes, or leave shares in ordinary memory.
//! Knows nothing of groups and keys. Its one invariant: time and memory accesses depend on lengths and x alone, never on a byte of the
//! secret, and every buffer that held one is wiped.
//!
//! Source: getsops/sops `shamir/shamir.go`, v3.13.3; sops-format §5.9.

use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// The most shares there can be: x is one byte, and not 0.
pub const MAX_SHARES: usize = 255;

/// Splits `secret` into `shares` of which any `threshold` give it back, and fewer tell nothing. The share at index i has x = i + 1.
///
/// # Errors
/// [`SplitError::Threshold`] unless 2 ≤ `threshold` ≤ `shares` ≤ 255.
pub fn split(secret: &[u8], shares: usize, threshold: usize) -> Result<Vec<SecretBytes>, SplitError> {
    if threshold < 2 || threshold > shares || shares > MAX_SHARES {
        return Err(SplitError::Threshold { threshold, shares });
    }
    // One polynomial for each byte: the byte itself, then these coefficients, any of which may be 0.
    let mut coefficients = Zeroizing::new(vec![0; secret.len() * (threshold - 1)]);
    getrandom::fill(&mut coefficients)?;
    let share = |x: u8| {
        let mut share = SecretBytes::with_capacity(secret.len() + 1);
        for (constant, rest) in secret.iter().zip(coefficients.chunks_exact(threshold - 1)) {
            let above = rest.iter().rev().fold(0, |sum, coefficient| multiply(sum ^ coefficient, x));
            share.push(&[constant ^ above]);
        }
        share.push(&[x]);
        share
    };
    Ok((1..=shares as u8).map(share).collect())
}

/// The secret that `shares` are of, if they are as many as its threshold; otherwise bytes that say nothing.
///
/// # Errors
/// [`CombineError`]: these are not the shares of one secret.
pub fn combine(shares: &[SecretBytes]) -> Result<SecretBytes, CombineError> {
    let length = match shares {
        [] | [_] => return Err(CombineError::TooFew),
        [first, ..] => first.len().checked_sub(1).filter(|length| *length > 0).ok_or(CombineError::Lengths)?,
    };
    if shares.iter().any(|share| share.len() != length + 1) {
        return Err(CombineError::Lengths);
    }
    let places: Vec<u8> = shares.iter().map(|share| share.expose()[length]).collect();
    if (1..places.len()).any(|at| places[..at].contains(&places[at])) {
        return Err(CombineError::Duplicate);
    }
    // No split makes it, and it would be the secret itself, whatever the other shares say.
    if places.contains(&0) {
        return Err(CombineError::Zero);
    }
    let mut secret = SecretBytes::from_vec(vec![0; length]);
    for (share, own) in shares.iter().zip(&places) {
        let weight = weight_at_zero(*own, &places);
        for (sum, y) in secret.expose_mut().iter_mut().zip(share.expose()) {
            *sum ^= multiply(*y, weight);
        }
    }
    Ok(secret)
}

/// What Lagrange's interpolation multiplies the share at `own` with, to find the polynomial's value at 0.
fn weight_at_zero(own: u8, places: &[u8]) -> u8 {
    let others = places.iter().filter(|other| **other != own);
    others.fold(1, |weight, other| multiply(weight, multiply(*other, inverse(*other ^ own))))
}

/// The product in the field of AES, x^8 + x^4 + x^3 + x + 1, with the same steps for all factors.
fn multiply(mut one: u8, other: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        product ^= one & (other >> bit & 1).wrapping_neg();
        one = (one << 1) ^ (0x1b & (one >> 7).wrapping_neg());
    }
    product
}

/// What gives 1 with `number`, which is not 0: its 254th power.
fn inverse(number: u8) -> u8 {
    // 254 = 2 + 4 + … + 128.
    let mut power = number;
    (0..7).fold(1, |product, _| {
        power = multiply(power, power);
        multiply(product, power)
    })
}

/// Why a secret cannot be split.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// So many shares of so many make no sense.
    #[error("{threshold} of {shares} shares cannot be made: 2 ≤ threshold ≤ shares ≤ {MAX_SHARES} must hold")]
    Threshold {
        /// How many are to be needed.
        threshold: usize,
        /// How many there are to be.
        shares: usize,
    },
    /// The system has no randomness to give.
    #[error("the system gave no random numbers")]
    Randomness(#[from] getrandom::Error),
}

/// Why shares do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CombineError {
    /// Fewer than two.
    #[error("one share alone gives no secret")]
    TooFew,
    /// They are of different lengths, or too short to hold anything.
    #[error("the shares are not of one length")]
    Lengths,
    /// Two of them stand at the same x.
    #[error("a share is there twice")]
    Duplicate,
    /// One stands at x = 0.
    #[error("a share stands at 0, where no share can be")]
    Zero,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from_hex(text: &str) -> SecretBytes {
        SecretBytes::from_vec((0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect())
    }

    fn copies(shares: &[SecretBytes], chosen: &[usize]) -> Vec<SecretBytes> {
        chosen.iter().map(|at| SecretBytes::copy_of(shares[*at].expose())).collect()
    }

    /// Made by sops 3.13.2: `000102ff`, 2 of 3.
    const VECTOR: [&str; 3] = ["3733a65c01", "6e6551a202", "5957f50103"];

    #[test]
    fn any_two_or_all_three_shares_of_sops_give_its_secret() {
        let shares = VECTOR.map(from_hex);
        for chosen in [&[0, 1][..], &[0, 2], &[1, 2], &[2, 0], &[0, 1, 2]] {
            assert_eq!(combine(&copies(&shares, chosen)).ok().unwrap().expose(), [0, 1, 2, 0xff], "{chosen:?}");
        }
    }

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, §4.2: {57} · {83} = {c1}, {57} · {13} = {fe}.
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
        assert!((1..=255).all(|number| multiply(number, inverse(number)) == 1));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let error = |shares: &[&str]| combine(&shares.iter().map(|text| from_hex(text)).collect::<Vec<_>>()).err().unwrap();
        assert_eq!(error(&[]), CombineError::TooFew);
        assert_eq!(error(&VECTOR[..1]), CombineError::TooFew);
        assert_eq!(error(&[VECTOR[0], VECTOR[1], "3733a65c01"]), CombineError::Duplicate);
        assert_eq!(error(&[VECTOR[0], "0000000001"]), CombineError::Duplicate);
        assert_eq!(error(&[VECTOR[0], "6e65a202"]), CombineError::Lengths);
        assert_eq!(error(&["01", "02"]), CombineError::Lengths);
        assert_eq!(error(&["", ""]), CombineError::Lengths);
        assert_eq!(error(&[VECTOR[0], "6e6551a200"]), CombineError::Zero);
        let messages = [CombineError::TooFew, CombineError::Lengths, CombineError::Duplicate, CombineError::Zero];
        assert!(messages.iter().all(|error| !error.to_string().contains("37")));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_by_name() {
        for (shares, threshold) in [(0, 0), (1, 1), (3, 0), (3, 1), (3, 4), (256, 2)] {
            let error = split(&[7; 32], shares, threshold).err().unwrap();
            assert!(error.to_string().starts_with(&format!("{threshold} of {shares} shares cannot be made")), "{error}");
        }
        assert_eq!(split(&[7; 32], 255, 255).ok().unwrap().len(), 255);
    }

    #[test]
    fn a_share_is_its_bytes_and_then_its_place() {
        let shares = split(&[7; 32], 3, 2).ok().unwrap();
        assert!(shares.iter().all(|share| share.len() == 33));
        assert_eq!(shares.iter().map(|share| share.expose()[32]).collect::<Vec<_>>(), [1, 2, 3]);
    }

    /// A secret, how many shares of how many it takes, and the order in which they come.
    fn sharing() -> impl Strategy<Value = (Vec<u8>, usize, Vec<usize>)> {
        (proptest::collection::vec(any::<u8>(), 1..40), 2..12usize).prop_flat_map(|(secret, shares)| {
            let order = Just((0..shares).collect::<Vec<_>>()).prop_shuffle();
            (Just(secret), 2..=shares, order)
        })
    }

    proptest! {
        #[test]
        fn any_shares_that_are_enough_give_the_secret_in_any_order((secret, threshold, order) in sharing(), more in 0..12usize) {
            let shares = split(&secret, order.len(), threshold).ok().unwrap();
            let chosen = &order[..(threshold + more).min(order.len())];
            prop_assert!(combine(&copies(&shares, chosen)).ok().unwrap().ct_eq(&secret));
        }

        #[test]
        fn fewer_shares_tell_nothing((secret, threshold, order) in sharing()) {
            // One share fewer goes with every other secret as well as with this one: there is a last share that makes it so.
            let shares = split(&secret, order.len(), threshold).ok().unwrap();
            let mut fewer = copies(&shares, &order[..threshold - 1]);
            let x = shares[order[threshold - 1]].expose()[secret.len()];
            let mut seen = std::collections::HashSet::new();
            for y in 0..=255 {
                let mut forged = SecretBytes::from_vec(vec![y; secret.len()]);
                forged.push(&[x]);
                fewer.push(forged);
                seen.insert(combine(&fewer).ok().unwrap().expose()[0]);
                fewer.pop();
            }
            prop_assert_eq!(seen.len(), 256);
            if fewer.len() >= 2 && secret.len() >= 16 {
                prop_assert!(!combine(&fewer).ok().unwrap().ct_eq(&secret));
            }
        }
    }
}
