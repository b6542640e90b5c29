//! What becomes of one file when somebody is let in or put out.
//!
//! A file follows its rule afterwards, whatever it was like before. Its one invariant: whoever else comes or goes by that is told as
//! [`Drift`] before anything is wrapped.

use super::rules::Key;
use crate::config::CreationRule;
use crate::keys::age::recipient::is_same;
use crate::keys::group::{KeyGroup, is_for, needed};
use crate::keys::keyring::Keyring;
use crate::keys::step::Step;
use crate::keys::{Kind, MasterKey, from_fields};
use crate::ops::new_file::{self, NewFileError};
use crate::ops::rewrap::EncryptedFile;
use crate::ops::update_keys::{Change, Member, compare};

/// A file that is to be wrapped for others.
pub struct Affected {
    /// As it is.
    pub file: EncryptedFile,
    /// How it differs from what it is to be; `None` if only its data key is to be another one.
    pub change: Option<Change>,
    /// Who is to read it.
    pub groups: Vec<KeyGroup>,
    /// How many groups are to be needed; 0 stands for all.
    pub threshold: u32,
}

/// How a file departs from its rule apart from what is meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// In the rule, not in the file.
    pub missing: Vec<Member>,
    /// In the file, not in the rule.
    pub extra: Vec<Member>,
    /// How many groups are needed, and how many the rule asks for, if that differs.
    pub needed: Option<(usize, usize)>,
}

impl Affected {
    /// The file as `rule` wants it.
    ///
    /// # Errors
    /// [`NewFileError`] if nobody can be encrypted to by that rule.
    pub fn by_rule(file: EncryptedFile, rule: &CreationRule) -> Result<Self, NewFileError> {
        let change = compare(&file.document.metadata, rule)?;
        let groups = new_file::key_groups(rule)?;
        let threshold = change.as_ref().map_or(file.document.metadata.shamir_threshold, |change| change.threshold);
        Ok(Self { file, change, groups, threshold })
    }

    /// The file, which no rule is for, without `keys`.
    pub fn without(mut file: EncryptedFile, keys: &[Key]) -> Self {
        let metadata = &mut file.document.metadata;
        let mut groups = std::mem::take(&mut metadata.key_groups);
        for group in &mut groups {
            // The file is opened by what it had.
            let stays = |key: &&dyn MasterKey| !is_among(key.kind(), key.recipient(), keys);
            let staying = group
                .keys
                .iter()
                .map(|key| &**key)
                .filter(stays)
                .filter_map(|key| from_fields(key.kind(), &key.to_fields()).ok());
            let staying = KeyGroup { keys: staying.collect() };
            metadata.key_groups.push(std::mem::replace(group, staying));
        }
        let threshold = metadata.shamir_threshold;
        Self { file, change: None, groups, threshold }
    }

    /// Whether one of `keys` can read the file as it is.
    pub fn is_readable_by(file: &EncryptedFile, keys: &[Key]) -> bool {
        let mut members = file.document.metadata.key_groups.iter().flat_map(|group| &group.keys);
        members.any(|key| is_among(key.kind(), key.recipient(), keys))
    }

    /// What changes besides the coming or going of `keys`.
    pub fn drift(&self, keys: &[Key]) -> Option<Drift> {
        let change = self.change.as_ref()?;
        let mut drift = Drift::default();
        for group in &change.groups {
            let others = |members: &[Member]| -> Vec<Member> {
                members.iter().filter(|member| !is_among(member.kind, &member.recipient, keys)).cloned().collect()
            };
            drift.missing.extend(others(&group.added));
            drift.extra.extend(others(&group.removed));
        }
        if change.needed_before.0 != change.needed_after.0 {
            drift.needed = Some((change.needed_before.0, change.needed_after.0));
        }
        (drift != Drift::default()).then_some(drift)
    }

    /// Whether the user's own identities, as far as they are known, may open the file afterwards. SSH keys count also where they are
    /// locked.
    pub fn stays_readable(&self, keyring: &Keyring) -> bool {
        may_open(&self.groups, self.threshold, keyring)
    }

    /// Runs the user's commands for one reader after the other, as for opening the file, until it is known to stay readable.
    pub fn reach(&self, keyring: &Keyring) {
        let readers = self.groups.iter().flat_map(|group| &group.keys).filter(|key| key.kind() == Kind::Age);
        for reader in readers {
            if self.stays_readable(keyring) {
                return;
            }
            keyring.identities(Step::Command { recipient: reader.recipient() });
        }
    }

    /// The same for the file as it is.
    pub fn is_readable(&self, keyring: &Keyring) -> bool {
        let metadata = &self.file.document.metadata;
        may_open(&metadata.key_groups, metadata.shamir_threshold, keyring)
    }
}

fn may_open(groups: &[KeyGroup], threshold: u32, keyring: &Keyring) -> bool {
    if is_for(groups, threshold, keyring) {
        return true;
    }
    let mine: Vec<Key> = keyring.recipients().into_iter().map(|(_, recipient)| (Kind::Age, recipient)).collect();
    let is_mine = |key: &dyn MasterKey| key.kind() != Kind::Age || is_among(key.kind(), key.recipient(), &mine);
    let own = groups.iter().filter(|group| group.keys.iter().any(|key| is_mine(&**key))).count();
    own >= needed(threshold, groups.len())
}

fn is_among(kind: Kind, recipient: &str, keys: &[Key]) -> bool {
    keys.iter().any(|(known, key)| *known == kind && is_same(key, recipient))
}
