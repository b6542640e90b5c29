//! The plaintext of one edit: a directory of its own that only this user can enter, wiped at the end.
//!
//! Knows neither editors nor formats. Its one invariant: every file in a [`Session`] was made new, without following a link, with
//! mode 0600 inside a directory of mode 0700, and none is left when the session is wiped or dropped.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, fchmod, flock, linkat, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::fault::{fault_point, write_through};
use super::regular_file::{ReadError, read_whole, refused};
use super::scratch::Scratch;
use super::wipe::{wipe_contents, wipe_entry};
use crate::secret::SecretBytes;

pub(super) const LOCK: &CStr = c"owner.lock";
pub(super) const META: &CStr = c"meta";
pub(super) const BASE: &CStr = c"base";
/// The text until all of it is there: half of one would be taken for what somebody saved.
pub(super) const NEW: &CStr = c"new";
pub(super) const TEMPORARY: &str = "tmp";

/// The directory of one running edit: `owner.lock`, `meta`, `base`, `tmp/`, and the text.
///
/// Its lock is held for as long as it lives, so a session whose lock is free was left behind by a process that is gone.
pub struct Session {
    /// The directory the session lies in.
    pub(super) scratch: OwnedFd,
    pub(super) directory: OwnedFd,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: CString,
    pub(super) uid: u32,
    /// Held: closing it, here and wherever it was handed to, frees the lock.
    pub(super) lock: OwnedFd,
    /// Whether dropping it leaves it as it is.
    pub(super) over: bool,
}

impl Session {
    /// Makes a session in `scratch` whose text will be called `file_name`, as [`session_file_name`] makes it.
    ///
    /// # Errors
    /// The system's; nothing is left behind then.
    pub fn create(scratch: &Scratch, file_name: &str) -> io::Result<Self> {
        fault_point!(SessionMake);
        let text = text_name(file_name)?;
        let parent = OwnedFd::from(scratch.directory.try_clone()?);
        let mut attempts = 0;
        loop {
            let name = format!("s-{}", random_hexadecimal::<16>()?);
            let made = make_session(&parent, &name).inspect_err(|_| {
                let _ = wipe_entry(parent.as_fd(), &c_name(&name));
            });
            attempts += 1;
            match made {
                // A process that looks for what others left took it for that, before it was locked.
                Err(error) if attempts < 16 && [io::ErrorKind::NotFound, io::ErrorKind::WouldBlock].contains(&error.kind()) => {}
                made => {
                    let (directory, lock) = made?;
                    let path = scratch.path.join(&name);
                    return Ok(Self { scratch: parent, directory, name, path, text, uid: scratch.uid, lock, over: false });
                }
            }
        }
    }

