//! A real Jupyter under `dotsops exec`: kernels have the values, also after a restart, and no file, log or argument holds them.
//!
//! Needs a Jupyter beside `$DOTSOPS_TEST_PYTHON` or on PATH, with a Python beside it.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hkdf::Hkdf;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::exec_pty::{DEADLINE, without_terminal};
use crate::support::peers;
use crate::support::sandbox::Sandbox;

pub(super) const NONCE: &str = "a nonce that both sides know";
const TOKEN: &str = "token-of-the-test";

/// Values that look different in each encoding.
pub(super) const VALUES: [(&str, &str); 3] = [
    ("DATABASE_URL", "postgres://us er:p\"a\\ss&w?ord@host/db-31415926535897932384"),
    ("API_TOKEN", "sk-27182818284590452353602874713526+/="),
    ("PEM", "-----BEGIN X-----\n16180339887498948482045868343656\n-----END X-----\n"),
];

#[test]
fn jupyter_lab_kernels_have_the_values_and_nothing_else_does() {
    under_exec("lab");
}

#[test]
fn jupyter_server_kernels_have_the_values_and_nothing_else_does() {
    under_exec("server");
}

/// The folder that has `jupyter` and its Python.
pub(super) fn find_jupyter() -> Option<PathBuf> {
    let beside = std::env::var_os("DOTSOPS_TEST_PYTHON").and_then(|python| Some(PathBuf::from(python).parent()?.join("jupyter")));
    let jupyter = beside.filter(|jupyter| jupyter.is_file()).or_else(|| which::which("jupyter").ok())?;
    let folder = jupyter.parent()?.to_owned();
    (folder.join("jupyter-lab").is_file() && folder.join("python3").is_file()).then_some(folder)
}

fn under_exec(application: &str) {
    let Some(folder) = peers::peer("a Jupyter with a Python beside it", find_jupyter()) else { return };
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", &plaintext(&VALUES));
    let server = Server::start(&sandbox, &folder, sandbox.dotsops(["exec", "--", "jupyter", application, "--debug"]));
    let proofs = probe(&sandbox, &folder, json!({"url": server.url(&sandbox)}));
    let expected = proofs_of(&VALUES);
    assert_eq!(proofs, json!({"before": expected, "after": expected}));

    let processes = tree_of(server.child.id());
    assert!(processes.len() >= 2, "the server and its kernel");
    for process in processes {
        assert_eq!(forms_in(&fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default()), Vec::<String>::new());
    }
    // Some files are there while it runs, others are written at the end.
    let running = search(sandbox.root());
    server.stop();
    let ended = search(sandbox.root());
    assert_eq!([running.found, ended.found].concat(), Vec::<String>::new());
    let searched = [running.files, ended.files].concat();
    for name in ["tmp/log", "/runtime/jpserver-", "/runtime/kernel-", "history.sqlite", "secrets.env"] {
        assert!(searched.iter().any(|file| file.contains(name)), "{name} is not among {searched:#?}");
    }
    assert!(fs::metadata(sandbox.root().join("tmp/log")).unwrap().len() > 10_000, "it does not log");

    assert_the_search_finds_what_is_planted(&sandbox);
}

/// The control: what is planted in each form, in a file or an argument, is found.
fn assert_the_search_finds_what_is_planted(sandbox: &Sandbox) {
    for (name, value) in VALUES {
        for (form, text) in forms(value) {
            let planted = sandbox.write("planted", format!("before{text}after"));
            assert!(!search(sandbox.root()).found.is_empty(), "{name} as {form}");
            fs::remove_file(planted).unwrap();
        }
    }
    let mut process = Command::new("sh").args(["-c", "read line", VALUES[0].1]).stdin(Stdio::piped()).spawn().unwrap();
    let arguments = || fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
    let start = Instant::now();
    while forms_in(&arguments()).is_empty() {
        assert!(start.elapsed() < DEADLINE, "an argument is not found");
    }
    drop(process.stdin.take());
    process.wait().unwrap();
}

/// A plaintext `.env` with these values.
pub(super) fn plaintext(values: &[(&str, &str)]) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    values.iter().map(|(name, value)| format!("{name}=\"{}\"\n", quoted(value))).collect()
}

