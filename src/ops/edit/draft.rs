//! A draft: what the user had typed, sealed under the file's own data key, with the file it was typed on.
//!
//! Whoever can open the file can open the draft and nobody else, even after the file in the work tree has got a new data key: the
//! draft carries the bytes it was made from. Layout, integers big-endian:
//!
//! ```text
//! "dotsops-draft\n"  version u8 = 1  flags u8 (1: the file did not exist yet; 2: see [`Draft::exposed`])
//! time u64 (Unix seconds)  salt 16
//! path u32 + bytes  SHA-256 of the base 32  base u32 + bytes      everything up to here is the AAD
//! nonce 24  ciphertext with tag
//! ```

use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::secret::{DataKey, SecretBytes};

const MAGIC: &[u8] = b"dotsops-draft\n\x01";
const TAG_LENGTH: usize = 16;

/// A draft without its text: what anybody can read of it.
pub struct Draft {
    /// The file it is a draft of.
    pub path: PathBuf,
    /// The encrypted bytes the edit began with. For a new file: an empty document, its data key wrapped for all recipients.
    pub base: Vec<u8>,
    /// Whether the file did not exist when the edit began.
    pub new_file: bool,
    /// Whether a rule that changed during the edit brought names of the base into the clear. None of them gets another value unasked.
    pub exposed: bool,
    /// When it was kept, in seconds since 1970.
    pub time: u64,
}

impl Draft {
    /// Seals `text`; whoever has the data key that `key` was derived from can open it.
    ///
    /// # Errors
    /// [`DraftError::Randomness`] if the system has none to give.
    pub fn seal(&self, text: &SecretBytes, key: &DraftKey) -> Result<Vec<u8>, DraftError> {
        let mut nonce = [0u8; 24];
        getrandom::fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(self.base.len() + text.len() + 512);
        sealed.extend_from_slice(MAGIC);
        sealed.push(flags(self.new_file, self.exposed));
        sealed.extend_from_slice(&self.time.to_be_bytes());
        sealed.extend_from_slice(&key.salt);
        push_field(&mut sealed, self.path.as_os_str().as_bytes());
        sealed.extend_from_slice(&Sha256::digest(&self.base));
        push_field(&mut sealed, &self.base);
        let mut ciphertext = SecretBytes::copy_of(text.expose());
        let tag = key
            .cipher()
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &sealed, ciphertext.expose_mut())
            .map_err(|_| DraftError::NotAuthentic)?;
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(ciphertext.expose());
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Reads what anybody can read of a draft.
    ///
    /// # Errors
    /// [`DraftError::Malformed`] if `bytes` are no draft of this version.
    pub fn read(bytes: &[u8]) -> Result<SealedDraft<'_>, DraftError> {
        let mut reader = Reader::of(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(DraftError::Malformed);
        }
        let (new_file, exposed) = read_flags(reader.array()?);
        let time = u64::from_be_bytes(reader.array()?);
        let salt: [u8; 16] = reader.array()?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(reader.field()?.to_vec()));
        let digest: [u8; 32] = reader.array()?;
        let base = reader.field()?.to_vec();
        let (aad, body) = bytes.split_at(reader.at);
        if digest != *Sha256::digest(&base) || body.len() < 24 + TAG_LENGTH {
            return Err(DraftError::Malformed);
        }
        Ok(SealedDraft { draft: Self { path, base, new_file, exposed, time }, aad, salt, body })
    }
}

/// A draft and its sealed text.
pub struct SealedDraft<'a> {
    /// What anybody can read.
    pub draft: Draft,
    aad: &'a [u8],
    salt: [u8; 16],
    body: &'a [u8],
}

impl SealedDraft<'_> {
    /// Opens the text.
    ///
    /// # Errors
    /// [`DraftError::NotAuthentic`] if the key is another file's or a single bit of the draft was changed.
    pub fn open(&self, data_key: &DataKey) -> Result<SecretBytes, DraftError> {
        self.open_with(&DraftKey::with_salt(self.salt, data_key))
    }

    /// Opens the text with the key it was sealed under.
    ///
    /// # Errors
    /// [`DraftError::NotAuthentic`] if that is another one, or a single bit of the draft was changed.
    pub fn open_with(&self, key: &DraftKey) -> Result<SecretBytes, DraftError> {
        let (nonce, sealed) = self.body.split_at(24);
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG_LENGTH);
        let mut text = SecretBytes::copy_of(ciphertext);
        key.cipher()
            .decrypt_in_place_detached(XNonce::from_slice(nonce), self.aad, text.expose_mut(), Tag::from_slice(tag))
            .map_err(|_| DraftError::NotAuthentic)?;
        Ok(text)
    }
}

