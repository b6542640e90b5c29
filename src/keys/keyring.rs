//! What this user can unwrap with, and where each identity came from.
//!
//! Is told its sources by the caller: it reads no environment variable and knows no default path. Its three invariants: no file is
//! touched, no program run and nobody asked before a [`Step`] needs it, and then once; a source that fails never keeps another from being
//! used; what was unlocked for one file is there for the next.
//!
//! Source of the rules: getsops/sops `age/keysource.go`, `loadIdentities`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::keys::age::identity::{Form, Identity, IdentityProblem};
use crate::keys::age::identity_file::Found;
use crate::keys::age::locked_file::LockedFile;
use crate::keys::age::recipient::{is_same, plugin_of};
use crate::keys::command;
use crate::keys::outside::Outside;
use crate::keys::source::{IdentitySource, Material, Origin};
use crate::keys::step::Step;
use crate::secret::with_clean_stack;

/// An identity and where it came from.
pub struct HeldIdentity {
    /// The source it was in.
    pub origin: Origin,
    /// The identity.
    pub identity: Identity,
}

/// Something in a source that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}{} {problem}", .line.map(|line| format!(": line {line}")).unwrap_or_default())]
pub struct IdentityFailure {
    /// The source.
    pub origin: Origin,
    /// The line, counted from 1; `None` if it is about the whole source.
    pub line: Option<usize>,
    /// Why.
    pub problem: IdentityProblem,
}

/// How much a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The source.
    pub origin: Origin,
    /// How many identities it held that can be used.
    pub identities: usize,
    /// How many things in it could not be used. If both numbers are 0 it is missing, empty, or not opened.
    pub failures: usize,
}

/// What this user can unwrap with.
pub struct Keyring {
    sources: Vec<IdentitySource>,
    outside: Outside,
    /// Whether only what lies there in plain text may be used.
    is_unattended: bool,
    loaded: Mutex<Loaded>,
}

/// What was read, asked for and run so far.
#[derive(Default)]
struct Loaded {
    /// The numbers of the sources that were read.
    read: Vec<usize>,
    /// Each with the number of its source.
    identities: Vec<(usize, Arc<HeldIdentity>)>,
    locked_files: Vec<Locked>,
    failures: Vec<IdentityFailure>,
    /// The recipients that the commands were run for, and what they gave that was not there yet.
    runs: Vec<(String, Vec<Arc<HeldIdentity>>)>,
}

/// An identity file with a passphrase.
struct Locked {
    /// The number of its source.
    source: usize,
    file: LockedFile,
    /// What age's own identities were in it, once it was opened.
    inside: Vec<Arc<HeldIdentity>>,
}

impl Keyring {
    /// A keyring over `sources`, none of which is opened yet. Nobody is asked for anything, and no program is run.
    pub fn new(sources: Vec<IdentitySource>) -> Self {
        Self::with_outside(sources, Outside::default())
    }

    /// A keyring over `sources` that may ask and run what `outside` gives.
    pub fn with_outside(sources: Vec<IdentitySource>, outside: Outside) -> Self {
        Self { sources, outside, is_unattended: false, loaded: Mutex::default() }
    }

    /// A keyring over `sources` that uses what lies in them in plain text and nothing else, for a program that nobody looks after: no
    /// command and no plugin is run, nobody asked, no pipe or terminal read, no service reached.
    pub fn unattended(sources: Vec<IdentitySource>) -> Self {
        Self { is_unattended: true, ..Self::new(sources) }
    }

