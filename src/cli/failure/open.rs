//! Files that stay shut, or are not what their writer wrote.

use std::path::Path;

use super::let_in::Wanted;
use super::{ExitCode, Failure, chain, counted, last_good, listed, metadata_changed, short};
use crate::cli::people::People;
use crate::document::{DecryptError, OpenError};
use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::plugin::PluginError;
use crate::keys::command::CommandError;
use crate::keys::group::{GroupOutcome, KeyFailure, Outcome, UnlockError};
use crate::keys::keyring::{IdentityFailure, Keyring};
use crate::keys::source::Origin;
use crate::keys::{Kind, UnwrapError};

/// U+FEFF in UTF-8. Before the first name it becomes a part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Failure {
    /// A file that stays shut.
    pub fn cannot_open(path: &Path, error: &OpenError, keyring: &Keyring) -> Self {
        let what = format!("cannot decrypt {}", path.display());
        match error {
            OpenError::Decrypt(error) => Self::not_authentic(path, what, error),
            OpenError::Locked(error) => Self::locked(path, what, error, keyring),
        }
    }

    pub(super) fn not_authentic(path: &Path, what: String, error: &DecryptError) -> Self {
        let (code, sops) = match error {
            DecryptError::Metadata(_) => (ExitCode::Malformed, ExitCode::No),
            DecryptError::NoMac | DecryptError::MacToken | DecryptError::MacMismatch => {
                (ExitCode::NotAuthentic, ExitCode::SopsNotAuthentic)
            }
            _ => (ExitCode::NotAuthentic, ExitCode::SopsValues),
        };
        let failure = Self::new(code, what).because(error).of_sops(sops);
        match error {
            DecryptError::NotEncrypted { key } | DecryptError::NotAuthentic { key }
                if key.as_bytes().starts_with(BYTE_ORDER_MARK) =>
            {
                failure.hint("the file begins with a byte order mark, which some editors put there unasked: save it without one")
            }
            _ => failure.hint(format!("{}; change values only with `dotsops edit`", last_good(path))),
        }
    }

    pub(super) fn locked(path: &Path, what: String, error: &UnlockError, keyring: &Keyring) -> Self {
        let (keys, identities) = match error {
            UnlockError::Locked { keys, identities } => (keys, identities),
            UnlockError::GroupsLocked { groups, needed, identities } => {
                return Self::groups_locked(path, what, groups, *needed, identities, keyring);
            }
            UnlockError::Shares(_) => {
                let failure = Self::new(ExitCode::NotAuthentic, what).because(chain(error)).hint(metadata_changed(path));
                return failure.of_sops(ExitCode::SopsLocked);
            }
            error => return Self::new(ExitCode::Malformed, what).because(error).hint(metadata_changed(path)),
        };
        if let Some(key) = keys.iter().find(|key| key.is_damage()) {
            return Self::damaged_key(path, what, key);
        }
        let people = People::nearby();
        let recipients: Vec<String> = keys
            .iter()
            .map(|key| match key.kind {
                Kind::Age => format!("{} {}", key.kind.title(), people.brief(key.kind, &key.recipient)),
                _ => people.brief(key.kind, &key.recipient),
            })
            .collect();
        let cause = shut(format!("encrypted to {}", listed(&recipients)), keyring, identities);
        let held = keyring.recipients();
        let only_others = keys.iter().all(|key| matches!(key.why, UnwrapError::NotSupported(_)));
        let untried = identities.iter().find_map(|failure| untried_hint(&failure.problem));
        let why = match untried {
            Some(_) => "no identity that could be used opens it",
            None => "none of your identities is a recipient",
        };
        let failure = Self::new(ExitCode::Locked, format!("{what}: {why}")).because(cause);
        let readers: Vec<(Kind, String)> = keys.iter().map(|key| (key.kind, key.recipient.clone())).collect();
        match wrong_hint(identities) {
            _ if untried.is_some() => failure.hint(untried.unwrap_or_default()),
            _ if only_others => failure.hint("this version opens files with age keys only; use sops for this one"),
            Some(hint) => failure.hint(hint),
            None => failure.hint(Wanted { path, readers: &readers, group: None }.hint(&held, &people)),
        }
    }

    /// Too few groups of several opened: says which, and who is in the others.
    pub(super) fn groups_locked(
        path: &Path,
        what: String,
        groups: &[GroupOutcome],
        needed: usize,
        identities: &[IdentityFailure],
        keyring: &Keyring,
    ) -> Self {
        let mut opened = 0;
        let mut locked = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            match &group.outcome {
                Outcome::Opened => opened += 1,
                Outcome::Locked(keys) => locked.push((at, &group.keys, keys)),
            }
        }
        if let Some(key) = locked.iter().flat_map(|(.., keys)| keys.iter()).find(|key| key.is_damage()) {
            return Self::damaged_key(path, what, key);
        }
        let people = People::nearby();
        let needs = |(at, keys, _): &(usize, &Vec<(Kind, String)>, _)| {
            let members: Vec<String> = keys.iter().map(|(kind, recipient)| people.brief(*kind, recipient)).collect();
            match members.len() {
                0 => format!("group {at} has no keys"),
                1 => format!("group {at} needs {}", members[0]),
                _ => format!("group {at} needs one of {}", listed(&members)),
            }
        };
        let missing: Vec<String> = locked.iter().map(needs).collect();
        let cause = shut(missing.join("; "), keyring, identities);
        let count = groups.len();
        let failure =
            Self::new(ExitCode::Locked, format!("{what}: {opened} of its {count} key groups opened, {needed} are needed"))
                .because(cause);
        let is_foreign = |key: &KeyFailure| matches!(key.why, UnwrapError::NotSupported(_));
        if locked.iter().all(|(.., keys)| keys.iter().all(is_foreign)) {
            return failure.hint("this version opens groups with age keys only; use sops for this file");
        }
        if let Some(hint) = wrong_hint(identities) {
            return failure.hint(hint);
        }
        match (keyring.recipients().as_slice(), locked.first()) {
            // Somebody of no group at all.
            (held @ [_, ..], Some((group, readers, _))) if opened == 0 => {
                failure.hint(Wanted { path, readers: readers.as_slice(), group: Some(*group) }.hint(held, &people))
            }
            _ => failure.hint(format!(
                "it takes identities of {needed} groups at once; SOPS_AGE_KEY_FILE=FILE names a file that holds more of them"
            )),
        }
    }

    pub(super) fn damaged_key(path: &Path, what: String, key: &KeyFailure) -> Self {
        Self::new(ExitCode::NotAuthentic, what)
            .because(format!("the data key wrapped for {}: {}", short(&key.recipient), key.why))
            .hint(metadata_changed(path))
            .of_sops(ExitCode::SopsLocked)
    }
}

