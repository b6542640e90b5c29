//! Three versions of a file's items → one.
//!
//! Knows names, values, comments, blank lines and their order; neither keys nor tokens nor files. Its one invariant: what one side
//! added or changed is in the result or in a conflict.
//!
//! An item is known by its name, a comment by its text, each by how often that stood before it, a blank line by what stands above it.
//! What both sides left where it was divides the file; between two such items each side's changes are joined. So a change of one line
//! never stands in the way of a change of its neighbour. Merging in either direction gives the same items, and in the same order unless a
//! side moved some; equal names keep theirs even then, since the last of them is the one that counts.

mod sides;

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::ops::file::variable_name;
use crate::tree::{Item, Key, Mapping, Tree};
use sides::{Id, Known, Side};

/// The three versions.
#[derive(Clone, Copy)]
pub struct Versions<'a> {
    /// What both sides began with.
    pub base: &'a Tree,
    /// Ours.
    pub ours: &'a Tree,
    /// Theirs.
    pub theirs: &'a Tree,
}

/// What came of it.
pub struct Merged {
    /// All items. Where there is a conflict, the entry has our value, or theirs if we removed it.
    pub tree: Tree,
    /// In the order of the items.
    pub conflicts: Vec<Conflict>,
}

/// A variable that both sides changed, each in its own way.
pub struct Conflict {
    /// Its name.
    pub name: String,
    /// Where its entry stands among the items.
    pub at: usize,
    /// Our entry; `None` if we removed it.
    pub ours: Option<Item>,
    /// Their entry; `None` if they removed it.
    pub theirs: Option<Item>,
}

/// Merges the first documents of three trees by name.
pub fn merge(versions: Versions<'_>) -> Merged {
    let mut known = Known::default();
    let [base, ours, theirs] = [versions.base, versions.ours, versions.theirs].map(|tree| known.side(tree.first()));
    let merging = Merging { ours_kept: kept(&base, &ours), theirs_kept: kept(&base, &theirs), base, ours, theirs };
    let mut order = merging.order();
    known.sort_equal_names(&mut order);
    merging.settle(&order)
}

/// The items of `base` that `side` left where they were among each other: the most that can be, in the order of both.
fn kept(base: &Side<'_>, side: &Side<'_>) -> Vec<Id> {
    longest_chain(&side.order, |id| base.place(id))
}

/// The longest part of `order` whose places, where there is one, go up.
fn longest_chain(order: &[Id], place: impl Fn(Id) -> Option<usize>) -> Vec<Id> {
    // For each length the chain that ends lowest: patience sorting.
    let mut ends: Vec<usize> = Vec::new();
    let placed: Vec<(Id, usize)> = order.iter().filter_map(|id| Some((*id, place(*id)?))).collect();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(placed.len());
    for (at, (_, place)) in placed.iter().enumerate() {
        let length = ends.partition_point(|end| placed[*end].1 < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut chain = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        chain.push(placed[at].0);
        next = before[at];
    }
    chain.reverse();
    chain
}

struct Merging<'a> {
    base: Side<'a>,
    ours: Side<'a>,
    theirs: Side<'a>,
    ours_kept: Vec<Id>,
    theirs_kept: Vec<Id>,
}

