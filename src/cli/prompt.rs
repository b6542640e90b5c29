//! Asks the person at the terminal for what an identity needs.
//!
//! The words of every question of the library stand here. Also with `--quiet`: a question is no note. Its one invariant: without a
//! terminal it answers at once that there is nobody.

use crate::keys::outside::{Ask, NoAnswer, Question};
use crate::secret::SecretString;
use crate::sys::hidden::ask_hidden;
use crate::sys::signals::die_by;
use crate::sys::terminal::{AskError, ask_line, show_line};

/// The person at the terminal.
pub struct Prompt;

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
            Question::Work { of, gibibytes } => {
                format!("unlocking {of} takes {gibibytes} GiB of memory and a while. Go on? [y/N] ")
            }
            Question::PluginChoice { plugin, message, yes, no } => {
                let no = no.unwrap_or("anything else");
                format!("age-plugin-{plugin} asks: {message} [y: {yes}, n: {no}] ")
            }
            _ => return Err(NoAnswer::Nobody),
        };
        let answer = line(&question)?;
        Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }

    fn show(&self, plugin: &str, message: &str) -> Result<(), NoAnswer> {
        match show_line(&format!("age-plugin-{plugin}: {}", message.trim_end())) {
            true => Ok(()),
            false => Err(NoAnswer::Nobody),
        }
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
