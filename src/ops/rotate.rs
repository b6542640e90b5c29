//! A file under a new data key.
//!
//! Its one invariant: no token and no nonce of the old file is in the new one. It never fails over an oddity that reading tolerates.

use std::path::Path;

use time::UtcDateTime;

use super::change::{ChangeError, Original};
use super::departures::duplicates;
use super::encrypt;
use super::journal::Planned;
use super::new_file::{self, NewFileError};
use super::readers::{Reach, reach};
use crate::document::encrypt_new;
use crate::document::metadata::Metadata;
use crate::keys::age::recipient::{RecipientError, is_same};
use crate::keys::keyring::Keyring;
use crate::keys::quantum::weak_links;
use crate::keys::{Kind, new_master_key, shown};
use crate::secret::SecretBytes;
use crate::sys::regular_file::FileDigest;

/// Who shall be able to read a file besides, or no more.
#[derive(Default)]
pub struct Readers {
    /// age recipients to add, to the first key group.
    pub add: Vec<String>,
    /// age recipients to remove, from every key group.
    pub remove: Vec<String>,
}

/// A rotated file that is not written yet.
pub struct Rotated {
    /// The new file, read back.
    pub bytes: SecretBytes,
    /// What the user should know.
    pub facts: Vec<Fact>,
    /// How many master keys it is wrapped for.
    pub readers: usize,
    /// Whether none of the user's identities is among them, as far as that can be told.
    pub is_lost: bool,
    before: FileDigest,
}

/// Something to know about a rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum Fact {
    /// A recipient that was to be added is there already.
    Present(String),
    /// A recipient that was to be removed is none.
    Absent(String),
    /// Names that stand in the file several times.
    Duplicates(Vec<String>),
    /// Comments in clear, which are encrypted now like the others.
    ClearComments(usize),
    /// Comments in clear that only look like the marks of a merge. They are ordinary ones now.
    ClearMarks(usize),
    /// Classic recipients that undo what the post-quantum ones beside them are for, now that somebody was added.
    WeakLinks(Vec<String>),
}

/// Encrypts everything of a file afresh, under a new data key wrapped for its recipients and `readers`. `keyring` says what the user may
/// run for that.
///
/// # Errors
/// [`RotateError`]; nothing was written.
pub fn rotate(original: Original, readers: &Readers, keyring: &Keyring, now: UtcDateTime) -> Result<Rotated, RotateError> {
    let Original { bytes: before, document, clear_marks, format, .. } = original;
    let mut facts = Vec::new();
    if clear_marks > 0 {
        facts.push(Fact::ClearMarks(clear_marks));
    }
    if document.clear_comments > 0 {
        facts.push(Fact::ClearComments(document.clear_comments));
    }
    let (tree, mut metadata) = document.into_parts();
    let duplicates = duplicates(&tree);
    if !duplicates.is_empty() {
        facts.push(Fact::Duplicates(duplicates));
    }
    change_readers(&mut metadata, readers, &mut facts)?;
    if !readers.add.is_empty() {
        let weak = weak_links(&metadata.key_groups, metadata.shamir_threshold);
        let weak: Vec<String> = weak.iter().map(|key| key.recipient().to_owned()).collect();
        if !weak.is_empty() {
            facts.push(Fact::WeakLinks(weak));
        }
    }
    let readers = metadata.key_groups.iter().map(|group| group.keys.len()).sum();
    let is_lost = reach(&metadata, keyring) != Reach::Perhaps;
    let data_key = new_file::data_key(&mut metadata, keyring)?;
    let contents = encrypt_new(&tree, metadata, &data_key, now).map_err(ChangeError::from)?;
    // In a large file each of these is a part of what is in memory at most: what is not needed any more goes.
    let known = FileDigest::of(before.expose());
    let original = format.needs_original().then_some(before);
    let original_bytes = original.as_ref().map(SecretBytes::expose);
    let bytes = format.emit(&contents.tree, contents.metadata.as_ref(), original_bytes).map_err(ChangeError::from)?.shared();
    drop((contents, original));
    encrypt::read_back(&bytes, format, |written| written.says(&tree, &data_key)).map_err(ChangeError::from)?;
    Ok(Rotated { bytes, facts, readers, is_lost, before: known })
}

impl Rotated {
    /// The new file in the place of the old one at `path`, if that is still the one that was opened.
    pub fn planned(self, path: &Path) -> Planned {
        Planned { path: path.to_owned(), bytes: self.bytes, before: self.before }
    }
}

fn change_readers(metadata: &mut Metadata, readers: &Readers, facts: &mut Vec<Fact>) -> Result<(), RotateError> {
    for recipient in &readers.add {
        let key = new_master_key(Kind::Age, recipient)?;
        let mut keys = metadata.key_groups.iter().flat_map(|group| &group.keys);
        if keys.any(|there| is_same(there.recipient(), recipient)) {
            facts.push(Fact::Present(recipient.clone()));
        } else if let Some(first) = metadata.key_groups.first_mut() {
            first.keys.push(key);
        }
    }
    for recipient in &readers.remove {
        let mut was_there = false;
        for group in &mut metadata.key_groups {
            let before = group.keys.len();
            group.keys.retain(|key| key.kind() != Kind::Age || !is_same(key.recipient(), recipient));
            was_there |= group.keys.len() < before;
            if group.keys.is_empty() {
                return Err(RotateError::LastRecipient);
            }
        }
        if !was_there {
            facts.push(Fact::Absent(shown(recipient).to_owned()));
        }
    }
    Ok(())
}

/// Why a file was not rotated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The file cannot be opened to be changed, or not be encrypted.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// What was to be added is no recipient.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// Nobody, or nobody of a key group, would be left.
    #[error("nobody could read the file then")]
    LastRecipient,
    /// The new data key cannot be wrapped.
    #[error(transparent)]
    Wrap(#[from] NewFileError),
}
