//! The options that say who can read a new file and which of its values are encrypted.

use crate::cli::Surroundings;
use crate::cli::failure::Failure;
use crate::document::selection::SelectionOption;
use crate::ops::new_file::Choice;

/// sops's variables for kinds of keys that this version cannot wrap for.
const OTHER_KEYS: [&str; 6] = [
    "SOPS_PGP_FP",
    "SOPS_KMS_ARN",
    "SOPS_GCP_KMS_IDS",
    "SOPS_HUAWEICLOUD_KMS_IDS",
    "SOPS_AZURE_KEYVAULT_URLS",
    "SOPS_VAULT_URIS",
];

/// Options for a file that is encrypted for the first time. Without them the rule of `.sops.yaml` counts.
#[derive(clap::Args)]
pub struct NewFileOptions {
    /// Encrypt to these age recipients or SSH public keys (repeatable, or separated by commas); without it SOPS_AGE_RECIPIENTS, else .sops.yaml
    #[arg(long, short, value_name = "RECIPIENT", help_heading = "Who can read a new file")]
    age: Vec<String>,

    /// With key groups: how many of them are needed to open the file, instead of what the rule says (0 for all)
    #[arg(long, alias = "shamir-secret-sharing-threshold", value_name = "N", help_heading = "Who can read a new file")]
    threshold: Option<u32>,

    /// Encrypt all values but those of names that end with TEXT
    #[arg(long, value_name = "TEXT", help_heading = "Which values of a new file are encrypted")]
    unencrypted_suffix: Option<String>,

    /// Encrypt only values of names that end with TEXT
    #[arg(long, value_name = "TEXT", help_heading = "Which values of a new file are encrypted")]
    encrypted_suffix: Option<String>,

    /// Encrypt all values but those of names that match PATTERN
    #[arg(long, value_name = "PATTERN", help_heading = "Which values of a new file are encrypted")]
    unencrypted_regex: Option<String>,

    /// Encrypt only values of names that match PATTERN
    #[arg(long, value_name = "PATTERN", help_heading = "Which values of a new file are encrypted")]
    encrypted_regex: Option<String>,

    /// Encrypt all values but those below a comment that matches PATTERN
    #[arg(long, value_name = "PATTERN", help_heading = "Which values of a new file are encrypted")]
    unencrypted_comment_regex: Option<String>,

    /// Encrypt only values below a comment that matches PATTERN
    #[arg(long, value_name = "PATTERN", help_heading = "Which values of a new file are encrypted")]
    encrypted_comment_regex: Option<String>,

    /// Let the file's MAC cover encrypted values alone, so that values in clear can be changed by hand
    #[arg(long, help_heading = "Which values of a new file are encrypted")]
    mac_only_encrypted: bool,
}

/// The first variable that is set and names keys that this version cannot wrap for.
pub(super) fn key_variable(surroundings: &Surroundings) -> Option<&'static str> {
    OTHER_KEYS.into_iter().find(|name| surroundings.environment.var(name).is_some())
}

impl NewFileOptions {
    /// The recipients that were named, lists of them or one each.
    pub fn recipients(&self) -> &[String] {
        &self.age
    }

    /// What was asked for, with `SOPS_AGE_RECIPIENTS` standing in for `--age`.
    pub fn choice(&self, surroundings: &Surroundings) -> Result<Choice, Failure> {
        // To sops each of these names keys that take the place of the rule's; passing it over would encrypt to other people.
        if let Some(name) = key_variable(surroundings) {
            return Err(Failure::key_variable(name));
        }
        let mut age = self.age.clone();
        if age.is_empty() {
            // What is no text names no recipient; passed over, it would leave the choice to the rule.
            age.extend(surroundings.environment.var("SOPS_AGE_RECIPIENTS").map(|text| text.to_string_lossy().into_owned()));
        }
        let split = |text: &String| text.split(',').map(|piece| piece.trim().to_owned()).collect::<Vec<_>>();
        let options = [
            (SelectionOption::UnencryptedSuffix, &self.unencrypted_suffix),
            (SelectionOption::EncryptedSuffix, &self.encrypted_suffix),
            (SelectionOption::UnencryptedRegex, &self.unencrypted_regex),
            (SelectionOption::EncryptedRegex, &self.encrypted_regex),
            (SelectionOption::UnencryptedCommentRegex, &self.unencrypted_comment_regex),
            (SelectionOption::EncryptedCommentRegex, &self.encrypted_comment_regex),
        ];
        Ok(Choice {
            age: age.iter().flat_map(split).collect(),
            selection: options.into_iter().filter_map(|(option, text)| Some((option, text.clone()?))).collect(),
            mac_only_encrypted: self.mac_only_encrypted,
            threshold: self.threshold,
        })
    }
}
