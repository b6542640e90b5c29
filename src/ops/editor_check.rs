//! Whether an editor leaves copies of what it shows.
//!
//! Has it edit a text that is no secret, with the flags that `edit` gives it, and looks for that text in the user's folders. Its one
//! invariant: a copy that is there is found, unless it is said that not everything was looked at.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;

use super::edit::editors::Editor;
use crate::secret::SecretBytes;
use crate::sys::private_file::Session;
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

/// Runs `editor` on a text in `scratch` twice, once to its end and once until it is killed, then searches `folders`. It gets none of
/// the `hidden` variables.
///
/// # Errors
/// [`CheckError`].
pub fn check(editor: &Editor, scratch: &Scratch, folders: &[PathBuf], hidden: &[OsString]) -> Result<Kept, CheckError> {
    let batch = batch(editor).ok_or(CheckError::NotDriven)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::from)?;
    let canary: String = random.iter().map(|byte| format!("{byte:02x}")).chain(["canary".to_owned()]).collect();
    // A second before: file systems count time more coarsely than the clock.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64) - 1;
    let ends = ["qa!", "call system('kill -9 ' . getpid())"];
    for end in ends {
        let session = Session::create(scratch, "canary.env")?;
        session.write_text(&SecretBytes::copy_of(format!("FIRST={canary}\n").as_bytes()))?;
        let script = format!("execute \"normal! GoSECOND={canary}\\<Esc>yyddp\" | write | {end}");
        let ran = run(editor, &session, &[batch, "-c", &script], hidden);
        let text = session.read_text(LARGEST);
        let mut session = session;
        session.wipe()?;
        ran?;
        match text {
            Ok(text) if memmem::find(text.expose(), b"SECOND=").is_some() => {}
            _ => return Err(CheckError::NotSaved),
        }
    }
    Ok(copies(folders, canary.as_bytes(), start))
}

/// The option with which an editor needs no terminal.
fn batch(editor: &Editor) -> Option<&'static str> {
    let resolved = fs::canonicalize(&editor.program).unwrap_or_else(|_| editor.program.clone());
    [&resolved, &editor.program].into_iter().find_map(|path| match path.file_name()?.to_str()? {
        "nvim" => Some("--headless"),
        name if name == "vim" || name.starts_with("vim.") => Some("--not-a-term"),
        _ => None,
    })
}

fn run(editor: &Editor, session: &Session, batch: &[&str], hidden: &[OsString]) -> Result<(), CheckError> {
    let temporary = session.temporary_directory();
    let mut command = Command::new(&editor.program);
    command.args(editor.precautions(&temporary).arguments).args(&editor.arguments).args(batch).arg(session.text_path());
    command.env("TMPDIR", &temporary).env("TERM", "dumb");
    for name in hidden {
        command.env_remove(name);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(CheckError::NoEnd);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
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
    /// It is none of those that can be run without a terminal.
    #[error("it needs a terminal")]
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
