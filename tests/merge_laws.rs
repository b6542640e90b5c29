//! Laws of merging: over random trees by name, over random encrypted files, and over what the real sops reads of these.
//!
//! Everything happens in the files: names that stand twice, comments, blank lines, lines that move. What is expected is worked out here
//! anew, from lines and how often they stand, without the order that the merge itself goes by.
//! `$DOTSOPS_DIFFERENTIAL` is ten times the number of files that sops is asked to read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dotsops::document::{EncryptedDocument, encrypt_new};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::ops::merge::items::{self, Merged};
use dotsops::ops::merge::marks::{CONFLICT, with_marks};
use dotsops::ops::merge::{self, Documents, Versions};
use dotsops::secret::{DataKey, SecretBytes};
use dotsops::tree::{Item, Mapping, Tree};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseError, TestRunner};
use proptest::{prop_assert, prop_assert_eq, prop_assume, proptest};
use time::UtcDateTime;

use crate::support::document::{decrypted, encrypted_again, keyring, lines, metadata, text_of, without_blank_lines};
use crate::support::random::number_from;
use crate::support::sandbox::RECIPIENT;
use crate::support::sops::Sops;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_every_line_the_side_that_changed_it_decides_and_a_conflict_has_both(files in versions()) {
        let expected = by_hand(&files);
        let (text, conflicts) = merged(&files);
        prop_assert_eq!(sorted(text.lines().filter(|line| !line.is_empty()).map(str::to_owned)), sorted(expected.lines));
        prop_assert_eq!(sorted(conflicts), sorted(expected.conflicts));
    }

    #[test]
    fn the_marks_above_a_conflict_have_both_sides_and_nothing_else_is_written(files in versions()) {
        let (text, conflicts) = merged(&files);
        let marked = marked(&files);
        prop_assert_eq!(marked.lines().filter(|line| !line.starts_with(CONFLICT)).collect::<Vec<_>>(), text.lines().collect::<Vec<_>>());
        let written: Vec<&str> = marked.lines().collect();
        let mut marks = Vec::new();
        for at in (0..written.len()).filter(|at| written[*at].starts_with("#!dotsops mine ")) {
            let (mine, theirs) = (written[at].trim_start_matches("#!dotsops mine "), written[at + 1].strip_prefix("#!dotsops theirs "));
            let name = name_of(written[at + 2]).to_owned();
            let side = |text: &str| (text != format!("{name} was removed")).then(|| text.to_owned());
            marks.push(Conflict { ours: side(mine), theirs: side(theirs.unwrap()), name });
        }
        prop_assert_eq!(written.iter().filter(|line| line.starts_with(CONFLICT)).count(), 2 * marks.len());
        prop_assert_eq!(marks, conflicts);
    }

    #[test]
    fn disjoint_edits_that_leave_the_order_commute(
        base in vec(prop_oneof![line_of(OURS), line_of(THEIRS), Just(String::new())], 0..10),
        ours in edits(OURS), theirs in edits(THEIRS),
    ) {
        let [ours, theirs] =
            [(ours, OURS), (theirs, THEIRS)].map(|(edits, own)| edited(&base, &edits, |line| is_of(line, own), false));
        let files = [tidy(&base), tidy(&ours), tidy(&theirs)];
        // Who removes a line and puts it in elsewhere has moved it.
        prop_assume!(leaves_the_order(&files[0], &files[1]) && leaves_the_order(&files[0], &files[2]));
        let [base, ours, theirs] = files.clone();
        let (text, conflicts) = merged(&files);
        let other = merged(&[base, theirs.clone(), ours.clone()]).0;
        prop_assert_eq!(content(&text), content(&other));
        prop_assert_eq!(conflicts, vec![]);
        for (side, own) in [(&ours, OURS), (&theirs, THEIRS)] {
            prop_assert_eq!(own_lines(&text, own), own_lines(side, own));
        }
    }

    #[test]
    fn disjoint_edits_that_move_lines_say_the_same_in_either_direction(
        base in vec(prop_oneof![line_of(OURS), line_of(THEIRS), Just(String::new())], 0..10),
        ours in edits(OURS), theirs in edits(THEIRS),
    ) {
        let [ours, theirs] =
            [(ours, OURS), (theirs, THEIRS)].map(|(edits, own)| edited(&base, &edits, |line| is_of(line, own), true));
        let [base, ours, theirs] = [tidy(&base), tidy(&ours), tidy(&theirs)];
        let (text, conflicts) = merged(&[base.clone(), ours.clone(), theirs.clone()]);
        let (other, _) = merged(&[base, theirs.clone(), ours.clone()]);
        prop_assert_eq!(conflicts, vec![]);
        prop_assert_eq!(sorted(content(&text)), sorted(content(&other)));
        for (side, own) in [(&ours, OURS), (&theirs, THEIRS)] {
            prop_assert_eq!(sorted(own_lines(&text, own)), sorted(own_lines(side, own)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of equal names the last counts for a program, whatever lines a side moved.
    #[test]
    fn which_of_equal_names_counts_is_the_same_in_either_direction(files in versions()) {
        let (text, conflicts) = merged(&files);
        let [base, ours, theirs] = files;
        let (other, _) = merged(&[base, theirs, ours]);
        let counts = |text: &str| -> BTreeMap<String, String> {
            let definitions = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            definitions.map(|line| (name_of(line).to_owned(), line.to_owned())).collect()
        };
        let (mut text, mut other) = (counts(&text), counts(&other));
        // Of those that nobody has decided, each side has its own.
        for conflict in conflicts {
            text.remove(&conflict.name);
            other.remove(&conflict.name);
        }
        prop_assert_eq!(text, other);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_merged_file_opens_with_what_was_merged_under_the_newest_key_and_keeps_every_token(
        files in versions(), keys in keys(), has_base in any::<bool>(),
    ) {
        let [base, ours, theirs] = encrypted(&files, keys);
        let known = if has_base { files.clone() } else { [String::new(), files[1].clone(), files[2].clone()] };
        let (bytes, conflicts) = merge_files(has_base.then_some(&*base), &ours, &theirs)?;
        let plaintext = String::from_utf8(decrypted(&bytes, &keyring()).unwrap()).unwrap();
        prop_assert_eq!(&plaintext, &marked(&known));
        prop_assert_eq!(conflicts, merged(&known).1.into_iter().map(|conflict| conflict.name).collect::<Vec<_>>());

        let [base_key, our_key, their_key] = keys;
        let is_theirs = has_base && our_key == base_key;
        let document = EncryptedDocument::new(Dotenv.parse(&bytes).unwrap()).ok().unwrap();
        let newest = if is_theirs { their_key } else { our_key };
        prop_assert!(document.is_key(&data_key(newest)), "it is not under key {}", newest);

        let has = |file: &[u8], line: &&[u8]| data_lines(file).contains(line);
        let count = |text: &str, line: &str| text.lines().filter(|other| *other == line).count();
        let written = tokens(&bytes, &plaintext);
        prop_assert_eq!(written.iter().map(|(_, token)| token).collect::<BTreeSet<_>>().len(), written.len());
        if our_key == their_key {
            for (line, token) in tokens(&ours, &files[1]) {
                let is_unchanged = has(&theirs, &token) && (!has_base || has(&base, &token));
                let is_kept = !is_unchanged || count(&plaintext, line) < count(&files[1], line) || has(&bytes, &token);
                prop_assert!(is_kept, "{line} lost its token");
            }
            // Nothing is encrypted anew that stands encrypted on a side.
            let of_sides: BTreeSet<_> = [tokens(&ours, &files[1]), tokens(&theirs, &files[2])].concat().into_iter().collect();
            for (line, _) in &written {
                let there = of_sides.iter().filter(|(other, _)| other == line).count();
                let kept = written.iter().filter(|known| known.0 == *line && of_sides.contains(known)).count();
                prop_assert_eq!(kept, there.min(count(&plaintext, line)), "{} has a new token", line);
            }
        } else {
            let (carrier, said) = if is_theirs { (&theirs, &files[2]) } else { (&ours, &files[1]) };
            for (line, token) in tokens(carrier, said) {
                let is_kept = count(&plaintext, line) < count(said, line) || has(&bytes, &token);
                prop_assert!(is_kept, "{line} lost the token of the newest key");
            }
        }
    }

    #[test]
    fn an_unchanged_encrypted_side_gives_way_to_the_other_token_by_token(files in versions(), has_new_key in any::<bool>()) {
        let [a, b, _] = encrypted(&files, [1, if has_new_key { 2 } else { 1 }, 1]);
        for (ours, theirs) in [(&a, &b), (&b, &a), (&b, &b)] {
            let (bytes, conflicts) = merge_files(Some(&a), ours, theirs)?;
            prop_assert_eq!(data_lines(&bytes), data_lines(&b));
            prop_assert_eq!(decrypted(&bytes, &keyring()).unwrap(), files[1].as_bytes());
            prop_assert_eq!(conflicts, Vec::<String>::new());
        }
    }
}

#[test]
fn sops_reads_what_was_merged() {
    let Some(sops) = Sops::find() else { return };
    let cases = number_from("DOTSOPS_DIFFERENTIAL").map_or(30, |number| number / 10) as u32;
    let config = ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::default() };
    let law = |(files, keys): ([String; 3], [u8; 3])| {
        let [base, ours, theirs] = encrypted(&files, keys);
        let (bytes, _) = merge_files(Some(&base), &ours, &theirs)?;
        let read = sops.decrypt(&bytes).map_err(TestCaseError::fail)?;
        prop_assert_eq!(
            String::from_utf8(read).unwrap(),
            String::from_utf8(without_blank_lines(marked(&files).as_bytes())).unwrap()
        );
        Ok(())
    };
    TestRunner::new(config).run(&(versions(), keys()), law).unwrap();
}

/// A conflict as lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Conflict {
    name: String,
    ours: Option<String>,
    theirs: Option<String>,
}

/// What a merge has to say, in any order and without blank lines.
#[derive(Default)]
struct Expected {
    lines: Vec<String>,
    conflicts: Vec<Conflict>,
}

/// Whether the lines that are in both stand in one order.
fn leaves_the_order(base: &str, side: &str) -> bool {
    let (base, side) = (signs(base), signs(side));
    let in_both = |signs: &[Sign<'_>], other: &[Sign<'_>]| signs.iter().filter(|sign| other.contains(sign)).count();
    let mut rest = base.iter();
    in_both(&base, &side) == side.iter().filter(|sign| base.contains(sign) && rest.any(|other| other == *sign)).count()
}

/// What a line is known by, its name, or a comment by its text, and how often that stood before.
type Sign<'a> = (&'a str, usize);

fn signs(text: &str) -> Vec<Sign<'_>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let lines = text.lines().filter(|line| !line.is_empty());
    let signs = lines.map(|line| {
        let times = seen.entry(name_of(line)).or_default();
        *times += 1;
        (name_of(line), *times)
    });
    signs.collect()
}

