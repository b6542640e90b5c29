//! Which variables the program gets: `--only`, `--except`, `--prefix`, `--pristine`, `--keep`.

use crate::support::exec_pty::Terminal;
use crate::support::sandbox::{IDENTITY, Sandbox, ended};

use super::exec_values::{Found, as_sops_writes, exec, exec_command, pairs, put_in, run};

const PLAINTEXT: &str = "USER_NAME=u\nDB_HOST=h\nDB_URL=\"pg://${USER_NAME}@${DB_HOST}\"\nTOKEN=t\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", PLAINTEXT);
    sandbox
}

fn assert_gets(sandbox: &Sandbox, options: &[&str], values: &[(&str, &str)]) {
    let found = exec(sandbox, options);
    assert_eq!((found.code, found.values, found.said.as_str()), (0, pairs(values), ""), "{options:?}");
}

fn assert_refused(found: &Found, said: &[&str]) {
    assert_eq!((found.code, found.values.len()), (125, 0), "{}", found.said);
    for text in said {
        assert!(found.said.contains(text), "{text:?} is not in: {}", found.said);
    }
}

#[test]
fn values_are_chosen_and_renamed_after_all_of_them_have_been_read() {
    let sandbox = sandbox();
    let (host, url) = (("DB_HOST", "h"), ("DB_URL", "pg://u@h"));
    assert_gets(&sandbox, &["--only", "DB_*"], &[host, url]);
    assert_gets(&sandbox, &["--only", "DB_URL"], &[url]);
    assert_gets(&sandbox, &["--only", "DB_URL", "TOKEN"], &[url, ("TOKEN", "t")]);
    assert_gets(&sandbox, &["--only=DB_URL", "--only=*EN"], &[url, ("TOKEN", "t")]);
    assert_gets(&sandbox, &["--except", "TOKEN", "USER_*"], &[host, url]);
    assert_gets(&sandbox, &["--only", "DB_*", "--except", "*_HOST"], &[url]);
    assert_gets(&sandbox, &["--only", "DB_*", "--except", "*"], &[]);
    assert_gets(&sandbox, &["--only", "DB_*", "--prefix", "APP_"], &[("APP_DB_HOST", "h"), ("APP_DB_URL", "pg://u@h")]);
    assert_gets(&sandbox, &["--literal", "--only", "*_URL", "--prefix", "A"], &[("ADB_URL", "\"pg://${USER_NAME}@${DB_HOST}\"")]);
}

#[test]
fn names_are_chosen_from_all_files_together_and_later_files_still_win() {
    let sandbox = sandbox();
    sandbox.encrypted("later.env", "TOKEN=later\nMORE=${USER_NAME}\n");
    let files = ["-f", "secrets.env", "-f", "later.env"];
    let values = [("P_TOKEN", "later"), ("P_MORE", "u")];
    assert_gets(&sandbox, &[&files[..], &["--only", "TOKEN", "MORE", "--prefix", "P_"]].concat(), &values);
}

#[test]
fn what_is_there_already_is_kept_under_the_name_that_the_program_sees() {
    let sandbox = sandbox();
    let mut command = exec_command(&sandbox, &["--keep-existing", "--prefix", "APP_", "--only", "TOKEN", "DB_HOST"]);
    let found = run(command.env("APP_TOKEN", "mine").env("DB_HOST", "mine"));
    let expected = pairs(&[("APP_TOKEN", "mine"), ("DB_HOST", "mine"), ("APP_DB_HOST", "h")]);
    assert_eq!((found.code, found.values), (0, expected), "{}", found.said);
}

#[test]
fn a_name_that_is_not_there_is_an_error_where_it_is_wanted_and_a_warning_where_it_is_not() {
    let sandbox = sandbox();
    for pattern in ["TOKNE", "DB_?", "db_*", "DB", ""] {
        let found = exec(&sandbox, &["--only", "DB_URL", pattern]);
        assert_refused(&found, &[&format!("no name matches `{pattern}` in secrets.env"), "dotsops keys"]);
    }
    let found = exec(&sandbox, &["--only", "TOKEN", "--except", "TOKNE"]);
    assert_eq!((found.code, found.values), (0, pairs(&[("TOKEN", "t")])));
    assert_eq!(found.said, "dotsops: warning: nothing is left out by `TOKNE`: no name matches it\n");
}

