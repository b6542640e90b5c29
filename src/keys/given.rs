//! A public key as people hand it over: the key itself, a file with keys in it, a user at GitHub, an address.
//!
//! Finds what could be a recipient there, and says of everything else why it is none; which of them is let in is the caller's to ask. Its
//! two invariants: nothing is read, and no connection made, before [`GivenKey::read`]; and no private key is shown or passed on, only the
//! public half that was derived from it.

pub mod address;
mod lines;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::recipient::{RecipientError, looks_private};
use crate::keys::age::ssh_public::known_type;
use crate::keys::given::address::{Address, AddressError};
use crate::keys::given::lines::{MAX_LINES, Place};
use crate::keys::outside::Outside;
use crate::keys::source::read_file;
use crate::keys::{Kind, shown};
use crate::sys::https::{self, HttpsError, Network};

/// How many bytes an address may give: a thousand keys.
const MAX_FETCHED: usize = 64 << 10;

/// What a person gave for a key, understood but not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenKey {
    /// A recipient, which may still be damaged or of an unusable type.
    Recipient(String),
    /// A file: of recipients, as `age -R` takes it, an SSH public key, `authorized_keys`, or identities.
    File(PathBuf),
    /// An address of authorized keys.
    Address(Address),
}

/// What was found where the key was said to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// What can be encrypted to, each once, in the order found.
    pub candidates: Vec<Candidate>,
    /// What else is there, with the reason why it cannot be used.
    pub unusable: Vec<Unusable>,
    /// Whether there were private keys in the file, whose public halves are among the candidates: such a file is nothing to send around.
    pub is_private: bool,
}

/// A recipient that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As it is written down, without a comment.
    pub recipient: String,
    /// What its writer wrote beside it. Untrusted.
    pub comment: Option<String>,
    /// What people compare: `SHA256:…` of an SSH key, as `ssh-keygen -l` shows it; of others the recipient itself.
    pub fingerprint: String,
}

/// Something that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Unusable {
    /// Its line, counted from 1.
    pub line: usize,
    /// Why.
    pub why: Reason,
}

/// Why a line gives no recipient. It never holds the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A public key that age cannot use, or no key at all.
    #[error(transparent)]
    Recipient(RecipientError),
    /// A private key that is damaged or of an unusable sort.
    #[error("it {0}")]
    Identity(IdentityProblem),
    /// A plugin's identity.
    #[error("it is an identity of age-plugin-{plugin}, which does not tell its public key")]
    PluginIdentity {
        /// The plugin.
        plugin: String,
    },
    /// `from="…" ssh-ed25519 …` and the like.
    #[error("there are options before the SSH key, which limit what it may be used for")]
    Options,
    /// A private key where others can see it.
    #[error("it is a private key, which everybody can use who can see it; it is not shown here, and must be thrown away")]
    Published,
}

impl GivenKey {
    /// Understands `word`. Nothing is read yet.
    ///
    /// A path that looks like something else is written with `./` before it.
    ///
    /// # Errors
    /// [`GivenError`] if it can be nothing of that sort. A private key is not repeated.
    pub fn parse(word: &OsStr) -> Result<Self, GivenError> {
        let Some(text) = word.to_str().map(str::trim) else { return Ok(Self::File(word.into())) };
        if text.is_empty() {
            return Err(GivenError::Recipient(RecipientError::Empty));
        }
        if looks_private(text) {
            return Err(GivenError::Recipient(RecipientError::PrivateKey));
        }
        if let Some(user) = text.strip_prefix("github:") {
            return Ok(Self::Address(Address::github(user)?));
        }
        if let Some(kind) = other_kind(text) {
            return Err(GivenError::Recipient(RecipientError::KindNotSupported(kind)));
        }
        if text.contains("://") {
            return Ok(Self::Address(Address::parse(text)?));
        }
        let first = text.split([' ', '\t']).next().unwrap_or_default();
        let is_age = first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("age1")) && !first.contains(['/', '.']);
        if is_age || known_type(first.as_bytes()).is_some() {
            return Ok(Self::Recipient(text.to_owned()));
        }
        Ok(Self::File(word.into()))
    }

    /// Finds the recipients: parses the key, reads the file, or fetches the address over `network`. An identity file with a passphrase is
    /// asked about through `outside`.
    ///
    /// # Errors
    /// [`GivenError`] if there is nothing that looks like a key.
    pub fn read(&self, network: &Network, outside: &Outside) -> Result<Offer, GivenError> {
        match self {
            Self::Recipient(text) => {
                let candidate = lines::recipient(text).map_err(|why| match why {
                    Reason::Recipient(error) => GivenError::Recipient(error),
                    _ => GivenError::Recipient(RecipientError::Unknown),
                })?;
                Ok(Offer { candidates: vec![candidate], ..Offer::default() })
            }
            Self::File(path) => {
                let problem = |problem| match problem {
                    IdentityProblem::Missing => GivenError::NoSuchFile { path: path.clone() },
                    problem => GivenError::File { path: path.clone(), problem },
                };
                let bytes = read_file(path, false).map_err(problem)?;
                lines::read(bytes.expose(), Place::File { path, outside }).map_err(problem)?.into_some(self)
            }
            Self::Address(address) => {
                let bytes = https::get(&address.url, MAX_FETCHED, network).map_err(|error| match (error, &address.user) {
                    (HttpsError::Status(404), Some(user)) => GivenError::NoSuchUser { user: user.clone() },
                    (error, _) => GivenError::Fetch { url: address.url.clone(), source: error },
                })?;
                let not_text = |_| GivenError::NoKeys { place: self.to_string() };
                lines::read(&bytes, Place::Address).map_err(not_text)?.into_some(self)
            }
        }
    }
}

