//! The encrypted files of a repository that one `.sops.yaml` governs, recognised by what is in them.
//!
//! Its one invariant: only what git tracks is among them, and never a file that another `.sops.yaml` is nearer to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::file::{self, FileError, MAX_FILE, OpenedFile};
use super::git::Repository;
use super::in_threads::each_in_threads;
use crate::config::{Config, Search};
use crate::format::{Syntax, detect};
use crate::sys::regular_file::{FileBytes, ReadError, read_regular};

/// What was found.
#[derive(Default)]
pub struct Governed {
    /// The files, in the order in which git has them. One that is named like ours and cannot be parsed is an error.
    pub files: Vec<Result<OpenedFile, FileError>>,
    /// Encrypted files below the config that another one governs.
    pub left_out: Vec<LeftOut>,
    /// Encrypted files of another syntax than dotenv, which are left to sops.
    pub foreign: Vec<PathBuf>,
    /// Files with the name of a dotenv that git tracks and that are not in the work tree.
    pub absent: Vec<PathBuf>,
}

/// A file that another config governs.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The file.
    pub path: PathBuf,
    /// What governs it.
    pub config: PathBuf,
}

/// Every encrypted file in `repository` that `config` governs: those that git tracks below its folder and that no other config is nearer
/// to; all that git tracks if the config `is_named`, for then it is meant for all of them. Paths in the folder `here` are relative to it.
/// `progress` is told how many of the tracked files were looked at, and of how many. `None` if git does not say what it tracks.
pub fn governed(
    repository: &Repository,
    config: &Config,
    is_named: bool,
    here: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Option<Governed> {
    let folder = config.path.parent().filter(|folder| folder.starts_with(repository.root()));
    let tracked = repository.tracked_below(folder.unwrap_or_else(|| repository.root()))?;
    let shown = |path: &Path| path.strip_prefix(here).unwrap_or(path).to_owned();
    let mut nearest: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
    let mut governed = Governed::default();
    let mut own = Vec::new();
    let mut unreadable = Vec::new();
    let looked_at = each_in_threads(tracked, look_at, progress).into_iter().flatten();
    for (path, found) in looked_at {
        let folder = path.parent().unwrap_or(&path);
        let config_of = nearest.entry(folder.to_owned()).or_insert_with(|| Search::from(folder).config);
        let other = config_of.as_ref().filter(|nearest| !is_named && **nearest != config.path);
        match (found, other) {
            (Found::Encrypted(_), Some(other)) => {
                governed.left_out.push(LeftOut { path: shown(&path), config: other.clone() });
            }
            (_, Some(_)) => {}
            (Found::Encrypted(snapshot), None) => own.push((shown(&path), snapshot)),
            (Found::Foreign, None) => governed.foreign.push(shown(&path)),
            (Found::Absent, None) => governed.absent.push(shown(&path)),
            (Found::Shut(error), None) => {
                let path = shown(&path);
                unreadable.push(Err(FileError::Read { path, source: error }));
            }
        }
    }
    governed.files = each_in_threads(own, parsed, &mut |_, _| {}).into_iter().flatten().collect();
    governed.files.append(&mut unreadable);
    Some(governed)
}

/// What a tracked path turns out to be.
enum Found {
    /// It has what every encrypted dotenv has, at the beginning of a line.
    Encrypted(FileBytes),
    /// It is encrypted, in another syntax.
    Foreign,
    /// It is called like a dotenv, and not there.
    Absent,
    /// It is called like a dotenv, and cannot be read.
    Shut(ReadError),
}

/// `None` for what is none of ours.
fn look_at(path: PathBuf) -> Option<(PathBuf, Found)> {
    let is_ours = Syntax::by_path(&path) == Syntax::Dotenv;
    match path.symlink_metadata() {
        // A link leads to a file that is tracked itself, or that is none of this repository's.
        Ok(metadata) if !metadata.is_file() => return None,
        Err(_) if !path.exists() => return is_ours.then_some((path, Found::Absent)),
        _ => {}
    }
    let snapshot = match read_regular(&path, MAX_FILE) {
        Ok(snapshot) => snapshot,
        Err(error) => return is_ours.then_some((path, Found::Shut(error))),
    };
    let text = snapshot.bytes.expose();
    let has = |field: &[u8]| text.split(|byte| *byte == b'\n').any(|line| line.starts_with(field));
    match detect(text)? {
        Syntax::Dotenv => (has(b"sops_mac=") && has(b"sops_version=")).then_some((path, Found::Encrypted(snapshot))),
        _ => Some((path, Found::Foreign)),
    }
}

/// `None` for a text about such files.
fn parsed((path, snapshot): (PathBuf, FileBytes)) -> Option<Result<OpenedFile, FileError>> {
    match file::parse_secret(&path, &snapshot.bytes, Some(Syntax::Dotenv)) {
        Ok((format, contents)) => Some(Ok(OpenedFile { path, snapshot, format, contents })),
        Err(error) if Syntax::by_path(&path) == Syntax::Dotenv => Some(Err(error)),
        Err(_) => None,
    }
}
