//! Brings files from what they have to what a log says, or back.
//!
//! Its one invariant: a file is replaced only while it is what it was found to be.

use std::path::PathBuf;

use super::log::{Entry, Log, Version};
use crate::ops::change::Durability;
use crate::sys::atomic_write::{Expected, ReadOnly, ReplaceError, replace_one_of_many};
use crate::sys::fault::fault_point;
use crate::sys::file_systems::{FileSystems, SetAside};
use crate::sys::letting_go::LettingGo;
use crate::sys::regular_file::FileDigest;
use crate::sys::temporary::remove_all_leftovers;

/// A change that is being made.
pub(super) struct Carrier {
    log: Log,
    /// What each file has now; `None` for one that is to be left alone.
    now: Vec<Option<FileDigest>>,
}

/// A change that was not made.
pub(super) struct Stopped {
    /// The number of the file that could not be replaced.
    pub at: usize,
    pub source: ReplaceError,
    /// Whether all files are as they were; where the log is if not.
    pub put_back: Result<(), PathBuf>,
}

/// To what the files are brought.
#[derive(Clone, Copy)]
enum Side {
    Old,
    New,
}

impl Side {
    fn of(self, entry: &Entry) -> &Version {
        match self {
            Self::Old => &entry.old,
            Self::New => &entry.new,
        }
    }
}

impl Carrier {
    /// One whose files are all as they were.
    pub fn new(log: Log) -> Self {
        let now = log.entries.iter().map(|entry| Some(entry.old.digest)).collect();
        Self::resume(log, now)
    }

    /// One whose files are as found.
    pub fn resume(log: Log, now: Vec<Option<FileDigest>>) -> Self {
        Self { log, now }
    }

    /// Replaces all files and drops the log. If one cannot be replaced, those before it are put back, into the room that was set aside for
    /// that; only if that fails too the log stays.
    pub fn carry(
        mut self,
        systems: &FileSystems,
        way_back: Vec<SetAside>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Durability, Stopped> {
        remove_all_leftovers(self.log.entries.iter().map(|entry| entry.path.as_path()));
        let (at, source) = match self.bring(Side::New, progress) {
            Ok(()) => {
                let is_durable = systems.sync().is_ok() & self.log.remove().is_ok();
                return Ok(if is_durable { Durability::Durable } else { Durability::NotConfirmed });
            }
            Err(stopped) => stopped,
        };
        drop(way_back);
        let log = self.log.path();
        // What a power cut would undo of it the log would do again: it is dropped last.
        let is_back = self.bring(Side::Old, &mut |_, _| {}).is_ok() && systems.sync().is_ok() && self.log.remove().is_ok();
        Err(Stopped { at, source, put_back: if is_back { Ok(()) } else { Err(log) } })
    }

    fn bring(&mut self, side: Side, progress: &mut dyn FnMut(usize, usize)) -> Result<(), (usize, ReplaceError)> {
        let count = self.now.len();
        let letting_go = LettingGo::of(count);
        for at in 0..count {
            progress(at, count);
            self.bring_one(at, side, &letting_go).map_err(|error| (at, error))?;
        }
        Ok(())
    }

    fn bring_one(&mut self, at: usize, side: Side, letting_go: &LettingGo) -> Result<(), ReplaceError> {
        let entry = &self.log.entries[at];
        let version = side.of(entry);
        let Some(now) = self.now[at].filter(|now| *now != version.digest) else { return Ok(()) };
        let next = || -> std::io::Result<_> {
            fault_point!(NextOfMany);
            self.log.bytes(version)
        };
        let bytes = next()?;
        let old = replace_one_of_many(&entry.path, bytes.expose(), Expected::Digest(&now), ReadOnly::Refuse)?;
        self.now[at] = Some(version.digest);
        old.into_iter().for_each(|old| letting_go.let_go(old));
        Ok(())
    }
}
