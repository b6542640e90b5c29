//! Kills at random moments of a command's life: `DOTSOPS_KILLS` says how many, 200 if it is not set; `DOTSOPS_SEED` repeats the
//! choices, though not the moments, which are the machine's.
//!
//! Half of the moments are spread over the whole life of the process, half over what is left of it when it makes its first file. How
//! long that is, is measured first and corrected with every kill, so that most of them meet a process that runs. Half of the processes are
//! edits. Of a quarter of those the guard is killed too: then the next edit is what cleans up. Three eighths are not killed, but
//! terminated, hung up, or left by their terminal.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dotsops::sys::fault::{FaultPoint, LOGGED_TO};
use rustix::process::{Pid, Signal, kill_process};

use crate::ending::{End, quiet};
use crate::support::editing::CLEAN_WITHIN;
use crate::support::peers::say;
use crate::support::pty::{Pty, wait};
use crate::support::random::{Random, number_from, seed};
use crate::support::writing::{Saved, Stands, WRITERS, World, Writer, assert_shared_folders_clean, reference};

/// A writer and how long it lives.
struct Victim {
    writer: &'static Writer,
    reference: BTreeMap<&'static str, String>,
    /// In seconds, as far as is known.
    life: f64,
    /// The same, from its first file on.
    end: f64,
}

/// What the kills met.
#[derive(Default, Debug)]
struct Tally {
    hits: usize,
    while_writing: usize,
    new: usize,
    partly_new: usize,
    leftovers: usize,
    sessions: usize,
    drafts: usize,
    saves: usize,
    saves_in_drafts: usize,
    /// The edits that were met, by what ended them and what they were at.
    edits: BTreeMap<End, BTreeMap<&'static str, usize>>,
    guards: usize,
    slowest: Duration,
}

/// What is drawn for each kill.
struct Lot {
    which: usize,
    end: End,
    /// Of the time that is known.
    part: f64,
    over_all: bool,
}

impl Lot {
    fn draw(random: &mut Random, edits: &[usize], victims: usize) -> Self {
        use End::{HungUp, Killed, KilledWithItsGuard, TerminalClosed, Terminated};
        let which = if random.once_in(2) { random.pick(edits) } else { random.below(victims) };
        let end =
            random.pick(&[Killed, Killed, Killed, KilledWithItsGuard, KilledWithItsGuard, Terminated, HungUp, TerminalClosed]);
        let end = if edits.contains(&which) { end } else { Killed };
        let part = random.below(1 << 20) as f64 / f64::from(1 << 20);
        Self { which, end, part, over_all: random.once_in(2) }
    }
}

#[test]
fn random_kills() {
    let start = SystemTime::now();
    let (seed, kills) = (seed(), number_from("DOTSOPS_KILLS").unwrap_or(200) as usize);
    let random = Mutex::new((Random(seed), 0));
    let victims: Vec<Mutex<Victim>> = WRITERS.iter().map(|writer| Mutex::new(Victim::measured(writer))).collect();
    let edits: Vec<usize> = (0..WRITERS.len()).filter(|which| WRITERS[*which].arguments[0] == "edit").collect();
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let lot = {
                        let mut random = random.lock().unwrap();
                        if random.1 == kills {
                            break;
                        }
                        random.1 += 1;
                        Lot::draw(&mut random.0, &edits, victims.len())
                    };
                    kill_one(&victims[lot.which], &lot, &tally, &format!("DOTSOPS_SEED={seed}"));
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    say(&format!("{kills} kills, DOTSOPS_SEED={seed}: {tally:?}"));
    assert!(tally.hits * 2 >= kills, "too few of {kills} kills met a process that ran: {tally:?}");
    assert!(tally.while_writing * 5 >= kills, "too few of {kills} kills met a process that wrote: {tally:?}");
    assert!(tally.saves_in_drafts * 10 >= kills, "too few of {kills} kills left a save to a draft: {tally:?}");
    assert_shared_folders_clean(start);
}

