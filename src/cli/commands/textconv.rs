//! `dotsops textconv`

use std::path::PathBuf;

use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::people::People;
use crate::ops::file::{self, FileError};
use crate::ops::mask::MaskKey;
use crate::ops::textconv::{Showing, show};
use crate::secret::DataKey;

/// Show an encrypted file by name, for git diff and git log -p
///
/// git runs it, where `dotsops init` has said so. A value has a mask, `<masked 3f9a2c81>`, that stays the same as long as the value does
/// and tells nothing else: it is made with a random key of yours, in your state folder. Without an identity that opens the file a value has
/// a hash of its ciphertext, `<encrypted 7d1f4a90b2c3d4e5>`. At the end stand who can read the file, and a mask of its data key. What is no
/// encrypted file is printed as it is.
///
/// Nobody is asked for anything, no command or plugin is run, and whatever the file is, the exit code is 0.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dotsops textconv secrets.env\n  git -c diff.dotsops.textconv='dotsops textconv --reveal' diff"
)]
pub struct Arguments {
    /// The file
    #[arg(value_name = "FILE", allow_hyphen_values = true)]
    file: PathBuf,

    /// Show the values themselves, if an identity that is at hand opens the file
    #[arg(long)]
    reveal: bool,
}

/// Prints something for every file; only an output that cannot be written is a failure.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Surroundings { environment, output, .. } = surroundings;
    let bytes = match file::read_bytes(&arguments.file) {
        Ok(read) => read.bytes,
        Err(error) => {
            // git shows a copy under another name each time, so the name would be a difference.
            let why = match error {
                FileError::Read { source, .. } => source.to_string(),
                error => error.to_string(),
            };
            output.line(&format!("({why})"))?;
            return Ok(ExitCode::Done);
        }
    };
    let people = surroundings.config_to_compare().ok().flatten().as_ref().map(People::of).unwrap_or_default();
    let masks = |data_key: &DataKey| {
        let own = environment.state_folder().and_then(|state| MaskKey::of_user(&state));
        own.unwrap_or_else(|| MaskKey::of_file(data_key))
    };
    let showing = Showing {
        keyring: &environment.unattended_keyring(),
        masks: if arguments.reveal { None } else { Some(&masks) },
        named: &|kind, recipient| people.whole(kind, recipient),
    };
    output.secret(&show(&bytes, &showing))?;
    Ok(ExitCode::Done)
}
