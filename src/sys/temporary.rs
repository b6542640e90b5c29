//! The new file that is to take a target's place, until it does.
//!
//! Knows nothing of what is in it. Its one invariant: as long as it is not the target it has no name where the system can do that,
//! and else the name `.NAME.dotsops-RANDOM`, which is removed again; what a killed process left under such a name is known by nobody
//! holding its lock.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, fchmod, flock, linkat, open, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::atomic_write::ReplaceError;
use super::fault::fault_point;
use super::private_file::{create_private, random_hexadecimal};

/// A new file in the target's directory, removed on drop unless it took the target's place.
pub(super) struct Temporary<'a> {
    directory: &'a OwnedFd,
    target: &'a CString,
    /// What it is called so far.
    name: Option<CString>,
    /// The file, open to be written. Whoever has it locked is at work on it.
    pub(super) file: File,
}

/// What a new file is made as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// Without a name, so that nothing is left of it if this process is killed.
    Unnamed,
    /// With a temporary name, for systems that cannot do that.
    Named,
}

impl<'a> Temporary<'a> {
    /// Makes it; `None` if none can be made without a name. If it is not `private`, the umask decides its mode; what replaces a file
    /// gets that one's later.
    pub(super) fn create(
        directory: &'a OwnedFd,
        target: &'a CString,
        private: bool,
        made: Made,
    ) -> Result<Option<Self>, ReplaceError> {
        let created = match made {
            Made::Unnamed => create_unnamed(directory, private).map(|file| file.map(|file| (None, file))),
            Made::Named => create_named(directory, target, private).map(|(name, file)| Some((Some(name), file))),
        };
        match created {
            Ok(created) => Ok(created.map(|(name, file)| Self { directory, target, name, file })),
            Err(error) => match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Err(ReplaceError::DirectoryNotWritable(error))
                }
                _ => Err(ReplaceError::Io(error)),
            },
        }
    }

    /// Gives it the target's name, which something else has now; `false` if it cannot be given a name at all.
    pub(super) fn replace_target(&mut self) -> Result<bool, ReplaceError> {
        let name = match self.name.take() {
            Some(name) => name,
            None => {
                let name = temporary_name(self.target)?;
                if !link(&self.file, self.directory, &name)? {
                    return Ok(false);
                }
                name
            }
        };
        let name: &CString = self.name.insert(name);
        fault_point!(Named);
        renameat(self.directory, name, self.directory, self.target).map_err(|error| match error {
            Errno::BUSY => ReplaceError::MountPoint,
            Errno::ISDIR => ReplaceError::NotRegular,
            // In a directory with the sticky bit only the owner may replace a file.
            Errno::PERM | Errno::ACCESS => ReplaceError::DirectoryNotWritable(error.into()),
            other => other.into(),
        })?;
        self.name = None;
        Ok(true)
    }

    /// Gives it the target's name only if nothing has that name; `false` if it cannot be given a name at all.
    pub(super) fn become_target(&mut self) -> Result<bool, ReplaceError> {
        let Some(name) = &self.name else {
            return link(&self.file, self.directory, self.target);
        };
        fault_point!(Named);
        let exists_or = |error| match error {
            Errno::EXIST => ReplaceError::Exists,
            other => ReplaceError::from(other),
        };
        match rename_exclusively(self.directory, name, self.target) {
            Ok(()) => self.name = None,
            // A file system without exclusive rename: a link is exclusive too, and the temporary name goes on drop.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                linkat(self.directory, name, self.directory, self.target, AtFlags::empty()).map_err(exists_or)?;
            }
            Err(other) => return Err(exists_or(other)),
        }
        Ok(true)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlinkat(self.directory, name, AtFlags::empty());
        }
    }
}

/// Removes what killed processes left beside `target`: it never became the target. What another process is still writing stays,
/// and so does what cannot be removed.
pub(super) fn remove_leftovers(directory: &OwnedFd, target: &CString) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        if is_leftover(OsStr::from_bytes(entry.file_name().to_bytes()), OsStr::from_bytes(target.to_bytes())) {
            let _ = remove_leftover(directory, entry.file_name());
        }
    }
}

