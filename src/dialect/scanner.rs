//! Text → statements, each with its lines and bytes.
//!
//! Knows the grammar of python-dotenv 1.2.4; must not know what a store can hold, or interpolation. Its one invariant: statements
//! cover every line of the text once, in order.
//!
//! The text has no CR (see [`super::decode`]); all offsets lie on character boundaries, since they are those of ASCII characters or
//! of what `str::find` reports.
//!
//! Source: python-dotenv 1.2.4 `parser.py`; pinned by `tests/vectors/dotenv-cases.jsonl` and `tests/promises/python_dotenv.rs`.

use std::ops::{Range, RangeInclusive};

use memchr::{memchr, memchr_iter};

use crate::secret::SecretString;

/// A run of lines that means one thing. No `Debug`: it borrows plaintext.
pub struct Statement<'text> {
    /// Its lines, counted from 1.
    pub lines: RangeInclusive<usize>,
    /// Its bytes, from the first that is not white space to before the LF that ends it.
    pub range: Range<usize>,
    /// What it says.
    pub kind: Kind<'text>,
}

impl<'text> Statement<'text> {
    /// The definition, if it is one.
    pub fn definition(&self) -> Option<&Definition<'text>> {
        match &self.kind {
            Kind::Definition(definition) => Some(definition),
            _ => None,
        }
    }
}

/// What a statement says.
pub enum Kind<'text> {
    /// White space alone: always one line.
    Blank,
    /// A comment; `start` is the offset of its `#`, which may follow an `export` without name.
    Comment {
        /// The offset of the `#`.
        start: usize,
    },
    /// A name, mostly with a value.
    Definition(Definition<'text>),
    /// Nothing: python-dotenv warns and goes on with the next line.
    Failed {
        /// Why.
        failure: Failure,
        /// The offset at which the scanner gave up; the statement ends with that line.
        at: usize,
        /// The variable whose value fails, if it came as far as that.
        name: Option<&'text str>,
    },
}

/// A name, mostly with a value.
pub struct Definition<'text> {
    /// Whether `export` stands before the name.
    pub export: bool,
    /// The variable's name, without quotes. It may hold anything but `'`, also line breaks.
    pub name: &'text str,
    /// The bytes of the name, with its quotes if it has any.
    pub name_range: Range<usize>,
    /// The offset of the `=`, and the value. `None`: python-dotenv sets nothing and forgets an earlier value.
    pub value: Option<(usize, Value<'text>)>,
}

/// A value as it is written.
pub struct Value<'text> {
    /// How it is quoted.
    pub quote: Quote,
    /// What stands between the quotes, or for an unquoted value what is left without comment and trailing white space.
    pub raw: &'text str,
    /// The bytes, with the quotes.
    pub range: Range<usize>,
}

impl Value<'_> {
    /// The value with its escapes decoded, before interpolation.
    pub fn decode(&self) -> SecretString {
        let escapes = match self.quote {
            Quote::None => return SecretString::copy_of(self.raw),
            Quote::Single => SINGLE_QUOTE_ESCAPES,
            Quote::Double => DOUBLE_QUOTE_ESCAPES,
        };
        let mut decoded = SecretString::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            decoded.push(&rest[..at]);
            let after = &rest[at + 1..];
            // In a closed quote a backslash always has a character after it.
            let escaped = after.chars().next().unwrap_or('\\');
            match escapes.iter().find(|(written, _)| *written == escaped) {
                Some((_, meant)) => decoded.push(meant),
                None => decoded.push(&rest[at..at + 1 + escaped.len_utf8()]),
            }
            rest = &after[escaped.len_utf8()..];
        }
        decoded.push(rest);
        decoded
    }
}

/// How a value is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// Not at all: up to the end of the line.
    None,
    /// In `'…'`.
    Single,
    /// In `"…"`.
    Double,
}

const SINGLE_QUOTE_ESCAPES: &[(char, &str)] = &[('\\', "\\"), ('\'', "'")];
const DOUBLE_QUOTE_ESCAPES: &[(char, &str)] = &[
    ('\\', "\\"),
    ('\'', "'"),
    ('"', "\""),
    ('a', "\u{7}"),
    ('b', "\u{8}"),
    ('f', "\u{c}"),
    ('n', "\n"),
    ('r', "\r"),
    ('t', "\t"),
    ('v', "\u{b}"),
];

/// Why a statement yields nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A quote has no partner in the rest of the text.
    #[error("unclosed quote")]
    UnclosedQuote,
    /// Behind the closing quote stands more than white space and a comment.
    #[error("text after the closing quote")]
    TextAfterClosingQuote,
    /// Behind a name stands neither `=` nor a comment nor the end of the line.
    #[error("more than one word before `=`")]
    TextAfterName,
    /// There is no name, or an empty one in quotes.
    #[error("no name")]
    NoName,
    /// Interpolation would make the values larger than [`super::interpolation::GROWTH_LIMIT`]. The scanner never says this.
    #[error("value too large after `${{…}}`")]
    TooLarge,
}

