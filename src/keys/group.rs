//! Key groups: which of a file's master keys is asked for the data key, and in which order.
//!
//! Knows sops's decryption order; among age keys the [`Step`]s count. With one group, any key of it opens the file. With several, each
//! opens a Shamir share; this version refuses those. Its one invariant: when no key opens, the error says for each why.

use crate::keys::keyring::{IdentityFailure, Keyring};
use crate::keys::step::Step;
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
/// Loads the keyring's identities only if there is an age key to try, and each only if no cheaper one opens any of the keys.
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
    let mut trials: Vec<Trial> = group.keys.iter().map(|key| Trial { key: &**key, failure: None }).collect();
    for step in keyring.steps(&age_recipients(group)) {
        if let Some(data_key) = open_in(step, &mut trials, keyring, |payload| DataKey::from_slice(payload.expose())) {
            return Ok(data_key);
        }
    }
    in_order(&mut trials, keyring);
    let identities = if age_recipients(group).is_empty() { Vec::new() } else { keyring.failures() };
    Err(UnlockError::Locked { keys: trials.into_iter().map(Trial::into_failure).collect(), identities })
}

/// One key, and what came of trying it so far.
struct Trial<'a> {
    key: &'a dyn MasterKey,
    failure: Option<UnwrapError>,
}

/// Takes one step with each of `trials`, until one gives a payload that `accept` takes.
fn open_in<T>(
    step: Step<'_>,
    trials: &mut [Trial<'_>],
    keyring: &Keyring,
    accept: impl Fn(&SecretBytes) -> Option<T>,
) -> Option<T> {
    in_order(trials, keyring);
    for trial in trials.iter_mut().filter(|trial| step.is_for(trial.key.kind()) && !trial.is_over()) {
        match trial.key.unwrap_data_key(keyring, step) {
            Ok(payload) => match accept(&payload) {
                Some(accepted) => return Some(accepted),
                None => trial.note(UnwrapError::PayloadLength),
            },
            Err(why) => trial.note(why),
        }
    }
    None
}

impl Trial<'_> {
    /// Whether another identity could not change what came of it.
    fn is_over(&self) -> bool {
        !matches!(self.failure, None | Some(UnwrapError::NoMatch(_) | UnwrapError::NoIdentities))
    }

    fn note(&mut self, why: UnwrapError) {
        match (&mut self.failure, why) {
            (Some(UnwrapError::NoMatch(earlier)), UnwrapError::NoMatch(more)) => earlier.extend(more),
            (Some(UnwrapError::NoMatch(_)), UnwrapError::NoIdentities) => {}
            (failure, why) => *failure = Some(why),
        }
    }

    fn into_failure(self) -> KeyFailure {
        let why = self.failure.unwrap_or(UnwrapError::NoIdentities);
        KeyFailure { kind: self.key.kind(), recipient: shown(self.key.recipient()).to_owned(), why }
    }
}

/// Wraps `data_key` for every key of every group, with what the user may run for that.
///
/// # Errors
/// [`WrapError`] of the first key that fails. The keys before it have been wrapped anew by then: the groups are to be dropped.
///
/// Source: getsops/sops `sops.go`, `UpdateMasterKeysWithKeyServices`.
pub fn wrap_for_all(groups: &mut [KeyGroup], data_key: &DataKey, keyring: &Keyring) -> Result<(), WrapError> {
    if let Some(empty) = groups.iter().position(|group| group.keys.is_empty()) {
        return Err(WrapError::EmptyGroup(empty));
    }
    let group = match groups {
        [] => return Err(WrapError::NoGroups),
        [group] => group,
        _ => return Err(WrapError::KeyGroups(groups.len())),
    };
    let payload = SecretBytes::copy_of(data_key.expose());
    group.keys.iter_mut().try_for_each(|key| key.wrap_data_key(&payload, keyring))
}

/// Sorts by [`DECRYPTION_ORDER`], otherwise leaves the keys as they stand; among the age keys, those first whose recipient says that they
/// are ours. The recipient is not authenticated, so it is a hint for the order and nothing more.
fn in_order(trials: &mut [Trial<'_>], keyring: &Keyring) {
    let is_ours = |key: &dyn MasterKey| key.kind() == Kind::Age && keyring.seems_mine(key.recipient());
    let rank = |key: &dyn MasterKey| {
        let kind = DECRYPTION_ORDER.iter().position(|kind| *kind == key.kind()).unwrap_or(DECRYPTION_ORDER.len());
        (kind, !is_ours(key))
    };
    trials.sort_by_cached_key(|trial| rank(trial.key));
}

/// The recipients of the group's age keys, each once.
fn age_recipients(group: &KeyGroup) -> Vec<&str> {
    let mut recipients: Vec<&str> = Vec::new();
    for key in group.keys.iter().filter(|key| key.kind() == Kind::Age) {
        if !recipients.contains(&key.recipient()) {
            recipients.push(key.recipient());
        }
    }
    recipients
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
