//! One more recipient, in the layout of those that are there.
//!
//! Knows each layout of a field; must not know which rule it belongs to. One invariant: the name of every recipient that is there stays
//! its name.

use super::super::template;
use super::changes::{Changes, indentation, line_break, line_end, line_start};
use super::place::{Field, Read, content_end, is_block_text, is_flow, pieces, seek};
use super::{EditError, NewRecipient, Obstacle, StringForm};
use crate::yaml::{Comment, Node, NodeKind, Style};

/// How a field is laid out.
enum Layout<'config> {
    /// There is none.
    Missing,
    /// Nothing, or a text or list with nothing in it.
    Empty,
    /// `- a`, each on a line of its own.
    Block(&'config [Node]),
    /// `[a,⏎b]`, with room for one more on a line of its own.
    Lines(&'config [Node]),
    /// `[a, b]`
    Flow(&'config [Node]),
    /// `a, b`
    Text(&'config Node),
}

/// One recipient on its way into a field.
pub(super) struct Adding<'config, 'new> {
    pub(super) read: &'config Read<'config>,
    pub(super) field: &'config Field<'config>,
    pub(super) new: &'config NewRecipient<'new>,
    pub(super) form: StringForm,
}

/// Whether the recipients of a field stand on one line and can be written as a list.
pub(super) fn can_become_list(field: &Field<'_>, read: &Read<'_>) -> bool {
    matches!(layout(field, read.text), Layout::Flow(_) | Layout::Text(_)) && !is_flow(field.holder(), read.text)
}

fn layout<'config>(field: &Field<'config>, text: &str) -> Layout<'config> {
    let Some((_, value)) = field.pair else { return Layout::Missing };
    match &value.kind {
        NodeKind::Sequence(items) => {
            let Some(last) = items.last() else { return Layout::Empty };
            let has_lines = last.line != value.line;
            match is_flow(value, text) {
                false => Layout::Block(items),
                true if has_lines => Layout::Lines(items),
                true => Layout::Flow(items),
            }
        }
        NodeKind::Scalar { text: meant, .. } if value.is_null() || meant.trim().is_empty() => Layout::Empty,
        NodeKind::Scalar { .. } | NodeKind::Mapping(_) => Layout::Text(value),
    }
}

impl<'config> Adding<'config, '_> {
    pub(super) fn plan(&self, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let is_in_flow = is_flow(self.field.holder(), self.text());
        let to_list = self.form == StringForm::MakeList && !self.new.name.is_empty() && !is_in_flow;
        match layout(self.field, self.text()) {
            Layout::Missing if is_in_flow => self.within_braces(changes),
            Layout::Missing => self.below_a_neighbour(changes),
            Layout::Empty if is_in_flow => self.flow_list_for_nothing(changes),
            Layout::Empty => self.list_for_nothing(changes),
            Layout::Block(items) => self.another_item(items, changes),
            Layout::Lines(items) => self.another_line(items, changes),
            Layout::Flow(items) if to_list => self.list_for_items(items, changes),
            Layout::Flow(items) => self.beside_items(items, changes),
            Layout::Text(node) if to_list => self.list_for_text(node, changes),
            Layout::Text(node) => self.beside_pieces(node, is_in_flow, changes),
        }
    }

    fn text(&self) -> &'config str {
        self.read.text
    }

    fn unclear(&self) -> EditError {
        Obstacle::Unclear.on(self.field.line())
    }

    /// Behind the colon of the field, and the key before it.
    fn value_start(&self) -> Result<(usize, &'config Node), EditError> {
        let Some((key, _)) = self.field.pair else { return Err(self.unclear()) };
        let colon = seek(self.text(), key.span.end, ':', ':').ok_or_else(|| self.unclear())?;
        Ok((colon + 1, key))
    }

    // --- nothing there yet --------------------------------------------------------------------------------------------------------

    fn within_braces(&self, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let field = format!("{}: [{}]", self.field.name, template::scalar(self.new.recipient));
        let holder = self.field.holder();
        let Some((key, value)) = self.neighbour() else {
            let at = holder.span.start + 1;
            changes.insert(at, field);
            self.name_where_all_stands_on_one_line(at, changes);
            return Ok(());
        };
        let end = match value.span.is_empty() {
            true => seek(text, key.span.end, ':', ':').map_or(key.span.end, |colon| colon + 1),
            false => value.span.end,
        };
        let has_own_line = line_start(text, key.span.start) + indentation(text, key.span.start).len() == key.span.start;
        if !has_own_line || holder.span.end <= line_end(text, end) {
            changes.insert(end, format!(", {field}"));
            self.name_where_all_stands_on_one_line(end, changes);
            return Ok(());
        }
        let comma = seek(text, end, ',', ',').filter(|comma| *comma < holder.span.end);
        if comma.is_none() {
            changes.insert(end, ",");
        }
        let comma = if comma.is_some() { "," } else { "" };
        let name = self.name_behind(" ", changes);
        changes.insert_line_below(end, &format!("{}{field}{comma}{name}", indentation(text, key.span.start)));
        Ok(())
    }

    /// The field that a new one is put below: `path_regex`, or whichever is the last.
    fn neighbour(&self) -> Option<&'config (Node, Node)> {
        let NodeKind::Mapping(pairs) = &self.field.holder().kind else { return None };
        pairs.iter().find(|(key, _)| key.text() == Some("path_regex")).or(pairs.last())
    }

    /// Names the new one above its line. A comment at the end of that line, which would be its name otherwise, goes there too.
    fn name_where_all_stands_on_one_line(&self, at: usize, changes: &mut Changes<'config>) {
        let text = self.text();
        let comment = changes.comments_in(&(at..line_end(text, at))).next();
        let is_only_closed =
            |comment: &&Comment| text[at..comment.span.start].trim_matches([' ', '\t', ',', ']', '}']).is_empty();
        match comment.filter(is_only_closed) {
            Some(comment) if self.new.name.is_empty() => {
                changes.insert_comment_above(at, comment.words(text));
                changes.delete_comment(comment);
            }
            _ => self.name_above(at, changes),
        }
    }

    fn below_a_neighbour(&self, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let Some((key, value)) = self.neighbour() else { return Err(self.unclear()) };
        let end = match value.span.is_empty() {
            true => seek(self.text(), key.span.end, ':', ':').ok_or_else(|| self.unclear())?,
            false => content_end(value, self.text()),
        };
        let column = " ".repeat(key.column - 1);
        let item = self.item_text(&format!("{column}{}", self.dash_offset()), changes);
        let ending = line_break(self.text(), end);
        changes.insert_line_below(end, &format!("{column}{}:{ending}{item}", self.field.name));
        Ok(())
    }

    fn flow_list_for_nothing(&self, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let (start, _) = self.value_start()?;
        let end = self.end_of_nothing(start)?;
        changes.replace(start..end, format!(" [{}]", template::scalar(self.new.recipient)));
        self.name_where_all_stands_on_one_line(end, changes);
        Ok(())
    }

    fn list_for_nothing(&self, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let (start, key) = self.value_start()?;
        let end = self.end_of_nothing(start)?;
        changes.delete(start..end);
        let item = self.item_text(&format!("{}{}", " ".repeat(key.column - 1), self.dash_offset()), changes);
        changes.insert_line_below(end, &item);
        Ok(())
    }

    /// Where a value that says nothing ends, on the line of its key.
    fn end_of_nothing(&self, start: usize) -> Result<usize, EditError> {
        let Some((_, value)) = self.field.pair else { return Err(self.unclear()) };
        let end = if value.span.is_empty() { start } else { content_end(value, self.text()) };
        if is_block_text(value) || end < start || self.text()[start..end].contains(['\n', '\r']) {
            return Err(self.unclear());
        }
        Ok(end)
    }

    /// How far dashes are indented below their key: as in the rule's other lists, or in the list of the rules.
    fn dash_offset(&self) -> String {
        let is_block_list =
            |value: &Node| matches!(&value.kind, NodeKind::Sequence(items) if !items.is_empty()) && !is_flow(value, self.text());
        let mut pairs = self.field.way.iter().rev().flat_map(|node| match &node.kind {
            NodeKind::Mapping(pairs) => &pairs[..],
            _ => &[],
        });
        let neighbour = pairs.find(|(_, value)| is_block_list(value));
        let width = neighbour.map_or(2, |(key, value)| {
            let rest = &self.text()[value.span.start..];
            // A list in line with its key has the span of its first item.
            let starts_with_dash = rest.starts_with('-') && rest[1..].starts_with([' ', '\t', '\n', '\r']);
            if starts_with_dash { value.column.saturating_sub(key.column) } else { 0 }
        });
        " ".repeat(width)
    }

    fn item_text(&self, indentation: &str, changes: &mut Changes<'config>) -> String {
        format!("{indentation}- {}{}", template::scalar(self.new.recipient), self.name_behind(" ", changes))
    }

    /// The new name as it stands behind the new recipient.
    fn name_behind(&self, gap: &str, changes: &mut Changes<'config>) -> String {
        match self.new.name {
            "" => String::new(),
            name => format!("{gap}{}", changes.new_comment(name)),
        }
    }

    fn name_above(&self, at: usize, changes: &mut Changes<'config>) {
        if !self.new.name.is_empty() {
            changes.insert_comment_above(at, &format!("{} {}", self.new.recipient, self.new.name));
        }
    }

    // --- one on each line ---------------------------------------------------------------------------------------------------------

    fn another_item(&self, items: &[Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let (Some(last), (mut at, _)) = (items.last(), self.value_start()?) else { return Err(self.unclear()) };
        for item in items {
            at = match item.span.is_empty() {
                true => return Err(Obstacle::Unclear.on(item.line)),
                false if item.span == last.span => seek(text, at, '-', '-').ok_or_else(|| self.unclear())?,
                false => content_end(item, text),
            };
        }
        let gap = &text[at + 1..last.span.start];
        let gap = if gap.trim_matches([' ', '\t']).is_empty() && !is_block_text(last) { gap } else { " " };
        if line_start(text, at) + indentation(text, at).len() != at {
            return Err(self.unclear());
        }
        let item = like(last, self.new.recipient);
        let name = self.name_behind(self.gap_before_names(items), changes);
        changes.insert_line_below(content_end(last, text), &format!("{}-{gap}{item}{name}", indentation(text, at)));
        Ok(())
    }

    fn another_line(&self, items: &[Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let (Some(last), Some((_, list))) = (items.last(), self.field.pair) else { return Err(self.unclear()) };
        let end = last.span.end;
        let comma = seek(text, end, ',', ',').filter(|comma| *comma < list.span.end);
        let line = format!("{}{}", indentation(text, last.span.start), like(last, self.new.recipient));
        let gap = self.gap_before_names(items);
        let closing = list.span.end - 1;
        if closing >= line_end(text, end) {
            if comma.is_none() {
                changes.insert(end, ",");
            }
            let comma = if comma.is_some() { "," } else { "" };
            let name = self.name_behind(gap, changes);
            changes.insert_line_below(end, &format!("{line}{comma}{name}"));
            return Ok(());
        }
        // The bracket stays behind the last recipient, and the comment behind it with the one that was the last.
        let ending = line_break(text, end);
        let old = self.read.names().behind(last);
        let old = old.map(|comment| format!("{}{}", self.gap_before(comment), self.moved(comment, changes)));
        let comma = comma.map_or(end, |comma| comma + 1);
        changes.insert(comma, format!("{}{}{ending}{line}", if comma == end { "," } else { "" }, old.unwrap_or_default()));
        let rest = &text[closing + 1..line_end(text, closing)];
        let is_at_end = rest.trim_start_matches([' ', '\t', ',', ']', '}']);
        match is_at_end.is_empty() || is_at_end.starts_with('#') {
            true => {
                let name = self.name_behind(gap, changes);
                changes.insert(closing + 1 + rest[..rest.len() - is_at_end.len()].trim_end().len(), name);
            }
            false => self.name_above(self.value_start()?.0, changes),
        }
        Ok(())
    }

    /// What stands between the last item that has a comment and that.
    fn gap_before_names(&self, items: &[Node]) -> &'config str {
        items.iter().rev().find_map(|item| self.read.names().behind(item)).map_or(" ", |comment| self.gap_before(comment))
    }

    fn gap_before(&self, comment: &Comment) -> &'config str {
        let before = &self.text()[..comment.span.start];
        &before[before.trim_end_matches([' ', '\t']).len()..]
    }

    /// The text of a comment that leaves its place for another.
    fn moved(&self, comment: &Comment, changes: &mut Changes<'config>) -> String {
        changes.delete_comment(comment);
        changes.remember(comment);
        self.text()[comment.span.clone()].to_owned()
    }

    // --- beside each other --------------------------------------------------------------------------------------------------------

    fn beside_items(&self, items: &[Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let Some(last) = items.last() else { return Err(self.unclear()) };
        let between = items.len().checked_sub(2).map(|at| &self.text()[items[at].span.end..last.span.start]);
        let between = between.filter(|between| between.trim() == ",").unwrap_or(", ");
        changes.insert(last.span.end, format!("{between}{}", like(last, self.new.recipient)));
        if let ([only], Some(comment)) = (items, self.read.names().behind(last)) {
            self.name_moves_above(only, comment, changes);
        }
        self.name_above(self.value_start()?.0, changes);
        Ok(())
    }

    fn beside_pieces(&self, node: &Node, is_in_flow: bool, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let pieces = pieces(node, text)?;
        let Some(last) = pieces.last() else { return Err(self.unclear()) };
        let NodeKind::Scalar { style, .. } = &node.kind else { return Err(self.unclear()) };
        let recipient = match style {
            Style::Single => self.new.recipient.replace('\'', "''"),
            Style::Double if self.new.recipient.contains(['"', '\\']) => return Err(self.unclear()),
            _ => self.new.recipient.to_owned(),
        };
        let has_lines = is_block_text(node) || text[node.span.start..last.end].contains(['\n', '\r']);
        if is_in_flow && *style == Style::Plain {
            // A comma would end it.
            changes.replace(node.span.clone(), format!("[{}, {}]", &text[node.span.clone()], template::scalar(&recipient)));
        } else if has_lines {
            let ending = line_break(text, last.end);
            changes.insert(last.end, format!(",{ending}{}{recipient}", indentation(text, last.start)));
        } else {
            let between = pieces.len().checked_sub(2).map_or(",", |at| &text[pieces[at].end..last.start]);
            changes.insert(last.end, format!("{between}{recipient}"));
        }
        if let ([_], Some(comment)) = (&pieces[..], self.read.names().behind(node)) {
            self.name_moves_above(node, comment, changes);
        }
        self.name_above(self.value_start()?.0, changes);
        Ok(())
    }

    /// A comment that named the only one becomes one that names it among others.
    fn name_moves_above(&self, only: &Node, comment: &'config Comment, changes: &mut Changes<'config>) {
        let recipient = only.text().unwrap_or_default().trim_matches(|c: char| c.is_whitespace() || c == ',');
        if self.field.pair.is_some_and(|(key, _)| self.read.names().above(key).name_of(recipient).is_some()) {
            return;
        }
        changes.insert_comment_above(only.span.start, &format!("{recipient} {}", comment.words(self.text())));
        changes.delete_comment(comment);
    }

    // --- from beside each other to one on each line -------------------------------------------------------------------------------

    fn list_for_items(&self, items: &[Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let recipients =
            items.iter().map(|item| Ok(self.text()[item.span.clone()].to_owned())).collect::<Result<_, EditError>>()?;
        self.list_for(recipients, items, changes)
    }

    fn list_for_text(&self, node: &Node, changes: &mut Changes<'config>) -> Result<(), EditError> {
        let pieces = node.text().unwrap_or_default().split(',').map(str::trim).filter(|piece| !piece.is_empty());
        self.list_for(pieces.map(template::scalar).collect(), std::slice::from_ref(node), changes)
    }

    fn list_for(&self, recipients: Vec<String>, nodes: &[Node], changes: &mut Changes<'config>) -> Result<(), EditError> {
        let text = self.text();
        let (Some((_, value)), (start, key)) = (self.field.pair, self.value_start()?) else { return Err(self.unclear()) };
        let end = line_end(text, content_end(value, text));
        let comment = changes.comments_in(&(start..end)).next();
        let comment_text = comment.map(|comment| &text[comment.span.clone()]).unwrap_or_default();
        let is_name = recipients.len() == 1 && nodes.last().is_some_and(|node| self.read.names().behind(node).is_some());
        let behind = |is_here: bool| if is_here && !comment_text.is_empty() { format!(" {comment_text}") } else { String::new() };
        let ending = line_break(text, start);
        let indentation = format!("{ending}{}{}", " ".repeat(key.column - 1), self.dash_offset());
        let mut list = behind(!is_name);
        for recipient in recipients {
            list.push_str(&format!("{indentation}- {recipient}{}", behind(is_name)));
        }
        let new = self.item_text(&indentation, changes);
        changes.replace(start..end, list + &new);
        Ok(())
    }
}

/// A recipient in the quotes of a neighbour, where it has some.
fn like(neighbour: &Node, recipient: &str) -> String {
    match neighbour.kind {
        NodeKind::Scalar { style: Style::Single, .. } => format!("'{}'", recipient.replace('\'', "''")),
        NodeKind::Scalar { style: Style::Double, .. } if !recipient.contains(['"', '\\']) => format!("\"{recipient}\""),
        _ => template::scalar(recipient),
    }
}
