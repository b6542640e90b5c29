//! What the surroundings lack, and the next step that is said for it.

use std::path::Path;

use crate::support::sandbox::{Sandbox, ended};

#[test]
fn a_working_directory_that_was_removed_is_said_to_be_gone() {
    let verbs: [&[&str]; 4] = [&["rule", "a.env"], &["edit"], &["keys"], &["init"]];
    for arguments in verbs {
        let sandbox = Sandbox::with_identity();
        let mut command = sandbox.program(Path::new("sh"));
        let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"";
        let ended = ended(command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_dotsops")]).args(arguments));
        assert_eq!(ended.code, 7, "{arguments:?}: {}", ended.stderr);
        for text in ["error: the working directory is gone", "hint: cd to another one"] {
            assert!(ended.stderr.contains(text), "{arguments:?}: {}", ended.stderr);
        }
    }
}
