//! What this user can unwrap with, and where each identity came from.
//!
//! Is told its sources by the caller: it reads no environment variable and knows no default path. Its two invariants: no file is
//! touched before an identity is needed, and then once; a source that fails never keeps another from being used.
//!
//! Source of the rules: getsops/sops `age/keysource.go`, `loadIdentities`.

use std::sync::OnceLock;

use crate::keys::age::identity::{Identity, IdentityProblem};
use crate::keys::source::{IdentitySource, Origin};

/// An identity and where it came from.
pub struct HeldIdentity {
    /// The source it was in.
    pub origin: Origin,
    /// The identity.
    pub identity: Identity,
}

/// Something in a source that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}{} {problem}", .line.map(|line| format!(": line {line}")).unwrap_or_default())]
pub struct IdentityFailure {
    /// The source.
    pub origin: Origin,
    /// The line, counted from 1; `None` if it is about the whole source.
    pub line: Option<usize>,
    /// Why.
    pub problem: IdentityProblem,
}

/// How much a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The source.
    pub origin: Origin,
    /// How many identities it held that can be used.
    pub identities: usize,
    /// How many things in it could not be used. If both numbers are 0 it is missing or empty.
    pub failures: usize,
}

/// What this user can unwrap with.
pub struct Keyring {
    sources: Vec<IdentitySource>,
    loaded: OnceLock<Loaded>,
}

#[derive(Default)]
struct Loaded {
    identities: Vec<HeldIdentity>,
    failures: Vec<IdentityFailure>,
}

impl Keyring {
    /// A keyring over `sources`, none of which is opened yet.
    pub fn new(sources: Vec<IdentitySource>) -> Self {
        Self { sources, loaded: OnceLock::new() }
    }

    /// All identities, in the order of the sources. Loads them if this is the first need.
    pub fn identities(&self) -> &[HeldIdentity] {
        &self.loaded().identities
    }

    /// Everything in the sources that could not be used. Loads them if this is the first need.
    pub fn failures(&self) -> &[IdentityFailure] {
        &self.loaded().failures
    }

    /// The public halves and where each came from. Loads them if this is the first need.
    pub fn recipients(&self) -> Vec<(Origin, String)> {
        self.identities().iter().map(|held| (held.origin.clone(), held.identity.recipient().to_owned())).collect()
    }

    /// How much each source gave, in their order. Loads them if this is the first need.
    pub fn sources(&self) -> Vec<SourceReport> {
        let loaded = self.loaded();
        let report = |source: &IdentitySource| SourceReport {
            origin: source.origin.clone(),
            identities: loaded.identities.iter().filter(|held| held.origin == source.origin).count(),
            failures: loaded.failures.iter().filter(|failure| failure.origin == source.origin).count(),
        };
        self.sources.iter().map(report).collect()
    }

    fn loaded(&self) -> &Loaded {
        self.loaded.get_or_init(|| {
            let mut loaded = Loaded::default();
            for source in &self.sources {
                let found = source.read();
                let origin = &source.origin;
                loaded
                    .identities
                    .extend(found.identities.into_iter().map(|identity| HeldIdentity { origin: origin.clone(), identity }));
                loaded.failures.extend(found.problems.into_iter().map(|(line, problem)| IdentityFailure {
                    origin: origin.clone(),
                    line,
                    problem,
                }));
            }
            loaded
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::keys::source::Material;
    use crate::secret::SecretString;

    const SECRET: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";
    const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";

    fn file(path: &Path, optional: bool) -> IdentitySource {
        let origin = Origin::VariableFile { variable: "SOPS_AGE_KEY_FILE".to_owned(), path: path.to_owned() };
        IdentitySource { origin, material: Material::File { path: path.to_owned(), optional } }
    }

    fn text(text: &str) -> IdentitySource {
        let origin = Origin::Variable("SOPS_AGE_KEY".to_owned());
        IdentitySource { origin, material: Material::Text(SecretString::copy_of(text)) }
    }

    fn ssh(name: &str) -> IdentitySource {
        let path = PathBuf::from(format!("{}/tests/vectors/ssh/throwaway_{name}", env!("CARGO_MANIFEST_DIR")));
        let origin = Origin::File(PathBuf::from(format!("~/.ssh/{name}")));
        IdentitySource { origin, material: Material::SshFile { path, optional: true } }
    }

    #[test]
    fn identities_of_all_sources_are_combined_and_know_where_they_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.txt");
        fs::write(&path, format!("# mine\n{SECRET}\nnonsense\n")).unwrap();
        let keyring = Keyring::new(vec![text(SECRET), file(&path, false), ssh("ed25519"), ssh("missing")]);
        let shown: Vec<String> =
            keyring.recipients().iter().map(|(origin, recipient)| format!("{origin} {}", &recipient[..11])).collect();
        let from_file = format!("SOPS_AGE_KEY_FILE ({})", path.display());
        assert_eq!(
            shown,
            ["SOPS_AGE_KEY age1syfl80l".to_owned(), format!("{from_file} age1syfl80l"), "~/.ssh/ed25519 ssh-ed25519".to_owned()]
        );
        assert_eq!(keyring.recipients()[0].1, RECIPIENT);
        assert_eq!(keyring.failures().len(), 1);
        assert_eq!(keyring.failures()[0].to_string(), format!("{from_file}: line 3 is no age identity"));
        let counts: Vec<(usize, usize)> = keyring.sources().iter().map(|report| (report.identities, report.failures)).collect();
        assert_eq!(counts, [(1, 0), (1, 1), (1, 0), (0, 0)]);
    }

    #[test]
    fn no_file_is_read_before_it_is_needed_and_then_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.txt");
        let keyring = Keyring::new(vec![file(&path, false)]);
        fs::write(&path, SECRET).unwrap();
        assert_eq!(keyring.identities().len(), 1);
        fs::remove_file(&path).unwrap();
        assert_eq!(keyring.identities().len(), 1);
        assert!(keyring.failures().is_empty());
    }

    #[test]
    fn empty_sources_are_no_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.txt");
        fs::write(&path, "").unwrap();
        let sources = vec![text(""), file(Path::new(""), false), file(&path, false), file(&path.join("below"), true)];
        let keyring = Keyring::new(sources);
        assert!(keyring.identities().is_empty() && keyring.failures().is_empty());
    }

    #[test]
    fn a_keyring_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Keyring>();
    }
}
