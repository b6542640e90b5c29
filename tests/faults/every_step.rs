//! Every command that writes, with every kind of fault at every step it takes. Which steps it takes, an undisturbed run tells.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use dotsops::sys::fault::{ARMED_BY, FaultPoint, LOGGED_TO};
use rustix::fs::{Mode, OFlags};

use crate::support::sandbox::{Ended, ended};
use crate::support::writing::{
    READERS, Saved, Stands, WRITERS, World, Writer, assert_message, assert_shared_folders_clean, reference,
};

const SIGKILL: i32 = 128 + 9;

/// A step as it was reached: the how-manieth time, and between which others.
#[derive(Clone, Copy)]
pub struct Step {
    pub point: FaultPoint,
    pub time: usize,
    /// The editor has saved by then.
    pub saved: bool,
    /// It belongs to the writing of a draft.
    of_draft: bool,
    /// A session is there, and a guard beside it.
    pub guarded: bool,
}

impl Step {
    /// What has `fault` happen there.
    pub fn fault(&self, fault: &str) -> String {
        format!("{}#{}:{fault}", self.point.name(), self.time)
    }
}

/// How new files are made.
#[derive(Clone, Copy, PartialEq)]
pub enum Files {
    /// Without a name where the system can.
    Unnamed,
    /// With a temporary name, as where it cannot.
    Named,
}

impl Files {
    /// The faults that make the system one that cannot.
    fn faults(self) -> Vec<String> {
        match self {
            Self::Unnamed => Vec::new(),
            Self::Named => (1..=8).map(|time| format!("new-unnamed#{time}:eopnotsupp")).collect(),
        }
    }
}

fn run(world: &World, faults: &[String]) -> Ended {
    let log = world.editing.note("log");
    ended(world.command().env(ARMED_BY, faults.join(",")).env(LOGGED_TO, log))
}

pub fn logged(world: &World) -> Vec<FaultPoint> {
    let log = fs::read_to_string(world.editing.note("log")).unwrap_or_default();
    let point = |line: &str| *FaultPoint::ALL.iter().find(|point| Some(point.name()) == line.split(' ').next()).unwrap();
    log.lines().map(point).collect()
}

/// The steps of an undisturbed run.
pub fn steps(writer: &'static Writer, files: Files) -> Vec<Step> {
    let world = World::of(writer);
    let ended = run(&world, &files.faults());
    assert_eq!(ended.code, 0, "{}: {}", writer.name, ended.stderr);
    let reached = logged(&world);
    let position = |wanted: FaultPoint| reached.iter().position(|point| *point == wanted);
    let within = |at: usize, from: FaultPoint, to: FaultPoint| {
        position(from).is_some_and(|from| from <= at) && position(to).is_some_and(|to| at <= to)
    };
    let step = |(at, point): (usize, &FaultPoint)| Step {
        point: *point,
        time: reached[..=at].iter().filter(|past| *past == point).count(),
        saved: position(FaultPoint::TextRead).is_some_and(|read| read <= at),
        of_draft: within(at, FaultPoint::TextTaken, FaultPoint::DraftKept),
        guarded: within(at, FaultPoint::SessionMade, FaultPoint::SessionWipe),
    };
    reached.iter().enumerate().map(step).collect()
}

/// Whether the file system of the temporary folder knows files without a name.
fn makes_unnamed_files() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    rustix::fs::open(folder.path(), flags, Mode::RUSR | Mode::WUSR).is_ok()
}

