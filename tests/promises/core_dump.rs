//! When dotsops crashes while it holds values, no program that collects core dumps is called, and no core file is written.
#![cfg(target_os = "linux")]

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::Signal;

use super::hygiene::{Waiting, is_root};
use crate::support::leaks::leaks;
use crate::support::peers;
use crate::support::pty::wait_until;
use crate::support::sandbox::{Sandbox, copy_program};

const PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// One for the whole machine, in a folder that only root can write. It holds the machine's own pattern while ours is installed, so
/// that the next run restores what a killed one could not.
const LOCK: &str = "/run/dotsops-core-pattern.lock";

const VALUE: &str = "canary-31415926535897932384626433832795";

/// The machine's handler of core dumps, ours for as long as this lives. It keeps what programs of one folder leave, and drops the rest.
struct Handler {
    before: String,
    dumps: PathBuf,
    lock: fs::File,
}

impl Handler {
    /// `None` where it cannot be had: that is said.
    fn install(sandbox: &Sandbox) -> Option<Self> {
        let no_link = OFlags::NOFOLLOW.bits().try_into().unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_link);
        let mut lock = options.open(LOCK).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let mut before = String::new();
        lock.read_to_string(&mut before).unwrap();
        if before.is_empty() {
            before = fs::read_to_string(PATTERN).unwrap();
        }
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
        lock.rewind().unwrap();
        lock.write_all(before.as_bytes()).unwrap();
        let installed = fs::write(PATTERN, format!("|{} %p %E", script.display()));
        let handler = Self { before, dumps, lock };
        // Not even root of every container may.
        peers::has(installed.is_ok(), "the handler of core dumps cannot be changed here").then_some(handler)
    }

    /// The dump of `process`, if one was kept.
    fn dump_of(&self, process: u32) -> Option<Vec<u8>> {
        fs::read(self.dumps.join(process.to_string())).ok()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // Where it could not be changed, it need not be restored.
        if fs::read_to_string(PATTERN).unwrap() != self.before {
            fs::write(PATTERN, &self.before).unwrap();
        }
        self.lock.set_len(0).unwrap();
    }
}

#[test]
fn a_crash_with_values_in_memory_leaves_no_core_dump_anywhere() {
    if !peers::given(is_root(), "only root can install a handler of core dumps") {
        return;
    }
    let sandbox = Sandbox::with_identity();
    let programs = sandbox.root().join("programs");
    fs::create_dir(&programs).unwrap();
    let (dotsops, shell) = (programs.join("dotsops"), programs.join("shell"));
    copy_program(Path::new(env!("CARGO_BIN_EXE_dotsops")), &dotsops);
    copy_program(&which::which("sh").unwrap(), &shell);
    let Some(handler) = Handler::install(&sandbox) else { return };
    prove(&handler, &sandbox, &shell);
    for (signal, file) in [(Signal::ABORT, "abort.env"), (Signal::SEGV, "segv.env"), (Signal::TRAP, "trap.env")] {
        // Each a file of its own: the guard of the last one may still hold the lock of that.
        sandbox.encrypted(file, &format!("A={VALUE}\n"));
        let waiting = Waiting::start(&sandbox, sandbox.program(&dotsops).args(["edit", file]));
        let process = waiting.id();
        // The handler has begun, and made its file, before the process that crashed is gone.
        waiting.kill(signal);
        assert!(handler.dump_of(process).is_none(), "a core dump after {signal:?}");
    }
    prove(&handler, &sandbox, &shell);
    drop(handler);
    let sessions = || fs::read_dir(sandbox.root().join("runtime/dotsops")).into_iter().flatten().count();
    wait_until("end of the guards", || sessions() == 0);
    let found = leaks(&[sandbox.root()], &[VALUE], std::time::SystemTime::UNIX_EPOCH);
    assert!(found.is_empty(), "{found:?}");
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
