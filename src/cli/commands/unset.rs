//! `dotsops unset`

use super::change::ChangeOptions;
use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;

/// Take names out of a file, with their values
///
/// A comment behind a value goes with its line; comments on lines of their own stay. Every line that defines the name goes. If one of
/// several names is not there, nothing is changed.
///
/// Exit code 1: there is no such name.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops unset DATABASE_URL\n  dotsops unset -f prod.env OLD_KEY OLDER_KEY")]
pub struct Arguments {
    /// The variables
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,

    /// A name that is not there is no error
    #[arg(long)]
    idempotent: bool,

    #[command(flatten)]
    options: ChangeOptions,
}

/// Takes all of them out, or none.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { keys, idempotent, options } = arguments;
    let opened = options.open(surroundings)?;
    let path = opened.path().display().to_string();
    if opened.change(|variables| variables.unset(&keys, idempotent))? {
        let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        surroundings
            .output
            .note(format_args!("{} {verb} not in {path} any more; git history still has the value", names.join(", ")));
    }
    Ok(ExitCode::Done)
}
