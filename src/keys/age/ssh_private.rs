//! SSH private keys as age identities: OpenSSH's form, with a passphrase or without, and plain PKCS#1.
//!
//! Looks into a key before the age crate does, to name what cannot be used, and hands it over in three lines: the crate starts again at
//! each one. Its one invariant: nothing of a key gets into an error.
//!
//! Source: OpenSSH `PROTOCOL.key`; RFC 7468 for the outline.

use std::sync::OnceLock;

use age::secrecy::SecretString as AgeSecret;
use age::ssh::{Identity, Recipient};
use age_core::format::Stanza;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::ssh_public::{is_positive, is_whole, known_type, split_string};
use crate::keys::outside::Outside;
use crate::keys::source::Origin;
use crate::secret::{SecretBytes, SecretString};

/// Longer than any SSH private key: 16,384 bits of RSA have about 13 KB.
const MAX_LENGTH: usize = 64 * 1024;

const OPENSSH: &str = "OPENSSH PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";

/// The ciphers of OpenSSH keys that the age crate knows.
const CIPHERS: [&str; 5] = ["aes256-ctr", "aes128-ctr", "aes192-ctr", "aes256-cbc", "aes256-gcm@openssh.com"];

/// Others, which `ssh-keygen -Z` takes.
const OTHER_CIPHERS: [&str; 5] =
    ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-cbc", "aes192-cbc", "3des-cbc"];

/// How many rounds of its key derivation are worked: `ssh-keygen` makes 24, and 1,000 take some ten seconds.
const MAX_ROUNDS: u32 = 1000;

/// A private key, ready to use or not.
pub(super) enum SshKey {
    /// Ready.
    Open(Identity),
    /// Behind a passphrase.
    Locked(LockedKey),
}

/// A private key behind a passphrase.
pub(super) struct LockedKey {
    kind: &'static str,
    /// What a stanza for it begins with.
    tag: String,
    encrypted: age::ssh::EncryptedKey,
    /// What came of asking for the passphrase.
    unlocked: OnceLock<Result<Identity, IdentityProblem>>,
}

impl LockedKey {
    /// Whether `stanza` says that it is for this key. The tag has 32 bits, so it may be another's.
    ///
    /// Source: FiloSottile/age `agessh/agessh.go`, `sshFingerprint`.
    pub(super) fn is_named_by(&self, stanza: &Stanza) -> bool {
        stanza.tag == self.kind && stanza.args.first() == Some(&self.tag)
    }

    /// The key, after asking for its passphrase. Nobody is asked twice.
    pub(super) fn unlocked(&self, origin: &Origin, outside: &Outside) -> Result<&Identity, IdentityProblem> {
        let unlock = || {
            outside.with_passphrase(origin, |passphrase| {
                // An empty passphrase is wrong to the crate too.
                let key = self.encrypted.decrypt(AgeSecret::from(passphrase.expose().to_owned()));
                Ok(key.ok().map(Identity::from))
            })
        };
        self.unlocked.get_or_init(unlock).as_ref().map_err(Clone::clone)
    }
}

