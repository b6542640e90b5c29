//! Every version of every file that git keeps, on whatever branch, and what stands in it.
//!
//! Knows paths, commits and bytes, not what they mean. Its one invariant: however much there is, or claims to be, a limited part of it
//! is read, and what was left out is told.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;

use super::Repository;
use crate::secret::SecretBytes;

/// How many bytes git may say about commits and paths.
const MOST_SAID: u64 = 64 << 20;

/// How many renames of one path are followed.
const MOST_RENAMES: usize = 100;

/// A commit and its time, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its whole hash.
    pub hash: String,
    /// When it was made, as its maker says.
    pub time: i64,
}

/// When the same bytes were put into the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest commit that did so.
    pub first: Commit,
    /// The latest.
    pub last: Commit,
}

/// What git keeps.
#[derive(Default)]
pub struct Versions {
    /// Of each blob, by its hash: the paths, from the topmost folder, that it stood at.
    pub blobs: HashMap<String, HashMap<PathBuf, Span>>,
    /// What became of a path that was another one later.
    pub renamed: HashMap<PathBuf, PathBuf>,
    /// Whether older commits were left out, or are not kept here.
    pub is_cut_short: bool,
}

impl Span {
    /// Makes it reach to `commit`.
    pub fn include(&mut self, commit: &Commit) {
        if commit.time < self.first.time {
            self.first = commit.clone();
        }
        if commit.time > self.last.time {
            self.last = commit.clone();
        }
    }
}

impl Repository {
    /// Every version of every file below `folder`, which lies in the work tree. `None` if git does not say.
    pub fn versions(&self, folder: &Path) -> Option<Versions> {
        let mut command = self.git(folder);
        command.args(["log", "--all", "--full-history", "-m", "--raw", "-M", "-l200", "-z", "--no-abbrev", "--no-relative"]);
        command.args(["--no-ext-diff", "--no-textconv", "--no-color", "--format=tformat:%x01%H %ct", "--", "."]);
        let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
        let said = child.stdout.take()?;
        let mut versions = Versions { is_cut_short: self.is_shallow(), ..Versions::default() };
        let outcome = versions.read(said.take(MOST_SAID));
        match outcome {
            Ok(true) => child.wait().ok().filter(|status| status.success()).map(|_| versions),
            Ok(false) => {
                let _ = child.kill();
                let _ = child.wait();
                Some(Versions { is_cut_short: true, ..versions })
            }
            Err(_) => {
                let _ = child.wait();
                None
            }
        }
    }

    /// The bytes of `blobs`, in their order, each given to `see` with its number. One of more than `limit` bytes, or that is not kept
    /// here, is given as `None`; so are all when `limit` bytes in all were read.
    ///
    /// # Errors
    /// The system's, or that git does not say what it was asked.
    pub fn read_blobs(
        &self,
        blobs: &[(&str, u64)],
        limit: u64,
        mut see: impl FnMut(usize, Option<SecretBytes>),
    ) -> io::Result<()> {
        let names: Vec<&str> = blobs.iter().map(|(name, _)| *name).collect();
        let sizes = self.asked_of_each(&names, "--batch-check", |said, _| Ok(header(&line(said)?)))?;
        let mut left = limit;
        let wanted: Vec<bool> = blobs
            .iter()
            .zip(sizes)
            .map(|((_, largest), size)| match size {
                Some(size) if size <= *largest && size <= left => {
                    left -= size;
                    true
                }
                _ => false,
            })
            .collect();
        let wanted_names: Vec<&str> = names.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(name, _)| *name).collect();
        let numbers: Vec<usize> = (0..names.len()).filter(|at| wanted[*at]).collect();
        (0..names.len()).filter(|at| !wanted[*at]).for_each(|at| see(at, None));
        self.asked_of_each(&wanted_names, "--batch", |said, at| {
            let size = header(&line(said)?).ok_or(io::ErrorKind::InvalidData)?;
            let mut bytes = SecretBytes::from_vec(vec![0; usize::try_from(size).map_err(|_| io::ErrorKind::InvalidData)?]);
            said.read_exact(bytes.expose_mut())?;
            said.read_exact(&mut [0])?;
            see(numbers[at], Some(bytes));
            Ok(())
        })?;
        Ok(())
    }

    /// What git answers about each of `names`.
    fn asked_of_each<T>(
        &self,
        names: &[&str],
        how: &str,
        mut read: impl FnMut(&mut BufReader<ChildStdout>, usize) -> io::Result<T>,
    ) -> io::Result<Vec<T>> {
        let mut command = self.git(self.root());
        command.args(["cat-file", "--buffer", how]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(mut asked), Some(said)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut said = BufReader::new(said);
        let answers = thread::scope(|scope| {
            // Both pipes hold less than there may be.
            scope.spawn(move || {
                let mut text = String::new();
                names.iter().for_each(|name| text.extend([name, "\n"]));
                let _ = asked.write_all(text.as_bytes());
            });
            let answers = (0..names.len()).map(|at| read(&mut said, at)).collect::<io::Result<Vec<T>>>();
            if answers.is_err() {
                let _ = child.kill();
            }
            answers
        });
        end(child)?;
        answers
    }

    fn is_shallow(&self) -> bool {
        let output = self.git(self.root()).args(["rev-parse", "--is-shallow-repository"]).output();
        output.is_ok_and(|output| output.stdout.starts_with(b"true"))
    }
}

