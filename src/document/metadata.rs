//! The `sops` block ⇄ a mapping.
//!
//! Knows the block's fields, whoever wrapped the data key. Its one invariant: reading a block and writing it again loses nothing,
//! fields of newer versions and of unknown kinds of keys included.
//!
//! Source: getsops/sops `stores/stores.go` (`Metadata`, `ToInternal`, `metadataFromInternal`), v3.13.3.

use time::UtcDateTime;
use time::format_description::well_known::Rfc3339;

use super::pattern::PatternError;
use super::selection::{Selection, SelectionOption};
use super::version::Version;
use crate::crypto::scalar::normal_time;
use crate::keys::fields::EntryError;
use crate::keys::group::{KeyGroup, needed, wrap_for_all};
use crate::keys::keyring::Keyring;
use crate::keys::{Kind, WrapError, from_fields};
use crate::secret::DataKey;
use crate::tree::{Element, Item, Key, Mapping, Scalar, Value};

/// The version of sops whose format is written, as the `version` field says.
pub const SOPS_VERSION: &str = "3.13.3";

/// How many master keys a file may have; a limit of ours against hostile files.
pub const MAX_MASTER_KEYS: usize = 1000;

/// What a file says about its own encryption.
pub struct Metadata {
    /// Who can unwrap the data key. One group, unless a threshold of several is needed.
    pub key_groups: Vec<KeyGroup>,
    /// How many groups must open; 0 is sops's word for all of them.
    pub shamir_threshold: u32,
    /// Which values are encrypted.
    pub selection: Selection,
    /// Whether the MAC covers encrypted values alone.
    pub mac_only_encrypted: bool,
    /// RFC 3339, as it stood in the file.
    pub last_modified: String,
    /// The token of the MAC; `None` if the file has none.
    pub mac: Option<Vec<u8>>,
    /// The sops version that encrypted the file.
    pub version: String,
    unknown: Vec<(Key, Value)>,
}

impl Metadata {
    /// The metadata of a file about to be encrypted for the first time.
    pub fn new(key_groups: Vec<KeyGroup>, selection: Selection, mac_only_encrypted: bool) -> Self {
        Self {
            key_groups,
            shamir_threshold: 0,
            selection,
            mac_only_encrypted,
            last_modified: String::new(),
            mac: None,
            version: SOPS_VERSION.to_owned(),
            unknown: Vec::new(),
        }
    }

