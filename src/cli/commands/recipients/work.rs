//! What letting in and putting out have in common: which files, who agrees, and all of them replaced as one.
//!
//! Its one invariant: every new file is made and read back before the first one is replaced, and the `.sops.yaml` is one of them.

use std::path::{Path, PathBuf};

use crate::cli::commands::updatekeys::warn_of_oddities;
use crate::cli::commands::{many, warn_of_weak_links};
use crate::cli::consent::{Answer, ask};
use crate::cli::failure::{Failure, from_here};
use crate::cli::people::People;
use crate::cli::{Surroundings, absolute, left_behind};
use crate::config::{ConfigError, CreationRule};
use crate::keys::group::KeyGroup;
use crate::keys::keyring::Keyring;
use crate::ops::in_threads::all_in_threads;
use crate::ops::journal;
use crate::ops::recipients::affected::{Affected, Drift};
use crate::ops::recipients::rules::{Key, Rules};
use crate::ops::rewrap::{EncryptedFile, RewrapError, Rewrapped, Unlocked};
use crate::ops::update_keys::Member;

/// How many files are named before somebody is asked about them.
const NAMED: usize = 20;

/// One call of `add` or `remove`.
pub struct Work<'a> {
    pub surroundings: &'a Surroundings,
    pub keyring: Keyring,
    pub rules: Rules,
    /// The command, for whoever finds it interrupted.
    pub verb: String,
    pub yes: bool,
    pub dry_run: bool,
}

/// An encrypted file, and the number of its rule, which an edit of the rules keeps.
pub type Numbered = (EncryptedFile, Option<usize>);

impl<'a> Work<'a> {
    /// Reads the config that counts here.
    pub fn begin(verb: String, yes: bool, dry_run: bool, surroundings: &'a Surroundings) -> Result<Self, Failure> {
        // What was interrupted may have been about the config too.
        left_behind::look_or_mention(dry_run, surroundings);
        let config = surroundings.config()?.ok_or_else(|| Failure::no_rules(None))?;
        let rules = Rules::read(&absolute(&config.path)?)?;
        if rules.config.rules().next().is_none() {
            return Err(Failure::no_rules(Some(&config.path)));
        }
        Ok(Self { surroundings, keyring: surroundings.environment.keyring(), rules, verb, yes, dry_run })
    }

    pub fn people(&self) -> People {
        People::of(&self.rules.config)
    }

    /// The config as it is shown.
    pub fn config(&self) -> PathBuf {
        from_here(self.rules.path())
    }

    /// Every encrypted file below the config, and the number of its rule in `rules`.
    pub fn files(&self, rules: &Rules, named: Option<&Path>) -> Result<Vec<Numbered>, Failure> {
        let mut files = Vec::new();
        for file in super::governed(&rules.config, named, self.surroundings)? {
            let file = EncryptedFile::of(file?)?;
            let number = match rules.governing(&absolute(&file.path)?) {
                Err(ConfigError::NoMatchingRule { .. }) => None,
                number => number?,
            };
            files.push((file, number));
        }
        Ok(files)
    }

    /// Says which files are meant.
    pub fn show_files(&self, affected: &[Affected], what: &str) -> Result<(), Failure> {
        let output = &self.surroundings.output;
        output.line(&format!("{what} {}:", counted(affected.len())))?;
        let shown = if self.dry_run { affected.len() } else { NAMED };
        affected.iter().take(shown).try_for_each(|affected| output.line(&format!("  {}", affected.file.path.display())))?;
        if affected.len() > shown {
            output.line(&format!("  and {} more (`--dry-run` names them all)", affected.len() - shown))?;
        }
        Ok(())
    }

    /// Says who else comes or goes because files follow their rule. What is the same for several files is said once.
    pub fn show_drift(&self, affected: &[Affected], keys: &[Key]) -> Result<(), Failure> {
        let people = self.people();
        let mut said: Vec<(String, Vec<&Path>)> = Vec::new();
        for affected in affected {
            let Some(drift) = affected.drift(keys) else { continue };
            let text = drift_text(&drift, &people);
            match said.iter_mut().find(|(known, _)| *known == text) {
                Some((_, files)) => files.push(&affected.file.path),
                None => said.push((text, vec![&affected.file.path])),
            }
        }
        for (text, files) in said {
            let files = super::named_files(&files);
            self.surroundings.finding(format_args!("not as the rule says, and made to follow it now: {files}: {text}"))?;
        }
        Ok(())
    }

