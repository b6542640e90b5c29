//! Many files replaced as one: all of them or none, whatever happens in between.
//!
//! The old and the new bytes of all files, which are ciphertexts, are on the disk in a log before the first file is replaced. That is the
//! moment from which the change is made: if a file cannot be replaced, those before it are put back, and if the process is killed, the
//! next one [finishes](recovery::recover) what it finds in the log. Its one invariant: at every moment each file has its old bytes or its
//! new ones, or what somebody else wrote there, which is never replaced.

mod carrier;
mod log;
pub mod recovery;

use std::io;
use std::path::{Path, PathBuf};

use self::carrier::{Carrier, Stopped};
use self::log::Log;
use super::change::{self, Durability};
use super::file::MAX_FILE;
use crate::secret::SecretBytes;
use crate::sys::atomic_write::{self, Expected, ReadOnly, ReplaceError};
use crate::sys::file_lock::{FileLock, LockError, acquire_all};
use crate::sys::file_systems::{FileSystems, SetAside};
use crate::sys::letting_go::MOST_WAITING;
use crate::sys::regular_file::{FileDigest, read_regular};

/// A file that is to be replaced, and by what.
pub struct Planned {
    /// The file as given, which is there.
    pub path: PathBuf,
    /// Its new bytes, which must be no plaintext.
    pub bytes: SecretBytes,
    /// What it must still be.
    pub before: FileDigest,
}

/// Replaces all of `files`, no two of which are the same file, or none. `verb` is the command that does it, for whoever finds it
/// interrupted; `progress` is told how many are replaced, and of how many.
///
/// One file alone is replaced as [`atomic_write::replace`] does it; without a state folder that is all that can be done.
///
/// # Errors
/// [`JournalError`]; but for [`JournalError::Torn`] every file is as it was.
pub fn replace_all(
    state: Option<&Path>,
    verb: &str,
    files: Vec<Planned>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Durability, JournalError> {
    let Some(state) = state else {
        return match files.as_slice() {
            [] => Ok(Durability::Durable),
            [only] => replace_one(only),
            several => Err(JournalError::NoState { files: several.len() }),
        };
    };
    let locked = acquire_all(state, files.iter().map(|file| file.path.as_path())).zip(&files);
    let locked = locked.map(|(lock, file)| lock.map_err(|source| JournalError::Lock { path: file.path.clone(), source }));
    let _locks: Vec<FileLock> = locked.collect::<Result<_, _>>()?;
    match files.as_slice() {
        [] => Ok(Durability::Durable),
        [only] => replace_one(only),
        several => replace_several(state, verb, several, progress),
    }
}

/// Where the logs are.
fn folder(state: &Path) -> PathBuf {
    state.join("journal")
}

fn replace_one(file: &Planned) -> Result<Durability, JournalError> {
    let replaced = atomic_write::replace(&file.path, file.bytes.expose(), Expected::Digest(&file.before), ReadOnly::Refuse);
    change::durability(replaced).map_err(|source| JournalError::NotReplaced { path: file.path.clone(), source, files: 1 })
}

fn replace_several(
    state: &Path,
    verb: &str,
    files: &[Planned],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Durability, JournalError> {
    let targets = files.iter().map(|file| {
        Target::of(file).map_err(|source| JournalError::NotReplaced { path: file.path.clone(), source, files: files.len() })
    });
    let targets = targets.collect::<Result<Vec<Target>, _>>()?;
    let room = |source| JournalError::NoRoom { source };
    let systems = FileSystems::of(targets.iter().map(|target| target.path.as_path())).map_err(room)?;
    let way_back = room_for(&targets, files, &systems).map_err(room)?;
    let pairs = targets.iter().zip(files).map(|(target, file)| (target.path.as_path(), &target.bytes, &file.bytes));
    let log = Log::write(&folder(state), verb, pairs).map_err(|source| JournalError::NoLog { folder: folder(state), source })?;

    Carrier::new(log).carry(&systems, way_back, progress).map_err(|Stopped { at, source, put_back }| {
        let path = files[at].path.clone();
        match put_back {
            Ok(()) => JournalError::NotReplaced { path, source, files: files.len() },
            Err(log) => JournalError::Torn { path, source, log },
        }
    })
}

/// A file as it is found before anything is replaced.
struct Target {
    /// Absolute, without links.
    path: PathBuf,
    bytes: SecretBytes,
    device: u64,
}

impl Target {
    /// Looks at all that can keep the file from being replaced.
    fn of(file: &Planned) -> Result<Self, ReplaceError> {
        let found = read_regular(&file.path, MAX_FILE)?;
        if FileDigest::of(found.bytes.expose()) != file.before {
            return Err(ReplaceError::Changed);
        }
        atomic_write::check_replaceable(&found, ReadOnly::Refuse)?;
        atomic_write::check_directory(&found.path)?;
        Ok(Self { path: found.path, device: found.device, bytes: found.bytes })
    }
}

/// Makes sure that there is room for all new files, and sets aside what the way back may take.
fn room_for(targets: &[Target], files: &[Planned], systems: &FileSystems) -> io::Result<Vec<SetAside>> {
    let mut devices: Vec<u64> = targets.iter().map(|target| target.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let mut aside = Vec::new();
    for device in devices {
        // A file stands beside the one it replaces until that is closed.
        let (mut all, mut largest, mut growth, mut shrinkage) = (0, 0, 0, 0);
        for (target, file) in targets.iter().zip(files).filter(|(target, _)| target.device == device) {
            let (old, new) = (in_blocks(target.bytes.len()), in_blocks(file.bytes.len()));
            all += old.max(new);
            largest = old.max(new).max(largest);
            growth += new.saturating_sub(old);
            shrinkage += old.saturating_sub(new);
        }
        let beside = all.min(largest * (MOST_WAITING as u64 + 1));
        let back = beside + shrinkage;
        aside.extend(systems.set_aside(device, back + beside + growth, back)?);
    }
    Ok(aside)
}

/// What a file of that many bytes takes on most disks.
fn in_blocks(bytes: usize) -> u64 {
    (bytes as u64).next_multiple_of(4096)
}

/// Why not all files were replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is nowhere to keep the log.
    #[error("{files} files cannot be replaced as one")]
    NoState {
        /// How many were to be replaced.
        files: usize,
    },
    /// Somebody edits a file. None was replaced.
    #[error("{} cannot be locked", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LockError,
    },
    /// There is no room for the new files beside the old ones. None was replaced.
    #[error("there is no room for the new files")]
    NoRoom {
        /// The system's reason.
        source: io::Error,
    },
    /// The log could not be written. No file was replaced.
    #[error("no log of the change can be written in {}", folder.display())]
    NoLog {
        /// Where it was to be.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be replaced, and every file is as it was: what had been replaced by then was put back.
    #[error("{} cannot be replaced", path.display())]
    NotReplaced {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReplaceError,
        /// How many were to be replaced.
        files: usize,
    },
    /// A file could not be replaced, and others that had been could not be put back. The log stays.
    #[error("{} cannot be replaced", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReplaceError,
        /// The log.
        log: PathBuf,
    },
}

#[cfg(test)]
mod tests;
