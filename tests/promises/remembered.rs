//! What `exec` remembers of its questions: one answer for one file, one data key and one name, and never at anybody's cost.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::exec_pty::Terminal;
use crate::support::pty::Pty;
use crate::support::sandbox::{Ended, IDENTITY, Sandbox, ended};

const QUESTION: &str = "makes programs load code. Pass it on";
const RUNS: [&str; 4] = ["--", "sh", "-c", "echo runs with $PYTHONPATH"];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "PYTHONPATH=./src\n");
    sandbox
}

fn known(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".local/state/dotsops/known")
}

/// Without a terminal: an answer is there, or it is refused.
fn alone(sandbox: &Sandbox, file: &str) -> Ended {
    sandbox.run(&[&["exec", "-f", file], &RUNS[..]].concat())
}

fn assert_runs(sandbox: &Sandbox, file: &str) {
    let ended = alone(sandbox, file);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "runs with ./src\n", ""));
}

fn assert_asks(sandbox: &Sandbox, file: &str) {
    let ended = alone(sandbox, file);
    assert_eq!((ended.code, ended.stdout.as_str()), (125, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("`PYTHONPATH`") && ended.stderr.contains("--allow PYTHONPATH"), "{}", ended.stderr);
}

/// Answers the question at a terminal; gives the exit code and everything shown.
fn answer(sandbox: &Sandbox, file: &str, answer: &str) -> (i32, String) {
    let mut pty = Pty::run(&mut sandbox.dotsops([&["exec", "-f", file], &RUNS[..]].concat()));
    pty.wait_for(QUESTION);
    pty.type_keys(answer);
    pty.end()
}

#[test]
fn row_52_a_yes_at_the_terminal_is_remembered_and_a_no_is_not() {
    let sandbox = sandbox();
    assert_asks(&sandbox, "secrets.env");
    for no in ["n\n", "\n"] {
        assert_eq!(answer(&sandbox, "secrets.env", no).0, 125);
        assert!(!known(&sandbox).exists());
    }
    let (code, shown) = answer(&sandbox, "secrets.env", "y\n");
    assert!(code == 0 && shown.contains("runs with ./src"), "{shown}");
    assert_runs(&sandbox, "secrets.env");
    // Nobody is asked at a terminal either.
    let (code, shown) = Pty::run(&mut sandbox.dotsops([&["exec"], &RUNS[..]].concat())).end();
    assert_eq!((code, shown.as_str()), (0, "runs with ./src\r\n"));
    let list = fs::read_to_string(known(&sandbox)).unwrap();
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(list.ends_with(" PYTHONPATH\n") && !list.contains("./src") && !list.contains(IDENTITY), "{list}");
    assert_eq!(fs::metadata(known(&sandbox)).unwrap().permissions().mode() & 0o777, 0o600);
    // It may be deleted: then it is asked again.
    fs::remove_dir_all(sandbox.home().join(".local")).unwrap();
    assert_asks(&sandbox, "secrets.env");
}

#[test]
fn row_52_an_answer_is_about_this_file_this_data_key_and_this_name() {
    let sandbox = sandbox();
    assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
    // Under another path it is the same file; a copy is not, nor is the file under another name.
    symlink("secrets.env", sandbox.path("link.env")).unwrap();
    assert_runs(&sandbox, "link.env");
    fs::copy(sandbox.path("secrets.env"), sandbox.path("copy.env")).unwrap();
    assert_asks(&sandbox, "copy.env");
    // A change of the values keeps the data key, and so the answer; another name has none.
    assert_eq!(sandbox.run(&["set", "-f", "secrets.env", "OTHER", "1"]).code, 0);
    assert_runs(&sandbox, "secrets.env");
    assert_eq!(sandbox.run(&["set", "-f", "secrets.env", "PERL5LIB", "./lib"]).code, 0);
    let refused = alone(&sandbox, "secrets.env");
    assert!(refused.code == 125 && refused.stderr.contains("--allow PERL5LIB"), "{}", refused.stderr);
    assert_eq!(sandbox.run(&["unset", "-f", "secrets.env", "PERL5LIB"]).code, 0);
    assert_runs(&sandbox, "secrets.env");
    // A new data key: asked again, and then both are remembered.
    let old = fs::read(sandbox.path("secrets.env")).unwrap();
    assert_eq!(sandbox.run(&["rotate", "secrets.env"]).code, 0);
    assert_asks(&sandbox, "secrets.env");
    assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
    assert_runs(&sandbox, "secrets.env");
    // Another file put in its place has another key.
    sandbox.encrypted("secrets.env", "PYTHONPATH=./src\n");
    assert_asks(&sandbox, "secrets.env");
    fs::write(sandbox.path("secrets.env"), old).unwrap();
    assert_runs(&sandbox, "secrets.env");
}

#[test]
fn a_line_that_anybody_could_have_added_is_refused_whatever_was_answered_before() {
    let sandbox = sandbox();
    assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
    let text = sandbox.read("secrets.env");
    let value = text.lines().next().unwrap();
    for changed in [text.replacen(value, "PYTHONPATH=", 1), text.replacen(value, &format!("{value}\nPYTHONPATH="), 1)] {
        sandbox.write("secrets.env", changed);
        let ended = alone(&sandbox, "secrets.env");
        assert_eq!((ended.code, ended.stdout.as_str()), (125, ""), "{}", ended.stderr);
    }
}

#[test]
fn an_answer_about_a_plaintext_is_not_remembered() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("plain.env", "PYTHONPATH=./src\n");
    assert_eq!(answer(&sandbox, "plain.env", "y\n").0, 0);
    assert!(!known(&sandbox).exists());
}