    /// Says so once for each rule where classic keys undo what post-quantum ones are for.
    pub fn warn_of_weak_links(&self, affected: &[Affected]) {
        let mut seen: Vec<Vec<&str>> = Vec::new();
        for affected in affected {
            let keys = affected.groups.iter().flat_map(|group| &group.keys);
            let recipients: Vec<&str> = keys.map(|key| key.recipient()).collect();
            if !seen.contains(&recipients) {
                warn_of_weak_links(&affected.groups, affected.threshold, self.surroundings);
                seen.push(recipients);
            }
        }
    }

    /// Whether to go on; only shown otherwise.
    pub fn is_agreed(&self, question: &str) -> Result<bool, Failure> {
        if self.dry_run {
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        match ask(question) {
            Answer::Yes => Ok(true),
            Answer::No => {
                self.surroundings.output.note("nothing was changed");
                Ok(false)
            }
            Answer::Nobody => Err(Failure::recipients_not_agreed()),
        }
    }

    /// Makes all new files with `step`, and reads them back. Nothing is replaced yet.
    pub fn prepare(
        &self,
        affected: Vec<Affected>,
        step: impl Fn(Unlocked, Vec<KeyGroup>, u32) -> Result<Rewrapped, RewrapError> + Sync,
    ) -> Result<Vec<Rewrapped>, Failure> {
        let output = &self.surroundings.output;
        let unlock = |Affected { file, groups, threshold, .. }: Affected| {
            let path = file.path.clone();
            let unlocked = file.unlock(&self.keyring).map_err(|error| Failure::cannot_open(&path, &error, &self.keyring))?;
            Ok::<_, Failure>((unlocked, groups, threshold))
        };
        let unlocked = all_in_threads(affected, unlock, &mut |done, of| many::show_progress("opened", done, of, output));
        output.progress(None);
        let unlocked = unlocked?;
        unlocked.iter().try_for_each(|(unlocked, ..)| warn_of_oddities(unlocked, self.surroundings))?;
        let make = |(unlocked, groups, threshold): (Unlocked, Vec<KeyGroup>, u32)| {
            let path = unlocked.file.path.clone();
            step(unlocked, groups, threshold).map_err(|error| Failure::rotate_for(&path, error, &self.keyring))
        };
        let prepared = all_in_threads(unlocked, make, &mut |done, of| many::show_progress("made", done, of, output));
        output.progress(None);
        prepared
    }

    /// Replaces the files and the config as one.
    pub fn replace(&self, prepared: Vec<Rewrapped>, rules: Rules) -> Result<(), Failure> {
        let mut files: Vec<journal::Planned> = prepared.into_iter().map(Rewrapped::planned).collect();
        if rules.differs_from(&self.rules) {
            let (path, bytes, before) = rules.into_file();
            files.push(journal::Planned { path, bytes, before });
        }
        many::replace_all(&self.verb, files, self.surroundings)
    }

    /// The rule as people find it.
    pub fn described(&self, rule: &CreationRule) -> String {
        match &rule.path_regex {
            Some(path_regex) => format!("line {} (`{path_regex}`)", rule.line),
            None => format!("line {} (for every path)", rule.line),
        }
    }
}

fn drift_text(drift: &Drift, people: &People) -> String {
    let named = |members: &[Member]| {
        members.iter().map(|member| people.brief(member.kind, &member.recipient)).collect::<Vec<_>>().join(", ")
    };
    let mut parts = Vec::new();
    if !drift.missing.is_empty() {
        parts.push(format!("comes in: {}", named(&drift.missing)));
    }
    if !drift.extra.is_empty() {
        parts.push(format!("goes out: {}", named(&drift.extra)));
    }
    if let Some((before, after)) = drift.needed {
        parts.push(format!("key groups needed: {after} instead of {before}"));
    }
    parts.join("; ")
}

pub fn counted(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
