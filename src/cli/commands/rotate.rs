//! `dotsops rotate`

use std::path::{Path, PathBuf};

use super::{file_or_default, many};
use crate::cli::departures::{consent_to_all_unnamed, of_rotating};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::cli::{Surroundings, working_directory};
use crate::config::Config;
use crate::keys::keyring::Keyring;
use crate::ops::change::{self, Original};
use crate::ops::departures;
use crate::ops::in_threads::all_in_threads;
use crate::ops::rotate::{self, Fact, Readers, Rotated};
use crate::sys::atomic_write::{self, Expected, ReadOnly};

/// Give files a new data key, and encrypt every value afresh
///
/// Nobody who kept an old data key can read what is written from now on. What was written before can still be read with it, in git's
/// history: a value that somebody should not know any more must be changed where it comes from.
///
/// All files are made and read back before the first one is replaced; then all of them are replaced, or none. If that is interrupted, the
/// next command that writes a file finishes it. A recipient that no rule of .sops.yaml names may have been
/// added by somebody without a key, and could read the file from now on: that is asked about, and refused where nobody can be asked.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dotsops rotate secrets.env\n  dotsops rotate --rm-age age1lggyhqrw… dev.env prod.env\n  dotsops rotate --all --dry-run"
)]
pub struct Arguments {
    /// The files; without any the nearest secrets.env or encrypted .env
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Every encrypted file that git tracks below the .sops.yaml
    #[arg(long, conflicts_with_all = ["files", "output"])]
    all: bool,

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

/// Makes all new files, and only then replaces the old ones.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let output = &surroundings.output;
    // What was interrupted may have been about the config too.
    left_behind::look_or_mention(arguments.dry_run, surroundings);
    let config = surroundings.config()?;
    let files = match (arguments.all, arguments.files.is_empty()) {
        (true, _) => tracked(config.as_ref(), surroundings)?,
        (false, true) => vec![file_or_default(None, surroundings)?],
        (false, false) => many::without_repetition(arguments.files),
    };
    if arguments.output.is_some() && files.len() > 1 {
        return Err(Failure::usage("-o takes one file", "without -o every file is replaced where it is"));
    }
    let readers = Readers { add: split(&arguments.add_age), remove: split(&arguments.rm_age) };
    surroundings.environment.state_folder().ok_or_else(Failure::no_home)?;
    let keyring = surroundings.environment.keyring_naming(&arguments.add_age);

    let opened = on_all("opened", files, surroundings, |path| open(path, config.as_ref(), &readers, &keyring))?;
    opened.iter().try_for_each(|file| of_rotating(&file.path, file.original.document.metadata(), surroundings))?;
    let unnamed: Vec<(&Path, &[String])> = opened.iter().map(|file| (file.path.as_path(), file.unnamed.as_slice())).collect();
    consent_to_all_unnamed(&unnamed, arguments.yes || arguments.dry_run, surroundings)?;
    let now = surroundings.now();
    let rotated = on_all("made", opened, surroundings, |Opened { path, original, .. }| {
        let rotated = rotate::rotate(original, &readers, &keyring, now);
        rotated.map_err(|error| Failure::rotate(&path, error, NOTHING, &keyring)).map(|rotated| (path, rotated))
    })?;
    for (path, rotated) in &rotated {
        tell(path, rotated, surroundings)?;
        if rotated.is_lost {
            // Who takes himself out should know it. If nobody asked for that, somebody else has changed who the readers are.
            if readers.remove.is_empty() && !arguments.yes {
                return Err(Failure::rotated_away(path));
            }
            output.warning(format_args!("none of your identities can read {} then", path.display()));
        }
    }

    match &arguments.output {
        _ if arguments.dry_run => {
            for (path, rotated) in &rotated {
                let recipients = if rotated.readers == 1 { "recipient" } else { "recipients" };
                output.note(format_args!("{} would get a new data key, for {} {recipients}", path.display(), rotated.readers));
            }
        }
        Some(target) => {
            for (_, rotated) in &rotated {
                if target == Path::new("-") {
                    output.secret(&rotated.bytes)?;
                } else {
                    super::refuse_to_replace_encrypted(target)?;
                    let result = atomic_write::replace(target, rotated.bytes.expose(), Expected::Whatever, ReadOnly::Refuse);
                    super::written(target, result, surroundings)?;
                }
            }
        }
        None => replace_all(rotated, surroundings)?,
    }
    Ok(ExitCode::Done)
}

/// What became of the files if one of them could not be made.
const NOTHING: &str = "no file was changed";

/// A file before its rotation.
struct Opened {
    path: PathBuf,
    original: Original,
    /// Recipients that no rule names and that nobody asked to add or to remove.
    unnamed: Vec<String>,
}

fn tracked(config: Option<&Config>, surroundings: &Surroundings) -> Result<Vec<PathBuf>, Failure> {
    let config = config.ok_or_else(|| Failure::no_rules(None))?;
    let files = many::tracked(config, &working_directory()?, surroundings)?;
    let files = files.into_iter().map(|file| file.map(|file| file.path)).collect::<Result<Vec<PathBuf>, Failure>>()?;
    if files.is_empty() {
        surroundings.output.note("git tracks no encrypted file here");
    }
    Ok(files)
}

/// Does `work` for all files, on all processors; the first failure is one of all.
fn on_all<T: Send, U: Send>(
    what: &str,
    files: Vec<T>,
    surroundings: &Surroundings,
    work: impl Fn(T) -> Result<U, Failure> + Sync,
) -> Result<Vec<U>, Failure> {
    let output = &surroundings.output;
    let done = all_in_threads(files, work, &mut |done, of| many::show_progress(what, done, of, output));
    output.progress(None);
    done
}

fn open(path: PathBuf, config: Option<&Config>, readers: &Readers, keyring: &Keyring) -> Result<Opened, Failure> {
    let original = change::open(&path, keyring).map_err(|error| Failure::change(&path, error, NOTHING, keyring))?;
    let absolute = std::path::absolute(&path)?;
    let mut unnamed = departures::unnamed_recipients(original.document.metadata(), config, &absolute)?;
    unnamed.retain(|recipient| !readers.add.contains(recipient) && !readers.remove.contains(recipient));
    Ok(Opened { path, original, unnamed })
}

fn replace_all(rotated: Vec<(PathBuf, Rotated)>, surroundings: &Surroundings) -> Result<(), Failure> {
    let paths: Vec<PathBuf> = rotated.iter().map(|(path, _)| path.clone()).collect();
    let planned = rotated.into_iter().map(|(path, rotated)| rotated.planned(&path)).collect();
    many::replace_all("rotate", planned, surroundings)?;
    let output = &surroundings.output;
    match paths.len() {
        0 => return Ok(()),
        many if many > MANY_NAMES => {
            output.note(format_args!("{many} files have a new data key, and every value a new ciphertext"))
        }
        _ => paths.iter().for_each(|path| {
            output.note(format_args!("{} has a new data key, and every value a new ciphertext", path.display()));
        }),
    }
    output.note("git's history can still be read with the old data key: change at its source what must not be known");
    Ok(())
}

/// More files than these are not named one by one.
const MANY_NAMES: usize = 20;

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
