//! Two versions of a file → what is different, by name.
//!
//! A version may be encrypted or plaintext, and may stay shut: what can be compared then is ciphertext, or names alone. Its one
//! invariant: what is not authentic is not compared at all.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::document::metadata::Metadata;
use crate::document::selection::Selection;
use crate::document::{DecryptError, DecryptedDocument, EncryptedDocument};
use crate::format::dotenv::{Dotenv, value_text};
use crate::format::{EmitError, Format, Syntax};
use crate::keys::Kind;
use crate::keys::age::recipient::is_same;
use crate::keys::group::{UnlockError, needed, unwrap_data_key};
use crate::keys::keyring::Keyring;
use crate::ops::encrypt::{PrepareError, prepare};
use crate::ops::file::{self, FileError, variable_name};
use crate::secret::{DataKey, SecretBytes};
use crate::tree::{Item, Mapping, Tree};

/// One version of a file.
pub enum Version {
    /// It was never encrypted.
    Plaintext(Tree),
    /// It is encrypted, and open.
    Open(Box<DecryptedDocument>),
    /// It is encrypted, and nothing at hand opens it.
    Shut(Box<EncryptedDocument>),
}

impl Version {
    /// Reads the version that `bytes` are, which messages call `path`. A key that opened `other` is tried before anybody is asked.
    ///
    /// # Errors
    /// [`ReadVersionError`].
    pub fn read(path: &Path, bytes: &SecretBytes, keyring: &Keyring, other: Option<&Self>) -> Result<Self, ReadVersionError> {
        if !file::is_encrypted(path, bytes.expose())? {
            let syntax = Syntax::by_path(path);
            if syntax != Syntax::Binary {
                syntax.format().map_err(|source| FileError::Syntax { path: path.to_owned(), source })?;
            }
            // As it would be stored, so that a plaintext is equal to what `encrypt` makes of it.
            return Ok(Self::Plaintext(prepare(bytes.expose(), &Selection::default(), &Dotenv, false)?.tree));
        }
        let (_, contents) = file::parse(path, bytes.expose(), None)?;
        let not_a_document = |source| FileError::NotADocument { path: path.to_owned(), source };
        let document = EncryptedDocument::new(contents).map_err(not_a_document)?;
        let known = match other {
            Some(Self::Open(other)) if document.is_key(other.data_key()) => Some(other.data_key().copy()),
            _ => None,
        };
        match known.map_or_else(|| unwrapped(&document.metadata, keyring), Ok) {
            Ok(data_key) => Ok(Self::Open(Box::new(document.open_with(data_key)?))),
            Err(UnlockError::Locked { .. } | UnlockError::GroupsLocked { .. }) => Ok(Self::Shut(Box::new(document))),
            Err(error) => Err(error.into()),
        }
    }

    fn plaintext(&self) -> Option<&Tree> {
        match self {
            Self::Plaintext(tree) => Some(tree),
            Self::Open(document) => Some(&document.tree),
            Self::Shut(_) => None,
        }
    }

    /// The names, and the values as they are stored.
    fn stored(&self) -> &Tree {
        match self {
            Self::Plaintext(tree) => tree,
            Self::Open(document) => &document.encrypted().tree,
            Self::Shut(document) => &document.tree,
        }
    }

    fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Plaintext(_) => None,
            Self::Open(document) => Some(document.metadata()),
            Self::Shut(document) => Some(&document.metadata),
        }
    }
}

fn unwrapped(metadata: &Metadata, keyring: &Keyring) -> Result<DataKey, UnlockError> {
    unwrap_data_key(&metadata.key_groups, metadata.shamir_threshold, keyring)
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Everything.
    Values,
    /// Ciphertext, which is another one for the same value under another data key.
    Ciphertext,
    /// Names alone: one version is plaintext, the other shut.
    Names,
}

