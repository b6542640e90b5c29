//! Completion in real shells, typed on a terminal: what is completed arrives in a program as one word, whatever it holds.
//!
//! Needs bash, zsh and fish, and bash-completion; each is skipped by itself.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::exec_values::as_sops_writes;
use crate::support::peers;
use crate::support::pty::Pty;
use crate::support::sandbox::{Ended, Sandbox, ended};

/// Names that a shell would run something for, or take for several words.
const HOSTILE_FILE: &str = "a b;touch pwned;$(touch pwned)`touch pwned`'\"*.env";
const HOSTILE_NAME: &str = "X $(touch pwned);`touch pwned`'\"*&|<>!~";

/// What is typed, and the words that the program gets.
const LINES: &[(&str, &[&str])] = &[
    ("dotsops dec\t x", &["decrypt", "x"]),
    ("dotsops exec --pris\t -- x", &["exec", "--pristine", "--", "x"]),
    // Of all files that begin so, one is encrypted.
    ("dotsops keys s\t", &["keys", "secrets.env"]),
    ("dotsops edit fol\tin\t", &["edit", "folder/inner.env"]),
    ("dotsops decrypt -o p\t", &["decrypt", "-o", "plain.env"]),
    ("dotsops keys a\t", &["keys", HOSTILE_FILE]),
    // Names of the default file, of one that is named, of several.
    ("dotsops exec --only DB_U\t -- x", &["exec", "--only", "DB_URL", "--", "x"]),
    ("dotsops exec --except=DB_U\t -- x", &["exec", "--except=DB_URL", "--", "x"]),
    ("dotsops exec -f folder/inner.env --only IN\t -- x", &["exec", "-f", "folder/inner.env", "--only", "INNER_KEY", "--", "x"]),
    (
        "dotsops -q exec -f secrets.env -ffolder/inner.env --allow IN\t -- x",
        &["-q", "exec", "-f", "secrets.env", "-ffolder/inner.env", "--allow", "INNER_KEY", "--", "x"],
    ),
    ("dotsops exec --only X\t -- x", &["exec", "--only", HOSTILE_NAME, "--", "x"]),
    ("dotsops exec --pristine --keep MARK\t -- x", &["exec", "--pristine", "--keep", "MARKED", "--", "x"]),
    ("dotsops exec --only \"DB_U\t -- x", &["exec", "--only", "DB_URL", "--", "x"]),
    // What no file has stays as it is.
    ("dotsops exec --only NONE\t -- x", &["exec", "--only", "NONE", "--", "x"]),
    ("dotsops keys ~/ke\t", &["keys", "HOME/kept.env"]),
    // If none is encrypted, any file.
    ("dotsops keys sam\t", &["keys", "sample.txt"]),
    // Another program's line.
    ("dotsops exec -- zz-prog\t secr\t", &["exec", "--", "zz-program", "secrets.env"]),
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    as_sops_writes(&sandbox, "secrets.env", format!("DB_URL=1\n{HOSTILE_NAME}=1\nM_ONE=1\nM_TWO=2\nDB\x1b[2JU=1\n").as_bytes());
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    as_sops_writes(&sandbox, "folder/inner.env", b"INNER_KEY=1\n");
    as_sops_writes(&sandbox, HOSTILE_FILE, b"A=1\n");
    as_sops_writes(&sandbox, "line\nbreak.env", b"A=1\n");
    as_sops_writes(&sandbox, "../home/kept.env", b"A=1\n");
    sandbox.write("sample.txt", "s");
    sandbox.write("second.txt", "s");
    sandbox.write("plain.env", "A=1\n");
    // Names need no key.
    std::fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
    let program = sandbox.write("../bin/zz-program", "#!/bin/sh\n");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    symlink(env!("CARGO_BIN_EXE_dotsops"), program.with_file_name("dotsops")).unwrap();
    sandbox
}

