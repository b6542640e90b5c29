//! What is asked of a text that has no mistakes, before it is saved.
//!
//! Its one invariant: nobody is asked twice about the same, and a text that nobody agreed to is in a draft.

use super::Running;
use crate::ops::edit::check::{self, Checked};
use crate::ops::edit::dialog::Consent;
use crate::ops::edit::error::EditError;
use crate::ops::edit::session::is_same_text;
use crate::ops::glob::glob_matches;
use crate::secret::SecretBytes;

impl Running<'_> {
    /// Asks what has to be asked; `false` is back to the editor.
    pub(super) fn is_accepted(&mut self, checked: &Checked) -> Result<bool, EditError> {
        if checked.emptied && !self.request.allow_empty {
            match self.dialog.accept_empty() {
                Consent::Given => self.is_proposed = false,
                Consent::EditAgain => return Ok(false),
                Consent::Withheld => return Err(EditError::WouldBeEmpty),
            }
        }
        let allowed = |name: &String| {
            self.agreed.contains(name) || self.request.allow_plaintext.iter().any(|pattern| glob_matches(pattern, name))
        };
        let asked: Vec<String> = checked.newly_clear.iter().filter(|name| !allowed(name)).cloned().collect();
        if asked.is_empty() {
            return Ok(true);
        }
        match self.dialog.accept_clear(&asked) {
            Consent::Given => {
                self.agreed.extend(asked);
                self.is_proposed = false;
                Ok(true)
            }
            Consent::EditAgain => Ok(false),
            Consent::Withheld => Err(EditError::WouldBeClear { names: asked }),
        }
    }

    /// Asks whether `edited`, if the user left it as it was shown, is to be saved; `false` is back to the editor. Whoever agreed to something
    /// in it has said so.
    pub(super) fn is_wanted(&mut self, edited: &SecretBytes, checked: &Checked) -> Result<bool, EditError> {
        self.is_proposed &= is_same_text(edited, self.shown.expose());
        if !self.is_proposed {
            return Ok(true);
        }
        match self.dialog.left_as_shown(&check::changes(&self.base.original.document.tree, &checked.tree)) {
            Consent::Given => {
                self.is_proposed = false;
                Ok(true)
            }
            Consent::EditAgain => Ok(false),
            Consent::Withheld => Err(EditError::LeftAsShown),
        }
    }
}
