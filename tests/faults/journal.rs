//! Every kind of fault at every step of a change of several files: at each moment every file is whole and opens, after a failure all are
//! as they were, and after a kill the next command brings all of them to one side and says so.

use std::fs;
use std::path::{Path, PathBuf};

use dotsops::sys::fault::{ARMED_BY, FaultPoint, LOGGED_TO};

use crate::support::document::decrypted;
use crate::support::groups::{Person, config, identities, keyring, people};
use crate::support::sandbox::{Ended, Sandbox, ended};

pub const SIGKILL: i32 = 128 + 9;

const TEXT: &str = "# the shop\nA=hunter2\nEMPTY=\n";

/// The files that are changed together, one of them under a link.
const FILES: [&str; 3] = ["a.env", "sub/b.env", "c.env"];
const NAMED: [&str; 3] = ["a.env", "sub/b.env", "link.env"];

/// Alice's files under a rule that names bob too, and one file more.
struct World {
    sandbox: Sandbox,
    alice: Person,
    bob: Person,
    verb: &'static str,
    before: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Old,
    New,
}

impl World {
    fn new(verb: &'static str) -> Self {
        let [alice, bob] = people(["alice", "bob"]);
        let sandbox = Sandbox::empty();
        sandbox.encrypted_under(&config(&[&[&alice]], 0), "other.env", TEXT);
        FILES.iter().for_each(|file| drop(sandbox.write(file, sandbox.read("other.env"))));
        std::os::unix::fs::symlink("c.env", sandbox.path("link.env")).unwrap();
        sandbox.write(".sops.yaml", config(&[&[&alice, &bob]], 0));
        let before = FILES.iter().map(|file| fs::read(sandbox.path(file)).unwrap()).collect();
        Self { sandbox, alice, bob, verb, before }
    }

    /// The change, with `faults`.
    fn change(&self, faults: &str) -> Ended {
        let bob = self.bob.recipient.as_str();
        let words = match self.verb {
            "rotate" => ["rotate", "--yes", "--add-age", bob].to_vec(),
            verb => [verb, "--yes"].to_vec(),
        };
        let mut command = self.sandbox.dotsops(words.iter().chain(&NAMED));
        command.env("SOPS_AGE_KEY", identities(&[&self.alice])).env(ARMED_BY, faults).env(LOGGED_TO, self.log());
        ended(&mut command)
    }

    fn log(&self) -> PathBuf {
        self.sandbox.root().join("reached")
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.sandbox.run_as(&[&self.alice], arguments)
    }

    /// How each file stands; each is whole and says the same as ever.
    fn stands(&self, when: &str) -> Vec<Stands> {
        let stand = |(file, before): (&&str, &Vec<u8>)| {
            let bytes = fs::read(self.sandbox.path(file)).unwrap();
            assert!(decrypted(&bytes, &keyring(&[&self.alice])) == Ok(TEXT.as_bytes().to_vec()), "{file} does not open {when}");
            let is_for_bob = String::from_utf8(bytes.clone()).unwrap().contains(&self.bob.recipient);
            assert_eq!(bytes != *before, is_for_bob, "{file} is neither old nor new {when}");
            if is_for_bob { Stands::New } else { Stands::Old }
        };
        let stands = FILES.iter().zip(&self.before).map(stand).collect();
        assert!(self.sandbox.path("link.env").is_symlink(), "{when}");
        stands
    }

    fn all(&self, side: Stands, when: &str) {
        assert_eq!(self.stands(when), [side; FILES.len()], "{when}");
    }

    /// A command that has nothing to do with these files; what it says.
    fn next(&self, when: &str) -> String {
        let next = self.run(&["set", "-f", "other.env", "NEXT", "1"]);
        assert_eq!(next.code, 0, "{when}: {}", next.stderr);
        let own = ["`NEXT` is set", "command line", "other.env cannot be read by everybody its rule names"];
        next.stderr.lines().filter(|line| !own.iter().any(|own| line.contains(own))).collect::<Vec<_>>().join("\n")
    }

    /// Nothing is left of the change, and it can be made again.
    fn assert_over(&self, when: &str) {
        assert!(!self.sandbox.home().join(".local/state/dotsops/journal").exists(), "a log is left {when}");
        for folder in [self.sandbox.work(), self.sandbox.path("sub")] {
            let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert_eq!(names.filter(|name| name.contains(".dotsops-")).collect::<Vec<_>>(), Vec::<String>::new(), "{when}");
        }
        let again = self.change("");
        assert_eq!(again.code, 0, "{when}: {}", again.stderr);
        assert!(!again.stderr.contains("interrupted"), "{when}: {}", again.stderr);
        self.all(Stands::New, when);
    }
}

