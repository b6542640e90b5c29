//! `updatekeys` and `rotate` on several files: all of them or none, one question for all, and what was interrupted is told. A kill at each
//! step is in `tests/faults/journal.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use dotsops::sys::file_lock::FileLock;
use sha2::{Digest, Sha256};

use super::identities::locked;
use crate::support::groups::{Person, config, identities, people};
use crate::support::pty::Pty;
use crate::support::sandbox::{Ended, Sandbox, ended};

const TEXT: &str = "A=hunter2\n";

const FILES: [&str; 3] = ["a.env", "sub/b.env", "c.env"];

/// Nobody has the other half.
const CAROL: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

const VERBS: [&[&str]; 2] = [&["updatekeys", "--yes"], &["rotate", "--yes"]];

/// Alice's files under a rule that names bob too.
fn bob_is_to_come(files: &[&str]) -> (Sandbox, [Person; 2]) {
    let all = people(["alice", "bob"]);
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[&all[0]]], 0), files[0], TEXT);
    files[1..].iter().for_each(|file| drop(sandbox.write(file, sandbox.read(files[0]))));
    sandbox.write(".sops.yaml", config(&[&[&all[0], &all[1]]], 0));
    (sandbox, all)
}

fn on_files(words: &[&'static str]) -> Vec<&'static str> {
    words.iter().chain(&FILES).copied().collect()
}

fn bytes(sandbox: &Sandbox) -> Vec<String> {
    FILES.iter().map(|file| sandbox.read(file)).collect()
}

fn state(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".local/state/dotsops")
}

/// The log of a change of two files by `verb` whose process was killed before any was replaced, written by the description of its layout.
fn interrupted(sandbox: &Sandbox, verb: &str, files: &[(&str, &str)]) -> PathBuf {
    let mut log = b"dotsops-journal\n\x01".to_vec();
    let field = |log: &mut Vec<u8>, bytes: &[u8]| {
        log.extend((bytes.len() as u32).to_be_bytes());
        log.extend(bytes);
    };
    field(&mut log, verb.as_bytes());
    log.extend((files.len() as u32).to_be_bytes());
    for (file, new) in files {
        field(&mut log, sandbox.path(file).canonicalize().unwrap().to_str().unwrap().as_bytes());
        field(&mut log, sandbox.read(file).as_bytes());
        field(&mut log, new.as_bytes());
    }
    let digest = Sha256::digest(&log);
    log.extend(digest);
    let path = state(sandbox).join("journal/0123456789abcdef");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, log).unwrap();
    path
}

const UNFINISHED: &str = "`dotsops rotate` of 2 files was interrupted, and some of them may not be replaced yet";

#[test]
fn if_one_file_cannot_be_replaced_none_is() {
    for words in VERBS {
        let (sandbox, [alice, _]) = bob_is_to_come(&FILES);
        let before = bytes(&sandbox);
        let refused = |what: &str| {
            let ended = sandbox.run_as(&[&alice], &on_files(words));
            assert_eq!(ended.code, 6, "{what}: {}", ended.stderr);
            assert!(ended.stderr.contains("c.env") && ended.stderr.contains("dotsops: hint: "), "{what}: {}", ended.stderr);
            assert!(!ended.stdout.contains("updated"), "{what}: {}", ended.stdout);
            assert_eq!(bytes(&sandbox), before, "{what}");
        };
        let lock = FileLock::acquire(&state(&sandbox), &sandbox.path("c.env")).unwrap();
        refused("somebody edits it");
        drop(lock);
        fs::hard_link(sandbox.path("c.env"), sandbox.path("twin")).unwrap();
        refused("it has another name");
        fs::remove_file(sandbox.path("twin")).unwrap();
        let ended = sandbox.run_as(&[&alice], &on_files(words));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(bytes(&sandbox).iter().zip(&before).all(|(after, before)| after != before));
        assert!(!state(&sandbox).join("journal").exists());
    }
}