    /// Where the session is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds: the directory it lies in, its own, and its lock.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.scratch.as_fd(), self.directory.as_fd(), self.lock.as_fd()]
    }

    /// Where the text is: an absolute path for the editor. Never open it by this path again; the name may lead elsewhere by then.
    pub fn text_path(&self) -> PathBuf {
        // The name came from a `&str`.
        self.path.join(self.text.to_string_lossy().as_ref())
    }

    /// A directory for the editor's own temporary files, wiped with the session.
    pub fn temporary_directory(&self) -> PathBuf {
        self.path.join(TEMPORARY)
    }

    /// Writes the text for the first time.
    ///
    /// # Errors
    /// The system's, e.g. no space; no part of the text is left then.
    pub fn write_text(&self, text: &SecretBytes) -> io::Result<()> {
        let mut file = File::from(create_private(&self.directory, NEW)?);
        let written = write_through!(TextHalf, &mut file, text.expose()).and_then(|()| {
            // Only where nothing is, unlike a rename.
            Ok(linkat(&self.directory, NEW, &self.directory, &self.text, AtFlags::empty())?)
        });
        match written {
            Ok(()) => Ok(unlinkat(&self.directory, NEW, AtFlags::empty())?),
            Err(error) => {
                let _ = wipe_entry(self.directory.as_fd(), NEW);
                Err(error)
            }
        }
    }

    /// Wipes what is there under the text's name, whatever it has become, and writes `text` anew.
    ///
    /// # Errors
    /// The system's; the text may be gone then.
    pub fn rewrite_text(&self, text: &SecretBytes) -> io::Result<()> {
        wipe_entry(self.directory.as_fd(), &self.text)?;
        self.write_text(text)
    }

    /// Reads the text back, at most `limit` bytes. Most editors leave a new file under the old name; that is fine.
    ///
    /// # Errors
    /// [`ReadBackError`]; nothing is read then, through no link and from no pipe.
    pub fn read_text(&self, limit: u64) -> Result<SecretBytes, ReadBackError> {
        fault_point!(TextRead);
        self.read(&self.text, limit).map(|(text, _)| text)
    }

    /// Reads the file `name`, at most `limit` bytes, and tells when it was changed, in seconds since 1970.
    pub(super) fn read(&self, name: &CStr, limit: u64) -> Result<(SecretBytes, i64), ReadBackError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(openat(&self.directory, name, flags, Mode::empty()).map_err(refused)?);
        let metadata = file.metadata()?;
        if metadata.uid() != self.uid {
            return Err(ReadBackError::NotMine { owner: metadata.uid() });
        }
        Ok((read_whole(&file, &metadata, limit)?, metadata.mtime()))
    }

    /// Writes `meta`, which tells a later process what this session is for, and `base`, what it began with; neither holds a secret.
    /// Without space for `base` there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn write_meta(&self, meta: &[u8], base: &[u8]) -> io::Result<()> {
        fault_point!(MetaWrite);
        let write = |name, bytes| {
            File::from(create_private(&self.directory, name)?).write_all(bytes).inspect_err(|_| {
                let _ = wipe_entry(self.directory.as_fd(), name);
            })
        };
        write(META, meta)?;
        let _ = write(BASE, base);
        Ok(())
    }

    /// Overwrites and removes the session with all that is in it. A second call does nothing.
    ///
    /// # Errors
    /// The first failure; everything else was wiped all the same.
    pub fn wipe(&mut self) -> io::Result<()> {
        if self.over {
            return Ok(());
        }
        // The text before what tells of it: a session with nothing else in it is removed by whoever finds it. Last of all the lock: without
        // one a session is a new one.
        let contents = wipe_contents(self.directory.as_fd(), &[META, BASE, LOCK]);
        let contents = contents.and(wipe_contents(self.directory.as_fd(), &[LOCK]));
        let lock = wipe_entry(self.directory.as_fd(), LOCK);
        let session = unlinkat(&self.scratch, c_name(&self.name), AtFlags::REMOVEDIR);
        contents.and(lock)?;
        match session {
            Ok(()) | Err(Errno::NOENT) => self.over = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Gives the session up without wiping it, because its text is kept nowhere else, and tells where it is. No later
    /// [`Self::wipe`] touches it.
    pub fn leave(&mut self) -> PathBuf {
        self.over = true;
        self.path.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.wipe();
    }
}

/// Makes the name of a session's text from the name of the file that is edited: its stem, if that is harmless, and `.extension`.
///
/// The stem is what is left without `.enc`, `.encrypted` or `.sops`, and without the extension. A stem of more than 64 bytes, with
/// other characters than `[A-Za-z0-9._-]`, or with a leading `-` becomes `secrets`. Editors choose their highlighting by the
/// extension, so `prod.env.enc` becomes `prod.env`.
pub fn session_file_name(original: &str, extension: &str) -> String {
    let name = original.rsplit('/').next().unwrap_or(original);
    let name = [".enc", ".encrypted", ".sops"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let dotted = format!(".{extension}");
    if name == dotted {
        return dotted;
    }
    let stem = name.strip_suffix(&dotted).unwrap_or(name);
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=64).contains(&stem.len()) || stem.starts_with('-') || !stem.bytes().all(harmless) {
        return format!("secrets{dotted}");
    }
    format!("{stem}{dotted}")
}

/// Why the text of a session could not be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadBackError {
    /// There is no file of that name any more.
    #[error("the edited text is gone")]
    Gone,
    /// It has become a link, a pipe or something else that is no file.
    #[error("the edited text is no regular file any more")]
    NotRegular,
    /// It has more bytes than allowed.
    #[error("the edited text is larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It belongs to someone else now.
    #[error("the edited text belongs to user {owner}")]
    NotMine {
        /// The number of the user who owns it.
        owner: u32,
    },
    /// The system's reason.
    #[error("the edited text cannot be read")]
    Io(#[from] io::Error),
}

impl From<ReadError> for ReadBackError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => Self::Gone,
            ReadError::NotRegular => Self::NotRegular,
            ReadError::TooLarge { limit } => Self::TooLarge { limit },
            ReadError::Io(error) => Self::Io(error),
        }
    }
}

