//! Random dotenv files and the options they are encrypted with.

use dotsops::document::metadata::Metadata;
use dotsops::document::selection::SelectionOption;
use serde_json::json;

use crate::support::document;
use crate::support::random::Random;
use crate::support::sandbox::{RECIPIENT, STRANGER};

/// A plaintext file, how it is encrypted, and the seed of what is then done to it.
#[derive(Clone)]
pub struct Case {
    /// Without their LF.
    pub lines: Vec<Vec<u8>>,
    pub selection: Option<(SelectionOption, &'static str)>,
    pub mac_only_encrypted: bool,
    pub recipients: Vec<&'static str>,
    pub seed: u64,
}

impl Case {
    /// The case that `seed` stands for.
    pub fn of(seed: u64) -> Self {
        let mut random = Random(seed);
        let most = random.pick(&[1, 3, 8, 8, 20]);
        let mut lines: Vec<Vec<u8>> = (0..random.below(most + 1)).map(|_| random.line()).collect();
        if random.once_in(4) && !lines.is_empty() {
            let again = lines[random.below(lines.len())].clone();
            lines.insert(random.below(lines.len() + 1), again);
        }
        Self {
            lines,
            selection: random.selection(),
            mac_only_encrypted: random.once_in(4),
            recipients: match random.below(40) {
                0..24 => vec![RECIPIENT],
                24..32 => vec![STRANGER, RECIPIENT],
                32..38 => vec![RECIPIENT, SSH, STRANGER],
                _ => [[RECIPIENT].as_slice(), &[STRANGER; 11]].concat(),
            },
            seed: random.next(),
        }
    }

    pub fn plaintext(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| [line, b"\n".as_slice()].concat()).collect()
    }

    pub fn metadata(&self) -> Metadata {
        document::metadata(&self.recipients, self.selection, self.mac_only_encrypted)
    }

    /// A `.sops.yaml` that says the same: sops has no command line options for rules about comments.
    pub fn config(&self) -> String {
        let mut rule = json!({"age": self.recipients, "mac_only_encrypted": self.mac_only_encrypted});
        if let Some((option, text)) = self.selection {
            rule[option.field()] = json!(text);
        }
        json!({"creation_rules": [rule]}).to_string()
    }
}

/// For a failed test: everything but the seed.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.config())?;
        for line in &self.lines {
            let shown = &line[..line.len().min(300)];
            writeln!(f, "  {:?} ({} bytes)", String::from_utf8_lossy(shown), line.len())?;
        }
        Ok(())
    }
}

const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAt0JClVNvL55xys/klWTChNQLBWMAGKHnHDYsEw+TE1 a b";

const NAMES: &[&str] = &[
    "A",
    "A",
    "B",
    "API_KEY",
    "DB_URL",
    "export C",
    "PORT_unencrypted",
    "T_PUB",
    "T_PUB",
    " lead",
    "trail ",
    "a.b-c",
    "x:y",
    "ü",
    "k\\n",
    "'q'",
    "sops",
    "Sops_x",
    "ENC[AES256_GCM",
    "__map_",
    "",
];

const PIECES: &[&str] = &[
    "\\n",
    "\\n",
    "\\",
    "\\\\n",
    "\"",
    "'",
    "`",
    "#",
    " #",
    "=",
    "$",
    "${A}",
    " ",
    "  ",
    "\t",
    "\r",
    "\u{b}",
    "\0",
    "\u{1b}[0m",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "ü",
    "😀",
    "a",
    "hunter2",
    "0",
    "5",
    "true",
    "null",
    "1e3",
    "ENCME",
    "public",
    "sops_",
    "ENC[",
    "ENC[AES256_GCM,",
    ",type:str]",
    "-----BEGIN KEY-----",
    "{\"a\": [1]}",
];

impl Random {
    /// A line that sops takes.
    fn line(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => Vec::new(),
            1 => b"#".to_vec(),
            2 | 3 => [b"#", self.pick(&["", " ", "ENCME", " public", "! "]).as_bytes(), &self.bytes(5)].concat(),
            _ => {
                let mut name = self.pick(NAMES).as_bytes().to_vec();
                if self.once_in(12) {
                    name = self.bytes(4);
                    name.retain(|byte| *byte != b'=');
                    // What begins like this is no name.
                    while name.starts_with(b"#") || name.starts_with(b"sops_") {
                        name.remove(0);
                    }
                }
                let value = if self.once_in(6) { Vec::new() } else { self.bytes(8) };
                [name, b"=".to_vec(), value].concat()
            }
        }
    }

    /// Text of up to `most` pieces, now and then with bytes that are no text, seldom very long.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(most + 1) {
            bytes.extend_from_slice(self.pick(PIECES).as_bytes());
        }
        if self.once_in(20) {
            let at = self.below(bytes.len() + 1);
            bytes.insert(at, self.pick(&[0xff, 0x80, 0xc3, 0xed, 0xf4]));
        }
        if self.once_in(150) && !bytes.is_empty() {
            bytes = bytes.repeat(self.below(100_000 / bytes.len()).max(1));
        }
        bytes
    }

    fn selection(&mut self) -> Option<(SelectionOption, &'static str)> {
        use SelectionOption::{
            EncryptedCommentRegex, EncryptedRegex, EncryptedSuffix, UnencryptedCommentRegex, UnencryptedRegex, UnencryptedSuffix,
        };
        let suffixes = ["_PUB", "A", "_KEY", "", "ü"];
        let patterns =
            ["^A", "(?i)^a", "_(KEY|URL)$", r"^\w+$", r"[^A-Z_]", r"\.", ".", "^$", r"^\QA\E", r"\d|\s", r"[[:upper:]]{2}"];
        let of_comments = ["ENCME", "public", "^ ", "^ENC", "[0-9]", ".", "^$", "AES|!"];
        Some(match self.below(9) {
            0 => (UnencryptedSuffix, self.pick(&suffixes)),
            1 => (EncryptedSuffix, self.pick(&suffixes)),
            2 => (UnencryptedRegex, self.pick(&patterns)),
            3 => (EncryptedRegex, self.pick(&patterns)),
            4 => (UnencryptedCommentRegex, self.pick(&of_comments)),
            5 => (EncryptedCommentRegex, self.pick(&of_comments)),
            _ => return None,
        })
        .filter(|(_, text)| !text.is_empty())
    }
}
