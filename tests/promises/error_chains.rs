//! Whatever is broken, no error of the library holds a value, a comment or a part of an identity: not in its message, not in what it was
//! caused by, not in the `Debug` output of either.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use dotsops::config::Config;
use dotsops::dialect::fix::fix;
use dotsops::dialect::interpolation::Precedence;
use dotsops::dialect::store::store;
use dotsops::dialect::{decode, read};
use dotsops::document::EncryptedDocument;
use dotsops::document::selection::{Selection, SelectionOption};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::ops::encrypt::prepare;
use dotsops::ops::exec::{Names, Options, environment};
use dotsops::ops::file;
use dotsops::ops::variable::Variables;
use dotsops::secret::SecretString;

use crate::support::document::{encrypted, keyring, metadata};
use crate::support::sandbox::{IDENTITY, RECIPIENT, STRANGER};

/// All that values and comments are made of, so that a piece of one is found too. No name has it.
const CANARY: &str = "cnry";

/// As `Debug` prints the same as bytes.
const CANARY_BYTES: &str = "99, 110, 114, 121";

/// What errors said, and of what sorts they were.
#[derive(Default)]
struct Heard {
    texts: Vec<String>,
    sorts: BTreeSet<String>,
}

impl Heard {
    fn error(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.debugged(&error);
            self.texts.push(error.to_string());
            next = error.source();
        }
    }

    fn debugged(&mut self, thing: &dyn Debug) {
        let text = format!("{thing:?}");
        let mut sort = String::new();
        // Only names of types: no numbers, no texts.
        for word in text.split(|character: char| !character.is_ascii_alphabetic()) {
            if word.starts_with(|first: char| first.is_ascii_uppercase()) && word.len() < 24 {
                sort = format!("{sort} {word}");
            }
        }
        self.sorts.insert(sort);
        self.texts.push(text);
    }

    fn result<T, E: Error + 'static>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(&error)).ok()
    }

    /// Fails if a text holds the canary; forgets the texts.
    fn has_no_canary(&mut self, input: &[u8]) {
        for text in self.texts.drain(..) {
            let holds = text.contains(CANARY) || text.contains(CANARY_BYTES);
            assert!(!holds, "{text}\nis said about:\n{}", String::from_utf8_lossy(input));
        }
    }

    /// Fails if a text holds 12 characters in a row of `secret` that are not `public` too; forgets the texts.
    fn has_nothing_of(&mut self, secret: &str, public: &str) {
        for text in self.texts.drain(..) {
            let pieces = text.as_bytes().windows(12).filter_map(|piece| std::str::from_utf8(piece).ok());
            let shown: Vec<&str> = pieces.filter(|piece| secret.contains(piece) && !public.contains(piece)).collect();
            assert!(shown.is_empty(), "{text}\nshows {shown:?}");
        }
    }
}

/// Texts that hold values in all sorts of shapes, and each of them damaged at every byte.
fn plaintexts() -> Vec<Vec<u8>> {
    let value = CANARY.repeat(3);
    let whole = [
        format!("# {value}\nA={value}\n"),
        format!("A='{value} {value}'\nexport B=\"{value}\\\"{value}\" # {value}\n"),
        format!("A=${{A:-{value}}}\nJ='{{\"{value}\": \"{value}\"}}'\n"),
        format!("A=\"{value}\n{value}\"\nB={value}\\n{value}\n"),
        format!("A: {value}\n- {value}\n{{{value}\n"),
    ];
    let odd: [&[u8]; 10] = [b"\0", b"\r", b"\n", b"'", b"\"", b"\\", b"#", b"\xff", b"\xef\xbb\xbf", b"${"];
    let mut texts = Vec::new();
    for text in whole.map(String::into_bytes) {
        for at in 0..=text.len() {
            texts.push(text[..at].to_vec());
            texts.push([&text[..at], text.get(at + 1..).unwrap_or_default()].concat());
            texts.extend(odd.iter().map(|odd| [&text[..at], odd, &text[at..]].concat()));
        }
    }
    texts
}

fn options(literal: bool) -> Options<'static> {
    Options {
        literal,
        keep_existing: false,
        plaintext_allowed: true,
        names: Names::new(&[], &[], ""),
        allow: &[],
        inherited: &|_| None,
        is_inherited: &|_| false,
        known: None,
        ask: &|_, _, _| false,
    }
}

