//! Who can read the files of this repository: a rule in `.sops.yaml`, made if there are none.

use super::Ready;
use crate::cli::failure::Failure;
use crate::config::{Config, ConfigError, new_file_text};
use crate::ops::init;

impl Ready<'_> {
    /// The rules in `.sops.yaml`, and whether one is for the file; makes them if there are none.
    pub(super) fn rule(&self, recipient: &str) -> Result<(Config, bool), Failure> {
        let file = std::path::absolute(&self.arguments.file)?;
        if let Some(config) = self.surroundings.config()? {
            match config.rule_for(&file) {
                Ok(Some(rule)) => self.say(format_args!("rule: line {} of {}", rule.line, self.shown(&config.path)))?,
                Ok(None) | Err(ConfigError::NoMatchingRule { .. }) => return Ok((config, false)),
                Err(error) => return Err(error.into()),
            }
            return Ok((config, true));
        }
        let path = self.root.join(".sops.yaml");
        let name = self.surroundings.environment.text("USER").or_else(|| self.surroundings.environment.text("LOGNAME"));
        let text = new_file_text(r"\.env$", &[(recipient, name.as_deref().unwrap_or("me"))]);
        init::write_new(&path, text.as_bytes())?;
        self.say(format_args!("rule: new in {}; files whose name ends with .env are encrypted to you", self.shown(&path)))?;
        Ok((Config::load(&path)?, true))
    }
}
