//! What an edit begins with: the file opened, a new one, or a draft and what the file has become since.
//!
//! Its one invariant: nothing is decrypted that could not be saved again, and a new file's key is wrapped before the user types.

use super::blocks;
use super::check::{self, CONFLICT, Checked};
use super::dialog::{Dialog, Fact};
use super::draft::Draft;
use super::error::EditError;
use super::example::Example;
use super::session::{Edit, is_same_text};
use crate::document::encrypt_new;
use crate::format::Syntax;
use crate::ops::change::{ChangeError, Original, current};
use crate::ops::file::FileError;
use crate::ops::new_file;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::{Mapping, Tree};

/// What the edit began with.
pub(super) struct Base {
    /// The file, opened; a new one is empty.
    pub original: Original,
    /// Its plaintext.
    pub text: SecretString,
    /// What the editor is given instead: that with its blocks over several lines, or for a new file the names of an example.
    pub start: Option<SecretBytes>,
}

impl Base {
    /// The file as it is, or a new one.
    pub fn open(request: &Edit, dialog: &mut dyn Dialog) -> Result<Self, EditError> {
        match current(request.path, request.read_only)? {
            Some(file) => {
                if file.through_link {
                    dialog.tell(Fact::BehindLink(&file.path));
                }
                Self::of_bytes(request, file.bytes, false)
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

    /// The base and the text of a draft. If the file is another one by now, the text shows both.
    pub fn of_draft(request: &Edit, sealed: &[u8], dialog: &mut dyn Dialog) -> Result<(Self, SecretBytes), EditError> {
        let draft = Draft::read(sealed)?;
        let own = Self::of_bytes(request, SecretBytes::copy_of(&draft.draft.base), draft.draft.new_file)?;
        // It may be no UTF-8: that is a mistake to be corrected, so it must be shown again.
        let text = draft.open(own.original.document.data_key())?;
        match current(request.path, request.read_only)? {
            None if draft.draft.new_file => Ok((own, text)),
            None => Err(EditError::DraftOfMissingFile),
            Some(current) if !draft.draft.new_file && current.bytes.ct_eq(&draft.draft.base) => Ok((own, text)),
            Some(current) => {
                let theirs = Self::of_bytes(request, current.bytes, false)?;
                let both = show_both(theirs.text.expose(), own.text.expose(), blocks::stored(&text, own.text.expose()).expose());
                let both = blocks::shown_bytes(both);
                dialog.tell(Fact::DraftOnOtherBase);
                Ok((theirs, both))
            }
        }
    }

    /// Whether `edited` is the text as it was given to the editor, or as it is stored, but for line endings and a final one.
    pub fn is_untouched(&self, edited: &SecretBytes) -> bool {
        self.starts().iter().any(|text| is_same_text(edited, text))
    }

    /// What the editor is given, and what else would be the same to save.
    fn starts(&self) -> Vec<&[u8]> {
        self.start.iter().map(SecretBytes::expose).chain([self.text.expose().as_bytes()]).collect()
    }

    /// Whether storing `checked` would say what the file says already.
    pub fn is_said_by(&self, checked: &Checked) -> bool {
        let emitted = self.original.format.emit(&checked.tree, None, None);
        emitted.is_ok_and(|emitted| emitted.ct_eq(self.text.expose().as_bytes()))
    }

    /// Whether the file says what the draft says: an edit that was saved and ended before it could drop its draft.
    pub fn holds_draft(&self, sealed: &[u8]) -> bool {
        let Ok(draft) = Draft::read(sealed) else { return false };
        let Original { document, format, .. } = &self.original;
        let Ok(text) = draft.open(document.data_key()) else { return false };
        let checked = check::check(&text, &self.text, &document.tree, document.metadata(), None, *format);
        checked.is_ok_and(|checked| self.is_said_by(&checked))
    }

    fn of_bytes(request: &Edit, bytes: SecretBytes, is_new: bool) -> Result<Self, EditError> {
        let original = Original::open(request.path, bytes, is_new, request.keyring)?;
        let text = original.text()?;
        let start = blocks::shown(text.expose()).map(SecretString::into_bytes);
        Ok(Self { original, text, start })
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

/// `theirs`, and behind it every line that `mine` has and neither `theirs` nor `base`, marked so that it cannot be saved by oversight.
fn show_both(theirs: &str, base: &str, mine: &[u8]) -> SecretBytes {
    let lines = mine.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_in = |text: &str, line: &[u8]| text.lines().any(|there| there.as_bytes() == line);
    let own = lines.filter(|line| !line.is_empty() && !is_in(theirs, line) && !is_in(base, line));
    let mut both = SecretBytes::with_capacity(theirs.len() + mine.len() * 20 + 64);
    both.push(theirs.as_bytes());
    for line in own {
        if !line.starts_with(CONFLICT.as_bytes()) {
            both.push(CONFLICT.as_bytes());
            both.push(b"mine ");
        }
        both.push(line);
        both.push(b"\n");
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_shown_and_what_was_never_touched_only_once() {
        let both = show_both("A=theirs\nB=1\nC=1\n", "A=1\nB=1\n", b"A=mine\nB=1\n\nD=4\r\n");
        assert_eq!(both.expose(), b"A=theirs\nB=1\nC=1\n#!dotsops mine A=mine\n#!dotsops mine D=4\n");
        let unresolved = show_both("A=3\n", "A=2\n", b"A=2\n#!dotsops mine A=mine\n");
        assert_eq!(unresolved.expose(), b"A=3\n#!dotsops mine A=mine\n");
        assert_eq!(show_both("A=2\nB=2\n", "A=1\n", b"A=2\n").expose(), b"A=2\nB=2\n");
    }
}
