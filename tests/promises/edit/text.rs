//! What editors do to the text's file, and what of it reaches `secrets.env`: rows 25–31, 35, 36.

use std::os::unix::fs::MetadataExt;

use crate::support::editing::{CANARY, Editing};
use crate::support::peers::peer;
use crate::support::sandbox::ended;

#[test]
fn rows_25_to_27_editors_may_rename_truncate_and_change_the_mode() {
    for script in [
        r#"cp "$1" "$1.new"; printf 'B=2\n' >> "$1.new"; mv "$1" "$1~"; mv "$1.new" "$1""#,
        r#"text=$(cat "$1"); : > "$1"; printf '%s\nB=2\n' "$text" > "$1""#,
        r#"printf 'B=2\n' >> "$1"; chmod 644 "$1"; stat -c %a "$(dirname "$1")" > "$NOTES/mode""#,
    ] {
        let editing = Editing::of(&format!("A={CANARY}\n"));
        let ended = editing.edit(script);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(editing.text(), format!("A={CANARY}\nB=2\n"));
        if editing.note("mode").exists() {
            assert_eq!(editing.noted("mode"), "700\n");
        }
        editing.assert_no_plaintext(&[CANARY]);
    }
}

#[test]
fn rows_28_to_31_what_is_no_text_any_more_is_not_read_and_nothing_is_saved() {
    for (script, said) in [
        (r#"rm "$1""#, "gone"),
        (r#"ln -sf "$HOME/../work/.sops.yaml" "$1""#, "no regular file"),
        (r#"rm "$1"; mkfifo "$1""#, "no regular file"),
        (r#"rm "$1"; mkdir "$1""#, "no regular file"),
        (r#"truncate -s 1G "$1""#, "larger than 64 MiB"),
    ] {
        let editing = Editing::of(&format!("A={CANARY}\n"));
        let before = editing.bytes();
        let ended = editing.edit(script);
        assert_eq!(ended.code, 7, "{script}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{script}: {}", ended.stderr);
        assert_eq!(editing.bytes(), before);
        assert!(!editing.has_draft());
        assert!(editing.sandbox.read(".sops.yaml").contains("creation_rules"));
        editing.assert_no_plaintext(&[CANARY]);
    }
}

#[test]
fn row_35_a_text_that_says_the_same_touches_nothing() {
    for script in [
        ":",
        r#"touch "$1""#,
        r#"printf 'A=1\r\nB=2\r\n' > "$1""#,
        r#"printf 'A=1\nB=2' > "$1""#,
        r#"printf 'A=1\nB=2\n\n' > "$1"; printf 'A=1\nB=2\n' > "$1""#,
        r#"printf '\357\273\277A=1\nB=2\n' > "$1""#,
        r#"printf 'A=1\n  B = 2\n' > "$1""#,
    ] {
        let editing = Editing::of("A=1\nB=2\n");
        let path = editing.sandbox.path("secrets.env");
        let facts = || {
            let metadata = path.metadata().unwrap();
            (editing.bytes(), metadata.ino(), metadata.modified().unwrap())
        };
        let before = facts();
        let ended = editing.edit(script);
        assert_eq!(ended.code, 0, "{script}: {}", ended.stderr);
        assert!(ended.stderr.contains("secrets.env is unchanged"), "{script}: {}", ended.stderr);
        assert!(facts() == before, "{script}");
        assert!(!editing.has_draft());
    }
}

#[test]
fn row_36_one_changed_value_of_a_hundred_changes_one_token() {
    let text: String = (0..100).map(|number| format!("KEY_{number}=value {number}\n")).collect();
    let editing = Editing::of(&text);
    let before = editing.sandbox.read("secrets.env");
    let ended_edit = editing.edit(r#"sed -i 's/^KEY_50=.*/KEY_50=other/' "$1""#);
    assert_eq!(ended_edit.code, 0, "{}", ended_edit.stderr);
    assert!(ended_edit.stderr.contains("secrets.env is saved, encrypted: 1 changed"), "{}", ended_edit.stderr);
    let after = editing.sandbox.read("secrets.env");
    let changed: Vec<&str> = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after)
        .map(|(before, _)| before.split('=').next().unwrap())
        .collect();
    assert_eq!(before.lines().count(), after.lines().count());
    assert!(changed.starts_with(&["KEY_50"]) && changed.contains(&"sops_mac"), "{changed:?}");
    assert!(changed.iter().skip(1).all(|name| ["sops_mac", "sops_lastmodified"].contains(name)), "{changed:?}");
    if let Some(sops) = peer("sops", which::which("sops").ok()) {
        let read = ended(editing.sandbox.program(&sops).args(["decrypt", "secrets.env"]));
        assert_eq!(read.stdout, text.replace("value 50\n", "other\n"), "{}", read.stderr);
    }
}

#[test]
fn windows_line_endings_and_a_byte_order_mark_go_and_that_is_said() {
    let editing = Editing::of("A=1\n");
    let ended = editing.edit(r#"printf '\357\273\277A=1\r\nB=2\r\n' > "$1""#);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("Windows line endings became LF"), "{}", ended.stderr);
    assert_eq!(editing.text(), "A=1\nB=2\n");
}

#[test]
fn blank_lines_comments_and_their_order_stay() {
    let text = "\n# one\n\n\nA=1\n\n#two\nB='x y' # three\n\n";
    let editing = Editing::of(text);
    let ended = editing.edit(r#"sed -i 's/^A=1/A=2/' "$1""#);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(editing.text(), text.replace("A=1", "A=2"));

    let ended = editing.edit(r#"printf '# last\n' >> "$1""#);
    assert!(ended.stderr.contains("no value changed"), "{}", ended.stderr);
    assert_eq!(editing.text(), text.replace("A=1", "A=2") + "# last\n");
}

#[test]
fn the_text_is_named_so_that_editors_know_it_and_ends_the_editors_arguments() {
    let editing = Editing::of("A=1\n");
    let script = editing.editor(r#"printf '%s|' "$@" > "$NOTES/arguments""#);
    let command = format!("'{}' --wait 'two words' '$(touch x)'", script.display());
    let ended = ended(&mut editing.dotsops(&["edit", "secrets.env", "--editor", &command]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let arguments = editing.noted("arguments");
    let words: Vec<&str> = arguments.split('|').collect();
    assert_eq!(&words[..3], ["--wait", "two words", "$(touch x)"]);
    assert!(words[3].starts_with(editing.memory().to_str().unwrap()) && words[3].ends_with("/secrets.env"), "{arguments}");
    assert!(!editing.sandbox.path("x").exists());
}

#[test]
fn the_editor_is_chosen_by_option_then_by_variable() {
    let editing = Editing::of("A=1\n");
    let named = |name: &str| editing.editor(&format!("echo {name} >> \"$NOTES/ran\""));
    let variables = ["DOTSOPS_EDITOR", "SOPS_EDITOR", "VISUAL", "EDITOR"];
    for first in 0..variables.len() {
        let mut command = editing.dotsops(&["edit", "secrets.env"]);
        command.env("TERM", "xterm");
        for name in &variables[first..] {
            command.env(name, named(name));
        }
        assert_eq!(ended(&mut command).code, 0);
    }
    let mut dumb = editing.dotsops(&["edit", "secrets.env"]);
    dumb.env("TERM", "dumb").env("VISUAL", named("visual on a dumb terminal")).env("EDITOR", named("EDITOR"));
    assert_eq!(ended(&mut dumb).code, 0);
    assert_eq!(editing.noted("ran"), "DOTSOPS_EDITOR\nSOPS_EDITOR\nVISUAL\nEDITOR\nEDITOR\n");
}
