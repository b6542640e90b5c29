//! A data key wrapped and unwrapped, and what hostile files do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::*;
use crate::keys::age::armor::ArmorError;
use crate::keys::age::generate::{generate_identity, generate_post_quantum_identity};
use crate::keys::age::header::HeaderError;
use crate::keys::age::router::Outcome;
use crate::keys::source::{IdentitySource, Material, Origin};
use crate::keys::{from_fields, new_master_key};
use crate::secret::SecretString;
use crate::tree::Value;

/// Written by sops 3.13.2. It is the raw file: no header, as a vector elsewhere has one.
const KNOWN_ANSWER: &str = include_str!("../../../tests/vectors/known_answer.env");
const KNOWN_IDENTITY: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";
const KNOWN_DATA_KEY: &str = "ad1e29b221ddb464b79348cf4fc836f59102fa825c261dbb90f9e254cd1a5b83";

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

fn keyring(identities: &[&str]) -> Keyring {
    let source = |text: &&str| IdentitySource {
        origin: Origin::Variable("SOPS_AGE_KEY".to_owned()),
        material: Material::Text(SecretString::copy_of(text)),
    };
    Keyring::new(identities.iter().map(source).collect())
}

fn ssh_keyring(name: &str) -> Keyring {
    let path = PathBuf::from(format!("{}/tests/vectors/ssh/throwaway_{name}", env!("CARGO_MANIFEST_DIR")));
    let material = Material::SshFile { path: path.clone(), optional: false };
    Keyring::new(vec![IdentitySource { origin: Origin::File(path), material }])
}

fn public(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/vectors/ssh/throwaway_{name}.pub", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn known_field(name: &str) -> String {
    let prefix = format!("sops_age__list_0__map_{name}=");
    let line = KNOWN_ANSWER.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
    line.replace("\\n", "\n")
}

fn entry(enc: &str) -> AgeKey {
    let mut fields = Mapping::default();
    fields.push("recipient", Value::text(known_field("recipient").as_bytes()));
    fields.push("enc", Value::text(enc.as_bytes()));
    AgeKey::from_fields(&fields).unwrap()
}

/// With all the steps that nobody is asked in.
fn unwrapped_by(key: &dyn MasterKey, held: &Keyring) -> Result<SecretBytes, UnwrapError> {
    let native = key.unwrap_data_key(held, Step::Native);
    match native {
        Err(UnwrapError::NoMatch(_) | UnwrapError::NoIdentities) if !held.identities(Step::Ssh).is_empty() => {
            key.unwrap_data_key(held, Step::Ssh)
        }
        native => native,
    }
}

fn unwrapped(enc: &str) -> Result<SecretBytes, UnwrapError> {
    let start = Instant::now();
    let result = unwrapped_by(&entry(enc), &keyring(&[KNOWN_IDENTITY]));
    assert!(start.elapsed() < Duration::from_secs(1), "too slow: {:?}", start.elapsed());
    result
}

