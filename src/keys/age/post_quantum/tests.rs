//! Answers known from age, round trips, and everything that must be refused.

use age::Identity as _;
use age::Recipient as _;
use bech32::primitives::iter::ByteIterExt;
use bech32::{Bech32, Fe32, Fe32IterExt};

use super::*;
use crate::keys::age::identity::{self, Form, IdentityProblem};
use crate::keys::age::recipient;

/// A vector of C2SP/CCTV: its identity, and the file key that its only stanza wraps.
const VECTOR: &[u8] = include_bytes!("../../../../tests/vectors/age/cctv_hybrid");
const FILE_KEY: [u8; FILE_KEY_BYTES] = *b"YELLOW SUBMARINE";
/// What age 1.3.2 makes of that identity.
const RECIPIENT: &str = include_str!("../../../../tests/vectors/age/cctv_hybrid.recipient");

fn vector_line(start: &str) -> String {
    let mut lines = VECTOR.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.starts_with(start.as_bytes())).unwrap();
    String::from_utf8(line[start.len()..].to_vec()).unwrap()
}

fn vector_stanza() -> Stanza {
    let mut lines = VECTOR.split(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(b"-> ")).skip(1);
    let body = STANDARD_NO_PAD.decode(lines.next().unwrap()).unwrap();
    Stanza { tag: STANZA_TAG.to_owned(), args: vec![vector_line("-> mlkem768x25519 ")], body }
}

fn vector_identity() -> Identity {
    Identity::parse(&vector_line("identity: ")).unwrap()
}

fn recipient_bytes() -> Vec<u8> {
    decode(RECIPIENT.trim(), RECIPIENT_PREFIX).unwrap()
}

fn encoded(prefix: Hrp, bytes: &[u8]) -> String {
    let mut text = String::new();
    bech32_encode_to_fmt(&mut text, prefix, bytes).unwrap();
    text
}

fn refused(recipient: &str) -> RecipientError {
    recipient::Recipient::parse(recipient).err().unwrap_or_else(|| panic!("taken: {recipient}"))
}

fn not_taken(identity: &str) -> IdentityProblem {
    identity::Identity::parse(identity).err().unwrap_or_else(|| panic!("taken"))
}

/// What a changed stanza gives: the file key, nothing, or a complaint about the header.
fn opened(change: impl Fn(&mut Stanza)) -> Option<Result<[u8; FILE_KEY_BYTES], ()>> {
    let mut stanza = vector_stanza();
    change(&mut stanza);
    let outcome = vector_identity().unwrap_stanza(&stanza)?;
    Some(outcome.map(|file_key| *file_key.expose_secret()).map_err(|error| {
        assert!(matches!(error, DecryptError::InvalidHeader), "{error}");
    }))
}

#[test]
fn the_known_identity_has_the_recipient_that_age_gives_it() {
    assert_eq!(vector_identity().recipient().to_string(), RECIPIENT.trim());
    assert!(matches!(Recipient::parse(RECIPIENT.trim()), Ok(recipient) if recipient.to_string() == RECIPIENT.trim()));
    let held = identity::Identity::parse(&vector_line("identity: ")).ok().unwrap();
    assert_eq!(held.recipient(), RECIPIENT.trim());
    assert_eq!(held.form(), Form::Native);
}

#[test]
fn the_known_stanza_opens_to_its_file_key() {
    assert_eq!(opened(|_| {}), Some(Ok(FILE_KEY)));
}

#[test]
fn what_is_wrapped_for_an_identity_opens_with_it_and_with_no_other() {
    let identities: Vec<Identity> = (0..8).map(|_| Identity::parse(generate().unwrap().0.expose()).unwrap()).collect();
    for (index, identity) in identities.iter().enumerate() {
        let file_key = FileKey::new(Box::new([index as u8; FILE_KEY_BYTES]));
        let (stanzas, labels) = identity.recipient().wrap_file_key(&file_key).unwrap();
        assert_eq!(labels, HashSet::from(["postquantum".to_owned()]));
        let [stanza] = stanzas.as_slice() else { panic!("{} stanzas", stanzas.len()) };
        assert_eq!((stanza.tag.as_str(), stanza.args[0].len(), stanza.body.len()), (STANZA_TAG, 1494, 32));
        for (other, candidate) in identities.iter().enumerate() {
            let opened = candidate.unwrap_stanza(stanza).map(|outcome| outcome.unwrap());
            assert_eq!(opened.map(|key| *key.expose_secret()), (other == index).then_some([index as u8; FILE_KEY_BYTES]));
        }
    }
}

