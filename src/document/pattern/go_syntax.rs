//! A pattern in Go's syntax → the same pattern in Rust's, in forms that have one meaning only.
//!
//! Knows both syntaxes; must not compile or match, except to ask which names of character classes Rust knows. One invariant: nothing
//! goes from one to the other unread, so what Go refuses is refused here. Longer than most files because it is one grammar.
//!
//! Source: the Go package `regexp/syntax` (Go 1.26) with its `Perl` flags, tried against sops 3.13.3.

use super::{PatternError, compile_rust};

/// Spells `pattern` in Rust's syntax.
///
/// # Errors
/// [`PatternError`] if Go refuses it; a few things that only Rust refuses are left to the compiler.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    Translator::new(pattern).pattern()
}

/// How deep groups may stand in each other.
pub(super) const NESTING: u32 = 200;

/// Go's limit for one count, and for the product of counts in each other. Source: `regexp/syntax/parse.go`, `repeatIsValid`.
const COUNT: u32 = 1000;

/// Reads Go's syntax from the left and writes Rust's.
struct Translator<'pattern> {
    pattern: &'pattern str,
    /// How many bytes are read.
    offset: usize,
    output: String,
    groups: Vec<Group>,
    names: Vec<&'pattern str>,
    /// What a `*` would repeat now.
    last: Last,
}

/// An open group, or the whole pattern.
struct Group {
    /// The largest product of counts in each other inside it, at least 1.
    counts: u32,
    /// Where it opens.
    offset: usize,
}

/// What stands to the left.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// Nothing that could be repeated.
    Nothing,
    /// Something that can be repeated, with the largest product of counts in it.
    Atom(u32),
    /// Something repeated already, which Go does not repeat again.
    Repeated,
}

impl<'pattern> Translator<'pattern> {
    fn new(pattern: &'pattern str) -> Self {
        let output = String::with_capacity(pattern.len() * 4);
        Self { pattern, offset: 0, output, groups: vec![Group { counts: 1, offset: 0 }], names: Vec::new(), last: Last::Nothing }
    }

    fn pattern(mut self) -> Result<String, PatternError> {
        while let Some(next) = self.peek() {
            self.element(next)?;
        }
        match &self.groups[..] {
            [_] => Ok(self.output),
            [.., open] => Err(PatternError::Syntax { offset: open.offset, expected: "`)` for this `(`" }),
            [] => Err(self.expected("no `)` here")),
        }
    }

    fn element(&mut self, next: char) -> Result<(), PatternError> {
        match next {
            '(' => self.open(),
            ')' => self.close(),
            '|' => {
                self.advance('|');
                self.output.push('|');
                self.last = Last::Nothing;
                Ok(())
            }
            '*' | '+' | '?' => {
                self.advance(next);
                self.repeat(next.encode_utf8(&mut [0; 4]), None)
            }
            '{' => self.brace(),
            '[' => {
                let class = self.class()?;
                self.atom(&class)
            }
            '\\' => self.escape(),
            '^' | '$' | '.' => {
                self.advance(next);
                self.atom(next.encode_utf8(&mut [0; 4]))
            }
            literal => {
                self.advance(literal);
                self.literal(literal)
            }
        }
    }

    // --- groups -------------------------------------------------------------------------------------------------------------

    fn open(&mut self) -> Result<(), PatternError> {
        let offset = self.offset;
        self.advance('(');
        if !self.skip("?") {
            return self.enter(offset, "(?:");
        }
        if self.skip("P<") || self.skip("<") {
            self.name()?;
            return self.enter(offset, "(?:");
        }
        let flags = self.flags()?;
        if self.skip(":") {
            return self.enter(offset, &format!("(?{flags}:"));
        }
        self.advance(')');
        if !flags.is_empty() {
            self.output.push_str(&format!("(?{flags})"));
        }
        // Go would let a `*` that follows repeat what stands before the flags; nobody means that.
        self.last = Last::Nothing;
        Ok(())
    }

