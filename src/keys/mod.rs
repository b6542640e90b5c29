//! Data key ⇄ wrapped data key. Never sees a value of a file.
//!
//! The joint is [`MasterKey`]: one entry of the `sops` block that is able to wrap the data key. Each kind of key is one file and one
//! line here; the kinds this version cannot use yet are [`ForeignKey`]s, kept as they were found.

pub mod age;
pub mod command;
pub mod fields;
pub mod foreign;
pub mod given;
pub mod group;
pub mod keyring;
pub mod outside;
pub mod quantum;
pub mod shamir;
pub mod source;
pub mod step;

use crate::keys::age::AgeKey;
use crate::keys::age::armor::ArmorError;
use crate::keys::age::header::HeaderError;
use crate::keys::age::plugin::PluginError;
use crate::keys::age::recipient::RecipientError;
use crate::keys::age::router::Attempt;
use crate::keys::fields::EntryError;
use crate::keys::foreign::ForeignKey;
use crate::keys::keyring::Keyring;
use crate::keys::step::Step;
use crate::secret::SecretBytes;
use crate::tree::Mapping;

/// One entry of a `sops` block: something able to wrap the data key.
///
/// The payload is the data key's 32 bytes, or with several key groups that group's 33-byte Shamir share.
///
/// Source: getsops/sops `keys/keys.go`.
pub trait MasterKey: Send + Sync {
    /// Which list of the `sops` block it stands in.
    fn kind(&self) -> Kind;

    /// The identity sops compares keys by: a recipient, fingerprint, ARN, resource name or address. Public.
    fn recipient(&self) -> &str;

    /// Wraps `payload` for this key, in place of what it held wrapped before, with what the user may run.
    ///
    /// # Errors
    /// [`WrapError`]; the key is then as it was.
    fn wrap_data_key(&mut self, payload: &SecretBytes, keyring: &Keyring) -> Result<(), WrapError>;

    /// Unwraps what [`wrap_data_key`](Self::wrap_data_key) wrapped, with what the user holds and `step` allows.
    ///
    /// # Errors
    /// [`UnwrapError`].
    fn unwrap_data_key(&self, keyring: &Keyring, step: Step<'_>) -> Result<SecretBytes, UnwrapError>;

    /// The entry as it stands in a `sops` block: keys in ascending byte order, fields unknown to us among them.
    fn to_fields(&self) -> Mapping;
}

/// Reads one entry of the list of `kind`.
///
/// # Errors
/// [`EntryError`] names the list and the field.
pub fn from_fields(kind: Kind, fields: &Mapping) -> Result<Box<dyn MasterKey>, EntryError> {
    Ok(match kind {
        Kind::Age => Box::new(AgeKey::from_fields(fields)?),
        Kind::Kms | Kind::GcpKms | Kind::HcKms | Kind::AzureKv | Kind::HcVault | Kind::Pgp => {
            Box::new(ForeignKey::from_fields(kind, fields)?)
        }
    })
}

/// Makes a key that has nothing wrapped yet, from a recipient as people write it. Comma-separated lists are the caller's to split.
///
/// # Errors
/// [`RecipientError`], which never repeats `recipient`.
pub fn new_master_key(kind: Kind, recipient: &str) -> Result<Box<dyn MasterKey>, RecipientError> {
    match kind {
        Kind::Age => Ok(Box::new(AgeKey::new(recipient)?)),
        Kind::Kms | Kind::GcpKms | Kind::HcKms | Kind::AzureKv | Kind::HcVault | Kind::Pgp => {
            Err(RecipientError::KindNotSupported(kind))
        }
    }
}

/// The kinds of master key a `sops` block can hold, in the order in which sops reads them.
///
/// Source: getsops/sops `stores/stores.go`, `internalGroupFrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// AWS KMS.
    Kms,
    /// Google Cloud KMS.
    GcpKms,
    /// Huawei Cloud KMS.
    HcKms,
    /// Azure Key Vault.
    AzureKv,
    /// HashiCorp Vault or OpenBao, transit engine.
    HcVault,
    /// PGP, by way of gpg.
    Pgp,
    /// age: X25519, post-quantum and SSH keys, and plugins.
    Age,
}

