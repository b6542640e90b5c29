//! Every command that writes a file, in a folder of its own, and what must be true however it ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

use regex::Regex;

use super::document::{encrypted, metadata};
use super::editing::{CANARY, Editing};
use super::leaks::{leaks, leaks_within};
use super::sandbox::{Ended, RECIPIENT, STRANGER, ended};

/// What the new values hold.
pub const SECOND_CANARY: &str = "second-canary-7c1f";

/// What every private key begins with.
const PRIVATE_KEY: &str = "AGE-SECRET-KEY-1";

/// A command that writes.
pub struct Writer {
    /// What it is called in messages.
    pub name: &'static str,
    /// Its words; `EDITOR` stands for an editor that adds a line once, and then notes that it saved.
    pub arguments: &'static [&'static str],
    /// What it writes, from the work folder.
    pub targets: &'static [&'static str],
    /// How the same command may end when it is run again.
    pub again: &'static [i32],
}

impl Writer {
    /// The code it ends with where most others end with `code`, which is a failure: git has reasons of its own for those of `merge`.
    pub fn failure(&self, code: i32) -> i32 {
        if self.name == "merge" { 129 } else { code }
    }
}

/// Somebody who is let in; nobody has the other half.
const CAROL: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

const KEYS: &str = "../home/.config/sops/age/keys.txt";

/// All of them.
pub const WRITERS: &[Writer] = &[
    writer("edit", &["edit", "--editor", "EDITOR", "secrets.env"], &["secrets.env"], &[0]),
    writer("edit a new file", &["edit", "--editor", "EDITOR", "new.env"], &["new.env"], &[0]),
    writer("edit --resume", &["edit", "--editor", "EDITOR", "--resume", "secrets.env"], &["secrets.env"], &[0, 6]),
    writer("set", &["set", "-f", "secrets.env", "A", SECOND_CANARY], &["secrets.env"], &[0]),
    writer("unset", &["unset", "-f", "secrets.env", "B"], &["secrets.env"], &[0, 1]),
    writer("rename", &["rename", "-f", "secrets.env", "A", "Z"], &["secrets.env"], &[0, 1]),
    writer("generate", &["generate", "-f", "secrets.env", "TOKEN"], &["secrets.env"], &[0, 6]),
    writer("rotate", &["rotate", "secrets.env", "second.env"], &["secrets.env", "second.env"], &[0]),
    writer("rotate -o", &["rotate", "-o", "rotated.env", "secrets.env"], &["rotated.env"], &[0, 6]),
    writer("updatekeys", &["updatekeys", "--yes", "secrets.env", "second.env"], &["secrets.env", "second.env"], &[0]),
    writer(
        "recipients add",
        &["recipients", "add", "--yes", "--config", "rules.yaml", "carol", CAROL],
        &["rules.yaml", "secrets.env"],
        &[0],
    ),
    writer(
        "recipients remove",
        &["recipients", "remove", "--yes", "--config", "rules.yaml", STRANGER],
        &["rules.yaml", "secrets.env"],
        &[0, 1],
    ),
    writer("groups", &["groups", "add", "-i", "--age", RECIPIENT, "-f", "secrets.env"], &["secrets.env"], &[0]),
    writer("groups delete", &["groups", "delete", "-i", "-f", "grouped.env", "2"], &["grouped.env"], &[0, 2]),
    writer("merge", &["merge", "base.env", "secrets.env", "second.env"], &["secrets.env"], &[0]),
    writer("encrypt -i", &["encrypt", "-i", "plain.env"], &["plain.env"], &[0]),
    writer("encrypt -o", &["encrypt", "-o", "made.env", "plain.env"], &["made.env"], &[0, 6]),
    writer("encrypt -o, a copy", &["encrypt", "-o", "copy.env", "secrets.env"], &["copy.env"], &[0]),
    writer("decrypt -o", &["decrypt", "-o", "out.txt", "secrets.env"], &["out.txt"], &[0]),
    writer("decrypt -o over a file", &["decrypt", "-o", "there.txt", "secrets.env"], &["there.txt"], &[0]),
    writer("decrypt -i", &["decrypt", "-i", "second.env"], &["second.env"], &[0, 3]),
    writer("keygen", &["keygen", "-o", "new-keys.txt"], &["new-keys.txt"], &[0, 6]),
    writer("init", &["init", "--yes"], &[KEYS, ".sops.yaml", ".gitignore", ".gitattributes", "secrets.env"], &[0]),
];

