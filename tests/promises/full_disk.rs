//! What the system itself can refuse: space, size, writing at all, and the stream that a result goes to. Every command that writes ends
//! with a message and every file whole.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::support::peers;
use crate::support::sandbox::{Ended, RECIPIENT, Sandbox, ended};
use crate::support::writing::{Stands, WRITERS, World, Writer, assert_message, reference};

/// `command`, run by the shell's `script` as `"$@"`.
fn by_shell(world: &World, words: &[&str], script: &str, command: &Command) -> Command {
    let mut shell = world.editing.sandbox.program(Path::new(words[0]));
    shell.args(&words[1..]).args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

const WITH_MOUNTS: &[&str] = &["unshare", "-rm", "/bin/sh"];

/// Whether this user may mount anything; if not, that is said.
fn may_mount() -> bool {
    let sandbox = Sandbox::empty();
    let may = ended(sandbox.program(Path::new("unshare")).args(["-rm", "true"])).code == 0;
    peers::given(may, "no mounts without privileges here")
}

fn assert_failed(writer: &Writer, ended: &Ended, codes: &[i32], when: &str) {
    let is_expected = codes.iter().any(|code| ended.code == writer.failure(*code));
    assert!(is_expected, "{} {when}: {}", ended.code, ended.stderr);
    assert_message(ended, when);
}

/// Every file of a folder, but for what was left there on purpose and what fills the disk.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| name != "filler" && name != ".secrets.env.dotsops-0123456789abcdef").collect()
}

#[test]
fn on_a_full_disk_every_file_stays_as_it_is() {
    if !may_mount() {
        return;
    }
    let script = "mkdir ../disk ../after && mount -t tmpfs -o size=128k none ../disk && cp -a . ../disk && cd ../disk || exit 99
        cat /dev/zero > filler 2>&-; \"$@\"; code=$?; cp -a . ../after; exit $code";
    // A draft is one of a folder, and the full disk is another folder. What is written there is the same as by `edit`.
    for writer in WRITERS.iter().filter(|writer| writer.name != "edit --resume") {
        let world = World::of(writer);
        let full = ended(&mut by_shell(&world, WITH_MOUNTS, script, &world.command()));
        let when = format!("with {} on a full disk", writer.name);
        assert_failed(writer, &full, &[7], &when);
        assert!(full.stderr.contains("No space left on device"), "{when}: {}", full.stderr);
        let work = world.editing.sandbox.work();
        assert_eq!(files(&world.editing.sandbox.root().join("after")), files(&work), "{when}");
        fs::remove_dir_all(world.editing.sandbox.root().join("after")).unwrap();
        assert!(writer.name != "edit" || full.stderr.contains("--resume secrets.env"), "{when}: {}", full.stderr);
        world.assert_clean(false, &when);
    }
}

#[test]
fn a_limit_on_file_sizes_ends_nothing_half_way() {
    for writer in WRITERS {
        let reference = reference(writer);
        for limit in [0, 1, 4] {
            let world = World::of(writer);
            let script = format!("ulimit -f {limit}; exec \"$@\"");
            let limited = ended(&mut by_shell(&world, &["/bin/sh"], &script, &world.command()));
            let when = format!("with {} and files of at most {limit} blocks", writer.name);
            let stands = world.assert_whole(&reference, &when);
            // Small files still fit; then what follows tells.
            match stands.values().all(|stands| *stands == Stands::New) {
                true => assert_eq!(limited.code, 0, "{when}: {}", limited.stderr),
                false => {
                    assert_failed(writer, &limited, &[7], &when);
                    assert!(limited.stderr.contains("File too large"), "{when}: {}", limited.stderr);
                }
            }
            assert!(limit > 0 || limited.code == writer.failure(7), "{when}");
            let session = world.editing.sessions();
            assert!(
                session.iter().all(|session| limited.stderr.contains(session.to_str().unwrap())),
                "{when}: {}",
                limited.stderr
            );
            world.assert_clean(!session.is_empty(), &when);
            world.assert_next_works(&when);
        }
    }
}

