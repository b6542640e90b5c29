//! `dotsops groups`

use std::path::PathBuf;

use super::file_or_default;
use super::updatekeys::warn_of_oddities;
use crate::cli::Surroundings;
use crate::cli::consent::{Answer, ask};
use crate::cli::departures::consent_to_unnamed;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::cli::people::People;
use crate::keys::group::{KeyGroup, is_for, needed};
use crate::keys::keyring::Keyring;
use crate::keys::{Kind, new_master_key};
use crate::ops::change::Durability;
use crate::ops::departures::unnamed_among;
use crate::ops::file;
use crate::ops::new_file::NewFileError;
use crate::ops::rewrap::{EncryptedFile, Unlocked};

/// Show, add or delete the key groups of a file
///
/// A file with several key groups opens only with keys of as many groups as its threshold says, so that it takes, say, two of three
/// teams. Any key of a group stands for that group. Groups are numbered from 0, as in sops.
///
/// Which groups new files get is written in .sops.yaml (`key_groups`, `shamir_threshold`); `dotsops updatekeys` makes existing files
/// follow it.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  dotsops groups list -f secrets.env\n  dotsops groups add -f secrets.env --age age1… -i\n  \
                  dotsops groups delete -f secrets.env -i 1"
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    List(List),
    Add(Add),
    Delete(Delete),
}

/// Show how many groups are needed, and who is in each; needs no key
#[derive(clap::Args)]
struct List {
    /// The file; without it the nearest secrets.env or encrypted .env
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Add a group; the data key stays the same, and no value is encrypted anew
///
/// The result goes to standard output unless -i is given. It takes a key that opens the file as it is.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops groups add -f secrets.env --age age1… --threshold 2 -i")]
struct Add {
    #[command(flatten)]
    change: Change,

    /// The age recipients or SSH public keys of the new group (repeatable, or separated by commas)
    #[arg(long, short, value_name = "RECIPIENT", required = true)]
    age: Vec<String>,
}

/// Delete a group; the data key stays the same, and no value is encrypted anew
///
/// The result goes to standard output unless -i is given. It takes a key that opens the file as it is. Fewer groups than are needed
/// are never left.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops groups delete -f secrets.env -i 1")]
struct Delete {
    #[command(flatten)]
    change: Change,

    /// The number of the group, from 0
    #[arg(value_name = "INDEX")]
    index: usize,
}

#[derive(clap::Args)]
struct Change {
    /// The file; without it the nearest secrets.env or encrypted .env
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// How many groups are to be needed (0 for all); without it as many as now
    #[arg(long, alias = "shamir-secret-sharing-threshold", value_name = "N")]
    threshold: Option<u32>,

    /// Replace the file
    #[arg(long, short)]
    in_place: bool,

    /// Go on although your own identities could not read the file any more, or it has recipients that no rule names
    #[arg(long, short)]
    yes: bool,
}

/// Shows or changes the groups of one file.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::List(list) => run_list(list, surroundings),
        Action::Add(add) => run_add(add, surroundings),
        Action::Delete(delete) => run_delete(delete, surroundings),
    }
}

fn run_list(arguments: List, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let output = &surroundings.output;
    left_behind::mention(surroundings);
    let metadata = file::read(&file_or_default(arguments.file, surroundings)?, None)?.document()?.metadata;
    let groups = &metadata.key_groups;
    output.line(&format!("{} of {} needed", needed(metadata.shamir_threshold, groups.len()), counted(groups.len())))?;
    let people = People::nearby();
    for (at, group) in groups.iter().enumerate() {
        for key in &group.keys {
            output.line(&format!("group {at}: {}", people.whole(key.kind(), key.recipient())))?;
        }
        if group.keys.is_empty() {
            output.line(&format!("group {at}: nobody"))?;
        }
    }
    Ok(ExitCode::Done)
}

fn run_add(arguments: Add, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let words = arguments.age.iter().flat_map(|text| text.split(','));
    let keys = words.map(|recipient| new_master_key(Kind::Age, recipient)).collect::<Result<_, _>>();
    let group = KeyGroup { keys: keys.map_err(|error| Failure::new_file(&NewFileError::Recipient(error)))? };
    let keyring = surroundings.environment.keyring_naming(&arguments.age);
    let mut unlocked = open(&arguments.change, &keyring, surroundings)?;
    let mut groups = std::mem::take(&mut unlocked.file.document.metadata.key_groups);
    // What one group had as a threshold had no effect; below 2 it would have none that makes sense.
    let own = unlocked.file.document.metadata.shamir_threshold;
    let own = if groups.len() == 1 && own < 2 { 0 } else { own };
    consent(&arguments.change, &unlocked, &groups, surroundings)?;
    groups.push(group);
    // Whoever asks for a second group means that one alone is not enough from now on.
    finish(arguments.change, unlocked, groups, own, true, &keyring, surroundings)
}

