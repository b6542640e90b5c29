//! Three versions of an encrypted file → one.
//!
//! What one side changed is taken; what both changed, each in its own way, is a conflict and stands in the result as lines that
//! nobody can save by oversight. Its one invariant: nothing is merged that is not authentic, and no value becomes readable for anybody
//! who could not read it before.

pub mod items;
pub mod marks;
pub mod readers;

use std::path::Path;

use time::UtcDateTime;

use crate::document::{DecryptedDocument, EncryptError, EncryptedDocument, OpenError, encrypt_new, leaves_in_clear};
use crate::format::{EmitError, Format};
use crate::keys::keyring::Keyring;
use crate::keys::{WrapError, shown};
use crate::ops::change::ChangeError;
use crate::ops::encrypt::{self, EncryptError as SealError};
use crate::ops::file::{self, FileError};
use crate::ops::new_file::{self, NewFileError};
use crate::secret::{DataKey, SecretBytes};
use crate::tree::{Mapping, Tree};
use readers::{CannotUnite, SameKey, Side, Work};

/// The opened versions of one file.
pub struct Documents {
    /// What both sides began with; `None` if the file was made on both.
    pub base: Option<DecryptedDocument>,
    /// Ours.
    pub ours: DecryptedDocument,
    /// Theirs.
    pub theirs: DecryptedDocument,
    /// How many comments of one of them look like the marks of a merge and stand in clear. They are ordinary ones here.
    pub clear_marks: usize,
}

/// A merged file.
pub struct MergedFile {
    /// Its bytes, read back.
    pub bytes: SecretBytes,
    /// The names that both sides changed; each stands in the file with both values.
    pub conflicts: Vec<String>,
}

/// The bytes of the versions of one file.
pub struct Versions<'a> {
    /// What both sides began with; `None` if the file was made on both.
    pub base: Option<&'a [u8]>,
    /// Ours.
    pub ours: &'a [u8],
    /// Theirs.
    pub theirs: &'a [u8],
}

impl Documents {
    /// Opens the versions of the file `path`. A data key that opened one of them is tried first with the next.
    ///
    /// # Errors
    /// [`OpenVersionError`], which says which version.
    pub fn open(
        path: &Path,
        versions: &Versions<'_>,
        keyring: &Keyring,
    ) -> Result<(Self, &'static dyn Format), OpenVersionError> {
        let parse = |side, bytes: &[u8]| {
            let (format, contents) =
                file::parse(path, bytes, None).map_err(|source| OpenVersionError { side, source: source.into() })?;
            let document = EncryptedDocument::new(contents).map_err(|source| {
                let source = FileError::NotADocument { path: path.to_owned(), source };
                OpenVersionError { side, source: source.into() }
            })?;
            Ok((document, format))
        };
        let mut clear_marks = 0;
        let mut open = |side, document: EncryptedDocument, known: &[&DecryptedDocument]| {
            let data_key = known.iter().map(|known| known.data_key()).find(|data_key| document.is_key(data_key));
            let opened = match data_key.map(DataKey::copy) {
                Some(data_key) => document.open_with(data_key).map_err(OpenError::from),
                None => document.open(keyring),
            };
            let mut opened = opened.map_err(|source| OpenVersionError { side, source: source.into() })?;
            clear_marks = marks::disarm(&mut opened).max(clear_marks);
            match opened.lines_in_comments {
                0 => Ok(opened),
                _ => Err(OpenVersionError { side, source: ChangeError::LineInComment }),
            }
        };
        let (ours, format) = parse("our", versions.ours)?;
        let (theirs, _) = parse("their", versions.theirs)?;
        let ours = open("our", ours, &[])?;
        let theirs = open("their", theirs, &[&ours])?;
        let base = match versions.base {
            Some(bytes) => Some(open("the common", parse("the common", bytes)?.0, &[&ours, &theirs])?),
            None => None,
        };
        Ok((Self { base, ours, theirs, clear_marks }, format))
    }
}

