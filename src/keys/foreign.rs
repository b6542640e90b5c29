//! Keys of the kinds this version cannot use: parsed, named, and kept whole.
//!
//! Its one invariant: an entry is written back with every field it came with.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::keys::fields::{EntryError, Fields};
use crate::keys::keyring::Keyring;
use crate::keys::step::Step;
use crate::keys::{Kind, MasterKey, UnwrapError, WrapError, shown};
use crate::secret::SecretBytes;
use crate::tree::Mapping;

/// An entry of a kind other than age.
pub struct ForeignKey {
    kind: Kind,
    recipient: String,
    fields: Fields,
}

impl ForeignKey {
    /// Reads an entry of the list of `kind`.
    ///
    /// # Errors
    /// [`EntryError`] if a field has the wrong type, or `created_at` is no RFC 3339 time.
    ///
    /// Source: getsops/sops `stores/stores.go`, the key types and `toInternal`.
    pub fn from_fields(kind: Kind, fields: &Mapping) -> Result<Self, EntryError> {
        let fields = Fields::read(kind, fields, text_fields(kind), map_fields(kind))?;
        OffsetDateTime::parse(fields.text("created_at"), &Rfc3339).map_err(|_| EntryError::CreatedAt { kind })?;
        Ok(Self { kind, recipient: identity_of(kind, &fields), fields })
    }
}

impl MasterKey for ForeignKey {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn recipient(&self) -> &str {
        &self.recipient
    }

    fn wrap_data_key(&mut self, _payload: &SecretBytes, _keyring: &Keyring) -> Result<(), WrapError> {
        Err(WrapError::NotSupported { kind: self.kind, recipient: shown(&self.recipient).to_owned() })
    }

    fn unwrap_data_key(&self, _keyring: &Keyring, _step: Step<'_>) -> Result<SecretBytes, UnwrapError> {
        Err(UnwrapError::NotSupported(self.kind))
    }

    fn to_fields(&self) -> Mapping {
        self.fields.to_mapping()
    }
}

/// The fields that hold a text, by kind.
fn text_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Age => &["enc", "recipient"],
        Kind::Pgp => &["created_at", "enc", "fp"],
        Kind::Kms => &["arn", "aws_profile", "created_at", "enc", "role"],
        Kind::GcpKms => &["created_at", "enc", "resource_id"],
        Kind::AzureKv => &["created_at", "enc", "name", "vault_url", "version"],
        Kind::HcVault => &["created_at", "enc", "engine_path", "key_name", "vault_address"],
        Kind::HcKms => &["created_at", "enc", "key_id"],
    }
}

/// The fields that hold a map from text to text, by kind.
fn map_fields(kind: Kind) -> &'static [&'static str] {
    if kind == Kind::Kms { &["context"] } else { &[] }
}

/// What sops compares keys by.
///
/// Source: getsops/sops, `ToString` of `pgp/keysource.go`, `kms/keysource.go`, `gcpkms/`, `azkv/`, `hcvault/`, `hckms/keysource.go`.
fn identity_of(kind: Kind, fields: &Fields) -> String {
    let text = |name| fields.text(name);
    match kind {
        Kind::Age => text("recipient").to_owned(),
        Kind::Pgp => text("fp").replace(' ', ""),
        Kind::Kms => kms_identity(fields),
        Kind::GcpKms => text("resource_id").to_owned(),
        Kind::AzureKv => format!("{}/keys/{}/{}", text("vault_url"), text("name"), text("version")),
        Kind::HcVault => format!("{}/v1/{}/keys/{}", text("vault_address"), text("engine_path"), text("key_name")),
        Kind::HcKms => text("key_id").to_owned(),
    }
}

