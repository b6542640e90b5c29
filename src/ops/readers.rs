//! Whether who encrypts could read the result.
//!
//! Knows recipients and public halves only: no identity is used, so nothing asks for a passphrase or starts a plugin. Its one
//! invariant: where it cannot be told, the answer is not "no".

use crate::document::metadata::Metadata;
use crate::keys::age::recipient::is_same;
use crate::keys::group::{KeyGroup, needed};
use crate::keys::keyring::Keyring;
use crate::keys::{Kind, shown};

/// What is known about the user's place among the readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The user can read the file, or it cannot be told without a passphrase, a plugin or a key service.
    Perhaps,
    /// The user has identities, and none of them opens enough groups; these are the recipients.
    Others(Vec<String>),
    /// The user has no identity at all, as on a machine that only encrypts; these are the recipients.
    NoIdentity(Vec<String>),
}

/// Tells whether the user could read what is encrypted under `metadata`.
pub fn reach(metadata: &Metadata, keyring: &Keyring) -> Reach {
    let mine: Vec<String> = keyring.recipients().into_iter().map(|(_, recipient)| recipient).collect();
    let has_closed = keyring.may_hold_more();
    let is_open = |group: &&KeyGroup| {
        group.keys.iter().any(|key| has_closed || key.kind() != Kind::Age || mine.iter().any(|own| is_same(own, key.recipient())))
    };
    if metadata.key_groups.iter().filter(is_open).count() >= needed(metadata.shamir_threshold, metadata.key_groups.len()) {
        return Reach::Perhaps;
    }
    let keys = metadata.key_groups.iter().flat_map(|group| &group.keys);
    let recipients = keys.map(|key| shown(key.recipient()).to_owned()).collect();
    if mine.is_empty() { Reach::NoIdentity(recipients) } else { Reach::Others(recipients) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::selection::Selection;
    use crate::keys::new_master_key;
    use crate::keys::source::{IdentitySource, Material, Origin};
    use crate::secret::SecretString;

    const IDENTITY: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";
    const MINE: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
    const OTHER: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn asked(groups: &[&[&str]], threshold: u32, identities: &str) -> Reach {
        let group = |recipients: &&[&str]| KeyGroup {
            keys: recipients.iter().map(|recipient| new_master_key(Kind::Age, recipient).unwrap()).collect(),
        };
        let mut metadata = Metadata::new(groups.iter().map(group).collect(), Selection::default(), false);
        metadata.shamir_threshold = threshold;
        let material = Material::Text(SecretString::from_string(identities.to_owned()));
        let source = IdentitySource { origin: Origin::Variable("SOPS_AGE_KEY".into()), material };
        reach(&metadata, &Keyring::new(vec![source]))
    }

    #[test]
    fn one_of_the_recipients_of_the_only_group_is_enough() {
        let others = || vec![OTHER.to_owned()];
        assert_eq!(asked(&[&[OTHER, MINE]], 0, IDENTITY), Reach::Perhaps);
        assert_eq!(asked(&[&[OTHER, MINE]], 2, IDENTITY), Reach::Perhaps, "a threshold means nothing for one group");
        assert_eq!(asked(&[&[OTHER]], 0, IDENTITY), Reach::Others(others()));
        assert_eq!(asked(&[&[OTHER]], 0, ""), Reach::NoIdentity(others()));
    }

    #[test]
    fn of_several_groups_as_many_as_the_threshold_says_are_needed() {
        let groups: &[&[&str]] = &[&[MINE], &[OTHER], &[OTHER, MINE]];
        assert_eq!(asked(groups, 2, IDENTITY), Reach::Perhaps);
        assert!(matches!(asked(groups, 3, IDENTITY), Reach::Others(_)));
        assert!(matches!(asked(groups, 0, IDENTITY), Reach::Others(_)), "0 stands for all");
    }

    #[test]
    fn what_a_closed_identity_could_open_is_not_denied() {
        assert_eq!(asked(&[&[OTHER]], 0, "AGE-PLUGIN-EXAMPLE-1QYPQX6CF80X"), Reach::Perhaps);
        assert!(matches!(asked(&[&[OTHER]], 0, "damaged"), Reach::NoIdentity(_)));
    }
}
