//! When dotsops crashes while it holds values, no program that collects core dumps is called, and no core file is written.
#![cfg(target_os = "linux")]

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use super::hygiene::{Waiting, is_root};
use crate::support::leaks::leaks;
use crate::support::peers;
use crate::support::pty::wait_until;
use crate::support::sandbox::Sandbox;

const PATTERN: &str = "/proc/sys/kernel/core_pattern";

const VALUE: &str = "canary-31415926535897932384626433832795";

/// The machine's handler of core dumps, ours for as long as this lives. It keeps what programs of one folder leave, and drops the rest.
struct Handler {
    before: String,
    dumps: PathBuf,
    /// Held, not read: the pattern is one for the whole machine.
    _lock: fs::File,
}

impl Handler {
    /// `None` where it cannot be had: that is said.
    fn install(sandbox: &Sandbox) -> Option<Self> {
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open("/tmp/dotsops-core-pattern.lock").unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let before = fs::read_to_string(PATTERN).unwrap();
        let dumps = sandbox.root().join("dumps");
        fs::create_dir(&dumps).unwrap();
        let script = sandbox.root().join("handler");
        let ours = sandbox.root().join("programs");
        // The name of the program that crashed, with `!` for `/`, is the second word.
        let text = format!(
            "#!/bin/sh\ncase \"$2\" in {}!*) cat > '{}'/\"$1\" ;; *) cat > /dev/null ;; esac\n",
            ours.display().to_string().replace('/', "!"),
            dumps.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        if let Err(error) = fs::write(PATTERN, format!("|{} %p %E", script.display())) {
            peers::say(&format!("skipped: {PATTERN} cannot be written here: {error}"));
            return None;
        }
        Some(Self { before, dumps, _lock: lock })
    }

    /// The dump of `process`, if one was kept.
    fn dump_of(&self, process: u32) -> Option<Vec<u8>> {
        fs::read(self.dumps.join(process.to_string())).ok()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        fs::write(PATTERN, &self.before).unwrap();
    }
}

#[test]
fn a_crash_with_values_in_memory_leaves_no_core_dump_anywhere() {
    if !is_root() {
        return peers::say("skipped: only root can install a handler of core dumps");
    }
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", &format!("A={VALUE}\n"));
    let programs = sandbox.root().join("programs");
    fs::create_dir(&programs).unwrap();
    let (dotsops, shell) = (programs.join("dotsops"), programs.join("shell"));
    fs::copy(env!("CARGO_BIN_EXE_dotsops"), &dotsops).unwrap();
    fs::copy(which::which("sh").unwrap(), &shell).unwrap();
    let Some(handler) = Handler::install(&sandbox) else { return };
    prove(&handler, &sandbox, &shell);
    for signal in [Signal::ABORT, Signal::SEGV, Signal::TRAP] {
        let waiting = Waiting::start(&sandbox, sandbox.program(&dotsops).args(["edit", "secrets.env"]));
        let process = waiting.id();
        // The handler has begun, and made its file, before the process that crashed is gone.
        waiting.kill(signal);
        assert!(handler.dump_of(process).is_none(), "a core dump after {signal:?}");
    }
    prove(&handler, &sandbox, &shell);
    drop(handler);
    let found = leaks(&[sandbox.root()], &[VALUE], std::time::SystemTime::UNIX_EPOCH);
    // The editor's text stays until the next sweep: in a folder of its own, named by its session.
    let elsewhere: Vec<_> = found.iter().filter(|place| !place.contains("/runtime/dotsops/s-")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// An ordinary program that crashes is dumped, with the value in its environment; a limit of 0 on core files does not help.
fn prove(handler: &Handler, sandbox: &Sandbox, program: &Path) {
    let mut command = sandbox.program(program);
    let mut child = command.args(["-c", "ulimit -c 0; kill -ABRT $$"]).env("VALUE", VALUE).spawn().unwrap();
    child.wait().unwrap();
    let holds_value = |dump: Vec<u8>| dump.windows(VALUE.len()).any(|window| window == VALUE.as_bytes());
    wait_until("dump of an ordinary program", || handler.dump_of(child.id()).is_some_and(holds_value));
    fs::remove_file(handler.dumps.join(child.id().to_string())).unwrap();
}
