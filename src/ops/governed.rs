//! The encrypted files of a repository that one `.sops.yaml` governs, recognised by what is in them.
//!
//! Its one invariant: only what git tracks is among them, and never a file that another `.sops.yaml` is nearer to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::file::{self, FileError, OpenedFile};
use super::git::Repository;
use super::in_threads::each_in_threads;
use crate::config::{Config, Search};
use crate::format::{Syntax, detect};
use crate::sys::regular_file::FileBytes;

/// What was found.
#[derive(Default)]
pub struct Governed {
    /// The files, in the order in which git has them. One that is named like ours and cannot be parsed is an error.
    pub files: Vec<Result<OpenedFile, FileError>>,
    /// Encrypted files below the config that another one governs.
    pub left_out: Vec<LeftOut>,
    /// Encrypted files of another syntax than dotenv, which are left to sops.
    pub foreign: Vec<PathBuf>,
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
    let encrypted = each_in_threads(tracked, encrypted, progress).into_iter().flatten();
    for (path, snapshot) in encrypted {
        let is_foreign = snapshot.is_none();
        let folder = path.parent().unwrap_or(&path);
        let config_of = nearest.entry(folder.to_owned()).or_insert_with(|| Search::from(folder).config);
        match config_of.as_ref().filter(|nearest| !is_named && **nearest != config.path) {
            Some(_) if is_foreign => {}
            Some(other) => governed.left_out.push(LeftOut { path: shown(&path), config: other.clone() }),
            None if is_foreign => governed.foreign.push(shown(&path)),
            None => own.extend(snapshot.map(|snapshot| (shown(&path), snapshot))),
        }
    }
    governed.files = each_in_threads(own, parsed, &mut |_, _| {}).into_iter().flatten().collect();
    Some(governed)
}

/// A file that has what every encrypted one has, for dotenv at the beginning of a line; without its bytes if it is of another syntax.
fn encrypted(path: PathBuf) -> Option<(PathBuf, Option<FileBytes>)> {
    // A link leads to a file that is tracked itself, or that is none of this repository's.
    path.symlink_metadata().ok().filter(|metadata| metadata.is_file())?;
    let snapshot = file::read_bytes(&path).ok()?;
    let text = snapshot.bytes.expose();
    let has = |field: &[u8]| text.split(|byte| *byte == b'\n').any(|line| line.starts_with(field));
    match detect(text)? {
        Syntax::Dotenv => (has(b"sops_mac=") && has(b"sops_version=")).then_some((path, Some(snapshot))),
        _ => Some((path, None)),
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
