//! Events of granit-parser → one tree, with anchors, aliases and merge keys followed.
//!
//! Does not know what the text is for. One invariant: time and memory stay in proportion to the text, whatever it says.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::expected::problem;
use super::{Comment, Document, Node, NodeKind, SharedBy, Sharing, Style, YamlError, YamlProblem};

/// How deep collections may stand in each other.
const DEPTH: usize = 64;

/// How many bytes aliases and anchors may add to the tree.
const COPIED: usize = 4 << 20;

/// Reads the first document of `text`; of what follows it only the start is looked for, as in go-yaml.
///
/// A byte order mark and any line ends are accepted.
///
/// # Errors
/// [`YamlError`] says where and what: see [`YamlProblem`].
pub fn load(text: &str) -> Result<Document, YamlError> {
    refuse_odd_characters(text)?;
    let options = granit_parser::options! {
        max_buffered_comment_events: usize::MAX,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    Loader { text, parser, comments: Vec::new(), anchored: HashMap::new(), left_to_copy: COPIED, end: 0 }.document()
}

struct Loader<'text> {
    text: &'text str,
    parser: Parser<'text, StrInput<'text>>,
    comments: Vec<Comment>,
    /// By granit's number for the anchor.
    anchored: HashMap<usize, Node>,
    left_to_copy: usize,
    /// Where the last scalar, alias or closing bracket ended. A block collection ends there, not where the next thing starts.
    end: usize,
}

impl<'text> Loader<'text> {
    fn document(mut self) -> Result<Document, YamlError> {
        let mut root = None;
        let mut next_document = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::DocumentEnd => {
                    next_document = self.next_document();
                    break;
                }
                Event::StreamEnd => break,
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        // An empty document is a null, where nothing is written.
        let root = root.filter(|node| !node.span.is_empty());
        Ok(Document { root, comments: self.comments, next_document })
    }

