//! Who can read an encrypted file and what it says about its own encryption, against its rule.

use super::finding::{Finding, Recipient, Sort};
use super::{ConfigError, Subject};
use crate::config::CreationRule;
use crate::crypto::token::Token;
use crate::document::metadata::Metadata;
use crate::keys::group::needed;
use crate::keys::quantum::weak_links;
use crate::keys::shown;
use crate::ops::departures::other_selection;
use crate::ops::update_keys::{Change, Member, compare};

/// Compares `metadata` with the rule of the file, and says where it is weak by itself.
pub fn judge(subject: &Subject, metadata: &Metadata) -> Result<Vec<Finding>, ConfigError> {
    let mut findings = Vec::new();
    let rule = match subject.config.map(|config| config.rule_for(subject.path)) {
        None | Some(Ok(None)) => {
            findings.push(Finding::of(Sort::NoConfig));
            None
        }
        Some(Ok(Some(rule))) => Some(rule),
        Some(Err(ConfigError::NoMatchingRule { path, .. })) => {
            findings.push(Finding::of(Sort::NoRule { config: path }));
            None
        }
        Some(Err(error)) => return Err(error),
    };
    if let Some(rule) = rule {
        readers(subject, metadata, rule, &mut findings);
    }
    if let Some(config) = subject.config
        && let Some(rule) = other_selection(metadata, config, subject.path)
    {
        let own = &metadata.selection;
        findings.push(Finding::of(Sort::OtherSelection { file: (own.option(), own.text().to_owned()), rule }));
    }
    if metadata.mac_only_encrypted {
        findings.push(Finding::of(Sort::MacOnlyEncrypted { is_meant: rule.is_some_and(|rule| rule.mac_only_encrypted) }));
    }
    findings.extend(weaknesses(metadata).into_iter().map(Finding::of));
    Ok(findings)
}

fn readers(subject: &Subject, metadata: &Metadata, rule: &CreationRule, findings: &mut Vec<Finding>) {
    let change = match compare(metadata, rule) {
        Ok(None) => return,
        Ok(Some(change)) => change,
        Err(error) => return findings.push(Finding::of(Sort::BadRule(Box::new(error)))),
    };
    let Change { groups, needed_before, needed_after, .. } = change;
    let has_groups = groups.len() > 1;
    for (at, group) in groups.into_iter().enumerate() {
        let group_of = |member: Member| Recipient { member, group: has_groups.then_some(at) };
        findings.extend(group.added.into_iter().map(|member| Finding::of(Sort::Missing(group_of(member)))));
        findings.extend(group.removed.into_iter().map(|member| {
            let line = line_of(&member.recipient, subject.bytes.expose());
            Finding { line, ..Finding::of(Sort::Unknown(group_of(member))) }
        }));
    }
    if needed_before != needed_after {
        findings.push(Finding::of(Sort::Threshold { file: needed_before, rule: needed_after }));
    }
}

/// The line of the metadata that names `recipient`.
fn line_of(recipient: &str, text: &[u8]) -> Option<usize> {
    let is_it = |line: &[u8]| line.trim_ascii_end().strip_suffix(recipient.as_bytes()).is_some_and(|key| key.ends_with(b"="));
    let mut lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.find(|(_, line)| line.starts_with(b"sops_") && is_it(line)).map(|(at, _)| at + 1)
}

fn weaknesses(metadata: &Metadata) -> Vec<Sort> {
    let mut found = Vec::new();
    if metadata.mac.as_deref().is_none_or(|mac| Token::parse(mac).is_err()) {
        found.push(Sort::NoMac);
    }
    if hangs_on_one_key(metadata) {
        found.push(Sort::OneRecipient);
    }
    let weak = weak_links(&metadata.key_groups, metadata.shamir_threshold);
    if !weak.is_empty() {
        let recipients = weak.iter().map(|key| (key.kind(), shown(key.recipient()).to_owned())).collect();
        found.push(Sort::Quantum { recipients });
    }
    if metadata.is_newer() {
        found.push(Sort::NewerVersion { version: metadata.version.clone() });
    }
    found
}

/// Whether the loss of a single key can be the loss of the file.
fn hangs_on_one_key(metadata: &Metadata) -> bool {
    let groups = &metadata.key_groups;
    let spare = groups.len().saturating_sub(needed(metadata.shamir_threshold, groups.len()));
    spare == 0 && groups.iter().any(|group| group.keys.len() == 1)
}
