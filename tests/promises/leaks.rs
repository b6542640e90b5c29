//! No verb, with the right key, a wrong one or none, over good files and damaged ones, says a value or an identity on stderr, gives one
//! to another process as an argument, or leaves one in a file that is not its result. A verb without a row in the table of verbs fails.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use super::verbs::{CANARY, VALUE, furnish, results, rows, verbs};
use crate::support::exec_pty::without_terminal;
use crate::support::leaks::leaks;
use crate::support::sandbox::{IDENTITY, Sandbox};

#[test]
fn no_verb_says_or_leaves_a_value_or_an_identity() {
    let mut calls = 0;
    for verb in verbs() {
        let (rows, shows_values) = rows(&verb);
        let mut left_a_result = false;
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
            let found_before = held(&sandbox, &own);
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
                let (own_results, others): (Vec<String>, Vec<String>) = held(&sandbox, &own)
                    .difference(&found_before)
                    .cloned()
                    .partition(|place| results(&verb).iter().any(|name| *place == *format!("work/{name} (raw)")));
                assert!(others.is_empty(), "{row:?} with {whose} leaves a value or an identity: {others:?}");
                left_a_result |= !own_results.is_empty();
                calls += 1;
            }
            // The search does find what is there.
            assert_eq!(showed_values, shows_values && whose == "right key", "{verb} with {whose}");
        }
        assert_eq!(left_a_result, !results(&verb).is_empty(), "{verb}");
    }
    assert!(calls > 1000);
}

/// The files in home, work folder, temporary and runtime folder that hold values, or the identity `own`, in any shape; what a file is
/// called, too.
fn held(sandbox: &Sandbox, own: &str) -> BTreeSet<String> {
    let found = leaks(&[sandbox.root()], &[&VALUE[..12], &own[16..48]], SystemTime::UNIX_EPOCH);
    let root = format!("{}/", sandbox.root().display());
    found.into_iter().map(|place| place.replace(&root, "")).collect()
}