#[test]
fn no_error_about_a_plaintext_holds_a_value() {
    let mut heard = Heard::default();
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring();
    let selection = Selection::new(SelectionOption::UnencryptedSuffix, "_clear").unwrap();
    for (number, text) in plaintexts().iter().enumerate() {
        let parsed = heard.result(Dotenv.parse(text));
        heard.result(file::parse(Path::new("x.env"), text, None));
        heard.result(prepare(text, &selection, &Dotenv, number % 2 == 0));
        if let Some(decoded) = heard.result(decode(text)) {
            let text = decoded.text.expose();
            for failed in read(text, Precedence::FileFirst, &|_| None).failed {
                heard.debugged(&failed.failure);
                heard.texts.push(failed.failure.to_string());
            }
            store(text, &|_| true).err().into_iter().flatten().for_each(|refusal| heard.error(&refusal));
            heard.result(fix(text));
            if let Some(config) = heard.result(Config::parse(Path::new("/x/.sops.yaml"), text)) {
                config.warnings.iter().for_each(|warning| heard.debugged(warning));
            }
        }
        if let Some(parsed) = parsed {
            heard.result(EncryptedDocument::new(parsed));
        }
        if number % 16 == 0 {
            let path = folder.path().join("x.env");
            std::fs::write(&path, text).unwrap();
            for literal in [false, true] {
                if let Some(found) = heard.result(environment(std::slice::from_ref(&path), &keyring, &options(literal))) {
                    found.warnings.iter().for_each(|warning| heard.texts.push(warning.to_string()));
                }
            }
        }
        heard.has_no_canary(text);
    }
    assert!(heard.sorts.len() >= 20, "{:#?}", heard.sorts);
}

#[test]
fn no_error_about_what_was_decrypted_holds_a_value() {
    let mut heard = Heard::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.env");
    let keyring = keyring();
    let names = ["A", "B", "J", "NONE"];
    for text in plaintexts().iter().step_by(7) {
        let Ok(file) = encrypted(text, metadata(&[RECIPIENT], None, false)) else { continue };
        std::fs::write(&path, &file).unwrap();
        for literal in [false, true] {
            if let Some(found) = heard.result(environment(std::slice::from_ref(&path), &keyring, &options(literal))) {
                found.warnings.iter().for_each(|warning| heard.texts.push(warning.to_string()));
            }
        }
        let document = EncryptedDocument::new(Dotenv.parse(&file).unwrap()).unwrap().open(&keyring).unwrap();
        if let Some(variables) = heard.result(Variables::of(&document, &Dotenv)) {
            for name in names {
                heard.result(variables.value(name, &|_| None));
                heard.result(variables.literal(name));
                heard.result(variables.set(name, &SecretString::copy_of(&CANARY.repeat(3)), name == "B"));
                heard.result(variables.unset(&[name.to_owned()], false));
                heard.result(variables.rename(name, "A"));
            }
        }
        heard.has_no_canary(text);
    }
    assert!(heard.sorts.len() >= 10, "{:#?}", heard.sorts);
}

#[test]
fn no_error_about_a_damaged_file_holds_a_value_or_the_data_key() {
    let mut heard = Heard::default();
    let value = CANARY.repeat(3);
    let text = format!("# {value}\nA={value}\nB={value}\n\nOPEN_clear={value}\n");
    let clear = Some((SelectionOption::UnencryptedSuffix, "_clear"));
    let keyring = keyring();
    let file = encrypted(text.as_bytes(), metadata(&[RECIPIENT, STRANGER], clear, false)).unwrap();
    let other = encrypted(text.as_bytes(), metadata(&[RECIPIENT], clear, false)).unwrap();
    let document = EncryptedDocument::new(Dotenv.parse(&file).unwrap()).unwrap().open(&keyring).unwrap();
    let key = document.data_key().expose();
    let hexadecimal: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = format!("{key:?}");

    let mut damaged = Vec::new();
    for at in 0..file.len() {
        damaged.push(file[..at].to_vec());
        damaged.push([&file[..at], &[file[at] ^ 1], &file[at + 1..]].concat());
        damaged.push([&file[..at], &file[at + 1..]].concat());
    }
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    for (one, two) in (0..lines.len()).flat_map(|one| (0..lines.len()).map(move |two| (one, two))) {
        let mut swapped = lines.clone();
        swapped.swap(one, two);
        damaged.push(swapped.concat());
        swapped[one] = swapped[two];
        damaged.push(swapped.concat());
    }
    for line in other.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b'=').next().unwrap();
        let replaced = lines.iter().map(|known| if known.starts_with(name) { line } else { known });
        damaged.push(replaced.collect::<Vec<_>>().concat());
    }
    for (kind, wrong) in [("type:str", "type:int"), ("type:str", "type:comment"), ("type:str", "type:none"), ("data:", "data:!")]
    {
        damaged.push(String::from_utf8_lossy(&file).replace(kind, wrong).into_bytes());
    }
    for (number, file) in damaged.iter().enumerate() {
        let Some(parsed) = heard.result(Dotenv.parse(file)) else { continue };
        let Some(document) = heard.result(EncryptedDocument::new(parsed)) else { continue };
        // Most damage is in metadata and tokens; opening every third costs seconds enough.
        if number % 3 == 1 || number >= damaged.len() - 300 {
            heard.result(document.open(&keyring));
        }
        for text in &heard.texts {
            assert!(!text.contains(&hexadecimal[..16]) && !text.contains(&listed[1..40]), "{text}");
        }
        heard.has_no_canary(file);
    }
    assert!(heard.sorts.len() >= 15, "{:#?}", heard.sorts);
}

