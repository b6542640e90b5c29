//! One age recipient: the public half that a data key is wrapped for.
//!
//! Dispatches on prefixes in sops's order, native ones first; for the others a plugin does the work. Its one invariant: an error never repeats the text, which may be a
//! private key put in the wrong place.
//!
//! Source: getsops/sops `age/keysource.go`, `parseRecipient`; FiloSottile/age `x25519.go`, `plugin/encode.go`.

use std::cell::RefCell;
use std::collections::HashSet;

use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::keys::Kind;
use crate::keys::age::plugin::{self, PluginError, name_in_recipient};
use crate::keys::age::{post_quantum, ssh_public};
use crate::keys::keyring::Keyring;

/// A recipient that can be encrypted to.
pub(super) enum Recipient {
    X25519(age::x25519::Recipient),
    PostQuantum(post_quantum::Recipient),
    Ssh(age::ssh::Recipient),
    Plugin(Plugin),
}

/// A recipient that a plugin wraps for.
pub(super) struct Plugin {
    name: String,
    text: String,
}

impl Recipient {
    /// Parses `text`, which has no blanks around it.
    pub(super) fn parse(text: &str) -> Result<Self, RecipientError> {
        if text.is_empty() {
            return Err(RecipientError::Empty);
        }
        if looks_private(text) {
            return Err(RecipientError::PrivateKey);
        }
        if text.chars().any(|character| character.is_control() && character != '\t') {
            return Err(RecipientError::ControlCharacter);
        }
        if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("age1")) {
            return Self::parse_age(text);
        }
        ssh_public::read(text).map(Self::Ssh)
    }

    /// Hands itself to `encrypt` as the age crate wants it; a plugin is run with what `keyring` has outside, and on the word of its
    /// identities.
    pub(super) fn encrypt<T>(
        &self,
        keyring: &Keyring,
        encrypt: impl FnOnce(&dyn age::Recipient) -> Result<T, age::EncryptError>,
    ) -> Result<T, EncryptFailure> {
        match self {
            Self::X25519(recipient) => encrypt(recipient).map_err(EncryptFailure::Age),
            Self::PostQuantum(recipient) => encrypt(recipient).map_err(EncryptFailure::Age),
            Self::Ssh(recipient) => encrypt(recipient).map_err(EncryptFailure::Age),
            Self::Plugin(recipient) => {
                let by_plugin = ByPlugin { recipient, keyring, failure: RefCell::new(None) };
                let result = encrypt(&by_plugin);
                result.map_err(|error| by_plugin.failure.into_inner().map_or(EncryptFailure::Age(error), EncryptFailure::Plugin))
            }
        }
    }

    fn parse_age(text: &str) -> Result<Self, RecipientError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(RecipientError::UpperCase);
        }
        if text.starts_with("age1pq1") {
            return post_quantum::Recipient::parse(text).map(Self::PostQuantum);
        }
        if let Some(name) = plugin_of(text) {
            // Also those of hardware keys (`age1tag1…`), which the age crate could wrap for: so does sops.
            return match name_in_recipient(text) {
                Some(name) => Ok(Self::Plugin(Plugin { name, text: text.to_owned() })),
                None if plugin::is_valid_name(&name) => Err(RecipientError::Damaged),
                None => Err(RecipientError::PluginName),
            };
        }
        let recipient: age::x25519::Recipient = text.parse().map_err(|_| RecipientError::Damaged)?;
        // The crate takes non-zero padding bits, which Go's age refuses: only what would be written the same way is taken.
        if recipient.to_string() != text {
            return Err(RecipientError::Damaged);
        }
        if bech32::decode(text).is_ok_and(|(_, point)| is_low_order(&point)) {
            return Err(RecipientError::Weak);
        }
        Ok(Self::X25519(recipient))
    }
}

/// Whether `text` is or holds a private key, in whatever case.
pub(crate) fn looks_private(text: &str) -> bool {
    // No copy is made of what may be one.
    let begins =
        |text: &[u8], part: &str| text.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part.as_bytes()));
    let holds = |part: &str| text.as_bytes().windows(part.len()).any(|window| begins(window, part));
    holds("AGE-SECRET-KEY-") || holds("PRIVATE KEY-----") || begins(text.trim_start().as_bytes(), "AGE-PLUGIN-")
}