    /// Reads a `sops` block. Field names match in any case; text stands for numbers and truth values, as flat syntaxes have no other.
    ///
    /// # Errors
    /// [`MetadataError`], naming the field.
    pub fn from_mapping(block: Mapping) -> Result<Self, MetadataError> {
        let mut metadata = Self::new(Vec::new(), Selection::default(), false);
        metadata.version.clear();
        let mut selections = Vec::new();
        let mut top_level = KeyGroup::default();
        let mut groups = Vec::new();
        for item in block.items {
            let Item::Entry(key, value) = item else { continue };
            let name = key.as_str().unwrap_or_default().to_ascii_lowercase();
            if matches!(value, Value::Null) {
                continue;
            }
            if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.field() == name) {
                read_keys(kind, &value, &mut top_level)?;
            } else if let Some(option) = SelectionOption::ALL.into_iter().find(|option| option.field() == name) {
                selections.push((option, text_of("selection option", &value)?));
            } else {
                match name.as_str() {
                    "key_groups" => groups = read_groups(&value)?,
                    "shamir_threshold" => metadata.shamir_threshold = number_of("shamir_threshold", &value)?,
                    "mac_only_encrypted" => metadata.mac_only_encrypted = truth_of("mac_only_encrypted", &value)?,
                    "lastmodified" => metadata.last_modified = text_of("lastmodified", &value)?,
                    "mac" => metadata.mac = Some(text_of("mac", &value)?.into_bytes()).filter(|mac| !mac.is_empty()),
                    "version" => metadata.version = text_of("version", &value)?,
                    _ => metadata.unknown.push((key, value)),
                }
            }
        }
        selections.retain(|(_, text)| !text.is_empty());
        if let Some((option, text)) = selections.first() {
            if selections.len() > 1 {
                return Err(MetadataError::SeveralSelections);
            }
            metadata.selection =
                Selection::new(*option, text).map_err(|source| MetadataError::Pattern { field: option.field(), source })?;
        }
        // sops reads the lists in a fixed order of kinds, whatever their order in the file.
        top_level.keys.sort_by_key(|key| key.kind());
        // Keys at the top level are the only group, whatever `key_groups` says, as in sops.
        metadata.key_groups = if top_level.keys.is_empty() { groups } else { vec![top_level] };
        metadata.check()?;
        Ok(metadata)
    }

    fn check(&self) -> Result<(), MetadataError> {
        if self.key_groups.iter().all(|group| group.keys.is_empty()) {
            return Err(MetadataError::NoKeys);
        }
        if self.key_groups.iter().map(|group| group.keys.len()).sum::<usize>() > MAX_MASTER_KEYS {
            return Err(MetadataError::TooManyKeys);
        }
        if Version::parse(&self.version).is_none() {
            return Err(MetadataError::Version);
        }
        self.mac_aad().map(drop)
    }

    /// Writes the `sops` block, its fields in ascending order as sops 3.13 does.
    ///
    /// Source: sops-format §4.2; getsops/sops `stores/stores.go`, sorted since v3.13.0.
    pub fn to_mapping(&self) -> Mapping {
        let mut fields: Vec<(Key, Value)> = Vec::new();
        let mut field = |name: &str, value: Value| fields.push((Key::from(name), value));
        match self.key_groups.as_slice() {
            [group] => {
                for (kind, list) in lists_of(group) {
                    field(kind.field(), Value::List(list));
                }
            }
            groups => field("key_groups", Value::List(groups.iter().map(|group| Element::Value(group_mapping(group))).collect())),
        }
        if self.shamir_threshold != 0 {
            field("shamir_threshold", Value::Scalar(Scalar::Int(self.shamir_threshold.into())));
        }
        field(self.selection.option().field(), Value::text(self.selection.text().as_bytes()));
        if self.mac_only_encrypted {
            field("mac_only_encrypted", Value::Scalar(Scalar::Bool(true)));
        }
        field("lastmodified", Value::text(self.last_modified.as_bytes()));
        if let Some(mac) = &self.mac {
            field("mac", Value::text(mac));
        }
        field("version", Value::text(self.version.as_bytes()));
        fields.extend(self.unknown.iter().map(|(key, value)| (key.clone(), value.copy())));
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        Mapping { items: fields.into_iter().map(|(key, value)| Item::Entry(key, value)).collect() }
    }

    /// The AAD of the MAC: `lastmodified` with whole seconds, its offset kept, `Z` for none.
    ///
    /// Source: getsops/sops `cmd/sops/common/common.go`, `LastModified.Format(time.RFC3339)`.
    ///
    /// # Errors
    /// [`MetadataError::LastModified`] if the field is no RFC 3339 time.
    pub fn mac_aad(&self) -> Result<String, MetadataError> {
        let moment = normal_time(&self.last_modified).ok_or(MetadataError::LastModified)?;
        Ok(match moment.split_once('.') {
            Some((seconds, rest)) => format!("{seconds}{}", rest.trim_start_matches(|letter: char| letter.is_ascii_digit())),
            None => moment,
        })
    }

    /// Wraps `data_key` for everybody in the key groups, with what the user may run for that. With several groups the threshold is written out, as sops does.
    ///
    /// # Errors
    /// [`WrapError`]; the metadata is then not to be written.
    pub fn wrap_data_key(&mut self, data_key: &DataKey, keyring: &Keyring) -> Result<(), WrapError> {
        wrap_for_all(&mut self.key_groups, self.shamir_threshold, data_key, keyring)?;
        if self.key_groups.len() > 1 {
            self.shamir_threshold = needed(self.shamir_threshold, self.key_groups.len()) as u32;
        }
        Ok(())
    }

    /// Sets `lastmodified` to `now`, as UTC with whole seconds.
    pub fn touch(&mut self, now: UtcDateTime) {
        // Fails only beyond the year 9999.
        self.last_modified = now.replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_default();
    }

    /// Whether a newer sops than the one whose format is written made the file.
    pub fn is_newer(&self) -> bool {
        Version::parse(&self.version) > Version::parse(SOPS_VERSION)
    }

    /// Whether `other` encrypts the same values, and lets the MAC cover the same.
    pub fn has_rule_of(&self, other: &Self) -> bool {
        let rule =
            |metadata: &Self| (metadata.selection.option(), metadata.selection.text().to_owned(), metadata.mac_only_encrypted);
        rule(self) == rule(other)
    }

    /// Raises `version` to ours if that is newer, as sops's `edit` does.
    pub fn raise_version(&mut self) {
        if Version::parse(&self.version) < Version::parse(SOPS_VERSION) {
            self.version = SOPS_VERSION.to_owned();
        }
    }
}

