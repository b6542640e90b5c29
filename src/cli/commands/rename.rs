//! `dotsops rename`

use super::change::ChangeOptions;
use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;

/// Give a variable another name
///
/// Its value, place, `export` and comment stay. A name is part of what its value is encrypted with, so the value gets a new
/// ciphertext. Values that refer to the old name by `${NAME}` are not changed; their lines are named.
///
/// Exit code 1: there is no such name.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops rename DATABASE_URL DB_URL\n  dotsops rename -f prod.env DB DATABASE_URL")]
pub struct Arguments {
    /// The variable, without `export`
    #[arg(value_name = "OLD")]
    old: String,

    /// Its new name, which must not be there yet
    #[arg(value_name = "NEW")]
    new: String,

    #[command(flatten)]
    options: ChangeOptions,
}

/// Renames it in its place.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { old, new, options } = arguments;
    let opened = options.open(surroundings)?;
    let path = opened.path().display().to_string();
    if opened.change(|variables| variables.rename(&old, &new))? {
        surroundings.output.note(format_args!("`{old}` is called `{new}` in {path}"));
    }
    Ok(ExitCode::Done)
}