fn kill_one(victim: &Mutex<Victim>, lot: &Lot, tally: &Mutex<Tally>, seed: &str) {
    let Lot { end, part, over_all, .. } = *lot;
    let (writer, reference, after) = {
        let victim = victim.lock().unwrap();
        (victim.writer, victim.reference.clone(), part * if over_all { victim.life } else { victim.end })
    };
    let world = World::of(writer);
    let log = world.editing.note("log");
    let mut command = world.command();
    let mut from = Instant::now();
    let mut process = Process::start(command.env(LOGGED_TO, &log), end);
    if !over_all {
        while !process.has_ended() && first_file(&log).is_none() {
            std::thread::sleep(Duration::from_micros(50));
        }
        from = Instant::now();
    }
    let moment = from + Duration::from_secs_f64(after);
    // The system wakes us late, so the last millisecond is waited for.
    std::thread::sleep(moment.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_millis(1)));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    let mut guards = 0;
    if end == End::KilledWithItsGuard && !process.has_ended() {
        // It first, or it would be at work by then.
        for guard in world.editing.guards(process.id()) {
            guards += usize::from(kill_process(guard, Signal::KILL).is_ok());
        }
    }
    // Looked at before: what is not killed goes through the later ones to its end.
    let stage = stage(&log);
    let ending = Instant::now();
    let code = process.end(end);
    world.editing.wait_for_guard();
    let took = ending.elapsed();
    let is_hit = code == end.code();
    {
        let mut victim = victim.lock().unwrap();
        let known = if over_all { &mut victim.life } else { &mut victim.end };
        *known *= if is_hit { 1.05 } else { 0.8 };
    }

    let since = if over_all { "its start" } else { "its first file" };
    let when = format!("after {} was ended ({end:?}, {stage}) {:.2} ms from {since} on ({seed})", writer.name, after * 1000.0);
    let stands = world.assert_whole(&reference, &when);
    if !is_hit {
        assert_eq!(code, 0, "{when}");
        assert!(stands.values().all(|stands| *stands == Stands::New), "{stands:?} {when}");
    }
    assert!(guards > 0 || took <= CLEAN_WITHIN, "it took {took:?} until all was clean {when}");
    let wrote = first_file(&log).is_some();
    let is_edit = writer.arguments[0] == "edit";
    {
        let mut tally = tally.lock().unwrap();
        tally.hits += usize::from(is_hit);
        tally.while_writing += usize::from(is_hit && wrote);
        let new = stands.values().filter(|stands| **stands == Stands::New).count();
        tally.new += usize::from(new == stands.len());
        tally.partly_new += usize::from(new > 0 && new < stands.len());
        tally.leftovers += world.own_leftovers().len();
        tally.sessions += world.editing.sessions().len();
        tally.drafts += usize::from(world.editing.has_draft());
        if is_hit && is_edit {
            *tally.edits.entry(end).or_default().entry(stage).or_default() += 1;
        }
        tally.guards += guards;
        if guards == 0 {
            tally.slowest = tally.slowest.max(took);
        }
    }
    world.assert_clean(guards > 0, &when);
    if end.is_caught() {
        assert_eq!(world.editing.sessions(), Vec::<PathBuf>::new(), "a session is left {when}");
    }
    let saved = world.assert_saved_is_kept(&reference, &when);
    if is_hit {
        let mut tally = tally.lock().unwrap();
        tally.saves += usize::from(saved != Saved::Nothing);
        tally.saves_in_drafts += usize::from(saved == Saved::InDraft);
    }
    world.assert_next_works(&when);
    world.assert_clean(false, &format!("{when}, and after the next command"));
}

/// A writer that runs.
enum Process {
    Alone(Child),
    OnTerminal(Pty),
}

impl Process {
    fn start(command: &mut Command, end: End) -> Self {
        match end {
            End::TerminalClosed => Self::OnTerminal(Pty::run(command)),
            _ => Self::Alone(quiet(command).spawn().unwrap()),
        }
    }

    fn id(&self) -> u32 {
        match self {
            Self::Alone(child) => child.id(),
            Self::OnTerminal(pty) => pty.pid(),
        }
    }

    fn has_ended(&mut self) -> bool {
        match self {
            Self::Alone(child) => child.try_wait().unwrap().is_some(),
            Self::OnTerminal(pty) => pty.has_ended(),
        }
    }

    /// Ends it, if it has not ended, and returns the exit code, 128 and the signal's number if one ended it.
    fn end(mut self, end: End) -> i32 {
        // Once it was waited for, its number may be another process's.
        let has_ended = self.has_ended();
        match self {
            Self::OnTerminal(pty) => pty.hang_up(),
            Self::Alone(mut child) => {
                if !has_ended {
                    kill_process(Pid::from_child(&child), end.signal()).unwrap();
                }
                wait(&mut child)
            }
        }
    }
}

/// What an edit is at, as the points tell that it has reached.
fn stage(log: &Path) -> &'static str {
    use FaultPoint::{DraftDrop, DraftKept, EditorStarted, SessionMake, SessionWipe, SessionWiped, TextRead, TextTaken};
    let text = fs::read_to_string(log).unwrap_or_default();
    let stages = [
        (DraftDrop, "dropping the draft"),
        (SessionWiped, "saving"),
        (SessionWipe, "wiping"),
        (DraftKept, "checking"),
        (TextTaken, "drafting"),
        (TextRead, "reading back"),
        (EditorStarted, "the editor"),
        (SessionMake, "the session"),
    ];
    let is_reached = |point: FaultPoint| text.lines().any(|line| line.split(' ').next() == Some(point.name()));
    stages.into_iter().find(|(point, _)| is_reached(*point)).map_or("decrypting", |(_, stage)| stage)
}

impl Victim {
    /// The median of five lives.
    fn measured(writer: &'static Writer) -> Self {
        let mut lives: Vec<(f64, f64)> = (0..5).map(|_| live(writer)).collect();
        lives.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (life, before) = lives[2];
        Self { writer, reference: reference(writer), life, end: (life - before).max(life / 100.0) }
    }
}

/// How long an undisturbed run lives, and after which time it makes its first file.
fn live(writer: &'static Writer) -> (f64, f64) {
    let world = World::of(writer);
    let log = world.editing.note("log");
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let started = Instant::now();
    let mut child = quiet(world.command().env(LOGGED_TO, &log)).spawn().unwrap();
    assert!(child.wait().unwrap().success(), "{}", writer.name);
    let life = started.elapsed().as_secs_f64();
    let first = first_file(&log).unwrap_or_else(|| panic!("{} makes no file", writer.name));
    (life, first.saturating_sub(began) as f64 / 1e6)
}

/// When the process was about to make its first file, in microseconds, if it was. The last line may be torn.
fn first_file(log: &Path) -> Option<u128> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let is_file = |name: &str| [FaultPoint::NewUnnamed, FaultPoint::SessionMake].iter().any(|point| point.name() == name);
    text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| is_file(name)).and_then(|(_, time)| time.parse().ok())
}
