//! What configs are made of: on each axis one choice, the first of which is the plain one.

use std::path::Path;

use super::make_folder;
use crate::support::random::Random;
use crate::support::sandbox::{IDENTITY, RECIPIENT, STRANGER};

/// A third public key, from age's documentation.
const THIRD: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const SSH: &str = include_str!("../../vectors/ssh/throwaway_ed25519.pub");

/// One thing in which configs differ.
pub struct Axis {
    pub name: &'static str,
    /// Names, and what they put into the config; what that is depends on the axis. `$A`, `$B`, `$C` and `$S` stand for recipients.
    pub choices: &'static [(&'static str, &'static str)],
}

const KEYS: usize = 0;
const THRESHOLD: usize = 1;
const SELECTION: usize = 2;
const MAC: usize = 3;
const PATH: usize = 4;
const BEFORE: usize = 5;
const BEHIND: usize = 6;
const ENVELOPE: usize = 7;
const PLACE: usize = 8;
const OPTIONS: usize = 9;

pub const AXES: [Axis; 10] = [
    // Fields of the rule.
    Axis {
        name: "keys",
        choices: &[
            ("one", "age: $A"),
            ("with commas", "age: ' $A , $B ,, '"),
            ("folded", "age: >-\n  $A,\n  $B,"),
            ("literal", "age: |\n  $A,\n  $B"),
            ("several lines", "age: $A,\n  $B"),
            ("list", "age:\n  - $B # bob\n  - $A"),
            ("list in line", "age:\n- $A\n- '$C'"),
            ("flow list", "age: [$A, \"$B\"]"),
            ("flow list over lines", "age: [\n  $A, # alice\n  $C\n  ]"),
            ("list with commas", "age: ['$A , $B', $C]"),
            ("ssh", "age: [$S]"),
            ("twice the same", "age: $A,$A"),
            ("absent", ""),
            ("null", "age:"),
            ("empty", "age: ''"),
            ("empty list", "age: []"),
            ("a number", "age: 12"),
            ("a mapping", "age: {a: $A}"),
            ("a number in the list", "age: [$A, 12]"),
            ("null in the list", "age:\n- $A\n-"),
            ("empty in the list", "age: ['', $A]"),
            ("comma at the end in the list", "age: ['$A,']"),
            ("no recipient", "age: age1nonsense"),
            ("private key", "age: $I"),
            ("alias", "age: *keys"),
            ("merge key", "<<: *team"),
            ("merge key overridden", "age: $C\n<<: *team"),
            ("two merge keys", "<<: [*other, *team]"),
            ("merge of no mapping", "<<: *keys"),
            ("unknown alias", "age: *nobody"),
            ("one group", "key_groups:\n- age:\n  - $A\n  - $B"),
            ("one group and flat", "age: $C\nkey_groups: [{age: [$A]}]"),
            ("one group merged", "key_groups:\n- age: [$C]\n  merge:\n  - age: [$A]\n    merge: [{age: [$B]}]"),
            ("one group with merge key", "key_groups:\n- <<: *group"),
            ("one group as alias", "key_groups: [*group]"),
            ("twice the same in a group", "key_groups: [{age: [$A, '$B', $A]}]"),
            ("empty and null in a group", "key_groups:\n- age:\n  -\n  - ''\n  - $A"),
            ("commas in a group", "key_groups: [{age: ['$A,$B']}]"),
            ("null group", "key_groups:\n-\n- age: [$A]"),
            ("no groups but flat", "age: $A\nkey_groups: []"),
            ("null groups but flat", "age: $A\nkey_groups:"),
            ("an empty group", "key_groups: [{}]"),
            ("an empty group and flat", "age: $A\nkey_groups: [{}]"),
            ("an empty group of two", "key_groups: [{age: [$A]}, {}]"),
            ("two groups", "key_groups: [{age: [$A]}, {age: [$B, $A]}]"),
            ("three groups", "key_groups:\n- age: [$A]\n- age: [$B]\n- merge: [*group]\n  age: [$C]"),
            ("text for a group's list", "key_groups: [{age: $A}]"),
            ("text for a group", "key_groups: [x]"),
            ("text for groups", "key_groups: x"),
            ("text to merge", "key_groups: [{age: [$A], merge: x}]"),
        ],
    },
    Axis {
        name: "threshold",
        choices: &[
            ("absent", ""),
            ("0", "shamir_threshold: 0"),
            ("1", "shamir_threshold: 1"),
            ("2", "shamir_threshold: 2"),
            ("octal", "shamir_threshold: 010"),
            ("hexadecimal", "shamir_threshold: 0x2"),
            ("1.0", "shamir_threshold: 1.0"),
            ("null", "shamir_threshold: ~"),
            ("text", "shamir_threshold: '2'"),
            ("1.5", "shamir_threshold: 1.5"),
            ("negative", "shamir_threshold: -1"),
        ],
    },
    Axis {
        name: "selection",
        choices: &[
            ("absent", ""),
            ("unencrypted suffix", "unencrypted_suffix: _KEY"),
            ("encrypted suffix", "encrypted_suffix: _secret"),
            ("unencrypted regex", "unencrypted_regex: ^A"),
            ("encrypted regex", "encrypted_regex: '^(API|X)_'"),
            ("unencrypted comment regex", "unencrypted_comment_regex: note"),
            ("encrypted comment regex", "encrypted_comment_regex: secret"),
            ("number", "encrypted_suffix: 12"),
            ("empty and one", "unencrypted_suffix: ''\nencrypted_regex: API"),
            ("null", "encrypted_regex:"),
            ("two", "encrypted_regex: API\nunencrypted_suffix: b"),
            ("two of a kind", "encrypted_regex: API\nencrypted_comment_regex: b"),
            ("a list", "encrypted_regex: [API]"),
            ("bad pattern", "encrypted_regex: (API"),
        ],
    },
    Axis {
        name: "mac_only_encrypted",
        choices: &[
            ("absent", ""),
            ("true", "mac_only_encrypted: true"),
            ("yes", "mac_only_encrypted: yes"),
            ("y", "mac_only_encrypted: y"),
            ("On", "mac_only_encrypted: On"),
            ("quoted yes", "mac_only_encrypted: 'yes'"),
            ("no", "mac_only_encrypted: NO"),
            ("null", "mac_only_encrypted:"),
            ("quoted true", "mac_only_encrypted: 'true'"),
            ("1", "mac_only_encrypted: 1"),
        ],
    },
    Axis {
        name: "path_regex",
        choices: &[
            ("absent", ""),
            ("ending", r"path_regex: \.env$"),
            ("empty", "path_regex: ''"),
            ("null", "path_regex:"),
            ("part", "path_regex: ecret"),
            ("double quotes", r#"path_regex: "secrets\\.env$""#),
            ("unknown escape", r#"path_regex: "secrets\.env$""#),
            ("number", "path_regex: 12"),
            ("name alone", r"path_regex: ^secrets12\.env$"),
            ("in a folder", r"path_regex: ^sub/deep/[^/]*\.env$"),
            ("with dot", r"path_regex: ^\./"),
            ("absolute", "path_regex: ^/"),
            ("capitals", "path_regex: SECRETS"),
            ("capitals do not count", "path_regex: (?i)SECRETS"),
            ("other", "path_regex: yaml$"),
            ("unclosed", "path_regex: '(a'"),
            ("glob", "path_regex: '*.env'"),
            ("look-ahead", "path_regex: a(?!b)"),
            ("a list", "path_regex: [a]"),
        ],
    },
    // Other rules.
    Axis {
        name: "before",
        choices: &[
            ("none", ""),
            ("another path", "- path_regex: yaml$\n  age: $C\n"),
            ("every path", "- age: $C\n"),
            ("the same path", "- path_regex: env$\n  age: $C\n"),
            ("an empty rule", "- {}\n"),
            ("null", "-\n"),
            ("a text", "- x\n"),
            ("an alias", "- *team\n"),
            ("a bad pattern", "- path_regex: '['\n  age: $C\n"),
            ("a flat key of a wrong type", "- path_regex: yaml$\n  age: 12\n"),
            ("a field of a wrong type", "- path_regex: yaml$\n  shamir_threshold: x\n"),
            ("two selections", "- path_regex: yaml$\n  encrypted_regex: a\n  encrypted_suffix: b\n"),
        ],
    },
    Axis {
        name: "behind",
        choices: &[
            ("none", ""),
            ("every path", "- age: $B\n"),
            ("a bad pattern", "- path_regex: '['\n  age: $C\n"),
            ("a group of a wrong type", "- key_groups: [{age: x}]\n"),
            ("a key of a wrong type in a group", "- key_groups: [{merge: [{kms: [{arn: [x]}]}]}]\n"),
            ("a wrong type of a list", "- hckms: x\n"),
            ("a key twice", "- pgp: x\n  pgp: y\n"),
        ],
    },
    // The whole text; `$R` stands for the rules.
    Axis {
        name: "envelope",
        choices: &[
            ("plain", "creation_rules:\n$R"),
            ("byte order mark", "\u{feff}creation_rules:\n$R"),
            ("Windows line ends", "creation_rules:\n$R\r"),
            ("comments", "# who can read what\ncreation_rules: # all\n  # first\n$R# last"),
            ("start", "---\ncreation_rules:\n$R"),
            ("version", "%YAML 1.1\n---\ncreation_rules:\n$R"),
            ("second document", "creation_rules:\n$R---\ncreation_rules: x\n"),
            ("broken second document", "creation_rules:\n$R...\n---\n[\n"),
            ("no final line end", "other: {x: [1]}\ncreation_rules:\n$R\u{0}"),
            ("empty list", "creation_rules: []\n"),
            ("absent", "other: 1\n"),
            ("null", "creation_rules:\n"),
            ("a text", "creation_rules: x\n"),
            ("a mapping", "creation_rules:\n  age: $A\n"),
            ("twice", "creation_rules:\n$Rcreation_rules: []\n"),
            ("empty", ""),
            ("only a comment", "# nothing\n"),
            ("list", "- a\n"),
            ("unclosed", "creation_rules:\n$R  - age: [\n"),
            (
                "stores",
                "stores: {json: {indent: 2}, json_binary: , yaml: {indent: 0x4, x: y}, dotenv: {}, ini: {}, other: 1}\ncreation_rules:\n$R",
            ),
            ("stores as text", "stores: x\ncreation_rules:\n$R"),
            ("indentation as text", "stores: {yaml: {indent: x}}\ncreation_rules:\n$R"),
            ("dotenv store as text", "stores: {dotenv: x}\ncreation_rules:\n$R"),
            ("destination rules", "creation_rules:\n$Rdestination_rules:\n- path_regex: '('\n  s3_bucket: b\n  gcs_bucket: c\n"),
            ("destination rules as text", "creation_rules:\n$Rdestination_rules: x\n"),
            ("broken destination rule", "creation_rules:\n$Rdestination_rules: [{s3_bucket: [a]}]\n"),
            ("tab after dash", "creation_rules:\n-\tage: $A\n"),
        ],
    },
    // Where things are; read by `Case::lay`.
    Axis {
        name: "place",
        choices: &[
            ("beside", ""),
            ("file below", ""),
            ("from below", ""),
            ("nearest", ""),
            ("file above", ""),
            ("file elsewhere", ""),
            ("absolute file", ""),
            ("option", ""),
            ("option over a nearer one", ""),
            ("variable", ""),
            ("option over variable", ""),
            ("empty variable", ""),
            ("missing by option", ""),
            ("missing by variable", ""),
            ("folder by option", ""),
            ("yml", ""),
            ("nowhere", ""),
        ],
    },
    // Command line and environment, in words; those with `=` are variables.
    Axis {
        name: "options",
        choices: &[
            ("none", ""),
            ("age", "--age $B"),
            ("several", "--age $B,$C"),
            ("variable", "SOPS_AGE_RECIPIENTS=$B"),
            ("empty variable", "SOPS_AGE_RECIPIENTS="),
            ("option over variable", "--age $C SOPS_AGE_RECIPIENTS=$B"),
            ("encrypted regex", "--encrypted-regex API"),
            ("encrypted suffix", "--encrypted-suffix _secret"),
            ("unencrypted suffix", "--unencrypted-suffix _KEY"),
            ("empty regex", "--encrypted-regex="),
        ],
    },
];

/// Anchors that other choices refer to.
const ANCHORS: &str = "keys: &keys [$A, $B]\nteam: &team\n  age: $A\n  path_regex: env$\nother: &other {mac_only_encrypted: yes}\ngroup: &group\n  age: [$B]\n";

/// One choice on each axis.
pub struct Case([usize; AXES.len()]);

/// A case in a folder, and how to use it.
pub struct Lay {
    /// Where the program runs, from the work folder.
    pub folder: String,
    /// The file as it is named.
    pub file: String,
    /// Words before the verb.
    pub before: Vec<String>,
    /// Words behind it.
    pub options: Vec<String>,
    pub variables: Vec<(String, String)>,
}

impl Case {
    /// Every choice with the plain ones on all other axes, and some that belong together.
    pub fn alone() -> Vec<Self> {
        let mut cases = vec![Self([0; AXES.len()])];
        for (axis, Axis { choices, .. }) in AXES.iter().enumerate() {
            cases.extend((1..choices.len()).map(|choice| Self([0; AXES.len()]).with(axis, choice)));
        }
        let below = [
            ("file below", "in a folder"),
            ("from below", "in a folder"),
            ("from below", "name alone"),
            ("file elsewhere", "absolute"),
        ];
        cases.extend(below.map(|(place, path)| Self([0; AXES.len()]).with_named(PLACE, place).with_named(PATH, path)));
        let chosen = ["encrypted regex", "encrypted suffix", "empty regex"];
        cases.extend(
            chosen.map(|option| Self([0; AXES.len()]).with_named(SELECTION, "encrypted regex").with_named(OPTIONS, option)),
        );
        cases.push(Self([0; AXES.len()]).with_named(PATH, "other").with_named(OPTIONS, "age"));
        cases.push(Self([0; AXES.len()]).with_named(ENVELOPE, "absent").with_named(OPTIONS, "age"));
        cases.push(Self([0; AXES.len()]).with_named(PATH, "other").with_named(BEHIND, "every path"));
        cases.push(Self([0; AXES.len()]).with_named(KEYS, "three groups").with_named(THRESHOLD, "2"));
        cases
    }

    /// Plain choices and others, as they come.
    pub fn random(random: &mut Random) -> Self {
        let mut case = Self([0; AXES.len()]);
        for (axis, Axis { choices, .. }) in AXES.iter().enumerate() {
            if random.once_in(3) {
                case.0[axis] = random.below(choices.len());
            }
        }
        case
    }

    fn with(mut self, axis: usize, choice: usize) -> Self {
        self.0[axis] = choice;
        self
    }

    fn with_named(self, axis: usize, name: &str) -> Self {
        let choice = AXES[axis].choices.iter().position(|(there, _)| *there == name);
        self.with(axis, choice.unwrap_or_else(|| panic!("no choice {name}")))
    }

    /// Whether the choice of this name, with its axis in front, is among them.
    pub fn chose(&self, name: &str) -> bool {
        (0..AXES.len()).any(|axis| name == self.name(axis))
    }

    /// The choices that are not the plain ones.
    pub fn names(&self) -> String {
        let names: Vec<String> = (0..AXES.len()).filter(|axis| self.0[*axis] != 0).map(|axis| self.name(axis)).collect();
        if names.is_empty() { "plain".to_owned() } else { names.join(", ") }
    }

    fn name(&self, axis: usize) -> String {
        format!("{}: {}", AXES[axis].name, AXES[axis].choices[self.0[axis]].0)
    }

    fn text(&self, axis: usize) -> &'static str {
        AXES[axis].choices[self.0[axis]].1
    }

    /// The text of the config.
    pub fn config(&self) -> String {
        let fields =
            [PATH, KEYS, THRESHOLD, SELECTION, MAC].map(|axis| self.text(axis)).into_iter().filter(|text| !text.is_empty());
        let fields = fields.collect::<Vec<_>>().join("\n");
        let rule = if fields.is_empty() { "- {}".to_owned() } else { format!("- {}", fields.replace('\n', "\n  ")) };
        let rules = format!("{}{rule}\n{}", self.text(BEFORE), self.text(BEHIND));
        let text = with_recipients(&self.text(ENVELOPE).replace("$R", &rules));
        let anchors = if text.contains('*') { with_recipients(ANCHORS) } else { String::new() };
        let text = text.replacen("creation_rules:", &format!("{anchors}creation_rules:"), 1);
        // The two envelopes that are about line ends.
        match text.strip_suffix('\r') {
            Some(text) => text.replace('\n', "\r\n"),
            None => text.trim_end_matches("\n\u{0}").to_owned(),
        }
    }

    /// Puts the case into the folder `work`.
    pub fn lay(&self, work: &Path, plaintext: &str) -> Lay {
        let (mut folder, mut file, mut before, mut variables) = (".", "secrets12.env".to_owned(), Vec::new(), Vec::new());
        let mut config = "project/.sops.yaml";
        let config_option = |path: &str| vec!["--config".to_owned(), path.to_owned()];
        let variable = |path: &str| vec![("SOPS_CONFIG".to_owned(), path.to_owned())];
        let write = |path: &str, text: &str| {
            let path = work.join(path);
            make_folder(path.parent().unwrap());
            std::fs::write(path, text).unwrap();
        };
        let another = with_recipients("creation_rules:\n- age: $C\n");
        make_folder(&work.join("project/sub/deep"));
        match AXES[PLACE].choices[self.0[PLACE]].0 {
            "beside" => {}
            "file below" => file = "sub/deep/secrets12.env".to_owned(),
            "from below" => folder = "sub/deep",
            "nearest" => {
                folder = "sub/deep";
                config = "project/sub/.sops.yaml";
                write("project/.sops.yaml", &another);
            }
            "file above" => {
                folder = "sub/deep";
                file = "../../sub/./secrets12.env".to_owned();
            }
            "file elsewhere" => file = "../elsewhere/secrets12.env".to_owned(),
            "absolute file" => file = work.join("project/sub/secrets12.env").to_str().unwrap().to_owned(),
            "option" => {
                config = "rules/any.name";
                before = config_option("../rules/any.name");
            }
            "option over a nearer one" => {
                config = "project/sub/rules.yaml";
                before = config_option("sub/rules.yaml");
                write("project/.sops.yaml", &another);
            }
            "variable" => {
                config = "rules/any.name";
                variables = variable(work.join("rules/any.name").to_str().unwrap());
            }
            "option over variable" => {
                config = "project/rules.yaml";
                before = config_option("./rules.yaml");
                variables = variable("../other.yaml");
                write("other.yaml", &another);
            }
            "empty variable" => variables = variable(""),
            "missing by option" => before = config_option("none.yaml"),
            "missing by variable" => variables = variable("none.yaml"),
            "folder by option" => before = config_option("sub"),
            "yml" => config = "project/.sops.yml",
            "nowhere" => config = "unused.yaml",
            other => panic!("no place {other}"),
        }
        let folder = format!("project/{folder}");
        write(config, &self.config());
        let target = if file.starts_with('/') { file.clone() } else { format!("{folder}/{file}") };
        write(&target, plaintext);
        let mut options = Vec::new();
        for word in with_recipients(self.text(OPTIONS)).split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if !name.starts_with('-') => variables.push((name.to_owned(), value.to_owned())),
                _ => options.push(word.to_owned()),
            }
        }
        Lay { folder, file, before, options, variables }
    }
}

fn with_recipients(text: &str) -> String {
    let ssh = SSH.trim_end();
    [("$A", RECIPIENT), ("$B", STRANGER), ("$C", THIRD), ("$S", ssh), ("$I", IDENTITY)]
        .into_iter()
        .fold(text.to_owned(), |text, (name, recipient)| text.replace(name, recipient))
}
