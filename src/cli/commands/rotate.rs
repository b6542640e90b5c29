//! `dotsops rotate`

use std::path::{Path, PathBuf};

use super::file_or_default;
use crate::cli::Surroundings;
use crate::cli::departures::consent_to_unnamed;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::keys::keyring::Keyring;
use crate::ops::change::{self, Durability};
use crate::ops::departures;
use crate::ops::rotate::{self, Fact, Readers, Rotated};
use crate::sys::atomic_write::{self, Expected, ReadOnly};
use crate::sys::file_lock::{FileLock, file_id};

/// Give files a new data key, and encrypt every value afresh
///
/// Nobody who kept an old data key can read what is written from now on. What was written before can still be read with it, in git's
/// history: a value that somebody should not know any more must be changed where it comes from.
///
/// All files are prepared and read back before the first one is replaced. A recipient that no rule of .sops.yaml names may have been
/// added by somebody without a key, and could read the file from now on: that is asked about, and refused where nobody can be asked.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops rotate secrets.env\n  dotsops rotate --rm-age age1lggyhqrw… dev.env prod.env")]
pub struct Arguments {
    /// The files; without any the nearest secrets.env or encrypted .env
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Let these age recipients or SSH public keys read the files too (separated by commas; repeatable)
    #[arg(long, value_name = "RECIPIENT")]
    add_age: Vec<String>,

    /// Let these read the files no more (separated by commas; repeatable)
    #[arg(long, value_name = "RECIPIENT")]
    rm_age: Vec<String>,

    /// Replace the files; that is what happens anyway, and as with sops
    #[arg(long, short, conflicts_with = "output")]
    in_place: bool,

    /// Write the result to OUTPUT, `-` for standard output, and leave the file as it is
    #[arg(long, short, value_name = "OUTPUT")]
    output: Option<PathBuf>,

    /// Go on although a file has recipients that no rule names, or you are none of its recipients
    #[arg(long, short)]
    yes: bool,

    /// Say what would be done, and do nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// Prepares all files, then replaces them one by one.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let output = &surroundings.output;
    let files = match arguments.files.is_empty() {
        true => vec![file_or_default(None, surroundings)?],
        false => without_repetition(arguments.files),
    };
    if arguments.output.is_some() && files.len() > 1 {
        return Err(Failure::usage("-o takes one file", "without -o every file is replaced where it is"));
    }
    let readers = Readers { add: split(&arguments.add_age), remove: split(&arguments.rm_age) };
    let config = surroundings.config()?;
    let state = surroundings.environment.state_folder().ok_or_else(Failure::no_home)?;
    let keyring = surroundings.environment.keyring();

    left_behind::look(surroundings);
    let mut prepared = Vec::new();
    for path in files {
        let lock = FileLock::acquire(&state, &path).map_err(|error| Failure::lock(&path, &error))?;
        let original = change::open(&path, &keyring).map_err(|error| Failure::change(&path, error, NOTHING, &keyring))?;
        let mut unnamed =
            departures::unnamed_recipients(original.document.metadata(), config.as_ref(), &std::path::absolute(&path)?)?;
        unnamed.retain(|recipient| !readers.add.contains(recipient) && !readers.remove.contains(recipient));
        if !unnamed.is_empty() {
            consent_to_unnamed(&path, &unnamed, arguments.yes || arguments.dry_run, surroundings)?;
        }
        let rotated = rotate::rotate(original, &readers, &keyring, surroundings.now())
            .map_err(|error| Failure::rotate(&path, error, NOTHING, &keyring))?;
        tell(&path, &rotated, surroundings)?;
        if rotated.is_lost {
            // Who takes himself out should know it. If nobody asked for that, somebody else has changed who the readers are.
            if readers.remove.is_empty() && !arguments.yes {
                return Err(Failure::rotated_away(&path));
            }
            output.warning(format_args!("none of your identities can read {} then", path.display()));
        }
        prepared.push((path, rotated, lock));
    }

    match &arguments.output {
        _ if arguments.dry_run => {
            for (path, rotated, _) in &prepared {
                let count = rotated.readers;
                output.note(format_args!("{} would get a new data key, for {count} recipients", path.display()));
            }
        }
        Some(target) => {
            for (_, rotated, _) in &prepared {
                if target == Path::new("-") {
                    output.secret(&rotated.bytes)?;
                } else {
                    super::refuse_to_replace_encrypted(target)?;
                    let result = atomic_write::replace(target, rotated.bytes.expose(), Expected::Whatever, ReadOnly::Refuse);
                    super::written(target, result, surroundings)?;
                }
            }
        }
        None => replace_all(&prepared, &keyring, surroundings)?,
    }
    Ok(ExitCode::Done)
}

/// What became of the files if one of them could not be prepared.
const NOTHING: &str = "no file was changed";

fn replace_all(prepared: &[(PathBuf, Rotated, FileLock)], keyring: &Keyring, surroundings: &Surroundings) -> Result<(), Failure> {
    for (at, (path, rotated, _)) in prepared.iter().enumerate() {
        let shown = path.display();
        let kept = match at {
            0 => NOTHING.to_owned(),
            done => format!("{done} of {} files are rotated already; run it again for the others", prepared.len()),
        };
        match rotated.replace(path).map_err(|error| Failure::change(path, error, &kept, keyring))? {
            Durability::Durable => {}
            Durability::NotConfirmed => {
                surroundings.output.warning(super::NOT_DURABLE);
            }
        }
        surroundings.output.note(format_args!("{shown} has a new data key, and every value a new ciphertext"));
    }
    surroundings
        .output
        .note("git's history can still be read with the old data key: change at its source what must not be known");
    Ok(())
}

fn tell(path: &Path, rotated: &Rotated, surroundings: &Surroundings) -> Result<(), Failure> {
    let (output, path) = (&surroundings.output, path.display());
    for fact in &rotated.facts {
        match fact {
            Fact::Present(recipient) => output.note(format_args!("{recipient} can read {path} already")),
            Fact::Absent(recipient) => {
                output.warning(format_args!("{recipient} is no recipient of {path}, so nothing was taken away"))
            }
            Fact::Duplicates(names) => {
                surroundings.finding(format_args!("{path} defines some names several times: {}", names.join(", ")))?;
            }
            Fact::ClearComments(count) => surroundings.finding(super::clear_comments(*count))?,
            Fact::ClearMarks(count) => surroundings.finding(super::clear_marks(*count))?,
            Fact::WeakLinks(weak) => super::say_weak(weak, surroundings),
        }
    }
    Ok(())
}

fn split(lists: &[String]) -> Vec<String> {
    let pieces = lists.iter().flat_map(|list| list.split(','));
    pieces.map(|piece| piece.trim().to_owned()).filter(|piece| !piece.is_empty()).collect()
}

/// A file named twice, under whatever name, counts once: two locks on it would exclude each other.
fn without_repetition(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = std::collections::HashSet::new();
    files.into_iter().filter(|file| file_id(file).map_or(true, |id| seen.insert(id))).collect()
}
