//! SSH private keys as age identities: OpenSSH's form and plain PKCS#1, both without a passphrase.
//!
//! Looks into a key before the age crate does, to name what cannot be used, and hands it over in three lines: the crate starts again at
//! each one. Its one invariant: nothing of a key gets into an error.
//!
//! Source: OpenSSH `PROTOCOL.key`; RFC 7468 for the outline.

use age::ssh::{Identity, Recipient};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::ssh_public::{is_positive, is_whole, known_type, split_string};
use crate::secret::{SecretBytes, SecretString};

/// Longer than any SSH private key: 16,384 bits of RSA have about 13 KB.
const MAX_LENGTH: usize = 64 * 1024;

const OPENSSH: &str = "OPENSSH PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";

/// Reads the text of a private key file: the recipient it opens for, and the identity.
pub(super) fn read(text: &str) -> Result<(String, Identity), IdentityProblem> {
    let (label, body) = outline(text)?;
    let kind = match label {
        OPENSSH => check_openssh(body)?,
        PKCS1 if body.contains("Proc-Type:") => return Err(IdentityProblem::SshPassphrase { kind: "ssh-rsa, PKCS#1" }),
        PKCS1 => "ssh-rsa",
        "EC PRIVATE KEY" => return Err(IdentityProblem::SshType { kind: "ecdsa" }),
        "DSA PRIVATE KEY" => return Err(IdentityProblem::SshType { kind: "ssh-dss" }),
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => return Err(IdentityProblem::SshForm { form: "PKCS#8" }),
        _ => return Err(IdentityProblem::NotAnSshKey),
    };
    let damaged = IdentityProblem::SshDamaged { kind };
    let in_three_lines = in_three_lines(label, body);
    let Ok(identity) = Identity::from_buffer(in_three_lines.expose().as_bytes(), None) else { return Err(damaged) };
    match Recipient::try_from(identity.clone()) {
        Ok(recipient) => Ok((recipient.to_string(), identity)),
        Err(_) => Err(damaged),
    }
}

/// The label of the first marker and what stands between it and its end.
fn outline(text: &str) -> Result<(&str, &str), IdentityProblem> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with("PuTTY-User-Key-File-") {
        return Err(IdentityProblem::SshForm { form: "PuTTY" });
    }
    if known_type(text.split(' ').next().unwrap_or_default().as_bytes()).is_some() {
        return Err(IdentityProblem::PublicKey);
    }
    let (label, rest) = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .filter(|(label, _)| label.ends_with("PRIVATE KEY"))
        .ok_or(IdentityProblem::NotAnSshKey)?;
    if text.len() > MAX_LENGTH {
        return Err(IdentityProblem::SshDamaged { kind: "too long" });
    }
    match rest.split_once("-----END ") {
        Some((body, end)) if end.strip_prefix(label) == Some("-----") => Ok((label, body)),
        _ => Err(IdentityProblem::SshDamaged { kind: "cut short" }),
    }
}

/// Looks at the public parts of an OpenSSH key: cipher and key type. Gives the latter.
fn check_openssh(body: &str) -> Result<&'static str, IdentityProblem> {
    let damaged = IdentityProblem::SshDamaged { kind: "OpenSSH" };
    let base64 = without_line_ends(body);
    let mut decoded = SecretBytes::from_vec(vec![0; base64.len()]);
    let Ok(length) = STANDARD.decode_slice(base64.expose(), decoded.expose_mut()) else { return Err(damaged) };
    decoded.truncate(length);
    let (cipher, public, private) = openssh_outline(decoded.expose()).ok_or(damaged.clone())?;
    let kind = split_string(public).and_then(|(name, _)| known_type(name)).ok_or(damaged.clone())?;
    match kind {
        "ssh-ed25519" | "ssh-rsa" if cipher != b"none" => Err(IdentityProblem::SshPassphrase { kind }),
        "ssh-ed25519" if is_whole(kind, public) => Ok(kind),
        "ssh-rsa" if is_whole(kind, public) && has_whole_numbers(private) == Some(true) => Ok(kind),
        "ssh-ed25519" | "ssh-rsa" => Err(damaged),
        _ => Err(IdentityProblem::SshType { kind }),
    }
}

/// The name of the cipher, the public key, and the private part.
fn openssh_outline(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let (cipher, rest) = split_string(rest)?;
    let (_key_derivation, rest) = split_string(rest)?;
    let (_its_options, rest) = split_string(rest)?;
    let (public, rest) = split_string(rest.strip_prefix(&[0, 0, 0, 1])?)?;
    let (private, _) = split_string(rest)?;
    Some((cipher, public, private))
}

