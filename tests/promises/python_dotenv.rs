//! dotsops reads a `.env` as python-dotenv does, and what it stores means the same to python-dotenv: over the same random files.
//!
//! Needs a Python with python-dotenv 1.2.4, as `$DOTSOPS_TEST_PYTHON` or `python3`. `$DOTSOPS_DIFFERENTIAL` is the number of files,
//! `$DOTSOPS_SEED` the seed; a failure prints the seed and the smallest file it found.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dotsops::dialect::interpolation::Precedence;
use dotsops::dialect::scanner::{Kind, scan};
use dotsops::dialect::store::store;
use dotsops::dialect::{decode, read};
use dotsops::secret::SecretString;
use serde_json::{Value, json};

use crate::support::peers;
use crate::support::random::{Random, number_from, seed};

pub(super) const VERSION: &str = "1.2.4";
const ENVIRONMENT: &[(&str, &str)] = &[("E", ""), ("B", "env b"), ("X", "${A}"), ("a.b", "dot"), ("export", "'e'")];

#[test]
fn random_files_are_read_as_python_dotenv_reads_them() {
    let Some(python) = peers::peer("a Python with python-dotenv 1.2.4", find_python()) else { return };
    let number = number_from("DOTSOPS_DIFFERENTIAL").unwrap_or(if peers::are_required() { 20_000 } else { 2_000 });
    let seed = seed();
    peers::say(&format!("python-dotenv: {number} files, DOTSOPS_SEED={seed}"));

    let mut random = Random(seed);
    let mut python = Python::start(&python);
    let mut refused = 0;
    for n in 0..number {
        let (bytes, file_first) = (random.file(), random.below(2) == 0);
        if let Some(difference) = difference(&mut python, &bytes, file_first) {
            let smallest = shrink(&mut python, bytes, file_first);
            let last = self::difference(&mut python, &smallest, file_first).unwrap_or(difference);
            panic!("DOTSOPS_SEED={seed}, file {n}, file first {file_first}\n{:?}\n{last}", String::from_utf8_lossy(&smallest));
        }
        refused += usize::from(std::str::from_utf8(&bytes).is_err());
    }
    assert!(refused as u64 * 10 < number, "too many files are no text, so that little was compared");
}

/// How the two readings of a file differ, if they do.
fn difference(python: &mut Python, bytes: &[u8], file_first: bool) -> Option<String> {
    let (theirs, ours) = (python.read(bytes, file_first), our_reading(bytes, file_first));
    if theirs != ours {
        return Some(format!("python-dotenv: {theirs}\ndotsops:       {ours}"));
    }
    let stored = store(decode(bytes).ok()?.text.expose(), &|_| true).ok()?;
    let theirs_of_stored = python.read(stored.text.expose().as_bytes(), file_first);
    (theirs_of_stored != theirs).then(|| format!("given:  {theirs}\nstored: {theirs_of_stored}"))
}

fn our_reading(bytes: &[u8], file_first: bool) -> Value {
    let Ok(decoded) = decode(bytes) else { return json!({"error": "UnicodeDecodeError"}) };
    let text = decoded.text.expose();
    let precedence = if file_first { Precedence::FileFirst } else { Precedence::EnvironmentFirst };
    let environment =
        |name: &str| ENVIRONMENT.iter().find(|(known, _)| *known == name).map(|(_, value)| SecretString::copy_of(value));
    let reading = read(text, precedence, &environment);
    let shown = |value: &SecretString| value.expose().to_owned();
    let bindings: Vec<_> = reading.bindings.iter().map(|binding| (&binding.key, binding.value.as_ref().map(shown))).collect();

    // python-dotenv counts the blank lines before a statement as part of it.
    let (mut failed, mut previous_end) = (Vec::new(), 0);
    for statement in scan(text).iter().filter(|statement| !matches!(statement.kind, Kind::Blank)) {
        if matches!(statement.kind, Kind::Failed { .. }) {
            failed.push(previous_end + 1);
            assert!(reading.failed.iter().any(|failed| failed.lines == statement.lines));
        }
        previous_end = *statement.lines.end();
    }
    assert_eq!(failed.len(), reading.failed.len());
    json!({"bindings": bindings, "failed": failed})
}

/// Takes out ever smaller runs of bytes as long as the readings still differ.
fn shrink(python: &mut Python, mut bytes: Vec<u8>, file_first: bool) -> Vec<u8> {
    let mut run = bytes.len().div_ceil(2);
    while run > 0 {
        let mut start = 0;
        while start < bytes.len() {
            let mut fewer = bytes.clone();
            fewer.drain(start..(start + run).min(bytes.len()));
            match difference(python, &fewer, file_first) {
                Some(_) => bytes = fewer,
                None => start += run,
            }
        }
        run /= 2;
    }
    bytes
}

