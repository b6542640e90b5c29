//! Runs the command that a variable such as `SOPS_AGE_KEY_CMD` names, and takes what it prints.
//!
//! Its one invariant: what the command prints is in a wiped buffer and in nothing else, least of all in an error.
//!
//! Source: getsops/sops `age/keysource.go`, `getOutputFromCmd`: split into words, no shell, nothing on its standard input, its standard
//! error dropped.

use std::ffi::{OsStr, OsString};
use std::io;

use crate::keys::outside::Outside;
use crate::keys::source::MAX_FILE_LENGTH;
use crate::secret::SecretBytes;
use crate::sys::piped::{PipeError, Piped, Start};
use crate::sys::process::ResolveError;

/// The variable that tells the command which recipient's identity is wanted.
const RECIPIENT: &str = "SOPS_AGE_RECIPIENT";

/// Runs `command`, split into words as a shell would, for `recipient`; gives what it printed.
pub(super) fn run(command: &str, recipient: &str, outside: &Outside) -> Result<SecretBytes, CommandError> {
    if command.trim().is_empty() {
        return Ok(SecretBytes::default());
    }
    let words = shlex::split(command).ok_or(CommandError::Quotes)?;
    // What is nothing but a comment names no program.
    let Some((program, arguments)) = words.split_first() else { return Ok(SecretBytes::default()) };
    let path = outside.find(OsStr::new(program)).map_err(|source| CommandError::Program { program: program.clone(), source })?;
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let mut child = Piped::start(&Start {
        program: &path,
        arguments: &arguments,
        set: &[(RECIPIENT.into(), recipient.into())],
        remove: &outside.hidden,
        patience: outside.patience,
    })
    .map_err(|error| CommandError::NotStarted(error.kind()))?;
    child.close_input();
    let printed = read_all(&mut child)?;
    let status = child.end().map_err(CommandError::from)?;
    match status.code() {
        Some(0) => Ok(printed),
        Some(code) => Err(CommandError::Failed { code }),
        None => Err(CommandError::Killed),
    }
}

fn read_all(child: &mut Piped) -> Result<SecretBytes, CommandError> {
    let mut bytes = SecretBytes::with_capacity(16 * 1024);
    let mut chunk = SecretBytes::from_vec(vec![0; 16 * 1024]);
    loop {
        match child.receive(chunk.expose_mut())? {
            0 => return Ok(bytes),
            length => bytes.push(chunk.expose().get(..length).unwrap_or_default()),
        }
        if bytes.len() > MAX_FILE_LENGTH {
            return Err(CommandError::TooMuch);
        }
    }
}

impl From<PipeError> for CommandError {
    fn from(error: PipeError) -> Self {
        match error {
            PipeError::TimedOut { seconds } => Self::TimedOut { seconds },
            PipeError::Io(error) => Self::NotRead(error.kind()),
        }
    }
}

/// Why a command gave no identities. It never holds what the command printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A quote without its other half.
    #[error("holds a command with an unclosed quote")]
    Quotes,
    /// The program is not there.
    #[error("names the program {program}, which cannot be run: {source}")]
    Program {
        /// Its name.
        program: String,
        /// Why.
        source: ResolveError,
    },
    /// The system did not start it.
    #[error("names a program that did not start: {0}")]
    NotStarted(io::ErrorKind),
    /// It ended with another code than 0.
    #[error("names a command that failed with exit code {code}")]
    Failed {
        /// The code.
        code: i32,
    },
    /// A signal ended it.
    #[error("names a command that was ended by a signal")]
    Killed,
    /// It went on for too long.
    #[error("names a command that did not end within {seconds} seconds, and was ended")]
    TimedOut {
        /// How long it had.
        seconds: u64,
    },
    /// It printed more than any identity file has.
    #[error("names a command that printed more than {MAX_FILE_LENGTH} bytes, and was ended")]
    TooMuch,
    /// Its output could not be read.
    #[error("names a command whose output could not be read: {0}")]
    NotRead(io::ErrorKind),
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn outside(patience: u64) -> Outside {
        Outside { path: Some("/usr/bin:/bin".into()), patience: Duration::from_millis(patience), ..Outside::default() }
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        for command in ["sleep 1000", "sh -c 'exec 1>&-; exec sleep 1000'", "sh -c 'while :; do echo; done'"] {
            let start = Instant::now();
            let error = run(command, "age1x", &outside(300)).err();
            assert!(matches!(error, Some(CommandError::TimedOut { .. } | CommandError::TooMuch)), "{command}: {error:?}");
            assert!(start.elapsed() < Duration::from_secs(8), "{command}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn no_command_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/sleep", folder.path().join("left-behind")).unwrap();
        let outside = Outside { path: Some(folder.path().into()), ..outside(200) };
        assert!(matches!(run("left-behind 1000", "", &outside), Err(CommandError::TimedOut { .. })));
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            // A zombie keeps its name here.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            assert!(!stat.contains("(left-behind)"), "{stat}");
        }
    }

    #[test]
    fn without_a_search_path_no_program_is_run() {
        let error = run("true", "", &Outside::default()).err();
        assert_eq!(error, Some(CommandError::Program { program: "true".into(), source: ResolveError::NotFound }));
        assert!(run("# nothing", "", &Outside::default()).ok().is_some_and(|printed| printed.is_empty()));
    }
}
