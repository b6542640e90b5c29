//! A plaintext `.env` beside the file to be: encrypted and deleted if that is agreed to, and its values told public where they are.

use std::path::Path;

use super::{Ready, format_of};
use crate::cli::commands::{encrypt as encrypt_command, warn_of_weak_links};
use crate::cli::consent::{Answer, ask};
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::dialect;
use crate::dialect::interpolation::Precedence;
use crate::dialect::names::is_portable_name;
use crate::ops::new_file::{self, Choice};
use crate::ops::{encrypt, file, init};

impl Ready<'_> {
    /// Offers to encrypt a plaintext `.env` beside the file.
    pub(super) fn plaintext(&self, config: &Config) -> Result<(), Failure> {
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
        let dry_run = self.arguments.dry_run;
        if !self.arguments.yes && !dry_run && ask(&question) != Answer::Yes {
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
        warn_of_weak_links(&metadata.key_groups, metadata.shamir_threshold, self.surroundings);
        let prepared = encrypt::prepare(bytes.expose(), &metadata.selection, format, false)
            .map_err(|error| Failure::cannot_store(&plaintext, error, Some(&fix)))?;
        encrypt_command::tell(&prepared, self.surroundings)?;
        let allowed = &self.arguments.allow_plaintext;
        if dry_run {
            let in_clear = encrypt_command::names_in_clear(&prepared, &metadata, allowed, self.surroundings);
            if !in_clear.is_empty() {
                self.say(format_args!("under this rule these would stay in clear, if you agree: {}", in_clear.join(", ")))?;
            }
            let how = if self.arguments.yes { "" } else { ", if you agree" };
            self.say(format_args!("{}: would be made from {}{how}", file.display(), plaintext.display()))?;
            return if known.is_some() { self.say_public(&plaintext, bytes.expose()) } else { Ok(()) };
        }
        encrypt_command::consent_to_clear(&prepared, &metadata, allowed, self.surroundings)?;
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
}