#[test]
fn no_error_about_identities_holds_a_part_of_one() {
    let mut heard = Heard::default();
    let file = encrypted(b"A=1\n", metadata(&[STRANGER], None, false)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut judge = |secret: &str, public: &str, text: &[u8], material: &dyn Fn(PathBuf) -> Material| {
        let path = folder.path().join("keys");
        std::fs::write(&path, text).unwrap();
        let keyring =
            Keyring::new(vec![IdentitySource { origin: Origin::Variable("KEYS".to_owned()), material: material(path) }]);
        heard.result(EncryptedDocument::new(Dotenv.parse(&file).unwrap()).unwrap().open(&keyring));
        keyring.reach_for_all();
        keyring.failures().iter().for_each(|failure| heard.error(failure));
        heard.has_nothing_of(secret, public);
    };
    let lines = |path| Material::File { path, optional: false };
    let ssh = |path| Material::SshFile { path, optional: false };
    let post_quantum = dotsops::keys::age::generate::generate_post_quantum_identity().unwrap();
    for secret in [IDENTITY, post_quantum.secret.expose()] {
        let step = 1 + secret.len() / 100;
        for at in (0..secret.len()).step_by(step) {
            for text in [
                secret[..at].to_owned(),
                format!("{}x{}", &secret[..at], &secret[at..]),
                format!("{}\n{}", &secret[..at], &secret[at..]),
            ] {
                judge(secret, "", text.as_bytes(), &lines);
                judge(secret, "", text.as_bytes(), &ssh);
                judge(secret, "", text.as_bytes(), &|_| Material::Text(SecretString::copy_of(&text)));
            }
        }
    }
    for name in
        ["ed25519", "ed25519_passphrase", "rsa_2048", "rsa_pkcs1", "rsa_pkcs1_passphrase", "rsa_pkcs8", "ecdsa", "rsa_1024"]
    {
        let path = format!("{}/tests/vectors/ssh/throwaway_{name}", env!("CARGO_MANIFEST_DIR"));
        let key = std::fs::read_to_string(&path).unwrap();
        // A private key's file holds the public half too.
        let public = std::fs::read_to_string(format!("{path}.pub")).unwrap();
        let secret: String = key.lines().filter(|line| !line.starts_with("-----") && !line.contains(": ")).collect();
        for at in (0..key.len()).step_by(key.len() / 15) {
            for text in
                [key[..at].to_owned(), format!("{}!{}", &key[..at], &key[at..]), format!("{}A{}", &key[..at], &key[at + 1..])]
            {
                judge(&secret, &public, text.as_bytes(), &ssh);
                judge(&secret, &public, text.as_bytes(), &lines);
            }
        }
    }
    assert!(heard.sorts.len() >= 10, "{:#?}", heard.sorts);
}

#[test]
fn what_an_error_holds_is_found() {
    #[derive(Debug, thiserror::Error)]
    #[error("harmless")]
    struct Outer(#[source] std::io::Error);
    let mut heard = Heard::default();
    heard.error(&Outer(std::io::Error::other(CANARY)));
    assert!(heard.texts.iter().filter(|text| text.contains(CANARY)).count() >= 2);
    heard.debugged(&CANARY.as_bytes());
    assert!(heard.texts.last().unwrap().contains(CANARY_BYTES));
}
