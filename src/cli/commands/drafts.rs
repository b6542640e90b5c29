//! `dotsops drafts`

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Surroundings;
use crate::cli::consent::{Answer, ask};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, chain, counted_time, from_here};
use crate::cli::left_behind;
use crate::keys::keyring::Keyring;
use crate::ops::edit::check::Changes;
use crate::ops::edit::kept::{self, Damaged, KeptDraft, Standing};
use crate::sys::file_lock::{FileLock, LockError};

/// How long a draft may lie before an edit reminds of it.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// List the drafts that edits left, or throw one away
///
/// An edit that could not be saved leaves an encrypted draft, which whoever can open the file can open. It stays until
/// `dotsops edit --resume FILE` goes on from it, or it is thrown away. Once a draft is older than 7 days, every edit says so in a line.
#[derive(clap::Args)]
#[command(disable_help_subcommand = true, after_help = "Examples:\n  dotsops drafts\n  dotsops drafts drop secrets.env --yes")]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    List(List),
    Drop(Discard),
}

/// Show each draft: of which file, how old, what that file has become since, and the names it changes
///
/// The names are shown of drafts that open without a question or another program.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops drafts list")]
struct List {}

/// Throw the draft of a file away
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops drafts drop secrets.env --yes")]
struct Discard {
    /// The file whose draft it is, as `dotsops drafts` shows it; it need not be there any more
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Lists the drafts, or drops one.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let state = surroundings.environment.state_folder().ok_or_else(Failure::no_home)?;
    left_behind::mention(surroundings);
    match arguments.action {
        None | Some(Action::List(List {})) => list(&state, surroundings),
        Some(Action::Drop(arguments)) => discard(&arguments, &state, surroundings),
    }
}

fn list(state: &Path, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let kept = all(state, &surroundings.environment.unattended_keyring(), surroundings)?;
    for draft in &kept {
        surroundings.output.line(&told(draft, surroundings))?;
    }
    if kept.is_empty() {
        surroundings.output.note("no draft is kept");
    }
    Ok(ExitCode::Done)
}

fn discard(arguments: &Discard, state: &Path, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let file = crate::cli::absolute(&arguments.file)?;
    let output = &surroundings.output;
    // A file or its folder may be gone by now, or be behind a link: then only the name it had tells its draft.
    let _lock = match FileLock::acquire(state, &file) {
        Ok(lock) => Some(lock),
        Err(LockError::Io(_)) => None,
        Err(error) => return Err(Failure::lock(&arguments.file, &error)),
    };
    let kept = all(state, &Keyring::new(Vec::new()), surroundings)?;
    let Some(draft) = kept.into_iter().find(|draft| draft.is_of(state, &file)) else {
        output.note(format_args!("no draft is kept for {}", arguments.file.display()));
        return Ok(ExitCode::Done);
    };
    let question = format!(
        "The draft of {}, kept {}, is the only place of what was typed then. Throw it away?",
        from_here(&draft.file).display(),
        age(&draft, surroundings)
    );
    let answer = if arguments.yes { Answer::Yes } else { ask(&question) };
    match answer {
        Answer::Yes => draft.place.drop_draft()?,
        Answer::No => {
            output.note("the draft is kept");
            return Ok(ExitCode::Done);
        }
        Answer::Nobody => return Err(Failure::draft_not_dropped(&arguments.file)),
    }
    output.note(format_args!("the draft of {} is gone", arguments.file.display()));
    Ok(ExitCode::Done)
}

/// Says in one line that drafts have been lying for long, if there are any.
pub fn remind(state: &Path, surroundings: &Surroundings) {
    let days = PATIENCE.as_secs() / (24 * 60 * 60);
    match kept::older_than(PATIENCE, state, surroundings.now().into()) {
        0 => {}
        1 => surroundings.output.note(format_args!("a draft is older than {days} days: `dotsops drafts` shows it")),
        count => surroundings.output.note(format_args!("{count} drafts are older than {days} days: `dotsops drafts` lists them")),
    }
}

fn all(state: &Path, keyring: &Keyring, surroundings: &Surroundings) -> Result<Vec<KeptDraft>, Failure> {
    let (kept, damaged) = kept::all(state, keyring)?;
    for Damaged { path, problem } in &damaged {
        surroundings.output.warning(format_args!("{} is passed over: {}", path.display(), chain(problem)));
    }
    Ok(kept)
}

fn told(draft: &KeptDraft, surroundings: &Surroundings) -> String {
    let standing = match draft.standing {
        Standing::AsItWas => "the file is as it was",
        Standing::Changed => "the file was changed since",
        Standing::Gone => "the file is gone",
        Standing::NotMade => "the file is not made yet",
    };
    let mut told = format!("{}: kept {}; {standing}", from_here(&draft.file).display(), age(draft, surroundings));
    if let Some(Changes { added, changed, removed }) = &draft.names {
        for (did, names) in [("adds", added), ("changes", changed), ("removes", removed)] {
            if !names.is_empty() {
                told.push_str(&format!("; {did} {}", names.join(", ")));
            }
        }
    }
    if !draft.undecided.is_empty() {
        told.push_str(&format!("; changed by both, and to be decided: {}", draft.undecided.join(", ")));
    }
    told
}

/// How long ago a draft was kept.
pub(super) fn age(draft: &KeptDraft, surroundings: &Surroundings) -> String {
    let now: u64 = surroundings.now().unix_timestamp().try_into().unwrap_or_default();
    match now.saturating_sub(draft.time) {
        0..60 => "just now".to_owned(),
        seconds => format!("{} ago", counted_time(Duration::from_secs(seconds))),
    }
}
