//! The table: rows, cells, and the run of one verb on one file.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::support::peers::say;
use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, Sandbox};

/// In every value and comment; a message that has it shows one.
pub const CANARY: &str = "cnry";

/// The name of the file in every row.
pub const FILE: &str = "secrets.env";

/// The longest line of a message in bytes. Only what nobody can have meant as a name comes near it.
const LONGEST_LINE: usize = 9 << 10;

/// Verbs that the documents treat alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Shows what anybody can see, and checks nothing.
    Keyless,
    /// Shows values.
    Reading,
    /// Runs a program.
    Exec,
    /// Changes values.
    Changing,
    /// Wraps the data key, or a new one, for readers.
    Wrapping,
    /// Leaves what is encrypted already as it is.
    Encrypting,
}

/// Every verb that takes one encrypted file, with its group; `elsewhere` says why a verb is not here. The name is the first word, or two where the
/// first is not enough.
pub const VERBS: &[(Group, &str, &[&str])] = &[
    (Group::Keyless, "keys", &["keys", FILE]),
    (Group::Keyless, "filestatus", &["filestatus", FILE]),
    (Group::Keyless, "groups list", &["groups", "list", "-f", FILE]),
    (Group::Reading, "decrypt", &["decrypt", FILE]),
    (Group::Reading, "decrypt --extract", &["decrypt", "--extract", "[\"API_KEY\"]", FILE]),
    (Group::Reading, "get", &["get", "-f", FILE, "API_KEY"]),
    (Group::Exec, "exec", &["exec", "-f", FILE, "--", "echo", "ran"]),
    (Group::Exec, "exec --literal", &["exec", "--literal", "-f", FILE, "--", "echo", "ran"]),
    (Group::Changing, "edit", &["edit", "--allow-disk-plaintext", "--editor", "../tmp/types", FILE]),
    (Group::Changing, "set", &["set", "-f", FILE, "API_KEY"]),
    (Group::Changing, "unset", &["unset", "-f", FILE, "LAST"]),
    (Group::Changing, "rename", &["rename", "-f", FILE, "LAST", "LATEST"]),
    (Group::Changing, "generate", &["generate", "-f", FILE, "FRESH"]),
    (Group::Wrapping, "rotate", &["rotate", "--yes", FILE]),
    (Group::Wrapping, "updatekeys", &["updatekeys", "--yes", FILE]),
    (Group::Wrapping, "groups add", &["groups", "add", "-i", "--age", STRANGER, "-f", FILE]),
    (Group::Encrypting, "encrypt", &["encrypt", "-i", FILE]),
];

/// Who runs the verbs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Holds the file's key.
    Reader,
    /// Holds another key.
    Stranger,
    /// Holds none.
    Nobody,
}

/// What a verb is to do.
#[derive(Clone, Copy)]
pub enum Cell {
    /// Succeeds, and says each of these.
    Runs(&'static [&'static str]),
    /// Ends with this code, and says each of these. For `exec` the code is always 125.
    Refuses(i32, &'static [&'static str]),
    /// Is not asked here, for the reason given.
    NotHere(&'static str),
}

/// One finding.
pub struct Row {
    what: &'static str,
    input: Input,
    memory: Option<u32>,
    user: User,
    cells: Vec<(&'static str, Cell)>,
}

enum Input {
    Bytes(Vec<u8>),
    Made(fn(&Path)),
}

/// A row in which every verb succeeds, until something else is said.
pub fn row(what: &'static str, file: impl Into<Vec<u8>>) -> Row {
    row_of(what, Input::Bytes(file.into()))
}

/// The same for what is no file of bytes that one could write down: `make` puts it at the path it is given.
pub fn row_made(what: &'static str, make: fn(&Path)) -> Row {
    row_of(what, Input::Made(make))
}

fn row_of(what: &'static str, input: Input) -> Row {
    let cells = VERBS.iter().map(|(_, verb, _)| (*verb, Cell::Runs(&[]))).collect();
    Row { what, input, memory: None, user: User::Reader, cells }
}

impl Row {
    /// No verb makes anything of the file.
    pub fn malformed(self, says: &'static [&'static str]) -> Self {
        let groups = [Group::Keyless, Group::Reading, Group::Exec, Group::Changing, Group::Wrapping, Group::Encrypting];
        groups.into_iter().fold(self, |row, group| row.group(group, Cell::Refuses(3, says)))
    }

