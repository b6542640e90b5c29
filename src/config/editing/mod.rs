//! Recipients put into a config's text and taken out of it.
//!
//! Knows every layout in which recipients are written: lists in block and flow style, texts with commas, groups. Must not know files. One
//! invariant: what comes out says the same as before except for the one recipient, and differs in no byte that is not about it; else
//! nothing comes out. Anchors, aliases, merge keys and tags on the way to a recipient are not edited: their text counts elsewhere too.
//!
//! Layouts are the same for every kind of key that is written as a text; keys that are mappings, as those of KMS in groups, would be one
//! more.

mod adding;
mod changes;
mod check;
mod place;
mod removing;

use self::adding::Adding;
use self::changes::Changes;
use self::place::{Field, Read};
use super::field::Fault;
use super::names::Names;
use super::template::is_unprintable;
use crate::keys::Kind;
use crate::yaml::YamlError;

/// The longest name, in characters.
pub const NAME_LENGTH: usize = 100;

/// Somebody who is let in.
#[derive(Clone, Copy, Debug)]
pub struct NewRecipient<'a> {
    /// What kind of key.
    pub kind: Kind,
    /// The key as it is written in a config.
    pub recipient: &'a str,
    /// Whose it is, which becomes a comment; may be empty.
    pub name: &'a str,
}

/// What to do where recipients stand beside each other on one line, so that there is no room for a name behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringForm {
    /// Write them as a list, one on a line.
    MakeList,
    /// Leave them, and write `# RECIPIENT NAME` above the field.
    CommentAbove,
}

/// Adds a recipient to a group of the rule that starts on `rule_line`; group 0 if the rule has none.
///
/// # Errors
/// [`EditError`]; nothing is changed then.
pub fn add(
    config_text: &str,
    rule_line: usize,
    group: usize,
    new: &NewRecipient<'_>,
    form: StringForm,
) -> Result<String, EditError> {
    check_name(new.name)?;
    check_recipient(new.recipient)?;
    let before = Read::of(config_text)?;
    let rule = before.rule_on(rule_line)?;
    let groups = &before.rule(rule)?.groups;
    let members = &groups.get(group).ok_or(EditError::NoSuchGroup { line: rule_line, group })?.keys;
    let field = before.field(rule, group, new.kind)?;
    if let Some(key) = members.iter().find(|key| key.kind == new.kind && field.is(new.recipient, &key.written())) {
        return Err(EditError::AlreadyThere { line: key.line });
    }
    field.refuse_what_is_unsafe(config_text)?;
    let mut changes = Changes::of(before.names());
    Adding { read: &before, field: &field, new, form }.plan(&mut changes)?;
    let line = field.line();
    check::added(&before, changes, &field, rule, group, new).ok_or_else(|| Obstacle::Unclear.on(line))
}

/// Whether [`add`] with a name needs to know which [`StringForm`] is wanted.
pub fn needs_form(config_text: &str, rule_line: usize, group: usize) -> bool {
    let Ok(read) = Read::of(config_text) else { return false };
    let field = read.rule_on(rule_line).and_then(|rule| read.field(rule, group, Kind::Age));
    field.is_ok_and(|field| adding::can_become_list(&field, &read))
}

/// Removes a recipient, and its name, from every group of the rule that starts on `rule_line`.
///
/// # Errors
/// [`EditError`]; nothing is changed then.
pub fn remove(config_text: &str, rule_line: usize, kind: Kind, recipient: &str) -> Result<String, EditError> {
    let before = Read::of(config_text)?;
    let rule = before.rule_on(rule_line)?;
    let groups = &before.rule(rule)?.groups;
    let fields = before.fields(rule, kind)?;
    if let Some(field) = fields.iter().find(|field| field.name.is_empty()) {
        return Err(Obstacle::KeysAreMappings.on(field.line()));
    }
    let fields: Vec<Field<'_>> = fields.into_iter().filter(|field| field.holds(recipient)).collect();
    let Some(first) = fields.first() else { return Err(EditError::NotThere { line: rule_line }) };
    let is_it = |key: &super::RuleKey| key.kind == kind && first.is(recipient, &key.written());
    if let Some(group) = groups.iter().position(|group| !group.keys.is_empty() && group.keys.iter().all(is_it)) {
        return Err(EditError::LastOfGroup { line: groups[group].keys[0].line, group });
    }
    let mut changes = Changes::of(before.names());
    for field in &fields {
        field.refuse_what_is_unsafe(config_text)?;
        removing::plan(field, recipient, before.names(), &mut changes)?;
    }
    let line = first.line();
    check::removed(&before, changes, &fields, rule, recipient).ok_or_else(|| Obstacle::Unclear.on(line))
}

