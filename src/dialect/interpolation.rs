//! `${NAME}` and `${NAME:-default}`: statements → what each variable holds.
//!
//! Knows the order in which file and environment are asked; must not read the environment itself. Its one invariant: a value sees
//! what was defined before it, never what comes later.
//!
//! Source: python-dotenv 1.2.4 `variables.py`, `main.py` (`resolve_variables`).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::Failed;
use super::names::shown;
use super::scanner::{Failure, Kind, Statement};
use crate::secret::SecretString;

/// How many bytes more than the text itself all values may have together after interpolation.
///
/// python-dotenv has no such limit; without one, forty lines that each say the line before twice fill any memory. No system passes
/// as much to a program.
pub const GROWTH_LIMIT: usize = 16 << 20;

/// Who is asked first for the name in `${…}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// The bindings so far, then the environment: `dotenv run`, `load_dotenv(override=True)`.
    FileFirst,
    /// The environment, then the bindings so far: `load_dotenv()`.
    EnvironmentFirst,
}

/// A variable and what it holds.
pub struct Binding {
    /// Its name. It may hold anything, also line breaks and text of swallowed lines: show it only if
    /// [`super::names::is_portable_name`] says yes.
    pub key: String,
    /// Its value; `None` where no `=` stands, so that nothing is set.
    pub value: Option<SecretString>,
    /// The lines of the statement that counts, the last one of this key.
    pub lines: RangeInclusive<usize>,
    /// The first line of the first statement of this key.
    pub first_line: usize,
}

/// A key that is defined more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The key; to be shown with the care that [`Binding::key`] asks for.
    pub key: String,
    /// The lines of each statement that defines it, in order; at least two.
    pub lines: Vec<RangeInclusive<usize>>,
}

/// What [`resolve`] finds.
pub struct Resolved {
    /// Each key once, at the place of its first definition, with the value of the last.
    pub bindings: Vec<Binding>,
    /// The keys that are defined more than once.
    pub duplicates: Vec<Duplicate>,
    /// Definitions left out because of [`GROWTH_LIMIT`].
    pub too_large: Vec<Failed>,
}

/// Gives every definition its value, in order.
pub fn resolve(
    statements: &[Statement<'_>],
    precedence: Precedence,
    environment: &dyn Fn(&str) -> Option<SecretString>,
) -> Resolved {
    let mut file = File { bindings: Vec::new(), places: HashMap::new() };
    let mut lines_of: Vec<Vec<RangeInclusive<usize>>> = Vec::new();
    let mut too_large = Vec::new();
    let ends = statements.iter().map(|statement| statement.range.end);
    let mut budget = ends.max().unwrap_or_default() + GROWTH_LIMIT;
    for statement in statements {
        let Kind::Definition(definition) = &statement.kind else { continue };
        let value = match &definition.value {
            None => None,
            Some((_, value)) => match file.expand(value.decode(), precedence, environment, budget) {
                Some(value) => Some(value),
                None => {
                    too_large.push(Failed {
                        lines: statement.lines.clone(),
                        name: shown(definition.name),
                        failure: Failure::TooLarge,
                    });
                    continue;
                }
            },
        };
        budget -= value.as_ref().map_or(0, SecretString::len);
        let lines = statement.lines.clone();
        match file.places.get(definition.name) {
            Some(&place) => {
                file.bindings[place].value = value;
                file.bindings[place].lines = lines.clone();
                lines_of[place].push(lines);
            }
            None => {
                file.places.insert(definition.name, file.bindings.len());
                let (key, first_line) = (definition.name.to_owned(), *lines.start());
                file.bindings.push(Binding { key, value, lines: lines.clone(), first_line });
                lines_of.push(vec![lines]);
            }
        }
    }
    let duplicates = std::iter::zip(&file.bindings, lines_of)
        .filter(|(_, lines)| lines.len() > 1)
        .map(|(binding, lines)| Duplicate { key: binding.key.clone(), lines })
        .collect();
    Resolved { bindings: file.bindings, duplicates, too_large }
}

/// The bindings so far.
struct File<'text> {
    bindings: Vec<Binding>,
    places: HashMap<&'text str, usize>,
}

impl File<'_> {
    /// The value with each variable replaced, or `None` if it would have more than `budget` bytes.
    fn expand(
        &self,
        value: SecretString,
        precedence: Precedence,
        environment: &dyn Fn(&str) -> Option<SecretString>,
        budget: usize,
    ) -> Option<SecretString> {
        // Not for "${": looking for two bytes at once leaves pieces of the text on the stack.
        if !value.expose().contains('$') {
            return (value.len() <= budget).then_some(value);
        }
        let mut expanded = SecretString::with_capacity(value.len());
        for piece in pieces(value.expose()) {
            match piece {
                Piece::Text(text) => expanded.push(text),
                Piece::Variable { name, default, .. } => match (precedence, self.bound(name)) {
                    (Precedence::FileFirst, Some(bound)) => expanded.push(bound),
                    (_, bound) => match environment(name) {
                        Some(found) => expanded.push(found.expose()),
                        None => expanded.push(bound.or(default).unwrap_or_default()),
                    },
                },
            }
            if expanded.len() > budget {
                return None;
            }
        }
        Some(expanded)
    }

    /// What the file says of a name: a key without `=` counts as defined and empty, so that no default takes its place.
    fn bound(&self, name: &str) -> Option<&str> {
        let place = self.places.get(name)?;
        Some(self.bindings[*place].value.as_ref().map_or("", SecretString::expose))
    }
}

