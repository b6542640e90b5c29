//! The age vectors of C2SP/CCTV: each file opens, or fails at the layer that it names.
//!
//! `DOTSOPS_TEST_CCTV` says where the folder `testdata` of the Go module `c2sp.org/CCTV/age` is; `.ci/run` fetches it.

use std::fs;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString as Passphrase;
use dotsops::keys::UnwrapError;
use dotsops::keys::age::armor;
use dotsops::keys::age::generate::generate_identity;
use dotsops::keys::age::router::Outcome;
use dotsops::keys::age::{open, open_with};
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::keys::step::Step;
use dotsops::secret::SecretString;
use sha2::{Digest, Sha256};

use crate::support::peers::peer;

/// Larger than the largest payload of a vector, which is larger than any data key.
const LIMIT: usize = 64 << 20;
/// What we allow identity files; a vector has 23.
const MAX_WORK_FACTOR: u8 = 20;

/// Where we differ: the vector, the layer at which it fails here, and why that is right.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "armor_garbage_encoded",
    "armor failure",
    "89 KB of armor: what is longer than 64 KiB wraps no data key, and is not decoded",
)];

struct Vector {
    expect: String,
    payload: Option<String>,
    identities: Vec<String>,
    passphrases: Vec<String>,
    armored: bool,
    file: Vec<u8>,
}

impl Vector {
    /// Reads the header's lines, and what stands behind the empty one.
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let header = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut vector = Self {
            expect: String::new(),
            payload: None,
            identities: Vec::new(),
            passphrases: Vec::new(),
            armored: false,
            file: bytes[end + 2..].to_vec(),
        };
        for line in header.lines() {
            match line.split_once(": ").unwrap() {
                ("expect", layer) => vector.expect = layer.to_owned(),
                ("payload", hash) => vector.payload = Some(hash.to_owned()),
                ("identity", identity) => vector.identities.push(identity.to_owned()),
                ("passphrase", passphrase) => vector.passphrases.push(passphrase.to_owned()),
                ("armored", "yes") => vector.armored = true,
                ("compressed", "zlib") => {
                    vector.file = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&vector.file, LIMIT).unwrap();
                }
                ("file key" | "comment", _) => {}
                (key, _) => panic!("{}: `{key}` is not known", path.display()),
            }
        }
        vector
    }

    /// The layer at which it fails here, or the hash of its payload.
    fn run(&self) -> Result<String, &'static str> {
        let unarmored = self.armored.then(|| match std::str::from_utf8(&self.file) {
            Ok(text) => armor::decode(text).map_err(|_| "armor failure"),
            Err(_) => Err("armor failure"),
        });
        let unarmored = unarmored.transpose()?;
        let file = unarmored.as_deref().unwrap_or(&self.file);
        let opened = match self.passphrases.first() {
            Some(passphrase) => {
                let mut identity = age::scrypt::Identity::new(Passphrase::from(passphrase.clone()));
                identity.set_max_work_factor(MAX_WORK_FACTOR);
                open_with(file, &identity, LIMIT)
            }
            None => open(file, &self.keyring(), Step::Native, LIMIT),
        };
        match opened {
            Ok(payload) => Ok(Sha256::digest(payload.expose()).iter().map(|byte| format!("{byte:02x}")).collect()),
            // A stanza that is for one of the identities, but is none as it stands.
            Err(UnwrapError::NoMatch(tried)) if tried.iter().any(|tried| tried.outcome == Outcome::Damaged) => {
                Err("header failure")
            }
            Err(UnwrapError::NoMatch(_)) => Err("no match"),
            Err(UnwrapError::Header(_)) => Err("header failure"),
            Err(UnwrapError::NotAuthentic) => Err("HMAC failure"),
            Err(UnwrapError::PayloadNotAuthentic) => Err("payload failure"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Everything it names; somebody else if it names nobody, since an empty keyring opens no file at all.
    fn keyring(&self) -> Keyring {
        let text = match self.identities.as_slice() {
            [] => generate_identity().secret,
            identities => SecretString::copy_of(&identities.join("\n")),
        };
        let origin = Origin::Variable("SOPS_AGE_KEY".to_owned());
        Keyring::new(vec![IdentitySource { origin, material: Material::Text(text) }])
    }
}

#[test]
fn every_vector_of_cctv_opens_or_fails_at_the_layer_that_it_names() {
    let folder = std::env::var_os("DOTSOPS_TEST_CCTV").map(PathBuf::from).filter(|folder| folder.is_dir());
    let Some(folder) = peer("the folder of C2SP/CCTV's age vectors (DOTSOPS_TEST_CCTV)", folder) else { return };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), 143, "another number of vectors than in the module that .ci/run pins");
    let mut wrong = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let vector = Vector::read(path);
        let exception = EXCEPTIONS.iter().find(|(excepted, ..)| *excepted == name);
        let expected = exception.map_or(vector.expect.as_str(), |(_, layer, _)| layer);
        let outcome = vector.run();
        let is_as_expected = match &outcome {
            Ok(hash) => expected == "success" && vector.payload.as_ref() == Some(hash),
            Err(layer) => expected == *layer,
        };
        if !is_as_expected {
            wrong.push(format!("{name}: expected {expected}, found {outcome:?}"));
        }
        if exception.is_some_and(|(_, layer, _)| *layer == vector.expect) {
            wrong.push(format!("{name}: the exception is none any more"));
        }
    }
    let names: Vec<&str> = paths.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    wrong
        .extend(EXCEPTIONS.iter().filter(|(name, ..)| !names.contains(name)).map(|(name, ..)| format!("{name}: no such vector")));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}
