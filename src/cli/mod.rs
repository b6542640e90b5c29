//! The command line: what was typed → what the library does → what is said about it.
//!
//! [`run`] is all that `main` calls. Hidden from the library's documentation.

mod commands;
mod completion;
mod consent;
mod departures;
mod environment;
mod exit_code;
mod failure;
mod json;
mod left_behind;
mod output;
mod people;
mod prompt;
mod usage;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use environment::Environment;
use exit_code::ExitCode;
use failure::Failure;
use output::Output;

use crate::config::{Config, Search};
use crate::ops::edit::guard;
use crate::ops::init;
use crate::secret::with_clean_stack;
use crate::sys::{hardening, signals};

/// What `dotsops --help` and the man page say behind the options: what every command has in common.
const AFTER_HELP: &str = "\
Example:
  dotsops init

Files:
  Without a named file, DOTSOPS_FILE is used if it is set. Else the nearest secrets.env, or encrypted .env, from the working \
directory up to the root of the repository.

Identities, from all of these places together:
  SOPS_AGE_SSH_PRIVATE_KEY_FILE      the path of an SSH private key
  SOPS_AGE_SSH_PRIVATE_KEY_CMD       a command that prints one
  ~/.ssh/id_ed25519, ~/.ssh/id_rsa   SSH private keys
  SOPS_AGE_KEY                       identities (AGE-SECRET-KEY-1…, AGE-SECRET-KEY-PQ-1…, AGE-PLUGIN-…)
  SOPS_AGE_KEY_FILE                  the path of a file of identities
  SOPS_AGE_KEY_CMD                   a command that prints identities; it is told SOPS_AGE_RECIPIENT
  ~/.config/sops/age/keys.txt        where `dotsops keygen` puts them
  A command is run, then a passphrase asked for, then a plugin run, only if nothing before it opens the file. Commands are split into words as by a shell, but no shell runs them.

Exit codes:
  0   done, or nothing to do
  1   the answer is no
  2   the command line makes no sense
  3   a file or .sops.yaml is malformed
  4   no key opens the file
  5   not authentic: the file is not what its writer wrote
  6   refused: going on would lose or expose something
  7   the world failed: files, network, editor
  70  a mistake of ours
  `exec` ends as its program does; before that runs, with 125, 126 or 127.";

/// Keep a team's .env in git, encrypted value by value, and run programs with it.
///
/// dotsops reads and writes .env files in the format of sops: what one of them writes, the other reads.
#[derive(Parser)]
#[command(
    name = "dotsops",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Example:\n  dotsops init",
    after_long_help = AFTER_HELP
)]
struct CommandLine<Verbs: Subcommand = Command> {
    #[command(subcommand)]
    command: Verbs,

    /// Leave out notes and warnings
    #[arg(long, short, global = true)]
    quiet: bool,

    /// Refuse what there would be a warning about, of a file, of .sops.yaml, or of how one departs from the other; also DOTSOPS_STRICT=1
    #[arg(long, global = true)]
    strict: bool,

    /// Take the rules for new files from PATH; without it from SOPS_CONFIG, else from the nearest .sops.yaml
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,

    /// Run the age plugin NAME for a recipient without asking (repeatable); also DOTSOPS_ALLOW_PLUGINS="NAME …"
    #[arg(long, global = true, value_name = "NAME")]
    allow_plugin: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    Init(commands::init::Arguments),
    Keygen(commands::keygen::Arguments),
    Doctor(commands::doctor::Arguments),
    Edit(commands::edit::Arguments),
    Drafts(commands::drafts::Arguments),
    Exec(commands::exec::Arguments),
    Encrypt(commands::encrypt::Arguments),
    Decrypt(commands::decrypt::Arguments),
    Check(commands::check::Arguments),
    Keys(commands::keys::Arguments),
    Get(commands::get::Arguments),
    Set(commands::set::Arguments),
    Unset(commands::unset::Arguments),
    Rename(commands::rename::Arguments),
    Generate(commands::generate::Arguments),
    Recipients(commands::recipients::Arguments),
    Rotate(commands::rotate::Arguments),
    Updatekeys(commands::updatekeys::Arguments),
    Groups(commands::groups::Arguments),
    Merge(commands::merge::Arguments),
    Textconv(commands::textconv::Arguments),
    Diff(commands::diff::Arguments),
    Rule(commands::rule::Arguments),
    Filestatus(commands::filestatus::Arguments),
    Completions(commands::completions::Arguments),
    Man(commands::man::Arguments),
}

/// The one verb that others wait for.
#[derive(Subcommand)]
enum OnlyExec {
    Exec(commands::exec::Arguments),
}