fn run_delete(arguments: Delete, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let keyring = surroundings.environment.keyring();
    let mut unlocked = open(&arguments.change, &keyring, surroundings)?;
    let metadata = &mut unlocked.file.document.metadata;
    let mut groups = std::mem::take(&mut metadata.key_groups);
    if arguments.index >= groups.len() {
        return Err(Failure::no_such_group(arguments.index, groups.len()));
    }
    let own = needed(metadata.shamir_threshold, groups.len());
    groups.remove(arguments.index);
    let asked = match arguments.change.threshold {
        None => own,
        Some(threshold) => (threshold as usize).max(1),
    };
    if groups.len() < asked {
        return Err(Failure::too_few_groups(groups.len(), asked));
    }
    consent(&arguments.change, &unlocked, &groups, surroundings)?;
    let may_lose_it = arguments.change.yes;
    finish(arguments.change, unlocked, groups, own as u32, may_lose_it, &keyring, surroundings)
}

fn open(change: &Change, keyring: &Keyring, surroundings: &Surroundings) -> Result<Unlocked, Failure> {
    let path = file_or_default(change.file.clone(), surroundings)?;
    match change.in_place {
        true => left_behind::look(surroundings),
        false => left_behind::mention(surroundings),
    }
    let file = EncryptedFile::of(file::read(&path, None)?)?;
    let unlocked = file.unlock(keyring).map_err(|error| Failure::cannot_open(&path, &error, keyring))?;
    warn_of_oddities(&unlocked, surroundings)?;
    Ok(unlocked)
}

/// The data key, or a share of it, is wrapped anew for everybody in the groups that stay: also for a recipient that somebody without a
/// key wrote there.
fn consent(change: &Change, unlocked: &Unlocked, staying: &[KeyGroup], surroundings: &Surroundings) -> Result<(), Failure> {
    let path = &unlocked.file.path;
    let unnamed = unnamed_among(staying, surroundings.config()?.as_ref(), &std::path::absolute(path)?)?;
    if unnamed.is_empty() { Ok(()) } else { consent_to_unnamed(path, &unnamed, change.yes, surroundings) }
}

fn finish(
    change: Change,
    unlocked: Unlocked,
    groups: Vec<KeyGroup>,
    own: u32,
    may_lose_it: bool,
    keyring: &Keyring,
    surroundings: &Surroundings,
) -> Result<ExitCode, Failure> {
    let output = &surroundings.output;
    let path = unlocked.file.path.clone();
    let count = groups.len();
    // With one group nothing but that group can be needed.
    let threshold = if count > 1 { change.threshold.unwrap_or(own) } else { 0 };
    super::warn_of_weak_links(&groups, threshold, surroundings);
    let is_lost = !is_for(&groups, threshold, keyring);
    if is_lost {
        if !change.in_place {
            output.warning("your identities cannot read the result");
        } else if !may_lose_it
            && ask(&format!("Your identities could not read {} any more. Go on?", path.display())) != Answer::Yes
        {
            return Err(Failure::own_loss(&path));
        }
    }
    let new = unlocked.wrap_for(groups, threshold, keyring).map_err(|error| Failure::rewrap(&path, error))?;
    if !change.in_place {
        output.secret(&new.bytes)?;
        return Ok(ExitCode::Done);
    }
    let saved = new.save(surroundings.environment.state_folder().as_deref()).map_err(|error| Failure::save(&path, error))?;
    if saved == Durability::NotConfirmed {
        output.warning(super::NOT_DURABLE);
    }
    if is_lost && may_lose_it {
        output.warning(format_args!("your identities cannot read {} from now on", path.display()));
    }
    output.note(format_args!("{}: {} of {} needed from now on", path.display(), needed(threshold, count), counted(count)));
    Ok(ExitCode::Done)
}

fn counted(groups: usize) -> String {
    if groups == 1 { "1 key group is".to_owned() } else { format!("{groups} key groups are") }
}