/// Of every line the side that changed it decides.
fn by_hand(files: &[String; 3]) -> Expected {
    let known = |text| signs(text).into_iter().zip(text.lines().filter(|line| !line.is_empty())).collect::<BTreeMap<_, _>>();
    let [base, ours, theirs] = files.each_ref().map(|text| known(text.as_str()));
    let mut expected = Expected::default();
    for sign in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let [base, ours, theirs] = [&base, &ours, &theirs].map(|side| side.get(sign).map(|line| (*line).to_owned()));
        let stays = match (ours == theirs || theirs == base, ours == base) {
            (true, _) => ours,
            (_, true) => theirs,
            _ => {
                expected.conflicts.push(Conflict { name: sign.0.to_owned(), ours: ours.clone(), theirs: theirs.clone() });
                ours.or(theirs)
            }
        };
        expected.lines.extend(stays);
    }
    expected
}

/// What a line is known by: its name, or the whole comment.
fn name_of(line: &str) -> &str {
    if line.starts_with('#') {
        return line;
    }
    line.strip_prefix("export ").unwrap_or(line).split('=').next().unwrap()
}

fn tree(text: &str) -> Tree {
    Dotenv.parse(text.as_bytes()).unwrap().tree
}

fn text(tree: &Tree) -> String {
    String::from_utf8(Dotenv.emit(tree, None, None).unwrap().expose().to_vec()).unwrap()
}

