//! What the editor left → the lines to store, or what is wrong with them.
//!
//! Lines that were there before and are untouched are never complained about.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Formatter};

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
use crate::ops::merge::marks::CONFLICT;
use crate::secret::{SecretBytes, SecretString};
use crate::tree::{Item, Key, Mapping, Tree, Value};

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
            let stored = stored(&hidden.edited, hidden.before.expose(), selection)?;
            hidden.reveal(stored.text.expose()).map(|text| Stored { text, ..stored })
        }
    };
    let stored = match kept {
        Some(stored) => stored,
        None => stored(edited, before.expose(), selection)?,
    };
    let mut tree = sharing(&format.parse_secret(stored.text.shared().as_bytes())?.tree, base);
    adopt_values(&mut tree, base);
    let Stored { notes, line_endings_changed, .. } = stored;
    Ok(Checked { notes, line_endings_changed, ..Checked::of(tree, base, selection, rule) })
}

/// Checks a text that was merged of two that are stored or could be: `merged`, written down. Its lines are taken as they are.
///
/// # Errors
/// [`Mistakes::Conflicts`].
pub(super) fn check_merged(
    text: &SecretBytes,
    merged: &Tree,
    base: &Tree,
    metadata: &Metadata,
    rule: Option<&Selection>,
    format: &dyn Format,
) -> Result<Checked, Mistakes> {
    let undecided = undecided(dialect::decode_secret(text)?.text.expose(), "");
    if !undecided.is_empty() {
        return Err(Mistakes::Conflicts(undecided));
    }
    let mut tree = format.parse(text.expose())?.tree;
    adopt_values(&mut tree, merged);
    Ok(Checked::of(tree, base, &metadata.selection, rule))
}

impl Checked {
    /// What there is to be said about `tree` in place of `base`.
    fn of(tree: Tree, base: &Tree, selection: &Selection, rule: Option<&Selection>) -> Self {
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
        Self { tree, notes: Vec::new(), newly_clear, notable, emptied, line_endings_changed: false }
    }
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

fn stored(edited: &SecretBytes, before: &str, selection: &Selection) -> Result<Stored, Mistakes> {
    let decoded = dialect::decode_secret(edited)?;
    let text = decoded.text.expose();
    let undecided = undecided(text, before);
    if !undecided.is_empty() {
        return Err(Mistakes::Conflicts(undecided));
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

/// `tree`, in which the items before and behind all that changed share their bytes with those of `base`, and the rest with nothing:
/// the text that it was read from can go.
fn sharing(tree: &Tree, base: &Tree) -> Tree {
    let (items, base) = (tree.first(), base.first());
    // Both are the user's own: how long it takes to compare them tells nobody anything.
    let is_same = |(one, other): &(&Item, &Item)| match (one, other) {
        (Item::Entry(key, value), Item::Entry(other_key, other)) => {
            key == other_key && value.as_text().is_some() && value.as_text() == other.as_text()
        }
        (one, other) => one.is_same(other),
    };
    let start = items.iter().zip(base).take_while(is_same).count();
    let end = items[start..].iter().rev().zip(base[start..].iter().rev()).take_while(is_same).count();
    let changed = items[start..items.len() - end].iter().map(Item::copy);
    let items = base[..start].iter().map(Item::share).chain(changed).chain(base[base.len() - end..].iter().map(Item::share));
    Tree::of(Mapping { items: items.collect() })
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

/// The lines that show the two sides of a conflict.
fn undecided(text: &str, before: &str) -> Vec<Undecided> {
    let mut found: Vec<Undecided> = Vec::new();
    let marks = text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, line.strip_prefix(CONFLICT)?)));
    let mut marks = marks.peekable();
    if marks.peek().is_none() {
        return found;
    }
    // What stands where a name should is told only if it is one elsewhere too: a damaged mark may have a piece of a value there.
    let known: HashSet<&str> = text.lines().chain(before.lines()).filter_map(name_of_line).collect();
    for (line, mark) in marks {
        let side = mark.strip_prefix("mine ").or(mark.strip_prefix("theirs "));
        let name = side.and_then(|side| name_of_line(side).or(side.strip_suffix(" was removed")));
        let name = name.filter(|name| known.contains(name)).map(str::to_owned);
        match found.iter_mut().find(|undecided| undecided.name == name) {
            Some(undecided) => undecided.lines.push(line),
            None => found.push(Undecided { name, lines: vec![line] }),
        }
    }
    found
}

fn name_of_line(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    names::is_portable_name(name).then_some(name)
}

/// The names that were added, changed and removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names that were not there.
    pub added: Vec<String>,
    /// Names with another value, or with `export` and without.
    pub changed: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Whether at most comments, blank lines and the order differ.
    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares two trees by name. Of two equal names the last counts, as for a program.
pub fn changes(before: &Tree, after: &Tree) -> Changes {
    let (old, new) = (Named::of(before), Named::of(after));
    let names = |of: &Named<'_>, is_meant: &dyn Fn(&str) -> bool| {
        of.order.iter().filter(|name| is_meant(name)).map(|name| name.clone().into_owned()).collect()
    };
    Changes {
        added: names(&new, &|name| !old.items.contains_key(name)),
        changed: names(&new, &|name| old.items.get(name).is_some_and(|old| !old.is_same(new.items[name]))),
        removed: names(&old, &|name| !new.items.contains_key(name)),
    }
}

