//! `dotsops edit`

use std::path::{Path, PathBuf};

use super::selection::NewFileOptions;
use super::{drafts, file_or_default};
use crate::cli::Surroundings;
use crate::cli::departures;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, chain, from_here};
use crate::cli::left_behind;
use crate::cli::output::Output;
use crate::ops::edit::check::{Changes, Mistakes};
use crate::ops::edit::dialog::{Choice, Consent, Dialog, Fact, Finding};
use crate::ops::edit::draft_place::DraftPlace;
use crate::ops::edit::editors::Editor;
use crate::ops::edit::error::{DraftFailure, EditError};
use crate::ops::edit::meanwhile::Meanwhile;
use crate::ops::edit::session::{self, Edit, Outcome};
use crate::ops::new_file;
use crate::sys::atomic_write::ReadOnly;
use crate::sys::companion::own_program;
use crate::sys::file_lock::FileLock;
use crate::sys::process;
use crate::sys::scratch::{Scratch, find_scratch};
use crate::sys::signals::{DeathSignals, die_by};
use crate::sys::terminal::ask_line;

/// Open a file in your editor, and encrypt it again
///
/// The plaintext lies in a folder in memory that only you can enter, until the editor ends. Only changed values get a new
/// ciphertext. If anything fails after you saved, an encrypted draft is kept: `dotsops edit --resume` goes on from it.
///
/// If somebody else changes the file meanwhile, your changes are merged with theirs by name, and you are asked before that is saved. Where
/// both of you changed one name, the editor opens again with both values. Without a terminal the draft is kept, and --resume merges.
///
/// The editor is --editor, DOTSOPS_EDITOR, SOPS_EDITOR, VISUAL, EDITOR, or the first of nvim, vim, nano, vi there is. Known editors
/// get the flags that keep them from writing copies. The folder is DOTSOPS_EDIT_DIR, or else one in XDG_RUNTIME_DIR or /dev/shm.
///
/// A file that is not there is made when something was saved; who can read it comes from --age or .sops.yaml. It starts from the names
/// and comments of FILE.example, .env.example, .env.sample or .env.template, beside it or at the repository's root, if there is one.
///
/// A PEM block in double quotes is shown over several lines, and can be pasted like that; it is stored on one.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops edit secrets.env\n  dotsops edit --editor 'code --wait' secrets.env")]
pub struct Arguments {
    /// The file, made if it is not there; without it the nearest secrets.env or encrypted .env
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The editor's command; it is split into words, no shell runs it
    #[arg(long, value_name = "COMMAND")]
    editor: Option<String>,

    /// Go on from the draft that was kept
    #[arg(long, conflicts_with = "discard")]
    resume: bool,

    /// Throw the kept draft away
    #[arg(long)]
    discard: bool,

    /// Leave the value of NAME in clear without asking (`*` stands for any text; repeatable)
    #[arg(long, value_name = "NAME")]
    allow_plaintext: Vec<String>,

    /// Let the file become empty without asking
    #[arg(long)]
    allow_empty: bool,

    /// Replace the file even if its mode forbids to write it; the mode stays
    #[arg(long)]
    force: bool,

    /// Let the plaintext lie on a disk if no folder in memory is found
    #[arg(long)]
    allow_disk_plaintext: bool,

    /// End with the exit codes of `sops edit`: 200 if nothing was changed, 201 if the editor failed, 128 without a key, 51 if the
    /// file is not authentic, 1 for everything else
    #[arg(long)]
    sops_exit_codes: bool,

    #[command(flatten)]
    new_file: NewFileOptions,
}

/// Runs the session and says how it ended.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    match arguments.sops_exit_codes {
        true => run_session(arguments, surroundings).map_err(|failure| Failure { code: failure.code.of_sops_edit(), ..failure }),
        false => run_session(arguments, surroundings),
    }
}

