//! What the program under `dotsops exec` finds in its environment, and which files and lines are refused.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dotsops::document::selection::SelectionOption;
use dotsops::format::Syntax;
use dotsops::ops::encrypt::encrypt;
use dotsops::ops::exec::policy::LOADS_CODE;
use dotsops::ops::new_file::{Choice, metadata};

use crate::support::document::keyring;
use crate::support::exec_pty::{Terminal, without_terminal};
use crate::support::sandbox::{Ended, IDENTITY, RECIPIENT, Sandbox};

/// Encrypts each line by itself, as plain sops does, whatever it means; names that begin with `CLEAR` stay in clear.
pub(super) fn as_sops_writes(sandbox: &Sandbox, name: &str, plaintext: &[u8]) -> PathBuf {
    encrypted_but(sandbox, name, plaintext, "^CLEAR")
}

/// The same, with other names that stay in clear.
fn encrypted_but(sandbox: &Sandbox, name: &str, plaintext: &[u8], clear: &str) -> PathBuf {
    let selection = vec![(SelectionOption::UnencryptedRegex, clear.to_owned())];
    let choice = Choice { age: vec![RECIPIENT.to_owned()], selection, ..Choice::default() };
    let format = Syntax::Dotenv.format().unwrap();
    let tree = format.parse(plaintext).unwrap().tree;
    let metadata = metadata(Path::new(name), &choice, None).unwrap();
    let bytes = encrypt(tree, metadata, format, &keyring(), time::UtcDateTime::now()).unwrap();
    sandbox.write(name, bytes.expose())
}

/// Puts a line into an encrypted file, as anybody could; before the line that begins with `before`.
pub(super) fn put_in(sandbox: &Sandbox, name: &str, line: &str, before: &str) {
    let text = sandbox.read(name);
    let at = text.find(&format!("\n{before}")).map_or(0, |at| at + 1);
    sandbox.write(name, format!("{}{line}\n{}", &text[..at], &text[at..]));
}

/// What a program finds in its environment besides HOME, PATH and TMPDIR, how it ended and what was said.
pub(super) struct Found {
    pub(super) code: i32,
    pub(super) values: BTreeMap<String, String>,
    pub(super) said: String,
}

pub(super) fn run(command: &mut Command) -> Found {
    let output = without_terminal(command).output().unwrap();
    let printed = output.stdout.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let values = printed.map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap();
        (String::from_utf8_lossy(&entry[..at]).into_owned(), String::from_utf8_lossy(&entry[at + 1..]).into_owned())
    });
    let values = values.filter(|(name, _)| !["HOME", "PATH", "TMPDIR"].contains(&name.as_str())).collect();
    let ended = Ended::from(output);
    Found { code: ended.code, values, said: ended.stderr }
}

pub(super) fn exec_command(sandbox: &Sandbox, options: &[&str]) -> Command {
    let mut command = sandbox.dotsops(["exec"]);
    command.args(options).args(["--", "env", "-0"]);
    command
}

pub(super) fn exec(sandbox: &Sandbox, options: &[&str]) -> Found {
    run(&mut exec_command(sandbox, options))
}

pub(super) fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_environment_is_what_was_there_and_the_values_and_nothing_else() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "export A='a b' # c\nB=\"x\\ny\"\nC=\nD=${A}${N:-d}\n");
    let mut command = exec_command(&sandbox, &[]);
    command.env("OTHER", "stays").env("SOPS_AGE_KEY_FILE", "/dev/null").env("SOPS_AGE_KEY_CMD", "true");
    command.env("SOPS_AGE_KEY", IDENTITY).env("AWS_SECRET_ACCESS_KEY", "stays").env("C", "gone");
    let values = [("A", "a b"), ("AWS_SECRET_ACCESS_KEY", "stays"), ("B", "x\ny"), ("C", ""), ("D", "a bd"), ("OTHER", "stays")];
    let mut expected = pairs(&values);
    expected.extend(pairs(&[("SOPS_AGE_KEY_FILE", "/dev/null"), ("SOPS_AGE_KEY_CMD", "true")]));
    let found = run(&mut command);
    assert_eq!((found.code, found.values, found.said.as_str()), (0, expected.clone(), ""));

    let mut command_with_keys = sandbox.dotsops(["exec", "--keep-keys", "--", "env", "-0"]);
    command_with_keys.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    expected.extend(pairs(&[("SOPS_AGE_KEY", IDENTITY)]));
    assert_eq!(run(&mut command_with_keys).values, expected);
}

