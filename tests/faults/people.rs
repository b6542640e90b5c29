//! `recipients add` and `recipients remove` with every kind of fault at every step: `.sops.yaml` and the files it is for are one change, so
//! whatever command comes next leaves all of them with the person, or all without.

use std::fs;
use std::path::Path;

use dotsops::sys::fault::{ARMED_BY, FaultPoint, LOGGED_TO};

use super::journal::{SIGKILL, position, reached};
use crate::support::document::decrypted;
use crate::support::groups::{Person, config, identities, keyring, people};
use crate::support::sandbox::{Ended, Sandbox, ended};

const TEXT: &str = "# the shop\nA=hunter2\nEMPTY=\n";
const FILES: [&str; 3] = ["a.env", "sub/b.env", "c.env"];
const CONFIG: &str = ".sops.yaml";

/// The files and the config.
const ALL: usize = FILES.len() + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Remove,
}

impl Verb {
    fn opposite(self) -> Self {
        match self {
            Self::Add => Self::Remove,
            Self::Remove => Self::Add,
        }
    }

    /// Whether bob reads the files afterwards.
    fn lets_bob_read(self) -> bool {
        self == Self::Add
    }

    fn interrupted(self) -> &'static str {
        match self {
            Self::Add => "`dotsops recipients add bob` of 4 files was interrupted",
            Self::Remove => "`dotsops recipients remove bob` of 4 files was interrupted",
        }
    }
}

/// What comes after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Set,
    UpdateKeys,
    Rotate,
    Opposite,
}

const NEXT: [Next; 4] = [Next::Set, Next::UpdateKeys, Next::Rotate, Next::Opposite];

/// Alice's files, which git tracks, and which bob can read if he is to be put out.
struct World {
    sandbox: Sandbox,
    alice: Person,
    bob: Person,
    verb: Verb,
}

impl World {
    fn new(verb: Verb) -> Self {
        let [alice, bob] = people(["alice", "bob"]);
        let sandbox = Sandbox::empty();
        let readers: &[&Person] = if verb == Verb::Add { &[&alice] } else { &[&alice, &bob] };
        sandbox.encrypted_under(&config(&[readers], 0), FILES[0], TEXT);
        FILES[1..].iter().for_each(|file| drop(sandbox.write(file, sandbox.read(FILES[0]))));
        for arguments in [&["init", "-q"][..], &["add", "."]] {
            assert_eq!(ended(sandbox.program(Path::new("git")).args(arguments)).code, 0);
        }
        Self { sandbox, alice, bob, verb }
    }

    fn run(&self, arguments: &[&str], faults: &str) -> Ended {
        let mut command = self.sandbox.dotsops(arguments);
        let log = self.sandbox.root().join("reached");
        ended(command.env("SOPS_AGE_KEY", identities(&[&self.alice])).env(ARMED_BY, faults).env(LOGGED_TO, log))
    }

    fn make(&self, verb: Verb, faults: &str) -> Ended {
        match verb {
            Verb::Add => self.run(&["recipients", "add", "--yes", "bob", &self.bob.recipient], faults),
            Verb::Remove => self.run(&["recipients", "remove", "--yes", "bob"], faults),
        }
    }

    fn change(&self, faults: &str) -> Ended {
        self.make(self.verb, faults)
    }

    fn next(&self, next: Next) -> Ended {
        match next {
            Next::Set => self.run(&["set", "-f", "c.env", "NEXT", "1"], ""),
            Next::UpdateKeys => self.run(&["updatekeys", "--yes"], ""),
            // Nobody need be asked about those whom the config names.
            Next::Rotate => self.run(&["rotate", "--all"], ""),
            Next::Opposite => self.make(self.verb.opposite(), ""),
        }
    }

    /// Whether bob is in each of the files, and in the config; each is whole.
    fn with_bob(&self, when: &str) -> Vec<bool> {
        let is_with_bob = |file: &&str| {
            let bytes = fs::read(self.sandbox.path(file)).unwrap();
            let says = |text: Vec<u8>| text.starts_with(TEXT.as_bytes());
            let opens = |person: &Person| decrypted(&bytes, &keyring(&[person])).map(says);
            assert_eq!(opens(&self.alice).ok(), Some(true), "{file} is not whole {when}");
            let named = String::from_utf8(bytes.clone()).unwrap().contains(&self.bob.recipient);
            assert_eq!(opens(&self.bob).is_ok(), named, "{file} is not for whom it names {when}");
            named
        };
        let mut stands: Vec<bool> = FILES.iter().map(is_with_bob).collect();
        let (with, without) = (config(&[&[&self.alice, &self.bob]], 0), config(&[&[&self.alice]], 0));
        let rules = self.sandbox.read(CONFIG);
        assert!(rules == with || rules == without, "the config is not whole {when}: {rules}");
        stands.push(rules == with);
        stands
    }

