//! Keys in a text, one to a line: `authorized_keys`, a `.pub` file, recipients of `age -R`, identities.
//!
//! Its one invariant: one bad line spoils no other, and what a line holds is never in what is said about it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use crate::keys::age::AgeKey;
use crate::keys::age::identity::{Form, Identity, IdentityProblem};
use crate::keys::age::identity_file::{self, Found, Layout};
use crate::keys::age::recipient::{RecipientError, is_same, looks_private};
use crate::keys::age::ssh_public::known_type;
use crate::keys::given::{Candidate, Offer, Reason, Unusable};
use crate::keys::outside::Outside;
use crate::keys::source::Origin;
use crate::secret::with_clean_stack;

/// How many lines with something in them are looked at, and one more: no file of secrets can have more recipients.
pub(super) const MAX_LINES: usize = 1000;

/// Where a text comes from.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A file of the user's own, which may hold private keys.
    File {
        /// Its name in questions.
        path: &'a Path,
        /// Whom to ask for a passphrase.
        outside: &'a Outside,
    },
    /// Somewhere that others can see.
    Address,
}

/// Everything in `bytes`.
///
/// # Errors
/// [`IdentityProblem`] if it is no text, or the passphrase that it takes was not given.
pub(super) fn read(bytes: &[u8], place: Place<'_>) -> Result<Offer, IdentityProblem> {
    let text = bytes.trim_ascii_start();
    if let Place::File { path, outside } = place {
        if text.starts_with(b"age-encryption") || text.starts_with(b"-----BEGIN AGE ENCRYPTED") {
            return with_clean_stack(|| open_locked(bytes, path, outside));
        }
        if text.starts_with(b"PuTTY-User-Key-File-") || text.starts_with(b"-----BEGIN ") && contains(text, b"PRIVATE KEY-----") {
            return with_clean_stack(|| read_ssh_key(text));
        }
    }
    let text = std::str::from_utf8(bytes).map_err(|_| IdentityProblem::NotText)?;
    let mut offer = Offer::default();
    let mut in_pem = false;
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().map(str::trim).zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).take(MAX_LINES + 1) {
        let is_begin = line.starts_with("-----BEGIN ");
        let was_in_pem = in_pem;
        in_pem = (is_begin || was_in_pem) && !line.contains("-----END ");
        match place {
            // Told once, at its first line.
            _ if was_in_pem => {}
            Place::Address if looks_private(line) => offer.refuse(number, Reason::Published),
            Place::File { .. } if looks_private(line) => offer.take_private(number, line, is_begin),
            _ => match recipient(line) {
                Ok(candidate) => offer.add(candidate),
                Err(why) => offer.refuse(number, why),
            },
        }
    }
    Ok(offer)
}

/// The one recipient in `line`, with its comment.
///
/// # Errors
/// [`Reason`].
pub(super) fn recipient(line: &str) -> Result<Candidate, Reason> {
    let (first, rest) = split_word(line);
    if known_type(first.as_bytes()).is_some() {
        let (base64, comment) = split_word(rest);
        let recipient = format!("{first} {base64}");
        AgeKey::new(&recipient).map_err(Reason::Recipient)?;
        let blob = STANDARD.decode(base64).unwrap_or_default();
        let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)));
        let comment = (!comment.is_empty()).then(|| comment.to_owned());
        return Ok(Candidate { recipient, comment, fingerprint });
    }
    if line.split([' ', '\t']).any(|word| known_type(word.as_bytes()).is_some()) {
        return Err(Reason::Options);
    }
    // age itself takes no comment behind a recipient, but `.sops.yaml` has them there.
    let comment = match rest.strip_prefix('#').map(str::trim) {
        Some(comment) => Some(comment.to_owned()),
        None if rest.is_empty() => None,
        None => return Err(Reason::Recipient(RecipientError::Unknown)),
    };
    AgeKey::new(first).map_err(Reason::Recipient)?;
    Ok(Candidate { recipient: first.to_owned(), comment: comment.filter(|text| !text.is_empty()), fingerprint: first.to_owned() })
}

impl Offer {
    fn add(&mut self, candidate: Candidate) {
        if !self.candidates.iter().any(|known| is_same(&known.recipient, &candidate.recipient)) {
            self.candidates.push(candidate);
        }
    }

    fn take_private(&mut self, number: usize, line: &str, is_pem: bool) {
        self.is_private = true;
        let identity = if is_pem { Err(IdentityProblem::SshKeyHere) } else { with_clean_stack(|| Identity::parse(line)) };
        match identity {
            Ok(identity) => self.add_identity(number, &identity),
            Err(problem) => self.refuse(number, Reason::Identity(problem)),
        }
    }

    fn add_identity(&mut self, line: usize, identity: &Identity) {
        match (identity.form(), recipient(identity.recipient())) {
            (Form::Plugin, _) => self.refuse(line, Reason::PluginIdentity { plugin: identity.recipient().to_owned() }),
            (_, Ok(candidate)) => self.add(candidate),
            (_, Err(why)) => self.refuse(line, why),
        }
    }

    fn refuse(&mut self, line: usize, why: Reason) {
        self.unusable.push(Unusable { line, why });
    }

    /// The public halves of identities.
    fn of_identities(found: Found) -> Self {
        let mut offer = Self { is_private: true, ..Self::default() };
        found.identities.iter().for_each(|identity| offer.add_identity(1, identity));
        for (line, problem) in found.problems {
            offer.refuse(line.unwrap_or(1), Reason::Identity(problem));
        }
        offer
    }
}

fn open_locked(bytes: &[u8], path: &Path, outside: &Outside) -> Result<Offer, IdentityProblem> {
    let mut found = identity_file::read(bytes, Layout::Lines);
    match found.locked.take() {
        Some(mut locked) => locked.open(&Origin::File(path.to_owned()), outside).map(Offer::of_identities),
        None => Err(found.problems.pop().map_or(IdentityProblem::LockedDamaged, |(_, problem)| problem)),
    }
}

fn read_ssh_key(bytes: &[u8]) -> Result<Offer, IdentityProblem> {
    let text = std::str::from_utf8(bytes).map_err(|_| IdentityProblem::NotText)?;
    let identity = Identity::parse_ssh(text)?;
    Ok(Offer::of_identities(Found { identities: vec![identity], ..Found::default() }))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// The first word, and what stands behind it, without the blanks between.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once([' ', '\t']).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}
