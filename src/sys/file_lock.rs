//! One writer per file.
//!
//! Knows nothing of what is written. Its one invariant: of all processes of this user on this machine at most one holds the
//! [`FileLock`] of a file, under whatever name it reached it, and the system frees it when that process ends, however it ends.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest, Sha256};

use super::fault::fault_point;

/// The right to write one file, held until it is dropped.
///
/// It is a lock on a file of our own in the state directory, never on the target: after a rename the target's name leads to a new
/// file, and two processes would each hold a lock on "it". It is advisory; other programs are caught by comparing bytes.
#[derive(Debug)]
pub struct FileLock {
    /// Held: closing it, here and wherever it was handed to, frees the lock. Close-on-exec, or the editor would keep it after us.
    file: File,
}

impl FileLock {
    /// Takes the lock of `target` without waiting. `state` is made, with mode 0700, if it is missing.
    ///
    /// # Errors
    /// [`LockError::Busy`] if another process holds it, [`LockError::State`] if `state` cannot be used, [`LockError::Io`] if the
    /// directory of `target` cannot.
    pub fn acquire(state: &Path, target: &Path) -> Result<Self, LockError> {
        fault_point!(LockTake);
        let unusable = |source| LockError::State { path: state.to_owned(), source };
        let locks = state.join("locks");
        create_private_directories(&locks).map_err(unusable)?;
        let path = locks.join(file_id(target)?);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = open(&path, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(opened.map_err(|error| unusable(error.into()))?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Holder::read(&mut file).into()),
            Err(error) => return Err(unusable(error.into())),
        }
        // The file stays when the lock is freed: removing it would let two processes lock two files of one name.
        // Not emptied first: some file systems put a file that was emptied and written anew on the disk when it is closed.
        let line = Holder::this_process().to_line();
        file.write_all(line.as_bytes()).and_then(|()| file.set_len(line.len() as u64)).map_err(unusable)?;
        fault_point!(LockTaken);
        Ok(Self { file })
    }

    /// What holds it, for a process that is to hold it too.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Takes the locks of many files, one after the other, each as [`FileLock::acquire`] does.
pub fn acquire_all<'a>(
    state: &'a Path,
    targets: impl ExactSizeIterator<Item = &'a Path>,
) -> impl Iterator<Item = Result<FileLock, LockError>> {
    allow_open_files(targets.len() as u64);
    targets.map(|target| FileLock::acquire(state, target))
}

