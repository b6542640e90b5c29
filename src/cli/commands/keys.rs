//! `dotsops keys`

use std::path::PathBuf;

use super::file_or_default;
use crate::cli::Surroundings;
use crate::cli::departures;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::ops::file;

/// List the names in a file; needs no key
///
/// Names are not encrypted, so anybody who has the file can read them.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops keys secrets.env")]
pub struct Arguments {
    /// The file; without it the nearest secrets.env or encrypted .env
    #[arg(value_name = "FILE", conflicts_with = "file_option")]
    file: Option<PathBuf>,

    /// The same as FILE, as with the commands about one name
    #[arg(short = 'f', long = "file", value_name = "FILE", id = "file_option")]
    file_option: Option<PathBuf>,
}

/// Prints each name once, in file order.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let path = file_or_default(arguments.file.or(arguments.file_option), surroundings)?;
    left_behind::mention(surroundings);
    let opened = file::read(&path, None)?;
    if !opened.is_encrypted() {
        surroundings.finding(format_args!("{} is not encrypted", path.display()))?;
    }
    departures::say_duplicates(&path, &opened.contents.tree, surroundings)?;
    let mut seen = std::collections::HashSet::new();
    for (key, _) in opened.contents.tree.documents.iter().flat_map(|document| document.entries()) {
        let name = file::variable_name(key);
        if seen.insert(name.clone()) {
            surroundings.output.line(&name)?;
        }
    }
    Ok(ExitCode::Done)
}
