//! What git knows of a file. Only asks; a repository without a git program is treated as none.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
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

    /// Every path in the index below `folder`, which lies in the work tree; not all of them need be there. `None` if git does not say.
    pub fn tracked_below(&self, folder: &Path) -> Option<Vec<PathBuf>> {
        let mut command = Command::new(&self.git);
        // Listing runs no program that a repository's own configuration may name.
        command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false", "ls-files", "-z"]);
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let path = |name: &[u8]| folder.join(OsStr::from_bytes(name));
        output.status.success().then(|| names.map(path).collect())
    }

    /// The topmost folder of the work tree.
    pub fn root(&self) -> &Path {
        &self.root
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
