//! A file that became another one while it was edited: the edited text and the file as it is now → one text.
//!
//! Knows texts and names, not who is asked. Its one invariant: whatever the user typed is in the merged text, as a line of its own or, where
//! both changed a name, as one that cannot be saved by oversight.

use super::base::Base;
use super::check::{Changes, Checked, Mistakes, changes, check_merged};
use crate::ops::change::ChangeError;
use crate::ops::merge::items::{self, Versions};
use crate::ops::merge::marks::with_marks;
use crate::ops::merge::readers::same_readers;
use crate::secret::SecretBytes;
use crate::sys::fault::fault_point;
use crate::tree::Tree;

/// What became of a file since its edit began.
pub struct Meanwhile {
    /// What others changed in it.
    pub theirs: Changes,
    /// What the user changed.
    pub ours: Changes,
    /// The names that both changed, each in its own way. The text shows both values.
    pub conflicts: Vec<String>,
    /// Whether its values are encrypted under another data key.
    pub new_data_key: bool,
    /// Whether it is encrypted to others than before.
    pub other_readers: bool,
}

/// A merged text, and the file that it can be saved to.
pub(super) struct Merged {
    /// The file as it is now.
    pub base: Base,
    /// What it would say.
    pub text: SecretBytes,
    /// The text, to be saved, unless something in it is not decided.
    pub checked: Result<Checked, Mistakes>,
    /// What was merged.
    pub meanwhile: Meanwhile,
}

/// Merges `ours`, which was edited on `began`, with the file as it is now. Its readers and its data key are those of now.
pub(super) fn merge(began: &Base, ours: &Tree, mut now: Base) -> Result<Merged, ChangeError> {
    fault_point!(kill Overtaken);
    let clear_before = began.in_clear();
    now.exposed = now.in_clear();
    now.exposed.retain(|name| !clear_before.contains(name) || began.exposed.contains(name));
    let (old, new) = (&began.original.document, &now.original.document);
    let merged = items::merge(Versions { base: &old.tree, ours, theirs: &new.tree });
    let meanwhile = Meanwhile {
        theirs: changes(&old.tree, &new.tree),
        ours: changes(&old.tree, ours),
        conflicts: merged.conflicts.iter().map(|conflict| conflict.name.clone()).collect(),
        new_data_key: !new.encrypted().is_key(old.data_key()),
        other_readers: !same_readers(old.metadata(), new.metadata()),
    };
    let format = now.original.format;
    let tree = with_marks(merged, format)?;
    let text = format.emit(&tree, None, None)?;
    let checked =
        check_merged(&text, &tree, &new.tree, new.metadata(), now.rule.as_ref(), format).map(|checked| now.with_exposed(checked));
    fault_point!(kill Merged);
    Ok(Merged { base: now, text, checked, meanwhile })
}
