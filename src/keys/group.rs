//! Key groups: which of a file's master keys is asked for the data key, and in which order.
//!
//! Knows sops's decryption order; among age keys the [`Step`]s count. With one group, any key of it opens the file. With several, any
//! key of a group opens its Shamir share, and as many groups are needed as the threshold says; no more are tried. Its one invariant:
//! when a file stays shut, the error says for each group whether it opened, and for each key why not.

use crate::keys::keyring::{IdentityFailure, Keyring};
use crate::keys::shamir::{self, CombineError, SplitError};
use crate::keys::step::Step;
use crate::keys::{Kind, MasterKey, UnwrapError, WrapError, shown};
use crate::secret::{DataKey, SecretBytes, with_clean_stack};

/// The kinds that are tried first, in this order; the others follow in file order.
///
/// Source: getsops/sops `config/config.go`, `DefaultDecryptionOrder`.
pub const DECRYPTION_ORDER: [Kind; 2] = [Kind::Age, Kind::Pgp];

/// The bytes of a group's share: those of the data key, and one for its place.
const SHARE_LENGTH: usize = DataKey::LENGTH + 1;

/// Master keys any one of which opens the group.
#[derive(Default)]
pub struct KeyGroup {
    /// In file order.
    pub keys: Vec<Box<dyn MasterKey>>,
}

/// How many of `groups` must open if a file or a rule says `threshold`: 0 stands for all of them, and with one group nothing else can
/// be meant.
///
/// Source: getsops/sops `sops.go`, `UpdateMasterKeysWithKeyServices`.
pub fn needed(threshold: u32, groups: usize) -> usize {
    match threshold as usize {
        0 => groups,
        _ if groups < 2 => groups,
        threshold => threshold,
    }
}

/// Unwraps the data key: with the first key that gives it, or with the shares of as many groups as are needed.
///
/// Groups that a key of the user seems to open come first, the others in file order. Loads the keyring's identities only if there is an
/// age key to try, and each only if no cheaper ones open enough.
///
/// # Errors
/// [`UnlockError::Locked`] and [`UnlockError::GroupsLocked`] with a reason for each key.
///
/// Source: getsops/sops `sops.go`, `GetDataKeyWithKeyServices`. sops tries every group, also when it has enough.
pub fn unwrap_data_key(groups: &[KeyGroup], threshold: u32, keyring: &Keyring) -> Result<DataKey, UnlockError> {
    with_clean_stack(|| unwrap_in_steps(groups, threshold, keyring))
}

fn unwrap_in_steps(groups: &[KeyGroup], threshold: u32, keyring: &Keyring) -> Result<DataKey, UnlockError> {
    if groups.iter().all(|group| group.keys.is_empty()) {
        return Err(UnlockError::NoKeys);
    }
    let (needed, length) = match groups.len() {
        1 => (1, DataKey::LENGTH),
        count => (needed(threshold, count).max(2), SHARE_LENGTH),
    };
    if needed > groups.len() {
        return Err(UnlockError::Threshold { threshold, groups: groups.len() });
    }
    let mut trials: Vec<GroupTrial> = groups.iter().map(GroupTrial::of).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_cached_key(|at| groups.len() > 1 && !has_own_key(&groups[*at], keyring));
    let mut payloads = Vec::new();
    for step in keyring.steps(&age_recipients(groups)) {
        for group in &order {
            let group = &mut trials[*group];
            if let Some(payload) = group.open_in(step, length, keyring) {
                payloads.push(payload);
            }
            if payloads.len() == needed {
                return join(&payloads);
            }
        }
    }
    let identities = if age_recipients(groups).is_empty() { Vec::new() } else { keyring.failures() };
    let mut outcomes: Vec<Outcome> = trials.into_iter().map(|group| group.into_outcome(keyring)).collect();
    if let ([_], Some(Outcome::Locked(keys))) = (groups, outcomes.pop_if(|_| groups.len() == 1)) {
        return Err(UnlockError::Locked { keys, identities });
    }
    let names = |group: &KeyGroup| group.keys.iter().map(|key| (key.kind(), shown(key.recipient()).to_owned())).collect();
    let groups = groups.iter().zip(outcomes).map(|(group, outcome)| GroupOutcome { keys: names(group), outcome }).collect();
    Err(UnlockError::GroupsLocked { groups, needed, identities })
}

/// The data key in what the groups gave: itself, or shares of it.
fn join(payloads: &[SecretBytes]) -> Result<DataKey, UnlockError> {
    let joined;
    let bytes = match payloads {
        [payload] => payload,
        shares => {
            joined = shamir::combine(shares)?;
            &joined
        }
    };
    DataKey::from_slice(bytes.expose()).ok_or(UnlockError::Shares(CombineError::Lengths))
}

/// One group, and what came of trying it so far.
struct GroupTrial<'a> {
    keys: Vec<Trial<'a>>,
    is_open: bool,
}

/// One key, and what came of trying it so far.
struct Trial<'a> {
    key: &'a dyn MasterKey,
    failure: Option<UnwrapError>,
}

impl<'a> GroupTrial<'a> {
    fn of(group: &'a KeyGroup) -> Self {
        Self { keys: group.keys.iter().map(|key| Trial { key: &**key, failure: None }).collect(), is_open: false }
    }

