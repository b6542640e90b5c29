//! Sessions that processes left behind.
//!
//! Knows nothing of what their `meta` says. Its one invariant: only a session whose lock is free is touched, and while it is looked at,
//! its lock is held; nothing is removed but by [`LeftSession::wipe`], but for a session that never got a text.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};

use super::private_file::{BASE, LOCK, META, NEW, ReadBackError, Session, TEMPORARY, text_name};
use super::scratch::Scratch;
use super::wipe::names;
use crate::secret::SecretBytes;

/// More than any `meta` has.
const LARGEST_META: u64 = 64 << 10;

/// A session whose process is gone. It stays as it is unless it is wiped.
pub struct LeftSession(Session);

/// The sessions in `scratch` whose processes are gone; those that never got a text are removed.
pub fn left_sessions(scratch: &Scratch) -> Vec<LeftSession> {
    let Ok(names) = names(scratch.directory.as_fd()) else { return Vec::new() };
    let sessions = names.iter().filter(|name| name.to_bytes().starts_with(b"s-"));
    sessions.filter_map(|name| take_over(scratch, name).ok().flatten()).filter_map(LeftSession::unless_bare).collect()
}

/// Where the sessions in `scratch` are whose processes are gone. Nothing is touched.
pub fn abandoned_sessions(scratch: &Scratch) -> Vec<PathBuf> {
    let Ok(names) = names(scratch.directory.as_fd()) else { return Vec::new() };
    let is_abandoned = |name: &CStr| {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let directory = openat(&scratch.directory, name, flags | OFlags::DIRECTORY, Mode::empty())?;
        flock(openat(&directory, LOCK, flags, Mode::empty())?, FlockOperation::NonBlockingLockShared)
    };
    let sessions = names.iter().filter(|name| name.to_bytes().starts_with(b"s-") && is_abandoned(name).is_ok());
    sessions.map(|name| scratch.path.join(name.to_string_lossy().as_ref())).collect()
}

fn take_over(scratch: &Scratch, name: &CStr) -> io::Result<Option<LeftSession>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(&scratch.directory, name, flags, Mode::empty())?;
    let metadata = std::fs::File::from(directory.try_clone()?).metadata()?;
    if metadata.uid() != scratch.uid || metadata.mode() & 0o077 != 0 {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = match openat(&directory, LOCK, flags, Mode::empty()) {
        Ok(lock) => lock,
        Err(rustix::io::Errno::NOENT) => {
            // It was killed before there was a lock, and so before there was a text; what is not empty is not removed by this.
            let _ = unlinkat(&scratch.directory, name, AtFlags::REMOVEDIR);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let parent = OwnedFd::from(scratch.directory.try_clone()?);
    let name = name.to_string_lossy().into_owned();
    let path = scratch.path.join(&name);
    let uid = scratch.uid;
    Ok(Some(LeftSession(Session { scratch: parent, directory, name, path, text: CString::default(), uid, lock, over: true })))
}

impl LeftSession {
    /// The session at `path`, handed over with what it holds, as the first three of `descriptors`, which are taken out: to whom its
    /// process may leave it.
    ///
    /// # Errors
    /// That there are no three, or that `path` has no name.
    pub fn handed_over(descriptors: &mut Vec<OwnedFd>, path: PathBuf) -> io::Result<Self> {
        let mut next = || match descriptors.is_empty() {
            true => Err(io::Error::from(io::ErrorKind::InvalidData)),
            false => Ok(descriptors.remove(0)),
        };
        let (scratch, directory, lock) = (next()?, next()?, next()?);
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidData)?.to_owned();
        let uid = rustix::process::geteuid().as_raw();
        Ok(Self(Session { scratch, directory, name, path, text: CString::default(), uid, lock, over: true }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Its `meta`; empty if it has none that can be read.
    pub fn meta(&self) -> Vec<u8> {
        self.0.read(META, LARGEST_META).map(|(meta, _)| meta.expose().to_vec()).unwrap_or_default()
    }

    /// The bytes it began with, if they can be read.
    pub fn base(&self, limit: u64) -> Option<SecretBytes> {
        self.0.read(BASE, limit).ok().map(|(base, _)| base)
    }

    /// Its text, which is called `name`, at most `limit` bytes, and when it was changed, in seconds since 1970.
    ///
    /// # Errors
    /// [`ReadBackError`]; nothing is read then, through no link and from no pipe.
    pub fn text(&self, name: &str, limit: u64) -> Result<(SecretBytes, i64), ReadBackError> {
        self.0.read(&text_name(name)?, limit)
    }

    /// Overwrites and removes it with all that is in it.
    ///
    /// # Errors
    /// The first failure; everything else was wiped all the same.
    pub fn wipe(mut self) -> io::Result<()> {
        self.0.over = false;
        self.0.wipe()
    }

    /// Itself, unless nothing is in it but what is made before the text: then it is removed.
    pub fn unless_bare(self) -> Option<Self> {
        let directory = self.0.directory.as_fd();
        let is_ours = |name: &CString| {
            [LOCK, META, BASE, NEW].contains(&name.as_c_str())
                || name.to_bytes() == TEMPORARY.as_bytes() && self.is_empty_directory(name)
        };
        if !names(directory).is_ok_and(|names| names.iter().all(is_ours)) {
            return Some(self);
        }
        let _ = self.wipe();
        None
    }

    fn is_empty_directory(&self, name: &CStr) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.0.directory, name, flags, Mode::empty())
            .is_ok_and(|directory| names(directory.as_fd()).is_ok_and(|names| names.is_empty()))
    }
}
