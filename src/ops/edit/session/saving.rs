//! The end of an edit: the accepted text goes into the file, or is merged with what the file has become.
//!
//! No plaintext is on any disk and in no session any more. Its one invariant: the file is replaced only while it is the one that the text
//! was merged with last, and until then a draft has what the user typed.

use super::{Edit, Outcome, Running};
use crate::ops::change::{ChangeError, Durability, current};
use crate::ops::edit::base::Base;
use crate::ops::edit::blocks;
use crate::ops::edit::check::{self, Checked};
use crate::ops::edit::dialog::{Choice, Consent, Fact, Finding};
use crate::ops::edit::draft::DraftKey;
use crate::ops::edit::error::EditError;
use crate::ops::edit::meanwhile::{Merged, merge};
use crate::secret::SecretBytes;
use crate::sys::atomic_write::ReplaceError;

/// How it goes on with a file that is another one by now.
enum Next {
    /// This is to be saved to it.
    Save(Checked),
    /// The user looks at the merged text first.
    Edit,
    /// There is nothing to save.
    End(Outcome),
}

impl Running<'_> {
    /// Saves `checked`, as often merged with what the file has become as that is another one; `None` is back to the editor.
    pub(super) fn save(&mut self, mut checked: Checked) -> Result<Option<Outcome>, EditError> {
        if checked.line_endings_changed {
            self.dialog.tell(Fact::LineEndings);
        }
        checked.notes.iter().for_each(|note| self.dialog.tell(Fact::Stored(note)));
        if !checked.notable.iter().all(|(name, effect)| self.dialog.goes_on(Finding::Notable(name, *effect))) {
            return Err(EditError::Refused);
        }
        loop {
            let how = match self.replace(&checked) {
                Err(ChangeError::Overtaken(how)) => how,
                saved => return Ok(Some(saved?)),
            };
            match self.catch_up(checked, how)? {
                Next::Save(merged) => checked = merged,
                Next::Edit => return Ok(None),
                Next::End(outcome) => return Ok(Some(outcome)),
            }
        }
    }

    /// Encrypts, reads the result back, and replaces the file if it is still the one that was opened.
    fn replace(&mut self, checked: &Checked) -> Result<Outcome, ChangeError> {
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

    /// Finds out what the file has become, and asks what to do about it. `how` says what the last look at it found.
    fn catch_up(&mut self, checked: Checked, how: ReplaceError) -> Result<Next, EditError> {
        let Edit { path, read_only, .. } = self.request;
        let original = &mut self.base.original;
        let Some(file) = current(path, *read_only).map_err(EditError::Theirs)? else {
            if !self.dialog.make_again() {
                return Err(ChangeError::Overtaken(ReplaceError::Gone).into());
            }
            original.is_new = true;
            return Ok(Next::Save(checked));
        };
        if file.bytes.ct_eq(original.bytes.expose()) {
            // It was another one only for a moment.
            original.is_new = false;
            return Ok(Next::Save(checked));
        }
        let theirs = Base::of_bytes(self.request, file.bytes, false).map_err(EditError::Theirs)?;
        let Merged { base, text, checked, meanwhile } = merge(&self.base, &checked.tree, theirs)?;
        base.introduce(self.dialog)?;
        self.draft_key = DraftKey::derive(base.original.document.data_key())?;
        self.base = base;
        match checked {
            Ok(checked) if meanwhile.conflicts.is_empty() && self.base.is_said_by(&checked) => {
                self.drafts.drop_draft()?;
                return Ok(Next::End(Outcome::SavedByOthers));
            }
            Err(mistakes) if meanwhile.conflicts.is_empty() => match self.dialog.mistakes(&mistakes) {
                Choice::EditAgain => {}
                Choice::KeepDraft => return Err(EditError::Mistakes(mistakes)),
                Choice::Discard => {
                    self.drafts.drop_draft()?;
                    return Ok(Next::End(Outcome::Discarded));
                }
            },
            checked => match (self.dialog.merged(&meanwhile), checked) {
                (Consent::Withheld, _) => return Err(ChangeError::Overtaken(how).into()),
                (Consent::Given, Ok(checked)) if self.is_accepted(&checked)? => {
                    self.keep_merged(&text);
                    return Ok(Next::Save(checked));
                }
                _ => {}
            },
        }
        self.shown = blocks::shown_bytes(text);
        self.is_proposed = true;
        Ok(Next::Edit)
    }

    /// Keeps a draft of a text that was merged without the editor, so that it is known again if we are killed right after saving it.
    fn keep_merged(&self, text: &SecretBytes) {
        // If it cannot be kept, the draft of what was typed is still there, and merges to the same.
        let _ = self.try_to_keep_draft(text);
    }
}