/// What lets an identity be tried that could not be; `None` if it could.
pub(super) fn untried_hint(problem: &IdentityProblem) -> Option<String> {
    match problem {
        IdentityProblem::NobodyToAsk => Some(
            "run it where there is a terminal, or give an identity without a passphrase in SOPS_AGE_KEY or SOPS_AGE_KEY_FILE"
                .into(),
        ),
        IdentityProblem::Declined | IdentityProblem::WrongPassphrase => Some("run it again with the right passphrase".into()),
        IdentityProblem::TooMuchWork => Some(
            "`age -d` opens the file where there is enough memory; `age -p` or `ssh-keygen -p` protects it with less work".into(),
        ),
        IdentityProblem::Command(CommandError::Quotes | CommandError::Program { .. }) => {
            Some("correct the variable: it is split into words as by a shell, but no shell runs it".into())
        }
        IdentityProblem::Command(_) => Some("run that command yourself to see what it says".into()),
        IdentityProblem::Plugin(error) => {
            Some(plugin_hint(error).unwrap_or("run it again, and do what the plugin asks for".into()))
        }
        _ => None,
    }
}

pub(super) fn plugin_hint(error: &PluginError) -> Option<String> {
    match error {
        PluginError::Missing { plugin } => {
            Some(format!("install age-plugin-{plugin} into a folder of your PATH (an absolute one: others do not count)"))
        }
        PluginError::NotAgreed { plugin, .. } => Some(format!(
            "a recipient names it, but nobody on this machine did: if you trust it, `--allow-plugin {plugin}` or \
             DOTSOPS_ALLOW_PLUGINS={plugin}"
        )),
        PluginError::NobodyToAsk { .. } => Some("run it where there is a terminal".into()),
        _ => None,
    }
}

/// What is wrong in a variable that the user set, be it in what it holds or in the file it names.
fn wrong(identities: &[IdentityFailure]) -> Option<(&str, &IdentityFailure)> {
    identities.iter().filter(|failure| untried_hint(&failure.problem).is_none()).find_map(|failure| match &failure.origin {
        Origin::Variable(variable) | Origin::VariableFile { variable, .. } => Some((variable.as_str(), failure)),
        Origin::File(_) => None,
    })
}

fn wrong_hint(identities: &[IdentityFailure]) -> Option<String> {
    wrong(identities).map(|(variable, _)| format!("correct {variable}: what it holds, or the file that it names"))
}

/// Why a file stays shut: what is wrong in a variable, who can open the file, and what the user has to open files with.
fn shut(who: String, keyring: &Keyring, identities: &[IdentityFailure]) -> String {
    match wrong(identities) {
        Some((_, first)) => {
            let others: Vec<_> = identities.iter().filter(|failure| !std::ptr::eq(*failure, first)).collect();
            format!("{}; {who}{}", told(first), tried(keyring, &others))
        }
        None => format!("{who}{}", tried(keyring, &identities.iter().collect::<Vec<_>>())),
    }
}

fn told(failure: &IdentityFailure) -> String {
    let line = failure.line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("{}{line}: {}", failure.origin, failure.problem)
}

/// What the user has to open files with, behind a semicolon.
fn tried(keyring: &Keyring, identities: &[&IdentityFailure]) -> String {
    let held = keyring.recipients();
    let mut tried = String::new();
    match held.len() {
        0 => {
            let places: Vec<String> = keyring.sources().iter().map(|source| source.origin.to_string()).collect();
            tried.push_str("; you have no identity");
            if !places.is_empty() {
                tried.push_str(&format!(" (looked in {})", places.join(", ")));
            }
        }
        count => {
            let people = People::nearby();
            let each: Vec<String> =
                held.iter().map(|(origin, own)| format!("{} from {origin}", people.brief(Kind::Age, own))).collect();
            tried.push_str(&format!("; tried {}: {}", counted(count, "identity", "identities"), listed(&each)));
        }
    }
    for failure in identities {
        tried.push_str(&format!("; {}", told(failure)));
    }
    tried
}
