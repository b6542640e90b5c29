//! What stands for a value where it must not be shown: the same for the same value, and telling nothing else about it.
//!
//! A mask is a keyed hash. Its key is random, made once, and lies in the user's state folder, outside of every repository; so what a
//! mask stands for can be neither guessed by somebody who sees it, nor compared with what others see. Its one invariant: nobody who
//! cannot open the file, or has not the user's own key, learns more from a mask than that a value is another one than before.

use std::path::Path;

use hkdf::Hkdf;
use sha2::Sha256;

use crate::secret::{DataKey, SecretBytes};
use crate::sys::atomic_write::write_new_private;
use crate::sys::file_lock::create_private_directories;
use crate::sys::regular_file::read_regular;

/// How the file of the user's own key is called.
const FILE: &str = "mask-key";

const LENGTH: usize = 32;

/// The key of masks.
pub struct MaskKey(SecretBytes);

impl MaskKey {
    /// The user's own key in the state folder `state`, made if there is none. `None` if it cannot be kept there.
    pub fn of_user(state: &Path) -> Option<Self> {
        let path = state.join(FILE);
        Self::read(&path).or_else(|| {
            create_private_directories(state).ok()?;
            let mut key = SecretBytes::from_vec(vec![0; LENGTH]);
            getrandom::fill(key.expose_mut()).ok()?;
            // Another process may have been faster: what lies there then is the key.
            let _ = write_new_private(&path, &key);
            Self::read(&path)
        })
    }

    /// A key that whoever opens the file has, for who can keep none. With a new data key every mask is another one.
    pub fn of_file(data_key: &DataKey) -> Self {
        let mut key = SecretBytes::from_vec(vec![0; LENGTH]);
        // Far below HKDF's limit of 255 blocks, the only way for this to fail.
        let _ = Hkdf::<Sha256>::new(None, data_key.expose()).expand(b"dotsops/mask/v1", key.expose_mut());
        Self(key)
    }

    /// Eight hexadecimal digits for `secret`, which belongs to `name`: the same secret of another name has others.
    pub fn mask(&self, name: &[u8], secret: &[u8]) -> String {
        let mut mask = [0; 4];
        if let Ok(keyed) = Hkdf::<Sha256>::from_prk(self.0.expose()) {
            let length = (name.len() as u64).to_be_bytes();
            let _ = keyed.expand_multi_info(&[b"mask", &length, name, secret], &mut mask);
        }
        mask.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(path: &Path) -> Option<Self> {
        // We make no link; whoever put one here wants another file read.
        let is_ours = path.symlink_metadata().ok()?.is_file();
        let bytes = is_ours.then(|| read_regular(path, LENGTH as u64).ok())??.bytes;
        (bytes.len() == LENGTH).then_some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_users_masks_stay_and_another_users_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let [mine, yours] = ["mine/dotsops", "yours"].map(|name| folder.path().join(name));
        let mask = |state: &Path| MaskKey::of_user(state).unwrap().mask(b"A", b"canary");
        assert_eq!(mask(&mine), mask(&mine));
        assert_ne!(mask(&mine), mask(&yours));
        let mode = std::fs::metadata(mine.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_mask_depends_on_name_value_and_key_and_on_where_the_name_ends() {
        let [one, other] = [[1; 32], [2; 32]].map(|key| MaskKey::of_file(&DataKey::from_slice(&key).unwrap()));
        let masks =
            [one.mask(b"A", b"x"), one.mask(b"B", b"x"), one.mask(b"A", b"y"), one.mask(b"", b"Ax"), other.mask(b"A", b"x")];
        let distinct: std::collections::HashSet<&String> = masks.iter().collect();
        assert_eq!((distinct.len(), masks[0].len()), (5, 8));
        assert_eq!(masks[0], one.mask(b"A", b"x"));
    }

    #[test]
    fn where_no_key_can_be_kept_or_a_strange_one_lies_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(MaskKey::of_user(&file.join("below")).is_none());
        std::fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(MaskKey::of_user(folder.path()).is_none());
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        std::fs::write(&file, [7; LENGTH]).unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join(FILE)).unwrap();
        assert!(MaskKey::of_user(folder.path()).is_none());
    }
}
