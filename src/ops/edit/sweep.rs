//! What killed edits left: looked for when the next one starts.
//!
//! Its one invariant: a text that was changed is never removed before it is in a draft, and nothing is touched whose process lives.

use std::path::{Path, PathBuf};

use super::draft::{Draft, DraftKey};
use super::draft_place::DraftPlace;
use super::error::EditError;
use super::meta::Meta;
use crate::keys::keyring::Keyring;
use crate::ops::change::Original;
use crate::ops::file::MAX_FILE;
use crate::secret::SecretBytes;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::file_lock::file_id;
use crate::sys::left_session::{LeftSession, left_sessions};
use crate::sys::regular_file::read_regular;
use crate::sys::scratch::Scratch;

/// What was found of an edit that was killed.
pub enum Found {
    /// Nothing had been saved in the editor; the plaintext is gone.
    Unchanged {
        /// The file that was edited.
        file: PathBuf,
    },
    /// What had been saved in the editor is still there, unencrypted: an edit of that file keeps it.
    Changed {
        /// The file that was edited.
        file: PathBuf,
    },
    /// Something is there, unencrypted, that can be made no draft of.
    Stuck {
        /// Where.
        session: PathBuf,
    },
    /// What had been saved in the editor is an encrypted draft now, or was one, and the plaintext is gone.
    Kept,
}

/// A session of a killed edit, whose text was changed.
pub struct Orphan {
    session: LeftSession,
    meta: Meta,
    text: SecretBytes,
    /// When the text was saved, in seconds since 1970.
    saved: i64,
}

/// Looks through `places`, removes what is no loss, tells what it found, and returns what is of the file `own`.
pub fn sweep(places: &[Scratch], own: Option<&Path>, tell: &mut dyn FnMut(&Found)) -> Vec<Orphan> {
    let own = own.and_then(|path| file_id(path).ok());
    let mut orphans = Vec::new();
    for session in places.iter().flat_map(left_sessions) {
        let path = session.path().to_owned();
        match judge(session) {
            Judged::Unchanged(file) => tell(&Found::Unchanged { file }),
            Judged::Stuck => tell(&Found::Stuck { session: path }),
            Judged::Changed(orphan) if own.is_some() && file_id(&orphan.meta.path).ok() == own => orphans.push(*orphan),
            Judged::Changed(orphan) => tell(&Found::Changed { file: orphan.meta.path }),
        }
    }
    orphans.sort_by_key(|orphan| orphan.saved);
    orphans
}

pub(super) enum Judged {
    /// It is wiped.
    Unchanged(PathBuf),
    Changed(Box<Orphan>),
    Stuck,
}

/// Wipes an unchanged session, and reads the text of a changed one.
pub(super) fn judge(session: LeftSession) -> Judged {
    let Some(meta) = Meta::read(&session.meta()) else { return Judged::Stuck };
    match session.text(&meta.text_name, MAX_FILE) {
        Ok((text, _)) if meta.began_with(text.expose()) => match session.wipe() {
            Ok(()) => Judged::Unchanged(meta.path),
            Err(_) => Judged::Stuck,
        },
        Ok((text, saved)) => Judged::Changed(Box::new(Orphan { session, meta, text, saved })),
        Err(_) => Judged::Stuck,
    }
}

impl Orphan {
    /// Makes a draft of the text, on what its edit began with, and wipes the session. If that cannot be done, the session stays.
    pub fn keep(self, keyring: &Keyring, drafts: &DraftPlace, now: u64) -> Found {
        let stuck = Found::Stuck { session: self.session.path().to_owned() };
        match self.is_kept(keyring, drafts, now) {
            Ok(true) if self.session.wipe().is_ok() => Found::Kept,
            _ => stuck,
        }
    }

    fn is_kept(&self, keyring: &Keyring, drafts: &DraftPlace, now: u64) -> Result<bool, EditError> {
        let Some(base) = self.base() else { return Ok(false) };
        let bytes = SecretBytes::copy_of(base.expose());
        let original = Original::open(&self.meta.path, bytes, self.meta.new_file, keyring)?;
        let data_key = original.document.data_key();
        if let Some(sealed) = drafts.read()? {
            let older = Draft::read(&sealed)?;
            if older.open(data_key).is_ok_and(|kept| kept.ct_eq(self.text.expose())) {
                return Ok(true);
            }
            // A draft that was made after the text was saved did not come out of this session.
            if i64::try_from(older.draft.time).is_ok_and(|time| time > self.saved) {
                return Ok(false);
            }
        }
        self.seal(base, &DraftKey::derive(data_key)?, drafts, now)
    }

    /// The same in the place of the edit itself, which has the key of its drafts at hand.
    pub(super) fn keep_with(self, key: &DraftKey, drafts: &DraftPlace, now: u64) -> Result<bool, EditError> {
        let sealed = drafts.read()?.unwrap_or_default();
        let is_there =
            Draft::read(&sealed).and_then(|draft| draft.open_with(key)).is_ok_and(|kept| kept.ct_eq(self.text.expose()));
        let is_kept = match (is_there, self.base()) {
            (true, _) => true,
            (false, Some(base)) => self.seal(base, key, drafts, now)?,
            (false, None) => false,
        };
        Ok(is_kept && self.session.wipe().is_ok())
    }

    fn seal(&self, base: SecretBytes, key: &DraftKey, drafts: &DraftPlace, now: u64) -> Result<bool, EditError> {
        let base = base.expose().to_vec();
        let draft =
            Draft { path: self.meta.path.clone(), base, new_file: self.meta.new_file, exposed: self.meta.exposed, time: now };
        Ok(matches!(drafts.keep(draft.seal(&self.text, key)?), Ok(()) | Err(ReplaceError::NotDurable(_))))
    }

    /// What the edit began with: it lies in the session, unless there was no space for it; then the file may still be the same.
    fn base(&self) -> Option<SecretBytes> {
        let is_it = |bytes: &SecretBytes| self.meta.is_of(bytes.expose());
        let file = || read_regular(&self.meta.path, MAX_FILE).ok().map(|file| file.bytes).filter(is_it);
        self.session.base(MAX_FILE).filter(is_it).or_else(file)
    }
}
