//! What the commands that change one variable have in common: the file opened under its lock, the question, the saving.

use std::path::{Path, PathBuf};

use super::file_or_default;
use crate::cli::Surroundings;
use crate::cli::consent::{Answer, ask};
use crate::cli::departures;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::keys::keyring::Keyring;
use crate::ops::change::{self, Durability, Original};
use crate::ops::glob::glob_matches;
use crate::ops::variable::{Plan, VariableError, Variables};
use crate::sys::atomic_write::ReadOnly;
use crate::sys::file_lock::FileLock;

/// Which file, and what may stand in it in clear.
#[derive(clap::Args)]
pub struct ChangeOptions {
    /// The file; without it the nearest secrets.env or encrypted .env
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Leave the value of NAME in clear without asking (`*` stands for any text; repeatable)
    #[arg(long, value_name = "NAME")]
    allow_plaintext: Vec<String>,
}

/// A file that nobody else changes meanwhile.
pub(super) struct Opened<'a> {
    path: PathBuf,
    keyring: Keyring,
    original: Original,
    allow_plaintext: Vec<String>,
    surroundings: &'a Surroundings,
    _lock: FileLock,
}

impl ChangeOptions {
    /// Locks and opens the file.
    pub(super) fn open(self, surroundings: &Surroundings) -> Result<Opened<'_>, Failure> {
        let path = file_or_default(self.file, surroundings)?;
        let state = surroundings.environment.state_folder().ok_or_else(Failure::no_home)?;
        left_behind::look(surroundings);
        let lock = FileLock::acquire(&state, &path).map_err(|error| Failure::lock(&path, &error))?;
        let keyring = surroundings.environment.keyring();
        let original = change::open(&path, &keyring).map_err(|error| Failure::change(&path, error, UNCHANGED, &keyring))?;
        let clear_comments = original.document.clear_comments;
        if clear_comments > 0 {
            surroundings.finding(super::clear_comments(clear_comments))?;
        }
        if original.clear_marks > 0 {
            surroundings.finding(super::clear_marks(original.clear_marks))?;
        }
        departures::of_changing(&path, original.document.metadata(), surroundings)?;
        Ok(Opened { path, keyring, original, allow_plaintext: self.allow_plaintext, surroundings, _lock: lock })
    }
}

/// What became of the value that was given.
pub(super) const UNCHANGED: &str = "nothing was changed";

impl Opened<'_> {
    /// The file as given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the change that `plan` asks for, after the user agreed to what will stand in clear; `false` if there is nothing to change.
    pub(super) fn change(
        mut self,
        plan: impl FnOnce(&Variables) -> Result<Option<Plan>, VariableError>,
    ) -> Result<bool, Failure> {
        let rule = departures::other_rule(&self.path, self.original.document.metadata(), self.surroundings);
        let (rule, departure) = rule.unzip();
        let variables = Variables::of(&self.original.document, self.original.format);
        let plan = variables.and_then(|variables| plan(&variables.compared_with(rule.as_ref())));
        let plan = plan.map_err(|error| Failure::variable(&self.path, error, &self.keyring))?;
        let Some(plan) = plan else {
            self.surroundings.output.note(format_args!("{} is unchanged", self.path.display()));
            return Ok(false);
        };
        self.tell(&plan)?;
        self.consent(&plan, departure)?;
        let saved = self.original.save(&self.path, &plan.tree, self.surroundings.now(), ReadOnly::Refuse);
        match saved.map_err(|error| Failure::change(&self.path, error, UNCHANGED, &self.keyring))? {
            Durability::Durable => {}
            Durability::NotConfirmed => {
                self.surroundings.output.warning(super::NOT_DURABLE);
            }
        }
        Ok(true)
    }

    fn tell(&self, plan: &Plan) -> Result<(), Failure> {
        let output = &self.surroundings.output;
        plan.notes.iter().for_each(|note| output.note(note));
        if !plan.dropped_lines.is_empty() {
            let lines: Vec<String> = plan.dropped_lines.iter().map(usize::to_string).collect();
            output.note(format_args!("the name was defined several times; taken out: line {}", lines.join(", ")));
        }
        for referring in &plan.referring {
            let name = referring.name.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default();
            output.warning(format_args!("line {}{name} refers to a name that is gone", referring.line));
        }
        plan.notable.iter().try_for_each(|(name, effect)| self.surroundings.finding(super::encrypt::notable(name, *effect)))
    }

    fn consent(&self, plan: &Plan, departure: Option<String>) -> Result<(), Failure> {
        let allowed = |name: &String| self.allow_plaintext.iter().any(|pattern| glob_matches(pattern, name));
        let asked: Vec<String> = plan.newly_clear.iter().filter(|name| !allowed(name)).cloned().collect();
        if asked.is_empty() {
            return Ok(());
        }
        if let Some(departure) = departure {
            self.surroundings.output.warning(departure);
        }
        match ask(&format!("The file's rule does not encrypt these, anybody could read them: {}. Go on?", asked.join(", "))) {
            Answer::Yes => Ok(()),
            Answer::No | Answer::Nobody => Err(Failure::would_be_clear(&asked)),
        }
    }
}
