//! A file that others changed elsewhere than the user did, or alike.

use std::fs;

use super::{
    BOTH, OURS, THEIRS, assert_kept, assert_saved, assert_says_no_value, overtaken, overtaken_without_terminal, theirs, tokens,
    with_theirs,
};
use crate::support::document;
use crate::support::editing::Editing;
use crate::support::pty::without_terminal;
use crate::support::sandbox::{RECIPIENT, ended};

#[test]
fn row_40_changes_of_different_names_are_shown_merged_and_saved_when_the_user_agrees() {
    let editing = with_theirs(THEIRS);
    let mut pty = overtaken(&editing, OURS, ": > \"$NOTES/opened\"");
    pty.wait_for("What now?");
    // Nothing is in clear while the question stands, and the draft has it all.
    assert_kept(&editing);
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("secrets.env was changed by someone else meanwhile"), "{shown}");
    assert!(shown.contains("by them: added THEIRS; changed PORT; removed NAME"), "{shown}");
    assert!(shown.contains("by you: added OURS; changed HOST"), "{shown}");
    assert_says_no_value(&shown);
    assert!(!editing.note("opened").exists());
    assert_saved(&editing, BOTH);
    // What others wrote keeps its token, and so does what nobody touched.
    let (theirs, ours) = (tokens(&theirs(&editing)), tokens(&editing.bytes()));
    let kept = theirs.iter().filter(|line| ours.contains(line)).count();
    assert_eq!((kept, theirs.len()), (5, 6), "{theirs:?} {ours:?}");
}

#[test]
fn row_40_the_merged_text_can_be_looked_at_first_or_kept() {
    let editing = with_theirs(THEIRS);
    let mut pty = overtaken(&editing, OURS, "cp \"$1\" \"$NOTES/seen\"; echo LAST=1 >> \"$1\"");
    pty.wait_for("What now?");
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editing.noted("seen"), BOTH);
    assert_saved(&editing, &format!("{BOTH}LAST=1\n"));

    let editing = with_theirs(THEIRS);
    let mut pty = overtaken(&editing, OURS, ":");
    pty.wait_for("What now?");
    pty.type_keys("k\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 6, "{shown}");
    assert!(shown.contains("`dotsops edit --resume secrets.env` merges it"), "{shown}");
    assert_kept(&editing);
}

#[test]
fn a_merged_text_that_is_left_as_it_was_shown_is_asked_about() {
    for (keys, ends, is_saved) in [("y\r", 0, true), ("k\r", 6, false)] {
        let editing = with_theirs(THEIRS);
        let mut pty = overtaken(&editing, OURS, ":");
        pty.wait_for("What now?");
        pty.type_keys("e\r");
        pty.wait_for("Press Enter");
        pty.type_keys("\r");
        pty.wait_for("You left the text as it was shown. What it changes in secrets.env: added OURS; changed HOST");
        pty.wait_for("What now?");
        pty.type_keys(keys);
        let (code, shown) = pty.end();
        assert_eq!(code, ends, "{shown}");
        match is_saved {
            true => assert_saved(&editing, BOTH),
            false => {
                assert_kept(&editing);
                // It is the merged text that is kept: nothing is left to be merged.
                let resumed = editing.resume(":");
                assert!(resumed.code == 0 && !resumed.stderr.contains("merged"), "{}", resumed.stderr);
                assert_saved(&editing, BOTH);
            }
        }
    }
}

#[test]
fn row_40_without_a_terminal_nothing_is_saved_and_resuming_merges() {
    let editing = with_theirs(THEIRS);
    let refused = overtaken_without_terminal(&editing, OURS);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("by them: added THEIRS; changed PORT; removed NAME"), "{}", refused.stderr);
    assert!(refused.stderr.contains("changed by someone else meanwhile"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`dotsops edit --resume secrets.env` merges it"), "{}", refused.stderr);
    assert_says_no_value(&refused.stderr);
    assert_kept(&editing);
    let resumed = editing.resume("cp \"$1\" \"$NOTES/seen\"");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("by you: added OURS; changed HOST"), "{}", resumed.stderr);
    assert_eq!(editing.noted("seen"), BOTH);
    assert_saved(&editing, BOTH);
}

#[test]
fn row_40_an_older_version_that_was_swapped_in_is_merged() {
    let older = || {
        let editing = Editing::of("A=1\nB=1\n");
        fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path("theirs.env")).unwrap();
        assert_eq!(editing.sandbox.run(&["set", "B", "2"]).code, 0);
        assert_eq!(editing.sandbox.run(&["set", "C", "3"]).code, 0);
        editing
    };
    let ours = "echo OURS=1 >> \"$1\"";
    let editing = older();
    let mut pty = overtaken(&editing, ours, ":");
    pty.wait_for("by them: changed B; removed C");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, "A=1\nB=1\nOURS=1\n");

    let editing = older();
    let refused = overtaken_without_terminal(&editing, ours);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_kept(&editing);
    assert_eq!(editing.resume(":").code, 0);
    assert_saved(&editing, "A=1\nB=1\nOURS=1\n");
}

