//! AES-256-GCM decryption with a nonce of any length, which no crate offers at run time.
//!
//! sops reads such tokens although it writes 32-byte nonces only. Knows neither tokens nor types; its one invariant: the buffer is
//! decrypted only after the tag was found right.

use aes::Aes256;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, InnerIvInit, StreamCipher, StreamCipherCore};
use ctr::{CtrCore, flavors};
use ghash::GHash;
use ghash::universal_hash::{KeyInit, UniversalHash};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Decrypts `buffer` in place and returns true; or leaves it as it is and returns false if `tag` is not the right one.
///
/// Source: NIST SP 800-38D, sections 6.4, 7.1 and 7.2.
pub(super) fn decrypt_in_place(aes: &Aes256, nonce: &[u8], aad: &[u8], buffer: &mut [u8], tag: &[u8; 16]) -> bool {
    let mut hash_key = Zeroizing::new([0u8; 16]);
    aes.encrypt_block(GenericArray::from_mut_slice(hash_key.as_mut_slice()));
    let ghash = GHash::new(GenericArray::from_slice(hash_key.as_slice()));

    let first_counter = first_counter(ghash.clone(), nonce);
    let mut key_stream = CtrCore::<&Aes256, flavors::Ctr32BE>::inner_iv_init(aes, &first_counter);
    let mut expected = ghash::Block::default();
    key_stream.write_keystream_block(&mut expected);
    for (mask, sum) in expected.iter_mut().zip(hash_of(ghash, aad, buffer)) {
        *mask ^= sum;
    }
    if !bool::from(expected.as_slice().ct_eq(tag)) {
        return false;
    }
    // Fails only after 64 GiB, far above the largest file.
    aes::cipher::StreamCipherCoreWrapper::from_core(key_stream).try_apply_keystream(buffer).is_ok()
}

/// The counter block before the first: the nonce itself if it is 12 bytes, else its hash.
fn first_counter(mut ghash: GHash, nonce: &[u8]) -> ghash::Block {
    let mut block = ghash::Block::default();
    if nonce.len() == 12 {
        block[..12].copy_from_slice(nonce);
        block[15] = 1;
        return block;
    }
    ghash.update_padded(nonce);
    block[8..].copy_from_slice(&bits(nonce).to_be_bytes());
    ghash.update(&[block]);
    ghash.finalize()
}

fn hash_of(mut ghash: GHash, aad: &[u8], ciphertext: &[u8]) -> ghash::Block {
    let mut lengths = ghash::Block::default();
    lengths[..8].copy_from_slice(&bits(aad).to_be_bytes());
    lengths[8..].copy_from_slice(&bits(ciphertext).to_be_bytes());
    ghash.update_padded(aad);
    ghash.update_padded(ciphertext);
    ghash.update(&[lengths]);
    ghash.finalize()
}

fn bits(bytes: &[u8]) -> u64 {
    bytes.len() as u64 * 8
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::AeadInPlace;
    use aes_gcm::aead::consts::{U1, U12, U16, U32};
    use aes_gcm::{AesGcm, KeyInit, Nonce};
    use proptest::prelude::*;

    use super::*;

    /// Encrypts with the crate, whose nonce length is a type, and decrypts here.
    macro_rules! agrees_with_the_crate {
        ($size:ty, $key:expr, $nonce:expr, $aad:expr, $plain:expr) => {{
            let key = GenericArray::from_slice(&$key);
            let nonce = &$nonce[..<$size as aes_gcm::aead::generic_array::typenum::Unsigned>::USIZE];
            let mut buffer = $plain.clone();
            let gcm = AesGcm::<Aes256, $size>::new(key);
            let mut tag: [u8; 16] = gcm.encrypt_in_place_detached(Nonce::from_slice(nonce), &$aad, &mut buffer).unwrap().into();
            let ciphertext = buffer.clone();
            let aes = Aes256::new(key);
            prop_assert!(decrypt_in_place(&aes, nonce, &$aad, &mut buffer, &tag));
            prop_assert_eq!(&buffer, &$plain);

            buffer.clone_from(&ciphertext);
            tag[15] ^= 1;
            prop_assert!(!decrypt_in_place(&aes, nonce, &$aad, &mut buffer, &tag));
            prop_assert_eq!(buffer, ciphertext, "a buffer that is not authentic stays as it was");
        }};
    }

    proptest! {
        #[test]
        fn agrees_with_the_crate_for_every_nonce_length(
            key in any::<[u8; 32]>(),
            nonce in any::<[u8; 32]>(),
            aad in prop::collection::vec(any::<u8>(), 0..70),
            plain in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            agrees_with_the_crate!(U1, key, nonce, aad, plain);
            agrees_with_the_crate!(U12, key, nonce, aad, plain);
            agrees_with_the_crate!(U16, key, nonce, aad, plain);
            agrees_with_the_crate!(U32, key, nonce, aad, plain);
        }
    }
}
