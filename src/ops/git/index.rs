//! What the next commit would have: the index, or the one that git made for a commit of some files.
//!
//! Its one invariant: an entry's bytes come from git's objects, whatever lies in the work tree meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::Repository;
use crate::secret::SecretBytes;

/// The files of an index.
pub struct Index {
    /// The name of each regular file's object, by its absolute path.
    objects: BTreeMap<PathBuf, String>,
    /// The ones that differ from the last commit.
    changed: Vec<PathBuf>,
    reader: RefCell<Reader>,
}

/// A git that hands out objects.
struct Reader {
    child: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

impl Repository {
    /// The index of the work tree; `other` is one that git made for the commit it is about to make, and counts only if it is this
    /// repository's. `None` if git does not say.
    pub fn index(&self, other: Option<&Path>) -> Option<Index> {
        let other = other.map(|other| self.root.join(other)).filter(|other| self.is_own(other));
        let asked = |arguments: &[&str]| {
            let mut command = self.git(&self.root);
            command.args(arguments).envs(other.iter().map(|other| ("GIT_INDEX_FILE", other)));
            let output = command.output().ok()?;
            output.status.success().then_some(output.stdout)
        };
        let listed = asked(&["ls-files", "--stage", "-z"])?;
        let changed = asked(&["diff", "--cached", "--name-only", "--no-renames", "--no-ext-diff", "--diff-filter=d", "-z"])?;
        let changed = names(&changed).map(|name| self.root.join(OsStr::from_bytes(name))).collect();
        let objects = names(&listed).filter_map(|entry| self.object_of(entry)).collect();
        let mut child =
            self.git(&self.root).args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take()?);
        Some(Index { objects, changed, reader: RefCell::new(Reader { child, requests, answers }) })
    }

    fn is_own(&self, index: &Path) -> bool {
        let Ok(output) = self.git(&self.root).args(["rev-parse", "--absolute-git-dir"]).output() else { return false };
        let folder = PathBuf::from(OsStr::from_bytes(output.stdout.trim_ascii_end()));
        let canonical = |path: &Path| path.canonicalize().ok();
        output.status.success() && index.parent().and_then(canonical).is_some_and(|at| Some(at) == canonical(&folder))
    }

    /// `MODE OBJECT STAGE⇥PATH`, of a regular file that no merge left undecided.
    fn object_of(&self, entry: &[u8]) -> Option<(PathBuf, String)> {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let words = std::str::from_utf8(&entry[..tab]).ok()?;
        let [mode, object, "0"] = words.split(' ').collect::<Vec<_>>()[..] else { return None };
        mode.starts_with("100").then(|| (self.root.join(OsStr::from_bytes(&entry[tab + 1..])), object.to_owned()))
    }
}

fn names(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|name| !name.is_empty())
}

impl Index {
    /// Every file in it.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.objects.keys().map(PathBuf::as_path)
    }

    /// The files that are not as in the last commit, without those that go.
    pub fn changed(&self) -> &[PathBuf] {
        &self.changed
    }

    /// Whether there is the file `path`.
    pub fn has(&self, path: &Path) -> bool {
        self.objects.contains_key(path)
    }

    /// The bytes of the file `path`; `None` if it is not there, or larger than `limit` bytes.
    pub fn read(&self, path: &Path, limit: u64) -> Option<SecretBytes> {
        let object = self.objects.get(path)?;
        self.reader.try_borrow_mut().ok()?.read(object, limit)
    }
}

impl Reader {
    fn read(&mut self, object: &str, limit: u64) -> Option<SecretBytes> {
        let requests = self.requests.as_mut()?;
        writeln!(requests, "{object}").and_then(|()| requests.flush()).ok()?;
        // A name, the type, and the size in bytes; behind the bytes stands a line break.
        let head = self.line()?;
        let [_, kind, size] = head.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        let size: u64 = size.parse().ok()?;
        let mut rest = (&mut self.answers).take(size + 1);
        if size > limit || kind != "blob" {
            std::io::copy(&mut rest, &mut std::io::sink()).ok()?;
            return None;
        }
        let mut bytes = SecretBytes::from_vec(vec![0; usize::try_from(size).ok()?]);
        rest.read_exact(bytes.expose_mut()).ok()?;
        std::io::copy(&mut rest, &mut std::io::sink()).ok()?;
        Some(bytes)
    }

    /// A line, and nothing of what follows: no buffer of ours keeps a piece of a file.
    fn line(&mut self) -> Option<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        loop {
            self.answers.read_exact(&mut byte).ok()?;
            if byte == *b"\n" {
                return String::from_utf8(line).ok();
            }
            line.push(byte[0]);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}
