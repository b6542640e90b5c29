//! The recipes of `docs/notebooks.md`, as they stand there: a kernel that decrypts when it starts, papermill, and python-dotenv.
//!
//! Needs a Jupyter, papermill and python-dotenv beside `$DOTSOPS_TEST_PYTHON` or on PATH.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::jupyter::{NONCE, Server, VALUES, find_jupyter, plaintext, probe, proofs_of, search};
use super::python_dotenv::find_python;
use crate::support::peers;
use crate::support::pty::wait_until;
use crate::support::sandbox::{Sandbox, ended};

const CHANGED: [(&str, &str); 3] = [("DATABASE_URL", "postgres://changed"), ("API_TOKEN", "changed too"), ("PEM", VALUES[2].1)];

/// The first block of the page in `language` under the heading `heading`.
fn recipe(heading: &str, language: &str) -> String {
    let page = include_str!("../../docs/notebooks.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let (_, block) = section.split_once(&format!("\n```{language}\n")).unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

/// A program in the sandbox, that finds dotsops and the programs beside the Python on its PATH.
fn with_path(sandbox: &Sandbox, folder: &Path, program: &str) -> Command {
    let bin = sandbox.root().join("bin");
    if fs::create_dir(&bin).is_ok() {
        symlink(env!("CARGO_BIN_EXE_dotsops"), bin.join("dotsops")).unwrap();
    }
    let path = std::env::join_paths([&bin, folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut command = sandbox.program(&which::which_in(program, Some(&path), "/").unwrap());
    command.env("PATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn run(mut command: Command) -> String {
    let ended = ended(&mut command);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", &plaintext(&VALUES));
    sandbox
}

#[test]
fn a_kernel_of_the_recipe_has_new_values_after_each_restart() {
    let Some(folder) = peers::peer("a Jupyter with a Python beside it", find_jupyter()) else { return };
    let sandbox = sandbox();
    let replacement = sandbox.encrypted("changed.env", &plaintext(&CHANGED));
    let mut shell = with_path(&sandbox, &folder, "sh");
    shell.args(["-e", "-c", &recipe("A kernel that decrypts when it starts", "sh")]);
    run(shell);
    fs::remove_dir_all(sandbox.path("dotsops-kernel")).unwrap();

    // The server itself has no values, knows no dotsops, and works elsewhere.
    let mut command = sandbox.program(&folder.join("jupyter"));
    command.args(["lab", "--debug"]).current_dir(sandbox.home());
    let server = Server::start(&sandbox, &folder, command);
    let replace = [sandbox.path("secrets.env"), replacement];
    let identity = sandbox.home().join(".config/sops/age/keys.txt");
    let request = json!({"url": server.url(&sandbox), "kernel": "with-secrets", "replace": replace, "remove": identity});
    let proofs = probe(&sandbox, &folder, request);
    let expected = json!({"before": proofs_of(&VALUES), "after": proofs_of(&CHANGED), "interrupted": "KeyboardInterrupt"});
    assert_eq!(proofs, expected);
    // Why the last one does not start stands in the log.
    let log = sandbox.root().join("tmp/log");
    let reason = "dotsops: error: cannot decrypt";
    wait_until("reason in the log", || String::from_utf8_lossy(&fs::read(&log).unwrap()).contains(reason));
    let running = search(sandbox.root()).found;
    server.stop();
    assert_eq!([running, search(sandbox.root()).found].concat(), Vec::<String>::new());
}

/// A papermill beside a Jupyter.
fn find_papermill() -> Option<PathBuf> {
    find_jupyter().filter(|folder| folder.join("papermill").is_file())
}

#[test]
fn papermill_under_exec_gives_the_values_to_the_notebook_and_saves_none() {
    let Some(folder) = peers::peer("papermill beside a Jupyter", find_papermill()) else { return };
    let sandbox = sandbox();
    let names: Vec<&str> = VALUES.iter().map(|(name, _)| *name).collect();
    let source = format!(
        "import hashlib, hmac, json, os\nprint(json.dumps({{name: hmac.new(os.environb[name.encode()], {}.encode(), \
         hashlib.sha256).hexdigest() for name in {}}}))",
        json!(NONCE),
        json!(names)
    );
    let cell =
        json!({"cell_type": "code", "id": "proof", "metadata": {}, "execution_count": null, "outputs": [], "source": source});
    let kernel = json!({"name": "python3", "display_name": "Python 3", "language": "python"});
    let notebook = json!({"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5});
    sandbox.write("report.ipynb", notebook.to_string());
    let mut shell = with_path(&sandbox, &folder, "sh");
    shell.args(["-e", "-c", &recipe("papermill", "sh")]);
    run(shell);

    let done: Value = serde_json::from_str(&sandbox.read("done.ipynb")).unwrap();
    let printed = &done["cells"][0]["outputs"][0]["text"];
    let printed = printed
        .as_str()
        .map_or_else(|| printed.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect(), str::to_owned);
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), proofs_of(&VALUES));
    assert_eq!(search(sandbox.root()).found, Vec::<String>::new());
}

#[test]
fn python_dotenv_over_decrypt_reads_what_it_read_from_the_plaintext() {
    let Some(python) = peers::peer("a Python with python-dotenv 1.2.4", find_python()) else { return };
    let python = which::which(&python).unwrap();
    let sandbox = Sandbox::with_identity();
    let more = "export Q='it is' # c\nEMPTY=\nREF=\"${API_TOKEN}-${UNSET:-d}\"\nÜ=ü\n";
    let text = format!("# first\n\n{}{more}", plaintext(&VALUES));
    sandbox.encrypted("secrets.env", &text);
    let script = format!(
        "{}\nimport json, os, sys\nassert not set(values) & set(os.environ)\nprint(json.dumps(values))",
        recipe("Values in Python, and in no environment", "python")
    );
    let folder = python.parent().unwrap();
    let mut command = with_path(&sandbox, folder, "sh");
    command.args(["-c", "exec \"$0\" -c \"$1\""]).arg(&python).arg(&script);
    let values: Value = serde_json::from_str(&run(command)).unwrap();

    let plain = sandbox.write("plain.env", text);
    let mut command = sandbox.program(&python);
    command.args(["-c", "import dotenv, json, sys\nprint(json.dumps(dotenv.dotenv_values(sys.argv[1])))"]).arg(&plain);
    let expected: Value = serde_json::from_str(&run(command)).unwrap();
    assert_eq!(values, expected);
    assert_eq!(values["DATABASE_URL"], VALUES[0].1);
    fs::remove_file(plain).unwrap();
    assert_eq!(search(sandbox.root()).found, Vec::<String>::new());
}

#[test]
fn the_identity_may_come_from_the_command_that_the_recipe_names() {
    let sandbox = sandbox();
    let block = recipe("A kernel that decrypts when it starts", "json");
    let specification: Value = serde_json::from_str(&format!("{{{block}}}")).unwrap();
    let identity = sandbox.home().join(".config/sops/age/keys.txt");
    let keyring = sandbox.home().join("kept-elsewhere");
    fs::rename(identity, &keyring).unwrap();
    let tool = sandbox
        .write("../bin/secret-tool", format!("#!/bin/sh\n[ \"$*\" = 'lookup service dotsops' ] && cat {}\n", keyring.display()));
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |with_block: bool| {
        let path = std::env::join_paths([tool.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let mut command = sandbox.dotsops(["exec", "--", "true"]);
        command.env("PATH", path);
        let variables = specification["env"].as_object().unwrap().iter().filter(|_| with_block);
        ended(command.envs(variables.map(|(name, value)| (name, value.as_str().unwrap())))).code
    };
    assert_eq!((run(false), run(true)), (125, 0));
}