/// One difference.
pub enum Change<'a> {
    /// A name has another value. The lines of it in each version.
    Changed(String, Vec<&'a Item>, Vec<&'a Item>),
    /// A name was not there.
    Added(String, Vec<&'a Item>),
    /// A name is gone.
    Removed(String, Vec<&'a Item>),
    /// A value has another name: the old one, and the new one.
    Renamed(String, String),
    /// The names stand in another order.
    Order,
    /// Comments that are gone, and new ones.
    Comments(Vec<&'a Item>, Vec<&'a Item>),
    /// Somebody can read the file who could not.
    Joined(Kind, String),
    /// Somebody cannot read the file any more.
    Left(Kind, String),
    /// Another number of key groups, or another number of them is needed.
    Groups,
    /// Other values are encrypted, or the MAC covers others.
    Rule,
}

/// Compares `old` with `new`.
pub fn compare<'a>(old: &'a Version, new: &'a Version) -> (Compared, Vec<Change<'a>>) {
    let (compared, trees) = match (old.plaintext(), new.plaintext()) {
        (Some(old), Some(new)) => (Compared::Values, [old, new]),
        _ => match (old, new) {
            (Version::Plaintext(_), _) | (_, Version::Plaintext(_)) => (Compared::Names, [old.stored(), new.stored()]),
            _ => (Compared::Ciphertext, [old.stored(), new.stored()]),
        },
    };
    let [before, after] = trees.map(Names::of);
    let mut changes = Vec::new();
    let mut renamed = before.renamed(&after, compared);
    let taken: HashSet<String> = renamed.values().cloned().collect();
    for name in &before.order {
        match (after.lines.get(name), renamed.remove(name)) {
            (Some(lines), _) if compared == Compared::Names || is_equal(&before.lines[name], lines) => {}
            (Some(lines), _) => changes.push(Change::Changed(name.clone(), before.lines[name].clone(), lines.clone())),
            (None, Some(new)) => changes.push(Change::Renamed(name.clone(), new)),
            (None, None) => changes.push(Change::Removed(name.clone(), before.lines[name].clone())),
        }
    }
    let added = after.order.iter().filter(|name| !before.lines.contains_key(*name) && !taken.contains(*name));
    changes.extend(added.map(|name| Change::Added(name.clone(), after.lines[name].clone())));
    let common = |names: &'_ Names<'a>, others: &Names<'a>| -> Vec<String> {
        names.order.iter().filter(|name| others.lines.contains_key(*name)).cloned().collect()
    };
    if common(&before, &after) != common(&after, &before) {
        changes.push(Change::Order);
    }
    if compared != Compared::Names {
        changes.extend(comments(trees));
    }
    if let (Some(old), Some(new)) = (old.metadata(), new.metadata()) {
        changes.extend(readers(old, new));
    }
    (compared, changes)
}

/// The line of `item` as it is stored.
///
/// # Errors
/// [`EmitError`] if it cannot be written.
pub fn line(item: &Item) -> Result<SecretBytes, EmitError> {
    Dotenv.emit(&Tree::of(Mapping { items: vec![item.copy()] }), None, None)
}

/// The names of a version, each with its lines.
struct Names<'a> {
    order: Vec<String>,
    lines: HashMap<String, Vec<&'a Item>>,
}

impl<'a> Names<'a> {
    fn of(tree: &'a Tree) -> Self {
        let mut names = Self { order: Vec::new(), lines: HashMap::new() };
        for item in tree.first() {
            let Item::Entry(key, _) = item else { continue };
            let name = variable_name(key).into_owned();
            let lines = names.lines.entry(name.clone()).or_insert_with(|| {
                names.order.push(name);
                Vec::new()
            });
            lines.push(item);
        }
        names
    }

    /// The names that only this version has and whose value stands in `other` under one that only that has: by a value that no other
    /// of these names has. A token belongs to its name.
    fn renamed(&self, other: &Self, compared: Compared) -> HashMap<String, String> {
        if compared != Compared::Values {
            return HashMap::new();
        }
        let (mine, theirs) = (self.alone_by_value(other), other.alone_by_value(self));
        let pairs = mine.into_iter().filter_map(|(value, name)| Some((name?, theirs.get(&value).cloned()??)));
        pairs.collect()
    }

