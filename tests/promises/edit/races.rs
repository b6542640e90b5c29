//! Two edits and a `git checkout` at one file at the same time: row 41. `DOTSOPS_ROUNDS` says how often, 60 times if it is not set;
//! `DOTSOPS_SEED` repeats the choices, though not the moments, which are the machine's.
//!
//! Each edit adds a line, and is run again, or its draft resumed, until it says that it saved. Meanwhile git puts another version of the file in
//! its place, by removing and writing it, and takes no lock. The system's own record of what happened to the name tells afterwards what came
//! after what: a line that was saved after git's last touch must be in the file.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::support::editing::Editing;
use crate::support::peers::{peer, say};
use crate::support::pty::PATIENCE;
use crate::support::random::{Random, number_from, seed};
use crate::support::sandbox::{Ended, ended};
use crate::support::writing::assert_message;

#[test]
fn row_41_of_two_edits_and_a_checkout_at_once_no_edit_is_lost_without_a_message_and_a_draft() {
    if peer("git", which::which("git").ok()).is_none() {
        return;
    }
    let (seed, rounds) = (seed(), number_from("DOTSOPS_ROUNDS").unwrap_or(60));
    let mut random = Random(seed);
    let race = Race::new();
    let mut tally = Tally::default();
    for round in 0..rounds {
        race.run(&mut random, &mut tally, &format!("in round {round}, DOTSOPS_SEED={seed}"));
    }
    say(&format!("{rounds} rounds, DOTSOPS_SEED={seed}: {tally:?}"));
    assert!(rounds < 50 || tally.overtaken > 0, "no edit was overtaken: {tally:?}");
    // The time between the last look and the rename is too short to be met often.
    assert!(tally.git_lost * 20 <= rounds, "what git wrote is overwritten unseen: {tally:?}");
    assert!(tally.unclear * 20 <= rounds, "too often it is not clear what came first: {tally:?}");
}

/// What happened.
#[derive(Default, Debug)]
struct Tally {
    /// Edits that said they saved.
    saved: u64,
    /// Edits that were refused before their editor ran, since another one was at work or git was writing.
    turned_away: u64,
    /// Edits whose editor had run and that ended with a draft.
    overtaken: u64,
    /// Saved lines that git's version took the place of afterwards.
    replaced_by_git: u64,
    /// Checkouts that failed.
    git_failed: u64,
    /// Checkouts whose version an edit took the place of without having seen it: those that fell between its last look and its rename.
    git_lost: u64,
    /// Rounds in which the record does not tell which save was which.
    unclear: u64,
}

struct Race {
    editing: Editing,
}

/// Somebody who adds a line named after him.
struct Person {
    name: &'static str,
    editor: PathBuf,
    running: Option<Child>,
    /// When he begins, or tries again.
    begins: Instant,
    /// His draft is kept.
    has_draft: bool,
    /// How often his editor had run before.
    before: usize,
    is_done: bool,
}

/// What the system saw happen to the name.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    /// A file took its place by a rename, as an edit does it.
    Renamed,
    /// Anything else, which is git's.
    Written,
}

impl Race {
    /// A repository with two versions, `V=1` and `V=2`, of one file.
    fn new() -> Self {
        let race = Self { editing: Editing::of("V=1\nW=1\n") };
        race.git(&["init", "-q"]);
        race.git(&["add", "secrets.env"]);
        race.git(&["commit", "-q", "-m", "one"]);
        race.git(&["tag", "one"]);
        assert_eq!(race.editing.sandbox.run(&["set", "V", "2"]).code, 0);
        race.git(&["commit", "-q", "-a", "-m", "two"]);
        race.git(&["tag", "two"]);
        race
    }

