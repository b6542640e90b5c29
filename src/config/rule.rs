//! One creation rule: who gets the data key, and which values are encrypted.
//!
//! Knows the two ways to write recipients, flat and in groups; must not know paths. One invariant: keys stand in the order in which
//! sops wraps for them.
//!
//! Source: getsops/sops `config/config.go`, tried against sops 3.13.3.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::field::{self, ConfigWarning, Fault, Place, Problem};
use super::key::{self, RuleKey};
use super::names::{Above, Names};
use crate::document::selection::SelectionOption;
use crate::keys::Kind;
use crate::yaml::{Node, NodeKind, Typed};

/// What a file that a rule governs is encrypted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreationRule {
    /// The config it stands in, as that was given.
    pub config: PathBuf,
    /// The line it starts on, from 1.
    pub line: usize,
    /// The pattern of the paths it is for, in Go's syntax; `None` for every path.
    pub path_regex: Option<String>,
    /// At least one. The flat form makes exactly one, which is empty if the rule names nobody.
    pub groups: Vec<RuleGroup>,
    /// How many groups are needed to open the file; `None` leaves it to the number of groups.
    pub shamir_threshold: Option<u32>,
    /// The one selection option that is set, with its value, which compiles if it is a pattern.
    pub selection: Option<(SelectionOption, String)>,
    /// Whether the MAC leaves out values that are not encrypted.
    pub mac_only_encrypted: bool,
}

/// Keys each of which opens the same share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleGroup {
    /// In the order in which sops wraps for them.
    pub keys: Vec<RuleKey>,
}

/// Reads one rule, whose fields are known to be a mapping.
pub(super) fn read(
    rule: &Node,
    config: &Path,
    names: Names<'_>,
    warnings: &mut Vec<ConfigWarning>,
) -> Result<CreationRule, Fault> {
    let key_groups: Vec<&Node> =
        field::list(rule.get("key_groups"), "key_groups")?.unwrap_or_default().iter().filter(|group| !group.is_null()).collect();
    let groups = if key_groups.is_empty() {
        vec![flat(rule, names)?]
    } else {
        key_groups.into_iter().map(|node| group(node, "key_groups", names, warnings)).collect::<Result<_, _>>()?
    };
    Ok(CreationRule {
        config: config.to_owned(),
        line: rule.line,
        path_regex: field::text(rule.get("path_regex"), "path_regex")?,
        groups,
        shamir_threshold: field::count(rule.get("shamir_threshold"), "shamir_threshold")?,
        selection: selection(rule)?,
        mac_only_encrypted: field::truth(rule.get("mac_only_encrypted"), "mac_only_encrypted")?,
    })
}

fn selection(rule: &Node) -> Result<Option<(SelectionOption, String)>, Fault> {
    let mut selection: Option<(SelectionOption, String)> = None;
    for option in SelectionOption::ALL {
        let node = rule.get(option.field());
        let Some(value) = field::text(node, option.field())? else { continue };
        if let Some((first, _)) = selection {
            return Err(Fault::at(node.unwrap_or(rule), Problem::TwoSelectionOptions { first, second: option }));
        }
        // sops takes a pattern that does not compile for one that never matches: it would encrypt nothing, or everything.
        if !matches!(option, SelectionOption::EncryptedSuffix | SelectionOption::UnencryptedSuffix) {
            field::pattern(node, option.field(), &value)?;
        }
        selection = Some((option, value));
    }
    Ok(selection)
}

// --- flat: `age: KEY, KEY` ------------------------------------------------------------------------------------------------------

/// The field of each kind, in the order in which sops wraps for them.
pub(super) const FIELDS: [(Kind, &str); 7] = [
    (Kind::Age, "age"),
    (Kind::Pgp, "pgp"),
    (Kind::Kms, "kms"),
    (Kind::GcpKms, "gcp_kms"),
    (Kind::HcKms, "hckms"),
    (Kind::AzureKv, "azure_keyvault"),
    (Kind::HcVault, "hc_vault_transit_uri"),
];