/// The entries of a tree by name.
struct Named<'a> {
    order: Vec<Cow<'a, str>>,
    items: HashMap<Cow<'a, str>, &'a Item>,
}

impl<'a> Named<'a> {
    fn of(tree: &'a Tree) -> Self {
        let mut named = Self { order: Vec::new(), items: HashMap::new() };
        for item in tree.first() {
            let Item::Entry(key, _) = item else { continue };
            let name = file::variable_name(key);
            if named.items.insert(name.clone(), item).is_none() {
                named.order.push(name);
            }
        }
        named
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
    #[error("{}", Listed(.0))]
    Conflicts(Vec<Undecided>),
    /// What was to be stored does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// The lines that show both sides of one conflict.
#[derive(Debug)]
pub struct Undecided {
    /// The name that both changed, if the lines still tell.
    pub name: Option<String>,
    /// Their numbers, from 1.
    pub lines: Vec<usize>,
}

impl Display for Undecided {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        write!(f, "line {}: ", lines.join(", "))?;
        if let Some(name) = &self.name {
            write!(f, "`{name}` was changed by both: ")?;
        }
        write!(f, "decide for one side, and remove every line that begins with `{}`", CONFLICT.trim_end())
    }
}

struct Listed<'a, T>(&'a [T]);

impl<T: Display> Display for Listed<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dotenv::Dotenv;

    fn told(text: &str, before: &str) -> Vec<String> {
        undecided(text, before).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn conflicts_are_told_by_line_and_name() {
        let text = "#!dotsops mine A=1\n#!dotsops theirs A=2\nA=1\n#!dotsops mine B was removed\n#!dotsops theirs export B=x\nexport B=x\n";
        let rest = "decide for one side, and remove every line that begins with `#!dotsops`";
        assert_eq!(
            told(text, ""),
            [format!("line 1, 2: `A` was changed by both: {rest}"), format!("line 4, 5: `B` was changed by both: {rest}")]
        );
        assert!(told("A=1\n# !dotsops mine A=1\n", "").is_empty());
    }

    #[test]
    fn what_a_damaged_mark_has_in_the_place_of_a_name_is_not_told() {
        for damaged in
            ["#!dotsops mine canary==", "#!dotsops canary=1", "#!dotsops mine canary was removed", "#!dotsops mine canary"]
        {
            let told = told(&format!("{damaged}\nA=1\n"), "A=canary\n");
            assert!(told.len() == 1 && told[0].starts_with("line 1: decide"), "{told:?}");
        }
    }

    #[test]
    fn changes_are_told_by_name_in_the_order_of_the_file() {
        let tree = |text: &str| Dotenv.parse(text.as_bytes()).unwrap().tree;
        let (before, after) = (tree("A=1\nB=1\nC=1\nD=1\nD=2\n"), tree("Z=1\nexport B=1\nA=2\nD=2\nE=1\n"));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected = Changes { added: names(&["Z", "E"]), changed: names(&["B", "A"]), removed: names(&["C"]) };
        assert_eq!(changes(&before, &after), expected);
        assert!(changes(&tree("A=1\n# a\nB=1\n"), &tree("B=1\n\nA=1\n")).is_none());
    }
}
