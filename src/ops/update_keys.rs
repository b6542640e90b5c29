//! What becomes of a file's key groups if they follow their rule.
//!
//! Compares and says; changes nothing. Its one invariant: nobody comes or goes who is not in a [`Change`], since a file may name
//! people whom no rule knows.
//!
//! Source: getsops/sops `cmd/sops/subcommand/updatekeys/updatekeys.go`, v3.13.3; sops-format §8.7. sops ignores the threshold of the
//! rule.

use crate::config::{CreationRule, RuleKey};
use crate::document::metadata::Metadata;
use crate::keys::age::recipient::is_same;
use crate::keys::group::needed;
use crate::keys::{Kind, MasterKey, shown};
use crate::ops::new_file::{self, NewFileError};

/// How a file differs from its rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Group by group, in the order in which they stand.
    pub groups: Vec<GroupChange>,
    /// What is to be written as the threshold; 0 stands for all groups.
    pub threshold: u32,
    /// How many groups are needed now, and of how many.
    pub needed_before: (usize, usize),
    /// How many will be needed, and of how many.
    pub needed_after: (usize, usize),
    /// How many `sops updatekeys` would make of it, where it would not do as the rule says.
    pub needed_by_sops: Option<usize>,
}

/// Who stays in a group, comes into it, and goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// In the rule and in the file.
    pub kept: Vec<Member>,
    /// In the rule alone.
    pub added: Vec<Member>,
    /// In the file alone.
    pub removed: Vec<Member>,
}

/// One master key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its kind.
    pub kind: Kind,
    /// What it is known by.
    pub recipient: String,
}

/// How `metadata` differs from `rule`; `None` if it does not.
///
/// # Errors
/// [`NewFileError::Threshold`] if the rule asks for what cannot be.
pub fn compare(metadata: &Metadata, rule: &CreationRule) -> Result<Option<Change>, NewFileError> {
    let before = &metadata.key_groups;
    let after = &rule.groups;
    let groups: Vec<GroupChange> = (0..before.len().max(after.len()))
        .map(|at| {
            let there = before.get(at).map(|group| group.keys.as_slice()).unwrap_or_default();
            let wanted = after.get(at).map(|group| group.keys.as_slice()).unwrap_or_default();
            group_change(there, wanted)
        })
        .collect();

    // As sops: the file's own threshold, as far as there are so many groups; one that makes no sense stands for all.
    let own = metadata.shamir_threshold.min(after.len() as u32);
    let own = if own < 2 { 0 } else { own };
    let asked = new_file::threshold(rule)?;
    let threshold = if after.len() > 1 { asked.unwrap_or(own) } else { 0 };
    let needed_before = (needed(metadata.shamir_threshold, before.len()), before.len());
    let needed_after = (needed(threshold, after.len()), after.len());
    let by_sops = needed(own, after.len());

    let is_same_group = |group: &GroupChange| group.added.is_empty() && group.removed.is_empty();
    if groups.iter().all(is_same_group) && needed_before == needed_after {
        return Ok(None);
    }
    let needed_by_sops = (by_sops != needed_after.0).then_some(by_sops);
    Ok(Some(Change { groups, threshold, needed_before, needed_after, needed_by_sops }))
}

/// Takes the keys for sets with repetition: one key more than wanted goes, also if it is the same as another.
fn group_change(there: &[Box<dyn MasterKey>], wanted: &[RuleKey]) -> GroupChange {
    let mut change = GroupChange::default();
    let mut left: Vec<&dyn MasterKey> = there.iter().map(|key| &**key).collect();
    for key in wanted {
        let member = Member { kind: key.kind, recipient: shown(&key.identity()).to_owned() };
        match left.iter().position(|there| is_key(*there, key)) {
            Some(at) => {
                left.remove(at);
                change.kept.push(member);
            }
            None => change.added.push(member),
        }
    }
    let member = |key: &dyn MasterKey| Member { kind: key.kind(), recipient: shown(key.recipient()).to_owned() };
    change.removed = left.into_iter().map(member).collect();
    change
}

