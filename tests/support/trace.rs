//! What a program asks the system for, as strace sees it: paths, sockets, other programs. What other programs do is left out.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::peers;

/// What is done with a path, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Whether it is there, what it is, and where a link leads.
    Look,
    /// Its bytes, or a folder's names.
    Read,
    /// It is made, changed or removed.
    Write,
}

/// One thing that was asked for, whether it was granted or not.
#[derive(Debug)]
pub enum Event {
    /// Something was done with a path: absolute, without `.` and `..`.
    Path(Access, PathBuf),
    /// A call about sockets, as strace prints it.
    Socket(String),
    /// A program was started.
    Start { program: PathBuf, arguments: Vec<String>, environment: Vec<String> },
}

/// strace, if it is here and may trace.
pub fn strace() -> Option<PathBuf> {
    let found = which::which("strace").ok();
    let may = |strace: &PathBuf| {
        Command::new(strace)
            .args(["-qq", "-o", "/dev/null", "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|end| end.success())
    };
    peers::peer("strace, or the right to trace,", found.filter(may))
}

/// A run that is to be traced.
pub struct Trace {
    folder: TempDir,
    start: PathBuf,
}

impl Trace {
    /// `command`, traced: the command to run, and what will tell what it did.
    pub fn of(strace: &Path, command: &Command) -> (Command, Self) {
        let folder = tempfile::tempdir().unwrap();
        let start = command.get_current_dir().unwrap().to_owned();
        let mut traced = Command::new(strace);
        traced.args(["-ff", "-y", "-qq", "-s", "65535", "-e", "trace=%file,%network,%process", "-e", "abbrev=!execve"]);
        traced
            .args(["-e", "signal=none", "-o"])
            .arg(folder.path().join("trace"))
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        traced.current_dir(&start).env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        traced.stdin(Stdio::null());
        super::pty::without_terminal(&mut traced);
        (traced, Self { folder, start })
    }

    /// What the program did, and every process of its that became no other program.
    pub fn events(&self) -> Vec<Event> {
        let mut texts: HashMap<String, String> = HashMap::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let process = path.extension().and_then(OsStr::to_str).unwrap().to_owned();
            texts.insert(process, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
        }
        // Nobody's child is the program itself.
        let children: Vec<String> = texts.values().flat_map(|text| text.lines().filter_map(child)).collect();
        let mut ours: Vec<String> = texts.keys().filter(|process| !children.contains(process)).cloned().collect();
        assert_eq!(ours.len(), 1);
        let mut events = Vec::new();
        let mut is_program = false;
        while let Some(process) = ours.pop() {
            for line in texts[&process].lines() {
                if let Some(child) = child(line) {
                    ours.push(child);
                } else if line.starts_with("execve(\"/proc/self/exe\"") {
                    // The program itself, once more.
                    events.extend(self.events_of(line));
                } else if line.starts_with("execve(") && line.ends_with(" = 0") {
                    if std::mem::replace(&mut is_program, true) {
                        events.push(self.started(line));
                        break;
                    }
                } else {
                    events.extend(self.events_of(line));
                }
            }
        }
        events
    }

    fn started(&self, line: &str) -> Event {
        let mut words = strings(line).into_iter();
        let program = self.absolute("", &words.next().unwrap().text);
        let (arguments, environment): (Vec<_>, Vec<_>) = words.partition(|word| word.list == 1);
        let texts = |words: Vec<Word>| words.into_iter().map(|word| word.text).collect();
        Event::Start { program, arguments: texts(arguments), environment: texts(environment) }
    }

    fn events_of(&self, line: &str) -> Vec<Event> {
        let Some((call, _)) = line.split_once('(') else { return Vec::new() };
        let is_socket =
            ["socket", "connect", "bind", "listen", "accept", "send", "recv", "shutdown", "getsock", "getpeer", "setsock"];
        if is_socket.iter().any(|beginning| call.starts_with(beginning)) {
            return vec![Event::Socket(line.to_owned())];
        }
        let access = match call {
            "open" | "openat" | "openat2" | "creat" => {
                let writes =
                    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag)) || call == "creat";
                if writes { Access::Write } else { Access::Read }
            }
            "stat" | "lstat" | "newfstatat" | "statx" | "statfs" | "access" | "faccessat" | "faccessat2" | "readlink"
            | "readlinkat" | "getxattr" | "lgetxattr" | "listxattr" | "llistxattr" | "execve" | "chdir" | "inotify_add_watch" => {
                Access::Look
            }
            "getcwd" | "exit_group" | "exit" | "wait4" | "waitid" | "kill" | "tgkill" | "rt_sigqueueinfo"
            | "pidfd_send_signal" | "fchdir" => {
                return Vec::new();
            }
            // Whatever else takes a path changes something.
            _ => Access::Write,
        };
        let mut paths = strings(line).into_iter().filter(|word| word.list == 0);
        let paths: Vec<Word> = match call {
            // The second is where the link leads.
            "readlink" | "readlinkat" | "getxattr" | "lgetxattr" | "execve" => paths.next().into_iter().collect(),
            // The first is where the link will lead.
            "symlink" | "symlinkat" => paths.skip(1).collect(),
            // The first is what gets another name.
            "linkat" => {
                let from = paths.next().unwrap();
                let looked_at = Event::Path(Access::Look, self.absolute(&from.folder, &from.text));
                let named = paths.map(|path| Event::Path(Access::Write, self.absolute(&path.folder, &path.text)));
                return std::iter::once(looked_at).chain(named).collect();
            }
            _ => paths.collect(),
        };
        // Without a name it is about a descriptor, which was opened before.
        paths
            .iter()
            .filter(|path| !path.text.is_empty())
            .map(|path| Event::Path(access, self.absolute(&path.folder, &path.text)))
            .map(|event| match event {
                // A file without a name in the folder.
                Event::Path(access, folder) if line.contains("O_TMPFILE") => Event::Path(access, folder.join(UNNAMED)),
                event => event,
            })
            .collect()
    }

    fn absolute(&self, folder: &str, path: &str) -> PathBuf {
        let mut whole = PathBuf::new();
        for part in self.start.join(folder).join(path).components() {
            match part {
                Component::ParentDir => drop(whole.pop()),
                Component::CurDir => {}
                part => whole.push(part),
            }
        }
        whole
    }
}

