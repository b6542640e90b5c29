//! `dotsops man`

use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;
use crate::cli::{Surroundings, definition};

/// Print a man page
///
/// Without COMMAND it is the page of dotsops itself. `dotsops man exec > dotsops-exec.1` makes a file of it, and `dotsops man exec |
/// man -l -` shows it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops man exec\n  dotsops man > dotsops.1")]
pub struct Arguments {
    /// The command whose page is wanted; two words where there are commands below it
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Makes the page from the definition of the command line, and prints it.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let page = page(&arguments.command)?;
    surroundings.output.line(page.trim_end_matches('\n'))?;
    Ok(ExitCode::Done)
}

fn page(words: &[String]) -> Result<String, Failure> {
    // A page has no date: it is as old as the definition. Wrapping is the reader's.
    let mut program = definition().disable_help_flag(true).disable_version_flag(true);
    program.build();
    let mut command = &program;
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| {
            Failure::usage(&format!("there is no command `{}`", words.join(" ")), "`dotsops --help` lists them all")
        })?;
    }
    let name = |separator: &str| [&["dotsops".to_owned()], words].concat().join(separator);
    let command = command.clone().display_name(name("-")).bin_name(name(" "));
    let mut page = Vec::new();
    clap_mangen::Man::new(command).manual("dotsops").render(&mut page)?;
    // It is made of texts alone.
    Ok(String::from_utf8(page).unwrap_or_default())
}