/// What the trees of base, ours and theirs are merged to.
fn merged(files: &[String; 3]) -> (String, Vec<Conflict>) {
    let Merged { tree, conflicts } = merge_trees(files);
    let line = |item: Item| text(&Tree::of(Mapping { items: vec![item] })).trim_end_matches('\n').to_owned();
    let conflicts = conflicts.into_iter().map(|conflict| Conflict {
        name: conflict.name,
        ours: conflict.ours.map(line),
        theirs: conflict.theirs.map(line),
    });
    (text(&tree), conflicts.collect())
}

/// The same with marks above the conflicts.
fn marked(files: &[String; 3]) -> String {
    text(&with_marks(merge_trees(files), &Dotenv).unwrap())
}

fn merge_trees(files: &[String; 3]) -> Merged {
    let [base, ours, theirs] = files.each_ref().map(|text| tree(text));
    items::merge(items::Versions { base: &base, ours: &ours, theirs: &theirs })
}

/// Encrypts base, ours and theirs under the keys of these numbers. A side under the key of the base keeps its tokens.
fn encrypted(files: &[String; 3], keys: [u8; 3]) -> [Vec<u8>; 3] {
    let under = |plaintext: &str, key| {
        let mut metadata = metadata(&[RECIPIENT], None, false);
        metadata.wrap_data_key(&data_key(key), &keyring()).unwrap();
        let now = UtcDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        text_of(&encrypt_new(&tree(plaintext), metadata, &data_key(key), now).ok().unwrap())
    };
    let base = under(&files[0], keys[0]);
    let side = |at: usize| match keys[at] == keys[0] {
        true => {
            let document = EncryptedDocument::new(Dotenv.parse(&base).unwrap()).ok().unwrap();
            encrypted_again(&mut document.open_with(data_key(keys[0])).ok().unwrap(), &tree(&files[at]))
        }
        false => under(&files[at], keys[at]),
    };
    let (ours, theirs) = (side(1), side(2));
    [base, ours, theirs]
}