/// The steps from the first that belongs to the change as a whole.
fn steps(verb: &'static str) -> Vec<(FaultPoint, usize)> {
    let world = World::new(verb);
    let ended = world.change("");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    world.all(Stands::New, "undisturbed");
    let reached = reached(&world.log());
    let first = reached.iter().position(|(point, _)| *point == FaultPoint::RoomTake).unwrap();
    reached[first..].to_vec()
}

/// The points that `log` says were reached, each with the how-manieth time that was.
pub fn reached(log: &Path) -> Vec<(FaultPoint, usize)> {
    let log = fs::read_to_string(log).unwrap_or_default();
    let named = |line: &str| *FaultPoint::ALL.iter().find(|point| Some(point.name()) == line.split(' ').next()).unwrap();
    let points: Vec<FaultPoint> = log.lines().map(named).collect();
    let time = |at: usize| points[..=at].iter().filter(|past| **past == points[at]).count();
    (0..points.len()).map(|at| (points[at], time(at))).collect()
}

pub fn position(steps: &[(FaultPoint, usize)], wanted: FaultPoint) -> usize {
    steps.iter().position(|(point, _)| *point == wanted).unwrap()
}

fn interrupted(verb: &str) -> String {
    format!("`dotsops {verb}` of 3 files was interrupted")
}

fn kill_everywhere(verb: &'static str) {
    let steps = steps(verb);
    let (made, named, dropped) =
        (position(&steps, FaultPoint::LogMake), position(&steps, FaultPoint::LogNamed), position(&steps, FaultPoint::LogDropped));
    let mut between = 0;
    for (at, (point, time)) in steps.iter().enumerate() {
        let fault = format!("{}#{time}:kill", point.name());
        let when = format!("with {verb} after {fault}");
        let world = World::new(verb);
        assert_eq!(world.change(&fault).code, SIGKILL, "{when}");
        let found = world.stands(&when);
        between += usize::from(found.contains(&Stands::Old) && found.contains(&Stands::New));
        // Who only reads is told as soon as a file may have been replaced, and changes nothing.
        let is_pending = (named..dropped).contains(&at);
        let read = world.run(&["get", "-f", "other.env", "A"]);
        assert_eq!((read.code, read.stdout.as_str()), (0, "hunter2"), "{when}: {}", read.stderr);
        assert_eq!(read.stderr.contains(&interrupted(verb)), is_pending, "{when}: {}", read.stderr);
        assert_eq!(world.stands(&when), found, "{when}");
        let said = world.next(&when);
        let (expected, side) = match at {
            at if at <= made => (String::new(), Stands::Old),
            at if at < named => {
                let said = "a change of several files was interrupted before the first was replaced: all are as they were";
                (format!("dotsops: note: {said}"), Stands::Old)
            }
            _ if is_pending => (format!("dotsops: note: {}; it is finished now", interrupted(verb)), Stands::New),
            _ => (String::new(), Stands::New),
        };
        assert_eq!(said, expected, "{when}");
        world.all(side, &when);
        world.assert_over(&when);
    }
    // Before the second file, before the third, and at each of the steps within.
    assert!(between > 2 * 8, "only {between} kills came between two files");
}

#[test]
fn after_a_kill_at_any_step_the_next_command_finishes_or_rolls_back_and_says_so() {
    ["updatekeys", "rotate"].into_iter().for_each(kill_everywhere);
}

#[test]
fn after_a_failure_at_any_step_every_file_is_as_it_was_or_all_are_new() {
    let steps = steps("updatekeys");
    let replaced = position(&steps, FaultPoint::AllReplaced);
    for (at, (point, time)) in steps.iter().enumerate().filter(|(_, (point, _))| point.can_fail()) {
        for (kind, reason) in [("eio", "Input/output error"), ("enospc", "No space left on device")] {
            let fault = format!("{}#{time}:{kind}", point.name());
            let when = format!("after {fault}");
            let world = World::new("updatekeys");
            let ended = world.change(&fault);
            if at >= replaced {
                assert_eq!(ended.code, 0, "{when}: {}", ended.stderr);
                assert!(ended.stderr.contains("dotsops: warning: "), "{when}: {}", ended.stderr);
                world.all(Stands::New, &when);
                // A log that could not be dropped is dropped by the next command.
                world.next(&when);
            } else {
                assert_eq!(ended.code, 7, "{when}: {}", ended.stderr);
                assert!(ended.stderr.contains(reason) && ended.stderr.contains("dotsops: hint: "), "{when}: {}", ended.stderr);
                assert!(!ended.stdout.contains("updated"), "{when}: {}", ended.stdout);
                world.all(Stands::Old, &when);
                assert_eq!(world.next(&when), "", "{when}");
            }
            world.assert_over(&when);
        }
    }
}