/// Stands for a file that has no name yet.
pub const UNNAMED: &str = "(without a name)";

/// The process that a line of strace says was made.
fn child(line: &str) -> Option<String> {
    let makes = ["clone(", "clone3(", "fork(", "vfork("].iter().any(|call| line.starts_with(call));
    let (_, result) = line.rsplit_once(" = ")?;
    (makes && result.bytes().all(|byte| byte.is_ascii_digit())).then(|| result.to_owned())
}

/// A text between quotes in a line of strace.
struct Word {
    text: String,
    /// The path of the descriptor before it, which it is relative to.
    folder: String,
    /// In which of the line's lists it stands, from 1; 0 for none.
    list: usize,
}

/// The texts between quotes, without those inside of structures.
fn strings(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut lists, mut in_list, mut structures) = (0, false, 0);
    let mut folder = String::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '[' => (lists, in_list) = (lists + 1, true),
            ']' => in_list = false,
            '{' => structures += 1,
            '}' => structures -= 1,
            '<' => folder = rest.by_ref().take_while(|character| *character != '>').collect(),
            '"' => {
                let word = Word {
                    text: unquoted(&mut rest),
                    folder: std::mem::take(&mut folder),
                    list: if in_list { lists } else { 0 },
                };
                if structures == 0 {
                    words.push(word);
                }
            }
            _ => {}
        }
    }
    words
}

/// The text up to the closing quote. Bytes beyond ASCII become the characters of the same number.
fn unquoted(rest: &mut std::str::Chars) -> String {
    let mut text = String::new();
    while let Some(character) = rest.next() {
        match character {
            '"' => break,
            '\\' => match rest.next().unwrap() {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'v' => text.push('\u{b}'),
                'f' => text.push('\u{c}'),
                digit @ '0'..='7' => {
                    let mut number = digit.to_digit(8).unwrap();
                    while let Some(more) = rest.clone().next().and_then(|next| next.to_digit(8)).filter(|_| number < 32) {
                        number = number * 8 + more;
                        rest.next();
                    }
                    text.push(char::from_u32(number).unwrap());
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    text
}
