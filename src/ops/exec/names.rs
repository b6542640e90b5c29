//! Which of the files' variables the program gets, and under which names.
//!
//! Its one invariant: what a name does to a program is asked of the name that the program sees.

use std::cell::Cell;

use crate::ops::glob::glob_matches;

/// What is passed of the files' variables: those that `only` names, but for those that `except` names, with a prefix.
///
/// In a pattern `*` stands for any text; everything else stands for itself. An empty `only` names everything.
pub struct Names<'a> {
    only: Vec<Pattern<'a>>,
    except: Vec<Pattern<'a>>,
    prefix: &'a str,
}

struct Pattern<'a> {
    text: &'a str,
    has_matched: Cell<bool>,
}

impl<'a> Names<'a> {
    /// Takes patterns over the names in the files, and what is put before each name.
    pub fn new(only: &'a [String], except: &'a [String], prefix: &'a str) -> Self {
        let patterns = |texts: &'a [String]| texts.iter().map(|text| Pattern { text, has_matched: Cell::new(false) }).collect();
        Self { only: patterns(only), except: patterns(except), prefix }
    }

    /// The name under which `name` is passed, `None` if it is not.
    pub(super) fn passed_as(&self, name: &str) -> Option<String> {
        // Both lists are asked, all of them: each remembers what it was good for.
        let is_named = |patterns: &[Pattern]| patterns.iter().filter(|pattern| pattern.matches(name)).count() > 0;
        let (is_wanted, is_unwanted) = (is_named(&self.only) || self.only.is_empty(), is_named(&self.except));
        (is_wanted && !is_unwanted).then(|| format!("{}{name}", self.prefix))
    }

    /// The same for a name that may be no text.
    pub(super) fn bytes_passed_as(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.passed_as(&String::from_utf8_lossy(name)).map(|_| [self.prefix.as_bytes(), name].concat())
    }

    /// The first pattern of `only` that no name asked about has matched.
    pub(super) fn missing(&self) -> Option<String> {
        self.only.iter().find(|pattern| !pattern.has_matched.get()).map(|pattern| pattern.text.to_owned())
    }

    /// The patterns of `except` that no name asked about has matched.
    pub(super) fn without_effect(&self) -> impl Iterator<Item = String> {
        self.except.iter().filter(|pattern| !pattern.has_matched.get()).map(|pattern| pattern.text.to_owned())
    }
}

impl Pattern<'_> {
    fn matches(&self, name: &str) -> bool {
        let matches = glob_matches(self.text, name);
        self.has_matched.set(self.has_matched.get() || matches);
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_excepted_is_not_passed_even_if_it_is_named() {
        let (only, except) = (texts(&["DB_*", "TOKEN"]), texts(&["*_TEST", "TOKEN"]));
        let names = Names::new(&only, &except, "P_");
        let cases = [("DB_URL", Some("P_DB_URL")), ("DB_TEST", None), ("TOKEN", None), ("TOKENS", None), ("", None)];
        for (name, expected) in cases {
            assert_eq!(names.passed_as(name).as_deref(), expected, "{name}");
        }
        assert_eq!(Names::new(&[], &[], "").passed_as("ANY").as_deref(), Some("ANY"));
        assert_eq!(Names::new(&[], &[], "P_").bytes_passed_as(b"\xff").as_deref(), Some(b"P_\xff".as_slice()));
    }

    #[test]
    fn patterns_that_match_nothing_are_known() {
        let (only, except) = (texts(&["A", "B*"]), texts(&["C", "A"]));
        let names = Names::new(&only, &except, "");
        assert_eq!(names.missing().as_deref(), Some("A"));
        names.passed_as("A");
        assert_eq!(names.missing().as_deref(), Some("B*"));
        names.passed_as("BC");
        assert_eq!(names.missing(), None);
        assert_eq!(names.without_effect().collect::<Vec<_>>(), ["C"]);
    }
}