/// All statements of a text, in order.
pub fn scan(text: &str) -> Vec<Statement<'_>> {
    Scanner::new(text).collect()
}

/// Reads statements one by one.
pub struct Scanner<'text> {
    text: &'text str,
    position: usize,
    line: usize,
    /// Where the line ends that the statement begins in, which mostly is where the statement ends.
    first_line_end: usize,
}

impl<'text> Scanner<'text> {
    /// A scanner at the start of `text`.
    pub fn new(text: &'text str) -> Self {
        Self::starting_at(text, 0, 1)
    }

    /// A scanner at `position`, which must be the start of line `line` (counted from 1); what stands before is not looked at.
    pub fn starting_at(text: &'text str, position: usize, line: usize) -> Self {
        Self { text, position, line, first_line_end: position }
    }

    /// The statement at `start`, which is no white space, and the offset of the LF (or end of text) that ends it.
    fn statement(&self, start: usize) -> (Kind<'text>, usize) {
        match self.definition(start) {
            Ok((kind, end)) => (kind, end),
            Err(Stop { failure, at, name }) => (Kind::Failed { failure, at, name }, self.line_end(at)),
        }
    }

    fn definition(&self, start: usize) -> Result<(Kind<'text>, usize), Stop<'text>> {
        let mut at = start;
        let after_export = self.text[start..].strip_prefix("export").map(|rest| self.text.len() - rest.len());
        if let Some(after) = after_export.filter(|after| self.skip_spaces(*after) > *after) {
            at = self.skip_spaces(after);
        }
        if self.starts_with(at, '#') {
            return Ok((Kind::Comment { start: at }, self.line_end(at)));
        }
        let (name, name_range) = self.name(at)?;
        let after_name = self.skip_spaces(name_range.end);
        let (value, end) = match self.starts_with(after_name, '=') {
            true => {
                let value = self.value(name, after_name + 1)?;
                let end = value.range.end;
                (Some((after_name, value)), end)
            }
            false => (None, after_name),
        };
        let after = self.skip_spaces(end);
        match self.text[after..].chars().next() {
            None | Some('\n' | '#') => {}
            Some(_) if value.is_some() => {
                return Err(Stop { failure: Failure::TextAfterClosingQuote, at: after, name: Some(name) });
            }
            Some(_) => return Err(Stop { failure: Failure::TextAfterName, at: after, name: None }),
        }
        Ok((Kind::Definition(Definition { export: at > start, name, name_range, value }), self.line_end(after)))
    }

    fn name(&self, at: usize) -> Result<(&'text str, Range<usize>), Stop<'text>> {
        let stop = |failure| Stop { failure, at, name: None };
        let rest = &self.text[at..];
        if let Some(quoted) = rest.strip_prefix('\'') {
            let length = quoted.find('\'').ok_or(stop(Failure::UnclosedQuote))?;
            let name = &quoted[..length];
            return if name.is_empty() { Err(stop(Failure::NoName)) } else { Ok((name, at..at + length + 2)) };
        }
        // Of most names, letters that need no closer look are all there is.
        let plain = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let length = rest[plain..].find(|c| c == '=' || c == '#' || is_space(c)).map_or(rest.len(), |more| plain + more);
        if length == 0 { Err(stop(Failure::NoName)) } else { Ok((&rest[..length], at..at + length)) }
    }

    /// The value of `name` behind the `=` that ends at `after_equals`.
    fn value(&self, name: &'text str, after_equals: usize) -> Result<Value<'text>, Stop<'text>> {
        let at = self.skip_spaces(after_equals);
        let unquoted = |raw: &'text str| Value { quote: Quote::None, raw, range: at..at + raw.len() };
        // Since 1.2.4: `A= # c` is empty, while `A=#c` is the value `#c`.
        if at > after_equals && self.starts_with(at, '#') {
            return Ok(unquoted(""));
        }
        let (quote, mark) = match self.text[at..].chars().next() {
            Some('\'') => (Quote::Single, b'\''),
            Some('"') => (Quote::Double, b'"'),
            _ => return Ok(unquoted(without_comment(&self.text[at..self.line_end(at)]))),
        };
        let length = closing_quote(&self.text.as_bytes()[at + 1..], mark).ok_or(Stop {
            failure: Failure::UnclosedQuote,
            at,
            name: Some(name),
        })?;
        Ok(Value { quote, raw: &self.text[at + 1..at + 1 + length], range: at..at + length + 2 })
    }

    fn starts_with(&self, at: usize, expected: char) -> bool {
        self.text[at..].starts_with(expected)
    }

    /// The offset of the first character from `at` on that is an LF or no white space.
    fn skip_spaces(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        at + rest.find(|c| c == '\n' || !is_space(c)).unwrap_or(rest.len())
    }

    fn line_end(&self, at: usize) -> usize {
        if at <= self.first_line_end { self.first_line_end } else { line_end(self.text, at) }
    }
}

/// Where a statement turns out to be none.
struct Stop<'text> {
    failure: Failure,
    at: usize,
    name: Option<&'text str>,
}

impl<'text> Iterator for Scanner<'text> {
    type Item = Statement<'text>;