fn failure(enc: &str) -> UnwrapError {
    unwrapped(enc).err().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The known answer's age file with its header lines changed.
fn with_header(change: impl Fn(&mut Vec<Vec<u8>>)) -> String {
    with_header_of(&known_field("enc"), change)
}

fn with_header_of(enc: &str, change: impl Fn(&mut Vec<Vec<u8>>)) -> String {
    let file = armor::decode(enc).unwrap();
    let end = file.windows(4).position(|bytes| bytes == b"\n---").unwrap();
    let mut lines: Vec<Vec<u8>> = file[..end].split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    let mut changed = lines.join(&b'\n');
    changed.extend_from_slice(&file[end..]);
    armor::encode(&changed)
}

#[test]
fn the_known_answer_of_sops_unwraps_to_its_data_key() {
    let data_key = unwrapped(&known_field("enc")).unwrap();
    assert_eq!(hex(data_key.expose()), KNOWN_DATA_KEY);
}

#[test]
fn white_space_before_the_armor_and_crlf_are_no_obstacle() {
    let enc = known_field("enc");
    for enc in [format!("\n \t\r\n{enc}"), enc.replace('\n', "\r\n"), enc.trim_end().to_owned()] {
        assert_eq!(hex(unwrapped(&enc).unwrap().expose()), KNOWN_DATA_KEY);
    }
}

#[test]
fn a_data_key_comes_back_through_an_x25519_recipient() {
    let identity = generate_identity();
    let mut key = new_master_key(Kind::Age, &format!(" {}\n", identity.recipient)).unwrap();
    assert_eq!(key.recipient(), identity.recipient);
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
    let held = keyring(&[KNOWN_IDENTITY, identity.secret.expose()]);
    assert_eq!(unwrapped_by(&*key, &held).unwrap().expose(), [7; 32]);
}

#[test]
fn a_data_key_comes_back_through_a_post_quantum_recipient() {
    let identity = generate_post_quantum_identity().unwrap();
    let mut key = new_master_key(Kind::Age, &identity.recipient).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
    let held = keyring(&[KNOWN_IDENTITY, identity.secret.expose()]);
    assert_eq!(unwrapped_by(&*key, &held).unwrap().expose(), [7; 32]);
    let other = generate_post_quantum_identity().unwrap();
    let error = unwrapped_by(&*key, &keyring(&[KNOWN_IDENTITY, other.secret.expose()])).err().unwrap();
    match error {
        UnwrapError::NoMatch(attempts) => {
            let tried: Vec<&str> = attempts.iter().map(|attempt| attempt.recipient.as_str()).collect();
            assert_eq!(tried, [&known_field("recipient"), other.recipient.as_str()]);
            assert!(attempts.iter().all(|attempt| attempt.outcome == Outcome::NotARecipient));
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_post_quantum_identity_is_tried_with_ages_own_before_any_ssh_key() {
    let identity = generate_post_quantum_identity().unwrap();
    let ssh = PathBuf::from(format!("{}/tests/vectors/ssh/throwaway_ed25519", env!("CARGO_MANIFEST_DIR")));
    let held = Keyring::new(vec![
        IdentitySource { origin: Origin::File(ssh.clone()), material: Material::SshFile { path: ssh, optional: false } },
        IdentitySource { origin: Origin::Variable("SOPS_AGE_KEY".to_owned()), material: Material::Text(identity.secret) },
    ]);
    match entry(&known_field("enc")).unwrap_data_key(&held, Step::Native).err().unwrap() {
        UnwrapError::NoMatch(attempts) => {
            assert_eq!(attempts.len(), 1);
            assert!(attempts[0].recipient.starts_with("age1pq1"));
        }
        error => panic!("{error}"),
    }
}

/// The header of an age file of which a stanza stands there many times: whatever opens it sees that its MAC does not fit.
#[test]
fn a_stanza_that_is_repeated_is_noticed_and_a_flood_of_long_ones_ends() {
    let identity = generate_post_quantum_identity().unwrap();
    let mut key = AgeKey::new(&identity.recipient).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
    let repeated = with_header_of(key.fields.text("enc"), |lines| {
        let at = lines.iter().position(|line| line.starts_with(b"-> mlkem768x25519 ")).unwrap();
        let stanza = lines[at..at + 2].to_vec();
        (0..28).for_each(|_| drop(lines.splice(at..at, stanza.clone())));
    });
    let opened = |held: &str| unwrapped_by(&entry(&repeated), &keyring(&[held])).err().unwrap();
    assert!(matches!(opened(identity.secret.expose()), UnwrapError::NotAuthentic));
    match opened(generate_post_quantum_identity().unwrap().secret.expose()) {
        UnwrapError::NoMatch(attempts) => assert_eq!(attempts[0].outcome, Outcome::NotARecipient),
        error => panic!("{error}"),
    }
}

#[test]
fn an_identity_gives_up_after_eight_damaged_stanzas_that_name_it() {
    let mut key = AgeKey::new(&public("ed25519")).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
    let behind = |count: usize| {
        let enc = with_header_of(key.fields.text("enc"), |lines| {
            let at = lines.iter().position(|line| line.starts_with(b"-> ssh-ed25519 ")).unwrap();
            let damaged = [lines[at].clone(), b"AAAA".to_vec()];
            (0..count).for_each(|_| drop(lines.splice(at..at, damaged.clone())));
        });
        unwrapped_by(&entry(&enc), &ssh_keyring("ed25519")).err().unwrap()
    };
    // The file key was found: only the header's MAC tells of the change.
    assert!(matches!(behind(7), UnwrapError::NotAuthentic));
    match behind(8) {
        UnwrapError::NoMatch(attempts) => assert_eq!(attempts[0].outcome, Outcome::Damaged),
        error => panic!("{error}"),
    }
}

#[test]
fn a_data_key_comes_back_through_every_usable_ssh_key() {
    for name in ["ed25519", "rsa_2048", "rsa_3072", "rsa_pkcs1"] {
        let mut key = new_master_key(Kind::Age, &public(name)).unwrap();
        assert_eq!(key.recipient(), public(name).trim(), "the comment is kept");
        key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
        assert_eq!(unwrapped_by(&*key, &ssh_keyring(name)).unwrap().expose(), [7; 32], "{name}");
    }
}

#[test]
fn a_shamir_share_comes_back_and_a_long_payload_does_not() {
    let mut key = AgeKey::new(&known_field("recipient")).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 33]), &keyring(&[])).unwrap();
    assert_eq!(unwrapped_by(&key, &keyring(&[KNOWN_IDENTITY])).unwrap().len(), 33);
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 65]), &keyring(&[])).unwrap();
    let error = unwrapped_by(&key, &keyring(&[KNOWN_IDENTITY])).err().unwrap();
    assert!(matches!(error, UnwrapError::PayloadLength), "{error}");
}

