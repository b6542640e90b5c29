//! A line from the terminal that is not shown while it is typed.
//!
//! Its one invariant: however the question ends, the terminal is left as it was found.
//!
//! The terminal hands over each key as it is pressed, Ctrl-C and Ctrl-Z among them, so no key makes a signal; signals from elsewhere
//! are the caller's [`DeathSignals`]. Source of what goes wrong otherwise: echo stays off after INT, TERM or TSTP.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::SIGINT;

use super::signals::DeathSignals;
use super::terminal::{AskError, escape_for_terminal};
use crate::secret::{SecretBytes, SecretString};

/// Shows `prompt`, escaped, and reads one line from `/dev/tty` without showing it; `None` if there is no terminal.
///
/// # Errors
/// [`AskError::Interrupted`] on Ctrl-C or a caught signal, [`AskError::Ended`] on Ctrl-D with nothing typed,
/// [`AskError::SeveralLines`] if more lines came at once, as when a text is pasted: they are thrown away, for the next reader would
/// be a shell. [`AskError::NotText`], [`AskError::TooLong`], [`AskError::Io`].
pub fn ask_hidden(prompt: &str, signals: &DeathSignals) -> Result<Option<SecretString>, AskError> {
    match OpenOptions::new().read(true).write(true).open("/dev/tty") {
        Ok(terminal) => ask_on(&terminal, prompt, signals).map(Some),
        Err(_) => Ok(None),
    }
}

/// The longest line; longer ones are files.
const LONGEST: usize = 64 << 10;

fn ask_on(mut terminal: &File, prompt: &str, signals: &DeathSignals) -> Result<SecretString, AskError> {
    let quiet = Quiet::begin(terminal)?;
    terminal.write_all(escape_for_terminal(prompt).as_bytes())?;
    let line = read_line(terminal, signals);
    drop(quiet);
    terminal.write_all(b"\n")?;
    line?.into_string().map_err(|_| AskError::NotText)
}

/// A terminal that shows nothing and hands over every key, until this is dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        let this = Self { terminal, before };
        // A pasted text is to come as if it were typed.
        let _ = (&mut &*terminal).write_all(b"\x1b[?2004l");
        Ok(this)
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // What was typed and not read is thrown away: it is a piece of a secret.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn read_line(mut terminal: &File, signals: &DeathSignals) -> Result<SecretBytes, AskError> {
    let mut line = SecretBytes::with_capacity(LONGEST);
    let mut byte = [0];
    loop {
        if let Some(signal) = signals.pending() {
            return Err(AskError::Interrupted(signal));
        }
        signals.wait_or_readable(terminal.as_fd())?;
        if signals.pending().is_some() || !is_readable(terminal)? {
            continue;
        }
        let read = match terminal.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match (read, byte[0]) {
            (0, _) => return Err(AskError::Ended),
            (_, b'\n' | b'\r') if is_readable(terminal)? => return Err(AskError::SeveralLines),
            (_, b'\n' | b'\r') => return Ok(line),
            (_, CTRL_C) => return Err(AskError::Interrupted(SIGINT)),
            (_, CTRL_D) if line.is_empty() => return Err(AskError::Ended),
            (_, CTRL_D) => return Ok(line),
            (_, CTRL_U) => line.truncate(0),
            (_, BACKSPACE | DELETE) => {
                let is_start = |byte: &u8| byte & 0xc0 != 0x80;
                line.truncate(line.expose().iter().rposition(is_start).unwrap_or_default());
            }
            (_, CTRL_Z) => {}
            _ if line.len() == LONGEST => return Err(AskError::TooLong),
            _ => line.push(&byte),
        }
        byte = [0];
    }
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const CTRL_Z: u8 = 26;
const DELETE: u8 = 127;

fn is_readable(terminal: &File) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&now)) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}
