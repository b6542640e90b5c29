//! A change checks itself: the new text is read again, and must say what was meant and nothing else.
//!
//! Knows what both texts say; must not know how one became the other. One invariant: a text that is handed out says the same as the old
//! one in every field but the edited ones, and there exactly one recipient more or less; and no comment is lost.

use super::NewRecipient;
use super::changes::Changes;
use super::place::{Field, Read};
use crate::config::{CreationRule, Rule, RuleKey};
use crate::yaml::{Node, NodeKind};

/// The text with a new recipient in group `group` of a rule.
pub(super) fn added(
    before: &Read<'_>,
    changes: Changes<'_>,
    field: &Field<'_>,
    rule: usize,
    group: usize,
    new: &NewRecipient<'_>,
) -> Option<String> {
    let comments = changes.comments_after();
    let text = changes.text()?;
    let after = Read::of(&text).ok()?;
    let is_new = |key: &RuleKey| key.kind == new.kind && field.is(new.recipient, &key.written());
    let mut groups = keys(after.rule(rule).ok()?);
    let at = groups.get(group)?.iter().position(is_new)?;
    let key = groups[group].remove(at);
    let is_right = key.name.as_deref().unwrap_or_default() == new.name
        && groups == keys(before.rule(rule).ok()?)
        && is_same_besides(before, &after, std::slice::from_ref(field), rule, comments);
    is_right.then_some(text)
}

/// The text without a recipient in a rule.
pub(super) fn removed(
    before: &Read<'_>,
    changes: Changes<'_>,
    fields: &[Field<'_>],
    rule: usize,
    recipient: &str,
) -> Option<String> {
    let comments = changes.comments_after();
    let text = changes.text()?;
    let after = Read::of(&text).ok()?;
    let field = fields.first()?;
    let mut groups = keys(before.rule(rule).ok()?);
    for group in &mut groups {
        group.retain(|key| key.kind != field.kind || !field.is(recipient, &key.written()));
    }
    let is_right = groups == keys(after.rule(rule).ok()?) && is_same_besides(before, &after, fields, rule, comments);
    is_right.then_some(text)
}

fn is_same_besides(before: &Read<'_>, after: &Read<'_>, fields: &[Field<'_>], rule: usize, comments: Vec<String>) -> bool {
    let mut said: Vec<&str> = after.document.comments.iter().map(|comment| comment.words(after.text)).collect();
    said.sort_unstable();
    let same_tree = match (&before.document.root, &after.document.root) {
        (Some(before), Some(after)) => is_same_tree(before, after, fields),
        _ => false,
    };
    let others = |rules: &[Rule]| -> Vec<_> {
        let others = rules.iter().enumerate().filter(|(at, _)| *at != rule);
        others.map(|(_, rule)| rule.rule.as_ref().map(keys).map_err(|fault| fault.problem.clone())).collect()
    };
    said == comments && same_tree && others(&before.rules) == others(&after.rules) && after.document.next_document.is_none()
}

/// The keys of each group, without their lines.
fn keys(rule: &CreationRule) -> Vec<Vec<RuleKey>> {
    let without_line = |key: &RuleKey| RuleKey { line: 0, ..key.clone() };
    rule.groups.iter().map(|group| group.keys.iter().map(without_line).collect()).collect()
}

fn is_same_tree(before: &Node, after: &Node, fields: &[Field<'_>]) -> bool {
    let shared = |node: &Node| node.sharing.map(|sharing| sharing.by);
    let is_same_kind = match (&before.kind, &after.kind) {
        (NodeKind::Scalar { .. }, NodeKind::Scalar { .. }) => before.text() == after.text() && before.typed() == after.typed(),
        (NodeKind::Sequence(before), NodeKind::Sequence(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(before, after)| is_same_tree(before, after, fields))
        }
        (NodeKind::Mapping(pairs), NodeKind::Mapping(others)) => {
            let edited = fields.iter().find(|field| std::ptr::eq(field.holder(), before)).map(|field| field.name);
            let mut pairs = pairs.iter().filter(|(key, _)| edited.is_none() || key.text() != edited);
            let mut others = others.iter().filter(|(key, _)| edited.is_none() || key.text() != edited);
            let is_same = pairs.by_ref().all(|(key, value)| {
                let other = others.next();
                other.is_some_and(|(other, after)| is_same_tree(key, other, fields) && is_same_tree(value, after, fields))
            });
            is_same && others.next().is_none()
        }
        _ => false,
    };
    is_same_kind && before.tag == after.tag && shared(before) == shared(after)
}
