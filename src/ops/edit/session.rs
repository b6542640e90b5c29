//! The edit session, step by step.
//!
//! Open, lock, decrypt; write the text where only memory holds it; run the editor; read back; keep a draft; check; wipe; encrypt;
//! read the result back; replace the file if it is still the one that was opened, else merge, and begin again if there is something to
//! decide in the editor. Its one invariant: from the moment the user saved, the text is in the session, in a sealed draft or in the
//! file, whatever fails.

mod asking;
mod saving;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use time::UtcDateTime;

use super::base::Base;
use super::check::{Changes, Checked};
use super::dialog::{Choice, Dialog, Fact};
use super::draft::{Draft, DraftError, DraftKey};
use super::draft_place::DraftPlace;
use super::editors::Editor;
use super::error::{DraftFailure, EditError};
use super::guard;
use super::meta::Meta;
use super::sweep::sweep;
use crate::dialect;
use crate::document::metadata::Metadata;
use crate::document::selection::Selection;
use crate::keys::keyring::Keyring;
use crate::ops::file::MAX_FILE;
use crate::ops::new_file::NewFileError;
use crate::secret::SecretBytes;
use crate::sys::atomic_write::{ReadOnly, ReplaceError};
use crate::sys::companion::Companion;
use crate::sys::editor::{Editor as EditorProgram, EditorEnd, run_editor};
use crate::sys::fault::fault_point;
use crate::sys::file_lock::FileLock;
use crate::sys::private_file::{ReadBackError, Session, session_file_name};
use crate::sys::scratch::Scratch;
use crate::sys::signals::DeathSignals;

/// What an edit needs from its surroundings.
pub struct Edit<'a> {
    /// The file as given.
    pub path: &'a Path,
    /// What the user can unwrap with.
    pub keyring: &'a Keyring,
    /// The program.
    pub editor: &'a Editor,
    /// Signals that would end this process, caught so that nothing is left behind.
    pub signals: &'a DeathSignals,
    /// Where plaintext may lie.
    pub scratch: &'a Scratch,
    /// Where it may lie that killed edits left.
    pub swept: &'a [Scratch],
    /// Where drafts and locks are kept.
    pub state: &'a Path,
    /// The clock: an edit may last for hours.
    pub now: &'a dyn Fn() -> UtcDateTime,
    /// Variables that hold keys, which the editor must not see.
    pub key_variables: &'a [OsString],
    /// Names, with `*` for any text, that may stand in clear without a question.
    pub allow_plaintext: &'a [String],
    /// Whether the file may become empty without a question.
    pub allow_empty: bool,
    /// What to do about a file whose mode forbids its owner to write it.
    pub read_only: ReadOnly,
    /// This program, started again under the name [`guard::NAME`] to clean up if this process is killed, or why it is not found.
    pub guard: Result<&'a Path, &'a io::Error>,
    /// Whether to go on from the kept draft.
    pub resume: bool,
    /// What the rule of the file encrypts, if its metadata say something else.
    pub other_rule: &'a dyn Fn(&Metadata) -> Option<Selection>,
    /// Makes the metadata of a file that is not there yet, from its absolute path.
    pub new_metadata: &'a dyn Fn(&Path) -> Result<Metadata, NewFileError>,
}

/// How an edit ended well.
pub enum Outcome {
    /// The file is as it was.
    Unchanged,
    /// Nothing was saved, so no file was made.
    NothingCreated,
    /// The file is written.
    Saved(Changes),
    /// The file says already what was to be saved: somebody else wrote it meanwhile.
    SavedByOthers,
    /// The user threw the text away.
    Discarded,
}

/// Edits a file; makes it if it is not there.
///
/// # Errors
/// [`EditError`]. Whatever the user had saved is then in a draft, or left in the session that the error names.
pub fn edit(request: &Edit, dialog: &mut dyn Dialog) -> Result<Outcome, EditError> {
    let lock = FileLock::acquire(request.state, request.path)?;
    let drafts = DraftPlace::of(request.state, request.path)?;
    for orphan in sweep(request.swept, Some(request.path), &mut |found| dialog.tell(Fact::Found(found))) {
        dialog.tell(Fact::Found(&orphan.keep(request.keyring, &drafts, request.time())));
    }
    let (base, start) = match (drafts.read()?, request.resume) {
        (Some(sealed), true) => Base::of_draft(request, &sealed, dialog)?,
        (None, true) => return Err(EditError::NoDraft),
        (Some(sealed), false) => match Base::open(request, dialog) {
            Ok(base) if base.holds_draft(&sealed) => {
                drafts.drop_draft()?;
                base.with_its_text()
            }
            _ => return Err(EditError::DraftPending),
        },
        (None, false) => Base::open(request, dialog)?.with_its_text(),
    };
    if !base.original.is_new || base.is_removed() {
        base.introduce(dialog)?;
    }
    let draft_key = DraftKey::derive(base.original.document.data_key())?;
    Running {
        request,
        dialog,
        // Whoever had a file made again has said so.
        is_proposed: request.resume && !base.is_removed(),
        base,
        shown: start,
        drafts,
        draft_key,
        warned: false,
        agreed: Vec::new(),
        lock,
        guard: None,
        unguarded: false,
    }
    .run()
}