    fn git_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.editing.sandbox.program(Path::new("git"));
        command.args(["-c", "user.name=me", "-c", "user.email=me@example.org"]).args(arguments);
        command
    }

    fn git(&self, arguments: &[&str]) {
        let ended = ended(&mut self.git_command(arguments));
        assert_eq!(ended.code, 0, "git {arguments:?}: {}", ended.stderr);
    }

    fn run(&self, random: &mut Random, tally: &mut Tally, when: &str) {
        self.git(&["checkout", "-q", "-f", "one", "--", "secrets.env"]);
        let _ = std::fs::remove_file(self.editing.note("order"));
        let mut soon = |most: usize| Duration::from_micros(random.below(most * 1000) as u64);
        let start = Instant::now();
        let mut people = ["A", "B"].map(|name| {
            let typing = soon(20).as_secs_f64();
            let script = format!(
                "echo {name} >> \"$NOTES/order\"; sleep {typing:.4}; grep -q '^{name}=' \"$1\" || echo {name}=1 >> \"$1\""
            );
            let editor = self.editing.editor(&script);
            let begins = start + soon(40);
            Person { name, editor, running: None, begins, has_draft: false, before: 0, is_done: false }
        });
        let checkout_begins = start + soon(150);
        let mut checkout: Option<Child> = None;
        let mut git_has_ended = None;
        let record = watch(&self.editing.sandbox.work());
        while !people.iter().all(|person| person.is_done) || git_has_ended.is_none() {
            assert!(start.elapsed() < PATIENCE, "no end {when}");
            people.iter_mut().filter(|person| !person.is_done).for_each(|person| self.advance(person, tally, when));
            match &mut checkout {
                None if Instant::now() >= checkout_begins => {
                    let mut command = self.git_command(&["checkout", "-q", "-f", "two", "--", "secrets.env"]);
                    checkout = Some(command.stderr(Stdio::null()).spawn().unwrap());
                }
                Some(child) if git_has_ended.is_none() => {
                    git_has_ended = child.try_wait().unwrap().map(|status| status.success());
                }
                _ => {}
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        assert!(!self.editing.has_draft(), "a draft is left {when}");
        tally.git_failed += u64::from(git_has_ended == Some(false));
        self.judge(&happened(&record), git_has_ended == Some(true), tally, when);
    }

    /// Starts `person`'s edit, or sees how it ended.
    fn advance(&self, person: &mut Person, tally: &mut Tally, when: &str) {
        let Some(child) = &mut person.running else {
            if Instant::now() < person.begins {
                return;
            }
            let mut command = self.editing.dotsops(&["edit", "--editor"]);
            command.arg(&person.editor).args(person.has_draft.then_some("--resume")).arg("secrets.env");
            person.before = self.times_opened(person.name);
            person.running = Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
            return;
        };
        if child.try_wait().unwrap().is_none() {
            return;
        }
        let ended = Ended::from(person.running.take().unwrap().wait_with_output().unwrap());
        let when = format!("for {} {when}", person.name);
        if ended.code == 0 {
            assert!(ended.stderr.contains("is saved, encrypted"), "{when}: {}", ended.stderr);
            tally.saved += 1;
            person.is_done = true;
            return;
        }
        // Somebody else is at work, or the file was half of git's, gone, or another one when it was to be saved.
        assert!([3, 6, 7].contains(&ended.code), "{} {when}: {}", ended.code, ended.stderr);
        assert_message(&ended, &when);
        if self.times_opened(person.name) > person.before {
            assert!(ended.stderr.contains("--resume secrets.env"), "no way on is told {when}: {}", ended.stderr);
            assert!(self.editing.has_draft(), "no draft {when}: {}", ended.stderr);
            person.has_draft = true;
            tally.overtaken += 1;
        } else {
            tally.turned_away += 1;
        }
        person.begins = Instant::now() + Duration::from_millis(2);
    }

    /// Whose editor was opened, in that order.
    fn opened(&self) -> Vec<String> {
        let order = std::fs::read_to_string(self.editing.note("order")).unwrap_or_default();
        order.lines().map(str::to_owned).collect()
    }

    fn times_opened(&self, name: &str) -> usize {
        self.opened().iter().filter(|opened| *opened == name).count()
    }

    /// What was saved after git's last touch is in the file.
    fn judge(&self, happened: &[Event], git_succeeded: bool, tally: &mut Tally, when: &str) {
        let text = self.editing.text();
        let (opened, file) = (self.opened(), text.lines().collect::<Vec<_>>());
        assert!(file.contains(&"W=1"), "{text:?} {when}");
        // An edit holds the lock from before its editor runs until after its save, so the saves have the order of the last openings.
        let mut names = ["A", "B"];
        names.sort_by_key(|name| opened.iter().rposition(|opened| opened == name));
        let saves: Vec<usize> = (0..happened.len()).filter(|at| happened[*at] == Event::Renamed).collect();
        if saves.len() != names.len() {
            tally.unclear += 1;
            return;
        }
        let last_written = happened.iter().rposition(|event| *event == Event::Written);
        for (name, at) in names.into_iter().zip(saves) {
            let is_there = file.contains(&format!("{name}=1").as_str());
            let may_be_replaced = last_written.is_some_and(|written| written > at);
            assert!(is_there || may_be_replaced, "what {name} saved is lost {when}: {text:?} {opened:?} {happened:?}");
            tally.replaced_by_git += u64::from(!is_there);
        }
        tally.git_lost += u64::from(git_succeeded && !file.contains(&"V=2"));
    }
}

fn watch(folder: &Path) -> OwnedFd {
    let record = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    let kinds = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::DELETE | WatchFlags::MOVED_TO;
    inotify::add_watch(&record, folder, kinds).unwrap();
    record
}

fn happened(record: &OwnedFd) -> Vec<Event> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(record, &mut buffer);
    let mut happened = Vec::new();
    loop {
        match reader.next() {
            Ok(event) if event.file_name().is_some_and(|name| name == c"secrets.env") => {
                let is_rename = event.events().contains(ReadFlags::MOVED_TO);
                happened.push(if is_rename { Event::Renamed } else { Event::Written });
            }
            Ok(event) => assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW)),
            Err(rustix::io::Errno::AGAIN) => return happened,
            Err(error) => panic!("{error}"),
        }
    }
}