/// All that `env` prints.
fn whole_environment(sandbox: &Sandbox, options: &[&str]) -> Vec<String> {
    let mut command = sandbox.dotsops(["exec"]);
    command.args(options).args(["--", "env"]).env("USER_NAME", "mine").env("LC_ALL", "C").env("LC_TIME", "C").env("OTHER", "o");
    command.env("SOPS_AGE_KEY", IDENTITY).env("SOPS_AGE_KEY_FILE", "/dev/null").env("DOTSOPS_AGE_KEY", "x");
    let ended = ended(&mut command);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{options:?}");
    let mut lines: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_pristine_program_has_nothing_but_the_values_and_what_is_kept() {
    let sandbox = sandbox();
    let key = format!("SOPS_AGE_KEY={IDENTITY}");
    let values = ["DB_HOST=h", "DB_URL=pg://u@h", "TOKEN=t", "USER_NAME=u"];
    let with = |more: &[&str]| -> Vec<String> {
        let mut lines: Vec<String> = values.iter().chain(more).map(|line| (*line).to_owned()).collect();
        lines.sort();
        lines
    };
    assert_eq!(whole_environment(&sandbox, &["--pristine"]), with(&[]));
    assert_eq!(whole_environment(&sandbox, &["--pristine", "--keep", "OTHER"]), with(&["OTHER=o"]));
    let kept = ["--pristine", "--keep", "LC_*", "NONE", "--keep", "OTHER"];
    assert_eq!(whole_environment(&sandbox, &kept), with(&["LC_ALL=C", "LC_TIME=C", "OTHER=o"]));
    assert_eq!(whole_environment(&sandbox, &["--pristine", "--keep", "SOPS_*"]), with(&["SOPS_AGE_KEY_FILE=/dev/null"]));
    assert_eq!(whole_environment(&sandbox, &["--pristine", "--keep-keys"]), with(&[&key]));
    // The file wins, unless what is kept is to stay.
    assert_eq!(whole_environment(&sandbox, &["--pristine", "--keep", "USER_NAME"]), with(&[]));
    assert_eq!(
        whole_environment(&sandbox, &["--pristine", "--keep", "USER_NAME", "--keep-existing", "--only", "USER_NAME", "DB_URL"]),
        ["DB_URL=pg://mine@h", "USER_NAME=mine"]
    );
}

#[test]
fn a_value_takes_in_nothing_that_a_pristine_program_does_not_inherit() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "WHERE=${OTHER:-nowhere}\n");
    assert_eq!(whole_environment(&sandbox, &["--pristine"]), ["WHERE=nowhere"]);
    assert_eq!(whole_environment(&sandbox, &["--pristine", "--keep", "OTHER"]), ["OTHER=o", "WHERE=o"]);
}

#[test]
fn options_that_make_no_sense_are_125() {
    let sandbox = sandbox();
    let cases: [(&[&str], &str); 3] = [
        (&["--keep", "PATH"], "--pristine"),
        (&["--prefix", "A=B"], "no name can hold a `=`"),
        (&["--only"], "a value is required"),
    ];
    for (options, said) in cases {
        assert_refused(&exec(&sandbox, options), &[said]);
    }
}

#[test]
fn no_prefix_makes_a_name_that_loads_code_unasked() {
    let sandbox = Sandbox::with_identity();
    as_sops_writes(&sandbox, "secrets.env", b"PRELOAD=/planted\nOK=1\n");
    let refused = exec(&sandbox, &["--prefix", "LD_"]);
    assert_refused(&refused, &["line 1: `LD_PRELOAD` cannot be passed on", "--allow LD_PRELOAD"]);
    assert_refused(&exec(&sandbox, &["--literal", "--prefix", "LD_"]), &["`LD_PRELOAD`"]);
    assert_refused(&exec(&sandbox, &["--prefix", "LD_", "--allow", "PRELOAD"]), &["`LD_PRELOAD`"]);
    let found = exec(&sandbox, &["--prefix", "DOTSOPS_", "--allow", "DOTSOPS_PRELOAD", "DOTSOPS_OK"]);
    assert_refused(&found, &[]);
    let allowed = ["--prefix", "DOTSOPS_", "--allow", "DOTSOPS_PRELOAD", "--allow", "DOTSOPS_OK"];
    assert_gets(&sandbox, &allowed, &[("DOTSOPS_PRELOAD", "/planted"), ("DOTSOPS_OK", "1")]);
    // What anybody could have added passes under no such name at all.
    as_sops_writes(&sandbox, "secrets.env", b"OK=1\n");
    put_in(&sandbox, "secrets.env", "PRELOAD=", "OK");
    for options in [&["--prefix", "LD_"][..], &["--prefix", "LD_", "--allow", "LD_PRELOAD", "--literal"]] {
        assert_refused(&exec(&sandbox, options), &["`LD_PRELOAD`", "empty or not encrypted"]);
    }
    // A question is about the name that the program would see.
    as_sops_writes(&sandbox, "secrets.env", b"PATH=./src\n");
    let command = ["exec", "--prefix", "PYTHON", "--", "sh", "-c", "echo runs with $PYTHONPATH"];
    let mut terminal = Terminal::start(&mut sandbox.dotsops(command));
    assert!(terminal.shows("[y/N] ").contains("`PYTHONPATH` makes programs load code"));
    terminal.types("y\n");
    terminal.shows("runs with ./src");
    assert_eq!(terminal.ends().0, 0);
    // And a name that does no harm under its prefix needs no leave.
    assert_gets(&sandbox, &["--prefix", "APP_"], &[("APP_PATH", "./src")]);
}

