//! The guard: a process beside an edit that cleans up if the edit is killed.
//!
//! It has no value and no data key, only what seals a draft, and sees a text no earlier than when the edit is gone. Its one invariant: a
//! text that was changed is in a draft before the session is wiped, or the session stays for the next edit to find.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::draft::{DraftKey, Reader, push_field};
use super::draft_place::DraftPlace;
use super::sweep::{Judged, judge};
use crate::secret::SecretBytes;
use crate::sys::companion::{Companion, Duty, Ending};
use crate::sys::file_lock::FileLock;
use crate::sys::left_session::LeftSession;
use crate::sys::private_file::Session;

/// The name under which the program is started to be a guard, alone on its command line.
pub const NAME: &str = "dotsops-guard";

/// How long a hung-up editor may take to save what it has.
const PATIENCE: Duration = Duration::from_secs(2);

/// Posts a guard beside an edit: `program` is this program. It holds the lock of the file and that of the session until it ends.
///
/// # Errors
/// The system's, if it cannot be started; then only the next edit cleans up after a kill.
pub(super) fn post(
    program: &Path,
    session: &Session,
    lock: &FileLock,
    drafts: &DraftPlace,
    key: &DraftKey,
) -> io::Result<Companion> {
    let mut message = SecretBytes::with_capacity(16 << 10);
    let [scratch, directory, session_lock] = session.descriptors();
    let [drafts, path] = [drafts.path(), session.path()].map(|path| path.as_os_str().as_bytes());
    [drafts, path, key.salt(), key.expose()].iter().for_each(|field| push_field(&mut message, field));
    Companion::start(program, OsStr::new(NAME), &message, &[scratch, directory, session_lock, lock.descriptor()])
}

/// Stands guard: what the program does when it is started under the name [`NAME`]. `now` tells the time in seconds since 1970.
///
/// # Errors
/// The system's, if this process was not started by an edit.
pub fn stand(now: &dyn Fn() -> u64) -> io::Result<()> {
    let mut duty = Duty::take_over()?;
    let order = Order::read(&duty.message).ok_or(io::ErrorKind::InvalidData)?;
    duty.message = SecretBytes::default();
    // The last one is the lock of the file, which is freed when this process ends.
    let session = LeftSession::handed_over(&mut duty.descriptors, order.session)?;
    match duty.wait() {
        Ending::Done => return Ok(()),
        Ending::Abandoned(editor) => editor.into_iter().for_each(|editor| editor.end(PATIENCE)),
    }
    if let Some(session) = session.unless_bare()
        && let Judged::Changed(orphan) = judge(session)
    {
        // What cannot be kept is left where it is, with nobody here to tell.
        let _ = orphan.keep_with(&order.key, &order.drafts, now());
    }
    Ok(())
}

/// What a guard is told.
struct Order {
    drafts: DraftPlace,
    session: PathBuf,
    key: DraftKey,
}

impl Order {
    fn read(message: &SecretBytes) -> Option<Self> {
        let mut reader = Reader::of(message.expose());
        let path = |field: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(field.to_vec()));
        Some(Self {
            drafts: DraftPlace::at(path(reader.field().ok()?)),
            session: path(reader.field().ok()?),
            key: DraftKey::new(reader.field().ok()?.try_into().ok()?, SecretBytes::copy_of(reader.field().ok()?))?,
        })
    }
}
