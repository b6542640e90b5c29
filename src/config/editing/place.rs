//! Where the recipients of a rule stand: its field, or those of its groups and of what they merge.
//!
//! Knows which ways through a config lead to a field, and what makes a way unsafe; must not know how a field is laid out. One invariant:
//! a field that is handed out counts in one place only.

use std::ops::Range;

use super::super::key::RuleKey;
use super::super::rule::{FIELDS, group_field};
use super::super::{CreationRule, Rule};
use super::{EditError, Obstacle, changes};
use crate::keys::Kind;
use crate::yaml::{Document, Node, NodeKind, SharedBy, Style};

/// One text of a config, read both as YAML and as rules.
pub(super) struct Read<'text> {
    pub(super) text: &'text str,
    pub(super) document: Document,
    pub(super) rules: Vec<Rule>,
}

/// The place of the recipients of one kind.
#[derive(Clone)]
pub(super) struct Field<'config> {
    /// What leads to it: nodes in each other, the last of which is the rule or group that holds it.
    pub(super) way: Vec<&'config Node>,
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) pair: Option<&'config (Node, Node)>,
}

impl<'text> Read<'text> {
    pub(super) fn of(text: &'text str) -> Result<Self, EditError> {
        let document = crate::yaml::load(text)?;
        let rules = super::super::rules(super::super::FILE_NAME.as_ref(), &document, text, &mut Vec::new())?;
        Ok(Self { text, document, rules: rules.unwrap_or_default() })
    }

    /// The number of the rule that starts on `line`.
    pub(super) fn rule_on(&self, line: usize) -> Result<usize, EditError> {
        let mut found = (0..self.rules.len()).filter(|at| self.rules[*at].line == line);
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => Err(Obstacle::RulesOnOneLine.on(line)),
            (None, _) => Err(EditError::NoSuchRule { line }),
        }
    }

    pub(super) fn rule(&self, at: usize) -> Result<&CreationRule, EditError> {
        self.rules[at].rule.as_ref().map_err(|fault| EditError::Invalid(fault.clone()))
    }

    /// The field for recipients of `kind` in a group of a rule.
    pub(super) fn field(&self, rule: usize, group: usize, kind: Kind) -> Result<Field<'_>, EditError> {
        let way = self.way_to(rule)?;
        let groups = groups_of(&way);
        if groups.is_empty() && group == 0 {
            return Field::of(way, kind, flat_field(kind));
        }
        let group = groups.into_iter().nth(group).ok_or(EditError::NoSuchGroup { line: self.rules[rule].line, group })?;
        Field::in_group(group, kind)
    }

    /// Every field of a rule that counts for recipients of `kind`.
    pub(super) fn fields(&self, rule: usize, kind: Kind) -> Result<Vec<Field<'_>>, EditError> {
        let way = self.way_to(rule)?;
        let mut groups = groups_of(&way);
        if groups.is_empty() {
            return Ok(vec![Field::of(way, kind, flat_field(kind))?]);
        }
        let mut fields = Vec::new();
        while let Some(group) = groups.pop() {
            groups.extend(lists_in(&group, "merge"));
            fields.push(Field::in_group(group, kind)?);
        }
        Ok(fields)
    }

    fn way_to(&self, rule: usize) -> Result<Vec<&Node>, EditError> {
        if let Some(line) = self.document.next_document {
            return Err(Obstacle::SecondDocument.on(line));
        }
        let root: Vec<_> = self.document.root.iter().collect();
        let ways = lists_in(&root, "creation_rules").into_iter().nth(rule);
        ways.ok_or(EditError::NoSuchRule { line: self.rules[rule].line })
    }
}

fn groups_of<'config>(rule: &[&'config Node]) -> Vec<Vec<&'config Node>> {
    lists_in(rule, "key_groups")
}

/// The ways on to the items of the list `name`, nulls left out.
fn lists_in<'config>(way: &[&'config Node], name: &str) -> Vec<Vec<&'config Node>> {
    let list = way.last().and_then(|node| node.get(name));
    let Some(Node { kind: NodeKind::Sequence(items), .. }) = list else { return Vec::new() };
    let items = items.iter().filter(|item| !item.is_null());
    items.map(|item| way.iter().copied().chain(list).chain([item]).collect()).collect()
}

fn flat_field(kind: Kind) -> &'static str {
    FIELDS.iter().find(|(other, _)| *other == kind).map_or("", |(_, name)| name)
}

impl<'config> Field<'config> {
    fn of(way: Vec<&'config Node>, kind: Kind, name: &'static str) -> Result<Self, EditError> {
        let pair = way.last().and_then(|holder| holder.pair(name));
        let field = Self { way, kind, name, pair };
        Ok(field)
    }

    fn in_group(way: Vec<&'config Node>, kind: Kind) -> Result<Self, EditError> {
        Self::of(way, kind, group_field(kind))
    }