#[test]
fn what_updatekeys_cannot_make_is_left_out_and_rotate_makes_nothing_then() {
    let (sandbox, [alice, bob]) = bob_is_to_come(&FILES);
    let tampered = sandbox.read("sub/b.env").replacen("data:", "data:AA", 1);
    sandbox.write("sub/b.env", &tampered);
    let before = bytes(&sandbox);
    let rotated = sandbox.run_as(&[&alice], &on_files(&["rotate"]));
    assert_eq!(rotated.code, 5, "{}", rotated.stderr);
    assert_eq!(bytes(&sandbox), before);
    let updated = sandbox.run_as(&[&alice], &on_files(&["updatekeys", "--yes"]));
    assert_eq!(updated.code, 5, "{}", updated.stderr);
    assert!(updated.stdout.ends_with("a.env: updated\nc.env: updated\n"), "{}", updated.stdout);
    assert_eq!(sandbox.read("sub/b.env"), tampered);
    assert_eq!(sandbox.run_as(&[&bob], &["get", "-f", "c.env", "A"]).stdout, "hunter2");
}

#[test]
fn without_a_state_folder_one_file_can_be_replaced_and_several_say_what_to_set() {
    let (sandbox, [alice, _]) = bob_is_to_come(&FILES);
    let before = bytes(&sandbox);
    let run = |words: &[&str]| {
        let mut command = sandbox.dotsops(words);
        ended(command.env_remove("HOME").env("SOPS_AGE_KEY", identities(&[&alice])))
    };
    let several = run(&on_files(&["updatekeys", "--yes"]));
    assert_eq!(several.code, 7, "{}", several.stderr);
    assert!(several.stderr.contains("set HOME or XDG_STATE_HOME"), "{}", several.stderr);
    assert_eq!(bytes(&sandbox), before);
    let one = run(&["updatekeys", "--yes", "a.env"]);
    assert_eq!((one.code, one.stdout.ends_with("a.env: updated\n")), (0, true), "{}", one.stderr);
}