/// The commands that write no file.
pub const READERS: &[&str] = &[
    "drafts list",
    "drafts drop",
    "exec",
    "keys",
    "check",
    "get",
    "groups list",
    "recipients list",
    "rule",
    "filestatus",
    "completions",
    "man",
    "textconv",
    "diff",
    "doctor",
];

const fn writer(
    name: &'static str,
    arguments: &'static [&'static str],
    targets: &'static [&'static str],
    again: &'static [i32],
) -> Writer {
    Writer { name, arguments, targets, again }
}

/// What the encrypted files say, and what `plain.env` says in clear.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let many: String = (0..40).map(|number| format!("KEY_{number}=value {number}\n")).collect();
    format!("# {CANARY}\nA='{CANARY}'\nB=kept # {CANARY}\n{many}")
});

static ENCRYPTED: LazyLock<Vec<u8>> = LazyLock::new(|| encrypted(TEXT.as_bytes(), metadata(&[RECIPIENT], None, false)).unwrap());

/// The same with three key groups, two of which are needed.
static GROUPED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut grouped = metadata(&[RECIPIENT], None, false);
    for _ in 0..2 {
        grouped.key_groups.extend(metadata(&[RECIPIENT], None, false).key_groups);
    }
    grouped.shamir_threshold = 2;
    encrypted(TEXT.as_bytes(), grouped).unwrap()
});

/// What a killed process left beside `secrets.env` long ago.
const LEFTOVER: &str = ".secrets.env.dotsops-0123456789abcdef";

/// The note of an editor that has saved.
const SAVED: &str = "saved";

/// A folder for one run of one writer.
pub struct World {
    /// Home, work folder, memory.
    pub editing: Editing,
    writer: &'static Writer,
    editor: PathBuf,
    before: BTreeMap<&'static str, Option<Vec<u8>>>,
}

/// How a target stands after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// As before.
    Old,
    /// As after a run that nothing disturbed.
    New,
}

/// Where that is which an editor noted as saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saved {
    /// No editor noted anything.
    Nothing,
    /// In the file.
    InFile,
    /// In the draft.
    InDraft,
}

impl World {
    /// The world before `writer` runs.
    pub fn of(writer: &'static Writer) -> Self {
        let editing = Editing::without_file();
        let sandbox = &editing.sandbox;
        if writer.name == "init" {
            fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
            fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
            sandbox.write(".env", &*TEXT);
        } else {
            sandbox.write(".sops.yaml", format!("creation_rules:\n  - path_regex: env$\n    age: {RECIPIENT},{STRANGER}\n"));
            sandbox.write("rules.yaml", format!("creation_rules:\n  - age:\n      - {RECIPIENT} # me\n      - {STRANGER}\n"));
            sandbox.write("secrets.env", &*ENCRYPTED);
            sandbox.write("second.env", &*ENCRYPTED);
            sandbox.write("grouped.env", &*GROUPED);
            sandbox.write("base.env", "");
            sandbox.write("plain.env", &*TEXT);
            sandbox.write("there.txt", "old\n");
            sandbox.write(LEFTOVER, "half of a file");
        }
        // Open for a moment after that, so that a kill can meet it there.
        let adds = format!(
            "(grep -q '^NEW=' \"$1\" || printf 'NEW={SECOND_CANARY}\\n' >> \"$1\") && : > \"$NOTES/{SAVED}\" && sleep 0.02"
        );
        if writer.name == "edit --resume" {
            // A draft, and a file that somebody else changed since.
            assert_eq!(editing.edit(&format!("{adds}; exit 1")).code, 7);
            assert_eq!(editing.sandbox.run(&["set", "-f", "secrets.env", "KEY_7", "theirs"]).code, 0);
        }
        let editor = editing.editor(&adds);
        let mut world = Self { editing, writer, editor, before: BTreeMap::new() };
        world.before = writer.targets.iter().map(|target| (*target, world.bytes(target))).collect();
        world
    }

    /// The code of a failure of the system.
    pub fn failure(&self) -> i32 {
        self.writer.failure(7)
    }

    fn bytes(&self, target: &str) -> Option<Vec<u8>> {
        fs::read(self.editing.sandbox.path(target)).ok()
    }

