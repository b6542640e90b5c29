//! Why a rule governs a file, and why those before it do not.
//!
//! Knows patterns and paths; must not know what is done about them. One invariant: the rule it names is the one that
//! [`Config::rule_for`] gives.

use std::fmt;
use std::path::Path;

use super::{Applies, Config, ConfigError, CreationRule, Rule, clean};
use crate::document::pattern::Pattern;

/// How the rules of a config look at one file.
pub struct Explanation<'config> {
    /// What patterns are matched against: the path from the config's folder, or the absolute one of a file that lies elsewhere.
    pub path: String,
    /// The rules before the one that governs the file; all of them if none does.
    pub passed_over: Vec<PassedOver<'config>>,
    /// The first rule that applies.
    pub rule: Option<&'config CreationRule>,
    /// The lines of rules behind it that match as well, and are not asked.
    pub too_late: Vec<usize>,
}

/// A rule that does not apply.
pub struct PassedOver<'config> {
    /// The line it starts on, from 1.
    pub line: usize,
    /// Its pattern.
    pub path_regex: &'config str,
    /// What it would take to match.
    pub near_miss: Option<NearMiss>,
}

/// How a pattern that does not match was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NearMiss {
    /// It matches without the blanks and line ends around it, as block texts (`|`) have them.
    Blanks,
    /// It has a control character in it, as `"\b…"` in double quotes has.
    ControlCharacter,
    /// It matches if capitals do not count.
    OtherCase,
    /// It matches this other way to write the path.
    OtherPath(String),
    /// It matches as a glob; here is the pattern for that.
    Glob(String),
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blanks => f.write_str("it would without the blanks or line ends around it"),
            Self::ControlCharacter => {
                f.write_str("it has a control character in it: a backslash in double quotes is YAML's own, so use single quotes")
            }
            Self::OtherCase => f.write_str("it would if capitals did not count"),
            Self::OtherPath(path) => write!(f, "it would match `{path}`, but the path is not written so"),
            Self::Glob(pattern) => write!(f, "it would as a glob, but this is a regular expression: `{pattern}`"),
        }
    }
}

impl Config {
    /// Tells how the rules look at `file`, an absolute path; `None` if the config has no `creation_rules`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] where [`Config::rule_for`] gives it.
    pub fn explain(&self, file: &Path) -> Result<Option<Explanation<'_>>, ConfigError> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let rule = match self.rule_for(file) {
            Ok(rule) => rule,
            Err(ConfigError::NoMatchingRule { .. }) => None,
            Err(error) => return Err(error),
        };
        let file = clean(file);
        let path = self.relative(&file);
        let first = rules.iter().position(|rule| rule.applies_to(path)).unwrap_or(rules.len());
        let (before, rest) = rules.split_at(first);
        let passed_over = before.iter().filter_map(|rule| match &rule.applies {
            Applies::Where(pattern) => {
                let near_miss = near_miss(pattern.as_str(), path, &file);
                Some(PassedOver { line: rule.line, path_regex: pattern.as_str(), near_miss })
            }
            Applies::Always | Applies::Broken(_) => None,
        });
        Ok(Some(Explanation {
            path: String::from_utf8_lossy(path).into_owned(),
            passed_over: passed_over.collect(),
            rule,
            too_late: rest.iter().skip(1).filter(|rule| rule.applies_to(path)).map(|rule| rule.line).collect(),
        }))
    }
}

impl Rule {
    fn applies_to(&self, path: &[u8]) -> bool {
        match &self.applies {
            Applies::Always => true,
            Applies::Where(pattern) => pattern.matches(path),
            Applies::Broken(_) => false,
        }
    }
}

fn near_miss(pattern: &str, path: &[u8], file: &Path) -> Option<NearMiss> {
    let matches = |pattern: &str, path: &[u8]| Pattern::compile(pattern).is_ok_and(|pattern| pattern.matches(path));
    if matches(pattern.trim(), path) {
        return Some(NearMiss::Blanks);
    }
    if pattern.contains(|c: char| c.is_control()) {
        return Some(NearMiss::ControlCharacter);
    }
    if matches(&format!("(?i){pattern}"), path) {
        return Some(NearMiss::OtherCase);
    }
    let path = String::from_utf8_lossy(path);
    let file = file.to_string_lossy();
    let other = other_paths(&path, &file).into_iter().find(|other| matches(pattern, other.as_bytes()));
    other.map(NearMiss::OtherPath).or_else(|| glob(pattern).filter(|glob| matches(glob, path.as_bytes())).map(NearMiss::Glob))
}

/// The path as a pattern may have meant it: without its first folders, with a `./`, absolute, or from a folder above the config.
fn other_paths(path: &str, file: &str) -> Vec<String> {
    let tails = |text: &str| -> Vec<String> { text.match_indices('/').map(|(at, _)| text[at + 1..].to_owned()).collect() };
    let mut others = tails(path);
    others.extend([format!("./{path}"), file.to_owned()]);
    let mut above: Vec<String> = tails(file).into_iter().filter(|tail| tail.len() > path.len()).collect();
    above.reverse();
    others.extend(above);
    others
}

