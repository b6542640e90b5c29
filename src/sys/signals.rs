//! The signals that end a process, caught for as long as there is something to clean up first.
//!
//! Knows nothing of editors or files. Its one invariant: while a [`DeathSignals`] lives, hang-up, termination, interrupt and quit
//! are noted and nothing more, and a file that may not grow further is a failed write; once the last one is dropped they do what they
//! did before.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGXFSZ};
use signal_hook::low_level::{emulate_default_handler, pipe, unregister};

/// Notes the signals that would end this process, so that it can save and wipe before it ends.
///
/// A signal that was ignored when the process started (`nohup`, a background job) stays ignored.
pub struct DeathSignals {
    wake: UnixStream,
    /// The number of the last hang-up or termination, 0 if there was none.
    death: Arc<AtomicUsize>,
    /// The same of interrupt and quit, which a running editor keeps to itself.
    interrupt: Arc<AtomicUsize>,
    registrations: Vec<SigId>,
}

impl DeathSignals {
    /// Starts to catch them. The end of a child wakes whoever waits for them too.
    ///
    /// # Errors
    /// The system's, if it has no descriptors left.
    pub fn catch() -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut caught = Self { wake, death: Arc::default(), interrupt: Arc::default(), registrations: Vec::new() };
        DEFAULTS.suspend()?;
        // From here on dropping `caught` undoes what was done, however far it got.
        for (signal, noted) in
            [(SIGHUP, &caught.death), (SIGTERM, &caught.death), (SIGINT, &caught.interrupt), (SIGQUIT, &caught.interrupt)]
        {
            if DEFAULTS.handles(signal) {
                // The note is made before the reader is woken: actions run in the order they were registered.
                let noting = signal_hook::flag::register_usize(signal, Arc::clone(noted), signal as usize)?;
                caught.registrations.push(noting);
                caught.registrations.push(pipe::register(signal, waker.try_clone()?)?);
            }
        }
        caught.registrations.push(pipe::register(SIGCHLD, waker)?);
        // The write fails too, and that is told there. Not ignored, or programs that we start would ignore it.
        caught.registrations.push(signal_hook::flag::register(SIGXFSZ, Arc::default())?);
        Ok(caught)
    }

    /// The signal that should end this process, if one came: hang-up and termination before interrupt and quit.
    pub fn pending(&self) -> Option<i32> {
        self.death().or_else(|| noted(&self.interrupt))
    }

    /// Hang-up or termination, if one came.
    pub(super) fn death(&self) -> Option<i32> {
        noted(&self.death)
    }

    /// Forgets an interrupt or quit that was meant for the editor.
    pub(super) fn forget_interrupt(&self) {
        self.interrupt.store(0, Ordering::SeqCst);
    }

    /// Waits until a signal comes, a child ends, or `timeout` is over. It may return early.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        wait_readable(&[self.wake.as_fd()], timeout)?;
        self.drain();
        Ok(())
    }

    /// Waits until one of `sources` can be read or a signal comes.
    pub(super) fn wait_or_any_readable(&self, sources: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        let [first, second] = sources;
        wait_readable(&[first, second, self.wake.as_fd()], None)?;
        self.drain();
        Ok(())
    }

    fn drain(&self) {
        let mut wakes = [0; 64];
        while matches!((&self.wake).read(&mut wakes), Ok(read) if read > 0) {}
    }
}

impl Drop for DeathSignals {
    fn drop(&mut self) {
        for registration in self.registrations.drain(..) {
            unregister(registration);
        }
        DEFAULTS.resume();
    }
}

/// Notes Ctrl-Z instead of stopping, so that a terminal can be put in order first.
pub(super) struct StopSignal {
    wake: UnixStream,
    noted: Arc<AtomicBool>,
    registrations: Vec<SigId>,
}

/// Whether Ctrl-Z stops this process as usual; `None` until it was caught for the first time.
static STOPS: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);

impl StopSignal {
    /// Starts to catch it. It stays ignored if it was when the process started.
    pub(super) fn catch() -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut caught = Self { wake, noted: Arc::default(), registrations: Vec::new() };
        let mut stops = STOPS.lock().unwrap_or_else(PoisonError::into_inner);
        match &*stops {
            Some(stops) => stops.store(false, Ordering::SeqCst),
            None => {
                let before = Disposition::set(SIGTSTP, Disposition::IGNORE);
                if before == Disposition::IGNORE {
                    return Ok(caught);
                }
                Disposition::set(SIGTSTP, before);
                // `signal-hook` never takes its handler off again: with no action left it would swallow the signal.
                let enabled = Arc::new(AtomicBool::new(false));
                signal_hook::flag::register_conditional_default(SIGTSTP, Arc::clone(&enabled))?;
                *stops = Some(enabled);
            }
        }
        caught.registrations.push(signal_hook::flag::register(SIGTSTP, Arc::clone(&caught.noted))?);
        caught.registrations.push(pipe::register(SIGTSTP, waker)?);
        Ok(caught)
    }

    /// Whether it came since the last time this was asked.
    pub(super) fn take(&self) -> bool {
        while matches!((&self.wake).read(&mut [0; 64]), Ok(read) if read > 0) {}
        self.noted.swap(false, Ordering::SeqCst)
    }

    /// Stops this process, as if it had not been caught; returns when it is continued.
    pub(super) fn stop(&self) {
        let _ = emulate_default_handler(SIGTSTP);
    }

    /// Can be read when it came.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Waits until `source` can be read or it comes.
    pub(super) fn wait_or_readable(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        wait_readable(&[source, self.wake.as_fd()], None)
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        for registration in self.registrations.drain(..) {
            unregister(registration);
        }
        if let Some(stops) = &*STOPS.lock().unwrap_or_else(PoisonError::into_inner) {
            stops.store(true, Ordering::SeqCst);
        }
    }
}