/// A part of a value.
pub(super) enum Piece<'value> {
    /// Text that stays.
    Text(&'value str),
    /// `${name}` or `${name:-default}`.
    Variable {
        /// All of it.
        whole: &'value str,
        /// The name, which may be empty or odd.
        name: &'value str,
        /// What counts if nobody knows the name.
        default: Option<&'value str>,
    },
}

/// The names that a decoded value refers to, from left to right.
pub fn references(value: &str) -> Vec<&str> {
    let name = |piece| match piece {
        Piece::Variable { name, .. } => Some(name),
        Piece::Text(_) => None,
    };
    pieces(value).filter_map(name).collect()
}

/// The parts of a value, from left to right.
pub(super) fn pieces(value: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (text_length, variable_length) = find_variable(rest).unwrap_or((rest.len(), 0));
        let (piece, after) = rest.split_at(if text_length > 0 { text_length } else { variable_length });
        rest = after;
        if text_length > 0 {
            return Some(Piece::Text(piece));
        }
        let inside = &piece["${".len()..piece.len() - "}".len()];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        Some(Piece::Variable { whole: piece, name, default })
    })
}

/// How many bytes stand before the first variable in `text`, and how many it has, from its `$` to its `}`.
fn find_variable(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find("${")?;
        let name_end = start + text[start..].find(['}', ':'])?;
        if text[name_end..].starts_with('}') {
            return Some((start, name_end + 1 - start));
        }
        if text[name_end..].starts_with(":-") {
            return text[start..].find('}').map(|length| (start, length + 1));
        }
        // No name goes over this colon, so no `${` before it begins a variable either.
        from = name_end;
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn values(text: &str, precedence: Precedence, environment: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let look_up =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| SecretString::copy_of(value));
        let reading = read(text, precedence, &look_up);
        let shown = |binding: &Binding| (binding.key.clone(), binding.value.as_ref().map(|value| value.expose().to_owned()));
        reading.bindings.iter().map(shown).collect()
    }

    #[test]
    fn a_key_without_equals_counts_as_known_and_empty() {
        let expected = [("X".to_owned(), None), ("B".to_owned(), Some(String::new()))];
        assert_eq!(values("X\nB=${X:-d}", Precedence::FileFirst, &[("X", "x")]), expected);
    }

    #[test]
    fn a_reference_is_found_with_and_without_a_default() {
        assert_eq!(references("a${A}b${B:-c}${:-d}${E:x}${F"), ["A", "B", ""]);
        assert!(references("$A {B}").is_empty());
    }

    #[test]
    fn values_may_have_so_much_more_than_the_text_and_not_a_byte_more() {
        let text = "A=${X}";
        let most = text.len() + GROWTH_LIMIT;
        for (length, fits) in [(most, true), (most + 1, false)] {
            let found = SecretString::from_string("x".repeat(length));
            let reading = read(text, Precedence::FileFirst, &|_| Some(SecretString::copy_of(found.expose())));
            assert_eq!((reading.bindings.len(), reading.failed.len()), if fits { (1, 0) } else { (0, 1) });
        }
        assert_eq!(GROWTH_LIMIT, 16 * 1024 * 1024);
    }

    #[test]
    fn precedence_decides_between_file_and_environment() {
        let text = "A=file\nB=${A}";
        assert_eq!(values(text, Precedence::FileFirst, &[("A", "env")])[1].1.as_deref(), Some("file"));
        assert_eq!(values(text, Precedence::EnvironmentFirst, &[("A", "env")])[1].1.as_deref(), Some("env"));
    }

    #[test]
    fn a_key_defined_twice_keeps_its_place_and_both_places_are_told() {
        let reading = read("A=1\nB=${A}\nA='2\n3'\n", Precedence::FileFirst, &|_| None);
        assert_eq!(reading.duplicates, [Duplicate { key: "A".to_owned(), lines: vec![1..=1, 3..=4] }]);
        let first = &reading.bindings[0];
        assert_eq!((first.key.as_str(), first.first_line, first.lines.clone()), ("A", 1, 3..=4));
        assert!(reading.bindings[1].value.as_ref().is_some_and(|value| value.ct_eq("1")));
    }

    #[test]
    fn values_that_double_again_and_again_are_cut_off() {
        let mut text = format!("A0={}\n", "x".repeat(1 << 16));
        for n in 1..40 {
            text.push_str(&format!("A{n}=${{A{}}}${{A{}}}\n", n - 1, n - 1));
        }
        let reading = read(&text, Precedence::FileFirst, &|_| None);
        assert_eq!(reading.failed.first().map(|failed| failed.failure), Some(Failure::TooLarge));
    }
}
