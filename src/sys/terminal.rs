//! Talks to the person at the terminal, and keeps what is shown from driving it.
//!
//! Knows neither colours nor wording. Its two invariants: text that went through [`escape_for_terminal`] moves no cursor, hides
//! nothing and reads in one direction; however a question without echo ends, the echo comes back.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use super::signals::{DeathSignals, StopSignal};
use crate::secret::SecretString;

/// Whether `descriptor` is a terminal.
pub fn is_terminal(descriptor: impl AsFd) -> bool {
    rustix::termios::isatty(descriptor)
}

/// Makes `text` safe to print on a terminal.
///
/// Control characters except line feed and tab, what changes the direction of text, what has no width, and line separators
/// become `\x1b` or `\u{202e}`. Escaping twice changes nothing more.
pub fn escape_for_terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    push_escaped(&mut escaped, text);
    Cow::Owned(escaped)
}

/// [`escape_for_terminal`] for bytes that may be no text; bytes that are no UTF-8 become `\xff`.
pub fn escape_bytes_for_terminal(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return escape_for_terminal(text);
    }
    let mut escaped = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        push_escaped(&mut escaped, chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    Cow::Owned(escaped)
}

/// Shows `prompt`, escaped, and reads one line (without its end) from the terminal, with echo; `None` if there is no terminal.
///
/// It reads `/dev/tty`, so stdin stays free for data. With `signals` a caught signal ends the question; without, it does what
/// it always does. Ctrl-Z stops the process, and the question is asked again when it goes on.
///
/// # Errors
/// [`AskError::Ended`] at the end of input (Ctrl-D), [`AskError::Interrupted`] on a caught signal, [`AskError::NotText`] and
/// [`AskError::TooLong`] for what nobody typed, [`AskError::Io`] if the terminal is gone.
pub fn ask_line(prompt: &str, signals: Option<&DeathSignals>) -> Result<Option<String>, AskError> {
    // A process without a controlling terminal cannot open it; nor can one in a sandbox without /dev.
    match OpenOptions::new().read(true).write(true).open("/dev/tty") {
        Ok(terminal) => ask_on(&terminal, prompt, signals).map(Some),
        Err(_) => Ok(None),
    }
}

/// Shows `text`, escaped, on the terminal, in lines of its own; `false` if there is no terminal.
pub fn show_line(text: &str) -> bool {
    let Ok(mut terminal) = OpenOptions::new().write(true).open("/dev/tty") else { return false };
    terminal.write_all(format!("{}\n", escape_for_terminal(text)).as_bytes()).is_ok()
}

/// Shows a private key on the terminal, in a line of its own; `false` if there is no terminal. No copy of it is made.
pub fn show_secret(text: &SecretString) -> bool {
    let Ok(mut terminal) = OpenOptions::new().write(true).open("/dev/tty") else { return false };
    terminal.write_all(text.expose().as_bytes()).and_then(|()| terminal.write_all(b"\n")).is_ok()
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The end of input instead of a line.
    #[error("no answer: end of input")]
    Ended,
    /// A caught signal came first.
    #[error("no answer: signal {0}")]
    Interrupted(i32),
    /// The line is no UTF-8.
    #[error("the answer is not UTF-8")]
    NotText,
    /// The line is longer than any answer.
    #[error("the answer is too long")]
    TooLong,
    /// More lines came at once. Only [`super::hidden::ask_hidden`] says so.
    #[error("the answer has several lines")]
    SeveralLines,
    /// A key that has no character was pressed. Only [`super::hidden::ask_hidden`] says so.
    #[error("the answer has a control character in it")]
    ControlCharacter,
    /// The terminal failed.
    #[error("cannot ask on the terminal")]
    Io(#[from] io::Error),
}

const LONGEST_ANSWER: usize = 4096;

fn ask_on(mut terminal: &File, prompt: &str, signals: Option<&DeathSignals>) -> Result<String, AskError> {
    let answer = ask_for_line(terminal, prompt, signals);
    if answer.is_err() {
        // Nobody ended the question's line. What is said next begins its own.
        let _ = terminal.write_all(b"\n");
    }
    answer
}

fn ask_for_line(mut terminal: &File, prompt: &str, signals: Option<&DeathSignals>) -> Result<String, AskError> {
    let stop = StopSignal::catch()?;
    let prompt = escape_for_terminal(prompt);
    terminal.write_all(prompt.as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if let Some(signal) = signals.and_then(DeathSignals::pending) {
            return Err(AskError::Interrupted(signal));
        }
        if stop.take() {
            stop.stop();
            // The terminal has dropped what was typed, and others have written since.
            line.clear();
            terminal.write_all(prompt.as_bytes())?;
        }
        // A terminal in its usual mode has nothing to read before the line is complete. After another wake ask again.
        match signals {
            Some(signals) => signals.wait_or_any_readable([terminal.as_fd(), stop.as_fd()])?,
            None => stop.wait_or_readable(terminal.as_fd())?,
        }
        if signals.is_some_and(|signals| signals.pending().is_some()) {
            continue;
        }
        // A byte at a time: what follows the line belongs to the next reader.
        match read_ready(terminal, &mut byte) {
            Ok(Some(0)) if line.is_empty() => return Err(AskError::Ended),
            Ok(Some(0)) => break,
            Ok(Some(_)) if byte == *b"\n" => break,
            Ok(Some(_)) if line.len() == LONGEST_ANSWER => return Err(AskError::TooLong),
            Ok(Some(_)) => line.push(byte[0]),
            Ok(None) => {}
            Err(error) => return Err(error.into()),
        }
    }
    String::from_utf8(line).map_err(|_| AskError::NotText)
}

/// Reads a byte; `None` if it was interrupted or there is nothing to read yet.
fn read_ready(mut terminal: &File, byte: &mut [u8; 1]) -> io::Result<Option<usize>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&now)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
        ready => ready?,
    };
    match terminal.read(byte) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        read => read.map(Some),
    }
}

