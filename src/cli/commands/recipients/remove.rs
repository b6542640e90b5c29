//! `dotsops recipients remove`

use std::path::{Path, PathBuf};

use time::UtcDateTime;

use super::work::{Numbered, Work, counted};
use crate::cli::departures::consent_to_all_unnamed;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::people::People;
use crate::cli::{Surroundings, absolute};
use crate::config::ConfigError;
use crate::keys::age::recipient::is_same;
use crate::keys::{Kind, new_master_key, shown};
use crate::ops::departures::unnamed_among;
use crate::ops::file;
use crate::ops::git::Repository;
use crate::ops::history::{self, At, Readable};
use crate::ops::recipients::affected::Affected;
use crate::ops::recipients::rules::{Key, Rules, names};

/// Let somebody read the files no more
///
/// Takes the person's keys out of .sops.yaml, gives every file that the rules are for a new data key, and encrypts every value afresh for
/// those who stay. It takes a key that opens the files. All files are replaced as one with the .sops.yaml: whatever happens in between,
/// the next command finishes it or takes it back.
///
/// What the person could read, they may have kept, and git's history still opens with their key. So the names of these values are
/// printed: change each where it comes from, then here.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops recipients remove alice\n  dotsops recipients remove alice --history --dry-run")]
pub struct Arguments {
    /// What the person is called in .sops.yaml, or one of their public keys
    #[arg(value_name = "PERSON")]
    whom: String,

    /// Out of the rule that is for FILE alone
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Say since when they could read each value, and until when
    #[arg(long)]
    history: bool,

    /// Go on although none of your own identities would be left in a file
    #[arg(long)]
    lock_myself_out: bool,

    /// Do it without asking
    #[arg(long, short)]
    yes: bool,

    /// Show what would change, and change nothing; needs no key of yours
    #[arg(long)]
    dry_run: bool,
}

/// Shows who goes and from where, asks; then writes the config and all files as one, and prints what they could read.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { whom, file, history, lock_myself_out, yes, dry_run } = arguments;
    let whom = shown(whom.trim());
    let work = Work::begin(format!("recipients remove {whom}"), yes, dry_run, surroundings)?;
    let output = &surroundings.output;
    let files = work.files(&work.rules, file.as_deref())?;
    let keys = keys_of(&work, whom, &files)?;
    let name = work.people().name(keys[0].0, &keys[0].1).unwrap_or(&short_or_name(whom)).to_owned();
    let only = file.as_deref().map(|file| rule_of(&work, file)).transpose()?;
    let out_of: Vec<usize> = work
        .rules
        .numbered()
        .filter(|(number, rule)| only.is_none_or(|only| only == *number) && keys.iter().any(|key| names(rule, key)))
        .map(|(number, _)| number)
        .collect();

    let mut rules = work.rules.again();
    for number in &out_of {
        for key in &keys {
            if rules.rule(*number).is_some_and(|rule| names(rule, key)) {
                rules = rules.without(*number, key)?;
            }
        }
    }
    let affected = affected(files, &rules, &out_of, only, &keys)?;
    if !rules.differs_from(&work.rules) && affected.is_empty() && !dry_run {
        return Err(Failure::nobody_of_that_name(whom, &work.rules.names()));
    }

    for (kind, key) in &keys {
        output.line(&format!("- {} ({name})", People::default().whole(*kind, key)))?;
    }
    for rule in out_of.iter().filter_map(|number| work.rules.rule(*number)) {
        output.line(&format!("  out of {}, the rule on {}", work.config().display(), work.described(rule)))?;
    }
    if !affected.is_empty() {
        work.show_files(&affected, "  and so out of")?;
    }
    work.show_drift(&affected, &keys)?;
    consent_to_unnamed(&work, &affected, &keys)?;
    let lost = || -> Vec<&Path> {
        let may_be_mine = |file: &Affected| file.is_readable(&work.keyring) || work.keyring.may_hold_more();
        let is_lost = |file: &&Affected| may_be_mine(file) && !file.stays_readable(&work.keyring);
        affected.iter().filter(is_lost).map(|file| file.file.path.as_path()).collect()
    };
    // What may be one's own only counts if it is; a look at what would happen takes no key.
    if !dry_run {
        affected.iter().for_each(|file| file.reach(&work.keyring));
        if !lost().is_empty() {
            work.keyring.reach_for_all();
        }
    }
    let lost = if dry_run && work.keyring.may_hold_more() { Vec::new() } else { lost() };
    if !lost.is_empty() {
        if !lock_myself_out && !dry_run {
            return Err(Failure::would_lock_oneself_out(&super::named_files(&lost)));
        }
        output.warning(format_args!("none of your identities can read {} then", super::named_files(&lost)));
    }
    let known = readable(&work, &rules, &affected, only, &out_of, &keys)?;
    let question = match affected.len() {
        0 => format!("Take {name} out of {}?", work.config().display()),
        count => format!(
            "Let {name} read {} no more?",
            if count == 1 { "this file".to_owned() } else { format!("these {}", counted(count)) }
        ),
    };
    if !work.is_agreed(&question)? {
        if dry_run {
            tell(&known, &name, history, &work)?;
        }
        return Ok(ExitCode::Done);
    }
    let count = affected.len();
    let now = surroundings.now();
    let prepared =
        work.prepare(affected, |unlocked, groups, threshold| unlocked.rotate_for(groups, threshold, &work.keyring, now))?;
    work.replace(prepared, rules)?;
    output.note(format_args!(
        "{} and every value a new ciphertext; commit {} with {}, and push",
        if count == 1 { "1 file has a new data key,".to_owned() } else { format!("{} have new data keys,", counted(count)) },
        work.config().display(),
        if count == 1 { "it" } else { "them" }
    ));
    tell(&known, &name, history, &work)?;
    Ok(ExitCode::Done)
}

