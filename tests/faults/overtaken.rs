//! An edit that somebody else's change overtakes, ended in each way at each step of the merge, before a terminal: row 40.

use std::fs;
use std::process::Command;

use dotsops::sys::fault::{ARMED_BY, FaultPoint};

use crate::ending::{End, close_when_stopped};
use crate::support::editing::{CANARY, Editing};
use crate::support::pty::Pty;

const BOTH: &str = "A=old-value\nB=canary+5f/3a\"91e7\nC=their-value\n";

/// `secrets.env`, `theirs.env` beside it, and an edit that the latter overtakes.
fn overtaken() -> (Editing, Command) {
    let editing = Editing::of("A=old-value\n");
    fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path("theirs.env")).unwrap();
    assert_eq!(editing.sandbox.run(&["set", "-f", "theirs.env", "C", "their-value"]).code, 0);
    let command = editing.command(&format!("printf 'B={CANARY}\\n' >> \"$1\"; cp theirs.env secrets.env"), &["secrets.env"]);
    (editing, command)
}

/// The second time the file is written, after the draft, is in vain; the third time the draft is written again, then the file.
#[test]
fn row_40_an_edit_ended_at_any_step_of_a_merge_leaves_their_file_and_the_draft_or_both_in_the_file() {
    use FaultPoint::{
        DirectorySynced, DraftDrop, HalfWritten, Merged, NewUnnamed, Overtaken, ReadBack, Renamed, SessionWiped, Synced,
    };
    let asked = [
        (ReadBack, 2),
        (NewUnnamed, 3),
        (HalfWritten, 3),
        (Renamed, 2),
        (DirectorySynced, 2),
        (HalfWritten, 4),
        (Synced, 4),
        (FaultPoint::Compared, 3),
        (Renamed, 3),
        (DirectorySynced, 3),
        (DraftDrop, 1),
    ];
    let before = [(SessionWiped, 1), (ReadBack, 1), (Synced, 2), (Overtaken, 1), (Merged, 1)].map(|point| (point, false));
    let points: Vec<_> = before.into_iter().chain(asked.map(|point| (point, true))).collect();
    // No session is there by then, hence no guard to be killed.
    for end in [End::Killed, End::Terminated, End::HungUp, End::TerminalClosed] {
        points.iter().for_each(|((point, time), is_asked)| end_one(end, *point, *time, *is_asked));
    }
}

fn end_one(end: End, point: FaultPoint, time: usize, is_asked: bool) {
    let when = format!("{end:?} at {point:?} {time}");
    let (editing, mut command) = overtaken();
    let theirs = fs::read(editing.sandbox.path("theirs.env")).unwrap();
    let mut pty = Pty::run(command.env(ARMED_BY, format!("{}#{time}:{}", point.name(), end.fault())));
    if is_asked {
        pty.wait_for("What now?");
        pty.type_keys("y\r");
    }
    let (code, shown) = match end {
        End::TerminalClosed => (close_when_stopped(pty), String::new()),
        _ => pty.end(),
    };
    assert_eq!(code, end.code(), "{when}: {shown}");
    editing.wait_for_guard();
    editing.assert_no_plaintext(&[CANARY, "old-value", "their-value"]);
    // Whoever agreed gets it saved, unless they were killed before.
    let is_new = match end {
        End::Killed => {
            [(FaultPoint::Renamed, 3), (FaultPoint::DirectorySynced, 3), (FaultPoint::DraftDrop, 1)].contains(&(point, time))
        }
        _ => is_asked,
    };
    assert_eq!(editing.has_draft(), !is_new || end == End::Killed, "{when}");
    if is_new {
        // What is saved already does not stand in the way of the next edit.
        assert_eq!(editing.text(), BOTH, "{when}");
        assert_eq!(editing.edit(":").code, 0, "{when}");
    } else {
        assert!(editing.bytes() == theirs, "{when}");
        assert_eq!(editing.edit(":").code, 6, "{when}");
        let resumed = editing.resume(":");
        assert_eq!(resumed.code, 0, "{when}: {}", resumed.stderr);
        assert_eq!(editing.text(), BOTH, "{when}");
    }
    assert!(!editing.has_draft(), "{when}");
}

#[test]
fn a_draft_of_the_merged_text_that_cannot_be_written_costs_nothing() {
    for fault in ["new-unnamed#3:eio", "half-written#3:enospc", "renamed#2:eio"] {
        let (editing, mut command) = overtaken();
        let mut pty = Pty::run(command.env(ARMED_BY, fault));
        pty.wait_for("What now?");
        pty.type_keys("y\r");
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{fault}: {shown}");
        assert_eq!(editing.text(), BOTH, "{fault}");
        assert!(!editing.has_draft(), "{fault}");
    }
}