#[test]
fn a_file_that_changes_again_while_the_user_is_asked_is_merged_again() {
    let editing = with_theirs(THEIRS);
    let mut pty = overtaken(&editing, OURS, ":");
    pty.wait_for("What now?");
    assert_eq!(editing.sandbox.run(&["set", "-f", "theirs.env", "LATER", "1"]).code, 0);
    fs::copy(editing.sandbox.path("theirs.env"), editing.sandbox.path("secrets.env")).unwrap();
    pty.type_keys("y\r");
    pty.wait_for("by them: added LATER");
    pty.wait_for("What now?");
    fs::remove_file(editing.sandbox.path("secrets.env")).unwrap();
    pty.type_keys("y\r");
    pty.wait_for("secrets.env was removed");
    pty.wait_for("What now?");
    // While that is asked, it is there again.
    fs::copy(editing.sandbox.path("theirs.env"), editing.sandbox.path("secrets.env")).unwrap();
    pty.type_keys("m\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, &format!("{BOTH}LATER=1\n"));
}

#[test]
fn both_having_written_the_same_leaves_the_file_alone() {
    let editing = with_theirs(&[&["set", "-f", "theirs.env", "HOST", "our-host"]]);
    let ended = overtaken_without_terminal(&editing, "sed -i 's/^HOST=.*/HOST=our-host/' \"$1\"");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("says already what you wrote"), "{}", ended.stderr);
    assert!(editing.bytes() == theirs(&editing) && !editing.has_draft());
}

#[test]
fn a_closed_terminal_or_an_interrupt_at_the_question_leaves_their_file_and_the_draft() {
    for is_closed in [true, false] {
        let editing = with_theirs(THEIRS);
        let mut pty = overtaken(&editing, OURS, ":");
        pty.wait_for("What now?");
        let code = if is_closed {
            pty.hang_up()
        } else {
            pty.type_keys("\x03");
            let (code, shown) = pty.end();
            assert!(shown.contains("--resume secrets.env"), "{shown}");
            code
        };
        assert_eq!(code, if is_closed { 129 } else { 130 });
        editing.wait_for_guard();
        assert_kept(&editing);
    }
}

#[test]
fn comments_that_anybody_could_have_added_to_their_file_are_told() {
    let editing = with_theirs(THEIRS);
    let text = editing.sandbox.read("theirs.env");
    editing.sandbox.write("theirs.env", format!("# not encrypted\n{text}"));
    let refused = overtaken_without_terminal(&editing, OURS);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("a comment stands in clear"), "{}", refused.stderr);
}

#[test]
fn lines_that_only_sops_would_write_are_merged_as_they_are() {
    let odd = "J=\"{\"a\": 1}\"\nD=1\nD=2\n a b = c\nOPEN=\"x\n1digit=y\n";
    let editing = Editing::without_file();
    let document = |text: &str| document::encrypted(text.as_bytes(), document::metadata(&[RECIPIENT], None, false)).unwrap();
    editing.sandbox.write("secrets.env", document(odd));
    // A quote that is not closed, right above the line that the user adds with a quote in it.
    editing.sandbox.write("theirs.env", document(&format!("{odd}AOPEN=\"x\n")));
    let mut pty = overtaken(&editing, "printf 'NEW=\\047a\"b\\047\\n' >> \"$1\"", ":");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, &format!("{odd}AOPEN=\"x\nNEW='a\"b'\n"));
    let theirs = tokens(&theirs(&editing));
    assert!(tokens(&editing.bytes()).starts_with(&theirs));
}

#[test]
fn two_runs_that_know_nothing_of_each_other_lose_no_side() {
    let editing = Editing::of("A=1\n");
    // The second one has another state folder, so another lock, and begins and ends while the first one's editor is open.
    let second = editing.command("echo SECOND=2 >> \"$1\"", &["secrets.env"]);
    let words = [second.get_program()].into_iter().chain(second.get_args()).map(|word| word.to_str().unwrap());
    let second = words.collect::<Vec<_>>().join(" ");
    let script = format!("XDG_STATE_HOME=\"$NOTES\" {second} > \"$NOTES/said\" 2>&1 || exit 1; echo FIRST=1 >> \"$1\"");
    let mut first = editing.command(&script, &["secrets.env"]);
    without_terminal(&mut first);
    let refused = ended(&mut first);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_eq!(editing.text(), "A=1\nSECOND=2\n");
    assert_eq!(editing.resume(":").code, 0);
    assert_saved(&editing, "A=1\nFIRST=1\nSECOND=2\n");
}
