//! `dotsops decrypt`

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::file_or_default;
use crate::cli::Surroundings;
use crate::cli::departures;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::document::EncryptedDocument;
use crate::document::access::KeyPath;
use crate::format::{Syntax, dotenv};
use crate::ops::file::{self, FileError};
use crate::sys::atomic_write::{self, Expected, ReadOnly};

/// Print the plaintext of a file
///
/// Most uses are better served by `dotsops exec`, which leaves no plaintext anywhere. A plaintext file made with -o is readable
/// by you alone. Nothing is printed or written before every value and the MAC of the file have been checked.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops decrypt secrets.env\n  dotsops decrypt < secrets.env\n  \
                        dotsops decrypt -o /dev/shm/plain.env secrets.env\n  dotsops decrypt --extract '[\"API_KEY\"]' secrets.env")]
pub struct Arguments {
    /// The file; `-` is standard input. Without it standard input if something is piped in, else the nearest secrets.env or
    /// encrypted .env
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Replace the encrypted file by its plaintext
    #[arg(long, short, conflicts_with = "output")]
    in_place: bool,

    /// Write the plaintext to FILE (mode 0600)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print one value alone, as it is stored and without a line break; as with sops, PATH is `["KEY"]`
    #[arg(long, value_name = "PATH", conflicts_with = "in_place")]
    extract: Option<String>,

    /// Replace FILE of -o even if it is an encrypted file
    #[arg(long)]
    force: bool,
}

/// Decrypts; nothing is printed or written before every value and the MAC have been checked.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let part = arguments.extract.as_deref().map(KeyPath::parse).transpose().map_err(|error| Failure::key_path(&error))?;
    match arguments.in_place || arguments.output.is_some() {
        true => left_behind::look(surroundings),
        false => left_behind::mention(surroundings),
    }
    let keyring = surroundings.environment.keyring();
    let from_stdin = super::means_stdin(arguments.file.as_deref(), arguments.in_place);
    let (path, original, contents, format) = if from_stdin {
        let path = PathBuf::from("standard input");
        let bytes = super::read_stdin()?.shared();
        let (format, contents) = file::parse_secret(&path, &bytes, Some(Syntax::Dotenv))?;
        (path, bytes, contents, format)
    } else {
        let path = file_or_default(arguments.file, surroundings)?;
        let opened = file::read(&path, None)?;
        (path, opened.snapshot.bytes, opened.contents, opened.format)
    };
    let not_a_document = |source| FileError::NotADocument { path: path.clone(), source };
    let document = EncryptedDocument::new(contents).map_err(not_a_document)?;
    let opened = document.open(&keyring).map_err(|error| Failure::cannot_open(&path, &error, &keyring))?;
    if opened.clear_comments > 0 {
        surroundings.finding(super::clear_comments(opened.clear_comments))?;
    }
    departures::say_duplicates(&path, &opened.tree, surroundings)?;
    departures::say_undecided(&path, &opened, surroundings)?;
    if !from_stdin {
        departures::of_reading(&path, opened.metadata(), surroundings)?;
    }
    let plaintext = match &part {
        None => format.emit(&opened.tree, None, None)?,
        Some(part) => {
            let value = part.find(&opened.tree).map_err(|error| Failure::no_part(&path, &error))?;
            dotenv::value_text(value).ok_or_else(|| Failure::no_value_there(&path))?
        }
    };
    match (&arguments.output, arguments.in_place) {
        (Some(output), _) => {
            if !arguments.force {
                super::refuse_to_replace_encrypted(output)?;
            }
            super::written(output, atomic_write::write_private(output, &plaintext, ReadOnly::Refuse), surroundings)?;
            warn_of_readers(output, surroundings);
        }
        (None, true) => {
            let expected = Expected::Bytes(original.expose());
            let result = atomic_write::replace(&path, plaintext.expose(), expected, ReadOnly::Refuse);
            super::written(&path, result, surroundings)?;
            surroundings.output.warning(format_args!("{} now holds its values in clear", path.display()));
        }
        (None, false) => surroundings.output.secret(&plaintext)?,
    }
    Ok(ExitCode::Done)
}

/// A file that was there keeps its mode; if others may read it, they can now read the values.
fn warn_of_readers(output: &Path, surroundings: &Surroundings) {
    let mode = std::fs::metadata(output).map(|metadata| metadata.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o077 != 0 {
        let output_name = output.display();
        surroundings.output.warning(format_args!("{output_name} can be read by others (mode {mode:04o}), as before"));
    }
}