    fn enter(&mut self, offset: usize, opening: &str) -> Result<(), PatternError> {
        self.output.push_str(opening);
        self.groups.push(Group { counts: 1, offset });
        self.last = Last::Nothing;
        if self.groups.len() > NESTING as usize { Err(PatternError::TooLarge) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let (Some(group), false) = (self.groups.pop(), self.groups.is_empty()) else {
            return Err(self.expected("a `(` before this `)`"));
        };
        self.advance(')');
        self.output.push(')');
        self.note(group.counts);
        self.last = Last::Atom(group.counts);
        Ok(())
    }

    /// Names group nothing here; they only have to be good ones.
    fn name(&mut self) -> Result<(), PatternError> {
        let rest = self.rest();
        let length = rest.find('>').unwrap_or(rest.len());
        let name = &rest[..length];
        let is_good = !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        if !is_good || self.names.contains(&name) {
            return Err(self.expected("a new group name of letters, digits and `_`"));
        }
        self.names.push(name);
        self.offset += length;
        if self.skip(">") { Ok(()) } else { Err(self.expected("`>` after the group's name")) }
    }

    /// Reads up to the `:` or `)` that ends flags. Go allows to repeat them; the last one counts.
    fn flags(&mut self) -> Result<String, PatternError> {
        let mut flags = [('i', None), ('m', None), ('s', None), ('U', None)];
        let mut value = true;
        let mut needs_flag = false;
        loop {
            match self.peek() {
                Some(':' | ')') if !needs_flag => break,
                Some('-') if value => {
                    self.advance('-');
                    value = false;
                    needs_flag = true;
                }
                Some(name) => {
                    let Some(flag) = flags.iter_mut().find(|(flag, _)| *flag == name) else {
                        return Err(self.expected("the flags `i`, `m`, `s` or `U` (Go has no look-around)"));
                    };
                    flag.1 = Some(value);
                    self.advance(name);
                    needs_flag = false;
                }
                None => return Err(self.expected("`)` after flags")),
            }
        }
        let named = |wanted: bool| flags.iter().filter(move |(_, value)| *value == Some(wanted)).map(|(flag, _)| *flag);
        let mut text: String = named(true).collect();
        if named(false).next().is_some() {
            text.push('-');
            text.extend(named(false));
        }
        Ok(text)
    }

    // --- repetition ---------------------------------------------------------------------------------------------------------

    /// `{2}`, `{2,}` and `{2,5}` repeat; any other brace is a brace.
    fn brace(&mut self) -> Result<(), PatternError> {
        let Some((length, minimum, maximum)) = counts(self.rest()) else {
            self.advance('{');
            return self.literal('{');
        };
        let text = &self.rest()[..length];
        if minimum > COUNT || maximum.is_some_and(|maximum| maximum > COUNT || maximum < minimum) {
            return Err(self.expected("counts in order and up to 1000"));
        }
        self.offset += length;
        let largest = maximum.unwrap_or(minimum);
        self.repeat(text, Some(largest))
    }

    fn repeat(&mut self, operator: &str, count: Option<u32>) -> Result<(), PatternError> {
        let Last::Atom(inner) = self.last else {
            return Err(self.expected("one thing to repeat, once, before the operator"));
        };
        let counts = match count {
            Some(0) => 1,
            Some(count) => count.saturating_mul(inner),
            None => inner,
        };
        if counts > COUNT {
            return Err(self.expected("counts in each other that make up to 1000"));
        }
        self.output.push_str(operator);
        if self.skip("?") {
            self.output.push('?');
        }
        self.note(counts);
        self.last = Last::Repeated;
        Ok(())
    }

    fn note(&mut self, counts: u32) {
        if let Some(group) = self.groups.last_mut() {
            group.counts = group.counts.max(counts);
        }
    }

    // --- single characters and classes --------------------------------------------------------------------------------------

    fn atom(&mut self, text: &str) -> Result<(), PatternError> {
        self.output.push_str(text);
        self.last = Last::Atom(1);
        Ok(())
    }

    fn literal(&mut self, literal: char) -> Result<(), PatternError> {
        push_literal(&mut self.output, literal);
        self.last = Last::Atom(1);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        if self.skip(r"\Q") {
            return self.quoted();
        }
        if let Some(set) = self.set()? {
            return self.atom(&set);
        }
        for (escape, anchor) in [(r"\A", r"\A"), (r"\z", r"\z"), (r"\b", r"(?-u:\b)"), (r"\B", r"(?-u:\B)")] {
            if self.skip(escape) {
                return self.atom(anchor);
            }
        }
        let literal = self.escaped()?;
        self.literal(literal)
    }

    /// Everything up to `\E` or the end stands for itself.
    fn quoted(&mut self) -> Result<(), PatternError> {
        let rest = self.rest();
        let (quoted, length) = match rest.find(r"\E") {
            Some(length) => (&rest[..length], length + r"\E".len()),
            None => (rest, rest.len()),
        };
        for literal in quoted.chars() {
            self.literal(literal)?;
        }
        self.offset += length;
        Ok(())
    }

    /// `\d`, `\pL` and the like, as a class that may stand inside another; `None` if none of them comes next.
    fn set(&mut self) -> Result<Option<String>, PatternError> {
        // In Go, `\s` lacks the vertical tab.
        let ascii = [
            (r"\d", "[0-9]"),
            (r"\D", "[^0-9]"),
            (r"\s", r"[\t\n\f\r\x20]"),
            (r"\S", r"[^\t\n\f\r\x20]"),
            (r"\w", "[0-9A-Za-z_]"),
            (r"\W", "[^0-9A-Za-z_]"),
        ];
        for (escape, class) in ascii {
            if self.skip(escape) {
                return Ok(Some(class.to_owned()));
            }
        }
        let negated = match self.rest().as_bytes() {
            [b'\\', b'p', ..] => false,
            [b'\\', b'P', ..] => true,
            _ => return Ok(None),
        };
        self.property(negated).map(Some)
    }

    fn property(&mut self, mut negated: bool) -> Result<String, PatternError> {
        const EXPECTED: &str = "a general category or a script after `\\p`";
        let start = self.offset;
        self.offset += r"\p".len();
        let rest = self.rest();
        let name = match rest.strip_prefix('{') {
            Some(braced) => {
                let length = braced.find('}').ok_or_else(|| self.expected("`}` after `\\p{`"))?;
                self.offset += length + "{}".len();
                let name = &braced[..length];
                negated ^= name.starts_with('^');
                name.strip_prefix('^').unwrap_or(name)
            }
            None => {
                let letter = self.peek().ok_or_else(|| self.expected(EXPECTED))?;
                self.advance(letter);
                &rest[..letter.len_utf8()]
            }
        };
        let letter = if negated { 'P' } else { 'p' };
        for kind in ["gc", "sc"] {
            let class = format!(r"\{letter}{{{kind}={name}}}");
            if is_known_to_go(kind, name) && compile_rust(&class).is_ok() {
                return Ok(format!("[{class}]"));
            }
        }
        Err(PatternError::Syntax { offset: start, expected: EXPECTED })
    }

    fn class(&mut self) -> Result<String, PatternError> {
        let start = self.offset;
        self.advance('[');
        let mut class = if self.skip("^") { "[^".to_owned() } else { "[".to_owned() };
        let mut is_first = true;
        while self.peek() != Some(']') || is_first {
            is_first = false;
            if self.peek().is_none() {
                return Err(PatternError::Syntax { offset: start, expected: "`]` for this `[`" });
            }
            if let Some(named) = self.posix()? {
                class.push_str(&named);
            } else if let Some(set) = self.set()? {
                class.push_str(&set);
            } else {
                self.range(&mut class)?;
            }
        }
        self.advance(']');
        class.push(']');
        Ok(class)
    }

    /// `[:alpha:]` or `[:^alpha:]` inside a class.
    fn posix(&mut self) -> Result<Option<String>, PatternError> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
            "xdigit",
        ];
        let rest = self.rest();
        let Some(length) = rest.strip_prefix("[:").and_then(|inner| inner.find(":]")) else { return Ok(None) };
        let name = &rest["[:".len()..][..length];
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(self.expected("a class like `[:alpha:]`"));
        }
        self.offset += length + "[::]".len();
        Ok(Some(format!("[:{name}:]")))
    }

    fn range(&mut self, class: &mut String) -> Result<(), PatternError> {
        let start = self.offset;
        let low = self.class_char()?;
        push_literal(class, low);
        let rest = self.rest().as_bytes();
        if rest.first() != Some(&b'-') || matches!(rest.get(1), Some(b']') | None) {
            return Ok(());
        }
        self.advance('-');
        let high = self.class_char()?;
        if high < low {
            return Err(PatternError::Syntax { offset: start, expected: "a range that goes upwards" });
        }
        class.push('-');
        push_literal(class, high);
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, PatternError> {
        match self.peek() {
            Some('\\') => self.escaped(),
            Some(literal) => {
                self.advance(literal);
                Ok(literal)
            }
            None => Err(self.expected("`]`")),
        }
    }

    /// A backslash and what makes one character with it.
    fn escaped(&mut self) -> Result<char, PatternError> {
        const EXPECTED: &str = "an escape that Go knows";
        let start = self.offset;
        self.advance('\\');
        let unknown = PatternError::Syntax { offset: start, expected: EXPECTED };
        let Some(letter) = self.peek() else { return Err(unknown) };
        self.advance(letter);
        let code_point = match letter {
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => self.hexadecimal()?,
            // A single digit other than 0 would be a backreference.
            '1'..='7' if !self.rest().starts_with(|next| matches!(next, '0'..='7')) => return Err(unknown),
            '0'..='7' => self.octal(letter),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => u32::from(letter),
            _ => return Err(unknown),
        };
        char::from_u32(code_point).ok_or(unknown)
    }

    fn octal(&mut self, first: char) -> u32 {
        let mut value = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.offset += 1;
        }
        value
    }

    fn hexadecimal(&mut self) -> Result<u32, PatternError> {
        let rest = self.rest();
        let (digits, length) = match rest.strip_prefix('{') {
            Some(braced) => {
                let length = braced.find('}').ok_or_else(|| self.expected("`}` after `\\x{`"))?;
                (&braced[..length], length + "{}".len())
            }
            None => (rest.get(..2).unwrap_or_default(), 2),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
        let value = value.ok_or_else(|| self.expected("hexadecimal digits after `\\x`"))?;
        self.offset += length;
        Ok(value)
    }

    // --- the text -----------------------------------------------------------------------------------------------------------

    fn rest(&self) -> &'pattern str {
        // The offset only ever moves over whole characters.
        self.pattern.get(self.offset..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, over: char) {
        self.offset += over.len_utf8();
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.offset += text.len();
        }
        is_next
    }

    fn expected(&self, expected: &'static str) -> PatternError {
        PatternError::Syntax { offset: self.offset, expected }
    }
}

