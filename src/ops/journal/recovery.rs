//! What becomes of a change of many files whose process was killed.
//!
//! Its one invariant: only a file that still has its old bytes gets its new ones, or one that a power cut tore; whatever else is there by
//! now stays. Nothing is done while a file of the change is being edited.

use std::path::{Path, PathBuf};

use super::carrier::{Carrier, Stopped};
use super::folder;
use super::log::{Entry, Log};
use crate::ops::change::Durability;
use crate::ops::file::MAX_FILE;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::file_lock::{FileLock, LockError, acquire_all};
use crate::sys::file_systems::FileSystems;
use crate::sys::log_file::{LogFile, abandoned_logs};
use crate::sys::regular_file::{FileDigest, read_regular};

/// A change that was interrupted, and what became of it.
#[derive(Debug)]
pub enum Found {
    /// No file had been replaced yet, and none is.
    RolledBack,
    /// All files are replaced now.
    Finished {
        /// The command that was interrupted.
        verb: String,
        /// How many files it was about.
        files: usize,
        /// Those among them that somebody changed meanwhile: they stay as they are.
        left: Vec<PathBuf>,
    },
    /// A file cannot be replaced, and all of them are as they were.
    PutBack {
        /// The command that was interrupted.
        verb: String,
        /// How many files it was about.
        files: usize,
        /// That file.
        path: PathBuf,
        /// Why.
        source: ReplaceError,
        /// As for [`Self::Finished`].
        left: Vec<PathBuf>,
    },
    /// The files are as the interruption left them, and the next command tries again.
    Stuck {
        /// The command that was interrupted.
        verb: String,
        /// How many files it was about.
        files: usize,
        /// What it hangs on.
        path: PathBuf,
        /// Why.
        why: Stuck,
    },
    /// Nothing can be told of the change: its log is no such thing any more.
    Damaged {
        /// The log.
        log: PathBuf,
    },
}

/// Why a change can be neither finished nor rolled back for now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stuck {
    /// Somebody edits the file.
    #[error(transparent)]
    Lock(LockError),
    /// The file cannot be replaced, and others not be put back.
    #[error(transparent)]
    Replace(ReplaceError),
}

/// A change that was interrupted and that nobody has finished.
#[derive(Debug, PartialEq, Eq)]
pub struct Pending {
    /// The command that was interrupted.
    pub verb: String,
    /// How many files it is about.
    pub files: usize,
}

/// The changes that were interrupted when some of their files may have been replaced. Nothing is done about them; that nothing is there
/// costs one call to the system.
pub fn pending(state: &Path) -> Vec<Pending> {
    let logs = abandoned_logs(&folder(state)).into_iter().filter(LogFile::is_complete);
    let pending = |log: LogFile| Log::read(log).ok().map(|log| Pending { verb: log.verb.clone(), files: log.entries.len() });
    logs.filter_map(pending).collect()
}

/// Finishes what was interrupted, or rolls it back, and tells what it did.
pub fn recover(state: &Path, tell: &mut dyn FnMut(&Found)) {
    for log in abandoned_logs(&folder(state)) {
        if log.is_complete() {
            tell(&finish(state, log));
        } else {
            // If it stays it is told, and tried, again.
            let _ = log.remove();
            tell(&Found::RolledBack);
        }
    }
}

fn finish(state: &Path, log: LogFile) -> Found {
    let log = match Log::read(log) {
        Ok(log) => log,
        Err(damaged) => return Found::Damaged { log: damaged.path() },
    };
    let (verb, files) = (log.verb.clone(), log.entries.len());
    let paths: Vec<PathBuf> = log.entries.iter().map(|entry| entry.path.clone()).collect();
    let stuck = |at: usize, why| Found::Stuck { verb: verb.clone(), files, path: paths[at].clone(), why };

    let mut locks: Vec<Option<FileLock>> = Vec::new();
    for (at, lock) in acquire_all(state, paths.iter().map(PathBuf::as_path)).enumerate() {
        match lock {
            Ok(lock) => locks.push(Some(lock)),
            // Its folder is gone, or nobody can get there any more.
            Err(LockError::Io(_)) => locks.push(None),
            Err(error) => return stuck(at, Stuck::Lock(error)),
        }
    }
    let found = log.entries.iter().zip(&locks).map(|(entry, lock)| lock.as_ref().and_then(|_| as_found(&log, entry)));
    let now: Vec<Option<FileDigest>> = found.collect();
    let here = |at: &usize| now[*at].is_some();
    let left: Vec<PathBuf> = (0..now.len()).filter(|at| !here(at)).map(|at| paths[at].clone()).collect();
    let systems = match FileSystems::of((0..now.len()).filter(here).map(|at| paths[at].as_path())) {
        Ok(systems) => systems,
        Err(error) => return stuck(0, Stuck::Replace(error.into())),
    };
    match Carrier::resume(log, now).carry(&systems, Vec::new(), &mut |_, _| {}) {
        Ok(Durability::Durable | Durability::NotConfirmed) => Found::Finished { verb: verb.clone(), files, left },
        Err(Stopped { at, source, put_back: Ok(()) }) => {
            Found::PutBack { verb: verb.clone(), files, path: paths[at].clone(), source, left }
        }
        Err(Stopped { at, source, put_back: Err(_) }) => stuck(at, Stuck::Replace(source)),
    }
}

/// What the file has now, if it is the one that the change was about: its old bytes, its new ones, or what a power cut made of either.
fn as_found(log: &Log, entry: &Entry) -> Option<FileDigest> {
    let found = read_regular(&entry.path, MAX_FILE).ok().filter(|found| found.path == entry.path)?;
    let digest = FileDigest::of(found.bytes.expose());
    let is_torn = |version| log.bytes(version).is_ok_and(|whole| is_torn(found.bytes.expose(), whole.expose()));
    let versions = [&entry.old, &entry.new];
    (versions.iter().any(|version| version.digest == digest) || versions.into_iter().any(is_torn)).then_some(digest)
}

/// Whether `found` is what a power cut leaves of `whole` where a file's name reaches the disk before its bytes: a part of them, with zeros
/// in the place of others.
fn is_torn(found: &[u8], whole: &[u8]) -> bool {
    found.len() <= whole.len() && found.iter().zip(whole).all(|(found, whole)| [*whole, 0].contains(found))
}