fn run_session(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let environment = &surroundings.environment;
    let path = file_or_default(arguments.file.clone(), surroundings)?;
    let state = environment.state_folder().ok_or_else(Failure::no_home)?;
    if arguments.discard {
        return discard(&path, &state, surroundings);
    }
    if !arguments.resume {
        drafts::remind(&state, surroundings);
    }
    let of_editor = |failure: Failure| match arguments.sops_exit_codes {
        true => Failure { code: ExitCode::SopsEditor, ..failure },
        false => failure,
    };
    let editor = find_editor(arguments.editor.as_deref(), surroundings).map_err(of_editor)?;
    let scratch = scratch(arguments.allow_disk_plaintext, surroundings)?;
    let keyring = environment.keyring();
    // Only a new file asks for these; what is wrong with them must not keep a file or a draft from being edited.
    let (choice, config) = match path.exists() || arguments.resume {
        true => Default::default(),
        false => (arguments.new_file.choice(surroundings)?, surroundings.config()?),
    };
    let new_metadata = |path: &Path| {
        let metadata = new_file::metadata(path, &choice, config.as_ref())?;
        super::warn_of_weak_links(&metadata.key_groups, metadata.shamir_threshold, surroundings);
        Ok(metadata)
    };
    let signals = DeathSignals::catch()?;
    let own_program = own_program();
    let request = Edit {
        path: &path,
        signals: &signals,
        keyring: &keyring,
        editor: &editor,
        scratch: &scratch,
        swept: &left_behind::places(surroundings),
        state: &state,
        now: &|| surroundings.now(),
        key_variables: &environment.key_variables(),
        allow_plaintext: &arguments.allow_plaintext,
        allow_empty: arguments.allow_empty,
        read_only: if arguments.force { ReadOnly::Replace } else { ReadOnly::Refuse },
        guard: own_program.as_deref(),
        resume: arguments.resume,
        other_rule: &|metadata| departures::other_rule(&path, metadata, surroundings).map(|(rule, _)| rule),
        new_metadata: &new_metadata,
    };
    let output = &surroundings.output;
    let mut terminal = Terminal { path: &path, surroundings, output, signals: &signals, departure: None, refusal: None };
    let outcome = session::edit(&request, &mut terminal);
    let signal = match outcome {
        Err(EditError::Interrupted { signal }) => Some(signal),
        _ => signals.pending(),
    };
    let draft_kept = DraftPlace::of(&state, &path).is_ok_and(|draft| draft.is_taken());
    let ended = match (outcome, terminal.refusal) {
        (Ok(outcome), _) => {
            tell_outcome(&path, &outcome, output);
            Ok(match outcome {
                Outcome::Saved(_) => ExitCode::Done,
                _ if arguments.sops_exit_codes => ExitCode::SopsUnchanged,
                _ => ExitCode::Done,
            })
        }
        (Err(_), Some(refusal)) => Err(refusal.with_draft(&path, draft_kept)),
        (Err(error @ (EditError::EditorFailed { .. } | EditError::EditorNotStarted { .. })), None) => {
            Err(of_editor(Failure::edit(&path, error, draft_kept, &keyring)))
        }
        (Err(error), None) => Err(Failure::edit(&path, error, draft_kept, &keyring)),
    };
    if let Some(signal) = signal {
        // The session is wiped by now, and whoever waits for us shall see what ended us.
        if let (Err(failure), true) = (&ended, draft_kept) {
            output.failure(failure);
        }
        die_by(signal);
    }
    ended
}

fn tell_outcome(path: &Path, outcome: &Outcome, output: &Output) {
    let shown = path.display();
    match outcome {
        Outcome::Unchanged => output.note(format_args!("{shown} is unchanged")),
        Outcome::NothingCreated => output.note("nothing was saved, so no file was made"),
        Outcome::Discarded => output.note(format_args!("your changes are discarded; {shown} is as it was")),
        Outcome::SavedByOthers => {
            output.note(format_args!("{shown} says already what you wrote: someone else saved it meanwhile"))
        }
        Outcome::Saved(changes) => output.note(format_args!("{shown} is saved, encrypted: {}", summary(changes))),
    }
}

fn summary(changes: &Changes) -> String {
    let counted = [(&changes.added, "added"), (&changes.changed, "changed"), (&changes.removed, "removed")];
    let said: Vec<String> = counted
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, what)| format!("{} {what}", names.len()))
        .collect();
    if said.is_empty() { "no value changed, only comments, blank lines or the order".to_owned() } else { said.join(", ") }
}

/// Who changed what, a line each.
fn merged(meanwhile: &Meanwhile) -> String {
    let Meanwhile { theirs, ours, conflicts, new_data_key, other_readers } = meanwhile;
    let mut said = format!("\nby them: {}\nby you: {}", by_name(theirs), by_name(ours));
    if *new_data_key || *other_readers {
        let what = [(*new_data_key, "it has another data key"), (*other_readers, "it is encrypted to others than before")];
        let what: Vec<&str> = what.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
        said.push_str(&format!("\nbesides, {}", what.join(", and ")));
    }
    if !conflicts.is_empty() {
        said.push_str(&format!("\nby both, each in its own way: {}", listed(conflicts)));
    }
    said
}

