//! Replaces a file whole or not at all, keeping its mode, owner, group, access list and label.
//!
//! Knows nothing of what is in it. Its one invariant: up to the rename the target is untouched and after it complete; at no time is
//! it missing, cut short or half of each. It is longer than most files here for the sake of its tests.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open, openat};
use rustix::io::Errno;

use super::attributes::keep_attributes;
use super::fault::{fault_point, write_through};
use super::file_lock::resolve;
use super::file_systems::CAN_SYNC_TOGETHER;
use super::regular_file::{FileBytes, FileDigest, ReadError, has_digest, holds, refused};
use super::temporary::{Made, Temporary, remove_leftovers};
use crate::secret::SecretBytes;

/// What the target must be at the moment it is replaced.
#[derive(Clone, Copy)]
pub enum Expected<'a> {
    /// A file with exactly these bytes: those it had when the change began.
    Bytes(&'a [u8]),
    /// The same, where those are not kept.
    Digest(&'a FileDigest),
    /// Not there.
    Absent,
    /// Either, with any bytes.
    Whatever,
}

/// What to do about a file whose mode forbids its owner to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// Refuse it.
    Refuse,
    /// Replace it all the same, keeping that mode.
    Replace,
}

/// Replaces `target` by a file with `bytes`, which must be no plaintext: a new file gets the mode the umask gives.
///
/// If `target` is a symbolic link, the file it leads to is replaced and the link stays. Only the moment between the last look at
/// the target and the rename is open to programs that do not take [`super::file_lock::FileLock`].
///
/// # Errors
/// [`ReplaceError`], about `target`. Except for [`ReplaceError::NotDurable`] the target is as it was and nothing is left beside it.
pub fn replace(target: &Path, bytes: &[u8], expected: Expected<'_>, read_only: ReadOnly) -> Result<(), ReplaceError> {
    Replacement { bytes, expected, read_only, private: false, when: Durable::Now }.perform(target).map(drop)
}

/// The same, for one of many files that are put on the disk together, by [`super::file_systems::FileSystems::sync`]; what killed
/// processes left beside them is to be removed together as well, by [`super::temporary::remove_all_leftovers`].
///
/// Until then a power cut may leave the new name with an empty file, or one that has zeros in it. The old file is given back: its space is
/// free when it is dropped, which can take the system longer than everything else.
///
/// # Errors
/// As for [`replace`].
pub fn replace_one_of_many(
    target: &Path,
    bytes: &[u8],
    expected: Expected<'_>,
    read_only: ReadOnly,
) -> Result<Option<File>, ReplaceError> {
    Replacement { bytes, expected, read_only, private: false, when: Durable::Later }.perform(target)
}

/// Writes plaintext to `target`: a new file gets mode 0600, one that is there is replaced and keeps its mode.
///
/// # Errors
/// As for [`replace`].
pub fn write_private(target: &Path, bytes: &SecretBytes, read_only: ReadOnly) -> Result<(), ReplaceError> {
    Replacement { bytes: bytes.expose(), expected: Expected::Whatever, read_only, private: true, when: Durable::Now }
        .perform(target)
        .map(drop)
}

/// Writes a secret to `target`, which must not be there yet, with mode 0600.
///
/// # Errors
/// As for [`replace`]; [`ReplaceError::Exists`] if something is there.
pub fn write_new_private(target: &Path, bytes: &SecretBytes) -> Result<(), ReplaceError> {
    let bytes = bytes.expose();
    Replacement { bytes, expected: Expected::Absent, read_only: ReadOnly::Refuse, private: true, when: Durable::Now }
        .perform(target)
        .map(drop)
}

/// Tells in advance what [`replace`] would refuse about a file that is there: other names for it, a mode that forbids writing.
///
/// # Errors
/// [`ReplaceError::HardLinked`] and [`ReplaceError::ReadOnly`].
pub fn check_replaceable(file: &FileBytes, read_only: ReadOnly) -> Result<(), ReplaceError> {
    match file {
        FileBytes { links, .. } if *links > 1 => Err(ReplaceError::HardLinked { links: *links }),
        FileBytes { mode, .. } if mode & 0o200 == 0 && read_only == ReadOnly::Refuse => {
            Err(ReplaceError::ReadOnly { mode: *mode })
        }
        _ => Ok(()),
    }
}

/// Tells in advance whether the directory of `target` takes new files.
///
/// # Errors
/// [`ReplaceError::DirectoryNotWritable`], [`ReplaceError::DanglingLink`], or the system's if there is no such directory.
pub fn check_directory(target: &Path) -> Result<(), ReplaceError> {
    let resolved = resolve_target(target)?;
    let directory = resolved.parent().ok_or(ReplaceError::NotRegular)?;
    accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|error| ReplaceError::DirectoryNotWritable(error.into()))
}