/// Each kind of fault at each step of `writer`.
fn disturb(writer: &'static Writer, files: Files) {
    let reference = reference(writer);
    let steps = steps(writer, files);
    let has_names = steps.iter().any(|step| step.point == FaultPoint::NewNamed);
    assert!(files == Files::Named || !has_names || !makes_unnamed_files(), "{} makes files with temporary names", writer.name);
    for step in steps {
        let mut kinds = vec!["kill"];
        if step.point.can_fail() && !(step.point == FaultPoint::NewUnnamed && files == Files::Named) {
            kinds.extend(["eio", "enospc"]);
        }
        if [FaultPoint::HalfWritten, FaultPoint::TextHalf, FaultPoint::LogHalf].contains(&step.point) {
            kinds.push("short");
        }
        for kind in kinds {
            let mut faults = vec![step.fault(kind)];
            let when = format!("with {} after {}", writer.name, faults[0]);
            faults.extend(files.faults());
            let world = World::of(writer);
            let ended = run(&world, &faults);
            world.editing.wait_for_guard();
            let again = logged(&world).iter().filter(|point| **point == step.point).count();
            assert!(again >= step.time, "the fault is not reached {when}");
            let stands = world.assert_whole(&reference, &when);
            let mut session = false;
            match kind {
                "kill" => {
                    assert_eq!(ended.code, SIGKILL, "{when}: {}", ended.stderr);
                }
                "short" => {
                    assert_eq!(ended.code, 0, "{when}: {}", ended.stderr);
                    assert!(stands.values().all(|stands| *stands == Stands::New), "{stands:?} {when}");
                }
                kind => session = assert_told(step, kind, &ended, &world, &when),
            }
            // Whoever can still clean up does; and a file has a temporary name for the length of one rename.
            let may_be_left = kind == "kill" && (step.point == FaultPoint::Named || has_names);
            assert!(may_be_left || world.own_leftovers().is_empty(), "{:?} left over {when}", world.own_leftovers());
            if ended.code == 0 && step.point != FaultPoint::LeftoverRemove {
                assert_eq!(world.leftovers(), Vec::<PathBuf>::new(), "left over {when}");
            }
            world.assert_clean(session, &when);
            let saved = world.assert_saved_is_kept(&reference, &when);
            assert!(!step.saved || saved != Saved::Nothing, "the editor has not noted its save {when}");
            world.assert_next_works(&when);
        }
    }
}

/// A step that failed ends the command with the promised code and a message, or with a warning if the file is there all the same.
/// Tells whether it left the text where the message says.
fn assert_told(step: Step, kind: &str, ended: &Ended, world: &World, when: &str) -> bool {
    let reason = if kind == "enospc" { "No space left on device" } else { "Input/output error" };
    let may_be_left = step.of_draft || step.point == FaultPoint::TextRead;
    match (step.point, ended.code) {
        // What cannot be removed stays, as before.
        (FaultPoint::LeftoverRemove, 0) => {}
        (FaultPoint::Renamed, 0) if step.of_draft => {}
        (FaultPoint::Renamed | FaultPoint::DraftDrop | FaultPoint::AllReplaced | FaultPoint::LogDrop, 0) => {
            assert!(ended.stderr.contains("dotsops: warning: "), "nothing is said {when}: {}", ended.stderr);
        }
        (_, code) if code == world.failure() => {
            assert_message(ended, when);
            assert!(ended.stderr.contains(reason), "the reason is missing {when}: {}", ended.stderr);
            let sessions = world.editing.sessions();
            assert!(may_be_left || sessions.is_empty(), "a session is left {when}");
            for session in &sessions {
                assert!(ended.stderr.contains(session.to_str().unwrap()), "the session is not named {when}: {}", ended.stderr);
            }
        }
        (_, code) => panic!("exit code {code} {when}: {}", ended.stderr),
    }
    may_be_left && ended.code == world.failure()
}

/// The writers whose first word is `verb`.
fn disturb_all(verb: &str, files: Files) {
    let start = SystemTime::now();
    WRITERS.iter().filter(|writer| writer.arguments[0] == verb).for_each(|writer| disturb(writer, files));
    assert_shared_folders_clean(start);
}

#[test]
fn edit() {
    disturb_all("edit", Files::Unnamed);
}

#[test]
fn one_value() {
    ["set", "unset", "rename", "generate"].iter().for_each(|verb| disturb_all(verb, Files::Unnamed));
}

