//! Identities that need something: a command, a passphrase, a plugin.

mod interchange;
mod passphrases;
mod plugins;
mod sources;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bech32::{Bech32, Hrp};
use dotsops::keys::age::generate::generate_identity;
use dotsops::keys::age::locked_file::lock;
use dotsops::secret::SecretString;

use crate::support::pty::Pty;
use crate::support::sandbox::Sandbox;

/// The passphrase of the throwaway SSH keys, and here of everything else.
const PASSPHRASE: &str = "throwaway";

const FAKE_PLUGIN: &str = include_str!("../../support/fake_plugin.sh");

/// An identity as text, and its public half.
struct Pair {
    identity: String,
    recipient: String,
}

fn native() -> Pair {
    let made = generate_identity();
    Pair { identity: made.secret.expose().to_owned(), recipient: made.recipient }
}

fn ssh(name: &str) -> Pair {
    let read = |suffix: &str| {
        fs::read_to_string(format!("{}/tests/vectors/ssh/throwaway_{name}{suffix}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    Pair { identity: read(""), recipient: read(".pub").trim().to_owned() }
}

/// Of the fake plugin, which takes any.
fn fake() -> Pair {
    let encoded = |prefix: &str| bech32::encode::<Bech32>(Hrp::parse(prefix).unwrap(), &[7; 20]).unwrap();
    Pair { identity: encoded("age-plugin-fake-").to_uppercase(), recipient: encoded("age1fake") }
}

/// `text` as an identity file that [`PASSPHRASE`] opens, with little work.
pub fn locked(text: &str) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(PASSPHRASE.to_owned().into());
    recipient.set_work_factor(4);
    age::encrypt(&recipient, text.as_bytes()).unwrap()
}

/// The same as `keygen --passphrase` writes it.
fn locked_as_keygen_does(text: &str) -> String {
    lock(&SecretString::copy_of(text), &SecretString::copy_of(PASSPHRASE)).unwrap()
}

/// A sandbox whose `secrets.env` says `A=opened`, encrypted to `recipients`; its user holds nothing.
fn sandbox(recipients: &[&str]) -> Sandbox {
    let sandbox = Sandbox::empty();
    let ended = sandbox.run_with(
        &["encrypt", "--quiet", "--age", &recipients.join(","), "--filename-override", "secrets.env", "-o", "secrets.env"],
        "A=opened\n",
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    sandbox
}

/// Puts `text` into the home, where only its owner can read it.
fn at_home(sandbox: &Sandbox, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = sandbox.home().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

/// Installs a program in a folder of the sandbox, which it gives.
fn program(sandbox: &Sandbox, name: &str, script: &str) -> PathBuf {
    let folder = sandbox.root().join("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), script).unwrap();
    fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// `PATH` with `folder` in front.
fn path_with(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

/// How many lines a log has.
fn runs(log: &Path) -> usize {
    fs::read_to_string(log).map_or(0, |text| text.lines().count())
}

/// Decrypts `secrets.env` on a terminal.
fn on_terminal(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Pty {
    let mut command = sandbox.dotsops(["decrypt", "secrets.env"]);
    command.envs(variables.iter().copied());
    Pty::run(&mut command)
}
