//! Each place where identities are looked for, and what comes before what.

use std::fs;

use super::*;
use crate::support::sandbox::ended;

/// One source, or several.
struct Case {
    what: &'static str,
    /// Who the file is encrypted to.
    recipients: Vec<String>,
    /// Files of the home.
    home: Vec<(&'static str, String)>,
    /// `HOME` in a value stands for the home, `LOG` for a file that commands may write to.
    variables: Vec<(&'static str, String)>,
    opens: bool,
    /// How often commands are run.
    runs: usize,
}

/// Sources of sops-format §5.2 alone, then together.
fn cases() -> Vec<Case> {
    let (mine, other, key) = (native(), native(), ssh("ed25519"));
    let (to_me, to_key) = (vec![mine.recipient.clone()], vec![key.recipient.clone()]);
    let both = vec![other.recipient.clone(), mine.recipient.clone()];
    let case =
        |what, recipients: &Vec<String>, home: &[(&'static str, &str)], variables: &[(&'static str, &str)], opens, runs| Case {
            what,
            recipients: recipients.clone(),
            home: home.iter().map(|(name, text)| (*name, (*text).to_owned())).collect(),
            variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            opens,
            runs,
        };
    const KEYS: &str = ".config/sops/age/keys.txt";
    const PRINTS: &str = "sh -c 'echo run >> LOG; cat HOME/printed'";
    const FAILS: &str = "sh -c 'echo run >> LOG; cat HOME/printed; exit 3'";
    let (id, ssh_id, not) = (mine.identity.as_str(), key.identity.as_str(), other.identity.as_str());
    let chooses = format!("sh -c 'echo run >> LOG; [ \"$SOPS_AGE_RECIPIENT\" = {} ] && cat HOME/printed'", mine.recipient);
    vec![
        case("nothing", &to_me, &[], &[], false, 0),
        // Alone.
        case("SSH file", &to_key, &[("key", ssh_id)], &[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "HOME/key")], true, 0),
        case("SSH command", &to_key, &[("printed", ssh_id)], &[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", PRINTS)], true, 1),
        case("id_ed25519", &to_key, &[(".ssh/id_ed25519", ssh_id)], &[], true, 0),
        case("id_rsa", &to_key, &[(".ssh/id_rsa", ssh_id)], &[], true, 0),
        case("text", &to_me, &[], &[("SOPS_AGE_KEY", id)], true, 0),
        case("two words of a text", &to_me, &[], &[("SOPS_AGE_KEY", &format!("{not} {id}"))], true, 0),
        case("file", &to_me, &[("keys", id)], &[("SOPS_AGE_KEY_FILE", "HOME/keys")], true, 0),
        case("command", &to_me, &[("printed", id)], &[("SOPS_AGE_KEY_CMD", PRINTS)], true, 1),
        case("keys.txt", &to_me, &[(KEYS, id)], &[], true, 0),
        case("keys.txt elsewhere", &to_me, &[("x/sops/age/keys.txt", id)], &[("XDG_CONFIG_HOME", "HOME/x")], true, 0),
        case("not keys.txt in both places", &to_me, &[(KEYS, id)], &[("XDG_CONFIG_HOME", "HOME/x")], false, 0),
        // Empty is unset.
        case("empty text", &to_me, &[(KEYS, id)], &[("SOPS_AGE_KEY", "")], true, 0),
        case("empty file", &to_me, &[(KEYS, id)], &[("SOPS_AGE_KEY_FILE", "")], true, 0),
        case("empty command", &to_me, &[(KEYS, id)], &[("SOPS_AGE_KEY_CMD", "")], true, 0),
        case("blank command", &to_me, &[], &[("SOPS_AGE_KEY_CMD", "  "), ("SOPS_AGE_KEY", id)], true, 0),
        case("empty SSH file", &to_key, &[(".ssh/id_rsa", ssh_id)], &[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "")], true, 0),
        // Together: nothing stops at the first hit, and what fails keeps nothing else from being used.
        case(
            "text is another's, file mine",
            &to_me,
            &[("keys", id)],
            &[("SOPS_AGE_KEY", not), ("SOPS_AGE_KEY_FILE", "HOME/keys")],
            true,
            0,
        ),
        case("missing file", &to_me, &[(KEYS, id)], &[("SOPS_AGE_KEY_FILE", "HOME/none")], true, 0),
        case("nonsense in the text", &to_me, &[(KEYS, id)], &[("SOPS_AGE_KEY", "nonsense")], true, 0),
        case(
            "nonsense in a file",
            &to_me,
            &[("keys", &format!("nonsense\n{id}"))],
            &[("SOPS_AGE_KEY_FILE", "HOME/keys")],
            true,
            0,
        ),
        case("SSH key that is none", &to_me, &[(".ssh/id_rsa", "x"), (KEYS, id)], &[], true, 0),
        case(
            "failing command, keys.txt another's",
            &to_me,
            &[("printed", id), (KEYS, not)],
            &[("SOPS_AGE_KEY_CMD", FAILS)],
            false,
            1,
        ),
        case(
            "SSH for one, age for the other",
            &[to_me.clone(), to_key.clone()].concat(),
            &[(".ssh/id_rsa", ssh_id)],
            &[],
            true,
            0,
        ),
        // Commands only if nothing in plain text opens any of the file's keys.
        case("command behind keys.txt", &to_me, &[("printed", id), (KEYS, id)], &[("SOPS_AGE_KEY_CMD", FAILS)], true, 0),
        case(
            "command behind the second key",
            &both,
            &[("printed", id)],
            &[("SOPS_AGE_KEY_CMD", PRINTS), ("SOPS_AGE_KEY", id)],
            true,
            0,
        ),
        case(
            "command behind an SSH key",
            &to_key,
            &[("printed", id), (".ssh/id_rsa", ssh_id)],
            &[("SOPS_AGE_KEY_CMD", PRINTS)],
            true,
            0,
        ),
        // For each recipient, until one opens.
        case("command that prints for all", &both, &[("printed", id)], &[("SOPS_AGE_KEY_CMD", PRINTS)], true, 1),
        case("command that chooses", &both, &[("printed", id)], &[("SOPS_AGE_KEY_CMD", &chooses)], true, 2),
        case(
            "command that prints another's",
            &both,
            &[("printed", &native().identity)],
            &[("SOPS_AGE_KEY_CMD", PRINTS)],
            false,
            2,
        ),
        // Split as by a shell, and run by none.
        case("quotes", &to_me, &[("a b", id)], &[("SOPS_AGE_KEY_CMD", "cat \"HOME/a\"' 'b")], true, 0),
        case("no shell", &to_me, &[("printed", id)], &[("SOPS_AGE_KEY_CMD", "cat HOME/printed; true")], false, 0),
        case("no variables", &to_me, &[("printed", id)], &[("SOPS_AGE_KEY_CMD", "cat $HOME/printed")], false, 0),
    ]
}

#[test]
fn every_source_is_used_in_its_order_and_no_command_run_in_vain() {
    for case in cases() {
        let what = case.what;
        let recipients: Vec<&str> = case.recipients.iter().map(String::as_str).collect();
        let sandbox = sandbox(&recipients);
        for (name, text) in &case.home {
            at_home(&sandbox, name, text);
        }
        let log = sandbox.root().join("log");
        let mut command = sandbox.dotsops(["decrypt", "secrets.env"]);
        for (name, value) in &case.variables {
            let value = value.replace("$HOME", "$h").replace("HOME", sandbox.home().to_str().unwrap());
            command.env(name, value.replace("$h", "$HOME").replace("LOG", log.to_str().unwrap()));
        }
        let ended = ended(&mut command);
        assert_eq!(ended.code, if case.opens { 0 } else { 4 }, "{what}: {}", ended.stderr);
        assert_eq!(ended.stdout, if case.opens { "A=opened\n" } else { "" }, "{what}");
        assert_eq!(runs(&log), case.runs, "{what}");
        assert!(!ended.stderr.contains("AGE-SECRET-KEY"), "{what}: {}", ended.stderr);
    }
}

#[test]
fn a_command_sees_the_recipient_and_no_key_and_gets_nothing_to_read() {
    let mine = native();
    let sandbox = sandbox(&[&mine.recipient]);
    let folder =
        program(&sandbox, "tells", "#!/bin/sh\ncat; env > \"$NOTES\"; ls -l /proc/self/fd >> \"$NOTES\"; cat \"$PRINTED\"\n");
    let printed = at_home(&sandbox, "printed", &mine.identity);
    let notes = sandbox.root().join("notes");
    let mut command = sandbox.dotsops(["decrypt"]);
    command.env("SOPS_AGE_KEY", native().identity).env("SOPS_AGE_KEY_CMD", "tells").env("NOTES", &notes).env("PRINTED", printed);
    command.env("PATH", path_with(&folder)).stdin(fs::File::open(sandbox.path("secrets.env")).unwrap());
    let ended = ended(&mut command);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "A=opened\n"), "{}", ended.stderr);
    let notes = fs::read_to_string(notes).unwrap();
    assert!(notes.contains(&format!("SOPS_AGE_RECIPIENT={}\n", mine.recipient)), "{notes}");
    assert!(!notes.contains("AGE-SECRET-KEY"), "{notes}");
    assert!(notes.contains("0 -> ") && !notes.contains("secrets.env"), "{notes}");
}