    /// `next` leaves all on one side, and says of the interruption what `said` is.
    fn assert_next(&self, next: Next, is_made: bool, said: &str, when: &str) {
        let when = format!("{when}, then {next:?}");
        let ended = self.next(next);
        // Whoever was not let in cannot be put out.
        let is_nobody = next == Next::Opposite && self.verb == Verb::Add && !is_made;
        assert_eq!(ended.code == 0, !is_nobody, "{when}: {}", ended.stderr);
        let of_it: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("interrupted")).collect();
        assert_eq!(of_it.join("\n"), said, "{when}");
        let side = match next {
            Next::Opposite => self.verb.opposite(),
            _ if is_made => self.verb,
            _ => self.verb.opposite(),
        };
        assert_eq!(self.with_bob(&when), [side.lets_bob_read(); ALL], "{when}");
        assert!(!self.sandbox.home().join(".local/state/dotsops/journal").exists(), "a log is left {when}");
    }
}

/// The steps from the first that belongs to the change as a whole.
fn steps(verb: Verb) -> Vec<(FaultPoint, usize)> {
    let world = World::new(verb);
    assert_eq!(world.with_bob("before"), [!verb.lets_bob_read(); ALL]);
    let ended = world.change("");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(world.with_bob("undisturbed"), [verb.lets_bob_read(); ALL]);
    let reached = reached(&world.sandbox.root().join("reached"));
    let first = reached.iter().position(|(point, _)| *point == FaultPoint::RoomTake).unwrap();
    reached[first..].to_vec()
}

/// All of what may come next where a file is about to be replaced, else one of them in turn.
fn what_comes_next(at: usize, point: FaultPoint) -> impl Iterator<Item = Next> {
    let is_between = point == FaultPoint::NextOfMany;
    NEXT.into_iter().enumerate().filter(move |(number, _)| is_between || at % NEXT.len() == *number).map(|(_, next)| next)
}

fn kill_everywhere(verb: Verb) {
    let steps = steps(verb);
    let [made, named, dropped] =
        [FaultPoint::LogMake, FaultPoint::LogNamed, FaultPoint::LogDropped].map(|point| position(&steps, point));
    let mut halfway = [false; ALL];
    for (at, (point, time)) in steps.iter().enumerate() {
        for next in what_comes_next(at, *point) {
            let fault = format!("{}#{time}:kill", point.name());
            let when = format!("with {verb:?} after {fault}");
            let world = World::new(verb);
            assert_eq!(world.change(&fault).code, SIGKILL, "{when}");
            let found = world.with_bob(&when);
            halfway[found.iter().filter(|stands| **stands == verb.lets_bob_read()).count() % ALL] = true;
            let said = match at {
                at if at <= made || at >= dropped => String::new(),
                at if at < named => {
                    let said = "a change of several files was interrupted before the first was replaced: all are as they were";
                    format!("dotsops: note: {said}")
                }
                _ => format!("dotsops: note: {}; it is finished now", verb.interrupted()),
            };
            world.assert_next(next, at >= named, &said, &when);
        }
    }
    assert_eq!(halfway, [true; ALL], "no kill came between some of the files");
}

#[test]
fn after_a_kill_of_letting_in_at_any_step_the_config_and_all_files_are_of_one_side() {
    kill_everywhere(Verb::Add);
}

#[test]
fn after_a_kill_of_putting_out_at_any_step_the_config_and_all_files_are_of_one_side() {
    kill_everywhere(Verb::Remove);
}

#[test]
fn after_a_failure_at_any_file_or_the_config_nobody_is_let_in_or_put_out() {
    for verb in [Verb::Add, Verb::Remove] {
        let steps = steps(verb);
        let replaced = position(&steps, FaultPoint::AllReplaced);
        assert_eq!(steps.iter().filter(|(point, _)| *point == FaultPoint::NextOfMany).count(), ALL);
        // At the steps within a file the same failures are `updatekeys`'s, in `journal`.
        let of_a_file = [FaultPoint::NextOfMany, FaultPoint::Named, FaultPoint::AllReplaced, FaultPoint::LogDrop];
        let is_meant = |point: &FaultPoint| of_a_file.contains(point) && point.can_fail();
        for (at, (point, time)) in steps.iter().enumerate().filter(|(_, (point, _))| is_meant(point)) {
            for next in what_comes_next(at, *point) {
                let fault = format!("{}#{time}:eio", point.name());
                let when = format!("with {verb:?} after {fault}");
                let world = World::new(verb);
                let ended = world.change(&fault);
                let is_made = at >= replaced;
                assert_eq!(ended.code, if is_made { 0 } else { 7 }, "{when}: {}", ended.stderr);
                assert!(
                    ended.stderr.contains(if is_made { "warning: " } else { "Input/output error" }),
                    "{when}: {}",
                    ended.stderr
                );
                let side = if is_made { verb } else { verb.opposite() };
                assert_eq!(world.with_bob(&when), [side.lets_bob_read(); ALL], "{when}");
                // A log that could not be dropped is dropped by the next command.
                let is_pending = *point == FaultPoint::LogDrop;
                let said =
                    if is_pending { format!("dotsops: note: {}; it is finished now", verb.interrupted()) } else { String::new() };
                world.assert_next(next, is_made, &said, &when);
            }
        }
    }
}
