//! One recipient of a rule: the forms in which each kind of key is written, and when two are the same.
//!
//! Knows text forms only: whether an age recipient or an ARN is a good one is found out by `keys`. One invariant: two keys with the
//! same kind and [`RuleKey::identity`] are the same key to sops.
//!
//! Source: getsops/sops `config/config.go` and the `NewMasterKey…` functions of each kind's package, tried against sops 3.13.3.

use std::collections::BTreeMap;

use crate::keys::Kind;

/// One master key that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleKey {
    /// What kind of key.
    pub kind: Kind,
    /// age recipient, PGP fingerprint, ARN without role, resource id, `region:key-id`, or key URL. URLs are spelled in one way:
    /// `https://VAULT/keys/NAME/VERSION` (without the last part if the config names no version) and `ADDRESS/v1/ENGINE/keys/NAME`.
    pub recipient: String,
    /// AWS KMS only: the role to assume.
    pub role: Option<String>,
    /// AWS KMS in key groups only: the encryption context.
    pub context: BTreeMap<String, String>,
    /// AWS KMS only: the profile of the shared configuration.
    pub profile: Option<String>,
    /// The line it starts on in the config, from 1; for one of several keys in one text, the line of the text.
    pub line: usize,
    /// Whose it is, out of the comment behind it on its line, or of one above its field that says `# RECIPIENT NAME`.
    pub name: Option<String>,
}

impl RuleKey {
    /// The text by which sops tells keys of one kind apart.
    pub fn identity(&self) -> String {
        let mut identity = self.recipient.clone();
        if let Some(role) = &self.role {
            identity = format!("{identity}+{role}");
        }
        let context: Vec<String> = self.context.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        if !context.is_empty() || self.profile.is_some() {
            identity = format!("{identity}|{}", context.join(","));
        }
        if let Some(profile) = &self.profile {
            identity = format!("{identity}|{profile}");
        }
        identity
    }

    /// The key in its one-text form.
    pub(super) fn written(&self) -> String {
        self.role.as_ref().map_or(self.recipient.clone(), |role| format!("{}+{role}", self.recipient))
    }

    /// Reads one key in its one-text form. The error says what form it should have.
    pub(super) fn from_text(kind: Kind, text: &str, line: usize) -> Result<Self, &'static str> {
        let mut role = None;
        let text = text.trim();
        let recipient = match kind {
            Kind::Age => text.to_owned(),
            Kind::Pgp | Kind::GcpKms => text.replace(' ', ""),
            Kind::Kms => {
                let text = text.replace(' ', "");
                let split = text.find("+arn:");
                role = split.map(|split| text[split + 1..].to_owned());
                text[..split.unwrap_or(text.len())].to_owned()
            }
            Kind::HcKms => hckms(text).ok_or("keys of the form `region:key-id`")?,
            Kind::AzureKv => azure(text).ok_or("key URLs of the form `https://vault/keys/name/version`")?,
            Kind::HcVault => vault(text).ok_or("key URIs of the form `https://host/v1/engine/keys/name`")?,
        };
        Ok(Self { role, ..Self::of(kind, recipient, line) })
    }

    /// A key with nothing but its recipient, as it is.
    pub(super) fn of(kind: Kind, recipient: String, line: usize) -> Self {
        Self { kind, recipient, role: None, context: BTreeMap::new(), profile: None, line, name: None }
    }
}

fn hckms(text: &str) -> Option<String> {
    let (region, id) = text.split_once(':')?;
    (!region.is_empty() && !id.is_empty()).then(|| text.to_owned())
}

fn azure(text: &str) -> Option<String> {
    let mut parts = text.strip_prefix("https://")?.split('/');
    let (vault, keys, name) = (parts.next()?, parts.next()?, parts.next()?);
    let version = parts.next().unwrap_or_default();
    if vault.is_empty() || keys != "keys" || name.is_empty() || parts.next().is_some() {
        return None;
    }
    Some(azure_url(&format!("https://{vault}"), name, version))
}

/// Puts the three fields of a key group together to the URL of the key.
pub(super) fn azure_url(vault: &str, name: &str, version: &str) -> String {
    let url = format!("{}/keys/{name}", vault.trim_end_matches('/'));
    if version.is_empty() { url } else { format!("{url}/{version}") }
}

fn vault(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let mut parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let is_plain = !rest.contains(['?', '#', '@']) && parts.iter().all(|part| !part.is_empty());
    let name = parts.pop()?;
    // sops drops the part before the name, whatever it says.
    parts.pop()?;
    let [host, version, engine @ ..] = &parts[..] else { return None };
    let is_version = version.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
    let is_good = is_plain && !scheme.is_empty() && is_version && !engine.is_empty();
    is_good.then(|| format!("{scheme}://{host}/v1/{}/keys/{name}", engine.join("/")))
}