/// Keys directly in the rule, one field for each kind; they are not made unique.
fn flat(rule: &Node, names: Names<'_>) -> Result<RuleGroup, Fault> {
    let mut keys = Vec::new();
    for (kind, name) in FIELDS {
        keys.extend(if kind == Kind::HcKms {
            listed(rule, kind, name, names)?
        } else {
            string_or_list(rule, kind, name, names)?
        });
    }
    let profile = field::text(rule.get("aws_profile"), "aws_profile")?;
    for key in keys.iter_mut().filter(|key| key.kind == Kind::Kms) {
        key.profile.clone_from(&profile);
    }
    Ok(RuleGroup { keys })
}

fn string_or_list(rule: &Node, kind: Kind, name: &str, names: Names<'_>) -> Result<Vec<RuleKey>, Fault> {
    const EXPECTED: &str = "a string or a list of strings";
    let Some((key, node)) = rule.pair(name).filter(|(_, node)| !node.is_null()) else { return Ok(Vec::new()) };
    let is_string = |node: &Node| node.typed() == Some(Typed::Text);
    let above = names.above(key);
    match &node.kind {
        NodeKind::Scalar { text, .. } if is_string(node) => {
            // Only here are empty pieces fine: a folded text may end with a comma.
            let pieces: Vec<&str> = text.split(',').filter(|piece| !piece.trim().is_empty()).collect();
            keys_in(
                &pieces,
                node,
                kind,
                name,
                &Named { behind: names.behind(node).map(|name| name.words(names.text)), above: &above },
            )
        }
        NodeKind::Sequence(items) => {
            let mut keys = Vec::new();
            for (at, item) in items.iter().enumerate() {
                let text = item.text().filter(|_| is_string(item)).ok_or_else(|| Fault::expected(item, name, EXPECTED))?;
                keys.extend(item_keys(text, items, at, kind, name, names, &above)?);
            }
            Ok(keys)
        }
        NodeKind::Scalar { .. } | NodeKind::Mapping(_) => Err(Fault::expected(node, name, EXPECTED)),
    }
}

/// A list of texts; nulls and empty texts are left out, as in sops.
fn listed(holder: &Node, kind: Kind, name: &str, names: Names<'_>) -> Result<Vec<RuleKey>, Fault> {
    let mut keys = Vec::new();
    let Some((key, node)) = holder.pair(name) else { return Ok(keys) };
    let above = names.above(key);
    let items = field::list(Some(node), name)?.unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        if let Some(text) = field::text(Some(item), name)? {
            keys.extend(item_keys(&text, items, at, kind, name, names, &above)?);
        }
    }
    Ok(keys)
}

/// The comments that may name the keys of one text.
struct Named<'config> {
    behind: Option<&'config str>,
    above: &'config Above<'config>,
}

fn item_keys(
    text: &str,
    items: &[Node],
    at: usize,
    kind: Kind,
    name: &str,
    names: Names<'_>,
    above: &Above<'_>,
) -> Result<Vec<RuleKey>, Fault> {
    let named = Named { behind: names.behind_item(items, at).map(|name| name.words(names.text)), above };
    keys_in(&text.split(',').collect::<Vec<_>>(), &items[at], kind, name, &named)
}

/// The keys in the comma-separated pieces of one text. A comment behind it names somebody only if there is just one, and if none above
/// the field does, which says whom it means.
fn keys_in(pieces: &[&str], node: &Node, kind: Kind, name: &str, named: &Named<'_>) -> Result<Vec<RuleKey>, Fault> {
    let mut keys = Vec::new();
    for piece in pieces {
        if piece.trim().is_empty() {
            return Err(Fault::at(node, Problem::EmptyEntry { field: name.to_owned() }));
        }
        let mut key = RuleKey::from_text(kind, piece, node.line).map_err(|expected| Fault::expected(node, name, expected))?;
        let behind = named.behind.filter(|_| pieces.len() == 1);
        key.name = named.above.name_of(piece.trim()).or(behind).map(str::to_owned);
        keys.push(key);
    }
    Ok(keys)
}

