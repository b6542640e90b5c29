//! Who can read a merged file, and under which data key.
//!
//! Knows metadata, not values. Its one invariant: whoever one side took out is put in again by nobody, and knows the data key of the
//! result only if the side that took them out went on with that key.

use crate::document::metadata::Metadata;
use crate::keys::MasterKey;
use crate::keys::age::recipient::is_same;
use crate::keys::group::KeyGroup;

/// One of two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ours.
    Ours,
    /// Theirs.
    Theirs,
}

/// Which versions have the same data key.
#[derive(Clone, Copy, Debug)]
pub struct SameKey {
    /// Ours and theirs.
    pub both: bool,
    /// Ours and what both began with.
    pub ours_and_base: bool,
    /// Theirs and what both began with.
    pub theirs_and_base: bool,
}

/// What is to become of a file's key groups.
pub struct Readers {
    /// Whose data key and tokens the result has.
    pub carrier: Side,
    /// All groups.
    pub groups: Vec<KeyGroup>,
    /// How many of them are needed; 0 stands for all.
    pub threshold: u32,
    /// What has to be done so that they can read it.
    pub work: Work,
}

/// What has to be done for the readers of a merged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing: the data key is wrapped for each of them.
    None,
    /// The carrier's data key is to be wrapped for them.
    Wrap,
    /// Somebody knows the carrier's data key who is no reader any more: the file needs a new one.
    NewDataKey,
}

/// Decides who reads the merged file, and takes the key groups out of `ours` and `theirs` for it.
///
/// # Errors
/// [`CannotUnite`]; nothing was taken then.
pub fn unite(
    base: Option<&Metadata>,
    ours: &mut Metadata,
    theirs: &mut Metadata,
    same_key: SameKey,
) -> Result<Readers, CannotUnite> {
    let whole = if same_readers(ours, theirs) || base.is_some_and(|base| same_readers(base, theirs)) {
        Some(Side::Ours)
    } else if base.is_some_and(|base| same_readers(base, ours)) {
        Some(Side::Theirs)
    } else {
        None
    };
    // The side that made a new data key had a reason to.
    let carrier = match whole {
        _ if !same_key.both && same_key.ours_and_base => Side::Theirs,
        _ if !same_key.both && same_key.theirs_and_base => Side::Ours,
        whole => whole.unwrap_or(Side::Ours),
    };
    let joined = match whole {
        Some(_) => None,
        None => Some(joined(base, ours, theirs)?),
    };

    let carriers: Vec<Name> = names(if carrier == Side::Ours { ours } else { theirs });
    let (our_groups, their_groups) = (std::mem::take(&mut ours.key_groups), std::mem::take(&mut theirs.key_groups));
    let (groups, threshold) = match (whole, joined) {
        (Some(Side::Ours), _) => (our_groups, ours.shamir_threshold),
        (Some(Side::Theirs), _) => (their_groups, theirs.shamir_threshold),
        (None, joined) => {
            let keep = joined.unwrap_or_default();
            let all = our_groups.into_iter().chain(their_groups).flat_map(|group| group.keys);
            let keys = all.zip(keep).filter(|(_, keep)| *keep).map(|(key, _)| key).collect();
            (vec![KeyGroup { keys }], ours.shamir_threshold)
        }
    };
    let is_reader = |name: &Name| groups.iter().flat_map(|group| &group.keys).any(|key| name.is(&**key));
    let work = if !carriers.iter().all(is_reader) {
        Work::NewDataKey
    } else if whole == Some(carrier) || (same_key.both && groups.len() == 1) {
        Work::None
    } else {
        Work::Wrap
    };
    Ok(Readers { carrier, groups, threshold, work })
}

/// Which of all keys, ours first, stay if both sides changed the readers: those in both, and those that one side added.
fn joined(base: Option<&Metadata>, ours: &Metadata, theirs: &Metadata) -> Result<Vec<bool>, CannotUnite> {
    let ([our_group], [their_group]) = (ours.key_groups.as_slice(), theirs.key_groups.as_slice()) else {
        return Err(CannotUnite::KeyGroups);
    };
    let old = base.map(names).unwrap_or_default();
    let is_new = |key: &dyn MasterKey| !old.iter().any(|name| name.is(key));
    let is_in = |group: &KeyGroup, key: &dyn MasterKey| group.keys.iter().any(|there| Name::of(&**there).is(key));
    let of_ours = our_group.keys.iter().map(|key| is_in(their_group, &**key) || is_new(&**key));
    let of_theirs = their_group.keys.iter().map(|key| !is_in(our_group, &**key) && is_new(&**key));
    let keep: Vec<bool> = of_ours.chain(of_theirs).collect();
    if keep.contains(&true) { Ok(keep) } else { Err(CannotUnite::NobodyLeft) }
}

/// What a master key is known by.
struct Name {
    kind: crate::keys::Kind,
    recipient: String,
}

impl Name {
    fn of(key: &dyn MasterKey) -> Self {
        Self { kind: key.kind(), recipient: key.recipient().to_owned() }
    }

    fn is(&self, key: &dyn MasterKey) -> bool {
        self.kind == key.kind() && is_same(&self.recipient, key.recipient())
    }
}

fn names(metadata: &Metadata) -> Vec<Name> {
    metadata.key_groups.iter().flat_map(|group| &group.keys).map(|key| Name::of(&**key)).collect()
}

/// Whether both are readable by the same people, as many of whom are needed.
pub fn same_readers(one: &Metadata, other: &Metadata) -> bool {
    let has_all =
        |all: &KeyGroup, part: &KeyGroup| part.keys.iter().all(|key| all.keys.iter().any(|there| Name::of(&**there).is(&**key)));
    let (groups, others) = (&one.key_groups, &other.key_groups);
    groups.len() == others.len()
        && (groups.len() == 1 || one.shamir_threshold == other.shamir_threshold)
        && groups.iter().zip(others).all(|(one, other)| has_all(one, other) && has_all(other, one))
}

