//! README.md and `tests/cli/*.md`, run as a reader would run them: each command in a shell, each text in a home of its own.
//!
//! A block fenced as `console` is a transcript: `$ ` begins a command, `> ` goes on with it, `? N` is its exit code if that is not 0,
//! the rest is what it says on stdout and stderr. `[..]` stands for any text in a line, a line `...` for any lines. Other fences are
//! not run. The home is called `/home/you`, the editor is a `vim` that runs `sed` with `$TYPED`, or else adds a DATABASE_URL.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::sandbox::Sandbox;

const EDITOR: &str = r#"#!/bin/sh
for file; do :; done
text=$(cat "$file"; echo .)
text=${text%.}
if [ -n "$TYPED" ]; then text=$(printf %s "$text" | sed "$TYPED"; echo .); text=${text%.}
else text="${text}DATABASE_URL=postgresql://shop:s3cret@db.example.org/shop
"; fi
printf %s "$text" > "$file"
"#;

/// The program instead of building it once more.
const CARGO: &str = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec dotsops \"$@\"\n";

macro_rules! transcripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            run(&format!("tests/cli/{}.md", stringify!($name)));
        })*
    };
}

transcripts! {
    check completions decrypt diff doctor drafts edit encrypt exec filestatus generate get groups init keygen keys man merge recipients rename rotate rule set textconv unset updatekeys
}

#[test]
fn readme() {
    run("README.md");
}

#[test]
fn no_transcript_is_forgotten_and_every_command_has_one() {
    let mut files: Vec<String> = fs::read_dir("tests/cli")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, NAMES);
    let mut commands: Vec<String> = dotsops::cli::definition().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    commands.sort();
    assert_eq!(commands, NAMES);
}

fn run(document: &str) {
    let sandbox = Sandbox::empty();
    let (root, home) = (sandbox.root(), sandbox.home());
    fs::create_dir(sandbox.path("examples")).unwrap();
    for file in ["keys.example", "examples/secrets.env"] {
        fs::copy(file, sandbox.path(file)).unwrap();
    }
    let bin = root.join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_dotsops"), bin.join("dotsops")).unwrap();
    script(&bin.join("vim"), EDITOR);
    script(&bin.join("cargo"), CARGO);
    let path = std::env::var("PATH").unwrap_or_default();
    // Without a terminal of its own a command would ask its questions on that of whoever runs the tests.
    let shell = format!(
        "#!/bin/sh\nsetsid=$(command -v setsid) && setsid=\"$setsid -w\"\nexec $setsid env -i HOME='{0}' PATH='{1}:{path}' TMPDIR='{2}' \
         USER=you EDITOR=vim TERM=xterm LC_ALL=C sh -c \"$1\" < /dev/null\n",
        home.display(),
        bin.display(),
        root.join("tmp").display(),
    );
    script(&bin.join("shell"), &shell);

    // trycmd runs a document in the folder with its name.
    let copy = root.join("transcript.md");
    fs::rename(sandbox.work(), root.join("transcript.in")).unwrap();
    let text = fs::read_to_string(document).unwrap().replace("/home/you", home.to_str().unwrap());
    fs::write(&copy, in_shell(&text)).unwrap();
    trycmd::TestCases::new().register_bin("shell", bin.join("shell")).case(&copy).run();
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Hands each command to a shell: trycmd itself knows neither pipes nor redirections.
fn in_shell(text: &str) -> String {
    let mut result = String::new();
    let mut in_transcript = false;
    let mut command: Option<String> = None;
    let mut is_first = true;
    for line in text.lines() {
        if let Some(more) = line.strip_prefix("> ").filter(|_| in_transcript)
            && let Some(command) = &mut command
        {
            // A line ends in a backslash where it goes on, as in any shell.
            command.truncate(command.trim_end_matches('\\').len());
            command.push_str(more);
            continue;
        }
        if let Some(command) = command.take() {
            result.push_str(&format!("$ shell '{}'\n", command.replace('\'', r"'\''")));
        }
        match line {
            "```console" => (in_transcript, is_first) = (true, true),
            _ if line.starts_with("```") || !in_transcript => {
                // To trycmd an output ends in an empty line.
                if std::mem::take(&mut in_transcript) {
                    result.push('\n');
                }
            }
            _ => {
                if let Some(first) = line.strip_prefix("$ ") {
                    if !std::mem::take(&mut is_first) {
                        result.push('\n');
                    }
                    command = Some(first.to_owned());
                    continue;
                }
            }
        }
        result.push_str(&format!("{line}\n"));
    }
    result
}
