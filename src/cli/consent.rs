//! Questions with a yes or a no.

use crate::sys::terminal::{AskError, ask_line};

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No, an empty line, or the end of input.
    No,
    /// There is no terminal to ask on.
    Nobody,
}

/// Asks `question` on the terminal; anything but `y` or `yes` is a no.
pub fn ask(question: &str) -> Answer {
    match ask_line(&format!("{question} [y/N] "), None) {
        Ok(None) => Answer::Nobody,
        Ok(Some(answer)) if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) => Answer::Yes,
        Ok(Some(_)) | Err(AskError::Ended) => Answer::No,
        Err(_) => Answer::No,
    }
}
