//! No verb, with the right key, a wrong one or none, over good files and damaged ones, says a value or an identity on stderr or gives
//! one to another process as an argument. A verb without a row here fails the test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::exec_values::as_sops_writes;
use crate::support::exec_pty::without_terminal;
use crate::support::sandbox::{IDENTITY, STRANGER, Sandbox};

/// In every value, over and over, so that a piece of one is found too. No name and no path has it.
const CANARY: &str = "cnry";
const VALUE: &str = "cnrycnrycnrycnrycnry";

/// The command lines to try for a verb, and whether its result on stdout may hold values.
fn rows(verb: &str) -> (Vec<Vec<&'static str>>, bool) {
    let files = [
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
    let each = |words: &[&'static str]| -> Vec<Vec<&'static str>> {
        files.iter().map(|file| words.iter().map(|word| if *word == "FILE" { file } else { word }).copied().collect()).collect()
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
        "filestatus" => (each(&["filestatus", "FILE"]), false),
        "man" => (vec![vec!["man"], vec!["man", "exec"], vec!["man", "nonsense"]], false),
        "completions" => (each(&["completions", "fish", "--", "dotsops", "exec", "-f", "FILE", "--only", ""]), false),
        "updatekeys" => {
            let mut rows = each(&["updatekeys", "--dry-run", "FILE"]);
            rows.extend(each(&["updatekeys", "--yes", "FILE"]));
            rows.push(vec!["updatekeys", "--yes"]);
            (rows, false)
        }
        "groups" => {
            let mut rows = each(&["groups", "list", "-f", "FILE"]);
            // Only in place: what they print otherwise is the file, with what is in clear in it.
            rows.extend(each(&["groups", "add", "-i", "--age", STRANGER, "-f", "FILE"]));
            rows.extend(each(&["groups", "delete", "-i", "--threshold", "1", "-f", "FILE", "0"]));
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

/// Files of all sorts, and editors that do all sorts of things.
fn furnish(sandbox: &Sandbox) {
    let good = format!("# {VALUE}\nA={VALUE}\nexport B='{VALUE} x' # {VALUE}\n");
    sandbox.write("plain.env", &good);
    sandbox.write(".env", &good);
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

#[test]
fn no_verb_says_a_value_or_an_identity() {
    let mut calls = 0;
    for verb in dotsops::cli::definition().get_subcommands().map(|verb| verb.get_name().to_owned()) {
        let (rows, shows_values) = rows(&verb);
        for whose in ["right key", "wrong key", "no key"] {
            let sandbox = Sandbox::with_identity();
            furnish(&sandbox);
            let keys = sandbox.home().join(".config/sops/age/keys.txt");
            if whose != "right key" {
                fs::remove_file(&keys).unwrap();
            }
            if whose == "wrong key" {
                assert_eq!(sandbox.run(&["keygen"]).code, 0);
            }
            let own = fs::read_to_string(&keys).unwrap_or_default();
            let own = own.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap_or(IDENTITY).to_owned();
            let mut showed_values = false;
            for row in &rows {
                let mut command = sandbox.dotsops(row);
                command.env("XDG_RUNTIME_DIR", sandbox.root().join("runtime"));
                let output = without_terminal(&mut command).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                let argv = fs::read_to_string(sandbox.path("argv")).unwrap_or_default();
                assert_ne!(output.status.code(), Some(70), "{row:?} with {whose}: {said}");
                for (what, text) in [("stderr", &said), ("argv", &argv)] {
                    assert!(!text.contains(CANARY), "{row:?} with {whose} shows a value on {what}:\n{text}");
                }
                for (what, text) in [("stderr", &said), ("argv", &argv), ("stdout", &printed)] {
                    assert!(!text.contains(&own[16..32]), "{row:?} with {whose} shows an identity on {what}");
                }
                showed_values |= printed.contains(CANARY);
                assert!(shows_values || !printed.contains(CANARY), "{row:?} with {whose} shows a value on stdout:\n{printed}");
                calls += 1;
            }
            // The search does find what is there.
            assert_eq!(showed_values, shows_values && whose == "right key", "{verb} with {whose}");
        }
    }
    assert!(calls > 100);
}