#[test]
fn what_is_not_passed_is_not_refused_for_what_it_would_do() {
    let sandbox = Sandbox::with_identity();
    let lines: [&[u8]; 5] = [b"PYTHONPATH=./src\n", b"J=\"{\"a\": 1}\"\n", b"N=a\0b\n", b"=x\n", b"HTTPS_PROXY=p\n"];
    for line in lines {
        as_sops_writes(&sandbox, "secrets.env", &[b"OK=1\n", line, b"LAST=${OK}\n"].concat());
        assert_gets(&sandbox, &["--only", "OK", "LAST"], &[("OK", "1"), ("LAST", "1")]);
        assert_gets(&sandbox, &["--literal", "--only", "OK"], &[("OK", "1")]);
        let name = String::from_utf8_lossy(line.split(|byte| *byte == b'=').next().unwrap()).into_owned();
        if !name.is_empty() {
            assert_gets(&sandbox, &["--except", &name], &[("OK", "1"), ("LAST", "1")]);
        }
        sandbox.write("plain.env", [b"OK=1\n", line].concat());
        let found = exec(&sandbox, &["-q", "-f", "plain.env", "--only", "OK"]);
        assert!(name.is_empty() || found.code == 0, "{name}: {}", found.said);
    }
    as_sops_writes(&sandbox, "secrets.env", b"OK=1\n");
    put_in(&sandbox, "secrets.env", "LD_PRELOAD=", "OK");
    assert_refused(&exec(&sandbox, &[]), &["`LD_PRELOAD`"]);
    assert_gets(&sandbox, &["--except", "LD_*"], &[("OK", "1")]);
    assert_gets(&sandbox, &["--literal", "--except", "LD_*"], &[("OK", "1")]);
}

#[test]
fn a_file_that_somebody_tampered_with_is_refused_whatever_is_passed_of_it() {
    let sandbox = Sandbox::with_identity();
    let only: &[&str] = &["--only", "OK*"];
    let cases =
        [("API_KEY=real\n", "API_KEY=", "more than once"), ("INI=\"[db]=\nuser=u\"\n", "# c", "comment"), ("B=2\n", "'=", "")];
    for (plaintext, line, said) in cases {
        as_sops_writes(&sandbox, "secrets.env", format!("OK=1\n{plaintext}OKAY='2'\n").as_bytes());
        let at = if line.starts_with('#') { "user" } else { "OKAY" };
        put_in(&sandbox, "secrets.env", line, at);
        assert_refused(&exec(&sandbox, only), &[said]);
    }
    as_sops_writes(&sandbox, "secrets.env", b"OK=1\nAPI_KEY=real\n");
    let changed = sandbox.read("secrets.env").replacen("API_KEY=ENC[AES256_GCM,data:", "API_KEY=ENC[AES256_GCM,data:A", 1);
    sandbox.write("secrets.env", changed);
    assert_refused(&exec(&sandbox, &["--only", "OK"]), &[]);
    // A line of a later file that takes the place of an encrypted value, although neither is passed.
    as_sops_writes(&sandbox, "secrets.env", b"OK=1\nHOST=good\n");
    as_sops_writes(&sandbox, "later.env", b"OK_TOO=${HOST}\n");
    put_in(&sandbox, "later.env", "HOST=", "OK_TOO");
    assert_refused(&exec(&sandbox, &["-f", "secrets.env", "-f", "later.env", "--only", "OK*"]), &["`HOST`", "--allow HOST"]);
}
