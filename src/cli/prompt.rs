//! Asks the person at the terminal for what an identity needs.
//!
//! The words of every question of the library stand here. Also with `--quiet`: a question is no note. Its one invariant: without a
//! terminal it answers at once that there is nobody, but for what was agreed to before.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::keys::outside::{Ask, NoAnswer, Question};
use crate::ops::known_plugins::{KnownPlugins, PluginAnswer};
use crate::secret::SecretString;
use crate::sys::hidden::ask_hidden;
use crate::sys::signals::die_by;
use crate::sys::terminal::{AskError, ask_line, show_line};

/// The person at the terminal, and what they agreed to already.
#[derive(Default)]
pub struct Prompt {
    /// The plugins that may run, by name.
    pub plugins: Vec<String>,
    /// Those that may by an earlier answer; nothing if none can be kept.
    pub known_plugins: Option<KnownPlugins>,
    /// The answers about programs: nobody is asked twice, and several threads may want to know.
    pub answers: Mutex<HashMap<PathBuf, Result<bool, NoAnswer>>>,
}

impl Ask for Prompt {
    fn answer(&self, question: &Question<'_>) -> Result<SecretString, NoAnswer> {
        match question {
            Question::Passphrase { of, again } => {
                let wrong = if *again { "wrong passphrase; " } else { "" };
                secret(&format!("{wrong}passphrase for {of}: "))
            }
            Question::Plugin { plugin, message, is_secret: true } => secret(&format!("age-plugin-{plugin} asks: {message} ")),
            Question::Plugin { plugin, message, is_secret: false } => {
                line(&format!("age-plugin-{plugin} asks: {message} ")).map(SecretString::from_string)
            }
            _ => Err(NoAnswer::Nobody),
        }
    }

    fn confirm(&self, question: &Question<'_>) -> Result<bool, NoAnswer> {
        let question = match question {
            Question::RunPlugin { plugin, program } => return self.may_run(plugin, program),
            Question::Work { of, gibibytes } => {
                format!("unlocking {of} takes {gibibytes} GiB of memory and a while. Go on? [y/N] ")
            }
            Question::PluginChoice { plugin, message, yes, no } => {
                let no = no.unwrap_or("anything else");
                format!("age-plugin-{plugin} asks: {message} [y: {yes}, n: {no}] ")
            }
            _ => return Err(NoAnswer::Nobody),
        };
        yes(&question)
    }

    fn show(&self, plugin: &str, message: &str) -> Result<(), NoAnswer> {
        match show_line(&format!("age-plugin-{plugin}: {}", message.trim_end())) {
            true => Ok(()),
            false => Err(NoAnswer::Nobody),
        }
    }
}

impl Prompt {
    fn may_run(&self, plugin: &str, program: &Path) -> Result<bool, NoAnswer> {
        if self.plugins.iter().any(|allowed| allowed == plugin) {
            return Ok(true);
        }
        // Held while somebody is asked: the others wait for that answer.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(program.to_owned()).or_insert_with(|| self.ask_to_run(program))
    }

    fn ask_to_run(&self, program: &Path) -> Result<bool, NoAnswer> {
        let known = self.known_plugins.as_ref().and_then(|known| known.answer(program));
        if known.as_ref().is_some_and(PluginAnswer::is_yes) {
            return Ok(true);
        }
        let when = if known.is_some() { ", now and in future" } else { "" };
        let shown = program.display();
        let who = "a recipient that the file or .sops.yaml names";
        let is_yes = yes(&format!("{shown} must run to encrypt to {who}. Let it{when}? [y/N] "))?;
        if is_yes && let Some(Err(error)) = known.map(|known| known.remember()) {
            show_line(&format!("this answer could not be kept, so it will be asked again: {error}"));
        }
        Ok(is_yes)
    }
}

/// Asks twice for a new passphrase; an empty one, or two that differ, is asked for again. `None` without a terminal or an answer.
pub fn new_passphrase() -> Option<SecretString> {
    let mut prompt = "new passphrase: ";
    for _ in 0..3 {
        let first = secret(prompt).ok()?;
        if first.is_empty() {
            prompt = "an empty passphrase protects nothing; new passphrase: ";
            continue;
        }
        if secret("the same again: ").ok()?.ct_eq(first.expose()) {
            return Some(first);
        }
        prompt = "they differ; new passphrase: ";
    }
    None
}

fn secret(prompt: &str) -> Result<SecretString, NoAnswer> {
    answered(ask_hidden(prompt))
}

fn yes(question: &str) -> Result<bool, NoAnswer> {
    Ok(["y", "yes"].contains(&line(question)?.trim().to_ascii_lowercase().as_str()))
}

fn line(prompt: &str) -> Result<String, NoAnswer> {
    answered(ask_line(prompt, None))
}

fn answered<T>(asked: Result<Option<T>, AskError>) -> Result<T, NoAnswer> {
    match asked {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(NoAnswer::Nobody),
        // The terminal is as it was, and nothing of ours is anywhere yet: what is asked for is needed before everything else.
        Err(AskError::Interrupted(signal)) => die_by(signal),
        Err(_) => Err(NoAnswer::Declined),
    }
}
