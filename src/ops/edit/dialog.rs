//! How an edit talks with the user, without knowing words or terminals.

use std::io;
use std::path::Path;

use super::check::{Changes, Mistakes};
use super::error::DraftFailure;
use super::example::NotUsed;
use super::meanwhile::Meanwhile;
use super::sweep::Found;
use crate::dialect::refusal::Note;
use crate::document::metadata::Metadata;
use crate::ops::exec::policy::Effect;

/// How an edit talks with the user. Without a terminal every question has an answer that loses and exposes nothing.
pub trait Dialog {
    /// The text has mistakes; what now?
    fn mistakes(&mut self, mistakes: &Mistakes) -> Choice;
    /// The draft could not be kept; try again (`true`) or leave the session where it is?
    fn draft_failed(&mut self, error: &DraftFailure) -> bool;
    /// The text is a draft, or merged, and was left as it was shown; saved, it changes this. Is it to be? Without a terminal it is: a script
    /// that goes on from a draft has no other way to say so.
    fn left_as_shown(&mut self, changes: &Changes) -> Consent;
    /// May these names stand in clear?
    fn accept_clear(&mut self, names: &[String]) -> Consent;
    /// May the file become empty?
    fn accept_empty(&mut self) -> Consent;
    /// The file changed meanwhile, and was merged with the text: may that be saved? Where there are conflicts, it cannot, and nobody agrees.
    fn merged(&mut self, meanwhile: &Meanwhile) -> Consent;
    /// The file was removed meanwhile: make it again (`true`), or keep the draft and stop?
    fn make_again(&mut self) -> bool;
    /// The editor was back at once, unchanged: wait until the user says that it is closed.
    fn wait_until_closed(&mut self);
    /// Something speaks against going on: goes on all the same (`true`), or refuses.
    fn goes_on(&mut self, finding: Finding) -> bool;
    /// Tells something in one line.
    fn tell(&mut self, fact: Fact);
}

/// What to do about a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Back to the editor with the text as it was left.
    EditAgain,
    /// Keep the draft and stop.
    KeepDraft,
    /// Forget the text.
    Discard,
}

/// An answer to "may I?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Yes.
    Given,
    /// No: back to the editor.
    EditAgain,
    /// No, or nobody is there to ask: keep the draft and stop.
    Withheld,
}

/// Something about the file that the user should know, and that may be a reason to stop.
pub enum Finding<'a> {
    /// The file that is edited says this about its own encryption.
    Opened(&'a Metadata),
    /// Comments that anybody could have added.
    ClearComments(usize),
    /// Comments that look like the marks of a merge, and that anybody could have added. They are shown as ordinary ones.
    ClearMarks(usize),
    /// A new name has an effect on what runs with it.
    Notable(&'a str, Effect),
}

/// Something the user should know.
pub enum Fact<'a> {
    /// What storing a line changed.
    Stored(&'a Note),
    /// Windows line endings became LF.
    LineEndings,
    /// What the editor may keep.
    EditorKeeps(&'a str, &'a str),
    /// No guard stands beside the edit: if this process is killed, nobody cleans up before the next edit.
    Unguarded(&'a io::Error),
    /// The file is behind a link.
    BehindLink(&'a Path),
    /// The new file starts from the names in this example.
    StartsFrom(&'a Path),
    /// An example is there, but it is not used.
    ExampleNotUsed(&'a Path, &'a NotUsed),
    /// What an edit that was killed has left.
    Found(&'a Found),
    /// The file changed since the draft was kept, and both are merged in the text that is shown.
    Merged(&'a Meanwhile),
    /// The same, but the draft has mistakes, which come first: the text is merged when it is saved.
    MergedLater,
    /// The plaintext could not be wiped from here.
    NotWiped(&'a Path),
    /// The file is saved, but may be the old one after a power cut; the draft is kept until it is looked at again.
    NotDurable,
    /// The file is saved, but the draft could not be removed.
    DraftStays,
}