#[test]
fn what_is_wrong_with_a_command_is_said_and_never_what_it_printed() {
    let mine = native();
    let sandbox = sandbox(&[&mine.recipient]);
    at_home(&sandbox, "printed", &mine.identity);
    let home = sandbox.home().display().to_string();
    for (command, expected) in [
        (format!("sh -c 'cat {home}/printed; exit 3'"), "SOPS_AGE_KEY_CMD: names a command that failed with exit code 3"),
        (
            "no-such-program x".to_owned(),
            "SOPS_AGE_KEY_CMD: names the program no-such-program, which cannot be run: no such program",
        ),
        (format!("cat '{home}/printed"), "SOPS_AGE_KEY_CMD: holds a command with an unclosed quote"),
        ("sh -c 'kill -9 $$'".to_owned(), "SOPS_AGE_KEY_CMD: names a command that was ended by a signal"),
        ("cat /dev/zero".to_owned(), "SOPS_AGE_KEY_CMD: names a command that printed more than 16777216 bytes, and was ended"),
        (format!("sed s/^/x/ {home}/printed"), "SOPS_AGE_KEY_CMD, line 1: is no age identity"),
    ] {
        let ended = ended(sandbox.dotsops(["decrypt", "secrets.env"]).env("SOPS_AGE_KEY_CMD", command));
        assert_eq!(ended.code, 4, "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: ") && ended.stderr.lines().count() == 3, "{}", ended.stderr);
        assert!(!ended.stderr.contains(&mine.identity[20..]), "{}", ended.stderr);
    }
}

