use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::tree::Element;

/// Written by sops 3.13.2 for a throwaway key.
const KNOWN: &str = r"#ENC[AES256_GCM,data:Sk4YYrE=,iv:1IGsqfNQ0HleKgAPxtPNtrupnGm+ueZl4p/yInCdnIE=,tag:x511v+eAknHIhdBM/vbAzg==,type:comment]
URL=ENC[AES256_GCM,data:i3UONfsUubj+IaoyXBs=,iv:BC+5c1s46lOHiyvxmYJxUfvxV3cURMvI0YgXj8BP0nk=,tag:Mh/LL9kJjgx03dmSM9OZqQ==,type:str]
PEM=ENC[AES256_GCM,data:tvPae2y2iw==,iv:xpukPtuMBDelqJbzCZK2Dr4TYkwISzAlle64bu8bsDM=,tag:MumCWJJ1jOlreMeMsHXO0A==,type:str]
EMPTY=
MODE_unencrypted=dev
sops_age__list_0__map_enc=-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBtVmo1VzhnelQ4Rzl6QjM1\nTXRraUkvTEdVN3hxSUlCUXRLR2NZUklsMXd3CmNJVUlJbEtpWHM4LzY0dWE3TGYy\nT0piT2pKUzdBalM0aUdIeXNCcGduWmsKLS0tIDB2RjUzT0RhbGEyV09DSjN0Qm5O\nem00QzQ3TEVJemw5QkJzVWxVQjg3NGcKWo4gBKmBuAO1CnJAxMSRwwl6yuYXhyUA\naNezu7mU2xlxds8VkJojny0jONhu2gvIMBJ/uiT23AkTjIdkkr59Xg==\n-----END AGE ENCRYPTED FILE-----\n
sops_age__list_0__map_recipient=age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w
sops_lastmodified=2026-11-22T02:47:38Z
sops_mac=ENC[AES256_GCM,data:ugcdxdItesiiWx/j+7rIkxeWTVvhv8PrzaSlSA2kHEDlTX4Sr3C1rj+g3jYpi+/tuKGr7FLC+ngNUGG9CUBwkaRUix0zsbvhzofZoDpw+MYncAheY/vtO16+z6CMAaq7GdBHyjHNgFe4nrrHsMbcdlhTs6fnUw8zoScG65gOK3A=,iv:0rj8lqAg9Kk2p7wkABxU99Nomn361hsfiZ3Spj8Q+OU=,tag:nLiBb0ANITsSVhygGVYU0g==,type:str]
sops_unencrypted_suffix=_unencrypted
sops_version=3.13.2
";