#[test]
fn a_value_of_the_file_wins_unless_what_exists_is_to_be_kept() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=file\nB=${A}\nEMPTY=file\nODD=file\nNEW=file\n");
    let with = |options: &[&str]| {
        let mut command = exec_command(&sandbox, options);
        run(command.env("A", "mine").env("EMPTY", "").env("ODD", OsStr::from_bytes(b"\xff"))).values
    };
    let all_files = pairs(&[("A", "file"), ("B", "file"), ("EMPTY", "file"), ("ODD", "file"), ("NEW", "file")]);
    assert_eq!(with(&[]), all_files);
    let mine = pairs(&[("A", "mine"), ("B", "mine"), ("EMPTY", ""), ("ODD", "\u{fffd}"), ("NEW", "file")]);
    assert_eq!(with(&["--keep-existing"]), mine);
    let literal = pairs(&[("A", "mine"), ("B", "${A}"), ("EMPTY", ""), ("ODD", "\u{fffd}"), ("NEW", "file")]);
    assert_eq!(with(&["--keep-existing", "--literal"]), literal);
}

#[test]
fn of_several_files_later_ones_win_and_see_the_earlier() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("base.env", "HOST=base\nPORT=1\nURL=${HOST}:${PORT}\n");
    sandbox.encrypted("prod.env", "HOST=prod\nPROD_URL=${HOST}:${PORT}\n");
    let found = exec(&sandbox, &["-f", "base.env", "--file", "prod.env"]);
    let expected = pairs(&[("HOST", "prod"), ("PORT", "1"), ("URL", "base:1"), ("PROD_URL", "prod:1")]);
    assert_eq!((found.code, found.values, found.said.as_str()), (0, expected, ""));
}

#[test]
fn a_plaintext_file_works_with_a_warning_that_quiet_leaves_out() {
    let sandbox = Sandbox::empty();
    sandbox.write("plain.env", "A=${B:-x}\n");
    let found = exec(&sandbox, &["-f", "plain.env"]);
    assert_eq!((found.code, found.values), (0, pairs(&[("A", "x")])));
    assert_eq!(found.said, "dotsops: warning: plain.env is not encrypted; its values are passed as they stand\n");
    let found = exec(&sandbox, &["-f", "plain.env", "--quiet"]);
    assert_eq!((found.code, found.values, found.said.as_str()), (0, pairs(&[("A", "x")]), ""));
}

#[test]
fn names_and_values_that_no_process_can_hold_are_refused() {
    let sandbox = Sandbox::empty();
    let cases: [(&[u8], &[&str], &str); 7] = [
        (b"OK=1\n=x\n", &[], "line 2"),
        (b"OK=1\n=x\n", &["--literal"], "line 2 cannot be passed on\ndotsops: cause: the line has no name"),
        (b"OK=1\n'A=B'=x\n", &[], "no process can hold a variable with such a name"),
        (b"OK=1\n'A\0B'=x\n", &[], "line 2"),
        (b"OK=1\nKEY=x\0y\n", &[], "`KEY` cannot be passed on\ndotsops: cause: the value holds a NUL byte"),
        (b"OK=1\nKEY=x\0y\n", &["--literal"], "`KEY` cannot be passed on\ndotsops: cause: the value holds a NUL byte"),
        (b"OK=1\nKEY=x\xff\n", &[], "line 2 cannot be passed on\ndotsops: cause: the file is not UTF-8"),
    ];
    for (text, options, said) in cases {
        sandbox.write("plain.env", text);
        let found = exec(&sandbox, &[&["-f", "plain.env"], options].concat());
        let shown = String::from_utf8_lossy(text);
        assert_eq!((found.code, found.values.len()), (125, 0), "{shown:?}: {}", found.said);
        assert!(found.said.contains(said), "{shown:?}: {}", found.said);
    }
}

#[test]
fn names_that_some_shells_drop_arrive_with_a_warning() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "a-b=1\nOK=2\na.b=3\n");
    let found = exec(&sandbox, &[]);
    assert_eq!((found.code, found.values), (0, pairs(&[("a-b", "1"), ("OK", "2"), ("a.b", "3")])));
    let warnings: Vec<&str> = found.said.lines().collect();
    assert!(warnings.len() == 2 && warnings[0].contains("`a-b`") && warnings[1].contains("`a.b`"), "{warnings:?}");
}