/// Why nobody can tell who should read the merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotUnite {
    /// Several groups, changed on both sides.
    #[error("both sides changed who can read the file, and it has several key groups")]
    KeyGroups,
    /// Each side took the other's readers out.
    #[error("each side took out who the other side left in, so nobody could read the file")]
    NobodyLeft,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::selection::Selection;
    use crate::keys::{Kind, new_master_key};

    const A: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
    const B: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
    const C: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    const ONE: SameKey = SameKey { both: true, ours_and_base: true, theirs_and_base: true };
    const OURS_ROTATED: SameKey = SameKey { both: false, ours_and_base: false, theirs_and_base: true };
    const THEIRS_ROTATED: SameKey = SameKey { both: false, ours_and_base: true, theirs_and_base: false };
    const BOTH_ROTATED: SameKey = SameKey { both: false, ours_and_base: false, theirs_and_base: false };

    fn metadata(groups: &[&[&str]]) -> Metadata {
        let keys = |group: &&[&str]| group.iter().map(|key| new_master_key(Kind::Age, key).unwrap()).collect();
        Metadata::new(groups.iter().map(|group| KeyGroup { keys: keys(group) }).collect(), Selection::default(), false)
    }

    fn united(base: &[&str], ours: &[&str], theirs: &[&str], same_key: SameKey) -> (Vec<String>, Side, Work) {
        let (mut ours, mut theirs) = (metadata(&[ours]), metadata(&[theirs]));
        let readers = unite(Some(&metadata(&[base])), &mut ours, &mut theirs, same_key).unwrap();
        let [group] = readers.groups.as_slice() else { panic!("one group") };
        (group.keys.iter().map(|key| key.recipient().to_owned()).collect(), readers.carrier, readers.work)
    }

    fn expected(keys: &[&str], carrier: Side, work: Work) -> (Vec<String>, Side, Work) {
        (keys.iter().map(|key| (*key).to_owned()).collect(), carrier, work)
    }

    #[test]
    fn whoever_changed_the_readers_alone_decides() {
        assert_eq!(united(&[A], &[A], &[A], ONE), expected(&[A], Side::Ours, Work::None));
        assert_eq!(united(&[A], &[A, B], &[A], ONE), expected(&[A, B], Side::Ours, Work::None));
        assert_eq!(united(&[A], &[A], &[A, B], ONE), expected(&[A, B], Side::Theirs, Work::None));
        assert_eq!(united(&[A, B], &[A], &[B, A], OURS_ROTATED), expected(&[A], Side::Ours, Work::None));
        assert_eq!(united(&[A, B], &[A, B], &[A], THEIRS_ROTATED), expected(&[A], Side::Theirs, Work::None));
    }

    #[test]
    fn what_both_added_is_joined_without_wrapping_anything_again() {
        assert_eq!(united(&[A], &[A, B], &[A, C], ONE), expected(&[A, B, C], Side::Ours, Work::None));
        assert_eq!(united(&[A, B], &[A], &[A, B, C], ONE), expected(&[A, C], Side::Ours, Work::None));
    }

    #[test]
    fn whoever_was_taken_out_knows_no_key_that_was_made_since() {
        // One side takes B out under a new key, the other lets C in under the old one.
        assert_eq!(united(&[A, B], &[A], &[A, B, C], OURS_ROTATED), expected(&[A, C], Side::Ours, Work::Wrap));
        assert_eq!(united(&[A, B], &[A, B, C], &[A], THEIRS_ROTATED), expected(&[A, C], Side::Theirs, Work::Wrap));
        // Both made a new key, and one of the two is known to B.
        assert_eq!(united(&[A, B], &[A, B, C], &[A], BOTH_ROTATED), expected(&[A, C], Side::Ours, Work::NewDataKey));
        assert_eq!(united(&[A, B], &[A], &[A, B], BOTH_ROTATED), expected(&[A], Side::Ours, Work::None));
        assert_eq!(united(&[A, B], &[A, B], &[A], BOTH_ROTATED), expected(&[A], Side::Theirs, Work::None));
        // B was taken out under the old key, and the other side's new one is B's too.
        assert_eq!(united(&[A, B], &[A], &[A, B], THEIRS_ROTATED), expected(&[A], Side::Theirs, Work::NewDataKey));
    }

    #[test]
    fn several_groups_are_taken_whole_or_not_at_all() {
        let (base, mut ours, mut theirs) = (metadata(&[&[A], &[B]]), metadata(&[&[A], &[B]]), metadata(&[&[A], &[B, C]]));
        let readers = unite(Some(&base), &mut ours, &mut theirs, ONE).unwrap();
        assert_eq!((readers.carrier, readers.work, readers.groups.len()), (Side::Theirs, Work::None, 2));
        let (mut ours, mut theirs) = (metadata(&[&[A, C], &[B]]), metadata(&[&[A], &[B, C]]));
        assert_eq!(unite(Some(&base), &mut ours, &mut theirs, ONE).err(), Some(CannotUnite::KeyGroups));
        assert_eq!(ours.key_groups.len(), 2);
    }

    #[test]
    fn nobody_left_is_refused() {
        let (mut ours, mut theirs) = (metadata(&[&[A]]), metadata(&[&[B]]));
        let base = metadata(&[&[A, B]]);
        assert_eq!(unite(Some(&base), &mut ours, &mut theirs, ONE).err(), Some(CannotUnite::NobodyLeft));
    }
}
