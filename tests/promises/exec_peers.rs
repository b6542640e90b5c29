//! The program under `dotsops exec` finds what `dotenv run` would give it from the plaintext, and with `--literal` what
//! `sops exec-env` gives it: over the same random files.
//!
//! Needs a Python with python-dotenv 1.2.4 (see `python_dotenv.rs`) and `sops` on PATH. `$DOTSOPS_SEED` is the seed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::exec_values::as_sops_writes;
use super::python_dotenv::{VERSION, find_python};
use crate::support::exec_pty::without_terminal;
use crate::support::peers;
use crate::support::random::{Random, number_from};
use crate::support::sandbox::{IDENTITY, Sandbox};

type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

fn seeded(what: &str, files: usize) -> Random {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number_from("DOTSOPS_SEED").unwrap_or(now.as_nanos() as u64);
    peers::say(&format!("{what}: {files} files, DOTSOPS_SEED={seed}"));
    Random(seed)
}

/// Runs `command`, which prints its environment with NULs. What was said, if it failed.
fn environment_under(command: &mut Command) -> Result<Variables, String> {
    let output = without_terminal(command).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let entries = output.stdout.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let split = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap();
        (entry[..at].to_vec(), entry[at + 1..].to_vec())
    };
    Ok(entries.map(split).collect())
}

#[test]
fn random_files_give_a_program_what_dotenv_run_gives_it() {
    let Some(python) = peers::peer("a Python with python-dotenv 1.2.4", find_python()) else { return };
    let files = if peers::are_required() { 300 } else { 60 };
    let mut random = seeded("dotenv run", files);
    let mut python = DotenvRun::start(&python);
    let sandbox = Sandbox::with_identity();
    let (mut compared, mut refused) = (0, 0);
    while compared < files {
        let plaintext = statements(&mut random);
        let plain = sandbox.write("plain.txt", &plaintext);
        let _ = std::fs::remove_file(sandbox.path("secrets.env"));
        let encrypt = ["encrypt", "--quiet", "--filename-override", "secrets.env", "-o", "secrets.env", "plain.txt"];
        if sandbox.run(&encrypt).code != 0 {
            refused += 1;
            continue;
        }
        for (options, replaces) in [(&[][..], true), (&["--keep-existing"], false)] {
            let mut command = sandbox.dotsops(["exec", "--quiet"]);
            command.args(options).args(["--", "env", "-0"]).envs([("E", ""), ("B", "mine"), ("X", "${A}"), ("A", "mine")]);
            match environment_under(&mut command) {
                Ok(ours) => assert_eq!(shown(&ours), shown(&python.run(&plain, &command, replaces)), "{plaintext}"),
                // What they let through and we do not: a name twice, once with an empty value.
                Err(said) => assert!(said.contains("more than once, and one of its lines is empty"), "{plaintext}\n{said}"),
            }
        }
        compared += 1;
    }
    assert!(refused < files, "too many files were refused, so that little was compared");
}

fn shown(variables: &Variables) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    variables.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Statements as people write them, with quotes, comments, line breaks and `${}` in all places.
fn statements(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(7) {
        text.push_str(random.pick(&["", "", "", "", "export ", "  ", "\n", "# note ${A} '\n", "export\t"]));
        text.push_str(random.pick(&["A", "B", "C", "D", "E", "F_1", "X", "a.b", "a-b", "ü"]));
        text.push_str(random.pick(&["=", "=", "=", "=", " = ", "= "]));
        let length = random.below(6);
        let (mark, pieces): (&str, &[&str]) = match random.below(4) {
            0 => ("", BARE),
            1 => ("'", SINGLE),
            2 => ("\"", DOUBLE),
            _ => ("", INTERPOLATED),
        };
        text.push_str(mark);
        (0..length).for_each(|_| text.push_str(random.pick(pieces)));
        text.push_str(mark);
        text.push_str(random.pick(&["", "", "", " # comment", "  ", " #'", "\t# \""]));
        text.push_str(random.pick(&["\n", "\n", "\n", "\r\n"]));
    }
    text
}

const BARE: &[&str] =
    &["a", "1", "x y", "#", " #", "$", "$A", "\\n", "\\", "=", "it's", "\"", "`", "ü", "😀", "https://h/?q=1&r"];
