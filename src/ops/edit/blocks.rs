//! PEM blocks: stored on one line, shown in the editor over as many as they have.
//!
//! Knows lines and quotes, not how they are encrypted. Its one invariant: a block that nobody touched goes back to the very bytes it
//! was stored as, and python-dotenv reads the same out of the text that is shown and the one that is stored.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use crate::dialect::refusal::{Note, NoteKind, Reason, Refusal};
use crate::dialect::scanner::{Kind, Quote, Scanner, Statement, Value};
use crate::secret::{SecretBytes, SecretString};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// `stored` as the editor is given it: a value in double quotes that holds a PEM block has real line breaks instead of `\n`. `None` if it
/// holds none.
///
/// A text that is read otherwise than it stands, with a carriage return in it or a mark before, is shown as it is stored.
pub(super) fn shown(stored: &str) -> Option<SecretString> {
    View::of(stored).map(|view| view.text)
}

/// What [`shown`] makes of a text that may be none.
pub(super) fn shown_bytes(stored: SecretBytes) -> SecretBytes {
    let shown = std::str::from_utf8(stored.expose()).ok().and_then(shown);
    shown.map_or(stored, SecretString::into_bytes)
}

/// A text as it is shown, and which lines of it are one stored line.
struct View<'stored> {
    stored: &'stored str,
    text: SecretString,
    /// The bytes of the shown lines, and those of the stored one.
    blocks: Vec<(Range<usize>, Range<usize>)>,
}

impl<'stored> View<'stored> {
    fn of(stored: &'stored str) -> Option<Self> {
        let is_as_it_stands = !stored.contains('\r') && !stored.starts_with('\u{feff}');
        if !is_as_it_stands || memmem::find(stored.as_bytes(), BEGIN.as_bytes()).is_none() {
            return None;
        }
        let mut view = Self { stored, text: SecretString::with_capacity(stored.len()), blocks: Vec::new() };
        let mut done = 0;
        for statement in Scanner::new(stored) {
            let Some(value) = block_in(&statement) else { continue };
            let line = line_start(stored, statement.range.start)..statement.range.end;
            view.text.push(&stored[done..line.start]);
            let start = view.text.len();
            view.text.push(&stored[line.start..value.range.start]);
            view.push_over_lines(&stored[value.range.clone()]);
            view.text.push(&stored[value.range.end..line.end]);
            view.blocks.push((start..view.text.len(), line.clone()));
            done = line.end;
        }
        view.text.push(&stored[done..]);
        (!view.blocks.is_empty()).then_some(view)
    }

    /// Undoes what stores a value of several lines on one; all other escapes stay.
    fn push_over_lines(&mut self, quoted: &str) {
        let mut rest = quoted;
        while let Some(at) = rest.find('\\') {
            self.text.push(&rest[..at]);
            let escaped = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
            match &rest[at + 1..at + 1 + escaped] {
                "n" => self.text.push("\n"),
                _ => self.text.push(&rest[at..at + 1 + escaped]),
            }
            rest = &rest[at + 1 + escaped..];
        }
        self.text.push(rest);
    }

    /// The blocks by the first of their shown lines: all of these, and the stored line.
    fn by_first_line(&self) -> HashMap<&str, Vec<(&str, &'stored str)>> {
        let mut blocks: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
        for (shown, stored) in &self.blocks {
            let shown = &self.text.expose()[shown.clone()];
            blocks.entry(first_line(shown)).or_default().push((shown, &self.stored[stored.clone()]));
        }
        blocks
    }
}

/// The value of a statement, if it is a PEM block on one line.
fn block_in<'a>(statement: &'a Statement<'_>) -> Option<&'a Value<'a>> {
    let (_, value) = statement.definition()?.value.as_ref()?;
    if value.quote != Quote::Double || !value.raw.contains(BEGIN) || statement.lines.start() != statement.lines.end() {
        return None;
    }
    let decoded = value.decode();
    let is_block = decoded.expose().contains('\n') && decoded.expose().lines().any(|line| line.starts_with(BEGIN));
    is_block.then_some(value)
}

/// An edited text in which every block that nobody touched is the line it was stored as.
pub(super) struct Folded {
    /// That text.
    pub text: SecretString,
    /// Its lines, counted from 1, that stand for several, and for how many more than one.
    folded: Vec<(usize, usize)>,
}

