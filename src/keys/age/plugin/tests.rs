//! The client and the fake plugin of `tests/support`, which can misbehave in every way we know of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bech32::{Bech32, Hrp};

use super::*;
use crate::keys::outside::{Ask, NoAnswer};
use crate::secret::SecretString;

const FAKE: &str = include_str!("../../../../tests/support/fake_plugin.sh");

/// Notes what it is asked, and answers what it was told to.
struct Person {
    answer: Option<&'static str>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Person {
    fn note(&self, text: String) -> Result<(), NoAnswer> {
        self.asked.lock().unwrap().push(text);
        self.answer.map(|_| ()).ok_or(NoAnswer::Nobody)
    }
}

impl Ask for Person {
    fn answer(&self, question: &Question<'_>) -> Result<SecretString, NoAnswer> {
        self.note(format!("{question:?}"))?;
        Ok(SecretString::copy_of(self.answer.unwrap()))
    }

    fn confirm(&self, question: &Question<'_>) -> Result<bool, NoAnswer> {
        self.note(format!("{question:?}"))?;
        Ok(self.answer == Some("y"))
    }

    fn show(&self, plugin: &str, message: &str) -> Result<(), NoAnswer> {
        self.note(format!("{plugin}: {message}"))
    }
}

/// A folder with a plugin in it that behaves as `mode` says.
struct Fake {
    folder: tempfile::TempDir,
    outside: Outside,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn new(mode: &str, answer: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = FAKE.replacen('\n', &format!("\nFAKE_MODE={mode}\nFAKE_LOG={}\n", folder.path().join("log").display()), 1);
        install(folder.path(), &script);
        let asked = Arc::default();
        let ask = Box::new(Person { answer, asked: Arc::clone(&asked) });
        // The plugin needs a `grep`.
        let path = format!("{}:{}", folder.path().display(), "/usr/bin:/bin");
        let outside = Outside { ask, path: Some(path.into()), patience: Duration::from_secs(10), ..Outside::default() };
        Self { folder, outside, asked }
    }

    fn wrap(&self) -> Result<Vec<Stanza>, PluginError> {
        self.wrap_for(true)
    }

    fn wrap_for(&self, is_own: bool) -> Result<Vec<Stanza>, PluginError> {
        wrap("fake", "age1fake1x", &FileKey::new(Box::new([7; 16])), is_own, &self.outside)
    }

    fn unwrap(&self) -> Result<Option<FileKey>, PluginError> {
        let other = Stanza { tag: "X25519".into(), args: vec!["a".into()], body: vec![1; 96] };
        let own = Stanza { tag: "fake".into(), args: Vec::new(), body: vec![7; 16] };
        unwrap("fake", "AGE-PLUGIN-FAKE-1X", &[other, own], &self.outside)
    }

    fn failure(&self) -> PluginError {
        self.unwrap().err().unwrap()
    }
}

