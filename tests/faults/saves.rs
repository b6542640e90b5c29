//! Kills, signals and closed terminals at random moments of an edit whose editor saves again and again: what the editor noted as saved is
//! in the draft or in the file, whatever is killed. `DOTSOPS_KILLS` and `DOTSOPS_SEED` as for the kills of other commands; a quarter as
//! many.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ending::{End, quiet};
use crate::support::editing::{CANARY, CLEAN_WITHIN, Editing};
use crate::support::peers::say;
use crate::support::pty::{Pty, is_alive, wait, wait_until};
use crate::support::random::{Random, number_from, seed};
use crate::support::sandbox::ended;

/// Saves a count again and again, as most editors do: a new file takes the old one's place. Then it notes that count.
const SAVES: &str = r#"echo $$ > "$NOTES/pid"
count=0
while [ $count -lt 200 ]; do
    count=$((count + 1))
    { cat "$NOTES/before"; echo "COUNT=$count"; } > "$1.new" && mv "$1.new" "$1" || exit 1
    echo $count >> "$NOTES/saved"
done
exec sleep 600"#;

#[test]
fn nothing_that_was_saved_is_lost() {
    let kills = number_from("DOTSOPS_KILLS").unwrap_or(200) / 4;
    let seed = seed();
    let mut random = Random(seed);
    let (mut with_saves, mut with_draft, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..kills {
        let end = End::ALL[round as usize % End::ALL.len()];
        // Before the first save, among the saves, and after the last one.
        let after = [0, 1, 3, 10, 50, 200][random.below(6)];
        let pause = Duration::from_micros(random.below(20_000) as u64);
        let (saved, kept, took) = end_one(end, after, pause, &format!("{end:?} after {after} saves, DOTSOPS_SEED={seed}"));
        with_saves += usize::from(saved);
        with_draft += usize::from(kept);
        if end != End::KilledWithItsGuard {
            slowest = slowest.max(took);
        }
    }
    say(&format!(
        "{kills} ends of edits, DOTSOPS_SEED={seed}: {with_saves} after something was saved, {with_draft} drafts, 0 saves lost; \
         no plaintext after at most {} ms where the guard lived",
        slowest.as_millis()
    ));
    assert!(kills < 20 || with_saves * 2 > kills as usize, "too few ends after a save");
}

/// Whether something had been saved, whether a draft was kept, and how long it took until the edit and its guard had ended.
fn end_one(end: End, after: usize, pause: Duration, when: &str) -> (bool, bool, Duration) {
    let editing = Editing::of(&format!("A={CANARY}\n"));
    let before = editing.bytes();
    fs::write(editing.note("before"), format!("A={CANARY}\n")).unwrap();
    let mut command = editing.command(SAVES, &["secrets.env"]);
    let saves = || fs::read_to_string(editing.note("saved")).unwrap_or_default().lines().count();
    let reached = || editing.note("pid").exists() && saves() >= after;
    let (started, code);
    if end == End::TerminalClosed {
        let mut pty = Pty::run(&mut command);
        pty.wait_until("saves", reached);
        std::thread::sleep(pause);
        started = Instant::now();
        code = pty.hang_up();
    } else {
        let mut child = quiet(&mut command).spawn().unwrap();
        wait_until("saves", reached);
        std::thread::sleep(pause);
        started = Instant::now();
        let pid = Pid::from_child(&child);
        if end == End::KilledWithItsGuard {
            // The guard first, or it would be at work by then.
            for guard in editing.guards(child.id()) {
                kill_process(guard, Signal::KILL).unwrap();
                wait_until("end of the guard", || !is_alive(&guard.as_raw_nonzero().to_string()));
            }
        }
        kill_process(pid, end.signal()).unwrap();
        code = wait(&mut child);
    }
    assert_eq!(code, end.code(), "{when}");
    editing.wait_for_guard();
    let took = started.elapsed();
    if end == End::KilledWithItsGuard {
        // What is left is for the next command; the editor is hung up by the system.
        let editor = editing.noted("pid");
        wait_until("end of the editor", || !is_alive(&editor));
        let next = editing.edit(":");
        assert!([0, 6].contains(&next.code), "{when}: {}", next.stderr);
    } else {
        assert!(took <= CLEAN_WITHIN, "it took {took:?} until all was clean {when}");
    }
    editing.assert_no_plaintext(&[CANARY]);
    assert!(editing.bytes() == before, "the file was changed {when}");
    let saved = saves();
    let has_draft = editing.has_draft();
    let count = if has_draft {
        let resumed = ended(&mut editing.command(":", &["--resume", "secrets.env"]));
        assert_eq!(resumed.code, 0, "{when}: {}", resumed.stderr);
        let text = editing.text();
        let count = text.strip_prefix(&format!("A={CANARY}\nCOUNT=")).unwrap_or_else(|| panic!("torn {when}"));
        count.trim().parse().unwrap()
    } else {
        0
    };
    assert!(count >= saved, "the last save was {saved}, and {count} is kept {when}");
    assert!(count <= saved + 1, "{when}");
    (saved > 0, has_draft, took)
}