impl Edit<'_> {
    /// The file's absolute path.
    pub(super) fn absolute_path(&self) -> PathBuf {
        std::path::absolute(self.path).unwrap_or_else(|_| self.path.to_owned())
    }

    /// Now, in seconds since 1970.
    fn time(&self) -> u64 {
        (self.now)().unix_timestamp().try_into().unwrap_or_default()
    }
}

/// An edit that has begun.
struct Running<'a> {
    request: &'a Edit<'a>,
    dialog: &'a mut dyn Dialog,
    base: Base,
    /// The text the editor is given.
    shown: SecretBytes,
    /// That is a draft, or merged, and the user has not said yet that it is to be saved, by changing it or in an answer.
    is_proposed: bool,
    drafts: DraftPlace,
    draft_key: DraftKey,
    lock: FileLock,
    /// Who cleans up if this process is killed, while there is a session.
    guard: Option<Companion>,
    /// That there is no guard was said.
    unguarded: bool,
    /// What the editor may keep was said.
    warned: bool,
    /// Names that may stand in clear, as the user said.
    agreed: Vec<String>,
}

/// What came out of the editor.
enum Edited {
    Unchanged,
    Discarded,
    /// To be stored; a draft of it is kept.
    Accepted(Checked),
}

impl Running<'_> {
    fn run(mut self) -> Result<Outcome, EditError> {
        loop {
            match self.edit_in_session()? {
                Edited::Accepted(checked) => {
                    if let Some(outcome) = self.save(checked)? {
                        return Ok(outcome);
                    }
                }
                Edited::Unchanged => {
                    self.drafts.drop_draft()?;
                    return Ok(if self.base.original.is_new { Outcome::NothingCreated } else { Outcome::Unchanged });
                }
                Edited::Discarded => {
                    self.drafts.drop_draft()?;
                    return Ok(Outcome::Discarded);
                }
            }
        }
    }

    /// From the text to what the user made of it. Only in here it is in clear.
    fn edit_in_session(&mut self) -> Result<Edited, EditError> {
        let name = self.request.path.file_name().unwrap_or(OsStr::new("secrets.env")).to_string_lossy();
        let text_name = session_file_name(&name, "env");
        let original = &self.base.original;
        let base = (original.bytes.expose(), original.is_new, !self.base.exposed.is_empty());
        let meta = Meta::new(&self.request.absolute_path(), &text_name, base, self.shown.expose(), self.request.time());
        let meta = meta.map_err(DraftError::from)?.to_bytes();
        let mut session = Session::create(self.request.scratch, &text_name)?;
        self.post_guard(&session);
        let edited = self.edit_until_accepted(&mut session, &meta);
        // Whatever came of it, here the plaintext ends, before anything is encrypted or said; but for a session that was left.
        fault_point!(kill SessionWipe);
        if session.wipe().is_err() {
            self.dialog.tell(Fact::NotWiped(session.path()));
        }
        self.guard = None;
        fault_point!(kill SessionWiped);
        edited
    }

    /// Posts the guard. An edit goes on without one, but the user is told so, once.
    fn post_guard(&mut self, session: &Session) {
        let post = |program| guard::post(program, session, &self.lock, &self.drafts, &self.draft_key);
        match self.request.guard.map(post) {
            Ok(Ok(guard)) => self.guard = Some(guard),
            Ok(Err(error)) => self.tell_unguarded(&error),
            Err(error) => self.tell_unguarded(error),
        }
    }

    fn tell_unguarded(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.unguarded, true) {
            self.dialog.tell(Fact::Unguarded(error));
        }
    }

    fn edit_until_accepted(&mut self, session: &mut Session, meta: &[u8]) -> Result<Edited, EditError> {
        fault_point!(SessionMade);
        session.write_meta(meta, self.base.original.bytes.expose())?;
        session.write_text(&self.shown)?;
        loop {
            self.check_signals()?;
            let edited = self.run_editor(session)?;
            if self.base.is_untouched(&edited) {
                return Ok(Edited::Unchanged);
            }
            fault_point!(kill TextTaken);
            self.keep_draft(&edited, session)?;
            fault_point!(kill DraftKept);
            self.check_signals()?;
            match self.base.check(&edited) {
                Ok(checked) if self.base.is_said_by(&checked) => return Ok(Edited::Unchanged),
                Ok(checked) => {
                    if self.is_accepted(&checked)? && self.is_wanted(&edited, &checked)? {
                        return Ok(Edited::Accepted(checked));
                    }
                }
                Err(mistakes) => match self.dialog.mistakes(&mistakes) {
                    Choice::EditAgain => {}
                    Choice::KeepDraft => return Err(EditError::Mistakes(mistakes)),
                    Choice::Discard => return Ok(Edited::Discarded),
                },
            }
            // Rewritten from memory: whatever the editor made of the file, the user goes on from what was read.
            session.rewrite_text(&edited)?;
            self.shown = edited;
        }
    }

    /// Runs the editor and reads back what it left.
    fn run_editor(&mut self, session: &mut Session) -> Result<SecretBytes, EditError> {
        let editor = self.request.editor;
        let precautions = editor.precautions(&session.temporary_directory());
        if let Some(warning) = precautions.warning
            && !std::mem::replace(&mut self.warned, true)
        {
            self.dialog.tell(Fact::EditorKeeps(&editor.name, warning));
        }
        let mut arguments: Vec<OsString> = precautions.arguments;
        arguments.extend(editor.arguments.iter().cloned());
        arguments.push(session.text_path().into_os_string());
        let temporary =
            precautions.in_terminal.then(|| (OsString::from("TMPDIR"), session.temporary_directory().into_os_string()));
        let program = EditorProgram {
            program: &editor.program,
            arguments: &arguments,
            set: temporary.as_slice(),
            remove: self.request.key_variables,
            companion: self.guard.as_ref(),
        };
        let started = Instant::now();
        let mut end = run_editor(&program, self.request.signals);
        let mut edited = read_back(session)?;
        let is_same = |edited: &Result<SecretBytes, ReadBackError>, text: &[u8]| {
            edited.as_ref().is_ok_and(|edited| is_same_text(edited, text))
        };
        let is_quick = started.elapsed().as_secs() < 2 && !precautions.in_terminal;
        if is_quick && matches!(end, Ok(EditorEnd::Code(0))) && is_same(&edited, self.shown.expose()) {
            self.dialog.wait_until_closed();
            if let Some(signal) = self.request.signals.pending() {
                end = Ok(EditorEnd::Interrupted(signal));
            }
            edited = read_back(session)?;
        }
        if matches!(end, Ok(EditorEnd::Code(0))) {
            return edited.map_err(EditError::ReadBack);
        }
        // The editor failed or we are to end: what it had saved becomes a draft, and the file stays as it is.
        // What was given to it is in a draft already, or in the file.
        let is_old = is_same(&edited, self.shown.expose()) || edited.as_ref().is_ok_and(|edited| self.base.is_untouched(edited));
        if let (false, Ok(edited)) = (is_old, &edited) {
            self.keep_draft(edited, session)?;
        }
        let name = editor.name.clone();
        Err(match end {
            Ok(EditorEnd::Interrupted(signal)) => EditError::Interrupted { signal },
            Ok(end) => EditError::EditorFailed { name, end },
            Err(source) => EditError::EditorNotStarted { name, source },
        })
    }

    /// Keeps a draft, or else leaves the session where it is: one of the two has the text.
    fn keep_draft(&mut self, text: &SecretBytes, session: &mut Session) -> Result<(), EditError> {
        loop {
            match self.try_to_keep_draft(text) {
                Ok(()) => return Ok(()),
                Err(error) if self.dialog.draft_failed(&error) => {}
                Err(source) => return Err(EditError::DraftNotKept { source, session: session.leave() }),
            }
        }
    }

    fn try_to_keep_draft(&self, text: &SecretBytes) -> Result<(), DraftFailure> {
        let draft = Draft {
            path: self.request.absolute_path(),
            base: self.base.original.bytes.expose().to_vec(),
            new_file: self.base.original.is_new,
            exposed: !self.base.exposed.is_empty(),
            time: self.request.time(),
        };
        let sealed = draft.seal(text, &self.draft_key)?;
        match self.drafts.keep(sealed) {
            // It is there; only a power cut in the next seconds could take it.
            Err(ReplaceError::NotDurable(_)) => Ok(()),
            kept => Ok(kept?),
        }
    }

    /// Ends the edit if a signal came while no editor ran. What had been saved is a draft by then.
    fn check_signals(&self) -> Result<(), EditError> {
        self.request.signals.pending().map_or(Ok(()), |signal| Err(EditError::Interrupted { signal }))
    }
}

/// What the editor left: a text, or something that is none. If the system fails to tell, the session is left as it is.
fn read_back(session: &mut Session) -> Result<Result<SecretBytes, ReadBackError>, EditError> {
    match session.read_text(MAX_FILE) {
        Err(ReadBackError::Io(source)) => Err(EditError::TextNotRead { source, session: session.leave() }),
        read => Ok(read),
    }
}

/// Whether two texts are the same but for line endings and a final one.
pub(super) fn is_same_text(edited: &SecretBytes, text: &[u8]) -> bool {
    match (dialect::decode(edited.expose()), dialect::decode(text)) {
        (Ok(edited), Ok(text)) => trimmed(edited.text.expose()) == trimmed(text.text.expose()),
        _ => edited.ct_eq(text),
    }
}

fn trimmed(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}