fn push_escaped(escaped: &mut String, text: &str) {
    for character in text.chars() {
        if !is_unsafe(character) {
            escaped.push(character);
        } else if character.is_ascii() {
            let _ = write!(escaped, "\\x{:02x}", u32::from(character));
        } else {
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
        }
    }
}

fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Soft hyphen; zero-width space to right-to-left mark; separators and direction; invisible operators and directions;
        // byte-order mark; interlinear marks; tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::super::testing::in_own_process;
    use super::*;

    #[test]
    fn plain_text_is_left_as_it_is() {
        for text in ["", "a = \"b\"\n\tc", "Grüße, 世界 🦀", r"\x1b stays \u{202e}"] {
            assert!(matches!(escape_for_terminal(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_drives_a_terminal_is_shown_instead() {
        for (text, shown) in [
            ("\x1b[2J", r"\x1b[2J"),
            ("a\rb", r"a\x0db"),
            ("\0\x07\x08\x7f", r"\x00\x07\x08\x7f"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{202a}\u{202e}", r"\u{202a}\u{202e}"),
            ("\u{2066}\u{2069}", r"\u{2066}\u{2069}"),
            ("\u{200e}\u{200f}", r"\u{200e}\u{200f}"),
            ("A\u{200b}B\u{200d}\u{feff}", r"A\u{200b}B\u{200d}\u{feff}"),
            ("\u{2028}\u{2029}\u{85}", r"\u{2028}\u{2029}\u{85}"),
        ] {
            let escaped = escape_for_terminal(text);
            assert_eq!(escaped, shown);
            assert_eq!(escape_for_terminal(&escaped), shown);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_one_by_one() {
        assert_eq!(escape_bytes_for_terminal(b"a\xff\xc3(\x1b"), r"a\xff\xc3(\x1b");
        assert_eq!(escape_bytes_for_terminal("é\u{7}".as_bytes()), r"é\x07");
        assert!(matches!(escape_bytes_for_terminal(b"plain"), Cow::Borrowed("plain")));
    }

    /// A pair of sockets: the end that stands for the terminal, and the person's.
    fn terminal() -> (File, UnixStream) {
        let (terminal, person) = UnixStream::pair().unwrap();
        (File::from(OwnedFd::from(terminal)), person)
    }

    #[test]
    fn a_question_is_shown_escaped_and_takes_one_line() {
        let (terminal, mut person) = terminal();
        person.write_all("ja, größer\nrest".as_bytes()).unwrap();
        assert_eq!(ask_on(&terminal, "save \x1b[2J? ", None).unwrap(), "ja, größer");
        let mut shown = [0; 64];
        let length = person.read(&mut shown).unwrap();
        assert_eq!(shown[..length], *b"save \\x1b[2J? ");
        let mut rest = [0; 4];
        (&terminal).read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"rest");
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let (ended, person) = terminal();
        drop(person);
        assert!(matches!(ask_on(&ended, "", None), Err(AskError::Ended)));
        for (typed, is_expected) in [
            (vec![b'x'; LONGEST_ANSWER + 1], (|error| matches!(error, AskError::TooLong)) as fn(AskError) -> bool),
            (b"\xff\n".to_vec(), |error| matches!(error, AskError::NotText)),
        ] {
            let (terminal, mut person) = terminal();
            person.write_all(&typed).unwrap();
            assert!(is_expected(ask_on(&terminal, "", None).unwrap_err()));
        }
    }

    #[test]
    fn a_caught_signal_ends_the_question() {
        in_own_process("sys::terminal::tests::a_caught_signal_ends_the_question", || {
            let signals = DeathSignals::catch().unwrap();
            let (terminal, mut person) = terminal();
            person.write_all(b"yes\n").unwrap();
            assert_eq!(ask_on(&terminal, "", Some(&signals)).unwrap(), "yes");
            let asking = std::thread::spawn(|| signal_hook::low_level::raise(signal_hook::consts::SIGTERM));
            let answer = ask_on(&terminal, "", Some(&signals));
            asking.join().unwrap().unwrap();
            assert!(matches!(answer, Err(AskError::Interrupted(signal_hook::consts::SIGTERM))));
        });
    }
}
