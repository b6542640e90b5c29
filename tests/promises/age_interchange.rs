//! What we wrap, the `age` program opens; what it encrypts, we unwrap.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dotsops::keys::age::generate::generate_identity;
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::keys::{Kind, from_fields, new_master_key};
use dotsops::secret::SecretBytes;
use dotsops::tree::{Mapping, Value};
use time::OffsetDateTime;

use crate::support::peers::peer;

const PAYLOAD: [u8; 32] = *b"0123456789abcdefghijklmnopqrstu\n";

/// A recipient, the file with its identity, and a keyring that holds it.
struct Pair {
    recipient: String,
    identity_file: PathBuf,
    keyring: Keyring,
}

fn age() -> Option<PathBuf> {
    peer("age", which::which("age").ok())
}

fn keyring(path: &Path, material: fn(PathBuf) -> Material) -> Keyring {
    Keyring::new(vec![IdentitySource { origin: Origin::File(path.to_owned()), material: material(path.to_owned()) }])
}

fn native(folder: &Path) -> Pair {
    let identity = generate_identity();
    let identity_file = folder.join("keys.txt");
    fs::write(&identity_file, identity.to_key_file(OffsetDateTime::UNIX_EPOCH).expose()).unwrap();
    let keyring = keyring(&identity_file, |path| Material::File { path, optional: false });
    Pair { recipient: identity.recipient, identity_file, keyring }
}

fn ssh(name: &str) -> Pair {
    let identity_file = PathBuf::from(format!("{}/tests/vectors/ssh/throwaway_{name}", env!("CARGO_MANIFEST_DIR")));
    let recipient = fs::read_to_string(identity_file.with_extension("pub")).unwrap().trim().to_owned();
    let keyring = keyring(&identity_file, |path| Material::SshFile { path, optional: false });
    Pair { recipient, identity_file, keyring }
}

/// Runs age on `input` and gives its output.
fn run(age: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(age).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "age {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn age_opens_ours(age: &Path, pair: &Pair) {
    let mut key = new_master_key(Kind::Age, &pair.recipient).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&PAYLOAD)).unwrap();
    let fields = key.to_fields();
    let armored = fields.get("enc").unwrap().as_text().unwrap();
    let opened = run(age, &["-d", "-i", pair.identity_file.to_str().unwrap()], armored);
    assert_eq!(opened, PAYLOAD, "{}", pair.recipient);
}

fn we_open_ages(age: &Path, pair: &Pair) {
    let armored = run(age, &["-a", "-r", &pair.recipient], &PAYLOAD);
    let mut fields = Mapping::default();
    fields.push("recipient", Value::text(pair.recipient.as_bytes()));
    fields.push("enc", Value::text(&armored));
    let key = from_fields(Kind::Age, &fields).unwrap();
    let opened = key.unwrap_data_key(&pair.keyring).unwrap();
    assert_eq!(opened.expose(), PAYLOAD, "{}", pair.recipient);
}

#[test]
fn x25519_goes_both_ways() {
    let Some(age) = age() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pair = native(folder.path());
    // Often enough to meet grease stanzas of many shapes.
    for _ in 0..20 {
        age_opens_ours(&age, &pair);
    }
    we_open_ages(&age, &pair);
}

#[test]
fn ssh_ed25519_goes_both_ways() {
    let Some(age) = age() else { return };
    let pair = ssh("ed25519");
    age_opens_ours(&age, &pair);
    we_open_ages(&age, &pair);
}

#[test]
fn ssh_rsa_goes_both_ways() {
    let Some(age) = age() else { return };
    for name in ["rsa_2048", "rsa_3072", "rsa_pkcs1"] {
        let pair = ssh(name);
        age_opens_ours(&age, &pair);
        we_open_ages(&age, &pair);
    }
}

#[test]
fn several_recipients_in_one_file_open_for_each() {
    let Some(age) = age() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pairs = [native(folder.path()), ssh("ed25519"), ssh("rsa_2048")];
    let recipients: Vec<&str> = pairs.iter().flat_map(|pair| ["-r", pair.recipient.as_str()]).collect();
    let armored = run(&age, &[&["-a"], recipients.as_slice()].concat(), &PAYLOAD);
    let mut fields = Mapping::default();
    fields.push("enc", Value::text(&armored));
    let key = from_fields(Kind::Age, &fields).unwrap();
    for pair in &pairs {
        assert_eq!(key.unwrap_data_key(&pair.keyring).unwrap().expose(), PAYLOAD, "{}", pair.recipient);
    }
}
