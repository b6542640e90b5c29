//! New age identities, and the text of a key file for one.
//!
//! Source: FiloSottile/age `cmd/age-keygen/keygen.go`, for the layout of the file.

use age::secrecy::ExposeSecret;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::keys::age::post_quantum;
use crate::secret::SecretString;

/// An identity made just now.
pub struct NewIdentity {
    /// `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`.
    pub secret: SecretString,
    /// `age1…` or `age1pq1…`.
    pub recipient: String,
}

/// Makes an X25519 identity from the system's randomness.
pub fn generate_identity() -> NewIdentity {
    let identity = age::x25519::Identity::generate();
    NewIdentity {
        secret: SecretString::copy_of(identity.to_string().expose_secret()),
        recipient: identity.to_public().to_string(),
    }
}

/// Makes a post-quantum identity from the system's randomness.
///
/// # Errors
/// The system's, if it has no randomness to give.
pub fn generate_post_quantum_identity() -> Result<NewIdentity, getrandom::Error> {
    let (secret, recipient) = post_quantum::generate()?;
    Ok(NewIdentity { secret, recipient })
}

impl NewIdentity {
    /// The text of a key file: two comments, then the identity. `created` is shown to the second, in its own time zone.
    pub fn to_key_file(&self, created: OffsetDateTime) -> SecretString {
        let created = created.replace_nanosecond(0).unwrap_or(created);
        // RFC 3339 has no year above 9999 and no zone with seconds; the comment is left out rather than the key.
        let created = created.format(&Rfc3339).map(|time| format!("# created: {time}\n")).unwrap_or_default();
        let parts = [&created, "# public key: ", &self.recipient, "\n", self.secret.expose(), "\n"];
        let mut text = SecretString::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| text.push(part));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::age::identity_file::{Layout, read};

    #[test]
    fn a_new_key_file_holds_one_identity_and_names_its_recipient() {
        let post_quantum = generate_post_quantum_identity().unwrap();
        for (identity, start) in [(generate_identity(), "AGE-SECRET-KEY-1"), (post_quantum, "AGE-SECRET-KEY-PQ-1")] {
            let created = OffsetDateTime::parse("2026-11-22T02:47:38.5+01:00", &Rfc3339).unwrap();
            let text = identity.to_key_file(created);
            let lines: Vec<&str> = text.expose().lines().collect();
            assert_eq!(lines[0], "# created: 2026-11-22T02:47:38+01:00");
            assert_eq!(lines[1], format!("# public key: {}", identity.recipient));
            assert!(lines[2].starts_with(start) && lines.len() == 3 && text.expose().ends_with('\n'));
            let found = read(text.expose().as_bytes(), Layout::Lines);
            assert!(found.problems.is_empty());
            assert_eq!(found.identities[0].recipient(), identity.recipient);
        }
    }

    #[test]
    fn no_two_identities_are_the_same() {
        assert_ne!(generate_identity().recipient, generate_identity().recipient);
        let post_quantum = || generate_post_quantum_identity().unwrap().recipient;
        assert_ne!(post_quantum(), post_quantum());
    }
}
