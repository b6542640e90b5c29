//! A sandbox for edits: plaintext goes to a folder of its own in memory, and editors are scripts.

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use tempfile::TempDir;

use super::leaks::leaks;
use super::peers::given;
use super::pty::wait_until;
use super::sandbox::{Ended, Sandbox, ended};

/// What only the plaintext holds. Every shape of it differs from the others.
pub const CANARY: &str = "canary+5f/3a\"91e7";

/// How long after a kill there may be plaintext, as long as the guard lives.
pub const CLEAN_WITHIN: Duration = Duration::from_secs(3);

/// A sandbox whose plaintext can be found by nobody else, and looked for.
pub struct Editing {
    /// The home, and the work folder with `secrets.env`.
    pub sandbox: Sandbox,
    memory: TempDir,
    /// Scripts, and what they write down: apart, since they hold canaries.
    notes: TempDir,
    scripts: Cell<usize>,
}

impl Editing {
    /// `secrets.env` holds `text`, encrypted.
    pub fn of(text: &str) -> Self {
        let editing = Self::without_file();
        editing.sandbox.encrypted("secrets.env", text);
        editing
    }

    /// There is no file yet.
    pub fn without_file() -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        let memory = tempfile::Builder::new().permissions(private).tempdir_in("/dev/shm").unwrap();
        Self { sandbox: Sandbox::with_identity(), memory, notes: tempfile::tempdir().unwrap(), scripts: Cell::new(0) }
    }

    /// An editor that runs `script` with the text's path as `$1` and the folder of [`Self::note`] as `$NOTES`.
    pub fn editor(&self, script: &str) -> PathBuf {
        let number = self.scripts.replace(self.scripts.get() + 1);
        let path = self.notes.path().join(format!("editor{number}"));
        let notes = self.notes.path().display();
        std::fs::write(&path, format!("#!/bin/sh\nNOTES={notes}\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// A file that an editor's script writes or waits for.
    pub fn note(&self, name: &str) -> PathBuf {
        self.notes.path().join(name)
    }

    /// What a script wrote down.
    pub fn noted(&self, name: &str) -> String {
        std::fs::read_to_string(self.note(name)).unwrap()
    }

    /// `dotsops edit` with `script` as the editor.
    pub fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.dotsops(&["edit"]);
        command.arg("--editor").arg(self.editor(script)).args(arguments);
        command
    }

    /// `dotsops` with the scratch folder of this sandbox.
    pub fn dotsops(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.dotsops(arguments);
        command.env("XDG_RUNTIME_DIR", self.memory.path());
        command
    }

    /// `command` among mounts of its own, which the shell's `mounts` makes; without the right to, that is said.
    pub fn among_mounts(&self, mounts: &str, command: &Command) -> Option<Command> {
        let may = ended(Command::new("unshare").args(["-rm", "true"]).stdin(Stdio::null()));
        if !given(may.code == 0, "no mounts without privileges here") {
            return None;
        }
        let mut among = self.sandbox.program(Path::new("unshare"));
        among.args(["-rm", "/bin/sh", "-c", &format!("set -e; {mounts}; exec \"$@\""), "sh"]);
        among.arg(command.get_program()).args(command.get_args());
        among.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Some(among)
    }

    /// Edits `secrets.env` without a terminal.
    pub fn edit(&self, script: &str) -> Ended {
        ended(&mut self.command(script, &["secrets.env"]))
    }

    /// Goes on from the draft of `secrets.env` without a terminal.
    pub fn resume(&self, script: &str) -> Ended {
        ended(&mut self.command(script, &["--resume", "secrets.env"]))
    }

    /// The plaintext of `secrets.env` now.
    pub fn text(&self) -> String {
        let ended = self.sandbox.run(&["decrypt", "secrets.env"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    }

    /// The bytes of `secrets.env` now.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.sandbox.path("secrets.env")).unwrap()
    }

    /// The folder in memory that stands for `XDG_RUNTIME_DIR`.
    pub fn memory(&self) -> &Path {
        self.memory.path()
    }

    /// The drafts that are kept.
    pub fn drafts(&self) -> Vec<PathBuf> {
        let folder = self.sandbox.home().join(".local/state/dotsops/drafts");
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    /// Whether a draft is kept.
    pub fn has_draft(&self) -> bool {
        !self.drafts().is_empty()
    }

    /// No session is left, and none of `canaries` stands anywhere in the home, the work folder, the temporary folders or memory.
    pub fn assert_no_plaintext(&self, canaries: &[&str]) {
        let found = leaks(&[self.sandbox.root(), self.memory.path()], canaries, SystemTime::UNIX_EPOCH);
        assert!(found.is_empty(), "plaintext is left: {found:#?}");
        let sessions: Vec<_> = self.sessions();
        assert!(sessions.is_empty(), "sessions are left: {sessions:?}");
    }

    /// The guards of the edit that runs as process `edit`.
    pub fn guards(&self, edit: u32) -> Vec<Pid> {
        let children = std::fs::read_to_string(format!("/proc/{edit}/task/{edit}/children")).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        let is_guard = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"dotsops-guard\0");
        children.filter(is_guard).filter_map(Pid::from_raw).collect()
    }

    /// Waits until no process holds a file of this sandbox any more: a guard does until it has cleaned up.
    pub fn wait_for_guard(&self) {
        let locks = self.sandbox.home().join(".local/state/dotsops/locks");
        let is_free = |lock: std::io::Result<std::fs::DirEntry>| {
            let lock = std::fs::File::open(lock.unwrap().path()).unwrap();
            flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        };
        wait_until("end of the guard", || std::fs::read_dir(&locks).into_iter().flatten().all(is_free));
    }

    /// The sessions that are there.
    pub fn sessions(&self) -> Vec<PathBuf> {
        let folder = self.memory.path().join("dotsops");
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }
}
