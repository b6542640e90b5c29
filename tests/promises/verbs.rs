//! The one table of all verbs, with command lines to try and files to try them on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::exec_values::as_sops_writes;
use crate::support::sandbox::{RECIPIENT, STRANGER, Sandbox};

/// In every value, over and over, so that a piece of one is found too. No name and no path has it.
pub const CANARY: &str = "cnry";
/// A value that is nothing else.
pub const VALUE: &str = "cnrycnrycnrycnrycnry";

/// The files that [`furnish`] makes, and one that is not there.
pub const FILES: [&str; 12] = [
    "secrets.env",
    "damaged.env",
    "reordered.env",
    "dropped.env",
    "open.env",
    "returns-1.env",
    "returns-2.env",
    "returns-3.env",
    "loader.env",
    "messy.env",
    "binary.env",
    "no.env",
];

/// Every verb that clap knows, as it is typed: `exec`, `groups add`.
pub fn verbs() -> Vec<String> {
    let mut verbs = Vec::new();
    add_verbs(&dotsops::cli::definition(), "", &mut verbs);
    verbs
}

fn add_verbs(command: &clap::Command, above: &str, verbs: &mut Vec<String>) {
    for command in command.get_subcommands() {
        let verb = format!("{above}{}", command.get_name());
        match command.has_subcommands() {
            true => add_verbs(command, &format!("{verb} "), verbs),
            false => verbs.push(verb),
        }
    }
}