fn by_name(changes: &Changes) -> String {
    if changes.is_none() {
        return "no value, only comments, blank lines, the order or who can read it".to_owned();
    }
    let by_kind = [("added", &changes.added), ("changed", &changes.changed), ("removed", &changes.removed)];
    let said: Vec<String> = by_kind
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {}", listed(names)))
        .collect();
    said.join("; ")
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    match names.len().saturating_sub(MOST) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}

/// Where the plaintext may lie.
fn scratch(allow_disk: bool, surroundings: &Surroundings) -> Result<Scratch, Failure> {
    let environment = &surroundings.environment;
    let candidates = left_behind::candidates(surroundings);
    let disk = allow_disk.then(|| environment.temporary_folder());
    let scratch = find_scratch(&candidates, disk.as_deref()).map_err(|error| Failure::no_scratch(&error))?;
    // Somebody who chose a place should not believe that it was used.
    for (path, unfit) in scratch.skipped.iter().filter(|(path, _)| Some(path) == candidates.chosen.as_ref()) {
        surroundings.output.warning(format_args!("DOTSOPS_EDIT_DIR ({}) is not used: {unfit}", path.display()));
    }
    Ok(scratch)
}

fn discard(path: &Path, state: &Path, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let _lock = FileLock::acquire(state, path).map_err(|error| Failure::lock(path, &error))?;
    let draft = DraftPlace::of(state, path)?;
    if !draft.is_taken() {
        surroundings.output.note(format_args!("no draft is kept for {}", path.display()));
        return Ok(ExitCode::Done);
    }
    draft.drop_draft()?;
    surroundings.output.note(format_args!("the draft of {} is gone", path.display()));
    Ok(ExitCode::Done)
}

/// The user's editor, or the first there is.
pub(super) fn find_editor(option: Option<&str>, surroundings: &Surroundings) -> Result<Editor, Failure> {
    let environment = &surroundings.environment;
    let here = std::env::current_dir().unwrap_or_default();
    let find = |name: &str| process::resolve_program(name.as_ref(), environment.path().as_deref(), &here).ok();
    match environment.editor(option) {
        Some(command) => Editor::parse(&command, find).map_err(|error| Failure::editor(&error)),
        None => ["nvim", "vim", "nano", "vi"]
            .into_iter()
            .find_map(|name| Editor::parse(name, find).ok())
            .ok_or_else(Failure::no_editor),
    }
}

/// How many mistakes are told at a time: the first is often what makes the others.
const MOST_MISTAKES: usize = 10;

/// Asks on the terminal; without one, every answer is the safe one.
struct Terminal<'a> {
    path: &'a Path,
    surroundings: &'a Surroundings,
    output: &'a Output,
    signals: &'a DeathSignals,
    /// How the file's own rule differs from that of `.sops.yaml`, if it does.
    departure: Option<String>,
    /// Why it does not go on.
    refusal: Option<Failure>,
}

impl Terminal<'_> {
    /// Shows `lines` and asks until the answer begins with one of `letters`; `None` if nobody answers.
    fn menu(&self, question: &str, letters: &str) -> Option<char> {
        loop {
            let answer = ask_line(question, Some(self.signals)).ok().flatten()?;
            match answer.trim().to_ascii_lowercase().chars().next() {
                Some(letter) if letters.contains(letter) => return Some(letter),
                _ => {}
            }
        }
    }
}

