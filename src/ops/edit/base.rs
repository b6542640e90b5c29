//! What an edit begins with: the file opened, a new one, or a draft and what the file has become since.
//!
//! Its one invariant: nothing is decrypted that could not be saved again, and a new file's key is wrapped before the user types.

use std::collections::HashSet;

use super::blocks;
use super::check::{self, Checked, Mistakes};
use super::dialog::{Dialog, Fact, Finding};
use super::draft::Draft;
use super::error::EditError;
use super::example::Example;
use super::meanwhile::{Merged, merge};
use super::session::{Edit, is_same_text};
use crate::document::selection::Selection;
use crate::document::{encrypt_new, leaves_in_clear};
use crate::format::Syntax;
use crate::ops::change::{ChangeError, Original, current};
use crate::ops::file::{FileError, variable_name};
use crate::ops::new_file;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::{Mapping, Tree};

/// What the edit began with.
pub(super) struct Base {
    /// The file, opened. One that is not there is empty, or what it said before it was removed.
    pub original: Original,
    /// Its plaintext.
    pub text: SecretString,
    /// What the editor is given instead: that with its blocks over several lines, or for a new file the names of an example.
    pub start: Option<SecretBytes>,
    /// What the file's rule encrypts, if the file itself says something else.
    pub rule: Option<Selection>,
    /// The names that stand in clear in it and did not when the edit began. Whoever changed the rule meanwhile needed no key for that.
    pub exposed: HashSet<String>,
}

impl Base {
    /// The file as it is, or a new one.
    pub fn open(request: &Edit, dialog: &mut dyn Dialog) -> Result<Self, EditError> {
        match current(request.path, request.read_only)? {
            Some(file) => {
                if file.through_link {
                    dialog.tell(Fact::BehindLink(&file.path));
                }
                Ok(Self::of_bytes(request, file.bytes, false)?)
            }
            None => {
                let mut base = Self::of_bytes(request, empty_document(request)?, true)?;
                match Example::find(&request.absolute_path()) {
                    Ok(Some(example)) => {
                        dialog.tell(Fact::StartsFrom(&example.path));
                        base.start = Some(example.text);
                    }
                    Ok(None) => {}
                    Err((path, problem)) => dialog.tell(Fact::ExampleNotUsed(&path, &problem)),
                }
                Ok(base)
            }
        }
    }

    /// The base, and its text to begin with.
    pub fn with_its_text(self) -> (Self, SecretBytes) {
        let text = SecretBytes::copy_of(self.starts()[0]);
        (self, text)
    }

    /// The base and the text of a draft. If the file is another one by now, both are merged.
    pub fn of_draft(request: &Edit, sealed: &[u8], dialog: &mut dyn Dialog) -> Result<(Self, SecretBytes), EditError> {
        let draft = Draft::read(sealed)?;
        let mut own = Self::of_bytes(request, SecretBytes::copy_of(&draft.draft.base), draft.draft.new_file)?;
        if draft.draft.exposed {
            own.exposed = own.in_clear();
        }
        // It may be no UTF-8: that is a mistake to be corrected, so it must be shown again.
        let text = draft.open(own.original.document.data_key())?;
        match current(request.path, request.read_only)? {
            None if own.original.is_new => Ok((own, text)),
            None if dialog.make_again() => {
                own.original.is_new = true;
                Ok((own, text))
            }
            None => Err(EditError::DraftOfMissingFile),
            Some(file) if file.bytes.ct_eq(&draft.draft.base) => {
                own.original.is_new = false;
                Ok((own, text))
            }
            Some(file) => match own.check(&text) {
                Ok(checked) => {
                    let now = Self::of_bytes(request, file.bytes, false).map_err(EditError::Theirs)?;
                    let Merged { base, text, meanwhile, .. } = merge(&own, &checked.tree, now)?;
                    dialog.tell(Fact::Merged(&meanwhile));
                    Ok((base, blocks::shown_bytes(text)))
                }
                Err(_) => {
                    dialog.tell(Fact::MergedLater);
                    Ok((own, text))
                }
            },
        }
    }

