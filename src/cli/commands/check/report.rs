//! Findings, one line each.

use std::io;
use std::path::Path;

use super::words;
use crate::cli::json::quoted;
use crate::cli::output::Output;
use crate::cli::people::People;
use crate::ops::check::{Finding, Level};

/// How the findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people: `FILE:LINE: what it is; what to do`.
    Text,
    /// One list of objects with `file`, `line` (a number, or null where it is about the whole file), `name` (of the variable, or null), `id`,
    /// `level` (`finding` or `note`), `text` and `do`.
    Json,
}

/// A finding in words.
struct Line {
    file: String,
    line: Option<usize>,
    name: Option<String>,
    id: &'static str,
    level: Level,
    text: String,
    /// What to do.
    hint: String,
}

/// Everything that was found.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    /// How many files were looked at.
    pub files: usize,
}

impl Report {
    /// Takes a finding in `file`; `people` have names.
    pub fn add(&mut self, file: &Path, finding: Finding, people: &People) {
        let (text, hint) = (words::text(&finding, people), words::hint(&finding, file));
        let Finding { line, name, sort } = finding;
        self.lines.push(Line { file: file.display().to_string(), line, name, id: sort.id(), level: sort.level(), text, hint });
    }

    /// How many must not stay.
    pub fn findings(&self) -> usize {
        self.lines.iter().filter(|line| line.level == Level::Finding).count()
    }

    /// How many may be meant.
    pub fn notes(&self) -> usize {
        self.lines.len() - self.findings()
    }

    /// The last line for people; `nothing` is said where there was nothing to look at.
    pub fn summary(&self, nothing: &str) -> String {
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        match (self.files, self.findings(), self.notes()) {
            (0, 0, 0) => nothing.to_owned(),
            (files, 0, 0) => format!("{} looked at, nothing found", counted(files, "file")),
            (files, findings, notes) => {
                format!("{} looked at: {}, {}", counted(files, "file"), counted(findings, "finding"), counted(notes, "note"))
            }
        }
    }

    /// Prints all of it.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, form: Form, output: &Output) -> io::Result<()> {
        match form {
            Form::Text => self.lines.iter().try_for_each(|line| output.line(&line.to_text())),
            Form::Json => {
                let objects: Vec<String> = self.lines.iter().map(Line::to_json).collect();
                output.line(&format!("[{}]", objects.join(",\n ")))
            }
        }
    }
}

impl Line {
    fn to_text(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let level = if self.level == Level::Note { "note: " } else { "" };
        // One line each, whatever is in a path or a name.
        format!("{}{line}: {level}{}; {}", self.file, self.text, self.hint).replace(['\n', '\r'], " ")
    }

    fn to_json(&self) -> String {
        let level = if self.level == Level::Note { "note" } else { "finding" };
        let number = self.line.map_or("null".to_owned(), |line| line.to_string());
        let name = self.name.as_deref().map_or("null".to_owned(), quoted);
        format!(
            "{{\"file\": {}, \"line\": {number}, \"name\": {name}, \"id\": \"{}\", \"level\": \"{level}\", \"text\": {}, \"do\": {}}}",
            quoted(&self.file),
            self.id,
            quoted(&self.text),
            quoted(&self.hint)
        )
    }
}
