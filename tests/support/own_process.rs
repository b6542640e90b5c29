//! A test in a process of its own, which its other half outside can look into.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

const ROLE: &str = "DOTSOPS_TEST_IN_OWN_PROCESS";

/// The process, seen from outside.
pub struct OwnProcess {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// Whether this is the process that [`own_process`] made for the test named `path`.
pub fn is_own_process(path: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|role| role == path)
}

/// Runs the test named `path` (as `cargo test` prints it) again in a new process, in which `variable` is set.
pub fn own_process(path: &str, variable: (&str, &str)) -> OwnProcess {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, path).env(variable.0, variable.1);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    OwnProcess { child, said }
}

/// Inside: says that it has come to `step`, and waits until it may go on.
pub fn at_step(step: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "at step {step}").unwrap();
    output.flush().unwrap();
    std::io::stdin().lock().read_exact(&mut [0]).unwrap();
}

impl OwnProcess {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has come to `step`.
    pub fn wait_for(&mut self, step: &str) {
        let wanted = format!("at step {step}");
        let mut line = String::new();
        while !line.trim_end().ends_with(&wanted) {
            line.clear();
            if self.said.read_line(&mut line).unwrap() == 0 {
                let mut complained = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut complained).unwrap();
                panic!("it ended before step {step}:\n{complained}");
            }
        }
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Waits for its end, which must be a good one, and gives what it said on stderr.
    pub fn end(mut self) -> String {
        let mut complained = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complained).unwrap();
        assert!(self.child.wait().unwrap().success(), "{complained}");
        complained
    }
}