fn data_key(number: u8) -> DataKey {
    DataKey::from_slice(&[number; 32]).unwrap()
}

fn merge_files(base: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> Result<(Vec<u8>, Vec<String>), TestCaseError> {
    let fail = |error: &dyn std::error::Error| TestCaseError::fail(error.to_string());
    let versions = Versions { base, ours, theirs };
    let (documents, format) = Documents::open(Path::new("secrets.env"), &versions, &keyring()).map_err(|error| fail(&error))?;
    let now = UtcDateTime::from_unix_timestamp(1_900_000_000).unwrap();
    let merged =
        merge::merge(documents, &SecretBytes::copy_of(ours), format, &keyring(), &[], now).map_err(|error| fail(&error))?;
    Ok((merged.bytes.expose().to_vec(), merged.conflicts))
}

/// The lines above the metadata.
fn data_lines(file: &[u8]) -> Vec<&[u8]> {
    lines(file).into_iter().take_while(|line| !line.starts_with(b"sops_")).collect()
}

/// The lines of `plaintext` that are encrypted, each with its line in `file`.
fn tokens<'a>(file: &'a [u8], plaintext: &'a str) -> Vec<(&'a str, &'a [u8])> {
    plaintext.lines().zip(data_lines(file)).filter(|(line, token)| line.as_bytes() != *token).collect()
}

/// The numbers of the keys of base, ours and theirs: none was rotated, theirs, ours, or both.
fn keys() -> impl Strategy<Value = [u8; 3]> {
    prop_oneof![3 => Just([1, 1, 1]), 1 => Just([1, 1, 2]), 1 => Just([1, 2, 1]), 1 => Just([1, 2, 3])]
}

