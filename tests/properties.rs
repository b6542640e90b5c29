//! Laws over random documents, by the library alone.

use std::collections::HashMap;
use std::sync::LazyLock;

use dotsops::crypto::Token;
use dotsops::document::{DecryptError, DecryptedDocument, EncryptedDocument, encrypt_new};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::keys::group::KeyGroup;
use dotsops::keys::{Kind, new_master_key};
use dotsops::ops::file::OpenedFile;
use dotsops::ops::rewrap::EncryptedFile;
use dotsops::secret::{DataKey, SecretBytes};
use dotsops::sys::regular_file::FileBytes;
use dotsops::tree::{Item, Tree};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, prop_assert_ne, prop_assume, proptest};
use time::UtcDateTime;

use dotsops::document::selection::SelectionOption;

use crate::support::document::{lines, metadata, text_of, with_value};
use crate::support::groups::{Person, people};
use crate::support::sandbox::RECIPIENT;

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wrapping_for_others_changes_no_value_and_no_token(
        plaintext in document(), rule in rule(), before in groups(), after in groups(),
    ) {
        let key = DataKey::from_slice(&KEY).unwrap();
        let mut metadata = metadata(&[RECIPIENT], rule.0, rule.1);
        (metadata.key_groups, metadata.shamir_threshold) = key_groups(&before);
        let everybody = crate::support::groups::keyring(&EVERYBODY.each_ref());
        metadata.wrap_data_key(&key, &everybody).unwrap();
        let now = UtcDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let file = text_of(&encrypt_new(&Dotenv.parse(&plaintext).unwrap().tree, metadata, &key, now).ok().unwrap());

        let unlocked = EncryptedFile::of(read(&file)).ok().unwrap().unlock(&everybody).ok().unwrap();
        let (groups, threshold) = key_groups(&after);
        let rewrapped = unlocked.wrap_for(groups, threshold, &everybody).ok().unwrap();
        let again = rewrapped.bytes.expose();
        prop_assert!(rewrapped.opens);
        prop_assert_eq!(all_but_keys(again), all_but_keys(&file));
        prop_assert_eq!(decrypted(again).ok().unwrap(), plaintext);
        prop_assert!(EncryptedFile::of(read(again)).ok().unwrap().unlock(&everybody).is_ok());
    }
}

/// Three people who share everything that key groups can be made of.
static EVERYBODY: LazyLock<[Person; 3]> = LazyLock::new(|| people(["alice", "bob", "carol"]));

/// Who of [`EVERYBODY`] is in each group, and how many groups are needed.
fn groups() -> impl Strategy<Value = (Vec<Vec<usize>>, u32)> {
    vec(vec(0..3usize, 1..3), 1..5).prop_flat_map(|groups| {
        let most = groups.len() as u32;
        let threshold = if most > 1 { prop_oneof![1 => Just(0), 3 => 2..=most].boxed() } else { Just(0).boxed() };
        (Just(groups), threshold)
    })
}

fn key_groups((groups, threshold): &(Vec<Vec<usize>>, u32)) -> (Vec<KeyGroup>, u32) {
    let key = |at: &usize| new_master_key(Kind::Age, &EVERYBODY[*at].recipient).unwrap();
    (groups.iter().map(|group| KeyGroup { keys: group.iter().map(key).collect() }).collect(), *threshold)
}

/// `file` as it would have been read from a disk.
fn read(file: &[u8]) -> OpenedFile {
    let snapshot = FileBytes {
        bytes: SecretBytes::copy_of(file),
        path: "/work/secrets.env".into(),
        mode: 0o644,
        owner: 0,
        is_mine: true,
        links: 1,
        device: 0,
        inode: 0,
        through_link: false,
    };
    OpenedFile { path: "secrets.env".into(), snapshot, format: &Dotenv, contents: Dotenv.parse(file).unwrap() }
}

fn all_but_keys(file: &[u8]) -> Vec<&[u8]> {
    let wrapped: [&[u8]; 3] = [b"sops_age__", b"sops_key_groups__", b"sops_shamir_threshold="];
    lines(file).into_iter().filter(|line| !wrapped.iter().any(|start| line.starts_with(start))).collect()
}

