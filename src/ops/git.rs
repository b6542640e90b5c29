//! What git knows of a file. Only asks; a repository without a git program is treated as none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A work tree and the program that knows it.
pub struct Repository {
    root: PathBuf,
    git: PathBuf,
}

impl Repository {
    /// The repository that `start` lies in, asked through the program `git`.
    pub fn find(start: &Path, git: PathBuf) -> Option<Self> {
        let root = start.ancestors().find(|folder| folder.join(".git").exists())?.to_owned();
        Some(Self { root, git })
    }

    /// Whether the index holds `path`.
    pub fn tracks(&self, path: &Path) -> bool {
        self.answers(&["ls-files", "--error-unmatch", "--"], path)
    }

    /// Whether any commit of any branch holds or held `path`.
    pub fn ever_tracked(&self, path: &Path) -> bool {
        self.asked(&["log", "--all", "-1", "--format=%h", "--"], path).is_some_and(|commit| !commit.trim().is_empty())
    }

    /// Whether the ignore rules keep `path` out.
    pub fn ignores(&self, path: &Path) -> bool {
        self.answers(&["check-ignore", "--quiet", "--no-index", "--"], path)
    }

    fn answers(&self, arguments: &[&str], path: &Path) -> bool {
        self.asked(arguments, path).is_some()
    }

    /// What git prints, if it succeeds.
    fn asked(&self, arguments: &[&str], path: &Path) -> Option<String> {
        let mut command = Command::new(&self.git);
        command.arg("-C").arg(&self.root).args(arguments).arg(path).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