    /// The writer, about to run.
    pub fn command(&self) -> Command {
        let editor = self.editor.to_str().unwrap();
        let words = self.writer.arguments.iter().map(|word| if *word == "EDITOR" { editor } else { word });
        self.editing.dotsops(&words.collect::<Vec<_>>())
    }

    /// What the targets say, with what no two runs have in common masked.
    pub fn contents(&self) -> BTreeMap<&'static str, String> {
        self.writer.targets.iter().filter_map(|target| Some((*target, self.content(target)?))).collect()
    }

    /// What a target says: of an encrypted file that opens its plaintext and its recipients, else its text.
    fn content(&self, target: &str) -> Option<String> {
        let text = String::from_utf8(self.bytes(target)?).unwrap();
        let mut said = text.clone();
        if text.contains("sops_mac=") {
            let decrypted = self.editing.sandbox.run(&["decrypt", target]);
            assert_eq!(decrypted.code, 0, "{}: {target} does not open: {}", self.writer.name, decrypted.stderr);
            let recipients = text.lines().filter(|line| line.contains("recipient=")).collect::<Vec<_>>();
            said = format!("{}\n{}", decrypted.stdout, recipients.join("\n"));
        }
        // The rule of a new repository names the key that was made for it.
        let own = if self.writer.name == "init" { "age1[a-z0-9]{58}" } else { "public key: age1[a-z0-9]{58}" };
        let changing = format!("{PRIVATE_KEY}[A-Z0-9]{{58}}|created: \\S+|(?m:^TOKEN=.*$)|{own}");
        Some(Regex::new(&changing).unwrap().replace_all(&said, "…").into_owned())
    }

    /// Every target is whole: as it was, or as `reference` says it is after an undisturbed run.
    pub fn assert_whole(&self, reference: &BTreeMap<&'static str, String>, when: &str) -> BTreeMap<&'static str, Stands> {
        let stands = self.before.iter().map(|(target, before)| {
            if self.bytes(target) == *before {
                return (*target, Stands::Old);
            }
            assert_eq!(self.content(target).as_ref(), reference.get(target), "{target} is neither old nor new {when}");
            (*target, Stands::New)
        });
        stands.collect()
    }

    /// No plaintext is where none belongs. `session`: an edit's session, in memory, may be left.
    pub fn assert_clean(&self, session: bool, when: &str) {
        let sandbox = &self.editing.sandbox;
        let mut found =
            leaks(&[sandbox.root(), self.editing.memory()], &[CANARY, SECOND_CANARY, PRIVATE_KEY], SystemTime::UNIX_EPOCH);
        let mut allowed = vec![sandbox.path("plain.env"), sandbox.path(".env"), sandbox.path(KEYS)];
        // What the user asked to have in clear, also under the name it has for a moment.
        for target in self.writer.targets.iter().filter(|_| ["decrypt", "keygen", "init"].contains(&self.writer.arguments[0])) {
            let path = sandbox.path(target);
            let temporary = format!(".{}.dotsops-", path.file_name().unwrap().to_str().unwrap());
            allowed.extend([path.with_file_name(temporary), path]);
        }
        if session {
            allowed.push(self.editing.memory().join("dotsops/s-"));
        }
        let resolved = |path: &PathBuf| {
            let parent = path.parent().unwrap();
            parent.canonicalize().unwrap_or(parent.to_owned()).join(path.file_name().unwrap()).display().to_string()
        };
        let allowed: Vec<String> = allowed.iter().map(resolved).collect();
        found.retain(|leak| !allowed.iter().any(|allowed| leak.starts_with(allowed.as_str())));
        assert!(found.is_empty(), "plaintext is left {when}: {found:#?}");
        let mut sessions = self.editing.sessions();
        // One that was just made, and has neither a guard nor a text.
        sessions.retain(|session| {
            let names = fs::read_dir(session).into_iter().flatten().map(|entry| entry.unwrap().file_name());
            names.into_iter().any(|name| name != "owner.lock" && name != "tmp")
        });
        assert!(session || sessions.is_empty(), "a session is left {when}: {sessions:?}");
    }

    /// What an editor noted as saved is in the file, or else in a draft: the next edit says so, and an editor that changes nothing
    /// brings it into the file. Only that editor runs here, or a lost save would be made again.
    pub fn assert_saved_is_kept(&self, reference: &BTreeMap<&'static str, String>, when: &str) -> Saved {
        if !self.editing.note(SAVED).exists() {
            return Saved::Nothing;
        }
        let is_new = || self.assert_whole(reference, when).values().all(|stands| *stands == Stands::New);
        if is_new() {
            return Saved::InFile;
        }
        let (target, editor) = (self.writer.targets[0], self.editing.editor(":"));
        let edit = |options: &[&str]| {
            let arguments = [&["edit", "--editor", editor.to_str().unwrap()], options, &[target]].concat();
            ended(&mut self.editing.dotsops(&arguments))
        };
        let pending = edit(&[]);
        assert_eq!(pending.code, 6, "what was saved is lost {when}: {}", pending.stderr);
        let resumed = edit(&["--resume"]);
        assert_eq!(resumed.code, 0, "what was saved is lost {when}: {}", resumed.stderr);
        assert!(is_new(), "what was saved is lost {when}");
        Saved::InDraft
    }

    /// The same command works again, any other one too, and then nothing is left of what was killed.
    pub fn assert_next_works(&self, when: &str) {
        let mut again = ended(&mut self.command());
        if self.editing.has_draft() && again.stderr.contains("--resume") {
            let editor = self.editor.to_str().unwrap();
            let resumed = ["edit", "--editor", editor, "--resume", self.writer.targets[0]];
            again = ended(&mut self.editing.dotsops(&resumed));
        }
        let name = self.writer.name;
        assert!(self.writer.again.contains(&again.code), "{name} again, {when}: {}: {}", again.code, again.stderr);
        assert!(!self.editing.has_draft(), "a draft is left after the next edit, {when}");
        for target in self.writer.targets.iter().filter(|target| target.ends_with(".env")) {
            // A target in clear by now.
            if self.bytes(target).is_none_or(|bytes| !bytes.windows(9).any(|window| window == b"sops_mac=")) {
                continue;
            }
            let set = self.editing.sandbox.run(&["set", "-f", target, "NEXT", "1"]);
            assert_eq!(set.code, 0, "`set` on {target} {when}: {}", set.stderr);
            assert_eq!(self.editing.sandbox.run(&["get", "-f", target, "NEXT"]).stdout, "1", "{when}");
        }
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new(), "left over {when}, and after the next command");
    }

    /// What of this run was to become a file and did not.
    pub fn own_leftovers(&self) -> Vec<PathBuf> {
        self.leftovers().into_iter().filter(|path| !path.ends_with(LEFTOVER)).collect()
    }

    /// Everything that was to become a file and did not; the world began with one, which goes when its file is changed.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.editing.sandbox.root().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false if entry.file_name().to_string_lossy().contains(".dotsops-") => found.push(entry.path()),
                    false => {}
                }
            }
        }
        found.retain(|path| !path.ends_with(LEFTOVER) || self.writer.targets.contains(&"secrets.env"));
        found
    }
}

