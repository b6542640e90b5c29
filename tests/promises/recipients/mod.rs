//! Letting people in and out: after each step everybody's own key opens what it should, and nothing else.

mod add;
mod drift;
mod foreign;
mod history;
mod left;
mod list;
mod oneself;
mod remove;

use crate::support::groups::{Person, identities};
use crate::support::peers::peer;
use crate::support::sandbox::{Ended, Sandbox, ended};
use crate::support::sops::Sops;

/// A repository with this `.sops.yaml`, and files encrypted under it, committed. `None`, with a word, where git is missing.
fn repository(config: &str, files: &[(&str, &str)]) -> Option<Sandbox> {
    peer("git", which::which("git").ok())?;
    let sandbox = Sandbox::empty();
    files.iter().for_each(|(name, text)| encrypt(&sandbox, config, name, text));
    sandbox.write(".sops.yaml", config);
    git(&sandbox, &["init", "-q", "-b", "main"]);
    commit(&sandbox, "start");
    Some(sandbox)
}

/// Encrypts `text` into the file `name` for everybody that `config` names; that is the config from then on.
fn encrypt(sandbox: &Sandbox, config: &str, name: &str, text: &str) {
    if let Some(folder) = sandbox.path(name).parent() {
        std::fs::create_dir_all(folder).unwrap();
    }
    sandbox.encrypted_under(config, name, text);
}

fn git(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.program("git".as_ref());
    command.args(["-c", "user.name=me", "-c", "user.email=me@example.org"]).args(arguments);
    let ended = ended(&mut command);
    assert_eq!(ended.code, 0, "git {arguments:?}: {} {}", ended.stdout, ended.stderr);
    ended.stdout
}

fn commit(sandbox: &Sandbox, message: &str) {
    git(sandbox, &["add", "-A"]);
    git(sandbox, &["commit", "-q", "--allow-empty", "-m", message]);
}

/// Runs `recipients` with `arguments` as somebody who holds the keys of `holders`.
fn recipients(sandbox: &Sandbox, holders: &[&Person], arguments: &[&str]) -> Ended {
    sandbox.run_as(holders, &[&["recipients"], arguments].concat())
}

/// The same, which must succeed.
fn done(sandbox: &Sandbox, holders: &[&Person], arguments: &[&str]) -> Ended {
    let ended = recipients(sandbox, holders, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    ended
}

/// What the real sops reads in a file with one person's key; `None` if it does not open.
fn read_by_sops(sops: &Sops, sandbox: &Sandbox, person: &Person, name: &str) -> Option<String> {
    let sops = sops.another().with_identities(&identities(&[person]));
    sops.decrypt(sandbox.read(name).as_bytes()).ok().map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Every file of the work folder and what is in it.
fn all_files(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let names = git(sandbox, &["ls-files", "-z"]);
    let read = |name: &str| (name.to_owned(), std::fs::read(sandbox.path(name)).unwrap_or_default());
    names.split('\0').filter(|name| !name.is_empty()).map(read).collect()
}

/// The tokens of a file, of values and of the MAC.
fn tokens(file: &str) -> Vec<&str> {
    file.lines().filter_map(|line| line.split_once("=ENC[")).map(|(_, token)| token).collect()
}
