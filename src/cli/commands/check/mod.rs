//! `dotsops check`

mod report;
mod words;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use report::{Form, Report};

use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::people::People;
use crate::cli::{Surroundings, left_behind, working_directory};
use crate::config;
use crate::ops::check::place::{Place, Rules};
use crate::ops::check::{Finding, Nature, Sort, Subject, judge_config};
use crate::ops::edit::example::is_example;
use crate::ops::file::FileError;
use crate::ops::git::Repository;
use crate::sys::regular_file::ReadError;

/// From how many files on it is shown how far the work is.
const MANY: usize = 20;

/// Tell whether files are what .sops.yaml wants them to be; needs no key
///
/// Without a named file, every encrypted file that git tracks is looked at, and every plaintext that git tracks and a rule wants encrypted.
/// Is every value really encrypted? Can exactly those people read it whom the rule names? Is there a value for every name in
/// .env.example? Will programs get what stands there?
///
/// One line for each finding: the file, the line, the name, and what to do about it. What may be meant as it is, is a note. The exit code is 1 if
/// there is a finding, with --strict also if there is a note, and 0 if there is none; what keeps a file from being looked at has the
/// exit codes of all commands. docs/check.md lists every `id` that --format json prints; none is ever renamed.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops check secrets.env\n  dotsops check\n  dotsops check --staged")]
pub struct Arguments {
    /// The files, or folders of which the files that git tracks are meant
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Look at files as they are staged: without named ones, at those that the next commit would change
    #[arg(long)]
    staged: bool,

    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// A file to look at.
struct Candidate {
    /// Absolute.
    path: PathBuf,
    shown: PathBuf,
    /// Whether somebody said that this file shall be encrypted.
    is_named: bool,
}

/// What all files have in common.
struct Run<'a> {
    surroundings: &'a Surroundings,
    place: &'a Place,
    rules: Rules<'a>,
    report: Report,
    /// What went wrong with configs, each told once.
    told: BTreeSet<String>,
    worst: ExitCode,
    others: usize,
}

/// Looks at each file, then at the configs that were asked.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let here = working_directory()?;
    left_behind::mention(surroundings);
    let repository = surroundings.environment.git().and_then(|git| Repository::find(&here, git));
    let place = match arguments.staged {
        false => Place::WorkTree,
        true => {
            let other = surroundings.environment.var("GIT_INDEX_FILE").map(PathBuf::from);
            let index = repository.as_ref().and_then(|repository| repository.index(other.as_deref()));
            Place::Index(Box::new(index.ok_or_else(|| Failure::no_repository(&here))?))
        }
    };
    let candidates = candidates(&arguments.files, &place, repository.as_ref(), &here)?;
    let mut run = Run {
        surroundings,
        place: &place,
        rules: Rules::of(&place, surroundings.named_config.as_deref()),
        report: Report::default(),
        told: BTreeSet::new(),
        worst: ExitCode::Done,
        others: 0,
    };
    let count = candidates.len();
    for (at, candidate) in candidates.iter().enumerate() {
        if count >= MANY {
            surroundings.output.progress(Some(format_args!("{at} of {count} files looked at")));
        }
        if let Err(failure) = run.look_at(candidate) {
            run.fail(&failure);
        }
    }
    surroundings.output.progress(None);
    run.configs(&here);
    let nothing = match (arguments.staged, arguments.files.is_empty()) {
        (true, _) => "nothing is staged that is encrypted, or that a rule wants encrypted",
        (false, true) => "git tracks nothing here that is encrypted, or that a rule wants encrypted",
        (false, false) => "none of these files is encrypted, or has anything to encrypt",
    };
    run.end(arguments.format, nothing)
}

