//! `dotsops get`

use std::path::PathBuf;

use super::file_or_default;
use crate::cli::Surroundings;
use crate::cli::departures;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::ops::file;
use crate::ops::merge::marks::undecided;
use crate::ops::variable::{Notice, Variables};

/// Print the value of one name
///
/// The value is what python-dotenv's `dotenv run` would give to a program: quotes removed, `${NAME}` replaced. Into a pipe or file it
/// goes as it is, with nothing behind it; on a terminal control characters are escaped and a line break follows.
///
/// Exit code 1: there is no such name, or it has no value.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops get DATABASE_URL\n  dotsops get -f prod.env TLS_KEY | openssl pkey -noout")]
pub struct Arguments {
    /// The variable
    #[arg(value_name = "KEY")]
    key: String,

    /// The file; without it the nearest secrets.env or encrypted .env
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print the value as it is stored, and as sops would: with its quotes and comment, nothing replaced
    #[arg(long)]
    literal: bool,
}

/// Prints the value; nothing is printed before every value and the MAC of the file have been checked.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { key, file, literal } = arguments;
    let path = file_or_default(file, surroundings)?;
    let keyring = surroundings.environment.keyring();
    left_behind::mention(surroundings);
    let opened = file::read(&path, None)?;
    let format = opened.format;
    let document = opened.document()?.open(&keyring).map_err(|error| Failure::cannot_open(&path, &error, &keyring))?;
    departures::of_reading(&path, document.metadata(), surroundings)?;
    if undecided(&document).contains(&key) {
        return Err(Failure::undecided(&path, &key));
    }
    departures::say_undecided(&path, &document, surroundings)?;
    let failure = |error| Failure::variable(&path, error, &keyring);
    let variables = Variables::of(&document, format).map_err(failure)?;
    if literal {
        surroundings.output.value(&variables.literal(&key).map_err(failure)?)?;
        return Ok(ExitCode::Done);
    }
    let found = variables.value(&key, &|name| surroundings.environment.value(name)).map_err(failure)?;
    for notice in &found.notices {
        surroundings.finding(told(&key, notice))?;
    }
    surroundings.output.value(&found.value.into_bytes())?;
    Ok(ExitCode::Done)
}

fn told(key: &str, notice: &Notice) -> String {
    match notice {
        Notice::Duplicate { lines } => {
            let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
            format!("`{key}` is defined several times, and the last counts: lines {}", lines.join(", "))
        }
        Notice::BareLineBreak => format!(
            "`{key}` holds a line break without quotes: sops exec-env gives a line break, python-dotenv a backslash and an n; \
             `dotsops set {key}` stores it so that both see a line break"
        ),
    }
}
