//! What the surroundings lack, and the next step that is said for it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::sandbox::{Sandbox, ended};

#[test]
fn a_working_directory_that_was_removed_is_said_to_be_gone() {
    let verbs: [&[&str]; 5] = [&["rule", "a.env"], &["edit"], &["keys"], &["init"], &["updatekeys"]];
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

#[test]
fn whatever_is_not_there_the_next_step_is_said() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let script = sandbox.write("script", "#!/no/such/interpreter\n");
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
    symlink("nowhere", sandbox.path("dangling")).unwrap();
    symlink("nowhere", sandbox.path(".gitignore")).unwrap();
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (&["decrypt", "sub/a.env"], 7, &["no such file", "`ls -a sub`", "`dotsops edit sub/a.env`"]),
        (&["decrypt", "-o", "none/a.txt", "secrets.env"], 7, &["none/a.txt", "cannot be written", "`mkdir -p none`"]),
        (&["decrypt", "-o", "dangling", "secrets.env"], 7, &["symbolic link", "`readlink dangling`"]),
        (&["decrypt", "-o", ".", "secrets.env"], 7, &["not a regular file", "name a file"]),
        (&["exec", "--", "no-such-program"], 127, &["no program `no-such-program`", "install it, or give its path"]),
        (&["exec", "--", "./no-such-program"], 127, &["./no-such-program", "look at its path"]),
        (&["exec", "--", "./script"], 127, &["interpreter", "its first line names"]),
        (&["exec", "--", "./secrets.env"], 126, &["`ls -l ./secrets.env`"]),
        (&["init"], 7, &[".gitignore", "`readlink ", "`dotsops init` goes on"]),
    ];
    for (arguments, code, says) in cases {
        let ended = sandbox.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
        for text in says.iter().chain(&["dotsops: hint: "]) {
            assert!(ended.stderr.contains(text), "{arguments:?}, `{text}` is not said: {}", ended.stderr);
        }
    }
}

#[test]
fn a_plaintext_with_a_bad_line_is_corrected_in_an_editor_of_ones_own() {
    let sandbox = Sandbox::empty();
    sandbox.write("plain.env", "A=1\n# a note\nB='open\n");
    let ended = sandbox.run(&["exec", "-f", "plain.env", "--", "true"]);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    for text in ["plain.env, line 3", "correct line 3 in your editor", "--literal"] {
        assert!(ended.stderr.contains(text), "`{text}` is not said: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("dotsops edit"), "{}", ended.stderr);
}
