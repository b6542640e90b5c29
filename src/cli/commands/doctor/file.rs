//! The file that is meant, whether it opens, and whether it is what its rule says.

use std::path::{Path, PathBuf};

use super::report::Report;
use crate::cli::Surroundings;
use crate::cli::commands::file_or_default;
use crate::cli::failure::{Failure, shell_word, short};
use crate::config::Config;
use crate::document::metadata::Metadata;
use crate::document::{DecryptedDocument, OpenError};
use crate::keys::keyring::Keyring;
use crate::ops::departures::{duplicates, other_selection, unnamed_recipients};
use crate::ops::file::{self, FileError, OpenedFile};
use crate::ops::new_file::{self, Choice};
use crate::ops::readers::{Reach, reach};
use crate::sys::regular_file::ReadError;

/// Looks at the file and at `.sops.yaml`; gives the path, which is that of a new file if there is none.
pub fn look(report: &mut Report, named: Option<PathBuf>, keyring: &Keyring, surroundings: &Surroundings) -> PathBuf {
    let found = file_or_default(named, surroundings);
    let config = config(report, surroundings);
    let path = match found {
        Ok(path) => path,
        Err(_) => {
            report.note(
                "file",
                "there is no secrets.env and no encrypted .env here",
                "`dotsops init` makes the repository ready",
            );
            let path = PathBuf::from("secrets.env");
            rule(report, &path, config.as_ref(), keyring);
            return path;
        }
    };
    let opened = open(report, &path, keyring);
    if let Some(document) = &opened {
        names(report, &path, document);
    }
    if let (Some(config), Some(metadata)) = (&config, metadata_of(&path)) {
        departures(report, &path, &metadata, config);
    }
    rule(report, &path, config.as_ref(), keyring);
    path
}

fn config(report: &mut Report, surroundings: &Surroundings) -> Option<Config> {
    let found = match &surroundings.named_config {
        Some(path) => Config::load(path).map(Some),
        None => std::env::current_dir().map_or(Ok(None), |here| Config::find(&here)),
    };
    let config = match found {
        Ok(config) => config?,
        Err(error) => {
            report.failure("rule", error.into());
            return None;
        }
    };
    let shown = config.path.display();
    if let Some(stranger) = &config.writable_by {
        let word = shell_word(&config.path);
        report.finding(
            "rule",
            format!("{shown} decides who reads new files, and {stranger}"),
            format!("`ls -l {word}` shows who; `chmod go-w {word}`"),
        );
    }
    for warning in &config.warnings {
        report.finding("rule", format!("{shown}: {warning}"), "correct it there");
    }
    Some(config)
}

fn metadata_of(path: &Path) -> Option<Metadata> {
    let opened = file::read(path, None).ok().filter(OpenedFile::is_encrypted)?;
    Some(opened.document().ok()?.metadata)
}

fn open(report: &mut Report, path: &Path, keyring: &Keyring) -> Option<DecryptedDocument> {
    let (shown, word) = (path.display(), shell_word(path));
    let opened = match file::read(path, None) {
        Ok(opened) if opened.is_encrypted() => opened,
        Ok(_) => {
            report.finding("file", format!("{shown} is not encrypted"), format!("`dotsops encrypt -i {word}` encrypts it"));
            return None;
        }
        Err(FileError::Read { source: ReadError::NotFound, .. }) if !path.is_symlink() => {
            report.note("file", format!("{shown} is not there"), format!("`dotsops edit {word}` makes it"));
            return None;
        }
        Err(error) => {
            report.failure("file", error.into());
            return None;
        }
    };
    let document = match opened.document() {
        Ok(document) => document,
        Err(error) => {
            report.failure("file", error.into());
            return None;
        }
    };
    match document.open(keyring) {
        Ok(document) => {
            report.good("file", format!("{shown} opens with your identities, and nobody without a key changed a value"));
            Some(document)
        }
        Err(OpenError::Locked(_)) if keyring.may_hold_more() || keyring.recipients().is_empty() => {
            report.note(
                "file",
                format!(
                    "{shown} does not open with what is at hand; nobody was asked for a passphrase, and no command or plugin run"
                ),
                format!("`dotsops get -f {word} NAME` tries everything"),
            );
            None
        }
        Err(error) => {
            report.failure("file", Failure::cannot_open(path, &error, keyring));
            None
        }
    }
}

fn names(report: &mut Report, path: &Path, document: &DecryptedDocument) {
    let (shown, word) = (path.display(), shell_word(path));
    for name in duplicates(&document.tree) {
        report.finding(
            "file",
            format!("{shown}: `{name}` stands more than once; the last value counts"),
            format!("take one out with `dotsops edit {word}`; `git log -p {word}` shows who added it"),
        );
    }
    if document.clear_comments > 0 {
        report.finding(
            "file",
            format!("{shown}: {}", crate::cli::commands::clear_comments(document.clear_comments)),
            format!("`git log -p {word}` shows who added them"),
        );
    }
}

fn departures(report: &mut Report, path: &Path, metadata: &Metadata, config: &Config) {
    let Ok(absolute) = std::path::absolute(path) else { return };
    let (shown, word) = (path.display(), shell_word(path));
    if let Some((option, text)) = other_selection(metadata, config, &absolute) {
        let own = &metadata.selection;
        let (own_option, own_text, option) = (own.option().field(), own.text(), option.field());
        report.finding(
            "rule",
            format!("{shown} encrypts other values than its rule says: by `{own_option}: {own_text}`, not by `{option}: {text}`"),
            format!("if that is not meant: decrypt it, and encrypt it again; `git log -p {word}` shows who changed it"),
        );
    }
    let unnamed = unnamed_recipients(metadata, Some(config), &absolute).unwrap_or_default();
    if !unnamed.is_empty() {
        report.finding(
            "rule",
            format!("{shown} has recipients that no rule names: {}", unnamed.join(", ")),
            format!("`dotsops updatekeys {word}` puts them out; or name them in .sops.yaml"),
        );
    }
}

/// Whether a file at `path` that is made now could be read by its maker.
fn rule(report: &mut Report, path: &Path, config: Option<&Config>, keyring: &Keyring) {
    let (Some(config), Ok(absolute)) = (config, std::path::absolute(path)) else { return };
    let shown = path.display();
    let line = config.rule_for(&absolute).ok().flatten().map(|rule| format!("line {}", rule.line)).unwrap_or_default();
    match new_file::metadata(&absolute, &Choice::default(), Some(config)) {
        Err(error) => report.failure("rule", Failure::new_file(&error)),
        Ok(metadata) => match reach(&metadata, keyring) {
            Reach::Perhaps => report.good("rule", format!("{shown}: {line} of {}", config.path.display())),
            Reach::Others(others) | Reach::NoIdentity(others) => report.finding(
                "rule",
                format!(
                    "{shown}: {line} of {} names {}, none of which is one of your identities",
                    config.path.display(),
                    others.iter().map(|recipient| short(recipient)).collect::<Vec<_>>().join(", ")
                ),
                "ask somebody who can read the file to add your public key there, and to run `dotsops updatekeys`",
            ),
        },
    }
}