fn kms_identity(fields: &Fields) -> String {
    let mut identity = fields.text("arn").to_owned();
    let (role, profile) = (fields.text("role"), fields.text("aws_profile"));
    if !role.is_empty() {
        identity = format!("{identity}+{role}");
    }
    let mut context: Vec<String> = fields.map("context").iter().map(|(key, value)| format!("{key}:{value}")).collect();
    context.sort();
    let context = context.join(",");
    match (context.is_empty(), profile.is_empty()) {
        (true, true) => identity,
        (false, true) => format!("{identity}|{context}"),
        (_, false) => format!("{identity}|{context}|{profile}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Scalar, Value};

    fn mapping(fields: &[(&str, &str)]) -> Mapping {
        let mut mapping = Mapping::default();
        for (name, text) in fields {
            mapping.push(name, Value::text(text.as_bytes()));
        }
        mapping
    }

    fn names(mapping: &Mapping) -> Vec<&str> {
        mapping.entries().map(|(key, _)| key.as_str().unwrap()).collect()
    }

    const CREATED: (&str, &str) = ("created_at", "2026-11-22T02:47:38Z");

    fn identity(kind: Kind, fields: &[(&str, &str)]) -> String {
        let mut mapping = mapping(fields);
        mapping.push(CREATED.0, Value::text(CREATED.1.as_bytes()));
        ForeignKey::from_fields(kind, &mapping).unwrap().recipient().to_owned()
    }

    #[test]
    fn every_kind_is_named_as_sops_names_it() {
        assert_eq!(identity(Kind::Pgp, &[("fp", "85D7 7543 B3D6 24B6")]), "85D77543B3D624B6");
        assert_eq!(identity(Kind::Kms, &[("arn", "arn:k"), ("role", "arn:r")]), "arn:k+arn:r");
        assert_eq!(identity(Kind::Kms, &[("arn", "arn:k"), ("aws_profile", "")]), "arn:k");
        assert_eq!(identity(Kind::Kms, &[("arn", "arn:k"), ("aws_profile", "p")]), "arn:k||p");
        assert_eq!(identity(Kind::GcpKms, &[("resource_id", "projects/p")]), "projects/p");
        let azure = [("vault_url", "https://v"), ("name", "n"), ("version", "1")];
        assert_eq!(identity(Kind::AzureKv, &azure), "https://v/keys/n/1");
        let vault = [("vault_address", "https://v"), ("engine_path", "transit"), ("key_name", "n")];
        assert_eq!(identity(Kind::HcVault, &vault), "https://v/v1/transit/keys/n");
        assert_eq!(identity(Kind::HcKms, &[("key_id", "eu:1")]), "eu:1");
    }

    #[test]
    fn a_kms_context_is_sorted_into_the_identity() {
        let mut entry = mapping(&[("arn", "arn:k"), CREATED]);
        let mut context = mapping(&[("b", "2"), ("a", "1")]);
        context.push("c", Value::Scalar(Scalar::Int(3)));
        entry.push("context", Value::Mapping(context));
        let key = ForeignKey::from_fields(Kind::Kms, &entry).unwrap();
        assert_eq!(key.recipient(), "arn:k|a:1,b:2,c:3");
    }

    #[test]
    fn an_entry_keeps_its_unknown_fields_and_comes_back_in_order() {
        let mut entry = mapping(&[("zone", "z"), ("FP", "AB"), CREATED]);
        entry.push("added", Value::Scalar(Scalar::Bool(true)));
        entry.push("enc", Value::Null);
        let fields = ForeignKey::from_fields(Kind::Pgp, &entry).unwrap().to_fields();
        assert_eq!(names(&fields), ["added", "created_at", "fp", "zone"]);
        assert!(matches!(fields.get("added"), Some(Value::Scalar(Scalar::Bool(true)))));
        assert_eq!(fields.get("fp").unwrap().as_text(), Some(b"AB".as_slice()));
    }

    #[test]
    fn numbers_and_truth_values_may_stand_for_texts() {
        let mut entry = mapping(&[("vault_url", "https://v"), CREATED]);
        entry.push("name", Value::Scalar(Scalar::Bool(true)));
        entry.push("version", Value::Scalar(Scalar::Int(7)));
        assert_eq!(ForeignKey::from_fields(Kind::AzureKv, &entry).unwrap().recipient(), "https://v/keys/1/7");
    }

    #[test]
    fn an_entry_that_cannot_be_read_names_list_and_field() {
        let error = |entry: &Mapping| ForeignKey::from_fields(Kind::Pgp, entry).err().unwrap().to_string();
        assert_eq!(error(&mapping(&[("fp", "AB")])), "field `created_at` of an entry of `pgp` is not an RFC 3339 time");
        assert_eq!(error(&mapping(&[("fp", "AB"), ("Fp", "CD"), CREATED])), "field `fp` of an entry of `pgp` appears twice");
        let mut entry = mapping(&[CREATED]);
        entry.push("fp", Value::List(Vec::new()));
        assert_eq!(error(&entry), "field `fp` of an entry of `pgp` is not a text");
        let long = "A".repeat(65_537);
        let entry = mapping(&[("enc", long.as_str()), CREATED]);
        assert_eq!(error(&entry), "field `enc` of an entry of `pgp` is longer than 65536 bytes");
    }

    #[test]
    fn a_foreign_key_neither_wraps_nor_unwraps_and_says_so() {
        let mut key = ForeignKey::from_fields(Kind::Pgp, &mapping(&[("fp", "AB"), CREATED])).unwrap();
        let unwrapped = key.unwrap_data_key(&Keyring::new(Vec::new()), Step::OtherKinds).err().unwrap();
        assert_eq!(unwrapped.to_string(), "PGP keys are not supported yet by this version; the entry is kept");
        let wrapped = key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &Keyring::new(Vec::new())).err().unwrap();
        assert_eq!(wrapped.to_string(), "PGP keys are not supported yet by this version; the entry for AB was left as it was");
    }
}