    /// Who can be asked, and what can be run.
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// What to do, and in which order, to open a file whose age keys have these `recipients`.
    pub fn steps<'a>(&self, recipients: &[&'a str]) -> Vec<Step<'a>> {
        if self.is_unattended {
            return Step::at_hand(recipients);
        }
        let has_commands = self.sources.iter().any(|source| source.material.is_command());
        Step::in_order(recipients, has_commands, self.sources.len())
    }

    /// The identities to try in `step`. Reads, runs and asks what that takes, if it was not done before.
    pub fn identities(&self, step: Step<'_>) -> Vec<Arc<HeldIdentity>> {
        let mut loaded = self.loaded();
        match step {
            Step::Native => {
                self.read_texts(&mut loaded);
                loaded.of_form(Form::Native)
            }
            Step::Ssh => {
                self.read_ssh_keys(&mut loaded);
                loaded.of_form(Form::Ssh)
            }
            Step::Command { recipient } => self.run_commands(&mut loaded, recipient),
            Step::LockedSsh => loaded.of_form(Form::LockedSsh),
            Step::LockedFile { source } => self.unlock(&mut loaded, source),
            Step::Plugin => loaded.of_form(Form::Plugin),
            Step::OtherKinds => Vec::new(),
        }
    }

    /// Everything in the sources that could not be used, as far as they have been needed.
    pub fn failures(&self) -> Vec<IdentityFailure> {
        self.loaded().failures.clone()
    }

    /// The public halves and where each came from, in the order of the sources, as far as nobody has to be asked and nothing run for
    /// them. A plugin's identity does not tell its public half.
    pub fn recipients(&self) -> Vec<(Origin, String)> {
        let mut loaded = self.loaded();
        self.read_texts(&mut loaded);
        self.read_ssh_keys(&mut loaded);
        let mut held: Vec<_> = loaded.identities.iter().filter(|(_, held)| held.identity.form() != Form::Plugin).collect();
        held.sort_by_key(|(source, _)| *source);
        held.into_iter().map(|(_, held)| (held.origin.clone(), held.identity.recipient().to_owned())).collect()
    }

    /// Whether there may be identities that [`Self::recipients`] does not tell: behind a passphrase, a command or a plugin.
    pub fn may_hold_more(&self) -> bool {
        let mut loaded = self.loaded();
        self.read_texts(&mut loaded);
        self.sources.iter().any(|source| source.material.is_command())
            || loaded.locked_files.iter().any(|locked| !locked.file.is_open())
            || !loaded.of_form(Form::Plugin).is_empty()
    }

    /// Runs the commands, for no particular recipient, and unlocks the identity files, so that [`Self::recipients`] tells all it can.
    pub fn reach_for_all(&self) {
        let mut loaded = self.loaded();
        self.read_texts(&mut loaded);
        self.run_commands(&mut loaded, "");
        for source in 0..self.sources.len() {
            self.unlock(&mut loaded, source);
        }
    }

    /// How much each source gave, in their order, as far as they have been needed.
    pub fn sources(&self) -> Vec<SourceReport> {
        let loaded = self.loaded();
        let report = |source: &IdentitySource| SourceReport {
            origin: source.origin.clone(),
            identities: loaded.identities.iter().filter(|(_, held)| held.origin == source.origin).count(),
            failures: loaded.failures.iter().filter(|failure| failure.origin == source.origin).count(),
        };
        self.sources.iter().map(report).collect()
    }

    /// Whether `recipient` is, or may well be, the public half of an identity at hand.
    pub(super) fn seems_mine(&self, recipient: &str) -> bool {
        let mut loaded = self.loaded();
        self.read_texts(&mut loaded);
        loaded.identities.iter().any(|(_, held)| match held.identity.plugin() {
            Some(plugin) => plugin_of(recipient).as_deref() == Some(plugin),
            None => is_same(held.identity.recipient(), recipient),
        })
    }

    /// Whether an identity at hand is the plugin's: whoever holds it has the plugin run already.
    pub(super) fn has_plugin(&self, name: &str) -> bool {
        let mut loaded = self.loaded();
        self.read_texts(&mut loaded);
        loaded.identities.iter().any(|(_, held)| held.identity.plugin() == Some(name))
    }

    /// Remembers what kept an identity from being tried.
    pub(super) fn note_problem(&self, origin: &Origin, problem: IdentityProblem) {
        self.loaded().note(origin, None, problem);
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        // A thread that panicked left whole entries.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_texts(&self, loaded: &mut Loaded) {
        self.read(loaded, |material| matches!(material, Material::Text(_) | Material::File { .. }));
    }

    fn read_ssh_keys(&self, loaded: &mut Loaded) {
        self.read(loaded, |material| matches!(material, Material::SshFile { .. }));
    }

    fn read(&self, loaded: &mut Loaded, is_wanted: impl Fn(&Material) -> bool) {
        for (number, source) in self.sources.iter().enumerate() {
            let may_read = !self.is_unattended || source.material.is_at_hand();
            if is_wanted(&source.material) && may_read && !loaded.read.contains(&number) {
                loaded.read.push(number);
                with_clean_stack(|| loaded.add(number, &source.origin, source.read()));
            }
        }
    }

    /// Runs all commands for `recipient`; gives what they found that was not there yet.
    fn run_commands(&self, loaded: &mut Loaded, recipient: &str) -> Vec<Arc<HeldIdentity>> {
        if let Some((_, found)) = loaded.runs.iter().find(|(known, _)| known == recipient) {
            return found.clone();
        }
        let mut found = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            if let Material::Command { command, is_ssh } = &source.material {
                with_clean_stack(|| match command::run(command, recipient, &self.outside) {
                    Ok(bytes) => found.extend(loaded.add(number, &source.origin, source.found_in(&bytes, *is_ssh))),
                    Err(problem) => loaded.note(&source.origin, None, problem.into()),
                });
            }
        }
        found.retain(|held| matches!(held.identity.form(), Form::Native | Form::Ssh));
        loaded.runs.push((recipient.to_owned(), found.clone()));
        found
    }

    /// Asks for the passphrase of what is locked in the source `number`; gives what age's own identities were in it.
    fn unlock(&self, loaded: &mut Loaded, number: usize) -> Vec<Arc<HeldIdentity>> {
        let Some(origin) = self.sources.get(number).map(|source| &source.origin) else { return Vec::new() };
        let mut found = Vec::new();
        for position in 0..loaded.locked_files.len() {
            if loaded.locked_files[position].source != number {
                continue;
            }
            if !loaded.locked_files[position].file.is_open() {
                with_clean_stack(|| match loaded.locked_files[position].file.open(origin, &self.outside) {
                    Ok(inside) => {
                        let mut inside = loaded.add(number, origin, inside);
                        inside.retain(|held| held.identity.form() == Form::Native);
                        loaded.locked_files[position].inside = inside;
                    }
                    Err(problem) => loaded.note(origin, None, problem),
                });
            }
            found.extend(loaded.locked_files[position].inside.iter().cloned());
        }
        found
    }
}