#[test]
fn more_files_than_a_process_may_have_open_are_no_reason_to_fail() {
    let names: Vec<String> = (0..60).map(|n| format!("{n}.env")).collect();
    let (sandbox, [alice, bob]) = bob_is_to_come(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let limited = |limit: &str| {
        let mut command = sandbox.program(Path::new("/bin/sh"));
        let dotsops = sandbox.dotsops(["updatekeys", "--yes"]);
        command.args(["-c", &format!("ulimit {limit} 40 && exec \"$@\""), "sh"]).arg(dotsops.get_program());
        ended(command.args(["updatekeys", "--yes"]).args(&names).env("SOPS_AGE_KEY", identities(&[&alice])))
    };
    let before = sandbox.read("59.env");
    let hard = limited("-n");
    assert_eq!(hard.code, 7, "{}", hard.stderr);
    assert!(hard.stderr.contains("ulimit -Hn"), "{}", hard.stderr);
    assert!(names.iter().all(|name| sandbox.read(name) == before));
    let soft = limited("-Sn");
    assert_eq!(soft.code, 0, "{}", soft.stderr);
    assert!(names.iter().all(|name| sandbox.read(name).contains(&bob.recipient)));
}

#[test]
fn several_files_cost_one_question_and_one_passphrase() {
    let (sandbox, [alice, bob]) = bob_is_to_come(&FILES);
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    fs::create_dir_all(keys.parent().unwrap()).unwrap();
    fs::write(&keys, locked(&identities(&[&alice]))).unwrap();
    let mut terminal = Pty::run(&mut sandbox.dotsops(on_files(&["updatekeys"])));
    terminal.wait_for("Change who can read these 3 files?");
    terminal.type_keys("y\r");
    terminal.wait_for("keys.txt: ");
    terminal.type_keys("throwaway\r");
    let (code, shown) = terminal.end();
    assert_eq!((code, shown.matches("passphrase").count(), shown.matches("[y/N]").count()), (0, 1, 1), "{shown}");
    assert!(bytes(&sandbox).iter().all(|file| file.contains(&bob.recipient)));

    // The same for those who could read from now on although no rule names them.
    sandbox.write(".sops.yaml", config(&[&[&alice]], 0));
    let before = bytes(&sandbox);
    for (answer, expected) in [("n\r", 6), ("y\r", 0)] {
        let mut terminal = Pty::run(sandbox.dotsops(on_files(&["rotate"])).env("SOPS_AGE_KEY", identities(&[&alice])));
        terminal.wait_for("From now on they could read what is written to these 3 files. Go on?");
        terminal.type_keys(answer);
        let (code, shown) = terminal.end();
        assert_eq!((code, shown.matches("[y/N]").count()), (expected, 1), "{shown}");
        assert_eq!(bytes(&sandbox) == before, expected != 0);
    }
}

#[test]
fn rotate_all_takes_what_git_tracks_and_nothing_else() {
    let (sandbox, [alice, _]) = bob_is_to_come(&["a.env", "sub/b.env", "own/c.env", "untracked.env"]);
    sandbox.write(".sops.yaml", config(&[&[&alice]], 0));
    sandbox.write("own/.sops.yaml", config(&[&[&alice]], 0));
    sandbox.write("plain.env", "A=1\n");
    let before = sandbox.read("a.env");
    let rotate = |words: &[&str]| sandbox.run_as(&[&alice], &[&["rotate", "--all"], words].concat());
    assert_eq!(rotate(&[]).code, 2);
    for arguments in [&["init", "-q"][..], &["add", "a.env", "sub", "own", "plain.env"]] {
        assert_eq!(ended(sandbox.program(Path::new("git")).args(arguments)).code, 0);
    }
    assert_eq!(rotate(&["a.env"]).code, 2);
    let dry = rotate(&["--dry-run"]);
    assert_eq!((dry.code, dry.stderr.matches("would get a new data key").count()), (0, 2), "{}", dry.stderr);
    assert_eq!(sandbox.read("a.env"), before);
    let done = rotate(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("own/c.env is left out"), "{}", done.stderr);
    let is_new = |file: &str| sandbox.read(file) != before;
    assert_eq!(["a.env", "sub/b.env", "own/c.env", "untracked.env"].map(is_new), [true, true, false, false]);
    assert_eq!(sandbox.read("plain.env"), "A=1\n");
}

#[test]
fn whoever_only_reads_is_told_of_an_interrupted_change_and_nothing_is_done_about_it() {
    let (sandbox, [alice, bob]) = bob_is_to_come(&["a.env", "b.env", "other.env"]);
    let old = sandbox.read("a.env");
    assert_eq!(sandbox.run_as(&[&alice], &["updatekeys", "--yes", "other.env"]).code, 0);
    let new = sandbox.read("other.env");
    interrupted(&sandbox, "rotate", &[("a.env", &new), ("b.env", &new)]);
    let readers: &[&[&str]] = &[
        &["get", "-f", "a.env", "A"],
        &["keys", "a.env"],
        &["decrypt", "a.env"],
        &["exec", "-f", "a.env", "--", "true"],
        &["diff", "a.env", "b.env"],
        &["groups", "add", "-f", "a.env", "--age", &bob.recipient],
        &["rotate", "--dry-run", "a.env"],
        &["updatekeys", "--dry-run", "a.env"],
        &["recipients", "add", "--dry-run", "-f", "other.env", "carol", CAROL],
        &["recipients", "remove", "--dry-run", "-f", "other.env", "bob"],
        &["recipients", "list", "other.env"],
        &["check", "other.env"],
        &["groups", "list", "-f", "a.env"],
        &["drafts"],
        &["drafts", "list"],
        &["init", "--dry-run"],
        &["encrypt", "plain.env"],
    ];
    sandbox.write("plain.env", TEXT);
    let rules = sandbox.read(".sops.yaml");
    let run = |words: &[&str]| sandbox.run_as(&[&alice], words);
    for reader in readers {
        let read = run(reader);
        assert_eq!((read.code, read.stderr.matches(UNFINISHED).count()), (0, 1), "{reader:?}: {}", read.stderr);
        let quiet = run(&[&["--quiet"], *reader].concat());
        assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""), "{reader:?}");
    }
    // What git runs says and does nothing, and what knows no file neither.
    for silent in [&["textconv", "a.env"][..], &["filestatus", "a.env"], &["rule", "a.env"], &["completions", "bash"]] {
        assert!(!run(silent).stderr.contains("interrupted"), "{silent:?}");
    }
    let doctor = run(&["doctor"]);
    assert!(doctor.stdout.contains("`dotsops rotate` of 2 files was interrupted"), "{}{}", doctor.stdout, doctor.stderr);
    assert_eq!([sandbox.read("a.env"), sandbox.read("b.env"), sandbox.read(".sops.yaml")], [old.clone(), old, rules]);
    let done: Ended = run(&["set", "-f", "other.env", "B", "1"]);
    assert!(done.stderr.contains("`dotsops rotate` of 2 files was interrupted; it is finished now"), "{}", done.stderr);
    assert_eq!([sandbox.read("a.env"), sandbox.read("b.env")], [new.clone(), new]);
}

