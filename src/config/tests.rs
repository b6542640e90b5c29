//! Creation rules as sops reads them, and mistakes with their lines. Long because it is tables: one line a form or mistake.

use super::*;
use crate::document::selection::SelectionOption;
use crate::keys::Kind;

const A: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
const B: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn config(text: &str) -> Config {
    // `A` and `B` stand for two recipients.
    let text = text.replace("$A", A).replace("$B", B);
    Config::parse(Path::new("/repo/.sops.yaml"), &text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn rule(text: &str) -> CreationRule {
    let text = format!("creation_rules:\n  - {}\n", text.replace('\n', "\n    "));
    match config(&text).rule_for(Path::new("/repo/x.env")) {
        Ok(Some(rule)) => rule.clone(),
        Ok(None) => panic!("no rules in {text}"),
        Err(error) => panic!("{text}\n{error}"),
    }
}

/// Each group as the identities of its keys, with `A` and `B` for the two recipients.
fn groups(rule: &CreationRule) -> Vec<String> {
    let identities = |group: &RuleGroup| group.keys.iter().map(RuleKey::identity).collect::<Vec<_>>().join(" ");
    rule.groups.iter().map(|group| identities(group).replace(A, "A").replace(B, "B")).collect()
}

fn mistake(text: &str) -> String {
    let text = text.replace("$A", A).replace("$B", B);
    let config = match Config::parse(Path::new("/repo/.sops.yaml"), &text) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    config.rule_for(Path::new("/repo/x.env")).err().unwrap_or_else(|| panic!("accepted: {text}")).to_string()
}

#[test]
fn recipients_are_read_in_every_form() {
    let cases: &[(&str, &[&str])] = &[
        ("age: $A", &["A"]),
        ("age: $A,$B", &["A B"]),
        ("age: ' $A , $B ,, '", &["A B"]),
        ("age: >-\n  $A,\n  $B,", &["A B"]),
        ("age: |\n  $A,\n  $B", &["A B"]),
        ("age: $A,\n  $B", &["A B"]),
        ("age: [$A, $B]", &["A B"]),
        ("age:\n- $A\n- '$B , $A'", &["A B A"]),
        ("age: [ssh-ed25519 AAAA me@host]", &["ssh-ed25519 AAAA me@host"]),
        ("age:", &[""]),
        ("age: ''", &[""]),
        ("{}", &[""]),
        ("pgp: 85D7 7543, FF", &["85D77543 FF"]),
        ("gcp_kms: projects/p/locations/l /keyRings/r/cryptoKeys/k", &["projects/p/locations/l/keyRings/r/cryptoKeys/k"]),
        (
            "kms: 'arn:aws:kms:eu:1:key/x + arn:aws:iam::1:role/r, arn:aws:kms:eu:1:key/y'",
            &["arn:aws:kms:eu:1:key/x+arn:aws:iam::1:role/r arn:aws:kms:eu:1:key/y"],
        ),
        ("kms: arn:aws:kms:eu:1:key/x\naws_profile: p", &["arn:aws:kms:eu:1:key/x||p"]),
        ("hckms: ['r:u, s:v', ]", &["r:u s:v"]),
        (
            "azure_keyvault: https://v.example/keys/k/1,https://v.example/keys/k,https://v.example/keys/k/",
            &["https://v.example/keys/k/1 https://v.example/keys/k https://v.example/keys/k"],
        ),
        ("hc_vault_transit_uri: http://h:8200/v7/s/t/foo/a/", &["http://h:8200/v1/s/t/keys/a"]),
        // The order is sops's, not the file's.
        (
            "hc_vault_transit_uri: http://h/v1/t/keys/a\nhckms: [r:u]\npgp: FF\nkms: arn:x\nage: $A\ngcp_kms: g\nazure_keyvault: https://v/keys/k/1",
            &["A FF arn:x g r:u https://v/keys/k/1 http://h/v1/t/keys/a"],
        ),
        // Groups win over flat keys, unless there is none.
        ("age: $A\nkey_groups:\n- age: [$B]", &["B"]),
        ("age: $A\nkey_groups: []", &["A"]),
        ("age: $A\nkey_groups:", &["A"]),
        ("age: $A\nkey_groups:\n-", &["A"]),
        ("age: 12\nkey_groups:\n- age: [$B]", &["B"]),
        ("key_groups: [{}]", &[""]),
        ("key_groups:\n- age: [$A]\n  pgp: [FF]\n- age: [$B, $A]\nshamir_threshold: 2", &["A FF", "B A"]),
        ("key_groups:\n- age:\n  - $A\n  -\n  - ''\n  - $B,$A", &["A B"]),
        ("key_groups:\n- age: [$B]\n  merge:\n  - age: [$A]\n    merge: [{age: [' $B ']}]\n  - pgp: [FF]", &["B A FF"]),
        (
            "key_groups:\n- kms:\n  - {arn: arn:x, role: r, context: {z: 1, a: b}, aws_profile: p}\n  - arn: arn:x\n  - {arn: arn:x, context: {}}\n  - {arn: arn:x, aws_profile: p}",
            &["arn:x+r|a:b,z:1|p arn:x arn:x||p"],
        ),
        (
            "key_groups:\n- hc_vault: ['http://h/v1/t/keys/a', 'http://h/v2/t/foo/a']\n  azure_keyvault: [{vaultUrl: 'https://v', key: k, version: 1}, {vaultUrl: 'https://v/', key: k}]\n  hckms: [{key_id: r:u}]\n  gcp_kms: [{resource_id: g}]",
            &["g r:u https://v/keys/k/1 https://v/keys/k http://h/v1/t/keys/a"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(groups(&rule(text)), *expected, "{text}");
    }
}

#[test]
fn options_have_the_types_sops_gives_them() {
    let truths = [
        ("true", true),
        ("TRUE", true),
        ("yes", true),
        ("y", true),
        ("On", true),
        ("'yes'", true),
        ("!!bool 'true'", true),
        ("false", false),
        ("n", false),
        ("off", false),
        ("~", false),
        ("", false),
    ];
    for (text, expected) in truths {
        assert_eq!(rule(&format!("mac_only_encrypted: {text}")).mac_only_encrypted, expected, "{text}");
    }
    let counts = [
        ("2", Some(2)),
        ("010", Some(8)),
        ("08", Some(8)),
        ("1.0", Some(1)),
        ("0x10", Some(16)),
        ("1e1", Some(10)),
        ("1_0", Some(10)),
        ("!!int '2'", Some(2)),
        ("0", None),
        ("", None),
    ];
    for (text, expected) in counts {
        assert_eq!(rule(&format!("shamir_threshold: {text}")).shamir_threshold, expected, "{text}");
    }
    for (text, expected) in [("12", "12"), ("1.50", "1.50"), ("yes", "yes"), ("0x1F", "0x1F"), ("!!str 12", "12"), ("' x'", " x")]
    {
        let selection = rule(&format!("encrypted_suffix: {text}")).selection;
        assert_eq!(selection, Some((SelectionOption::EncryptedSuffix, expected.to_owned())), "{text}");
    }
    for option in SelectionOption::ALL {
        assert_eq!(rule(&format!("{}: '^x'", option.field())).selection, Some((option, "^x".to_owned())));
    }
    assert_eq!(rule("encrypted_suffix: ''\nunencrypted_regex: ~\nencrypted_regex: a").selection.unwrap().1, "a");
    assert_eq!(rule("path_regex: ''").path_regex, None);
    assert_eq!(rule("path_regex: '.'\nage: $A").path_regex.as_deref(), Some("."));
}

#[test]
fn the_first_rule_that_matches_wins() {
    let text = "creation_rules:\n  - path_regex: ^secrets/.*\\.env$\n    age: $A\n  -\n  - path_regex: 12\n    age: $B\n  - path_regex: ^/other/\n    pgp: FF\n  - path_regex: \\.json$\n    pgp: AA\n";
    let config = config(text);
    let cases = [
        ("/repo/secrets/a.env", Some(A)),
        ("/repo/./x/../secrets/a.env", Some(A)),
        ("/repo/x/secrets/a.env", None),
        ("/secrets/a.env", None),
        ("/repo/a12.txt", Some(B)),
        ("/other/x", Some("FF")),
        ("/repo/other/x", None),
        ("/repository/a.json", Some("AA")),
        ("/repo", None),
    ];
    for (path, expected) in cases {
        let found = config.rule_for(Path::new(path));
        match expected {
            Some(recipient) => assert_eq!(found.unwrap().unwrap().groups[0].keys[0].recipient, recipient, "{path}"),
            None => assert!(matches!(found, Err(ConfigError::NoMatchingRule { .. })), "{path}"),
        }
    }
    assert_eq!(config.rules().map(|rule| rule.unwrap().line).collect::<Vec<_>>(), [2, 5, 7, 9]);
}

#[test]
fn a_config_in_the_root_folder_sees_absolute_paths() {
    let config = Config::parse(Path::new("/.sops.yaml"), "creation_rules: [{path_regex: ^/a$}]").unwrap();
    assert!(config.rule_for(Path::new("/a")).unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_is_matched_too() {
    use std::os::unix::ffi::OsStrExt;
    let config = config("creation_rules: [{path_regex: '^.\\.env$'}]");
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/repo/\xff.env"));
    assert!(config.rule_for(path).unwrap().is_some());
}

#[test]
fn no_rules_are_something_else_than_no_matching_rule() {
    for text in ["", "# nothing\n", "~", "creation_rules:\n", "stores: {}\ndestination_rules: []\nother: 1\n"] {
        assert!(config(text).rule_for(Path::new("/repo/x.env")).unwrap().is_none(), "{text}");
    }
    for text in ["creation_rules: []", "creation_rules:\n  -\n"] {
        assert_eq!(mistake(text), "no creation rule of /repo/.sops.yaml matches /repo/x.env", "{text}");
    }
}

#[test]
fn anchors_and_merge_keys_bring_in_what_they_name() {
    let text = "team: &team\n  age: $A # alice\n  mac_only_encrypted: yes\ncreation_rules:\n  - <<: *team\n    path_regex: env$\n    encrypted_regex: ^X\n  - *team\n";
    let config = config(text);
    let rules: Vec<_> = config.rules().map(Result::unwrap).collect();
    for rule in &rules {
        assert_eq!(groups(rule), ["A"]);
        assert_eq!(rule.groups[0].keys[0].name.as_deref(), Some("alice"));
        assert!(rule.mac_only_encrypted);
    }
    assert_eq!(rules[0].path_regex.as_deref(), Some("env$"));
    assert_eq!(rules[1].path_regex, None);
}

#[test]
fn comments_name_people() {
    let text = "age:\n  - $A # alice\n  # bob is on holiday\n  - $B\n  - '$A' #carol  x \n  - $A,$B # both\n  - [";
    let names = |text: &str| -> Vec<Option<String>> {
        rule(text).groups.into_iter().flat_map(|group| group.keys).map(|key| key.name).collect()
    };
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(names(text.trim_end_matches("\n  - [")), [some("alice"), None, some("carol  x"), None, None]);
    assert_eq!(names("age: $A # alice"), [some("alice")]);
    assert_eq!(names("age: [\n  $A, # alice\n  $B # bob\n  ]"), [some("alice"), some("bob")]);
    // What stands behind several of them is nobody's name.
    assert_eq!(names("age: [$A, $B] # team"), [None, None]);
    assert_eq!(names("age: [$A,\n  $B] # bob"), [None, some("bob")]);
    assert_eq!(names("x: # own\n# team\n# $B bob\n# $A  alice a \nage: $A,$B # both"), [some("alice a"), some("bob")]);
    assert_eq!(names("# $A alice\n\n# $Bob\n# - $B bob\n# $B\nage: $A,$B"), [None, None]);
    assert_eq!(names("x: # $A alice\nage: $A,$B"), [None, None]);
    assert_eq!(names("x:\n# $A alice\nkey_groups: [{age: [$A, $B]}, {age: [$A]}]"), [some("alice"), None, some("alice")]);
    assert_eq!(names("key_groups:\n- age:\n  - $A # alice"), [some("alice")]);
    assert_eq!(
        rule(text.trim_end_matches("\n  - [")).groups[0].keys.iter().map(|key| key.line).collect::<Vec<_>>(),
        [3, 5, 6, 7, 7]
    );
}

#[test]
fn mistakes_name_their_line_and_what_was_expected() {
    const CONFIG: &str = "/repo/.sops.yaml: ";
    let cases = [
        ("- a", "line 1, column 1: the file must be a mapping with `creation_rules`"),
        ("abc", "line 1, column 1: the file must be a mapping with `creation_rules`"),
        ("creation_rules: x", "line 1, column 17: `creation_rules` must be a list"),
        ("creation_rules:\n  age: x", "line 2, column 3: `creation_rules` must be a list"),
        ("creation_rules:\n  - abc", "line 2, column 5: `creation_rules` must be a list of mappings"),
        ("stores: x", "line 1, column 9: `stores` must be a mapping"),
        ("destination_rules: x", "line 1, column 20: `destination_rules` must be a list"),
        ("creation_rules:\n  - age: 12", "line 2, column 10: `age` must be a string or a list of strings"),
        ("creation_rules:\n  - age: {a: b}", "line 2, column 10: `age` must be a string or a list of strings"),
        ("creation_rules:\n  - age: 2020-01-01", "line 2, column 10: `age` must be a string or a list of strings"),
        ("creation_rules:\n  - age:\n    - $A\n    - 12", "line 4, column 7: `age` must be a string or a list of strings"),
        ("creation_rules:\n  - age:\n    - $A\n    -", "line 4, column 6: `age` must be a string or a list of strings"),
        ("creation_rules:\n  - age:\n    - $A,", "line 3, column 7: `age` has an empty entry"),
        ("creation_rules:\n  - age: ['']", "line 2, column 11: `age` has an empty entry"),
        ("creation_rules:\n  - hckms: r:u", "line 2, column 12: `hckms` must be a list"),
        ("creation_rules:\n  - hckms: [r]", "line 2, column 13: `hckms` must be keys of the form `region:key-id`"),
        ("creation_rules:\n  - hckms: ['r:']", "line 2, column 13: `hckms` must be keys of the form `region:key-id`"),
        (
            "creation_rules:\n  - azure_keyvault: http://v/keys/k/1",
            "line 2, column 21: `azure_keyvault` must be key URLs of the form `https://vault/keys/name/version`",
        ),
        (
            "creation_rules:\n  - hc_vault_transit_uri: http://h/pre/v1/t/keys/a",
            "line 2, column 27: `hc_vault_transit_uri` must be key URIs of the form `https://host/v1/engine/keys/name`",
        ),
        ("creation_rules:\n  - key_groups: x", "line 2, column 17: `key_groups` must be a list"),
        ("creation_rules:\n  - key_groups: [x]", "line 2, column 18: `key_groups` must be a list of mappings"),
        ("creation_rules:\n  - key_groups: [{age: x}]", "line 2, column 24: `age` must be a list"),
        ("creation_rules:\n  - key_groups: [{kms: [arn]}]", "line 2, column 25: `kms` must be a list of mappings"),
        ("creation_rules:\n  - key_groups: [{kms: [{role: r}]}]", "line 2, column 25: `arn` must be there"),
        ("creation_rules:\n  - shamir_threshold: '2'", "line 2, column 23: `shamir_threshold` must be a whole number from 0"),
        ("creation_rules:\n  - shamir_threshold: -1", "line 2, column 23: `shamir_threshold` must be a whole number from 0"),
        ("creation_rules:\n  - shamir_threshold: 1.5", "line 2, column 23: `shamir_threshold` must be a whole number from 0"),
        ("creation_rules:\n  - mac_only_encrypted: 'true'", "line 2, column 25: `mac_only_encrypted` must be true or false"),
        ("creation_rules:\n  - mac_only_encrypted: 1", "line 2, column 25: `mac_only_encrypted` must be true or false"),
        ("creation_rules:\n  - encrypted_suffix: [a]", "line 2, column 23: `encrypted_suffix` must be a string"),
        (
            "creation_rules:\n  - encrypted_regex: a\n    unencrypted_suffix: b",
            "line 2, column 22: a rule cannot have both `unencrypted_suffix` and `encrypted_regex`",
        ),
        (
            "creation_rules:\n  - encrypted_regex: (a",
            "line 2, column 22: `encrypted_regex`: the pattern is wrong at byte 0: expected `)` for this `(`",
        ),
        (
            "creation_rules:\n  - path_regex: a(?!b)\n  - age: $A",
            "line 2, column 17: `path_regex`: the pattern is wrong at byte 3: expected the flags `i`, `m`, `s` or `U` (Go has no look-around)",
        ),
        ("creation_rules:\n  - age: $A\n    age: $B", "line 3, column 5: the key `age` stands already on line 2"),
        ("creation_rules:\n  - age: 'a", "line 2, column 10: expected a closing quote"),
    ];
    for (text, expected) in cases {
        assert_eq!(mistake(text).strip_prefix(CONFIG), Some(expected), "{text}");
    }
}

#[test]
fn a_broken_rule_harms_only_the_files_it_governs() {
    let text =
        "creation_rules:\n  - path_regex: a\n    age: 12\n  - path_regex: b\n    age: $A\n  - path_regex: '('\n    age: $B\n";
    let config = config(text);
    assert!(matches!(config.rule_for(Path::new("/repo/a")), Err(ConfigError::Invalid { .. })));
    assert_eq!(groups(config.rule_for(Path::new("/repo/b")).unwrap().unwrap()), ["A"]);
    assert!(matches!(config.rule_for(Path::new("/repo/c")), Err(ConfigError::Invalid { fault: Fault { line: 6, .. }, .. })));
    assert_eq!(config.rules().filter(Result::is_err).count(), 2);
}

#[test]
fn a_field_of_a_wrong_type_spoils_every_rule_as_in_sops() {
    let parse = |rule: &str| {
        let text = format!("creation_rules:\n  - age: {A}\n  - {}\n", rule.replace('\n', "\n    "));
        Config::parse(Path::new("/repo/.sops.yaml"), &text)
    };
    let wrong = [
        "path_regex: [a]",
        "aws_profile: {}",
        "unencrypted_comment_regex: [a]",
        "shamir_threshold: x",
        "mac_only_encrypted: 'true'",
        "hckms: x",
        "hckms: [[x]]",
        "key_groups: x",
        "key_groups: [x]",
        "key_groups: [{age: x}]",
        "key_groups: [{hc_vault: [{}]}]",
        "key_groups: [{merge: {}}]",
        "key_groups: [{merge: [{pgp: x}]}]",
        "key_groups: [{kms: [x]}]",
        "key_groups: [{kms: [{arn: [x]}]}]",
        "key_groups: [{kms: [{context: x}]}]",
        "key_groups: [{kms: [{context: {a: [b]}}]}]",
        "key_groups: [{gcp_kms: [{resource_id: {}}]}]",
        "key_groups: [{hckms: [{key_id: []}]}]",
        "key_groups: [{azure_keyvault: [{version: []}]}]",
    ];
    for rule in wrong {
        let error = parse(rule).err().unwrap_or_else(|| panic!("accepted: {rule}"));
        assert!(matches!(error, ConfigError::Invalid { fault: Fault { line: 3, .. }, .. }), "{rule}: {error}");
    }
    // Flat keys have no type of their own in sops, and what a text says is looked at only when the rule is used.
    let unused = ["age: 12", "pgp: {}", "kms: [[]]", "azure_keyvault: x", "hckms: [x]", "encrypted_regex: (", "path_regex: '('"];
    for rule in
        unused.into_iter().chain(["path_regex: 12", "key_groups: [{age: [12, ~]}, ~]", "key_groups: [{kms: [{arn: 12}]}]"])
    {
        let config = parse(rule).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(groups(config.rule_for(Path::new("/repo/x.env")).unwrap().unwrap()), ["A"], "{rule}");
    }
}

#[test]
fn stores_say_how_far_to_indent() {
    let text = "stores: {json: {indent: 2}, json_binary: {indent: -1}, yaml: {indent: 0x4, x: y}, dotenv: {}, ini: , other: 1}";
    let expected = Stores { json_indent: Some(2), json_binary_indent: Some(-1), yaml_indent: Some(4) };
    assert_eq!(config(text).stores, expected);
    for text in ["", "stores:", "stores: {}", "stores: {json: , yaml: {indent: }}"] {
        assert_eq!(config(text).stores, Stores::default(), "{text}");
    }
    let mistakes = [
        ("stores: {json: x}", "line 1, column 16: `json` must be a mapping"),
        ("stores: {dotenv: []}", "line 1, column 18: `dotenv` must be a mapping"),
        ("stores: {yaml: {indent: '2'}}", "line 1, column 25: `indent` must be a whole number"),
        ("stores: {yaml: {indent: 1.5}}", "line 1, column 25: `indent` must be a whole number"),
    ];
    for (text, expected) in mistakes {
        assert_eq!(mistake(text).strip_prefix("/repo/.sops.yaml: "), Some(expected), "{text}");
    }
}

#[test]
fn destination_rules_are_not_looked_at() {
    let text = "creation_rules: [{age: $A}]\ndestination_rules: [{path_regex: [a], s3_bucket: {}}, x]";
    assert_eq!(groups(config(text).rule_for(Path::new("/repo/x.env")).unwrap().unwrap()), ["A"]);
}

#[test]
fn near_misses_of_fields_are_warned_of() {
    let text = "creation_rule: []\nx-team: &t {}\nnote: x\ncreation_rules:\n  - path_regexp: x\n    ages: $A\n    encrypted_regexp: y\n    Encrypted-Suffix: z\n    mac_only_encypted: true\n    hc_vault: u\n    gpg: FF\n    description: x\n    name: x\n    key_groups:\n    - azure_kv: []\n      merge: [{agee: []}]\n";
    let warnings: Vec<String> = config(text).warnings.iter().map(ToString::to_string).collect();
    let warned: Vec<(usize, &str)> = vec![
        (1, "`creation_rule` has no meaning here; `creation_rules` would"),
        (5, "`path_regexp` has no meaning here; `path_regex` would"),
        (6, "`ages` has no meaning here; `age` would"),
        (7, "`encrypted_regexp` has no meaning here; `encrypted_regex` would"),
        (8, "`Encrypted-Suffix` has no meaning here; `encrypted_suffix` would"),
        (9, "`mac_only_encypted` has no meaning here; `mac_only_encrypted` would"),
        (10, "`hc_vault` has no meaning here; `hc_vault_transit_uri` would"),
        (11, "`gpg` has no meaning here; `pgp` would"),
        (15, "`azure_kv` has no meaning here; `azure_keyvault` would"),
        (16, "`agee` has no meaning here; `age` would"),
    ];
    let expected: Vec<String> = warned.iter().map(|(line, what)| format!("line {line}: {what}")).collect();
    assert_eq!(warnings, expected);
}

#[test]
fn the_file_is_looked_for_upwards() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/c");
    std::fs::create_dir_all(&deep).unwrap();
    let write = |name: &str| std::fs::write(folder.path().join(name), format!("creation_rules: [{{age: {A}}}]\n")).unwrap();
    assert!(Search::from(&deep).config.is_none_or(|found| !found.starts_with(folder.path())));
    write("a/b/.sops.yml");
    write("a/.sops.yml");
    assert_eq!(Search::from(&deep).ignored, Some(folder.path().join("a/b/.sops.yml")));
    write("a/.sops.yaml");
    write(".sops.yaml");
    let found = Config::find(&deep).unwrap().unwrap();
    assert_eq!(found.path, folder.path().join("a/.sops.yaml"));
    assert_eq!(found.ignored, Some(folder.path().join("a/b/.sops.yml")));
    assert_eq!(groups(found.rule_for(&folder.path().join("a/x.env")).unwrap().unwrap()), ["A"]);
    let above = Config::find(folder.path()).unwrap().unwrap();
    assert_eq!((above.path, above.ignored), (folder.path().join(".sops.yaml"), None));
}

#[test]
fn only_a_hundred_folders_are_searched() {
    let start = |depth: usize| PathBuf::from(format!("/nowhere{}", "/x".repeat(depth)));
    assert_eq!(Search::from(&start(200)).config, None);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), "").unwrap();
    let deep = |depth: usize| (0..depth).fold(folder.path().to_owned(), |path, _| path.join("x"));
    assert!(Search::from(&deep(99)).config.is_some());
    assert!(Search::from(&deep(100)).config.is_none_or(|found| !found.starts_with(folder.path())));
}

#[test]
fn files_that_are_no_config_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let load = |bytes: &[u8]| {
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, bytes).unwrap();
        Config::load(&path)
    };
    assert!(load(format!("# {}", "x".repeat((1 << 20) - 2)).as_bytes()).is_ok());
    assert!(matches!(load(format!("# {}", "x".repeat((1 << 20) - 1)).as_bytes()), Err(ConfigError::TooLarge { .. })));
    assert!(matches!(load(b"a: \xff"), Err(ConfigError::NotUtf8 { offset: 3, .. })));
    assert!(matches!(Config::load(folder.path()), Err(ConfigError::Read { .. })));
    assert!(matches!(Config::load(&folder.path().join("none")), Err(ConfigError::Read { .. })));
    assert!(load("\u{feff}creation_rules:\r\n  - path_regex: x\r\n".as_bytes()).unwrap().rules().next().unwrap().is_ok());
}

#[test]
fn a_new_file_has_the_proposed_layout_and_reads_back() {
    let text = new_file_text(r"\.env$", &[(A, "alice"), (B, "ci")]);
    let expected = format!("creation_rules:\n  - path_regex: \\.env$\n    age:\n      - {A} # alice\n      - {B} # ci\n");
    assert_eq!(text, expected);
    let names = ["al\nice: x\u{2028}- y\u{202e}", "", "# #bob ", "é 日本"];
    let read_back = ["al ice: x - y", "", "bob", "é 日本"];
    for pattern in [
        r"\.env$",
        "it's",
        "yes",
        "12",
        "1.5",
        "a: b",
        "a #b",
        "- x",
        "^*",
        "[*]",
        "[a-c]",
        "",
        "a\u{7}\"\\b\u{2028}",
        "{",
        "!x",
        "&a",
        "%",
        "@",
        "é",
        "~",
    ] {
        for (name, expected) in names.iter().zip(read_back) {
            let text = new_file_text(pattern, &[(A, name), ("ssh-ed25519 AAAA a@b", "ssh")]);
            let config = config(&text);
            let rule = config.rules().next().unwrap().unwrap();
            assert_eq!(rule.path_regex.as_deref().unwrap_or_default(), pattern);
            let keys = &rule.groups[0].keys;
            assert_eq!(keys[0].name.as_deref().unwrap_or_default(), expected);
            assert_eq!((keys[1].recipient.as_str(), keys[1].kind), ("ssh-ed25519 AAAA a@b", Kind::Age));
        }
    }
    assert_eq!(groups(config(&new_file_text("x", &[])).rules().next().unwrap().unwrap()), [""]);
}

#[test]
fn mutated_configs_never_panic() {
    let seeds = [
        "creation_rules:\n  - path_regex: ^a.*\\.env$\n    age: >-\n      $A,\n      $B # x\n    encrypted_regex: '^(X|Y)_'\n    shamir_threshold: 2\n",
        "x: &x\n  age: [$A, \"$B\"]\ncreation_rules:\n- <<: *x\n  mac_only_encrypted: yes\n- key_groups:\n  - merge: [*x]\n    kms: [{arn: a, context: {k: v}}]\n...\n---\nb\n",
        "%YAML 1.1\n---\n? a\n: |+\n  b\n\n  é\n# c\n\"d\\u00e9\": !!str {e: f, [g]: 'h''i'}\ncreation_rules: []\n",
    ];
    // Any fixed sequence that looks random will do.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let bits = [
        "\n", " ", "  ", "\t", "-", "- ", ":", ": ", "#", "'", "\"", "[", "]", "{", "}", ",", "&x", "*x", "<<", "|", ">", "!",
        "%", "?", "\\", "é", "\u{feff}", "\r", "~", "---\n", "...",
    ];
    let mut read = 0;
    for round in 0..6000 {
        let mut text = seeds[round % seeds.len()].to_owned();
        for _ in 0..=next(4) {
            let mut at = next(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let rest = text.split_off(at);
            let cut: String = rest.chars().skip(next(4)).collect();
            text.push_str(bits[next(bits.len())]);
            text.push_str(if next(2) == 0 { &cut } else { &rest });
        }
        if let Ok(config) = Config::parse(Path::new("/repo/.sops.yaml"), &text) {
            // Whether there is a rule does not matter here; looking for it must end.
            read += usize::from(config.rule_for(Path::new("/repo/a.env")).is_ok());
        }
    }
    assert!(read > 100, "only {read} of the mutated configs could still be read");
}
