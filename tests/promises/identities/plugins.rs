//! Plugins: run last, only for identities of one's own or recipients that one named, and never with our keys.

use std::fs;

use super::*;
use crate::support::sandbox::{Ended, RECIPIENT, ended};

/// A sandbox with the fake plugin installed and a file encrypted to it and to somebody else.
struct Fake {
    sandbox: Sandbox,
    path: String,
    log: PathBuf,
}

impl Fake {
    fn new(recipients: &[&str]) -> Self {
        let sandbox = Sandbox::empty();
        let path = path_with(&program(&sandbox, "age-plugin-fake", FAKE_PLUGIN));
        let log = sandbox.root().join("log");
        let fake = Self { sandbox, path, log };
        fake.sandbox.write("plain.env", "A=opened\n");
        let arguments = ["encrypt", "--quiet", "-o", "secrets.env", "--filename-override", "secrets.env", "--age"];
        let list = recipients.join(",");
        let ended = fake.run(&[&arguments[..], &[&list, "plain.env"]].concat(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        fake
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.sandbox.dotsops(arguments);
        command.env("PATH", &self.path).env("FAKE_LOG", &self.log).envs(variables.iter().copied());
        ended(&mut command)
    }

    fn decrypt(&self, variables: &[(&str, &str)]) -> Ended {
        self.run(&["decrypt", "secrets.env"], variables)
    }
}

#[test]
fn a_plugin_wraps_for_a_recipient_and_opens_with_an_identity_and_sees_no_key() {
    let fake_pair = fake();
    let fake = Fake::new(&[RECIPIENT, &fake_pair.recipient]);
    assert_eq!(fs::read_to_string(&fake.log).unwrap(), "--age-plugin=recipient-v1 clean\n");
    let keys = format!("{} {}", native().identity, fake_pair.identity);
    let ended = fake.decrypt(&[("SOPS_AGE_KEY", &keys)]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "A=opened\n"), "{}", ended.stderr);
    // The key that names the plugin is tried first, so one run is enough.
    assert_eq!(fs::read_to_string(&fake.log).unwrap().lines().last(), Some("--age-plugin=identity-v1 clean"));
    assert_eq!(runs(&fake.log), 2);
}

#[test]
fn a_plugin_is_not_run_while_something_else_opens_the_file_nor_because_the_file_names_it() {
    let (mine, fake_pair) = (native(), fake());
    let fake = Fake::new(&[&fake_pair.recipient, &mine.recipient]);
    let keys = format!("{} {}", fake_pair.identity, mine.identity);
    assert_eq!(fake.decrypt(&[("SOPS_AGE_KEY", &keys)]).stdout, "A=opened\n");
    assert_eq!(runs(&fake.log), 1);
    // Nobody's plugin identity: the recipient in the file is no reason.
    assert_eq!(fake.decrypt(&[("SOPS_AGE_KEY", &native().identity)]).code, 4);
    assert_eq!(runs(&fake.log), 1);
    // Behind a passphrase too.
    at_home(&fake.sandbox, ".config/sops/age/keys.txt", locked(&mine.identity));
    let mut command = fake.sandbox.dotsops(["decrypt", "secrets.env"]);
    command.env("PATH", &fake.path).env("FAKE_LOG", &fake.log).env("SOPS_AGE_KEY", &fake_pair.identity);
    let mut pty = Pty::run(&mut command);
    pty.wait_for("passphrase for ");
    pty.type_keys("throwaway\n");
    assert_eq!(pty.end().0, 0);
    assert_eq!(runs(&fake.log), 1);
}

#[test]
fn a_plugins_identity_in_a_locked_file_is_used() {
    let pair = fake();
    let fake = Fake::new(&[&pair.recipient]);
    at_home(&fake.sandbox, ".config/sops/age/keys.txt", locked(&format!("# a token\n{}\n", pair.identity)));
    let mut command = fake.sandbox.dotsops(["decrypt", "secrets.env"]);
    let mut pty = Pty::run(command.env("PATH", &fake.path));
    pty.wait_for("passphrase for ");
    pty.type_keys("throwaway\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.ends_with("A=opened\r\n"), "{shown}");
}

#[test]
fn a_plugin_speaks_to_the_terminal_through_us_and_cannot_drive_it() {
    let fake_pair = fake();
    let fake = Fake::new(&[&fake_pair.recipient]);
    let on_terminal = |mode: &str| {
        let mut command = fake.sandbox.dotsops(["decrypt", "secrets.env"]);
        command.env("PATH", &fake.path).env("SOPS_AGE_KEY", &fake_pair.identity).env("FAKE_MODE", mode);
        Pty::run(&mut command)
    };
    let mut pty = on_terminal("pin");
    pty.wait_for(r"age-plugin-fake asks: PIN for \x1b[2Jslot? ");
    assert!(!pty.is_cooked());
    pty.type_keys("1234\n");
    let (code, shown) = pty.end();
    assert!(code == 0 && !shown.contains("1234"), "{shown}");
    let mut pty = on_terminal("confirm");
    pty.wait_for("age-plugin-fake asks: plug it in? [y: done, n: skip] ");
    pty.type_keys("y\n");
    pty.wait_for("age-plugin-fake: touch it");
    assert_eq!(pty.end().0, 0);
    let (code, shown) = on_terminal("escapes").end();
    assert!(code == 4 && shown.contains("which says: no touch [2Jx"), "{shown}");
    let ended = fake.decrypt(&[("SOPS_AGE_KEY", &fake_pair.identity), ("FAKE_MODE", "pin")]);
    assert_eq!(ended.code, 4);
    assert!(ended.stderr.contains("which asked for something and got no answer"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: run it where there is a terminal"), "{}", ended.stderr);
}

const QUESTION: &str = "age-plugin-fake must run to encrypt to a recipient";

/// A sandbox whose `.sops.yaml` names a recipient of the fake plugin, which is installed.
fn named_by_a_rule(recipient: &str) -> Fake {
    let fake = Fake::new(&[RECIPIENT]);
    fake.sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {recipient},{RECIPIENT}\n"));
    fake
}

#[test]
fn a_plugin_that_a_rule_names_is_asked_about_before_its_first_run_and_once() {
    let fake = named_by_a_rule(&fake().recipient);
    let encrypt = ["encrypt", "--blind", "plain.env"];
    let known = fake.sandbox.home().join(".local/state/dotsops/plugins");
    let assert_asks = || {
        let before = runs(&fake.log);
        let alone = fake.run(&encrypt, &[]);
        assert_eq!((alone.code, alone.stdout.as_str()), (6, ""), "{}", alone.stderr);
        assert!(alone.stderr.contains("and there is nobody to ask whether it may"), "{}", alone.stderr);
        assert!(alone.stderr.contains("`--allow-plugin fake`"), "{}", alone.stderr);
        assert_eq!(runs(&fake.log), before);
    };
    let answer = |keys: &str| {
        let mut command = fake.sandbox.dotsops(encrypt);
        let mut pty = Pty::run(command.env("PATH", &fake.path).env("FAKE_LOG", &fake.log));
        pty.wait_for(QUESTION);
        pty.type_keys(keys);
        pty.end()
    };
    assert_asks();
    // A no is not remembered, and nothing is written.
    let (code, shown) = answer("n\n");
    assert!(code == 6 && shown.contains("which was not agreed to"), "{shown}");
    assert!(runs(&fake.log) == 0 && !known.exists());
    // Said once on the command line or in a variable, it is said for once.
    assert_eq!(fake.run(&[&["--allow-plugin", "fake"], &encrypt[..]].concat(), &[]).code, 0);
    assert_eq!(fake.run(&encrypt, &[("DOTSOPS_ALLOW_PLUGINS", "other fake")]).code, 0);
    assert_eq!(fake.run(&encrypt, &[("DOTSOPS_ALLOW_PLUGINS", "fak fakes")]).code, 6);
    assert!(runs(&fake.log) == 2 && !known.exists());
    // A yes is for that program, and until it is forgotten.
    let (code, shown) = answer("y\n");
    assert!(code == 0 && shown.contains("now and in future"), "{shown}");
    let ended = fake.run(&encrypt, &[]);
    assert!(ended.code == 0 && ended.stdout.contains(RECIPIENT), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&known).unwrap().lines().count(), 1);
    let other = fake.sandbox.root().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(fake.sandbox.root().join("bin/age-plugin-fake"), other.join("age-plugin-fake")).unwrap();
    let path = format!("{}:{}", other.display(), fake.path);
    assert_eq!(fake.run(&encrypt, &[("PATH", &path)]).code, 6);
    fs::remove_file(&known).unwrap();
    assert_asks();
}

#[test]
fn a_plugin_is_asked_about_once_for_many_files_even_if_the_answer_is_no() {
    let fake = named_by_a_rule(&fake().recipient);
    let own = ("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY);
    for name in ["a.env", "b.env", "c.env"] {
        fs::copy(fake.sandbox.path("secrets.env"), fake.sandbox.path(name)).unwrap();
    }
    let before = fs::read(fake.sandbox.path("b.env")).unwrap();
    let mut command = fake.sandbox.dotsops(["updatekeys", "--yes", "a.env", "b.env", "c.env"]);
    let mut pty = Pty::run(command.env("PATH", &fake.path).env("FAKE_LOG", &fake.log).env(own.0, own.1));
    pty.wait_for(QUESTION);
    pty.type_keys("n\n");
    let (code, shown) = pty.end();
    assert_eq!((code, shown.matches(QUESTION).count()), (6, 1), "{shown}");
    assert!(runs(&fake.log) == 0 && fs::read(fake.sandbox.path("b.env")).unwrap() == before);
}

#[test]
fn nobody_is_asked_about_a_plugin_that_they_named_themselves() {
    let pair = fake();
    let fake = named_by_a_rule(&pair.recipient);
    let both = format!("{RECIPIENT},{}", pair.recipient);
    let own = fake.run(&["encrypt", "plain.env"], &[("SOPS_AGE_KEY", &pair.identity)]);
    assert_eq!(own.code, 0, "{}", own.stderr);
    for (arguments, variable) in [
        (&["encrypt", "--blind", "--age", &both, "plain.env"][..], ("UNUSED", "")),
        (&["encrypt", "--blind", "plain.env"], ("SOPS_AGE_RECIPIENTS", both.as_str())),
        (&["rotate", "--yes", "--add-age", &pair.recipient, "secrets.env"], ("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY)),
        (&["groups", "add", "-f", "secrets.env", "--age", &pair.recipient], ("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY)),
    ] {
        let before = runs(&fake.log);
        let ended = fake.run(arguments, &[variable]);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        assert!(runs(&fake.log) > before, "{arguments:?}");
    }
    fake.sandbox.write(".sops.yaml", format!("creation_rules:\n  - age:\n      - {RECIPIENT}\n"));
    for arguments in [&["init", "-q"][..], &["add", "."]] {
        assert_eq!(ended(fake.sandbox.program(Path::new("git")).args(arguments)).code, 0);
    }
    let own = [("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY)];
    fs::write(fake.sandbox.path("secrets.env"), fake.run(&["encrypt", "plain.env"], &own).stdout).unwrap();
    let before = runs(&fake.log);
    let added = fake.run(&["recipients", "add", "bob", &pair.recipient, "--yes"], &own);
    assert!(added.code == 0 && runs(&fake.log) > before, "{}", added.stderr);
}

#[test]
fn a_missing_plugin_is_named_with_what_to_install() {
    let fake_pair = fake();
    let fake = Fake::new(&[&fake_pair.recipient]);
    let keys = [("SOPS_AGE_KEY", fake_pair.identity.as_str())];
    for ended in [
        ended(fake.sandbox.dotsops(["decrypt", "secrets.env"]).envs(keys)),
        ended(&mut fake.sandbox.dotsops(["encrypt", "--age", &fake_pair.recipient, "plain.env"])),
    ] {
        assert!([4, 7].contains(&ended.code), "{}", ended.stderr);
        assert!(ended.stderr.contains("needs the program age-plugin-fake, which is not installed"), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: install age-plugin-fake into a folder of your PATH"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let tagged = bech32::encode::<Bech32>(Hrp::parse("age1tag").unwrap(), &[2; 33]).unwrap();
    let ended = ended(&mut fake.sandbox.dotsops(["encrypt", "--age", &tagged, "plain.env"]));
    assert!(ended.code == 7 && ended.stderr.contains("age-plugin-tag, which is not installed"), "{}", ended.stderr);
}