/// Ends this process by `signal`, as if it had never been caught, so that the caller of the program sees the true cause.
///
/// Destructors do not run: save and wipe before.
pub fn die_by(signal: i32) -> ! {
    let _ = emulate_default_handler(signal);
    // Only a signal whose default is not to end the process gets here.
    std::process::abort()
}

/// Ends this process as the system would have when the reader of its output went away, had Rust's runtime not ignored that signal.
pub fn die_by_broken_pipe() -> ! {
    die_by(SIGPIPE)
}

/// Puts a broken pipe's signal back to its default, which Rust's runtime replaced at the start; returns what to put back.
pub(super) fn default_broken_pipe() -> Disposition {
    Disposition::set(SIGPIPE, Disposition::DEFAULT)
}

/// Undoes [`default_broken_pipe`].
pub(super) fn restore_broken_pipe(before: Disposition) {
    Disposition::set(SIGPIPE, before);
}

/// What happens on a signal, as the system names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Disposition(usize);

impl Disposition {
    const DEFAULT: Self = Self(0);
    pub(super) const IGNORE: Self = Self(1);

    /// Sets what happens on signal `number` and returns what happened before. `to` is one of the constants or what this returned.
    #[allow(unsafe_code)]
    pub(super) fn set(number: i32, to: Self) -> Self {
        // `sighandler_t` is an address; SIG_DFL is 0 and SIG_IGN is 1 on every Unix Rust supports. The `libc` crate would be
        // a dependency for this one line and `execve`.
        unsafe extern "C" {
            fn signal(number: std::ffi::c_int, handler: usize) -> usize;
        }
        // SAFETY: the handler is one of the two constants or was installed in this process before.
        Self(unsafe { signal(number, to.0) })
    }
}

/// Does by hand what the system would do on the signals we handle, whenever nobody catches them.
///
/// `signal-hook` never takes its handler off again; with no action left it would swallow the signal.
struct Defaults {
    state: Mutex<DefaultState>,
}

struct DefaultState {
    catchers: usize,
    /// Whether the default happens; `None` until the handlers are installed.
    enabled: Option<Arc<AtomicBool>>,
    ignored: Vec<i32>,
}

static DEFAULTS: Defaults = Defaults { state: Mutex::new(DefaultState { catchers: 0, enabled: None, ignored: Vec::new() }) };

impl Defaults {
    fn suspend(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Counted first: the caller's destructor will count it down whatever happens here.
        state.catchers += 1;
        if let Some(enabled) = &state.enabled {
            enabled.store(false, Ordering::SeqCst);
            return Ok(());
        }
        let enabled = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGXFSZ] {
            let before = Disposition::set(signal, Disposition::IGNORE);
            if before == Disposition::IGNORE {
                state.ignored.push(signal);
                continue;
            }
            Disposition::set(signal, before);
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&enabled))?;
        }
        state.enabled = Some(enabled);
        Ok(())
    }

    fn resume(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catchers -= 1;
        if let (0, Some(enabled)) = (state.catchers, &state.enabled) {
            enabled.store(true, Ordering::SeqCst);
        }
    }

    fn handles(&self, signal: i32) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).ignored.contains(&signal)
    }
}

fn noted(signal: &AtomicUsize) -> Option<i32> {
    i32::try_from(signal.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
}

fn wait_readable(sources: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
    let mut sources: Vec<PollFd<'_>> = sources.iter().map(|source| PollFd::new(source, PollFlags::IN)).collect();
    match poll(&mut sources, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use signal_hook::low_level::raise;

    use super::super::testing::{in_own_process, own_process};
    use super::*;

    #[test]
    fn caught_signals_are_noted_and_end_nothing() {
        in_own_process("sys::signals::tests::caught_signals_are_noted_and_end_nothing", || {
            let signals = DeathSignals::catch().unwrap();
            assert_eq!(signals.pending(), None);
            raise(SIGINT).unwrap();
            assert_eq!((signals.pending(), signals.death()), (Some(SIGINT), None));
            raise(SIGTERM).unwrap();
            assert_eq!(signals.pending(), Some(SIGTERM));
            signals.wait(None).unwrap();
        });
    }

    #[test]
    fn signals_work_again_after_the_last_catcher() {
        let test = "sys::signals::tests::signals_work_again_after_the_last_catcher";
        let Some(output) = own_process(test, |_| ()) else {
            for _ in 0..2 {
                let (first, second) = (DeathSignals::catch().unwrap(), DeathSignals::catch().unwrap());
                drop(first);
                raise(SIGINT).unwrap();
                assert_eq!(second.pending(), Some(SIGINT));
            }
            raise(SIGINT).unwrap();
            unreachable!("the interrupt ends the process");
        };
        assert_eq!(output.status.signal(), Some(SIGINT));
    }

    #[test]
    fn an_ignored_hang_up_stays_ignored() {
        in_own_process("sys::signals::tests::an_ignored_hang_up_stays_ignored", || {
            Disposition::set(SIGHUP, Disposition::IGNORE);
            let signals = DeathSignals::catch().unwrap();
            raise(SIGHUP).unwrap();
            assert_eq!(signals.pending(), None);
            drop(signals);
            raise(SIGHUP).unwrap();
        });
    }

    #[test]
    fn dying_by_a_caught_signal_shows_that_signal() {
        let Some(output) = own_process("sys::signals::tests::dying_by_a_caught_signal_shows_that_signal", |_| ()) else {
            let _signals = DeathSignals::catch().unwrap();
            die_by(SIGTERM);
        };
        assert_eq!(output.status.signal(), Some(SIGTERM));
    }
}
