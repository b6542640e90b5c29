//! All drafts that are kept, and what of them can be told.
//!
//! Knows no words. Its one invariant: a draft is only looked at here, and of its text only names are told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::check::{self, Changes, Mistakes};
use super::draft::{self, Draft, DraftError, SealedDraft};
use super::draft_place::DraftPlace;
use crate::keys::keyring::Keyring;
use crate::ops::change::Original;
use crate::ops::file::MAX_FILE;
use crate::ops::merge::marks;
use crate::secret::SecretBytes;
use crate::sys::regular_file::{ReadError, read_regular};

/// A draft, of whichever file.
pub struct KeptDraft {
    /// Where it is kept.
    pub place: DraftPlace,
    /// The file it is a draft of: its absolute path when the edit began.
    pub file: PathBuf,
    /// When it was kept, in seconds since 1970.
    pub time: u64,
    /// What has become of that file since.
    pub standing: Standing,
    /// What the draft changes; `None` if no key opens it, or its text cannot be saved as it is.
    pub names: Option<Changes>,
    /// The names for which it has two values, of which the user has to choose one first.
    pub undecided: Vec<String>,
}

/// What lies among the drafts and cannot be told of.
pub struct Damaged {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub problem: NotRead,
}

/// What has become of a draft's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as it was.
    AsItWas,
    /// Somebody changed it.
    Changed,
    /// It is not there, or nothing that could be read.
    Gone,
    /// It was to be made, and is not there yet.
    NotMade,
}

impl KeptDraft {
    /// Whether it is the draft of `file`, an absolute path: the file that is there now, or one that was there under the same name.
    pub fn is_of(&self, state: &Path, file: &Path) -> bool {
        let is_there = DraftPlace::of(state, file).is_ok_and(|place| place.path() == self.place.path());
        is_there || self.file == file
    }
}

/// Every draft below the state folder `state`, the oldest first, and those of them that cannot be read. Names are told of those that
/// `keyring` opens.
///
/// # Errors
/// The system's, if the folder is there and cannot be read.
pub fn all(state: &Path, keyring: &Keyring) -> io::Result<(Vec<KeptDraft>, Vec<Damaged>)> {
    let (mut kept, mut damaged) = (Vec::new(), Vec::new());
    for path in paths(state)? {
        let place = DraftPlace::at(path.clone());
        match read(place, keyring) {
            Ok(Some(draft)) => kept.push(draft),
            Ok(None) => {}
            Err(problem) => damaged.push(Damaged { path, problem }),
        }
    }
    kept.sort_by(|one, other| (one.time, &one.file).cmp(&(other.time, &other.file)));
    Ok((kept, damaged))
}

/// How many drafts below `state` were kept for longer than `patience` at the time `now`. None of them is opened.
pub fn older_than(patience: Duration, state: &Path, now: SystemTime) -> usize {
    let age = |path: &PathBuf| now.duration_since(path.symlink_metadata().ok()?.modified().ok()?).ok();
    paths(state).unwrap_or_default().iter().filter(|path| age(path).is_some_and(|age| age > patience)).count()
}

/// What lies where drafts are kept, but for what is still being written.
fn paths(state: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(state.join(draft::file_name(""))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    let is_draft = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
    Ok(paths.into_iter().filter(is_draft).collect())
}

fn read(place: DraftPlace, keyring: &Keyring) -> Result<Option<KeptDraft>, NotRead> {
    let Some(sealed) = place.read()? else { return Ok(None) };
    let sealed = Draft::read(&sealed)?;
    let standing = match read_regular(&sealed.draft.path, MAX_FILE) {
        Ok(file) if !sealed.draft.new_file && file.bytes.ct_eq(&sealed.draft.base) => Standing::AsItWas,
        Ok(_) => Standing::Changed,
        Err(ReadError::NotFound) if sealed.draft.new_file => Standing::NotMade,
        Err(_) => Standing::Gone,
    };
    let (names, undecided) = names(&sealed, keyring).unzip();
    let Draft { path, time, .. } = sealed.draft;
    Ok(Some(KeptDraft { place, file: path, time, standing, names, undecided: undecided.unwrap_or_default() }))
}

/// What a draft changes, and what in it is not decided.
fn names(sealed: &SealedDraft, keyring: &Keyring) -> Option<(Changes, Vec<String>)> {
    let Draft { path, base, new_file, .. } = &sealed.draft;
    let original = Original::open(path, SecretBytes::copy_of(base), *new_file, keyring).ok()?;
    let Original { document, format, .. } = &original;
    let (text, before) = (sealed.open(document.data_key()).ok()?, original.text().ok()?);
    let checked = |text| check::check(text, &before, &document.tree, document.metadata(), None, *format);
    let (checked, undecided) = match checked(&text) {
        Err(Mistakes::Conflicts(undecided)) => {
            (checked(&marks::without(&text)), undecided.into_iter().filter_map(|conflict| conflict.name).collect())
        }
        checked => (checked, Vec::new()),
    };
    Some((check::changes(&document.tree, &checked.ok()?.tree), undecided))
}

/// Why what lies among the drafts cannot be told of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRead {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is no draft.
    #[error(transparent)]
    Draft(#[from] DraftError),
}
