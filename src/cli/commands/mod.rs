//! One file per subcommand: its arguments, whose doc comments are the help, and `run`.

mod change;
pub mod check;
pub mod completions;
pub mod decrypt;
pub mod diff;
pub mod doctor;
pub mod drafts;
pub mod edit;
pub mod encrypt;
pub mod exec;
pub mod filestatus;
pub mod generate;
pub mod get;
pub mod groups;
pub mod init;
pub mod keygen;
pub mod keys;
pub mod man;
mod many;
pub mod merge;
pub mod recipients;
pub mod rename;
pub mod rotate;
pub mod rule;
mod selection;
pub mod set;
pub mod textconv;
pub mod unset;
pub mod updatekeys;

use std::io;
use std::path::{Path, PathBuf};

use super::failure::{Failure, short};
use super::{Surroundings, working_directory};
use crate::format::detect;
use crate::keys::group::KeyGroup;
use crate::keys::quantum::weak_links;
use crate::ops::file::{MAX_FILE, default_file, read_bytes};
use crate::secret::SecretBytes;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::terminal;

/// The file that is meant if none is named on the command line.
fn file_or_default(named: Option<PathBuf>, surroundings: &Surroundings) -> Result<PathBuf, Failure> {
    if let Some(path) = named.or_else(|| surroundings.environment.var("DOTSOPS_FILE").map(PathBuf::from)) {
        return Ok(path);
    }
    let here = working_directory()?;
    let found = default_file(&here).ok_or_else(|| Failure::no_file(&here))?;
    // Shown as short as it was meant: relative where that is possible.
    Ok(found.strip_prefix(&here).map(PathBuf::from).unwrap_or(found))
}

/// What became of the file `path` that was to be written.
fn written(path: &Path, result: Result<(), ReplaceError>, surroundings: &Surroundings) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(ReplaceError::NotDurable(_)) => {
            surroundings.output.warning(NOT_DURABLE);
            Ok(())
        }
        Err(error) => Err(Failure::not_written(path, error)),
    }
}

/// What is said of a file that is written, and may be gone after a power cut.
const NOT_DURABLE: &str = "the system did not confirm that the file would survive a power cut now";

/// Whether standard input is meant: `-`, or no file named and something piped in.
fn means_stdin(file: Option<&Path>, in_place: bool) -> bool {
    match file {
        Some(path) => path == "-",
        None => !in_place && !terminal::is_terminal(io::stdin()) && stdin_is_pipe_or_file(),
    }
}

/// A closed or null standard input, as in many services, is not data that somebody meant.
fn stdin_is_pipe_or_file() -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata("/dev/stdin").is_ok_and(|stdin| stdin.is_file() || stdin.file_type().is_fifo())
}

/// Standard input, whole, past std's own buffer, which would keep a copy of it.
fn read_stdin() -> Result<SecretBytes, Failure> {
    let mut bytes = SecretBytes::with_capacity(64 << 10);
    let mut chunk = SecretBytes::from_vec(vec![0; 64 << 10]);
    loop {
        match rustix::io::read(rustix::stdio::stdin(), chunk.expose_mut()) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.push(&chunk.expose()[..length]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        if bytes.len() as u64 > MAX_FILE {
            return Err(Failure::stdin_too_large());
        }
    }
}

/// Refuses a target that is an encrypted file: its values would be gone.
fn refuse_to_replace_encrypted(target: &Path) -> Result<(), Failure> {
    match read_bytes(target) {
        Ok(there) if detect(there.bytes.expose()).is_some() => Err(Failure::would_replace_encrypted(target)),
        _ => Ok(()),
    }
}

/// Says so if classic keys undo what the post-quantum recipients of a file were chosen for.
fn warn_of_weak_links(groups: &[KeyGroup], threshold: u32, surroundings: &Surroundings) {
    let weak: Vec<String> = weak_links(groups, threshold).iter().map(|key| key.recipient().to_owned()).collect();
    say_weak(&weak, surroundings);
}

fn say_weak(weak: &[String], surroundings: &Surroundings) {
    let weak: Vec<String> = weak.iter().map(|recipient| short(recipient)).collect();
    if !weak.is_empty() {
        surroundings.output.warning(format_args!(
            "this is not post-quantum safe: beside post-quantum recipients there are classic ones, which a quantum computer \
             would open: {}",
            weak.join(", ")
        ));
    }
}

/// Says that comments are not what the file's rule makes of them.
fn clear_comments(count: usize) -> String {
    match count {
        1 => "a comment stands in clear, or is none of this file's; nothing protects it".to_owned(),
        _ => format!("{count} comments stand in clear, or are none of this file's; nothing protects them"),
    }
}

/// Says that comments only look like what a merge leaves.
fn clear_marks(count: usize) -> String {
    let what = match count {
        1 => "a comment looks like a side of a conflict, but stands in clear, so no merge of dotsops wrote it".to_owned(),
        _ => format!("{count} comments look like sides of a conflict, but stand in clear, so no merge of dotsops wrote them"),
    };
    format!("{what}; anybody can add such lines, so they are taken for ordinary comments: `# !dotsops`")
}
