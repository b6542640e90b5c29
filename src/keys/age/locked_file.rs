//! An identity file that is encrypted with a passphrase, as `age -p` and `dotsops keygen --passphrase` write it.
//!
//! Looks at the work that the passphrase would take before anybody is asked for it. Its one invariant: no file makes us work for more
//! than a few seconds unless its owner agreed to it.
//!
//! Source: C2SP `age.md`, "scrypt recipient stanza"; getsops/sops `age/encrypted_keys.go`.

use std::io::Write;
use std::iter;

use age::secrecy::SecretString as AgeSecret;
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt};

use crate::keys::age::armor;
use crate::keys::age::header::{self, HeaderError};
use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::identity_file::{self, Found, Layout};
use crate::keys::outside::{Outside, Question};
use crate::keys::source::{MAX_FILE_LENGTH, Origin, read_all};
use crate::secret::{SecretBytes, SecretString};

/// The base-two logarithm of scrypt's N that is worked without asking: some 5 seconds and 1 GiB.
const MAX_WORK: u8 = 20;

/// The same if the user agrees: some 20 seconds and 4 GiB.
const MAX_AGREED_WORK: u8 = 22;

/// What we write, as age does: about a second and 256 MiB.
const OWN_WORK: u8 = 18;

/// An identity file that is not open.
pub(crate) struct LockedFile {
    file: Vec<u8>,
    work: u8,
    is_open: bool,
}

impl LockedFile {
    /// Takes the bytes of an age file, armored or not, for one.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, IdentityProblem> {
        let file = match std::str::from_utf8(bytes).ok().filter(|text| text.trim_start().starts_with("-----BEGIN")) {
            Some(text) => armor::decode_within(text, MAX_FILE_LENGTH).map_err(|_| IdentityProblem::LockedDamaged)?,
            None => bytes.to_vec(),
        };
        header::check(&file).map_err(|error| match error {
            HeaderError::Version => IdentityProblem::LockedVersion,
            _ => IdentityProblem::LockedDamaged,
        })?;
        let work = work_of(&file)?;
        Ok(Self { file, work, is_open: false })
    }

    /// Asks for the passphrase and gives what is inside. What came of it stays: nobody is asked twice.
    pub(crate) fn open(&mut self, origin: &Origin, outside: &Outside) -> Result<Found, IdentityProblem> {
        self.is_open = true;
        if self.work > MAX_AGREED_WORK {
            return Err(IdentityProblem::TooMuchWork);
        }
        if self.work > MAX_WORK {
            // scrypt with r = 8 takes 1,024 bytes for each of N blocks.
            let gibibytes = 1 << (self.work - MAX_WORK);
            if outside.ask.confirm(&Question::Work { of: origin, gibibytes }) != Ok(true) {
                return Err(IdentityProblem::TooMuchWork);
            }
        }
        let inside = outside.with_passphrase(origin, |passphrase| self.decrypt(passphrase))?;
        let mut found = identity_file::read(inside.expose(), Layout::Lines);
        if found.locked.take().is_some() {
            found.problems.push((None, IdentityProblem::LockedTwice));
        }
        Ok(found)
    }

    /// Whether its passphrase was asked for, with whatever result.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the other one is the same file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// The plaintext; `None` if the passphrase is wrong.
    fn decrypt(&self, passphrase: &SecretString) -> Result<Option<SecretBytes>, IdentityProblem> {
        let mut identity = scrypt::Identity::new(AgeSecret::from(passphrase.expose().to_owned()));
        identity.set_max_work_factor(MAX_AGREED_WORK);
        let decryptor = Decryptor::new_buffered(self.file.as_slice()).map_err(|_| IdentityProblem::LockedDamaged)?;
        match decryptor.decrypt(iter::once(&identity as &dyn age::Identity)) {
            Ok(mut reader) => match read_all(&mut reader, self.file.len()) {
                Ok(inside) => Ok(Some(inside)),
                Err(_) => Err(IdentityProblem::LockedDamaged),
            },
            Err(DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed) => Ok(None),
            Err(_) => Err(IdentityProblem::LockedDamaged),
        }
    }
}

/// Encrypts the text of an identity file with a passphrase; gives its armor.
///
/// # Errors
/// The age crate's, which none is known of.
pub fn lock(text: &SecretString, passphrase: &SecretString) -> Result<String, EncryptError> {
    let mut recipient = scrypt::Recipient::new(AgeSecret::from(passphrase.expose().to_owned()));
    recipient.set_work_factor(OWN_WORK);
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))?;
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file)?;
    writer.write_all(text.expose().as_bytes())?;
    writer.finish()?;
    Ok(armor::encode(&file))
}