/// The regular expression that matches what `glob` would; `None` if it does not look like a glob.
///
/// `*` and `?` stop at `/`, `**` does not. Without a `/` a glob is about the file's name alone.
pub(super) fn glob(glob: &str) -> Option<String> {
    if !glob.contains(['*', '?']) {
        return None;
    }
    let mut pattern = match glob.contains('/') {
        true => "^".to_owned(),
        false => "(^|/)".to_owned(),
    };
    let mut rest = glob.strip_prefix("./").unwrap_or(glob).chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                pattern.push_str(if rest.next_if_eq(&'/').is_some() { "(.*/)?" } else { ".*" })
            }
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            c => {
                if r"\.+()|[]{}^$".contains(c) {
                    pattern.push('\\');
                }
                pattern.push(c);
            }
        }
    }
    pattern.push('$');
    // A name that may begin with anything needs no beginning.
    Some(pattern.strip_prefix("(^|/)[^/]*").map_or(pattern.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(pattern: &str, path: &str) -> Option<NearMiss> {
        let file = format!("/home/me/repo/{path}");
        near_miss(pattern, path.as_bytes(), Path::new(&file))
    }

    #[test]
    fn near_misses_are_told_apart() {
        let other = |path: &str| Some(NearMiss::OtherPath(path.to_owned()));
        let glob = |pattern: &str| Some(NearMiss::Glob(pattern.to_owned()));
        let cases = [
            (r"^\./secrets", "secrets.env", other("./secrets.env")),
            (r"^secrets\.env$", "api/secrets.env", other("secrets.env")),
            (r"^api/secrets\.env$", "services/api/secrets.env", other("api/secrets.env")),
            (r"^/home/me/repo/secrets", "secrets.env", other("/home/me/repo/secrets.env")),
            (r"^repo/secrets", "secrets.env", other("repo/secrets.env")),
            (r"/secrets\.env$", "secrets.env", other("./secrets.env")),
            (r"Secrets\.ENV$", "secrets.env", Some(NearMiss::OtherCase)),
            ("\\.env$\n", "secrets.env", Some(NearMiss::Blanks)),
            (" secrets", "secrets.env", Some(NearMiss::Blanks)),
            ("\u{8}secrets", "secrets.env", Some(NearMiss::ControlCharacter)),
            ("secrets/*.env", "secrets/a.env", glob(r"^secrets/[^/]*\.env$")),
            ("config/**/secrets.env", "config/a/b/secrets.env", glob(r"^config/(.*/)?secrets\.env$")),
            ("secret?.env", "a/secret1.env", glob(r"(^|/)secret[^/]\.env$")),
            (r"\.yaml$", "secrets.env", None),
            ("^prod/.*", "secrets.env", None),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(near(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_glob_becomes_the_pattern_that_matches_the_same() {
        let cases = [("*.env", r"\.env$"), ("**/*.env", r"^(.*/)?[^/]*\.env$"), ("a+b*", r"(^|/)a\+b[^/]*$")];
        for (text, expected) in cases {
            assert_eq!(glob(text).as_deref(), Some(expected));
        }
        assert_eq!(glob(r"\.env$"), None);
    }

    #[test]
    fn an_explanation_names_the_rule_that_counts_and_those_around_it() {
        let text = "creation_rules:\n  - path_regex: ^\\./\n  - path_regex: yaml$\n  - encrypted_regex: X\n  - path_regex: env$\n  - path_regex: '('\n";
        let config = Config::parse(Path::new("/repo/.sops.yaml"), text).unwrap();
        let file = Path::new("/repo/sub/../sub/x.env");
        let told = config.explain(file).unwrap().unwrap();
        assert_eq!(told.path, "sub/x.env");
        assert_eq!(told.passed_over.iter().map(|rule| rule.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(told.rule.unwrap(), config.rule_for(file).unwrap().unwrap());
        assert_eq!((told.rule.unwrap().line, told.too_late), (4, vec![5]));
        let outside = config.explain(Path::new("/elsewhere/x.env")).unwrap().unwrap();
        assert_eq!(outside.path, "/elsewhere/x.env");
        let none = Config::parse(Path::new("/repo/.sops.yaml"), "creation_rules: [{path_regex: a}]").unwrap();
        let none = none.explain(Path::new("/repo/x")).unwrap().unwrap();
        assert!(none.rule.is_none() && none.too_late.is_empty() && none.passed_over.len() == 1);
        assert!(Config::parse(Path::new("/repo/.sops.yaml"), "stores: {}").unwrap().explain(file).unwrap().is_none());
    }
}