/// What every command is given.
struct Surroundings {
    environment: Environment,
    output: Output,
    /// The configuration that `--config` or else `SOPS_CONFIG` names.
    named_config: Option<PathBuf>,
    /// Whether what would be warned about in a file or its rule is refused.
    strict: bool,
}

impl Surroundings {
    fn now(&self) -> time::UtcDateTime {
        time::UtcDateTime::now()
    }

    /// Says what the user should know about a file or its rule.
    ///
    /// # Errors
    /// The same as a refusal, if that is what such things are to be.
    fn finding(&self, text: impl Display) -> Result<(), Failure> {
        if self.strict {
            return Err(Failure::strict(text));
        }
        self.output.warning(text);
        Ok(())
    }

    /// The rules for new files: those that were named, else the nearest `.sops.yaml` from the working directory upwards. What looks
    /// wrong about it is said. Only what makes new files asks for it, so a broken one keeps nobody from reading a file.
    fn config(&self) -> Result<Option<Config>, Failure> {
        let here = working_directory()?;
        let config = match &self.named_config {
            Some(path) => Some(Config::load(path)?),
            None => Config::find(&here)?,
        };
        match &config {
            Some(_) => self.judge_config(config.as_ref())?,
            None => self.say_ignored(Search::from(&here).ignored.as_ref())?,
        }
        Ok(config)
    }

    /// The same without a word, for who only compares a file with its rule: nothing if it cannot be used.
    ///
    /// # Errors
    /// Only if it is to be strict: there must be rules then, and nothing to say about them.
    fn config_to_compare(&self) -> Result<Option<Config>, Failure> {
        if self.strict {
            return self.config()?.map(Some).ok_or_else(Failure::nothing_to_compare);
        }
        Ok(match &self.named_config {
            Some(path) => Config::load(path).ok(),
            None => std::env::current_dir().ok().and_then(|here| Config::find(&here).ok().flatten()),
        })
    }

    fn say_ignored(&self, ignored: Option<&PathBuf>) -> Result<(), Failure> {
        match ignored {
            Some(ignored) => self.finding(format_args!("{} is not used: the name must be .sops.yaml", ignored.display())),
            None => Ok(()),
        }
    }

    /// Says what in `.sops.yaml` looks like an oversight, and who else can change it; refuses one that also lies outside of the
    /// repository, unless it was named.
    fn judge_config(&self, config: Option<&Config>) -> Result<(), Failure> {
        let Some(config) = config else { return Ok(()) };
        if let Some(stranger) = &config.writable_by {
            if self.named_config.is_none() && !config.path.starts_with(init::root(&working_directory()?)) {
                return Err(Failure::foreign_config(&config.path, stranger));
            }
            self.finding(format_args!("{} decides who reads new files, and {stranger}", config.path.display()))?;
        }
        self.say_ignored(config.ignored.as_ref())?;
        config.warnings.iter().try_for_each(|warning| self.finding(format_args!("{}: {warning}", config.path.display())))
    }
}

/// Whether a variable that switches something on is there to say that it is off. Whatever is no such word leaves it on.
fn is_no(word: &str) -> bool {
    ["", "0", "no", "off", "false"].contains(&word.trim().to_ascii_lowercase().as_str())
}

fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(Failure::no_working_directory)
}

/// `path`, without the system being asked for anything but the working directory.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(Failure::no_working_directory)
}

/// Runs the command line `arguments`, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> std::process::ExitCode {
    hardening::harden();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments == [guard::NAME] {
        return stand_guard().into();
    }
    let environment = Environment::capture();
    hardening::install_panic_hook(environment.var("DOTSOPS_DEBUG_PANIC").is_some_and(|value| value == "1"));
    let verb = verb(&arguments).map(|verb| verb.to_owned());
    // A panic unwinds, so that destructors wipe; only then it becomes an exit code.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| with_clean_stack(|| run_in(environment, arguments))));
    outcome.unwrap_or(ExitCode::Bug.of_verb(verb.as_deref())).into()
}

/// What the program does that an edit has started to clean up after itself. It has nobody to talk to, and reads no environment.
fn stand_guard() -> ExitCode {
    hardening::install_panic_hook(false);
    let now = || time::UtcDateTime::now().unix_timestamp().try_into().unwrap_or_default();
    match std::panic::catch_unwind(|| with_clean_stack(|| guard::stand(&now))) {
        Ok(Ok(())) => ExitCode::Done,
        Ok(Err(_)) => ExitCode::World,
        Err(_) => ExitCode::Bug,
    }
}

