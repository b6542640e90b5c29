//! A kill at each stage of an edit, and what is there then: rows 1 to 13 of the table of scenarios.

use dotsops::sys::fault::{ARMED_BY, FaultPoint};

use crate::support::editing::{CANARY, Editing};
use crate::support::sandbox::ended;

const SIGKILL: i32 = 128 + 9;

/// An edit that adds a line, killed when it is at `point` for the `time`th time.
fn killed_at(point: FaultPoint, time: usize) -> (Editing, Vec<u8>) {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let mut command = editing.command(&format!("printf 'B={CANARY}\\n' >> \"$1\""), &["secrets.env"]);
    let ended = ended(command.env(ARMED_BY, format!("{}#{time}:kill", point.name())));
    assert_eq!(ended.code, SIGKILL, "{point:?} {time}: {}", ended.stderr);
    editing.wait_for_guard();
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
    (editing, before)
}

#[test]
fn rows_1_to_6_before_the_editor_the_file_is_old_and_there_is_no_draft() {
    use FaultPoint::{EditorStart, LockTaken, MetaWrite, SessionMade, SessionMake, TextHalf};
    for point in [LockTaken, SessionMake, SessionMade, MetaWrite, TextHalf, EditorStart] {
        let (editing, before) = killed_at(point, 1);
        assert_eq!(editing.bytes(), before, "{point:?}");
        assert!(!editing.has_draft(), "{point:?}");
        assert_eq!(editing.edit("echo C=3 >> \"$1\"").code, 0, "{point:?}");
        assert_eq!(editing.text(), "A=old-value\nC=3\n", "{point:?}");
    }
}

#[test]
fn rows_7_to_11_after_a_save_the_file_is_old_and_the_draft_has_the_edit() {
    use FaultPoint::{Compared, DraftKept, HalfWritten, Named, SessionWipe, SessionWiped, Synced, TextRead, TextTaken};
    let points = [
        (TextRead, 1),
        (TextTaken, 1),
        (HalfWritten, 1),
        (DraftKept, 1),
        (SessionWipe, 1),
        (SessionWiped, 1),
        (HalfWritten, 2),
        (Synced, 2),
        (Compared, 2),
        (Named, 1),
    ];
    for (point, time) in points {
        let (editing, before) = killed_at(point, time);
        assert_eq!(editing.bytes(), before, "{point:?} {time}");
        let pending = editing.edit(":");
        assert_eq!(pending.code, 6, "{point:?} {time}: {}", pending.stderr);
        let resumed = editing.resume(":");
        assert_eq!(resumed.code, 0, "{point:?} {time}: {}", resumed.stderr);
        assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"), "{point:?} {time}");
        assert!(!editing.has_draft(), "{point:?} {time}");
        let beside: Vec<_> = std::fs::read_dir(editing.sandbox.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(beside.iter().all(|name| !name.to_string_lossy().contains(".dotsops-")), "{beside:?}");
    }
}

#[test]
fn rows_12_and_13_after_the_rename_the_file_is_new_and_the_draft_goes_without_a_word() {
    for (point, time) in [(FaultPoint::Renamed, 2), (FaultPoint::DirectorySynced, 2), (FaultPoint::DraftDrop, 1)] {
        let (editing, _) = killed_at(point, time);
        assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"), "{point:?}");
        assert!(editing.has_draft(), "{point:?}");
        let next = editing.edit("echo C=3 >> \"$1\"");
        assert_eq!(next.code, 0, "{point:?}: {}", next.stderr);
        assert!(!next.stderr.contains("draft"), "{point:?}: {}", next.stderr);
        assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\nC=3\n"), "{point:?}");
        assert!(!editing.has_draft(), "{point:?}");
    }
}