impl Read<'_> {
    fn names(&self) -> Names<'_> {
        Names { document: &self.document, text: self.text }
    }
}

/// A name is one that reads back as it is, and that nothing can be hidden in.
fn check_name(name: &str) -> Result<(), EditError> {
    if let Some(odd) = name.chars().find(|c| is_unprintable(*c)) {
        return Err(EditError::NameCharacter { code_point: u32::from(odd) });
    }
    if name.trim() != name || name.starts_with('#') {
        return Err(EditError::NameEdges);
    }
    match name.chars().count() {
        length if length > NAME_LENGTH => Err(EditError::NameTooLong),
        _ => Ok(()),
    }
}

fn check_recipient(recipient: &str) -> Result<(), EditError> {
    let is_one = !recipient.is_empty() && recipient.trim() == recipient && !recipient.contains(',');
    if !is_one || recipient.chars().any(is_unprintable) {
        return Err(EditError::Recipient);
    }
    Ok(())
}

/// A config is not edited. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// It cannot be read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It can be read, but it is no config, or the rule is broken.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// No rule starts on the line.
    #[error("no creation rule starts on line {line}")]
    NoSuchRule {
        /// The line that was asked for.
        line: usize,
    },
    /// The rule has fewer groups.
    #[error("the rule on line {line} has no key group {}", group + 1)]
    NoSuchGroup {
        /// Where the rule starts.
        line: usize,
        /// The group's number, from 0.
        group: usize,
    },
    /// The group names the recipient.
    #[error("the recipient is there already, on line {line}")]
    AlreadyThere {
        /// Where it stands.
        line: usize,
    },
    /// The rule does not name the recipient.
    #[error("the rule on line {line} does not name the recipient")]
    NotThere {
        /// Where the rule starts.
        line: usize,
    },
    /// A group would have no key left.
    #[error("the recipient on line {line} is the only one of its rule or key group")]
    LastOfGroup {
        /// Where it stands.
        line: usize,
        /// The group's number, from 0.
        group: usize,
    },
    /// A text that is not exactly one recipient.
    #[error("a recipient must be one text without commas and control characters")]
    Recipient,
    /// A name with a character that is not seen or that ends a line.
    #[error("the name has a character that cannot stand in a comment: U+{code_point:04X}")]
    NameCharacter {
        /// Its number.
        code_point: u32,
    },
    /// A name whose ends would be lost.
    #[error("the name starts with `#`, or has blanks around it")]
    NameEdges,
    /// A name longer than [`NAME_LENGTH`].
    #[error("the name is longer than {NAME_LENGTH} characters")]
    NameTooLong,
    /// Something that a program should not edit.
    #[error("line {line}: {obstacle}")]
    Unsafe {
        /// Where it stands.
        line: usize,
        /// What it is.
        obstacle: Obstacle,
    },
}

/// What must be edited by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// `&name`
    #[error("an anchor (`&`): what stands here may count elsewhere too")]
    Anchor,
    /// `*name`
    #[error("an alias (`*`): what counts here stands elsewhere")]
    Alias,
    /// `<<`
    #[error("a merge key (`<<`): what counts here stands elsewhere too")]
    MergeKey,
    /// `!name`
    #[error("a tag (`!`)")]
    Tag,
    /// `---` and more.
    #[error("a second document, which sops does not read")]
    SecondDocument,
    /// `"…\…"`
    #[error("a quoted text with a backslash in it")]
    Backslash,
    /// Rules that their line does not tell apart.
    #[error("several rules on one line")]
    RulesOnOneLine,
    /// Keys that are more than a text.
    #[error("keys of this kind are mappings here, not texts")]
    KeysAreMappings,
    /// A form in which a change would not have been that one change.
    #[error("a form that cannot be edited safely")]
    Unclear,
}

impl Obstacle {
    fn on(self, line: usize) -> EditError {
        EditError::Unsafe { line, obstacle: self }
    }
}

#[cfg(test)]
mod tests;
