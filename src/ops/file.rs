//! Opens and saves: read once, recognise, parse; write whole or not at all.
//!
//! Its one invariant: what is judged, shown and encrypted comes from the same bytes, read in one go.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::dialect::names::is_portable_name;
use crate::document::{EncryptedDocument, NotADocument};
use crate::format::{Contents, Format, ParseError, Syntax, UnsupportedSyntax, detect, has_tokens};
use crate::secret::SecretBytes;
use crate::sys::regular_file::{FileBytes, ReadError, read_regular};
use crate::tree::Key;

/// The largest file that is read; a limit of ours against hostile files.
pub const MAX_FILE: u64 = 64 << 20;

/// A parsed file and the bytes it was parsed from.
pub struct OpenedFile {
    /// The file as given.
    pub path: PathBuf,
    /// What was read, and from where.
    pub snapshot: FileBytes,
    /// Its syntax.
    pub format: &'static dyn Format,
    /// What it says.
    pub contents: Contents,
}

impl OpenedFile {
    /// Whether the file has a `sops` block.
    pub fn is_encrypted(&self) -> bool {
        self.contents.metadata.is_some()
    }

    /// The file as an encrypted document, which shares the bytes it came from.
    ///
    /// # Errors
    /// [`FileError::NotADocument`] if it has no `sops` block or that cannot be used.
    pub fn document(self) -> Result<EncryptedDocument, FileError> {
        EncryptedDocument::new(self.contents).map_err(|source| FileError::NotADocument { path: self.path, source })
    }
}

/// Reads and parses `path`, in the syntax that its content or else its name says; `syntax` overrules both.
///
/// # Errors
/// [`FileError`], naming the file.
pub fn read(path: &Path, syntax: Option<Syntax>) -> Result<OpenedFile, FileError> {
    let snapshot = read_bytes(path)?;
    let (format, contents) = parse_secret(path, &snapshot.bytes, syntax)?;
    Ok(OpenedFile { path: path.to_owned(), snapshot, format, contents })
}

/// Reads `path` without parsing it.
///
/// # Errors
/// [`FileError::Read`].
pub fn read_bytes(path: &Path) -> Result<FileBytes, FileError> {
    read_regular(path, MAX_FILE).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Whether `bytes` are an encrypted file, as far as can be told without parsing.
///
/// # Errors
/// [`FileError::CutShort`].
pub fn is_encrypted(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    Ok(encrypted_syntax(path, bytes)?.is_some())
}

/// The syntax of an encrypted file. One that was cut short is refused: taken for a plaintext, its tokens would reach programs, or be
/// encrypted again.
fn encrypted_syntax(path: &Path, bytes: &[u8]) -> Result<Option<Syntax>, FileError> {
    match detect(bytes) {
        None if has_tokens(bytes) => Err(FileError::CutShort { path: path.to_owned() }),
        syntax => Ok(syntax),
    }
}

/// Parses `bytes` as `path` says.
///
/// # Errors
/// [`FileError`], naming the file.
pub fn parse(path: &Path, bytes: &[u8], syntax: Option<Syntax>) -> Result<(&'static dyn Format, Contents), FileError> {
    parse_secret(path, &SecretBytes::copy_of(bytes).shared(), syntax)
}

/// The same; where `bytes` are [shared](SecretBytes::shared), values are pieces of them, not copies.
///
/// # Errors
/// [`FileError`], naming the file.
pub fn parse_secret(
    path: &Path,
    bytes: &SecretBytes,
    syntax: Option<Syntax>,
) -> Result<(&'static dyn Format, Contents), FileError> {
    let syntax = match syntax {
        Some(syntax) => syntax,
        None => encrypted_syntax(path, bytes.expose())?.unwrap_or_else(|| Syntax::by_path(path)),
    };
    let format = syntax.format().map_err(|source| FileError::Syntax { path: path.to_owned(), source })?;
    let contents = format.parse_secret(bytes).map_err(|source| FileError::Parse { path: path.to_owned(), source })?;
    Ok((format, contents))
}

/// The variable that a stored key stands for: `API_KEY` for `export API_KEY`.
pub fn variable_name(key: &Key) -> Cow<'_, str> {
    // No word of a line and no quote can stand in such a name.
    if let Some(name) = key.as_str().filter(|text| is_portable_name(text)) {
        return Cow::Borrowed(name);
    }
    let text = key.to_string();
    let line = format!("{text}=");
    let name = match crate::dialect::scanner::scan(&line).into_iter().next().map(|statement| statement.kind) {
        Some(crate::dialect::scanner::Kind::Definition(definition)) => definition.name.to_owned(),
        _ => text,
    };
    Cow::Owned(name)
}

/// The file that is meant if none is named: from `start` up to the repository's root, the first folder with `secrets.env` or an
/// encrypted `.env`. Without a repository only `start` itself is looked at.
pub fn default_file(start: &Path) -> Option<PathBuf> {
    let root = start.ancestors().find(|folder| folder.join(".git").exists());
    for folder in start.ancestors() {
        let secrets = folder.join("secrets.env");
        if secrets.is_file() {
            return Some(secrets);
        }
        let plain = folder.join(".env");
        if is_encrypted_dotenv(&plain) {
            return Some(plain);
        }
        if root.is_none_or(|root| root == folder) {
            break;
        }
    }
    None
}

fn is_encrypted_dotenv(path: &Path) -> bool {
    read_regular(path, MAX_FILE).is_ok_and(|file| detect(file.bytes.expose()) == Some(Syntax::Dotenv))
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// It cannot be parsed.
    #[error("cannot read {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ParseError,
    },
    /// It has encrypted values and no metadata: its end is missing.
    #[error("{} is an encrypted file whose end is missing", path.display())]
    CutShort {
        /// The file.
        path: PathBuf,
    },
    /// Its syntax is not known yet.
    #[error("cannot read {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Which.
        source: UnsupportedSyntax,
    },
    /// It is no encrypted document.
    #[error("cannot use {}", path.display())]
    NotADocument {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NotADocument,
    },
}