#[test]
fn what_is_written_is_armor_as_sops_writes_it() {
    let mut key = AgeKey::new(&known_field("recipient")).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
    let fields = key.to_fields();
    let names: Vec<&str> = fields.entries().map(|(key, _)| key.as_str().unwrap()).collect();
    assert_eq!(names, ["enc", "recipient"]);
    let enc = std::str::from_utf8(fields.get("enc").unwrap().as_text().unwrap()).unwrap();
    assert!(enc.starts_with(&format!("{BEGIN}\nYWdl")) && enc.ends_with("\n-----END AGE ENCRYPTED FILE-----\n"));
    assert!(!enc.contains('\r'));
}

#[test]
fn an_entry_keeps_unknown_fields_and_reads_names_in_any_case() {
    let mut fields = Mapping::default();
    fields.push("Recipient", Value::text(b"age1future1x"));
    fields.push("label", Value::text(b"alice"));
    fields.push("ENC", Value::text(known_field("enc").as_bytes()));
    let key = from_fields(Kind::Age, &fields).unwrap();
    assert_eq!(key.recipient(), "age1future1x");
    assert_eq!(unwrapped_by(&*key, &keyring(&[KNOWN_IDENTITY])).unwrap().len(), 32, "a recipient is a hint only");
    let fields = key.to_fields();
    let names: Vec<&str> = fields.entries().map(|(key, _)| key.as_str().unwrap()).collect();
    assert_eq!(names, ["enc", "label", "recipient"]);
    assert_eq!(fields.get("label").unwrap().as_text(), Some(b"alice".as_slice()));
}

