//! What cannot be stored, and what was changed so that it could be, in words for the one who typed it.
//!
//! Knows line numbers and names. Its one invariant: no text of a line gets in, only names that no secret looks like.

use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;

use super::scanner::Failure;

/// Lines that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The lines of the statement, counted from 1.
    pub lines: RangeInclusive<usize>,
    /// Where in the first line, in characters counted from 1, if that is known.
    pub column: Option<usize>,
    /// The variable, if there is one with a portable name.
    pub name: Option<String>,
    /// Why.
    pub reason: Reason,
}

impl std::error::Error for Refusal {}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.lines.start())?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        f.write_str(": ")?;
        let (last, name) = (*self.lines.end(), self.name.as_deref());
        let several = last > *self.lines.start();
        match self.reason {
            Reason::NoEquals => {
                match name {
                    Some(name) => write!(f, "`{name}` has")?,
                    None => f.write_str("there is")?,
                }
                let name = name.unwrap_or("NAME");
                write!(f, " no `=`. python-dotenv sets nothing for it. Write `{name}=` for an empty value, or put `#` before it")
            }
            Reason::Ignored(failure) => {
                match several {
                    true => write!(f, "python-dotenv ignores everything up to line {last} ({failure})")?,
                    false => write!(f, "python-dotenv ignores this line ({failure})")?,
                }
                f.write_str(". Nothing of it would reach your program")
            }
            Reason::ByteOrderMark => f.write_str("a byte-order mark in the middle; two files were joined?"),
            Reason::LineBreakInName => write!(f, "a quoted name goes on to line {last}"),
            Reason::Reserved => f.write_str("names that begin with `sops_` are kept for the file's own data"),
            Reason::Nul => f.write_str("a NUL character, which no variable can hold"),
            Reason::SelectionDiffers => f.write_str(
                "the file's selection rule treats this name differently with its quotes, as they are stored, and without them",
            ),
            Reason::NotPortable => {
                f.write_str("a new name may hold letters, digits, `_`, `.` and `-` only, and begins with a letter or `_`")
            }
            Reason::Duplicate { first_line } => match name {
                Some(name) => write!(f, "`{name}` is defined in line {first_line} already"),
                None => write!(f, "this name is defined in line {first_line} already"),
            },
            Reason::FixWouldChange { other_line } => write!(
                f,
                "`--fix` would change what your program sees: there is no `=` here, and line {other_line} has to do with the same \
                 name. Remove one of the two"
            ),
            Reason::BlockWithoutQuotes => write!(
                f,
                "a value that goes on to line {last} needs quotes: put `\"` before `-----BEGIN` and behind the last `-----`"
            ),
            Reason::WouldChange => f.write_str("this cannot be stored without changing what it means"),
        }
    }
}

/// Why lines cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A name without `=`, which the line-based store cannot hold.
    NoEquals,
    /// python-dotenv reads nothing out of it.
    Ignored(Failure),
    /// A name begins with U+FEFF.
    ByteOrderMark,
    /// A quoted name with a line break in it.
    LineBreakInName,
    /// A name begins with [`super::names::RESERVED_PREFIX`].
    Reserved,
    /// A NUL stands somewhere in it.
    Nul,
    /// The selection rule has one answer for the stored key, another for the variable's name.
    SelectionDiffers,
    /// A new name outside [`super::names::is_portable_name`].
    NotPortable,
    /// A new second definition.
    Duplicate {
        /// The line of the first.
        first_line: usize,
    },
    /// Taking a name without `=` out would give a program other values.
    FixWouldChange {
        /// The line that defines the name before, or refers to it after.
        other_line: usize,
    },
    /// A PEM block over several lines with no quotes around it.
    BlockWithoutQuotes,
    /// The closing check found that the stored text would be read differently.
    WouldChange,
}

impl Reason {
    /// Whether `--fix` mends it, by turning the lines into comments.
    pub fn can_be_fixed(self) -> bool {
        matches!(self, Self::NoEquals | Self::Ignored(_))
    }
}

