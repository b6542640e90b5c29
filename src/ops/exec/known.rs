//! Which questions about names that load code were answered with yes, and need not be asked again.
//!
//! An answer is about one file, as locks and drafts know it, one data key and one name. What is kept is a list of lines
//! `FILE-ID FINGERPRINT NAME`; it holds no secret and may be lost. Its one invariant: the fingerprint can be made with the data key
//! alone, so a file that was put in the place of another, or that got a new key, has no answers.

use std::io;
use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use hkdf::hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::dialect::names::is_portable_name;
use crate::secret::{DataKey, SecretBytes};
use crate::sys::file_lock::file_id;
use crate::sys::own_lines::{add_line, has_line};

/// The answers that are remembered. Nothing is read before one is asked for.
pub struct Known {
    list: PathBuf,
}

impl Known {
    /// Those in the state folder `state`, which need not be there.
    pub fn in_folder(state: &Path) -> Self {
        Self { list: state.join("known") }
    }

    /// The place of the answer about `name` in the file `path` under `data_key`; `None` if none can be kept, as about a name with a
    /// line break in it.
    pub(super) fn answer(&self, path: &Path, data_key: &DataKey, name: &str) -> Option<Answer<'_>> {
        let file = file_id(path).ok().filter(|_| is_portable_name(name))?;
        let line = format!("{file} {} {name}", fingerprint(data_key, &file)?);
        Some(Answer { list: &self.list, line })
    }
}

/// The place of one answer.
pub(super) struct Answer<'a> {
    list: &'a Path,
    line: String,
}

impl Answer<'_> {
    /// Whether the user said yes before.
    pub(super) fn is_yes(&self) -> bool {
        has_line(self.list, &self.line)
    }

    /// Remembers that the user said yes.
    ///
    /// # Errors
    /// The system's; then it will be asked again.
    pub(super) fn remember(&self) -> io::Result<()> {
        add_line(self.list, &self.line)
    }
}

/// What tells one data key of the file `file_id` from another, and nothing else: 64 hexadecimal digits.
fn fingerprint(data_key: &DataKey, file_id: &str) -> Option<String> {
    let mut key = SecretBytes::from_vec(vec![0; 32]);
    Hkdf::<Sha256>::new(None, data_key.expose()).expand(b"dotsops/known/v1", key.expose_mut()).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    mac.update(file_id.as_bytes());
    Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::from_slice(&[byte; 32]).unwrap()
    }

    #[test]
    fn an_answer_is_about_one_file_one_data_key_and_one_name() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.env"), folder.path().join("b.env"));
        let known = Known::in_folder(&folder.path().join("state"));
        let answer = |path: &Path, byte: u8, name: &str| known.answer(path, &key(byte), name).unwrap();
        assert!(!answer(&file, 1, "PATH").is_yes());
        answer(&file, 1, "PATH").remember().unwrap();
        assert!(answer(&file, 1, "PATH").is_yes());
        assert!(!answer(&other, 1, "PATH").is_yes() && !answer(&file, 2, "PATH").is_yes() && !answer(&file, 1, "PAT").is_yes());
        std::os::unix::fs::symlink(&file, &other).unwrap();
        std::fs::write(&file, "").unwrap();
        assert!(answer(&other, 1, "PATH").is_yes(), "a link leads to the same file");
    }

    #[test]
    fn no_answer_is_kept_about_a_name_that_could_forge_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::in_folder(folder.path());
        for name in ["LD_A\nB", "LD_A B", ""] {
            assert!(known.answer(&folder.path().join("a.env"), &key(1), name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn the_list_holds_neither_the_data_key_nor_a_digest_of_it_alone() {
        use sha2::Digest;
        let folder = tempfile::tempdir().unwrap();
        let known = Known::in_folder(folder.path());
        known.answer(&folder.path().join("a.env"), &key(7), "PATH").unwrap().remember().unwrap();
        let list = std::fs::read_to_string(folder.path().join("known")).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert!(!list.contains(&hex(&[7; 32])) && !list.contains(&hex(&Sha256::digest([7; 32]))), "{list}");
        assert_eq!(list.trim_end().split(' ').map(str::len).collect::<Vec<_>>(), [64, 64, 4]);
    }
}