    /// Where something stands behind the document's end, be it YAML or not.
    fn next_document(&mut self) -> Option<usize> {
        self.parser.by_ref().find_map(|next| match next {
            Ok((Event::Comment(..), _)) => None,
            Ok((Event::StreamEnd, _)) => Some(None),
            Ok((_, span)) => Some(Some(span.start.line())),
            Err(error) => Some(Some(error.marker().line())),
        })?
    }

    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'text>, Span)>, YamlError> {
        for next in self.parser.by_ref() {
            let (event, span) = next.map_err(|error| at(&Span::empty(*error.marker()), problem(error.kind())))?;
            let Event::Comment(..) = event else { return Ok(Some((event, span))) };
            self.comments.push(Comment { span: bytes(&span), line: span.start.line() });
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, YamlError> {
        if depth >= DEPTH {
            return Err(at(&span, YamlProblem::TooDeep));
        }
        let anchor = event.anchor_id();
        let mut sharing = None;
        let tag = event.tag().map(short_tag);
        let kind = match event {
            Event::Alias(anchor) => return self.alias(anchor, &span),
            Event::Scalar(text, style, ..) => {
                let written = !bytes(&span).is_empty() || style != ScalarStyle::Plain;
                NodeKind::Scalar { text: if written { text.into_owned() } else { String::new() }, style: style_of(style) }
            }
            Event::SequenceStart(..) => NodeKind::Sequence(self.sequence(depth)?),
            Event::MappingStart(..) => {
                let (mapping, merge_key) = self.mapping(depth)?;
                sharing = merge_key;
                mapping
            }
            _ => return Err(at(&span, YamlProblem::Syntax { expected: "a value" })),
        };
        let Range { start, end } = bytes(&span);
        self.end = self.end.max(end);
        let end = if matches!(kind, NodeKind::Scalar { .. }) { end } else { self.end };
        let line = span.start.line();
        let anchored = |_| Sharing { by: SharedBy::Anchor, line: line_of_mark(self.text, start, line, '&') };
        let sharing = anchor.map(anchored).or(sharing);
        let node = Node { span: start..end, line, column: span.start.col() + 1, tag, sharing, kind };
        self.finished(node, anchor)
    }

    /// Keeps a copy of an anchored node for its aliases.
    fn finished(&mut self, node: Node, anchor: Option<usize>) -> Result<Node, YamlError> {
        if let Some(anchor) = anchor {
            let copy = copy(&node, &mut self.left_to_copy).ok_or_else(|| node.error(YamlProblem::TooMuchRepeated))?;
            self.anchored.insert(anchor, copy);
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, YamlError> {
        self.end = bytes(span).end;
        // An anchor whose node holds this very alias is not there yet.
        let Some(node) = self.anchored.get(&anchor) else { return Err(at(span, YamlProblem::UnknownAnchor)) };
        let node = copy(node, &mut self.left_to_copy).ok_or_else(|| at(span, YamlProblem::TooMuchRepeated))?;
        Ok(Node { sharing: Some(Sharing { by: SharedBy::Alias, line: span.start.line() }), ..node })
    }

    /// A bracket ends a flow collection; a block collection's end event is empty and stands wherever the next thing does.
    fn close(&mut self, span: &Span) {
        let Range { start, end } = bytes(span);
        if start < end {
            self.end = end;
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                self.close(&span);
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(items)
    }

    /// A mapping, and whether a merge key brought in some of its pairs.
    fn mapping(&mut self, depth: usize) -> Result<(NodeKind, Option<Sharing>), YamlError> {
        let mut pairs = Vec::new();
        let mut merged = None;
        let mut lines: HashMap<String, usize> = HashMap::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                self.close(&span);
                break;
            }
            let is_one_line = span.start.line() == span.end.line();
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, span, depth + 1)?;
            // granit takes more for a key than go-yaml, and what is no key to us would be left out without a word.
            let name = key.text().filter(|_| is_one_line && !key.span.is_empty());
            let name = name.ok_or_else(|| key.error(YamlProblem::Syntax { expected: "a key of one line before `:`" }))?;
            if let Some(first_line) = lines.insert(name.to_owned(), key.line) {
                return Err(key.error(YamlProblem::DuplicateKey { key: name.to_owned(), first_line }));
            }
            if is_merge(&key) { merged = Some((key, value)) } else { pairs.push((key, value)) }
        }
        match merged {
            Some((key, value)) => {
                let sharing = Sharing { by: SharedBy::MergeKey, line: key.line };
                Ok((NodeKind::Mapping(merge(pairs, &key, value)?), Some(sharing)))
            }
            None => Ok((NodeKind::Mapping(pairs), None)),
        }
    }
}

/// Adds what a merge key brings in: whatever the mapping does not say itself; the first of several mappings wins.
///
/// Source: go.yaml.in/yaml/v3 `decode.go`, tried against sops 3.13.3.
fn merge(mut pairs: Vec<(Node, Node)>, key: &Node, value: Node) -> Result<Vec<(Node, Node)>, YamlError> {
    let sources = match value.kind {
        NodeKind::Mapping(source) => vec![source],
        NodeKind::Sequence(items) => items.into_iter().map(|item| mapping_of(item, key)).collect::<Result<_, _>>()?,
        NodeKind::Scalar { .. } => return Err(key.error(YamlProblem::MergeOfNoMapping)),
    };
    let mut known: HashSet<String> = pairs.iter().filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
    for (key, value) in sources.into_iter().flatten() {
        if key.text().is_none_or(|name| known.insert(name.to_owned())) {
            pairs.push((key, value));
        }
    }
    Ok(pairs)
}

fn mapping_of(node: Node, key: &Node) -> Result<Vec<(Node, Node)>, YamlError> {
    match node.kind {
        NodeKind::Mapping(pairs) => Ok(pairs),
        NodeKind::Sequence(_) | NodeKind::Scalar { .. } => Err(key.error(YamlProblem::MergeOfNoMapping)),
    }
}

fn is_merge(key: &Node) -> bool {
    let NodeKind::Scalar { text, style } = &key.kind else { return false };
    text == "<<" && (*style == Style::Plain && key.tag.is_none() || key.tag.as_deref() == Some("!!merge"))
}

/// The line of the `mark` before a node that starts at `start` on `line`.
fn line_of_mark(text: &str, start: usize, line: usize, mark: char) -> usize {
    let between = &text[text[..start].rfind(mark).unwrap_or(start)..start];
    line.saturating_sub(between.matches(['\n', '\r']).count() - between.matches("\r\n").count())
}

/// A copy that takes its size off `left`; `None` if that is not enough.
fn copy(node: &Node, left: &mut usize) -> Option<Node> {
    let texts = node.text().map_or(0, str::len) + node.tag.as_ref().map_or(0, String::len);
    *left = left.checked_sub(size_of::<Node>() + texts)?;
    let kind = match &node.kind {
        NodeKind::Scalar { text, style } => NodeKind::Scalar { text: text.clone(), style: *style },
        NodeKind::Mapping(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| Some((copy(key, left)?, copy(value, left)?)));
            NodeKind::Mapping(pairs.collect::<Option<_>>()?)
        }
        NodeKind::Sequence(items) => NodeKind::Sequence(items.iter().map(|item| copy(item, left)).collect::<Option<_>>()?),
    };
    Some(Node {
        span: node.span.clone(),
        line: node.line,
        column: node.column,
        tag: node.tag.clone(),
        sharing: node.sharing,
        kind,
    })
}

