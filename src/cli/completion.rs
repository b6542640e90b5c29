//! What can stand at the cursor of a command line that is being typed: verbs, options, encrypted files, names in a file.
//!
//! What an argument takes is told by its value's name in the definition (`FILE`, `KEY`, …), so a new verb has nothing to add here.
//! Files are looked into without any key. Nothing is asked, nothing fails and nothing is said: who types wants no answer but this.
//! Its one invariant: what is offered holds nothing that drives a terminal, and no end of a line.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter, complete};

use super::environment::Environment;
use crate::format::detect;
use crate::ops::file::{self, default_file};
use crate::sys::regular_file::read_regular;
use crate::sys::terminal::escape_for_terminal;

/// Something that can stand at the cursor.
pub struct Candidate {
    /// The whole word.
    pub value: String,
    /// What it is, in a line; may be empty.
    pub help: String,
}

/// The largest file that is looked into, and how much of all files in a folder: a folder may be full of data.
const LARGEST: u64 = 1 << 20;
const LOOKED_AT: u64 = 32 << 20;

/// What can take the place of the last of `words`, a command line up to the cursor with the program's name first.
pub fn candidates(definition: Command, words: Vec<OsString>, environment: &Environment) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last().filter(|(_, before)| !before.is_empty()) else { return Vec::new() };
    let names = names(&files(definition.clone(), before, environment));
    let variables: Vec<OsString> = environment.inherited(false).into_iter().map(|(name, _)| name).collect();
    let is_empty = current.is_empty();
    let mut definition = with_completers(definition, &names, &variables);
    let index = words.len() - 1;
    let here = std::env::current_dir().ok();
    let found = complete(&mut definition, words, index, here.as_deref()).unwrap_or_default();
    let mut candidates: Vec<Candidate> = found.iter().filter_map(harmless).collect();
    // Options are asked for with a dash, unless there is nothing else.
    let is_option = |candidate: &Candidate| candidate.value.starts_with('-');
    if is_empty && !candidates.iter().all(is_option) {
        candidates.retain(|candidate| !is_option(candidate));
    }
    candidates
}

/// `command` and all below it, each argument with what its value's name stands for.
fn with_completers(command: Command, names: &[OsString], variables: &[OsString]) -> Command {
    let takes_plaintext = ["encrypt", "init"].contains(&command.get_name());
    let command = command.mut_args(|arg| match value_name(&arg) {
        Some("FILE") if takes_plaintext || is_output(&arg) => arg.value_hint(ValueHint::FilePath),
        Some("FILE") => arg.add(ArgValueCompleter::new(encrypted_files)),
        Some("NAME") if arg.get_id() == "keep" => arg.add(one_of(variables.to_vec())),
        Some("KEY" | "OLD" | "NAME" | "GLOB") => arg.add(one_of(names.to_vec())),
        _ => arg,
    });
    command.mut_subcommands(|below| with_completers(below, names, variables))
}

/// The files that the command line `words` is about: those it names, else the default.
fn files(definition: Command, words: &[OsString], environment: &Environment) -> Vec<PathBuf> {
    let definition = definition.ignore_errors(true).subcommand_required(false).arg_required_else_help(false);
    let mut named = Vec::new();
    if let Ok(all) = definition.clone().try_get_matches_from(words) {
        let mut at = all.subcommand().and_then(|(name, below)| Some((definition.find_subcommand(name)?, below)));
        while let Some((verb, matches)) = at {
            let files = verb.get_arguments().filter(|arg| value_name(arg) == Some("FILE") && !is_output(arg));
            let raw = files.filter_map(|arg| matches.try_get_raw(arg.get_id().as_str()).ok().flatten()).flatten();
            named.extend(raw.map(PathBuf::from));
            at = matches.subcommand().and_then(|(name, below)| Some((verb.find_subcommand(name)?, below)));
        }
    }
    if named.is_empty() {
        let default = environment.var("DOTSOPS_FILE").map(PathBuf::from);
        named.extend(default.or_else(|| default_file(&std::env::current_dir().ok()?)));
    }
    named
}

/// The names in `files`, each once, in order.
fn names(files: &[PathBuf]) -> Vec<OsString> {
    let mut seen = HashSet::new();
    let opened = files.iter().filter_map(|path| file::read(path, None).ok());
    let keys = opened.flat_map(|file| {
        let entries = file.contents.tree.documents.iter().flat_map(|document| document.entries());
        entries.map(|(key, _)| file::variable_name(key).into_owned()).collect::<Vec<_>>()
    });
    keys.filter(|name| seen.insert(name.clone())).map(OsString::from).collect()
}

/// Encrypted files that begin with `current`, or all files if there is none; and folders, that may hold some.
fn encrypted_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let looked_at = AtomicU64::new(0);
    let is_encrypted = move |path: &Path| {
        let Ok(metadata) = path.metadata() else { return false };
        // Each file costs something, however small it is.
        let before = looked_at.fetch_add(metadata.len().clamp(4096, LARGEST), Ordering::Relaxed);
        match metadata.is_file() {
            true if metadata.len() <= LARGEST && before < LOOKED_AT => {
                read_regular(path, LARGEST).is_ok_and(|file| detect(file.bytes.expose()).is_some())
            }
            is_file => is_file && path.extension().is_some_and(|extension| extension == "env"),
        }
    };
    let found = PathCompleter::any().filter(is_encrypted).complete(current);
    if found.iter().all(is_folder) {
        return PathCompleter::file().complete(current);
    }
    // An encrypted `.env` is no file to be hidden.
    found.into_iter().map(|candidate| if is_folder(&candidate) { candidate } else { candidate.hide(false) }).collect()
}

fn one_of(words: Vec<OsString>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| -> Vec<CompletionCandidate> {
        let begins = |word: &&OsString| word.as_encoded_bytes().starts_with(current.as_encoded_bytes());
        words.iter().filter(begins).map(CompletionCandidate::new).collect()
    })
}

fn is_folder(candidate: &CompletionCandidate) -> bool {
    candidate.get_value().as_encoded_bytes().ends_with(b"/")
}

fn value_name(arg: &Arg) -> Option<&str> {
    arg.get_value_names()?.first().map(|name| name.as_str())
}

fn is_output(arg: &Arg) -> bool {
    arg.get_id() == "output"
}

/// The candidate, if it is text that can be shown in a line as it is.
fn harmless(candidate: &CompletionCandidate) -> Option<Candidate> {
    let value = candidate.get_value().to_str()?;
    let is_harmless = !value.contains(char::is_control) && escape_for_terminal(value) == value;
    let help = candidate.get_help().map(|help| help.to_string().lines().next().unwrap_or_default().to_owned());
    is_harmless.then(|| Candidate { value: value.to_owned(), help: help.unwrap_or_default() })
}