/// How a document is encrypted.
type Rule = (Option<(SelectionOption, &'static str)>, bool);

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decrypting_what_was_encrypted_gives_it_back(plaintext in document(), rule in rule()) {
        let file = encrypted(&plaintext, rule);
        prop_assert_eq!(decrypted(&file).ok().unwrap(), plaintext);
        let contents = Dotenv.parse(&file).unwrap();
        prop_assert_eq!(text_of(&contents), file);
    }

    #[test]
    fn one_flipped_bit_in_a_token_never_yields_another_plaintext(
        plaintext in document(), rule in rule(), token in any::<Index>(), byte in any::<Index>(), bit in 0..8u8,
    ) {
        let file = encrypted(&plaintext, rule);
        let mut changed: Vec<Vec<u8>> = lines(&file).into_iter().map(<[u8]>::to_vec).collect();
        let tokens: Vec<usize> = (0..changed.len()).filter(|at| token_of(&changed[*at]).is_some()).collect();
        let at = *token.get(&tokens);
        let start = changed[at].len() - value_of(&changed[at]).len();
        let byte = start + byte.index(changed[at].len() - start);
        changed[at][byte] ^= 1 << bit;
        prop_assume!(changed[at][byte] != b'\n');

        if let Ok(read) = decrypted(&joined(&changed)) {
            // A comment that does not open stays as it stands, which is no plaintext either.
            let (read, plaintext) = (lines(&read), lines(&plaintext));
            prop_assert_eq!(read.len(), plaintext.len());
            for (n, (read, plain)) in read.iter().zip(&plaintext).enumerate() {
                prop_assert!(read == plain || (n == at && read.starts_with(b"#") && *read == changed[at]), "line {}", n + 1);
            }
        }
    }

    #[test]
    fn editing_one_value_changes_its_token_the_mac_and_the_date(
        plaintext in document(), rule in rule(), place in any::<Index>(), value in value(),
    ) {
        let file = encrypted(&plaintext, rule);
        let mut document = opened(&file).ok().unwrap();
        let entries = entries(&document.tree);
        prop_assume!(!entries.is_empty());
        let at = *place.get(&entries);
        let Item::Entry(_, old) = &document.tree.first()[at] else { unreachable!() };
        prop_assume!(old.as_text() != Some(&value));
        let edited = with_value(&mut document, at, &value);
        prop_assert_eq!(changed_lines(&file, &edited)?, [at, mac_line(&file) - 1, mac_line(&file)]);
        prop_assert!(decrypted(&edited).is_ok());
    }

    #[test]
    fn inserting_and_removing_lines_changes_no_token_of_the_others(
        plaintext in document(), rule in key_rule(), place in any::<Index>(), more in document(),
    ) {
        let file = encrypted(&plaintext, rule);
        let mut document = opened(&file).ok().unwrap();
        let mut all: Vec<&[u8]> = lines(&plaintext);
        let at = place.index(all.len() + 1);
        all.splice(at..at, lines(&more));
        let tree = Dotenv.parse(&joined(&all)).unwrap().tree;
        let longer = encrypted_again(&mut document, &tree);
        // Which of two equal lines is the new one nobody can tell; so: all old lines are there, in their order, and `more` besides.
        prop_assert_eq!(mac_line(&longer), mac_line(&file) + lines(&more).len());
        prop_assert!(is_subsequence(&data_lines(&file), &data_lines(&longer)));

        let mut document = opened(&longer).ok().unwrap();
        let shorter = encrypted_again(&mut document, &Dotenv.parse(&plaintext).unwrap().tree);
        prop_assert_eq!(mac_line(&shorter), mac_line(&file));
        prop_assert!(is_subsequence(&data_lines(&shorter), &data_lines(&longer)));
    }

    #[test]
    fn no_nonce_repeats_for_a_different_value(plaintext in document(), rule in rule(), edits in vec((any::<Index>(), value()), 1..6)) {
        let mut seen = HashMap::new();
        let mut file = encrypted(&plaintext, rule);
        note_nonces(&file, &mut seen)?;
        for (place, value) in edits {
            let mut document = opened(&file).ok().unwrap();
            let entries = entries(&document.tree);
            if !entries.is_empty() {
                file = with_value(&mut document, *place.get(&entries), &value);
                note_nonces(&file, &mut seen)?;
            }
        }
    }

    #[test]
    fn equal_lines_keep_their_own_different_tokens(
        value in value(), times in 2..6usize, edited in any::<Index>(), new in value(), mac_only in any::<bool>(),
    ) {
        prop_assume!(!value.is_empty() && new != value);
        let line = [b"A=".as_slice(), &escaped(&value), b"\n"].concat();
        let file = encrypted(&line.repeat(times), (None, mac_only));
        let tokens: Vec<&[u8]> = lines(&file)[..times].to_vec();
        for (n, token) in tokens.iter().enumerate() {
            prop_assert!(!tokens[..n].contains(token), "equal lines have equal tokens");
        }
        let at = edited.index(times);
        let after = with_value(&mut opened(&file).ok().unwrap(), at, &new);
        prop_assert_eq!(changed_lines(&file, &after)?[0], at);
        prop_assert_eq!(changed_lines(&file, &after)?.len(), 3);
    }

    #[test]
    fn a_value_moved_to_another_key_is_refused(one in value(), other in value(), comment in value(), mac_only in any::<bool>()) {
        prop_assume!(!one.is_empty() && !other.is_empty() && !comment.is_empty());
        let plaintext = [b"A=".as_slice(), &escaped(&one), b"\nB=", &escaped(&other), b"\n#", &escaped(&comment), b"\n"].concat();
        let file = encrypted(&plaintext, (None, mac_only));
        let with = |at: usize, value: &[u8]| {
            let mut changed: Vec<Vec<u8>> = lines(&file).into_iter().map(<[u8]>::to_vec).collect();
            let start = changed[at].len() - value_of(&changed[at]).len();
            changed[at].truncate(start);
            changed[at].extend_from_slice(value);
            joined(&changed)
        };
        for (to, from) in [(0, 1), (1, 0), (0, 2), (1, 2)] {
            let moved = with(to, value_of(lines(&file)[from]));
            let error = decrypted(&moved).err().unwrap();
            let name = if to == 0 { "A" } else { "B" };
            prop_assert!(matches!(&error, DecryptError::NotAuthentic { key } if key.as_bytes() == name.as_bytes()), "{error}");
        }
        // Both at once, which the MAC alone would not see if the values were the same.
        let renamed: Vec<Vec<u8>> = lines(&file).into_iter().map(|line| match line {
            [b'A', rest @ ..] => [b"B", rest].concat(),
            [b'B', rest @ ..] => [b"A", rest].concat(),
            line => line.to_vec(),
        }).collect();
        prop_assert!(is_not_authentic(&joined(&renamed)));
        let of_another_file = encrypted_with(&plaintext, (None, mac_only), OTHER_KEY);
        let taken = with(0, value_of(lines(&of_another_file)[0]));
        prop_assert!(is_not_authentic(&taken));
        prop_assert_ne!(value_of(lines(&file)[0]), value_of(lines(&of_another_file)[0]));
    }
}

const KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];