#[test]
fn a_recipient_that_cannot_be_encrypted_to_fails_the_wrapping_and_keeps_what_was_wrapped() {
    let mut fields = Mapping::default();
    fields.push("recipient", Value::text(b"age1future1x"));
    fields.push("enc", Value::text(known_field("enc").as_bytes()));
    let mut key = from_fields(Kind::Age, &fields).unwrap();
    let error = key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).err().unwrap();
    assert!(matches!(error, WrapError::Recipient { source: RecipientError::Damaged, .. }), "{error}");
    assert_eq!(unwrapped_by(&*key, &keyring(&[KNOWN_IDENTITY])).unwrap().len(), 32);
}

#[test]
fn somebody_elses_file_says_what_was_tried() {
    let other = generate_identity();
    let held = keyring(&[other.secret.expose(), KNOWN_IDENTITY]);
    let mut key = AgeKey::new(&generate_identity().recipient).unwrap();
    key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
    match unwrapped_by(&key, &held).err().unwrap() {
        UnwrapError::NoMatch(attempts) => {
            let tried: Vec<&str> = attempts.iter().map(|attempt| attempt.recipient.as_str()).collect();
            assert_eq!(tried, [other.recipient.as_str(), &known_field("recipient")]);
            assert!(attempts.iter().all(|attempt| attempt.outcome == Outcome::NotARecipient));
            assert_eq!(attempts[0].origin.to_string(), "SOPS_AGE_KEY");
        }
        error => panic!("{error}"),
    }
    let error = unwrapped_by(&key, &keyring(&[])).err().unwrap();
    assert!(matches!(error, UnwrapError::NoIdentities), "{error}");
}

#[test]
fn an_identity_that_fails_does_not_keep_the_next_from_being_tried() {
    // An ssh-ed25519 stanza that names the throwaway key but is damaged; the X25519 stanza behind it is whole.
    let blob_tag = {
        let public = public("ed25519");
        let blob = STANDARD.decode(public.split(' ').nth(1).unwrap()).unwrap();
        STANDARD_NO_PAD.encode(&Sha256::digest(blob)[..4])
    };
    let stanza = format!("-> ssh-ed25519 {blob_tag} AAAA");
    let enc = with_header(|lines| {
        lines.insert(1, stanza.clone().into_bytes());
        lines.insert(2, b"AAAA".to_vec());
    });
    let error = unwrapped_by(&entry(&enc), &ssh_keyring("ed25519")).err().unwrap();
    match error {
        UnwrapError::NoMatch(attempts) => assert_eq!(attempts[0].outcome, Outcome::Damaged),
        error => panic!("{error}"),
    }
    // A damaged X25519 stanza before the whole one: the file key is found, and the header's MAC then tells of the change.
    let enc = with_header(|lines| {
        lines.insert(1, b"-> X25519 AAAA".to_vec());
        lines.insert(2, b"AAAA".to_vec());
    });
    assert!(matches!(failure(&enc), UnwrapError::NotAuthentic));
}

#[test]
fn a_file_with_too_many_stanzas_is_refused_at_once() {
    let stanzas = |count: usize| {
        with_header(|lines| {
            for _ in 0..count {
                lines.push(b"-> a".to_vec());
                lines.push(b"AAAA".to_vec());
            }
        })
    };
    assert!(matches!(failure(&stanzas(64)), UnwrapError::Header(HeaderError::TooManyStanzas)));
    assert!(matches!(failure(&stanzas(63)), UnwrapError::NotAuthentic));
    let flood = armor::encode(format!("age-encryption.org/v1\n{}", "-> a\n\n".repeat(8_000)).as_bytes());
    assert!(flood.len() < 65_536);
    assert!(matches!(failure(&flood), UnwrapError::Header(HeaderError::TooManyStanzas)));
    let without_bodies = armor::encode(format!("age-encryption.org/v1\n{}", "-> a\n".repeat(9_400)).as_bytes());
    assert!(matches!(failure(&without_bodies), UnwrapError::Header(HeaderError::Malformed)));
}

