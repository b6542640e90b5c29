//! Which names a new variable may have.
//!
//! Knows names alone; must not know values. Its one invariant: a name that an error may show is one that no secret looks like.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::refusal::{Reason, Refusal};
use super::scanner::{Definition, Kind, Scanner};

/// Names that begin like this are sops's metadata.
///
/// Source: getsops/sops `stores/dotenv/store.go`, `SopsPrefix`.
pub const RESERVED_PREFIX: &str = "sops_";

/// Whether a name is `[A-Za-z_][A-Za-z0-9_.-]*`, so that it can be asked of a new variable and shown in messages.
pub fn is_portable_name(name: &str) -> bool {
    let begins_well = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    begins_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// The name, if it may be shown.
pub(super) fn shown(name: &str) -> Option<String> {
    is_portable_name(name).then(|| name.to_owned())
}

/// What `edit` refuses about names: each new one that is not portable, and each new duplicate.
///
/// `previous` is the text as it was stored before; what it had already (an odd name, a name twice) is let through.
pub fn check_names(text: &str, previous: &str) -> Vec<Refusal> {
    let before: Vec<&str> = definitions(previous).map(|(_, definition)| definition.name).collect();
    // A line without `=` is refused for that, and may be a piece of a key or a password, which no message shows.
    let named = definitions(text).filter(|(_, definition)| definition.value.is_some());
    let now: Vec<(&str, RangeInclusive<usize>)> = named.map(|(lines, definition)| (definition.name, lines)).collect();

    // Names that stand before all that changed, or behind it, are there as often as they were.
    let same_start = before.iter().zip(&now).take_while(|(before, (now, _))| *before == now).count();
    let rest = (before[same_start..].iter().rev(), now[same_start..].iter().rev());
    let same_end = rest.0.zip(rest.1).take_while(|(before, (now, _))| *before == now).count();
    let touched = now[same_start..now.len() - same_end].iter();
    let mut names: HashMap<&str, Seen> = touched.map(|(name, _)| (*name, Seen::default())).collect();
    for name in before {
        if let Some(seen) = names.get_mut(name) {
            seen.before += 1;
        }
    }
    let mut refusals = Vec::new();
    for (name, lines) in now {
        let Some(Seen { before, now, first_line }) = names.get_mut(name) else { continue };
        let (line, name) = (*lines.start(), shown(name));
        *now += 1;
        if *now == 1 {
            *first_line = line;
        }
        if name.is_none() && *before == 0 {
            refusals.push(Refusal { lines: lines.clone(), column: None, name: None, reason: Reason::NotPortable });
        }
        if *now > (*before).max(1) {
            let reason = Reason::Duplicate { first_line: *first_line };
            refusals.push(Refusal { lines, column: None, name, reason });
        }
    }
    refusals
}

fn definitions(text: &str) -> impl Iterator<Item = (RangeInclusive<usize>, Definition<'_>)> {
    Scanner::new(text).filter_map(|statement| match statement.kind {
        Kind::Definition(definition) => Some((statement.lines, definition)),
        _ => None,
    })
}

/// How often a name is defined, and where first.
#[derive(Default)]
struct Seen {
    before: usize,
    now: usize,
    first_line: usize,
}

/// Whether a name without `=` may be shown: such a line can also be a piece of an unquoted key or password.
pub(super) fn is_surely_a_name(bare: &str) -> bool {
    let shouted = bare.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    shouted && is_portable_name(bare) && (bare.contains('_') || bare.len() <= 12) && bare.len() <= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, previous: &str) -> Vec<String> {
        check_names(text, previous).iter().map(Refusal::to_string).collect()
    }

    #[test]
    fn new_duplicates_and_odd_names_are_told_with_their_lines() {
        let expected = [
            "line 2: a new name may hold letters, digits, `_`, `.` and `-` only, and begins with a letter or `_`",
            "line 4: `A` is defined in line 1 already",
        ];
        assert_eq!(told("A=1\n1é=2\n\nA=3\n", ""), expected);
    }

    #[test]
    fn what_was_there_before_is_let_through() {
        assert!(told("é=1\nA=1\nA=2\n", "A=0\nA=9\né=0\n").is_empty());
        assert_eq!(told("A=1\nA=2\nA=3\n", "A=0\nA=9\n"), ["line 3: `A` is defined in line 1 already"]);
    }

    #[test]
    fn a_name_that_moved_or_came_again_is_counted_with_those_around_it() {
        let before = "A=1\nB=2\nC=3\nB=4\nD=5\n";
        assert!(told("A=1\nC=3\nB=2\nB=4\nD=5\n", before).is_empty());
        assert!(told("B=2\nB=4\nD=5\nA=1\n", before).is_empty());
        assert_eq!(told("A=1\nB=2\nC=3\nD=9\nB=4\nD=5\n", before), ["line 6: `D` is defined in line 4 already"]);
        assert_eq!(told("A=1\nB=2\nC=3\nB=4\nD=5\nA=9\n", before), ["line 6: `A` is defined in line 1 already"]);
        assert_eq!(told("B=0\nA=1\nB=2\nC=3\nB=4\nD=5\n", before), ["line 5: `B` is defined in line 1 already"]);
    }

    #[test]
    fn lines_without_a_value_are_no_names() {
        assert!(told("MIIEowIBAAKCAQEA\nexport MIIEowIBAAKCAQEA\nMIIEowIBAAKCAQEA\n", "").is_empty());
    }

    #[test]
    fn pieces_of_keys_are_no_names_to_show() {
        assert!(is_surely_a_name("API_KEY") && is_surely_a_name("PORT"));
        assert!(!is_surely_a_name("MIIEowIBAAKCAQEA") && !is_surely_a_name("JBSWY3DPEHPK3PXP") && !is_surely_a_name("hunter2"));
    }
}
