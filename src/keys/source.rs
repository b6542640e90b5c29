//! Places to look for identities, and how each is read.
//!
//! Is told every place: reads no environment variable and knows no default path. Its one invariant: reading ends, whatever a path
//! leads to, and what was read stands in one wiped buffer.
//!
//! Source of the rules: getsops/sops `age/keysource.go`, `loadIdentities`.

use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::keys::age::identity::{Identity, IdentityProblem};
use crate::keys::age::identity_file::{self, Found, Layout};
use crate::secret::{SecretBytes, SecretString};

/// How long a file of identities may be, in bytes.
pub const MAX_FILE_LENGTH: usize = 16 * 1024 * 1024;

/// Where an identity came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A variable that holds identities.
    Variable(String),
    /// A file that a variable names.
    VariableFile {
        /// The variable.
        variable: String,
        /// What it holds.
        path: PathBuf,
    },
    /// A file in its usual place, written as the user knows it (`~/.ssh/id_ed25519`).
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => f.write_str(variable),
            Self::VariableFile { variable, path } => write!(f, "{variable} ({})", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One place to look for identities.
pub struct IdentitySource {
    /// Its name in messages.
    pub origin: Origin,
    /// What is there.
    pub material: Material,
}

/// What a source holds, or where that lies.
pub enum Material {
    /// Identities as text, any number to a line; empty is the same as no source.
    Text(SecretString),
    /// A file of identities, one to a line.
    File {
        /// Where. An empty path is the same as no source.
        path: PathBuf,
        /// Whether it is fine if there is no such file.
        optional: bool,
    },
    /// A file with one SSH private key.
    SshFile {
        /// Where. An empty path is the same as no source.
        path: PathBuf,
        /// Whether it is fine if there is no such file.
        optional: bool,
    },
    /// A program that prints identities, one to a line, or one SSH private key.
    Command {
        /// The program and its arguments, quoted as for a shell. Empty is the same as no source.
        command: String,
        /// Whether it prints an SSH private key.
        is_ssh: bool,
    },
}

impl Material {
    /// Whether it takes a program to get it.
    pub(super) fn is_command(&self) -> bool {
        matches!(self, Self::Command { .. })
    }

    /// Whether it can be read without waiting for anybody: a pipe or a terminal may never end.
    pub(super) fn is_at_hand(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::File { path, .. } | Self::SshFile { path, .. } => path.is_file(),
            Self::Command { .. } => false,
        }
    }
}

impl IdentitySource {
    /// Everything the source holds. One that cannot be read at all holds a single problem. A command is not run for this.
    pub(super) fn read(&self) -> Found {
        let result = match &self.material {
            Material::Text(text) => Ok(identity_file::read(text.expose().as_bytes(), Layout::Words)),
            Material::File { path, optional } => {
                read_file(path, *optional).map(|bytes| identity_file::read(bytes.expose(), Layout::Lines))
            }
            Material::SshFile { path, optional } => read_file(path, *optional).and_then(|bytes| read_ssh_key(&bytes)),
            Material::Command { .. } => Ok(Found::default()),
        };
        result.unwrap_or_else(Found::of_problem)
    }

    /// Everything in what its command printed.
    pub(super) fn found_in(&self, printed: &SecretBytes, is_ssh: bool) -> Found {
        match is_ssh {
            true => read_ssh_key(printed).unwrap_or_else(Found::of_problem),
            false => identity_file::read(printed.expose(), Layout::Lines),
        }
    }
}

fn read_ssh_key(bytes: &SecretBytes) -> Result<Found, IdentityProblem> {
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| IdentityProblem::NotText)?;
    if text.trim().is_empty() {
        return Ok(Found::default());
    }
    Ok(Found { identities: vec![Identity::parse_ssh(text)?], ..Found::default() })
}

/// The bytes of a file of identities; none if there is no path, or an optional file does not exist.
///
/// Regular files are taken, and what lies below `/dev` and `/proc`: `<(command)` and `/dev/stdin` are pipes there, opened already. A
/// named pipe elsewhere could make us wait for ever.
pub(super) fn read_file(path: &Path, optional: bool) -> Result<SecretBytes, IdentityProblem> {
    if path.as_os_str().is_empty() {
        return Ok(SecretBytes::default());
    }
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if optional && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(SecretBytes::default());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(IdentityProblem::Missing),
        Err(error) => return Err(IdentityProblem::Unreadable(error.kind())),
    };
    let is_open_pipe = path.starts_with("/dev") || path.starts_with("/proc");
    if metadata.is_dir() || !(metadata.is_file() || is_open_pipe) {
        return Err(IdentityProblem::NotAFile);
    }
    let unreadable = |error: std::io::Error| IdentityProblem::Unreadable(error.kind());
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_FILE_LENGTH).ok_or(IdentityProblem::TooLarge)?;
    read_all(&mut file, length)
}

/// Reads to the end into a buffer sized for `expected` bytes; only a pipe or a file that grows meanwhile makes it larger.
pub(super) fn read_all(file: &mut impl Read, expected: usize) -> Result<SecretBytes, IdentityProblem> {
    // One byte more, so that the end is seen without growing.
    let mut bytes = SecretBytes::from_vec(vec![0; expected + 1]);
    let mut length = 0;
    loop {
        if length > MAX_FILE_LENGTH {
            return Err(IdentityProblem::TooLarge);
        }
        if length == bytes.len() {
            bytes.push(&[0; 4096]);
        }
        match file.read(bytes.expose_mut().get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(IdentityProblem::Unreadable(error.kind())),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";

    fn read_identities(path: &Path) -> Found {
        let origin = Origin::File(path.to_owned());
        IdentitySource { origin, material: Material::File { path: path.to_owned(), optional: false } }.read()
    }

    fn problem(path: &Path) -> IdentityProblem {
        let found = read_identities(path);
        assert!(found.identities.is_empty());
        found.problems.into_iter().next().map(|(_, problem)| problem).unwrap()
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let huge = folder.path().join("huge");
        File::create(&huge).unwrap().set_len(MAX_FILE_LENGTH as u64 + 1).unwrap();
        assert_eq!(problem(folder.path()), IdentityProblem::NotAFile);
        assert_eq!(problem(&folder.path().join("missing")), IdentityProblem::Missing);
        assert_eq!(problem(&huge), IdentityProblem::TooLarge);
        assert!(matches!(problem(&huge.join("below")), IdentityProblem::Unreadable(ErrorKind::NotADirectory)));
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_and_does_not_make_us_wait() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(problem(&pipe), IdentityProblem::NotAFile);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_open_pipe_is_read_as_process_substitution_needs_it() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(format!("{}{SECRET}\n", "# filler\n".repeat(1000)).as_bytes()).unwrap();
        drop(writer);
        let found = read_identities(&PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd())));
        assert_eq!((found.identities.len(), found.problems.len()), (1, 0));
    }

    #[test]
    fn an_endless_stream_is_given_up() {
        assert_eq!(read_all(&mut std::io::repeat(b'A'), 0).err(), Some(IdentityProblem::TooLarge));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_read_whole() {
        let bytes = read_all(&mut [7; 10_000].as_slice(), 10).ok().unwrap();
        assert_eq!(bytes.expose(), [7; 10_000]);
    }
}
