//! Which names somebody could read, in git's history and in the files as they are.
//!
//! Names and recipients are not encrypted, so no key is needed and no value is looked at. Its one invariant: a version that cannot be
//! looked into is told, never taken for one that the person could not read.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::file::{MAX_FILE, parse_secret, variable_name};
use super::git::Repository;
use super::git::versions::{Commit, Span, is_named_dotenv};
use crate::document::EncryptedDocument;
use crate::document::metadata::Metadata;
use crate::format::dotenv::PREFIX;
use crate::format::{Syntax, detect};
use crate::keys::Kind;
use crate::keys::age::recipient::is_same;
use crate::keys::group::needed;
use crate::secret::SecretBytes;
use crate::tree::Key;

/// The largest file of another name than ours usually have that is looked into: a repository may be full of data.
const LARGEST_OTHER: u64 = 1 << 20;

/// How much of a history is looked into.
const MOST_READ: u64 = 1 << 30;

/// Whose names are looked for: all recipients of one person.
pub type Recipients<'a> = &'a [(Kind, String)];

/// What somebody could read.
#[derive(Debug, Default)]
pub struct Readable {
    /// The names of each file, by its path from the repository's topmost folder, under its latest name.
    pub files: BTreeMap<PathBuf, BTreeMap<String, Name>>,
    /// Versions that name the person, and that could not be read as the files they were. Their names are among the others as far as
    /// lines tell.
    pub damaged: Vec<At>,
    /// Versions in another syntax than dotenv that name the person, whose names are not known.
    pub foreign: Vec<At>,
    /// Versions that are too large, or not kept here.
    pub left_out: Vec<At>,
    /// Whether old commits are not known here, or too many to be looked at.
    pub is_cut_short: bool,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The path from the repository's topmost folder.
    pub path: PathBuf,
    /// The commit; `None` for the file as it is.
    pub commit: Option<String>,
}

/// What is known about one name.
#[derive(Debug, Default)]
pub struct Name {
    /// From when to when versions have it that the person could read; `None` if none was committed.
    pub span: Option<Span>,
    /// Whether the person's keys were enough; else it took those of another key group besides.
    pub alone: bool,
}

/// Looks through every version below `folder` that git keeps, of the paths that `is_meant`. `progress` is told how many of how many
/// were looked at.
///
/// # Errors
/// That git does not say.
pub fn readable(
    repository: &Repository,
    folder: &Path,
    person: Recipients<'_>,
    is_meant: &dyn Fn(&Path) -> bool,
    progress: &mut dyn FnMut(usize, usize),
) -> io::Result<Readable> {
    let versions = repository.versions(folder).ok_or_else(|| io::Error::other("git does not tell its history"))?;
    let mut found = Readable { is_cut_short: versions.is_cut_short, ..Readable::default() };
    let mut blobs: Vec<(&str, u64, &HashMap<PathBuf, Span>)> = Vec::new();
    for (blob, places) in &versions.blobs {
        let is_ours = |path: &PathBuf| is_named_dotenv(path) || is_named_dotenv(versions.latest_name(path));
        if places.keys().any(|path| is_meant(versions.latest_name(path))) {
            blobs.push((blob, if places.keys().any(is_ours) { MAX_FILE } else { LARGEST_OTHER }, places));
        }
    }
    // What is most probably ours is read before the limit is reached.
    blobs.sort_by_key(|(blob, largest, _)| (std::cmp::Reverse(*largest), *blob));
    let asked: Vec<(&str, u64)> = blobs.iter().map(|(blob, largest, _)| (*blob, *largest)).collect();
    let mut done = 0;
    repository.read_blobs(&asked, MOST_READ, |at, bytes| {
        let (_, largest, places) = blobs[at];
        let meant = places.iter().filter(|(path, _)| is_meant(versions.latest_name(path)));
        match bytes {
            Some(bytes) => {
                for (path, span) in meant {
                    found.add(&bytes, versions.latest_name(path), Some(span), person);
                }
            }
            // Large files of data are no loss.
            None if largest < MAX_FILE => {}
            None => found.left_out.extend(meant.map(|(path, span)| At::of(path, Some(span)))),
        }
        done += 1;
        progress(done, asked.len());
    })?;
    Ok(found)
}

impl Readable {
    /// Takes in one version of the file `path`: `bytes`, committed within `span` or not at all.
    pub fn add(&mut self, bytes: &SecretBytes, path: &Path, span: Option<&Span>, person: Recipients<'_>) {
        if !person.iter().any(|(_, recipient)| mentions(bytes.expose(), recipient)) {
            return;
        }
        match detect(bytes.expose()) {
            Some(Syntax::Dotenv) => {}
            // A text about keys.
            None => return,
            Some(_) => return self.foreign.push(At::of(path, span)),
        }
        let names = match parsed(path, bytes) {
            Some(document) => {
                let Some(alone) = can_open(&document.metadata, person) else { return };
                let entries = document.tree.documents.iter().flat_map(|document| document.entries());
                let with_value = entries.filter(|(_, value)| value.as_text().is_none_or(|text| !text.is_empty()));
                with_value.map(|(key, _)| (variable_name(key).into_owned(), alone)).collect()
            }
            None => {
                self.damaged.push(At::of(path, span));
                names_of_lines(bytes.expose())
            }
        };
        let file = self.files.entry(path.to_owned()).or_default();
        for (name, alone) in names {
            let known = file.entry(name).or_default();
            known.alone |= alone;
            if let Some(span) = span {
                let reach = known.span.get_or_insert_with(|| span.clone());
                reach.include(&span.first);
                reach.include(&span.last);
            }
        }
    }
}

impl At {
    fn of(path: &Path, span: Option<&Span>) -> Self {
        Self { path: path.to_owned(), commit: span.map(|Span { last: Commit { hash, .. }, .. }| hash.clone()) }
    }
}

/// Whether the file can be one of the recipient's. An SSH key may stand there with another comment.
fn mentions(bytes: &[u8], recipient: &str) -> bool {
    let key = recipient.split_whitespace().nth(1).unwrap_or(recipient);
    memmem::find(bytes, key.as_bytes()).is_some()
}

fn parsed(path: &Path, bytes: &SecretBytes) -> Option<EncryptedDocument> {
    let (_, contents) = parse_secret(path, bytes, Some(Syntax::Dotenv)).ok()?;
    EncryptedDocument::new(contents).ok()
}

/// Whether the person's keys are enough for the file; `None` if it has none of them.
fn can_open(metadata: &Metadata, person: Recipients<'_>) -> Option<bool> {
    let is_theirs = |kind, recipient: &str| person.iter().any(|(own, key)| *own == kind && is_same(key, recipient));
    let groups = &metadata.key_groups;
    let own = groups.iter().filter(|group| group.keys.iter().any(|key| is_theirs(key.kind(), key.recipient()))).count();
    (own > 0).then(|| own >= needed(metadata.shamir_threshold, groups.len()))
}

/// What stands before the first `=` of each line, whatever the rest is.
fn names_of_lines(bytes: &[u8]) -> Vec<(String, bool)> {
    let name = |line: &[u8]| {
        let (name, value) = line.split_at_checked(memchr::memchr(b'=', line)?)?;
        let is_ours = !name.is_empty() && value.len() > 1 && !name.starts_with(b"#") && !name.starts_with(PREFIX.as_bytes());
        is_ours.then(|| (variable_name(&Key::from(String::from_utf8_lossy(name).as_ref())).into_owned(), true))
    };
    bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter_map(name).collect()
}