/// Asks about those whom no rule names and who would get the new data key of a file that no rule is for.
fn consent_to_unnamed(work: &Work, affected: &[Affected], keys: &[Key]) -> Result<(), Failure> {
    let mut unnamed = Vec::new();
    for file in affected.iter().filter(|file| file.change.is_none()) {
        let path = file.file.path.as_path();
        let recipients = unnamed_among(&file.groups, Some(&work.rules.config), &absolute(path)?)?;
        let others = recipients.into_iter().filter(|recipient| !keys.iter().any(|(_, key)| is_same(key, recipient)));
        unnamed.push((path, others.collect::<Vec<String>>()));
    }
    let unnamed: Vec<(&Path, &[String])> = unnamed.iter().map(|(path, recipients)| (*path, recipients.as_slice())).collect();
    consent_to_all_unnamed(&unnamed, work.yes || work.dry_run, work.surroundings)
}

/// A key that is typed has no name.
fn short_or_name(whom: &str) -> String {
    crate::cli::failure::short(whom)
}

/// The person's keys: all that stand under the name, or the one that was given.
fn keys_of(work: &Work, whom: &str, files: &[Numbered]) -> Result<Vec<Key>, Failure> {
    let named = work.rules.keys_of(whom);
    if !named.is_empty() {
        return Ok(named);
    }
    let given = work.rules.keys_that_are(whom);
    if !given.is_empty() {
        return Ok(given);
    }
    // Perhaps it is in files alone, which were not made to follow the rules yet.
    let key = (Kind::Age, whom.to_owned());
    // What somebody could read who was put out before can still be asked for.
    let is_asked_about = work.dry_run && new_master_key(Kind::Age, whom).is_ok();
    match is_asked_about || files.iter().any(|(file, _)| Affected::is_readable_by(file, std::slice::from_ref(&key))) {
        true => Ok(vec![key]),
        false => Err(Failure::nobody_of_that_name(whom, &work.rules.names())),
    }
}

fn rule_of(work: &Work, file: &Path) -> Result<usize, Failure> {
    work.rules.governing(&absolute(file)?)?.ok_or_else(|| Failure::no_rules(Some(work.rules.path())))
}

/// The files of the rules that named the person, and those that do without any rule.
fn affected(
    files: Vec<Numbered>,
    rules: &Rules,
    out_of: &[usize],
    only: Option<usize>,
    keys: &[Key],
) -> Result<Vec<Affected>, Failure> {
    let mut affected = Vec::new();
    for (file, number) in files {
        let is_reader = Affected::is_readable_by(&file, keys);
        if only.is_some() && number != only || !is_reader && !number.is_some_and(|number| out_of.contains(&number)) {
            continue;
        }
        let path = file.path.clone();
        affected.push(match number.and_then(|number| rules.rule(number)) {
            Some(rule) => Affected::by_rule(file, rule).map_err(|error| Failure::new_file(&error).about(&path))?,
            None => Affected::without(file, keys),
        });
        if affected.last().is_some_and(|file| file.groups.iter().any(|group| group.keys.is_empty())) {
            return Err(Failure::last_reader(&path));
        }
    }
    Ok(affected)
}