const SINGLE: &[&str] = &["a", " ", "#", "\"", "\\'", "\\\\", "\\n", "\n", "$A", "${A}", "${N:-d}", "=", "ü", "`"];
const DOUBLE: &[&str] =
    &["a", " ", "#", "'", "\\\"", "\\\\", "\\n", "\\t", "\\x41", "\n", "\n\n", "$A", "${B}", "${N:-d}", "=", "😀"];
const INTERPOLATED: &[&str] =
    &["${A}", "${B}", "${E}", "${E:-d}", "${N}", "${N:-d}", "${X}", "${PATH}", "${a.b}", "p", ":", "${", "}"];

/// A Python that does what `dotenv run` does, file after file.
struct DotenvRun {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl DotenvRun {
    fn start(python: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dotenv_run.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut started = Self { child, output };
        assert_eq!(started.line().trim_end(), VERSION);
        started
    }

    /// The environment of a program that `dotenv run` starts with this file in the environment of `command`.
    fn run(&mut self, file: &Path, command: &Command, replaces: bool) -> Variables {
        let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
        let environment: serde_json::Map<String, serde_json::Value> =
            command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?).into()))).collect();
        let request = json!({"file": text(file.as_os_str()), "override": replaces, "environment": environment});
        writeln!(self.child.stdin.as_mut().unwrap(), "{request}").unwrap();
        let answer: BTreeMap<String, String> = serde_json::from_str(&self.line()).unwrap();
        answer.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for DotenvRun {
    fn drop(&mut self) {
        // The end of its input is what it ends at.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn random_files_give_a_program_literally_what_sops_gives_it() {
    let Some(sops) = peers::peer("sops", which::which("sops").ok()) else { return };
    let files = if peers::are_required() { 200 } else { 40 };
    let mut random = seeded("sops exec-env", files);
    let sandbox = Sandbox::with_identity();
    for _ in 0..files {
        let plaintext = lines(&mut random);
        as_sops_writes(&sandbox, "secrets.env", &plaintext);
        let mut theirs = sandbox.program(&sops);
        theirs
            .args(["exec-env", "secrets.env", "env -0"])
            .env("SOPS_AGE_KEY_FILE", sandbox.home().join(".config/sops/age/keys.txt"));
        let mut theirs = environment_under(&mut theirs).unwrap();
        let mut ours = sandbox.dotsops(["exec", "--quiet", "--literal", "--", "env", "-0"]);
        let mut ours = environment_under(&mut ours).unwrap();
        assert!(!shown(&ours).iter().any(|(_, value)| value.contains(IDENTITY)));
        // The shell between makes the first; the last is how sops is told its key.
        theirs.retain(|name, _| {
            !["PWD", "OLDPWD", "SHLVL", "_", "SOPS_AGE_KEY_FILE"].map(str::as_bytes).contains(&name.as_slice())
        });
        // dash drops names that are not its own sort.
        let is_word = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        theirs.retain(|name, _| is_word(name));
        ours.retain(|name, _| is_word(name));
        assert_eq!(shown(&ours), shown(&theirs), "{}", String::from_utf8_lossy(&plaintext));
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&plaintext));
    }
}

/// Lines as sops takes them: anything with a `=`.
fn lines(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for n in 0..1 + random.below(8) {
        let name = match random.below(8) {
            0 => "AGAIN".to_owned(),
            1 => format!("export E{n}"),
            2 => format!("a.b-{n}"),
            3 => {
                text.extend_from_slice(b"# a = comment\n");
                format!("_{n}")
            }
            _ => format!("NAME_{n}"),
        };
        text.extend_from_slice(format!("{name}=").as_bytes());
        // Of two equal names none may be empty.
        if name == "AGAIN" {
            text.push(b'v');
        }
        for _ in 0..random.below(8) {
            match random.below(12) {
                0 => text.push(0x80 | random.below(128) as u8),
                _ => text.extend_from_slice(random.pick(LITERAL).as_bytes()),
            }
        }
        text.push(b'\n');
    }
    text
}

const LITERAL: &[&str] = &[
    "a",
    " ",
    "  ",
    "#",
    "'",
    "\"",
    "\\",
    "\\n",
    "\\\\n",
    "\\t",
    "=",
    "$A",
    "${NAME_1}",
    "`id`",
    "$(id)",
    "\t",
    "\r",
    "ü",
    "ENC[x]",
    "%s",
    "\u{1b}",
];
