//! What is said about a file's variables: warnings, and why something must not reach a program.

use std::io;
use std::path::PathBuf;

use crate::dialect::scanner::Failure;
use crate::document::OpenError;
use crate::ops::file::FileError;

/// Something the user should know, in one line.
pub enum Warning {
    /// A file is not encrypted at all.
    Plaintext {
        /// The file.
        path: PathBuf,
    },
    /// A name stands more than once; the last value counts.
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// A value that plain sops spread over several lines.
    SeveralLines {
        /// The file.
        path: PathBuf,
        /// Its first line.
        line: usize,
        /// The variable.
        name: String,
    },
    /// A name that chooses helpers, hosts or certificates.
    Redirects {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// A name that some shells drop.
    OddName {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// A value with another type than text, which anybody can change: `80` is shown as `80.0` if it is called a float.
    Typed {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// An encrypted value with the value of an empty line in it.
    RefersToEmpty {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
        /// The name it refers to.
        referred: String,
    },
    /// An answer will be asked for again.
    NotRemembered {
        /// The name it was about.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A pattern of names to leave out that nothing matches.
    NothingExcepted {
        /// The pattern.
        pattern: String,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plaintext { path } => write!(f, "{} is not encrypted; its values are passed as they stand", path.display()),
            Self::Duplicate { path, name } => {
                write!(f, "{}: `{name}` stands more than once; the last value counts", path.display())
            }
            Self::SeveralLines { path, line, name } => {
                let path = path.display();
                write!(
                    f,
                    "{path}, line {line}: the value of `{name}` is spread over several lines; `dotsops edit` stores it on one"
                )
            }
            Self::Typed { path, name } => {
                let path = path.display();
                write!(f, "{path}: `{name}` is stored as a number, date or truth value, so it is passed as sops prints it")
            }
            Self::RefersToEmpty { path, name, referred } => {
                let path = path.display();
                write!(f, "{path}: `{name}` refers to `{referred}`, which is empty here; anybody can add an empty line unnoticed")
            }
            Self::NotRemembered { name, source } => write!(f, "the answer about `{name}` is not remembered: {source}"),
            Self::NothingExcepted { pattern } => write!(f, "nothing is left out by `{pattern}`: no name matches it"),
            Self::Redirects { path, name } => {
                write!(f, "{}: `{name}` chooses a program, host or certificate for what runs with it", path.display())
            }
            Self::OddName { path, name } => {
                write!(f, "{}: `{name}` is no name for a shell, and some shells drop it without a word", path.display())
            }
        }
    }
}

/// Why something must not reach a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// python-dotenv passes over the line.
    #[error("python-dotenv would ignore this line: {0}")]
    Dropped(Failure),
    /// A word without `=`.
    #[error("there is no `=`, so python-dotenv sets nothing")]
    NoValue,
    /// A value of a kind that is no text.
    #[error("the value is no text")]
    NotText,
    /// Not UTF-8.
    #[error("the file is not UTF-8 here, so python-dotenv would load nothing at all")]
    NotUtf8,
    /// No name.
    #[error("the line has no name before its `=`")]
    EmptyName,
    /// `=` or NUL in a name.
    #[error("no process can hold a variable with such a name")]
    ImpossibleName,
    /// NUL in a value.
    #[error("the value holds a NUL byte, which no process can hold")]
    Nul,
    /// A merge left both sides' values for it.
    #[error("both sides of a merge changed it, and nobody has decided which value counts")]
    Undecided,
    /// A name twice, once without protection.
    #[error(
        "the name stands more than once, and one of its lines is empty or not encrypted: anybody can add such a line unnoticed"
    )]
    OpenDuplicate,
    /// A value over several lines, one of them without protection.
    #[error("its value takes in a line that is empty or not encrypted: anybody can add such a line unnoticed")]
    SwallowsOpenLine,
    /// A comment or a blank line in a value, or a comment that is a statement.
    #[error("it takes in a comment or a blank line, which anybody can add, change or remove unnoticed")]
    TakesInComment,
    /// An encrypted value with the value of a clear line in it, which the MAC does not cover.
    #[error("it refers to `{0}`, which stands in clear and which the file's MAC does not cover: anybody can change it unnoticed")]
    RefersToClear(String),
    /// A loader's name without protection.
    #[error("this name makes programs load code, and its value is empty or not encrypted: anybody can add such a line unnoticed")]
    LoadsCodeOpen,
    /// A loader's name that nobody allowed.
    #[error("this name makes programs load code or run commands")]
    LoadsCode,
}

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file stays shut.
    #[error("cannot decrypt {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The file was found, not named, and is a plaintext.
    #[error("{} is not encrypted", path.display())]
    Plaintext {
        /// The file.
        path: PathBuf,
    },
    /// A line that anybody can add would take the place of an encrypted value of a file before it.
    #[error("{}: `{name}` is empty or not encrypted, and would replace an encrypted value of a file before it", path.display())]
    OpenOverride {
        /// The later file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// A pattern of names to pass that nothing matches.
    #[error("no name matches `{pattern}` in {}", shown(files))]
    NoSuchName {
        /// The pattern.
        pattern: String,
        /// Where it was looked for.
        files: Vec<PathBuf>,
    },
    /// Something in it must not reach a program.
    #[error("{}, line {line}: `{name}`: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The line of the plaintext.
        line: usize,
        /// The variable, as far as it has a name.
        name: String,
        /// Why not.
        reason: Reason,
        /// Whether the file is not encrypted.
        is_plaintext: bool,
    },
}

fn shown(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(", ")
}
