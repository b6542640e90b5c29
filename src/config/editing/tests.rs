//! Layouts before and after an edit, whole texts compared. Long because it is tables: one entry a layout.

use super::*;

const RULE: usize = 2;

/// The four recipients of the tables. Their first letters are left out of no text: `A`, `B`, `C` and `S` stand for nothing else there.
const RECIPIENTS: [(&str, &str); 4] = [
    ("$A", "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w"),
    ("$B", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"),
    ("$C", "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"),
    ("$S", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIL3wXGm1ycfU0ZbyKXF0zsPRbmOLW2m5Xy2JdBJAvbk me@host"),
];

fn spelled(text: &str) -> String {
    RECIPIENTS.iter().fold(text.to_owned(), |text, (short, recipient)| text.replace(short, recipient))
}

fn short(text: &str) -> String {
    RECIPIENTS.iter().fold(text.to_owned(), |text, (short, recipient)| text.replace(recipient, short))
}

fn carol(name: &'static str) -> NewRecipient<'static> {
    NewRecipient { kind: Kind::Age, recipient: RECIPIENTS[2].1, name }
}

/// The config whose rule, on the second line, has these lines.
fn config(rule: &str) -> String {
    spelled(&format!("creation_rules:\n  - path_regex: env$\n    {}\nstores: {{}}\n", rule.replace('\n', "\n    ")))
}

fn rule_of(config: &str) -> String {
    let rule = config.strip_prefix("creation_rules:\n  - path_regex: env$\n    ").unwrap_or_else(|| panic!("{config}"));
    short(rule.strip_suffix("\nstores: {}\n").unwrap_or_else(|| panic!("{config}"))).replace("\n    ", "\n")
}

fn added(rule: &str, name: &'static str, form: StringForm) -> String {
    match add(&config(rule), RULE, 0, &carol(name), form) {
        Ok(text) => rule_of(&text),
        Err(error) => error.to_string(),
    }
}

fn removed(rule: &str, short: &str) -> String {
    match remove(&config(rule), RULE, Kind::Age, &spelled(short)) {
        Ok(text) => rule_of(&text),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_new_recipient_follows_the_layout_of_the_others() {
    let cases = [
        // Lists in block style.
        ("age:\n  - $A", "age:\n  - $A\n  - $C # carol"),
        ("age:\n- $A", "age:\n- $A\n- $C # carol"),
        (
            "age:\n    -   '$A'   # alice\n    # bob is away\nmac_only_encrypted: yes",
            "age:\n    -   '$A'   # alice\n    -   '$C'   # carol\n    # bob is away\nmac_only_encrypted: yes",
        ),
        (
            "age: # team\n  # note\n  - \"$A\"  # alice\n  - $B, $S\n\n  # end",
            "age: # team\n  # note\n  - \"$A\"  # alice\n  - $B, $S\n  - $C  # carol\n\n  # end",
        ),
        ("age:\n  - >-\n    $A,\n    $B\n\npgp: FF", "age:\n  - >-\n    $A,\n    $B\n  - $C # carol\n\npgp: FF"),
        ("age:\n  -\n    $A", "age:\n  -\n    $A\n  - $C # carol"),
        // Lists in brackets, over several lines.
        ("age: [\n  $A, # alice\n  $B # bob\n]", "age: [\n  $A, # alice\n  $B, # bob\n  $C # carol\n]"),
        ("age: [\n  $A,\n  '$B',\n  # more\n]", "age: [\n  $A,\n  '$B',\n  '$C', # carol\n  # more\n]"),
        ("age: [$A,\n      $B] # bob", "age: [$A,\n      $B, # bob\n      $C] # carol"),
        ("age: [$A,\n      $S, $B\n  ] # team", "age: [$A,\n      $S, $B,\n      $C # carol\n  ] # team"),
        // Nothing there yet.
        ("pgp: FF", "age:\n  - $C # carol\npgp: FF"),
        ("age:\npgp: FF", "age:\n  - $C # carol\npgp: FF"),
        ("age: # nobody yet\npgp: FF", "age: # nobody yet\n  - $C # carol\npgp: FF"),
        ("age: ~ # nobody yet\npgp: FF", "age: # nobody yet\n  - $C # carol\npgp: FF"),
        ("age: ''\npgp: FF", "age:\n  - $C # carol\npgp: FF"),
        ("age: []\npgp: FF", "age:\n  - $C # carol\npgp: FF"),
        ("pgp:\n- FF # p", "age:\n- $C # carol\npgp:\n- FF # p"),
        // Groups.
        (
            "key_groups:\n  - age:\n      - $A\n  - age: [$B]",
            "key_groups:\n  - age:\n      - $A\n      - $C # carol\n  - age: [$B]",
        ),
        ("key_groups:\n  - pgp:\n    - FF", "key_groups:\n  - pgp:\n    - FF\n    age:\n    - $C # carol"),
        (
            "key_groups:\n  - merge:\n      - age: [$A]\n    age:\n      - $B",
            "key_groups:\n  - merge:\n      - age: [$A]\n    age:\n      - $B\n      - $C # carol",
        ),
        ("key_groups: [{age: [$A]}, {}]", "# $C carol\nkey_groups: [{age: [$A, $C]}, {}]"),
        ("key_groups: [{pgp: [FF]}]", "# $C carol\nkey_groups: [{pgp: [FF], age: [$C]}]"),
        (
            "key_groups: [\n  {\n    pgp: [FF], # ff\n  }]",
            "key_groups: [\n  {\n    pgp: [FF], # ff\n    age: [$C], # carol\n  }]",
        ),
        ("key_groups: [{}, {age: [$A]}]", "# $C carol\nkey_groups: [{age: [$C]}, {age: [$A]}]"),
        ("key_groups: [{pgp: [FF], age: }]", "# $C carol\nkey_groups: [{pgp: [FF], age: [$C] }]"),
    ];
    for (before, after) in cases {
        for form in [StringForm::MakeList, StringForm::CommentAbove] {
            assert_eq!(added(before, "carol", form), after, "{before}");
        }
        let without_name =
            after.replace("   # carol", "").replace("  # carol", "").replace(" # carol", "").replace("# $C carol\n", "");
        assert_eq!(added(before, "", StringForm::MakeList), without_name, "{before}");
        assert!(!needs_form(&config(before), RULE, 0), "{before}");
    }
}

#[test]
fn a_comment_that_named_nobody_does_not_name_who_comes() {
    let before = "key_groups: [{x: y}] # team";
    assert_eq!(added(before, "", StringForm::MakeList), "# team\nkey_groups: [{x: y, age: [$C]}]");
    assert_eq!(added(before, "carol", StringForm::MakeList), "# $C carol\nkey_groups: [{x: y, age: [$C]}] # team");
    // Here it is the name of FF, for which there is no other place.
    assert_eq!(
        added("key_groups: [{pgp: [FF]}] # frank", "carol", StringForm::MakeList),
        "line 3: a form that cannot be edited safely"
    );
}

#[test]
fn recipients_beside_each_other_stay_so_or_become_a_list() {
    let cases = [
        // As it was, with a name above it, and as a list.
        ("age: $A", "# $C carol\nage: $A,$C", "age:\n  - $A\n  - $C # carol"),
        ("age: $A # alice", "# $A alice\n# $C carol\nage: $A,$C", "age:\n  - $A # alice\n  - $C # carol"),
        ("age: $A,  $B # team", "# $C carol\nage: $A,  $B,  $C # team", "age: # team\n  - $A\n  - $B\n  - $C # carol"),
        ("age: '$A, $B,'", "# $C carol\nage: '$A, $B, $C,'", "age:\n  - $A\n  - $B\n  - $C # carol"),
        ("age: \"$A\"  # alice", "# $A alice\n# $C carol\nage: \"$A,$C\"", "age:\n  - $A # alice\n  - $C # carol"),
        ("age: >-\n  $A,\n  $B", "# $C carol\nage: >-\n  $A,\n  $B,\n  $C", "age:\n  - $A\n  - $B\n  - $C # carol"),
        (
            "age: > # team\n  $A,\n\npgp: FF",
            "# $C carol\nage: > # team\n  $A,\n  $C,\n\npgp: FF",
            "age: # team\n  - $A\n  - $C # carol\n\npgp: FF",
        ),
        ("age: |\n    $A,\n    $B,", "# $C carol\nage: |\n    $A,\n    $B,\n    $C,", "age:\n  - $A\n  - $B\n  - $C # carol"),
        ("age: $A,\n  $B # team", "# $C carol\nage: $A,\n  $B,\n  $C # team", "age: # team\n  - $A\n  - $B\n  - $C # carol"),
        ("age: \"$A,\n\n   $B\"", "# $C carol\nage: \"$A,\n\n   $B,\n   $C\"", "age:\n  - $A\n  - $B\n  - $C # carol"),
        ("# $A alice\nage: $A", "# $A alice\n# $C carol\nage: $A,$C", "# $A alice\nage:\n  - $A\n  - $C # carol"),
        ("age: [$A]", "# $C carol\nage: [$A, $C]", "age:\n  - $A\n  - $C # carol"),
        (
            "age: [ '$A' ,'$B' ] # team",
            "# $C carol\nage: [ '$A' ,'$B' ,'$C' ] # team",
            "age: # team\n  - '$A'\n  - '$B'\n  - $C # carol",
        ),
        ("age: [$A,] # alice", "# $A alice\n# $C carol\nage: [$A, $C,]", "age:\n  - $A # alice\n  - $C # carol"),
    ];
    for (before, beside, list) in cases {
        assert_eq!(added(before, "carol", StringForm::CommentAbove), beside, "{before}");
        assert_eq!(added(before, "carol", StringForm::MakeList), list, "{before}");
        assert_eq!(added(before, "", StringForm::MakeList), beside.replace("# $C carol\n", ""), "{before}");
        assert!(needs_form(&config(before), RULE, 0), "{before}");
    }
}

#[test]
fn who_is_removed_takes_the_name_along_and_nothing_else() {
    let cases = [
        ("age:\n  - $A # alice\n  # note\n  - $B # bob\n  # end", "$A", "age:\n  # note\n  - $B # bob\n  # end"),
        ("age:\n  - $A # alice\n  # note\n  - $B # bob\n  # end", "$B", "age:\n  - $A # alice\n  # note\n  # end"),
        ("age:\n- '$A'\n- '$B'", "$A", "age:\n- '$B'"),
        ("age:\n  - $A\n  - $B\n  - '$A' # again", "$A", "age:\n  - $B"),
        ("age:\n  - $A, $B # both\n  - $S", "$A", "age:\n  # both\n  - $B\n  - $S"),
        ("age:\n  - >-\n    $A,\n    $B\n\n  - $S", "$B", "age:\n  - >-\n    $A\n\n  - $S"),
        ("age:\n  - >-\n    $A,\n    $B\n\n  - $S", "$S", "age:\n  - >-\n    $A,\n    $B\n"),
        ("age:\n  - |\n    $A\n\n  - $S", "$A", "age:\n\n  - $S"),
        ("age: [$A, $B, $S]", "$B", "age: [$A, $S]"),
        ("age: [$A, $B, $C]", "$C", "age: [$A, $B]"),
        ("age: [ $A, $B ]", "$A", "age: [ $B ]"),
        ("age: [$A, $B,]", "$B", "age: [$A,]"),
        ("age: [$A, $A, $B, $A, $A]", "$A", "age: [$B]"),
        ("age: [$A, $B] # team", "$A", "# team\nage: [$B]"),
        ("age: [\n  $A, # alice\n  # note\n  $B # bob\n]", "$A", "age: [\n  # note\n  $B # bob\n]"),
        ("age: [\n  $A, # alice\n  # note\n  $B # bob\n]", "$B", "age: [\n  $A # alice\n  # note\n]"),
        ("age: [\n  $A, # alice\n  $B, # bob\n]", "$B", "age: [\n  $A, # alice\n]"),
        ("age: [\n  $A,\n  $B,\n  $B\n]", "$B", "age: [\n  $A\n]"),
        ("age: [$A, # alice\n      $B] # bob", "$A", "age: [$B] # bob"),
        ("age: [$A,\n      $B] # bob", "$B", "age: [$A]"),
        ("age: [$A, # alice\n      $B] # bob", "$B", "age: [$A # alice\n      ]"),
        ("age: [$A, $S, # both\n      $B]", "$A", "# both\nage: [$S,\n      $B]"),
        ("age: $A,$B", "$A", "age: $B"),
        ("age: $A,$B", "$B", "age: $A"),
        ("age: $A, $B # team", "$B", "# team\nage: $A"),
        ("age: ' $A , $B ,, '", "$B", "age: ' $A ,, '"),
        ("age: >-\n  $A,\n  $B,\n  $C,", "$B", "age: >-\n  $A,\n  $C,"),
        ("age: |\n  $A,\n  $B", "$A", "age: |\n  $B"),
        ("age: $A,\n  $B", "$B", "age: $A"),
        ("# $A alice\n# note\n# $B bob\nage: $A,$B", "$A", "# note\n# $B bob\nage: $B"),
        ("age:\n  - $A # alice\npgp: FF", "$A", "age: []\npgp: FF"),
        ("age: # team\n  - $A # alice\n  # note\npgp: FF", "$A", "age: [] # team\n  # note\npgp: FF"),
        ("age: $A # alice\npgp: FF", "$A", "age: []\npgp: FF"),
        ("age: >-\n  $A\n\npgp: FF", "$A", "age: []\n\npgp: FF"),
        ("age: [\n  $A # alice\n]\npgp: FF", "$A", "age: []\npgp: FF"),
        ("age: [$A] # alice\npgp: FF", "$A", "age: []\npgp: FF"),
        ("key_groups: [{age: [$A, $B]}, {age: [$B, $A]}]", "$A", "key_groups: [{age: [$B]}, {age: [$B]}]"),
        ("# $A alice\nkey_groups: [{age: [$A, $B]}, {age: [$B, $A]}]", "$A", "key_groups: [{age: [$B]}, {age: [$B]}]"),
        (
            "key_groups:\n  - merge:\n      - age:\n          - $A # alice\n          - $B\n    age: [$A, $S]",
            "$A",
            "key_groups:\n  - merge:\n      - age:\n          - $B\n    age: [$S]",
        ),
        ("age: $A\nkey_groups:\n  - age:\n      - $A\n      - $B", "$A", "age: $A\nkey_groups:\n  - age:\n      - $B"),
        ("age:\n  - '$S' # sam\n  - $A", "$S", "age:\n  - $A"),
    ];
    for (before, who, after) in cases {
        assert_eq!(removed(before, who), after, "{before}");
    }
}

#[test]
fn what_surrounds_a_rule_is_kept_whatever_it_is() {
    let cases = [
        // A byte order mark, line breaks of Windows, none at the end; the rule in one line with its list.
        (
            "\u{feff}creation_rules:\r\n- age:\r\n  - $A # é\r\n",
            "\u{feff}creation_rules:\r\n- age:\r\n  - $A # é\r\n  - $C # carol\r\n",
        ),
        ("x: &x 1\ncreation_rules:\n  - age:\n      - $A", "x: &x 1\ncreation_rules:\n  - age:\n      - $A\n      - $C # carol"),
        ("# é\ncreation_rules:\n  - age: [] # nobody", "# é\ncreation_rules:\n  - age: # nobody\n      - $C # carol"),
        ("\u{feff}creation_rules: [\n{age: [$A]}]", "\u{feff}creation_rules: [\n# $C carol\n{age: [$A, $C]}]"),
        ("---\ncreation_rules:\n  - age: |\n      $A", "---\ncreation_rules:\n  # $C carol\n  - age: |\n      $A,\n      $C"),
        (
            "%YAML 1.1\n---\ncreation_rules:\n  - {age: $A}\n...\n# end",
            "%YAML 1.1\n---\ncreation_rules:\n  # $C carol\n  - {age: [$A, $C]}\n...\n# end",
        ),
        ("x: |\n  y\ncreation_rules:\n  - x: &a [*a, 1]\n    age: [\n      $A\n      ]", ""),
        (
            "a: &a {b: 1}\nc: *a\nd: {<<: *a}\ncreation_rules:\n  - age: $A\n    x: !t y\n",
            "a: &a {b: 1}\nc: *a\nd: {<<: *a}\ncreation_rules:\n  # $C carol\n  - age: $A,$C\n    x: !t y\n",
        ),
    ];
    for (before, after) in cases.into_iter().filter(|(_, after)| !after.is_empty()) {
        let line = before.lines().position(|line| line.contains("age")).unwrap() + 1;
        let new = add(&spelled(before), line, 0, &carol("carol"), StringForm::CommentAbove).map(|text| short(&text));
        assert_eq!(new.as_deref(), Ok(after), "{before}");
    }
}

#[test]
fn what_cannot_be_edited_safely_is_named_with_its_line() {
    let cases = [
        ("age: &team\n  - $A\n  - $B", "line 3: an anchor (`&`): what stands here may count elsewhere too"),
        ("x: &x [$A, $B]\nage: *x", "line 4: an alias (`*`): what counts here stands elsewhere"),
        ("x: &x $A\nage:\n  - $B\n  - *x", "line 6: an alias (`*`): what counts here stands elsewhere"),
        ("age:\n  - $B\n  - &x $A", "line 5: an anchor (`&`): what stands here may count elsewhere too"),
        ("x: &x {age: [$A, $B]}\n<<: *x", "line 4: a merge key (`<<`): what counts here stands elsewhere too"),
        ("age: !!str $A,$B", "line 3: a tag (`!`)"),
        ("age:\n  - !!str $A\n  - $B", "line 4: a tag (`!`)"),
        ("age: \"$A,\\x20$B\"", "line 3: a quoted text with a backslash in it"),
        ("age: $A,$B\nage: z", "line 4, column 5: the key `age` stands already on line 3"),
        ("age: 12", "line 3, column 10: `age` must be a string or a list of strings"),
    ];
    for (rule, error) in cases {
        assert_eq!(added(rule, "carol", StringForm::CommentAbove), error, "{rule}");
        assert_eq!(removed(rule, "$A"), error, "{rule}");
    }
    let documents = config("age: $A,$B") + "\n---\nx: y\n";
    let error = EditError::Unsafe { line: 6, obstacle: Obstacle::SecondDocument };
    assert_eq!(add(&documents, RULE, 0, &carol("carol"), StringForm::MakeList), Err(error.clone()));
    assert_eq!(remove(&documents, RULE, Kind::Age, RECIPIENTS[0].1), Err(error));
    let two = spelled("creation_rules: [{age: $A}, {age: [$A, $B]}]");
    let error = EditError::Unsafe { line: 1, obstacle: Obstacle::RulesOnOneLine };
    assert_eq!(add(&two, 1, 0, &carol(""), StringForm::MakeList), Err(error.clone()));
    assert_eq!(remove(&two, 1, Kind::Age, "x"), Err(error));
    assert_eq!(remove(&two, 2, Kind::Age, "x"), Err(EditError::NoSuchRule { line: 2 }));
    let groups = config("key_groups:\n  - kms:\n      - arn: x");
    let kms = NewRecipient { kind: Kind::Kms, recipient: "arn:aws:kms:x", name: "" };
    let error = EditError::Unsafe { line: 4, obstacle: Obstacle::KeysAreMappings };
    assert_eq!(add(&groups, RULE, 0, &kms, StringForm::MakeList), Err(error.clone()));
    assert_eq!(remove(&groups, RULE, Kind::Kms, "x"), Err(error));
    assert_eq!(add(&groups, RULE, 1, &kms, StringForm::MakeList), Err(EditError::NoSuchGroup { line: RULE, group: 1 }));
}

#[test]
fn nobody_is_added_twice_removed_without_being_there_or_removed_as_the_last() {
    for rule in ["age: $A,$C", "age:\n  - $C", "key_groups: [{merge: [{age: [$C]}]}]"] {
        assert_eq!(
            added(rule, "carol", StringForm::MakeList),
            "the recipient is there already, on line 3".replace('3', if rule.contains('-') { "4" } else { "3" })
        );
        assert_eq!(removed(rule, "$B"), "the rule on line 2 does not name the recipient");
    }
    for rule in ["age: $A", "age:\n  - $A", "age: [$A, $A]", "key_groups: [{age: [$A]}, {age: [$A, $B]}]"] {
        assert!(removed(rule, "$A").ends_with("is the only one of its rule or key group"), "{rule}");
    }
}

#[test]
fn a_name_is_harmless_as_a_comment_or_refused() {
    for name in ["é 日本", "a # b", "x: y, [z]", "- *a", "$A", "\u{200c}"] {
        let new = NewRecipient { name, ..carol("") };
        let text = add(&config("age:\n  - $A"), RULE, 0, &new, StringForm::MakeList);
        match name {
            "\u{200c}" => assert_eq!(text, Err(EditError::NameCharacter { code_point: 0x200c })),
            _ => assert_eq!(rule_of(&text.unwrap()), format!("age:\n  - $A\n  - $C # {name}")),
        }
    }
    for (name, error) in [
        ("a\nb: c", EditError::NameCharacter { code_point: 10 }),
        ("a\u{2028}", EditError::NameCharacter { code_point: 0x2028 }),
        ("a\tb", EditError::NameCharacter { code_point: 9 }),
        ("a\u{85}", EditError::NameCharacter { code_point: 0x85 }),
        ("\u{202e}a", EditError::NameCharacter { code_point: 0x202e }),
        (" a", EditError::NameEdges),
        ("# a", EditError::NameEdges),
        ("a\u{a0}", EditError::NameEdges),
        (&"n".repeat(NAME_LENGTH + 1), EditError::NameTooLong),
    ] {
        let new = NewRecipient { name, ..carol("") };
        assert_eq!(add(&config("age: $A"), RULE, 0, &new, StringForm::MakeList), Err(error));
    }
    for recipient in ["", " age1x", "age1x,age1y", "age1\n- x", "age1x\u{feff}"] {
        let new = NewRecipient { recipient, ..carol("") };
        assert_eq!(add(&config("age: $A"), RULE, 0, &new, StringForm::MakeList), Err(EditError::Recipient));
    }
}

#[test]
fn a_recipient_that_is_more_than_a_word_is_quoted_where_it_must_be() {
    let sam = NewRecipient { kind: Kind::Age, recipient: RECIPIENTS[3].1, name: "sam" };
    for (before, after) in [
        ("age:\n  - $A", "age:\n  - $A\n  - '$S' # sam"),
        ("age:\n  - \"$A\"", "age:\n  - \"$A\"\n  - \"$S\" # sam"),
        ("age: [$A]", "# $S sam\nage: [$A, '$S']"),
        ("age: $A", "# $S sam\nage: $A,$S"),
        ("age: >-\n  $A", "# $S sam\nage: >-\n  $A,\n  $S"),
    ] {
        let text = add(&config(before), RULE, 0, &sam, StringForm::CommentAbove).unwrap();
        assert_eq!(rule_of(&text), after);
        assert_eq!(rule_of(&remove(&text, RULE, Kind::Age, RECIPIENTS[3].1).unwrap()), before);
    }
}

#[test]
fn other_kinds_of_keys_are_written_as_they_are() {
    let vault = |name| NewRecipient { kind: Kind::HcVault, recipient: "https://v:8200/v1/transit/keys/k", name };
    for (before, after) in [
        ("age: $A", "hc_vault_transit_uri:\n  - 'https://v:8200/v1/transit/keys/k' # vault\nage: $A"),
        (
            "key_groups:\n  - age: [$A]",
            "key_groups:\n  - age: [$A]\n    hc_vault:\n      - 'https://v:8200/v1/transit/keys/k' # vault",
        ),
    ] {
        let text = add(&config(before), RULE, 0, &vault("vault"), StringForm::MakeList).unwrap();
        assert_eq!(rule_of(&text), after);
        assert!(remove(&text, RULE, Kind::HcVault, "https://v:8200/v1/transit/keys/k/").is_ok());
    }
    let role = NewRecipient { kind: Kind::Kms, recipient: "arn:aws:kms:eu:1:key/y+arn:aws:iam::1:role/r", name: "" };
    let text = add(&config("kms: arn:aws:kms:eu:1:key/x"), RULE, 0, &role, StringForm::MakeList).unwrap();
    assert_eq!(rule_of(&text), "kms: arn:aws:kms:eu:1:key/x,arn:aws:kms:eu:1:key/y+arn:aws:iam::1:role/r");
    assert_eq!(remove(&text, RULE, Kind::Kms, role.recipient), Ok(config("kms: arn:aws:kms:eu:1:key/x")));
}
