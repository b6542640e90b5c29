//! The help of every command begins its examples with one that works when it is pasted.

use std::path::Path;

use crate::support::sandbox::{Sandbox, ended};

#[test]
fn the_first_example_of_every_command_works_when_pasted() {
    let shell = which::which("sh").unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_dotsops")).parent().unwrap();
    let path = std::env::join_paths(
        [program.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    let commands: Vec<String> =
        dotsops::cli::definition().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert!(commands.len() >= 7);
    for command in commands {
        // A user with an identity, a plaintext and an encrypted file; for keygen one who has nothing yet.
        let sandbox = if command == "keygen" { Sandbox::empty() } else { Sandbox::with_identity() };
        if command != "keygen" {
            sandbox.write(".env", "DATABASE_URL=postgresql://db.example.org/shop\n");
        }
        if !["keygen", "init", "encrypt"].contains(&command.as_str()) {
            sandbox.encrypted("secrets.env", "DATABASE_URL=postgresql://db.example.org/shop\n");
        }
        if command == "merge" {
            ["base.env", "ours.env", "theirs.env"].iter().for_each(|version| {
                sandbox.write(version, sandbox.read("secrets.env"));
            });
        }
        let help = sandbox.run(&[&command, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        let (_, examples) = help.stdout.split_once("Example").unwrap_or_else(|| panic!("{command} has no example"));
        let example = examples.lines().nth(1).unwrap().trim();
        assert!(example.starts_with(&format!("dotsops {command}")), "{example}");
        let ended = ended(sandbox.program(&shell).env("PATH", &path).env("EDITOR", "true").args(["-c", example]));
        // What it finds on the machine of the tests is its own affair.
        let is_answer = command == "doctor" && ended.code == 1 && ended.stderr.is_empty();
        assert!(ended.code == 0 || is_answer, "{example}: {}\n{}", ended.code, ended.stderr);
    }
}

#[test]
fn the_help_of_the_program_and_of_every_command_fits_a_terminal() {
    let sandbox = Sandbox::empty();
    let commands = dotsops::cli::definition();
    let names = commands.get_subcommands().map(|command| Some(command.get_name())).chain([None]);
    for name in names {
        let arguments: Vec<&str> = name.into_iter().chain(["--help"]).collect();
        let help = sandbox.run(&arguments).stdout;
        let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 100, "{name:?}: {longest} columns");
        for (at, option) in help.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with('-')) {
            let text = help.lines().nth(at + 1).unwrap_or_default();
            assert!(!text.trim().is_empty(), "{name:?}: {option} is not explained");
        }
    }
}

#[test]
fn a_mistake_on_the_command_line_is_said_in_two_lines() {
    let sandbox = Sandbox::empty();
    for (arguments, error, hint) in [
        (&["edit", "--resmue"][..], "unexpected argument '--resmue' found", "a similar argument exists: '--resume'"),
        (&["encrypt", "--age"], "a value is required for '--age <RECIPIENT>' but none was supplied", "`dotsops encrypt --help`"),
        (&["decrypt", "a", "b"], "unexpected argument 'b' found", "`dotsops decrypt --help`"),
        (&["qqqq"], "unrecognized subcommand 'qqqq'", "`dotsops --help`"),
    ] {
        let ended = sandbox.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{}", ended.stderr);
        assert_eq!(lines[0], format!("dotsops: error: {error}"));
        assert!(lines[1].starts_with("dotsops: hint: ") && lines[1].contains(hint), "{}", lines[1]);
    }
    assert!(sandbox.run(&["help", "edit"]).stdout.contains("Open a file in your editor"));
}