/// The name of a draft of `target` among the drafts.
pub fn file_name(file_id: &str) -> PathBuf {
    Path::new("drafts").join(file_id)
}

/// What the drafts of one edit are sealed under, derived from the data key; each draft has a nonce of its own. It opens nothing else,
/// and the data key cannot be told from it.
pub struct DraftKey {
    salt: [u8; 16],
    key: SecretBytes,
}

impl DraftKey {
    /// A key for the drafts of an edit of the file that `data_key` opens.
    ///
    /// # Errors
    /// [`DraftError::Randomness`] if the system has none to give.
    pub fn derive(data_key: &DataKey) -> Result<Self, DraftError> {
        let mut salt = [0u8; 16];
        getrandom::fill(&mut salt)?;
        Ok(Self::with_salt(salt, data_key))
    }

    /// The key, and the salt it was derived with, as they were told to another process.
    pub(super) fn new(salt: [u8; 16], key: SecretBytes) -> Option<Self> {
        (key.len() == 32).then_some(Self { salt, key })
    }

    /// The salt, which stands in every draft.
    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The key, to be told to the guard.
    pub(super) fn expose(&self) -> &[u8] {
        self.key.expose()
    }

    fn with_salt(salt: [u8; 16], data_key: &DataKey) -> Self {
        let mut key = SecretBytes::from_vec(vec![0; 32]);
        // 32 bytes are far below HKDF's limit of 255 blocks, the only way for this to fail.
        let _ = Hkdf::<Sha256>::new(Some(&salt), data_key.expose()).expand(b"dotsops/draft/v1", key.expose_mut());
        Self { salt, key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose().into())
    }
}

/// The flags of a draft, or of what is laid out like one.
pub(super) fn flags(new_file: bool, exposed: bool) -> u8 {
    u8::from(new_file) | u8::from(exposed) << 1
}

/// Whether the file did not exist yet, and whether names came into the clear.
pub(super) fn read_flags([flags]: [u8; 1]) -> (bool, bool) {
    (flags & 1 != 0, flags & 2 != 0)
}

/// Adds a field as [`Reader::field`] reads it.
pub(super) fn push_field(out: &mut impl Write, field: &[u8]) {
    // Memory takes everything.
    let _ = out.write_all(&(field.len() as u32).to_be_bytes());
    let _ = out.write_all(field);
}

/// Reads the fields of a draft, or of what is laid out like one.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DraftError> {
        let end = self.at.checked_add(length).ok_or(DraftError::Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(DraftError::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DraftError> {
        self.take(N)?.try_into().map_err(|_| DraftError::Malformed)
    }

    pub(super) fn field(&mut self) -> Result<&'a [u8], DraftError> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        self.take(length)
    }
}

/// Why a draft cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// These bytes are no draft.
    #[error("the kept draft is damaged, or of another version of dotsops")]
    Malformed,
    /// The data key does not open it, or it was changed.
    #[error("the kept draft is not authentic: it was changed, or belongs to another file")]
    NotAuthentic,
    /// The system has no randomness to give.
    #[error("the system gave no random numbers")]
    Randomness(#[from] getrandom::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (Vec<u8>, DataKey) {
        let path = "/w/secrets.env".into();
        let draft = Draft { path, base: b"A=ENC[]\n".to_vec(), new_file: false, exposed: true, time: 1_800_000_000 };
        let key = DataKey::from_slice(&[3; 32]).unwrap();
        (draft.seal(&SecretBytes::copy_of(b"A=canary\n"), &DraftKey::derive(&key).unwrap()).unwrap(), key)
    }

    #[test]
    fn a_draft_opens_to_what_was_typed_and_carries_its_base() {
        let (bytes, key) = sealed();
        let read = Draft::read(&bytes).unwrap();
        assert_eq!(read.draft.path, Path::new("/w/secrets.env"));
        assert_eq!(read.draft.base, b"A=ENC[]\n");
        assert!(read.draft.exposed && !read.draft.new_file);
        assert_eq!(read.open(&key).unwrap().expose(), b"A=canary\n");
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn no_changed_bit_anywhere_opens() {
        let (bytes, key) = sealed();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Draft::read(&changed).and_then(|read| read.open(&key));
            assert!(opened.is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_draft_cut_anywhere_is_refused() {
        let (bytes, key) = sealed();
        for length in 0..bytes.len() {
            assert!(Draft::read(&bytes[..length]).and_then(|read| read.open(&key)).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_files_key_does_not_open_it() {
        let (bytes, _) = sealed();
        let other = DataKey::from_slice(&[4; 32]).unwrap();
        assert!(matches!(Draft::read(&bytes).unwrap().open(&other).err(), Some(DraftError::NotAuthentic)));
    }
}