/// Something the store did that the user should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line of the statement in the given text, counted from 1.
    pub line: usize,
    /// The variable, if there is one with a portable name.
    pub name: Option<String>,
    /// What was done.
    pub kind: NoteKind,
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.kind {
            NoteKind::ExportDropped => {
                f.write_str("`export` was dropped, since with it the file's selection rule would miss the name")
            }
            NoteKind::SingleQuotesBecameDouble { others_may_expand } => {
                f.write_str("a value of several lines is stored in double instead of single quotes")?;
                if others_may_expand {
                    f.write_str("; programs other than python-dotenv may now expand its `$` or backticks")?;
                }
                Ok(())
            }
            NoteKind::Joined { last_line } => {
                write!(
                    f,
                    "everything up to line {last_line} is one value, since a quote is left open here; it is stored on one line"
                )
            }
            NoteKind::HiddenBy { earlier_line } => {
                write!(f, "a quote left open in line {earlier_line}, which was there before, hides this line from python-dotenv")
            }
            NoteKind::HidesOthers => {
                f.write_str("a quote left open here, which was there before, may hide lines below it from python-dotenv")
            }
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteKind {
    /// `export ` went, because the selection rule would have missed the name behind it.
    ExportDropped,
    /// A single-quoted value with line breaks was rewritten.
    SingleQuotesBecameDouble {
        /// Whether it has a `$` or a backtick, which other programs leave alone in single quotes only.
        others_may_expand: bool,
    },
    /// A value of several lines took in lines that stood on their own before, or an old value new lines.
    Joined {
        /// The last of its lines.
        last_line: usize,
    },
    /// An old line before it takes it in, and fails.
    HiddenBy {
        /// That line.
        earlier_line: usize,
    },
    /// This old line takes in a quote that the store had to write below it.
    HidesOthers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_no_other_test_prints() {
        let told = |reason| Refusal { lines: 3..=4, column: None, name: None, reason }.to_string();
        assert_eq!(told(Reason::Duplicate { first_line: 1 }), "line 3: this name is defined in line 1 already");
        assert_eq!(told(Reason::WouldChange), "line 3: this cannot be stored without changing what it means");
        let selection = "line 3: the file's selection rule treats this name differently with its quotes, as they are stored, and without them";
        assert_eq!(told(Reason::SelectionDiffers), selection);
        let block =
            "line 3: a value that goes on to line 4 needs quotes: put `\"` before `-----BEGIN` and behind the last `-----`";
        assert_eq!(told(Reason::BlockWithoutQuotes), block);
        let ignored = "line 3: python-dotenv ignores everything up to line 4 (value too large after `${…}`). Nothing of it would reach your \
                       program";
        assert_eq!(told(Reason::Ignored(Failure::TooLarge)), ignored);
    }

    #[test]
    fn every_note_says_what_was_done() {
        let told = |kind| Note { line: 2, name: None, kind }.to_string();
        let expected = [
            (
                NoteKind::ExportDropped,
                "line 2: `export` was dropped, since with it the file's selection rule would miss the name",
            ),
            (
                NoteKind::SingleQuotesBecameDouble { others_may_expand: false },
                "line 2: a value of several lines is stored in double instead of single quotes",
            ),
            (
                NoteKind::SingleQuotesBecameDouble { others_may_expand: true },
                "line 2: a value of several lines is stored in double instead of single quotes; programs other than python-dotenv may \
                 now expand its `$` or backticks",
            ),
            (
                NoteKind::Joined { last_line: 4 },
                "line 2: everything up to line 4 is one value, since a quote is left open here; it is stored on one line",
            ),
            (
                NoteKind::HiddenBy { earlier_line: 1 },
                "line 2: a quote left open in line 1, which was there before, hides this line from python-dotenv",
            ),
            (
                NoteKind::HidesOthers,
                "line 2: a quote left open here, which was there before, may hide lines below it from python-dotenv",
            ),
        ];
        for (kind, words) in expected {
            assert_eq!(told(kind), words);
        }
    }
}
