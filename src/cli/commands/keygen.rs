//! `dotsops keygen`

use std::path::{Path, PathBuf};

use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::cli::prompt::new_passphrase;
use crate::keys::age::generate::{NewIdentity, generate_identity, generate_post_quantum_identity};
use crate::keys::age::locked_file::lock;
use crate::secret::{SecretBytes, SecretString};
use crate::sys::atomic_write::{self, ReplaceError};
use crate::sys::file_lock::create_private_directories;

/// Make a new age identity and print its public key
///
/// The identity goes where sops and dotsops look for it, readable by you alone. An existing file is never overwritten. Give the
/// public key (age1…) to whoever shall encrypt to you; keep the file to yourself, and keep a copy of it in a safe place: without it
/// nobody can open what is encrypted to it alone. With --passphrase the file is encrypted, and whatever uses it asks: dotsops, sops and
/// age.
///
/// With --pq the identity withstands quantum computers too. Its public key has 1,959 characters, and sops 3.13, age 1.3 or newer is
/// needed to read or write what is encrypted to it. A file is only as strong as the weakest of its keys: that of everybody who can
/// read it should be of this sort.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dotsops keygen\n  dotsops keygen --passphrase\n  dotsops keygen -o ci.txt\n  dotsops keygen --pq -o pq.txt"
)]
pub struct Arguments {
    /// Write the identity to the new file FILE
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Make a post-quantum identity (AGE-SECRET-KEY-PQ-1…), for sops 3.13, age 1.3 or newer
    #[arg(long)]
    pq: bool,

    /// Protect the file with a passphrase, asked for twice on the terminal
    #[arg(long)]
    passphrase: bool,
}

/// Makes the identity.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let path = arguments.output.or_else(|| surroundings.environment.key_file()).ok_or_else(Failure::no_home)?;
    if path == Path::new("-") {
        return Err(Failure::usage(
            "an identity goes into a file of its own",
            "`-o FILE` names it; `-` would be a file of that name",
        ));
    }
    left_behind::look(surroundings);
    if arguments.passphrase && path.symlink_metadata().is_ok() {
        // Before anybody thinks of a passphrase in vain.
        return Err(Failure::key_file_exists(&path));
    }
    let passphrase = match arguments.passphrase {
        true => Some(new_passphrase().ok_or_else(Failure::no_passphrase)?),
        false => None,
    };
    let identity = match arguments.pq {
        true => generate_post_quantum_identity().map_err(std::io::Error::from)?,
        false => generate_identity(),
    };
    let recipient = create(&path, identity, passphrase, surroundings)?;
    surroundings.output.note(format_args!("a new identity is in {}", path.display()));
    surroundings.output.line(&recipient)?;
    warn_of_repository(&path, surroundings);
    Ok(ExitCode::Done)
}

/// An identity in a work tree is one `git add` away from everybody.
pub fn warn_of_repository(path: &Path, surroundings: &Surroundings) {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(root) = resolved.ancestors().skip(1).find(|folder| folder.join(".git").exists()) {
        surroundings.output.warning(format_args!(
            "{} lies in the repository {}: move it elsewhere, or add it to .gitignore; it must never be committed",
            path.display(),
            root.display()
        ));
    }
}

/// Writes `identity` into the new file `path`, protected by `passphrase` if there is one, and returns its public key.
pub fn create(
    path: &Path,
    identity: NewIdentity,
    passphrase: Option<SecretString>,
    surroundings: &Surroundings,
) -> Result<String, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_directories(folder)?;
    }
    let text = identity.to_key_file(surroundings.now().into());
    let bytes = match passphrase {
        Some(passphrase) => SecretBytes::from_vec(lock(&text, &passphrase)?.into_bytes()),
        None => text.into_bytes(),
    };
    match atomic_write::write_new_private(path, &bytes) {
        Err(ReplaceError::Exists) => Err(Failure::key_file_exists(path)),
        result => super::written(path, result, surroundings).map(|()| identity.recipient),
    }
}
