//! `dotsops completions`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::ValueEnum;

use crate::cli::Surroundings;
use crate::cli::completion::{Candidate, candidates};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;

/// Print what makes a shell complete dotsops's command lines
///
/// Completed are verbs, options, encrypted files, and the names in the file that the command line is about. Behind `exec … --` the
/// program's own completion goes on. No key is needed, and nothing is asked.
///
/// In ~/.bashrc: source <(dotsops completions bash). In ~/.zshrc, behind compinit: source <(dotsops completions zsh). In
/// ~/.config/fish/config.fish: dotsops completions fish | source.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dotsops completions bash")]
pub struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,

    /// What is typed so far, as the shell's script hands it over
    #[arg(last = true, hide = true)]
    typed: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../completion/dotsops.bash"),
            Self::Zsh => include_str!("../completion/dotsops.zsh"),
            Self::Fish => include_str!("../completion/dotsops.fish"),
        }
    }
}

/// Prints the script, or, to the script, what can stand at the cursor.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    if arguments.typed.is_empty() {
        surroundings.output.line(arguments.shell.script().trim_end())?;
        return Ok(ExitCode::Done);
    }
    let find = |words| candidates(crate::cli::definition(), words, &surroundings.environment);
    match arguments.shell {
        Shell::Bash => {
            let [line, replaced, ..] = arguments.typed.as_slice() else { return Ok(ExitCode::Done) };
            let Typed { words, open_quote } = Typed::parse(line);
            let last = words.last().cloned().unwrap_or_default();
            // bash replaces only what stands behind the last `=` or `:`.
            let kept = last.len().saturating_sub(Typed::parse(replaced).words.pop().unwrap_or_default().len());
            let in_home = last.as_encoded_bytes().starts_with(b"~/");
            for Candidate { value, .. } in find(words) {
                let rest = value.get(kept..).unwrap_or_default();
                if let Some(text) = if open_quote { as_it_is(rest) } else { Some(escaped(rest, in_home && kept == 0)) } {
                    surroundings.output.line(&text)?;
                }
            }
        }
        Shell::Zsh | Shell::Fish => {
            for Candidate { value, help } in find(arguments.typed) {
                surroundings.output.line(&format!("{value}\t{help}"))?;
            }
        }
    }
    Ok(ExitCode::Done)
}

/// An unfinished line of bash, taken apart. bash itself gives words that keep their quotes and are also split at `=` and `:`.
struct Typed {
    /// The words without their quotes. The last one is that at the cursor, and may be empty.
    words: Vec<OsString>,
    /// Whether the cursor stands inside of quotes.
    open_quote: bool,
}

impl Typed {
    fn parse(line: &OsStr) -> Self {
        // A letter tells a new word from the end of the one before.
        let split = |end: &&[u8]| Some((shlex::bytes::split(&[line.as_bytes(), b"x", end].concat())?, !end.is_empty()));
        let (mut words, open_quote) = [b"".as_slice(), b"\"", b"'"].iter().find_map(split).unwrap_or_default();
        if let Some(last) = words.last_mut() {
            last.pop();
        }
        Self { words: words.into_iter().map(OsString::from_vec).collect(), open_quote }
    }
}

/// What may stand inside of quotes of either kind; bash puts it there as it is.
fn as_it_is(text: &str) -> Option<String> {
    (!text.contains(['\'', '"', '$', '`', '\\', '!'])).then(|| text.to_owned())
}

/// A piece of a word for bash, which puts it into the line as it is. A `~` keeps its meaning only where it was typed.
fn escaped(text: &str, in_home: bool) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "_-./:=,@%+".contains(character);
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if !(is_plain(character) || (in_home && at == 0)) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_is_split_as_bash_would_finish_it() {
        let cases: [(&str, &[&str]); 8] = [
            ("dotsops ", &["dotsops", ""]),
            ("dotsops get DB", &["dotsops", "get", "DB"]),
            ("dotsops get -f 'a b' ", &["dotsops", "get", "-f", "a b", ""]),
            ("dotsops get -f a\\ b", &["dotsops", "get", "-f", "a b"]),
            ("dotsops get -f \"a b", &["dotsops", "get", "-f", "a b"]),
            ("dotsops get -f 'a b", &["dotsops", "get", "-f", "a b"]),
            ("dotsops exec --only=A:B", &["dotsops", "exec", "--only=A:B"]),
            ("", &[""]),
        ];
        for (line, expected) in cases {
            let typed = Typed::parse(OsStr::new(line));
            assert_eq!(typed.words, expected, "{line}");
            assert_eq!(typed.open_quote, line.matches(['"', '\'']).count() % 2 == 1, "{line}");
        }
    }

    #[test]
    fn what_is_escaped_is_one_word_of_a_shell_again() {
        let every: String = (' '..='\u{2ff}').chain("€😀".chars()).collect();
        for text in ["plain", "$(touch x);`y`", "a b", "~/x", "-x", "#", "", &every] {
            let expected = if text.is_empty() { vec![] } else { vec![text.to_owned()] };
            assert_eq!(shlex::split(&escaped(text, false)).unwrap(), expected, "{text}");
        }
        assert_eq!(escaped("~/a b", true), "~/a\\ b");
        assert_eq!(as_it_is("a b;c").as_deref(), Some("a b;c"));
        for text in ["$x", "`x`", "a\"", "a'", "a\\", "!x"] {
            assert_eq!(as_it_is(text), None);
        }
    }
}