/// The same beside many targets, which are absolute and without links: each of their folders is read once.
pub fn remove_all_leftovers<'a>(targets: impl Iterator<Item = &'a Path>) {
    let mut folders: HashMap<&Path, HashSet<Vec<u8>>> = HashMap::new();
    for target in targets {
        if let (Some(folder), Some(name)) = (target.parent(), target.file_name()) {
            folders.entry(folder).or_default().insert(temporary_prefix(name.as_bytes()));
        }
    }
    for (folder, prefixes) in folders {
        let opened = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let Ok((directory, entries)) =
            opened.and_then(|directory| Dir::read_from(&directory).map(|entries| (directory, entries)))
        else {
            continue;
        };
        for entry in entries.flatten() {
            if random_part(entry.file_name().to_bytes()).is_some_and(|(prefix, _)| prefixes.contains(prefix)) {
                let _ = remove_leftover(&directory, entry.file_name());
            }
        }
    }
}

fn remove_leftover(directory: &OwnedFd, name: &std::ffi::CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(openat(directory, name, flags, Mode::empty())?);
    // Held until the name is gone, so whoever has just made the file sees that it is lost.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    fault_point!(LeftoverRemove);
    match file.metadata()?.is_file() {
        true => Ok(unlinkat(directory, name, AtFlags::empty())?),
        false => Ok(()),
    }
}