/// What `writer` makes of its targets when nothing disturbs it.
pub fn reference(writer: &'static Writer) -> BTreeMap<&'static str, String> {
    let world = World::of(writer);
    let ended = ended(&mut world.command());
    assert_eq!(ended.code, 0, "{}: {}", writer.name, ended.stderr);
    let stands = world.assert_whole(&world.contents(), "undisturbed");
    assert!(stands.values().all(|stands| *stands == Stands::New), "{} changes nothing: {stands:?}", writer.name);
    world.assert_clean(false, "undisturbed");
    world.contents()
}

/// The message of a failure: what failed, why, what to do, and no value.
pub fn assert_message(ended: &Ended, when: &str) {
    for part in ["error", "hint"] {
        let begins = format!("dotsops: {part}: ");
        assert!(ended.stderr.lines().any(|line| line.starts_with(&begins)), "no {part} is told {when}: {}", ended.stderr);
    }
    for canary in [CANARY, SECOND_CANARY, PRIVATE_KEY] {
        assert!(!ended.stderr.contains(canary), "a value is told {when}");
    }
}

/// No canary came to where every user's temporary files are since `start`.
pub fn assert_shared_folders_clean(start: SystemTime) {
    let roots = ["/tmp", "/var/tmp", "/dev/shm"].map(Path::new);
    let found = leaks_within(&roots, &[CANARY, SECOND_CANARY], start, 1);
    assert!(found.is_empty(), "{found:#?}");
}
