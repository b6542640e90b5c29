//! What the editor left → the lines to store, or what is wrong with them.
//!
//! Lines that were there before and are untouched are never complained about.

use std::borrow::Cow;
use std::collections::HashSet;

use super::blocks;
use super::hidden_lines::Hidden;
use crate::dialect::refusal::{Note, Refusal};
use crate::dialect::{self, DecodeError, names, store};
use crate::document::metadata::Metadata;
use crate::document::selection::Selection;
use crate::document::{InClear, leaves_in_clear};
use crate::format::{Format, ParseError, dotenv};
use crate::ops::encrypt::{self, secret_in_comment};
use crate::ops::exec::policy::Effect;
use crate::ops::file;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::{Item, Key, Tree, Value};

/// How a line begins that shows the two sides of a conflict. It is a question to the user and is never stored.
pub const CONFLICT: &str = "#!dotsops ";

/// An edited text that can be stored.
pub struct Checked {
    /// The lines to store.
    pub tree: Tree,
    /// What storing them changed.
    pub notes: Vec<Note>,
    /// Names that will now stand in clear, and did not before; with `#` those in comments.
    pub newly_clear: Vec<String>,
    /// New names that load code or redirect programs.
    pub notable: Vec<(String, Effect)>,
    /// Whether nothing at all is left.
    pub emptied: bool,
    /// Whether Windows line endings became LF.
    pub line_endings_changed: bool,
}

/// Checks `edited` against the text and tree before. `rule` is what the rule of the file encrypts, if its `metadata` say something else:
/// somebody may have put that there to read what is written from now on.
///
/// # Errors
/// [`Mistakes`], in words for the one who typed it.
pub fn check(
    edited: &SecretBytes,
    before: &SecretString,
    base: &Tree,
    metadata: &Metadata,
    rule: Option<&Selection>,
    format: &dyn Format,
) -> Result<Checked, Mistakes> {
    let selection = &metadata.selection;
    let kept = match Hidden::of(edited.expose(), before.expose()) {
        None => None,
        Some(hidden) => {
            let stored = stored(hidden.edited.expose(), hidden.before.expose(), selection)?;
            hidden.reveal(stored.text.expose()).map(|text| Stored { text, ..stored })
        }
    };
    let stored = match kept {
        Some(stored) => stored,
        None => stored(edited.expose(), before.expose(), selection)?,
    };
    let mut tree = format.parse(stored.text.expose().as_bytes())?.tree;
    adopt_values(&mut tree, base);

    let before = leaves_in_clear(base, selection);
    let before_clear: HashSet<_> = before.names.iter().map(file::variable_name).collect();
    let InClear { names: clear, comments } = leaves_in_clear(&tree, selection);
    let is_new = |name: &Cow<'_, str>| !before_clear.contains(name);
    let mut newly_clear: Vec<String> = clear.iter().map(file::variable_name).filter(is_new).map(Cow::into_owned).collect();
    if let Some(rule) = rule {
        let meant = leaves_in_clear(&tree, rule).names;
        let affected =
            clear.iter().filter(|name| !meant.contains(name) && is_changed(name, &tree, base)).map(file::variable_name);
        newly_clear.extend(affected.filter(|name| before_clear.contains(name)).map(Cow::into_owned));
    }
    let was_there = |comment: &SecretBytes| before.comments.iter().any(|there| there.ct_eq(comment.expose()));
    newly_clear.extend(comments.iter().filter(|comment| !was_there(comment)).filter_map(|c| secret_in_comment(c, selection)));
    let mut notable = encrypt::notable_names(&tree);
    if !notable.is_empty() {
        let before: HashSet<String> = encrypt::notable_names(base).into_iter().map(|(name, _)| name).collect();
        notable.retain(|(name, _)| !before.contains(name));
    }
    let is_content = |item: &Item| !matches!(item, Item::BlankLine);
    let emptied = !tree.first().iter().any(is_content) && base.first().iter().any(is_content);
    Ok(Checked { tree, notes: stored.notes, newly_clear, notable, emptied, line_endings_changed: stored.line_endings_changed })
}

/// Whether `name` has values in `tree` that it has not in `base`.
fn is_changed(name: &Key, tree: &Tree, base: &Tree) -> bool {
    let values = |tree: &Tree| -> Vec<SecretBytes> {
        let entries = tree.first().iter().filter_map(|item| match item {
            Item::Entry(key, value) if key == name => Some(dotenv::value_text(value).unwrap_or_default()),
            _ => None,
        });
        entries.collect()
    };
    let before = values(base);
    values(tree).iter().any(|value| !before.iter().any(|there| there.ct_eq(value.expose())))
}