#[test]
fn a_variable_that_leads_to_no_identity_is_to_be_corrected_before_anything_else() {
    let sandbox = sandbox(&[&native().recipient]);
    let garbage = at_home(&sandbox, "garbage", "nonsense\n");
    let pipe = sandbox.home().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (missing, other) = (sandbox.home().join("none"), native().identity);
    let cases = [
        ("SOPS_AGE_KEY_FILE", &missing, "): does not exist"),
        ("SOPS_AGE_KEY_FILE", &pipe, "): is not a regular file"),
        ("SOPS_AGE_KEY_FILE", &garbage, "), line 1: is no age identity"),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", &missing, "): does not exist"),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", &pipe, "): is not a regular file"),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", &garbage, "): is no SSH private key"),
    ];
    for keys in [None, Some(other)] {
        if let Some(keys) = keys {
            at_home(&sandbox, ".config/sops/age/keys.txt", keys);
        }
        for (variable, path, why) in cases {
            let ended = ended(sandbox.dotsops(["decrypt", "secrets.env"]).env(variable, path));
            let cause = format!("dotsops: cause: {variable} ({}{why}; encrypted to age ", path.display());
            assert_eq!(ended.code, 4, "{}", ended.stderr);
            assert!(ended.stderr.contains(&cause), "{}", ended.stderr);
            assert!(ended.stderr.contains(&format!("hint: correct {variable}: ")), "{}", ended.stderr);
            assert_eq!(ended.stderr.matches(why).count(), 1, "it is told twice: {}", ended.stderr);
        }
        let ended = ended(sandbox.dotsops(["decrypt", "secrets.env"]).env("SOPS_AGE_KEY", "nonsense"));
        assert!(ended.stderr.contains("cause: SOPS_AGE_KEY, line 1: is no age identity; encrypted to"), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: correct SOPS_AGE_KEY: "), "{}", ended.stderr);
    }
}
