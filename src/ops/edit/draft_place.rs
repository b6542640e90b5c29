//! Where drafts are kept: one per file, in the state folder, on disk, outside every work tree.

use std::io;
use std::path::{Path, PathBuf};

use super::draft;
use crate::ops::file::MAX_FILE;
use crate::secret::SecretBytes;
use crate::sys::atomic_write::{self, ReadOnly, ReplaceError};
use crate::sys::fault::fault_point;
use crate::sys::file_lock::{create_private_directories, file_id};
use crate::sys::regular_file::{ReadError, read_regular};

/// The place of one file's draft.
pub struct DraftPlace {
    path: PathBuf,
}

impl DraftPlace {
    /// The place for drafts of `target` below the state folder `state`.
    ///
    /// # Errors
    /// The system's, if the folder of `target` is not there.
    pub fn of(state: &Path, target: &Path) -> io::Result<Self> {
        Ok(Self { path: state.join(draft::file_name(&file_id(target)?)) })
    }

    /// The place `path`, as [`Self::path`] told it.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sealed draft, if one is kept.
    ///
    /// # Errors
    /// [`ReadError`] if there is one that cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, ReadError> {
        // We make none; whoever put one here wants another file read.
        if self.path.is_symlink() {
            return Err(ReadError::NotRegular);
        }
        // A draft holds the base file and the text, so it may be larger than either.
        match read_regular(&self.path, 3 * MAX_FILE) {
            Ok(file) => Ok(Some(file.bytes.expose().to_vec())),
            Err(ReadError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a draft is kept.
    pub fn is_taken(&self) -> bool {
        self.path.exists()
    }

    /// Keeps `sealed` durably, in place of an older draft.
    ///
    /// # Errors
    /// [`ReplaceError`]; an older draft is still there then.
    pub fn keep(&self, sealed: Vec<u8>) -> Result<(), ReplaceError> {
        if let Some(folder) = self.path.parent() {
            create_private_directories(folder).map_err(ReplaceError::Io)?;
        }
        // Sealed as it is, nobody else has any business with it.
        atomic_write::write_private(&self.path, &SecretBytes::from_vec(sealed), ReadOnly::Replace)
    }

    /// Removes the draft, if one is kept.
    ///
    /// # Errors
    /// The system's.
    pub fn drop_draft(&self) -> io::Result<()> {
        fault_point!(DraftDrop);
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
