//! A file that is another one when the edit is saved, or when a draft is resumed: rows 40, 44 and 45.

use std::fs;
use std::path::PathBuf;

use dotsops::document::selection::SelectionOption;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::document;
use crate::support::editing::{CANARY, Editing};
use crate::support::pty::{Pty, without_terminal};
use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, ended};
use crate::support::sops::Sops;

const START: &str = "# the shop\nHOST=db\nPORT=5432\n\nTOKEN=first\nNAME=shop\n";

/// What the user does: one value changed, one added.
const OURS: &str = r#"sed -i 's/^HOST=.*/HOST=our-host/' "$1"; printf 'OURS=canary+5f/3a"91e7\n' >> "$1""#;

/// What others do to a copy of the file: one value changed, one removed, one added.
const THEIRS: &[&[&str]] = &[
    &["set", "-f", "theirs.env", "PORT", "their-port"],
    &["unset", "-f", "theirs.env", "NAME"],
    &["set", "-f", "theirs.env", "THEIRS", "their-line"],
];

const BOTH: &str = "# the shop\nHOST=our-host\nPORT=their-port\n\nTOKEN=first\nOURS=canary+5f/3a\"91e7\nTHEIRS=their-line\n";

const SECRETS: &[&str] = &[CANARY, "our-host", "their-port", "their-line", "our-token", "their-token"];

/// `secrets.env` with [`START`], and `theirs.env` beside it: a copy on which the `changes` were made.
fn with_theirs(changes: &[&[&str]]) -> Editing {
    let editing = Editing::of(START);
    fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path("theirs.env")).unwrap();
    for change in changes {
        let ended = editing.sandbox.run(change);
        assert_eq!(ended.code, 0, "{change:?}: {}", ended.stderr);
    }
    editing
}

fn theirs(editing: &Editing) -> Vec<u8> {
    fs::read(editing.sandbox.path("theirs.env")).unwrap()
}

/// An editor that does `first` when it is run, and `then` when it is run again.
fn first_and_then(first: &str, then: &str) -> String {
    format!("if [ -e \"$NOTES/again\" ]; then {then}; else : > \"$NOTES/again\"; {first}; fi")
}

/// An edit that is overtaken by `theirs.env`, before a terminal; the editor does `then` when it is opened again.
fn overtaken(editing: &Editing, ours: &str, then: &str) -> Pty {
    let script = first_and_then(&format!("{ours}; cp theirs.env secrets.env"), then);
    Pty::run(&mut editing.command(&script, &["secrets.env"]))
}

/// The same without a terminal.
fn overtaken_without_terminal(editing: &Editing, ours: &str) -> Ended {
    let script = format!("{ours}; cp theirs.env secrets.env");
    let mut command = editing.command(&script, &["secrets.env"]);
    without_terminal(&mut command);
    ended(&mut command)
}

/// The lines of the data, values as tokens.
fn tokens(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().filter(|line| !line.starts_with("sops_")).map(str::to_owned).collect()
}

fn field(bytes: &[u8], name: &str) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap_or_default().to_owned()
}

fn by_sops(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8(Sops::find()?.decrypt(bytes).unwrap()).unwrap())
}

/// The text is `expected`, also to the real sops, which drops blank lines, and nothing is left of the edit.
fn assert_saved(editing: &Editing, expected: &str) {
    assert_eq!(editing.text(), expected);
    if let Some(text) = by_sops(&editing.bytes()) {
        assert_eq!(text, expected.replace("\n\n", "\n"));
    }
    assert!(!editing.has_draft());
    editing.assert_no_plaintext(SECRETS);
}

/// The file is as others left it, and a draft has what was typed.
fn assert_kept(editing: &Editing) {
    assert!(editing.bytes() == theirs(editing));
    assert!(editing.has_draft());
    editing.assert_no_plaintext(SECRETS);
}

fn assert_says_no_value(said: &str) {
    for secret in SECRETS {
        assert!(!said.contains(secret), "{said}");
    }
}

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

/// Both changed `TOKEN`; besides, each something else.
fn with_conflict() -> Editing {
    with_theirs(&[&["set", "-f", "theirs.env", "TOKEN", "their-token"], &["set", "-f", "theirs.env", "PORT", "their-port"]])
}

const OUR_TOKEN: &str = r#"sed -i -e 's/^TOKEN=.*/TOKEN=our-token/' -e 's/^HOST=.*/HOST=our-host/' "$1""#;

const MARKED: &str = "# the shop\nHOST=our-host\nPORT=their-port\n\n\
    #!dotsops mine TOKEN=our-token\n#!dotsops theirs TOKEN=their-token\nTOKEN=our-token\nNAME=shop\n";

