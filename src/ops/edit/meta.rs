//! What a session says about itself to whoever finds it after its process is gone.
//!
//! Its one invariant: it holds no secret; of the text only a salted digest. Layout, integers big-endian:
//!
//! ```text
//! "dotsops-session\n"  version u8 = 1  flags u8 (1: the file did not exist yet; 2: names came into the clear)
//! time u64 (Unix seconds)  SHA-256 of the base 32
//! salt 16  SHA-256 of salt and text 32
//! path u32 + bytes  name of the text u32 + bytes
//! ```

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::draft::{Reader, flags, push_field, read_flags};

const MAGIC: &[u8] = b"dotsops-session\n\x01";

/// What a session is for.
pub(super) struct Meta {
    /// The file that is edited: its absolute path.
    pub path: PathBuf,
    /// What the text is called in the session.
    pub text_name: String,
    /// Whether there was no such file when the edit began.
    pub new_file: bool,
    /// As in a draft.
    pub exposed: bool,
    /// When the edit began, in seconds since 1970.
    pub time: u64,
    base: [u8; 32],
    salt: [u8; 16],
    start: [u8; 32],
}

impl Meta {
    /// A session of `path` that begins with `text`, in clear, from the encrypted bytes `base`.
    pub fn new(
        path: &Path,
        text_name: &str,
        (base, new_file, exposed): (&[u8], bool, bool),
        text: &[u8],
        time: u64,
    ) -> Result<Self, getrandom::Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        Ok(Self {
            path: path.to_owned(),
            text_name: text_name.to_owned(),
            new_file,
            exposed,
            time,
            base: Sha256::digest(base).into(),
            salt,
            start: salted(salt, text),
        })
    }

    /// Whether the session began with `text`.
    pub fn began_with(&self, text: &[u8]) -> bool {
        salted(self.salt, text) == self.start
    }

    /// Whether the edit began from the encrypted bytes `base`.
    pub fn is_of(&self, base: &[u8]) -> bool {
        self.base == *Sha256::digest(base)
    }

    /// As it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            [MAGIC, &[flags(self.new_file, self.exposed)], &self.time.to_be_bytes(), &self.base, &self.salt, &self.start]
                .concat();
        push_field(&mut bytes, self.path.as_os_str().as_bytes());
        push_field(&mut bytes, self.text_name.as_bytes());
        bytes
    }

    /// What was written; `None` if that is no such thing, or of another version.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::of(bytes);
        if reader.take(MAGIC.len()).ok()? != MAGIC {
            return None;
        }
        let (new_file, exposed) = read_flags(reader.array().ok()?);
        Some(Self {
            new_file,
            exposed,
            time: u64::from_be_bytes(reader.array().ok()?),
            base: reader.array().ok()?,
            salt: reader.array().ok()?,
            start: reader.array().ok()?,
            path: PathBuf::from(OsString::from_vec(reader.field().ok()?.to_vec())),
            text_name: String::from_utf8(reader.field().ok()?.to_vec()).ok()?,
        })
    }
}

fn salted(salt: [u8; 16], text: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(text).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_tells_what_it_is_for_and_not_what_is_in_it() {
        let meta = Meta::new(Path::new("/w/prod.env"), "prod.env", (b"base", true, false), b"A=canary\n", 7).unwrap();
        let bytes = meta.to_bytes();
        let read = Meta::read(&bytes).unwrap();
        assert_eq!((read.path.as_path(), &*read.text_name), (Path::new("/w/prod.env"), "prod.env"));
        assert_eq!((read.new_file, read.exposed, read.time), (true, false, 7));
        assert!(read.began_with(b"A=canary\n") && !read.began_with(b"A=canary") && read.is_of(b"base") && !read.is_of(b"Base"));
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
        // The same text is another digest in another session.
        let again = Meta::new(Path::new("/w/prod.env"), "prod.env", (b"base", true, false), b"A=canary\n", 7).unwrap();
        assert_ne!(again.start, meta.start);
    }

    #[test]
    fn what_was_cut_short_says_nothing() {
        let bytes = Meta::new(Path::new("/w/a.env"), "a.env", (b"", false, true), b"", 0).unwrap().to_bytes();
        assert!((0..bytes.len()).all(|length| Meta::read(&bytes[..length]).is_none()));
    }
}