/// Puts something in the place of the list; gives what must be there afterwards, if that must not change.
type Make = fn(&Path);

#[test]
fn a_list_that_is_none_harms_nobody_and_is_not_believed() {
    let made: [(&str, Make); 7] = [
        ("a folder", |path| fs::create_dir(path).unwrap()),
        ("a link", |path| {
            let other = path.with_file_name("other");
            fs::rename(path.with_file_name("real"), &other).unwrap();
            symlink(other, path).unwrap();
        }),
        ("a dangling link", |path| symlink("nowhere", path).unwrap()),
        ("a FIFO", |path| rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap()),
        ("a device", |path| symlink("/dev/zero", path).unwrap()),
        ("what others can write", |path| {
            fs::rename(path.with_file_name("real"), path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        }),
        ("what cannot be read", |path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }),
    ];
    for (what, make) in made {
        let sandbox = sandbox();
        assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
        fs::rename(known(&sandbox), known(&sandbox).with_file_name("real")).unwrap();
        make(&known(&sandbox));
        assert_asks(&sandbox, "secrets.env");
        let (code, shown) = answer(&sandbox, "secrets.env", "y\n");
        assert_eq!(code, 0, "{what}: {shown}");
        assert!(shown.contains("is not remembered") && shown.contains("runs with ./src"), "{what}: {shown}");
        assert_asks(&sandbox, "secrets.env");
        let _ = fs::set_permissions(known(&sandbox), Permissions::from_mode(0o755));
    }
}

#[test]
fn a_list_of_another_owner_is_not_believed() {
    let is_root = rustix::process::geteuid().is_root();
    if crate::support::peers::peer("root, who can give files away,", is_root.then(|| "/".into())).is_none() {
        return;
    }
    let sandbox = sandbox();
    assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
    std::os::unix::fs::chown(known(&sandbox), Some(65534), None).unwrap();
    assert_asks(&sandbox, "secrets.env");
}

