//! Runs an editor on the terminal and survives what can happen meanwhile.
//!
//! Knows nothing of which editor it is or of the text. Its one invariant: when [`run_editor`] returns, the editor has ended, the
//! terminal is usable, and a signal that should end this process has been kept for the caller and not lost.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::SIGTTOU;

use super::companion::{Companion, PipeEnd};
use super::fault::fault_point;
use super::signals::{DeathSignals, Disposition};

/// An editor about to be run. It inherits this process's environment, changed as given here.
pub struct Editor<'a> {
    /// Its absolute path.
    pub program: &'a Path,
    /// All its arguments, the file's path last.
    pub arguments: &'a [OsString],
    /// Variables it gets in addition.
    pub set: &'a [(OsString, OsString)],
    /// Variables it must not see: those that hold keys.
    pub remove: &'a [OsString],
    /// Who ends it if this process is killed.
    pub companion: Option<&'a Companion>,
}

/// How an editor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditorEnd {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal, which was meant for it alone.
    Signal(i32),
    /// This process got the signal: hang-up or termination. Save, wipe, then [`super::signals::die_by`] it.
    Interrupted(i32),
}

/// Runs `editor` and waits for its end. Call it from the main thread: the system hangs the editor up when the thread that started
/// it ends.
///
/// The editor is in our process group, so the terminal's keys reach it. While it runs, interrupt and quit are its own business;
/// in it they have their defaults again. Ctrl-Z stops both. On hang-up or termination the editor is hung up, and killed
/// after 2 seconds.
///
/// # Errors
/// The system's, if the editor cannot be started.
pub fn run_editor(editor: &Editor<'_>, signals: &DeathSignals) -> io::Result<EditorEnd> {
    let terminal = SavedTerminal::save();
    let mut command = Command::new(editor.program);
    command.args(editor.arguments).envs(editor.set.iter().map(|(name, value)| (name, value)));
    for name in editor.remove {
        command.env_remove(name);
    }
    die_with_us(&mut command, editor.companion.map(Companion::pipe));
    // Starting it drops our signal handlers in the editor, so there it has the defaults, or ignores what we were told to ignore.
    fault_point!(EditorStart);
    let child = command.spawn()?;
    fault_point!(kill EditorStarted);
    let end = await_end(child, signals, PATIENCE);
    signals.forget_interrupt();
    if !matches!(end, Ok(EditorEnd::Code(_))) {
        terminal.restore();
    }
    end
}

/// How long a hung-up editor may take to save what it has.
const PATIENCE: Duration = Duration::from_secs(2);

fn await_end(mut child: Child, signals: &DeathSignals, patience: Duration) -> io::Result<EditorEnd> {
    loop {
        let status = child.try_wait()?;
        // Asked after the child: a signal to all of us may have ended it, and then it is the signal that counts.
        match (signals.death(), status) {
            (Some(signal), None) => {
                hang_up(&mut child, signals, patience)?;
                return Ok(EditorEnd::Interrupted(signal));
            }
            (Some(signal), Some(_)) => return Ok(EditorEnd::Interrupted(signal)),
            (None, Some(status)) => return Ok(end_of(status)),
            (None, None) => signals.wait(None)?,
        }
    }
}

fn end_of(status: ExitStatus) -> EditorEnd {
    // A child that has ended has either a code or a signal.
    status.code().map_or_else(|| EditorEnd::Signal(status.signal().unwrap_or(0)), EditorEnd::Code)
}

fn hang_up(child: &mut Child, signals: &DeathSignals, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The child has not been waited for, so the number is still its own. One that is stopped has to go on to hear it.
        let _ = kill_process(pid, Signal::HUP);
        let _ = kill_process(pid, Signal::CONT);
    }
    while child.try_wait()?.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        signals.wait(Some(left))?;
    }
    Ok(())
}

