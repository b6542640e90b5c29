//! Which master keys somebody with a quantum computer and the file alone would open.
//!
//! Knows kinds and the beginnings of recipients, no cryptography. Its one invariant: a set of keys is told from a safe one only where
//! somebody chose a post-quantum recipient; whoever did not has nothing to lose.

use crate::keys::group::KeyGroup;
use crate::keys::{Kind, MasterKey};

/// The classic keys among `groups` that leave nothing of the protection which the post-quantum ones were chosen for.
///
/// Empty if there is no post-quantum key, or if too few groups have a classic one: `threshold` of several groups are needed, all if it
/// is 0.
pub fn weak_links(groups: &[KeyGroup], threshold: u32) -> Vec<&dyn MasterKey> {
    let keys = || groups.iter().flat_map(|group| &group.keys).map(|key| &**key);
    let weak_groups = groups.iter().filter(|group| group.keys.iter().any(|key| is_classic(&**key))).count();
    let needed = match usize::try_from(threshold) {
        Ok(threshold) if threshold > 0 && groups.len() > 1 => threshold,
        _ => groups.len(),
    };
    if weak_groups < needed || !keys().any(is_post_quantum) {
        return Vec::new();
    }
    keys().filter(|key| is_classic(*key)).collect()
}

/// Source: FiloSottile/age `pq.go`, `tag/tag.go`.
fn is_post_quantum(key: &dyn MasterKey) -> bool {
    key.kind() == Kind::Age && ["age1pq1", "age1tagpq1"].iter().any(|prefix| key.recipient().starts_with(prefix))
}

/// PGP and Azure wrap with RSA or elliptic curves, as do age's other keys. What the other services wrap with stays with them, and is AES
/// unless somebody chose otherwise.
fn is_classic(key: &dyn MasterKey) -> bool {
    match key.kind() {
        Kind::Age => !is_post_quantum(key),
        Kind::Pgp | Kind::AzureKv => true,
        Kind::Kms | Kind::GcpKms | Kind::HcKms | Kind::HcVault => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::from_fields;
    use crate::tree::{Mapping, Value};

    fn key(recipient: &str) -> Box<dyn MasterKey> {
        let (kind, field) = match recipient {
            "FINGERPRINT" => (Kind::Pgp, "fp"),
            "arn" => (Kind::Kms, "arn"),
            _ => (Kind::Age, "recipient"),
        };
        let mut fields = Mapping::default();
        for (name, text) in [(field, recipient), ("created_at", "2026-11-22T02:47:38Z"), ("enc", "x")] {
            fields.push(name, Value::text(text.as_bytes()));
        }
        from_fields(kind, &fields).unwrap()
    }

    fn weak(groups: &[&[&str]], threshold: u32) -> Vec<String> {
        let group = |recipients: &&[&str]| KeyGroup { keys: recipients.iter().map(|recipient| key(recipient)).collect() };
        let groups: Vec<KeyGroup> = groups.iter().map(group).collect();
        weak_links(&groups, threshold).iter().map(|key| key.recipient().to_owned()).collect()
    }

    #[test]
    fn a_classic_key_beside_a_post_quantum_one_is_the_weak_link() {
        assert_eq!(weak(&[&["age1pq1a", "age1b", "ssh-rsa c", "age1tagpq1d"]], 0), ["age1b", "ssh-rsa c"]);
        assert_eq!(weak(&[&["FINGERPRINT", "age1pq1a"]], 0), ["FINGERPRINT"]);
    }

    #[test]
    fn keys_of_one_sort_have_no_weak_link_and_a_symmetric_one_is_none() {
        for recipients in [&["age1pq1a", "age1pq1b", "age1tagpq1c"][..], &["age1a", "ssh-ed25519 b"], &["age1pq1a", "arn"], &[]] {
            assert_eq!(weak(&[recipients], 0), [""; 0], "{recipients:?}");
        }
    }

    #[test]
    fn of_several_groups_as_many_must_be_weak_as_open_the_file() {
        let groups: [&[&str]; 3] = [&["age1pq1a"], &["age1pq1b", "age1c"], &["age1pq1d"]];
        assert_eq!(weak(&groups, 2), [""; 0]);
        assert_eq!(weak(&groups, 0), [""; 0]);
        assert_eq!(weak(&groups, 1), ["age1c"]);
        assert_eq!(weak(&[groups[1], groups[1]], 2), ["age1c", "age1c"]);
        assert_eq!(weak(&[groups[1], groups[1]], 0), ["age1c", "age1c"]);
    }
}