impl Merging<'_> {
    /// All items of both sides, also those that go, in the order of the result.
    fn order(&self) -> Vec<Id> {
        let stay = Kept { ours: self.ours_kept.iter().copied().collect(), theirs: self.theirs_kept.iter().copied().collect() };
        let mut order = Vec::new();
        let (mut ours, mut theirs) = (0, 0);
        let anchors = self.ours_kept.iter().copied().filter(|id| stay.theirs.contains(id));
        for anchor in anchors.map(Some).chain([None]) {
            let ends = |side: &Side<'_>| anchor.and_then(|id| side.place(id)).unwrap_or(side.order.len());
            let (ours_end, theirs_end) = (ends(&self.ours), ends(&self.theirs));
            self.join(&self.ours.order[ours..ours_end], &self.theirs.order[theirs..theirs_end], &stay, &mut order);
            (ours, theirs) = (ours_end + 1, theirs_end + 1);
            order.extend(anchor);
        }
        order
    }

    /// Joins what each side has between two items that both left where they were.
    fn join(&self, ours: &[Id], theirs: &[Id], stay: &Kept, order: &mut Vec<Id>) {
        let places: HashMap<Id, usize> = theirs.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let common = longest_chain(ours, |id| places.get(&id).copied());
        let (mut ours, mut theirs) = (ours, theirs);
        for id in common.into_iter().map(Some).chain([None]) {
            let of_ours = take_until(&mut ours, id);
            let of_theirs = take_until(&mut theirs, id);
            // What goes has no say in which of two blocks comes first.
            let stays = |id: &Id| self.decided(*id).item().is_some();
            let of_ours: Vec<Id> = of_ours.iter().copied().filter(|id| stays(id) && !self.belongs_to_theirs(*id, stay)).collect();
            let of_theirs: Vec<Id> =
                of_theirs.iter().copied().filter(|id| stays(id) && self.belongs_to_theirs(*id, stay)).collect();
            // Both added something at one place: by name, so that it comes to the same from either side.
            let (first, second) = match rank(&of_theirs, &self.theirs) < rank(&of_ours, &self.ours) {
                true => (of_theirs, of_ours),
                false => (of_ours, of_theirs),
            };
            order.extend(first.into_iter().chain(second).chain(id));
        }
    }

    /// Whether an item that is not where it was on both sides stands where they have it, not where we have it.
    fn belongs_to_theirs(&self, id: Id, stay: &Kept) -> bool {
        match (self.ours.item(id), self.theirs.item(id)) {
            (None, _) => true,
            (_, None) => false,
            // On both sides: it stands where it was moved to, and where we have it if both moved or added it.
            (Some(_), Some(_)) => stay.ours.contains(&id) && !stay.theirs.contains(&id),
        }
    }

    /// Writes down what becomes of each item of `order`.
    fn settle(&self, order: &[Id]) -> Merged {
        let (mut items, mut conflicts) = (Vec::new(), Vec::new());
        for id in order {
            let result = self.decided(*id);
            if let Decided::Conflict(ours, theirs) = result
                && let Some(Item::Entry(key, _)) = result.item()
            {
                let (ours, theirs) = (ours.map(Item::copy), theirs.map(Item::copy));
                conflicts.push(Conflict { name: variable_name(key).into_owned(), at: items.len(), ours, theirs });
            }
            items.extend(result.item().map(Item::copy));
        }
        Merged { tree: Tree::of(Mapping { items }), conflicts }
    }

    fn decided(&self, id: Id) -> Decided<'_> {
        let (base, ours, theirs) = (self.base.item(id), self.ours.item(id), self.theirs.item(id));
        let is_same = |a: Option<&Item>, b: Option<&Item>| match (a, b) {
            (Some(a), Some(b)) => a.is_same(b),
            (None, None) => true,
            _ => false,
        };
        if is_same(ours, theirs) || is_same(theirs, base) {
            Decided::Clear(ours)
        } else if is_same(ours, base) {
            Decided::Clear(theirs)
        } else {
            Decided::Conflict(ours, theirs)
        }
    }
}

/// What becomes of an item.
#[derive(Clone, Copy)]
enum Decided<'a> {
    /// This, or it goes.
    Clear(Option<&'a Item>),
    /// Ours and theirs differ, and both from what they began with.
    Conflict(Option<&'a Item>, Option<&'a Item>),
}

impl<'a> Decided<'a> {
    fn item(self) -> Option<&'a Item> {
        match self {
            Self::Clear(item) => item,
            Self::Conflict(ours, theirs) => ours.or(theirs),
        }
    }
}

/// What each side left where it was.
struct Kept {
    ours: HashSet<Id>,
    theirs: HashSet<Id>,
}

/// What the order of two blocks is decided by: the first name in it, and the digest of the first comment.
fn rank<'a>(ids: &[Id], side: &Side<'a>) -> (Option<&'a Key>, Option<[u8; 32]>) {
    let items = || ids.iter().filter_map(|id| side.item(*id));
    let name = items().find_map(|item| match item {
        Item::Entry(key, _) => Some(key),
        _ => None,
    });
    let comment = items().find_map(|item| match item {
        Item::Comment(comment) => Some(Sha256::digest(comment.text.expose()).into()),
        _ => None,
    });
    (name, comment)
}

