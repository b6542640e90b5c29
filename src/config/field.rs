//! Fields of a `.sops.yaml`: their types as sops reads them, and names that are nearly theirs.
//!
//! Knows single fields; must not know what a rule is. One invariant: a value of the wrong type is a [`Fault`], never a default.
//!
//! Source: getsops/sops `config/config.go` for the names, go.yaml.in/yaml/v3 `decode.go` for the types; tried against sops 3.13.3.

use std::fmt;

use crate::document::pattern::{Pattern, PatternError};
use crate::document::selection::SelectionOption;
use crate::yaml::{Node, NodeKind, Typed};

/// A string; `None` if it is absent, null or empty, which is all the same to sops. Numbers and the like are taken as they are written.
pub(super) fn text(node: Option<&Node>, field: &str) -> Result<Option<String>, Fault> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(None) };
    match node.text() {
        Some(text) if node.tag.as_deref() != Some("!!binary") => Ok(Some(text.to_owned()).filter(|text| !text.is_empty())),
        _ => Err(Fault::expected(node, field, "a string")),
    }
}

/// A truth value, false if absent. YAML 1.1's words count too, even in quotes; a quoted `true` does not.
pub(super) fn truth(node: Option<&Node>, field: &str) -> Result<bool, Fault> {
    let Some(node) = node else { return Ok(false) };
    match (node.typed(), node.text()) {
        (Some(Typed::Null), _) => Ok(false),
        (Some(Typed::Bool(value)), _) => Ok(value),
        (Some(Typed::Text), Some("y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON")) => Ok(true),
        (Some(Typed::Text), Some("n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF")) => Ok(false),
        _ => Err(Fault::expected(node, field, "true or false")),
    }
}

/// A count; `None` if it is absent or 0, which is the same to sops.
pub(super) fn count(node: Option<&Node>, field: &str) -> Result<Option<u32>, Fault> {
    let Some(node) = node else { return Ok(None) };
    let count = match node.typed() {
        Some(Typed::Null) => Some(0),
        Some(Typed::Int(value)) => u32::try_from(value).ok(),
        // `1.0` and `08`, which is a float in YAML. Such a float becomes exactly that integer.
        Some(Typed::Float(value)) if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) => Some(value as u32),
        _ => None,
    };
    let count = count.ok_or_else(|| Fault::expected(node, field, "a whole number from 0"))?;
    Ok(Some(count).filter(|count| *count != 0))
}

/// The items of a list; `None` if it is absent or null.
pub(super) fn list<'node>(node: Option<&'node Node>, field: &str) -> Result<Option<&'node [Node]>, Fault> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(None) };
    match &node.kind {
        NodeKind::Sequence(items) => Ok(Some(items)),
        NodeKind::Mapping(_) | NodeKind::Scalar { .. } => Err(Fault::expected(node, field, "a list")),
    }
}

/// The pairs of a mapping; `None` if it is absent or null.
pub(super) fn optional_mapping<'node>(node: Option<&'node Node>, field: &str) -> Result<Option<&'node [(Node, Node)]>, Fault> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(None) };
    mapping(node).map(Some).ok_or_else(|| Fault::expected(node, field, "a mapping"))
}

/// The pairs of a mapping; `None` if it is none.
pub(super) fn mapping(node: &Node) -> Option<&[(Node, Node)]> {
    match &node.kind {
        NodeKind::Mapping(pairs) => Some(pairs),
        NodeKind::Sequence(_) | NodeKind::Scalar { .. } => None,
    }
}

/// Compiles the pattern that `node` holds.
pub(super) fn pattern(node: Option<&Node>, field: &'static str, pattern: &str) -> Result<Pattern, Fault> {
    Pattern::compile(pattern).map_err(|source| {
        let problem = Problem::Pattern { field, source };
        node.map_or(Fault { line: 1, column: 1, problem: problem.clone() }, |node| Fault::at(node, problem))
    })
}

/// A value of a config that sops could not use either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