/// Reads the text of a private key file: the recipient it opens for, and the key.
pub(super) fn read(text: &str) -> Result<(String, SshKey), IdentityProblem> {
    let (label, body) = outline(text)?;
    let kind = match label {
        OPENSSH => check_openssh(body)?,
        PKCS1 if body.contains("Proc-Type:") => {
            let way_out = "`ssh-keygen -p -f`";
            return Err(IdentityProblem::SshCipher { kind: "ssh-rsa", cipher: "the old PEM form", way_out });
        }
        PKCS1 => "ssh-rsa",
        "EC PRIVATE KEY" => return Err(IdentityProblem::SshType { kind: "ecdsa" }),
        "DSA PRIVATE KEY" => return Err(IdentityProblem::SshType { kind: "ssh-dss" }),
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => return Err(IdentityProblem::SshForm { form: "PKCS#8" }),
        _ => return Err(IdentityProblem::NotAnSshKey),
    };
    let damaged = IdentityProblem::SshDamaged { kind };
    let in_three_lines = in_three_lines(label, body);
    let Ok(identity) = Identity::from_buffer(in_three_lines.expose().as_bytes(), None) else { return Err(damaged) };
    let Ok(recipient) = Recipient::try_from(identity.clone()) else { return Err(damaged) };
    let recipient = recipient.to_string();
    match identity {
        Identity::Encrypted(encrypted) => {
            let blob = recipient.split(' ').nth(1).and_then(|blob| STANDARD.decode(blob).ok()).ok_or(damaged)?;
            let digest = Sha256::digest(blob);
            let tag = STANDARD_NO_PAD.encode(digest.first_chunk::<4>().unwrap_or(&[0; 4]));
            Ok((recipient, SshKey::Locked(LockedKey { kind, tag, encrypted, unlocked: OnceLock::new() })))
        }
        identity => Ok((recipient, SshKey::Open(identity))),
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
    let OpenSsh { cipher, derivation, public, private } = openssh_outline(decoded.expose()).ok_or(damaged.clone())?;
    let kind = split_string(public).and_then(|(name, _)| known_type(name)).ok_or(damaged.clone())?;
    let named = |names: &[&'static str]| names.iter().find(|name| name.as_bytes() == cipher).copied();
    match kind {
        "ssh-ed25519" | "ssh-rsa" if named(&CIPHERS).is_some() => match rounds(derivation) {
            Some(rounds) if rounds > MAX_ROUNDS => Err(IdentityProblem::TooMuchWork),
            Some(1..) if is_whole(kind, public) => Ok(kind),
            _ => Err(damaged),
        },
        "ssh-ed25519" | "ssh-rsa" if cipher != b"none" => Err(IdentityProblem::SshCipher {
            kind,
            cipher: named(&OTHER_CIPHERS).unwrap_or("an unknown cipher"),
            way_out: "`ssh-keygen -p -Z aes256-ctr -f`",
        }),
        "ssh-ed25519" if is_whole(kind, public) => Ok(kind),
        "ssh-rsa" if is_whole(kind, public) && has_whole_numbers(private) == Some(true) => Ok(kind),
        "ssh-ed25519" | "ssh-rsa" => Err(damaged),
        _ => Err(IdentityProblem::SshType { kind }),
    }
}

/// The parts of an OpenSSH key.
struct OpenSsh<'a> {
    /// The name of the cipher.
    cipher: &'a [u8],
    /// What the key derivation is told.
    derivation: &'a [u8],
    public: &'a [u8],
    /// Encrypted, if there is a cipher.
    private: &'a [u8],
}

fn openssh_outline(bytes: &[u8]) -> Option<OpenSsh<'_>> {
    let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let (cipher, rest) = split_string(rest)?;
    let (_key_derivation, rest) = split_string(rest)?;
    let (derivation, rest) = split_string(rest)?;
    let (public, rest) = split_string(rest.strip_prefix(&[0, 0, 0, 1])?)?;
    let (private, _) = split_string(rest)?;
    Some(OpenSsh { cipher, derivation, public, private })
}

/// How often the key derivation goes round.
fn rounds(derivation: &[u8]) -> Option<u32> {
    let (_salt, rest) = split_string(derivation)?;
    Some(u32::from_be_bytes(*rest.first_chunk::<4>()?))
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
        for name in ["ed25519", "rsa_2048", "rsa_3072", "rsa_pkcs1", "ed25519_passphrase"] {
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
        let cipher = |name: &str| problem(&fixture(name)).to_string();
        assert!(cipher("ed25519_chacha20").contains("chacha20-poly1305"), "{}", cipher("ed25519_chacha20"));
        assert!(cipher("rsa_pkcs1_passphrase").contains("old PEM form"), "{}", cipher("rsa_pkcs1_passphrase"));
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
        use IdentityProblem as Problem;
        for name in ["ed25519", "rsa_2048", "rsa_pkcs1", "ed25519_passphrase"] {
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
                            matches!(problem, Problem::SshDamaged { .. } | Problem::SshCipher { .. } | Problem::TooMuchWork),
                            "{name} {index} {problem}"
                        ),
                    }
                }
            }
        }
    }
}