#[test]
fn writes_that_come_short_make_no_difference() {
    for (point, time) in steps("updatekeys") {
        if [FaultPoint::LogHalf, FaultPoint::HalfWritten].contains(&point) {
            let world = World::new("updatekeys");
            let fault = format!("{}#{time}:short", point.name());
            assert_eq!(world.change(&fault).code, 0, "{fault}");
            world.all(Stands::New, &fault);
            world.assert_over(&fault);
        }
    }
}

/// File `k` cannot be replaced, and something happens while those before it are put back.
#[test]
fn what_happens_on_the_way_back_is_finished_by_the_next_command() {
    for kth in 2..=FILES.len() {
        // Within the way back the files before it are the next ones to be replaced.
        for back in kth + 1..2 * kth {
            for (kind, code) in [("kill", SIGKILL), ("eio", 7)] {
                let fault = format!("next-of-many#{kth}:eio,next-of-many#{back}:{kind}");
                let world = World::new("updatekeys");
                let ended = world.change(&fault);
                assert_eq!(ended.code, code, "{fault}: {}", ended.stderr);
                if kind == "eio" {
                    assert!(ended.stderr.contains("could not be put back"), "{fault}: {}", ended.stderr);
                }
                assert!(world.stands(&fault).contains(&Stands::New), "nothing was left to put back after {fault}");
                assert!(world.next(&fault).contains("it is finished now"), "{fault}");
                world.all(Stands::New, &fault);
                world.assert_over(&fault);
            }
        }
    }
}

#[test]
fn a_kill_while_an_interrupted_change_is_finished_is_one_more_interruption() {
    let all = FILES.len();
    for time in 1..=all {
        for point in ["next-of-many", "compared", "half-written", "named"] {
            let (first, again) = ("next-of-many#2:kill", format!("{point}#{time}:kill"));
            let world = World::new("updatekeys");
            assert_eq!(world.change(first).code, SIGKILL);
            let mut command = world.sandbox.dotsops(["set", "-f", "other.env", "NEXT", "1"]);
            let next = ended(command.env("SOPS_AGE_KEY", identities(&[&world.alice])).env(ARMED_BY, &again));
            // The first file is replaced already, and then it is the turn of the file of `set` itself.
            let expected = if time < all { SIGKILL } else { next.code };
            assert_eq!(next.code, expected, "{again}: {}", next.stderr);
            world.stands(&again);
            world.next(&again);
            world.all(Stands::New, &again);
            world.assert_over(&again);
        }
    }
}

#[test]
fn an_interrupt_waits_until_all_files_are_replaced() {
    for (signal, code) in [("term", 143), ("hup", 129)] {
        let world = World::new("updatekeys");
        let ended = world.change(&format!("{}#2:{signal}", FaultPoint::NextOfMany.name()));
        assert_eq!(ended.code, code, "{signal}: {}", ended.stderr);
        assert!(ended.stderr.contains("interrupted, but"), "{signal}: {}", ended.stderr);
        world.all(Stands::New, signal);
        assert_eq!(world.next(signal), "", "{signal}");
        world.assert_over(signal);
    }
}

#[test]
fn what_somebody_changed_since_the_kill_stays_and_is_named() {
    let world = World::new("updatekeys");
    assert_eq!(world.change("next-of-many#2:kill").code, SIGKILL);
    let theirs = world.sandbox.read("sub/b.env").replace("sops_lastmodified=", "# theirs\nsops_lastmodified=");
    world.sandbox.write("sub/b.env", &theirs);
    let said = world.next("after their change");
    assert!(said.contains("it is finished now"), "{said}");
    assert!(said.contains("dotsops: warning: changed by something else since then, and left as they are: sub/b.env"), "{said}");
    assert_eq!(world.sandbox.read("sub/b.env"), theirs);
    for file in ["a.env", "c.env"] {
        assert!(world.sandbox.read(file).contains(&world.bob.recipient), "{file}");
    }
    assert!(!world.sandbox.home().join(".local/state/dotsops/journal").exists());
}

#[test]
fn an_edit_of_one_of_the_files_and_a_dry_run_finish_nothing_in_their_way() {
    let world = World::new("updatekeys");
    assert_eq!(world.change("next-of-many#2:kill").code, SIGKILL);
    let found = world.stands("after a kill");
    let dry = world.run(&["rotate", "--dry-run", "other.env"]);
    assert!(dry.stderr.contains(&interrupted("updatekeys")) && !dry.stderr.contains("finished now"), "{}", dry.stderr);
    assert_eq!(world.stands("after a dry run"), found);
    // Changing a file of the change finishes it first, and then changes the new file.
    let set = world.run(&["set", "-f", "sub/b.env", "A", "other"]);
    assert_eq!(set.code, 0, "{}", set.stderr);
    assert!(set.stderr.contains("it is finished now"), "{}", set.stderr);
    assert!(world.sandbox.read("sub/b.env").contains(&world.bob.recipient));
    assert_eq!(world.run(&["get", "-f", "sub/b.env", "A"]).stdout, "other");
}