/// The names that the person could read: in the versions that git keeps, and in the files as they are.
fn readable(
    work: &Work,
    rules: &Rules,
    affected: &[Affected],
    only: Option<usize>,
    out_of: &[usize],
    keys: &[Key],
) -> Result<Readable, Failure> {
    let folder = rules.path().parent().map(absolute).transpose()?.unwrap_or_default();
    let git = work.surroundings.environment.git();
    let repository = git.and_then(|git| Repository::find(&folder, git));
    let root = repository.as_ref().map_or(folder.clone(), |repository| repository.root().to_owned());
    let changed: Vec<PathBuf> = affected.iter().map(|file| absolute(&file.file.path)).collect::<Result<_, _>>()?;
    // Somebody who was put out before is only asked about. Else a file that is there and stays as it is is none of those that the person
    // reads no more.
    let is_asked_about = affected.is_empty() && out_of.is_empty();
    let is_meant = |path: &Path| {
        let path = root.join(path);
        let rule = || match rules.governing(&path) {
            Err(ConfigError::NoMatchingRule { .. }) => only.is_none(),
            number => number.ok().flatten().is_some_and(|number| out_of.contains(&number)) || out_of.is_empty(),
        };
        changed.contains(&path) || (is_asked_about || !path.exists()) && rule()
    };
    let mut progress = |done: usize, count: usize| {
        if count >= 1000 && done.is_multiple_of(100) {
            work.surroundings.output.progress(Some(format_args!("{done} of {count} versions in git's history looked at")));
        }
    };
    let mut known = match &repository {
        None => Readable::default(),
        Some(repository) => match history::readable(repository, &folder, keys, &is_meant, &mut progress) {
            Ok(known) => known,
            Err(_) => {
                work.surroundings.output.warning("git does not tell its history: only the files as they are were looked at");
                Readable::default()
            }
        },
    };
    work.surroundings.output.progress(None);
    for path in &changed {
        let bytes = file::read_bytes(path)?.bytes;
        known.add(&bytes, path.strip_prefix(&root).unwrap_or(path), None, keys);
    }
    Ok(known)
}

/// Prints the names, one a line, and says what to do with them.
fn tell(known: &Readable, name: &str, history: bool, work: &Work) -> Result<(), Failure> {
    let output = &work.surroundings.output;
    let count: usize = known.files.values().map(|names| names.len()).sum();
    if count == 0 {
        output.note(format_args!(
            "no version of a file is known that {name} could read, so no value has to be changed at its source"
        ));
    } else {
        output.warning(format_args!(
            "{name} could read {}; git's history still opens with the old key. Change each at its source, then here (`dotsops edit`)",
            if count == 1 { "this value, and may have kept it".to_owned() } else { format!("these {count} values, and may have kept them") }
        ));
    }
    let root = work.rules.path().parent().map(absolute).transpose()?.unwrap_or_default();
    let root = root.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&root).to_owned();
    let here = crate::cli::working_directory()?;
    let shown_path = |path: &Path| {
        let path = root.join(path);
        path.strip_prefix(&here).map(Path::to_owned).unwrap_or(path)
    };
    for (path, names) in &known.files {
        let gone = if root.join(path).exists() { "" } else { " (not there any more)" };
        for (key, about) in names {
            let mut line = format!("{}: {}", shown_path(path).display().to_string().escape_debug(), key.escape_debug());
            line.push_str(gone);
            if !about.alone {
                line.push_str(" (only together with another key group)");
            }
            if history {
                match &about.span {
                    None => line.push_str(" (not committed)"),
                    Some(span) => line.push_str(&format!(
                        " (since {} in {}, last written {} in {})",
                        day(span.first.time),
                        abbreviated(&span.first.hash),
                        day(span.last.time),
                        abbreviated(&span.last.hash)
                    )),
                }
            }
            output.line(&line)?;
        }
    }
    let versions = |versions: &[At]| {
        let version = |at: &At| match &at.commit {
            Some(commit) => format!("{} in {}", at.path.display(), abbreviated(commit)),
            None => at.path.display().to_string(),
        };
        crate::cli::failure::listed(&versions.iter().map(version).collect::<Vec<_>>())
    };
    if !known.damaged.is_empty() {
        output.warning(format_args!("damaged, so that some names may be missing or wrong: {}", versions(&known.damaged)));
    }
    if !known.foreign.is_empty() {
        output.warning(format_args!("not dotenv, so that their names are not listed: {}", versions(&known.foreign)));
    }
    if !known.left_out.is_empty() {
        output.warning(format_args!("too large, or not kept here, so not looked at: {}", versions(&known.left_out)));
    }
    if known.is_cut_short {
        output.warning("older commits were not looked at: git does not keep them here, or there are too many");
    }
    Ok(())
}

fn day(time: i64) -> String {
    UtcDateTime::from_unix_timestamp(time).map_or_else(|_| "an unknown day".to_owned(), |time| time.date().to_string())
}

fn abbreviated(hash: &str) -> &str {
    hash.get(..10).unwrap_or(hash)
}