fn resolve_target(target: &Path) -> Result<PathBuf, ReplaceError> {
    resolve(target).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if target.is_symlink() => ReplaceError::DanglingLink,
        _ => ReplaceError::Io(error),
    })
}

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// Its bytes are not the expected ones.
    #[error("the file was changed by someone else meanwhile")]
    Changed,
    /// It was expected, and is not there.
    #[error("the file was removed by someone else meanwhile")]
    Gone,
    /// It was not expected, and is there.
    #[error("the file exists already")]
    Exists,
    /// It is a directory, a pipe, a device or a socket.
    #[error("not a regular file")]
    NotRegular,
    /// It is a symbolic link to nothing.
    #[error("a symbolic link to a file that does not exist")]
    DanglingLink,
    /// It has other names, which would go on leading to the old file.
    #[error("has {links} hard links")]
    HardLinked {
        /// How many names it has.
        links: u64,
    },
    /// Its mode forbids writing.
    #[error("read-only (mode {mode:04o})")]
    ReadOnly {
        /// Its permission bits.
        mode: u32,
    },
    /// The new file could not be given what the old one has.
    #[error("its {what} cannot be kept")]
    CannotKeep {
        /// `mode`, `owner and group`, `access control list` or `security label`.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// It is mounted by itself (as a container's single file), so no other file can take its place.
    #[error("a mount point: it can be written, but not replaced")]
    MountPoint,
    /// No file can be made in its directory.
    #[error("its directory cannot be written")]
    DirectoryNotWritable(#[source] io::Error),
    /// The file is replaced, but the system did not confirm that the new name would survive a power cut.
    #[error("replaced, but its directory could not be synced")]
    NotDurable(#[source] io::Error),
    /// The system's reason.
    #[error("cannot be written")]
    Io(#[from] io::Error),
}

impl From<Errno> for ReplaceError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<ReadError> for ReplaceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => Self::Gone,
            ReadError::NotRegular => Self::NotRegular,
            // Nothing we read was larger, so it is another file now.
            ReadError::TooLarge { .. } => Self::Changed,
            ReadError::Io(error) => Self::Io(error),
        }
    }
}

struct Replacement<'a> {
    bytes: &'a [u8],
    expected: Expected<'a>,
    read_only: ReadOnly,
    private: bool,
    when: Durable,
}

/// What became of a new file.
enum Placed {
    /// It is the target; this is the old one.
    As(Option<File>),
    /// It was made without a name, and cannot be given one here.
    Nowhere,
}

/// When a new file is safe from a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Now,
    Later,
}

impl Replacement<'_> {
    /// Gives back the old file, if there was one.
    fn perform(&self, target: &Path) -> Result<Option<File>, ReplaceError> {
        let resolved = resolve_target(target)?;
        let (Some(parent), Some(name)) = (resolved.parent(), resolved.file_name()) else {
            return Err(ReplaceError::NotRegular);
        };
        let directory = open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = CString::new(name.as_bytes()).map_err(io::Error::from)?;

        if self.when == Durable::Now {
            remove_leftovers(&directory, &name);
        }
        let old = match self.place(&directory, &name, Made::Unnamed)? {
            Placed::As(old) => old,
            Placed::Nowhere => match self.place(&directory, &name, Made::Named)? {
                Placed::As(old) => old,
                Placed::Nowhere => None,
            },
        };
        if self.is_synced() {
            sync_directory(&directory)?;
        }
        Ok(old)
    }

    /// Puts a new file in the target's place.
    fn place(&self, directory: &OwnedFd, name: &CString, made: Made) -> Result<Placed, ReplaceError> {
        let old = open_old(directory, name)?;
        self.check(old.as_ref().map(|(_, metadata)| metadata))?;

        let Some(mut new) = Temporary::create(directory, name, self.private || old.is_some(), made)? else {
            return Ok(Placed::Nowhere);
        };
        fault_point!(Reserve);
        reserve(&new.file, self.bytes.len() as u64)?;
        fault_point!(Reserved);
        write_through!(HalfWritten, &mut new.file, self.bytes)?;
        fault_point!(Written);
        if let Some((old, metadata)) = &old {
            keep_attributes(old, metadata, &new.file)?;
        }
        fault_point!(AttributesKept);
        if self.is_synced() {
            sync(&new.file)?;
        }
        fault_point!(Synced);

        if let Expected::Bytes(_) | Expected::Digest(_) = self.expected {
            let (file, metadata) = open_old(directory, name)?.ok_or(ReplaceError::Gone)?;
            let is_known = match self.expected {
                Expected::Bytes(base) => holds(&file, &metadata, base)?,
                Expected::Digest(digest) => has_digest(&file, &metadata, digest)?,
                Expected::Absent | Expected::Whatever => true,
            };
            if !is_known {
                return Err(ReplaceError::Changed);
            }
        }
        fault_point!(Compared);
        let is_placed = match &old {
            Some(_) => new.replace_target()?,
            None => new.become_target()?,
        };
        Ok(if is_placed { Placed::As(old.map(|(file, _)| file)) } else { Placed::Nowhere })
    }

    /// Whether this file is put on the disk by itself.
    fn is_synced(&self) -> bool {
        self.when == Durable::Now || !CAN_SYNC_TOGETHER
    }

    fn check(&self, old: Option<&Metadata>) -> Result<(), ReplaceError> {
        let old = match (self.expected, old) {
            (Expected::Absent, Some(_)) => return Err(ReplaceError::Exists),
            (Expected::Bytes(_) | Expected::Digest(_), None) => return Err(ReplaceError::Gone),
            (_, None) => return Ok(()),
            (_, Some(old)) => old,
        };
        let mode = old.mode() & 0o7777;
        if !old.is_file() {
            return Err(ReplaceError::NotRegular);
        }
        if old.nlink() > 1 {
            return Err(ReplaceError::HardLinked { links: old.nlink() });
        }
        // By mode, not by trying: root may write anything, and the mode tells what the owner wants.
        if mode & 0o200 == 0 && self.read_only == ReadOnly::Refuse {
            return Err(ReplaceError::ReadOnly { mode });
        }
        Ok(())
    }
}

