//! `dotsops recipients list`

mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::table::Row;
use crate::cli::commands::file_or_default;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, from_here};
use crate::cli::json::quoted;
use crate::cli::people::People;
use crate::cli::{Surroundings, absolute, left_behind};
use crate::config::{Config, ConfigError, CreationRule};
use crate::ops::file::{self, OpenedFile};
use crate::ops::recipients::roster::{Roster, Standing};
use crate::ops::update_keys::Member;

/// Show who can read which file; needs no key
///
/// A table with a line for each file and a column for each person, as far as .sops.yaml names them. `yes`: the file opens with a key of
/// theirs, and the rule says so too. `missing`: the rule names them, but the file does not open for them yet. `extra`: the file has a
/// key that the rule does not name. Where it takes several key groups to open a file, it is said in which of them a key is.
///
/// Without a named file, every encrypted file that git tracks below the .sops.yaml is shown.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops recipients list\n  dotsops recipients list --format json secrets.env")]
pub struct Arguments {
    /// The files; without one every encrypted file that git tracks
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How to print it: a table, or a list for programs
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One list of objects with `file`, `rule`, `needed` and `groups`.
    Json,
}

/// A file and who reads it.
struct Listed {
    path: PathBuf,
    /// Where its rule begins.
    rule: Option<usize>,
    roster: Roster,
}

/// Prints the table, then says what looks wrong.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    left_behind::mention(surroundings);
    let config = surroundings.config_to_compare()?;
    let mut worst = ExitCode::Done;
    let mut listed = Vec::new();
    for file in files(arguments.files, config.as_ref(), surroundings)? {
        match file.and_then(|file| look(file, config.as_ref())) {
            Ok(file) => listed.push(file),
            Err(failure) => {
                surroundings.output.failure(&failure);
                worst = if failure.code as u8 > worst as u8 { failure.code } else { worst };
            }
        }
    }
    let people = config.as_ref().map(People::of).unwrap_or_default();
    match arguments.format {
        Form::Json => print_json(&listed, config.as_ref(), &people, surroundings)?,
        Form::Text if listed.is_empty() => surroundings.output.note("git tracks no encrypted file here"),
        Form::Text => {
            let rows: Vec<Row> =
                listed.iter().map(|file| Row { name: file.path.display().to_string(), roster: &file.roster }).collect();
            table::lines(&rows, &people).iter().try_for_each(|line| surroundings.output.line(line))?;
        }
    }
    warn(&listed, config.as_ref(), &people, surroundings)?;
    Ok(worst)
}

/// Those that are named, else all that the config governs; without a config the one that is meant if none is named.
fn files(
    named: Vec<PathBuf>,
    config: Option<&Config>,
    surroundings: &Surroundings,
) -> Result<Vec<Result<OpenedFile, Failure>>, Failure> {
    let read = |path: &PathBuf| file::read(path, None).map_err(Failure::from);
    match config {
        _ if !named.is_empty() => Ok(named.iter().map(read).collect()),
        Some(config) => super::governed(config, None, surroundings),
        None => Ok(vec![read(&file_or_default(None, surroundings)?)]),
    }
}

fn look(file: OpenedFile, config: Option<&Config>) -> Result<Listed, Failure> {
    let path = file.path.clone();
    let metadata = file.document()?.metadata;
    let rule = rule(config, &path)?;
    let roster = Roster::of(&metadata, rule).map_err(|error| Failure::new_file(&error).about(&path))?;
    Ok(Listed { rule: rule.map(|rule| rule.line), path, roster })
}

/// The rule of the file `path`, if it has one.
fn rule<'a>(config: Option<&'a Config>, path: &Path) -> Result<Option<&'a CreationRule>, Failure> {
    let Some(config) = config else { return Ok(None) };
    match config.rule_for(&absolute(path)?) {
        Err(ConfigError::NoMatchingRule { .. }) => Ok(None),
        rule => Ok(rule?),
    }
}

fn print_json(listed: &[Listed], config: Option<&Config>, people: &People, surroundings: &Surroundings) -> Result<(), Failure> {
    let files = listed.iter().map(|file| {
        let rule = match (file.rule, config) {
            (Some(line), Some(config)) => {
                format!("{{\"config\": {}, \"line\": {line}}}", quoted(&from_here(&config.path).to_string_lossy()))
            }
            _ => "null".to_owned(),
        };
        let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for entry in &file.roster.entries {
            let Member { kind, recipient } = &entry.member;
            let name = people.name(*kind, recipient).map_or("null".to_owned(), quoted);
            groups.entry(entry.group).or_default().push(format!(
                "{{\"name\": {name}, \"kind\": {}, \"recipient\": {}, \"in_file\": {}, \"in_rule\": {}}}",
                quoted(kind.field()),
                quoted(recipient),
                entry.standing != Standing::Missing,
                file.rule.is_some() && entry.standing != Standing::Extra,
            ));
        }
        let groups: Vec<String> = groups.values().map(|keys| format!("[{}]", keys.join(", "))).collect();
        format!(
            "{{\"file\": {}, \"rule\": {rule}, \"needed\": {}, \"groups\": [{}]}}",
            quoted(&file.path.to_string_lossy()),
            file.roster.needed.0,
            groups.join(", ")
        )
    });
    let files: Vec<String> = files.collect();
    Ok(surroundings.output.line(&format!("[{}]", files.join(",\n ")))?)
}

/// Says what looks wrong. What is the same for several files is said once.
fn warn(listed: &[Listed], config: Option<&Config>, people: &People, surroundings: &Surroundings) -> Result<(), Failure> {
    let named = |members: &[&Member]| {
        members.iter().map(|member| people.brief(member.kind, &member.recipient)).collect::<Vec<_>>().join(", ")
    };
    let mut said: BTreeMap<(u8, String), Vec<&Path>> = BTreeMap::new();
    for file in listed {
        let mut say = |about: u8, whom: String| said.entry((about, whom)).or_default().push(&file.path);
        let roster = &file.roster;
        let parts = [(0, roster.with(Standing::Extra)), (1, roster.with(Standing::Missing)), (2, roster.indispensable())];
        parts.iter().filter(|(_, members)| !members.is_empty()).for_each(|(about, members)| say(*about, named(members)));
        if roster.needs_others {
            say(3, String::new());
        }
        if file.rule.is_none() && config.is_some_and(|config| config.rules().next().is_some()) {
            say(4, String::new());
        }
    }
    for ((about, whom), files) in said {
        let files = super::named_files(&files);
        let config = || config.map(|config| from_here(&config.path).display().to_string()).unwrap_or_default();
        surroundings.finding(match about {
            0 => format!(
                "{files}: with a key that no rule names, which anybody can have written there: {whom}. `dotsops updatekeys` takes it out"
            ),
            1 => format!("{files}: not yet readable for whom the rule names: {whom}. `dotsops updatekeys` lets them in"),
            2 => format!("{files}: nobody can open it without this one key: {whom}. If it is lost, so are the values"),
            3 => format!("{files}: the rule asks for another number of key groups: `dotsops updatekeys`"),
            _ => format!("{files}: no rule of {} is for it", config()),
        })?;
    }
    Ok(())
}
