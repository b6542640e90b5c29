//! One recipient less, and the layout of the others as it was.
//!
//! Knows each layout of a field; must not know whether others are left in the group. One invariant: no comment becomes the name of
//! somebody it did not name.

use std::ops::Range;

use super::super::names::Names;
use super::changes::{Changes, line_end, line_start};
use super::place::{Field, content_end, is_flow, pieces, seek};
use super::{EditError, Obstacle};
use crate::yaml::{Comment, Node, NodeKind};

/// Takes a recipient out of a field that holds it.
pub(super) fn plan<'config>(
    field: &Field<'config>,
    recipient: &str,
    names: Names<'config>,
    changes: &mut Changes<'config>,
) -> Result<(), EditError> {
    let Some((key, value)) = field.pair else { return Ok(()) };
    let removing = Removing { field, recipient, names, key, value };
    for (_, comment) in names.above(key).naming(recipient) {
        changes.delete_lines(comment.span.start, comment.span.start);
    }
    match &value.kind {
        NodeKind::Sequence(items) if is_flow(value, names.text) => removing.out_of_flow_list(items, changes),
        NodeKind::Sequence(items) => removing.out_of_block_list(items, changes),
        NodeKind::Scalar { .. } | NodeKind::Mapping(_) => removing.out_of_text(changes),
    }
}

struct Removing<'config, 'a> {
    field: &'a Field<'config>,
    recipient: &'a str,
    names: Names<'config>,
    key: &'config Node,
    value: &'config Node,
}

/// What is left of one text with commas.
enum Left {
    /// All of it.
    All,
    /// Some recipients.
    Some,
    /// Nobody.
    Nobody,
}