#[test]
fn the_same_file_key_is_never_wrapped_the_same_way() {
    let recipient = Recipient::parse(RECIPIENT.trim()).unwrap();
    let wrap = || recipient.wrap_file_key(&FileKey::new(Box::new(FILE_KEY))).unwrap().0.remove(0);
    let (one, other) = (wrap(), wrap());
    assert_ne!(one.args, other.args);
    assert_ne!(one.body, other.body);
}

#[test]
fn no_changed_byte_of_a_stanza_opens_to_a_file_key() {
    let encapsulation = STANDARD_NO_PAD.decode(&vector_stanza().args[0]).unwrap();
    for index in (0..encapsulation.len()).step_by(37).chain(CIPHERTEXT..encapsulation.len()) {
        let mut changed = encapsulation.clone();
        changed[index] ^= 1;
        assert_eq!(opened(|stanza| stanza.args[0] = STANDARD_NO_PAD.encode(&changed)), None, "byte {index}");
    }
    for index in 0..32 {
        assert_eq!(opened(|stanza| stanza.body[index] ^= 1), None, "byte {index} of the body");
    }
}

#[test]
fn a_body_under_other_associated_data_or_for_another_purpose_is_not_ours() {
    let recipient = vector_identity().recipient();
    let scalar = StaticSecret::from([7; 32]);
    let share = PublicKey::from(&scalar);
    let (ciphertext, secret) = recipient.mlkem.encapsulate_deterministic(&B32::from([9; 32])).unwrap();
    let combined = combine(&secret, &scalar.diffie_hellman(&recipient.point), &share, &recipient.point).unwrap();
    let (cipher, nonce) = hpke(&combined);
    let argument = STANDARD_NO_PAD.encode([ciphertext.as_slice(), share.as_bytes()].concat());
    let sealed = |nonce: &Nonce, associated: &[u8]| {
        let mut body = FILE_KEY.to_vec();
        let tag = cipher.encrypt_in_place_detached(nonce, associated, &mut body).unwrap();
        body.extend_from_slice(&tag);
        opened(|stanza| (stanza.args[0], stanza.body) = (argument.clone(), body.clone()))
    };
    assert_eq!(sealed(&nonce, b""), Some(Ok(FILE_KEY)));
    assert_eq!(sealed(&nonce, b"age"), None);
    assert_eq!(sealed(&Nonce::default(), b""), None);
}

#[test]
fn a_stanza_of_another_sort_is_passed_over_and_one_against_the_rules_is_refused() {
    let argument = vector_stanza().args[0].clone();
    assert_eq!(opened(|stanza| stanza.tag = "X25519".to_owned()), None);
    assert_eq!(opened(|stanza| stanza.tag = "MLKEM768X25519".to_owned()), None);
    let with_arguments = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        opened(|stanza| stanza.args = arguments.clone())
    };
    let short = STANDARD_NO_PAD.encode([0; CIPHERTEXT + POINT - 1]);
    let long = STANDARD_NO_PAD.encode([0; CIPHERTEXT + POINT + 1]);
    let padded = format!("{}=", &argument[..ARGUMENT - 1]);
    // Of the last character the two highest bits count; the next one says the same where the others do not matter.
    let last = argument.bytes().last().unwrap();
    let not_canonical = format!("{}{}", &argument[..ARGUMENT - 1], char::from(last + 1));
    for arguments in [
        vec![],
        vec![argument.as_str(), "x"],
        vec![&argument, &argument],
        vec!["AAAA"],
        vec![&short],
        vec![&long],
        vec![&format!("{argument}==")],
        vec![&padded],
        vec![&not_canonical],
        vec![&format!("-{}", &argument[1..])],
        vec![&"A".repeat(48_000)],
    ] {
        assert_eq!(with_arguments(&arguments), Some(Err(())), "{} arguments", arguments.len());
    }
    for length in [0, 15, 16, 31, 33, 48] {
        assert_eq!(opened(|stanza| stanza.body = vec![0; length]), Some(Err(())), "a body of {length} bytes");
    }
}

