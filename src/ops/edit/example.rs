//! What a new file starts from: the names and comments of an example file, such as `.env.example`, without its values.
//!
//! Anybody can put such a file into a repository. Its one invariant: nothing of it comes in but names that a new line may have and
//! comments that drive no terminal, and nothing but a regular file of moderate size is read, through no link.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::dialect::names::{RESERVED_PREFIX, is_portable_name};
use crate::dialect::scanner::{Kind, Scanner};
use crate::dialect::{self, DecodeError};
use crate::ops::init;
use crate::ops::merge::marks::CONFLICT;
use crate::secret::SecretBytes;
use crate::sys::regular_file::{ReadError, read_regular};
use crate::sys::terminal::escape_for_terminal;

/// Larger than any list of names.
pub const LARGEST: u64 = 1 << 20;

/// What an encrypted file has among its names.
const ENCRYPTED: &str = "sops_mac";

/// An example file, and what a new file starts from.
pub struct Example {
    /// Where it is.
    pub path: PathBuf,
    /// Its names, without values, and its comments.
    pub text: SecretBytes,
}

impl Example {
    /// The example for the new file `path`, which is absolute: `NAME.example`, else `.env.example`, `.env.sample` or `.env.template`
    /// beside it, else one of these at the root of its repository. The first that is there is it.
    ///
    /// # Errors
    /// Where it is and why it cannot be used.
    pub fn find(path: &Path) -> Result<Option<Self>, (PathBuf, NotUsed)> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let root = init::root(folder);
        let folders = [Some(folder), (root != folder).then_some(&*root)];
        let paths = folders.into_iter().flatten().flat_map(|folder| names(name).map(|name| folder.join(name)));
        let Some(path) = paths.into_iter().find(|path| path.symlink_metadata().is_ok()) else { return Ok(None) };
        match read(&path) {
            Ok(text) => Ok((!text.is_empty()).then_some(Self { path, text })),
            Err(problem) => Err((path, problem)),
        }
    }
}

/// Whether `path` is named like an example.
pub fn is_example(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["example", "sample", "template"].iter().any(|known| extension == *known))
}

/// What an example for a file named `of` can be called; the first that is there is it.
pub fn names(of: &OsStr) -> [OsString; 4] {
    let mut own = of.to_owned();
    own.push(".example");
    [own, ".env.example".into(), ".env.sample".into(), ".env.template".into()]
}

fn read(path: &Path) -> Result<SecretBytes, NotUsed> {
    if path.is_symlink() {
        return Err(NotUsed::Link);
    }
    let bytes = read_regular(path, LARGEST)?.bytes;
    let decoded = dialect::decode(bytes.expose())?;
    template(decoded.text.expose()).ok_or(NotUsed::Encrypted)
}

/// The names and comments of `example`; empty if there is no name, `None` if it is an encrypted file.
fn template(example: &str) -> Option<SecretBytes> {
    let mut text = SecretBytes::with_capacity(example.len() + 64);
    let mut seen = HashSet::new();
    for statement in Scanner::new(example) {
        let (export, name, behind) = match &statement.kind {
            Kind::Blank => {
                text.push(b"\n");
                continue;
            }
            Kind::Comment { start } => {
                push_comment(&mut text, &example[*start..statement.range.end]);
                continue;
            }
            Kind::Definition(definition) => {
                let end = definition.value.as_ref().map_or(definition.name_range.end, |(_, value)| value.range.end);
                (definition.export, definition.name, &example[end..statement.range.end])
            }
            Kind::Failed { name, .. } => (false, name.unwrap_or_default(), ""),
        };
        if name == ENCRYPTED {
            return None;
        }
        if !is_portable_name(name) || name.starts_with(RESERVED_PREFIX) || !seen.insert(name) {
            continue;
        }
        // Behind an empty value some programs would take it for the value.
        push_comment(&mut text, behind.trim());
        if export {
            text.push(b"export ");
        }
        text.push(name.as_bytes());
        text.push(b"=\n");
    }
    Some(if seen.is_empty() { SecretBytes::default() } else { text })
}

fn push_comment(text: &mut SecretBytes, comment: &str) {
    let is_harmless = !comment.starts_with(CONFLICT) && escape_for_terminal(comment) == comment;
    if comment.starts_with('#') && is_harmless {
        text.push(comment.trim_end().as_bytes());
        text.push(b"\n");
    }
}

/// Why an example file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotUsed {
    /// It may lead anywhere.
    #[error("it is a link")]
    Link,
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is no text.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is a file of secrets itself.
    #[error("it is an encrypted file")]
    Encrypted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(example: &str) -> String {
        String::from_utf8(template(example).unwrap().expose().to_vec()).unwrap()
    }

    #[test]
    fn names_and_comments_stay_and_values_go() {
        let example =
            "# The shop\n\nDATABASE_URL=postgres://u:p@h/db # where\nexport TOKEN='x y'\nKEY=\"a\nb\"\nBARE\n# LATER=1\n";
        let expected = "# The shop\n\n# where\nDATABASE_URL=\nexport TOKEN=\nKEY=\nBARE=\n# LATER=1\n";
        assert_eq!(names_of(example), expected);
        assert_eq!(names_of(expected), expected);
    }

    #[test]
    fn what_could_not_be_saved_or_drives_a_terminal_stays_out() {
        let example =
            "A=1\nA=2\n1a=1\nsops_x=1\n=1\nA B=1\n'C D'=1\n#!dotsops mine A=1\n# \u{1b}[2J\n# \u{202e}x\nOPEN=\"x\nB=1\n";
        assert_eq!(names_of(example), "A=\nOPEN=\nB=\n");
        assert_eq!(names_of("# only words\n\n"), "");
        assert!(template("A=ENC[]\nsops_mac=ENC[]\n").is_none());
    }
}
