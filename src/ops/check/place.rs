//! Where files are looked at: as they stand in the work tree, or as the next commit would have them.
//!
//! Its one invariant: what belongs together — files, rules, examples — comes from the same of the two, as far as git has it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, FILE_NAME, IGNORED_NAME, Search};
use crate::ops::edit::example::NotUsed;
use crate::ops::file::{self, FileError, MAX_FILE};
use crate::ops::git::index::Index;
use crate::secret::SecretBytes;
use crate::sys::regular_file::read_regular;

/// One of the two.
pub enum Place {
    /// The files as they are.
    WorkTree,
    /// What is staged.
    Index(Box<Index>),
}

impl Place {
    /// The bytes of the file `path`, which is absolute; `None` if nothing of it is to be committed.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn read(&self, path: &Path) -> Result<Option<SecretBytes>, FileError> {
        match self {
            Self::WorkTree => file::read_bytes(path).map(|read| Some(read.bytes.shared())),
            Self::Index(index) => Ok(index.read(path, MAX_FILE).map(SecretBytes::shared)),
        }
    }

    /// The example `path`, if it is there.
    pub(super) fn example(&self, path: &Path, limit: u64) -> Option<Result<SecretBytes, NotUsed>> {
        match self {
            Self::Index(index) if index.has(path) => index.read(path, limit).map(Ok),
            Self::Index(_) => None,
            Self::WorkTree if path.is_symlink() => Some(Err(NotUsed::Link)),
            Self::WorkTree if path.symlink_metadata().is_err() => None,
            Self::WorkTree => Some(read_regular(path, limit).map(|read| read.bytes).map_err(NotUsed::Read)),
        }
    }

    fn config(&self, path: &Path) -> Result<Config, ConfigError> {
        let staged = match self {
            Self::WorkTree => None,
            Self::Index(index) => index.read(path, MAX_FILE),
        };
        match staged.map(|bytes| String::from_utf8(bytes.expose().to_vec())) {
            Some(Ok(text)) => Config::parse(path, &text),
            Some(Err(error)) => Err(ConfigError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() }),
            None => Config::load(path),
        }
    }

    /// The nearest rules of a folder: the staged ones count before those that only lie there.
    fn search(&self, folder: &Path) -> Search {
        let Self::Index(index) = self else { return Search::from(folder) };
        let mut found = Search::default();
        for folder in folder.ancestors() {
            let has = |name: &str| index.has(&folder.join(name)) || folder.join(name).exists();
            if has(FILE_NAME) {
                found.config = Some(folder.join(FILE_NAME));
                break;
            }
            if found.ignored.is_none() && has(IGNORED_NAME) {
                found.ignored = Some(folder.join(IGNORED_NAME));
            }
        }
        found
    }
}

/// The rules of folders, each read once.
pub struct Rules<'a> {
    place: &'a Place,
    named: Option<&'a Path>,
    folders: HashMap<PathBuf, Option<PathBuf>>,
    configs: HashMap<PathBuf, Config>,
    /// Each `.sops.yml` that was passed, which nobody reads.
    pub ignored: Vec<PathBuf>,
}

impl<'a> Rules<'a> {
    /// Those of `place`; `named` counts for every file.
    pub fn of(place: &'a Place, named: Option<&'a Path>) -> Self {
        Self { place, named, folders: HashMap::new(), configs: HashMap::new(), ignored: Vec::new() }
    }

    /// The rules for the files in `folder`.
    ///
    /// # Errors
    /// [`ConfigError`] if they cannot be used.
    pub fn nearest(&mut self, folder: &Path) -> Result<Option<&Config>, ConfigError> {
        let path = match (self.named, self.folders.get(folder)) {
            (Some(named), _) => Some(named.to_owned()),
            (None, Some(known)) => known.clone(),
            (None, None) => {
                let found = self.place.search(folder);
                if let Some(ignored) = found.ignored.filter(|ignored| !self.ignored.contains(ignored)) {
                    self.ignored.push(ignored);
                }
                self.folders.insert(folder.to_owned(), found.config.clone());
                found.config
            }
        };
        let Some(path) = path else { return Ok(None) };
        if !self.configs.contains_key(&path) {
            let config = self.place.config(&path)?;
            self.configs.insert(path.clone(), config);
        }
        Ok(self.configs.get(&path))
    }

    /// All that were asked for, in the order of their paths.
    pub fn all(&self) -> Vec<&Config> {
        let mut configs: Vec<&Config> = self.configs.values().collect();
        configs.sort_by_key(|config| &config.path);
        configs
    }
}
