//! What an item of any side is known by: a number, the same on all sides.
//!
//! Knows names and digests, not what was changed. Its one invariant: on each side equal names are numbered in their order there.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::ops::file::variable_name;
use crate::tree::Item;

/// A number for each item of any side.
pub(super) type Id = usize;

/// What an item is known by.
#[derive(PartialEq, Eq, Hash)]
enum Sign {
    /// The name of a variable, with or without `export`, and how often it stood before.
    Name(String, usize),
    /// The digest of a comment, and how often it stood before.
    Comment([u8; 32], usize),
    /// A blank line: what stands above it, and how many blank lines between.
    Blank(Option<Id>, usize),
}

/// The numbers given so far.
#[derive(Default)]
pub(super) struct Known {
    ids: HashMap<Sign, Id>,
}

/// One version: its items by number, and their order.
pub(super) struct Side<'a> {
    pub order: Vec<Id>,
    items: HashMap<Id, (usize, &'a Item)>,
}

impl Known {
    pub fn side<'a>(&mut self, items: &'a [Item]) -> Side<'a> {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut comments: HashMap<[u8; 32], usize> = HashMap::new();
        let (mut above, mut blanks) = (None, 0);
        let mut side = Side { order: Vec::with_capacity(items.len()), items: HashMap::with_capacity(items.len()) };
        for (at, item) in items.iter().enumerate() {
            let sign = match item {
                Item::Entry(key, _) => {
                    let name = variable_name(key).into_owned();
                    Sign::Name(name.clone(), count(names.entry(name).or_default()))
                }
                Item::Comment(comment) => {
                    let digest = Sha256::digest(comment.text.expose()).into();
                    Sign::Comment(digest, count(comments.entry(digest).or_default()))
                }
                Item::BlankLine => Sign::Blank(above, count(&mut blanks)),
            };
            let next = self.ids.len();
            let id = *self.ids.entry(sign).or_insert(next);
            if !matches!(item, Item::BlankLine) {
                (above, blanks) = (Some(id), 0);
            }
            side.order.push(id);
            side.items.insert(id, (at, item));
        }
        side
    }
}

impl Known {
    /// Puts those of `order` that have one name into the order in which every side has them, each where another one stood.
    pub fn sort_equal_names(&self, order: &mut [Id]) {
        let repeated: HashSet<&str> = self.ids.keys().filter_map(Sign::repeated_name).collect();
        if repeated.is_empty() {
            return;
        }
        let names: HashMap<Id, (&str, usize)> = self.ids.iter().filter_map(|(sign, id)| Some((*id, sign.name()?))).collect();
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, id) in order.iter().enumerate() {
            if let Some((name, _)) = names.get(id).filter(|(name, _)| repeated.contains(name)) {
                places.entry(name).or_default().push(at);
            }
        }
        for places in places.into_values() {
            let mut ids: Vec<Id> = places.iter().map(|at| order[*at]).collect();
            ids.sort_by_key(|id| names[id].1);
            places.into_iter().zip(ids).for_each(|(at, id)| order[at] = id);
        }
    }
}

impl Sign {
    /// The name of a variable, and how often it stood before.
    fn name(&self) -> Option<(&str, usize)> {
        match self {
            Self::Name(name, before) => Some((name, *before)),
            _ => None,
        }
    }

    fn repeated_name(&self) -> Option<&str> {
        self.name().filter(|(_, before)| *before > 0).map(|(name, _)| name)
    }
}

fn count(seen: &mut usize) -> usize {
    *seen += 1;
    *seen - 1
}

impl<'a> Side<'a> {
    pub fn place(&self, id: Id) -> Option<usize> {
        self.items.get(&id).map(|(at, _)| *at)
    }

    pub fn item(&self, id: Id) -> Option<&'a Item> {
        self.items.get(&id).map(|(_, item)| *item)
    }
}
