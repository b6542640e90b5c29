//! `dotsops doctor`
//!
//! Looks at everything a command could stumble over, in the order in which one would: the machine, the identities, what is kept, the
//! editor, the file and its rule, git. Its two invariants: nothing is changed, asked or run but git and, if that is wanted, the editor;
//! and no secret is shown.

mod editor;
mod file;
mod git;
mod identities;
mod machine;
mod report;
mod state;

use std::path::PathBuf;

use self::report::{Form, Report};
use crate::cli::Surroundings;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::Failure;

/// Look at this machine and this repository, and say what to do about what is found
///
/// Looked at are the memory in which `edit` keeps plaintext, swap, your identities and where they come from, drafts and what killed
/// edits left, the editor and what it may keep, the file and who can read it, the rule of .sops.yaml that counts for it, and what git is
/// told. Nothing is changed and nobody is asked; no command or plugin is run for an identity.
///
/// Exit code 1: something was found.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops doctor\n  dotsops doctor --editor-check\n  dotsops doctor --format json prod.env")]
pub struct Arguments {
    /// The file; without it the nearest secrets.env or encrypted .env
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Have your editor (vim, neovim, nano or emacs) edit a text that is no secret, and look through the home for copies of it; this may
    /// take a while
    #[arg(long)]
    editor_check: bool,

    /// How to print it: lines, or a list for programs
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

/// Looks, and prints what was seen.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { file, editor_check, format } = arguments;
    let mut report = Report::default();
    report.good("dotsops", format!("{} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH));
    machine::look(&mut report, surroundings);
    let keyring = surroundings.environment.unattended_keyring();
    identities::look(&mut report, &keyring, surroundings);
    state::look(&mut report, surroundings);
    editor::look(&mut report, editor_check, surroundings);
    let path = file::look(&mut report, file, &keyring, surroundings);
    git::look(&mut report, &path, surroundings);
    report.print(format, &surroundings.output)?;
    Ok(if report.has_findings() { ExitCode::No } else { ExitCode::Done })
}
