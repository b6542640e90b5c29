//! Text ⇄ tree. Never sees a key.
//!
//! The joint is [`Format`]: each syntax is one file and one line here. Its one invariant: what one format writes it reads back as the
//! same contents, or it refuses to write.

pub mod dotenv;
pub mod flatten;
pub mod plain;
mod syntax;

pub use syntax::{Syntax, detect, has_tokens};

use crate::secret::SecretBytes;
use crate::tree::{Key, Mapping, Tree};
use flatten::FlattenError;

/// What a file holds: its data and, if it is encrypted, the `sops` block as a nested mapping.
#[derive(Default)]
pub struct Contents {
    /// The data, without the metadata.
    pub tree: Tree,
    /// The metadata, nested as in JSON whatever the syntax; `None` in a plaintext file.
    pub metadata: Option<Mapping>,
}

/// One syntax, for plaintext and encrypted files alike.
pub trait Format: Sync {
    /// The name of the syntax as `--input-type` knows it.
    fn name(&self) -> &'static str;

    /// Reads a whole file.
    ///
    /// A plaintext that uses a name reserved for metadata comes back with `metadata`, as if it were encrypted: whoever expects a
    /// plaintext must look there as well as at [`Format::reserved_key`].
    ///
    /// Where `text` is [shared](SecretBytes::shared), values are pieces of it, not copies.
    ///
    /// # Errors
    /// [`ParseError`], which names the line and holds no text of it.
    fn parse_secret(&self, text: &SecretBytes) -> Result<Contents, ParseError>;

    /// The same of any bytes.
    ///
    /// # Errors
    /// As [`Self::parse_secret`].
    fn parse(&self, text: &[u8]) -> Result<Contents, ParseError> {
        self.parse_secret(&SecretBytes::copy_of(text))
    }

    /// Writes a whole file: a plaintext, or with `metadata` an encrypted one.
    ///
    /// `original` is the text that the tree was read from, if there is one. A syntax whose tree says less than its text (indentation,
    /// quotes, anchors) may use it to leave untouched what did not change; one whose tree says all, as dotenv, ignores it. The
    /// result must hold tree and metadata in either case.
    ///
    /// # Errors
    /// [`EmitError`] if the syntax cannot hold the contents; nothing is written that would read back as something else.
    fn emit(&self, tree: &Tree, metadata: Option<&Mapping>, original: Option<&[u8]>) -> Result<SecretBytes, EmitError>;

    /// Whether [`Self::emit`] makes anything of the original.
    fn needs_original(&self) -> bool;

    /// The first user key of `tree` that would be taken for metadata in this syntax.
    ///
    /// Source: getsops/sops `stores/*/store.go`, `HasSopsTopLevelKey`.
    fn reserved_key(&self, tree: &Tree) -> Option<Key>;
}

impl Syntax {
    /// Its reader and writer.
    ///
    /// # Errors
    /// [`UnsupportedSyntax`] for those that there is no format of yet.
    pub fn format(self) -> Result<&'static dyn Format, UnsupportedSyntax> {
        match self {
            Self::Dotenv => Ok(&dotenv::Dotenv),
            Self::Yaml | Self::Json | Self::Ini | Self::Binary => Err(UnsupportedSyntax(self)),
        }
    }
}

/// Files of this syntax can be neither read nor written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} files are not supported yet", .0.name())]
pub struct UnsupportedSyntax(pub Syntax);

/// Why a text could not be read. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// More bytes than any file may have.
    #[error("the file is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// More entries, comments and blank lines than any file may have.
    #[error("line {line}: more than {MAX_ENTRIES} entries")]
    TooManyEntries {
        /// The first line beyond the limit.
        line: usize,
    },
    /// A dotenv line that is neither blank, nor a comment, nor `KEY=value`.
    #[error("line {line}: no `=`")]
    NoEquals {
        /// Where it stands.
        line: usize,
    },
    /// An encrypted file holds the markers of an unfinished merge.
    #[error("line {line}: an unresolved merge conflict begins here")]
    MergeConflict {
        /// Where the first marker stands.
        line: usize,
    },
    /// Some lines of an encrypted file end in CR LF, this one among them, and others in LF.
    #[error("line {line}: metadata ends in a carriage return, but not every line of the file does")]
    StrayCarriageReturn {
        /// A line of the metadata.
        line: usize,
    },
    /// The metadata lines make no sense together.
    #[error("line {line}: the metadata cannot be read")]
    Metadata {
        /// The line at fault, or the first of the list at fault.
        line: usize,
        /// What is wrong.
        source: FlattenError,
    },
}