/// Takes the items before `id`, and drops `id` itself; all of them if there is none.
fn take_until<'a>(ids: &mut &'a [Id], id: Option<Id>) -> &'a [Id] {
    let end = id.and_then(|id| ids.iter().position(|next| *next == id)).unwrap_or(ids.len());
    let (taken, rest) = ids.split_at(end);
    *ids = rest.get(1..).unwrap_or_default();
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::{Format, dotenv::Dotenv};

    fn tree(text: &str) -> Tree {
        Dotenv.parse(text.as_bytes()).unwrap().tree
    }

    fn text(tree: &Tree) -> String {
        String::from_utf8(Dotenv.emit(tree, None, None).unwrap().expose().to_vec()).unwrap()
    }

    fn merged(base: &str, ours: &str, theirs: &str) -> (String, Vec<String>) {
        let [base, ours, theirs] = [base, ours, theirs].map(tree);
        let Merged { tree, conflicts } = merge(Versions { base: &base, ours: &ours, theirs: &theirs });
        for conflict in &conflicts {
            assert!(matches!(&tree.first()[conflict.at], Item::Entry(key, _) if variable_name(key) == conflict.name));
        }
        (text(&tree), conflicts.into_iter().map(|conflict| conflict.name).collect())
    }

    #[test]
    fn changes_of_different_names_are_joined() {
        let base = "# about\nA=1\nB=2\n\nC=3\n";
        let ours = "# about\nA=one\nB=2\n\nC=3\nOURS=1\n";
        let theirs = "# about it\nA=1\nB=two\n\n# their comment\nTHEIRS=1\nC=3\n";
        let expected = "# about it\nA=one\nB=two\n\n# their comment\nTHEIRS=1\nC=3\nOURS=1\n";
        assert_eq!(merged(base, ours, theirs), (expected.into(), vec![]));
        assert_eq!(merged(base, theirs, ours), (expected.into(), vec![]));
    }

    #[test]
    fn what_both_append_stands_in_one_order_from_either_side() {
        let (ours, theirs) = ("A=1\n# z\nZ=1\n", "A=1\n# b\nB=1\n");
        let expected = "A=1\n# b\nB=1\n# z\nZ=1\n";
        assert_eq!(merged("A=1\n", ours, theirs), (expected.into(), vec![]));
        assert_eq!(merged("A=1\n", theirs, ours), (expected.into(), vec![]));
    }

    #[test]
    fn one_name_changed_on_both_sides_is_a_conflict_unless_they_agree() {
        assert_eq!(merged("A=1\nB=1\n", "A=2\nB=1\n", "A=3\nB=2\n"), ("A=2\nB=2\n".into(), vec!["A".into()]));
        assert_eq!(merged("A=1\n", "A=2\n", "A=2\n"), ("A=2\n".into(), vec![]));
        assert_eq!(merged("", "A=2\n", "A=3\n"), ("A=2\n".into(), vec!["A".into()]));
        // Removed here and changed there: whichever side has a value, it stays.
        assert_eq!(merged("A=1\nB=1\n", "B=1\n", "A=3\nB=1\n"), ("A=3\nB=1\n".into(), vec!["A".into()]));
        assert_eq!(merged("A=1\nB=1\n", "A=3\nB=1\n", "B=1\n"), ("A=3\nB=1\n".into(), vec!["A".into()]));
        assert_eq!(merged("A=1\nB=1\n", "B=1\n", "B=1\n"), ("B=1\n".into(), vec![]));
        // To a program `export` is no part of the name.
        assert_eq!(merged("A=1\n", "export A=1\n", "A=2\n"), ("export A=1\n".into(), vec!["A".into()]));
        assert_eq!(merged("", "export A=1\n", "B=1\nA=2\n").1, ["A"]);
    }

    #[test]
    fn a_line_that_was_moved_keeps_its_new_place_and_the_other_sides_value() {
        assert_eq!(merged("A=1\nB=1\nC=1\n", "C=1\nA=1\nB=1\n", "A=1\nB=1\nC=2\n"), ("C=2\nA=1\nB=1\n".into(), vec![]));
        assert_eq!(merged("A=1\nB=1\nC=1\n", "A=1\nB=1\nC=2\n", "C=1\nA=1\nB=1\n"), ("C=2\nA=1\nB=1\n".into(), vec![]));
    }

    #[test]
    fn twenty_thousand_names_cost_no_quadratic_time() {
        let base: String = (0..20_000).map(|n| format!("NAME_{n}={n}\n")).collect();
        let reversed: String = (0..20_000).rev().map(|n| format!("NAME_{n}={n}\n")).collect();
        assert_eq!(merged(&base, &reversed, &base).0, reversed);
    }

    /// Small files in which everything happens: duplicates, comments, blank lines, reordering.
    fn version() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            4 => ("[A-E]", "[1-3]").prop_map(|(name, value)| format!("{name}={value}")),
            1 => "# [a-c]",
            1 => Just(String::new()),
        ];
        prop::collection::vec(line, 0..9).prop_map(|lines| tidy(&lines))
    }

    /// Without blank lines at the end, which the format drops at times.
    fn tidy(lines: &[String]) -> String {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let end = text.trim_end_matches('\n').len();
        if end == 0 { String::new() } else { format!("{}\n", &text[..end]) }
    }

    proptest! {
        #[test]
        fn an_unchanged_side_gives_way_to_the_other(a in version(), b in version()) {
            prop_assert_eq!(merged(&a, &a, &b), (b.clone(), vec![]));
            prop_assert_eq!(merged(&a, &b, &a), (b.clone(), vec![]));
            prop_assert_eq!(merged(&a, &b, &b), (b, vec![]));
        }
    }
}