/// A Jupyter server.
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts `command`, which runs or becomes a server of the Jupyter in `folder`.
    pub(super) fn start(sandbox: &Sandbox, folder: &Path, mut command: Command) -> Self {
        let settings = json!({
            "ServerApp": {"ip": "127.0.0.1", "port": free_port(), "open_browser": false, "allow_root": true},
            "IdentityProvider": {"token": TOKEN},
        });
        let configuration = sandbox.home().join(".jupyter");
        fs::create_dir_all(&configuration).unwrap();
        fs::write(configuration.join("jupyter_server_config.json"), settings.to_string()).unwrap();
        let log = File::create(sandbox.root().join("tmp/log")).unwrap();
        let path = std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        command.env("PATH", path).env("XDG_RUNTIME_DIR", sandbox.root().join("runtime")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self { child: without_terminal(&mut command).spawn().unwrap() }
    }

    /// Where it listens, as it wrote down under the process id that `dotsops` was started with.
    pub(super) fn url(&self, sandbox: &Sandbox) -> String {
        let name = format!(".local/share/jupyter/runtime/jpserver-{}.json", self.child.id());
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(sandbox.home().join(&name)).unwrap_or_default();
            if let Ok(written) = serde_json::from_str::<Value>(&text) {
                return written["url"].as_str().unwrap().to_owned();
            }
            let log = || fs::read_to_string(sandbox.root().join("tmp/log")).unwrap_or_default();
            assert!(start.elapsed() < DEADLINE, "Jupyter does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a service manager would, and waits until it and its kernels are gone.
    pub(super) fn stop(mut self) {
        let processes = tree_of(self.child.id());
        self.terminate();
        let start = Instant::now();
        while processes.iter().any(|process| is_alive(*process)) {
            assert!(start.elapsed() < DEADLINE, "a process of Jupyter does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn terminate(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > DEADLINE / 3 {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Lets a kernel prove what it has, before and after a restart. `request` is the rest of what the probe is asked.
pub(super) fn probe(sandbox: &Sandbox, folder: &Path, mut request: Value) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/jupyter_probe.py");
    let mut probe = sandbox.program(&folder.join("python3"));
    let mut child = probe.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let names: Vec<&str> = VALUES.iter().map(|(name, _)| *name).collect();
    for (name, value) in [("token", TOKEN.into()), ("names", names.into()), ("nonce", NONCE.into())] {
        request[name] = value;
    }
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let log = || fs::read_to_string(sandbox.root().join("tmp/log")).unwrap_or_default();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}\n{}", String::from_utf8_lossy(&output.stderr), log()))
}

/// What a program that has `values` proves.
pub(super) fn proofs_of(values: &[(&str, &str)]) -> Value {
    values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(proof(value)))).collect::<serde_json::Map<_, _>>().into()
}

/// HMAC-SHA256 of the nonce under a value: HKDF's first half is nothing else.
fn proof(value: &str) -> String {
    let (hmac, _) = Hkdf::<Sha256>::extract(Some(value.as_bytes()), NONCE.as_bytes());
    hmac.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_alive(process: u32) -> bool {
    // A zombie has no arguments any more.
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|arguments| !arguments.is_empty())
}

/// A process and all that descend from it.
fn tree_of(root: u32) -> Vec<u32> {
    let parent_of = |process: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = numbers.filter_map(|process| Some((process, parent_of(process)?))).collect();
    let mut tree = vec![root];
    let mut next = 0;
    while next < tree.len() {
        let parent_now = tree[next];
        tree.extend(parents.iter().filter(|(_, parent)| *parent == parent_now).map(|(process, _)| *process));
        next += 1;
    }
    tree
}

/// The files below a folder, and which of them hold a value in which form.
#[derive(Default)]
pub(super) struct Searched {
    pub(super) files: Vec<String>,
    pub(super) found: Vec<String>,
}

pub(super) fn search(folder: &Path) -> Searched {
    let mut searched = Searched::default();
    // What is gone by now is found when everything has ended, or nowhere.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let Ok(kind) = fs::symlink_metadata(&path) else { continue };
        if kind.is_dir() {
            let below = search(&path);
            searched.files.extend(below.files);
            searched.found.extend(below.found);
        } else if kind.is_file()
            && let Ok(mut bytes) = fs::read(&path)
        {
            bytes.extend(path.as_os_str().as_encoded_bytes());
            searched.found.extend(forms_in(&bytes).into_iter().map(|form| format!("{}: {form}", path.display())));
            searched.files.push(path.display().to_string());
        }
    }
    searched
}

/// The values that stand somewhere in `bytes`, and in which form.
fn forms_in(bytes: &[u8]) -> Vec<String> {
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let all = VALUES.iter().flat_map(|(name, value)| forms(value).into_iter().map(move |form| (name, form)));
    all.filter(|(_, (_, text))| holds(text)).map(|(name, (form, _))| format!("{name} as {form}")).collect()
}

/// A value as it stands, and as others would write it.
fn forms(value: &str) -> Vec<(&'static str, String)> {
    let json = serde_json::to_string(value).unwrap();
    let json = json.trim_matches('"');
    let python = value.replace('\\', "\\\\").replace('\n', "\\n");
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let percent = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("it is", value.to_owned()),
        ("JSON", json.to_owned()),
        ("JSON in JSON", serde_json::to_string(json).unwrap().trim_matches('"').to_owned()),
        ("Python", python),
        ("URL", value.bytes().map(percent).collect()),
        ("hex", hex.to_uppercase()),
        ("hex", hex),
    ];
    // In the middle of something else base64 begins at any of three places; what the neighbours decide is left out.
    for shift in 0..3 {
        let shifted = [&b"   "[..shift], value.as_bytes()].concat();
        let whole = shifted.len() / 3 * 4;
        let from = [0, 2, 3][shift];
        forms.push(("base64", STANDARD.encode(&shifted)[from..whole].to_owned()));
        forms.push(("base64url", URL_SAFE.encode(&shifted)[from..whole].to_owned()));
    }
    forms
}