    /// The rule or group it stands in, or would stand in.
    pub(super) fn holder(&self) -> &'config Node {
        // A way is never empty: it ends with the rule.
        self.way[self.way.len() - 1]
    }

    /// The line to name when something is wrong with it.
    pub(super) fn line(&self) -> usize {
        self.pair.map_or(self.holder().line, |(key, _)| key.line)
    }

    /// The items of a list, or the text itself; nothing if there is no value.
    pub(super) fn scalars(&self) -> &'config [Node] {
        match self.pair {
            Some((_, Node { kind: NodeKind::Sequence(items), .. })) => items,
            Some((_, value)) if !value.is_null() => std::slice::from_ref(value),
            _ => &[],
        }
    }

    /// Whether `text`, of its own or among others between commas, is `recipient`.
    pub(super) fn is(&self, text: &str, recipient: &str) -> bool {
        let read = |text: &str| RuleKey::from_text(self.kind, text, 0);
        read(text).is_ok_and(|key| read(recipient) == Ok(key))
    }

    /// Whether the recipient is in it.
    pub(super) fn holds(&self, recipient: &str) -> bool {
        self.scalars().iter().filter_map(Node::text).any(|text| text.split(',').any(|piece| self.is(piece, recipient)))
    }

    /// Refuses a field whose text counts elsewhere too, or means something else than it seems.
    pub(super) fn refuse_what_is_unsafe(&self, text: &str) -> Result<(), EditError> {
        let value = self.pair.iter().flat_map(|(key, value)| [key, value]);
        for node in self.way.iter().copied().chain(value).chain(self.scalars()) {
            if let Some(sharing) = node.sharing {
                let obstacle = match sharing.by {
                    SharedBy::Anchor => Obstacle::Anchor,
                    SharedBy::Alias => Obstacle::Alias,
                    SharedBy::MergeKey => Obstacle::MergeKey,
                };
                return Err(obstacle.on(sharing.line));
            }
            if node.tag.is_some() {
                return Err(Obstacle::Tag.on(node.tag_line(text)));
            }
        }
        if self.name.is_empty() || self.scalars().iter().any(|item| item.text().is_none()) {
            return Err(Obstacle::KeysAreMappings.on(self.line()));
        }
        Ok(())
    }
}

/// Whether a node is written in brackets.
pub(super) fn is_flow(node: &Node, text: &str) -> bool {
    let open = if matches!(node.kind, NodeKind::Sequence(_)) { '[' } else { '{' };
    text[node.span.start..].starts_with(open)
}

/// Whether it is a text in block style, `|` or `>`.
pub(super) fn is_block_text(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Scalar { style: Style::Literal | Style::Folded, .. })
}

/// Where the text of a node ends. A block text's span runs on over blank lines.
pub(super) fn content_end(node: &Node, text: &str) -> usize {
    node.span.start + text[node.span.clone()].trim_end().len()
}

/// The bytes of each piece between the commas of a text, blanks around them left out; empty pieces too.
pub(super) fn pieces(node: &Node, text: &str) -> Result<Vec<Range<usize>>, EditError> {
    let NodeKind::Scalar { text: meant, style } = &node.kind else { return Err(Obstacle::Unclear.on(node.line)) };
    let written = match style {
        Style::Plain | Style::Literal | Style::Folded => node.span.start..content_end(node, text),
        Style::Single | Style::Double => node.span.start + 1..node.span.end.saturating_sub(1),
    };
    let Some(raw) = text.get(written.clone()) else { return Err(Obstacle::Unclear.on(node.line)) };
    if *style == Style::Double && raw.contains('\\') {
        return Err(Obstacle::Backslash.on(node.line));
    }
    let mut pieces = Vec::new();
    let mut start = written.start;
    for piece in raw.split(',') {
        let blanks = piece.len() - piece.trim_start().len();
        pieces.push(start + blanks..start + blanks + piece.trim().len());
        start += piece.len() + 1;
    }
    pieces.retain(|piece| !piece.is_empty());
    let is_as_written = |piece: &Range<usize>, meant: &str| match style {
        Style::Single => text[piece.clone()].replace("''", "'") == meant,
        _ => text[piece.clone()] == *meant,
    };
    let meant: Vec<&str> = meant.split(',').map(str::trim).filter(|piece| !piece.is_empty()).collect();
    if meant.len() != pieces.len() || !pieces.iter().zip(meant).all(|(piece, meant)| is_as_written(piece, meant)) {
        return Err(Obstacle::Unclear.on(node.line));
    }
    Ok(pieces)
}

/// Where `wanted` stands behind `from`, if nothing but blanks, line breaks, comments and `passing` lie between.
pub(super) fn seek(text: &str, from: usize, passing: char, wanted: char) -> Option<usize> {
    let mut at = from;
    loop {
        let next = text[at..].chars().next()?;
        at = match next {
            _ if next == wanted => return Some(at),
            '#' => changes::line_end(text, at),
            ' ' | '\t' | '\n' | '\r' => at + 1,
            _ if next == passing => at + next.len_utf8(),
            _ => return None,
        }
    }
}
