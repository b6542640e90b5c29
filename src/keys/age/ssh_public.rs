//! SSH public keys as age recipients: one `authorized_keys` line.
//!
//! Checks the key's whole structure before the age crate sees it: the crate ignores what follows an ed25519 key in its base64, and
//! panics on an all-zero number in an RSA key. Its one invariant: what it passes on is exactly the bytes that were checked.
//!
//! Source: RFC 4253 §6.6, RFC 4251 §5, RFC 8709 §4.

use age::ssh::ParseRecipientKeyError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::keys::age::recipient::RecipientError;

/// Key types that `ssh-keygen` makes and age cannot use.
const UNUSABLE: [&str; 12] = [
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-ed448",
];

/// Reads `type base64 [comment]`.
pub(super) fn read(line: &str) -> Result<age::ssh::Recipient, RecipientError> {
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let kind = match known_type(words.next().unwrap_or_default().as_bytes()) {
        Some(kind @ ("ssh-ed25519" | "ssh-rsa")) => kind,
        Some(kind) => return Err(RecipientError::SshType { kind }),
        None => return Err(RecipientError::Unknown),
    };
    let damaged = RecipientError::SshDamaged { kind };
    let Some(blob) = words.next().and_then(|base64| STANDARD.decode(base64).ok()) else { return Err(damaged) };
    if !is_whole(kind, &blob) {
        return Err(damaged);
    }
    format!("{kind} {}", STANDARD.encode(blob)).parse().map_err(|error| match error {
        ParseRecipientKeyError::RsaModulusTooSmall => RecipientError::RsaTooSmall,
        ParseRecipientKeyError::RsaModulusTooLarge => RecipientError::RsaTooLarge,
        _ => damaged,
    })
}

/// The name of a key type, if it is one we know: what comes from outside is not repeated.
pub(in crate::keys) fn known_type(name: &[u8]) -> Option<&'static str> {
    ["ssh-ed25519", "ssh-rsa"].into_iter().chain(UNUSABLE).find(|known| known.as_bytes() == name)
}

/// Whether `blob` is a public key of type `kind` and nothing else.
pub(super) fn is_whole(kind: &str, blob: &[u8]) -> bool {
    let Some((name, rest)) = split_string(blob).filter(|(name, _)| *name == kind.as_bytes()) else { return false };
    let numbers = |rest| {
        let (exponent, rest) = split_string(rest)?;
        let (modulus, rest) = split_string(rest)?;
        Some(is_positive(exponent) && is_positive(modulus) && rest.is_empty())
    };
    match name {
        b"ssh-ed25519" => split_string(rest).is_some_and(|(key, rest)| key.len() == 32 && rest.is_empty()),
        b"ssh-rsa" => numbers(rest).unwrap_or(false),
        _ => false,
    }
}

/// Takes one `string` of RFC 4251 off the front: four bytes of length, big endian, then as many bytes.
pub(super) fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Whether `number` is an `mpint` of RFC 4251 above zero, in its shortest form.
pub(super) fn is_positive(number: &[u8]) -> bool {
    match number {
        [] | [0] => false,
        [0, second, ..] => *second >= 0x80,
        [first, ..] => *first < 0x80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = include_str!("../../../tests/vectors/ssh/throwaway_ed25519.pub");
    const RSA_1024: &str = include_str!("../../../tests/vectors/ssh/throwaway_rsa_1024.pub");
    const ECDSA: &str = include_str!("../../../tests/vectors/ssh/throwaway_ecdsa.pub");

    fn rsa(exponent: &[u8], modulus: &[u8]) -> String {
        let mut blob = Vec::new();
        for part in [b"ssh-rsa".as_slice(), exponent, modulus] {
            blob.extend_from_slice(&(part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        format!("ssh-rsa {}", STANDARD.encode(blob))
    }

    #[test]
    fn the_comment_may_be_missing_or_have_blanks() {
        let bare: Vec<&str> = ED25519.split(' ').take(2).collect();
        assert!(read(&bare.join(" ")).is_ok());
        assert!(read(&format!("{} alice at home", bare.join("\t "))).is_ok());
    }

    #[test]
    fn other_key_types_are_refused_by_name() {
        assert_eq!(read(ECDSA).err(), Some(RecipientError::SshType { kind: "ecdsa-sha2-nistp256" }));
        assert_eq!(read("ssh-dss AAAA").err(), Some(RecipientError::SshType { kind: "ssh-dss" }));
        let kind = "sk-ssh-ed25519@openssh.com";
        assert_eq!(read(&format!("{kind} AAAA")).err(), Some(RecipientError::SshType { kind }));
        assert_eq!(read("ssh-hunter2 AAAA").err(), Some(RecipientError::Unknown));
    }

    #[test]
    fn a_key_with_anything_missing_or_added_is_refused() {
        let damaged = Some(RecipientError::SshDamaged { kind: "ssh-ed25519" });
        let base64 = ED25519.split(' ').nth(1).unwrap();
        assert_eq!(read("ssh-ed25519").err(), damaged);
        assert_eq!(read(&format!("ssh-ed25519 {}", &base64[..64])).err(), damaged);
        assert_eq!(read(&format!("ssh-ed25519 {base64}AAAA")).err(), damaged);
        assert_eq!(read(&format!("ssh-ed25519 {base64}!")).err(), damaged);
        assert_eq!(read(&format!("ssh-rsa {base64}")).err(), Some(RecipientError::SshDamaged { kind: "ssh-rsa" }));
    }

    #[test]
    fn numbers_the_crate_would_panic_over_are_refused() {
        let damaged = Some(RecipientError::SshDamaged { kind: "ssh-rsa" });
        for number in [&[][..], &[0], &[0, 0], &[0x80, 1], &[0, 1]] {
            assert_eq!(read(&rsa(number, &[0x7f; 256])).err(), damaged, "{number:?}");
            assert_eq!(read(&rsa(&[3], number)).err(), damaged, "{number:?}");
        }
    }

    #[test]
    fn an_rsa_key_must_be_neither_short_nor_huge() {
        assert_eq!(read(RSA_1024).err(), Some(RecipientError::RsaTooSmall));
        assert_eq!(read(&rsa(&[3], &[0x7f; 1024])).err(), Some(RecipientError::RsaTooLarge));
    }
}
