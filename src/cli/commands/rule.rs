//! `dotsops rule`

use std::path::PathBuf;

use super::selection::key_variable;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::{Surroundings, absolute};
use crate::config::{Config, CreationRule, Explanation, PassedOver, RuleKey};
use crate::document::selection::SelectionOption;
use crate::keys::{Kind, new_master_key, shown};

/// Tell which rule of .sops.yaml a file is encrypted by, and why; needs no key
///
/// Says where the rule stands, who can read a new file of this name, and which of its values are encrypted; for each rule before
/// it, why that does not match. The file need not exist. A file that is encrypted already keeps its own recipients.
///
/// Patterns are searched in the path from the folder of .sops.yaml, written with `/` and without `./` in front; the first rule that
/// matches counts. If none does, the exit code is 1.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops rule secrets.env")]
pub struct Arguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints what is found, one fact a line.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let file = absolute(&arguments.file)?;
    let Some(config) = surroundings.config()? else {
        surroundings.output.line("rule: none, for there is no .sops.yaml here or above")?;
        surroundings.output.hint("`dotsops init` makes one");
        return Ok(ExitCode::No);
    };
    let report = Report { surroundings, config: &config };
    report.say(format_args!("config: {}", report.shown().display()))?;
    let Some(explanation) = config.explain(&file)? else {
        report.say(format_args!("rule: none, for it has no `creation_rules`"))?;
        return Ok(ExitCode::No);
    };
    report.explain(&explanation)
}

struct Report<'a> {
    surroundings: &'a Surroundings,
    config: &'a Config,
}

impl Report<'_> {
    fn say(&self, text: std::fmt::Arguments) -> Result<(), Failure> {
        Ok(self.surroundings.output.line(&text.to_string())?)
    }

    fn shown(&self) -> PathBuf {
        let here = std::env::current_dir().unwrap_or_default();
        self.config.path.strip_prefix(here).unwrap_or(&self.config.path).to_owned()
    }

    fn explain(&self, explanation: &Explanation) -> Result<ExitCode, Failure> {
        self.say(format_args!("path: {}", visible(&explanation.path)))?;
        for PassedOver { line, path_regex, near_miss } in &explanation.passed_over {
            let near = near_miss.as_ref().map(|near| format!("; {near}")).unwrap_or_default();
            self.say(format_args!("not line {line}: `{}` does not match{near}", visible(path_regex)))?;
        }
        let Some(rule) = explanation.rule else {
            self.say(format_args!("rule: none"))?;
            self.surroundings
                .output
                .hint("add a rule whose `path_regex` matches the path, or one without `path_regex` as the last");
            return Ok(ExitCode::No);
        };
        match &rule.path_regex {
            Some(path_regex) => self.say(format_args!("rule: line {}, `{}` matches", rule.line, visible(path_regex)))?,
            None => self.say(format_args!("rule: line {}, which is for every path", rule.line))?,
        }
        self.recipients(rule)?;
        self.say(format_args!("encrypted: {}", selected(rule)))?;
        if rule.mac_only_encrypted {
            self.say(format_args!("MAC: over encrypted values only"))?;
        }
        for line in &explanation.too_late {
            self.say(format_args!("too late: line {line} matches as well, but only the first rule counts"))?;
        }
        self.say_what_overrules();
        Ok(ExitCode::Done)
    }

    fn recipients(&self, rule: &CreationRule) -> Result<(), Failure> {
        let several = rule.groups.len() > 1;
        if several {
            let count = rule.groups.len();
            let needed = rule.shamir_threshold.map_or(count, |threshold| threshold as usize);
            self.say(format_args!("groups: {needed} of {count} must open"))?;
            if !(2..=count).contains(&needed) {
                self.surroundings.output.warning(format_args!(
                    "{}, line {}: `shamir_threshold` can be from 2 to {count} here, so no file can be encrypted by this rule",
                    self.shown().display(),
                    rule.line
                ));
            }
        }
        for (number, group) in rule.groups.iter().enumerate() {
            let label = if several { format!("group {number}") } else { "recipient".to_owned() };
            if group.keys.is_empty() {
                self.say(format_args!("{label}: nobody"))?;
                self.surroundings.output.warning(format_args!(
                    "{}, line {}: nobody could read what this rule is for: give it recipients (`age:`)",
                    self.shown().display(),
                    rule.line
                ));
            }
            for key in &group.keys {
                self.say(format_args!("{label}: {}", described(key)))?;
                if let Err(error) = new_master_key(key.kind, &key.recipient) {
                    let config = self.shown();
                    self.surroundings.output.warning(format_args!("{}, line {}: {error}", config.display(), key.line));
                }
            }
        }
        Ok(())
    }

    /// Says which variables take the place of the rule's recipients.
    fn say_what_overrules(&self) {
        let output = &self.surroundings.output;
        if self.surroundings.environment.var("SOPS_AGE_RECIPIENTS").is_some() {
            output.note("SOPS_AGE_RECIPIENTS is set: new files are encrypted to its recipients, not to the rule's");
        }
        if let Some(name) = key_variable(self.surroundings) {
            output.note(format_args!("{name} is set: sops would encrypt to its keys, and this version refuses to"));
        }
    }
}

/// A path or pattern on one line.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn described(key: &RuleKey) -> String {
    let kind = if key.kind == Kind::Age { String::new() } else { format!("{} ", key.kind.title()) };
    let name = key.name.as_ref().map(|name| format!(" # {name}")).unwrap_or_default();
    format!("{kind}{}{name}", shown(&key.recipient))
}

fn selected(rule: &CreationRule) -> String {
    let Some((option, text)) = &rule.selection else {
        return "all values but those of names that end with `_unencrypted`".to_owned();
    };
    let text = visible(text);
    match option {
        SelectionOption::UnencryptedSuffix => format!("all values but those of names that end with `{text}`"),
        SelectionOption::EncryptedSuffix => format!("only values of names that end with `{text}`"),
        SelectionOption::UnencryptedRegex => format!("all values but those of names that match `{text}`"),
        SelectionOption::EncryptedRegex => format!("only values of names that match `{text}`"),
        SelectionOption::UnencryptedCommentRegex => format!("all values but those below a comment that matches `{text}`"),
        SelectionOption::EncryptedCommentRegex => format!("only values below a comment that matches `{text}`"),
    }
}