#[test]
fn row_40_a_name_that_both_changed_reopens_the_editor_with_both_values_until_it_is_decided() {
    let editing = with_conflict();
    // Opened a second time it leaves the marks, a third time it decides.
    let then = r#"if [ -e "$NOTES/seen" ]; then sed -i -e '/^#!dotsops/d' -e 's/^TOKEN=.*/TOKEN=their-token/' "$1"; else cp "$1" "$NOTES/seen"; fi"#;
    let mut pty = overtaken(&editing, OUR_TOKEN, then);
    pty.wait_for("by both, each in its own way: TOKEN");
    pty.wait_for("What now?");
    assert_kept(&editing);
    pty.type_keys("e\r");
    pty.wait_for("Press Enter");
    pty.type_keys("\r");
    pty.wait_for("line 5, 6: `TOKEN` was changed by both: decide for one side");
    pty.wait_for("What now?");
    assert_eq!(editing.noted("seen"), MARKED);
    assert!(editing.bytes() == theirs(&editing));
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_says_no_value(&shown);
    assert_saved(&editing, "# the shop\nHOST=our-host\nPORT=their-port\n\nTOKEN=their-token\nNAME=shop\n");
}

#[test]
fn row_40_a_name_that_both_changed_is_kept_without_a_terminal_and_shown_by_resuming() {
    let editing = with_conflict();
    let refused = overtaken_without_terminal(&editing, OUR_TOKEN);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("by both, each in its own way: TOKEN"), "{}", refused.stderr);
    assert_says_no_value(&refused.stderr);
    assert_kept(&editing);

    let unresolved = editing.resume(r#"cp "$1" "$NOTES/seen""#);
    assert_eq!(unresolved.code, 3, "{}", unresolved.stderr);
    assert_eq!(editing.noted("seen"), MARKED);
    assert!(unresolved.stderr.contains("line 5, 6: `TOKEN`"), "{}", unresolved.stderr);
    assert_says_no_value(&unresolved.stderr);
    assert_kept(&editing);

    // Once more, and the same is shown, not a mark upon a mark.
    assert_eq!(editing.resume(r#"cp "$1" "$NOTES/again"; exit 1"#).code, 7);
    assert_eq!(editing.noted("again"), MARKED);
    let resolved = editing.resume("sed -i '/^#!dotsops/d' \"$1\"");
    assert_eq!(resolved.code, 0, "{}", resolved.stderr);
    assert_saved(&editing, "# the shop\nHOST=our-host\nPORT=their-port\n\nTOKEN=our-token\nNAME=shop\n");
}

#[test]
fn a_value_that_one_side_removed_and_the_other_changed_is_decided_too() {
    let editing = with_theirs(&[&["unset", "-f", "theirs.env", "TOKEN"]]);
    overtaken_without_terminal(&editing, OUR_TOKEN);
    assert_eq!(editing.resume("cp \"$1\" \"$NOTES/seen\"; exit 1").code, 7);
    let marks = "#!dotsops mine TOKEN=our-token\n#!dotsops theirs TOKEN was removed\nTOKEN=our-token\n";
    assert!(editing.noted("seen").contains(marks), "{}", editing.noted("seen"));
    assert_eq!(editing.resume("sed -i '/TOKEN/d' \"$1\"").code, 0);
    assert_saved(&editing, "# the shop\nHOST=our-host\nPORT=5432\n\nNAME=shop\n");
}

#[test]
fn row_40_a_file_that_was_removed_is_made_again_if_the_user_says_so() {
    let removes = format!("{OURS}; rm secrets.env");
    let expected = START.replace("HOST=db", "HOST=our-host") + "OURS=" + CANARY + "\n";
    let editing = Editing::of(START);
    let recipient = field(&editing.bytes(), "sops_age__list_0__map_recipient");
    let mut pty = Pty::run(&mut editing.command(&removes, &["secrets.env"]));
    pty.wait_for("secrets.env was removed by someone else meanwhile");
    pty.wait_for("What now?");
    assert!(editing.has_draft());
    pty.type_keys("m\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, &expected);
    assert_eq!(field(&editing.bytes(), "sops_age__list_0__map_recipient"), recipient);

    let editing = Editing::of(START);
    let mut pty = Pty::run(&mut editing.command(&removes, &["secrets.env"]));
    pty.wait_for("What now?");
    pty.type_keys("k\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 6, "{shown}");
    assert!(!editing.sandbox.path("secrets.env").exists() && editing.has_draft());
}

#[test]
fn rows_40_and_45_without_a_terminal_a_file_that_is_gone_is_not_made_again_and_the_draft_waits_for_it() {
    let editing = Editing::of(START);
    let before = editing.bytes();
    let refused = editing.edit(&format!("{OURS}; rm secrets.env"));
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("removed by someone else"), "{}", refused.stderr);
    assert!(refused.stderr.contains("git checkout -- secrets.env"), "{}", refused.stderr);
    let gone = editing.resume(":");
    assert_eq!(gone.code, 6, "{}", gone.stderr);
    assert!(gone.stderr.contains("git checkout -- secrets.env"), "{}", gone.stderr);
    assert!(!editing.sandbox.path("secrets.env").exists() && editing.has_draft());
    editing.sandbox.write("secrets.env", before);
    assert_eq!(editing.resume(":").code, 0);
    assert_saved(&editing, &(START.replace("HOST=db", "HOST=our-host") + "OURS=" + CANARY + "\n"));
}

#[test]
fn row_45_a_draft_whose_file_is_gone_makes_it_again_on_a_terminal_also_with_nothing_changed() {
    for (script, expected) in [(":", "A=old\nB=2\n"), ("printf 'A=old\\n' > \"$1\"", "A=old\n")] {
        let editing = Editing::of("A=old\n");
        assert_eq!(editing.edit("echo B=2 >> \"$1\"; exit 1").code, 7);
        fs::remove_file(editing.sandbox.path("secrets.env")).unwrap();
        let mut pty = Pty::run(&mut editing.command(script, &["--resume", "secrets.env"]));
        pty.wait_for("What now?");
        pty.type_keys("m\r");
        if script == ":" {
            pty.wait_for("Press Enter");
            pty.type_keys("\r");
        }
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{shown}");
        assert_saved(&editing, expected);
    }
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
fn a_file_that_got_other_readers_and_another_data_key_keeps_them() {
    let editing = with_theirs(THEIRS);
    let rotated = editing.sandbox.run(&["rotate", "--add-age", STRANGER, "--yes", "theirs.env"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    let mut pty = overtaken(&editing, OURS, ":");
    pty.wait_for("besides, it has another data key, and it is encrypted to others than before");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("recipients that no rule names"), "{shown}");
    assert_saved(&editing, BOTH);
    let (theirs, merged) = (theirs(&editing), editing.bytes());
    let wrapped = |bytes: &[u8]| ["0", "1"].map(|n| field(bytes, &format!("sops_age__list_{n}__map_enc")));
    assert_eq!(wrapped(&merged), wrapped(&theirs));
    assert!(!wrapped(&merged)[1].is_empty());
    let kept = tokens(&merged).into_iter().filter(|line| tokens(&theirs).contains(line)).count();
    assert_eq!(kept, 5);
}

#[test]
fn row_45_a_draft_is_merged_into_a_file_that_was_rotated_since() {
    let editing = Editing::of(START);
    assert_eq!(editing.edit(&format!("{OURS}; exit 1")).code, 7);
    for change in [&["set", "PORT", "their-port"][..], &["unset", "NAME"], &["set", "THEIRS", "their-line"], &["rotate"]] {
        assert_eq!(editing.sandbox.run(change).code, 0);
    }
    let wrapped = field(&editing.bytes(), "sops_age__list_0__map_enc");
    let resumed = editing.resume("cp \"$1\" \"$NOTES/seen\"");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("it has another data key"), "{}", resumed.stderr);
    assert_eq!(editing.noted("seen"), BOTH);
    assert_saved(&editing, BOTH);
    assert_eq!(field(&editing.bytes(), "sops_age__list_0__map_enc"), wrapped);
}

#[test]
fn what_a_draft_had_removed_stays_removed() {
    let editing = Editing::of("A=1\nB=1\nC=1\n");
    assert_eq!(editing.edit("sed -i '/^B=/d' \"$1\"; exit 1").code, 7);
    assert_eq!(editing.sandbox.run(&["set", "C", "2"]).code, 0);
    assert_eq!(editing.resume(":").code, 0);
    assert_saved(&editing, "A=1\nC=2\n");
}

#[test]
fn a_draft_with_mistakes_is_corrected_first_and_merged_when_it_is_saved() {
    let editing = with_theirs(THEIRS);
    let mistaken = editing.edit(&format!("{OURS}; echo no equals sign >> \"$1\""));
    assert_eq!(mistaken.code, 3, "{}", mistaken.stderr);
    fs::copy(editing.sandbox.path("theirs.env"), editing.sandbox.path("secrets.env")).unwrap();
    let mut pty = Pty::run(&mut editing.command("sed -i '/no equals/d' \"$1\"", &["--resume", "secrets.env"]));
    pty.wait_for("it is merged when you save it");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, BOTH);
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
fn a_rule_that_changed_meanwhile_lets_no_value_get_into_the_clear_unasked() {
    let ours = r#"printf 'NEW_TOKEN=canary+5f/3a"91e7\n' >> "$1""#;
    let swapped = || {
        let editing = Editing::of("A=1\nB=1\n");
        let rule = "creation_rules:\n  - age: RECIPIENT\n    unencrypted_suffix: _TOKEN\n";
        let own = editing.sandbox.read(".sops.yaml");
        editing.sandbox.write(".sops.yaml", rule.replace("RECIPIENT", RECIPIENT));
        editing.sandbox.encrypted("theirs.env", "A=1\nB=2\n");
        editing.sandbox.write(".sops.yaml", own);
        editing
    };
    let editing = swapped();
    let mut pty = overtaken(&editing, ours, ":");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    pty.wait_for("anybody could read them: NEW_TOKEN");
    pty.wait_for("What now?");
    pty.type_keys("k\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 6, "{shown}");
    assert_kept(&editing);
    // Nor by resuming.
    let refused = editing.resume(":");
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_kept(&editing);
}

#[test]
fn a_name_that_a_changed_rule_brought_into_the_clear_gets_no_new_value_unasked() {
    let ours = r#"printf 'MY_TOKEN=canary+5f/3a"91e7\n' > "$1""#;
    for (answer, is_killed) in [("y", false), ("e", false), ("e", true)] {
        let editing = Editing::without_file();
        let document =
            |text: &str, rule| document::encrypted(text.as_bytes(), document::metadata(&[RECIPIENT], rule, false)).unwrap();
        editing.sandbox.write("secrets.env", document("MY_TOKEN=changeme\n", None));
        // The values are the same, so whoever knows them can do this; the MAC does not tell.
        let rule = Some((SelectionOption::UnencryptedSuffix, "_TOKEN"));
        editing.sandbox.write("theirs.env", document("MY_TOKEN=changeme\nB=2\n", rule));
        let then = if is_killed { "; : > \"$NOTES/open\"; exec sleep 600" } else { "" };
        let mut pty = overtaken(&editing, ours, &format!("echo C=3 >> \"$1\"{then}"));
        pty.wait_for("What now?");
        pty.type_keys(&format!("{answer}\r"));
        if is_killed {
            pty.wait_until("editor", || editing.note("open").exists());
            kill_process(Pid::from_raw(pty.pid() as i32).unwrap(), Signal::KILL).unwrap();
        } else {
            pty.wait_for("anybody could read them: MY_TOKEN");
            pty.wait_for("What now?");
            pty.type_keys("k\r");
        }
        let (code, shown) = pty.end();
        assert_eq!(code, if is_killed { 137 } else { 6 }, "{shown}");
        editing.wait_for_guard();
        assert_kept(&editing);
        let resumed = editing.resume(":");
        assert_eq!(resumed.code, 6, "{}", resumed.stderr);
        assert!(resumed.stderr.contains("anybody could read them: MY_TOKEN"), "{}", resumed.stderr);
        assert_kept(&editing);
    }
}

#[test]
fn a_file_that_cannot_be_opened_by_then_is_left_alone_and_the_draft_is_kept() {
    let bytes = |editing: &Editing| String::from_utf8(theirs(editing)).unwrap();
    let half = |text: String| text[..text.len() / 2].to_owned();
    let tampered = |text: String| text.replacen("TOKEN=ENC[AES256_GCM,data:", "TOKEN=ENC[AES256_GCM,data:AAAA", 1);
    let cases: [(&dyn Fn(String) -> String, i32); 3] = [(&half, 3), (&|_| "A=plain\n".into(), 3), (&tampered, 5)];
    for (damage, code) in cases {
        let editing = with_theirs(THEIRS);
        let whole = bytes(&editing);
        editing.sandbox.write("theirs.env", damage(whole.clone()));
        let refused = overtaken_without_terminal(&editing, OURS);
        assert_eq!(refused.code, code, "{}", refused.stderr);
        assert!(refused.stderr.contains("changed by someone else meanwhile"), "{}", refused.stderr);
        assert!(refused.stderr.contains("`dotsops edit --resume secrets.env` merges both"), "{}", refused.stderr);
        assert_says_no_value(&refused.stderr);
        assert_kept(&editing);
        let again = editing.resume(": > \"$NOTES/ran\"");
        assert_eq!(again.code, code, "{}", again.stderr);
        assert!(!editing.note("ran").exists());
        editing.sandbox.write("secrets.env", whole);
        assert_eq!(editing.resume(":").code, 0);
        assert_saved(&editing, BOTH);
    }

    let editing = with_theirs(&[]);
    editing
        .sandbox
        .run_with(&["encrypt", "--blind", "--age", STRANGER, "--filename-override", "theirs.env", "-o", "other.env"], "A=1\n");
    fs::rename(editing.sandbox.path("other.env"), editing.sandbox.path("theirs.env")).unwrap();
    let refused = overtaken_without_terminal(&editing, OURS);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert_kept(&editing);
}

#[test]
fn marks_that_a_merge_by_git_left_in_the_file_are_decided_before_anything_is_saved() {
    let editing = with_theirs(&[]);
    for (name, token) in [("ours.env", "our-token"), ("theirs.env", "their-token")] {
        if name == "ours.env" {
            fs::copy(editing.sandbox.path("secrets.env"), editing.sandbox.path(name)).unwrap();
        }
        assert_eq!(editing.sandbox.run(&["set", "-f", name, "TOKEN", token]).code, 0);
    }
    assert_eq!(editing.sandbox.run(&["merge", "secrets.env", "theirs.env", "ours.env"]).code, 1);
    let decide = "sed -i '/^#!dotsops/d' \"$1\"";
    let mut pty = overtaken(&editing, OURS, decide);
    pty.wait_for("`TOKEN` was changed by both");
    pty.wait_for("What now?");
    assert_kept(&editing);
    pty.type_keys("e\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    let expected = "# the shop\nHOST=our-host\nPORT=5432\n\nTOKEN=their-token\nNAME=shop\nOURS=canary+5f/3a\"91e7\n";
    assert_saved(&editing, expected);
}

#[test]
fn a_kill_or_a_failing_editor_over_the_merged_text_leaves_a_draft_and_no_plaintext() {
    for (then, code) in [("exit 3", 7), (": > \"$NOTES/open\"; exec sleep 600", 137)] {
        let editing = with_conflict();
        let mut pty = overtaken(&editing, OUR_TOKEN, then);
        pty.wait_for("What now?");
        pty.type_keys("e\r");
        if code == 137 {
            pty.wait_until("editor", || editing.note("open").exists());
            assert!(editing.guards(pty.pid()).len() == 1);
            kill_process(Pid::from_raw(pty.pid() as i32).unwrap(), Signal::KILL).unwrap();
        }
        let (ended, shown) = pty.end();
        assert_eq!(ended, code, "{shown}");
        editing.wait_for_guard();
        assert_kept(&editing);
        assert_eq!(editing.resume("cp \"$1\" \"$NOTES/seen\"; sed -i '/^#!dotsops/d' \"$1\"").code, 0);
        assert_eq!(editing.noted("seen"), MARKED);
    }
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

/// A new file that somebody else makes too.
fn appearing() -> (Editing, PathBuf, String) {
    let editing = Editing::without_file();
    let theirs = editing.sandbox.encrypted("theirs.env", "A=their-token\nB=2\n");
    (editing, theirs, format!("printf 'A={CANARY}\\nC=3\\n' > \"$1\""))
}

#[test]
fn row_44_a_file_that_appears_meanwhile_is_not_overwritten_and_resuming_merges() {
    let (editing, _, ours) = appearing();
    let refused = overtaken_without_terminal(&editing, &ours);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("made by someone else meanwhile"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume secrets.env"), "{}", refused.stderr);
    assert_kept(&editing);
    let resumed = editing.resume(r#"cp "$1" "$NOTES/seen"; sed -i '/^#!dotsops/d' "$1""#);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let seen = format!("#!dotsops mine A={CANARY}\n#!dotsops theirs A=their-token\nA={CANARY}\nB=2\nC=3\n");
    assert_eq!(editing.noted("seen"), seen);
    assert_saved(&editing, &format!("A={CANARY}\nB=2\nC=3\n"));
}

#[test]
fn row_44_on_a_terminal_a_file_that_appears_meanwhile_is_merged() {
    let (editing, _, _) = appearing();
    let mut pty = overtaken(&editing, "printf 'B=2\\nC=3\\n' > \"$1\"", ":");
    pty.wait_for("by them: added A, B");
    pty.wait_for("What now?");
    pty.type_keys("y\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_saved(&editing, "A=their-token\nB=2\nC=3\n");
    assert!(tokens(&editing.bytes()).starts_with(&tokens(&theirs(&editing))));
}