    /// The metadata cannot be used: as [`Self::malformed`], but names can be listed, and what is encrypted already can be left alone.
    pub fn unusable(self, says: &'static [&'static str]) -> Self {
        self.malformed(says).verb("keys", Cell::Runs(&[]))
    }

    /// No verb that takes a key goes on.
    pub fn refused(self, code: i32, says: &'static [&'static str]) -> Self {
        let groups = [Group::Reading, Group::Exec, Group::Changing, Group::Wrapping];
        groups.into_iter().fold(self, |row, group| row.group(group, Cell::Refuses(code, says)))
    }

    /// Somebody changed it: [`Self::refused`] with the code for that.
    pub fn forged(self, says: &'static [&'static str]) -> Self {
        self.refused(5, says)
    }

    /// A value, the one named, stands in clear or looks like it. It keeps nobody from being let in or put out.
    pub fn in_clear(self, says: &'static [&'static str]) -> Self {
        self.forged(says)
            .verb("updatekeys", Cell::Runs(&["stands in clear"]))
            .verb("groups add", Cell::Runs(&["stands in clear"]))
            .group(Group::Encrypting, Cell::Refuses(6, &["encrypted already, but some of its values are not"]))
    }

    /// Says what the verbs of a group do.
    pub fn group(mut self, group: Group, cell: Cell) -> Self {
        for ((of, ..), place) in VERBS.iter().zip(&mut self.cells) {
            if *of == group {
                place.1 = cell;
            }
        }
        self
    }

    /// Says what one verb does.
    pub fn verb(mut self, verb: &str, cell: Cell) -> Self {
        let place = self.cells.iter_mut().find(|(name, _)| *name == verb).unwrap_or_else(|| panic!("no verb {verb}"));
        place.1 = cell;
        self
    }

    /// Asks these verbs alone, for the reason given.
    pub fn only(mut self, verbs: &[&str], why: &'static str) -> Self {
        for (verb, cell) in self.cells.iter_mut().filter(|(verb, _)| !verbs.contains(verb)) {
            assert!(VERBS.iter().any(|(_, name, _)| name == verb));
            *cell = Cell::NotHere(why);
        }
        self
    }

    /// Gives the verbs no more than so many MiB of address space, and an end if they wait for what never comes.
    pub fn within_mib(self, memory: u32) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Who runs the verbs, if not somebody who holds the key.
    pub fn by(self, user: User) -> Self {
        Self { user, ..self }
    }

    fn surroundings(&self) -> Sandbox {
        let sandbox = Sandbox::empty();
        let keys = sandbox.home().join(".config/sops/age");
        fs::create_dir_all(&keys).unwrap();
        match self.user {
            User::Reader => fs::write(keys.join("keys.txt"), crate::support::sandbox::IDENTITY).unwrap(),
            User::Stranger => {
                let keys = keys.join("keys.txt");
                let made = sandbox.run(&["keygen", "-o", keys.to_str().unwrap()]);
                assert_eq!(made.code, 0, "{}", made.stderr);
            }
            User::Nobody => {}
        }
        prepare(&sandbox);
        sandbox
    }

    /// What is not as the table says.
    fn faults(&self) -> Vec<String> {
        let sandbox = self.surroundings();
        self.say_what_is_not_here();
        let mut faults = Vec::new();
        let mut state = None;
        for ((group, verb, arguments), (_, cell)) in VERBS.iter().zip(&self.cells) {
            if matches!(cell, Cell::NotHere(_)) {
                continue;
            }
            let (_, before) = state.get_or_insert_with(|| self.put(&sandbox));
            let ended = self.run(&sandbox, arguments);
            let mut wrong = match cell {
                Cell::Runs(says) => runs(*group, &ended, says),
                Cell::Refuses(code, says) => {
                    // Whom it is about is shown before the file is opened.
                    let shown = if *verb == "updatekeys" { String::new() } else { ended.stdout.clone() };
                    refuses(if *group == Group::Exec { 125 } else { *code }, &shown, &ended, says)
                }
                Cell::NotHere(_) => Vec::new(),
            };
            let may_write = matches!(cell, Cell::Runs(_)) && matches!(group, Group::Changing | Group::Wrapping);
            if may_write {
                state = None;
            } else {
                wrong.extend(before.differs(&State::of(&sandbox)));
            }
            let _ = fs::remove_dir_all(sandbox.home().join(".local"));
            if !wrong.is_empty() {
                faults.push(format!("{}: {verb}: {}\n{}{}", self.what, wrong.join(", "), ended.stdout, ended.stderr));
            }
        }
        if let Some((digest, _)) = state
            && digest != digest_of(&sandbox.path(FILE))
        {
            faults.push(format!("{}: all verbs: the file has other bytes\n", self.what));
        }
        faults
    }

    fn say_what_is_not_here(&self) {
        let absent = self.cells.iter().filter_map(|(verb, cell)| match cell {
            Cell::NotHere(why) => Some((*verb, *why)),
            _ => None,
        });
        let (verbs, reasons): (Vec<&str>, Vec<&str>) = absent.unzip();
        if let Some(why) = reasons.first() {
            say(&format!("{}: not asked here: {}: {why}", self.what, verbs.join(", ")));
        }
    }

    /// Puts the row's file in place.
    fn put(&self, sandbox: &Sandbox) -> (Option<[u8; 32]>, State) {
        let path = sandbox.path(FILE);
        match &self.input {
            Input::Bytes(bytes) => put(sandbox, bytes),
            Input::Made(make) => {
                let _ = fs::remove_file(&path);
                make(&path);
            }
        }
        (digest_of(&path), State::of(sandbox))
    }

    fn run(&self, sandbox: &Sandbox, arguments: &[&str]) -> Ended {
        let mut command = match self.memory {
            None => sandbox.dotsops(arguments),
            Some(memory) => {
                let mut command = sandbox.program(Path::new("timeout"));
                let limited = format!("ulimit -v {} && exec \"$@\"", u64::from(memory) << 10);
                command.args(["--signal=KILL", "120", "sh", "-c", &limited, "sh", env!("CARGO_BIN_EXE_dotsops")]).args(arguments);
                command
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that refuses before it reads closes its end; that is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(b"other value\n");
        Ended::from(child.wait_with_output().unwrap())
    }
}

/// Runs all of `rows`.
///
/// # Panics
/// With everything that is not as the table says.
pub fn check(rows: Vec<Row>) {
    let faults: Vec<String> = rows.iter().flat_map(Row::faults).collect();
    assert!(faults.is_empty(), "{} cells are not as the table says:\n\n{}", faults.len(), faults.join("\n"));
}

/// A rule with one reader more than the files have, so that `updatekeys` has something to do; and an editor that changes a value.
pub fn prepare(sandbox: &Sandbox) {
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - path_regex: \\.env$\n    age: {RECIPIENT},{STRANGER}\n"));
    let editor = sandbox.root().join("tmp/types");
    fs::write(&editor, "#!/bin/sh\nsed -i 's/^LAST=.*/LAST=other/' \"$1\"\n").unwrap();
    fs::set_permissions(editor, fs::Permissions::from_mode(0o700)).unwrap();
}

fn runs(group: Group, ended: &Ended, says: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    if ended.code != 0 {
        faults.push(format!("ended with {} instead of 0", ended.code));
    }
    let shows_values = matches!(group, Group::Reading);
    if ended.stderr.contains(CANARY) || !shows_values && ended.stdout.contains(CANARY) {
        faults.push("shows a value".to_owned());
    }
    if group == Group::Exec && ended.stdout != "ran\n" {
        faults.push("the program did not run".to_owned());
    }
    faults.extend(missing(ended, says));
    faults
}

/// What a refusal must be, whatever it is about.
pub fn refuses(code: i32, printed: &str, ended: &Ended, says: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |is: bool, what: &str| {
        if !is {
            faults.push(what.to_owned());
        }
    };
    must(ended.code == code, &format!("ended with {} instead of {code}", ended.code));
    must(printed.is_empty(), "prints something");
    must(!ended.stderr.contains(CANARY), "shows a value");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let failure = lines.iter().position(|line| line.starts_with("dotsops: error: ")).map_or(&[][..], |at| &lines[at..]);
    must(ended.stderr.len() <= 2 * LONGEST_LINE, "the message is too long");
    must((2..=3).contains(&failure.len()), "the message has not two or three lines");
    must(failure.last().is_some_and(|line| line.starts_with("dotsops: hint: ")), "the message does not say what to do");
    must(lines.iter().all(|line| line.starts_with("dotsops: ") && line.len() <= LONGEST_LINE), "a line is too long, or not ours");
    faults.extend(missing(ended, says));
    faults
}

fn missing(ended: &Ended, says: &[&str]) -> Vec<String> {
    says.iter().filter(|text| !ended.stderr.contains(**text)).map(|text| format!("does not say `{text}`")).collect()
}

/// A larger file is read before the first verb and after the last one only.
const QUICKLY_READ: u64 = 1 << 20;

/// All that a refusal must leave alone.
#[derive(PartialEq, Eq)]
pub struct State {
    digest: Option<[u8; 32]>,
    length: u64,
    inode: u64,
    mode: u32,
    changed: (SystemTime, i64, i64),
    beside: Vec<String>,
}

impl State {
    /// The state of the row's file.
    pub fn of(sandbox: &Sandbox) -> Self {
        let path = sandbox.path(FILE);
        let metadata = path.symlink_metadata().unwrap();
        let digest = (metadata.len() <= QUICKLY_READ).then(|| digest_of(&path)).flatten();
        let entries = fs::read_dir(sandbox.work()).unwrap();
        let mut beside: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        beside.sort();
        let changed = (metadata.modified().unwrap(), metadata.ctime(), metadata.ctime_nsec());
        Self { digest, length: metadata.len(), inode: metadata.ino(), mode: metadata.mode(), changed, beside }
    }

    /// What of it is another now.
    pub fn differs(&self, now: &Self) -> Vec<String> {
        let parts = [
            (self.digest == now.digest && self.length == now.length, "the file has other bytes"),
            (self.inode == now.inode, "the file is another one"),
            (self.mode == now.mode, "the file has another mode"),
            (self.changed == now.changed, "the file was written"),
            (self.beside == now.beside, "something else lies beside the file"),
        ];
        parts.into_iter().filter(|(is_same, _)| !is_same).map(|(_, what)| what.to_owned()).collect()
    }
}

/// The SHA-256 of a regular file.
pub fn digest_of(path: &Path) -> Option<[u8; 32]> {
    let is_file = path.symlink_metadata().unwrap().is_file();
    is_file.then(|| Sha256::digest(fs::read(path).unwrap()).into())
}

/// Makes a FIFO that nobody writes to.
pub fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Writes the file with a time of change long ago, so that a new one shows.
pub fn put(sandbox: &Sandbox, bytes: &[u8]) {
    let _ = fs::remove_file(sandbox.path(FILE));
    let path = sandbox.write(FILE, bytes);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}
