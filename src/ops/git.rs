//! What git knows of a file, and what it is told about files like ours. A repository without a git program is treated as none.
//!
//! Its one invariant: git is asked about the repository that was found, whatever the environment says of another, and nothing that
//! this repository's configuration names is run, nor anything fetched.

pub mod index;
pub mod settings;
pub mod versions;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::secret::SecretBytes;

/// Variables that lead git to another repository than the one that was found, as in a hook of that other one.
const LEADING_ELSEWHERE: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG",
];

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
        let output = self.git(folder).args(["ls-files", "-z"]).output().ok()?;
        let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let path = |name: &[u8]| folder.join(OsStr::from_bytes(name));
        output.status.success().then(|| {
            let mut paths: Vec<PathBuf> = names.map(path).collect();
            // What a merge left in conflict is there once for each of its sides.
            paths.dedup();
            paths
        })
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

    /// The values of the attributes `names` of `path`, as git writes them. `None` if git does not say.
    pub fn attributes(&self, path: &Path, names: &[&str]) -> Option<Vec<String>> {
        let output = self.git(&self.root).args(["check-attr", "-z"]).args(names).arg("--").arg(path).output().ok()?;
        // Path, name and value of each.
        let words: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        let values: Vec<String> = words.chunks_exact(3).map(|words| String::from_utf8_lossy(words[2]).into_owned()).collect();
        (output.status.success() && values.len() == names.len()).then_some(values)
    }

    /// What the setting `name` is, wherever that was said.
    ///
    /// # Errors
    /// [`GitRefused`].
    pub fn setting(&self, name: &str) -> Result<Option<String>, GitRefused> {
        let output = self.git(&self.root).args(["config", "--get", name]).output().map_err(|_| GitRefused)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Ok(Some(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))),
            Some(1) => Ok(None),
            _ => Err(GitRefused),
        }
    }

    /// Makes `name` mean `value` in this repository.
    ///
    /// # Errors
    /// [`GitRefused`].
    pub fn set(&self, name: &str, value: &str) -> Result<(), GitRefused> {
        let status = self.git(&self.root).args(["config", "--local", name, value]).stdout(Stdio::null()).status();
        if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(GitRefused) }
    }

    /// The bytes that `object` (`HEAD~1:secrets.env`) stands for; `None` if there is no such file, or a larger one than `limit` bytes.
    pub fn file_at(&self, object: &OsStr, limit: u64) -> Option<SecretBytes> {
        // An option to git is none of an object's names.
        let object = Some(object).filter(|object| !object.as_bytes().starts_with(b"-"))?;
        let asked = |how: &str| {
            let output = self.git(&self.root).arg("cat-file").arg(how).arg(object).output().ok()?;
            output.status.success().then_some(output.stdout)
        };
        let size: u64 = std::str::from_utf8(&asked("-s")?).ok()?.trim().parse().ok()?;
        if size > limit || asked("-t")? != b"blob\n" {
            return None;
        }
        asked("-p").map(SecretBytes::from_vec)
    }

    /// What git calls the version of the file `path` in `revision`; `None` if the file lies outside of the work tree.
    pub fn object(&self, revision: &OsStr, path: &Path) -> Option<OsString> {
        let folder = path.parent()?.canonicalize().ok()?;
        let path = folder.join(path.file_name()?);
        let below = path.strip_prefix(self.root.canonicalize().ok()?).ok()?;
        Some(OsString::from_vec([revision.as_bytes(), b":", below.as_os_str().as_bytes()].concat()))
    }

    fn answers(&self, arguments: &[&str], path: &Path) -> bool {
        self.asked(arguments, path).is_some()
    }

    /// What git prints, if it succeeds.
    fn asked(&self, arguments: &[&str], path: &Path) -> Option<String> {
        let output = self.git(&self.root).args(arguments).arg(path).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// git, about to be asked something in `folder`.
    fn git(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.git);
        for name in LEADING_ELSEWHERE {
            command.env_remove(name);
        }
        // A `.git` that git does not take for a repository must not lead to one above.
        command.env("GIT_CEILING_DIRECTORIES", self.root.parent().unwrap_or(Path::new("/")));
        // What a partial clone lacks would be fetched, by a program that the configuration can name.
        command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "").env("GIT_OPTIONAL_LOCKS", "0");
        command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false", "-c", "log.showSignature=false"]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Merges three versions of a plaintext as git does without a driver, line by line, in place of `ours`. Whether there is no conflict.
///
/// # Errors
/// [`GitRefused`], as for what is no text.
pub fn merge_lines(git: &Path, base: &Path, ours: &Path, theirs: &Path) -> Result<bool, GitRefused> {
    let mut command = Command::new(git);
    command.args(["merge-file", "-q", "-L", "ours", "-L", "base", "-L", "theirs", "--"]).args([ours, base, theirs]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(|_| GitRefused)?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1..=127) => Ok(false),
        _ => Err(GitRefused),
    }
}

/// git did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("git refuses")]
pub struct GitRefused;