fn open_old(directory: &OwnedFd, name: &CString) -> Result<Option<(File, Metadata)>, ReplaceError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            let metadata = file.metadata()?;
            Ok(Some((file, metadata)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(refused(error).into()),
    }
}

/// Reserves the space, so that a full disk is found before anything is written.
fn reserve(file: &File, length: u64) -> Result<(), ReplaceError> {
    #[cfg(target_os = "linux")]
    if length > 0 {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
            // Not every file system can; there the write will tell.
            Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, length);
    Ok(())
}

fn sync(file: &File) -> Result<(), ReplaceError> {
    // std asks macOS for F_FULLFSYNC here, as a plain fsync does not reach the disk there.
    Ok(file.sync_all()?)
}

fn sync_directory(directory: &OwnedFd) -> Result<(), ReplaceError> {
    let sync = || -> io::Result<()> {
        fault_point!(Renamed);
        match rustix::fs::fsync(directory) {
            // Some network file systems cannot sync a directory.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    sync().map_err(ReplaceError::NotDurable)?;
    fault_point!(kill DirectorySynced);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::super::testing::{in_own_process, make_pipe, own_process};
    use super::*;

    fn folder_with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("prod.env");
        fs::write(&target, bytes).unwrap();
        (folder, target)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let (folder, target) = folder_with(b"old");
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&target).unwrap();
        replace(&target, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse).unwrap();
        let after = fs::metadata(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(after.mode() & 0o7777, 0o640);
        assert_ne!(before.ino(), after.ino());
        assert_eq!(names(folder.path()), ["prod.env"]);
    }

    #[test]
    fn a_file_that_is_not_as_expected_is_untouched() {
        let (folder, target) = folder_with(b"theirs");
        let base = FileDigest::of(b"base");
        for expected in [Expected::Bytes(b"base"), Expected::Digest(&base)] {
            let refused = replace(&target, b"new", expected, ReadOnly::Refuse);
            assert!(matches!(refused, Err(ReplaceError::Changed)));
        }
        let refused = replace(&target, b"new", Expected::Absent, ReadOnly::Refuse);
        assert!(matches!(refused, Err(ReplaceError::Exists)));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        fs::remove_file(&target).unwrap();
        for expected in [Expected::Bytes(b"base"), Expected::Digest(&base)] {
            let refused = replace(&target, b"new", expected, ReadOnly::Refuse);
            assert!(matches!(refused, Err(ReplaceError::Gone)));
        }
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_file_is_known_again_by_its_digest() {
        let old = vec![b'x'; 200_000];
        let (_folder, target) = folder_with(&old);
        replace(&target, b"new", Expected::Digest(&FileDigest::of(&old)), ReadOnly::Refuse).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn whatever_is_there_is_replaced_when_that_was_asked_for() {
        let (_folder, target) = folder_with(b"theirs");
        replace(&target, b"new", Expected::Whatever, ReadOnly::Refuse).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_new_file_is_made_only_where_none_is() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.env");
        replace(&target, b"new", Expected::Absent, ReadOnly::Refuse).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        let other = folder.path().join("b.env");
        write_private(&other, &SecretBytes::copy_of(b"secret"), ReadOnly::Refuse).unwrap();
        assert_eq!(fs::metadata(&other).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["a.env", "b.env"]);
    }

    #[test]
    fn a_new_file_gets_the_mode_of_the_umask() {
        let test = "sys::atomic_write::tests::a_new_file_gets_the_mode_of_the_umask";
        in_own_process(test, || {
            rustix::process::umask(Mode::from_raw_mode(0o027));
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("a.env");
            replace(&target, b"new", Expected::Absent, ReadOnly::Refuse).unwrap();
            assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640);
        });
    }

    #[test]
    fn a_link_stays_and_the_file_it_leads_to_is_replaced() {
        let (folder, target) = folder_with(b"old");
        let link = folder.path().join("link");
        symlink("prod.env", &link).unwrap();
        replace(&link, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("prod.env"));
        fs::remove_file(&target).unwrap();
        let refused = replace(&link, b"new", Expected::Absent, ReadOnly::Refuse);
        assert!(matches!(refused, Err(ReplaceError::DanglingLink)));
    }

    #[test]
    fn hard_links_directories_and_pipes_are_refused() {
        let (folder, target) = folder_with(b"old");
        fs::hard_link(&target, folder.path().join("second")).unwrap();
        let refused = replace(&target, b"new", Expected::Whatever, ReadOnly::Replace);
        assert!(matches!(refused, Err(ReplaceError::HardLinked { links: 2 })));
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        for path in [folder.path(), &pipe] {
            assert!(matches!(replace(path, b"new", Expected::Whatever, ReadOnly::Refuse), Err(ReplaceError::NotRegular)));
        }
    }

    #[test]
    fn a_read_only_file_is_replaced_only_when_told_and_stays_read_only() {
        let (_folder, target) = folder_with(b"old");
        fs::set_permissions(&target, Permissions::from_mode(0o444)).unwrap();
        let refused = replace(&target, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse);
        assert!(matches!(refused, Err(ReplaceError::ReadOnly { mode: 0o444 })));
        replace(&target, b"new", Expected::Bytes(b"old"), ReadOnly::Replace).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o444);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named_as_the_reason() {
        if rustix::process::geteuid().is_root() {
            // Root may write everywhere, but not into a file system that makes no files.
            let refused = replace(Path::new("/proc/self/new"), b"new", Expected::Absent, ReadOnly::Refuse);
            assert!(refused.is_err());
            return;
        }
        let (folder, target) = folder_with(b"old");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
        let refused = replace(&target, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(refused, Err(ReplaceError::DirectoryNotWritable(_))));
    }

    #[test]
    fn owner_and_group_are_kept_or_the_change_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (_folder, target) = folder_with(b"old");
        std::os::unix::fs::chown(&target, Some(12345), Some(23456)).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o4750)).unwrap();
        replace(&target, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse).unwrap();
        let after = fs::metadata(&target).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (12345, 23456, 0o4750));
    }

    #[test]
    fn without_space_the_target_is_untouched() {
        let test = "sys::atomic_write::tests::without_space_the_target_is_untouched";
        // A limit on the size of files stands for a full disk; its signal is ignored, so that the write fails instead.
        let output = own_process(test, |command| {
            let program = command.get_program().to_owned();
            let arguments: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
            let environment: Vec<_> =
                command.get_envs().map(|(key, value)| (key.to_owned(), value.unwrap().to_owned())).collect();
            *command = std::process::Command::new("sh");
            command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]).arg(program).args(arguments).envs(environment);
        });
        let Some(output) = output else {
            let (folder, target) = folder_with(b"old");
            let refused = replace(&target, &[7; 100_000], Expected::Bytes(b"old"), ReadOnly::Refuse).unwrap_err();
            assert!(matches!(&refused, ReplaceError::Io(error) if error.kind() == io::ErrorKind::FileTooLarge), "{refused:?}");
            assert_eq!(fs::read(&target).unwrap(), b"old");
            assert_eq!(names(folder.path()), ["prod.env"]);
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn the_longest_name_still_gets_a_temporary_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("n".repeat(255));
        replace(&target, b"new", Expected::Absent, ReadOnly::Refuse).unwrap();
        replace(&target, b"newer", Expected::Bytes(b"new"), ReadOnly::Refuse).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
    }
}