/// The files that are meant.
fn candidates(named: &[PathBuf], place: &Place, repository: Option<&Repository>, here: &Path) -> Result<Vec<Candidate>, Failure> {
    let tracked = || {
        let paths = repository.and_then(|repository| repository.tracked_below(repository.root()));
        paths.ok_or_else(|| Failure::no_repository(here))
    };
    let candidate = |path: PathBuf, is_named| {
        let shown = path.strip_prefix(here).unwrap_or(&path).to_owned();
        Candidate { path, shown, is_named }
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in named {
        paths.push(std::path::absolute(path)?);
    }
    match place {
        Place::Index(index) => {
            let chosen = if named.is_empty() { index.changed() } else { paths.as_slice() };
            let is_within = |path: &Path| paths.iter().any(|named| path.starts_with(named));
            // Rules and examples are about files that may not have changed.
            let is_about_others = |path: &PathBuf| path.file_name() == Some(OsStr::new(config::FILE_NAME)) || is_example(path);
            let all = chosen.iter().any(is_about_others);
            let is_changed = |path: &Path| index.changed().iter().any(|changed| changed == path);
            let is_meant = |path: &&Path| all || if named.is_empty() { is_changed(path) } else { is_within(path) };
            Ok(index.paths().filter(is_meant).map(|path| candidate(path.to_owned(), false)).collect())
        }
        Place::WorkTree if named.is_empty() => Ok(tracked()?.into_iter().map(|path| candidate(path, false)).collect()),
        Place::WorkTree => {
            let mut found = Vec::new();
            for (path, given) in paths.into_iter().zip(named) {
                match path.is_dir() {
                    true => found
                        .extend(tracked()?.into_iter().filter(|file| file.starts_with(&path)).map(|file| candidate(file, false))),
                    false => found.push(Candidate { path, shown: given.clone(), is_named: true }),
                }
            }
            Ok(found)
        }
    }
}

impl Run<'_> {
    fn look_at(&mut self, candidate: &Candidate) -> Result<(), Failure> {
        let Candidate { path, shown, is_named } = candidate;
        // A link leads to a file that is tracked itself, or that is none of this repository's.
        if !is_named && matches!(self.place, Place::WorkTree) && !path.symlink_metadata().is_ok_and(|file| file.is_file()) {
            return Ok(());
        }
        let bytes = match self.place.read(if *is_named { shown } else { path }) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            Err(FileError::Read { source: ReadError::TooLarge { .. }, .. }) if !is_named => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut subject = Subject { path, shown, bytes: &bytes, config: None };
        let nature = subject.nature();
        if matches!(nature, Nature::Other) {
            if *is_named {
                self.surroundings.output.note(format_args!("{} has nothing to encrypt, and is left out", shown.display()));
            }
            return Ok(());
        }
        subject.config = self.rules.nearest(path.parent().unwrap_or(path))?;
        match nature {
            Nature::OtherSyntax => self.others += 1,
            Nature::Encrypted => {
                self.report.files += 1;
                let people = subject.config.map(People::of).unwrap_or_default();
                for finding in subject.judge(self.place)? {
                    self.report.add(shown, finding, &people);
                }
            }
            Nature::Plaintext if *is_named || subject.is_governed()? => {
                self.report.files += 1;
                let rule = subject.config.and_then(|config| config.rule_for(path).ok().flatten());
                let rule = rule.map(|rule| (crate::cli::failure::from_here(&rule.config), rule.line));
                self.report.add(shown, Finding::of(Sort::Plaintext { rule }), &People::default());
            }
            Nature::Plaintext | Nature::Other => {}
        }
        Ok(())
    }

    /// What is wrong with the rules themselves.
    fn configs(&mut self, here: &Path) {
        let people = People::default();
        let shown = |path: &Path| path.strip_prefix(here).unwrap_or(path).to_owned();
        for config in self.rules.all() {
            for finding in judge_config(config) {
                self.report.add(&shown(&config.path), finding, &people);
            }
        }
        for ignored in &self.rules.ignored {
            self.report.add(&shown(ignored), Finding::of(Sort::IgnoredConfig), &people);
        }
    }

    fn fail(&mut self, failure: &Failure) {
        if !self.told.insert(failure.error.clone()) {
            return;
        }
        self.surroundings.output.progress(None);
        self.surroundings.output.failure(failure);
        if failure.code as u8 > self.worst as u8 {
            self.worst = failure.code;
        }
    }

    fn end(self, form: Form, nothing: &str) -> Result<ExitCode, Failure> {
        let output = &self.surroundings.output;
        self.report.print(form, output)?;
        match self.others {
            0 => {}
            1 => output.note("an encrypted file of another syntax than dotenv was not looked at"),
            others => output.note(format_args!("{others} encrypted files of other syntaxes than dotenv were not looked at")),
        }
        output.note(self.report.summary(nothing));
        let is_no = self.report.findings() > 0 || self.surroundings.strict && self.report.notes() > 0;
        Ok(match self.worst {
            ExitCode::Done if is_no => ExitCode::No,
            worst => worst,
        })
    }
}