/// Merges `documents` into one file, whose bytes on our side are `our_bytes`. Nobody of `unnamed` is wrapped for anew.
///
/// # Errors
/// [`MergeError`]; no result is better than a wrong one.
pub fn merge(
    documents: Documents,
    our_bytes: &SecretBytes,
    format: &dyn Format,
    keyring: &Keyring,
    unnamed: &[String],
    now: UtcDateTime,
) -> Result<MergedFile, MergeError> {
    let Documents { base, mut ours, mut theirs, .. } = documents;
    let nothing = Tree::of(Mapping::default());
    let base_tree = base.as_ref().map_or(&nothing, |base| &base.tree);
    let merged = items::merge(items::Versions { base: base_tree, ours: &ours.tree, theirs: &theirs.tree });
    let conflicts: Vec<String> = merged.conflicts.iter().map(|conflict| conflict.name.clone()).collect();

    let same = |one: &DecryptedDocument, other: &DecryptedDocument| one.encrypted().is_key(other.data_key());
    let same_key = SameKey {
        both: same(&ours, &theirs),
        ours_and_base: base.as_ref().is_some_and(|base| same(base, &ours)),
        theirs_and_base: base.as_ref().is_some_and(|base| same(base, &theirs)),
    };
    let old = base.as_ref().map(DecryptedDocument::metadata);
    // A rule that says what is encrypted belongs to the tokens, so it is never taken from the other side.
    if !ours.metadata().has_rule_of(theirs.metadata()) {
        return Err(MergeError::Selection);
    }
    let clear_before = |tree: &Tree| leaves_in_clear(tree, &ours.metadata().selection).names;
    let mut allowed = clear_before(&ours.tree);
    allowed.extend(clear_before(&theirs.tree));
    let tree = marks::with_marks(merged, format)?;
    if marks::are_in_clear(&tree, &ours.metadata().selection) {
        return Err(MergeError::MarksInClear);
    }
    if let Some(name) = clear_before(&tree).into_iter().find(|name| !allowed.contains(name)) {
        return Err(MergeError::WouldBeClear { name: name.to_string() });
    }

    let readers = readers::unite(old, ours.metadata_mut(), theirs.metadata_mut(), same_key)?;
    if readers.work != Work::None {
        let keys = readers.groups.iter().flat_map(|group| &group.keys);
        let gaining: Vec<String> =
            keys.map(|key| shown(key.recipient()).to_owned()).filter(|recipient| unnamed.contains(recipient)).collect();
        if !gaining.is_empty() {
            return Err(MergeError::Unnamed { recipients: gaining });
        }
    }
    let (mut carrier, other) = match readers.carrier {
        Side::Ours => (ours, theirs),
        Side::Theirs => (theirs, ours),
    };
    let metadata = carrier.metadata_mut();
    metadata.key_groups = readers.groups;
    metadata.shamir_threshold = readers.threshold;
    metadata.raise_version();
    let bytes = match readers.work {
        Work::NewDataKey => {
            let (_, mut metadata) = carrier.into_parts();
            let data_key = new_file::data_key(&mut metadata, keyring)?;
            let contents = encrypt_new(&tree, metadata, &data_key, now)?;
            let bytes = format.emit(&contents.tree, contents.metadata.as_ref(), Some(our_bytes.expose()))?;
            encrypt::read_back(&bytes, format, |written| written.says(&tree, &data_key))?;
            bytes
        }
        work => {
            if work == Work::Wrap {
                carrier.wrap_data_key(keyring)?;
            }
            let contents = match same_key.both {
                true => carrier.encrypt_beside(&tree, &other, now)?,
                false => carrier.encrypt(&tree, now)?,
            };
            let bytes = format.emit(&contents.tree, contents.metadata.as_ref(), Some(our_bytes.expose()))?;
            encrypt::read_back(&bytes, format, |written| carrier.becomes(written, &tree))?;
            bytes
        }
    };
    Ok(MergedFile { bytes, conflicts })
}

/// Why a version of a file stays shut.
#[derive(Debug, thiserror::Error)]
#[error("{side} version cannot be merged")]
pub struct OpenVersionError {
    /// Which version: `our`, `their` or `the common`.
    pub side: &'static str,
    /// Why.
    pub source: ChangeError,
}

/// Why versions were not merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The two sides encrypt different values.
    #[error("the two sides have different rules for what is encrypted")]
    Selection,
    /// A value that was encrypted on both sides would stand in clear.
    #[error("`{name}` would stand in clear, since a comment above it has changed")]
    WouldBeClear {
        /// The name.
        name: String,
    },
    /// Both changed a name, and the file's comments are not encrypted.
    #[error("both sides changed the same name, and the file leaves comments in clear, so both values cannot be shown in it")]
    MarksInClear,
    /// The data key would be wrapped for recipients that no rule names; anybody can have written them into a version.
    #[error("its data key would be wrapped for recipients that no rule names: {}", recipients.join(", "))]
    Unnamed {
        /// Who.
        recipients: Vec<String>,
    },
    /// Nobody can tell who should read it.
    #[error(transparent)]
    Readers(#[from] CannotUnite),
    /// The data key cannot be wrapped for somebody.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// A new data key cannot be made.
    #[error(transparent)]
    NewKey(#[from] NewFileError),
    /// It cannot be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// It cannot be written as text.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// What was encrypted did not read back.
    #[error(transparent)]
    Seal(#[from] SealError),
}
