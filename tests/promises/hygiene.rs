//! A running dotsops keeps keys and values to itself: its memory, its environment, its core dumps; the program it becomes is normal.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::exec_pty::{DEADLINE, without_terminal};
use crate::support::peers;
use crate::support::sandbox::{IDENTITY, Sandbox, ended};

/// Nobody's user id.
const NOBODY: u32 = 65_534;

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An `edit` that waits in its editor.
pub(super) struct Waiting {
    child: Child,
    go: PathBuf,
}

impl Waiting {
    /// Starts `command`, whose editor says that it runs and waits until it may end.
    pub(super) fn start(sandbox: &Sandbox, command: &mut Command) -> Self {
        let (up, go) = (sandbox.root().join("tmp/up"), sandbox.root().join("tmp/go"));
        let _ = (fs::remove_file(&up), fs::remove_file(&go));
        let script = format!("#!/bin/sh\n: > {}\nwhile [ ! -e {} ]; do sleep 0.05; done\n", up.display(), go.display());
        let editor = sandbox.write("editor", script);
        fs::set_permissions(&editor, Permissions::from_mode(0o755)).unwrap();
        command.arg("--editor").arg(&editor).arg("--allow-disk-plaintext").env("XDG_RUNTIME_DIR", sandbox.root().join("runtime"));
        let start = Instant::now();
        let mut child = loop {
            match without_terminal(command).spawn() {
                // Another test's process, between its birth and its own program, may still hold the copy open that was just written.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && start.elapsed() < DEADLINE => {}
                spawned => break spawned.unwrap(),
            }
        };
        while !up.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before its editor ran");
            assert!(start.elapsed() < DEADLINE, "the editor does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, go }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// Ends it by `signal`, however often that takes: Rust's own handler takes the first SIGSEGV for an overflow of the stack.
    pub(super) fn kill(mut self, signal: Signal) {
        let process = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "{signal:?} does not end it");
            kill_process(process, signal).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        };
        // The editor would go on for ever if nobody told it.
        fs::write(&self.go, "").unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()));
    }

    pub(super) fn end(mut self) {
        fs::write(&self.go, "").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn other_processes_of_the_user_cannot_look_into_it() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_dotsops"));
    let mut user = None;
    // What belongs to root would prove nothing if it were root's anyway.
    if is_root() {
        let copy = sandbox.root().join("dotsops");
        fs::copy(program, &copy).unwrap();
        program = copy;
        hand_over(sandbox.root());
        user = Some(NOBODY);
    }
    let own = user.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let as_user = |command: &mut Command| {
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
    };
    let mut command = sandbox.program(&program);
    as_user(command.args(["edit", "secrets.env"]));
    let waiting = Waiting::start(&sandbox, &mut command);
    for name in ["environ", "mem", "maps"] {
        assert_eq!(fs::metadata(waiting.proc(name)).unwrap().uid(), 0, "{name} of a process that can be dumped is its user's");
    }
    waiting.end();

    // The program under exec is an ordinary one again.
    let mut command = sandbox.program(&program);
    as_user(command.args(["exec", "--", "stat", "-c", "%u", "/proc/self/environ"]));
    assert_eq!(ended(&mut command).stdout, format!("{own}\n"));
}

/// Gives all below `folder` to [`NOBODY`].
fn hand_over(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => hand_over(&path),
            false => chown(&path, Some(NOBODY), Some(NOBODY)).unwrap(),
        }
    }
}

#[test]
fn the_limit_on_core_files_is_the_programs_own_again() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let script = "ulimit -Sc 4096 2>&-; ulimit -Sc; ulimit -Hc; exec \"$0\" exec -- sh -c 'ulimit -Sc; ulimit -Hc'";
    let mut command = sandbox.program(Path::new("sh"));
    let limits = ended(command.args(["-c", script, env!("CARGO_BIN_EXE_dotsops")])).stdout;
    let limits: Vec<&str> = limits.lines().collect();
    assert_eq!(limits.len(), 4);
    assert_eq!(limits[..2], limits[2..]);
}

#[test]
fn a_key_variable_is_gone_from_where_the_system_put_it() {
    if !peers::given(is_root(), "only root can look into a process that is not dumpable") {
        return;
    }
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
    let mut command = sandbox.dotsops(["edit", "secrets.env"]);
    let waiting = Waiting::start(&sandbox, command.env("SOPS_AGE_KEY", IDENTITY).env("OTHER", "stays"));
    let environment = fs::read(waiting.proc("environ")).unwrap();
    assert!(find(&environment, b"OTHER=stays").is_some());
    assert!(find(&environment, &IDENTITY.as_bytes()[20..]).is_none());
    waiting.end();
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
