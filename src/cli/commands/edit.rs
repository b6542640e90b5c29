//! `dotsops edit`

mod terminal;
mod words;

use std::path::{Path, PathBuf};

use super::selection::NewFileOptions;
use super::{drafts, file_or_default};
use crate::cli::Surroundings;
use crate::cli::departures;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::ops::edit::draft_place::DraftPlace;
use crate::ops::edit::editors::Editor;
use crate::ops::edit::error::EditError;
use crate::ops::edit::session::{self, Edit, Outcome};
use crate::ops::new_file;
use crate::sys::atomic_write::ReadOnly;
use crate::sys::companion::own_program;
use crate::sys::file_lock::FileLock;
use crate::sys::process;
use crate::sys::scratch::{Scratch, find_scratch};
use crate::sys::signals::{DeathSignals, die_by};
use terminal::Terminal;

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

    /// Go on from the draft that was kept; leave it as it is shown, and you are asked whether to save it (without a terminal it is saved)
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

    /// End with the exit codes of `sops edit`: 200 if nothing was changed, 201 if the editor failed, 128 without a key, 51 for a wrong
    /// MAC, 25 for a value that does not open, 2, 3, 8 and 100 as there, 1 for everything else
    #[arg(long)]
    sops_exit_codes: bool,

    #[command(flatten)]
    new_file: NewFileOptions,
}

/// Runs the session and says how it ended.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    match arguments.sops_exit_codes {
        true => run_session(arguments, surroundings).map_err(Failure::of_sops_edit),
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
    left_behind::finish(surroundings);
    if !arguments.resume {
        drafts::remind(&state, surroundings);
    }
    let editor = find_editor(arguments.editor.as_deref(), surroundings)?;
    let scratch = scratch(arguments.allow_disk_plaintext, surroundings)?;
    let keyring = environment.keyring_naming(arguments.new_file.recipients());
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
    let mut terminal = Terminal::new(&path, surroundings, &signals);
    let outcome = session::edit(&request, &mut terminal);
    let signal = match outcome {
        Err(EditError::Interrupted { signal }) => Some(signal),
        _ => signals.pending(),
    };
    let draft_kept = DraftPlace::of(&state, &path).is_ok_and(|draft| draft.is_taken());
    let ended = match (outcome, terminal.refusal) {
        (Ok(outcome), _) => {
            output.note(words::outcome(&path, &outcome));
            Ok(match outcome {
                Outcome::Saved(_) => ExitCode::Done,
                _ if arguments.sops_exit_codes => ExitCode::SopsUnchanged,
                _ => ExitCode::Done,
            })
        }
        (Err(_), Some(refusal)) => Err(refusal.with_draft(&path, draft_kept)),
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
