//! Who can read the files of this repository: a rule in `.sops.yaml`, made if there are none.

use super::Ready;
use crate::cli::failure::{Failure, Wanted};
use crate::cli::people::People;
use crate::config::{Config, ConfigError, CreationRule, new_file_text};
use crate::keys::Kind;
use crate::keys::age::recipient::is_same;
use crate::ops::init;

/// What the recovery key is called in `.sops.yaml`.
const RECOVERY: &str = "recovery";

impl Ready<'_> {
    /// The rules in `.sops.yaml`, and whether one is for the file; makes them if there are none.
    pub(super) fn rule(&self, recipient: &str) -> Result<(Config, bool), Failure> {
        let file = std::path::absolute(&self.arguments.file)?;
        if let Some(config) = self.surroundings.config()? {
            match config.rule_for(&file) {
                Ok(Some(rule)) => {
                    self.say(format_args!("rule: line {} of {}", rule.line, self.shown(&config.path)))?;
                    self.say_left_out(rule, &config)?;
                    self.refuse_other_recovery(rule)?;
                }
                Ok(None) | Err(ConfigError::NoMatchingRule { .. }) => return Ok((config, false)),
                Err(error) => return Err(error.into()),
            }
            return Ok((config, true));
        }
        let path = self.root.join(".sops.yaml");
        let recovery = self.recovery(recipient)?;
        let name = self.surroundings.environment.text("USER").or_else(|| self.surroundings.environment.text("LOGNAME"));
        let own = (recipient, name.as_deref().unwrap_or("me"));
        let recipients: Vec<(&str, &str)> =
            [Some(own), recovery.as_deref().map(|key| (key, RECOVERY))].into_iter().flatten().collect();
        let text = new_file_text(r"\.env$", &recipients);
        let whom = if recovery.is_some() { "you and to the recovery key" } else { "you" };
        if self.arguments.dry_run {
            self.say(format_args!("rule: would be new in {}, for files whose name ends with .env", self.shown(&path)))?;
            return Ok((Config::parse(&path, &text)?, true));
        }
        init::write_new(&path, text.as_bytes())?;
        self.say(format_args!("rule: new in {}; files whose name ends with .env are encrypted to {whom}", self.shown(&path)))?;
        if recovery.is_none() {
            self.say(format_args!(
                "recovery: no other key opens them; `dotsops recipients add recovery PUBLIC_KEY` adds one that lies in a safe place"
            ))?;
        }
        Ok((Config::load(&path)?, true))
    }

    /// What somebody who came later has to ask for.
    fn say_left_out(&self, rule: &CreationRule, config: &Config) -> Result<(), Failure> {
        let held = self.keyring.recipients();
        let keys: Vec<(Kind, String)> =
            rule.groups.iter().flat_map(|group| &group.keys).map(|key| (key.kind, key.identity())).collect();
        let is_own = |(kind, key): &(Kind, String)| *kind == Kind::Age && held.iter().any(|(_, own)| is_same(own, key));
        if held.is_empty() || keys.iter().any(is_own) || self.keyring.may_hold_more() {
            return Ok(());
        }
        let wanted = Wanted { path: &self.arguments.file, readers: &keys, group: (rule.groups.len() > 1).then_some(0) };
        self.say(format_args!("to do: the rule does not name you yet: {}", wanted.hint(&held, &People::of(config))))
    }

    /// Running it again changes nothing, so a recovery key that came later is for another command.
    fn refuse_other_recovery(&self, rule: &CreationRule) -> Result<(), Failure> {
        let Some(key) = &self.arguments.recovery else { return Ok(()) };
        let mut keys = rule.groups.iter().flat_map(|group| &group.keys);
        match keys.any(|there| there.kind == Kind::Age && is_same(&there.identity(), key.trim())) {
            true => Ok(()),
            false => Err(Failure::recovery_comes_late(&rule.config)),
        }
    }
}
