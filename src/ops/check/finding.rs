//! What can be found, in words for people and for programs.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use crate::config::Stranger;
use crate::document::selection::SelectionOption;
use crate::keys::Kind;
use crate::ops::edit::example::NotUsed;
use crate::ops::file::FileError;
use crate::ops::new_file::NewFileError;
use crate::ops::update_keys::Member;

/// One thing that was found in a file.
#[derive(Debug)]
pub struct Finding {
    /// The line it is about, from 1; `None` if it is about the whole file.
    pub line: Option<usize>,
    /// The variable it is about.
    pub name: Option<String>,
    /// What it is.
    pub sort: Sort,
}

impl Finding {
    /// One about the whole file.
    pub fn of(sort: Sort) -> Self {
        Self { line: None, name: None, sort }
    }
}

/// How much there is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something that must not stay.
    Finding,
    /// Something that may be meant.
    Note,
}

/// Why a name gives no program a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none.
    Empty,
    /// A NUL in it.
    Nul,
    /// A byte-order mark before it.
    ByteOrderMark,
    /// More than one word.
    Words,
    /// A quote in it is left open.
    OpenQuote,
    /// It is no text.
    NotUtf8,
}

/// An example file and the name that was missed.
#[derive(Debug)]
pub struct Example {
    /// The example.
    pub path: PathBuf,
    /// The line there.
    pub line: usize,
}

/// What was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Sort {
    /// A plaintext that is to be encrypted.
    Plaintext {
        /// The config and the line of the rule that wants it.
        rule: Option<(PathBuf, usize)>,
    },
    /// An encrypted file that cannot be used as it is.
    Damaged(Box<FileError>),
    /// All its lines end in CR LF.
    CarriageReturns,
    /// A value in clear that the file's selection encrypts.
    InClear,
    /// A value in clear because of the `export` before its name.
    HiddenByExport,
    /// A token that no key opens.
    Broken,
    /// A token where the selection leaves values in clear.
    Stray,
    /// Values that the selection leaves in clear.
    LeftInClear {
        /// Their names.
        names: Vec<String>,
    },
    /// A comment in clear that gives a variable a value which would be encrypted; its name stands in [`Finding::name`].
    SecretInComment,
    /// A comment in clear where the selection encrypts comments.
    CommentInClear,
    /// A comment that is no token of a comment.
    BrokenComment,
    /// A comment in clear with a carriage return, behind which readers see a line of its own.
    LineInComment,
    /// Two sides of a merge, in clear.
    Undecided,
    /// The name stood before.
    Duplicate {
        /// Where first.
        first_line: usize,
    },
    /// A name that no program gets.
    NoVariable(Reason),
    /// A name that makes programs load code or run commands.
    LoadsCode {
        /// Whether the value is authenticated.
        is_encrypted: bool,
    },
    /// `export` before the name.
    Export,
    /// Quotes or white space around the name.
    Wrapped,
    /// A name that not every reader takes.
    Narrow,
    /// Rules, and none for the file.
    NoRule {
        /// The config.
        config: PathBuf,
    },
    /// No rules at all.
    NoConfig,
    /// The rule asks for what cannot be.
    BadRule(Box<NewFileError>),
    /// Somebody the rule names who cannot read the file.
    Missing(Recipient),
    /// Somebody who can read the file and whom the rule does not name.
    Unknown(Recipient),
    /// Another number of groups is needed than the rule says.
    Threshold {
        /// How many of how many in the file.
        file: (usize, usize),
        /// How many of how many in the rule.
        rule: (usize, usize),
    },
    /// The file encrypts other values than its rule says.
    OtherSelection {
        /// The file's.
        file: (SelectionOption, String),
        /// The rule's.
        rule: (SelectionOption, String),
    },
    /// The MAC leaves out what is in clear.
    MacOnlyEncrypted {
        /// Whether the rule says so.
        is_meant: bool,
    },
    /// No MAC, or one that no key opens.
    NoMac,
    /// A single key whose loss is the loss of the file.
    OneRecipient,
    /// Classic recipients beside post-quantum ones.
    Quantum {
        /// The classic ones.
        recipients: Vec<(Kind, String)>,
    },
    /// A newer sops made it.
    NewerVersion {
        /// Which.
        version: String,
    },
    /// A name of the example that the file has not.
    MissingName(Example),
    /// An example that cannot be used.
    BadExample {
        /// The example.
        path: PathBuf,
        /// Why.
        problem: NotUsed,
    },
    /// A `.sops.yml`, which is not read.
    IgnoredConfig,
    /// A field of the config that means nothing.
    Misspelled {
        /// It.
        field: String,
        /// What it looks like.
        meant: &'static str,
    },
    /// Somebody else can change the config.
    WritableBy(Stranger),
}

