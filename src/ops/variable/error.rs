//! Why a variable cannot be had or changed.

use crate::dialect::DecodeError;
use crate::dialect::scanner::Failure;
use crate::format::EmitError;
use crate::ops::change::ChangeError;
use crate::ops::edit::check::Mistakes;

/// Why a variable cannot be had or changed. Lines are those of the file, counted from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// No line defines it.
    #[error("there is no {}", quoted(names))]
    Missing {
        /// What was looked for and is not there.
        names: Vec<String>,
        /// What is there.
        known: Vec<String>,
    },
    /// Its line yields nothing.
    #[error("python-dotenv ignores line {line} ({failure}), so `{name}` has no value")]
    Ignored {
        /// The variable.
        name: String,
        /// Its line.
        line: usize,
        /// Why.
        failure: Failure,
    },
    /// Its line has no `=`.
    #[error("line {line} has `{name}` without a value")]
    NoValue {
        /// The variable.
        name: String,
        /// Its line.
        line: usize,
    },
    /// It stands in the file, but a program does not see it.
    #[error("line {line} has `{name}=`, but an open quote above makes it part of something else")]
    Hidden {
        /// The variable.
        name: String,
        /// Its line.
        line: usize,
    },
    /// It is not alone on its lines, or stands behind a carriage return.
    #[error(
        "line {line} defines `{name}` together with something else, or across lines, in a way that only an editor can change"
    )]
    Tangled {
        /// The variable.
        name: String,
        /// Its first line.
        line: usize,
    },
    /// Lines that anybody can have added take part in it.
    #[error("the value of `{name}`, which begins in line {line}, takes in lines that anybody can have added unnoticed")]
    OpenLines {
        /// The variable.
        name: String,
        /// Its first line.
        line: usize,
    },
    /// Several lines define it, and which one is meant cannot be told.
    #[error("`{name}` is defined several times: lines {}", listed(lines))]
    Ambiguous {
        /// The variable.
        name: String,
        /// The lines.
        lines: Vec<usize>,
    },
    /// A name that was to be new is there.
    #[error("`{name}` is there already, in line {line}")]
    Exists {
        /// The variable.
        name: String,
        /// Its line.
        line: usize,
    },
    /// No new variable may be called so. What was given may be anything, so it is not repeated.
    #[error("a new name may hold letters, digits, `_`, `.` and `-` only, begins with a letter or `_`, and not with `sops_`")]
    NewName,
    /// The changed line cannot be stored.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// Other lines would be read differently: one of them leaves a quote open.
    #[error("other lines would be read differently then, since a quote is left open in one of them")]
    WouldChangeOthers,
    /// The plaintext is no text.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The plaintext cannot be had as text.
    #[error(transparent)]
    Text(#[from] ChangeError),
    /// It cannot be written as text.
    #[error(transparent)]
    Emit(#[from] EmitError),
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn listed(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
