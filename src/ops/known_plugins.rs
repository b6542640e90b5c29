//! Which plugins' programs the user agreed to run for recipients that others named, and need not be asked about again.
//!
//! An answer is about one program, by its absolute path: another one found first in the search path is asked about anew. What is kept is a
//! list of paths, one to a line; it holds no secret and may be lost. Its one invariant: nothing is read as an answer that was not given as
//! one.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::own_lines::{add_line, has_line};

/// The answers that are remembered. Nothing is read before one is asked for.
pub struct KnownPlugins {
    list: PathBuf,
}

impl KnownPlugins {
    /// Those in the state folder `state`, which need not be there.
    pub fn in_folder(state: &Path) -> Self {
        Self { list: state.join("plugins") }
    }

    /// The place of the answer about `program`; `None` if none can be kept, as about a path with a line break in it.
    pub fn answer(&self, program: &Path) -> Option<PluginAnswer<'_>> {
        let line = program.to_str().filter(|path| program.is_absolute() && !path.contains(['\n', '\r']))?;
        Some(PluginAnswer { list: &self.list, line: line.to_owned() })
    }
}

/// The place of one answer.
pub struct PluginAnswer<'a> {
    list: &'a Path,
    line: String,
}

impl PluginAnswer<'_> {
    /// Whether the user said yes before.
    pub fn is_yes(&self) -> bool {
        has_line(self.list, &self.line)
    }

    /// Remembers that the user said yes.
    ///
    /// # Errors
    /// The system's; then it will be asked again.
    pub fn remember(&self) -> io::Result<()> {
        add_line(self.list, &self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_one_absolute_path() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownPlugins::in_folder(&folder.path().join("state"));
        let is_yes = |path: &str| known.answer(Path::new(path)).unwrap().is_yes();
        assert!(!is_yes("/a/age-plugin-x"));
        known.answer(Path::new("/a/age-plugin-x")).unwrap().remember().unwrap();
        assert!(is_yes("/a/age-plugin-x"));
        assert!(!is_yes("/b/age-plugin-x") && !is_yes("/a/age-plugin-") && !is_yes("/age-plugin-x"));
        for odd in ["age-plugin-x", "/a\n/b", ""] {
            assert!(known.answer(Path::new(odd)).is_none(), "{odd:?}");
        }
    }
}