#[test]
fn every_command_that_writes_finishes_what_was_interrupted_but_not_beneath_git() {
    let (sandbox, [alice, _]) = bob_is_to_come(&["a.env", "b.env", "other.env"]);
    let old = sandbox.read("a.env");
    assert_eq!(sandbox.run_as(&[&alice], &["updatekeys", "--yes", "other.env"]).code, 0);
    let new = sandbox.read("other.env");
    let writers: &[&[&str]] = &[
        &["edit", "--editor", "true", "other.env"],
        &["generate", "-f", "other.env", "T"],
        &["unset", "-f", "other.env", "T"],
        &["rotate", "other.env"],
        &["updatekeys", "--yes", "other.env"],
        &["groups", "add", "-i", "--yes", "-f", "other.env", "--age", &alice.recipient],
        &["recipients", "add", "--yes", "-f", "other.env", "carol", CAROL],
        &["recipients", "remove", "--yes", "-f", "other.env", "carol"],
        &["encrypt", "-o", "made.env", "plain.txt"],
        &["decrypt", "-o", "clear.txt", "other.env"],
        &["keygen", "-o", "made.txt"],
        &["init", "--yes"],
    ];
    sandbox.write("plain.txt", "A=1\n");
    for writer in writers {
        ["a.env", "b.env"].iter().for_each(|file| drop(sandbox.write(file, &old)));
        interrupted(&sandbox, "rotate", &[("a.env", &new), ("b.env", &new)]);
        let done = sandbox.run_as(&[&alice], writer);
        assert!(done.stderr.contains("it is finished now"), "{writer:?}: {}", done.stderr);
        assert_eq!([sandbox.read("a.env"), sandbox.read("b.env")], [new.clone(), new.clone()], "{writer:?}");
    }
    ["a.env", "b.env"].iter().for_each(|file| drop(sandbox.write(file, &old)));
    interrupted(&sandbox, "rotate", &[("a.env", &new), ("b.env", &new)]);
    ["ours", "base", "theirs"].iter().for_each(|version| drop(sandbox.write(version, &old)));
    let merged = sandbox.run_as(&[&alice], &["merge", "base", "ours", "theirs"]);
    assert!(!merged.stderr.contains("finished"), "{}", merged.stderr);
    assert_eq!(sandbox.read("a.env"), old);
}

#[test]
fn a_damaged_log_replaces_nothing_and_its_message_says_what_to_do() {
    let (sandbox, [alice, _]) = bob_is_to_come(&["a.env", "b.env", "other.env"]);
    let old = sandbox.read("a.env");
    let log = interrupted(&sandbox, "rotate", &[("a.env", "new"), ("b.env", "new")]);
    let mut damaged = fs::read(&log).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&log, damaged).unwrap();
    let done = sandbox.run_as(&[&alice], &["set", "-f", "other.env", "B", "1"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains(&format!("`rm {}`", log.display())), "{}", done.stderr);
    assert_eq!([sandbox.read("a.env"), sandbox.read("b.env")], [old.clone(), old]);
    assert!(log.exists());
}

#[test]
fn long_work_shows_how_far_it_is_on_a_terminal_alone() {
    let names: Vec<String> = (0..25).map(|n| format!("{n}.env")).collect();
    let (sandbox, [alice, _]) = bob_is_to_come(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let words: Vec<&str> = ["rotate", "--yes"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let piped = sandbox.run_as(&[&alice], &words);
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    assert!(!piped.stderr.contains('\r') && piped.stderr.contains("25 files have a new data key"), "{}", piped.stderr);
    let (code, shown) = Pty::run(sandbox.dotsops(&words).env("SOPS_AGE_KEY", identities(&[&alice]))).end();
    assert_eq!(code, 0, "{shown}");
    for step in ["opened", "made", "replaced"] {
        assert!(shown.contains(&format!("of 25 files {step}")), "{step}: {shown}");
    }
    assert!(shown.contains("[########            ] 10 of 25 files replaced"), "{shown}");
}