#[test]
fn what_is_huge_or_no_text_or_torn_is_passed_over_and_the_next_answer_is_kept() {
    let torn = "0".repeat(100);
    for spoiled in [&b"\xff\0\xfe\n\n\x1b[2J"[..], torn.as_bytes(), &vec![b'x'; 3 << 20], &[b'\n'; 2 << 20]] {
        let sandbox = sandbox();
        fs::create_dir_all(known(&sandbox).parent().unwrap()).unwrap();
        fs::write(known(&sandbox), spoiled).unwrap();
        assert_asks(&sandbox, "secrets.env");
        assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
        assert_runs(&sandbox, "secrets.env");
    }
}

#[test]
fn where_nothing_can_be_kept_it_is_asked_each_time_and_nothing_fails() {
    let sandbox = sandbox();
    // No home at all.
    for _ in 0..2 {
        let mut command = sandbox.dotsops([&["exec"], &RUNS[..]].concat());
        let mut terminal = Terminal::start(command.env_remove("HOME").env("SOPS_AGE_KEY", IDENTITY));
        terminal.shows(QUESTION);
        terminal.types("y\n");
        terminal.shows("runs with ./src");
        let (code, shown) = terminal.ends();
        assert!(code == 0 && !shown.contains("warning"), "{shown}");
    }
    // A state folder that cannot be made.
    fs::create_dir(sandbox.home().join(".local")).unwrap();
    fs::write(sandbox.home().join(".local/state"), "").unwrap();
    for _ in 0..2 {
        let (code, shown) = answer(&sandbox, "secrets.env", "y\n");
        assert!(code == 0 && shown.contains("the answer about `PYTHONPATH` is not remembered"), "{shown}");
    }
    // One that cannot be written, where a mode means anything.
    fs::remove_file(sandbox.home().join(".local/state")).unwrap();
    assert_eq!(answer(&sandbox, "secrets.env", "y\n").0, 0);
    assert_runs(&sandbox, "secrets.env");
    fs::set_permissions(known(&sandbox), Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(known(&sandbox).parent().unwrap(), Permissions::from_mode(0o500)).unwrap();
    assert_runs(&sandbox, "secrets.env");
    fs::set_permissions(known(&sandbox).parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
    // `XDG_STATE_HOME` says where else.
    let elsewhere = sandbox.root().join("elsewhere");
    let mut command = sandbox.dotsops([&["exec"], &RUNS[..]].concat());
    let refused = ended(command.env("XDG_STATE_HOME", &elsewhere));
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    assert!(!elsewhere.exists());
}

#[test]
fn answers_given_at_the_same_time_are_all_kept() {
    let sandbox = sandbox();
    let files: Vec<String> = (0..8).map(|number| format!("{number}.env")).collect();
    for file in &files {
        sandbox.encrypted(file, "PYTHONPATH=./src\n");
    }
    let mut asked: Vec<Pty> =
        files.iter().map(|file| Pty::run(&mut sandbox.dotsops([&["exec", "-f", file], &RUNS[..]].concat()))).collect();
    asked.iter_mut().for_each(|pty| pty.wait_for(QUESTION));
    asked.iter().for_each(|pty| pty.type_keys("y\n"));
    assert!(asked.into_iter().all(|pty| pty.end().0 == 0));
    files.iter().for_each(|file| assert_runs(&sandbox, file));
    assert_eq!(fs::read_to_string(known(&sandbox)).unwrap().lines().count(), 8);
}

#[test]
#[cfg(target_os = "linux")]
fn the_state_is_not_looked_at_unless_such_a_name_is_there() {
    use crate::support::trace::{Event, Trace, strace};
    let Some(strace) = strace() else { return };
    let sandbox = sandbox();
    sandbox.encrypted("harmless.env", "API_KEY=1\n");
    let looks = |file: &str| {
        let (mut command, trace) = Trace::of(&strace, &sandbox.dotsops(["exec", "-f", file, "--", "true"]));
        ended(&mut command);
        trace
            .events()
            .iter()
            // Whether a change of several files was interrupted is another matter.
            .any(|event| {
                matches!(event, Event::Path(_, path) if path.starts_with(sandbox.home().join(".local")) && !path.ends_with("journal"))
            })
    };
    assert!(looks("secrets.env") && !looks("harmless.env"));
}
