//! Whether an editor leaves copies of what it shows.
//!
//! Has it edit a text that is no secret, with the flags that `edit` gives it, and looks for that text in the user's folders. Its one
//! invariant: a copy that is there is found, unless it is said that not everything was looked at.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;

use super::edit::editors::Editor;
use crate::secret::SecretBytes;
use crate::sys::private_file::Session;
use crate::sys::pseudo_terminal::PseudoTerminal;
use crate::sys::scratch::Scratch;

/// How long an editor may take to save and end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many files and folders are looked at.
const MOST: usize = 2_000_000;

/// Larger files are not searched.
const LARGEST: u64 = 64 << 20;

/// What an editor left.
#[derive(Debug, Default)]
pub struct Kept {
    /// The files that hold what it showed.
    pub copies: Vec<PathBuf>,
    /// Whether everything was looked at.
    pub is_whole: bool,
}

/// Runs `editor` on a text in `scratch` three times, to its end, until it is killed, and until it is hung up, then searches `folders`. It
/// gets none of the `hidden` variables.
///
/// # Errors
/// [`CheckError`].
pub fn check(editor: &Editor, scratch: &Scratch, folders: &[PathBuf], hidden: &[OsString]) -> Result<Kept, CheckError> {
    let told = told(editor).ok_or(CheckError::NotDriven)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::from)?;
    let canary: String = random.iter().map(|byte| format!("{byte:02x}")).chain(["canary".to_owned()]).collect();
    // A second before: file systems count time more coarsely than the clock.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64) - 1;
    for end in [End::Quits, End::Killed, End::HungUp] {
        let mut session = Session::create(scratch, TEXT_NAME)?;
        session.write_text(&SecretBytes::copy_of(format!("FIRST={canary}\n").as_bytes()))?;
        let ran = run(editor, &session, &told(&canary, end), end, hidden);
        session.wipe()?;
        ran?;
    }
    Ok(copies(folders, canary.as_bytes(), start))
}

/// What the text is called; to emacs its buffer too.
const TEXT_NAME: &str = "canary.env";

/// How an editor ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// By itself: it is told to.
    Quits,
    /// Killed, with more typed than it saved.
    Killed,
    /// Hung up, as by a terminal that is closed; the same.
    HungUp,
}

/// What an editor is told: to add a line with a canary, to cut and put back a line, to save, to add another line, and perhaps to quit.
#[derive(Default)]
struct Told {
    /// Arguments before the file's path.
    before: Vec<String>,
    /// Arguments behind it.
    behind: Vec<String>,
    /// Keys, each when it waits for them, until it has saved.
    saving: Vec<String>,
    /// Keys after that.
    ending: Vec<String>,
}

/// What tells `editor` that; `None` if nothing is known that does.
fn told(editor: &Editor) -> Option<fn(&str, End) -> Told> {
    let resolved = fs::canonicalize(&editor.program).unwrap_or_else(|_| editor.program.clone());
    [&resolved, &editor.program].into_iter().find_map(|path| match path.file_name()?.to_str()? {
        "nano" => Some(nano as fn(&str, End) -> Told),
        name if name == "nvim" || name == "vim" || name.starts_with("vim.") => Some(vim),
        name if name == "emacs" || ["emacs-", "emacs2", "emacs3"].iter().any(|start| name.starts_with(start)) => Some(emacs),
        _ => None,
    })
}

fn vim(canary: &str, end: End) -> Told {
    let quit = if end == End::Quits { " | qa!" } else { "" };
    let type_line = |name: &str| format!("execute \"normal! Go{name}={canary}\\<Esc>yyddp\"");
    let script = format!("{} | silent write | {}{quit}", type_line("SECOND"), type_line("THIRD"));
    Told { before: vec!["-c".to_owned(), script], ..Told::default() }
}

fn emacs(canary: &str, end: End) -> Told {
    let quit = if end == End::Quits { "(set-buffer-modified-p nil) (kill-emacs)" } else { "" };
    let type_line = |name: &str| format!("(goto-char (point-max)) (insert \"{name}={canary}\\n\") (kill-line -1) (yank)");
    let script =
        format!("(with-current-buffer \"{TEXT_NAME}\" {} (save-buffer) {} {quit})", type_line("SECOND"), type_line("THIRD"));
    Told { behind: ["-nw", "--eval", &script].map(str::to_owned).into(), ..Told::default() }
}

