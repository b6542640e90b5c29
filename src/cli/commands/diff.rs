//! `dotsops diff`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::file_or_default;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::cli::people::People;
use crate::cli::{Surroundings, absolute, working_directory};
use crate::ops::diff::{Change, Compared, Version, compare, line};
use crate::ops::file::{self, MAX_FILE};
use crate::ops::git::Repository;
use crate::secret::SecretBytes;
use crate::tree::Item;

/// Compare two versions of a file, or two files, by name
///
/// One name alone is compared with its last commit. `HEAD~3:secrets.env` names an older version, as in git. Each version may be encrypted
/// or plaintext. What is said: names that are changed, added, removed, renamed; comments, the order of names, and who can read the file.
/// Values are shown only if that is asked for.
///
/// A version that stays shut is compared by its ciphertext, which is another one for the same value under another data key.
///
/// Exit code 0: they say the same. 1: they differ.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops diff .env secrets.env\n  dotsops diff\n  dotsops diff HEAD~3:secrets.env")]
pub struct Arguments {
    /// The file, or the older version; without it the nearest secrets.env or encrypted .env
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The newer version; without it FILE is that, and its last commit the older one
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,

    /// Show the lines that differ, with their values
    #[arg(long)]
    reveal: bool,
}

/// Prints a line for each difference.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let here = working_directory()?;
    let file = file_or_default(arguments.file, surroundings)?;
    left_behind::mention(surroundings);
    let sides = Sides { here: &here, repository: repository(&here, surroundings) };
    let (old, new) = match (arguments.other, object(&file)) {
        (Some(other), _) => (sides.read(&file)?, sides.read(&other)?),
        (None, Some((_, path))) => (sides.read(&file)?, sides.read(&sides.in_work_tree(path)?)?),
        (None, None) => {
            let new = sides.read(&file)?;
            (sides.committed(&file)?, new)
        }
    };
    let keyring = surroundings.environment.keyring();
    let read = |side: &Side, other: Option<&Version>| {
        Version::read(&side.name, &side.bytes, &keyring, other).map_err(|error| Failure::cannot_compare(&side.name, error))
    };
    let before = read(&old, None)?;
    let after = read(&new, Some(&before))?;
    let (compared, changes) = compare(&before, &after);
    for (side, version) in [(&old, &before), (&new, &after)] {
        if matches!(version, Version::Shut(_)) {
            let what = match compared {
                Compared::Names => "only names are compared",
                _ => "ciphertext is compared, which is another one for the same value under another data key",
            };
            surroundings.output.warning(format_args!("no identity of yours opens {}: {what}", side.name.display()));
        }
    }
    let may_reveal = arguments.reveal && compared == Compared::Values;
    let people = surroundings.config_to_compare()?.as_ref().map(People::of).unwrap_or_default();
    for change in &changes {
        say(change, may_reveal, &people, surroundings)?;
    }
    Ok(if changes.is_empty() { ExitCode::Done } else { ExitCode::No })
}

fn say(change: &Change<'_>, may_reveal: bool, people: &People, surroundings: &Surroundings) -> Result<(), Failure> {
    let (word, what, before, after): (&str, String, &[&Item], &[&Item]) = match change {
        Change::Changed(name, before, after) => ("changed", name.clone(), before, after),
        Change::Added(name, after) => ("added", name.clone(), &[], after),
        Change::Removed(name, before) => ("removed", name.clone(), before, &[]),
        Change::Renamed(old, new) => ("renamed", format!("{old} -> {new}"), &[], &[]),
        Change::Order => ("order", "the names stand in another order".to_owned(), &[], &[]),
        Change::Comments(before, after) => {
            ("comments", format!("{} added, {} removed", after.len(), before.len()), before, after)
        }
        Change::Joined(kind, recipient) => ("joined", people.whole(*kind, recipient), &[], &[]),
        Change::Left(kind, recipient) => ("left", people.whole(*kind, recipient), &[], &[]),
        Change::Groups => ("groups", "there are other key groups, or another number of them is needed".to_owned(), &[], &[]),
        Change::Rule => ("rule", "which values are encrypted, or covered by the MAC, is said otherwise".to_owned(), &[], &[]),
    };
    surroundings.output.line(&format!("{word:<9}{what}"))?;
    for (sign, items) in [("  - ", before), ("  + ", after)].into_iter().filter(|_| may_reveal) {
        for item in items {
            let mut shown = SecretBytes::copy_of(sign.as_bytes());
            shown.push(line(item)?.expose());
            surroundings.output.secret(&shown)?;
        }
    }
    Ok(())
}

/// One version, and what messages call it.
struct Side {
    name: PathBuf,
    bytes: SecretBytes,
}

/// Where versions come from.
struct Sides<'a> {
    here: &'a Path,
    repository: Option<Repository>,
}

impl Sides<'_> {
    fn read(&self, name: &Path) -> Result<Side, Failure> {
        match object(name) {
            None => Ok(Side { name: name.to_owned(), bytes: file::read_bytes(name)?.bytes }),
            Some((revision, path)) => {
                let object = match is_relative(path) {
                    true => self.repository()?.object(revision, &self.here.join(path)),
                    false => Some(name.as_os_str().to_owned()),
                };
                self.of_git(name, object)
            }
        }
    }

    /// What the last commit has of `file`.
    fn committed(&self, file: &Path) -> Result<Side, Failure> {
        let object = self.repository()?.object("HEAD".as_ref(), &absolute(file)?);
        let name = object.clone().unwrap_or_else(|| file.as_os_str().to_owned());
        self.of_git(Path::new(&name), object)
    }

    fn of_git(&self, name: &Path, object: Option<OsString>) -> Result<Side, Failure> {
        let bytes = object.and_then(|object| self.repository.as_ref()?.file_at(&object, MAX_FILE));
        match bytes {
            Some(bytes) => Ok(Side { name: name.to_owned(), bytes }),
            None => Err(Failure::not_in_git(name, self.repository()?.root())),
        }
    }

    /// The file in the work tree that git calls `path`.
    fn in_work_tree(&self, path: &Path) -> Result<PathBuf, Failure> {
        let file = if is_relative(path) { self.here.join(path) } else { self.repository()?.root().join(path) };
        Ok(file.strip_prefix(self.here).map(Path::to_owned).unwrap_or(file))
    }

    fn repository(&self) -> Result<&Repository, Failure> {
        self.repository.as_ref().ok_or_else(|| Failure::nothing_to_compare_with(self.here))
    }
}

fn repository(here: &Path, surroundings: &Surroundings) -> Option<Repository> {
    Repository::find(here, surroundings.environment.git()?)
}

/// Revision and path of `name`, if it is git's name of a version: a file of that name comes first.
fn object(name: &Path) -> Option<(&OsStr, &Path)> {
    let bytes = name.as_os_str().as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':').filter(|_| !name.exists())?;
    Some((OsStr::from_bytes(&bytes[..colon]), Path::new(OsStr::from_bytes(&bytes[colon + 1..]))))
}

/// To git, as to us, such a path counts from the working directory, any other from the top of the work tree.
fn is_relative(path: &Path) -> bool {
    path.starts_with(".") || path.starts_with("..")
}
