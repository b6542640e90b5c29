//! The log of a change that takes several steps: made, completed and removed by the process that makes the change, or found by another
//! one if that process was killed.
//!
//! Knows nothing of what is in it. Its one invariant: of all processes at most one has a log, and nothing is read through a link or from
//! a file that somebody else could have written; one that [is complete](LogFile::is_complete) was on the disk before it got its name.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fsync, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::fault::{fault_point, write_through};
use super::file_lock::create_private_directories;
use super::private_file::random_hexadecimal;

/// What the name of a log that is not complete ends with, behind 16 hexadecimal digits.
const UNFINISHED: &[u8] = b".new";

/// A log, locked. One that was made here and is not complete is removed on drop.
pub struct LogFile {
    directory: OwnedFd,
    folder: PathBuf,
    name: CString,
    is_complete: bool,
    was_found: bool,
    /// The log, open to be read and, until it is complete, to be written.
    pub file: File,
}

impl LogFile {
    /// Makes an empty one in `folder`, which is made, with mode 0700, if it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fault_point!(LogMake);
        loop {
            create_private_directories(folder)?;
            match Self::create_in(folder) {
                // Whoever removes the last log removes the folder too; and a log that has no lock yet is taken for one that was left.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(None) => {}
                Ok(Some(log)) => return Ok(log),
                Err(error) => return Err(error),
            }
        }
    }

    fn create_in(folder: &Path) -> io::Result<Option<Self>> {
        let directory = open_folder(folder)?;
        let name = CString::new([random_hexadecimal::<8>()?.as_bytes(), UNFINISHED].concat())?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&directory, &name, flags, Mode::RUSR | Mode::WUSR)?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if file.metadata()?.nlink() > 0 => {}
            Ok(()) => return Ok(None),
            // Whoever looks at it may leave it there, and then it would be taken for one that was left.
            Err(Errno::WOULDBLOCK) => {
                let _ = unlinkat(&directory, &name, AtFlags::empty());
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Some(Self { directory, folder: folder.to_owned(), name, is_complete: false, was_found: false, file }))
    }

    /// Adds `bytes` to it.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_through!(LogHalf, &mut self.file, bytes)
    }

    /// Puts it on the disk, and gives it the name of a complete one.
    ///
    /// # Errors
    /// The system's; it is as good as never made then.
    pub fn complete(&mut self) -> io::Result<()> {
        fault_point!(LogWritten);
        self.file.sync_all()?;
        fault_point!(LogSynced);
        let digits = &self.name.to_bytes()[..self.name.as_bytes().len() - UNFINISHED.len()];
        let name = CString::new(digits)?;
        renameat(&self.directory, &self.name, &self.directory, &name)?;
        self.name = name;
        fault_point!(LogNamed);
        fsync(&self.directory)?;
        self.is_complete = true;
        fault_point!(kill LogComplete);
        Ok(())
    }

    /// Whether it was completed.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(String::from_utf8_lossy(self.name.to_bytes()).as_ref())
    }

    /// Removes it for good, and the folder with the last one.
    ///
    /// # Errors
    /// The system's; it may be found again then.
    pub fn remove(self) -> io::Result<()> {
        fault_point!(LogDrop);
        unlinkat(&self.directory, &self.name, AtFlags::empty())?;
        fsync(&self.directory)?;
        // Not empty, if there are others.
        let _ = std::fs::remove_dir(&self.folder);
        fault_point!(kill LogDropped);
        Ok(())
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        if !self.is_complete && !self.was_found && unlinkat(&self.directory, &self.name, AtFlags::empty()).is_ok() {
            let _ = std::fs::remove_dir(&self.folder);
        }
        // A process that is just being started has a copy of the descriptor, and with it the lock.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The logs in `folder` whose processes are gone. Others, and what is no log of this user's own, are passed over.
pub fn abandoned_logs(folder: &Path) -> Vec<LogFile> {
    // The usual case: one call, and nothing is there.
    let Ok(directory) = open_folder(folder) else { return Vec::new() };
    let Ok(entries) = Dir::read_from(&directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| take(folder, entry.file_name()).ok().flatten()).collect()
}

fn take(folder: &Path, name: &CStr) -> io::Result<Option<LogFile>> {
    let is_digits = |name: &[u8]| name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit);
    let is_complete = match name.to_bytes() {
        complete if is_digits(complete) => true,
        other if other.strip_suffix(UNFINISHED).is_some_and(is_digits) => false,
        _ => return Ok(None),
    };
    let directory = open_folder(folder)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(openat(&directory, name, flags, Mode::empty())?);
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let metadata = file.metadata()?;
    let is_own = metadata.is_file() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    // Its process may have completed or removed it before the lock was ours.
    let is_there = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| found.st_ino == metadata.ino());
    if !is_own || !is_there || metadata.nlink() != 1 {
        return Ok(None);
    }
    Ok(Some(LogFile { directory, folder: folder.to_owned(), name: name.to_owned(), is_complete, was_found: true, file }))
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(folder, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_log_is_private_and_goes_with_its_folder() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("a/journal");
        assert!(abandoned_logs(&folder).is_empty());
        let mut log = LogFile::create(&folder).unwrap();
        log.write(b"text").unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(log.path()).unwrap().mode() & 0o777, 0o600);
        assert!(names(&folder)[0].ends_with(".new"));
        log.complete().unwrap();
        assert_eq!(names(&folder)[0].len(), 16);
        log.remove().unwrap();
        assert!(!folder.exists());
        drop(LogFile::create(&folder).unwrap());
        assert!(!folder.exists());
    }

    #[test]
    fn a_log_is_found_when_its_process_is_gone_and_not_before() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("journal");
        let mut log = LogFile::create(&folder).unwrap();
        log.write(b"text").unwrap();
        log.complete().unwrap();
        let unfinished = LogFile::create(&folder).unwrap();
        assert!(abandoned_logs(&folder).is_empty());
        // As a kill would: the files stay, and their locks go.
        let copies = [&log.path(), &unfinished.path()].map(|path| (path.clone(), fs::read(path).unwrap()));
        drop((log, unfinished));
        for (path, bytes) in &copies {
            let _ = fs::remove_file(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let mut found = abandoned_logs(&folder);
        found.sort_by_key(LogFile::is_complete);
        assert_eq!(found.iter().map(LogFile::is_complete).collect::<Vec<_>>(), [false, true]);
        let mut text = String::new();
        found[1].file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert!(abandoned_logs(&folder).is_empty(), "what somebody has is nobody else's");
    }

    #[test]
    fn what_is_none_of_ours_is_no_log() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("journal");
        fs::create_dir(&folder).unwrap();
        let name = |last: char| folder.join(format!("000000000000000{last}"));
        for last in ['1', '2', '3', '4'] {
            fs::write(name(last), b"text").unwrap();
        }
        fs::set_permissions(name('1'), fs::Permissions::from_mode(0o620)).unwrap();
        fs::hard_link(name('2'), folder.join("other")).unwrap();
        fs::remove_file(name('3')).unwrap();
        symlink(name('4'), name('3')).unwrap();
        fs::create_dir(name('5')).unwrap();
        let found: Vec<PathBuf> = abandoned_logs(&folder).iter().map(LogFile::path).collect();
        assert_eq!(found, [name('4')]);
        let link = state.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(abandoned_logs(&link).is_empty());
    }
}
