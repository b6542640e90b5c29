//! Key groups: which of a file's master keys is asked for the data key, and in which order.
//!
//! Knows sops's decryption order. With one group, any key of it opens the file. With several, each opens a Shamir share; this version
//! refuses those. Its one invariant: when no key opens, the error says for each why.

use crate::keys::age::recipient::is_same;
use crate::keys::keyring::{IdentityFailure, Keyring};
use crate::keys::{Kind, MasterKey, UnwrapError, WrapError, shown};
use crate::secret::{DataKey, SecretBytes};

/// The kinds that are tried first, in this order; the others follow in file order.
///
/// Source: getsops/sops `config/config.go`, `DefaultDecryptionOrder`.
pub const DECRYPTION_ORDER: [Kind; 2] = [Kind::Age, Kind::Pgp];

/// Master keys any one of which opens the group.
#[derive(Default)]
pub struct KeyGroup {
    /// In file order.
    pub keys: Vec<Box<dyn MasterKey>>,
}

/// Unwraps the data key with the first key that gives it.
///
/// Loads the keyring's identities only if there is an age key to try.
///
/// # Errors
/// [`UnlockError::Locked`] with a reason for each key, if none does.
///
/// Source: getsops/sops `sops.go`, `GetDataKeyWithKeyServices`.
pub fn unwrap_data_key(groups: &[KeyGroup], threshold: u32, keyring: &Keyring) -> Result<DataKey, UnlockError> {
    let group = match groups {
        [] => return Err(UnlockError::NoKeys),
        [group] if group.keys.is_empty() => return Err(UnlockError::NoKeys),
        [group] => group,
        _ => return Err(UnlockError::KeyGroups { groups: groups.len(), threshold }),
    };
    let mut failures = Vec::new();
    for key in in_order(group, keyring) {
        let why = match key.unwrap_data_key(keyring).map(|payload| DataKey::from_slice(payload.expose())) {
            Ok(Some(data_key)) => return Ok(data_key),
            Ok(None) => UnwrapError::PayloadLength,
            Err(why) => why,
        };
        failures.push(KeyFailure { kind: key.kind(), recipient: shown(key.recipient()).to_owned(), why });
    }
    let identities = if has_age_key(group) { keyring.failures().to_vec() } else { Vec::new() };
    Err(UnlockError::Locked { keys: failures, identities })
}

/// Wraps `data_key` for every key of every group.
///
/// # Errors
/// [`WrapError`] of the first key that fails. The keys before it have been wrapped anew by then: the groups are to be dropped.
///
/// Source: getsops/sops `sops.go`, `UpdateMasterKeysWithKeyServices`.
pub fn wrap_for_all(groups: &mut [KeyGroup], data_key: &DataKey) -> Result<(), WrapError> {
    if let Some(empty) = groups.iter().position(|group| group.keys.is_empty()) {
        return Err(WrapError::EmptyGroup(empty));
    }
    let group = match groups {
        [] => return Err(WrapError::NoGroups),
        [group] => group,
        _ => return Err(WrapError::KeyGroups(groups.len())),
    };
    let payload = SecretBytes::copy_of(data_key.expose());
    group.keys.iter_mut().try_for_each(|key| key.wrap_data_key(&payload))
}

/// The keys by [`DECRYPTION_ORDER`], otherwise as they stand; among the age keys, those first whose recipient says that they are ours.
/// The recipient is not authenticated, so it is a hint for the order and nothing more.
fn in_order<'a>(group: &'a KeyGroup, keyring: &Keyring) -> Vec<&'a dyn MasterKey> {
    let rank = |key: &dyn MasterKey| {
        let kind = DECRYPTION_ORDER.iter().position(|kind| *kind == key.kind()).unwrap_or(DECRYPTION_ORDER.len());
        let is_ours = key.kind() == Kind::Age
            && keyring.identities().iter().any(|held| is_same(held.identity.recipient(), key.recipient()));
        (kind, !is_ours)
    };
    let mut keys: Vec<&dyn MasterKey> = group.keys.iter().map(|key| &**key).collect();
    keys.sort_by_cached_key(|key| rank(*key));
    keys
}

fn has_age_key(group: &KeyGroup) -> bool {
    group.keys.iter().any(|key| key.kind() == Kind::Age)
}

/// One key that did not give the data key.
#[derive(Debug)]
pub struct KeyFailure {
    /// Its kind.
    pub kind: Kind,
    /// What it is known by.
    pub recipient: String,
    /// Why it did not.
    pub why: UnwrapError,
}

/// Why a file's data key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// The file has no master key at all.
    #[error("the file has no master keys")]
    NoKeys,
    /// The file needs Shamir shares.
    #[error("files with several key groups (Shamir; this one has {groups}) cannot be opened by this version yet")]
    KeyGroups {
        /// How many groups there are.
        groups: usize,
        /// How many of them must open; 0 stands for all.
        threshold: u32,
    },
    /// No key opened.
    #[error("none of the file's {} master keys could be opened", .keys.len())]
    Locked {
        /// Each key in the order of trying.
        keys: Vec<KeyFailure>,
        /// What in the identity sources could not be used, if age keys were tried.
        identities: Vec<IdentityFailure>,
    },
}

#[cfg(test)]
mod tests;