fn nano(canary: &str, end: End) -> Told {
    const WRITE: &str = "\x0f";
    const CUT: &str = "\x0b";
    const PASTE: &str = "\x15";
    const EXIT: &str = "\x18";
    let saving = vec![format!("SECOND={canary}\r{CUT}{PASTE}"), WRITE.to_owned(), "\r".to_owned()];
    let mut ending = vec![format!("THIRD={canary}\r")];
    if end == End::Quits {
        ending.extend([EXIT.to_owned(), "n".to_owned()]);
    }
    Told { saving, ending, ..Told::default() }
}

fn run(editor: &Editor, session: &Session, told: &Told, end: End, hidden: &[OsString]) -> Result<(), CheckError> {
    let temporary = session.temporary_directory();
    let mut command = Command::new(&editor.program);
    command
        .args(editor.precautions(&temporary).arguments)
        .args(&editor.arguments)
        .args(&told.before)
        .arg(session.text_path())
        .args(&told.behind);
    command.env("TMPDIR", &temporary).env("TERM", "xterm");
    for name in hidden {
        command.env_remove(name);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut running = PseudoTerminal::start(command)?;
    for keys in &told.saving {
        running.type_keys(keys.as_bytes(), deadline)?;
    }
    let has_saved = || session.read_text(LARGEST).is_ok_and(|text| memmem::find(text.expose(), b"SECOND=").is_some());
    while !running.ends((Instant::now() + Duration::from_millis(20)).min(deadline))? && !has_saved() {
        if Instant::now() >= deadline {
            return Err(CheckError::NotSaved);
        }
    }
    if !has_saved() {
        return Err(CheckError::NotSaved);
    }
    for keys in &told.ending {
        running.type_keys(keys.as_bytes(), deadline)?;
    }
    // Until it has done all that.
    running.type_keys(b"", deadline)?;
    match end {
        End::Quits => {}
        End::Killed => running.kill()?,
        End::HungUp => running.hang_up(),
    }
    if running.ends(deadline)? { Ok(()) } else { Err(CheckError::NoEnd) }
}

/// The files in `folders` that were changed since `start`, in seconds since 1970, and hold `canary`. No other file system is entered.
fn copies(folders: &[PathBuf], canary: &[u8], start: i64) -> Kept {
    let mut kept = Kept { copies: Vec::new(), is_whole: true };
    let finder = memmem::Finder::new(canary);
    let mut seen = 0;
    for folder in folders {
        let Ok(device) = folder.metadata().map(|metadata| metadata.dev()) else { continue };
        let mut pending = vec![folder.clone()];
        while let Some(folder) = pending.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                kept.is_whole = false;
                continue;
            };
            for path in entries.flatten().map(|entry| entry.path()) {
                seen += 1;
                if seen > MOST {
                    kept.is_whole = false;
                    return kept;
                }
                let Ok(metadata) = path.symlink_metadata() else { continue };
                if metadata.is_dir() && metadata.dev() == device {
                    pending.push(path);
                } else if metadata.is_file() && metadata.ctime() >= start {
                    match holds(&path, metadata.len(), &finder) {
                        Some(true) if !kept.copies.contains(&path) => kept.copies.push(path),
                        Some(_) => {}
                        None => kept.is_whole = false,
                    }
                }
            }
        }
    }
    kept
}

/// Whether a file holds what is looked for, if it can be read.
fn holds(path: &Path, length: u64, finder: &memmem::Finder) -> Option<bool> {
    if length > LARGEST {
        return None;
    }
    fs::read(path).ok().map(|bytes| finder.find(&bytes).is_some())
}

/// Why an editor could not be tried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It is none of those that are known well enough to be told what to do.
    #[error("how to drive it is not known")]
    NotDriven,
    /// It did not do what it was told.
    #[error("it did not save what it was told to type")]
    NotSaved,
    /// It went on and on.
    #[error("it did not end within {} seconds", PATIENCE.as_secs())]
    NoEnd,
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}