/// The verb, some of which have exit codes of their own. Of the options before it, two take a value.
fn verb(arguments: &[OsString]) -> Option<&OsStr> {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_encoded_bytes() {
            b"--config" | b"--allow-plugin" => drop(words.next()),
            option if option.starts_with(b"-") => {}
            _ => return Some(word),
        }
    }
    None
}

/// Reads the command line. To define all verbs takes time that the start of every program under `exec` would pay for, so that one is
/// tried alone; what it makes nothing of, as a request for help, is read again with all of them.
fn parse(arguments: &[OsString]) -> Result<CommandLine, clap::Error> {
    if verb(arguments).is_some_and(|verb| verb == "exec")
        && let Ok(CommandLine { command: OnlyExec::Exec(exec), quiet, strict, config, allow_plugin }) =
            CommandLine::try_parse_from(arguments)
    {
        return Ok(CommandLine { command: Command::Exec(exec), quiet, strict, config, allow_plugin });
    }
    CommandLine::try_parse_from(arguments)
}

fn run_in(environment: Environment, arguments: Vec<OsString>) -> ExitCode {
    let line = match parse(&arguments) {
        Ok(line) => line,
        Err(error) => {
            let output = Output::new(false);
            // Help and version are results, everything else is a mistake on the command line.
            if !error.use_stderr() {
                return output.help(&error).map_or_else(|error| end_by(&error.into(), &output), |()| ExitCode::Done);
            }
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                let _ = error.print();
                return ExitCode::Usage;
            }
            return end_by(&usage::failure(&error, &arguments).of_verb(verb(&arguments)), &output);
        }
    };
    let named_config = line.config.or_else(|| environment.var("SOPS_CONFIG").map(PathBuf::from));
    let strict = line.strict || environment.var("DOTSOPS_STRICT").is_some_and(|word| !is_no(&word.to_string_lossy()));
    let environment = environment.allowing_plugins(line.allow_plugin);
    let surroundings = Surroundings { environment, output: Output::new(line.quiet), named_config, strict };
    let outcome = match line.command {
        Command::Init(arguments) => commands::init::run(arguments, &surroundings),
        Command::Keygen(arguments) => commands::keygen::run(arguments, &surroundings),
        Command::Doctor(arguments) => commands::doctor::run(arguments, &surroundings),
        Command::Edit(arguments) => commands::edit::run(arguments, &surroundings),
        Command::Drafts(arguments) => commands::drafts::run(arguments, &surroundings),
        Command::Exec(arguments) => commands::exec::run(arguments, &surroundings),
        Command::Encrypt(arguments) => commands::encrypt::run(arguments, &surroundings),
        Command::Decrypt(arguments) => commands::decrypt::run(arguments, &surroundings),
        Command::Check(arguments) => commands::check::run(arguments, &surroundings),
        Command::Keys(arguments) => commands::keys::run(arguments, &surroundings),
        Command::Get(arguments) => commands::get::run(arguments, &surroundings),
        Command::Set(arguments) => commands::set::run(arguments, &surroundings),
        Command::Unset(arguments) => commands::unset::run(arguments, &surroundings),
        Command::Rename(arguments) => commands::rename::run(arguments, &surroundings),
        Command::Generate(arguments) => commands::generate::run(arguments, &surroundings),
        Command::Recipients(arguments) => commands::recipients::run(arguments, &surroundings),
        Command::Rotate(arguments) => commands::rotate::run(arguments, &surroundings),
        Command::Updatekeys(arguments) => commands::updatekeys::run(arguments, &surroundings),
        Command::Groups(arguments) => commands::groups::run(arguments, &surroundings),
        Command::Merge(arguments) => {
            commands::merge::run(arguments, &surroundings).map_err(|failure| failure.of_verb(Some("merge".as_ref())))
        }
        Command::Textconv(arguments) => commands::textconv::run(arguments, &surroundings),
        Command::Diff(arguments) => commands::diff::run(arguments, &surroundings),
        Command::Rule(arguments) => commands::rule::run(arguments, &surroundings),
        Command::Filestatus(arguments) => commands::filestatus::run(arguments, &surroundings),
        Command::Completions(arguments) => commands::completions::run(arguments, &surroundings),
        Command::Man(arguments) => commands::man::run(arguments, &surroundings),
    };
    outcome.unwrap_or_else(|failure| end_by(&failure, &surroundings.output))
}

fn end_by(failure: &Failure, output: &Output) -> ExitCode {
    if failure.reader_gone {
        signals::die_by_broken_pipe();
    }
    output.failure(failure);
    failure.code
}

/// The definition of the command line, for man pages.
pub fn definition() -> clap::Command {
    <CommandLine>::command()
}