impl Kind {
    /// Every kind, in sops's reading order.
    pub const ALL: [Self; 7] = [Self::Kms, Self::GcpKms, Self::HcKms, Self::AzureKv, Self::HcVault, Self::Pgp, Self::Age];

    /// The name of the list that holds this kind in a `sops` block.
    pub fn field(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HcKms => "hckms",
            Self::AzureKv => "azure_kv",
            Self::HcVault => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Kms => "AWS KMS",
            Self::GcpKms => "GCP KMS",
            Self::HcKms => "Huawei Cloud KMS",
            Self::AzureKv => "Azure Key Vault",
            Self::HcVault => "HashiCorp Vault",
            Self::Pgp => "PGP",
            Self::Age => "age",
        }
    }
}

/// Why a data key could not be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// There is no key group at all.
    #[error("there are no key groups")]
    NoGroups,
    /// A group without keys: nobody could open it.
    #[error("key group {0} is empty")]
    EmptyGroup(usize),
    /// A threshold below 2, or more groups than there can be or that are needed.
    #[error(
        "{threshold} of {groups} key groups cannot be asked for: it takes at least 2, at most as many as there are, and there can be {}",
        crate::keys::shamir::MAX_SHARES
    )]
    Threshold {
        /// How many are to be needed.
        threshold: usize,
        /// How many there are.
        groups: usize,
    },
    /// The system has no randomness to give.
    #[error("the system gave no random numbers")]
    Randomness(#[from] getrandom::Error),
    /// A kind this version cannot use.
    #[error("{} keys are not supported yet by this version; the entry for {recipient} was left as it was", .kind.title())]
    NotSupported {
        /// The kind.
        kind: Kind,
        /// Whose entry.
        recipient: String,
    },
    /// An age entry whose recipient cannot be encrypted to.
    #[error("cannot wrap the data key for {recipient}")]
    Recipient {
        /// Whose entry.
        recipient: String,
        /// Why not.
        source: RecipientError,
    },
    /// The plugin that the recipient names failed.
    #[error("cannot wrap the data key for {recipient}")]
    Plugin {
        /// Whose entry.
        recipient: String,
        /// Why.
        source: PluginError,
    },
    /// age failed.
    #[error("cannot wrap the data key for {recipient}")]
    Age {
        /// Whose entry.
        recipient: String,
        /// What age says.
        source: Box<::age::EncryptError>,
    },
}

/// Why one key did not give its data key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// A kind this version cannot use.
    #[error("{} keys are not supported yet by this version; the entry is kept", .0.title())]
    NotSupported(Kind),
    /// The entry has no `enc`, or an empty one.
    #[error("the entry holds no wrapped data key")]
    NothingWrapped,
    /// `enc` is no armored age file.
    #[error("the wrapped data key is malformed")]
    Armor(#[from] ArmorError),
    /// `enc` is no age file we can or want to read.
    #[error("the wrapped data key is malformed")]
    Header(#[from] HeaderError),
    /// The user holds no identity.
    #[error("there is no identity to open it with")]
    NoIdentities,
    /// None of the user's identities opens it; what happened to each.
    #[error("no identity opens it ({} tried)", .0.len())]
    NoMatch(Vec<Attempt>),
    /// An identity opened the header, but the header was changed afterwards.
    #[error("the wrapped data key was changed")]
    NotAuthentic,
    /// The header is whole, but the payload was changed or cut short afterwards.
    #[error("the wrapped data key was changed or is cut short")]
    PayloadNotAuthentic,
    /// What was wrapped is no data key.
    #[error("what is wrapped has not the length of a data key, or of a share of one")]
    PayloadLength,
}

/// `recipient` as it may be shown: a private key that somebody put in a public place is not repeated, nor is what would begin lines of
/// its own or drive a terminal.
pub(crate) fn shown(recipient: &str) -> &str {
    match recipient {
        private if age::recipient::looks_private(private) => "(a private key)",
        odd if odd.contains(char::is_control) => "(no recipient: it has control characters)",
        recipient => recipient,
    }
}
