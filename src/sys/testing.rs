//! Tests of what belongs to a whole process (limits, signals, its environment, `execve`) run in a process of their own.

use std::path::Path;
use std::process::{Command, Output};

const ROLE: &str = "DOTSOPS_TEST_IN_OWN_PROCESS";

/// Runs the test named `path` (as `cargo test` prints it) again in a new process and returns what came of it; `None` in there.
///
/// `prepare` may change how the process is started. In the new process the test runs alone, in one thread beside the main one.
pub(super) fn own_process(path: &str, prepare: impl FnOnce(&mut Command)) -> Option<Output> {
    if std::env::var(ROLE).is_ok_and(|role| role == path) {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, path);
    prepare(&mut command);
    Some(command.output().unwrap())
}

/// Makes a named pipe; rustix cannot on macOS.
pub(super) fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs `body` in a process of its own and demands that it passes there.
pub(super) fn in_own_process(path: &str, body: impl FnOnce()) {
    match own_process(path, |_| ()) {
        None => body(),
        Some(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let complained = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}{complained}", output.status);
        }
    }
}