#[test]
fn a_header_of_long_or_many_lines_is_dealt_with_at_once() {
    let one_line = with_header(|lines| lines.push([b"-> a".to_vec(), b" a".repeat(22_000), b"\nAAAA".to_vec()].concat()));
    assert!(matches!(failure(&one_line), UnwrapError::NotAuthentic));
    let one_body = with_header(|lines| {
        lines.push(b"-> a".to_vec());
        lines.extend(vec![vec![b'A'; 64]; 700]);
        lines.push(Vec::new());
    });
    assert!(matches!(failure(&one_body), UnwrapError::NotAuthentic));
    let no_end = armor::encode(format!("age-encryption.org/v1\n-> {}", "a".repeat(48_000)).as_bytes());
    assert!(matches!(failure(&no_end), UnwrapError::Header(HeaderError::Malformed)));
}

#[test]
fn what_is_no_whole_age_file_is_refused_with_a_reason() {
    let enc = known_field("enc");
    assert!(matches!(failure(""), UnwrapError::NothingWrapped));
    assert!(matches!(failure("hunter2"), UnwrapError::Armor(ArmorError::NoBegin)));
    assert!(matches!(failure(&enc[..200]), UnwrapError::Armor(ArmorError::NoEnd)));
    assert!(matches!(failure(&enc.replace("YWdl", "YWd!")), UnwrapError::Armor(ArmorError::Base64)));
    assert!(matches!(failure(&armor::encode(b"hunter2")), UnwrapError::Header(HeaderError::NotAge)));
    let file = armor::decode(&enc).unwrap();
    assert!(matches!(failure(&armor::encode(&file[..100])), UnwrapError::Header(HeaderError::Malformed)));
}

#[test]
fn a_wrong_or_shortened_body_is_not_authentic() {
    let file = armor::decode(&known_field("enc")).unwrap();
    let mut wrong = file.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert!(matches!(failure(&armor::encode(&wrong)), UnwrapError::PayloadNotAuthentic));
    let header = file.windows(4).position(|bytes| bytes == b"\n---").unwrap() + 49;
    for length in [header + 16, header + 20, file.len() - 1] {
        assert!(matches!(failure(&armor::encode(&file[..length])), UnwrapError::PayloadNotAuthentic), "{length}");
    }
    let longer = [file.clone(), vec![0]].concat();
    assert!(matches!(failure(&armor::encode(&longer)), UnwrapError::PayloadNotAuthentic));
    // Without a nonce there is no payload at all.
    assert!(matches!(failure(&armor::encode(&file[..header + 3])), UnwrapError::Header(HeaderError::Malformed)));
}

#[test]
fn a_file_locked_with_a_passphrase_is_for_none_of_our_identities() {
    let file = armor::encode(b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef0123456789abcdef");
    assert!(matches!(failure(&file), UnwrapError::NoMatch(_)));
}

#[test]
fn no_byte_of_a_wrapped_key_can_be_changed_without_a_typed_error() {
    let file = armor::decode(&known_field("enc")).unwrap();
    for index in 0..file.len() {
        let mut changed = file.clone();
        changed[index] ^= 0x04;
        if let Ok(data_key) = unwrapped(&armor::encode(&changed)) {
            panic!("byte {index} changed, and {} bytes came out", data_key.len());
        }
    }
}

#[test]
fn no_changed_byte_of_an_ssh_recipient_makes_the_wrapping_panic() {
    for name in ["ed25519", "rsa_2048"] {
        let public = public(name);
        let mut words = public.split(' ');
        let (kind, base64) = (words.next().unwrap(), words.next().unwrap());
        let blob = STANDARD.decode(base64).unwrap();
        for index in 0..blob.len() {
            for value in [0, 1, 0x80, 0xff] {
                let mut changed = blob.clone();
                changed[index] = value;
                let Ok(mut key) = AgeKey::new(&format!("{kind} {}", STANDARD.encode(&changed))) else { continue };
                key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &keyring(&[])).unwrap();
            }
        }
    }
}
