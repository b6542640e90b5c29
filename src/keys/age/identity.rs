//! One age identity: the private half that opens what was wrapped for its recipient.
//!
//! Knows the text forms of identities, what each needs to be tried, and why one cannot be used. Its one invariant: no text of an identity
//! gets into an error.

use age::secrecy::ExposeSecret;
use age_core::format::{FileKey, Stanza};

use crate::keys::age::plugin::{self, PluginError};
use crate::keys::age::post_quantum;
use crate::keys::age::ssh_private::{self, LockedKey, SshKey};
use crate::keys::command::CommandError;
use crate::keys::outside::Outside;
use crate::keys::source::Origin;
use crate::secret::SecretString;

/// How often one identity may meet a stanza that names it and is damaged: each attempt with a large RSA key takes tens of milliseconds.
const MAX_DAMAGED: usize = 8;

/// An identity. What it holds is wiped by the age crate, as far as that does it.
pub struct Identity {
    recipient: String,
    secret: Secret,
}

/// In a box, so that a list that moves or grows leaves no copy behind.
enum Secret {
    X25519(Box<age::x25519::Identity>),
    PostQuantum(Box<post_quantum::Identity>),
    Ssh(Box<age::ssh::Identity>),
    LockedSsh(Box<LockedKey>),
    /// The whole word, which only the plugin understands.
    Plugin(SecretString),
}

/// What it takes to try an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// One of age's own kinds: nothing.
    Native,
    /// An SSH key: nothing.
    Ssh,
    /// An SSH key with a passphrase: that.
    LockedSsh,
    /// A plugin's: its program.
    Plugin,
}

/// Why an identity that a stanza may be for did not give the file key.
pub(super) enum Shut {
    /// The stanza is damaged.
    Damaged,
    /// The identity could not be tried.
    NotTried(IdentityProblem),
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
            Self::parse_plugin(word)
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
        let (recipient, key) = ssh_private::read(text)?;
        let secret = match key {
            SshKey::Open(identity) => Secret::Ssh(Box::new(identity)),
            SshKey::Locked(key) => Secret::LockedSsh(Box::new(key)),
        };
        Ok(Self { recipient, secret })
    }

    /// The public half, as one would write it as a recipient. A plugin's identity does not tell it: there it is the plugin's name.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// What it takes to try it.
    pub fn form(&self) -> Form {
        match self.secret {
            Secret::X25519(_) | Secret::PostQuantum(_) => Form::Native,
            Secret::Ssh(_) => Form::Ssh,
            Secret::LockedSsh(_) => Form::LockedSsh,
            Secret::Plugin(_) => Form::Plugin,
        }
    }

    /// The plugin that understands it, if it is a plugin's.
    pub fn plugin(&self) -> Option<&str> {
        matches!(self.secret, Secret::Plugin(_)).then_some(self.recipient.as_str())
    }

    /// Whether the other one opens the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.secret, &other.secret) {
            (Secret::Plugin(one), Secret::Plugin(other)) => one.ct_eq(other.expose()),
            _ => self.form() == other.form() && self.recipient == other.recipient,
        }
    }

    /// The file key in one of `stanzas`; `None` if none is for this identity. Whom it takes for that, `outside` has.
    pub(super) fn unwrap_stanzas(&self, stanzas: &[Stanza], origin: &Origin, outside: &Outside) -> Option<Result<FileKey, Shut>> {
        match &self.secret {
            Secret::X25519(identity) => unwrap_with(&**identity, stanzas),
            Secret::PostQuantum(identity) => unwrap_with(&**identity, stanzas),
            Secret::Ssh(identity) => unwrap_with(&**identity, stanzas),
            Secret::LockedSsh(key) if !stanzas.iter().any(|stanza| key.is_named_by(stanza)) => None,
            Secret::LockedSsh(key) => match key.unlocked(origin, outside) {
                Ok(identity) => unwrap_with(identity, stanzas),
                Err(problem) => Some(Err(Shut::NotTried(problem))),
            },
            Secret::Plugin(word) => plugin::unwrap(&self.recipient, word.expose(), stanzas, outside)
                .map_err(|error| Shut::NotTried(IdentityProblem::Plugin(error)))
                .transpose(),
        }
    }

    fn parse_plugin(word: &str) -> Result<Self, IdentityProblem> {
        if word.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(IdentityProblem::Case);
        }
        let recipient = plugin::name_in_identity(word).ok_or(IdentityProblem::PluginDamaged)?;
        Ok(Self { recipient, secret: Secret::Plugin(SecretString::copy_of(word)) })
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

/// Tries `identity` on each of `stanzas`: one that is for it but damaged does not hide a good one behind it; [`MAX_DAMAGED`] of them do.
fn unwrap_with(identity: &dyn age::Identity, stanzas: &[Stanza]) -> Option<Result<FileKey, Shut>> {
    let mut failure = None;
    for outcome in stanzas.iter().filter_map(|stanza| identity.unwrap_stanza(stanza)).take(MAX_DAMAGED) {
        match outcome {
            Ok(file_key) => return Some(Ok(file_key)),
            Err(_) => failure = Some(Err(Shut::Damaged)),
        }
    }
    failure
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
    /// `AGE-PLUGIN-…` that is mistyped or has no valid name.
    #[error("is a damaged plugin identity")]
    PluginDamaged,
    /// A plugin's identity, whose program did not do its work.
    #[error(transparent)]
    Plugin(PluginError),
    /// A command that gave nothing.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A passphrase is needed, and there is no terminal.
    #[error("is protected by a passphrase, and there is no terminal to ask for it on")]
    NobodyToAsk,
    /// A passphrase is needed, and was not given.
    #[error("is protected by a passphrase, which was not given")]
    Declined,
    /// The passphrase was wrong each time.
    #[error("is protected by a passphrase, which was wrong three times")]
    WrongPassphrase,
    /// The passphrase would take too long to check.
    #[error("is protected by a passphrase that takes too much work to check")]
    TooMuchWork,
    /// An encrypted file of identities that is cut short or changed.
    #[error("is a damaged age file")]
    LockedDamaged,
    /// An encrypted file of identities, but not with a passphrase.
    #[error("is an age file that is encrypted to a key, not with a passphrase")]
    LockedToKey,
    /// An encrypted file of identities in a later format.
    #[error("is an age file of an unknown version")]
    LockedVersion,
    /// An encrypted file of identities in another one.
    #[error("holds another age file, which is not opened")]
    LockedTwice,
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
    /// An SSH key whose passphrase protects it in a way that the age crate does not know.
    #[error("is an SSH private key ({kind}) encrypted with {cipher}, which cannot be read; {way_out} on a copy converts it")]
    SshCipher {
        /// Its key type.
        kind: &'static str,
        /// How it is encrypted.
        cipher: &'static str,
        /// What converts it.
        way_out: &'static str,
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
