use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use super::*;

fn nested(entries: &[(&str, &str)]) -> Result<Mapping, FlattenError> {
    let mut nesting = Nesting::default();
    for (key, value) in entries {
        nesting.insert(key.as_bytes(), SecretBytes::copy_of(value.as_bytes()))?;
    }
    nesting.into_mapping()
}

fn flat(mapping: &Mapping) -> Vec<(String, String)> {
    let text = |scalar: &Scalar| match scalar {
        Scalar::Text(text) => String::from_utf8(text.expose().to_vec()).unwrap(),
        _ => panic!("all leaves are texts"),
    };
    flatten(mapping).unwrap().into_iter().map(|(key, leaf)| (String::from_utf8(key).unwrap(), text(leaf))).collect()
}

fn key(text: &str) -> Key {
    Key::from(text)
}

#[test]
fn mappings_are_sorted_by_key_and_lists_by_number() {
    let mut entries: Vec<(String, &str)> = (0..12).map(|index| (format!("age__list_{index}__map_enc"), "x")).collect();
    entries.push(("key_groups__list_0__map_kms__list_0__map_context__map_tenant".to_owned(), "y"));
    entries.push(("mac".to_owned(), "z"));
    let expected: Vec<(String, String)> = entries.iter().map(|(key, value)| (key.clone(), (*value).to_owned())).collect();
    let shuffled: Vec<(&str, &str)> = entries.iter().rev().map(|(key, value)| (key.as_str(), *value)).collect();
    assert_eq!(flat(&nested(&shuffled).unwrap()), expected);
}

#[test]
fn a_context_is_nested() {
    let mapping = nested(&[("kms__list_0__map_context__map_tenant", "a")]).unwrap();
    let Some(Value::List(kms)) = mapping.get("kms") else { panic!("kms is a list") };
    let [Element::Value(Value::Mapping(first))] = kms.as_slice() else { panic!("with one mapping") };
    let Some(Value::Mapping(context)) = first.get("context") else { panic!("with a mapping") };
    assert_eq!(context.get("tenant").and_then(Value::as_text), Some(b"a".as_slice()));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    type Case<'a> = (&'a [&'a str], FlattenError);
    let cases: [Case<'_>; 10] = [
        (&["x", "x"], FlattenError::Duplicate { key: key("x") }),
        (&["x__list_0", "x__list_junk"], FlattenError::Duplicate { key: key("x__list_junk") }),
        (&["x__list__map_b", "x__list_0"], FlattenError::Duplicate { key: key("x__list_0") }),
        (&["x", "x__map_a"], FlattenError::TypeMismatch { key: key("x__map_a") }),
        (&["x__map_a", "x"], FlattenError::TypeMismatch { key: key("x") }),
        (&["x__map_a", "x__list_0"], FlattenError::TypeMismatch { key: key("x__list_0") }),
        (&["y__list_0__map_x__list_1"], FlattenError::IncompleteList { key: key("y__list_0__map_x") }),
        (&["x__list_0", "x__list_2"], FlattenError::IncompleteList { key: key("x") }),
        (&["__map_x__list_1"], FlattenError::IncompleteList { key: key("__map_x") }),
        (&["x__list_-1"], FlattenError::IncompleteList { key: key("x__list_-1") }),
    ];
    for (keys, expected) in cases {
        let entries: Vec<(&str, &str)> = keys.iter().map(|key| (*key, "")).collect();
        assert_eq!(nested(&entries).err(), Some(expected), "{keys:?}");
    }
}

#[test]
fn what_sops_accepts_is_accepted() {
    for keys in [
        vec![""],
        vec!["__map_a"],
        vec!["__list_0"],
        vec!["x__map_"],
        vec!["x__list_"],
        vec!["x__list_0", "x__list_+1", "x__list_02"],
        vec!["x__list_0__list_0"],
        vec!["x__list", "x__list__map_b"],
    ] {
        let entries: Vec<(&str, &str)> = keys.iter().map(|key| (*key, "")).collect();
        let mapping = nested(&entries).unwrap();
        assert_eq!(flat(&mapping).len(), keys.len(), "{keys:?}");
    }
}

#[test]
fn hostile_keys_are_refused_at_once() {
    // What this thread took, not what else the machine did meanwhile: seconds, where a list of so many entries would take hours.
    let start = clock_gettime(ClockId::ThreadCPUTime);
    for index in ["1000", "1000000000000000000", "99999999999999999999999"] {
        let flat_key = format!("x__list_{index}");
        assert_eq!(nested(&[(&flat_key, "")]).err(), Some(FlattenError::ListTooLong { key: key(&flat_key) }));
    }
    assert_eq!(nested(&[(&"a__map_".repeat(1_000_000), "")]).err(), Some(FlattenError::TooDeep));
    assert_eq!(nested(&[(&"__list_0".repeat(1_000_000), "")]).err(), Some(FlattenError::TooDeep));
    assert!(nested(&[(&"_".repeat(10_000_000), "")]).is_ok());
    let many: Vec<String> = (0..=MAX_LEAVES).map(|number| format!("k{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
    assert_eq!(nested(&many).err(), Some(FlattenError::TooMany));
    assert!((clock_gettime(ClockId::ThreadCPUTime) - start).tv_sec < 30);
}

#[test]
fn nesting_ends_at_64_in_both_directions() {
    let deepest = vec!["a"; MAX_DEPTH].join("__map_");
    assert_eq!(flat(&nested(&[(&deepest, "x")]).unwrap()), [(deepest.clone(), "x".to_owned())]);
    assert_eq!(nested(&[(&format!("{deepest}__map_a"), "")]).err(), Some(FlattenError::TooDeep));
    let mut mapping = nested(&[(&deepest, "x")]).unwrap();
    let inner = std::mem::take(&mut mapping);
    mapping.push("outer", Value::Mapping(inner));
    assert_eq!(flatten(&mapping).err(), Some(FlattenError::TooDeep));
}

#[test]
fn what_would_read_back_differently_is_not_flattened() {
    let mut twice = Mapping::default();
    twice.push("a", Value::text(b"1"));
    twice.push("a", Value::text(b"2"));
    assert_eq!(flatten(&twice).err(), Some(FlattenError::Collision { key: key("a") }));

    let mut ambiguous = Mapping::default();
    ambiguous.push("a__map_b", Value::text(b"1"));
    assert_eq!(flatten(&ambiguous).err(), Some(FlattenError::AmbiguousKey { key: key("a__map_b") }));

    let mut overlapping = Mapping::default();
    overlapping.push("a__map", Value::Mapping(nested(&[("b", "1")]).unwrap()));
    assert_eq!(flatten(&overlapping).err(), Some(FlattenError::AmbiguousKey { key: key("a__map") }));
}

#[test]
fn nulls_comments_and_empty_containers_have_no_flat_form() {
    let mut mapping = Mapping::default();
    mapping.push("null", Value::Null);
    mapping.push("list", Value::List(Vec::new()));
    mapping.push("mapping", Value::Mapping(Mapping::default()));
    mapping.items.push(Item::BlankLine);
    assert!(flatten(&mapping).unwrap().is_empty());
}

proptest! {
    #[test]
    fn flattening_undoes_nesting(keys in prop::collection::btree_set("[a-c_]{0,3}((__map_|__list_[0-2]?)[a-c_]{0,3}){0,3}", 0..8)) {
        let entries: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
        if let Ok(mapping) = nested(&entries) {
            let once = flat(&mapping);
            prop_assert_eq!(once.len(), entries.len());
            let again: Vec<(&str, &str)> = once.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(&flat(&nested(&again).unwrap()), &once);
        }
    }
}
