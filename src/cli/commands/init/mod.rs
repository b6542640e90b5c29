//! `dotsops init`

mod git;
mod identity;
mod plaintext;
mod recovery;
mod rule;

use std::path::{Path, PathBuf};

use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::cli::{Surroundings, working_directory};
use crate::format::{Format, Syntax};
use crate::keys::keyring::Keyring;
use crate::ops::git::Repository;
use crate::ops::{file, init};

/// Make this repository ready for encrypted .env files
///
/// Does what is missing and says so: an identity for you, a rule in .sops.yaml, lines in .gitignore and .gitattributes, git's settings
/// for this clone, and, if there is a plaintext .env and you agree, an encrypted file made from it. Running it again changes nothing.
///
/// A key that is lost takes its files with it. So a first run offers a recovery key: a second one, written where you say or shown
/// once, to be kept where no machine is.
///
/// With these settings git shows encrypted files by name, values masked (`git diff`, `git log -p`), and merges them by name. They belong to
/// a clone, so whoever makes one runs this once.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops init")]
pub struct Arguments {
    /// The encrypted file to be
    #[arg(value_name = "FILE", default_value = "secrets.env")]
    file: PathBuf,

    /// Encrypt an existing plaintext .env without asking; the plaintext itself stays
    #[arg(long, short)]
    yes: bool,

    /// Let this public key read the files too: that of a second key, which you keep offline; only where there is no .sops.yaml yet
    #[arg(long, value_name = "PUBLIC_KEY")]
    recovery: Option<String>,

    /// Say what would be done, and do nothing
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// Leave the value of NAME in clear without asking (`*` stands for any text; repeatable)
    #[arg(long, value_name = "NAME")]
    allow_plaintext: Vec<String>,
}

/// What there is, and what was done.
struct Ready<'a> {
    arguments: &'a Arguments,
    surroundings: &'a Surroundings,
    here: PathBuf,
    root: PathBuf,
    has_git: bool,
    repository: Option<Repository>,
    keyring: Keyring,
}

/// Goes through the steps; each says what it did.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let here = working_directory()?;
    left_behind::look_or_mention(arguments.dry_run, surroundings);
    let git = surroundings.environment.git();
    let mut ready = Ready {
        arguments: &arguments,
        surroundings,
        root: init::root(&here),
        has_git: git.is_some(),
        repository: git.and_then(|git| Repository::find(&here, git)),
        keyring: surroundings.environment.keyring(),
        here,
    };
    if let Ok(there) = file::read_bytes(&arguments.file)
        && !file::is_encrypted(&arguments.file, there.bytes.expose())?
    {
        return Err(Failure::plaintext_in_place(&arguments.file));
    }
    format_of(&arguments.file)?;
    let recipient = ready.identity()?;
    let (config, has_rule) = ready.rule(&recipient)?;
    ready.git_files()?;
    ready.git_settings()?;
    // A clone whose rules are for other files was made ready all the same.
    if !has_rule {
        return Err(Failure::no_rule_for(&arguments.file, &config.path, &recipient));
    }
    ready.plaintext(&config)?;
    Ok(ExitCode::Done)
}

/// The format of the encrypted file to be.
fn format_of(file: &Path) -> Result<&'static dyn Format, Failure> {
    let format = Syntax::by_path(file).format();
    format.map_err(|error| Failure::usage(&format!("{}: {error}", file.display()), "choose a name that ends with .env"))
}

impl Ready<'_> {
    fn say(&self, text: std::fmt::Arguments) -> Result<(), Failure> {
        Ok(self.surroundings.output.line(&text.to_string())?)
    }

    /// Adds to the text file `path` what it lacks of `lines`.
    fn add_lines<'a>(&self, path: &Path, heading: &str, lines: &[&'a str]) -> Result<Vec<&'a str>, Failure> {
        Ok(match self.arguments.dry_run {
            true => init::missing_lines(path, lines)?,
            false => init::add_lines(path, heading, lines)?,
        })
    }

    fn say_added(&self, name: &str, added: &[&str]) -> Result<(), Failure> {
        match added {
            [] => self.say(format_args!("{name}: nothing to add")),
            lines if self.arguments.dry_run => self.say(format_args!("{name}: would add {}", lines.join(", "))),
            lines => self.say(format_args!("{name}: added {}", lines.join(", "))),
        }
    }

    /// A path as short as it can be.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.here).unwrap_or(path).display().to_string()
    }
}
