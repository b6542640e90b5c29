//! A git repository that `dotsops init` made ready, and nothing else did.

use std::path::{Path, PathBuf};

use super::peers::peer;
use super::sandbox::{Ended, Sandbox, ended};

/// What the file says at first.
pub const START: &str = "# canary-of-shop\nHOST=canary-db\nPORT=5432\n\nTOKEN=canary-1\nNAME=shop\n";

/// A repository on `main` with an encrypted `secrets.env`.
pub struct Repository {
    /// Whose it is.
    pub sandbox: Sandbox,
    /// The work tree.
    pub root: PathBuf,
}

impl Repository {
    /// A new one; none, with a word, where git is missing.
    pub fn new() -> Option<Self> {
        Self::of(START)
    }

    /// One whose file says `text`.
    pub fn of(text: &str) -> Option<Self> {
        let repository = Self::empty("")?;
        let made = repository.dotsops(&["init"]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        repository.sandbox.encrypted("secrets.env", text);
        repository.commit("start");
        Some(repository)
    }

    /// One in the folder `below` of the work folder, in which nothing was done yet, of somebody with an identity.
    pub fn empty(below: &str) -> Option<Self> {
        peer("git", which::which("git").ok())?;
        let sandbox = Sandbox::with_identity();
        let repository = Self { root: sandbox.path(below), sandbox };
        std::fs::create_dir_all(&repository.root).unwrap();
        repository.git(&["init", "-q", "-b", "main"]);
        Some(repository)
    }

    /// The clone of somebody else, who has a home of their own and no key yet.
    pub fn cloned(&self) -> Self {
        let sandbox = Sandbox::empty();
        let root = sandbox.path("clone");
        let clone = Self { root: sandbox.work(), sandbox };
        clone.git(&["clone", "-q", self.root.to_str().unwrap(), "clone"]);
        Self { root, ..clone }
    }

    /// What a program does in the work tree.
    pub fn runs(&self, program: &Path, arguments: &[&str]) -> Ended {
        ended(self.sandbox.program(program).args(arguments).current_dir(&self.root))
    }

    /// What dotsops does in the work tree.
    pub fn dotsops(&self, arguments: &[&str]) -> Ended {
        self.runs(Path::new(env!("CARGO_BIN_EXE_dotsops")), arguments)
    }

    /// What git does, whether it succeeds or not.
    pub fn try_git(&self, arguments: &[&str]) -> Ended {
        let who = [
            "-c",
            "user.name=me",
            "-c",
            "user.email=me@example.org",
            "-c",
            "core.editor=true",
            "-c",
            "protocol.file.allow=always",
        ];
        self.runs(Path::new("git"), &[&who[..], arguments].concat())
    }

    /// What git prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        let ended = self.try_git(arguments);
        assert_eq!(ended.code, 0, "git {arguments:?}: {} {}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Commits all there is.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Makes `changes`, each the arguments of a dotsops command.
    pub fn change(&self, changes: &[&[&str]]) {
        for change in changes {
            let ended = self.dotsops(change);
            assert_eq!(ended.code, 0, "{change:?}: {}", ended.stderr);
        }
    }

    /// The plaintext of `secrets.env` now.
    pub fn plaintext(&self) -> String {
        let ended = self.dotsops(&["decrypt", "secrets.env"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    }

    /// The line of `name` in `secrets.env`, its value as a token.
    pub fn token(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.root.join("secrets.env")).unwrap();
        text.lines().find(|line| line.starts_with(&format!("{name}="))).unwrap().to_owned()
    }

    /// A branch off `main` on which `changes` were made.
    pub fn branch(&self, name: &str, changes: &[&[&str]]) {
        self.git(&["checkout", "-q", "-b", name, "main"]);
        self.change(changes);
        self.commit(name);
    }
}

/// The lines that a diff takes away and adds, without its head.
pub fn changed_lines(diff: &str) -> Vec<&str> {
    let is_changed = |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---");
    diff.lines().filter(is_changed).collect()
}
