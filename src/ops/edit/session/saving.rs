//! The end of an edit: the accepted text goes into the file.
//!
//! No plaintext is on any disk and in no session any more. Its one invariant: until the file has the text, a draft has it.

use super::{Edit, Outcome, Running};
use crate::ops::change::Durability;
use crate::ops::edit::check::{self, Checked};
use crate::ops::edit::dialog::{Fact, Finding};
use crate::ops::edit::error::EditError;

impl Running<'_> {
    /// Encrypts, reads the result back, and replaces the file if it is still the one that was opened.
    pub(super) fn save(mut self, checked: Checked) -> Result<Outcome, EditError> {
        if checked.line_endings_changed {
            self.dialog.tell(Fact::LineEndings);
        }
        checked.notes.iter().for_each(|note| self.dialog.tell(Fact::Stored(note)));
        if !checked.notable.iter().all(|(name, effect)| self.dialog.goes_on(Finding::Notable(name, *effect))) {
            return Err(EditError::Refused);
        }
        let changes = check::changes(&self.base.original.document.tree, &checked.tree);
        let Edit { path, read_only, now, .. } = self.request;
        self.base.original.document.metadata_mut().raise_version();
        match self.base.original.save(path, &checked.tree, now(), *read_only)? {
            Durability::Durable if self.drafts.drop_draft().is_err() => self.dialog.tell(Fact::DraftStays),
            Durability::Durable => {}
            Durability::NotConfirmed => self.dialog.tell(Fact::NotDurable),
        }
        Ok(Outcome::Saved(changes))
    }
}
