//! `encrypt --fix`: puts `#` before what python-dotenv ignores and a store cannot hold.
//!
//! Its one invariant: the variables that a program gets, and their values, stay the same in every environment, or nothing is done.

use std::collections::HashMap;

use super::interpolation::{Binding, Piece, Precedence, pieces};
use super::line::{name_refusal, nul_in};
use super::read;
use super::refusal::{Reason, Refusal};
use super::scanner::{Kind, Statement, scan};
use crate::secret::SecretString;

/// A text with `#` before some lines.
pub struct Fixed {
    /// The text; otherwise as it was, so it still has to go through [`super::store::store`].
    pub text: SecretString,
    /// The lines that became comments, counted from 1.
    pub changed_lines: Vec<usize>,
}

/// Comments out each statement that fails and each name without `=`.
///
/// # Errors
/// The first thing it cannot mend: a name that begins with a byte-order mark or `sops_` or goes over two lines, a NUL, or a name
/// without `=` that hides an earlier value or that a later value refers to.
pub fn fix(text: &str) -> Result<Fixed, Refusal> {
    let statements = scan(text);
    let mut fixed = SecretString::with_capacity(text.len() + text.matches('\n').count() + 1);
    let (mut changed_lines, mut written) = (Vec::new(), 0);
    for statement in &statements {
        if let Some(refusal) = nul_in(text, statement) {
            return Err(refusal);
        }
        match &statement.kind {
            Kind::Blank | Kind::Comment { .. } => continue,
            Kind::Definition(definition) => match name_refusal(statement, definition) {
                Some(refusal) => return Err(refusal),
                None if definition.value.is_some() => continue,
                None => {}
            },
            Kind::Failed { .. } => {}
        }
        fixed.push(&text[written..statement.range.start]);
        for line in text[statement.range.clone()].split_inclusive('\n') {
            fixed.push("#");
            fixed.push(line);
        }
        written = statement.range.end;
        changed_lines.extend(statement.lines.clone());
    }
    fixed.push(&text[written..]);
    if !changed_lines.is_empty() && !sees_the_same(text, fixed.expose()) {
        return Err(culprit(&statements));
    }
    Ok(Fixed { text: fixed, changed_lines })
}

/// Whether a program gets the same variables from both texts.
///
/// Two environments stand for all: one that has no variable, and one that has every variable. A name without `=` shows as empty in
/// both, so each way in which it counted before makes a difference in one of them.
fn sees_the_same(before: &str, after: &str) -> bool {
    let injects_the_same = |environment: &dyn Fn(&str) -> Option<SecretString>| {
        let before = read(before, Precedence::FileFirst, environment);
        let after = read(after, Precedence::FileFirst, environment);
        let before: HashMap<&str, &SecretString> = before.bindings.iter().filter_map(injected).collect();
        let after: HashMap<&str, &SecretString> = after.bindings.iter().filter_map(injected).collect();
        let same = |(key, value): (&&str, &&SecretString)| after.get(key).is_some_and(|other| other.ct_eq(value.expose()));
        before.len() == after.len() && before.iter().all(same)
    };
    // A NUL stands nowhere in the texts, so that it is told apart from what they say.
    injects_the_same(&|_| None) && injects_the_same(&|_| Some(SecretString::copy_of("\0")))
}

fn injected(binding: &Binding) -> Option<(&str, &SecretString)> {
    Some((binding.key.as_str(), binding.value.as_ref()?))
}

/// Names the first key without `=` that is defined before or referred to after.
fn culprit(statements: &[Statement<'_>]) -> Refusal {
    let refusal = |statement: &Statement<'_>, other_line| {
        let lines = statement.lines.clone();
        Refusal { lines, column: None, name: None, reason: Reason::FixWouldChange { other_line } }
    };
    for (at, statement) in statements.iter().enumerate() {
        let Some(bare) = statement.definition().filter(|definition| definition.value.is_none()) else { continue };
        let defines = |other: &&Statement<'_>| {
            other.definition().is_some_and(|definition| definition.name == bare.name && definition.value.is_some())
        };
        let refers = |other: &&Statement<'_>| {
            let value = other.definition().and_then(|definition| definition.value.as_ref());
            value.is_some_and(|(_, value)| refers_to(value.decode().expose(), bare.name))
        };
        let other = statements[..at].iter().rev().find(defines).or_else(|| statements[at + 1..].iter().find(refers));
        if let Some(other) = other {
            return refusal(statement, *other.lines.start());
        }
    }
    // Only a key of the two kinds above makes a difference; should there be another, nothing is done either.
    Refusal { lines: 1..=1, column: None, name: None, reason: Reason::WouldChange }
}

fn refers_to(value: &str, wanted: &str) -> bool {
    pieces(value).any(|piece| matches!(piece, Piece::Variable { name, .. } if name == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        fix(text).err().unwrap().to_string()
    }

    #[test]
    fn what_fails_becomes_a_comment_line_by_line() {
        let fixed = fix("A=1\n  B\nC=\"x\n y\"z\nD=2").unwrap();
        assert_eq!(fixed.text.expose(), "A=1\n  #B\n#C=\"x\n# y\"z\nD=2");
        assert_eq!(fixed.changed_lines, [2, 3, 4]);
    }

    #[test]
    fn a_name_that_counts_for_something_is_left_to_the_user() {
        let expected = "line 2: `--fix` would change what your program sees: there is no `=` here, and line 1 has to do with the \
                        same name. Remove one of the two";
        assert_eq!(told("A=1\nA\n"), expected);
        assert!(told("A\n\nB=${A:-d}\n").contains("line 3 has"));
        assert!(told("A\nB=${A}\n").contains("line 2 has"), "an environment that has A would now be seen");
        assert!(told("A=1\nB=2\nA\n").contains("line 1 has"), "not the nearest definition, but that of this name");
        assert!(told("A\nB=2\nC=${B}${A}\n").contains("line 3 has"), "not the nearest value, but that which refers to it");
        assert!(fix("A\nA=1\n").is_ok());
    }
}
