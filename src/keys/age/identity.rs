//! One age identity: the private half that opens what was wrapped for its recipient.
//!
//! Knows the text forms of identities and why one cannot be used. Its one invariant: no text of an identity gets into an error.

use age::secrecy::ExposeSecret;
use age_core::format::{FileKey, Stanza};

use crate::keys::age::{post_quantum, ssh_private};

/// How often one identity may meet a stanza that names it and is damaged: each attempt with a large RSA key takes tens of milliseconds.
const MAX_DAMAGED: usize = 8;

/// An identity that is ready to use. What it holds is wiped by the age crate, as far as that does it.
pub struct Identity {
    recipient: String,
    secret: Secret,
}

/// In a box, so that a list that moves or grows leaves no copy behind.
enum Secret {
    X25519(Box<age::x25519::Identity>),
    PostQuantum(Box<post_quantum::Identity>),
    Ssh(Box<age::ssh::Identity>),
}

impl Identity {
    /// Parses one word of an identity file or variable: `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…`.
    ///
    /// # Errors
    /// [`IdentityProblem`]: damaged, of a sort not supported yet, or no identity at all.
    ///
    /// Source: getsops/sops `age/keysource.go`, `parseIdentity`; FiloSottile/age `x25519.go` for the case rule.
    pub(crate) fn parse(word: &str) -> Result<Self, IdentityProblem> {
        let starts_with = |prefix: &str| word.starts_with(prefix);
        let starts_like = |prefix: &str| word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if starts_with("AGE-SECRET-KEY-PQ-1") {
            Self::parse_post_quantum(word)
        } else if starts_with("AGE-PLUGIN-") {
            Err(IdentityProblem::Plugin)
        } else if starts_with("AGE-SECRET-KEY-1") {
            Self::parse_x25519(word)
        } else if starts_like("AGE-SECRET-KEY-") || starts_like("AGE-PLUGIN-") {
            Err(IdentityProblem::Case)
        } else if starts_with("age1") || starts_with("ssh-") {
            Err(IdentityProblem::PublicKey)
        } else {
            Err(IdentityProblem::NotAnIdentity)
        }
    }

    /// Parses the text of an SSH private key file.
    ///
    /// # Errors
    /// [`IdentityProblem`]: protected by a passphrase, of a kind or in a form that cannot be used, or no SSH key.
    pub(crate) fn parse_ssh(text: &str) -> Result<Self, IdentityProblem> {
        let (recipient, identity) = ssh_private::read(text)?;
        Ok(Self { recipient, secret: Secret::Ssh(Box::new(identity)) })
    }

    /// The public half, as one would write it as a recipient.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// Whether it is of age's own kind, which the real age tries before SSH keys.
    pub(super) fn is_native(&self) -> bool {
        matches!(self.secret, Secret::X25519(_) | Secret::PostQuantum(_))
    }

    /// The file key in one of `stanzas`; `None` if none is for this identity.
    ///
    /// A stanza that is for this identity but damaged does not hide a good one behind it; [`MAX_DAMAGED`] of them do.
    pub(super) fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        let identity: &dyn age::Identity = match &self.secret {
            Secret::X25519(identity) => &**identity,
            Secret::PostQuantum(identity) => &**identity,
            Secret::Ssh(identity) => &**identity,
        };
        let mut failure = None;
        for outcome in stanzas.iter().filter_map(|stanza| identity.unwrap_stanza(stanza)).take(MAX_DAMAGED) {
            match outcome {
                Ok(file_key) => return Some(Ok(file_key)),
                Err(error) => failure = Some(Err(error)),
            }
        }
        failure
    }

    fn parse_x25519(word: &str) -> Result<Self, IdentityProblem> {
        if word.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(IdentityProblem::Case);
        }
        let identity: age::x25519::Identity = word.parse().map_err(|_| IdentityProblem::Damaged)?;
        // The crate takes non-zero padding bits, which Go's age refuses: only what would be written the same way is taken.
        if identity.to_string().expose_secret() != word {
            return Err(IdentityProblem::Damaged);
        }
        Ok(Self { recipient: identity.to_public().to_string(), secret: Secret::X25519(Box::new(identity)) })
    }

    fn parse_post_quantum(word: &str) -> Result<Self, IdentityProblem> {
        if word.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(IdentityProblem::Case);
        }
        let identity = post_quantum::Identity::parse(word).ok_or(IdentityProblem::Damaged)?;
        Ok(Self { recipient: identity.recipient().to_string(), secret: Secret::PostQuantum(Box::new(identity)) })
    }
}

/// Why something that should be an identity cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityProblem {
    /// Nothing that looks like one.
    #[error("is no age identity")]
    NotAnIdentity,
    /// Begins like one, but is cut short or mistyped.
    #[error("is a damaged age identity")]
    Damaged,
    /// An identity not all in capitals, which age refuses.
    #[error("is an age identity that is not in capitals")]
    Case,
    /// The public half where the private one is needed.
    #[error("is a public key; the private one is needed")]
    PublicKey,
    /// `AGE-PLUGIN-…`.
    #[error("is a plugin identity, which this version does not support yet")]
    Plugin,
    /// A whole file of identities, encrypted by age.
    #[error("is protected by a passphrase, which this version does not support yet")]
    PassphraseFile,
    /// An SSH private key among age identities.
    #[error("is an SSH private key, which cannot stand among age identities")]
    SshKeyHere,
    /// A file meant to be an SSH private key, which it is not.
    #[error("is no SSH private key")]
    NotAnSshKey,
    /// An SSH private key that is cut short or mistyped, or has more than 4,096 bits.
    #[error("is an SSH private key ({kind}) that cannot be read")]
    SshDamaged {
        /// Its key type, or the form it is in.
        kind: &'static str,
    },
    /// An SSH key with a passphrase.
    #[error(
        "is an SSH private key ({kind}) protected by a passphrase, which this version does not support yet; `ssh-keygen -p -f` on a copy removes it"
    )]
    SshPassphrase {
        /// Its key type, or the form it is in.
        kind: &'static str,
    },
    /// A key in a form other than OpenSSH's or plain PKCS#1.
    #[error("is a private key in {form} form, which cannot be read; `ssh-keygen -p -f` on a copy converts it")]
    SshForm {
        /// The form.
        form: &'static str,
    },
    /// A kind of SSH key that age cannot use.
    #[error("is an SSH private key of type {kind}; age can use ssh-ed25519 and ssh-rsa only")]
    SshType {
        /// The key type.
        kind: &'static str,
    },
    /// There is no such file.
    #[error("does not exist")]
    Missing,
    /// The system does not let us read the file.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// A directory, a named pipe, a socket.
    #[error("is not a regular file")]
    NotAFile,
    /// More bytes than any identity file.
    #[error("is larger than {} bytes", crate::keys::source::MAX_FILE_LENGTH)]
    TooLarge,
    /// Not UTF-8.
    #[error("is not a text")]
    NotText,
}
