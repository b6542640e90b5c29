//! A line from the terminal that is not shown while it is typed.
//!
//! Its one invariant: however the question ends, or is interrupted, the terminal is left as it was found.
//!
//! The terminal hands over each key as it is pressed: in its usual mode it would cut a long secret at 4,096 bytes, and give the rest of a
//! pasted text to the next reader, a shell. So the keys that edit a line, and those that make signals, are read here. Source of what goes
//! wrong otherwise: echo stays off after INT, TERM or TSTP.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTTOU};

use super::signals::{DeathSignals, Disposition, StopSignal};
use super::terminal::{AskError, escape_for_terminal};
use crate::secret::{SecretBytes, SecretString};

/// Shows `prompt`, escaped, and reads one line from `/dev/tty` without showing it; `None` if there is no terminal.
///
/// Signals that end the process are caught meanwhile; Ctrl-Z stops it with the echo on, and the question is asked again when it goes on.
/// Backspace, Ctrl-W and Ctrl-U take back what was typed; arrows and the like, and what a terminal puts around a pasted text, are no part
/// of the answer.
///
/// # Errors
/// [`AskError::Interrupted`] on Ctrl-C or a caught signal, by which the caller should end; [`AskError::Ended`] on Ctrl-D with nothing
/// typed; [`AskError::SeveralLines`] if more lines came at once, as when a text is pasted: they are thrown away.
/// [`AskError::ControlCharacter`], [`AskError::NotText`], [`AskError::TooLong`], [`AskError::Io`].
pub fn ask_hidden(prompt: &str) -> Result<Option<SecretString>, AskError> {
    match OpenOptions::new().read(true).write(true).open("/dev/tty") {
        Ok(terminal) => ask_on(&terminal, prompt).map(Some),
        Err(_) => Ok(None),
    }
}

/// The longest line; longer ones are files.
const LONGEST: usize = 64 << 10;

fn ask_on(mut terminal: &File, prompt: &str) -> Result<SecretString, AskError> {
    // Caught before the echo goes, or a signal in between would leave it off.
    let signals = DeathSignals::catch()?;
    let stop = StopSignal::catch()?;
    loop {
        let quiet = Quiet::begin(terminal)?;
        terminal.write_all(escape_for_terminal(prompt).as_bytes())?;
        let line = read_line(terminal, &signals, &stop);
        // The person's own line end was not shown either.
        let _ = terminal.write_all(b"\n");
        drop(quiet);
        match line? {
            Some(line) => return line.into_string().map_err(|_| AskError::NotText),
            None => stop.stop(),
        }
    }
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
        // What was typed before the question was asked is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // In the background this call would stop us, with the echo still off.
        let ttou = Disposition::set(SIGTTOU, Disposition::IGNORE);
        // What was typed and not read is thrown away: it is a piece of a secret. It fails when the terminal is gone; then there is
        // nothing to put back.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
        Disposition::set(SIGTTOU, ttou);
    }
}

/// A line; `None` if the process shall stop first.
fn read_line(mut terminal: &File, signals: &DeathSignals, stop: &StopSignal) -> Result<Option<SecretBytes>, AskError> {
    let mut line = SecretBytes::with_capacity(LONGEST);
    let mut sequence = Sequence::None;
    let mut byte = [0];
    loop {
        if let Some(signal) = signals.pending() {
            return Err(AskError::Interrupted(signal));
        }
        if stop.take() {
            return Ok(None);
        }
        signals.wait_or_any_readable([terminal.as_fd(), stop.as_fd()])?;
        if signals.pending().is_some() || !is_readable(terminal)? {
            continue;
        }
        let read = match terminal.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Err(AskError::Ended);
        }
        sequence = sequence.after(byte[0]);
        match byte[0] {
            _ if sequence != Sequence::None => {}
            b'\n' | b'\r' if is_readable(terminal)? => return Err(AskError::SeveralLines),
            b'\n' | b'\r' => return Ok(Some(line)),
            CTRL_C => return Err(AskError::Interrupted(SIGINT)),
            CTRL_BACKSLASH => return Err(AskError::Interrupted(SIGQUIT)),
            // As the terminal would: whoever started us together with others stops too.
            CTRL_Z => kill_current_process_group(Signal::TSTP).map_err(io::Error::from)?,
            CTRL_D if line.is_empty() => return Err(AskError::Ended),
            CTRL_D => return Ok(Some(line)),
            CTRL_U => line.truncate(0),
            CTRL_W => {
                let trimmed = line.expose().trim_ascii_end().len();
                let word = line.expose()[..trimmed].iter().rposition(|byte| *byte == b' ').map_or(0, |blank| blank + 1);
                line.truncate(word);
            }
            BACKSPACE | DELETE => {
                let is_start = |byte: &u8| byte & 0xc0 != 0x80;
                line.truncate(line.expose().iter().rposition(is_start).unwrap_or_default());
            }
            control if control.is_ascii_control() && control != b'\t' => return Err(AskError::ControlCharacter),
            _ if line.len() == LONGEST => return Err(AskError::TooLong),
            _ => line.push(&byte),
        }
        sequence = sequence.settled();
        byte = [0];
    }
}

/// How far into what one key or the terminal itself sends behind an escape character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sequence {
    None,
    /// Behind the escape character.
    Begun,
    /// Behind `ESC [` or `ESC O`, until a letter or `~` ends it.
    Inside,
    /// At its last byte.
    Last,
}

impl Sequence {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::None | Self::Last, ESCAPE) => Self::Begun,
            (Self::None | Self::Last, _) => Self::None,
            (Self::Begun, b'[' | b'O') => Self::Inside,
            (Self::Inside, 0x40..=0x7e) | (Self::Begun, _) => Self::Last,
            (Self::Inside, _) => Self::Inside,
        }
    }

    fn settled(self) -> Self {
        if self == Self::Last { Self::None } else { self }
    }
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const CTRL_W: u8 = 23;
const CTRL_Z: u8 = 26;
const ESCAPE: u8 = 27;
const CTRL_BACKSLASH: u8 = 28;
const DELETE: u8 = 127;

fn is_readable(terminal: &File) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&now)) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}