fn is_key(there: &dyn MasterKey, wanted: &RuleKey) -> bool {
    there.kind() == wanted.kind
        && match wanted.kind {
            Kind::Age => is_same(there.recipient(), &wanted.recipient),
            _ => there.recipient() == wanted.identity(),
        }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::document::selection::Selection;
    use crate::keys::group::KeyGroup;
    use crate::keys::new_master_key;

    const ALICE: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
    const BOB: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAt0JClVNvL55xys/klWTChNQLBWMAGKHnHDYsEw+TE1";

    fn metadata(groups: &[&[&str]], threshold: u32) -> Metadata {
        let keys = |group: &&[&str]| group.iter().map(|key| new_master_key(Kind::Age, key).unwrap()).collect();
        let groups = groups.iter().map(|group| KeyGroup { keys: keys(group) }).collect();
        let mut metadata = Metadata::new(groups, Selection::default(), false);
        metadata.shamir_threshold = threshold;
        metadata
    }

    fn rule(groups: &[&[&str]], threshold: &str) -> CreationRule {
        let mut text = format!("creation_rules:\n  - shamir_threshold: {threshold}\n    key_groups:\n");
        for group in groups {
            text.push_str("      - age:\n");
            group.iter().for_each(|key| text.push_str(&format!("          - {key}\n")));
        }
        let config = Config::parse(Path::new("/r/.sops.yaml"), &text).unwrap();
        config.rule_for(Path::new("/r/s.env")).unwrap().unwrap().clone()
    }

    fn changed(before: (&[&[&str]], u32), after: (&[&[&str]], &str)) -> Option<Change> {
        compare(&metadata(before.0, before.1), &rule(after.0, after.1)).unwrap()
    }

    #[test]
    fn what_is_as_the_rule_says_is_no_change() {
        assert_eq!(changed((&[&[ALICE, BOB]], 0), (&[&[BOB, ALICE]], "0")), None);
        assert_eq!(changed((&[&[ALICE]], 3), (&[&[ALICE]], "0")), None);
        assert_eq!(changed((&[&[ALICE], &[BOB]], 0), (&[&[ALICE], &[BOB]], "2")), None);
        assert_eq!(changed((&[&[&format!("{SSH} bob@home")]], 0), (&[&[SSH]], "0")), None);
    }

    #[test]
    fn who_comes_and_who_goes_is_told_by_group() {
        let change = changed((&[&[ALICE], &[ALICE]], 2), (&[&[ALICE, BOB], &[BOB]], "0")).unwrap();
        let names = |members: &[Member]| members.iter().map(|member| member.recipient.clone()).collect::<Vec<_>>();
        let [first, second] = change.groups.as_slice() else { panic!("{change:?}") };
        assert_eq!(
            (names(&first.kept), names(&first.added), names(&first.removed)),
            (vec![ALICE.into()], vec![BOB.into()], vec![])
        );
        assert_eq!((names(&second.added), names(&second.removed)), (vec![BOB.into()], vec![ALICE.into()]));
        // A key that is there once too often.
        let change = changed((&[&[ALICE, ALICE]], 0), (&[&[ALICE]], "0")).unwrap();
        assert_eq!(names(&change.groups[0].removed), [ALICE]);
    }

    #[test]
    fn the_rule_decides_the_threshold_and_what_sops_would_do_is_known() {
        let three: &[&[&str]] = &[&[ALICE], &[BOB], &[SSH]];
        let change = changed((three, 3), (three, "2")).unwrap();
        assert_eq!((change.threshold, change.needed_before, change.needed_after), (2, (3, 3), (2, 3)));
        assert_eq!(change.needed_by_sops, Some(3));
        // A rule that does not say leaves the file's own, as far as that makes sense.
        let change = changed((three, 3), (&three[..2], "0")).unwrap();
        assert_eq!((change.threshold, change.needed_by_sops), (2, None));
        for threshold in [0, 1] {
            let change = changed((&three[..1], threshold), (&three[..2], "0")).unwrap();
            assert_eq!((change.threshold, change.needed_after, change.needed_by_sops), (0, (2, 2), None));
        }
        let change = changed((three, 2), (&three[..1], "0")).unwrap();
        assert_eq!((change.threshold, change.needed_after), (0, (1, 1)));
    }

    #[test]
    fn a_threshold_that_cannot_be_is_refused_with_its_line() {
        let three: &[&[&str]] = &[&[ALICE], &[BOB], &[SSH]];
        for threshold in ["1", "4"] {
            let error = compare(&metadata(three, 3), &rule(three, threshold)).unwrap_err();
            let expected = format!("/r/.sops.yaml: line 2: the rule asks for {threshold} of its 3 key groups");
            assert_eq!(error.to_string(), expected);
        }
    }
}