fn read_keys(kind: Kind, value: &Value, group: &mut KeyGroup) -> Result<(), MetadataError> {
    for (index, entry) in elements_of(kind.field(), value)?.into_iter().enumerate() {
        let Value::Mapping(fields) = entry else { return Err(MetadataError::Type { field: kind.field() }) };
        let key = from_fields(kind, fields).map_err(|source| MetadataError::Entry { list: kind.field(), index, source })?;
        group.keys.push(key);
    }
    Ok(())
}

fn read_groups(value: &Value) -> Result<Vec<KeyGroup>, MetadataError> {
    let mut groups = Vec::new();
    for element in elements_of("key_groups", value)? {
        let Value::Mapping(lists) = element else { return Err(MetadataError::Type { field: "key_groups" }) };
        // What stands here is written again from the keys, so what is none of them would be lost, and a group with it.
        let is_known = |key: &Key| Kind::ALL.iter().any(|kind| key.as_bytes().eq_ignore_ascii_case(kind.field().as_bytes()));
        if let Some((key, _)) = lists.entries().find(|(key, list)| !is_known(key) && !matches!(list, Value::Null)) {
            return Err(MetadataError::UnknownKind { field: key.clone() });
        }
        let mut group = KeyGroup::default();
        // Here too the order of kinds is fixed.
        for kind in Kind::ALL {
            for (key, list) in lists.entries() {
                if key.as_bytes().eq_ignore_ascii_case(kind.field().as_bytes()) && !matches!(list, Value::Null) {
                    read_keys(kind, list, &mut group)?;
                }
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

/// A list's values without its comments; a single mapping stands for a list of one, as in sops.
fn elements_of<'a>(field: &'static str, value: &'a Value) -> Result<Vec<&'a Value>, MetadataError> {
    match value {
        Value::List(elements) => Ok(elements
            .iter()
            .filter_map(|element| match element {
                Element::Value(value) => Some(value),
                Element::Comment(_) => None,
            })
            .collect()),
        Value::Mapping(_) => Ok(vec![value]),
        Value::Null => Ok(Vec::new()),
        Value::Scalar(_) => Err(MetadataError::Type { field }),
    }
}

fn text_of(field: &'static str, value: &Value) -> Result<String, MetadataError> {
    match value {
        Value::Scalar(Scalar::Text(text)) => {
            std::str::from_utf8(text.expose()).map(str::to_owned).map_err(|_| MetadataError::Type { field })
        }
        Value::Scalar(Scalar::Int(number)) => Ok(number.to_string()),
        Value::Scalar(Scalar::Bool(truth)) => Ok(if *truth { "1" } else { "0" }.to_owned()),
        _ => Err(MetadataError::Type { field }),
    }
}

fn number_of(field: &'static str, value: &Value) -> Result<u32, MetadataError> {
    let text = text_of(field, value)?;
    let digits = |prefix: [&str; 2]| prefix.into_iter().find_map(|prefix| text.strip_prefix(prefix));
    let parsed = match text.as_str() {
        "" => Ok(0),
        _ if digits(["0x", "0X"]).is_some() => u32::from_str_radix(digits(["0x", "0X"]).unwrap_or_default(), 16),
        _ if digits(["0o", "0O"]).is_some() => u32::from_str_radix(digits(["0o", "0O"]).unwrap_or_default(), 8),
        _ if digits(["0b", "0B"]).is_some() => u32::from_str_radix(digits(["0b", "0B"]).unwrap_or_default(), 2),
        octal if octal.len() > 1 && octal.starts_with('0') => u32::from_str_radix(octal, 8),
        decimal => decimal.parse(),
    };
    parsed.map_err(|_| MetadataError::Type { field })
}

fn truth_of(field: &'static str, value: &Value) -> Result<bool, MetadataError> {
    match text_of(field, value)?.as_str() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" | "" => Ok(false),
        _ => Err(MetadataError::Type { field }),
    }
}

/// A group's keys as lists by kind, in ascending order of the lists' names, without empty ones.
fn lists_of(group: &KeyGroup) -> Vec<(Kind, Vec<Element>)> {
    let mut kinds = Kind::ALL;
    kinds.sort_by_key(|kind| kind.field());
    let list = |kind| {
        let of_kind = group.keys.iter().filter(|key| key.kind() == kind);
        of_kind.map(|key| Element::Value(Value::Mapping(key.to_fields()))).collect::<Vec<_>>()
    };
    kinds.into_iter().map(|kind| (kind, list(kind))).filter(|(_, list)| !list.is_empty()).collect()
}

/// One element of `key_groups`. There `age` and `hc_vault` stand even when empty.
fn group_mapping(group: &KeyGroup) -> Value {
    let mut lists = lists_of(group);
    for kind in [Kind::Age, Kind::HcVault] {
        if !lists.iter().any(|(there, _)| *there == kind) {
            lists.push((kind, Vec::new()));
        }
    }
    lists.sort_by_key(|(kind, _)| kind.field());
    let items = lists.into_iter().map(|(kind, list)| Item::Entry(Key::from(kind.field()), Value::List(list)));
    Value::Mapping(Mapping { items: items.collect() })
}

/// A copy of a field this version does not know. Metadata is public, so copying it is no leak.
/// Why a `sops` block cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Nobody could unwrap the data key.
    #[error("the metadata names no master key")]
    NoKeys,
    /// A key group holds something that is no list of keys of a known kind.
    #[error("a key group in the metadata has `{field}`, which this version does not know")]
    UnknownKind {
        /// Its name.
        field: Key,
    },
    /// More than [`MAX_MASTER_KEYS`].
    #[error("the metadata names more than {MAX_MASTER_KEYS} master keys")]
    TooManyKeys,
    /// A field is of the wrong type.
    #[error("the metadata field `{field}` has the wrong type")]
    Type {
        /// Its name.
        field: &'static str,
    },
    /// A master key's entry cannot be read.
    #[error("entry {index} of the metadata list `{list}` cannot be read")]
    Entry {
        /// The list's name.
        list: &'static str,
        /// The place in it, from 0.
        index: usize,
        /// What is wrong with it.
        source: EntryError,
    },
    /// Two or more of the six options.
    #[error("the metadata has more than one selection option")]
    SeveralSelections,
    /// A pattern that does not compile would mean "encrypt nothing".
    #[error("the metadata field `{field}` is no pattern that can be used")]
    Pattern {
        /// The option's name.
        field: &'static str,
        /// What is wrong with it.
        source: PatternError,
    },
    /// `lastmodified` is missing or no RFC 3339 time.
    #[error("the metadata field `lastmodified` is missing, or no RFC 3339 time")]
    LastModified,
    /// `version` is missing or no version.
    #[error("the metadata field `version` is missing, or no version number")]
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fields: &[(&str, &str)]) -> Mapping {
        let mut block = Mapping::default();
        let mut key = Mapping::default();
        key.push("enc", Value::text(b"-----BEGIN AGE ENCRYPTED FILE-----"));
        key.push("recipient", Value::text(b"age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w"));
        block.push("age", Value::List(vec![Element::Value(Value::Mapping(key))]));
        for (name, value) in fields {
            block.push(name, Value::text(value.as_bytes()));
        }
        block
    }

    const REQUIRED: [(&str, &str); 3] = [("lastmodified", "2026-11-22T02:47:38Z"), ("mac", "ENC[]"), ("version", "3.13.2")];

    #[test]
    fn unknown_fields_are_kept_and_all_fields_written_in_ascending_order() {
        let mut fields = REQUIRED.to_vec();
        fields.push(("zz_future", "kept"));
        fields.push(("encrypted_regex", "^API_"));
        let metadata = Metadata::from_mapping(block(&fields)).unwrap();
        let written = metadata.to_mapping();
        let names: Vec<&str> = written.entries().map(|(key, _)| key.as_str().unwrap()).collect();
        assert_eq!(names, ["age", "encrypted_regex", "lastmodified", "mac", "version", "zz_future"]);
        assert_eq!(written.get("zz_future").unwrap().as_text().unwrap(), b"kept");
    }

    #[test]
    fn a_key_group_with_something_unknown_is_refused_for_it_would_be_lost_when_the_group_is_written() {
        let group = |name: &str| {
            let mut group = Mapping::default();
            group.push(name, Value::List(Vec::new()));
            Element::Value(Value::Mapping(group))
        };
        let read = |name: &str| {
            let mut block = block(&REQUIRED);
            block.push("key_groups", Value::List(vec![group("age"), group(name)]));
            Metadata::from_mapping(block)
        };
        assert!(read("PGP").is_ok());
        let error = read("quantum_kms").err().unwrap();
        assert!(matches!(&error, MetadataError::UnknownKind { field } if field.as_bytes() == b"quantum_kms"));
        assert_eq!(error.to_string(), "a key group in the metadata has `quantum_kms`, which this version does not know");
    }

    #[test]
    fn no_selection_option_means_the_unencrypted_suffix_which_is_then_written() {
        let metadata = Metadata::from_mapping(block(&REQUIRED)).unwrap();
        assert_eq!(metadata.to_mapping().get("unencrypted_suffix").unwrap().as_text().unwrap(), b"_unencrypted");
    }

    #[test]
    fn field_names_match_in_any_case_and_text_stands_for_numbers_and_truth() {
        let mut fields = REQUIRED.to_vec();
        fields.extend([("Shamir_Threshold", "0x10"), ("MAC_only_encrypted", "T")]);
        let metadata = Metadata::from_mapping(block(&fields)).unwrap();
        assert_eq!(metadata.shamir_threshold, 16);
        assert!(metadata.mac_only_encrypted);
    }

    #[test]
    fn the_aad_of_the_mac_has_whole_seconds_and_keeps_its_offset() {
        let cases = [
            ("2026-11-22T02:47:38Z", "2026-11-22T02:47:38Z"),
            ("2026-11-22T02:47:38.123Z", "2026-11-22T02:47:38Z"),
            ("2026-11-22T02:47:38+00:00", "2026-11-22T02:47:38Z"),
            ("2026-11-22T02:47:38.5+05:30", "2026-11-22T02:47:38+05:30"),
        ];
        for (written, aad) in cases {
            let fields = [("lastmodified", written), ("mac", "ENC[]"), ("version", "3.9.0")];
            assert_eq!(Metadata::from_mapping(block(&fields)).unwrap().mac_aad().unwrap(), aad);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let with = |more: &[(&'static str, &'static str)]| {
            let mut fields = REQUIRED.to_vec();
            fields.extend_from_slice(more);
            Metadata::from_mapping(block(&fields)).err().map(|error| error.to_string())
        };
        assert!(with(&[("encrypted_regex", "(")]).unwrap().contains("`encrypted_regex`"));
        assert!(with(&[("encrypted_regex", "a"), ("unencrypted_suffix", "b")]).unwrap().contains("more than one"));
        assert!(with(&[("mac_only_encrypted", "perhaps")]).unwrap().contains("`mac_only_encrypted`"));
        let without_version = Metadata::from_mapping(block(&REQUIRED[..2]));
        assert!(matches!(without_version.err(), Some(MetadataError::Version)));
        assert!(matches!(Metadata::from_mapping(Mapping::default()).err(), Some(MetadataError::NoKeys)));
    }

    #[test]
    fn version_is_raised_and_never_lowered() {
        for (before, after) in [
            ("3.9.0", SOPS_VERSION),
            ("3.13.3", "3.13.3"),
            ("4.0.0", "4.0.0"),
            ("v3.7.3", SOPS_VERSION),
            ("3.13.3-rc.1", SOPS_VERSION),
            ("3.13.4-rc.1", "3.13.4-rc.1"),
            ("3.13.3+x", "3.13.3+x"),
            ("1.14", SOPS_VERSION),
        ] {
            let mut metadata = Metadata::new(Vec::new(), Selection::default(), false);
            metadata.version = before.to_owned();
            metadata.raise_version();
            assert_eq!(metadata.version, after);
        }
    }
}