/// go-yaml refuses control characters; it takes U+0085, U+2028 and U+2029 for line breaks and granit does not, so that the two
/// would read different keys out of one text.
fn refuse_odd_characters(text: &str) -> Result<(), YamlError> {
    let is_odd = |c: char| match c {
        '\t' | '\n' | '\r' => false,
        '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => true,
        _ => c.is_control(),
    };
    let Some((offset, odd)) = text.char_indices().find(|(_, c)| is_odd(*c)) else { return Ok(()) };
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Err(YamlError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem: YamlProblem::Character { code_point: u32::from(odd) },
    })
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

fn short_tag(tag: &Tag) -> String {
    match tag.suffix_in_namespace("tag:yaml.org,2002:") {
        Some(name) => format!("!!{name}"),
        None => tag.original(),
    }
}

fn bytes(span: &Span) -> Range<usize> {
    // granit counts bytes whenever it reads from a `&str`, as it always does here.
    span.byte_range().unwrap_or_default()
}

fn at(span: &Span, problem: YamlProblem) -> YamlError {
    YamlError { line: span.start.line(), column: span.start.col() + 1, problem }
}

impl Node {
    /// The line on which its tag stands, from 1, if it has one. `text` is the text that was read.
    pub fn tag_line(&self, text: &str) -> usize {
        line_of_mark(text, self.span.start, self.line, '!')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line: `{k: v}`, `[a]`, quoted texts in quotes.
    fn shown(node: &Node) -> String {
        match &node.kind {
            NodeKind::Scalar { text, style: Style::Plain } => text.clone(),
            NodeKind::Scalar { text, .. } => format!("{text:?}"),
            NodeKind::Mapping(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value))).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            NodeKind::Sequence(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        }
    }

