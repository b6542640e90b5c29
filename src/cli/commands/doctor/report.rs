//! What was seen, line by line, and what to do about it.

use std::io;

use crate::cli::failure::Failure;
use crate::cli::json::quoted;
use crate::cli::output::Output;

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    Text,
    /// One list of objects with `topic`, `level` (`ok`, `note` or `finding`), `text` and, unless it is `ok`, `do`.
    Json,
}

/// How much there is to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Something to do.
    Finding,
}

struct Line {
    level: Level,
    topic: &'static str,
    text: String,
    /// What to do.
    hint: Option<String>,
}

/// Everything that was seen.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Something that is as it should be.
    pub fn good(&mut self, topic: &'static str, text: impl ToString) {
        self.lines.push(Line { level: Level::Good, topic, text: text.to_string(), hint: None });
    }

    /// Something worth knowing.
    pub fn note(&mut self, topic: &'static str, text: impl ToString, hint: impl ToString) {
        self.lines.push(Line { level: Level::Note, topic, text: text.to_string(), hint: Some(hint.to_string()) });
    }

    /// Something to do.
    pub fn finding(&mut self, topic: &'static str, text: impl ToString, hint: impl ToString) {
        self.lines.push(Line { level: Level::Finding, topic, text: text.to_string(), hint: Some(hint.to_string()) });
    }

    /// What a command would fail with.
    pub fn failure(&mut self, topic: &'static str, failure: Failure) {
        let cause = failure.cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        self.finding(topic, format!("{}{cause}", failure.error), failure.hint.unwrap_or_default());
    }

    /// Whether there is something to do.
    pub fn has_findings(&self) -> bool {
        self.lines.iter().any(|line| line.level == Level::Finding)
    }

    /// Prints all of it.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, form: Form, output: &Output) -> io::Result<()> {
        match form {
            Form::Text => self.lines.iter().try_for_each(|line| line.print(output)),
            Form::Json => {
                let objects: Vec<String> = self.lines.iter().map(Line::to_json).collect();
                output.line(&format!("[{}]", objects.join(",\n ")))
            }
        }
    }
}

impl Line {
    fn level(&self) -> &'static str {
        match self.level {
            Level::Good => "ok",
            Level::Note => "note",
            Level::Finding => "finding",
        }
    }

    fn print(&self, output: &Output) -> io::Result<()> {
        // One line each, whatever is in a path or a name.
        let one_line = |text: &str| text.replace('\n', " ");
        output.line(&format!("{}: {}: {}", self.level(), self.topic, one_line(&self.text)))?;
        match &self.hint {
            Some(hint) => output.line(&format!("  do: {}", one_line(hint))),
            None => Ok(()),
        }
    }

    fn to_json(&self) -> String {
        let mut fields = vec![("topic", self.topic), ("level", self.level()), ("text", &self.text)];
        fields.extend(self.hint.as_deref().map(|hint| ("do", hint)));
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {}", quoted(value))).collect();
        format!("{{{}}}", fields.join(", "))
    }
}