/// Whether two recipients are the same key. The comment of an SSH key does not count.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let key = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    key(one) == key(other)
}

/// What stands where a plugin's recipient has the plugin's name, valid or not: a second `1` ends it, which the data of bech32 never has.
pub(crate) fn plugin_of(recipient: &str) -> Option<String> {
    let (name, _) = recipient.strip_prefix("age1")?.rsplit_once('1')?;
    Some(name.to_owned())
}

/// What kept a recipient from being encrypted to.
pub(super) enum EncryptFailure {
    Age(age::EncryptError),
    Plugin(PluginError),
}

/// A plugin's recipient, with what it takes to run the plugin.
struct ByPlugin<'a> {
    recipient: &'a Plugin,
    keyring: &'a Keyring,
    /// The crate's error has no room for it.
    failure: RefCell<Option<PluginError>>,
}

impl age::Recipient for ByPlugin<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let Plugin { name, text } = self.recipient;
        match plugin::wrap(name, text, file_key, self.keyring.has_plugin(name), self.keyring.outside()) {
            Ok(stanzas) => Ok((stanzas, HashSet::new())),
            Err(error) => {
                *self.failure.borrow_mut() = Some(error);
                Err(age::EncryptError::Io(std::io::ErrorKind::Other.into()))
            }
        }
    }
}

/// Whether `point` of X25519 is one whose shared secret is zero whatever the other half is. The crate panics when it meets one, and a
/// repository may well name one.
///
/// Source: <https://cr.yp.to/ecdh.html#validate>; the highest bit does not count.
pub(super) fn is_low_order(point: &[u8]) -> bool {
    let mut point = point.to_vec();
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    let point = STANDARD_NO_PAD.encode(point);
    LOW_ORDER.contains(&point.as_str())
}

/// In unpadded base64: 0, 1, two of order 8, and p−1, p, p+1.
const LOW_ORDER: [&str; 7] = [
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA",
    "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc",
    "7P///////////////////////////////////////38",
    "7f///////////////////////////////////////38",
    "7v///////////////////////////////////////38",
];

/// Why a text is no recipient that a data key can be wrapped for. It never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Nothing there, such as between two commas.
    #[error("the recipient is empty")]
    Empty,
    /// A private key, which must not be written down here.
    #[error("this is a private key, not a recipient; it is not shown here, and should not be kept where it was found")]
    PrivateKey,
    /// A line end or the like.
    #[error("the recipient has a control character in it")]
    ControlCharacter,
    /// `AGE1…`, which age refuses.
    #[error("the age recipient has capitals in it")]
    UpperCase,
    /// Begins like an age recipient, but is cut short or mistyped.
    #[error("the age recipient is damaged")]
    Damaged,
    /// A point that gives everybody the same secret.
    #[error("the age recipient is a weak key that anybody could open")]
    Weak,
    /// `age1NAME1…` with a name that no plugin can have.
    #[error("this is no age recipient, nor one of an age plugin: those have names of letters, digits and + - . _ only")]
    PluginName,
    /// An SSH public key that is cut short or mistyped.
    #[error("the SSH public key ({kind}) is damaged")]
    SshDamaged {
        /// Its key type.
        kind: &'static str,
    },
    /// A kind of SSH key that age cannot use.
    #[error("this is an SSH key of type {kind}; age can use ssh-ed25519 and ssh-rsa only")]
    SshType {
        /// The key type.
        kind: &'static str,
    },
    /// An RSA key of less than 2,048 bits.
    #[error("the ssh-rsa key has less than 2048 bits, too few to be safe")]
    RsaTooSmall,
    /// An RSA key of more than 4,096 bits.
    #[error("the ssh-rsa key has more than 4096 bits, which is not supported")]
    RsaTooLarge,
    /// Nothing that looks like a recipient.
    #[error("this is neither an age recipient (age1…) nor an SSH public key (ssh-ed25519 …, ssh-rsa …)")]
    Unknown,
    /// A kind of key this version cannot use.
    #[error("{} keys are not supported yet by this version", .0.title())]
    KindNotSupported(Kind),
}

#[cfg(test)]
pub(super) mod tests {
    use std::panic;

    use bech32::{Bech32, Hrp};

    use super::*;

    const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";