#[test]
fn in_a_folder_that_cannot_be_written_every_file_stays_as_it_is() {
    if !may_mount() {
        return;
    }
    let script = "mount --bind . . && mount -o remount,ro,bind . && cd .. && cd work || exit 99; exec \"$@\"";
    for writer in WRITERS {
        let reference = reference(writer);
        let world = World::of(writer);
        let refused = ended(&mut by_shell(&world, WITH_MOUNTS, script, &world.command()));
        let when = format!("with {} in a read-only folder", writer.name);
        assert_failed(writer, &refused, &[6, 7], &when);
        let stands = world.assert_whole(&reference, &when);
        // The key of `init` is at home.
        let new = stands.iter().filter(|(target, stands)| **stands == Stands::New && !target.contains("home"));
        assert_eq!(new.count(), 0, "{stands:?} {when}");
        world.assert_clean(false, &when);
        world.assert_next_works(&when);
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named_with_the_way_out() {
    if !may_mount() {
        return;
    }
    let (full, read_only) = ("No space left on device", "Read-only file system");
    // Full before its first folder is made, and full for a lock.
    let states = [("full", "nr_inodes=1", full), ("full later", "nr_inodes=3", full), ("read-only", "ro", read_only)];
    let locking = ["edit", "edit a new file", "set", "unset", "rename", "generate", "rotate", "updatekeys", "groups"];
    for writer in WRITERS.iter().filter(|writer| locking.contains(&writer.name)) {
        let reference = reference(writer);
        for (kind, options, reason) in states {
            let world = World::of(writer);
            let state = world.editing.sandbox.root().join("state");
            fs::create_dir(&state).unwrap();
            let script = format!("mount -t tmpfs -o {options} none ../state || exit 99; exec \"$@\"");
            let mut command = world.command();
            command.env("XDG_STATE_HOME", &state);
            let refused = ended(&mut by_shell(&world, WITH_MOUNTS, &script, &command));
            let when = format!("with {} and a state folder that is {kind}", writer.name);
            assert_failed(writer, &refused, &[7], &when);
            let place = format!("{}/dotsops cannot be used: {reason}", state.display());
            for text in ["cannot be locked", &place, "hint: set XDG_STATE_HOME to a folder that you can write"] {
                assert!(refused.stderr.contains(text), "{when}, `{text}` is not said: {}", refused.stderr);
            }
            let stands = world.assert_whole(&reference, &when);
            assert!(stands.values().all(|stands| *stands == Stands::Old), "{when}");
            world.assert_clean(false, &when);
        }
    }
}

#[test]
fn a_read_only_file_is_refused_by_every_command() {
    let mut refused = 0;
    for writer in WRITERS {
        let world = World::of(writer);
        let path = world.editing.sandbox.path(writer.targets[0]);
        if !path.exists() {
            continue;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        let state =
            |path: &Path| (fs::read(path).unwrap(), fs::metadata(path).unwrap().ino(), fs::metadata(path).unwrap().mode());
        let before = state(&path);
        let when = format!("with {} and a read-only file", writer.name);
        assert_failed(writer, &ended(&mut world.command()), &[6], &when);
        assert_eq!(state(&path), before, "{when}");
        world.assert_clean(false, &when);
        refused += 1;
    }
    assert!(refused >= 10, "{refused}");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\nB=2\n");
    sandbox.write("plain.env", "A=1\n");
    sandbox.write(".git/HEAD", "");
    let rows: &[&[&str]] = &[
        &["get", "A"],
        &["decrypt", "secrets.env"],
        &["decrypt", "--extract", "[\"A\"]", "secrets.env"],
        &["encrypt", "plain.env"],
        &["encrypt", "secrets.env"],
        &["rotate", "-o", "-", "secrets.env"],
        &["groups", "list"],
        &["groups", "add", "--age", RECIPIENT],
        &["keys"],
        &["filestatus", "secrets.env"],
        &["rule", "secrets.env"],
        &["man"],
        &["completions", "bash"],
        &["init"],
        &["keygen", "-o", "new-keys.txt"],
        &["--help"],
        &["help", "edit"],
        &["--version"],
    ];
    for row in rows {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = sandbox.dotsops(*row).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{row:?}: {said}");
        assert!(said.contains("standard output cannot be written: No space left on device"), "{row:?}: {said}");
        let _ = fs::remove_file(sandbox.path("new-keys.txt"));

        let mut closed = sandbox.program(Path::new("/bin/sh"));
        closed.args(["-c", "exec \"$@\" >&-", "sh", env!("CARGO_BIN_EXE_dotsops")]).args(*row);
        let closed = ended(&mut closed);
        assert_eq!(closed.code, 7, "{row:?}: {}", closed.stderr);
        assert!(closed.stderr.contains("standard output cannot be written: Bad file descriptor"), "{row:?}: {}", closed.stderr);
        let _ = fs::remove_file(sandbox.path("new-keys.txt"));
    }
    // Somebody who does not want the result says so.
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    assert_eq!(sandbox.dotsops(["decrypt", "secrets.env"]).stdout(null).status().unwrap().code(), Some(0));
}

/// What is in a program built with the Cargo feature `faults`.
#[cfg(not(feature = "faults"))]
#[test]
fn an_ordinary_program_has_no_fault_points() {
    let program = fs::read(env!("CARGO_BIN_EXE_dotsops")).unwrap();
    let holds = |text: &str| regex::bytes::Regex::new(text).unwrap().is_match(&program);
    assert!(holds("SOPS_AGE_KEY_FILE"), "nothing is found in this program");
    for text in ["DOTSOPS_CRASH", "half-written", "attributes-kept", "session-wiped"] {
        assert!(!holds(text), "the program holds {text:?}");
    }
    for writer in WRITERS {
        let world = World::of(writer);
        let log = world.editing.note("log");
        let faults = "new-unnamed:kill,half-written:eio,renamed:kill";
        let ended = ended(world.command().env("DOTSOPS_CRASH", faults).env("DOTSOPS_CRASH_LOG", &log));
        assert_eq!(ended.code, 0, "{}: {}", writer.name, ended.stderr);
        assert!(!log.exists());
    }
}