/// Whether the six numbers of a private RSA key are sound: the crate panics on an all-zero one.
fn has_whole_numbers(private: &[u8]) -> Option<bool> {
    let (_check_numbers, rest) = private.split_at_checked(8)?;
    let (_name, mut rest) = split_string(rest)?;
    for _ in 0..6 {
        let (number, later) = split_string(rest)?;
        if !is_positive(number) {
            return Some(false);
        }
        rest = later;
    }
    Some(true)
}

fn in_three_lines(label: &str, body: &str) -> SecretString {
    let mut text = SecretString::with_capacity(body.len() + 2 * label.len() + 64);
    for part in ["-----BEGIN ", label, "-----\n", without_line_ends(body).expose(), "\n-----END ", label, "-----\n"] {
        text.push(part);
    }
    text
}

fn without_line_ends(body: &str) -> SecretString {
    let mut text = SecretString::with_capacity(body.len());
    body.split_ascii_whitespace().for_each(|line| text.push(line));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> String {
        std::fs::read_to_string(format!("{}/tests/vectors/ssh/throwaway_{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn problem(text: &str) -> IdentityProblem {
        read(text).err().unwrap_or_else(|| panic!("taken"))
    }

    #[test]
    fn a_private_key_gives_the_recipient_that_stands_in_its_public_file() {
        for name in ["ed25519", "rsa_2048", "rsa_3072", "rsa_pkcs1"] {
            let public = fixture(&format!("{name}.pub"));
            let (recipient, _) = read(&fixture(name)).unwrap_or_else(|problem| panic!("{name} {problem}"));
            assert_eq!(recipient, public.split(' ').take(2).collect::<Vec<_>>().join(" "), "{name}");
        }
    }

    #[test]
    fn blanks_around_a_key_and_crlf_do_not_matter() {
        let key = fixture("ed25519").replace('\n', "\r\n");
        assert!(read(&format!("\n  {key}\n\n")).is_ok());
        assert!(read(key.trim_end()).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert_eq!(problem(&fixture("ed25519_passphrase")), IdentityProblem::SshPassphrase { kind: "ssh-ed25519" });
        assert_eq!(problem(&fixture("ed25519_chacha20")), IdentityProblem::SshPassphrase { kind: "ssh-ed25519" });
        assert_eq!(problem(&fixture("rsa_pkcs1_passphrase")), IdentityProblem::SshPassphrase { kind: "ssh-rsa, PKCS#1" });
        assert_eq!(problem(&fixture("rsa_pkcs8")), IdentityProblem::SshForm { form: "PKCS#8" });
        assert_eq!(problem(&fixture("ecdsa")), IdentityProblem::SshType { kind: "ecdsa-sha2-nistp256" });
        assert_eq!(problem("PuTTY-User-Key-File-3: ssh-ed25519\n"), IdentityProblem::SshForm { form: "PuTTY" });
        assert_eq!(problem(&fixture("ed25519.pub")), IdentityProblem::PublicKey);
        assert_eq!(problem("hunter2"), IdentityProblem::NotAnSshKey);
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let key = fixture("ed25519");
        assert_eq!(problem(&key[..200]), IdentityProblem::SshDamaged { kind: "cut short" });
        let cut: Vec<&str> = key.lines().enumerate().filter(|(line, _)| *line != 2).map(|(_, line)| line).collect();
        assert!(matches!(problem(&cut.join("\n")), IdentityProblem::SshDamaged { .. }));
        let long = format!("-----BEGIN {OPENSSH}-----\n{}-----END {OPENSSH}-----", "A\n".repeat(40_000));
        assert_eq!(problem(&long), IdentityProblem::SshDamaged { kind: "too long" });
    }

    /// The crate alone panics on some of these.
    #[test]
    fn no_damaged_byte_makes_us_panic() {
        for name in ["ed25519", "rsa_2048", "rsa_pkcs1"] {
            let text = fixture(name);
            let (label, body) = outline(&text).unwrap();
            let bytes = STANDARD.decode(without_line_ends(body).expose()).unwrap();
            for index in 0..bytes.len() {
                for value in [0, 1, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[index] = value;
                    let changed = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", STANDARD.encode(&changed));
                    match read(&changed) {
                        Ok((recipient, _)) => assert!(recipient.starts_with("ssh-"), "{name} {index}"),
                        Err(problem) => assert!(
                            matches!(problem, IdentityProblem::SshDamaged { .. } | IdentityProblem::SshPassphrase { .. }),
                            "{name} {index} {problem}"
                        ),
                    }
                }
            }
        }
    }
}
