//! `dotsops encrypt`

use std::path::{Path, PathBuf};

use super::selection::NewFileOptions;
use crate::cli::Surroundings;
use crate::cli::consent::{Answer, ask};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::document::EncryptedDocument;
use crate::document::metadata::Metadata;
use crate::document::{InClear, leaves_in_clear};
use crate::format::Syntax;
use crate::keys::keyring::Keyring;
use crate::ops::encrypt::{self, Prepared, State};
use crate::ops::exec::policy::Effect;
use crate::ops::file::{self, FileError};
use crate::ops::glob::glob_matches;
use crate::ops::new_file;
use crate::ops::readers::{self, Reach};
use crate::secret::SecretBytes;
use crate::sys::atomic_write::{self, Expected, ReadOnly};

/// Encrypt a plaintext file, value by value
///
/// Who can read it and which values are encrypted comes from the options, else from the first matching rule of .sops.yaml. The
/// result goes to standard output unless -i or -o is given. It is decrypted again before it is written.
///
/// A file that is encrypted already is left as it is. Lines that cannot be stored with the meaning that they have for python-dotenv
/// are refused, each with its reason.
///
/// If none of your identities is among the recipients you are asked, or it is refused: --blind does it. Where there is no identity
/// at all, as on a machine that only encrypts, there is a warning; -i, which takes the plaintext away, needs --blind there too.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dotsops encrypt -o secrets.env .env\n  dotsops encrypt --encrypted-regex '^API_' --allow-plaintext '*' .env\n  dotsops encrypt --filename-override secrets.env < .env > secrets.env"
)]
pub struct Arguments {
    /// The plaintext; `-` is standard input, which is also read if no FILE is given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Replace the plaintext by the encrypted file
    #[arg(long, short, conflicts_with = "output")]
    in_place: bool,

    /// Write the encrypted file to FILE
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Turn lines that python-dotenv ignores into comments, so that the file can be stored
    #[arg(long)]
    fix: bool,

    /// Leave the value of NAME in clear without asking (`*` stands for any text; repeatable)
    #[arg(long, value_name = "NAME")]
    allow_plaintext: Vec<String>,

    /// Choose the rule of .sops.yaml as if the file were called NAME; the usual companion of standard input
    #[arg(long, value_name = "NAME")]
    filename_override: Option<PathBuf>,

    /// Replace FILE of -o even if it is another encrypted file
    #[arg(long)]
    force: bool,

    /// Encrypt also if none of your identities could read the result
    #[arg(long)]
    blind: bool,

    #[command(flatten)]
    new_file: NewFileOptions,
}

/// Encrypts, and reads back, before anything is written.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let output = &surroundings.output;
    let from_stdin = arguments.file.is_none() || super::means_stdin(arguments.file.as_deref(), arguments.in_place);
    if from_stdin && arguments.in_place {
        return Err(Failure::usage("-i needs a file", "name the file, or leave -i out"));
    }
    left_behind::look_or_mention(!arguments.in_place && arguments.output.is_none(), surroundings);
    let (shown, bytes) = match &arguments.file {
        Some(path) if !from_stdin => (path.clone(), file::read_bytes(path)?.bytes),
        _ => (PathBuf::from("standard input"), super::read_stdin()?),
    };
    // The name decides the rule: what the file will be called, if that is known, is what matters.
    let name = arguments.filename_override.as_ref().or(arguments.output.as_ref()).unwrap_or(&shown);
    let name = if from_stdin && name == &shown { Path::new("stdin.env") } else { name.as_path() };
    let syntax = Syntax::by_path(name);
    if syntax != Syntax::by_sops_rule(name) {
        let proposed = encrypt::proposed_name(name);
        output.note(format_args!(
            "sops itself takes {} for binary: it needs `--input-type dotenv` for it, and would not for {}",
            name.display(),
            proposed.display()
        ));
    }
    let format = syntax.format().map_err(|source| FileError::Syntax { path: name.to_owned(), source })?;

    if file::is_encrypted(&shown, bytes.expose())? {
        return already_encrypted(&arguments, &shown, &bytes, surroundings);
    }

    let config = surroundings.config()?;
    let path = std::path::absolute(name)?;
    let metadata = new_file::metadata(&path, &arguments.new_file.choice(surroundings)?, config.as_ref())
        .map_err(|error| Failure::new_file(&error))?;
    let prepared = encrypt::prepare(bytes.expose(), &metadata.selection, format, arguments.fix)
        .map_err(|error| Failure::cannot_store(&shown, error, (!arguments.fix).then_some("--fix")))?;
    tell(&prepared, surroundings)?;
    consent_to_clear(&prepared, &metadata, &arguments.allow_plaintext, surroundings)?;
    let keyring = surroundings.environment.keyring_naming(arguments.new_file.recipients());
    consent_to_strangers(&metadata, &arguments, &keyring, surroundings)?;
    super::warn_of_weak_links(&metadata.key_groups, metadata.shamir_threshold, surroundings);

    if let Some(path) = arguments.output.as_deref().filter(|_| !arguments.force) {
        super::refuse_to_replace_encrypted(path)?;
    }
    // Only what is replaced is compared with once more.
    let original = arguments.in_place.then_some(bytes);
    drop(prepared.text);
    let encrypted = encrypt::encrypt(prepared.tree, metadata, format, &keyring, surroundings.now())?;
    match (&arguments.output, original) {
        (Some(path), _) => {
            let result = atomic_write::replace(path, encrypted.expose(), Expected::Whatever, ReadOnly::Refuse);
            super::written(path, result, surroundings)?;
        }
        (None, Some(original)) => {
            let expected = Expected::Bytes(original.expose());
            super::written(&shown, atomic_write::replace(&shown, encrypted.expose(), expected, ReadOnly::Refuse), surroundings)?;
            if shown.file_name().is_some_and(|name| name == ".env") {
                let proposed = encrypt::proposed_name(&shown);
                output.warning(format_args!(
                    "`load_dotenv()` reads .env, and would now find ciphertext there; {} would be a better name",
                    proposed.display()
                ));
            }
        }
        (None, None) => output.secret(&encrypted)?,
    }
    Ok(ExitCode::Done)
}