    /// Takes one step with each key of a group that is still shut, until one gives a payload of `length` bytes.
    fn open_in(&mut self, step: Step<'_>, length: usize, keyring: &Keyring) -> Option<SecretBytes> {
        if self.is_open {
            return None;
        }
        in_order(&mut self.keys, keyring);
        for trial in self.keys.iter_mut().filter(|trial| step.is_for(trial.key.kind()) && !trial.is_over()) {
            match trial.key.unwrap_data_key(keyring, step) {
                Ok(payload) if payload.len() == length => {
                    self.is_open = true;
                    return Some(payload);
                }
                Ok(_) => trial.note(UnwrapError::PayloadLength),
                Err(why) => trial.note(why),
            }
        }
        None
    }

    fn into_outcome(mut self, keyring: &Keyring) -> Outcome {
        if self.is_open {
            return Outcome::Opened;
        }
        in_order(&mut self.keys, keyring);
        Outcome::Locked(self.keys.into_iter().map(Trial::into_failure).collect())
    }
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

/// Wraps `data_key` for every key of every group: itself if there is one group, otherwise each group's share of it, any `threshold` of
/// which give it back (0 stands for all). `keyring` says what the user may run for that.
///
/// # Errors
/// [`WrapError`]: a number that makes no sense, or the first key that fails. The keys before it have been wrapped anew by then: the
/// groups are to be dropped.
///
/// Source: getsops/sops `sops.go`, `UpdateMasterKeysWithKeyServices`.
pub fn wrap_for_all(groups: &mut [KeyGroup], threshold: u32, data_key: &DataKey, keyring: &Keyring) -> Result<(), WrapError> {
    if let Some(empty) = groups.iter().position(|group| group.keys.is_empty()) {
        return Err(WrapError::EmptyGroup(empty));
    }
    let payloads = match groups.len() {
        0 => return Err(WrapError::NoGroups),
        1 => vec![SecretBytes::copy_of(data_key.expose())],
        count => shamir::split(data_key.expose(), count, needed(threshold, count)).map_err(|error| match error {
            SplitError::Threshold { threshold, shares } => WrapError::Threshold { threshold, groups: shares },
            SplitError::Randomness(error) => WrapError::Randomness(error),
        })?,
    };
    for (group, payload) in groups.iter_mut().zip(&payloads) {
        group.keys.iter_mut().try_for_each(|key| key.wrap_data_key(payload, keyring))?;
    }
    Ok(())
}

/// Whether `keyring` can open what is wrapped for `groups`, as far as their recipients tell without asking anybody.
pub fn is_for(groups: &[KeyGroup], threshold: u32, keyring: &Keyring) -> bool {
    let own = groups.iter().filter(|group| has_own_key(group, keyring)).count();
    own > 0 && own >= needed(threshold, groups.len())
}

/// Sorts by [`DECRYPTION_ORDER`], otherwise leaves the keys as they stand; among the age keys, those first whose recipient says that they
/// are ours. The recipient is not authenticated, so it is a hint for the order and nothing more.
fn in_order(trials: &mut [Trial<'_>], keyring: &Keyring) {
    let rank = |key: &dyn MasterKey| {
        let kind = DECRYPTION_ORDER.iter().position(|kind| *kind == key.kind()).unwrap_or(DECRYPTION_ORDER.len());
        (kind, !is_own(key, keyring))
    };
    trials.sort_by_cached_key(|trial| rank(trial.key));
}

fn has_own_key(group: &KeyGroup, keyring: &Keyring) -> bool {
    group.keys.iter().any(|key| is_own(&**key, keyring))
}

fn is_own(key: &dyn MasterKey, keyring: &Keyring) -> bool {
    key.kind() == Kind::Age && keyring.seems_mine(key.recipient())
}

/// The recipients of all age keys, each once.
fn age_recipients(groups: &[KeyGroup]) -> Vec<&str> {
    let mut recipients: Vec<&str> = Vec::new();
    for key in groups.iter().flat_map(|group| &group.keys).filter(|key| key.kind() == Kind::Age) {
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

impl KeyFailure {
    /// Whether the entry itself is at fault, and not that the user has no key for it.
    pub fn is_damage(&self) -> bool {
        !matches!(self.why, UnwrapError::NoMatch(_) | UnwrapError::NoIdentities | UnwrapError::NotSupported(_))
    }
}

/// One group of several.
#[derive(Debug)]
pub struct GroupOutcome {
    /// Kind and recipient of each of its keys, in file order.
    pub keys: Vec<(Kind, String)>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Whether a group gave its share.
#[derive(Debug)]
pub enum Outcome {
    /// It did.
    Opened,
    /// It did not: each key in the order of trying.
    Locked(Vec<KeyFailure>),
}

/// Why a file's data key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// The file has no master key at all.
    #[error("the file has no master keys")]
    NoKeys,
    /// More groups are needed than there are.
    #[error("the file asks for {threshold} of its {groups} key groups")]
    Threshold {
        /// How many are needed.
        threshold: u32,
        /// How many there are.
        groups: usize,
    },
    /// Too few groups opened.
    #[error(
        "{} of the file's {} key groups could be opened, {needed} are needed",
        .groups.iter().filter(|group| matches!(group.outcome, Outcome::Opened)).count(),
        .groups.len()
    )]
    GroupsLocked {
        /// Every group in file order.
        groups: Vec<GroupOutcome>,
        /// How many must open.
        needed: usize,
        /// What in the identity sources could not be used, if age keys were tried.
        identities: Vec<IdentityFailure>,
    },
    /// Enough groups opened, but what is in them does not go together.
    #[error("what the key groups hold does not go together")]
    Shares(#[from] CombineError),
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