impl<'config> Removing<'config, '_> {
    fn out_of_text(&self, changes: &mut Changes<'config>) -> Result<(), EditError> {
        match self.left(self.value) {
            Left::All => Ok(()),
            Left::Some => self.out_of_pieces(self.value, changes),
            Left::Nobody => {
                let start = self.value_start()?;
                changes.replace(start..content_end(self.value, self.text()), " []");
                self.forget_name(self.names.behind(self.value), changes);
                Ok(())
            }
        }
    }

    fn out_of_block_list(&self, items: &'config [Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let start = self.value_start()?;
        let mut at = start;
        for item in items {
            let dash = seek(text, at, '-', '-').ok_or_else(|| Obstacle::Unclear.on(item.line))?;
            at = if item.span.is_empty() { dash + 1 } else { content_end(item, text) };
            match self.left(item) {
                Left::All => {}
                Left::Some => self.out_of_pieces(item, changes)?,
                Left::Nobody => changes.delete_lines(dash, at),
            }
        }
        if items.iter().all(|item| matches!(self.left(item), Left::Nobody)) {
            changes.insert(start, " []");
        }
        Ok(())
    }

    fn out_of_flow_list(&self, items: &'config [Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let kept: Vec<bool> = items.iter().map(|item| !matches!(self.left(item), Left::Nobody)).collect();
        let Some(last_kept) = kept.iter().rposition(|kept| *kept) else { return self.empty_flow_list(items, changes) };
        for (at, item) in items.iter().enumerate() {
            if matches!(self.left(item), Left::Some) {
                self.out_of_pieces(item, changes)?;
            }
            if !kept[at] {
                self.item_of_flow_list(items, at, &kept, changes);
            }
        }
        self.keep_comments_nameless(items, &kept, changes);
        // Those at the end took their commas with them; the one that is the last now gets along without.
        let text = self.text();
        let (old_last, new_last) = (items[items.len() - 1].span.end, items[last_kept].span.end);
        let comma = |from: usize| seek(text, from, ',', ',').filter(|comma| *comma < self.value.span.end);
        if let (true, None, Some(comma)) = (old_last != new_last, comma(old_last), comma(new_last)) {
            let own = self.cut_behind(items, last_kept);
            if own.is_none() {
                changes.delete(comma..comma + 1);
            }
        }
        Ok(())
    }

    /// A comment behind several items on a line, of which one is left, goes to a line of its own.
    fn keep_comments_nameless(&self, items: &'config [Node], kept: &[bool], changes: &mut Changes<'config>) {
        let mut start = 0;
        for line in items.chunk_by(|item, next| item.line == next.line) {
            let left: Vec<&Node> = line.iter().zip(&kept[start..]).filter_map(|(item, kept)| kept.then_some(item)).collect();
            if let (true, [item], Some(comment)) = (line.len() > 1, &left[..], self.names.behind(&line[line.len() - 1])) {
                self.move_above(item, item.text().unwrap_or_default(), comment, changes);
            }
            start += line.len();
        }
    }

    /// Takes one item out of a list in brackets, with the comma behind it, its name, and its line if nothing else stands there.
    fn item_of_flow_list(&self, items: &'config [Node], at: usize, kept: &[bool], changes: &mut Changes<'config>) {
        let text = self.text();
        let item = &items[at];
        let comma = seek(text, item.span.end, ',', ',').filter(|comma| *comma < self.value.span.end);
        let comma_on_line = comma.filter(|comma| *comma < line_end(text, item.span.end)).map_or(item.span.end, |comma| comma + 1);
        let before = &text[line_start(text, item.span.start)..item.span.start];
        let behind = text[comma_on_line..line_end(text, comma_on_line)].trim_start();
        if before.trim().is_empty() && (behind.is_empty() || behind.starts_with('#')) {
            return changes.delete_lines(item.span.start, comma_on_line);
        }
        let name = self.names.behind_item(items, at);
        let last_kept = kept.iter().rposition(|kept| *kept).unwrap_or(0);
        if at > last_kept {
            match self.cut_behind(items, last_kept) {
                Some(range) => changes.delete(range),
                None => changes.delete(item.span.start..comma_on_line),
            }
            return self.forget_name(name, changes);
        }
        let range = item.span.start..items[at + 1].span.start;
        let foreign = changes.comments_in(&range).any(|comment| name.is_none_or(|name| name.span != comment.span));
        if foreign {
            changes.delete(item.span.start..comma_on_line);
            return self.forget_name(name, changes);
        }
        match name.filter(|name| name.span.start < range.end) {
            Some(name) => changes.forget(name),
            None => self.forget_name(name, changes),
        }
        changes.delete(range);
    }

    /// From the last item that stays to the end of the last one, if that is one piece of text without comments and without lines that
    /// are deleted anyway.
    fn cut_behind(&self, items: &[Node], last_kept: usize) -> Option<Range<usize>> {
        let range = items[last_kept].span.end..items[items.len() - 1].span.end;
        let text = &self.text()[range.clone()];
        let starts_line = |item: &Node| {
            self.text()[line_start(self.text(), item.span.start)..item.span.start].trim().is_empty()
                && self.text()[item.span.end..line_end(self.text(), item.span.end)]
                    .trim_start_matches([' ', '\t', ','])
                    .chars()
                    .next()
                    .is_none_or(|next| next == '#')
        };
        (!text.contains('#') && !items[last_kept + 1..].iter().any(starts_line)).then_some(range)
    }

    fn empty_flow_list(&self, items: &'config [Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let span = self.value.span.clone();
        for at in 0..items.len() {
            let Some(name) = self.names.behind_item(items, at) else { continue };
            match name.span.start < span.end {
                true => changes.forget(name),
                false => self.forget_name(Some(name), changes),
            }
        }
        changes.replace(span, "[]");
        Ok(())
    }

    /// Takes the recipient out of a text that holds others too.
    fn out_of_pieces(&self, node: &'config Node, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let pieces = pieces(node, text)?;
        let meant: Vec<&str> = pieces_of(node).collect();
        let kept: Vec<bool> = meant.iter().map(|piece| !self.field.is(piece, self.recipient)).collect();
        let Some(last_kept) = kept.iter().rposition(|kept| *kept) else { return Err(Obstacle::Unclear.on(node.line)) };
        for at in (0..last_kept).filter(|at| !kept[*at]) {
            changes.delete(pieces[at].start..pieces[at + 1].start);
        }
        if last_kept + 1 < pieces.len() {
            changes.delete(pieces[last_kept].end..pieces[pieces.len() - 1].end);
        }
        let is_alone = kept.iter().filter(|kept| **kept).count() == 1;
        if let Some(comment) = self.names.behind(node).filter(|_| is_alone) {
            self.move_above(node, meant[last_kept], comment, changes);
        }
        Ok(())
    }

    /// A comment behind several on a line goes above it where it would be the name of the one who is left.
    fn move_above(&self, node: &Node, left: &str, comment: &'config Comment, changes: &mut Changes<'config>) {
        if self.names.above(self.key).name_of(left.trim()).is_none() {
            changes.insert_comment_above(node.span.start, comment.words(self.text()));
            changes.delete_comment(comment);
        }
    }

    fn forget_name(&self, name: Option<&'config Comment>, changes: &mut Changes<'config>) {
        if let Some(name) = name {
            changes.delete_comment(name);
        }
    }

    fn left(&self, node: &Node) -> Left {
        let kept = pieces_of(node).filter(|piece| !self.field.is(piece, self.recipient)).count();
        match pieces_of(node).count() {
            count if count == kept => Left::All,
            _ if kept == 0 => Left::Nobody,
            _ => Left::Some,
        }
    }

    fn value_start(&self) -> Result<usize, EditError> {
        let colon = seek(self.text(), self.key.span.end, ':', ':');
        colon.map(|colon| colon + 1).ok_or_else(|| Obstacle::Unclear.on(self.key.line))
    }

    fn text(&self) -> &'config str {
        self.names.text
    }
}

fn pieces_of(node: &Node) -> impl Iterator<Item = &str> {
    node.text().unwrap_or_default().split(',').map(str::trim).filter(|piece| !piece.is_empty())
}
