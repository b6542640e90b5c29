//! Reads a regular file once, whole, within a limit.
//!
//! Knows nothing of what is in it. Its one invariant: nothing but a regular file is read, and never more of it than the limit, so a
//! pipe, a device or a file that grows cannot hold the program up.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::secret::SecretBytes;

/// The most bytes any file of ours may have: 64 MiB.
pub const LARGEST_FILE: u64 = 64 << 20;

/// A file as it was when it was read.
pub struct FileBytes {
    /// All its bytes, shared; they may be plaintext.
    pub bytes: SecretBytes,
    /// Where it really is: absolute, without symbolic links.
    pub path: PathBuf,
    /// Its permission bits, e.g. `0o644`.
    pub mode: u32,
    /// The number of the user it belongs to.
    pub owner: u32,
    /// Whether that is the user this process runs as.
    pub is_mine: bool,
    /// How many names it has.
    pub links: u64,
    /// The number of the device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Whether the name it was opened by is a symbolic link.
    pub through_link: bool,
}

/// Opens the regular file `path`, following symbolic links, and reads it whole, at most `limit` bytes.
///
/// # Errors
/// [`ReadError`], about `path`.
pub fn read_regular(path: &Path, limit: u64) -> Result<FileBytes, ReadError> {
    let resolved = path.canonicalize().map_err(|error| match error.kind() {
        // What `/dev/stdin` leads to has no path if it is a pipe, but it is there.
        io::ErrorKind::NotFound if path.exists() => ReadError::NotRegular,
        io::ErrorKind::NotFound => ReadError::NotFound,
        _ => ReadError::Io(error),
    })?;
    // Opening without waiting, or a pipe with no writer would hold us here before we know what it is.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let file = File::from(open(&resolved, flags, Mode::empty()).map_err(refused)?);
    let metadata = file.metadata()?;
    Ok(FileBytes {
        bytes: read_whole(&file, &metadata, limit)?.shared(),
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        is_mine: metadata.uid() == rustix::process::geteuid().as_raw(),
        links: metadata.nlink(),
        device: metadata.dev(),
        inode: metadata.ino(),
        through_link: path.is_symlink(),
        path: resolved,
    })
}

/// Reads the open `file`, which `metadata` describes, whole.
pub(super) fn read_whole(mut file: &File, metadata: &Metadata, limit: u64) -> Result<SecretBytes, ReadError> {
    let too_large = ReadError::TooLarge { limit };
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    let expected = metadata.len();
    if expected > limit {
        return Err(too_large);
    }
    // One byte more than expected tells the end from a file that has grown.
    let mut buffer = SecretBytes::from_vec(vec![0; expected as usize + 1]);
    let mut filled = 0;
    loop {
        if filled as u64 > limit {
            return Err(too_large);
        }
        if filled == buffer.len() {
            let mut larger = SecretBytes::from_vec(vec![0; filled * 2]);
            larger.expose_mut()[..filled].copy_from_slice(buffer.expose());
            buffer = larger;
        }
        match file.read(&mut buffer.expose_mut()[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// The SHA-256 of a file's bytes: enough to know them again, without keeping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// That of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// Whether the open `file`, which `metadata` describes, has these bytes and no others.
pub(super) fn holds(file: &File, metadata: &Metadata, mut expected: &[u8]) -> Result<bool, ReadError> {
    // Whoever could time this can read the file.
    let is_next = |chunk: &[u8]| expected.strip_prefix(chunk).map(|rest| expected = rest).is_some();
    Ok(in_chunks(file, metadata, is_next)? && expected.is_empty())
}

/// Whether the bytes of the open `file`, which `metadata` describes, have this digest.
pub(super) fn has_digest(file: &File, metadata: &Metadata, digest: &FileDigest) -> Result<bool, ReadError> {
    let mut found = Sha256::new();
    in_chunks(file, metadata, |chunk| {
        found.update(chunk);
        true
    })?;
    Ok(found.finalize().as_slice() == digest.0)
}

/// Gives `take` the bytes of `file`, chunk by chunk, until it says `false`; whether it never did. No more than a chunk is in memory.
fn in_chunks(mut file: &File, metadata: &Metadata, mut take: impl FnMut(&[u8]) -> bool) -> Result<bool, ReadError> {
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    let mut chunk = SecretBytes::from_vec(vec![0; 64 << 10]);
    loop {
        match file.read(chunk.expose_mut()) {
            Ok(0) => return Ok(true),
            Ok(read) if take(&chunk.expose()[..read]) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a refusal to open without following links means.
pub(super) fn refused(error: Errno) -> ReadError {
    match error {
        Errno::NOENT => ReadError::NotFound,
        // A symbolic link; a socket; a device without a driver.
        Errno::LOOP | Errno::NXIO | Errno::NODEV => ReadError::NotRegular,
        other => ReadError::Io(other.into()),
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// It is a directory, a pipe, a device or a socket.
    #[error("not a regular file")]
    NotRegular,
    /// It has more bytes than allowed.
    #[error("larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The system's reason.
    #[error("cannot be read")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::testing::make_pipe;
    use super::*;

    #[test]
    fn a_file_is_read_whole_with_its_mode_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"A=1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        let read = read_regular(&link, LARGEST_FILE).ok().unwrap();
        assert_eq!(read.bytes.expose(), b"A=1\n");
        assert_eq!((read.mode, read.links, read.through_link), (0o640, 1, true));
        assert_eq!(read.path, file.canonicalize().unwrap());
        assert!(!read_regular(&file, LARGEST_FILE).ok().unwrap().through_link);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        for name in ["pipe", "socket", "."] {
            let error = read_regular(&folder.path().join(name), LARGEST_FILE).err().unwrap();
            assert!(matches!(error, ReadError::NotRegular), "{name}: {error:?}");
        }
        assert!(matches!(read_regular(Path::new("/dev/null"), LARGEST_FILE), Err(ReadError::NotRegular)));
        assert!(matches!(read_regular(&folder.path().join("none"), LARGEST_FILE), Err(ReadError::NotFound)));
    }

    #[test]
    fn the_limit_is_the_last_size_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_regular(&path, 5).ok().unwrap().bytes.expose(), b"12345");
        assert!(matches!(read_regular(&path, 4), Err(ReadError::TooLarge { limit: 4 })));
    }

    #[test]
    fn a_file_that_grows_is_read_to_its_end_and_not_beyond_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"").unwrap();
        let file = File::open(&path).unwrap();
        let metadata = file.metadata().unwrap();
        fs::write(&path, [7; 1000]).unwrap();
        assert_eq!(read_whole(&file, &metadata, 1000).ok().unwrap().expose(), [7; 1000]);
        let file = File::open(&path).unwrap();
        assert!(matches!(read_whole(&file, &metadata, 999), Err(ReadError::TooLarge { .. })));
    }

    #[test]
    fn a_file_holds_its_own_bytes_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // More than is compared at once.
        let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let holds = |expected: &[u8]| {
            let file = File::open(&path).unwrap();
            super::holds(&file, &file.metadata().unwrap(), expected).unwrap()
        };
        assert!(holds(&bytes));
        assert!(!holds(&bytes[..199_999]) && !holds(&[&bytes[..], b"x"].concat()) && !holds(b""));
        for at in [0, 65_535, 65_536, 199_999] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!holds(&other), "{at}");
        }
        fs::write(&path, b"").unwrap();
        assert!(holds(b"") && !holds(b"x"));
    }
}