    /// Every point that is refused, as bytes, with and without its highest bit.
    pub(in crate::keys::age) fn low_order_points() -> Vec<[u8; 32]> {
        let with_high_bit = |high_bit: u8| {
            LOW_ORDER.iter().map(move |point| {
                let mut point: [u8; 32] = STANDARD_NO_PAD.decode(point).unwrap().try_into().unwrap();
                point[31] |= high_bit;
                point
            })
        };
        with_high_bit(0).chain(with_high_bit(0x80)).collect()
    }

    fn error(text: &str) -> RecipientError {
        Recipient::parse(text).err().unwrap_or_else(|| panic!("taken: {text}"))
    }

    fn encoded(point: &[u8]) -> String {
        bech32::encode::<Bech32>(Hrp::parse("age").unwrap(), point).unwrap()
    }

    #[test]
    fn native_and_ssh_recipients_are_taken() {
        assert!(matches!(Recipient::parse(RECIPIENT), Ok(Recipient::X25519(_))));
        for key in ["ed25519", "rsa_2048", "rsa_3072"] {
            let path = format!("{}/tests/vectors/ssh/throwaway_{key}.pub", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            assert!(matches!(Recipient::parse(text.trim()), Ok(Recipient::Ssh(_))), "{key}");
        }
    }

    #[test]
    fn a_plugins_recipient_is_taken_if_it_is_whole_and_its_name_leads_nowhere_else() {
        let recipient = |name: &str| bech32::encode::<Bech32>(Hrp::parse(&format!("age1{name}")).unwrap(), &[7; 33]).unwrap();
        for name in ["yubikey", "tag", "tagpq", "se", "a+b-c._d"] {
            match Recipient::parse(&recipient(name)) {
                Ok(Recipient::Plugin(plugin)) => assert_eq!(plugin.name, name),
                _ => panic!("{name}"),
            }
        }
        assert_eq!(error("age1yubikey1qqqq"), RecipientError::Damaged);
        for name in ["a/../b", "..\\x", "~"] {
            assert_eq!(error(&recipient(name)), RecipientError::PluginName, "{name}");
        }
    }

    #[test]
    fn what_is_no_recipient_is_refused() {
        assert_eq!(error(""), RecipientError::Empty);
        assert_eq!(error(&RECIPIENT.to_uppercase()), RecipientError::UpperCase);
        assert_eq!(error(&RECIPIENT.replace("syf", "sYf")), RecipientError::UpperCase);
        assert_eq!(error(&RECIPIENT[..50]), RecipientError::Damaged);
        assert_eq!(error(&RECIPIENT.replace("40w", "40x")), RecipientError::Damaged);
        assert_eq!(error(&format!("{RECIPIENT},{RECIPIENT}")), RecipientError::PluginName);
        assert_eq!(error("bob@example.org"), RecipientError::Unknown);
        assert_eq!(error("ssh-ed25519 AAAA\nssh-rsa AAAA"), RecipientError::ControlCharacter);
        assert_eq!(error(&encoded(&[9; 31])), RecipientError::Damaged);
    }

    #[test]
    fn a_private_key_is_recognised_in_any_form() {
        let forms = ["AGE-SECRET-KEY-1ABC", "age-secret-key-1abc", "AGE-PLUGIN-X-1ABC", "-----BEGIN OPENSSH PRIVATE KEY-----"];
        for text in forms {
            assert_eq!(error(text), RecipientError::PrivateKey);
        }
    }

    /// Shows why the check is needed: the crate panics. If this fails, the crate was mended and the check can go.
    #[test]
    fn a_weak_point_is_refused_before_the_crate_panics_over_it() {
        for (index, point) in low_order_points().iter().enumerate() {
            let text = encoded(point);
            assert_eq!(error(&text), RecipientError::Weak, "{index}");
            let recipient: age::x25519::Recipient = text.parse().unwrap();
            let crate_alone = panic::catch_unwind(|| age::encrypt(&recipient, b"x").is_ok());
            assert!(crate_alone.is_err(), "point {index} is not weak");
        }
    }

    #[test]
    fn the_comment_of_an_ssh_key_does_not_tell_keys_apart() {
        assert!(is_same("ssh-ed25519 AAAA alice@home", "ssh-ed25519  AAAA"));
        assert!(!is_same("ssh-ed25519 AAAA", "ssh-ed25519 BBBB"));
        assert!(!is_same(RECIPIENT, "age1other"));
    }
}
