//! `dotsops merge`

use std::path::{Path, PathBuf};

use super::written;
use crate::cli::Surroundings;
use crate::cli::departures::of_reading;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::format::{detect, has_tokens};
use crate::ops::departures;
use crate::ops::file;
use crate::ops::git;
use crate::ops::merge::{self, Documents, Versions};
use crate::secret::SecretBytes;
use crate::sys::atomic_write::{self, Expected, ReadOnly};

/// Merge two versions of an encrypted file by name; git runs it
///
/// What one side changed is taken: values, names, comments, order, and who can read the file. Values that nobody changed keep their
/// ciphertext. Where both sides changed one name, each in its own way, the file gets both values, encrypted, as lines that begin with
/// `#!dotsops`, which `dotsops edit` shows and does not save until they are resolved.
///
/// `dotsops init` tells git to run this. The result takes the place of OURS. Where no version is encrypted, git merges lines as ever.
///
/// Exit code 1: there are conflicts. 129: nothing was merged.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops merge base.env ours.env theirs.env")]
pub struct Arguments {
    /// The version that both began with; an empty file if there was none
    #[arg(value_name = "BASE")]
    base: PathBuf,

    /// Our version, and where the result goes
    #[arg(value_name = "OURS")]
    ours: PathBuf,

    /// Their version
    #[arg(value_name = "THEIRS")]
    theirs: PathBuf,

    /// What the file is called in the repository; without it as OURS
    #[arg(value_name = "PATH", allow_hyphen_values = true)]
    path: Option<PathBuf>,
}

/// Merges, and says what nobody but a person can decide.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { base: base_path, ours: ours_path, theirs: theirs_path, path } = arguments;
    let path = path.as_deref().unwrap_or(&ours_path);
    left_behind::look_for_edits(surroundings);
    let paths = [&base_path, &ours_path, &theirs_path];
    let [base, ours, theirs] = paths.map(|version| file::read_bytes(version).map(|read| read.bytes));
    let (base, ours, theirs) = (base?, ours?, theirs?);
    if let Some(git) = git_for_plaintext([&base, &ours, &theirs], surroundings) {
        let is_merged = git::merge_lines(&git, &base_path, &ours_path, &theirs_path);
        let is_merged = is_merged.map_err(|error| Failure::plaintext_not_merged(path, &error))?;
        return Ok(if is_merged { ExitCode::Done } else { ExitCode::No });
    }
    let keyring = surroundings.environment.keyring();
    let versions =
        Versions { base: Some(base.expose()).filter(|base| !base.is_empty()), ours: ours.expose(), theirs: theirs.expose() };
    let (documents, format) =
        Documents::open(path, &versions, &keyring).map_err(|error| Failure::version(path, error, &keyring))?;
    for document in [&documents.ours, &documents.theirs] {
        if document.clear_comments > 0 {
            surroundings.finding(super::clear_comments(document.clear_comments))?;
        }
    }
    if documents.clear_marks > 0 {
        surroundings.finding(super::clear_marks(documents.clear_marks))?;
    }
    of_reading(path, documents.ours.metadata(), surroundings)?;
    let (config, absolute) = (surroundings.config()?, std::path::absolute(path)?);
    let mut unnamed = Vec::new();
    for document in [&documents.ours, &documents.theirs] {
        unnamed.extend(departures::unnamed_recipients(document.metadata(), config.as_ref(), &absolute)?);
    }
    let merged = merge::merge(documents, &ours, format, &keyring, &unnamed, surroundings.now())
        .map_err(|error| Failure::merge(path, error))?;
    let result = atomic_write::replace(&ours_path, merged.bytes.expose(), Expected::Bytes(ours.expose()), ReadOnly::Refuse);
    written(&ours_path, result, surroundings)?;
    match merged.conflicts.as_slice() {
        [] => Ok(ExitCode::Done),
        names => {
            say_conflicts(path, names, surroundings);
            Ok(ExitCode::No)
        }
    }
}

/// git itself, if no version is encrypted: the attribute that leads git to us is for whole kinds of files, and some may be meant to be
/// plaintext.
fn git_for_plaintext(versions: [&SecretBytes; 3], surroundings: &Surroundings) -> Option<PathBuf> {
    let is_plaintext = |version: &&SecretBytes| detect(version.expose()).is_none() && !has_tokens(version.expose());
    surroundings.environment.git().filter(|_| versions.iter().all(is_plaintext))
}

fn say_conflicts(path: &Path, names: &[String], surroundings: &Surroundings) {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    surroundings.output.warning(format_args!(
        "{}: both sides changed {}; `dotsops edit {}` shows both values",
        path.display(),
        names.join(", "),
        path.display()
    ));
}
