//! The only printer: results to stdout, everything else to stderr.
//!
//! Its rules: what goes to a terminal is escaped, so that a name or a value from somebody else's file cannot drive it; what goes into
//! a pipe is raw. What is said on stderr is bounded, and each thing said begins a line; a line break in it, perhaps of a path, begins
//! none that could pass for another thing said. Writing never panics: after a hang-up there is nobody to tell, and clean-up must go on.

use std::fmt::Display;
use std::io::{self, Write};

use super::failure::Failure;
use crate::secret::SecretBytes;
use crate::sys::{standard_output, terminal};

/// How much is said, and where.
pub struct Output {
    quiet: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
}

impl Output {
    /// The process's own streams. `quiet` leaves out notes and warnings.
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            stdout_is_terminal: terminal::is_terminal(io::stdout()),
            stderr_is_terminal: terminal::is_terminal(io::stderr()),
        }
    }

    /// A line of the result.
    ///
    /// # Errors
    /// The stream's.
    pub fn line(&self, text: &str) -> io::Result<()> {
        let mut line = match self.stdout_is_terminal {
            true => terminal::escape_for_terminal(text).into_owned(),
            false => text.to_owned(),
        };
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// A result that may hold secrets, as it is; escaped on a terminal.
    ///
    /// # Errors
    /// The stream's.
    pub fn secret(&self, bytes: &SecretBytes) -> io::Result<()> {
        if self.stdout_is_terminal {
            return self.write(terminal::escape_bytes_for_terminal(bytes.expose()).as_bytes());
        }
        self.write(bytes.expose())
    }

    /// One value, as it is and with nothing behind it; on a terminal escaped, and ended by a line break.
    ///
    /// # Errors
    /// The stream's.
    pub fn value(&self, bytes: &SecretBytes) -> io::Result<()> {
        self.secret(bytes)?;
        if self.stdout_is_terminal { self.write(b"\n") } else { Ok(()) }
    }

    /// Something done, or worth knowing.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            self.stderr("note", &text);
        }
    }

    /// Something that may go wrong later.
    pub fn warning(&self, text: impl Display) {
        if !self.quiet {
            self.stderr("warning", &text);
        }
    }

    /// Something that has to be decided now; said even if quiet.
    pub fn problem(&self, text: impl Display) {
        self.stderr("problem", &text);
    }

    /// What to do about something that was said already.
    pub fn hint(&self, text: impl Display) {
        self.stderr("hint", &text);
    }

    /// How far long work is, in one line of a terminal that the next one takes the place of. `None` takes it away.
    pub fn progress(&self, text: Option<std::fmt::Arguments>) {
        if self.quiet || !self.stderr_is_terminal {
            return;
        }
        let line = text.map(|text| format!("dotsops: {}", terminal::escape_for_terminal(&text.to_string()))).unwrap_or_default();
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
        let _ = io::stderr().flush();
    }

    /// What failed, why, and what to do: three lines at most.
    pub fn failure(&self, failure: &Failure) {
        self.stderr("error", &failure.error);
        if let Some(cause) = &failure.cause {
            self.stderr("cause", cause);
        }
        if let Some(hint) = &failure.hint {
            self.hint(hint);
        }
    }

    fn stderr(&self, label: &str, text: &dyn Display) {
        let text = shortened(text.to_string());
        let text = match self.stderr_is_terminal {
            true => terminal::escape_for_terminal(&text),
            false => text.as_str().into(),
        };
        let _ = writeln!(io::stderr(), "dotsops: {label}: {}", text.trim_end_matches('\n').replace('\n', "\n  "));
    }

    /// What clap says: a help text, or the version.
    ///
    /// # Errors
    /// The stream's.
    pub fn help(&self, help: &clap::Error) -> io::Result<()> {
        check_stdout()?;
        help.print().map_err(not_written)
    }

    /// Past std's own buffer, which would keep a copy of what was written.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        check_stdout()?;
        io::stdout().flush()?;
        while !bytes.is_empty() {
            match rustix::io::write(rustix::stdio::stdout(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(not_written(error.into())),
            }
        }
        Ok(())
    }
}

fn check_stdout() -> io::Result<()> {
    if standard_output::was_closed() { Err(not_written(rustix::io::Errno::BADF.into())) } else { Ok(()) }
}

fn not_written(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard output cannot be written: {error}"))
}

/// How much is said about one thing, in bytes. A name may have as many as a file.
const LONGEST: usize = 8 << 10;

/// `text`, and what was left out of it if it is longer.
pub(super) fn shortened(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let (start, end) = (text.floor_char_boundary(LONGEST / 2), text.ceil_char_boundary(text.len() - LONGEST / 2));
    format!("{} … ({} bytes left out) … {}", &text[..start], end - start, &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_bounded_and_ends_with_a_whole_character() {
        assert_eq!(shortened("short".to_owned()), "short");
        let long = shortened(format!("a{}", "é".repeat(LONGEST)));
        assert!(long.len() < LONGEST + 40, "{}", long.len());
        assert!(long.starts_with("aé") && long.contains("é … (8194 bytes left out) … é"), "{}", long.len());
    }
}