/// Types each line into `shell`, in which a function of the program's name shows the words it gets. `list` are the keys that show what
/// there is to choose from.
fn assert_completes(sandbox: &Sandbox, shell: &mut Command, list: &str) {
    let path = std::env::join_paths([&sandbox.root().join("bin"), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    // No identity is asked for, so no command that would give one is run.
    shell.env("PATH", path).env("MARKED", "1").env("LC_ALL", "C.UTF-8").env("SOPS_AGE_KEY_CMD", "touch pwned");
    let mut terminal = Pty::run(shell);
    terminal.resize(200, 50);
    terminal.wait_for("ready-to-type");
    for (line, words) in LINES {
        let home = sandbox.home().display().to_string();
        let expected: String = words.iter().map(|word| format!("<{}>", word.replace("HOME", &home))).collect();
        terminal.type_keys(&format!("{line}\n"));
        terminal.wait_for(&format!("[{expected}]"));
    }
    terminal.type_keys(&format!("dotsops exec --only M_{list}"));
    terminal.wait_for("M_ONE");
    terminal.wait_for("M_TWO");
    terminal.type_keys("ONE -- x\n");
    terminal.wait_for("[<exec><--only><M_ONE><--><x>]");
    terminal.type_keys("exit\n");
    let (_, shown) = terminal.end();
    assert!(!shown.contains("error:") && !shown.contains("dotsops: "), "{shown}");
    assert!(!sandbox.path("pwned").exists(), "a name was run:\n{shown}");
}

fn shell(name: &str) -> Option<PathBuf> {
    peers::peer(name, which::which(name).ok())
}

/// What the README tells users to write down for a shell.
fn readme_line(shell: &str) -> String {
    let command = format!("dotsops completions {shell}");
    let line = include_str!("../../README.md").lines().find(|line| line.contains(&command)).unwrap();
    line.split(" #").next().unwrap().trim().to_owned()
}

const BASH: &str = "dotsops() { printf '['; printf '<%s>' \"$@\"; echo ']'; }\nPS1='> '\necho ready-to-\"type\"\n";

#[test]
fn bash_completes() {
    let Some(bash) = shell("bash") else { return };
    let sandbox = sandbox();
    let rc = sandbox.write("../rc", format!("{}\n{BASH}", readme_line("bash")));
    assert_completes(&sandbox, sandbox.program(&bash).args(["--noprofile", "--rcfile"]).arg(rc).arg("-i"), "\t\t");
}

#[test]
fn bash_with_bash_completion_completes() {
    let Some(bash) = shell("bash") else { return };
    let script = Some(PathBuf::from("/usr/share/bash-completion/bash_completion")).filter(|script| script.is_file());
    let Some(script) = peers::peer("bash-completion", script) else { return };
    let sandbox = sandbox();
    let rc = sandbox.write("../rc", format!("source {}\n{}\n{BASH}", script.display(), readme_line("bash")));
    assert_completes(&sandbox, sandbox.program(&bash).args(["--noprofile", "--rcfile"]).arg(rc).arg("-i"), "\t\t");
}

#[test]
fn zsh_completes() {
    let Some(zsh) = shell("zsh") else { return };
    let sandbox = sandbox();
    sandbox.write("../zsh/.zshrc", format!("autoload -U compinit\ncompinit -u -D\n{}\n{BASH}", readme_line("zsh")));
    assert_completes(&sandbox, sandbox.program(&zsh).env("ZDOTDIR", sandbox.root().join("zsh")).args(["-d", "-i"]), "\t");
}

#[test]
fn fish_completes() {
    let Some(fish) = shell("fish") else { return };
    let sandbox = sandbox();
    let function = "function dotsops; printf '['; printf '<%s>' $argv; echo ']'; end\necho ready-to-\"type\"\n";
    let rc = sandbox.write("../rc.fish", format!("{}\n{function}", readme_line("fish")));
    let source = format!("source {}", rc.display());
    assert_completes(&sandbox, sandbox.program(&fish).args(["--no-config", "--init-command", &source]), "\t");
}

fn offered(sandbox: &Sandbox, words: &[&str]) -> Ended {
    let mut command = sandbox.dotsops(["completions", "fish", "--", "dotsops"]);
    ended(command.args(words).env("SOPS_AGE_KEY_FILE", "/nowhere"))
}

fn values(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let ended = offered(sandbox, words);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{words:?}");
    ended.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn what_is_offered_cannot_drive_a_terminal_or_look_like_two() {
    let sandbox = sandbox();
    sandbox.write("\u{202e}right-to-left.env", sandbox.read("secrets.env"));
    assert_eq!(values(&sandbox, &["exec", "--only", ""]), ["DB_URL", HOSTILE_NAME, "M_ONE", "M_TWO"]);
    let files = values(&sandbox, &["exec", "-f", ""]);
    assert_eq!(files, [HOSTILE_FILE, "secrets.env", "folder/"]);
}

#[test]
fn whatever_is_there_nothing_fails_and_nothing_is_said() {
    let sandbox = Sandbox::empty();
    assert_eq!(values(&sandbox, &["exec", "--only", ""]), Vec::<String>::new());
    sandbox.write("secrets.env", "sops_mac=ENC[\nA=1\n=\n");
    sandbox.write("folder/x", "");
    let lines: [&[&str]; 8] = [
        &[],
        &[""],
        &["no-such-verb", ""],
        &["exec", "-f", "missing.env", "--only", ""],
        &["exec", "-f", "folder", "--only", ""],
        &["exec", "--no-such-option", ""],
        &["exec", "--", ""],
        &["completions", ""],
    ];
    for line in lines {
        values(&sandbox, line);
    }
    assert!(values(&sandbox, &[""]).contains(&"exec".to_owned()));
    assert_eq!(values(&sandbox, &["completions", ""]), ["bash", "zsh", "fish"]);
    for shell in ["bash", "zsh", "fish"] {
        for typed in [&["--"][..], &["--", ""], &["--", "dotsops"], &["--", "dotsops exec 'a", "'a"], &["--", "\u{ff}", "é"]] {
            let ended = sandbox.run(&[&["completions", shell], typed].concat());
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{shell} {typed:?}");
        }
    }
}

#[test]
fn large_and_odd_files_are_not_waited_for() {
    let sandbox = Sandbox::empty();
    as_sops_writes(&sandbox, ".env", b"A=1\n");
    let large = std::fs::File::create(sandbox.path("large.bin")).unwrap();
    large.set_len(8 << 30).unwrap();
    let made = Command::new("mkfifo").arg(sandbox.path("pipe.env")).status();
    assert!(made.is_ok_and(|status| status.success()));
    // Were the pipe waited for, this would never end.
    assert_eq!(values(&sandbox, &["edit", ""]), [".env"]);
    assert_eq!(values(&sandbox, &["exec", "--only", ""]), ["A"]);
    assert_eq!(values(&sandbox, &["exec", "-f", "pipe.env", "--only", ""]), Vec::<String>::new());
    assert_eq!(values(&sandbox, &["exec", "-f", "large.bin", "--only", ""]), Vec::<String>::new());
}