#[test]
fn of_two_encrypted_lines_the_last_counts_with_a_warning() {
    let sandbox = Sandbox::with_identity();
    as_sops_writes(&sandbox, "secrets.env", b"A=1\nB=${A}\nexport A=2\nA=3\n");
    let found = exec(&sandbox, &[]);
    assert_eq!((found.code, found.values), (0, pairs(&[("A", "3"), ("B", "1")])));
    assert_eq!(found.said, "dotsops: warning: secrets.env: `A` stands more than once; the last value counts\n");
    let found = exec(&sandbox, &["--literal"]);
    assert_eq!((found.code, found.values), (0, pairs(&[("A", "3"), ("B", "${A}"), ("export A", "2")])));
    assert!(found.said.contains("`A` stands more than once"), "{}", found.said);
}

#[test]
fn a_second_line_that_anybody_could_have_added_is_refused() {
    let sandbox = Sandbox::with_identity();
    for line in ["API_KEY=", "export API_KEY=", "  API_KEY="] {
        for before in ["API_KEY", "sops_"] {
            as_sops_writes(&sandbox, "secrets.env", b"OK=1\nAPI_KEY=real\n");
            put_in(&sandbox, "secrets.env", line, before);
            let found = exec(&sandbox, &[]);
            assert_eq!(found.code, 125, "{line:?} before {before}");
            assert!(found.said.contains("`API_KEY`") && found.said.contains("more than once"), "{}", found.said);
        }
    }
    as_sops_writes(&sandbox, "secrets.env", b"API_KEY=real\n");
    put_in(&sandbox, "secrets.env", "API_KEY=", "sops_");
    assert_eq!(exec(&sandbox, &["--literal"]).code, 125);
    as_sops_writes(&sandbox, "secrets.env", b"CLEAR=1\nCLEAR=2\n");
    assert_eq!(exec(&sandbox, &[]).code, 125);
}

/// Names that a pattern of the table stands for.
fn examples(pattern: &str) -> Vec<String> {
    match pattern.contains('*') {
        true => ["", "X", "A_B"].map(|text| pattern.replace('*', text)).to_vec(),
        false => vec![pattern.to_owned()],
    }
}

#[test]
fn names_that_load_code_are_refused_in_clear_and_empty_and_otherwise_need_to_be_allowed() {
    let sandbox = Sandbox::with_identity();
    let names: Vec<String> = LOADS_CODE.iter().flat_map(|pattern| examples(pattern)).collect();
    assert!(names.len() > LOADS_CODE.len());
    for name in &names {
        let (value, empty) = (format!("OK=1\n{name}=/planted\n"), format!("OK=1\n{name}=\n"));
        encrypted_but(&sandbox, "clear.env", value.as_bytes(), &format!("^{name}$"));
        as_sops_writes(&sandbox, "empty.env", empty.as_bytes());
        as_sops_writes(&sandbox, "encrypted.env", value.as_bytes());
        let open = "empty or not encrypted";
        let cases: [(&[&str], &str); 7] = [
            (&["-f", "clear.env"], open),
            (&["-f", "clear.env", "--allow", name], open),
            (&["-f", "empty.env", "--allow", name], open),
            (&["-f", "empty.env", "--literal", "--allow", name], open),
            (&["-f", "encrypted.env"], "--allow"),
            (&["-f", "encrypted.env", "--literal"], "--allow"),
            (&["-f", "encrypted.env", "--allow", "OTHER", "--allow", "*"], "--allow"),
        ];
        for (options, said) in cases {
            let found = exec(&sandbox, options);
            assert_eq!((found.code, found.values.len()), (125, 0), "{name} {options:?}: {}", found.said);
            assert!(found.said.contains(said) && found.said.contains(&format!("`{name}`")), "{}", found.said);
            assert!(!found.said.contains("/planted"), "{}", found.said);
        }
        let found = exec(&sandbox, &["-f", "encrypted.env", "--allow", name]);
        assert_eq!((found.code, found.values.get("OK").map(String::as_str)), (0, Some("1")), "{name}: {}", found.said);
        assert!(name == "PATH" || found.values.get(name).is_some_and(|value| value == "/planted"), "{name}");
    }
}

