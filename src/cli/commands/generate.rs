//! `dotsops generate`

use super::change::ChangeOptions;
use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::ops::generate::{self, LONGEST, SHORTEST, Shape};

/// Give a name a fresh random value without showing it
///
/// The value is 32 random bytes, written as base64url without padding: 43 characters. A name that is there is left alone unless
/// --replace is given.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops generate SESSION_KEY\n  dotsops generate --replace --hex --length 16 SESSION_KEY")]
pub struct Arguments {
    /// The variable, without `export`
    #[arg(value_name = "KEY")]
    key: String,

    /// How many random bytes, 16 to 4096
    #[arg(long, value_name = "BYTES", default_value_t = 32, value_parser = length)]
    length: usize,

    /// Write them as hexadecimal digits
    #[arg(long, conflicts_with = "alphanumeric")]
    hex: bool,

    /// Use letters and digits alone, as many as are as hard to guess
    #[arg(long)]
    alphanumeric: bool,

    /// Replace the value of a name that is there
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    options: ChangeOptions,
}

/// Makes the value and sets it.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { key, length, hex, alphanumeric, replace, options } = arguments;
    let shape = match (hex, alphanumeric) {
        (true, _) => Shape::Hexadecimal,
        (_, true) => Shape::Alphanumeric,
        _ => Shape::Base64Url,
    };
    let opened = options.open(surroundings)?;
    let secret = generate::secret(length, shape).map_err(|error| Failure::from(std::io::Error::from(error)))?;
    let path = opened.path().display().to_string();
    if opened.change(|variables| variables.set(&key, &secret, !replace))? {
        surroundings.output.note(format_args!("`{key}` has a fresh random value in {path}: {} characters", secret.len()));
    }
    Ok(ExitCode::Done)
}

fn length(text: &str) -> Result<usize, String> {
    let length: Option<usize> = text.parse().ok().filter(|length| (SHORTEST..=LONGEST).contains(length));
    length.ok_or_else(|| format!("it must be a number from {SHORTEST} to {LONGEST}"))
}
