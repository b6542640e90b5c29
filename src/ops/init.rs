//! What makes a repository ready: lines in `.gitignore` and `.gitattributes`, git's settings, and a plaintext that becomes an encrypted
//! file.
//!
//! Its one invariant: what is there stays. Lines and settings are added, never changed, and adding them twice adds nothing.

use std::io;
use std::path::{Path, PathBuf};

use super::encrypt::{self, EncryptError, Prepared};
use super::file::{self, FileError};
use super::git::{GitRefused, Repository};
use crate::document::OpenError;
use crate::document::metadata::Metadata;
use crate::format::{EmitError, Format};
use crate::keys::keyring::Keyring;
use crate::secret::SecretString;
use crate::sys::atomic_write::{self, Expected, ReadOnly, ReplaceError};
use crate::sys::regular_file::{LARGEST_FILE, ReadError, read_regular};

/// The folder to make ready: the repository's root, or `here` itself outside of one.
pub fn root(here: &Path) -> PathBuf {
    here.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(here).to_owned()
}

/// The lines that keep plaintext twins of the encrypted `file` out of git.
pub fn ignore_lines(file: &Path) -> Vec<&'static str> {
    let is_itself = |line: &&str| file.file_name().is_some_and(|name| name == *line);
    [".env", ".env.local", ".env.*.local"].into_iter().filter(|line| !is_itself(line)).collect()
}

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
pub fn git_settings(program: &str) -> [(&'static str, String); 4] {
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

/// Makes those of `settings` that `repository` has no value for.
///
/// # Errors
/// [`GitRefused`]; those before it are made.
pub fn settle(repository: &Repository, settings: &[(&'static str, String)]) -> Result<Settled, GitRefused> {
    let mut settled = Settled::default();
    for (name, value) in settings {
        match repository.setting(name)? {
            Some(there) if there == *value => {}
            Some(there) => settled.others.push((name, there)),
            None => {
                repository.set(name, value)?;
                settled.added.push(name);
            }
        }
    }
    Ok(settled)
}

/// Adds to the text file `path` those of `lines` that it has not. Returns the added ones.
///
/// # Errors
/// [`InitError`], naming the file.
pub fn add_lines<'a>(path: &Path, heading: &str, lines: &[&'a str]) -> Result<Vec<&'a str>, InitError> {
    let before = match read_regular(path, LARGEST_FILE) {
        Ok(file) => Some(file.bytes.expose().to_vec()),
        Err(ReadError::NotFound) => None,
        Err(source) => return Err(FileError::Read { path: path.to_owned(), source }.into()),
    };
    let text = before.as_deref().unwrap_or_default();
    let has = |line: &str| text.split(|byte| *byte == b'\n').any(|there| there.trim_ascii() == line.as_bytes());
    let missing: Vec<&str> = lines.iter().copied().filter(|line| !has(line)).collect();
    if missing.is_empty() {
        return Ok(missing);
    }
    let mut after = text.to_vec();
    if !after.is_empty() && !after.ends_with(b"\n") {
        after.push(b'\n');
    }
    after.extend_from_slice(format!("# {heading}\n").as_bytes());
    missing.iter().for_each(|line| after.extend_from_slice(format!("{line}\n").as_bytes()));
    let expected = before.as_deref().map_or(Expected::Absent, Expected::Bytes);
    atomic_write::replace(path, &after, expected, ReadOnly::Refuse)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })?;
    Ok(missing)
}

/// Writes the new file `path`.
///
/// # Errors
/// [`InitError`], naming the file.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), InitError> {
    atomic_write::replace(path, bytes, Expected::Absent, ReadOnly::Refuse)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })
}

/// Encrypts what was prepared from a plaintext into the new file `path`, and opens it from the disk with the user's own identities.
///
/// # Errors
/// [`InitError`]. If the file was written but does not open, it is removed again.
pub fn encrypt_into(
    path: &Path,
    prepared: Prepared,
    metadata: Metadata,
    format: &dyn Format,
    keyring: &Keyring,
    now: time::UtcDateTime,
) -> Result<(), InitError> {
    let bytes = encrypt::encrypt(prepared.tree, metadata, format, keyring, now)?;
    write_new(path, bytes.expose())?;
    open_again(path, &prepared.text, keyring).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

fn open_again(path: &Path, meant: &SecretString, keyring: &Keyring) -> Result<(), InitError> {
    let opened = file::read(path, None)?;
    let format = opened.format;
    let document = opened.document()?.open(keyring)?;
    let text = format.emit(&document.tree, None, None)?;
    if text.ct_eq(meant.expose().as_bytes()) { Ok(()) } else { Err(EncryptError::ReadBack.into()) }
}

/// Why a repository could not be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReplaceError,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The plaintext could not be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The encrypted file does not open with the user's own identities.
    #[error("the encrypted file does not open with your own identities")]
    Open(#[from] OpenError),
    /// The plaintext could not be written for comparison.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_once_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".gitignore");
        std::fs::write(&path, "target\n  .env  ").unwrap();
        let lines = ignore_lines(Path::new("secrets.env"));
        assert_eq!(add_lines(&path, "plaintext", &lines).unwrap(), [".env.local", ".env.*.local"]);
        let once = std::fs::read_to_string(&path).unwrap();
        assert_eq!(once, "target\n  .env  \n# plaintext\n.env.local\n.env.*.local\n");
        assert!(add_lines(&path, "plaintext", &lines).unwrap().is_empty());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), once);
    }

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
        let [textconv, .., driver] = git_settings("'/a b/100%/dotsops'").map(|(_, value)| value);
        assert_eq!(
            (textconv.as_str(), driver.as_str()),
            ("'/a b/100%/dotsops' textconv", "'/a b/100%%/dotsops' merge %O %A %B %P")
        );
    }

    #[test]
    fn an_encrypted_file_called_dot_env_is_not_ignored() {
        assert!(!ignore_lines(Path::new("sub/.env")).contains(&".env"));
    }
}
