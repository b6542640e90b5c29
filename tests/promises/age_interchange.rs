//! What we wrap, the `age` program and sops open; what they encrypt, we open: for each kind of key that needs no plugin.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dotsops::keys::age::generate::{NewIdentity, generate_identity, generate_post_quantum_identity};
use dotsops::keys::group::{KeyGroup, unwrap_data_key};
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::keys::{Kind, from_fields, new_master_key};
use dotsops::secret::SecretBytes;
use dotsops::tree::{Mapping, Value};
use time::OffsetDateTime;

use crate::support::peers::peer;
use crate::support::sandbox::Sandbox;
use crate::support::sops::Sops;

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

/// An age of version 1.3 or newer: older ones know no post-quantum keys.
fn age_with_post_quantum() -> Option<PathBuf> {
    let is_new = |age: &PathBuf| {
        let version = String::from_utf8(Command::new(age).arg("--version").output().unwrap().stdout).unwrap();
        let mut numbers = version.trim().trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(1), Some(3))
    };
    peer("age 1.3 or newer", which::which("age").ok().filter(is_new))
}

fn native(folder: &Path) -> Pair {
    pair(folder, &generate_identity())
}

fn post_quantum(folder: &Path) -> Pair {
    pair(folder, &generate_post_quantum_identity().unwrap())
}

fn pair(folder: &Path, identity: &NewIdentity) -> Pair {
    let identity_file = folder.join("keys.txt");
    fs::write(&identity_file, identity.to_key_file(OffsetDateTime::UNIX_EPOCH).expose()).unwrap();
    let keyring = keyring(&identity_file, |path| Material::File { path, optional: false });
    Pair { recipient: identity.recipient.clone(), identity_file, keyring }
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
    key.wrap_data_key(&SecretBytes::copy_of(&PAYLOAD), &pair.keyring).unwrap();
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
    let group = KeyGroup { keys: vec![key] };
    assert_eq!(unwrap_data_key(&[group], 0, &pair.keyring).unwrap().expose(), PAYLOAD, "{}", pair.recipient);
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
fn post_quantum_goes_both_ways() {
    let Some(age) = age_with_post_quantum() else { return };
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..8 {
        let pair = post_quantum(folder.path());
        age_opens_ours(&age, &pair);
        we_open_ages(&age, &pair);
    }
}

#[test]
fn a_post_quantum_identity_of_ours_has_the_recipient_that_age_gives_it_and_theirs_is_read_by_us() {
    let Some(age) = age_with_post_quantum() else { return };
    let keygen = age.with_file_name("age-keygen");
    let folder = tempfile::tempdir().unwrap();
    let ours = post_quantum(folder.path());
    let told = run(&keygen, &["-y", ours.identity_file.to_str().unwrap()], b"");
    assert_eq!(String::from_utf8(told).unwrap().trim(), ours.recipient);
    let theirs = folder.path().join("theirs.txt");
    run(&keygen, &["-pq", "-o", theirs.to_str().unwrap()], b"");
    let told = run(&keygen, &["-y", theirs.to_str().unwrap()], b"");
    let held = keyring(&theirs, |path| Material::File { path, optional: false });
    assert_eq!(held.recipients()[0].1, String::from_utf8(told).unwrap().trim());
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
    let group = [KeyGroup { keys: vec![key] }];
    for pair in &pairs {
        assert_eq!(unwrap_data_key(&group, 0, &pair.keyring).unwrap().expose(), PAYLOAD, "{}", pair.recipient);
    }
}

/// Whole files: written by us and read by sops, written by sops and read by us, and changed by each after the other.
fn sops_and_we_read_each_other(sops: &Sops, pair: &Pair) {
    let variable = if pair.recipient.starts_with("age1") { "SOPS_AGE_KEY_FILE" } else { "SOPS_AGE_SSH_PRIVATE_KEY_FILE" };
    let with_sops = |arguments: &[&str]| {
        let mut command = sops.command(arguments);
        let output = command.env_remove("SOPS_AGE_KEY").env(variable, &pair.identity_file).output().unwrap();
        assert!(output.status.success(), "sops {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let sandbox = Sandbox::empty();
    let with_us = |arguments: &[&str]| {
        let output = sandbox.dotsops(arguments).env(variable, &pair.identity_file).output().unwrap();
        assert!(output.status.success(), "dotsops {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let plaintext = "DATABASE_URL=postgresql://db.example.org/shop\nEMPTY=\n";

    sandbox.write("plain.env", plaintext);
    let ours = sops.folder().join("ours.env");
    with_us(&["encrypt", "--age", &pair.recipient, "-o", ours.to_str().unwrap(), "plain.env"]);
    assert_eq!(with_sops(&["decrypt", "ours.env"]), plaintext.as_bytes(), "{}", pair.recipient);
    with_sops(&["set", "ours.env", "[\"ADDED\"]", "\"by sops\""]);
    assert_eq!(with_us(&["decrypt", ours.to_str().unwrap()]), format!("{plaintext}ADDED=by sops\n").as_bytes());

    let theirs = sops.folder().join("theirs.env");
    fs::write(&theirs, plaintext).unwrap();
    with_sops(&["encrypt", "-i", "--age", &pair.recipient, "theirs.env"]);
    assert_eq!(with_us(&["decrypt", theirs.to_str().unwrap()]), plaintext.as_bytes(), "{}", pair.recipient);
}

#[test]
fn whole_files_go_between_sops_and_us_for_every_kind_of_key() {
    let Some(sops) = Sops::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for pair in [native(folder.path()), ssh("ed25519"), ssh("rsa_2048"), ssh("rsa_3072")] {
        sops_and_we_read_each_other(&sops.another(), &pair);
    }
    sops_and_we_read_each_other(&sops, &post_quantum(folder.path()));
}
