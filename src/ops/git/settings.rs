//! What git is told about encrypted files: attributes in the repository, settings in each clone.
//!
//! Its one invariant: what the user has told git otherwise stays, and telling it twice tells nothing more.

use std::path::Path;

use super::{GitRefused, Repository};

/// What git is to know of encrypted files: an attribute, the value that git writes for it, and the word that gives it that value. The
/// line ends must stay, and comparing and merging is for us.
const ATTRIBUTES: [(&str, &str, &str); 4] = [
    ("text", "set", "text"),
    ("eol", "lf", "eol=lf"),
    ("diff", "dotsops", "diff=dotsops"),
    ("merge", "dotsops", "merge=dotsops"),
];

/// What `.gitattributes` lacks for an encrypted file, and what it says otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The line to add, if one is needed.
    pub line: Option<String>,
    /// Attributes with values of the user's own, which stay.
    pub others: Vec<(&'static str, String)>,
}

impl Attributes {
    /// Those of the encrypted file `path`. Without a `repository` only the lines in `text`, the `.gitattributes`, are looked at.
    pub fn of(path: &Path, repository: Option<&Repository>, text: &str) -> Self {
        let pattern = pattern_for(path);
        let names = ATTRIBUTES.map(|(name, ..)| name);
        let known = repository.and_then(|repository| repository.attributes(path, &names));
        let values = known.unwrap_or_else(|| names.iter().map(|name| value_in(text, &pattern, name)).collect());
        let (mut words, mut others) = (Vec::new(), Vec::new());
        for ((name, ours, word), value) in ATTRIBUTES.into_iter().zip(values) {
            match value.as_str() {
                _ if value == ours => {}
                // `* text=auto` is meant for files in general.
                "unspecified" | "auto" => words.push(word),
                _ => others.push((name, value)),
            }
        }
        let line = (!words.is_empty()).then(|| format!("{pattern} {}", words.join(" ")));
        Self { line, others }
    }
}

/// The pattern that takes in `path` and, if it can, its kind.
fn pattern_for(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".env") {
        return "*.env".to_owned();
    }
    let mut pattern = String::new();
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '!' | '#') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    match pattern.contains([' ', '\t', '"']) {
        true => format!("\"{}\"", pattern.replace('\\', r"\\").replace('"', "\\\"")),
        false => pattern,
    }
}

/// What the lines of `pattern` in a `.gitattributes` say of `attribute`, as git would write it.
fn value_in(text: &str, pattern: &str, attribute: &str) -> String {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(pattern)).filter(|rest| rest.starts_with([' ', '\t']));
    let mut values = lines.flat_map(str::split_whitespace).filter_map(|word| match word.strip_prefix(attribute) {
        Some("") => Some("set"),
        Some(rest) => rest.strip_prefix('='),
        None => ["-", "!"].iter().any(|sign| word.strip_prefix(sign) == Some(attribute)).then_some("unset"),
    });
    values.next_back().unwrap_or("unspecified").to_owned()
}

/// git's settings that make it run `program`, words for a shell, to show and merge encrypted files. What is shown is never kept in the
/// repository.
pub fn running(program: &str) -> [(&'static str, String); 4] {
    [
        ("diff.dotsops.textconv", format!("{program} textconv")),
        ("diff.dotsops.cachetextconv", "false".to_owned()),
        ("merge.dotsops.name", "encrypted .env files, by name".to_owned()),
        // git puts other words in the place of what begins with a `%`.
        ("merge.dotsops.driver", format!("{} merge %O %A %B %P", program.replace('%', "%%"))),
    ]
}

/// What became of git's settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that were made.
    pub added: Vec<&'static str>,
    /// Those that have a value of the user's own, which stays.
    pub others: Vec<(&'static str, String)>,
}

/// Makes those of `settings` that `repository` has no value for; in a `dry_run` only tells which.
///
/// # Errors
/// [`GitRefused`]; those before it are made.
pub fn settle(repository: &Repository, settings: &[(&'static str, String)], dry_run: bool) -> Result<Settled, GitRefused> {
    let mut settled = Settled::default();
    for (name, value) in settings {
        match repository.setting(name)? {
            Some(there) if there == *value => {}
            Some(there) => settled.others.push((name, there)),
            None => {
                if !dry_run {
                    repository.set(name, value)?;
                }
                settled.added.push(name);
            }
        }
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_added_where_none_are_and_others_stay() {
        let of = |path: &str, text: &str| Attributes::of(Path::new(path), None, text);
        let line = |line: &str| Attributes { line: Some(line.to_owned()), others: Vec::new() };
        let all = "text eol=lf diff=dotsops merge=dotsops";
        assert_eq!(of("sub/secrets.env", "* text=auto\n"), line(&format!("*.env {all}")));
        assert_eq!(of(".env", "*.env text=auto eol=lf\n"), line("*.env text diff=dotsops merge=dotsops"));
        assert_eq!(of("a.env", "*.env text eol=lf # \n  *.env\tmerge=dotsops\n"), line("*.env diff=dotsops"));
        assert_eq!(of("a.env", &format!("*.env {all}")).line, None);
        let own = of("a.env", "*.env -diff merge=union text=auto\n*.environment diff=x\n");
        assert_eq!(own.line.as_deref(), Some("*.env text eol=lf"));
        assert_eq!(own.others, [("diff", "unset".to_owned()), ("merge", "union".to_owned())]);
        assert_eq!(of(".env.production", ""), line(&format!(".env.production {all}")));
        assert_eq!(of("a [b].enc", ""), line(&format!(r#""a \\[b\\].enc" {all}"#)));
    }

    #[test]
    fn a_program_in_an_odd_place_is_called_by_words_that_mean_it() {
        let [textconv, .., driver] = running("'/a b/100%/dotsops'").map(|(_, value)| value);
        assert_eq!(
            (textconv.as_str(), driver.as_str()),
            ("'/a b/100%/dotsops' textconv", "'/a b/100%%/dotsops' merge %O %A %B %P")
        );
    }
}
