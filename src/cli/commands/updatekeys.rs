//! `dotsops updatekeys`

use std::path::{Path, PathBuf};

use super::many;
use crate::cli::consent::{Answer, ask};
use crate::cli::departures;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::left_behind;
use crate::cli::people::People;
use crate::cli::{Surroundings, working_directory};
use crate::config::Config;
use crate::keys::group::{KeyGroup, is_for};
use crate::keys::keyring::Keyring;
use crate::ops::file::{self, OpenedFile};
use crate::ops::in_threads::each_in_threads;
use crate::ops::new_file;
use crate::ops::rewrap::{EncryptedFile, Rewrapped, Unlocked};
use crate::ops::update_keys::{Change, Member, compare};

/// Make files follow .sops.yaml: who can read them, and how many key groups that takes
///
/// Without a named file, every encrypted file that git tracks below the .sops.yaml is looked at. Shows who comes and who goes, and
/// asks. The data key stays the same, and no value is encrypted anew. It takes a key that opens the files as they are.
///
/// Who is put out can still read what they could read before: `dotsops rotate` makes a new data key, and values that they knew must be
/// changed at their source.
///
/// All new files are made and read back before the first one is replaced; what cannot be made is left out, and the exit code is that of the
/// worst. Then all of them are replaced, or none: if that is interrupted, the next command that writes a file finishes it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops updatekeys --yes secrets.env\n  dotsops updatekeys --dry-run")]
pub struct Arguments {
    /// The files; without one every encrypted file that git tracks
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Do it without asking
    #[arg(long, short)]
    yes: bool,

    /// Show what would change, and change nothing; needs no key
    #[arg(long)]
    dry_run: bool,
}

/// A file that does not follow its rule, and what it is to be wrapped for.
struct Pending {
    file: EncryptedFile,
    change: Change,
    groups: Vec<KeyGroup>,
}

/// What all files have in common, and the worst of what happened to one.
struct Run<'a> {
    surroundings: &'a Surroundings,
    config: &'a Config,
    keyring: Keyring,
    worst: ExitCode,
}

/// Compares, shows, asks; then makes all new files, and only then replaces the old ones.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let output = &surroundings.output;
    let here = working_directory()?;
    // What was interrupted may have been about the config too.
    left_behind::look_or_mention(arguments.dry_run, surroundings);
    let config = surroundings.config()?.ok_or_else(|| Failure::no_rules(None))?;
    let mut run = Run { surroundings, config: &config, keyring: surroundings.environment.keyring(), worst: ExitCode::Done };
    let named = !arguments.files.is_empty();
    let files = match named {
        false => many::tracked(&config, &here, surroundings)?,
        true => {
            let files = many::without_repetition(arguments.files);
            files.iter().map(|path| file::read(path, None).map_err(Failure::from)).collect()
        }
    };
    let mut pending = Vec::new();
    let mut up_to_date = 0;
    for file in files {
        match file.and_then(|file| run.compare(file)) {
            Ok(Compared::Differs(file)) => pending.push(*file),
            Ok(Compared::UpToDate(path)) if named => {
                output.line(&format!("{}: up to date", path.display()))?;
            }
            Ok(Compared::UpToDate(_)) => up_to_date += 1,
            Err(failure) => run.report(&failure),
        }
    }
    match up_to_date {
        1.. => output.note(format_args!("{} up to date", counted(up_to_date))),
        0 if !named && pending.is_empty() && matches!(run.worst, ExitCode::Done) => {
            output.note("git tracks no encrypted file here");
        }
        0 => {}
    }
    if pending.is_empty() {
        return Ok(run.worst);
    }
    run.show(&pending)?;
    if arguments.dry_run {
        return Ok(run.worst);
    }
    if !arguments.yes {
        let whose = match pending.as_slice() {
            [only] => only.file.path.display().to_string(),
            several => format!("these {} files", several.len()),
        };
        match ask(&format!("Change who can read {whose}?")) {
            Answer::Yes => {}
            Answer::No => {
                output.note("nothing was changed");
                return Ok(run.worst);
            }
            Answer::Nobody => return Err(Failure::recipients_not_agreed()),
        }
    }

    let somebody_goes = pending.iter().flat_map(|file| &file.change.groups).any(|group| !group.removed.is_empty());
    let prepared = run.prepare_all(pending);
    if prepared.is_empty() {
        return Ok(run.worst);
    }
    let paths: Vec<PathBuf> = prepared.iter().map(|file| file.path.clone()).collect();
    match many::replace_all("updatekeys", prepared.into_iter().map(Rewrapped::planned).collect(), surroundings) {
        Ok(()) => paths.iter().try_for_each(|path| output.line(&format!("{}: updated", path.display())))?,
        Err(failure) => {
            run.report(&failure);
            return Ok(run.worst);
        }
    }
    if somebody_goes {
        output.note("who was put out may still know the data key and the values; `dotsops rotate` makes a new key");
    }
    Ok(run.worst)
}

/// How a file stands to its rule.
enum Compared {
    UpToDate(PathBuf),
    Differs(Box<Pending>),
}