// --- groups: `key_groups:` ------------------------------------------------------------------------------------------------------

/// The field of a group that lists keys of `kind` as texts; empty for kinds that are mappings there.
pub(super) fn group_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Age => "age",
        Kind::Pgp => "pgp",
        Kind::HcVault => "hc_vault",
        Kind::Kms | Kind::GcpKms | Kind::HcKms | Kind::AzureKv => "",
    }
}

/// One group: what it merges first, then its own keys, each key once.
fn group(node: &Node, name: &str, names: Names<'_>, warnings: &mut Vec<ConfigWarning>) -> Result<RuleGroup, Fault> {
    let fields = field::mapping(node).ok_or_else(|| Fault::expected(node, name, "a list of mappings"))?;
    field::warn_of_near_misses(fields, Place::Group, warnings);
    let mut keys = Vec::new();
    for merged in field::list(node.get("merge"), "merge")?.unwrap_or_default().iter().filter(|merged| !merged.is_null()) {
        keys.extend(group(merged, "merge", names, warnings)?.keys);
    }
    keys.extend(listed(node, Kind::Age, "age", names)?);
    keys.extend(listed(node, Kind::Pgp, "pgp", names)?);
    keys.extend(each(node, "kms", |item| {
        // A role stands in a field of its own here, so the ARN is not split.
        let mut key = RuleKey::of(Kind::Kms, required(item, "arn")?.replace(' ', ""), item.line);
        key.role = field::text(item.get("role"), "role")?;
        key.profile = field::text(item.get("aws_profile"), "aws_profile")?;
        for (name, value) in field::optional_mapping(item.get("context"), "context")?.unwrap_or_default() {
            let (Some(name), Some(value)) = (name.text(), value.text()) else {
                return Err(Fault::expected(value, "context", "a mapping of strings"));
            };
            key.context.insert(name.to_owned(), value.to_owned());
        }
        Ok(key)
    })?);
    keys.extend(each(node, "gcp_kms", |item| from_text(Kind::GcpKms, required(item, "resource_id")?, item, "resource_id"))?);
    keys.extend(each(node, "hckms", |item| from_text(Kind::HcKms, required(item, "key_id")?, item, "key_id"))?);
    keys.extend(each(node, "azure_keyvault", |item| {
        let version = field::text(item.get("version"), "version")?.unwrap_or_default();
        let url = key::azure_url(&required(item, "vaultUrl")?, &required(item, "key")?, &version);
        from_text(Kind::AzureKv, url, item, "azure_keyvault")
    })?);
    keys.extend(listed(node, Kind::HcVault, "hc_vault", names)?);
    let mut known = HashSet::new();
    keys.retain(|key| known.insert((key.kind, key.identity())));
    Ok(RuleGroup { keys })
}

/// The keys of a list of mappings, of which each is one key.
fn each(group: &Node, name: &str, read: impl Fn(&Node) -> Result<RuleKey, Fault>) -> Result<Vec<RuleKey>, Fault> {
    let items = field::list(group.get(name), name)?.unwrap_or_default();
    let items = items.iter().filter(|item| !item.is_null());
    items
        .map(|item| match field::mapping(item) {
            Some(_) => read(item),
            None => Err(Fault::expected(item, name, "a list of mappings")),
        })
        .collect()
}

fn required(item: &Node, name: &str) -> Result<String, Fault> {
    field::text(item.get(name), name)?.ok_or_else(|| Fault::expected(item, name, "there"))
}

fn from_text(kind: Kind, text: String, item: &Node, name: &str) -> Result<RuleKey, Fault> {
    RuleKey::from_text(kind, &text, item.line).map_err(|expected| Fault::expected(item, name, expected))
}