    /// Tells what the user should know of the file as it stands; an error if that is to keep it from being edited.
    pub fn introduce(&self, dialog: &mut dyn Dialog) -> Result<(), EditError> {
        let Original { document, clear_marks, .. } = &self.original;
        let goes_on = dialog.goes_on(Finding::Opened(document.metadata()))
            && (document.clear_comments == 0 || dialog.goes_on(Finding::ClearComments(document.clear_comments)))
            && (*clear_marks == 0 || dialog.goes_on(Finding::ClearMarks(*clear_marks)));
        if goes_on { Ok(()) } else { Err(EditError::Refused) }
    }

    /// Checks a text that was edited on this one.
    pub fn check(&self, edited: &SecretBytes) -> Result<Checked, Mistakes> {
        let Original { document, format, .. } = &self.original;
        let checked = check::check(edited, &self.text, &document.tree, document.metadata(), self.rule.as_ref(), *format)?;
        Ok(self.with_exposed(checked))
    }

    /// The same, with a question about each name that came into the clear meanwhile and gets another value.
    pub fn with_exposed(&self, mut checked: Checked) -> Checked {
        if !self.exposed.is_empty() {
            let changed = check::changes(&self.original.document.tree, &checked.tree).changed;
            checked.newly_clear.extend(changed.into_iter().filter(|name| self.exposed.contains(name)));
        }
        checked
    }

    /// The names that stand in clear.
    pub fn in_clear(&self) -> HashSet<String> {
        let document = &self.original.document;
        let names = leaves_in_clear(&document.tree, &document.metadata().selection).names;
        names.iter().map(|name| variable_name(name).into_owned()).collect()
    }

    /// Whether there was a file, which is gone and to be made again. Then a text that says what it said is no less to be saved.
    pub fn is_removed(&self) -> bool {
        self.original.is_new && !self.text.is_empty()
    }

    /// Whether `edited` is the text as it was given to the editor, or as it is stored, but for line endings and a final one, so that there
    /// is nothing to save.
    pub fn is_untouched(&self, edited: &SecretBytes) -> bool {
        !self.is_removed() && self.starts().iter().any(|text| is_same_text(edited, text))
    }

    /// What the editor is given, and what else would be the same to save.
    fn starts(&self) -> Vec<&[u8]> {
        self.start.iter().map(SecretBytes::expose).chain([self.text.expose().as_bytes()]).collect()
    }

    /// Whether storing `checked` would say what the file says already.
    pub fn is_said_by(&self, checked: &Checked) -> bool {
        let emitted = self.original.format.emit(&checked.tree, None, None);
        !self.is_removed() && emitted.is_ok_and(|emitted| emitted.ct_eq(self.text.expose().as_bytes()))
    }

    /// Whether the file says what the draft says: an edit that was saved and ended before it could drop its draft.
    pub fn holds_draft(&self, sealed: &[u8]) -> bool {
        let Ok(draft) = Draft::read(sealed) else { return false };
        let Ok(text) = draft.open(self.original.document.data_key()) else { return false };
        self.check(&text).is_ok_and(|checked| self.is_said_by(&checked))
    }

    /// The file of these bytes, opened.
    pub fn of_bytes(request: &Edit, bytes: SecretBytes, is_new: bool) -> Result<Self, ChangeError> {
        let original = Original::open(request.path, bytes, is_new, request.keyring)?;
        let text = original.text()?;
        let start = blocks::shown(text.expose()).map(SecretString::into_bytes);
        let rule = if is_new { None } else { (request.other_rule)(original.document.metadata()) };
        Ok(Self { original, text, start, rule, exposed: HashSet::new() })
    }
}

/// An empty document, its data key wrapped for all recipients now: a key service that does not answer must fail before the user types.
fn empty_document(request: &Edit) -> Result<SecretBytes, EditError> {
    let path = std::path::absolute(request.path)?;
    let syntax = Syntax::by_path(&path);
    let not_known = |source| ChangeError::File(FileError::Syntax { path: request.path.to_owned(), source });
    let format = syntax.format().map_err(not_known)?;
    let mut metadata = (request.new_metadata)(&path)?;
    let data_key = new_file::data_key(&mut metadata, request.keyring)?;
    let tree = Tree::of(Mapping::default());
    let contents = encrypt_new(&tree, metadata, &data_key, (request.now)()).map_err(ChangeError::from)?;
    Ok(format.emit(&contents.tree, contents.metadata.as_ref(), None).map_err(ChangeError::from)?)
}