/// `name` as the name of a text, if it leads nowhere else and nothing of ours has it.
pub(super) fn text_name(name: &str) -> io::Result<CString> {
    let text = CString::new(name)?;
    let is_ours = [LOCK, META, BASE, NEW].contains(&text.as_c_str());
    match name.is_empty() || name.contains('/') || is_ours || [".", "..", TEMPORARY].contains(&name) {
        true => Err(io::ErrorKind::InvalidInput.into()),
        false => Ok(text),
    }
}

fn make_session(parent: &OwnedFd, name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    mkdirat(parent, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    let lock = create_private(&directory, LOCK)?;
    // Whoever takes this lock first owns the session, be it a process that looks for those left behind.
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    mkdirat(&directory, TEMPORARY, Mode::RWXU)?;
    Ok((directory, lock))
}

/// Makes a file that was not there, with mode 0600 whatever the umask.
pub(super) fn create_private(directory: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = openat(directory, name, flags, mode)?;
    fchmod(&file, mode)?;
    Ok(file)
}

/// `BYTES` random bytes as lower-case hexadecimal digits.
pub(super) fn random_hexadecimal<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn c_name(name: &str) -> CString {
    // Names made here are hexadecimal digits after `s-`: never a NUL, so the empty default is never used.
    CString::new(name).unwrap_or_default()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::regular_file::LARGEST_FILE;
    use super::super::scratch::{ScratchCandidates, find_scratch};
    use super::super::testing::{in_own_process, make_pipe};
    use super::*;

    fn scratch() -> (tempfile::TempDir, Scratch) {
        let private = PermissionsExt::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir_in("/dev/shm").unwrap();
        let candidates = ScratchCandidates::of_current_user(Some(folder.path().to_path_buf()), None);
        let scratch = find_scratch(&candidates, None).unwrap();
        (folder, scratch)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_session_is_private_and_gone_when_dropped() {
        let (folder, scratch) = scratch();
        let session = Session::create(&scratch, "prod.env").unwrap();
        session.write_text(&SecretBytes::copy_of(b"A=1\n")).unwrap();
        session.write_meta(b"meta", b"base").unwrap();
        assert_eq!(mode(session.path()), 0o700);
        assert_eq!(mode(&session.temporary_directory()), 0o700);
        assert_eq!(mode(&session.text_path()), 0o600);
        assert_eq!(mode(&session.path().join("meta")), 0o600);
        assert_eq!(mode(&session.path().join("base")), 0o600);
        assert_eq!(fs::read(session.path().join("meta")).unwrap(), b"meta");
        assert_eq!(fs::read(session.path().join("base")).unwrap(), b"base");
        assert_eq!(session.path().file_name().unwrap().len(), 2 + 32);
        assert_eq!(session.read_text(LARGEST_FILE).ok().unwrap().expose(), b"A=1\n");
        drop(session);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn the_modes_do_not_depend_on_the_umask() {
        let test = "sys::private_file::tests::the_modes_do_not_depend_on_the_umask";
        in_own_process(test, || {
            rustix::process::umask(Mode::from_raw_mode(0o277));
            let folder = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o700)).tempdir_in("/dev/shm").unwrap();
            fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
            let opened = openat(rustix::fs::CWD, folder.path(), OFlags::RDONLY, Mode::empty()).unwrap();
            drop(create_private(&opened, c"file").unwrap());
            assert_eq!(mode(&folder.path().join("file")), 0o600);
        });
    }

    #[test]
    fn the_lock_is_held_until_the_session_ends() {
        let (_folder, scratch) = scratch();
        let session = Session::create(&scratch, "a.env").unwrap();
        let other = File::open(session.path().join("owner.lock")).unwrap();
        assert_eq!(flock(&other, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
        drop(session);
        assert_eq!(flock(&other, FlockOperation::NonBlockingLockExclusive), Ok(()));
    }

    #[test]
    fn text_is_written_only_where_nothing_is() {
        let (_folder, scratch) = scratch();
        let session = Session::create(&scratch, "a.env").unwrap();
        let outside = session.path().join("tmp/outside");
        symlink(&outside, session.text_path()).unwrap();
        let text = SecretBytes::copy_of(b"secret");
        assert_eq!(session.write_text(&text).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        session.rewrite_text(&text).unwrap();
        assert_eq!(fs::read(session.text_path()).unwrap(), b"secret");
        assert!(!outside.exists());
    }

    #[test]
    fn the_text_is_found_after_the_editor_renamed_over_it() {
        let (_folder, scratch) = scratch();
        let session = Session::create(&scratch, "a.env").unwrap();
        session.write_text(&SecretBytes::copy_of(b"old")).unwrap();
        fs::write(session.path().join("new"), b"new").unwrap();
        fs::rename(session.path().join("new"), session.text_path()).unwrap();
        assert_eq!(session.read_text(LARGEST_FILE).ok().unwrap().expose(), b"new");
    }

    #[test]
    fn nothing_is_read_back_through_links_pipes_or_limits() {
        let (_folder, scratch) = scratch();
        let session = Session::create(&scratch, "a.env").unwrap();
        let text = session.text_path();
        assert!(matches!(session.read_text(10), Err(ReadBackError::Gone)));
        symlink("/etc/passwd", &text).unwrap();
        assert!(matches!(session.read_text(10), Err(ReadBackError::NotRegular)));
        fs::remove_file(&text).unwrap();
        make_pipe(&text);
        assert!(matches!(session.read_text(10), Err(ReadBackError::NotRegular)));
        fs::remove_file(&text).unwrap();
        File::create(&text).unwrap().set_len(1 << 30).unwrap();
        assert!(matches!(session.read_text(LARGEST_FILE), Err(ReadBackError::TooLarge { limit: LARGEST_FILE })));
        let mut stranger = Session::create(&scratch, "b.env").unwrap();
        stranger.uid = 54321;
        stranger.write_text(&SecretBytes::default()).unwrap();
        assert!(matches!(stranger.read_text(10), Err(ReadBackError::NotMine { .. })));
    }

    #[test]
    fn a_session_that_is_left_stays_with_its_text() {
        let (_folder, scratch) = scratch();
        let mut session = Session::create(&scratch, "a.env").unwrap();
        session.write_text(&SecretBytes::copy_of(b"typed")).unwrap();
        let path = session.leave();
        assert_eq!(fs::read(path.join("a.env")).unwrap(), b"typed");
    }

    #[test]
    fn a_file_name_that_leads_elsewhere_is_refused() {
        let (folder, scratch) = scratch();
        for name in ["", ".", "..", "a/b", "../a", "meta", "base", "new", "owner.lock", "tmp", "a\0b"] {
            assert!(Session::create(&scratch, name).is_err(), "{name:?}");
        }
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn the_name_of_the_text_is_rebuilt_and_highlighted() {
        for (original, expected) in [
            (".env", ".env"),
            ("prod.env", "prod.env"),
            ("/srv/app/prod.env.enc", "prod.env"),
            ("prod.enc.env", "prod.enc.env"),
            (".env.production", ".env.production.env"),
            (".env.sops", ".env"),
            ("config", "config.env"),
            ("-x.env", "secrets.env"),
            ("a b.env", "secrets.env"),
            ("größe.env", "secrets.env"),
            ("a\nb", "secrets.env"),
            ("", "secrets.env"),
            (&format!("{}.env", "a".repeat(64)), &format!("{}.env", "a".repeat(64))),
            (&format!("{}.env", "a".repeat(65)), "secrets.env"),
        ] {
            assert_eq!(session_file_name(original, "env"), expected, "{original:?}");
        }
    }
}