/// Has the system hang the child up if this process is killed.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn die_with_us(command: &mut Command, companion: Option<PipeEnd>) {
    use rustix::process::{getpid, getppid, set_parent_process_death_signal};
    let parent = getpid();
    // SAFETY: between fork and exec the closure makes system calls and nothing else: no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::HUP))?;
            // Had we died before that call, nothing would tell the child any more.
            if getppid() != Some(parent) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            // Told before the program begins, so that no kill of ours can come between.
            if let Some(companion) = companion {
                companion.tell_own_number();
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_us(_command: &mut Command, _companion: Option<PipeEnd>) {}

/// The terminal as it was before the editor changed it.
struct SavedTerminal(Option<(File, Termios)>);

impl SavedTerminal {
    fn save() -> Self {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        Self(terminal.and_then(|terminal| tcgetattr(&terminal).ok().map(|state| (terminal, state))))
    }

    /// Puts it back, after an editor that could not.
    fn restore(&self) {
        if let Some((terminal, state)) = &self.0 {
            // An editor in a group of its own would have left us in the background, where this call stops the caller.
            let before = Disposition::set(SIGTTOU, Disposition::IGNORE);
            // It fails when the terminal is gone; then there is nothing to put back.
            let _ = tcsetattr(terminal, OptionalActions::Now, state);
            Disposition::set(SIGTTOU, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use signal_hook::consts::{SIGHUP, SIGKILL, SIGTERM};
    use signal_hook::low_level::raise;

    use super::super::testing::{in_own_process, own_process};
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn edit(script: &str, signals: &DeathSignals) -> EditorEnd {
        let arguments = words(&["-c", script]);
        let editor = Editor { program: Path::new("/bin/sh"), arguments: &arguments, set: &[], remove: &[], companion: None };
        run_editor(&editor, signals).unwrap()
    }

    #[test]
    fn an_editor_ends_with_a_code_or_by_a_signal() {
        in_own_process("sys::editor::tests::an_editor_ends_with_a_code_or_by_a_signal", || {
            let signals = DeathSignals::catch().unwrap();
            assert_eq!(edit("exit 0", &signals), EditorEnd::Code(0));
            assert_eq!(edit("exit 3", &signals), EditorEnd::Code(3));
            assert_eq!(edit("kill -9 $$", &signals), EditorEnd::Signal(SIGKILL));
            let missing = Editor { program: Path::new("/none/editor"), arguments: &[], set: &[], remove: &[], companion: None };
            assert_eq!(run_editor(&missing, &signals).unwrap_err().kind(), io::ErrorKind::NotFound);
        });
    }

    #[test]
    fn an_interrupt_while_it_runs_is_the_editors_business() {
        in_own_process("sys::editor::tests::an_interrupt_while_it_runs_is_the_editors_business", || {
            let signals = DeathSignals::catch().unwrap();
            assert_eq!(edit("kill -INT $PPID; kill -QUIT $PPID; exit 5", &signals), EditorEnd::Code(5));
            assert_eq!(signals.pending(), None);
            // In the editor itself they are not ignored.
            assert_eq!(edit("kill -INT $$; exit 5", &signals), EditorEnd::Signal(signal_hook::consts::SIGINT));
        });
    }

    #[test]
    fn a_death_signal_hangs_the_editor_up_and_waits_for_it() {
        in_own_process("sys::editor::tests::a_death_signal_hangs_the_editor_up_and_waits_for_it", || {
            let folder = tempfile::tempdir().unwrap();
            let saved = folder.path().join("saved");
            let script =
                format!("trap 'echo typed > {}; exit 0' HUP; kill -TERM $PPID; while :; do sleep 0.05; done", saved.display());
            let signals = DeathSignals::catch().unwrap();
            let begun = Instant::now();
            assert_eq!(edit(&script, &signals), EditorEnd::Interrupted(SIGTERM));
            assert!(begun.elapsed() < PATIENCE);
            assert_eq!(fs::read_to_string(saved).unwrap(), "typed\n");
            assert_eq!(signals.pending(), Some(SIGTERM));
        });
    }

    #[test]
    fn an_editor_that_ignores_hang_up_is_killed() {
        in_own_process("sys::editor::tests::an_editor_that_ignores_hang_up_is_killed", || {
            let signals = DeathSignals::catch().unwrap();
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "trap '' HUP TERM; kill -HUP $PPID; while :; do sleep 1; done"]);
            let begun = Instant::now();
            let child = command.spawn().unwrap();
            let pid = Pid::from_raw(child.id() as i32).unwrap();
            let end = await_end(child, &signals, Duration::from_millis(200)).unwrap();
            assert_eq!(end, EditorEnd::Interrupted(SIGHUP));
            assert!(begun.elapsed() >= Duration::from_millis(200));
            assert!(kill_process(pid, Signal::HUP).is_err(), "it is gone");
        });
    }

    #[test]
    fn a_stopped_editor_hears_the_hang_up_too() {
        in_own_process("sys::editor::tests::a_stopped_editor_hears_the_hang_up_too", || {
            let signals = DeathSignals::catch().unwrap();
            let begun = Instant::now();
            assert_eq!(edit("kill -TERM $PPID; kill -STOP $$; sleep 60", &signals), EditorEnd::Interrupted(SIGTERM));
            assert!(begun.elapsed() < PATIENCE);
        });
    }

    #[test]
    fn a_signal_that_ended_the_editor_with_us_is_not_lost() {
        in_own_process("sys::editor::tests::a_signal_that_ended_the_editor_with_us_is_not_lost", || {
            let signals = DeathSignals::catch().unwrap();
            let child = Command::new("/bin/sh").args(["-c", "exit 0"]).spawn().unwrap();
            raise(SIGHUP).unwrap();
            assert_eq!(await_end(child, &signals, PATIENCE).unwrap(), EditorEnd::Interrupted(SIGHUP));
        });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_editor_sees_its_variables_and_no_descriptor_of_ours() {
        let test = "sys::editor::tests::the_editor_sees_its_variables_and_no_descriptor_of_ours";
        let Some(output) = own_process(test, |command| {
            command.env("DOTSOPS_TEST_KEY", "canary");
        }) else {
            let descriptors = || -> BTreeSet<OsString> {
                fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name()).collect()
            };
            let inherited = descriptors();
            let open: Vec<_> = (0..8).map(|_| File::open("/dev/null").unwrap()).collect();
            let signals = DeathSignals::catch().unwrap();
            let script = "echo \"[$TMPDIR|$DOTSOPS_TEST_KEY]\"; for own; do test ! -e /proc/self/fd/$own || exit 9; done";
            let mut arguments = words(&["-c", script, "sh"]);
            // The lowest free one was taken by the listing itself, then and now.
            arguments.extend(descriptors().difference(&inherited).cloned());
            assert!(arguments.len() > 3 + open.len());
            let set = [("TMPDIR".into(), "/session/tmp".into())];
            let remove = words(&["DOTSOPS_TEST_KEY"]);
            let editor =
                Editor { program: Path::new("/bin/sh"), arguments: &arguments, set: &set, remove: &remove, companion: None };
            assert_eq!(run_editor(&editor, &signals).unwrap(), EditorEnd::Code(0));
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("[/session/tmp|]\n"), "{said}");
        assert!(output.status.success(), "{said}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_editor_is_hung_up_when_we_are_killed() {
        let test = "sys::editor::tests::the_editor_is_hung_up_when_we_are_killed";
        let Some(output) = own_process(test, |_| ()) else {
            let signals = DeathSignals::catch().unwrap();
            edit("trap 'echo hung up; exit' HUP; kill -KILL $PPID; while :; do sleep 0.05; done", &signals);
            unreachable!("we were killed");
        };
        assert_eq!(output.status.signal(), Some(SIGKILL));
        // The output ended when the editor, which holds the other end of the pipe, had ended.
        assert!(String::from_utf8_lossy(&output.stdout).contains("hung up\n"));
    }
}
