//! Names that make programs load code, or choose whom they talk to.

use super::sealed::{sealed_with, spoiled, spoiled_file};
use super::table::{Cell, FILE, Group, Row, check, prepare, refuses, row};
use dotsops::document::selection::SelectionOption;

use crate::support::document::{encrypted, metadata};
use crate::support::pty::Pty;
use crate::support::sandbox::{RECIPIENT, Sandbox};

/// What reads or changes a file takes such a name like any other.
fn only_exec(row: Row, cell: Cell) -> Row {
    row.group(Group::Exec, cell)
}

#[test]
fn a_name_that_loads_code_reaches_no_program_unasked() {
    let added = spoiled(|lines| lines.insert("LAST=", "LD_PRELOAD="));
    let encrypted_name = sealed_with("API_KEY=cnry-1\nLD_PRELOAD=cnry-2\nLAST=cnry-3\n");
    let unsure = metadata(&[RECIPIENT], Some((SelectionOption::UnencryptedRegex, "^BASH_")), true);
    let clear = encrypted(b"API_KEY=cnry-1\nBASH_ENV=./x\nLAST=cnry-2\n", unsure).unwrap();
    let changed = spoiled_file(&String::from_utf8(clear.clone()).unwrap(), |lines| lines.set("BASH_ENV=", "./evil"));
    check(vec![
        only_exec(
            row("empty", added),
            Cell::Refuses(125, &["line 6", "`LD_PRELOAD`", "empty or not encrypted", "git log -p secrets.env"]),
        ),
        only_exec(row("encrypted", encrypted_name), Cell::Refuses(125, &["line 2", "`LD_PRELOAD`", "--allow LD_PRELOAD"])),
        only_exec(row("in clear", clear), Cell::Refuses(125, &["line 2", "`BASH_ENV`", "empty or not encrypted"]))
            .group(Group::Reading, Cell::Runs(&[]))
            .verb("decrypt", Cell::Runs(&["which values are encrypted is not as its rule says"])),
        only_exec(row("in clear, and changed by anybody", changed), Cell::Refuses(125, &["line 2", "`BASH_ENV`"])),
    ]);
}

/// Names that make loaders, interpreters, editors and git run code: real ones, written down here and not taken from the program's list.
const LOADERS: &str = "PATH LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES GCONV_PATH BASH_ENV BASH_FUNC_ls SHELLOPTS PS4
    PROMPT_COMMAND PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONBREAKPOINT PYTHONUSERBASE PERL5LIB PERL5OPT PERL5DB PERLLIB RUBYOPT RUBYLIB
    NODE_OPTIONS JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS CLASSPATH DOTNET_STARTUP_HOOKS GIT_SSH GIT_SSH_COMMAND GIT_CONFIG
    GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_DIR GIT_ASKPASS SSH_ASKPASS SUDO_ASKPASS LESSOPEN LUA_INIT
    LUA_INIT_5_4 LUA_PATH LUA_PATH_5_4 LUA_CPATH VIMINIT EXINIT JUPYTER_PATH JUPYTER_CONFIG_DIR JUPYTER_CONFIG_PATH IPYTHONDIR
    SOPS_AGE_KEY_CMD SOPS_EDITOR DOTSOPS_EDITOR";

/// In each of the ways in which such a name can stand in a file.
#[test]
fn row_52_every_name_that_loads_code_is_refused_empty_in_clear_and_encrypted_and_runs_if_it_is_allowed() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    for name in LOADERS.split_whitespace() {
        let run = |file: &[u8], options: &[&str]| {
            sandbox.write(FILE, file);
            sandbox.run(&[&["exec", "-f", FILE], options, &["--", "echo", "ran"]].concat())
        };
        let refused = |file: &[u8], options: &[&str], says: &[&str]| {
            let ended = run(file, options);
            let faults = refuses(125, &ended.stdout, &ended, &[says, &[FILE, &format!("`{name}`")]].concat());
            assert!(faults.is_empty(), "{name}: {}\n{}", faults.join(", "), ended.stderr);
        };
        let (open, allow) = ("empty or not encrypted", ["--allow", name]);
        let empty = spoiled(|lines| lines.insert("LAST=", &format!("{name}=")));
        let rule = format!("^{name}$");
        let clear = metadata(&[RECIPIENT], Some((SelectionOption::UnencryptedRegex, &rule)), false);
        let clear = encrypted(format!("A=cnry\n{name}=cnry\n").as_bytes(), clear).unwrap();
        for options in [&[][..], &allow] {
            refused(empty.as_bytes(), options, &[open]);
            refused(&clear, options, &[open]);
        }
        let sealed = sealed_with(&format!("{name}=cnry\n"));
        refused(sealed.as_bytes(), &[], &[&format!("--allow {name}")]);
        let allowed = run(sealed.as_bytes(), &allow);
        assert_eq!((allowed.code, allowed.stdout.as_str()), (0, "ran\n"), "{name}: {}", allowed.stderr);
    }
}

#[test]
fn row_52_an_answer_is_remembered_for_every_such_name_until_the_data_key_is_replaced() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    let names: Vec<&str> = LOADERS.split_whitespace().collect();
    sandbox.write(FILE, sealed_with(&names.iter().map(|name| format!("{name}=cnry\n")).collect::<String>()));
    let line = ["exec", "-f", FILE, "--", "echo", "ran"];
    let mut pty = Pty::run(&mut sandbox.dotsops(line));
    for name in &names {
        pty.wait_for(&format!("`{name}` makes programs load code"));
        pty.wait_for("[y/N] ");
        pty.type_keys("y\n");
    }
    let (code, shown) = pty.end();
    assert!(code == 0 && shown.contains("ran\r\n") && !shown.contains("is not remembered"), "{shown}");
    let again = sandbox.run(&line);
    assert_eq!((again.code, again.stdout.as_str()), (0, "ran\n"), "{}", again.stderr);
    assert_eq!(sandbox.run(&["rotate", "--yes", FILE]).code, 0);
    let refused = sandbox.run(&line);
    assert!(refused.code == 125 && refused.stderr.contains(&format!("--allow {}", names[0])), "{}", refused.stderr);
}

#[test]
fn a_name_that_chooses_whom_a_program_talks_to_is_passed_with_a_word() {
    let names = [
        "EDITOR",
        "PAGER",
        "BROWSER",
        "HOME",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "KUBECONFIG",
        "PIP_INDEX_URL",
    ];
    let sandbox = Sandbox::with_identity();
    for name in names {
        sandbox.write(FILE, sealed_with(&format!("{name}=cnry\n")));
        let ended = sandbox.run(&["exec", "-f", FILE, "--", "/bin/echo", "ran"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "ran\n"), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("`{name}` chooses a program, host or certificate")), "{name}: {}", ended.stderr);
        assert!(!ended.stderr.contains("cnry"), "{name}: {}", ended.stderr);
    }
}

#[test]
fn whoever_adds_such_a_name_is_told_what_it_does() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    sandbox.write(FILE, sealed_with("OLD=cnry\nLAST=cnry\n"));
    let verbs: [&[&str]; 3] =
        [&["set", "-f", FILE, "LD_PRELOAD"], &["generate", "-f", FILE, "BASH_ENV"], &["rename", "-f", FILE, "OLD", "PERL5OPT"]];
    for arguments in verbs {
        let ended = sandbox.run_with(arguments, "cnry-new\n");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("makes programs load code") && !ended.stderr.contains("cnry"), "{}", ended.stderr);
    }
}