fn install(folder: &Path, script: &str) {
    let path = folder.join("age-plugin-fake");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

fn plugin() -> String {
    "fake".to_owned()
}

#[test]
fn a_file_key_goes_to_a_plugin_and_comes_back() {
    let fake = Fake::new("good", None);
    let stanzas = fake.wrap().unwrap();
    assert_eq!(stanzas, [Stanza { tag: "fake".into(), args: Vec::new(), body: vec![7; 16] }]);
    assert_eq!(fake.unwrap().unwrap().unwrap().expose_secret(), &[7; 16]);
    let log = fs::read_to_string(fake.folder.path().join("log")).unwrap();
    assert_eq!(log, "--age-plugin=recipient-v1 clean\n--age-plugin=identity-v1 clean\n");
}

#[test]
fn a_stanza_for_somebody_else_gives_nothing_and_is_no_failure() {
    let fake = Fake::new("good", None);
    let other = Stanza { tag: "X25519".into(), args: Vec::new(), body: vec![1; 48] };
    assert!(unwrap("fake", "AGE-PLUGIN-FAKE-1X", &[other], &fake.outside).unwrap().is_none());
}

#[test]
fn what_a_plugin_asks_is_put_to_the_user() {
    let fake = Fake::new("pin", Some("1234"));
    assert!(fake.unwrap().unwrap().is_some());
    assert_eq!(fake.asked.lock().unwrap().len(), 1);
    assert!(fake.asked.lock().unwrap()[0].contains(r"PIN for \u{1b}[2Jslot?"));
    let fake = Fake::new("confirm", Some("y"));
    assert!(fake.unwrap().unwrap().is_some());
    let asked = fake.asked.lock().unwrap().join("\n");
    assert!(asked.contains("plug it in?") && asked.contains("done") && asked.contains("skip"), "{asked}");
    assert!(asked.ends_with("fake: touch it"), "{asked}");
    assert!(Fake::new("confirm", Some("n")).unwrap().unwrap().is_none());
    assert_eq!(Fake::new("pin", None).failure(), PluginError::NobodyToAsk { plugin: plugin() });
    let wrong = PluginError::Failed { plugin: plugin(), message: "no PIN".into() };
    assert_eq!(Fake::new("pin", Some("0000")).failure(), wrong);
}

#[test]
fn a_command_that_we_do_not_know_is_answered_as_the_protocol_wants_it() {
    assert!(Fake::new("unknown", None).unwrap().unwrap().is_some());
}

#[test]
fn a_plugins_error_is_one_line_without_control_characters() {
    let expected = PluginError::Failed { plugin: plugin(), message: "no touch [2Jx".into() };
    assert_eq!(Fake::new("escapes", None).failure(), expected);
}

#[test]
fn a_hostile_plugin_is_bounded_and_gone() {
    for (mode, expected) in [
        ("quits", PluginError::Ended { plugin: plugin() }),
        ("endless", PluginError::TooMuch { plugin: plugin() }),
        ("flood", PluginError::TooMuch { plugin: plugin() }),
        ("garbage", PluginError::Malformed { plugin: plugin() }),
        ("twice", PluginError::Malformed { plugin: plugin() }),
        ("short", PluginError::Malformed { plugin: plugin() }),
    ] {
        assert_eq!(Fake::new(mode, Some("y")).failure(), expected, "{mode}");
    }
    // More stanzas than a reader of the file would take.
    assert_eq!(Fake::new("many", None).wrap().err(), Some(PluginError::TooMuch { plugin: plugin() }));
    let mut silent = Fake::new("silent", None);
    silent.outside.patience = Duration::from_millis(300);
    let start = Instant::now();
    assert!(matches!(silent.failure(), PluginError::TimedOut { .. }));
    assert!(matches!(silent.wrap(), Err(PluginError::TimedOut { .. })));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn a_missing_plugin_is_named_and_relative_folders_are_not_looked_into() {
    let missing = PluginError::Missing { plugin: plugin() };
    let mut fake = Fake::new("good", None);
    fake.outside.path = None;
    assert_eq!(fake.failure(), missing);
    // The working directory of the tests is the crate's folder.
    let relative = Path::new("target/fake_plugin_in_a_relative_folder");
    fs::create_dir_all(relative).unwrap();
    install(relative, FAKE);
    for path in [relative.to_str().unwrap(), "", ".", "/nonexistent"] {
        fake.outside.path = Some(path.into());
        assert_eq!(fake.failure(), missing, "{path}");
    }
    fs::remove_dir_all(relative).unwrap();
    assert_eq!(missing.to_string(), "needs the program age-plugin-fake, which is not installed");
}

#[test]
fn names_are_read_from_recipients_and_identities_and_lead_nowhere_else() {
    let encoded = |prefix: &str| bech32::encode::<Bech32>(Hrp::parse(prefix).unwrap(), &[1, 2, 3]).unwrap();
    assert_eq!(name_in_recipient(&encoded("age1fake")).as_deref(), Some("fake"));
    assert_eq!(name_in_identity(&encoded("age-plugin-fake-").to_uppercase()).as_deref(), Some("fake"));
    for bad in ["age1a/b", "age1", "age", "age-plugin-fake-", "age1a b"] {
        assert_eq!(Hrp::parse(bad).ok().and_then(|_| name_in_recipient(&encoded(bad))), None, "{bad}");
    }
    assert_eq!(name_in_identity(&encoded("age-plugin--").to_uppercase()), None);
    assert_eq!(name_in_recipient("age1fake1qqqq"), None);
}

#[test]
fn a_plugin_that_others_named_runs_only_once_somebody_agreed_to_that_very_program() {
    let refused = |fake: &Fake, was_asked| {
        let program = fake.folder.path().join("age-plugin-fake");
        let expected = PluginError::NotAgreed { plugin: "fake".to_owned(), program: program.clone(), was_asked };
        assert_eq!(fake.wrap_for(false).err(), Some(expected));
        assert!(!fake.folder.path().join("log").exists());
        let asked = Question::RunPlugin { plugin: "fake", program: &program };
        assert_eq!(*fake.asked.lock().unwrap(), [format!("{asked:?}")]);
    };
    refused(&Fake::new("", Some("n")), true);
    refused(&Fake::new("", None), false);
    let agreed = Fake::new("", Some("y"));
    assert_eq!(agreed.wrap_for(false).ok().map(|stanzas| stanzas.len()), Some(1));
    // Nobody is asked about one's own, nor for what an identity is opened with.
    let own = Fake::new("", None);
    assert!(own.wrap_for(true).is_ok() && own.unwrap().is_ok());
    assert!(own.asked.lock().unwrap().is_empty());
}
