//! An edit that is ended in each way at each step it takes; and one whose guard alone is killed there, which goes on without.
//!
//! A kill of the edit alone is among the faults of every command that writes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use dotsops::sys::fault::{ARMED_BY, FaultPoint, LOGGED_TO};

use crate::ending::{End, close_when_stopped};
use crate::every_step::{Files, Step, logged, steps};
use crate::support::pty::Pty;
use crate::support::sandbox::ended;
use crate::support::writing::{Saved, Stands, WRITERS, World, Writer, assert_shared_folders_clean, reference};

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Ends(End),
    GuardKilled,
}

impl Event {
    const ALL: [Self; 5] = [
        Self::Ends(End::KilledWithItsGuard),
        Self::Ends(End::Terminated),
        Self::Ends(End::HungUp),
        Self::Ends(End::TerminalClosed),
        Self::GuardKilled,
    ];

    fn fault(self) -> &'static str {
        match self {
            Self::Ends(end) => end.fault(),
            Self::GuardKilled => "companion",
        }
    }

    /// Without a guard there is none to kill.
    fn can_happen(self, step: &Step) -> bool {
        step.guarded || ![Self::Ends(End::KilledWithItsGuard), Self::GuardKilled].contains(&self)
    }

    /// How the edit ends.
    fn code(self) -> i32 {
        match self {
            Self::Ends(end) => end.code(),
            Self::GuardKilled => 0,
        }
    }
}

/// Runs the edit in `world` up to `step`, where `event` happens. Returns the exit code and what was said, as far as anybody saw it.
fn run(world: &World, step: &Step, event: Event) -> (i32, String) {
    let mut command = world.command();
    command.env(ARMED_BY, step.fault(event.fault())).env(LOGGED_TO, world.editing.note("log"));
    if event == Event::Ends(End::TerminalClosed) {
        let pty = Pty::run(&mut command);
        // The answers to what an edit asks on a terminal: the editor is closed, and what it shows is to be saved.
        pty.type_keys("\ry\r");
        return (close_when_stopped(pty), String::new());
    }
    // Returns when the editor has ended too, which holds the other ends of the pipes.
    let ended = ended(&mut command);
    (ended.code, ended.stderr)
}

fn disturb(writer: &'static Writer, reference: &BTreeMap<&'static str, String>, step: &Step, event: Event) {
    let when = format!("with {} after {} ({event:?})", writer.name, step.fault(event.fault()));
    let world = World::of(writer);
    let (code, said) = run(&world, step, event);
    world.editing.wait_for_guard();
    let reached = logged(&world).iter().filter(|point| **point == step.point).count();
    assert!(reached >= step.time, "the step is not reached {when}");
    assert_eq!(code, event.code(), "{when}: {said}");
    assert!(!said.contains("panicked"), "{when}: {said}");
    let stands = world.assert_whole(reference, &when);
    let is_left = event == Event::Ends(End::KilledWithItsGuard);
    world.assert_clean(is_left, &when);
    // Whoever can still clean up does.
    assert_eq!(!world.editing.sessions().is_empty(), is_left, "{:?} {when}", world.editing.sessions());
    // A file has a temporary name for the length of one rename.
    if !(is_left && step.point == FaultPoint::Named) {
        assert_eq!(world.own_leftovers(), Vec::<PathBuf>::new(), "left over {when}");
    }
    if event == Event::GuardKilled {
        assert!(stands.values().all(|stands| *stands == Stands::New), "{stands:?} {when}");
    }
    let saved = world.assert_saved_is_kept(reference, &when);
    assert!(!step.saved || saved != Saved::Nothing, "the editor has not noted its save {when}");
    world.assert_next_works(&when);
    world.assert_clean(false, &format!("{when}, and after the next command"));
}

#[test]
fn an_edit_ended_in_any_way_at_any_step_loses_and_leaves_nothing() {
    let start = SystemTime::now();
    let writers = WRITERS.iter().filter(|writer| writer.arguments[0] == "edit");
    let cases: Vec<_> = writers
        .flat_map(|writer| {
            let reference = reference(writer);
            let steps = steps(writer, Files::Unnamed);
            assert!(steps.iter().any(|step| step.guarded && step.point == FaultPoint::EditorStarted));
            let cases = steps.into_iter().flat_map(|step| Event::ALL.map(|event| (step, event)));
            cases
                .filter(|(step, event)| event.can_happen(step))
                .map(move |(step, event)| (writer, reference.clone(), step, event))
        })
        .collect();
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().unwrap().next();
    // Two for each processor: most of the time it is the disk that is waited for.
    let workers = 2 * std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((writer, reference, step, event)) = next() {
                    disturb(writer, &reference, &step, event);
                }
            });
        }
    });
    assert_shared_folders_clean(start);
}
