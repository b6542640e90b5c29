//! `dotsops init`

use std::path::{Path, PathBuf};

use super::{encrypt as encrypt_command, keygen};
use crate::cli::consent::{Answer, ask};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, shell_word};
use crate::cli::left_behind;
use crate::cli::{Surroundings, working_directory};
use crate::config::{Config, ConfigError, new_file_text};
use crate::dialect;
use crate::dialect::interpolation::Precedence;
use crate::dialect::names::is_portable_name;
use crate::format::{Format, Syntax};
use crate::keys::age::generate::generate_identity;
use crate::keys::keyring::Keyring;
use crate::ops::git::Repository;
use crate::ops::git::settings::{self, Attributes};
use crate::ops::new_file::{self, Choice};
use crate::ops::{encrypt, file, init};
use crate::sys::process;

/// Make this repository ready for encrypted .env files
///
/// Does what is missing and says so: an identity for you, a rule in .sops.yaml, lines in .gitignore and .gitattributes, git's settings
/// for this clone, and, if there is a plaintext .env and you agree, an encrypted file made from it. Running it again changes nothing.
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
    left_behind::look(surroundings);
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

    /// The user's public key; makes an identity if there is none.
    fn identity(&mut self) -> Result<String, Failure> {
        let mut held = self.keyring.recipients();
        if held.is_empty() && self.keyring.may_hold_more() {
            self.keyring.reach_for_all();
            held = self.keyring.recipients();
        }
        // An age key of one's own before an SSH key, which is also used to log in.
        let own = held.iter().find(|(_, recipient)| recipient.starts_with("age1")).or(held.first());
        if let Some((origin, recipient)) = own {
            self.say(format_args!("identity: {recipient} from {origin}"))?;
            return Ok(recipient.clone());
        }
        let path = self.surroundings.environment.key_file().ok_or_else(Failure::no_home)?;
        let recipient = keygen::create(&path, generate_identity(), None, self.surroundings)?;
        self.say(format_args!("identity: {recipient}, new in {}; keep a copy of that file in a safe place", path.display()))?;
        keygen::warn_of_repository(&path, self.surroundings);
        self.keyring = self.surroundings.environment.keyring();
        Ok(recipient)
    }

    /// The rules in `.sops.yaml`, and whether one is for the file; makes them if there are none.
    fn rule(&self, recipient: &str) -> Result<(Config, bool), Failure> {
        let file = std::path::absolute(&self.arguments.file)?;
        if let Some(config) = self.surroundings.config()? {
            match config.rule_for(&file) {
                Ok(Some(rule)) => self.say(format_args!("rule: line {} of {}", rule.line, self.shown(&config.path)))?,
                Ok(None) | Err(ConfigError::NoMatchingRule { .. }) => return Ok((config, false)),
                Err(error) => return Err(error.into()),
            }
            return Ok((config, true));
        }
        let path = self.root.join(".sops.yaml");
        let name = self.surroundings.environment.text("USER").or_else(|| self.surroundings.environment.text("LOGNAME"));
        let text = new_file_text(r"\.env$", &[(recipient, name.as_deref().unwrap_or("me"))]);
        init::write_new(&path, text.as_bytes())?;
        self.say(format_args!("rule: new in {}; files whose name ends with .env are encrypted to you", self.shown(&path)))?;
        Ok((Config::load(&path)?, true))
    }

    fn git_files(&self) -> Result<(), Failure> {
        let file = &self.arguments.file;
        let ignore = self.root.join(".gitignore");
        let added = init::add_lines(&ignore, "plaintext twins of encrypted files", &init::ignore_lines(file))?;
        self.say_added(".gitignore", &added)?;
        let absolute = std::path::absolute(file)?;
        self.attributes(&absolute)?;
        if self.repository.as_ref().is_some_and(|repository| repository.ignores(&absolute)) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let line = format!("!{name}");
            let added = init::add_lines(&ignore, "encrypted, so it belongs into git", &[&line])?;
            self.say_added(".gitignore", &added)?;
            if self.repository.as_ref().is_some_and(|repository| repository.ignores(&absolute)) {
                self.surroundings
                    .output
                    .warning(format_args!("git still ignores {}: `git check-ignore -v` says why", file.display()));
            }
        }
        Ok(())
    }

    fn attributes(&self, file: &Path) -> Result<(), Failure> {
        let path = self.root.join(".gitattributes");
        let text = file::read_bytes(&path).map(|read| String::from_utf8_lossy(read.bytes.expose()).into_owned());
        let attributes = Attributes::of(file, self.repository.as_ref(), &text.unwrap_or_default());
        let lines: Vec<&str> = attributes.line.as_deref().into_iter().collect();
        let added = init::add_lines(
            &path,
            "encrypted files; in each clone, `dotsops init` tells git to show and merge them by name",
            &lines,
        )?;
        self.say_added(".gitattributes", &added)?;
        for (name, value) in &attributes.others {
            self.say(format_args!(".gitattributes: `{name}` is `{value}` for {}, and stays so", self.shown(file)))?;
        }
        Ok(())
    }

    /// Tells git, in this clone, how encrypted files are shown and merged.
    fn git_settings(&self) -> Result<(), Failure> {
        let Some(repository) = &self.repository else {
            return match self.has_git {
                true => self.say(format_args!("git: no repository here; after `git init`, run `dotsops init` again")),
                false => self.say(format_args!("git: there is no program `git`; once it is installed, run `dotsops init` again")),
            };
        };
        let Ok(settled) = settings::settle(repository, &settings::running(&self.program()?)) else {
            let root = shell_word(repository.root());
            self.surroundings
                .output
                .warning(format_args!("git refuses its settings: `git -C {root} config --list --local` says why"));
            return Ok(());
        };
        self.say_added("git config", &settled.added)?;
        for (name, value) in &settled.others {
            self.say(format_args!("git config: {name} is `{value}`, and stays so"))?;
        }
        Ok(())
    }

    /// This program as git's shell finds it: by name where that leads somewhere.
    fn program(&self) -> Result<String, Failure> {
        let path = self.surroundings.environment.path();
        match process::resolve_program("dotsops".as_ref(), path.as_deref(), &self.here) {
            Ok(_) => Ok("dotsops".to_owned()),
            Err(_) => Ok(shell_word(&std::env::current_exe()?)),
        }
    }

    fn say_added(&self, name: &str, added: &[&str]) -> Result<(), Failure> {
        match added {
            [] => self.say(format_args!("{name}: nothing to add")),
            lines => self.say(format_args!("{name}: added {}", lines.join(", "))),
        }
    }

    /// Offers to encrypt a plaintext `.env` beside the file.
    fn plaintext(&self, config: &Config) -> Result<(), Failure> {
        let file = &self.arguments.file;
        let plaintext = file.with_file_name(".env");
        let bytes = match file::read_bytes(&plaintext) {
            Ok(read) if plaintext != *file && !file::is_encrypted(&plaintext, read.bytes.expose())? => read.bytes,
            _ => {
                return match file.exists() {
                    true => self.say(format_args!("{}: there already", file.display())),
                    false => self.say(format_args!("next: dotsops edit {}", file.display())),
                };
            }
        };
        let known = self
            .repository
            .as_ref()
            .filter(|git| std::path::absolute(&plaintext).is_ok_and(|path| git.ever_tracked(&path) || git.tracks(&path)));
        if file.exists() {
            self.surroundings.output.warning(format_args!(
                "{} is still there in clear, beside {}",
                plaintext.display(),
                file.display()
            ));
            return if known.is_some() { self.say_public(&plaintext, bytes.expose()) } else { Ok(()) };
        }
        let question = format!("Encrypt {} into {}?", plaintext.display(), file.display());
        if !self.arguments.yes && ask(&question) != Answer::Yes {
            return self.say(format_args!(
                "{}: left as it is; `dotsops encrypt -o {} {}` encrypts it",
                plaintext.display(),
                file.display(),
                plaintext.display()
            ));
        }
        let absolute = std::path::absolute(file)?;
        let metadata =
            new_file::metadata(&absolute, &Choice::default(), Some(config)).map_err(|error| Failure::new_file(&error))?;
        let format = format_of(file)?;
        let fix = format!("dotsops encrypt --fix -o {} {}", file.display(), plaintext.display());
        super::warn_of_weak_links(&metadata.key_groups, metadata.shamir_threshold, self.surroundings);
        let prepared = encrypt::prepare(bytes.expose(), &metadata.selection, format, false)
            .map_err(|error| Failure::cannot_store(&plaintext, error, Some(&fix)))?;
        encrypt_command::tell(&prepared, self.surroundings)?;
        encrypt_command::consent_to_clear(&prepared, &metadata, &self.arguments.allow_plaintext, self.surroundings)?;
        init::encrypt_into(file, prepared, metadata, format, &self.keyring, self.surroundings.now())?;
        self.say(format_args!("{}: made from {}, and read back", file.display(), plaintext.display()))?;
        if known.is_some() {
            self.say_public(&plaintext, bytes.expose())?;
        }
        self.offer_to_delete(&plaintext)
    }

    /// What once stood in a commit is known to everybody who has the history.
    fn say_public(&self, plaintext: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let names: Vec<String> = match dialect::decode(bytes) {
            Ok(decoded) => dialect::read(decoded.text.expose(), Precedence::FileFirst, &|_| None)
                .bindings
                .into_iter()
                .filter(|binding| binding.value.as_ref().is_some_and(|value| !value.is_empty()) && is_portable_name(&binding.key))
                .map(|binding| binding.key)
                .collect(),
            Err(_) => Vec::new(),
        };
        let shown = plaintext.display();
        self.surroundings
            .output
            .warning(format_args!("git has {shown} in its history: whoever has the history knows its values"));
        let tracked = std::path::absolute(plaintext)
            .is_ok_and(|path| self.repository.as_ref().is_some_and(|repository| repository.tracks(&path)));
        if tracked {
            self.say(format_args!("to do: git rm --cached {shown}"))?;
        }
        self.say(format_args!("to do: change these at their source: {}", names.join(", ")))
    }

    fn offer_to_delete(&self, plaintext: &Path) -> Result<(), Failure> {
        let shown = plaintext.display();
        if !self.arguments.yes && ask(&format!("Delete the plaintext {shown}?")) == Answer::Yes {
            std::fs::remove_file(plaintext)?;
            return self.say(format_args!("{shown}: deleted"));
        }
        self.say(format_args!("to do: rm {shown}, once you have seen that `dotsops exec` gives your programs what they need"))
    }

    /// A path as short as it can be.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.here).unwrap_or(path).display().to_string()
    }
}
