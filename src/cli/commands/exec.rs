//! `dotsops exec`

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::file_or_default;
use crate::cli::Surroundings;
use crate::cli::consent::{Answer, ask};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::ops::exec::known::Known;
use crate::ops::exec::policy::holds_key;
use crate::ops::exec::{self, Names, Options, Warning};
use crate::ops::glob::glob_matches;
use crate::secret::SecretBytes;
use crate::sys::process::{self, Program};

/// Run a program with the values in its environment
///
/// The program sees what python-dotenv's `dotenv run` would give it from the plaintext. It takes this process's place: signals,
/// terminal and exit code are its own. Whatever it starts inherits the values. A value from the file wins over one that is set
/// already. What holds a key of dotsops (SOPS_AGE_KEY) is not passed on.
///
/// A name that makes programs load code, such as PYTHONPATH, is asked about once: a yes is remembered for the file, its data key and
/// the name. Where nobody can be asked, it is refused without --allow. A line that is empty or not encrypted can be added by anybody
/// who can change the file, so one with such a name, or one that would replace another line, is refused. So is a file in which a
/// merge left two values for a name.
///
/// --only, --except and --prefix choose and name what is passed, after everything has been read and interpolated: a value may
/// refer to one that is not passed. In a GLOB `*` stands for any text, so quote it.
///
/// Exit codes before it runs: 125 if dotsops fails or refuses, 126 if the program cannot be run, 127 if there is none.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops exec -- sh -c 'echo \"$DATABASE_URL\"'\n  dotsops exec -- jupyter lab\n  \
                  dotsops exec -f base.env -f prod.env -- ./serve --port 8000\n  \
                  dotsops exec --pristine --keep PATH HOME 'LC_*' --only 'DB_*' -- ./migrate")]
pub struct Arguments {
    /// A file to take values from; of several the later ones win. Without it the nearest secrets.env or encrypted .env
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Pass names and values as sops does: quotes stay, nothing is interpolated
    #[arg(long)]
    literal: bool,

    /// Leave variables alone that are set already
    #[arg(long)]
    keep_existing: bool,

    /// Pass only the values whose names match; each GLOB must match one
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    only: Vec<String>,

    /// Leave out the values whose names match
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    except: Vec<String>,

    /// Put PREFIX before each name that is passed
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true, value_parser = prefix)]
    prefix: String,

    /// Let the program inherit no variables, but for those of --keep
    #[arg(long)]
    pristine: bool,

    /// With --pristine: inherit the variables whose names match all the same
    #[arg(long, value_name = "NAME", num_args = 1.., requires = "pristine")]
    keep: Vec<String>,

    /// Pass NAME although it makes programs load code, such as PYTHONPATH (repeatable)
    #[arg(long, value_name = "NAME")]
    allow: Vec<String>,

    /// Let the program inherit SOPS_AGE_KEY too
    #[arg(long)]
    keep_keys: bool,

    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Becomes the program; returns only if that failed.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    become_program(arguments, surroundings).map_err(|failure| failure.of_verb(Some("exec".as_ref())))
}

fn become_program(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let environment = &surroundings.environment;
    let (name, words) = arguments.command.split_first().ok_or_else(|| Failure::usage("no program", "name one behind `--`"))?;
    // With our own PATH: a PATH in the file never chooses what runs.
    let here = std::env::current_dir().unwrap_or_default();
    let program =
        process::resolve_program(name, environment.path().as_deref(), &here).map_err(|error| Failure::program(name, &error))?;
    let plaintext_allowed = !arguments.files.is_empty();
    let files = match arguments.files.is_empty() {
        true => vec![file_or_default(None, surroundings)?],
        false => arguments.files,
    };
    left_behind::mention(surroundings);
    let keyring = environment.keyring();
    let known = environment.state_folder().map(|state| Known::in_folder(&state));
    let is_kept = |name: &str| !arguments.pristine || arguments.keep.iter().any(|kept| glob_matches(kept, name));
    let options = Options {
        literal: arguments.literal,
        keep_existing: arguments.keep_existing,
        plaintext_allowed,
        names: Names::new(&arguments.only, &arguments.except, &arguments.prefix),
        allow: &arguments.allow,
        inherited: &|name| environment.value(name).filter(|_| is_kept(name)),
        is_inherited: &|name| is_kept(&String::from_utf8_lossy(name)) && environment.is_set(OsStr::from_bytes(name)),
        known: known.as_ref(),
        ask: &|path: &Path, name: &str, is_remembered: bool| {
            let when = if is_remembered { ", now and in future" } else { "" };
            ask(&format!("{}: `{name}` makes programs load code. Pass it on{when}?", path.display())) == Answer::Yes
        },
    };
    let made = exec::environment(&files, &keyring, &options).map_err(|error| Failure::exec(&error, &keyring))?;
    for warning in &made.warnings {
        match warning {
            // It is about this machine, not about a file.
            Warning::NotRemembered { .. } => surroundings.output.warning(warning),
            _ => surroundings.finding(warning)?,
        }
    }

    let mut variables: Vec<(OsString, SecretBytes)> = environment.inherited(arguments.keep_keys);
    let given: HashSet<&[u8]> = made.variables.iter().map(|variable| variable.name.as_slice()).collect();
    let is_own_key = |name: &OsStr| arguments.keep_keys && holds_key(name);
    variables.retain(|(name, _)| is_own_key(name) || is_kept(&name.to_string_lossy()));
    variables.retain(|(name, _)| !given.contains(name.as_bytes()));
    variables.extend(made.variables.into_iter().map(|variable| (OsString::from_vec(variable.name), variable.value)));
    drop(keyring);
    let program = Program { path: &program, argv0: name, arguments: words, environment: &variables };
    program.check_size().map_err(|error| Failure::too_large(name, &error))?;
    Err(Failure::cannot_run(name, &program.replace_self()))
}

/// What can stand before a name.
fn prefix(text: &str) -> Result<String, &'static str> {
    match text.contains('=') {
        true => Err("no name can hold a `=`"),
        false => Ok(text.to_owned()),
    }
}