/// The command lines to try for a verb, and whether its result on stdout may hold values.
///
/// # Panics
/// If the verb has no row.
pub fn rows(verb: &str) -> (Vec<Vec<&'static str>>, bool) {
    let each = |words: &[&'static str]| -> Vec<Vec<&'static str>> {
        FILES.iter().map(|file| words.iter().map(|word| if *word == "FILE" { file } else { word }).copied().collect()).collect()
    };
    match verb {
        "init" => (vec![vec!["init"], vec!["init", "--yes"], vec!["init", "--yes", "other.env"]], false),
        "keygen" => (vec![vec!["keygen"], vec!["keygen", "-o", "new-keys.txt"], vec!["keygen", "--pq", "-o", "pq.txt"]], false),
        "edit" => {
            let editors = ["./shows", "./breaks", "./fails", "./adds", "./empties", "./no-such-editor"];
            let with = |editor: &'static str| each(&["edit", "--allow-disk-plaintext", "--editor", editor, "FILE"]);
            let mut rows: Vec<_> = editors.into_iter().flat_map(with).collect();
            // In an editor these are lines with names like any others, which messages may show.
            rows.retain(|row| !row.contains(&"returns-2.env") && !row.contains(&"returns-3.env"));
            rows.push(vec!["edit", "--allow-disk-plaintext", "--editor", "./shows", "--resume", "secrets.env"]);
            rows.push(vec!["edit", "--discard", "secrets.env"]);
            (rows, false)
        }
        // Of drafts that the editor before it left.
        "drafts list" => {
            (vec![vec!["edit", "--allow-disk-plaintext", "--editor", "./fails", "secrets.env"], vec!["drafts", "list"]], false)
        }
        "drafts drop" => (vec![vec!["drafts", "drop", "secrets.env"], vec!["drafts", "drop", "--yes", "secrets.env"]], false),
        "exec" => {
            let mut rows = each(&["exec", "-f", "FILE", "--", "./shows"]);
            rows.extend(each(&["exec", "--literal", "--keep-existing", "-f", "FILE", "--", "./shows"]));
            rows.extend(each(&["exec", "-f", "FILE", "--", "./no-such-program"]));
            rows.push(vec!["exec", "--", "./shows"]);
            (rows, false)
        }
        "encrypt" => {
            let mut rows = each(&["encrypt", "FILE"]);
            rows.extend(each(&["encrypt", "--fix", "-o", "new.env", "FILE"]));
            rows.extend(each(&["encrypt", "--encrypted-regex", "^NOTHING$", "FILE"]));
            rows.extend([vec!["encrypt", "plain.env"], vec!["encrypt", "--blind", "plain.env"], vec!["encrypt", "-i", ".env"]]);
            // What cannot be decided is not printed, but a file that is encrypted already is, with what is in clear in it.
            (rows, false)
        }
        "get" => {
            let mut rows = each(&["get", "-f", "FILE", "A"]);
            rows.extend(each(&["get", "-f", "FILE", "--literal", "B"]));
            rows.extend(each(&["get", "-f", "FILE", "NONE"]));
            (rows, true)
        }
        "set" => {
            let mut rows = each(&["set", "-f", "FILE", "A", VALUE]);
            rows.extend(each(&["set", "-f", "FILE", "NEW", VALUE]));
            rows.extend(each(&["set", "-f", "FILE", "NEW_unencrypted", VALUE]));
            rows.extend(each(&["set", "-f", "FILE", "A"]));
            (rows, false)
        }
        "unset" => ([each(&["unset", "-f", "FILE", "A"]), each(&["unset", "-f", "FILE", "NONE", "B"])].concat(), false),
        "rename" => ([each(&["rename", "-f", "FILE", "A", "Z"]), each(&["rename", "-f", "FILE", "B", "A"])].concat(), false),
        "generate" => {
            let mut rows = each(&["generate", "-f", "FILE", "A"]);
            rows.extend(each(&["generate", "-f", "FILE", "--replace", "--hex", "A"]));
            (rows, false)
        }
        "rotate" => {
            let mut rows = each(&["rotate", "FILE"]);
            rows.extend(each(&["rotate", "-n", "--yes", "--rm-age", "age1x", "FILE"]));
            (rows, false)
        }
        "decrypt" => {
            let mut rows = each(&["decrypt", "FILE"]);
            rows.extend(each(&["decrypt", "--extract", "[\"A\"]", "FILE"]));
            rows.extend(each(&["decrypt", "-o", "new.txt", "FILE"]));
            (rows, true)
        }
        "keys" => (each(&["keys", "FILE"]), false),
        "check" => {
            let mut rows = each(&["check", "FILE"]);
            rows.extend([
                vec!["check"],
                vec!["check", "--staged"],
                vec!["check", "--format", "json", "messy.env", "secrets.env"],
            ]);
            (rows, false)
        }
        "filestatus" => (each(&["filestatus", "FILE"]), false),
        "doctor" => {
            let mut rows = each(&["doctor", "FILE"]);
            rows.push(vec!["doctor", "--format", "json"]);
            (rows, false)
        }
        "man" => (vec![vec!["man"], vec!["man", "exec"], vec!["man", "nonsense"]], false),
        "completions" => (each(&["completions", "fish", "--", "dotsops", "exec", "-f", "FILE", "--only", ""]), false),
        "updatekeys" => {
            let mut rows = each(&["updatekeys", "--dry-run", "FILE"]);
            rows.extend(each(&["updatekeys", "--yes", "FILE"]));
            rows.push(vec!["updatekeys", "--yes"]);
            (rows, false)
        }
        "recipients list" => {
            let mut rows = each(&["recipients", "list", "FILE"]);
            rows.push(vec!["recipients", "list", "--format", "json"]);
            (rows, false)
        }
        // They are about every file of the rule; there is a damaged one among those, unless the rule is for one file alone.
        "recipients add" => (each(&["recipients", "add", "--yes", "-f", "FILE", "carol", STRANGER]), false),
        "recipients remove" => {
            let mut rows = each(&["recipients", "remove", "--yes", "-f", "FILE", STRANGER]);
            rows.push(vec!["recipients", "remove", "--dry-run", "--history", RECIPIENT]);
            (rows, false)
        }
        "groups list" => (each(&["groups", "list", "-f", "FILE"]), false),
        // Only in place: what they print otherwise is the file, with what is in clear in it.
        "groups add" => (each(&["groups", "add", "-i", "--age", STRANGER, "-f", "FILE"]), false),
        "groups delete" => (each(&["groups", "delete", "-i", "--threshold", "1", "-f", "FILE", "0"]), false),
        "merge" => {
            let mut rows = each(&["merge", "secrets.env", "FILE", "secrets.env"]);
            rows.extend(each(&["merge", "secrets.env", "secrets.env", "FILE", "secrets.env"]));
            (rows, false)
        }
        "diff" => {
            let mut rows = each(&["diff", "FILE", "secrets.env"]);
            rows.extend(each(&["diff", "plain.env", "FILE"]));
            rows.extend([vec!["diff"], vec!["diff", "HEAD:secrets.env"]]);
            (rows, false)
        }
        "textconv" => {
            let mut rows = each(&["textconv", "FILE"]);
            // What is no encrypted file is printed as it is.
            rows.retain(|row| !row.contains(&"messy.env") && !row.contains(&"binary.env"));
            (rows, false)
        }
        "rule" => {
            let mut rows = each(&["rule", "FILE"]);
            rows.extend(["plain.env", "messy.env", "binary.env"].map(|file| vec!["--config", file, "rule", "secrets.env"]));
            (rows, false)
        }
        verb => panic!("`{verb}` has no row: add its command lines to this table"),
    }
}

/// The files besides its input in which a verb's own result is a plaintext.
pub fn results(verb: &str) -> &'static [&'static str] {
    match verb {
        "decrypt" => &["new.txt"],
        _ => &[],
    }
}