/// Somebody in a rule or in a file.
#[derive(Debug)]
pub struct Recipient {
    /// The kind of key, and what it is known by.
    pub member: Member,
    /// The group, from 0, where there are several.
    pub group: Option<usize>,
}

impl Sort {
    /// What programs call it: never changed.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Plaintext { .. } => "plaintext",
            Self::Damaged(error) if is_conflict(error) => "merge-conflict",
            Self::Damaged(_) => "damaged",
            Self::CarriageReturns => "carriage-returns",
            Self::InClear | Self::HiddenByExport => "value-in-clear",
            Self::Broken | Self::BrokenComment => "broken-token",
            Self::Stray => "stray-token",
            Self::LeftInClear { .. } => "left-in-clear",
            Self::SecretInComment => "secret-in-comment",
            Self::CommentInClear => "comment-in-clear",
            Self::LineInComment => "line-in-comment",
            Self::Undecided => "undecided-merge",
            Self::Duplicate { .. } => "duplicate-name",
            Self::NoVariable(_) => "no-variable",
            Self::LoadsCode { .. } => "loads-code",
            Self::Export => "export",
            Self::Wrapped => "wrapped-name",
            Self::Narrow => "narrow-name",
            Self::NoRule { .. } => "no-rule",
            Self::NoConfig => "no-config",
            Self::BadRule(_) => "bad-rule",
            Self::Missing(_) => "recipient-missing",
            Self::Unknown(_) => "recipient-unknown",
            Self::Threshold { .. } => "threshold",
            Self::OtherSelection { .. } => "other-selection",
            Self::MacOnlyEncrypted { .. } => "mac-only-encrypted",
            Self::NoMac => "no-mac",
            Self::OneRecipient => "one-recipient",
            Self::Quantum { .. } => "not-post-quantum",
            Self::NewerVersion { .. } => "newer-version",
            Self::MissingName(_) => "missing-name",
            Self::BadExample { .. } => "bad-example",
            Self::IgnoredConfig => "ignored-config",
            Self::Misspelled { .. } => "misspelled-field",
            Self::WritableBy(_) => "writable-config",
        }
    }

    /// How much there is to it.
    pub fn level(&self) -> Level {
        match self {
            Self::CarriageReturns
            | Self::LeftInClear { .. }
            | Self::CommentInClear
            | Self::LoadsCode { is_encrypted: true }
            | Self::Export
            | Self::Wrapped
            | Self::Narrow
            | Self::MacOnlyEncrypted { is_meant: true }
            | Self::NoConfig
            | Self::OneRecipient
            | Self::Quantum { .. }
            | Self::NewerVersion { .. }
            | Self::BadExample { .. }
            | Self::WritableBy(_) => Level::Note,
            _ => Level::Finding,
        }
    }
}

fn is_conflict(error: &FileError) -> bool {
    matches!(error, FileError::Parse { source: crate::format::ParseError::MergeConflict { .. }, .. })
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no name before the `=`",
            Self::Nul => "there is a NUL in the name",
            Self::ByteOrderMark => "there is a byte-order mark before the name",
            Self::Words => "there is more than one word before the `=`",
            Self::OpenQuote => "a quote in the name is left open, and hides lines below it",
            Self::NotUtf8 => "the name is no UTF-8",
        })
    }
}
