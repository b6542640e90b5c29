//! Who is in which key group of a file, and whether its rule says the same.
//!
//! Knows metadata and rules, no key. Its one invariant: everybody whom the file or its rule names is told.

use crate::config::CreationRule;
use crate::document::metadata::Metadata;
use crate::keys::group::needed;
use crate::keys::shown;
use crate::ops::new_file::NewFileError;
use crate::ops::update_keys::{Member, compare};

/// Who reads a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Roster {
    /// Everybody, group by group: first those of the file.
    pub entries: Vec<Entry>,
    /// How many groups of the file are needed, and of how many.
    pub needed: (usize, usize),
    /// Whether the rule asks for another number.
    pub needs_others: bool,
}

/// One key in one group.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The group, from 0.
    pub group: usize,
    /// The key.
    pub member: Member,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a key of a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// In the file, and in the rule if there is one.
    Reads,
    /// In the file alone.
    Extra,
    /// In the rule alone.
    Missing,
}

impl Roster {
    /// The roster of a file with `metadata`. Without a `rule` there is nothing to compare.
    ///
    /// # Errors
    /// [`NewFileError::Threshold`] if the rule asks for what cannot be.
    pub fn of(metadata: &Metadata, rule: Option<&CreationRule>) -> Result<Self, NewFileError> {
        let groups = &metadata.key_groups;
        let needed = (needed(metadata.shamir_threshold, groups.len()), groups.len());
        let Some(change) = rule.map(|rule| compare(metadata, rule)).transpose()?.flatten() else {
            let members = groups.iter().enumerate().flat_map(|(at, group)| group.keys.iter().map(move |key| (at, key)));
            let entries = members.map(|(group, key)| Entry {
                group,
                member: Member { kind: key.kind(), recipient: shown(key.recipient()).to_owned() },
                standing: Standing::Reads,
            });
            return Ok(Self { entries: entries.collect(), needed, needs_others: false });
        };
        let needs_others = change.needed_before != change.needed_after;
        let mut entries = Vec::new();
        for (group, members) in change.groups.into_iter().enumerate() {
            let parts = [(members.kept, Standing::Reads), (members.removed, Standing::Extra), (members.added, Standing::Missing)];
            for (members, standing) in parts {
                entries.extend(members.into_iter().map(|member| Entry { group, member, standing }));
            }
        }
        Ok(Self { entries, needed, needs_others })
    }

    /// Those of one standing, each once.
    pub fn with(&self, standing: Standing) -> Vec<&Member> {
        let mut members: Vec<&Member> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.standing == standing) {
            if !members.contains(&&entry.member) {
                members.push(&entry.member);
            }
        }
        members
    }

    /// The keys without any one of which nobody can open the file.
    pub fn indispensable(&self) -> Vec<&Member> {
        let (needed, groups) = self.needed;
        if needed < groups {
            return Vec::new();
        }
        let in_file =
            |group| self.entries.iter().filter(move |entry| entry.group == group && entry.standing != Standing::Missing);
        let single = (0..groups).filter(|group| in_file(*group).count() == 1);
        single.flat_map(in_file).map(|entry| &entry.member).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::document::selection::Selection;
    use crate::keys::group::KeyGroup;
    use crate::keys::{Kind, new_master_key};

    const ALICE: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
    const BOB: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
    const CI: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn roster(groups: &[&[&str]], threshold: u32, rule: Option<&str>) -> Roster {
        let keys = |group: &&[&str]| group.iter().map(|key| new_master_key(Kind::Age, key).unwrap()).collect();
        let groups = groups.iter().map(|group| KeyGroup { keys: keys(group) }).collect();
        let mut metadata = Metadata::new(groups, Selection::default(), false);
        metadata.shamir_threshold = threshold;
        let config = rule.map(|rule| format!("creation_rules: [{{{rule}}}]"));
        let config = config.map(|text| Config::parse(Path::new("/r/.sops.yaml"), &text).unwrap());
        let rule = config.as_ref().map(|config| config.rule_for(Path::new("/r/s.env")).unwrap().unwrap());
        Roster::of(&metadata, rule).unwrap()
    }

    fn told(roster: &Roster) -> Vec<(usize, &str, Standing)> {
        roster.entries.iter().map(|entry| (entry.group, entry.member.recipient.as_str(), entry.standing)).collect()
    }

    #[test]
    fn whoever_is_in_the_file_or_in_its_rule_is_told_and_where_they_stand() {
        let drifted = roster(&[&[ALICE, CI]], 0, Some(&format!("age: [{ALICE}, {BOB}]")));
        assert_eq!(told(&drifted), [(0, ALICE, Standing::Reads), (0, CI, Standing::Extra), (0, BOB, Standing::Missing)]);
        assert_eq!(drifted.with(Standing::Missing)[0].recipient, BOB);
        assert_eq!(told(&roster(&[&[ALICE]], 0, Some(&format!("age: {ALICE}")))), [(0, ALICE, Standing::Reads)]);
        assert_eq!(told(&roster(&[&[ALICE]], 0, None)), [(0, ALICE, Standing::Reads)]);
    }

    #[test]
    fn a_key_without_which_the_file_stays_shut_is_known() {
        let keys = |roster: &Roster| roster.indispensable().iter().map(|key| key.recipient.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&roster(&[&[ALICE]], 0, None)), [ALICE]);
        assert_eq!(keys(&roster(&[&[ALICE, BOB]], 0, None)), [""; 0]);
        assert_eq!(keys(&roster(&[&[ALICE], &[BOB, CI]], 0, None)), [ALICE]);
        assert_eq!(keys(&roster(&[&[ALICE], &[BOB]], 1, None)), [""; 0]);
        assert_eq!(keys(&roster(&[&[ALICE], &[BOB], &[CI]], 2, None)), [""; 0]);
        // Who is only in the rule opens nothing yet.
        assert_eq!(keys(&roster(&[&[ALICE]], 0, Some(&format!("age: [{ALICE}, {BOB}]")))), [ALICE]);
    }
}