/// Files of all sorts, and editors that do all sorts of things.
pub fn furnish(sandbox: &Sandbox) {
    let good = format!("# {VALUE}\nA={VALUE}\nexport B='{VALUE} x' # {VALUE}\n");
    sandbox.write("plain.env", &good);
    sandbox.write(".env", &good);
    sandbox.write(".env.example", "FROM_EXAMPLE=\n");
    sandbox.encrypted("secrets.env", &good);
    let text = sandbox.read("secrets.env");
    sandbox.write("damaged.env", text.replacen("tag:", "tag:A", 1));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(1, 2);
    sandbox.write("reordered.env", lines.join("\n"));
    as_sops_writes(sandbox, "dropped.env", format!("A=1\nJ=\"{{\"{VALUE}\": 1}}\"\n").as_bytes());
    as_sops_writes(sandbox, "open.env", format!("A='{VALUE}\nCLEAR=x'\nA=\n").as_bytes());
    // Python takes a carriage return for a line break, so that pieces of values become names.
    as_sops_writes(sandbox, "returns-1.env", format!("A=x\r{VALUE}\n").as_bytes());
    as_sops_writes(sandbox, "returns-2.env", format!("A=x\r{VALUE}=1\r{VALUE}=2\r{VALUE}.=3\n").as_bytes());
    as_sops_writes(sandbox, "returns-3.env", format!("A=x\rLD_{VALUE}=1\n").as_bytes());
    as_sops_writes(sandbox, "loader.env", format!("LD_PRELOAD={VALUE}\nHTTPS_PROXY={VALUE}\n").as_bytes());
    let messy = format!(
        "A=1\n{VALUE}\nexport {VALUE}\nC=\"{VALUE}\n{VALUE} {VALUE}=1\nD='{VALUE}'{VALUE}\n={VALUE}\nA=${{A}}{VALUE}\n'{VALUE}\n{VALUE}'=1\n"
    );
    sandbox.write("messy.env", &messy);
    sandbox.write("binary.env", [format!("A={VALUE}").as_bytes(), b"\xff\0", VALUE.as_bytes(), b"\n"].concat());

    // Each says what it was called with, and what its parent was.
    let log = "tr '\\0' '\\n' < /proc/$$/cmdline >> argv; tr '\\0' '\\n' < /proc/$PPID/cmdline >> argv";
    let scripts = [
        ("shows", String::new()),
        ("breaks", "cat messy.env > \"$1\"".to_owned()),
        ("fails", format!("echo 'E={VALUE}' >> \"$1\"; exit 3")),
        ("adds", format!("echo 'E_clear={VALUE}' >> \"$1\"")),
        ("empties", ": > \"$1\"".to_owned()),
    ];
    for (name, does) in scripts {
        let script = sandbox.write(name, format!("#!/bin/sh\n{log}\n{does}\n"));
        fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
    }
}