/// A running python-dotenv.
pub(super) struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    pub(super) fn start(python: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/python_dotenv.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut started = Self { input: child.stdin.take(), child, output };
        assert_eq!(started.line().trim_end(), VERSION);
        started
    }

    fn read(&mut self, bytes: &[u8], file_first: bool) -> Value {
        self.read_as(bytes, file_first, true)
    }

    pub(super) fn read_as(&mut self, bytes: &[u8], file_first: bool, interpolate: bool) -> Value {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let environment: serde_json::Map<String, Value> =
            ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        let request = json!({"hex": hex, "override": file_first, "environment": environment, "interpolate": interpolate});
        writeln!(self.input.as_mut().unwrap(), "{request}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input is what it ends at.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// A Python whose python-dotenv is the one we follow.
pub(super) fn find_python() -> Option<PathBuf> {
    let python = std::env::var_os("DOTSOPS_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let program = "import importlib.metadata as m; print(m.version('python-dotenv'))";
    let output = Command::new(&python).args(["-c", program]).stderr(Stdio::null()).output().ok()?;
    (String::from_utf8_lossy(&output.stdout).trim() == VERSION).then_some(python)
}

impl Random {
    /// A file: pieces without order, or statements with accidents; now and then with a byte that is no UTF-8.
    pub(super) fn file(&mut self) -> Vec<u8> {
        let mut text = String::new();
        if self.below(20) == 0 {
            text.push('\u{feff}');
        }
        match self.below(3) {
            0 => self.pieces(&mut text, 25),
            _ => (0..self.below(7)).for_each(|_| self.statement(&mut text)),
        }
        let mut bytes = text.into_bytes();
        if self.below(40) == 0 {
            let at = self.below(bytes.len() + 1);
            bytes.insert(at, self.pick(&[0xff, 0x80, 0xc3, 0xed, 0xf4]));
        }
        bytes
    }

    fn statement(&mut self, text: &mut String) {
        text.push_str(self.pick(&["", "", "", "export ", "export\t", " ", "\n", "\u{a0}"]));
        match self.below(6) {
            0 => self.pieces(text, 3),
            _ => text.push_str(self.pick(&["A", "B", "C", "E", "X", "'A'", "'a b'", "a.b", "export"])),
        }
        text.push_str(self.pick(&["=", "=", "=", "=", " = ", "= ", "\u{1c}=", "", " "]));
        match self.below(4) {
            0 => self.pieces(text, 8),
            1 => text.push_str(self.pick(&["${A}", "${E:-d}", "${N:-d}", "${B}", "${X}", "'${A}${C}'", "\"${:-${A}}\""])),
            kind => {
                let mark = if kind == 2 { '\'' } else { '"' };
                text.push(mark);
                self.pieces(text, 8);
                text.push(mark);
            }
        }
        text.push_str(self.pick(&["", "", "", "", " # c", "#c", " ", "x", " #'", "\u{85}"]));
        text.push_str(self.pick(&["\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n", ""]));
    }

    pub(super) fn pieces(&mut self, text: &mut String, at_most: usize) {
        for _ in 0..self.below(at_most) {
            match self.below(30) {
                0 => text.push(char::from_u32(self.below(0x3100) as u32).unwrap_or('x')),
                1 => text.push(char::from_u32(self.below(0x11_0000) as u32).unwrap_or('y')),
                _ => text.push_str(self.pick(PIECES)),
            }
        }
    }
}

const PIECES: &[&str] = &[
    "'", "'", "\"", "\"", "`", "\\", "\\", "\\n", "\\'", "\\\"", "\\\\", "#", "#", " #", "=", "=", "$", "${", "{", "}", "}",
    ":-", "-", ":", "${A}", "${B:-", "${A:+x}", "export", "export ", "A", "B", "a", "1", " ", " ", "\t", "\n", "\n", "\n", "\r",
    "\r\n", "\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{1f}", "\u{85}", "\u{a0}", "\u{1680}", "\u{180e}", "\u{200b}",
    "\u{2028}", "\u{2029}", "\u{3000}", "\u{feff}", "\0", "\u{7f}", "ü", "😀", "\\a", "\\b", "\\f", "\\r", "\\t", "\\v", "\\x41",
    "\\u00e9", "\\0",
];