/// Whether Go would look `name` up at all; Rust also knows `name=value`, names with `is` before them, and scripts by the four letters
/// of ISO 15924, which are the whole name of a few scripts only.
fn is_known_to_go(kind: &str, name: &str) -> bool {
    let is_separator = |c: char| matches!(c, ' ' | '_' | '-');
    let plain: String = name.chars().filter(|c| !is_separator(*c)).map(|c| c.to_ascii_lowercase()).collect();
    let four_letters = ["ahom", "cham", "kawi", "lisu", "modi", "newa", "thai", "toto"];
    let is_code = kind == "sc" && plain.len() == 4 && !four_letters.contains(&plain.as_str());
    plain.chars().all(|c| c.is_ascii_alphanumeric()) && !plain.starts_with("is") && !is_code
}

/// Reads `{2}`, `{2,}` or `{2,5}`: its length and counts, the second `None` if there is no upper end.
fn counts(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let inner = text.strip_prefix('{')?;
    let length = inner.find('}')?;
    let (minimum, maximum) = inner[..length].split_once(',').unwrap_or((&inner[..length], &inner[..length]));
    let maximum = if maximum.is_empty() { None } else { Some(count(maximum)?) };
    Some((length + "{}".len(), count(minimum)?, maximum))
}

/// A number without leading zeros; one that is too large for a count in any case is one more than allowed.
fn count(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some(digits.parse().unwrap_or(COUNT + 1))
}

/// Punctuation is spelled as a number, so that none of it means anything to Rust (`&&`, `\<`, `#`).
fn push_literal(output: &mut String, literal: char) {
    if literal.is_ascii() && !literal.is_ascii_alphanumeric() {
        output.push_str(&format!(r"\x{:02X}", u32::from(literal)));
    } else {
        output.push(literal);
    }
}
