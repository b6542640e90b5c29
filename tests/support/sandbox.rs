//! A home, a work folder and the program, apart from everything of the machine that runs the tests.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::pty::without_terminal;

/// The identity of the known-answer file, published with it: for tests only.
pub const IDENTITY: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";

/// Its public half.
pub const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";

/// Somebody else's public key; nobody has the other half.
pub const STRANGER: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";

/// An empty home and an empty work folder, gone when it is dropped.
pub struct Sandbox {
    folder: TempDir,
}

/// How a program ended.
pub struct Ended {
    /// Its exit code; 128 and the signal's number if one ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Sandbox {
    /// A sandbox with nothing in it.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "work", "tmp", "runtime"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.path().join("runtime"), PermissionsExt::from_mode(0o700)).unwrap();
        Self { folder }
    }

    /// A sandbox whose user holds [`IDENTITY`], with a rule that encrypts `.env` files to [`RECIPIENT`].
    pub fn with_identity() -> Self {
        let sandbox = Self::empty();
        let keys = sandbox.home().join(".config/sops/age");
        std::fs::create_dir_all(&keys).unwrap();
        std::fs::write(keys.join("keys.txt"), format!("{IDENTITY}\n")).unwrap();
        sandbox.write(".sops.yaml", format!("creation_rules:\n  - path_regex: \\.env$\n    age: {RECIPIENT}\n"));
        sandbox
    }

    /// The folder that holds home, work folder and temporary folder: where leaks would be.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The home folder.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The work folder, where commands run.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A path in the work folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// Writes a file in the work folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Reads a file of the work folder.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Encrypts `plaintext` into the file `name` with the program itself.
    pub fn encrypted(&self, name: &str, plaintext: &str) -> PathBuf {
        let path = self.path(name);
        let ended =
            self.run_with(&["encrypt", "--force", "--allow-plaintext", "*", "--filename-override", name, "-o", name], plaintext);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        path
    }

    /// The program, about to run in the work folder with this home and hardly any environment.
    pub fn dotsops<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        // An optimised build keeps other things on its stack: what is promised of memory is asked of that one too.
        let program = std::env::var_os("DOTSOPS_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_dotsops").into());
        let mut command = self.program(Path::new(&program));
        command.args(arguments);
        command
    }

    /// Any program in the same surroundings.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.home())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        without_terminal(&mut command);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.dotsops(arguments))
    }

    /// Runs the program to its end with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child =
            self.dotsops(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that refuses before it reads closes its end; that is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ended::from(child.wait_with_output().unwrap())
    }
}

/// Copies a program to where it can be run at once. `cp` does it: a copy of our own could still be open for writing, and so not be run,
/// in another test's process between its birth and its own program.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = ended(Command::new("cp").arg(from).arg(to));
    assert_eq!(copied.code, 0, "{}", copied.stderr);
}

/// Runs `command` to its end.
pub fn ended(command: &mut Command) -> Ended {
    Ended::from(command.output().unwrap())
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal)).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
