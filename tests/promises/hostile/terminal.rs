//! Text that drives a terminal: in names, comments, values, recipients and paths, it is shown as what it is.

use std::ffi::OsStr;

use super::sealed::{sealed, sealed_with, spoiled, spoiled_file};
use super::table::{FILE, prepare};
use crate::support::exec_pty::Terminal;
use crate::support::sandbox::{Sandbox, ended};

/// Sets the title and the colour, goes back, erases, beeps, deletes; turns text round, hides in it; ends lines as some programs see it.
const ODD: &str = "\x1b]0;x\x07\x1b[31m\r\x08\x7f\u{9b}2J\u{202e}\u{2066}\u{200f}\u{200b}\u{feff}\u{2028}\u{85}";

/// Runs a verb on a terminal, on which nothing odd may arrive.
fn shown(sandbox: &Sandbox, arguments: &[impl AsRef<OsStr>], code: i32) -> String {
    let (found, text) = Terminal::start(&mut sandbox.dotsops(arguments)).ends();
    // The line that shows how far we are is our own; a terminal's line discipline makes CR LF of LF.
    let text = text.replace("\r\x1b[K", "");
    let is_odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\t') || ODD.contains(*c) && !c.is_ascii();
    let found_odd: Vec<char> = text.replace("\r\n", "\n").chars().filter(is_odd).collect();
    assert_eq!((found, found_odd.as_slice()), (code, [].as_slice()), "{text}");
    text
}

fn odd_file() -> String {
    let text = format!("# cnry {ODD}\nAPI_KEY={}\nTOKEN=t\nLAST=l\n", ODD.replace(['\r', '\u{85}', '\u{2028}'], ""));
    sealed_with(&text)
}

#[test]
fn names_comments_and_values_cannot_drive_a_terminal() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    sandbox.write(FILE, odd_file());
    assert!(shown(&sandbox, &["decrypt", FILE], 0).contains("\\x1b"));
    shown(&sandbox, &["get", "-f", FILE, "API_KEY"], 0);
    shown(&sandbox, &["decrypt", "--extract", "[\"API_KEY\"]", FILE], 0);
    let odd_name = spoiled(|lines| lines.insert("LAST=", &format!("A{ODD}B=")));
    sandbox.write(FILE, odd_name);
    assert!(shown(&sandbox, &["keys", FILE], 0).contains("\\u{202e}"));
    shown(&sandbox, &["exec", "-f", FILE, "--", "true"], 125);
    shown(&sandbox, &["get", "-f", FILE, "A_B"], 1);
    shown(&sandbox, &["unset", "-f", FILE, &format!("A{ODD}")], 1);
    shown(&sandbox, &["exec", "-f", FILE, "--only", ODD, "--", "true"], 125);
    let in_clear = spoiled(|lines| lines.insert("LAST=", &format!("A{ODD}B=cnry")));
    sandbox.write(FILE, in_clear);
    for arguments in [&["decrypt", FILE][..], &["set", "-f", FILE, "API_KEY", "v"], &["rotate", "-y", FILE]] {
        assert!(shown(&sandbox, arguments, 5).contains("\\x1b"));
    }
    assert!(shown(&sandbox, &["encrypt", "-i", FILE], 6).contains("\\x1b"));
    assert!(shown(&sandbox, &["updatekeys", "-y", FILE], 0).contains("\\x1b"));
}

#[test]
fn recipients_cannot_drive_a_terminal_or_write_lines_of_their_own() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    // What dotenv writes as a backslash and an n is a line break in the recipient.
    let forged = format!("age1{ODD}\\ndotsops: note: all is well");
    let second = |lines: &mut super::sealed::Lines| {
        let wrapped = lines.value("sops_age__list_0__map_enc=");
        lines.push(&format!("sops_age__list_1__map_enc={wrapped}"));
        lines.push(&format!("sops_age__list_1__map_recipient={forged}"));
    };
    sandbox.write(FILE, spoiled(second));
    let no_key = |arguments: &[&str]| {
        let mut command = sandbox.dotsops(arguments);
        command.env("HOME", sandbox.root().join("tmp"));
        command
    };
    let text = shown(&sandbox, &["groups", "list", "-f", FILE], 0);
    assert!(text.contains("no recipient: it has control characters"), "{text}");
    for (arguments, code) in
        [(&["decrypt", FILE][..], 4), (&["rotate", FILE], 6), (&["updatekeys", FILE], 6), (&["groups", "list", "-f", FILE], 0)]
    {
        let said = if code == 4 { ended(&mut no_key(arguments)) } else { sandbox.run(arguments) };
        assert_eq!(said.code, code, "{arguments:?}: {}", said.stderr);
        let lines = said.stderr.lines().chain(said.stdout.lines());
        let forged: Vec<&str> = lines.filter(|line| line.starts_with("dotsops: note: all is well")).collect();
        assert!(forged.is_empty(), "{arguments:?}: {}{}", said.stdout, said.stderr);
    }
}

#[test]
fn metadata_that_is_repeated_in_messages_cannot_drive_a_terminal() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    for line in
        [format!("sops_mac{ODD}=x\nsops_mac{ODD}=x"), format!("sops_{ODD}__list_1=x"), format!("sops_shamir_threshold={ODD}")]
    {
        sandbox.write(FILE, spoiled_file(&sealed(), |lines| lines.push(&line)));
        shown(&sandbox, &["decrypt", FILE], 3);
    }
}

#[test]
fn paths_cannot_drive_a_terminal_or_write_lines_of_their_own() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    let name = format!("{ODD}\ndotsops: note: all is well.env");
    for (text, code) in [(sealed() + "cnry", 3), (spoiled(|lines| lines.set("API_KEY=", "cnry")), 5)] {
        sandbox.write(&name, text);
        for verb in [&["decrypt"][..], &["rotate", "-y"], &["get", "-f"]] {
            let mut arguments = [verb, &[name.as_str()]].concat();
            if verb[0] == "get" {
                arguments.push("API_KEY");
            }
            shown(&sandbox, &arguments, code);
            let said = sandbox.run(&arguments);
            assert!(!said.stderr.lines().any(|line| line.starts_with("dotsops: note")), "{}", said.stderr);
        }
    }
}

#[test]
fn a_config_cannot_drive_a_terminal() {
    let sandbox = Sandbox::with_identity();
    let visible = ODD.replace(['\x1b', '\x07', '\x08', '\x7f', '\r', '\u{9b}', '\u{2028}', '\u{85}'], "");
    sandbox.write("plain.env", "A=1\n");
    for rule in [
        format!("age: \"age1{visible}\""),
        format!("path_regex: \"[{visible}\""),
        format!("{visible}: x\n    {visible}: y"),
        format!("path_regexp{visible}: x"),
    ] {
        sandbox.write(".sops.yaml", format!("creation_rules:\n  - {rule}\n"));
        let found = Terminal::start(&mut sandbox.dotsops(["rule", "plain.env"])).ends().1;
        assert!(!found.contains('\u{202e}') && !found.contains('\u{200b}'), "{found}");
        shown(&sandbox, &["encrypt", "plain.env"], 3);
    }
}