fn already_encrypted(
    arguments: &Arguments,
    shown: &Path,
    bytes: &SecretBytes,
    surroundings: &Surroundings,
) -> Result<ExitCode, Failure> {
    let (_, contents) = file::parse(shown, bytes.expose(), None)?;
    let not_a_document = |source| FileError::NotADocument { path: shown.to_owned(), source };
    let document = EncryptedDocument::new(contents).map_err(not_a_document)?;
    match encrypt::state(&document) {
        State::PartlyPlain(names) => Err(Failure::partly_plain(shown, &names)),
        State::Encrypted => {
            let done = if arguments.output.is_some() { "it is copied as it is" } else { "nothing to do" };
            match &arguments.output {
                Some(path) => {
                    let is_copy = file::read_bytes(path).is_ok_and(|there| there.bytes.ct_eq(bytes.expose()));
                    if !arguments.force && !is_copy {
                        super::refuse_to_replace_encrypted(path)?;
                    }
                    let result = atomic_write::replace(path, bytes.expose(), Expected::Whatever, ReadOnly::Refuse);
                    super::written(path, result, surroundings)?;
                }
                None if arguments.in_place => {}
                None => surroundings.output.secret(bytes)?,
            }
            surroundings.output.note(format_args!("{} is encrypted already; {done}", shown.display()));
            Ok(ExitCode::Done)
        }
    }
}

/// Says what storing the plaintext changes.
pub(super) fn tell(prepared: &Prepared, surroundings: &Surroundings) -> Result<(), Failure> {
    let output = &surroundings.output;
    if prepared.line_endings_changed {
        output.note("Windows line endings became LF");
    }
    if prepared.byte_order_mark_dropped {
        output.note("the byte-order mark at the start is gone");
    }
    for line in &prepared.fixed_lines {
        output.note(format_args!("line {line} is a comment now: python-dotenv ignores it"));
    }
    prepared.notes.iter().for_each(|note| output.note(note));
    encrypt::notable_names(&prepared.tree).iter().try_for_each(|(name, effect)| surroundings.finding(notable(name, *effect)))
}

/// What a name does to the programs that `exec` runs.
pub(super) fn notable(name: &str, effect: Effect) -> String {
    match effect {
        Effect::LoadsCode => {
            format!("`{name}` makes programs load code: `dotsops exec` asks before it passes it on (`--allow {name}`)")
        }
        _ => format!("`{name}` chooses a program, host or certificate: `dotsops exec` warns when it passes it on"),
    }
}

/// Asks about names and comments that the selection rule leaves in clear.
pub(super) fn consent_to_clear(
    prepared: &Prepared,
    metadata: &Metadata,
    allowed: &[String],
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let names = names_in_clear(prepared, metadata, allowed, surroundings);
    if names.is_empty() {
        return Ok(());
    }
    match ask(&format!("Under this rule these stay in clear: {}. Go on?", names.join(", "))) {
        Answer::Yes => Ok(()),
        Answer::No | Answer::Nobody => Err(Failure::would_be_clear(&names)),
    }
}

/// What would stay in clear and is not `allowed` to.
pub(super) fn names_in_clear(
    prepared: &Prepared,
    metadata: &Metadata,
    allowed: &[String],
    surroundings: &Surroundings,
) -> Vec<String> {
    let selection = &metadata.selection;
    let InClear { names, comments } = leaves_in_clear(&prepared.tree, selection);
    if !comments.is_empty() {
        let count = if comments.len() == 1 { "1 comment stays".to_owned() } else { format!("{} comments stay", comments.len()) };
        surroundings.output.note(format_args!("{count} in clear: the file's rule encrypts some names only"));
    }
    let mut names: Vec<String> = names.iter().map(|key| file::variable_name(key).into_owned()).collect();
    names.extend(comments.iter().filter_map(|comment| encrypt::secret_in_comment(comment, selection)));
    // What `--fix` commented out was a line of its own: nobody knows what is in it.
    if !comments.is_empty() && !selection.encrypts_top_comments() {
        names.extend(prepared.fixed_lines.iter().map(|line| format!("line {line}, a comment now")));
    }
    names.retain(|name| !allowed.iter().any(|pattern| glob_matches(pattern, name)));
    names
}

/// Asks, if the user could not read the result. Who holds no identity at all is only told, as long as the plaintext stays.
fn consent_to_strangers(
    metadata: &Metadata,
    arguments: &Arguments,
    keyring: &Keyring,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let output = &surroundings.output;
    match readers::reach(metadata, keyring) {
        Reach::Perhaps => {}
        Reach::Others(_) | Reach::NoIdentity(_) if arguments.blind => {
            output.note("you will not be able to read what is encrypted here: no recipient is one of your identities");
        }
        Reach::NoIdentity(_) if !arguments.in_place => {
            output.warning("you will not be able to read what is encrypted here: you have no identity");
        }
        Reach::Others(recipients) | Reach::NoIdentity(recipients) => {
            let failure = Failure::blind(&recipients);
            if ask(&format!("{}. Go on?", failure.error)) != Answer::Yes {
                return Err(failure);
            }
        }
    }
    Ok(())
}