/// Why contents could not be written. The document's keys are public, its values are never part of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A mapping or a list in a syntax that has none.
    #[error("{key}: {syntax} cannot hold a mapping or a list")]
    ComplexValue {
        /// Its key.
        key: Key,
        /// The name of the syntax.
        syntax: &'static str,
    },
    /// A null in a syntax that has none.
    #[error("{key}: {syntax} cannot hold null")]
    NullValue {
        /// Its key.
        key: Key,
        /// The name of the syntax.
        syntax: &'static str,
    },
    /// A key that would read back as another line or another key.
    #[error("{key}: a key of {syntax} cannot {problem}")]
    UnwritableKey {
        /// The key.
        key: Key,
        /// The name of the syntax.
        syntax: &'static str,
        /// What it must not do: an infinitive.
        problem: &'static str,
    },
    /// A key that would be taken for metadata.
    #[error("{key}: keys that begin with `{reserved}` are reserved for metadata")]
    ReservedKey {
        /// The key.
        key: Key,
        /// The beginning, or the whole, that is reserved.
        reserved: &'static str,
    },
    /// A value in clear, in an encrypted file, that would read back with a line break in it and so break the MAC.
    #[error("{key}: {syntax} cannot hold a backslash followed by n in a value that is not encrypted")]
    LiteralBackslashN {
        /// Its key.
        key: Key,
        /// The name of the syntax.
        syntax: &'static str,
    },
    /// A comment of several lines in a syntax that has none.
    #[error("{syntax} cannot hold a comment with a line break")]
    CommentLineBreak {
        /// The name of the syntax.
        syntax: &'static str,
    },
    /// More than one document in a syntax that has one.
    #[error("{syntax} cannot hold more than one document")]
    SeveralDocuments {
        /// The name of the syntax.
        syntax: &'static str,
    },
    /// The metadata cannot be written as flat lines.
    #[error(transparent)]
    Metadata(#[from] FlattenError),
}

/// The largest file in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// The largest number of entries, comments and blank lines together.
pub const MAX_ENTRIES: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dotenv_is_supported_so_far_and_the_others_are_named() {
        assert_eq!(Syntax::Dotenv.format().map(|format| format.name()), Ok("dotenv"));
        for syntax in [Syntax::Yaml, Syntax::Json, Syntax::Ini, Syntax::Binary] {
            let error = syntax.format().err().unwrap();
            assert_eq!(error.to_string(), format!("{} files are not supported yet", syntax.name()));
        }
    }

    #[test]
    fn messages_say_where_and_what() {
        let source = FlattenError::Duplicate { key: Key::from("mac") };
        let metadata = ParseError::Metadata { line: 7, source: source.clone() };
        let cause = std::error::Error::source(&metadata).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("the metadata has `mac` twice"));

        let (key, syntax) = (Key::from("K"), "dotenv");
        let messages = [
            (ParseError::TooLarge.to_string(), "the file is larger than 64 MiB"),
            (ParseError::TooManyEntries { line: 7 }.to_string(), "line 7: more than 1000000 entries"),
            (ParseError::NoEquals { line: 7 }.to_string(), "line 7: no `=`"),
            (ParseError::MergeConflict { line: 7 }.to_string(), "line 7: an unresolved merge conflict begins here"),
            (
                ParseError::StrayCarriageReturn { line: 7 }.to_string(),
                "line 7: metadata ends in a carriage return, but not every line of the file does",
            ),
            (metadata.to_string(), "line 7: the metadata cannot be read"),
            (EmitError::ComplexValue { key: key.clone(), syntax }.to_string(), "K: dotenv cannot hold a mapping or a list"),
            (EmitError::NullValue { key: key.clone(), syntax }.to_string(), "K: dotenv cannot hold null"),
            (
                EmitError::UnwritableKey { key: key.clone(), syntax, problem: "contain `=`" }.to_string(),
                "K: a key of dotenv cannot contain `=`",
            ),
            (
                EmitError::ReservedKey { key: key.clone(), reserved: "sops_" }.to_string(),
                "K: keys that begin with `sops_` are reserved for metadata",
            ),
            (
                EmitError::LiteralBackslashN { key: key.clone(), syntax }.to_string(),
                "K: dotenv cannot hold a backslash followed by n in a value that is not encrypted",
            ),
            (EmitError::CommentLineBreak { syntax }.to_string(), "dotenv cannot hold a comment with a line break"),
            (EmitError::SeveralDocuments { syntax }.to_string(), "dotenv cannot hold more than one document"),
            (EmitError::from(source).to_string(), "the metadata has `mac` twice"),
            (
                FlattenError::TypeMismatch { key: key.clone() }.to_string(),
                "the metadata has `K` next to a key that contradicts it",
            ),
            (FlattenError::IncompleteList { key: key.clone() }.to_string(), "the list `K` in the metadata is incomplete"),
            (
                FlattenError::ListTooLong { key: key.clone() }.to_string(),
                "the list of `K` in the metadata would have more than 1000 elements",
            ),
            (FlattenError::TooDeep.to_string(), "the metadata is nested more than 64 deep"),
            (FlattenError::TooMany.to_string(), "the metadata has more than 100000 lines"),
            (FlattenError::Collision { key: key.clone() }.to_string(), "two entries of the metadata have the flat key `K`"),
            (FlattenError::AmbiguousKey { key }.to_string(), "the key `K` in the metadata holds `__map_` or `__list_`"),
        ];
        for (message, expected) in messages {
            assert_eq!(message, expected);
        }
    }
}