/// A text as it will be stored.
struct Stored {
    text: SecretString,
    notes: Vec<Note>,
    line_endings_changed: bool,
}

fn stored(edited: &[u8], before: &str, selection: &Selection) -> Result<Stored, Mistakes> {
    let decoded = dialect::decode(edited)?;
    let text = decoded.text.expose();
    let conflicts: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| line.starts_with(CONFLICT)).map(|(index, _)| index + 1).collect();
    if !conflicts.is_empty() {
        return Err(Mistakes::Conflicts(conflicts));
    }
    let folded = blocks::fold(text, before);
    let typed = text;
    let text = folded.as_ref().map_or(text, |folded| folded.text.expose());
    let mut refusals = names::check_names(text, before);
    match store::store_keeping(text, before, &|key| selection.encrypts_key(key.as_bytes())) {
        Ok(store::Stored { text, mut notes }) if refusals.is_empty() => {
            if let Some(folded) = &folded {
                notes = notes.into_iter().map(|note| folded.note(note)).collect();
            }
            return Ok(Stored { text, notes, line_endings_changed: decoded.line_endings_changed });
        }
        Ok(_) => {}
        Err(more) => {
            // One reason a line, and the one that makes the line useless first: its name may be none at all.
            refusals.retain(|name| !more.iter().any(|line| line.lines.contains(name.lines.start())));
            refusals.extend(more);
        }
    }
    if let Some(folded) = &folded {
        refusals = refusals.into_iter().map(|refusal| folded.refusal(refusal)).collect();
    }
    refusals.sort_by_key(|refusal| *refusal.lines.start());
    Err(Mistakes::Lines(blocks::without_quotes(typed, refusals)))
}

/// Gives untouched values back what their text cannot tell: that it was the number 5, or a backslash and an n that `sops set` put there.
fn adopt_values(tree: &mut Tree, base: &Tree) {
    let mut adopted: Vec<_> = base
        .first()
        .iter()
        .filter_map(|item| match item {
            Item::Entry(key, value) if !dotenv::reads_back(value) => Some((key, value, dotenv::read_back(value)?)),
            _ => None,
        })
        .collect();
    if adopted.is_empty() {
        return;
    }
    for item in tree.documents.iter_mut().flat_map(|document| &mut document.items) {
        let Item::Entry(key, value) = item else { continue };
        let text = value.as_text().unwrap_or_default();
        if let Some(at) = adopted.iter().position(|(known, _, read_back)| *known == key && read_back.ct_eq(text)) {
            let (_, known, _) = adopted.remove(at);
            *value = known.copy_of_leaf().unwrap_or(Value::Null);
        }
    }
}

/// How many names were added, changed and removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names that were not there.
    pub added: usize,
    /// Names with another value.
    pub changed: usize,
    /// Names that are gone.
    pub removed: usize,
}

/// Compares two trees by name. Of two equal names the last counts, as for a program.
pub fn changes(before: &Tree, after: &Tree) -> Changes {
    let values = |tree: &Tree| {
        let entries = tree.first().iter().filter_map(|item| match item {
            Item::Entry(key, value) => Some((key.clone(), dotenv::value_text(value).unwrap_or_default())),
            _ => None,
        });
        entries.collect::<std::collections::HashMap<_, _>>()
    };
    let (before, after) = (values(before), values(after));
    Changes {
        added: after.keys().filter(|key| !before.contains_key(*key)).count(),
        removed: before.keys().filter(|key| !after.contains_key(*key)).count(),
        changed: after.iter().filter(|(key, value)| before.get(*key).is_some_and(|before| !before.ct_eq(value.expose()))).count(),
    }
}

/// What is wrong with an edited text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Mistakes {
    /// It is no text.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Lines that cannot be stored.
    #[error("{}", Listed(.0))]
    Lines(Vec<Refusal>),
    /// Conflicts that nobody has resolved.
    #[error("{}", ListedConflicts(.0))]
    Conflicts(Vec<usize>),
    /// What was to be stored does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

struct Listed<'a>(&'a [Refusal]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{refusal}")?;
        }
        Ok(())
    }
}

struct ListedConflicts<'a>(&'a [usize]);

impl std::fmt::Display for ListedConflicts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(usize::to_string).collect();
        let lines = lines.join(", ");
        write!(f, "line {lines}: decide for one side, and remove every line that begins with `{}`", CONFLICT.trim_end())
    }
}