/// `None` where a file without a name cannot be made, or could not be given one.
#[cfg(target_os = "linux")]
pub(super) fn create_unnamed(directory: &OwnedFd, private: bool) -> io::Result<Option<File>> {
    let create = || {
        fault_point!(NewUnnamed);
        // Its name will come from there.
        rustix::fs::accessat(CWD, c"/proc/self/fd", rustix::fs::Access::EXISTS, AtFlags::empty())?;
        let mode = Mode::from_raw_mode(if private { 0o600 } else { 0o666 });
        let file = openat(directory, c".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode)?;
        if private {
            fchmod(&file, mode)?;
        }
        // For the moment in which it will have a temporary name.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(File::from(file))
    };
    match create() {
        Ok(file) => Ok(Some(file)),
        Err::<_, io::Error>(error) => match Errno::from_io_error(&error) {
            Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn create_unnamed(_directory: &OwnedFd, _private: bool) -> io::Result<Option<File>> {
    Ok(None)
}

fn create_named(directory: &OwnedFd, target: &CString, private: bool) -> io::Result<(CString, File)> {
    loop {
        fault_point!(NewNamed);
        let name = temporary_name(target)?;
        let file = File::from(if private {
            create_private(directory, &name)?
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(directory, &name, flags, Mode::from_raw_mode(0o666))?
        });
        // Some network file systems have no locks; there nobody can take it for a leftover either.
        let is_taken = flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
        if !is_taken && file.metadata()?.nlink() > 0 {
            return Ok((name, file));
        }
    }
}

/// Gives a file without a name the name `name`; `false` if the system gives names to no such file.
fn link(file: &File, directory: &OwnedFd, name: &CString) -> Result<bool, ReplaceError> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = || -> io::Result<()> {
        fault_point!(Link);
        Ok(linkat(CWD, path, directory, name, AtFlags::SYMLINK_FOLLOW)?)
    };
    match linked() {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::EXIST) => Err(ReplaceError::Exists),
            // Whatever else keeps it from that will keep a file with a name from its place too, and is told then.
            Some(Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                Ok(false)
            }
            _ => Err(ReplaceError::Io(error)),
        },
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_exclusively(directory: &OwnedFd, from: &CString, to: &CString) -> Result<(), Errno> {
    rustix::fs::renameat_with(directory, from, directory, to, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_exclusively(_directory: &OwnedFd, _from: &CString, _to: &CString) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

fn temporary_name(target: &CString) -> io::Result<CString> {
    let mut name = temporary_prefix(target.as_bytes());
    name.extend_from_slice(random_hexadecimal::<8>()?.as_bytes());
    Ok(CString::new(name)?)
}

/// What the names of the temporary files of `target` begin with; 16 hexadecimal digits follow.
fn temporary_prefix(target: &[u8]) -> Vec<u8> {
    // The longest name most file systems allow is 255 bytes.
    let kept = target.len().min(255 - ".".len() - ".dotsops-".len() - 16);
    [b".", &target[..kept], b".dotsops-"].concat()
}

/// Whether `name` is one that a new file for `target` has for a moment.
fn is_leftover(name: &OsStr, target: &OsStr) -> bool {
    random_part(name.as_bytes()).is_some_and(|(prefix, _)| prefix == temporary_prefix(target.as_bytes()))
}

/// The 16 hexadecimal digits at the end of `name`, and what is before them.
fn random_part(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let parts = name.split_at_checked(name.len().checked_sub(16)?)?;
    parts.1.iter().all(u8::is_ascii_hexdigit).then_some(parts)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    fn folder() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let opened = open(folder.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        (folder, opened)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_takes_no_name_that_is_taken_and_is_gone_without_one() {
        let (folder, directory) = folder();
        let target = c"a.env".into();
        for made in [Made::Unnamed, Made::Named] {
            // Where no file can be without a name, there is nothing to prove about one.
            let Some(mut first) = Temporary::create(&directory, &target, true, made).unwrap() else { continue };
            let mut second = Temporary::create(&directory, &target, true, made).unwrap().unwrap();
            assert!(first.become_target().unwrap());
            assert!(matches!(second.become_target(), Err(ReplaceError::Exists)));
            drop((first, second));
            assert_eq!(names(folder.path()), ["a.env"]);
            assert_eq!(fs::metadata(folder.path().join("a.env")).unwrap().permissions().mode() & 0o7777, 0o600);
            let mut third = Temporary::create(&directory, &target, true, made).unwrap().unwrap();
            assert!(third.replace_target().unwrap());
            drop(third);
            assert_eq!(names(folder.path()), ["a.env"]);
            fs::remove_file(folder.path().join("a.env")).unwrap();
        }
    }

    #[test]
    fn leftovers_go_and_what_is_being_written_or_is_somebody_elses_stays() {
        let (folder, directory) = folder();
        let target: CString = c"prod.env".into();
        let writing = Temporary::create(&directory, &target, true, Made::Named).unwrap().unwrap();
        let of_writer = names(folder.path());
        let left = ".prod.env.dotsops-0123456789abcdef";
        fs::write(folder.path().join(left), b"half").unwrap();
        let linked = ".prod.env.dotsops-0123456789abcde0";
        symlink("prod.env", folder.path().join(linked)).unwrap();
        let others = [".x.env.dotsops-0123456789abcdef", ".prod.env.dotsops-0123", "prod.env"];
        for other in others {
            fs::write(folder.path().join(other), b"other").unwrap();
        }
        remove_leftovers(&directory, &target);
        let mut kept: Vec<String> = others.iter().map(|name| name.to_string()).collect();
        kept.extend(of_writer);
        kept.push(linked.to_owned());
        kept.sort();
        assert_eq!(names(folder.path()), kept);
        drop(writing);
    }

    #[test]
    fn leftovers_beside_many_files_go_in_one_go_and_no_others() {
        let (folder, _) = folder();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let random = "dotsops-0123456789abcdef";
        let all = [".a.env", ".b.env", "sub/.a.env", ".c.env", "sub/.b.env"].map(|name| format!("{name}.{random}"));
        for name in &all {
            fs::write(folder.path().join(name), b"half").unwrap();
        }
        let targets = ["a.env", "b.env", "sub/a.env", "none/a.env"].map(|name| folder.path().join(name));
        remove_all_leftovers(targets.iter().map(PathBuf::as_path));
        let kept: Vec<bool> = all.iter().map(|name| folder.path().join(name).exists()).collect();
        assert_eq!(kept, [false, false, false, true, true]);
    }

    #[test]
    fn leftovers_are_known_by_their_name() {
        let is = |name: &str| is_leftover(OsStr::new(name), OsStr::new("prod.env"));
        assert!(is(".prod.env.dotsops-0123456789abcdef"));
        for other in [
            ".prod.env.dotsops-0123456789abcde",
            "prod.env",
            ".prod.env.dotsops-0123456789abcdeg",
            ".x.env.dotsops-0123456789abcdef",
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