/// The work that the one scrypt stanza of `file` asks for.
fn work_of(file: &[u8]) -> Result<u8, IdentityProblem> {
    let mut stanzas = header::stanzas(file);
    let words: Vec<&[u8]> = stanzas.next().unwrap_or_default().split(|byte| *byte == b' ').collect();
    match words.as_slice() {
        [b"scrypt", _salt, work] if stanzas.next().is_none() => {
            let text = std::str::from_utf8(work).unwrap_or_default();
            text.parse().ok().filter(|work: &u8| work.to_string() == text && *work > 0).ok_or(IdentityProblem::LockedDamaged)
        }
        [b"scrypt", ..] => Err(IdentityProblem::LockedDamaged),
        _ => Err(IdentityProblem::LockedToKey),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::keys::outside::{Ask, NoAnswer};

    const SECRET: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";

    /// Gives its answers one after the other, and agrees to nothing.
    struct Script(Mutex<Vec<&'static str>>);

    impl Ask for Script {
        fn answer(&self, _question: &Question<'_>) -> Result<SecretString, NoAnswer> {
            self.0.lock().unwrap().pop().map(SecretString::copy_of).ok_or(NoAnswer::Declined)
        }

        fn confirm(&self, _question: &Question<'_>) -> Result<bool, NoAnswer> {
            Ok(false)
        }

        fn show(&self, _plugin: &str, _message: &str) -> Result<(), NoAnswer> {
            Err(NoAnswer::Nobody)
        }
    }

    fn outside(answers: &[&'static str]) -> Outside {
        Outside { ask: Box::new(Script(Mutex::new(answers.iter().rev().copied().collect()))), ..Outside::default() }
    }

    /// A file with little work in it.
    fn locked(text: &str, passphrase: &str) -> Vec<u8> {
        let mut recipient = scrypt::Recipient::new(AgeSecret::from(passphrase.to_owned()));
        recipient.set_work_factor(2);
        age::encrypt(&recipient, text.as_bytes()).unwrap()
    }

    fn with_work(work: &str) -> Vec<u8> {
        let salt = "AAAAAAAAAAAAAAAAAAAAAA";
        format!("age-encryption.org/v1\n-> scrypt {salt} {work}\n{}\n--- {}\n0123456789abcdef0", "A".repeat(43), "A".repeat(43))
            .into()
    }

    fn problem(file: &[u8], answers: &[&'static str]) -> IdentityProblem {
        LockedFile::read(file).and_then(|mut file| file.open(&Origin::Variable("V".into()), &outside(answers))).err().unwrap()
    }

    #[test]
    fn the_right_passphrase_opens_it_armored_or_not_and_may_be_the_third() {
        let binary = locked(&format!("# mine\n{SECRET}\n"), "tango");
        for file in [binary.clone(), format!("\n{}", armor::encode(&binary)).into_bytes()] {
            let mut file = LockedFile::read(&file).ok().unwrap();
            let found = file.open(&Origin::Variable("V".into()), &outside(&["a", "b", "tango"])).ok().unwrap();
            assert_eq!((found.identities.len(), found.problems.len()), (1, 0));
        }
        assert_eq!(problem(&binary, &["a", "b", "c", "tango"]), IdentityProblem::WrongPassphrase);
        assert_eq!(problem(&binary, &["a"]), IdentityProblem::Declined);
        assert_eq!(problem(&locked("", ""), &[]), IdentityProblem::Declined);
    }

    #[test]
    fn too_much_work_is_refused_before_anybody_is_asked_for_a_passphrase() {
        for work in ["21", "22", "23", "63", "255"] {
            assert_eq!(problem(&with_work(work), &[]), IdentityProblem::TooMuchWork, "{work}");
        }
        for work in ["20", "1"] {
            assert_eq!(problem(&with_work(work), &[]), IdentityProblem::Declined, "{work}");
        }
        for work in ["0", "018", "+18", "256", "x", ""] {
            assert_eq!(problem(&with_work(work), &[]), IdentityProblem::LockedDamaged, "{work}");
        }
    }

    #[test]
    fn what_is_not_locked_with_a_passphrase_or_locked_twice_is_named() {
        let identity = age::x25519::Identity::generate();
        assert_eq!(problem(&age::encrypt(&identity.to_public(), b"x").unwrap(), &[]), IdentityProblem::LockedToKey);
        assert_eq!(problem(b"age-encryption.org/v2\n--- x\n", &[]), IdentityProblem::LockedVersion);
        assert_eq!(problem(b"-----BEGIN AGE ENCRYPTED FILE-----\nx", &[]), IdentityProblem::LockedDamaged);
        let inner = String::from_utf8(armor::encode(&locked(SECRET, "a")).into()).unwrap();
        let mut twice = LockedFile::read(&locked(&inner, "b")).ok().unwrap();
        let found = twice.open(&Origin::Variable("V".into()), &outside(&["b"])).ok().unwrap();
        assert_eq!(found.problems, [(None, IdentityProblem::LockedTwice)]);
    }

    #[test]
    fn a_changed_file_is_damaged_and_not_a_wrong_passphrase() {
        let mut file = locked(SECRET, "a");
        *file.last_mut().unwrap() ^= 1;
        assert_eq!(problem(&file, &["a"]), IdentityProblem::LockedDamaged);
    }
}
