//! `dotsops filestatus`

use std::path::PathBuf;

use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::document::NotADocument;
use crate::document::metadata::MetadataError;
use crate::ops::file::{self, FileError};
use crate::tree::{Key, Mapping};

/// Tell as JSON whether a file is encrypted; needs no key
///
/// Prints `{"encrypted":true}` or `{"encrypted":false}`, as sops does. Nothing is decrypted: that the values are whole, or encrypted at
/// all, is not said.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops filestatus secrets.env")]
pub struct Arguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Reads the file's metadata, and prints whether they have what makes a file an encrypted one.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let opened = file::read(&arguments.file, None)?;
    let has = |field: &str| opened.contents.metadata.as_ref().is_some_and(|metadata| has_text(metadata, field));
    // Only that there is a version counts here, whatever it says.
    let encrypted = has("version") && has("mac");
    let is_plain = !opened.is_encrypted();
    match opened.document() {
        Err(FileError::NotADocument { source: NotADocument::Metadata(MetadataError::Version), .. }) | Ok(_) => {}
        Err(_) if is_plain => {}
        Err(error) => return Err(error.into()),
    }
    surroundings.output.line(&format!("{{\"encrypted\":{encrypted}}}"))?;
    Ok(ExitCode::Done)
}

/// Source: getsops/sops `cmd/sops/subcommand/filestatus/filestatus.go`, v3.13.3.
fn has_text(metadata: &Mapping, field: &str) -> bool {
    let is_it = |key: &Key| key.as_bytes().eq_ignore_ascii_case(field.as_bytes());
    metadata.entries().any(|(key, value)| is_it(key) && value.as_text().is_some_and(|text| !text.is_empty()))
}
