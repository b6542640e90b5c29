//! All identities of a keyring as one, for the age crate, which stops at the first identity that fails and hides what it tried.
//!
//! Is given the identities of one step, in their order. Its one invariant: every identity is tried until one opens, and what happened to
//! each of the others is kept.

use std::cell::RefCell;
use std::slice;
use std::sync::Arc;

use age_core::format::{FileKey, Stanza};

use crate::keys::age::identity::Shut;
use crate::keys::keyring::{HeldIdentity, Keyring};
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
    /// Something that trying it needs was missing.
    NotTried,
}

/// The identities to try.
pub(super) struct Router<'a> {
    held: &'a [Arc<HeldIdentity>],
    keyring: &'a Keyring,
    attempts: RefCell<Vec<Attempt>>,
}

impl<'a> Router<'a> {
    /// A router over `held`, whose problems `keyring` remembers.
    pub(super) fn over(held: &'a [Arc<HeldIdentity>], keyring: &'a Keyring) -> Self {
        Self { held, keyring, attempts: RefCell::new(Vec::new()) }
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
        for held in self.held {
            let outcome = match held.identity.unwrap_stanzas(stanzas, &held.origin, self.keyring.outside()) {
                Some(Ok(file_key)) => return Some(Ok(file_key)),
                Some(Err(Shut::Damaged)) => Outcome::Damaged,
                Some(Err(Shut::NotTried(problem))) => {
                    self.keyring.note_problem(&held.origin, problem);
                    Outcome::NotTried
                }
                None => Outcome::NotARecipient,
            };
            let recipient = held.identity.recipient().to_owned();
            self.attempts.borrow_mut().push(Attempt { origin: held.origin.clone(), recipient, outcome });
        }
        None
    }
}
