//! What the commands share that change many files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::cli::Surroundings;
use crate::cli::failure::{Failure, listed};
use crate::cli::output::Output;
use crate::config::Config;
use crate::ops::change::Durability;
use crate::ops::file::OpenedFile;
use crate::ops::git::Repository;
use crate::ops::governed::governed;
use crate::ops::journal::{self, Planned};
use crate::sys::file_lock::file_id;
use crate::sys::signals::{DeathSignals, die_by};

/// From how many files on it is shown how far the work is.
const MANY: usize = 20;

/// How many characters the bar has that shows it.
const BAR: usize = 20;

/// Every encrypted file that git tracks and `config` governs; what another config governs is said.
pub fn tracked(config: &Config, here: &Path, surroundings: &Surroundings) -> Result<Vec<Result<OpenedFile, Failure>>, Failure> {
    let git = surroundings.environment.git();
    let repository = git.and_then(|git| Repository::find(here, git)).ok_or_else(|| Failure::no_repository(here))?;
    let output = &surroundings.output;
    let mut progress = |done, of| show_progress("looked at", done, of, output);
    let found = governed(&repository, config, surroundings.named_config.is_some(), here, &mut progress);
    output.progress(None);
    let found = found.ok_or_else(|| Failure::no_repository(here))?;
    for left in &found.left_out {
        output.note(format_args!("{} is left out: it has its own {}", left.path.display(), left.config.display()));
    }
    let names = |paths: &[PathBuf]| listed(&paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>());
    if !found.foreign.is_empty() {
        output.warning(format_args!(
            "not dotenv, so left as they are, and whoever reads them still does: {}; `sops` changes them",
            names(&found.foreign)
        ));
    }
    if !found.absent.is_empty() {
        output.warning(format_args!(
            "tracked by git, but not here, so left as they are, and whoever reads them still does: {}",
            names(&found.absent)
        ));
    }
    Ok(found.files.into_iter().map(|file| file.map_err(Failure::from)).collect())
}

/// Replaces all of `files` or none, on behalf of `verb`.
pub fn replace_all(verb: &str, files: Vec<Planned>, surroundings: &Surroundings) -> Result<(), Failure> {
    let (state, output) = (surroundings.environment.state_folder(), &surroundings.output);
    let count = files.len();
    let mut progress = |done, of| show_progress("replaced", done, of, output);
    // What takes a moment is not left half done for a Ctrl-C.
    let signals = DeathSignals::catch().ok();
    let replaced = journal::replace_all(state.as_deref(), verb, files, &mut progress);
    output.progress(None);
    let durability = replaced.map_err(Failure::journal)?;
    if let Some(signal) = signals.as_ref().and_then(DeathSignals::pending) {
        output.note(format_args!("interrupted, but `dotsops {verb}` was done by then: {count} files are replaced"));
        die_by(signal);
    }
    match (durability, count) {
        (Durability::Durable, _) => {}
        (Durability::NotConfirmed, 1) => output.warning(super::NOT_DURABLE),
        (Durability::NotConfirmed, _) => {
            output.warning("the system did not confirm that the files would survive a power cut now");
        }
    }
    Ok(())
}

/// A file named twice, under whatever name, counts once.
pub fn without_repetition(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    files.into_iter().filter(|file| file_id(file).map_or(true, |id| seen.insert(id))).collect()
}

/// Shows how far work on many files is.
pub fn show_progress(what: &str, done: usize, count: usize, output: &Output) {
    if count >= MANY {
        let filled = done * BAR / count;
        output.progress(Some(format_args!("[{:<BAR$}] {done} of {count} files {what}", "#".repeat(filled))));
    }
}