    fn read(text: &str) -> String {
        match load(text) {
            Ok(document) => document.root.as_ref().map_or_else(|| "nothing".to_owned(), shown),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn texts_become_trees() {
        let cases = [
            ("", "nothing"),
            ("\n# only a comment\n", "nothing"),
            ("---\n", "nothing"),
            ("~", "~"),
            ("a: b", "{a: b}"),
            ("\u{feff}a: b\r\nc:\r\n  - d\r\n", "{a: b, c: [d]}"),
            ("a: [x, 'y', \"z\"]", "{a: [x, \"y\", \"z\"]}"),
            ("a: >-\n  x,\n  y\n", "{a: \"x, y\"}"),
            ("a:\nb: ''\n-c: d", "{a: , b: \"\", -c: d}"),
            ("a: 1\n---\n[[[", "{a: 1}"),
            ("a: &x [1, 2]\nb: *x", "{a: [1, 2], b: [1, 2]}"),
            ("a: &x 1\nb: &x 2\nc: *x", "{a: 1, b: 2, c: 2}"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn merge_keys_add_what_is_not_said() {
        let cases = [
            ("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3", "{a: {x: 1, y: 2}, b: {y: 3, x: 1}}"),
            ("a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc: {<<: [*a, *b]}", "{a: {x: 1}, b: {x: 2, y: 3}, c: {x: 1, y: 3}}"),
            ("a: &a {x: 1}\nb: &b {<<: *a}\nc: {<<: *b}", "{a: {x: 1}, b: {x: 1}, c: {x: 1}}"),
            ("a: {'<<': {x: 1}}", "{a: {\"<<\": {x: 1}}}"),
            ("a:\n  <<: x", "line 2, column 3: expected a mapping, or a list of mappings, to merge"),
            ("a:\n  <<: [{x: 1}, y]", "line 2, column 3: expected a mapping, or a list of mappings, to merge"),
            ("a:\n  <<: {x: 1}\n  <<: {y: 1}", "line 3, column 3: the key `<<` stands already on line 2"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_line_and_column() {
        let cases = [
            ("a: 1\nb: 2\na: 3", "line 3, column 1: the key `a` stands already on line 1"),
            ("a: {b: 1, \"b\": 2}", "line 1, column 11: the key `b` stands already on line 1"),
            ("a: *b", "line 1, column 4: expected an alias to an anchor defined before"),
            ("a: &a [*a]", "line 1, column 8: expected an alias to an anchor defined before"),
            ("a: 'b", "line 1, column 4: expected a closing quote"),
            ("a:\n\t- b", "line 2, column 2: expected spaces, not a tab"),
            ("a: [b", "line 1, column 4: expected brackets in pairs"),
            ("a: b: c", "line 1, column 5: expected no `: ` here, or quotes around the text"),
            ("{a\nb: c}", "line 1, column 2: expected a key of one line before `:`"),
            ("? [a]\n: b", "line 1, column 3: expected a key of one line before `:`"),
            ("a: b\n: c", "line 2, column 1: expected a key of one line before `:`"),
            ("a: @b", "line 1, column 4: expected quotes around text that starts with this character"),
            ("a: é\u{1}", "line 1, column 5: a character that YAML readers do not agree on: U+0001"),
            ("a: b\u{85}c: d", "line 1, column 5: a character that YAML readers do not agree on: U+0085"),
            ("a: b\n# \u{2028}c: d", "line 2, column 3: a character that YAML readers do not agree on: U+2028"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_span_holds_what_was_written() {
        let text = "é: # top\n  - x # c\n  - [y, z]\n\n# e\nb: {c: 'd'}\nf:\n- >-\n  g\n";
        let root = load(text).unwrap().root.unwrap();
        let at = |key: &str| &text[root.get(key).unwrap().span.clone()];
        assert_eq!(at("é"), "- x # c\n  - [y, z]");
        assert_eq!(at("b"), "{c: 'd'}");
        // A list without indentation of its own starts at its first item.
        assert_eq!(at("f"), ">-\n  g\n");
        let NodeKind::Sequence(items) = &root.get("é").unwrap().kind else { panic!("no list") };
        assert_eq!(&text[items[1].span.clone()], "[y, z]");
        assert_eq!((items[1].line, items[1].column), (3, 5));
    }

    #[test]
    fn comments_are_found_behind_what_they_follow() {
        let text = "a:\n  - x # one\n  - 'y'   #two\n  - z\n  # own line\n  - [v, w] # four\n  - >- # header\n    u\n";
        let document = load(text).unwrap();
        assert_eq!(document.comments.len(), 5);
        let NodeKind::Sequence(items) = &document.root.as_ref().unwrap().get("a").unwrap().kind else { panic!("no list") };
        let after: Vec<_> = items.iter().map(|item| document.comment_after(item, text)).collect();
        assert_eq!(after, [Some("one"), Some("two"), None, Some("four"), None]);
        let NodeKind::Sequence(inner) = &items[3].kind else { panic!("no list") };
        assert_eq!(document.comment_after(&inner[0], text), None);
        assert_eq!(document.comment_after(&inner[1], text), Some("four"));
    }

    #[test]
    fn what_counts_in_two_places_is_marked_with_its_line() {
        let text = "a: &x # x\r\n\r\n  - b\nc:\n  - *x\nd: &y {z: 1}\ne:\n  f: 1\n  <<: *y\ng: !!seq\n  - h\n...\n# end\n---\ni";
        let document = load(text).unwrap();
        let root = document.root.as_ref().unwrap();
        let sharing = |node: &Node| node.sharing.map(|sharing| (sharing.by, sharing.line));
        assert_eq!(sharing(root.get("a").unwrap()), Some((SharedBy::Anchor, 1)));
        let NodeKind::Sequence(items) = &root.get("c").unwrap().kind else { panic!("no list") };
        assert_eq!(sharing(&items[0]), Some((SharedBy::Alias, 5)));
        assert_eq!(sharing(root.get("d").unwrap()), Some((SharedBy::Anchor, 6)));
        assert_eq!(sharing(root.get("e").unwrap()), Some((SharedBy::MergeKey, 9)));
        assert_eq!((sharing(root), sharing(root.get("c").unwrap())), (None, None));
        assert_eq!(root.get("g").unwrap().tag_line(text), 10);
        assert_eq!(document.next_document, Some(14));
        for (text, next) in
            [("a", None), ("---\na\n...\n# b\n", None), ("a: 1\n---\n[[[", Some(2)), ("---\n---\n", Some(2)), ("", None)]
        {
            assert_eq!(load(text).unwrap().next_document, next, "{text:?}");
        }
    }

    #[test]
    fn aliases_cannot_blow_up_a_small_text() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        assert!(read(&text).ends_with("anchors and aliases repeat too much"));
    }

    #[test]
    fn depth_is_limited_in_every_shape() {
        let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
        assert!(load(&deep("[", "]", 60)).is_ok());
        for text in
            [deep("[", "]", 70), deep("{a: ", "}", 70), deep("- ", "", 70), deep("[", "", 100_000), deep("- ", "", 100_000)]
        {
            assert_eq!(load(&text).err().unwrap().problem, YamlProblem::TooDeep);
        }
    }

    #[test]
    fn many_comments_are_no_problem() {
        let text = format!("a:\n{}  - b\n", "# c\n".repeat(100_000));
        assert_eq!(load(&text).unwrap().comments.len(), 100_000);
    }
}