impl Run<'_> {
    fn compare(&self, file: OpenedFile) -> Result<Compared, Failure> {
        let file = EncryptedFile::of(file)?;
        let absolute = std::path::absolute(&file.path)?;
        let rule = self.config.rule_for(&absolute)?.ok_or_else(|| Failure::no_rules(Some(&self.config.path)))?;
        let in_rule = |error| Failure::new_file(&error).about(&file.path);
        match compare(&file.document.metadata, rule).map_err(in_rule)? {
            None => Ok(Compared::UpToDate(file.path)),
            Some(change) => {
                let selection = departures::said_of_selection(&file.path, &file.document.metadata, self.config, &absolute);
                selection.map_or(Ok(()), |said| self.surroundings.finding(said))?;
                let groups = new_file::key_groups(rule).map_err(in_rule)?;
                Ok(Compared::Differs(Box::new(Pending { file, change, groups })))
            }
        }
    }

    /// Says who comes and who goes; files with the same change together.
    fn show(&self, pending: &[Pending]) -> Result<(), Failure> {
        let output = &self.surroundings.output;
        let people = People::of(self.config);
        let mut alike: Vec<(Vec<String>, Vec<&Path>)> = Vec::new();
        for file in pending {
            let lines = lines(&file.change, &people);
            match alike.iter_mut().find(|(known, _)| *known == lines) {
                Some((_, files)) => files.push(&file.file.path),
                None => alike.push((lines, vec![&file.file.path])),
            }
        }
        for (lines, files) in alike {
            files.iter().try_for_each(|file| output.line(&file.display().to_string()))?;
            lines.iter().try_for_each(|line| output.line(line))?;
        }
        for file in pending {
            super::warn_of_weak_links(&file.groups, file.change.threshold, self.surroundings);
        }
        for file in pending.iter().filter(|file| !is_for(&file.groups, file.change.threshold, &self.keyring)) {
            output.warning(format_args!("your identities cannot read {} afterwards", file.file.path.display()));
        }
        Ok(())
    }

    /// Makes all new files, on all processors. What fails is told, and left out.
    fn prepare_all(&mut self, pending: Vec<Pending>) -> Vec<Rewrapped> {
        let (keyring, output) = (&self.keyring, &self.surroundings.output);
        let mut progress = |done, of| many::show_progress("made", done, of, output);
        let made = each_in_threads(pending, |file| prepare(file, keyring), &mut progress);
        output.progress(None);
        let mut prepared = Vec::new();
        for outcome in made {
            let is_let_through = |said: &Vec<String>| said.iter().try_for_each(|said| self.surroundings.finding(said));
            match outcome.and_then(|(file, oddities)| is_let_through(&oddities).map(|()| file)) {
                Ok(file) => prepared.push(file),
                Err(failure) => self.report(&failure),
            }
        }
        prepared
    }

    fn report(&mut self, failure: &Failure) {
        self.surroundings.output.progress(None);
        self.surroundings.output.failure(failure);
        if failure.code as u8 > self.worst as u8 {
            self.worst = failure.code;
        }
    }
}

/// The new file, and what is odd about the old one.
fn prepare(pending: Pending, keyring: &Keyring) -> Result<(Rewrapped, Vec<String>), Failure> {
    let Pending { file, change, groups } = pending;
    let path = file.path.clone();
    let unlocked = file.unlock(keyring).map_err(|error| Failure::cannot_open(&path, &error, keyring))?;
    let oddities = oddities(&unlocked);
    let rewrapped = unlocked.wrap_for(groups, change.threshold, keyring).map_err(|error| Failure::rewrap(&path, error))?;
    Ok((rewrapped, oddities))
}

fn lines(change: &Change, people: &People) -> Vec<String> {
    let has_groups = change.needed_before.1 > 1 || change.needed_after.1 > 1;
    let mut lines = Vec::new();
    if has_groups {
        let ((before, of_before), (after, of_after)) = (change.needed_before, change.needed_after);
        let mut line = format!("  groups needed: {after} of {of_after}");
        if (before, of_before) != (after, of_after) {
            line.push_str(&format!(" (now {before} of {of_before})"));
        }
        if let Some(by_sops) = change.needed_by_sops {
            line.push_str(&format!(", as the rule says; `sops updatekeys` would make it {by_sops}"));
        }
        lines.push(line);
    }
    for (at, group) in change.groups.iter().enumerate() {
        let place = if has_groups { format!("group {at}: ") } else { String::new() };
        for (sign, members) in [(' ', &group.kept), ('+', &group.added), ('-', &group.removed)] {
            let named = |member: &Member| people.whole(member.kind, &member.recipient);
            lines.extend(members.iter().map(|member| format!("  {sign} {place}{}", named(member))));
        }
    }
    lines
}

/// Says that names stand several times, or that a value is not what the file's rule makes of it. It keeps nobody from being let in or
/// put out.
pub(super) fn warn_of_oddities(unlocked: &Unlocked, surroundings: &Surroundings) -> Result<(), Failure> {
    departures::of_reading(&unlocked.file.path, &unlocked.file.document.metadata, surroundings)?;
    oddities(unlocked).into_iter().try_for_each(|said| surroundings.finding(said))
}

fn oddities(unlocked: &Unlocked) -> Vec<String> {
    let path = &unlocked.file.path;
    let mut said = departures::said_of_duplicates(path, &unlocked.file.document.tree);
    if let Some(key) = &unlocked.in_clear {
        let name = file::variable_name(key);
        said.push(format!("{}: `{name}` stands in clear, although the file's rule encrypts it", path.display()));
    }
    said
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file is".to_owned() } else { format!("{files} files are") }
}
