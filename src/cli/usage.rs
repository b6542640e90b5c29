//! A mistake on the command line, said as every other failure is: what is wrong, and what to do.

use std::ffi::OsString;

use clap::error::ErrorKind;

use super::failure::Failure;

/// What clap found wrong, without the usage that it would print behind it.
pub fn failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let text = error.render().to_string();
    let (mut what, mut tips) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more")) {
        match line.strip_prefix("tip: ") {
            Some(tip) => tips.push(tip),
            None if line.is_empty() => {}
            None => {
                let separator = if what.is_empty() { "" } else { " " };
                what = format!("{what}{separator}{}", line.strip_prefix("error: ").unwrap_or(line));
            }
        }
    }
    let verb = arguments.get(1).and_then(|verb| verb.to_str()).filter(|verb| verb.bytes().all(|byte| byte.is_ascii_lowercase()));
    let program_is_missing = verb == Some("exec") && !arguments.iter().any(|word| word == "--");
    let hint = match (tips.as_slice(), verb) {
        _ if program_is_missing => "the program stands behind `--`, as in `dotsops exec -- jupyter lab`".to_owned(),
        ([], Some(verb)) if super::definition().find_subcommand(verb).is_some() => {
            format!("`dotsops {verb} --help` shows what it takes")
        }
        ([], _) => "`dotsops --help` shows all commands".to_owned(),
        (tips, _) => tips.join("; "),
    };
    let failure = Failure::usage(&what, &hint);
    let failure = if error.kind() == ErrorKind::ArgumentConflict { failure.of_conflict() } else { failure };
    match verb == Some("edit") && arguments.iter().any(|word| word == "--sops-exit-codes") {
        true => failure.of_sops_edit(),
        false => failure,
    }
}