#[test]
fn a_share_that_makes_the_secret_of_x25519_zero_is_refused() {
    let encapsulation = STANDARD_NO_PAD.decode(&vector_stanza().args[0]).unwrap();
    for point in recipient::tests::low_order_points() {
        let changed = [&encapsulation[..CIPHERTEXT], &point].concat();
        assert_eq!(opened(|stanza| stanza.args[0] = STANDARD_NO_PAD.encode(&changed)), Some(Err(())));
    }
}

#[test]
fn a_recipient_with_a_weak_point_is_refused() {
    for point in recipient::tests::low_order_points() {
        let bytes = [&recipient_bytes()[..ENCAPSULATION_KEY], &point].concat();
        assert_eq!(refused(&encoded(RECIPIENT_PREFIX, &bytes)), RecipientError::Weak);
    }
}

/// Shows why the check is needed: the crate reduces such coefficients and goes on.
#[test]
fn an_encapsulation_key_with_a_coefficient_that_is_not_reduced_is_refused() {
    const Q: u16 = 3329;
    for coefficient in [Q, Q + 1, 0xfff] {
        for at in [0, 3 * 127, ENCAPSULATION_KEY - 32 - 3] {
            let mut bytes = recipient_bytes();
            bytes[at] = coefficient as u8;
            bytes[at + 1] = bytes[at + 1] & 0xf0 | (coefficient >> 8) as u8;
            assert_eq!(refused(&encoded(RECIPIENT_PREFIX, &bytes)), RecipientError::Damaged, "{coefficient} at {at}");
            let key: &_ = bytes[..ENCAPSULATION_KEY].try_into().unwrap();
            assert_ne!(EncapsulationKey::<MlKem768Params>::from_bytes(key).as_bytes().as_slice(), &bytes[..ENCAPSULATION_KEY]);
        }
    }
}

#[test]
fn recipients_of_other_lengths_cases_and_checksums_are_refused() {
    let bytes = recipient_bytes();
    for changed in [&bytes[..1215], &bytes[..ENCAPSULATION_KEY], &[], &[bytes.as_slice(), &[0]].concat()] {
        assert_eq!(refused(&encoded(RECIPIENT_PREFIX, changed)), RecipientError::Damaged, "{} bytes", changed.len());
    }
    let text = RECIPIENT.trim();
    assert_eq!(refused(&text.to_uppercase()), RecipientError::UpperCase);
    assert_eq!(refused(&text.replacen('q', "Q", 1)), RecipientError::UpperCase);
    assert_eq!(refused(&text[..text.len() - 1]), RecipientError::Damaged);
    assert_eq!(refused(&text.replace(&text[1000..1010], "qqqqqqqqqq")), RecipientError::Damaged);
    assert_eq!(refused("age1pq1qqqq"), RecipientError::Damaged);
}

#[test]
fn identities_of_other_lengths_cases_and_checksums_are_refused() {
    let text = vector_line("identity: ");
    let other = |bytes: &[u8]| encoded(IDENTITY_PREFIX, bytes).to_uppercase();
    for length in [0, 16, 31, 33, 64] {
        assert_eq!(not_taken(&other(&vec![7; length])), IdentityProblem::Damaged, "{length} bytes");
    }
    assert!(identity::Identity::parse(&other(&[7; 32])).is_ok());
    assert_eq!(not_taken(&text.to_lowercase()), IdentityProblem::Case);
    assert_eq!(not_taken(&text.replace("HZLGZ", "HzLGZ")), IdentityProblem::Case);
    assert_eq!(not_taken(&text[..60]), IdentityProblem::Damaged);
    assert_eq!(not_taken(&text.replace("HZLGZ", "HZLGG")), IdentityProblem::Damaged);
}

#[test]
fn an_identity_whose_padding_bits_are_not_zero_is_refused_as_age_does() {
    let mut symbols: Vec<Fe32> = [7; SEED].into_iter().bytes_to_fes().collect();
    let text = |symbols: &[Fe32]| -> String {
        let checked = symbols.iter().copied().with_checksum::<Bech32>(&IDENTITY_PREFIX);
        checked.chars().collect::<String>().to_uppercase()
    };
    assert!(Identity::parse(&text(&symbols)).is_some());
    let last = symbols.last_mut().unwrap();
    *last = Fe32::try_from(last.to_u8() | 1).unwrap();
    assert!(Identity::parse(&text(&symbols)).is_none());
}
