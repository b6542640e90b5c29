//! The types of a rule's fields: what sops refuses in whichever rule it stands, before it looks for one.
//!
//! Knows which fields are typed in sops and which are not: flat keys (`age: …`) are looked at only when the rule is used. One
//! invariant: nothing is read here, only refused.
//!
//! Source: getsops/sops `config/config.go`, `creationRule` and `keyGroup`; tried against sops 3.13.3.

use super::field::{Fault, count, list, mapping, optional_mapping, text, truth};
use crate::document::selection::SelectionOption;
use crate::yaml::Node;

/// Checks one creation rule.
pub(super) fn check_rule(rule: &Node) -> Result<(), Fault> {
    for name in ["path_regex", "aws_profile"].into_iter().chain(SelectionOption::ALL.map(SelectionOption::field)) {
        text(rule.get(name), name)?;
    }
    texts(rule.get("hckms"), "hckms")?;
    count(rule.get("shamir_threshold"), "shamir_threshold")?;
    truth(rule.get("mac_only_encrypted"), "mac_only_encrypted")?;
    check_groups(rule, "key_groups")
}

fn check_groups(node: &Node, name: &str) -> Result<(), Fault> {
    for group in mappings(node.get(name), name)? {
        check_groups(group, "merge")?;
        for name in ["age", "pgp", "hc_vault"] {
            texts(group.get(name), name)?;
        }
        let lists: [(&str, &[&str]); 4] = [
            ("kms", &["arn", "role", "aws_profile"]),
            ("gcp_kms", &["resource_id"]),
            ("hckms", &["key_id"]),
            ("azure_keyvault", &["vaultUrl", "key", "version"]),
        ];
        for (name, fields) in lists {
            for key in mappings(group.get(name), name)? {
                fields.iter().try_for_each(|field| text(key.get(field), field).map(drop))?;
                let context = optional_mapping(key.get("context"), "context")?.unwrap_or_default();
                context.iter().try_for_each(|(_, value)| text(Some(value), "context").map(drop))?;
            }
        }
    }
    Ok(())
}

fn texts(node: Option<&Node>, name: &str) -> Result<(), Fault> {
    list(node, name)?.unwrap_or_default().iter().try_for_each(|item| text(Some(item), name).map(drop))
}

fn mappings<'node>(node: Option<&'node Node>, name: &str) -> Result<Vec<&'node Node>, Fault> {
    let items = list(node, name)?.unwrap_or_default().iter().filter(|item| !item.is_null());
    items.map(|item| mapping(item).map(|_| item).ok_or_else(|| Fault::expected(item, name, "a list of mappings"))).collect()
}
