//! `dotsops exec` becomes the program: exit code, process id, signals and terminal are the program's own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::exec_pty::{Terminal, without_terminal};
use crate::support::sandbox::{Ended, Sandbox, ended};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "VALUE=from-the-file\n");
    sandbox
}

/// Runs a script under `dotsops exec`.
fn shell(sandbox: &Sandbox, script: &str) -> Ended {
    sandbox.run(&["exec", "--", "sh", "-c", script])
}

#[test]
fn the_exit_code_is_the_programs_own() {
    let sandbox = sandbox();
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("exit 125", 125), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let ended = shell(&sandbox, script);
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (code, "", ""), "{script}");
    }
}

#[test]
fn a_program_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let sandbox = sandbox();
    sandbox.write("plain-file", "#!/bin/sh\n");
    sandbox.write("no-interpreter", "#!/nowhere/sh\n");
    sandbox.write("no-format", "true\n");
    for name in ["no-interpreter", "no-format"] {
        std::fs::set_permissions(sandbox.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let cases = [
        ("no-such-program", 127, "there is no program `no-such-program`"),
        ("./no-such-program", 127, "there is no program `./no-such-program`"),
        ("", 127, "there is no program ``"),
        ("./plain-file", 126, "cannot run `./plain-file`"),
        (".", 127, "there is no program `.`"),
        ("./", 126, "cannot run `./`"),
        ("./no-interpreter", 127, "cannot run `./no-interpreter`"),
        ("./no-format", 126, "cannot run `./no-format`"),
    ];
    for (name, code, said) in cases {
        let ended = sandbox.run(&["exec", "--", name]);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{name:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{name:?}: {}", ended.stderr);
    }
}

#[test]
fn every_failure_of_ours_is_125() {
    let sandbox = sandbox();
    sandbox.write("damaged.env", sandbox.read("secrets.env").replace("data:", "data:A"));
    let stranger = Sandbox::empty();
    let cases: [&[&str]; 8] = [
        &["exec", "-f", "missing.env", "--", "true"],
        &["exec", "-f", "damaged.env", "--", "true"],
        &["exec", "-f", ".", "--", "true"],
        &["exec"],
        &["exec", "--"],
        &["exec", "true"],
        &["exec", "--no-such-option", "--", "true"],
        &["--quiet", "exec", "--no-such-option", "--", "true"],
    ];
    for arguments in cases {
        let ended = sandbox.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (125, ""), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.is_empty());
    }
    let mut locked = sandbox.dotsops(["exec", "--", "true"]);
    assert_eq!(ended(locked.env("HOME", stranger.home())).code, 125);
    assert_eq!(stranger.run(&["exec", "--", "true"]).code, 125);
}

#[test]
fn the_process_stays_the_same() {
    let sandbox = sandbox();
    let mut command = sandbox.dotsops(["exec", "--", "sh", "-c", "echo $$"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    assert_eq!(Ended::from(child.wait_with_output().unwrap()).stdout, format!("{pid}\n"));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_as_always() {
    let sandbox = sandbox();
    let script = format!("{{ '{}' exec -- yes; echo $? >&2; }} | head -n 1", env!("CARGO_BIN_EXE_dotsops"));
    let mut command = sandbox.program(Path::new("sh"));
    let ended = ended(command.args(["-c", &script]));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("y\n", "141\n"));
}

#[test]
fn standard_input_and_arguments_pass_through_untouched() {
    let sandbox = sandbox();
    let ended =
        sandbox.run_with(&["exec", "--", "sh", "-c", "cat; printf '<%s>' \"$0\" \"$@\"", "zero", "-f", "--", "a b", ""], "in\n");
    assert_eq!(ended.stdout, "in\n<zero><-f><--><a b><>");
}

/// Runs `words` on a terminal, alone or under `dotsops exec`.
fn on_terminal(sandbox: &Sandbox, under_exec: bool, words: &[&str]) -> Terminal {
    let mut command = match under_exec {
        true => {
            let mut command = sandbox.dotsops(["exec", "--"]);
            command.args(words);
            command
        }
        false => {
            let mut command = sandbox.program(Path::new(words[0]));
            command.args(&words[1..]).env("VALUE", "from-the-file");
            command
        }
    };
    Terminal::start(&mut command)
}

#[test]
fn on_a_terminal_all_three_streams_are_it_and_the_process_leads_its_session() {
    let sandbox = sandbox();
    let script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo pid $$ $VALUE; : < /dev/tty && echo tty";
    let terminal = on_terminal(&sandbox, true, &["sh", "-c", script]);
    let pid = terminal.id();
    assert_eq!(terminal.ends(), (0, format!("pid {pid} from-the-file\r\ntty\r\n")));
}

#[test]
fn control_c_reaches_the_program_alone_and_ends_it_as_without_us() {
    let sandbox = sandbox();
    // The first Ctrl-C is caught, the second is not.
    let script = "trap 'trap - INT; echo caught' INT; echo up; while :; do sleep 0.05; done";
    let seen = [false, true].map(|under_exec| {
        let mut terminal = on_terminal(&sandbox, under_exec, &["sh", "-c", script]);
        terminal.shows("up");
        terminal.types("\x03");
        terminal.shows("caught");
        terminal.types("\x03");
        terminal.ends()
    });
    assert_eq!(seen[1].0, 130, "{seen:?}");
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn an_unhandled_control_c_and_control_backslash_end_it_by_the_signal() {
    let sandbox = sandbox();
    for (key, code) in [("\x03", 130), ("\x1c", 131)] {
        let mut terminal = on_terminal(&sandbox, true, &["sh", "-c", "ulimit -c 0; echo up; exec sleep 60"]);
        terminal.shows("up");
        terminal.types(key);
        assert_eq!(terminal.ends().0, code);
    }
}

#[test]
fn a_changed_window_is_told_to_the_program() {
    let sandbox = sandbox();
    let script = "trap 'stty size; exit 7' WINCH; stty size; echo up; while :; do sleep 0.05; done";
    let mut terminal = on_terminal(&sandbox, true, &["sh", "-c", script]);
    assert!(terminal.shows("up").contains("24 80"));
    terminal.resize(33, 99);
    terminal.shows("33 99");
    assert_eq!(terminal.ends().0, 7);
}

#[test]
fn job_control_of_a_shell_stops_it_and_brings_it_back() {
    let sandbox = sandbox();
    let mut shell = sandbox.program(Path::new("sh"));
    let mut terminal =
        Terminal::start(shell.arg("-i").env("PS1", "ready> ").env("ENV", "").env("D", env!("CARGO_BIN_EXE_dotsops")));
    terminal.shows("ready> ");
    // Quotes keep what is waited for out of what is typed and echoed.
    terminal.types("\"$D\" exec -- sh -c 'echo u\"\"p $$; read line; echo got \"$line\" $VALUE; exit 9'\n");
    terminal.shows("up ");
    let pid: u32 = terminal.shows("\r\n").parse().unwrap();
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.shows("ready> ");
    assert!(Path::new("/proc").join(pid.to_string()).exists() || !cfg!(target_os = "linux"));
    terminal.types("fg\n");
    terminal.types("hello\n");
    terminal.shows("got hello from-the-file");
    terminal.shows("ready> ");
    terminal.types("echo code=$?\n");
    terminal.shows("code=9");
    terminal.types("exit\n");
    assert_eq!(terminal.ends().0, 0);
}

/// A value as long as one variable may be, less `missing`.
fn longest(name: &str, missing: usize) -> String {
    format!("{name}={}\n", "x".repeat(131_071 - name.len() - 1 - missing))
}

#[test]
#[cfg(target_os = "linux")]
fn a_variable_may_be_as_long_as_the_system_lets_it_and_not_a_byte_longer() {
    let sandbox = sandbox();
    sandbox.encrypted("longest.env", &longest("LONGEST", 0));
    let ended = sandbox.run(&["exec", "-f", "longest.env", "--", "sh", "-c", "echo ${#LONGEST}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "131063\n"), "{}", ended.stderr);
    sandbox.encrypted("longer.env", &longest("LONGER", 0).replace('\n', "x\n"));
    let ended = sandbox.run(&["exec", "-f", "longer.env", "--", "true"]);
    assert_eq!(ended.code, 126);
    assert!(ended.stderr.contains("LONGER") && ended.stderr.contains("131072") && ended.stderr.len() < 500, "{}", ended.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn an_environment_too_large_names_its_largest_variable() {
    let sandbox = Sandbox::with_identity();
    let values =
        |count: usize| -> String { (0..count).map(|n| longest(&format!("V{n:02}"), 31_071 - usize::from(n == 7))).collect() };
    sandbox.encrypted("secrets.env", &values(20));
    sandbox.encrypted("too-much.env", &values(21));
    let run = |file: &str| {
        let mut command = sandbox.program(Path::new("sh"));
        let program = env!("CARGO_BIN_EXE_dotsops");
        ended(command.args(["-c", "ulimit -Ss 8192; exec \"$0\" exec -f \"$1\" -- sh -c 'echo ${#V07}'", program, file]))
    };
    let ended = run("secrets.env");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "99997\n"), "{}", ended.stderr);
    let ended = run("too-much.env");
    assert_eq!((ended.code, ended.stdout.as_str()), (126, ""));
    assert!(ended.stderr.contains("2097152") && ended.stderr.contains("V07"), "{}", ended.stderr);
}

#[test]
fn a_path_in_the_file_never_chooses_the_program() {
    let sandbox = Sandbox::with_identity();
    for (folder, says) in [("ours", "ours"), ("planted", "planted")] {
        let path = sandbox.write(&format!("{folder}/tool"), format!("#!/bin/sh\necho {says} $PATH\n"));
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    sandbox.write("planted/only-there", "#!/bin/sh\n");
    let planted = sandbox.path("planted").display().to_string();
    sandbox.encrypted("secrets.env", &format!("PATH={planted}\n"));
    let run = |name: &str| {
        let mut command = sandbox.dotsops(["exec", "--allow", "PATH", "--", name]);
        ended(command.env("PATH", sandbox.path("ours")))
    };
    assert_eq!(run("tool").stdout, format!("ours {planted}\n"));
    assert_eq!(run("only-there").code, 127);
}

#[test]
fn a_home_that_is_missing_or_read_only_and_a_broken_configuration_do_not_matter() {
    let sandbox = sandbox();
    sandbox.write(".sops.yaml", "creation_rules: [\n");
    std::fs::set_permissions(sandbox.path(".sops.yaml"), PermissionsExt::from_mode(0o000)).unwrap();
    let check = |command: &mut Command| {
        let ended = ended(command);
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "from-the-file\n", ""));
    };
    let exec = || sandbox.dotsops(["exec", "--", "sh", "-c", "echo $VALUE"]);
    check(exec().env_remove("HOME").env("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY));
    check(exec().env("HOME", "/nowhere/at/all").env("SOPS_AGE_KEY", crate::support::sandbox::IDENTITY));
    std::fs::set_permissions(sandbox.home(), PermissionsExt::from_mode(0o555)).unwrap();
    check(&mut exec());
    std::fs::set_permissions(sandbox.home(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(sandbox.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".config"], "exec leaves nothing behind");
}

#[test]
fn without_a_name_the_nearest_file_up_to_the_repositorys_root_is_meant() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "VALUE=outside\n");
    std::fs::create_dir_all(sandbox.path("repository/.git")).unwrap();
    std::fs::create_dir_all(sandbox.path("repository/deep/er")).unwrap();
    let run = |folder: &str, variable: Option<&str>| {
        let mut command = sandbox.dotsops(["exec", "--", "sh", "-c", "echo $VALUE"]);
        command.current_dir(sandbox.path(folder));
        command.envs(variable.map(|file| ("DOTSOPS_FILE", file)));
        let ended = ended(without_terminal(&mut command));
        (ended.code, ended.stdout.trim_end().to_owned(), ended.stderr)
    };
    // Nothing outside the repository counts.
    let (code, _, said) = run("repository/deep/er", None);
    assert_eq!(code, 125);
    assert!(said.contains("secrets.env") && said.contains("dotsops edit secrets.env"), "{said}");
    // A plaintext .env is not taken.
    sandbox.write("repository/.env", "VALUE=plaintext\n");
    assert_eq!(run("repository", None).0, 125);
    // An encrypted one is; secrets.env goes before it; the nearest folder goes first; DOTSOPS_FILE before all.
    std::fs::rename(sandbox.encrypted("dot.env", "VALUE=dot\n"), sandbox.path("repository/.env")).unwrap();
    assert_eq!(run("repository/deep/er", None).1, "dot");
    std::fs::rename(sandbox.encrypted("root.env", "VALUE=root\n"), sandbox.path("repository/secrets.env")).unwrap();
    assert_eq!(run("repository/deep/er", None).1, "root");
    std::fs::rename(sandbox.encrypted("deep.env", "VALUE=deep\n"), sandbox.path("repository/deep/secrets.env")).unwrap();
    assert_eq!(run("repository/deep/er", None).1, "deep");
    assert_eq!(run("repository/deep/er", Some("../../.env")).1, "dot");
    // Without a repository only the folder itself counts.
    std::fs::create_dir(sandbox.path("sub")).unwrap();
    assert_eq!(run("sub", None).0, 125);
    assert_eq!(run(".", None).1, "outside");
}
