//! All identities of a keyring as one, for the age crate, which stops at the first identity that fails and hides what it tried.
//!
//! Knows the order in which the real age tries identities: its own kind first, then SSH keys. Its one invariant: every identity is
//! tried until one opens, and what happened to each of the others is kept.

use std::cell::RefCell;
use std::slice;

use age_core::format::{FileKey, Stanza};

use crate::keys::keyring::HeldIdentity;
use crate::keys::source::Origin;

/// One identity that did not open a wrapped data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Where the identity came from.
    pub origin: Origin,
    /// Its public half.
    pub recipient: String,
    /// Why it did not.
    pub outcome: Outcome,
}

/// Why an identity did not open a wrapped data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is wrapped for somebody else.
    NotARecipient,
    /// It names this identity, or may be for it, but is damaged.
    Damaged,
}

/// The identities to try.
pub(super) struct Router<'a> {
    held: &'a [HeldIdentity],
    attempts: RefCell<Vec<Attempt>>,
}

impl<'a> Router<'a> {
    /// A router over `held`.
    pub(super) fn over(held: &'a [HeldIdentity]) -> Self {
        Self { held, attempts: RefCell::new(Vec::new()) }
    }

    /// What was tried in vain.
    pub(super) fn into_attempts(self) -> Vec<Attempt> {
        self.attempts.into_inner()
    }
}

impl age::Identity for Router<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        let (native, other): (Vec<_>, Vec<_>) = self.held.iter().partition(|held| held.identity.is_native());
        for held in native.into_iter().chain(other) {
            let outcome = match held.identity.unwrap_stanzas(stanzas) {
                Some(Ok(file_key)) => return Some(Ok(file_key)),
                Some(Err(_)) => Outcome::Damaged,
                None => Outcome::NotARecipient,
            };
            let recipient = held.identity.recipient().to_owned();
            self.attempts.borrow_mut().push(Attempt { origin: held.origin.clone(), recipient, outcome });
        }
        None
    }
}