impl Loaded {
    fn of_form(&self, form: Form) -> Vec<Arc<HeldIdentity>> {
        let held = self.identities.iter().map(|(_, held)| held);
        held.filter(|held| held.identity.form() == form).cloned().collect()
    }

    /// Takes in what a source had in it, and gives the identities that were not there yet.
    fn add(&mut self, source: usize, origin: &Origin, found: Found) -> Vec<Arc<HeldIdentity>> {
        let mut new = Vec::new();
        for identity in found.identities {
            // A command gives the same identities for each recipient.
            let is_known = self.identities.iter().any(|(known, held)| *known == source && held.identity.is_same(&identity));
            if !is_known {
                let held = Arc::new(HeldIdentity { origin: origin.clone(), identity });
                self.identities.push((source, Arc::clone(&held)));
                new.push(held);
            }
        }
        if let Some(file) = found.locked.filter(|file| !self.locked_files.iter().any(|known| known.file.is_same(file))) {
            self.locked_files.push(Locked { source, file, inside: Vec::new() });
        }
        for (line, problem) in found.problems {
            self.note(origin, line, problem);
        }
        new
    }

    fn note(&mut self, origin: &Origin, line: Option<usize>, problem: IdentityProblem) {
        let failure = IdentityFailure { origin: origin.clone(), line, problem };
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::keys::source::Material;
    use crate::secret::SecretString;

    const SECRET: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";
    const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";

    fn file(path: &Path, optional: bool) -> IdentitySource {
        let origin = Origin::VariableFile { variable: "SOPS_AGE_KEY_FILE".to_owned(), path: path.to_owned() };
        IdentitySource { origin, material: Material::File { path: path.to_owned(), optional } }
    }

    fn text(text: &str) -> IdentitySource {
        let origin = Origin::Variable("SOPS_AGE_KEY".to_owned());
        IdentitySource { origin, material: Material::Text(SecretString::copy_of(text)) }
    }

    fn ssh(name: &str) -> IdentitySource {
        let path = PathBuf::from(format!("{}/tests/vectors/ssh/throwaway_{name}", env!("CARGO_MANIFEST_DIR")));
        let origin = Origin::File(PathBuf::from(format!("~/.ssh/{name}")));
        IdentitySource { origin, material: Material::SshFile { path, optional: true } }
    }

    #[test]
    fn identities_of_all_sources_are_combined_and_know_where_they_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.txt");
        fs::write(&path, format!("# mine\n{SECRET}\nnonsense\n")).unwrap();
        let keyring = Keyring::new(vec![text(SECRET), file(&path, false), ssh("ed25519"), ssh("missing")]);
        let shown: Vec<String> =
            keyring.recipients().iter().map(|(origin, recipient)| format!("{origin} {}", &recipient[..11])).collect();
        let from_file = format!("SOPS_AGE_KEY_FILE ({})", path.display());
        assert_eq!(
            shown,
            ["SOPS_AGE_KEY age1syfl80l".to_owned(), format!("{from_file} age1syfl80l"), "~/.ssh/ed25519 ssh-ed25519".to_owned()]
        );
        assert_eq!(keyring.recipients()[0].1, RECIPIENT);
        assert_eq!(keyring.failures().len(), 1);
        assert_eq!(keyring.failures()[0].to_string(), format!("{from_file}: line 3 is no age identity"));
        let counts: Vec<(usize, usize)> = keyring.sources().iter().map(|report| (report.identities, report.failures)).collect();
        assert_eq!(counts, [(1, 0), (1, 1), (1, 0), (0, 0)]);
    }

