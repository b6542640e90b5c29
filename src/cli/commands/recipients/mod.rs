//! `dotsops recipients`

mod add;
mod list;
mod remove;
mod work;

use std::path::{Path, PathBuf};

use super::{file_or_default, many};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, listed};
use crate::cli::{Surroundings, absolute, working_directory};
use crate::config::{Config, Search};
use crate::format::detect;
use crate::ops::file::{self, OpenedFile};
use crate::ops::git::Repository;
use crate::sys::file_lock::file_id;

/// Show who can read the files, let somebody in, or put somebody out
///
/// Who is who stands in .sops.yaml, as a comment behind each key. Whoever was let in by `add` reads every file that the rule is for, and
/// whoever was put out by `remove` reads none of what is written from then on.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  dotsops recipients list\n  dotsops recipients add alice age1…\n  dotsops recipients remove alice"
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    List(list::Arguments),
    Add(add::Arguments),
    Remove(remove::Arguments),
}

/// Shows or changes who can read the files.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::List(arguments) => list::run(arguments, surroundings),
        Action::Add(arguments) => add::run(arguments, surroundings),
        Action::Remove(arguments) => remove::run(arguments, surroundings),
    }
}

/// Every encrypted file that git tracks and `config` governs, also the one that is meant if none is named, if git does not track that
/// yet; where there is no git, that one alone. `named` is among them too.
fn governed(
    config: &Config,
    named: Option<&Path>,
    surroundings: &Surroundings,
) -> Result<Vec<Result<OpenedFile, Failure>>, Failure> {
    let here = working_directory()?;
    let is_tracked = surroundings.environment.git().and_then(|git| Repository::find(&here, git)).is_some();
    // Others than the one file would be left as they are, and nobody would know.
    if !is_tracked && here.ancestors().any(|folder| folder.join(".git").exists()) {
        return Err(Failure::no_repository(&here));
    }
    let mut files = match is_tracked {
        true => many::tracked(config, &here, surroundings)?,
        false => Vec::new(),
    };
    let known = |path: &Path, files: &[Result<OpenedFile, Failure>]| {
        let known = |file: &OpenedFile| matches!((file_id(&file.path), file_id(path)), (Ok(one), Ok(other)) if one == other);
        files.iter().flatten().any(known)
    };
    let usual = file_or_default(None, surroundings).ok().filter(|usual| {
        // A plaintext is not meant, nor what another config governs.
        let folder = absolute(usual).ok().and_then(|path| path.parent().map(Path::to_owned));
        let is_nearest = |folder: PathBuf| Search::from(&folder).config.is_none_or(|nearest| nearest == config.path);
        // A config that was named is meant for all of them.
        let is_ours = || surroundings.named_config.is_some() || folder.is_some_and(is_nearest);
        file::read_bytes(usual).is_ok_and(|file| detect(file.bytes.expose()).is_some()) && is_ours()
    });
    for path in [usual.as_deref(), named.filter(|named| named.exists())].into_iter().flatten() {
        if !known(path, &files) {
            files.push(file::read(path, None).map_err(Failure::from));
        }
    }
    Ok(files)
}

fn named_files(paths: &[&Path]) -> String {
    listed(&paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())
}
