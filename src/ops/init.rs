//! What makes a repository ready: lines in `.gitignore` and `.gitattributes`, and a plaintext that becomes an encrypted file.
//!
//! Its one invariant: what is there stays. Lines are added, never changed, and adding them twice adds nothing.

use std::io;
use std::path::{Path, PathBuf};

use super::encrypt::{self, EncryptError, Prepared};
use super::file::{self, FileError};
use crate::document::OpenError;
use crate::document::metadata::Metadata;
use crate::format::{EmitError, Format};
use crate::keys::keyring::Keyring;
use crate::secret::SecretString;
use crate::sys::atomic_write::{self, Expected, ReadOnly, ReplaceError};
use crate::sys::regular_file::{LARGEST_FILE, ReadError, read_regular};

/// The folder to make ready: the repository's root, or `here` itself outside of one.
pub fn root(here: &Path) -> PathBuf {
    here.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(here).to_owned()
}

/// The lines that keep plaintext twins of the encrypted `file` out of git.
pub fn ignore_lines(file: &Path) -> Vec<&'static str> {
    let is_itself = |line: &&str| file.file_name().is_some_and(|name| name == *line);
    [".env", ".env.local", ".env.*.local"].into_iter().filter(|line| !is_itself(line)).collect()
}

/// Those of `lines` that the text file `path` has not.
///
/// # Errors
/// [`InitError`], naming the file.
pub fn missing_lines<'a>(path: &Path, lines: &[&'a str]) -> Result<Vec<&'a str>, InitError> {
    Ok(missing_in(text_of(path)?.as_deref().unwrap_or_default(), lines))
}

fn text_of(path: &Path) -> Result<Option<Vec<u8>>, InitError> {
    match read_regular(path, LARGEST_FILE) {
        Ok(file) => Ok(Some(file.bytes.expose().to_vec())),
        Err(ReadError::NotFound) => Ok(None),
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }.into()),
    }
}

fn missing_in<'a>(text: &[u8], lines: &[&'a str]) -> Vec<&'a str> {
    let has = |line: &str| text.split(|byte| *byte == b'\n').any(|there| there.trim_ascii() == line.as_bytes());
    lines.iter().copied().filter(|line| !has(line)).collect()
}

/// Adds to the text file `path` those of `lines` that it has not. Returns the added ones.
///
/// # Errors
/// [`InitError`], naming the file.
pub fn add_lines<'a>(path: &Path, heading: &str, lines: &[&'a str]) -> Result<Vec<&'a str>, InitError> {
    let before = text_of(path)?;
    let text = before.as_deref().unwrap_or_default();
    let missing = missing_in(text, lines);
    if missing.is_empty() {
        return Ok(missing);
    }
    let mut after = text.to_vec();
    if !after.is_empty() && !after.ends_with(b"\n") {
        after.push(b'\n');
    }
    after.extend_from_slice(format!("# {heading}\n").as_bytes());
    missing.iter().for_each(|line| after.extend_from_slice(format!("{line}\n").as_bytes()));
    let expected = before.as_deref().map_or(Expected::Absent, Expected::Bytes);
    atomic_write::replace(path, &after, expected, ReadOnly::Refuse)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })?;
    Ok(missing)
}

/// Writes the new file `path`.
///
/// # Errors
/// [`InitError`], naming the file.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), InitError> {
    atomic_write::replace(path, bytes, Expected::Absent, ReadOnly::Refuse)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })
}

/// Encrypts what was prepared from a plaintext into the new file `path`, and opens it from the disk with the user's own identities.
///
/// # Errors
/// [`InitError`]. If the file was written but does not open, it is removed again.
pub fn encrypt_into(
    path: &Path,
    prepared: Prepared,
    metadata: Metadata,
    format: &dyn Format,
    keyring: &Keyring,
    now: time::UtcDateTime,
) -> Result<(), InitError> {
    let bytes = encrypt::encrypt(prepared.tree, metadata, format, keyring, now)?;
    write_new(path, bytes.expose())?;
    open_again(path, &prepared.text, keyring).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

fn open_again(path: &Path, meant: &SecretString, keyring: &Keyring) -> Result<(), InitError> {
    let opened = file::read(path, None)?;
    let format = opened.format;
    let document = opened.document()?.open(keyring)?;
    let text = format.emit(&document.tree, None, None)?;
    if text.ct_eq(meant.expose().as_bytes()) { Ok(()) } else { Err(EncryptError::ReadBack.into()) }
}

/// Why a repository could not be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReplaceError,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The plaintext could not be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The encrypted file does not open with the user's own identities.
    #[error("the encrypted file does not open with your own identities")]
    Open(#[from] OpenError),
    /// The plaintext could not be written for comparison.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_once_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".gitignore");
        std::fs::write(&path, "target\n  .env  ").unwrap();
        let lines = ignore_lines(Path::new("secrets.env"));
        assert_eq!(add_lines(&path, "plaintext", &lines).unwrap(), [".env.local", ".env.*.local"]);
        let once = std::fs::read_to_string(&path).unwrap();
        assert_eq!(once, "target\n  .env  \n# plaintext\n.env.local\n.env.*.local\n");
        assert!(add_lines(&path, "plaintext", &lines).unwrap().is_empty());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), once);
    }

    #[test]
    fn an_encrypted_file_called_dot_env_is_not_ignored() {
        assert!(!ignore_lines(Path::new("sub/.env")).contains(&".env"));
    }
}
