//! What git is to leave out, to show and to merge: lines in the repository, settings in this clone.

use std::path::Path;

use super::Ready;
use crate::cli::failure::{Failure, shell_word};
use crate::ops::git::settings::{self, Attributes};
use crate::ops::{file, init};
use crate::sys::process;

impl Ready<'_> {
    pub(super) fn git_files(&self) -> Result<(), Failure> {
        let file = &self.arguments.file;
        let ignore = self.root.join(".gitignore");
        let added = self.add_lines(&ignore, "plaintext twins of encrypted files", &init::ignore_lines(file))?;
        self.say_added(".gitignore", &added)?;
        let absolute = std::path::absolute(file)?;
        self.attributes(&absolute)?;
        if self.repository.as_ref().is_some_and(|repository| repository.ignores(&absolute)) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let line = format!("!{name}");
            let added = self.add_lines(&ignore, "encrypted, so it belongs into git", &[&line])?;
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
        let added = self.add_lines(
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
    pub(super) fn git_settings(&self) -> Result<(), Failure> {
        let Some(repository) = &self.repository else {
            return match self.has_git {
                true => self.say(format_args!("git: no repository here; after `git init`, run `dotsops init` again")),
                false => self.say(format_args!("git: there is no program `git`; once it is installed, run `dotsops init` again")),
            };
        };
        let Ok(settled) = settings::settle(repository, &settings::running(&self.program()?), self.arguments.dry_run) else {
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
}