fn end(mut child: Child) -> io::Result<()> {
    child.wait().map(drop)
}

fn line(said: &mut impl BufRead) -> io::Result<Vec<u8>> {
    const LONGEST: u64 = 256;
    let mut line = Vec::new();
    said.take(LONGEST).read_until(b'\n', &mut line)?;
    if line.pop() == Some(b'\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The size in `HASH blob SIZE`; `None` for what is something else, or not there.
fn header(line: &[u8]) -> Option<u64> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ').skip(1);
    words.next().filter(|kind| *kind == "blob")?;
    words.next()?.parse().ok()
}

impl Versions {
    /// Takes in what git says of its commits, each ended by a NUL. Whether it was all of it.
    fn read(&mut self, said: io::Take<impl Read>) -> io::Result<bool> {
        let mut said = BufReader::new(said);
        let mut commit = None;
        while let Some(word) = word(&mut said)? {
            let word = word.strip_prefix(b"\n").unwrap_or(&word);
            match word {
                [1, rest @ ..] => commit = Some(commit_of(rest).ok_or(io::ErrorKind::InvalidData)?),
                [b':', rest @ ..] => {
                    let change = Change::of(rest).ok_or(io::ErrorKind::InvalidData)?;
                    let Some(path) = self::word(&mut said)? else { break };
                    let path = if change.is_rename {
                        let Some(later) = self::word(&mut said)? else { break };
                        self.renamed.entry(as_path(path)).or_insert_with(|| as_path(later.clone()));
                        later
                    } else {
                        path
                    };
                    if let (Some(blob), Some(commit)) = (change.blob, &commit) {
                        self.add(blob, as_path(path), commit);
                    }
                }
                [] => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(said.get_ref().limit() > 0)
    }

    fn add(&mut self, blob: String, path: PathBuf, commit: &Commit) {
        let new = || Span { first: commit.clone(), last: commit.clone() };
        self.blobs.entry(blob).or_default().entry(path).or_insert_with(new).include(commit);
    }

    /// What `path` is called in the end.
    pub fn latest_name<'a>(&'a self, path: &'a Path) -> &'a Path {
        let mut path = path;
        // Renames can lead in a circle.
        for _ in 0..MOST_RENAMES {
            match self.renamed.get(path) {
                Some(later) => path = later,
                None => break,
            }
        }
        path
    }
}

/// What stands before the next NUL; `None` at the end.
fn word(said: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut word = Vec::new();
    said.read_until(0, &mut word)?;
    Ok((word.pop() == Some(0)).then_some(word))
}

fn as_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

fn commit_of(text: &[u8]) -> Option<Commit> {
    let (hash, time) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    Some(Commit { hash: hash.to_owned(), time: time.trim().parse().ok()? })
}

/// One line of `git log --raw`, without its paths.
struct Change {
    /// The file as it is after the commit, if it is one then.
    blob: Option<String>,
    is_rename: bool,
}

impl Change {
    /// Reads `MODE MODE HASH HASH STATUS`.
    fn of(text: &[u8]) -> Option<Self> {
        let words: Vec<&str> = std::str::from_utf8(text).ok()?.split(' ').collect();
        let [_, mode, _, blob, status] = words.as_slice() else { return None };
        // Links, submodules, and what is gone.
        let is_file = mode.starts_with("100");
        Some(Self { blob: is_file.then(|| (*blob).to_owned()), is_rename: status.starts_with(['R', 'C']) })
    }
}

/// Whether a file of this name is probably one of ours.
pub fn is_named_dotenv(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    name.ends_with(b".env") || name.starts_with(b".env") || memchr::memmem::find(name, b".env.").is_some()
}
