//! The MAC of a file: running SHA-512 over the plaintext values.
//!
//! Knows bytes only; which leaves are fed, and in which order, is decided above. Its one invariant: the result is 128 upper-case
//! hexadecimal digits, to be compared with [`SecretBytes::ct_eq`]. The hash's buffer holds the end of the plaintext and cannot wipe
//! itself (sha2 0.10), so it stands still on the heap and is overwritten.

use sha2::{Digest, Sha512};

use crate::secret::SecretBytes;

/// A MAC that is being computed.
pub struct Mac(Box<Sha512>);

impl Mac {
    /// A MAC over nothing yet. `only_encrypted` is the file's `mac_only_encrypted`; it makes all such MACs differ from the others.
    ///
    /// Source: getsops/sops `sops.go`, `Tree.Encrypt` and `MACOnlyEncryptedInitialization`.
    pub fn new(only_encrypted: bool) -> Self {
        let mut hash = Box::new(Sha512::new());
        if only_encrypted {
            hash.update(ONLY_ENCRYPTED_PREFIX);
        }
        Self(hash)
    }

    /// Feeds the bytes of the next leaf, as [`super::scalar::encode`] gives them.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The 128 digits.
    pub fn finish(mut self) -> SecretBytes {
        let hash = self.0.finalize_reset();
        let mut digits = SecretBytes::with_capacity(hash.len() * 2);
        for byte in hash {
            digits.push(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        digits
    }
}

impl Drop for Mac {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(hash: &mut Sha512) {
    // A whole block would be hashed where it lies; in two parts it goes through the buffer, every byte of it.
    hash.reset();
    hash.update([0; BLOCK - 1]);
    hash.update([0]);
}

/// The block of SHA-512 in bytes.
const BLOCK: usize = 128;

const DIGITS: [u8; 16] = *b"0123456789ABCDEF";

/// SHA-256 of the text `sops`.
const ONLY_ENCRYPTED_PREFIX: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b, 0x3b, 0xf4,
    0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

#[cfg(test)]
mod tests {
    use sha2::Sha256;

    use super::super::scalar::encode;
    use super::*;
    use crate::tree::Scalar;

    /// The leaves of the reference's example, after `HOST_unencrypted`.
    fn encrypted_leaves() -> Vec<Scalar> {
        let text = |text: &str| Scalar::Text(SecretBytes::copy_of(text.as_bytes()));
        vec![
            text("hunter2"),
            text(""),
            Scalar::Int(42),
            Scalar::Float(0.25),
            Scalar::Bool(true),
            text("x"),
            Scalar::Float(1.0),
            Scalar::Bool(false),
            Scalar::Time("2024-05-06T07:08:09Z".to_owned()),
        ]
    }

    fn feed(mac: &mut Mac, leaves: &[Scalar]) {
        for leaf in leaves {
            mac.update(encode(leaf).unwrap().1.expose());
        }
    }

    #[test]
    fn the_mac_over_all_leaves_is_that_of_sops() {
        let mut mac = Mac::new(false);
        feed(&mut mac, &[Scalar::Text(SecretBytes::copy_of(b"db.local"))]);
        feed(&mut mac, &encrypted_leaves());
        let expected = b"3B8397C9FED2BC26C46A999248BCA1764BB517E39D4A9826774C5773FE5A0F40\
                         CA4AE8C13E67F62B66C834ECE22B2145706B98F0CDD740BC3F34427909B35D18";
        assert!(mac.finish().ct_eq(expected));
    }

    #[test]
    fn the_mac_over_encrypted_leaves_only_is_that_of_sops() {
        let mut mac = Mac::new(true);
        feed(&mut mac, &encrypted_leaves());
        let expected = b"1F35AC6BA2E253723729E9AD13C804BEF8F144359C635417956384C3E974C468\
                         81C41B7456627A9337F214BA510F8DCF5D8C72255C5EEFC455DC5E1160A3310D";
        assert!(mac.finish().ct_eq(expected));
    }

    #[test]
    fn the_mac_of_the_known_file_and_of_its_changed_copy_are_those_of_sops() {
        let of = |mode: &[u8]| {
            let mut mac = Mac::new(false);
            for value in [b"https://x/?a=b".as_slice(), b"one\ntwo", b"", mode] {
                mac.update(value);
            }
            mac.finish()
        };
        assert!(of(b"dev").ct_eq(
            b"13D0410D54E5521880EA0C98FD45A113E84217CC6A26E86F573FF2A50C9CFB61F5868E540A9259B50776EE29AA79556CF12BB54F57175F29AEF4F2F3DA603E76"
        ));
        assert!(of(b"prod").ct_eq(
            b"347558D852F912AEC3F269484902D5740D4F3D0D2458F78A8F2076980E64DEC0C35E5505192A85D4BE9830E931DF45A3461F6792CCB5A8E28B89AA0BC1445E72"
        ));
        assert!(!of(b"Dev").ct_eq(of(b"dev").expose()));
    }

    #[test]
    fn wiping_sends_a_whole_block_of_zeros_through_the_buffer() {
        let mut hash = Sha512::new();
        hash.update(b"hunter2");
        wipe(&mut hash);
        assert_eq!(hash.finalize(), Sha512::digest([0; 128]));
    }

    #[test]
    fn the_prefix_is_the_hash_of_the_name() {
        assert_eq!(Sha256::digest(b"sops").as_slice(), ONLY_ENCRYPTED_PREFIX);
    }
}
