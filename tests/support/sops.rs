//! The real sops.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dotsops::document::metadata::SOPS_VERSION;
use tempfile::TempDir;

use super::peers::peer;
use super::sandbox::IDENTITY;

/// sops, a folder for its files, and a home with nothing in it. It holds [`IDENTITY`].
pub struct Sops {
    program: PathBuf,
    folder: TempDir,
    identities: String,
}

impl Sops {
    /// The sops of the version whose format we write, if it is there.
    pub fn find() -> Option<Self> {
        let program = which::which("sops").ok().filter(|program| version_of(program).as_deref() == Some(SOPS_VERSION));
        let program = peer(&format!("sops {SOPS_VERSION}"), program)?;
        Some(Self { program, folder: tempfile::tempdir().unwrap(), identities: IDENTITY.to_owned() })
    }

    /// The same with other identities, separated by blanks.
    pub fn with_identities(self, identities: &str) -> Self {
        Self { identities: identities.to_owned(), ..self }
    }

    /// Another one with a folder of its own.
    pub fn another(&self) -> Self {
        Self { program: self.program.clone(), folder: tempfile::tempdir().unwrap(), identities: self.identities.clone() }
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// sops, about to run in its folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SOPS_AGE_KEY", &self.identities)
            .stdin(Stdio::null());
        command
    }

    /// What sops prints when it is run on a file `name` that holds `bytes`.
    ///
    /// # Errors
    /// What it says if it fails.
    pub fn run(&self, arguments: &[&str], name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
        let output = self.command(arguments).output().unwrap();
        outcome(output)
    }

    /// The plaintext of a file.
    ///
    /// # Errors
    /// What it says if it fails.
    pub fn decrypt(&self, file: &[u8]) -> Result<Vec<u8>, String> {
        self.run(&["decrypt", "file.env"], "file.env", file)
    }

    /// Sets `key` in a file to `json`, and gives the new file.
    ///
    /// # Errors
    /// What it says if it fails.
    pub fn set(&self, file: &[u8], key: &str, json: &str) -> Result<Vec<u8>, String> {
        self.run(&["set", "file.env", &format!("[\"{key}\"]"), json], "file.env", file)?;
        Ok(std::fs::read(self.folder.path().join("file.env")).unwrap())
    }
}

fn outcome(output: Output) -> Result<Vec<u8>, String> {
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).args(["--version", "--disable-version-check"]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next()?.strip_prefix("sops ")?.split_whitespace().next()?.to_owned())
}