#[test]
fn rotate_and_its_kin() {
    ["rotate", "updatekeys", "recipients", "groups", "merge"].iter().for_each(|verb| disturb_all(verb, Files::Unnamed));
}

#[test]
fn encrypt_and_decrypt() {
    ["encrypt", "decrypt"].iter().for_each(|verb| disturb_all(verb, Files::Unnamed));
}

#[test]
fn keygen_and_init() {
    ["keygen", "init"].iter().for_each(|verb| disturb_all(verb, Files::Unnamed));
}

#[test]
fn files_with_temporary_names() {
    for name in ["edit", "set", "encrypt -o", "decrypt -o", "decrypt -o over a file"] {
        disturb(WRITERS.iter().find(|writer| writer.name == name).unwrap(), Files::Named);
    }
}

#[test]
fn where_files_without_a_name_cannot_get_one_they_are_written_again_with_one() {
    for writer in WRITERS {
        let world = World::of(writer);
        let faults: Vec<String> = (1..=8).map(|time| format!("link#{time}:eopnotsupp")).collect();
        let ended = run(&world, &faults);
        assert_eq!(ended.code, 0, "{}: {}", writer.name, ended.stderr);
        assert!(logged(&world).contains(&FaultPoint::NewNamed), "{}", writer.name);
        let stands = world.assert_whole(&reference(writer), "without links");
        assert!(stands.values().all(|stands| *stands == Stands::New), "{}: {stands:?}", writer.name);
        assert!(world.leftovers().is_empty());
    }
}

#[test]
fn every_step_is_one_of_some_writer_and_every_writer_takes_the_steps_of_a_write() {
    let mut reached = BTreeSet::new();
    for writer in WRITERS {
        for files in [Files::Unnamed, Files::Named] {
            let steps: BTreeSet<FaultPoint> = steps(writer, files).iter().map(|step| step.point).collect();
            let is_synced = [FaultPoint::DirectorySynced, FaultPoint::AllSynced].iter().any(|point| steps.contains(point));
            assert!(is_synced, "{} writes past the atomic writer", writer.name);
            reached.extend(steps);
        }
    }
    let never: Vec<_> = FaultPoint::ALL.iter().filter(|point| !reached.contains(point)).collect();
    assert!(never.is_empty(), "no command reaches {never:?}");
}

#[test]
fn every_verb_writes_or_does_not() {
    for verb in verbs(&dotsops::cli::definition(), "") {
        let words: Vec<&str> = verb.split(' ').collect();
        let writes = WRITERS.iter().any(|writer| writer.arguments.starts_with(&words));
        assert!(writes != READERS.contains(&verb.as_str()), "`{verb}`: add it to WRITERS or to READERS");
    }
}

/// Every verb as it is typed: `edit`, `groups add`.
fn verbs(command: &clap::Command, above: &str) -> Vec<String> {
    let verb = |command: &clap::Command| format!("{above}{}", command.get_name());
    let below = |command: &clap::Command| match command.has_subcommands() {
        true => verbs(command, &format!("{} ", verb(command))),
        false => vec![verb(command)],
    };
    command.get_subcommands().flat_map(below).collect()
}

#[test]
fn what_a_kill_leaves_of_a_plaintext_is_for_nobody_who_could_not_read_it_anyway() {
    let writer = WRITERS.iter().find(|writer| writer.name == "decrypt -o over a file").unwrap();
    for (faults, mode) in [("named:kill", 0o640), ("new-unnamed:eopnotsupp,written:kill", 0o600)] {
        let world = World::of(writer);
        fs::set_permissions(world.editing.sandbox.path("there.txt"), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(run(&world, &[faults.to_owned()]).code, SIGKILL);
        let left = world.own_leftovers();
        let modes = left.iter().map(|path| fs::metadata(path).unwrap().permissions().mode() & 0o7777);
        assert_eq!(modes.collect::<Vec<_>>(), [mode], "{faults}");
        world.assert_next_works("after a kill before the rename");
    }
}