fn document() -> impl Strategy<Value = Vec<u8>> {
    let name = select(["A", "A", "B", "API_KEY", "export C", "PORT_unencrypted", "k v", "", "ü"].as_slice());
    let entry = (name, value()).prop_map(|(name, value)| [name.as_bytes(), b"=", &escaped(&value)].concat());
    let comment = value().prop_map(|text| [b"#".as_slice(), &escaped(&text)].concat());
    let line = prop_oneof![1 => Just(Vec::new()), 2 => comment, 6 => entry];
    vec(line, 0..8).prop_map(|lines| joined(&lines))
}

/// Any bytes but those that dotenv has no form for: a backslash followed by n.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let text = select(["", "hunter2", "\n", "\\", "\"", "#", "=", "public", "ENC[AES256_GCM,", "5", "\r"].as_slice());
    let piece = prop_oneof![4 => text.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..6)];
    vec(piece, 0..4).prop_map(|pieces| unescaped(&pieces.concat()))
}

fn key_rule() -> impl Strategy<Value = Rule> {
    use SelectionOption::{EncryptedRegex, EncryptedSuffix, UnencryptedRegex, UnencryptedSuffix};
    let rules = [
        None,
        Some((UnencryptedSuffix, "B")),
        Some((EncryptedSuffix, "A")),
        Some((UnencryptedRegex, "^A")),
        Some((EncryptedRegex, "A")),
    ];
    (select(rules.to_vec()), any::<bool>())
}