/// Folds `edited`, whose lines end in LF alone, by what was stored `before`; `None` if there is nothing to fold.
pub(super) fn fold(edited: &str, before: &str) -> Option<Folded> {
    let view = View::of(before)?;
    let blocks = view.by_first_line();
    let mut folded = Folded { text: SecretString::with_capacity(edited.len() + view.blocks.len()), folded: Vec::new() };
    let (mut done, mut more_lines) = (0, 0);
    let mut scanner = Scanner::new(edited);
    while let Some(statement) = scanner.next() {
        let Some((start, line, shown, stored)) = block_among(&blocks, edited, &statement) else { continue };
        folded.text.push(&edited[done..start]);
        folded.text.push(stored);
        done = start + shown.len();
        let more = shown.matches('\n').count();
        folded.folded.push((line - more_lines, more));
        more_lines += more;
        // What a statement that yields nothing takes in behind the block is looked at on its own, as it will be when it is stored.
        scanner = Scanner::starting_at(edited, (done + 1).min(edited.len()), line + more + 1);
    }
    folded.text.push(&edited[done..]);
    (!folded.folded.is_empty()).then_some(folded)
}

/// The first block that begins in a line of `statement`: where, in which line, how it is shown, and how it was stored. In a value it is a
/// part of that value, so only a statement that yields nothing can have one behind its first line.
fn block_among<'a>(
    blocks: &HashMap<&str, Vec<(&'a str, &'a str)>>,
    edited: &str,
    statement: &Statement<'_>,
) -> Option<(usize, usize, &'a str, &'a str)> {
    let lines = match statement.kind {
        Kind::Definition(_) => 1,
        Kind::Failed { .. } => statement.lines.clone().count(),
        Kind::Blank | Kind::Comment { .. } => 0,
    };
    let mut start = line_start(edited, statement.range.start);
    for line in (*statement.lines.start()..).take(lines) {
        let rest = &edited[start..];
        let is_here = |shown: &str| rest.strip_prefix(shown).is_some_and(|behind| behind.is_empty() || behind.starts_with('\n'));
        let candidates = blocks.get(first_line(rest)).into_iter().flatten();
        if let Some((shown, stored)) = candidates.copied().find(|(shown, _)| is_here(shown)) {
            return Some((start, line, shown, stored));
        }
        start += rest.find('\n')? + 1;
    }
    None
}

impl Folded {
    /// What is wrong, with the lines as the editor shows them.
    pub fn refusal(&self, refusal: Refusal) -> Refusal {
        let reason = match refusal.reason {
            Reason::Duplicate { first_line } => Reason::Duplicate { first_line: self.line(first_line) },
            Reason::FixWouldChange { other_line } => Reason::FixWouldChange { other_line: self.line(other_line) },
            other => other,
        };
        Refusal { lines: self.line(*refusal.lines.start())..=self.last_line(*refusal.lines.end()), reason, ..refusal }
    }

    /// What was done, with the lines as the editor shows them.
    pub fn note(&self, note: Note) -> Note {
        let kind = match note.kind {
            NoteKind::Joined { last_line } => NoteKind::Joined { last_line: self.last_line(last_line) },
            NoteKind::HiddenBy { earlier_line } => NoteKind::HiddenBy { earlier_line: self.line(earlier_line) },
            other => other,
        };
        Note { line: self.line(note.line), kind, ..note }
    }

    fn line(&self, line: usize) -> usize {
        line + self.folded.iter().take_while(|(folded, _)| *folded < line).map(|(_, more)| more).sum::<usize>()
    }

    fn last_line(&self, line: usize) -> usize {
        self.line(line + 1) - 1
    }
}

