//! `dotsops set`

use std::io;

use super::change::ChangeOptions;
use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::secret::SecretString;
use crate::sys::hidden::ask_hidden;
use crate::sys::signals::die_by;
use crate::sys::terminal::{self, AskError};

/// Give one name a value
///
/// The value is asked for on the terminal, without being shown; or it is what is piped in, less one line break at its end. It may
/// have any characters and several lines: it is quoted so that a program sees exactly it.
///
/// A name that is there keeps its line, its `export` and its comment; a new one gets a line at the end. Nothing else in the file
/// changes. A value in the command line works too, but others may see it there.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops set LOG_LEVEL debug\n  dotsops set API_KEY\n  \
                        dotsops set -f prod.env TLS_KEY < key.pem")]
pub struct Arguments {
    /// The variable, without `export`
    #[arg(value_name = "KEY")]
    key: String,

    /// The value, better typed or piped in: here other users of this machine can see it, and the shell keeps it in its history
    #[arg(value_name = "VALUE")]
    value: Option<String>,

    #[command(flatten)]
    options: ChangeOptions,
}

/// The most bytes that Linux passes on in one variable, `NAME=` included.
const LONGEST_VARIABLE: usize = 131_071;

/// Opens the file, then asks for the value, so that nothing is typed for a file that stays shut.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { key, value, options } = arguments;
    let value = value.map(SecretString::from_string);
    let opened = options.open(surroundings)?;
    let value = match value {
        Some(value) => {
            if !value.is_empty() {
                surroundings.output.warning(
                    "a value in the command line can be seen by other users and is kept in the shell's history; leave it out to be asked",
                );
            }
            value
        }
        None if super::means_stdin(None, false) => piped()?,
        None => typed(&key)?,
    };
    if value.expose().contains('\0') {
        return Err(Failure::value_with_nul(&key));
    }
    let length = key.len() + "=".len() + value.len();
    if length > LONGEST_VARIABLE {
        surroundings.output.warning(format_args!(
            "`{key}` is stored, but no program can be given it: with its name it has {length} bytes, and Linux allows {LONGEST_VARIABLE}"
        ));
    }
    let path = opened.path().display().to_string();
    if opened.change(|variables| variables.set(&key, &value, false))? {
        surroundings.output.note(format_args!("`{key}` is set in {path}"));
    }
    Ok(ExitCode::Done)
}

/// Standard input, less one line break at its end.
fn piped() -> Result<SecretString, Failure> {
    let mut bytes = super::read_stdin()?;
    let text = bytes.expose();
    let without_end = text.strip_suffix(b"\n").map_or(text, |text| text.strip_suffix(b"\r").unwrap_or(text));
    let length = without_end.len();
    bytes.truncate(length);
    if bytes.is_empty() {
        return Err(Failure::no_value("standard input is empty"));
    }
    bytes.into_string().map_err(|error| Failure::value_not_text(error.offset))
}

/// What is typed at the terminal.
fn typed(key: &str) -> Result<SecretString, Failure> {
    match ask_hidden(&format!("Value of {key} (not shown): ")) {
        Ok(Some(value)) if !value.is_empty() => Ok(value),
        Ok(Some(_)) | Err(AskError::Ended) => Err(Failure::no_value("nothing was typed")),
        Ok(None) if terminal::is_terminal(io::stdin()) => Err(Failure::no_value("the terminal cannot be used")),
        Ok(None) => Err(Failure::no_value("there is no terminal to ask on, and nothing is piped in")),
        Err(AskError::Interrupted(signal)) => die_by(signal),
        Err(error) => Err(Failure::answer(&error)),
    }
}