fn rule() -> impl Strategy<Value = Rule> {
    use SelectionOption::{EncryptedCommentRegex, UnencryptedCommentRegex};
    let rules = vec![Some((EncryptedCommentRegex, "public")), Some((UnencryptedCommentRegex, "public"))];
    prop_oneof![3 => key_rule(), 1 => (select(rules), any::<bool>())]
}

fn encrypted(plaintext: &[u8], rule: Rule) -> Vec<u8> {
    encrypted_with(plaintext, rule, KEY)
}

fn encrypted_with(plaintext: &[u8], (selection, mac_only): Rule, key: [u8; 32]) -> Vec<u8> {
    let tree = Dotenv.parse(plaintext).unwrap().tree;
    let now = UtcDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    let metadata = metadata(&[RECIPIENT], selection, mac_only);
    text_of(&encrypt_new(&tree, metadata, &DataKey::from_slice(&key).unwrap(), now).ok().unwrap())
}

fn encrypted_again(document: &mut DecryptedDocument, tree: &Tree) -> Vec<u8> {
    crate::support::document::encrypted_again(document, tree)
}

fn opened(file: &[u8]) -> Result<DecryptedDocument, DecryptError> {
    let Ok(contents) = Dotenv.parse(file) else { return Err(DecryptError::NoMac) };
    let Ok(document) = EncryptedDocument::new(contents) else { return Err(DecryptError::NoMac) };
    document.open_with(DataKey::from_slice(&KEY).unwrap())
}

fn decrypted(file: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let tree = opened(file)?.tree;
    Ok(Dotenv.emit(&tree, None, None).unwrap().expose().to_vec())
}

fn is_not_authentic(file: &[u8]) -> bool {
    matches!(decrypted(file), Err(DecryptError::NotAuthentic { .. }))
}

fn entries(tree: &Tree) -> Vec<usize> {
    let items = tree.first();
    (0..items.len()).filter(|at| matches!(items[*at], Item::Entry(..))).collect()
}

/// Every nonce of `file`, with what stands in its line: the name and the plaintext, or for the MAC its date and the plaintext of all.
fn note_nonces(file: &[u8], seen: &mut HashMap<Vec<u8>, Vec<u8>>) -> Result<(), TestCaseError> {
    let plaintext = decrypted(file).ok().unwrap();
    for (n, line) in lines(file).into_iter().enumerate() {
        if let Some(token) = token_of(line) {
            let holds = lines(&plaintext).get(n).map_or_else(|| plaintext.clone(), |line| line.to_vec());
            let before = seen.insert(token.nonce, holds.clone());
            prop_assert!(before.is_none_or(|before| before == holds), "line {} has the nonce of another value", n + 1);
        }
    }
    Ok(())
}

fn changed_lines(before: &[u8], after: &[u8]) -> Result<Vec<usize>, TestCaseError> {
    let (before, after) = (lines(before), lines(after));
    prop_assert_eq!(before.len(), after.len());
    Ok((0..before.len()).filter(|at| before[*at] != after[*at]).collect())
}

/// The lines above the date, which stands above the MAC.
fn data_lines(file: &[u8]) -> Vec<&[u8]> {
    lines(file)[..mac_line(file) - 1].to_vec()
}

fn is_subsequence(short: &[&[u8]], long: &[&[u8]]) -> bool {
    let mut rest = long.iter();
    short.iter().all(|line| rest.any(|other| other == line))
}

/// The line of the MAC; the one above it is the date.
fn mac_line(file: &[u8]) -> usize {
    lines(file).iter().position(|line| line.starts_with(b"sops_mac=")).unwrap()
}

fn token_of(line: &[u8]) -> Option<Token> {
    Token::parse(value_of(line)).ok()
}

/// What stands behind the first `=`, or behind the `#`.
fn value_of(line: &[u8]) -> &[u8] {
    match line {
        [b'#', text @ ..] => text,
        _ => line.iter().position(|byte| *byte == b'=').map_or(&[], |equals| &line[equals + 1..]),
    }
}

fn joined<L: AsRef<[u8]>>(lines: &[L]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_ref(), b"\n"].concat()).collect()
}

fn escaped(value: &[u8]) -> Vec<u8> {
    value.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(b"\\n".as_slice())
}

/// `value` without a backslash followed by n, which would read back as a line break.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut clean = Vec::new();
    for byte in value {
        let byte = if *byte == b'n' && clean.last() == Some(&b'\\') { b'm' } else { *byte };
        clean.push(byte);
    }
    clean
}