impl Dialog for Terminal<'_> {
    fn mistakes(&mut self, mistakes: &Mistakes) -> Choice {
        let said = mistakes.to_string();
        let lines: Vec<&str> = said.lines().collect();
        for line in lines.iter().take(MOST_MISTAKES) {
            self.output.problem(format_args!("{}: {line}", self.path.display()));
        }
        if lines.len() > MOST_MISTAKES {
            self.output.problem(format_args!("{}: and {} more lines", self.path.display(), lines.len() - MOST_MISTAKES));
        }
        match self.menu("What now? [e]dit again, [k]eep your text as a draft and quit, [d]iscard your changes: ", "ekd") {
            Some('e') => Choice::EditAgain,
            Some('d') => Choice::Discard,
            _ => Choice::KeepDraft,
        }
    }

    fn draft_failed(&mut self, error: &DraftFailure) -> bool {
        self.output.problem(format_args!("no encrypted draft of your text can be kept: {}", chain(error)));
        let question = "What now? [t]ry again, [l]eave the text unencrypted where it is, readable for you alone, and quit: ";
        matches!(self.menu(question, "tl"), Some('t'))
    }

    fn accept_clear(&mut self, names: &[String]) -> Consent {
        if let Some(departure) = self.departure.take() {
            self.output.problem(departure);
        }
        self.output.problem(format_args!(
            "the file's rule does not encrypt these values, anybody could read them: {}",
            names.join(", ")
        ));
        match self.menu("What now? [e]dit again, [y]es save them unencrypted, [k]eep your text as a draft and quit: ", "eyk") {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn accept_empty(&mut self) -> Consent {
        self.output.problem("nothing would be left in the file");
        match self.menu("What now? [e]dit again, [y]es make it empty, [k]eep your text as a draft and quit: ", "eyk") {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn merged(&mut self, meanwhile: &Meanwhile) -> Consent {
        let shown = self.path.display();
        self.output.problem(format_args!("{shown} was changed by someone else meanwhile{}", merged(meanwhile)));
        let choice = match meanwhile.conflicts.is_empty() {
            true => self.menu("What now? [y]es save both, [e]dit the merged text, [k]eep your text as a draft and quit: ", "yek"),
            false => {
                self.menu("What now? [e]dit the merged text, with both values, [k]eep your text as a draft and quit: ", "ek")
            }
        };
        match choice {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn make_again(&mut self) -> bool {
        self.output.problem(format_args!("{} was removed by someone else meanwhile", self.path.display()));
        matches!(self.menu("What now? [m]ake it again with your text, [k]eep your text as a draft and quit: ", "mk"), Some('m'))
    }

    fn wait_until_closed(&mut self) {
        let question = "The editor was back at once; it may still be open. Press Enter when you have saved and closed it: ";
        if matches!(ask_line(question, Some(self.signals)), Ok(None)) {
            self.output.warning("the editor was back at once; if it is still open, what is saved there from now on is lost");
        }
    }

    fn goes_on(&mut self, finding: Finding) -> bool {
        let said = match finding {
            Finding::Opened(metadata) => {
                self.departure = departures::other_rule(self.path, metadata, self.surroundings).map(|(_, said)| said);
                departures::of_changing(self.path, metadata, self.surroundings)
            }
            Finding::ClearComments(count) => self.surroundings.finding(super::clear_comments(count)),
            Finding::Notable(name, effect) => self.surroundings.finding(super::encrypt::notable(name, effect)),
        };
        self.refusal = said.err();
        self.refusal.is_none()
    }

    fn tell(&mut self, fact: Fact) {
        let output = self.output;
        match fact {
            Fact::Stored(note) => output.note(note),
            Fact::LineEndings => output.note("Windows line endings became LF"),
            Fact::EditorKeeps(editor, what) => output.warning(format_args!("{editor}: {what}")),
            Fact::Unguarded(error) => output.warning(format_args!(
                "no guard could be started: {error}; if dotsops is killed, the plaintext stays in memory until the next edit"
            )),
            Fact::BehindLink(path) => output.note(format_args!("the link leads to {}, which is edited", path.display())),
            Fact::StartsFrom(path) => {
                output.note(format_args!("the new file starts from the names in {}", from_here(path).display()));
            }
            Fact::ExampleNotUsed(path, problem) => {
                output.warning(format_args!("{} is not used: {}", from_here(path).display(), chain(problem)));
            }
            Fact::Found(found) => left_behind::tell(found, output),
            Fact::Merged(meanwhile) => {
                output.warning(format_args!("the file changed since the draft was kept; both are merged{}", merged(meanwhile)));
                if !meanwhile.conflicts.is_empty() {
                    output.warning("where both changed a name, the text has both values, in lines that begin with `#!dotsops`");
                }
            }
            Fact::MergedLater => output.warning(
                "the file changed since the draft was kept; you see your text as you left it, since it has mistakes: \
                 it is merged when you save it",
            ),
            Fact::NotWiped(path) => output.warning(format_args!(
                "the plaintext could not be removed from {}: close what uses it, then remove that folder",
                path.display()
            )),
            Fact::NotDurable => output.warning(
                "the system did not confirm that the file would survive a power cut now, so a draft is kept too; the next edit drops it",
            ),
            Fact::DraftStays => output.warning("the draft of this edit could not be removed; the next edit drops it"),
        }
    }
}
