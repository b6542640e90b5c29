//! People with age keys, rules with key groups, and files that it takes several of them to open.

use dotsops::keys::age::generate::generate_identity;
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::secret::SecretString;

use super::sandbox::{Ended, Sandbox, ended};

/// Somebody with a key.
pub struct Person {
    /// What `.sops.yaml` calls them.
    pub name: &'static str,
    /// Their public key.
    pub recipient: String,
    /// The other half.
    pub identity: String,
}

/// People of these names, with new keys.
pub fn people<const N: usize>(names: [&'static str; N]) -> [Person; N] {
    names.map(|name| {
        let identity = generate_identity();
        Person { name, recipient: identity.recipient, identity: identity.secret.expose().to_owned() }
    })
}

/// A `.sops.yaml` with one rule, for all files. One group is written flat, as most people do.
pub fn config(groups: &[&[&Person]], threshold: u32) -> String {
    let mut text = "creation_rules:\n".to_owned();
    let keys = |group: &[&Person], indent: &str| -> String {
        group.iter().map(|person| format!("{indent}- {} # {}\n", person.recipient, person.name)).collect()
    };
    match groups {
        [group] => text.push_str(&format!("  - age:\n{}", keys(group, "      "))),
        groups => {
            text.push_str("  - key_groups:\n");
            groups.iter().for_each(|group| text.push_str(&format!("      - age:\n{}", keys(group, "          "))));
        }
    }
    if threshold > 0 {
        text.push_str(&format!("    shamir_threshold: {threshold}\n"));
    }
    text
}

/// The identities of `holders`, as they stand in `SOPS_AGE_KEY`.
pub fn identities(holders: &[&Person]) -> String {
    holders.iter().map(|person| format!("{}\n", person.identity)).collect()
}

/// A keyring with the identities of `holders`.
pub fn keyring(holders: &[&Person]) -> Keyring {
    let material = Material::Text(SecretString::from_string(identities(holders)));
    Keyring::new(vec![IdentitySource { origin: Origin::Variable("SOPS_AGE_KEY".to_owned()), material }])
}

impl Sandbox {
    /// Runs the program as somebody who holds the keys of `holders` and no others.
    pub fn run_as(&self, holders: &[&Person], arguments: &[&str]) -> Ended {
        ended(self.dotsops(arguments).env("SOPS_AGE_KEY", identities(holders)))
    }

    /// Writes `.sops.yaml`, and encrypts `plaintext` into the file `name` under it.
    pub fn encrypted_under(&self, config: &str, name: &str, plaintext: &str) {
        self.write(".sops.yaml", config);
        self.write("plain.txt", plaintext);
        let ended =
            self.run(&["encrypt", "--force", "--allow-plaintext", "*", "--filename-override", name, "-o", name, "plain.txt"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        std::fs::remove_file(self.path("plain.txt")).unwrap();
    }
}

/// A file without what wrapping gives anew each time: equal for equal recipients, values, dates and thresholds.
pub fn without_wraps(file: &str) -> String {
    let lines = file.lines().map(|line| match line.split_once("_map_enc=") {
        Some((name, _)) if name.starts_with("sops_") => format!("{name}_map_enc=\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}
