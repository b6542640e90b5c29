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