    #[test]
    fn no_file_is_read_before_it_is_needed_and_then_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.txt");
        let keyring = Keyring::new(vec![file(&path, false)]);
        fs::write(&path, SECRET).unwrap();
        assert_eq!(keyring.identities(Step::Native).len(), 1);
        fs::remove_file(&path).unwrap();
        assert_eq!(keyring.identities(Step::Native).len(), 1);
        assert!(keyring.failures().is_empty());
    }

    #[test]
    fn empty_sources_are_no_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.txt");
        fs::write(&path, "").unwrap();
        let sources = vec![text(""), file(Path::new(""), false), file(&path, false), file(&path.join("below"), true)];
        let keyring = Keyring::new(sources);
        assert!(keyring.recipients().is_empty() && keyring.failures().is_empty());
    }

    #[test]
    fn an_unattended_keyring_takes_no_step_that_asks_or_runs_something_and_reads_no_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, ran) = (folder.path().join("pipe"), folder.path().join("ran"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let command = format!("touch {}", ran.display());
        let command = IdentitySource {
            origin: Origin::Variable("SOPS_AGE_KEY_CMD".to_owned()),
            material: Material::Command { command, is_ssh: false },
        };
        let (reader, _writer) = std::io::pipe().unwrap();
        let open = PathBuf::from(format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader)));
        let keyring = Keyring::unattended(vec![command, file(&pipe, false), file(&open, false), text(SECRET), ssh("ed25519")]);
        let steps = keyring.steps(&[RECIPIENT]);
        assert_eq!(steps, [Step::Native, Step::Ssh]);
        let held: usize = steps.into_iter().map(|step| keyring.identities(step).len()).sum();
        assert_eq!((held, keyring.recipients().len(), ran.exists()), (2, 2, false));
        assert!(keyring.steps(&[]).is_empty());
    }

    #[test]
    fn a_keyring_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Keyring>();
    }
}