    fn next(&mut self) -> Option<Statement<'text>> {
        if self.position == self.text.len() {
            return None;
        }
        let start = self.skip_spaces(self.position);
        self.first_line_end = line_end(self.text, start);
        let (kind, end) = match self.text[start..].chars().next() {
            None | Some('\n') => (Kind::Blank, start),
            Some(_) => self.statement(start),
        };
        let first = self.line;
        let last = first + memchr_iter(b'\n', &self.text.as_bytes()[self.first_line_end.min(end)..end]).count();
        self.position = (end + 1).min(self.text.len());
        self.line = last + 1;
        Some(Statement { lines: first..=last, range: start..end, kind })
    }
}

/// The offset of the LF that ends the line of `at`, or of the end of the text.
fn line_end(text: &str, at: usize) -> usize {
    memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |length| at + length)
}

/// Whether Python's `str.isspace` says so: U+001C to U+001F are white space there, and not in Rust.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// An unquoted value less its comment, which begins at a `#` behind white space, and less trailing white space.
fn without_comment(line: &str) -> &str {
    let comment = memchr_iter(b'#', line.as_bytes()).find(|at| line[..*at].ends_with(is_space));
    line[..comment.unwrap_or(line.len())].trim_end_matches(is_space)
}

/// The offset of the first `mark` that no backslash takes.
fn closing_quote(bytes: &[u8], mark: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            // The character after it may have several bytes, but none of the others is a backslash or a quote.
            b'\\' => at += 2,
            byte if *byte == mark => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(RangeInclusive<usize>, &'static str)> {
        let kind = |kind: &Kind<'_>| match kind {
            Kind::Blank => "blank",
            Kind::Comment { .. } => "comment",
            Kind::Definition(Definition { value: Some(_), .. }) => "value",
            Kind::Definition(_) => "bare",
            Kind::Failed { .. } => "failed",
        };
        scan(text).iter().map(|statement| (statement.lines.clone(), kind(&statement.kind))).collect()
    }

    #[test]
    fn every_line_belongs_to_one_statement() {
        let text = "\n # c\nA=\"x\ny\" # d\n \t\nB\n'k\nl'=1\nexport # e\nC D\n ";
        let expected = [
            (1..=1, "blank"),
            (2..=2, "comment"),
            (3..=4, "value"),
            (5..=5, "blank"),
            (6..=6, "bare"),
            (7..=8, "value"),
            (9..=9, "comment"),
            (10..=10, "failed"),
            (11..=11, "blank"),
        ];
        assert_eq!(kinds(text), expected);
    }

    #[test]
    fn each_failure_says_why_and_where() {
        fn failure(text: &str) -> (Failure, usize, Option<&str>) {
            match scan(text)[0].kind {
                Kind::Failed { failure, at, name } => (failure, at, name),
                _ => panic!("read: {text}"),
            }
        }
        assert_eq!(failure("A=\"abc\nB=2"), (Failure::UnclosedQuote, 2, Some("A")));
        assert_eq!(failure("'A=1"), (Failure::UnclosedQuote, 0, None));
        assert_eq!(failure("A=\"a\nb\" c"), (Failure::TextAfterClosingQuote, 8, Some("A")));
        assert_eq!(failure("A B=1"), (Failure::TextAfterName, 2, None));
        assert_eq!(failure("''=1"), (Failure::NoName, 0, None));
        assert_eq!(failure("export \nA=1"), (Failure::NoName, 7, None));
    }

    #[test]
    fn a_statement_knows_its_bytes() {
        let text = "# ä\n  export 'A b' = \"x\\\"\" # c\n";
        let statement = &scan(text)[1];
        assert_eq!(&text[statement.range.clone()], "export 'A b' = \"x\\\"\" # c");
        let Kind::Definition(definition) = &statement.kind else { panic!("no definition") };
        assert_eq!((definition.export, definition.name, &text[definition.name_range.clone()]), (true, "A b", "'A b'"));
        let (equals, value) = definition.value.as_ref().unwrap();
        assert_eq!((&text[*equals..=*equals], &text[value.range.clone()], value.raw), ("=", "\"x\\\"\"", "x\\\""));
        assert_eq!(value.decode().expose(), "x\"");
    }
}