/// One reason instead of one for each line, where a block was pasted without quotes around it.
pub(super) fn without_quotes(text: &str, mut refusals: Vec<Refusal>) -> Vec<Refusal> {
    if refusals.is_empty() {
        return refusals;
    }
    let lines: Vec<&str> = text.lines().collect();
    for statement in Scanner::new(text) {
        let Some((_, value)) = statement.definition().and_then(|definition| definition.value.as_ref()) else { continue };
        if value.quote != Quote::None || !value.raw.starts_with(BEGIN) {
            continue;
        }
        let first = *statement.lines.start();
        let Some(end) = lines[first..].iter().position(|line| line.trim_start().starts_with(END)) else { continue };
        let last = first + 1 + end;
        let within = |refusal: &Refusal| (first..=last).contains(refusal.lines.start());
        if refusals.iter().any(within) {
            refusals.retain(|refusal| !within(refusal));
            refusals.push(Refusal { lines: first..=last, column: None, name: None, reason: Reason::BlockWithoutQuotes });
        }
    }
    refusals.sort_by_key(|refusal| *refusal.lines.start());
    refusals
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |before| before + 1)
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, Strategy};
    use proptest::sample::select;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use crate::dialect::interpolation::Precedence;
    use crate::dialect::{decode, read, store};

    const STORED: &str = "A=1\nKEY=\"-----BEGIN X-----\\nAB\\\\\\n-----END X-----\\n\" # mine\nB=2\n";
    const SHOWN: &str = "A=1\nKEY=\"-----BEGIN X-----\nAB\\\\\n-----END X-----\n\" # mine\nB=2\n";

    fn folded(edited: &str, before: &str) -> Option<String> {
        fold(edited, before).map(|folded| folded.text.expose().to_owned())
    }

    #[test]
    fn a_block_is_shown_over_lines_and_goes_back_to_what_it_was() {
        assert_eq!(shown(STORED).unwrap().expose(), SHOWN);
        assert_eq!(folded(SHOWN, STORED).unwrap(), STORED);
        // Wherever it is moved, and however often.
        let (head, block) = (SHOWN.split_at(4).0, &SHOWN[4..SHOWN.len() - 4]);
        assert_eq!(folded(&format!("{block}{head}C=3\n{block}"), STORED).unwrap(), {
            let stored = &STORED[4..STORED.len() - 4];
            format!("{stored}{head}C=3\n{stored}")
        });
        assert_eq!(folded(block.trim_end(), STORED).unwrap(), STORED[4..STORED.len() - 4].trim_end());
    }

    #[test]
    fn only_blocks_in_double_quotes_are_shown_otherwise_than_they_are_stored() {
        for stored in [
            "A=-----BEGIN X-----\\nAB\\n-----END X-----\n",
            "A='-----BEGIN X-----\\nAB\\n-----END X-----'\n",
            "A=\"-----BEGIN X-----\"\n",
            "A=\"-----BEGIN X-----\\\\nAB\"\n",
            "A=\"x\\ny\"\n",
            "A=\"see -----BEGIN X-----\\n\"\n",
            "# A=\"-----BEGIN X-----\\nAB\"\n",
            "A=\"-----BEGIN X-----\\nAB\"\r\n",
            "\u{feff}A=\"-----BEGIN X-----\\nAB\"\n",
            // The quote before takes it in.
            "O=\"x\nA=\"-----BEGIN X-----\\nAB\"\n",
        ] {
            assert!(shown(stored).is_none(), "{stored:?}");
        }
        // With lines before the block, as some programs write it.
        assert_eq!(shown("A=\"Bag\\n-----BEGIN X-----\\n\"\n").unwrap().expose(), "A=\"Bag\n-----BEGIN X-----\n\"\n");
    }

    #[test]
    fn a_block_in_another_value_is_a_part_of_that_value() {
        let inside = format!("Z='\n{SHOWN}'\n");
        assert!(fold(&inside, STORED).is_none());
        assert!(fold(&SHOWN.replace("AB", "AC"), STORED).is_none());
    }

    #[test]
    fn a_quote_left_open_before_a_block_is_one_mistake() {
        let edited = format!("N=\"x\n{}", &SHOWN[4..]);
        assert_eq!(folded(&edited, STORED).unwrap(), format!("N=\"x\n{}", &STORED[4..]));
    }

    #[test]
    fn lines_are_counted_as_they_are_shown() {
        let folded = fold(&format!("{SHOWN}{SHOWN}"), STORED).unwrap();
        let refusal = |lines, reason| folded.refusal(Refusal { lines, column: None, name: None, reason });
        assert_eq!(refusal(1..=1, Reason::NoEquals).lines, 1..=1);
        assert_eq!(refusal(2..=2, Reason::NoEquals).lines, 2..=5);
        assert_eq!(refusal(3..=3, Reason::NoEquals).lines, 6..=6);
        let duplicate = refusal(5..=5, Reason::Duplicate { first_line: 2 });
        assert_eq!((duplicate.lines, duplicate.reason), (8..=11, Reason::Duplicate { first_line: 2 }));
        assert_eq!(refusal(6..=6, Reason::Duplicate { first_line: 3 }).reason, Reason::Duplicate { first_line: 6 });
        let note = |kind| folded.note(Note { line: 3, name: None, kind });
        assert_eq!(
            note(NoteKind::Joined { last_line: 5 }),
            Note { line: 6, name: None, kind: NoteKind::Joined { last_line: 11 } }
        );
        assert_eq!(note(NoteKind::HiddenBy { earlier_line: 3 }).kind, NoteKind::HiddenBy { earlier_line: 6 });
    }

    #[test]
    fn a_block_without_quotes_gets_one_reason() {
        let refusal = |line| Refusal { lines: line..=line, column: None, name: None, reason: Reason::NoEquals };
        let text = "A=1\nKEY=-----BEGIN X-----\nAB\n-----END X-----\nodd\n";
        let told = without_quotes(text, vec![refusal(3), refusal(4), refusal(5)]);
        assert_eq!(told.iter().map(|told| told.lines.clone()).collect::<Vec<_>>(), [2..=4, 5..=5]);
        assert_eq!(told[0].reason, Reason::BlockWithoutQuotes);
        assert_eq!(without_quotes("KEY=-----BEGIN X-----\n", vec![refusal(1)]), [refusal(1)]);
    }

    /// Lines as a store may hold them: most are values in double quotes with pieces of blocks in them, the rest is what may stand around
    /// them, open quotes too.
    fn stored_text() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "-----BEGIN X-----",
            "-----END X-----",
            "\\n",
            "\\n",
            "\\n",
            "\\r\\n",
            "\\\\n",
            "\\\\",
            "\\\"",
            "\\'",
            "'",
            "$",
            "${K0}",
            "\\$",
            "#",
            " ",
            "=",
            "é",
            "\\é",
            "AB+/=",
            "\\t",
        ];
        const OTHERS: &[&str] = &["", "# note", "A=1", "O=\"x", "O='x", "B=\"y\"", "'C'=1", "x", "-----END X-----\""];
        const ENDS: &[&str] = &["\"", "\"", "\" # c", "\"  ", "\" x", ""];
        let value = (0..4u8, vec(select(PIECES), 0..9), select(ENDS))
            .prop_map(|(name, pieces, end)| format!("K{name}=\"-----BEGIN X-----\\n{}{end}", pieces.concat()));
        let odd = (0..4u8, vec(select(PIECES), 0..9), select(ENDS))
            .prop_map(|(name, pieces, end)| format!("  export K{name} = \"{}{end}", pieces.concat()));
        let other = select(OTHERS).prop_map(str::to_owned);
        let line = proptest::prop_oneof![4 => value, 2 => odd, 2 => other];
        (vec(line, 0..8), select(&["", "\n"][..])).prop_map(|(lines, end)| lines.join("\n") + end)
    }

    /// What python-dotenv reads.
    fn meaning(text: &str) -> Vec<(String, Option<String>)> {
        let reading = read(text, Precedence::FileFirst, &|_| None);
        let value = |value: SecretString| value.expose().to_owned();
        reading.bindings.into_iter().map(|binding| (binding.key, binding.value.map(value))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_shown_means_the_same_and_goes_back_to_the_same_bytes(stored in stored_text()) {
            let shown = shown_bytes(SecretBytes::copy_of(stored.as_bytes())).into_string().ok().unwrap();
            prop_assert_eq!(meaning(shown.expose()), meaning(&stored));
            let back = folded(shown.expose(), &stored);
            prop_assert_eq!(back.is_some(), shown.expose() != stored);
            prop_assert_eq!(back.as_deref().unwrap_or(&stored), &stored);
            // From an editor that ends lines as Windows does, too.
            let windows = decode(shown.expose().replace('\n', "\r\n").as_bytes()).unwrap();
            prop_assert_eq!(folded(windows.text.expose(), &stored), back);
        }

        #[test]
        fn around_new_lines_old_blocks_keep_their_bytes_and_their_meaning(stored in stored_text(), at in 0..9usize) {
            let shown = shown_bytes(SecretBytes::copy_of(stored.as_bytes())).into_string().ok().unwrap();
            let statements: Vec<usize> =
                Scanner::new(shown.expose()).map(|statement| line_start(shown.expose(), statement.range.start)).collect();
            let at = statements.get(at).copied().unwrap_or(0);
            let edited = format!("{}NEW=\"-----BEGIN Y-----\nCD\"\n{}", &shown.expose()[..at], &shown.expose()[at..]);
            let back = folded(&edited, &stored).unwrap_or_else(|| edited.clone());
            let Ok(kept) = store::store_keeping(&back, &stored, &|_| true) else { return Ok(()) };
            // An old quote that is open hides new lines, and that is said.
            let is_said = |note: &Note| matches!(note.kind, NoteKind::HiddenBy { .. } | NoteKind::HidesOthers);
            if !kept.notes.iter().any(is_said) {
                prop_assert_eq!(meaning(kept.text.expose()), meaning(&edited));
            }
            // Every line that was stored is there again, and one more.
            let mut lines: Vec<&str> = kept.text.expose().lines().collect();
            let added = lines.iter().position(|line| line.starts_with("NEW="));
            prop_assert!(added.is_some());
            lines.remove(added.unwrap());
            prop_assert_eq!(lines, stored.lines().collect::<Vec<_>>());
        }
    }
}