    fn alone_by_value(&self, other: &Self) -> HashMap<[u8; 32], Option<String>> {
        let mut by_value = HashMap::new();
        for name in self.order.iter().filter(|name| !other.lines.contains_key(*name)) {
            let [Item::Entry(_, value)] = self.lines[name].as_slice() else { continue };
            let Some(text) = value_text(value).filter(|text| !text.is_empty()) else { continue };
            let digest = Sha256::digest(text.expose()).into();
            by_value.entry(digest).and_modify(|known| *known = None).or_insert_with(|| Some(name.clone()));
        }
        by_value
    }
}

fn is_equal(before: &[&Item], after: &[&Item]) -> bool {
    let text = |item: &Item| match item {
        Item::Entry(_, value) => value_text(value),
        Item::Comment(_) | Item::BlankLine => None,
    };
    before.len() == after.len()
        && before.iter().zip(after).all(|(before, after)| match (text(before), text(after)) {
            (Some(before), Some(after)) => before.ct_eq(after.expose()),
            (before, after) => before.is_none() && after.is_none(),
        })
}

/// The comments that only one of the two trees has, each as often as the other has not.
fn comments<'a>([before, after]: [&'a Tree; 2]) -> Option<Change<'a>> {
    let alone = |tree: &'a Tree, other: &Tree| -> Vec<&'a Item> {
        let mut there: HashMap<[u8; 32], usize> = HashMap::new();
        other.first().iter().filter_map(digest).for_each(|digest| *there.entry(digest).or_default() += 1);
        let is_alone = |item: &&'a Item| match digest(item).map(|digest| there.get_mut(&digest)) {
            None => false,
            Some(Some(count)) if *count > 0 => {
                *count -= 1;
                false
            }
            Some(_) => true,
        };
        tree.first().iter().filter(is_alone).collect()
    };
    let (removed, added) = (alone(before, after), alone(after, before));
    (!removed.is_empty() || !added.is_empty()).then_some(Change::Comments(removed, added))
}

fn digest(item: &Item) -> Option<[u8; 32]> {
    match item {
        Item::Comment(comment) => Some(Sha256::digest(comment.text.expose()).into()),
        Item::Entry(..) | Item::BlankLine => None,
    }
}

/// What of the metadata people care for.
fn readers<'a>(old: &Metadata, new: &Metadata) -> Vec<Change<'a>> {
    let keys = |metadata: &'_ Metadata| -> Vec<(Kind, String)> {
        let keys = metadata.key_groups.iter().flat_map(|group| &group.keys);
        keys.map(|key| (key.kind(), key.recipient().to_owned())).collect()
    };
    let (before, after) = (keys(old), keys(new));
    let has =
        |keys: &[(Kind, String)], key: &(Kind, String)| keys.iter().any(|(kind, name)| *kind == key.0 && is_same(name, &key.1));
    let joined = after.iter().filter(|key| !has(&before, key)).map(|(kind, name)| Change::Joined(*kind, name.clone()));
    let left = before.iter().filter(|key| !has(&after, key)).map(|(kind, name)| Change::Left(*kind, name.clone()));
    let mut changes: Vec<Change> = joined.chain(left).collect();
    let groups = |metadata: &Metadata| {
        let count = metadata.key_groups.len();
        (count, needed(metadata.shamir_threshold, count))
    };
    if groups(old) != groups(new) {
        changes.push(Change::Groups);
    }
    if !old.has_rule_of(new) {
        changes.push(Change::Rule);
    }
    changes
}

/// Why a version cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadVersionError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A plaintext of which no dotenv file can be made.
    #[error(transparent)]
    Plaintext(#[from] PrepareError),
    /// Its keys make no sense.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// It is not what its writer wrote.
    #[error(transparent)]
    NotAuthentic(#[from] DecryptError),
}