impl Fault {
    pub(super) fn at(node: &Node, problem: Problem) -> Self {
        Self { line: node.line, column: node.column, problem }
    }

    pub(super) fn expected(node: &Node, field: &str, expected: &'static str) -> Self {
        Self::at(node, Problem::Expected { field: field.to_owned(), expected })
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is a list or a text.
    #[error("the file must be a mapping with `creation_rules`")]
    NoMapping,
    /// A field has the wrong type or form.
    #[error("`{field}` must be {expected}")]
    Expected {
        /// The field's name.
        field: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// Nothing stands between two commas, or in an item of a list.
    #[error("`{field}` has an empty entry")]
    EmptyEntry {
        /// The field's name.
        field: String,
    },
    /// A pattern that does not compile.
    #[error("`{field}`: {source}")]
    Pattern {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        source: PatternError,
    },
    /// At most one of the six selection options can be in a rule.
    #[error("a rule cannot have both `{}` and `{}`", first.field(), second.field())]
    TwoSelectionOptions {
        /// One of them.
        first: SelectionOption,
        /// Another.
        second: SelectionOption,
    },
}

/// A field that sops ignores and that looks as if it was meant to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The line of its name, from 1.
    pub line: usize,
    /// Its name.
    pub field: String,
    /// The field it looks like.
    pub meant: &'static str,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}` has no meaning here; `{}` would", self.line, self.field, self.meant)
    }
}

/// A mapping with fields of its own.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The outermost mapping.
    File,
    /// A creation rule.
    Rule,
    /// A key group.
    Group,
}

impl Place {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::File => &["creation_rules", "destination_rules", "stores"],
            Self::Rule => &[
                "path_regex",
                "age",
                "pgp",
                "kms",
                "aws_profile",
                "gcp_kms",
                "hckms",
                "azure_keyvault",
                "hc_vault_transit_uri",
                "key_groups",
                "shamir_threshold",
                "unencrypted_suffix",
                "encrypted_suffix",
                "unencrypted_regex",
                "encrypted_regex",
                "unencrypted_comment_regex",
                "encrypted_comment_regex",
                "mac_only_encrypted",
            ],
            Self::Group => &["merge", "age", "pgp", "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault"],
        }
    }

    /// Names that are far from the right one, but right in another place, or the tool's.
    fn other_names(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::File => &[],
            Self::Rule => {
                &[("azure_kv", "azure_keyvault"), ("hc_vault", "hc_vault_transit_uri"), ("gpg", "pgp"), ("regex", "path_regex")]
            }
            Self::Group => &[("azure_kv", "azure_keyvault"), ("hc_vault_transit_uri", "hc_vault"), ("gpg", "pgp")],
        }
    }
}

/// Warns of fields that sops ignores and a person probably meant: a rule whose `encrypted_regex` is misspelled encrypts other values
/// than it says.
pub(super) fn warn_of_near_misses(fields: &[(Node, Node)], place: Place, warnings: &mut Vec<ConfigWarning>) {
    for (key, _) in fields {
        let Some(name) = key.text().filter(|name| !place.fields().contains(name)) else { continue };
        let other = place.other_names().iter().find(|(other, _)| *other == name).map(|(_, meant)| *meant);
        let near =
            || place.fields().iter().copied().filter(|field| is_near(name, field)).min_by_key(|field| distance(name, field));
        if let Some(meant) = other.or_else(near) {
            warnings.push(ConfigWarning { line: key.line, field: name.to_owned(), meant });
        }
    }
}

/// One letter more, less or different; two in names of more than four letters.
fn is_near(name: &str, field: &str) -> bool {
    let allowed = if field.len() > 4 { 2 } else { 1 };
    name.len().abs_diff(field.len()) <= allowed && distance(name, field) <= allowed
}

/// The edit distance of Levenshtein, in which case and the kind of dash do not count.
fn distance(left: &str, right: &str) -> usize {
    let left = left.to_lowercase().replace('-', "_");
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