/// Base, ours and theirs: edits of one file, or three that have little to do with each other.
fn versions() -> impl Strategy<Value = [String; 3]> {
    let file = || vec(line(), 0..9);
    let edits = || vec(edit(line().boxed()), 0..6);
    let of_one_file = (file(), edits(), edits()).prop_map(|(base, ours, theirs)| {
        let [ours, theirs] = [ours, theirs].map(|edits| edited(&base, &edits, |_| true, true));
        [base, ours, theirs]
    });
    prop_oneof![3 => of_one_file, 1 => [file(), file(), file()]].prop_map(|files| files.map(|lines| tidy(&lines)))
}

fn line() -> impl Strategy<Value = String> {
    let names = &["A", "B", "C", "export C", "PORT_unencrypted"];
    let entry = (select(names.as_slice()), select(["", "1", "2", "3", "x\\ny", "#"].as_slice()));
    prop_oneof![5 => entry.prop_map(|(name, value)| format!("{name}={value}")), 2 => "# [a-c]", 1 => Just(String::new())]
}

/// Names, and the comments, that only one side touches.
type Own = (&'static [&'static str], &'static [&'static str]);
const OURS: Own = (&["A", "B", "export C", "OURS"], &["# a", "# b"]);
const THEIRS: Own = (&["D", "E", "export F", "THEIRS"], &["# d", "# e"]);

fn line_of((names, comments): Own) -> impl Strategy<Value = String> {
    let entry = (select(names), "[1-3]").prop_map(|(name, value)| format!("{name}={value}"));
    prop_oneof![4 => entry, 1 => select(comments).prop_map(str::to_owned)]
}

fn is_of(line: &str, (names, comments): Own) -> bool {
    comments.contains(&line) || names.contains(&line.split('=').next().unwrap())
}

/// Without blank lines. One is known by the line above it, so whoever removes or moves that line moves it as well.
fn content(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

fn own_lines(text: &str, own: Own) -> Vec<String> {
    text.lines().filter(|line| is_of(line, own)).map(str::to_owned).collect()
}

/// One change of a file. The places are among the lines that one may touch, and among all.
#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, String),
    Remove(Index),
    Replace(Index, String),
    Move(Index, Index),
}

fn edit(line: BoxedStrategy<String>) -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<Index>(), line.clone()).prop_map(|(at, line)| Edit::Insert(at, line)),
        any::<Index>().prop_map(Edit::Remove),
        (any::<Index>(), line).prop_map(|(at, line)| Edit::Replace(at, line)),
        any::<[Index; 2]>().prop_map(|[from, to]| Edit::Move(from, to)),
    ]
}

/// Edits that put in lines of one side, and blank ones.
fn edits(own: Own) -> impl Strategy<Value = Vec<Edit>> {
    vec(prop_oneof![6 => edit(line_of(own).boxed()), 1 => any::<Index>().prop_map(|at| Edit::Insert(at, String::new()))], 0..6)
}

fn edited(base: &[String], edits: &[Edit], may_touch: impl Fn(&str) -> bool, may_move: bool) -> Vec<String> {
    let mut lines = base.to_vec();
    for edit in edits {
        let own: Vec<usize> = (0..lines.len()).filter(|at| may_touch(&lines[*at])).collect();
        match edit {
            Edit::Insert(at, line) => lines.insert(at.index(lines.len() + 1), line.clone()),
            _ if own.is_empty() => {}
            Edit::Remove(at) => drop(lines.remove(*at.get(&own))),
            Edit::Replace(at, line) => lines[*at.get(&own)].clone_from(line),
            Edit::Move(from, to) if may_move => {
                let line = lines.remove(*from.get(&own));
                lines.insert(to.index(lines.len() + 1), line);
            }
            Edit::Move(..) => {}
        }
    }
    lines
}

/// Without blank lines at the end, which the format drops at times.
fn tidy(lines: &[String]) -> String {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let end = text.trim_end_matches('\n').len();
    if end == 0 { String::new() } else { format!("{}\n", &text[..end]) }
}

fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    all.sort();
    all
}
