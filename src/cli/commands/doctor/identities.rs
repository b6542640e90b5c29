//! What this user can decrypt with, where it comes from, and who else could take it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::report::Report;
use crate::cli::Surroundings;
use crate::cli::failure::{shell_word, short};
use crate::keys::keyring::Keyring;
use crate::keys::shown;

const TOPIC: &str = "identities";

/// Every source that gives something, or fails to.
pub fn look(report: &mut Report, keyring: &Keyring, surroundings: &Surroundings) {
    let environment = &surroundings.environment;
    let held = keyring.recipients();
    let commands = environment.key_commands();
    for source in keyring.sources() {
        let public: Vec<String> =
            held.iter().filter(|(origin, _)| *origin == source.origin).map(|(_, recipient)| public(recipient)).collect();
        // A plugin alone knows what its identities are.
        let hidden = source.identities - public.len().min(source.identities);
        let behind = match hidden {
            0 => String::new(),
            1 => " (and 1 of a plugin)".to_owned(),
            several => format!(" (and {several} of plugins)"),
        };
        if source.identities > 0 {
            report.good(TOPIC, format!("{}: {}{behind}", source.origin, public.join(", ")));
        }
    }
    for command in &commands {
        report.good(TOPIC, format!("{command}: a command, which is not run here"));
    }
    for failure in keyring.failures() {
        report.finding(TOPIC, failure, "correct it there, or take it out; `dotsops keygen` makes a new identity");
    }
    match keyring.may_hold_more() {
        true if held.is_empty() && commands.is_empty() => {
            report.good(TOPIC, "there may be some behind a passphrase or a plugin; nobody is asked here")
        }
        false if held.is_empty() && commands.is_empty() => report.finding(
            TOPIC,
            "you have none, so you can decrypt nothing",
            "`dotsops keygen` makes one; if you have one elsewhere, let SOPS_AGE_KEY_FILE name its file",
        ),
        _ => {}
    }
    if environment.holds_age_key() {
        report.note(
            TOPIC,
            "SOPS_AGE_KEY holds an identity: every program that is started from here inherits it",
            "on a machine of your own keep it in a file that SOPS_AGE_KEY_FILE names; in CI this is usual",
        );
    }
    for path in environment.identity_files() {
        owner_and_mode(report, &path);
    }
}

/// A public key whole, so that it can be given to others, unless it is too long for a line.
fn public(recipient: &str) -> String {
    if recipient.len() < 100 { shown(recipient).to_owned() } else { short(recipient) }
}

fn owner_and_mode(report: &mut Report, path: &Path) {
    let Some(metadata) = path.metadata().ok().filter(|metadata| metadata.is_file()) else { return };
    let (name, word, mode) = (path.display(), shell_word(path), metadata.mode() & 0o777);
    if mode & 0o077 != 0 {
        report.finding(
            TOPIC,
            format!("{name} is open to others (mode {mode:04o})"),
            format!("`chmod 600 {word}`; if others could read it, make a new identity"),
        );
    }
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me && owner != 0 {
        report.finding(
            TOPIC,
            format!("{name} belongs to user {owner}, who can read and replace it"),
            format!("`ls -l {word}`; keep your identity in a file of your own"),
        );
    }
}