/// Each lock is an open file, and a process may usually have 1,024 of them unless it asks for more.
fn allow_open_files(more: u64) {
    const OTHERS: u64 = 128;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Some(now) = current.filter(|now| *now < more + OTHERS) {
        let wanted = maximum.map_or(more + OTHERS, |most| most.min(more + OTHERS)).max(now);
        // Without it the locks tell that there are too many.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// A name for the file `target` that is the same under every path to it, and fit to be a file name: 64 hexadecimal digits.
///
/// It is the SHA-256 of device and inode of the resolved parent directory (8 bytes each, little-endian) and the base name. The
/// file itself need not exist, and may be replaced by another.
///
/// # Errors
/// The system's, if the directory of `target` cannot be found.
pub fn file_id(target: &Path) -> io::Result<String> {
    let resolved = resolve(target)?;
    // An absolute path with a name in it has a parent.
    let (Some(parent), Some(name)) = (resolved.parent(), resolved.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = parent.metadata()?;
    let digest = Sha256::new()
        .chain_update(parent.dev().to_le_bytes())
        .chain_update(parent.ino().to_le_bytes())
        .chain_update(name.as_bytes())
        .finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the directory `path` and those above it that are missing, each with mode 0700 whatever the umask.
///
/// # Errors
/// The system's.
pub fn create_private_directories(path: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.is_dir();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) if folder.metadata()?.mode() & 0o700 != 0o700 => fs::set_permissions(folder, Permissions::from_mode(0o700))?,
            // Another process may have been faster.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The absolute path of `target` without symbolic links; its last part may be missing, but not be a link to nothing.
pub(super) fn resolve(target: &Path) -> io::Result<PathBuf> {
    match target.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && target.symlink_metadata().is_err() => {
            let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(parent.canonicalize()?.join(name))
        }
        resolved => resolved,
    }
}

/// Why a file could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process is writing it. What is not known is `None`.
    #[error("in use by another dotsops{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Busy {
        /// That process.
        pid: Option<u32>,
        /// When it took the lock.
        since: Option<SystemTime>,
        /// Its terminal, e.g. `/dev/pts/3`.
        terminal: Option<String>,
    },
    /// The state directory cannot be used.
    #[error("{} cannot be used", path.display())]
    State {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory of the file cannot be used.
    #[error("cannot be locked")]
    Io(#[from] io::Error),
}

impl From<Holder> for LockError {
    fn from(holder: Holder) -> Self {
        Self::Busy { pid: holder.pid, since: holder.since, terminal: holder.terminal }
    }
}

/// Who holds a lock, as its file says: `PID SECONDS TERMINAL`, or `-` for no terminal.
struct Holder {
    pid: Option<u32>,
    since: Option<SystemTime>,
    terminal: Option<String>,
}

impl Holder {
    fn this_process() -> Self {
        let name = |found: rustix::io::Result<std::ffi::CString>| found.ok().map(|name| name.to_string_lossy().into_owned());
        let terminal = name(rustix::termios::ttyname(rustix::stdio::stdin(), Vec::new()))
            .or_else(|| name(rustix::termios::ttyname(rustix::stdio::stderr(), Vec::new())));
        Self { pid: Some(std::process::id()), since: Some(SystemTime::now()), terminal }
    }

    fn to_line(&self) -> String {
        let since = self.since.and_then(|since| since.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        format!("{} {} {}\n", self.pid.unwrap_or(0), since.as_secs(), self.terminal.as_deref().unwrap_or("-"))
    }

    fn read(file: &mut File) -> Self {
        let mut line = String::new();
        // A holder that has just begun may not have written it yet: then nothing is known, which is no reason to fail.
        let _ = file.take(4096).read_to_string(&mut line);
        // Behind it the end of an older one may stand for a moment.
        let mut words = line.lines().next().unwrap_or_default().trim_end().splitn(3, ' ');
        let pid = words.next().and_then(|pid| pid.parse().ok());
        let since = words.next().and_then(|seconds| seconds.parse().ok());
        let since = since.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        Self { pid, since, terminal: words.next().filter(|terminal| *terminal != "-").map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::testing::own_process;
    use super::*;

    #[test]
    fn a_second_lock_of_the_same_file_is_busy_until_the_first_is_dropped() {
        let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = state.path().join("made/for/this");
        let target = folder.path().join("prod.env");
        let lock = FileLock::acquire(&state, &target).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o7777, 0o700);
        match FileLock::acquire(&state, &target) {
            Err(LockError::Busy { pid, since, .. }) => {
                assert_eq!(pid, Some(std::process::id()));
                assert!(since.unwrap().elapsed().unwrap() < Duration::from_secs(60));
            }
            other => panic!("{other:?}"),
        }
        assert!(FileLock::acquire(&state, &folder.path().join("other.env")).is_ok());
        drop(lock);
        assert!(FileLock::acquire(&state, &target).is_ok());
    }

    #[test]
    fn another_process_finds_the_lock_busy_and_names_the_holder() {
        let test = "sys::file_lock::tests::another_process_finds_the_lock_busy_and_names_the_holder";
        let mut held = None;
        let Some(output) = own_process(test, |command| {
            let folder = tempfile::tempdir().unwrap();
            command.env("DOTSOPS_TEST_FOLDER", folder.path());
            held = Some((FileLock::acquire(folder.path(), &folder.path().join("a.env")).unwrap(), folder));
        }) else {
            let folder = PathBuf::from(std::env::var_os("DOTSOPS_TEST_FOLDER").unwrap());
            let error = FileLock::acquire(&folder, &folder.join("a.env")).unwrap_err();
            assert_eq!(error.to_string(), format!("in use by another dotsops (process {})", std::os::unix::process::parent_id()));
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn a_child_does_not_inherit_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FileLock::acquire(folder.path(), &folder.path().join("a.env")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        let again = FileLock::acquire(folder.path(), &folder.path().join("a.env"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.is_ok());
    }

    #[test]
    fn one_file_has_one_id_under_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink("real", folder.path().join("linked")).unwrap();
        let missing = file_id(&real.join("a.env")).unwrap();
        fs::write(real.join("a.env"), b"").unwrap();
        symlink("real/a.env", folder.path().join("b.env")).unwrap();
        for path in ["real/a.env", "linked/a.env", "real/../linked/a.env", "b.env"] {
            assert_eq!(file_id(&folder.path().join(path)).unwrap(), missing, "{path}");
        }
        assert_ne!(file_id(&real.join("b.env")).unwrap(), missing);
        assert_eq!(missing.len(), 64);
        assert!(file_id(&folder.path().join("none/a.env")).is_err());
    }

    #[test]
    fn a_lock_file_that_says_nothing_is_still_busy() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.env");
        let _lock = FileLock::acquire(folder.path(), &target).unwrap();
        fs::write(folder.path().join("locks").join(file_id(&target).unwrap()), b"").unwrap();
        let error = FileLock::acquire(folder.path(), &target).unwrap_err();
        assert!(matches!(error, LockError::Busy { pid: None, since: None, terminal: None }));
        assert_eq!(error.to_string(), "in use by another dotsops");
    }
}