#[test]
fn on_a_terminal_a_name_that_loads_code_is_asked_about() {
    let sandbox = Sandbox::with_identity();
    as_sops_writes(&sandbox, "secrets.env", b"PYTHONPATH=./src\n");
    // Yes is remembered, so it comes last.
    for (answer, ended) in [("\n", (125, false)), ("no\n", (125, false)), ("\x04", (125, false)), ("y\n", (0, true))] {
        let mut terminal = Terminal::start(&mut sandbox.dotsops(["exec", "--", "sh", "-c", "echo runs with $PYTHONPATH"]));
        assert!(terminal.shows("[y/N] ").contains("`PYTHONPATH` makes programs load code"));
        terminal.types(answer);
        let (code, shown) = terminal.ends();
        assert_eq!((code, shown.contains("runs with ./src")), ended, "{shown}");
    }
}

#[test]
fn names_that_redirect_programs_arrive_with_a_warning() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "HTTPS_PROXY=http://p\nENV=prod\n");
    let found = exec(&sandbox, &[]);
    assert_eq!((found.code, found.values), (0, pairs(&[("HTTPS_PROXY", "http://p"), ("ENV", "prod")])));
    assert!(found.said.lines().count() == 1 && found.said.contains("`HTTPS_PROXY`"), "{}", found.said);
}

#[test]
fn a_line_that_python_dotenv_would_drop_is_refused_and_literal_passes_it() {
    let sandbox = Sandbox::with_identity();
    for (line, value) in
        [("J=\"{\"canary\": 1}\"", "\"{\"canary\": 1}\""), ("J='it'\\''canary'", "'it'\\''canary'"), ("J=\"canary", "\"canary")]
    {
        as_sops_writes(&sandbox, "secrets.env", format!("# c\nA=1\n{line}\nB=2\n").as_bytes());
        let found = exec(&sandbox, &[]);
        assert_eq!((found.code, found.values.len()), (125, 0), "{line}");
        assert!(found.said.contains("secrets.env, line 3: `J`") && found.said.contains("--literal"), "{}", found.said);
        assert!(!found.said.contains("canary"), "{}", found.said);
        let found = exec(&sandbox, &["--literal"]);
        assert_eq!((found.code, found.values), (0, pairs(&[("A", "1"), ("J", value), ("B", "2")])));
    }
}

const SEVERAL_LINES: &[u8] = b"A=1\nINI=\"[db]=\nhost=h\nuser=u\"\nB=2\n";

#[test]
fn a_value_that_sops_spread_over_lines_is_whole_again_with_a_warning() {
    let sandbox = Sandbox::with_identity();
    as_sops_writes(&sandbox, "secrets.env", SEVERAL_LINES);
    let found = exec(&sandbox, &[]);
    assert_eq!((found.code, found.values), (0, pairs(&[("A", "1"), ("INI", "[db]=\nhost=h\nuser=u"), ("B", "2")])));
    assert!(found.said.contains("line 2: the value of `INI` is spread over several lines"), "{}", found.said);
}

#[test]
fn a_value_over_several_lines_takes_in_no_line_that_anybody_could_have_added() {
    let sandbox = Sandbox::with_identity();
    for line in ["host=", "x=", "", "#", "# anything", "'="] {
        as_sops_writes(&sandbox, "secrets.env", SEVERAL_LINES);
        put_in(&sandbox, "secrets.env", line, "user");
        let found = exec(&sandbox, &[]);
        assert_eq!((found.code, found.values.len()), (125, 0), "{line:?}: {}", found.said);
    }
    as_sops_writes(&sandbox, "secrets.env", b"INI=\"x=\nCLEAR=1\ny=\"\n");
    let found = exec(&sandbox, &[]);
    assert!(found.code == 125 && found.said.contains("takes in a line"), "{}", found.said);
}

#[test]
fn a_quote_put_in_before_a_value_does_not_swallow_it() {
    let sandbox = Sandbox::with_identity();
    for (plaintext, line) in [
        ("DB='s'\n", "'="),
        ("DB='s'\nC=1\n", "'="),
        ("DB=it's\nC='\n", "'="),
        ("DB=1 '=\n", "'="),
        ("DB=1\nC='\nD=2\n", "export '="),
    ] {
        as_sops_writes(&sandbox, "secrets.env", plaintext.as_bytes());
        put_in(&sandbox, "secrets.env", line, "DB");
        let found = exec(&sandbox, &[]);
        assert_eq!((found.code, found.values.len()), (125, 0), "{plaintext:?}: {}", found.said);
    }
}
