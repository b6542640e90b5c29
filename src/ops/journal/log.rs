//! What the log of a change says: which files, what they had and what they are to have.
//!
//! Its one invariant: a log that reads is the one that was written, to the last byte. Layout, integers big-endian:
//!
//! ```text
//! "dotsops-journal\n"  version u8 = 1
//! verb u32 + bytes  number of files u32
//! for each file: path u32 + bytes  old bytes u32 + bytes  new bytes u32 + bytes
//! SHA-256 of everything before 32
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ops::file::MAX_FILE;
use crate::secret::SecretBytes;
use crate::sys::log_file::LogFile;
use crate::sys::regular_file::FileDigest;

const MAGIC: &[u8] = b"dotsops-journal\n\x01";

/// No verb is longer, and no path.
const LONGEST_NAME: usize = 64 << 10;

/// A complete log.
pub(super) struct Log {
    file: LogFile,
    /// The command that makes the change.
    pub verb: String,
    /// The files, in the order in which they are replaced.
    pub entries: Vec<Entry>,
}

/// One file.
pub(super) struct Entry {
    /// Absolute, without links.
    pub path: PathBuf,
    pub old: Version,
    pub new: Version,
}

/// What a file has, or is to have.
pub(super) struct Version {
    pub digest: FileDigest,
    /// Where its bytes are in the log.
    place: Range<u64>,
}

impl Log {
    /// Writes it into `folder`; each of `files` is a path, its old bytes and its new ones. When this returns it is on the disk.
    pub fn write<'a>(
        folder: &Path,
        verb: &str,
        files: impl ExactSizeIterator<Item = (&'a Path, &'a SecretBytes, &'a SecretBytes)>,
    ) -> io::Result<Self> {
        let mut writer = Writer { file: LogFile::create(folder)?, digest: Sha256::new(), at: 0 };
        writer.write(MAGIC)?;
        writer.field(verb.as_bytes())?;
        writer.write(&length(files.len())?)?;
        let mut entries = Vec::with_capacity(files.len());
        for (path, old, new) in files {
            writer.field(path.as_os_str().as_bytes())?;
            let (old, new) = (writer.version(old.expose())?, writer.version(new.expose())?);
            entries.push(Entry { path: path.to_owned(), old, new });
        }
        let Writer { mut file, digest, .. } = writer;
        file.write(&digest.finalize())?;
        file.complete()?;
        Ok(Self { file, verb: verb.to_owned(), entries })
    }

    /// Reads it; what it is not is given back with the log.
    pub fn read(file: LogFile) -> Result<Self, LogFile> {
        match read(&file.file) {
            Ok((verb, entries)) => Ok(Self { file, verb, entries }),
            Err(_) => Err(file),
        }
    }

    /// The bytes of a version.
    pub fn bytes(&self, version: &Version) -> io::Result<SecretBytes> {
        let mut bytes = SecretBytes::from_vec(vec![0; (version.place.end - version.place.start) as usize]);
        self.file.file.read_exact_at(bytes.expose_mut(), version.place.start)?;
        Ok(bytes)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.file.path()
    }

    /// Removes it for good.
    pub fn remove(self) -> io::Result<()> {
        self.file.remove()
    }
}

struct Writer {
    file: LogFile,
    digest: Sha256,
    at: u64,
}

impl Writer {
    fn version(&mut self, bytes: &[u8]) -> io::Result<Version> {
        self.field(bytes)?;
        Ok(Version { digest: FileDigest::of(bytes), place: self.at - bytes.len() as u64..self.at })
    }

    fn field(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(&length(bytes.len())?)?;
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        self.file.write(bytes)
    }
}

fn length(length: usize) -> io::Result<[u8; 4]> {
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn read(mut file: &File) -> io::Result<(String, Vec<Entry>)> {
    file.rewind()?;
    let mut reader = Reader { file: BufReader::with_capacity(64 << 10, file), digest: Sha256::new(), at: 0 };
    if reader.bytes(MAGIC.len())?.expose() != MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let verb = String::from_utf8_lossy(reader.field(LONGEST_NAME)?.expose()).into_owned();
    let count = reader.length()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let path = PathBuf::from(OsString::from_vec(reader.field(LONGEST_NAME)?.expose().to_vec()));
        let (old, new) = (reader.version()?, reader.version()?);
        entries.push(Entry { path, old, new });
    }
    let Reader { mut file, digest, .. } = reader;
    let mut rest = Vec::new();
    file.by_ref().take(64).read_to_end(&mut rest)?;
    match rest == digest.finalize().as_slice() && entries.iter().all(|entry| entry.path.is_absolute()) {
        true => Ok((verb, entries)),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

struct Reader<'a> {
    file: BufReader<&'a File>,
    digest: Sha256,
    at: u64,
}

impl Reader<'_> {
    fn version(&mut self) -> io::Result<Version> {
        let bytes = self.field(MAX_FILE as usize)?;
        Ok(Version { digest: FileDigest::of(bytes.expose()), place: self.at - bytes.len() as u64..self.at })
    }

    fn field(&mut self, limit: usize) -> io::Result<SecretBytes> {
        match self.length()? {
            length if length > limit => Err(io::ErrorKind::InvalidData.into()),
            length => self.bytes(length),
        }
    }

    fn length(&mut self) -> io::Result<usize> {
        let bytes = self.bytes(4)?;
        Ok(bytes.expose().iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn bytes(&mut self, length: usize) -> io::Result<SecretBytes> {
        let mut bytes = SecretBytes::from_vec(vec![0; length]);
        self.file.read_exact(bytes.expose_mut())?;
        self.digest.update(bytes.expose());
        self.at += length as u64;
        Ok(bytes)
    }
}