impl Offer {
    /// Itself, if there is anything in it that is or was meant to be a key.
    fn into_some(self, given: &GivenKey) -> Result<Self, GivenError> {
        let is_none = |unusable: &Unusable| {
            matches!(unusable.why, Reason::Recipient(RecipientError::Unknown | RecipientError::ControlCharacter))
        };
        if self.candidates.len() + self.unusable.len() > MAX_LINES {
            return Err(GivenError::TooMany { place: given.to_string() });
        }
        match given {
            _ if !self.candidates.is_empty() || !self.unusable.iter().all(is_none) => Ok(self),
            GivenKey::Address(Address { user: Some(user), .. }) if self.unusable.is_empty() => {
                Err(GivenError::UserWithoutKeys { user: user.clone() })
            }
            _ => Err(GivenError::NoKeys { place: given.to_string() }),
        }
    }
}

impl fmt::Display for GivenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipient(text) => f.write_str(shown(text)),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Address(address) => f.write_str(&address.url),
        }
    }
}

/// The kind of master key that `text` names, if it is one that age has no part in.
fn other_kind(text: &str) -> Option<Kind> {
    let is_fingerprint = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.starts_with("arn:aws") {
        Some(Kind::Kms)
    } else if text.starts_with("projects/") && text.contains("/cryptoKeys/") {
        Some(Kind::GcpKms)
    } else if text.starts_with("https://") && text.contains(".vault.azure.net/keys/") {
        Some(Kind::AzureKv)
    } else if is_fingerprint(text) && !Path::new(text).exists() {
        Some(Kind::Pgp)
    } else {
        None
    }
}

/// Why nobody can be let in with what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GivenError {
    /// The key itself is none that can be used.
    #[error(transparent)]
    Recipient(RecipientError),
    /// An address that is none, or is not taken.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Neither a key nor an address, so it should be a file.
    #[error(
        "there is no file {path}, and it is neither a key (age1…, ssh-ed25519 …, ssh-rsa …) nor github:USER or an https address"
    )]
    NoSuchFile {
        /// What was given.
        path: PathBuf,
    },
    /// A file that cannot be read, or opened.
    #[error("{path} {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: IdentityProblem,
    },
    /// An address that gave nothing.
    #[error("{url} gave no keys")]
    Fetch {
        /// Which.
        url: String,
        /// Why.
        source: HttpsError,
    },
    /// GitHub does not know the user.
    #[error("there is no user {user} at GitHub")]
    NoSuchUser {
        /// Who.
        user: String,
    },
    /// The user has put no keys there.
    #[error("{user} has no SSH keys at GitHub")]
    UserWithoutKeys {
        /// Who.
        user: String,
    },
    /// More lines than any list of keys.
    #[error("{place} has more than {MAX_LINES} lines")]
    TooMany {
        /// Where.
        place: String,
    },
    /// A text without any.
    #[error("there is no public key in {place}")]
    NoKeys {
        /// Where.
        place: String,
    },
}

#[cfg(test)]
mod tests;