fn parse(text: &[u8]) -> Contents {
    Dotenv.parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn emit(contents: &Contents) -> Vec<u8> {
    let text = Dotenv.emit(&contents.tree, contents.metadata.as_ref(), None).unwrap_or_else(|error| panic!("{error}"));
    text.expose().to_vec()
}

fn round_trip(text: &[u8]) -> Vec<u8> {
    emit(&parse(text))
}

/// The items as `key=value`, `#text` or nothing, with line breaks as they are in the tree.
fn described(contents: &Contents) -> Vec<String> {
    let describe = |item: &Item| match item {
        Item::Entry(key, value) => [key.as_bytes(), b"=", value.as_text().unwrap()].concat(),
        Item::Comment(comment) => [b"#", comment.text.expose()].concat(),
        Item::BlankLine => Vec::new(),
    };
    contents.tree.first().iter().map(|item| String::from_utf8_lossy(&describe(item)).into_owned()).collect()
}

fn with_entry(key: &str, value: Value) -> Contents {
    let mut mapping = Mapping::default();
    mapping.push(key, value);
    Contents { tree: Tree::of(mapping), metadata: None }
}

fn refusal(contents: &Contents) -> EmitError {
    Dotenv.emit(&contents.tree, contents.metadata.as_ref(), None).err().expect("it should have been refused")
}

#[test]
fn the_known_file_is_read_and_written_byte_for_byte() {
    let contents = parse(KNOWN.as_bytes());
    let keys: Vec<String> = described(&contents).iter().map(|line| line.chars().take(12).collect()).collect();
    assert_eq!(keys, ["#ENC[AES256_", "URL=ENC[AES2", "PEM=ENC[AES2", "EMPTY=", "MODE_unencry"]);

    let metadata = contents.metadata.as_ref().unwrap();
    let text = |name: &str| metadata.get(name).and_then(Value::as_text).unwrap();
    assert_eq!(text("version"), b"3.13.2");
    assert_eq!(text("lastmodified"), b"2026-11-22T02:47:38Z");
    assert_eq!(text("unencrypted_suffix"), b"_unencrypted");
    assert!(text("mac").starts_with(b"ENC[AES256_GCM,data:ugcdxdIt"));
    let Some(Value::List(age)) = metadata.get("age") else { panic!("age is a list") };
    let [Element::Value(Value::Mapping(age))] = age.as_slice() else { panic!("with one mapping") };
    let wrapped = age.get("enc").and_then(Value::as_text).unwrap();
    assert!(wrapped.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl"));
    assert!(wrapped.ends_with(b"\n-----END AGE ENCRYPTED FILE-----\n"));

    assert_eq!(emit(&contents), KNOWN.as_bytes());
}

#[test]
fn lines_are_read_as_sops_reads_them() {
    let cases: [(&[u8], &str, &[u8]); 12] = [
        (b"A=1", "A", b"1"),
        (b"B = x ", "B ", b" x "),
        (b"export C=\"q\"", "export C", b"\"q\""),
        (b"D=", "D", b""),
        (b"E=a=b", "E", b"a=b"),
        (b"=v", "", b"v"),
        (b"  # t=1", "  # t", b"1"),
        (br"F=a\nb", "F", b"a\nb"),
        (br"G=c:\new", "G", b"c:\new"),
        (b"H=x\r", "H", b"x\r"),
        (br"K\n=z", r"K\n", b"z"),
        (b"\xef\xbb\xbfBOM=1", "\u{feff}BOM", b"1"),
    ];
    for (line, key, value) in cases {
        let contents = parse(line);
        let [Item::Entry(read_key, read_value)] = contents.tree.first() else { panic!("{key}: one entry") };
        assert_eq!((read_key, read_value.as_text().unwrap()), (&Key::from(key), value));
        assert_eq!(emit(&contents), [line, b"\n"].concat(), "{key}");
    }
    assert_eq!(Dotenv.parse(b"A=1\n\r\nB=2\n").err(), Some(ParseError::NoEquals { line: 2 }));
}

#[test]
fn the_key_sops_and_other_spellings_of_the_prefix_are_data() {
    let contents = parse(b"sops=1\nSOPS_x=2\nexport sops_x=3\n sops_x=4\n#sops_x=5\nsops-x=6\n");
    assert!(contents.metadata.is_none());
    assert_eq!(contents.tree.first().len(), 6);
}

#[test]
fn duplicates_keep_their_order() {
    let text = b"A=1\nB=2\nA=3\n";
    assert_eq!(described(&parse(text)), ["A=1", "B=2", "A=3"]);
    assert_eq!(round_trip(text), text);
}

#[test]
fn comments_keep_every_byte_behind_the_marker() {
    for text in ["#\n", "##\n", "# a # b\n", "#a=b\n", "#\r\n", "#a\\nb\n"] {
        assert_eq!(round_trip(text.as_bytes()), text.as_bytes());
    }
}

#[test]
fn an_empty_file_has_one_empty_document() {
    let contents = parse(b"");
    assert_eq!((contents.tree.documents.len(), contents.tree.first().len()), (1, 0));
    assert_eq!(emit(&contents), b"");
    assert_eq!(emit(&Contents::default()), b"");
}

#[test]
fn a_missing_final_line_end_is_added() {
    assert_eq!(round_trip(b"A=1\nB=2"), b"A=1\nB=2\n");
    assert_eq!(round_trip(b"A=1\n\nsops_mac=x"), b"A=1\n\nsops_mac=x\n");
}

#[test]
fn blank_lines_stay_in_front_of_between_and_behind_the_data() {
    for text in ["\n", "\n\n\n", "\nA=1\n", "A=1\n\n", "A=1\n\n\n#c\n\nB=2\n\n", "\nA=1\n\nsops_mac=x\n", "\n\nsops_mac=x\n"] {
        assert_eq!(round_trip(text.as_bytes()), text.as_bytes(), "{text:?}");
    }
}

#[test]
fn blank_lines_behind_metadata_go_and_those_between_data_stay() {
    let text = b"A=1\n\nsops_mac=x\n\nsops_version=y\n\n\nB=2\n\nC=3\nsops_age__list_0__map_enc=z\n\n";
    let expected = b"A=1\n\nB=2\n\nC=3\nsops_age__list_0__map_enc=z\nsops_mac=x\nsops_version=y\n";
    assert_eq!(round_trip(text), expected);
    assert_eq!(round_trip(expected), expected);
}

#[test]
fn an_encrypted_file_converted_to_crlf_is_read_as_before() {
    let converted = KNOWN.replace('\n', "\r\n");
    assert_eq!(round_trip(converted.as_bytes()), KNOWN.as_bytes());
    assert_eq!(round_trip(b"A=1\r\n\r\nsops_mac=x\r\n"), b"A=1\n\nsops_mac=x\n");
    // A file without a final line end, as it comes out of a conversion.
    assert_eq!(round_trip(b"A=1\r\nsops_mac=x"), b"A=1\nsops_mac=x\n");
    // Only one carriage return belongs to the line end.
    assert_eq!(described(&parse(b"A=1\r\r\nsops_mac=x\r\n")), ["A=1\r"]);
}

#[test]
fn a_carriage_return_in_a_plaintext_or_behind_some_data_is_data() {
    assert_eq!(round_trip(b"A=1\r\nB=2\r\n"), b"A=1\r\nB=2\r\n");
    let text = b"#c\r\nMODE_unencrypted=dev\r\nB=2\nsops_mac=x\n";
    assert_eq!(round_trip(text), text);
}

#[test]
fn a_stray_carriage_return_in_the_metadata_is_refused() {
    for text in ["A=1\nsops_mac=x\r\n", "A=1\nsops_mac=x\r"] {
        assert_eq!(Dotenv.parse(text.as_bytes()).err(), Some(ParseError::StrayCarriageReturn { line: 2 }), "{text:?}");
    }
}

#[test]
fn a_line_without_equals_is_named_and_not_shown() {
    let error = Dotenv.parse(b"A=1\n\nhunter2\nB=2\n").err().unwrap();
    assert_eq!(error, ParseError::NoEquals { line: 3 });
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_eq!(Dotenv.parse(b"sops_mac\n").err(), Some(ParseError::NoEquals { line: 1 }));
}

#[test]
fn an_unresolved_merge_is_named_where_it_begins() {
    let text = "A=1\n<<<<<<< HEAD\nsops_mac=x\n=======\nsops_mac=y\n>>>>>>> theirs\n";
    assert_eq!(Dotenv.parse(text.as_bytes()).err(), Some(ParseError::MergeConflict { line: 2 }));
    let converted = text.replace('\n', "\r\n");
    assert_eq!(Dotenv.parse(converted.as_bytes()).err(), Some(ParseError::MergeConflict { line: 2 }));
    let with_base = text.replace("=======", "||||||| base\nsops_mac=z\n=======");
    assert_eq!(Dotenv.parse(with_base.as_bytes()).err(), Some(ParseError::MergeConflict { line: 2 }));
}

#[test]
fn part_of_a_merge_marker_is_no_conflict() {
    // A legal line of sops: an empty key with the value `======`.
    let text = b"=======\nsops_mac=x\n";
    assert_eq!(round_trip(text), text);
    assert_eq!(Dotenv.parse(b"<<<<<<< HEAD\nsops_mac=x\n").err(), Some(ParseError::NoEquals { line: 1 }));
    assert_eq!(Dotenv.parse(b"<<<<<<< HEAD\n=======\n>>>>>>> b\n").err(), Some(ParseError::NoEquals { line: 1 }));
}

#[test]
fn metadata_that_makes_no_sense_names_its_line() {
    let error = Dotenv.parse(b"sops_mac=x\nA=1\nsops_mac=y\n").err();
    assert_eq!(error, Some(ParseError::Metadata { line: 3, source: FlattenError::Duplicate { key: Key::from("mac") } }));
    let error = Dotenv.parse(b"A=1\nsops_age__list_1__map_enc=x\n").err();
    assert_eq!(error, Some(ParseError::Metadata { line: 2, source: FlattenError::IncompleteList { key: Key::from("age") } }));
}

#[test]
fn the_line_of_an_incomplete_list_is_found_whatever_its_indexes_look_like() {
    let line = |text: &[u8]| match Dotenv.parse(text) {
        Err(ParseError::Metadata { line, source: FlattenError::IncompleteList { .. } }) => line,
        _ => panic!("the list is complete"),
    };
    assert_eq!(line(b"A=1\nsops_a__list_00__map_b__list_1=\n"), 2);
    assert_eq!(line(b"sops_a__list_0__map_c=\nsops_a__list_x__map_b__list_+5__map_c=\n"), 2);
    assert_eq!(line(b"A=1\nsops___map_age__list_5__map_recipient=x\n"), 2);
    assert_eq!(line(b"sops_ab__list_0=\nsops_a__map_b__list_0=\nsops_a__map_c__list_1=\n"), 3);
}

#[test]
fn groups_and_many_recipients_stay_in_order() {
    let mut text = String::from("A=1\n");
    for index in 0..12 {
        text.push_str(&format!("sops_age__list_{index}__map_enc=a\\nb\\n\nsops_age__list_{index}__map_recipient=age1\n"));
    }
    text.push_str(
        "sops_key_groups__list_0__map_age__list_0__map_enc=x\nsops_key_groups__list_1__map_kms__list_0__map_context__map_a=y\n",
    );
    text.push_str("sops_mac_only_encrypted=true\nsops_shamir_threshold=2\n");
    assert_eq!(round_trip(text.as_bytes()), text.as_bytes());
}

#[test]
fn metadata_is_written_sorted_with_its_types_as_text() {
    let mut metadata = Mapping::default();
    metadata.push("version", Value::text(b"3.13.3"));
    metadata.push("shamir_threshold", Value::Scalar(Scalar::Int(2)));
    metadata.push("mac_only_encrypted", Value::Scalar(Scalar::Bool(true)));
    metadata.push("age", Value::List(Vec::new()));
    let contents = Contents { tree: Tree::default(), metadata: Some(metadata) };
    assert_eq!(emit(&contents), b"sops_mac_only_encrypted=true\nsops_shamir_threshold=2\nsops_version=3.13.3\n");
}

#[test]
fn values_of_other_types_print_as_in_sops() {
    let printed = |scalar: Scalar| String::from_utf8(emit(&with_entry("K", Value::Scalar(scalar)))).unwrap();
    assert_eq!(printed(Scalar::Float(1e6)), "K=1E+06\n");
    assert_eq!(printed(Scalar::Int(42)), "K=42\n");
    assert_eq!(printed(Scalar::Bool(true)), "K=true\n");
    assert_eq!(printed(Scalar::Time("2024-05-06T07:08:09.5Z".to_owned())), "K=2024-05-06T07:08:09Z\n");
}

#[test]
fn what_would_corrupt_the_file_is_refused() {
    let value = || Value::text(b"v");
    let unwritable = |key: &str, problem| EmitError::UnwritableKey { key: Key::from(key), syntax: NAME, problem };
    assert_eq!(refusal(&with_entry("x=y", value())), unwritable("x=y", "contain `=`"));
    assert_eq!(refusal(&with_entry("x\ny", value())), unwritable("x\ny", "contain a line break"));
    assert_eq!(refusal(&with_entry("#c", value())), unwritable("#c", "begin with `#`"));
    let key = Key::from("N");
    assert_eq!(refusal(&with_entry("N", Value::Null)), EmitError::NullValue { key: key.clone(), syntax: NAME });
    let complex = EmitError::ComplexValue { key, syntax: NAME };
    assert_eq!(refusal(&with_entry("N", Value::List(Vec::new()))), complex);
    assert_eq!(refusal(&with_entry("N", Value::Mapping(Mapping::default()))), complex);
    let reserved = EmitError::ReservedKey { key: Key::from("sops_x"), reserved: PREFIX };
    assert_eq!(refusal(&with_entry("sops_x", value())), reserved);

    let comment = Comment { text: SecretBytes::copy_of(b"a\nb"), inline: false };
    let contents = Contents { tree: Tree::of(Mapping { items: vec![Item::Comment(comment)] }), metadata: None };
    assert_eq!(refusal(&contents), EmitError::CommentLineBreak { syntax: NAME });
    let tree = Tree { documents: vec![Mapping::default(), Mapping::default()] };
    assert_eq!(refusal(&Contents { tree, metadata: None }), EmitError::SeveralDocuments { syntax: NAME });

    let mut metadata = Mapping::default();
    metadata.push("a=b", value());
    let contents = Contents { tree: Tree::default(), metadata: Some(metadata) };
    assert_eq!(refusal(&contents), unwritable("a=b", "contain `=`"));
}

#[test]
fn a_literal_backslash_n_is_written_in_a_plaintext_only() {
    let mut contents = with_entry("K", Value::text(br"a\nb"));
    assert_eq!(emit(&contents), b"K=a\\nb\n");
    contents.metadata = Some(Mapping::default());
    assert_eq!(refusal(&contents), EmitError::LiteralBackslashN { key: Key::from("K"), syntax: NAME });
}

#[test]
fn a_reserved_key_is_found_by_name() {
    assert_eq!(Dotenv.reserved_key(&with_entry("sops_x", Value::Null).tree), Some(Key::from("sops_x")));
    assert_eq!(Dotenv.reserved_key(&with_entry("sops", Value::Null).tree), None);
    assert_eq!(Dotenv.reserved_key(&Tree::default()), None);
}

#[test]
fn the_text_is_written_into_a_buffer_that_never_moves() {
    let contents = parse(KNOWN.as_bytes());
    let items = contents.tree.first();
    assert_eq!(items.iter().map(size_of_item).sum::<usize>(), KNOWN.find("sops_").unwrap());
}

#[test]
fn limits_hold_and_cost_no_time() {
    let start = Instant::now();
    let blank = vec![b'\n'; MAX_ENTRIES + 1];
    assert_eq!(Dotenv.parse(&blank).err(), Some(ParseError::TooManyEntries { line: MAX_ENTRIES + 1 }));
    assert_eq!(parse(&blank[1..]).tree.first().len(), MAX_ENTRIES);
    let large = vec![b'='; MAX_BYTES + 1];
    assert_eq!(Dotenv.parse(&large).err(), Some(ParseError::TooLarge));
    let escapes = [b"A=".as_slice(), &br"\n".repeat(1_000_000)].concat();
    assert_eq!(round_trip(&escapes).len(), escapes.len() + 1);
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// A line of the data of a file, in a form that sops writes.
fn data_line() -> impl Strategy<Value = Vec<u8>> {
    let no_line_end = prop::collection::vec(any::<u8>().prop_filter("a line end", |byte| *byte != b'\n'), 0..20);
    let key = prop::collection::vec(any::<u8>().prop_filter("no key byte", |byte| !b"\n=".contains(byte)), 0..10)
        .prop_filter("a comment or metadata", |key| !key.starts_with(b"#") && !key.starts_with(b"sops_"));
    let backslashes = prop::sample::select(vec![b"\\n".to_vec(), b"\\\\n".to_vec(), b"\\".to_vec(), b"n\\n\\nn".to_vec()]);
    prop_oneof![
        1 => Just(Vec::new()),
        1 => no_line_end.clone().prop_map(|text| [b"#".as_slice(), &text].concat()),
        3 => (key, no_line_end, backslashes).prop_map(|(key, value, more)| [&key, b"=".as_slice(), &value, &more].concat()),
    ]
}

proptest! {
    #[test]
    fn what_sops_could_have_written_is_written_back(
        data in prop::collection::vec(data_line(), 0..20),
        metadata in prop::collection::btree_map("[a-z]{1,5}", "[ -~]{0,20}", 0..5),
    ) {
        let mut text: Vec<u8> = data.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
        for (key, value) in metadata {
            text.extend_from_slice(format!("sops_{key}={value}\n").as_bytes());
        }
        prop_assert_eq!(round_trip(&text), text);
    }

    #[test]
    fn any_text_is_refused_or_settles_after_one_round_trip(text in "(A=|#|sops_[ab](__map_|__list_0)?=|=|\\\\n|x|\r|\n){0,40}") {
        if let Ok(contents) = Dotenv.parse(text.as_bytes()) {
            let once = emit(&contents);
            prop_assert_eq!(round_trip(&once), once);
        }
    }
}

#[test]
fn each_item_is_found_on_its_line_wherever_the_metadata_stand() {
    let text = "# c\n\nA=1\nsops_mac=x\n\nB=2\n\nsops_version=3.13.3\nC=3\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let items = Dotenv.parse(text.as_bytes()).unwrap().tree;
        assert_eq!(item_lines(text.as_bytes()), [1, 2, 3, 6, 7, 9]);
        assert_eq!(items.first().len(), 6);
    }
}
