//! A process of our own that outlives this one, to clean up after it.
//!
//! Knows nothing of what there is to clean up. Its one invariant: what a companion is given goes through a pipe and inherited
//! descriptors, nothing through its arguments or environment, and it holds nothing else of this process's; the system tells it the end
//! of this process by the end of that pipe.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP};

use super::signals::Disposition;
use crate::secret::SecretBytes;

/// The program that stands for this one, whatever has become of its file since it was started.
#[cfg(target_os = "linux")]
pub fn own_program() -> io::Result<std::path::PathBuf> {
    Ok("/proc/self/exe".into())
}

/// The program that stands for this one.
#[cfg(not(target_os = "linux"))]
pub fn own_program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

/// More than any message has.
const LARGEST_MESSAGE: usize = 64 << 10;

/// How long a companion may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running companion. Dropping it tells it that all is well, and waits for its end.
pub struct Companion {
    child: Child,
    pipe: OwnedFd,
}

impl Companion {
    /// Starts `program` under the name `name`, in a session of its own, with `message` and the `descriptors`. It does not wait until the
    /// companion has read them: they are its, whatever becomes of this process.
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub fn start(program: &Path, name: &OsStr, message: &SecretBytes, descriptors: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let (reader, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new(program);
        command.arg0(name).env_clear().current_dir("/").stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        inherit(&mut command, numbers.clone());
        let child = command.spawn()?;
        let companion = Self { child, pipe };
        let mut all = SecretBytes::with_capacity(message.len() + 4 * (2 + numbers.len()));
        all.push(&(numbers.len() as u32).to_be_bytes());
        numbers.iter().for_each(|number| all.push(&number.to_be_bytes()));
        all.push(&(message.len() as u32).to_be_bytes());
        all.push(message.expose());
        // It fits into the pipe, so nobody has to read it for this to go on.
        match all.len() <= LARGEST_MESSAGE {
            true => companion.pipe().write_all(all.expose()).map(|()| companion),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// What a program that is started by this process tells the companion its number through.
    pub(super) fn pipe(&self) -> PipeEnd {
        PipeEnd(self.pipe.as_raw_fd())
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.pipe().write_all(&note(DONE, 0));
        if !has_ended(&mut self.child, PATIENCE) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

#[cfg(target_os = "linux")]
fn has_ended(child: &mut Child, patience: Duration) -> bool {
    Watched::of(child.id()).is_some_and(|watched| watched.ends_within(patience))
}

#[cfg(not(target_os = "linux"))]
fn has_ended(child: &mut Child, _patience: Duration) -> bool {
    child.wait().is_ok()
}

/// The end of the pipe that is written to, as a forked child has it too; used no longer than the companion lives here.
#[derive(Clone, Copy)]
pub(super) struct PipeEnd(RawFd);

impl PipeEnd {
    /// Tells the companion the number of the process that calls it, with system calls alone: it is called between fork and exec.
    pub(super) fn tell_own_number(self) {
        // Without a companion at the other end, writing would end this process.
        let before = Disposition::set(SIGPIPE, Disposition::IGNORE);
        let _ = rustix::io::write(self.descriptor(), &note(STARTED, rustix::process::getpid().as_raw_nonzero().get() as u32));
        Disposition::set(SIGPIPE, before);
    }

    #[allow(unsafe_code)]
    fn descriptor<'a>(self) -> BorrowedFd<'a> {
        // SAFETY: the companion, which has the descriptor open, lives as long as this is used; a child has a copy under the same number.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    fn write_all(self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(self.descriptor(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

const DONE: u8 = b'd';
const STARTED: u8 = b's';

/// A note: short enough to be written in one piece.
fn note(kind: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [kind, a, b, c, d]
}

#[allow(unsafe_code)]
fn inherit(command: &mut Command, numbers: Vec<RawFd>) {
    // SAFETY: between fork and exec the closure makes system calls and nothing else: no allocation, no lock. The descriptors are open
    // there, since this process had them open when it forked.
    unsafe {
        command.pre_exec(move || {
            for number in &numbers {
                fcntl_setfd(BorrowedFd::borrow_raw(*number), FdFlags::empty())?;
            }
            // Out of reach of the terminal: neither its keys nor its end are for this process.
            setsid()?;
            Ok(())
        });
    }
}

/// A companion's own side: what it was given.
pub struct Duty {
    pipe: File,
    /// The message.
    pub message: SecretBytes,
    /// The descriptors, in the order they were given.
    pub descriptors: Vec<OwnedFd>,
}

/// How a companion's duty ends.
pub enum Ending {
    /// All is well.
    Done,
    /// The process is gone that was to say so. This is the last program it started, if the system can tell.
    Abandoned(Option<Watched>),
}

impl Duty {
    /// Takes over what [`Companion::start`] gave, in the process that it started: call it first of all. Whatever else was inherited is
    /// closed, and signals that anybody could send by oversight are ignored.
    ///
    /// # Errors
    /// The system's, or that nothing of the kind was given.
    pub fn take_over() -> io::Result<Self> {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP] {
            Disposition::set(signal, Disposition::IGNORE);
        }
        let mut pipe = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let count = number(&mut pipe)? as usize;
        if count > 16 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let numbers = (0..count).map(|_| number(&mut pipe).map(|number| number as RawFd)).collect::<io::Result<Vec<_>>>()?;
        let descriptors = own(&numbers, pipe.as_raw_fd())?;
        let length = number(&mut pipe)? as usize;
        if length > LARGEST_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut message = SecretBytes::from_vec(vec![0; length]);
        pipe.read_exact(message.expose_mut())?;
        Ok(Self { pipe, message, descriptors })
    }

    /// Waits until the process that started this one says that all is well, or is gone.
    pub fn wait(&mut self) -> Ending {
        let mut started = None;
        let mut note = [0; 5];
        while self.pipe.read_exact(&mut note).is_ok() {
            let [kind, number @ ..] = note;
            match kind {
                DONE => return Ending::Done,
                _ => started = Watched::of(u32::from_be_bytes(number)),
            }
        }
        Ending::Abandoned(started)
    }
}

fn number(pipe: &mut File) -> io::Result<u32> {
    let mut bytes = [0; 4];
    pipe.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// Makes the descriptors with these `numbers` ours, and closes all others but the standard ones and `kept`.
#[allow(unsafe_code)]
fn own(numbers: &[RawFd], kept: RawFd) -> io::Result<Vec<OwnedFd>> {
    let is_wrong = |(at, number): (usize, &RawFd)| *number < 3 || *number == kept || numbers[..at].contains(number);
    if numbers.iter().enumerate().any(is_wrong) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let listing = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<RawFd> = listing.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for other in open.into_iter().filter(|number| *number > 2 && *number != kept && !numbers.contains(number)) {
        // SAFETY: this process has just begun and has one thread; nothing in it owns a descriptor but `kept` and the standard ones.
        unsafe {
            // The listing's own is closed already.
            if fcntl_getfd(BorrowedFd::borrow_raw(other)).is_ok() {
                rustix::io::close(other);
            }
        }
    }
    let owned = numbers.iter().map(|number| {
        // SAFETY: as above; the number was given once, and if nothing is open under it the call below says so.
        let descriptor = unsafe { std::mem::ManuallyDrop::new(OwnedFd::from_raw_fd(*number)) };
        fcntl_setfd(&*descriptor, FdFlags::CLOEXEC)?;
        Ok(std::mem::ManuallyDrop::into_inner(descriptor))
    });
    owned.collect()
}

/// A process that is known by more than a number, which another one can have later.
pub struct Watched(#[cfg(target_os = "linux")] OwnedFd);

#[cfg(target_os = "linux")]
impl Watched {
    fn of(number: u32) -> Option<Self> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = Pid::from_raw(i32::try_from(number).ok()?)?;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// Hangs it up, and kills it if it has not ended after `patience`.
    pub fn end(&self, patience: Duration) {
        use rustix::process::pidfd_send_signal;
        let _ = pidfd_send_signal(&self.0, Signal::HUP);
        // One that is stopped has to go on to hear it.
        let _ = pidfd_send_signal(&self.0, Signal::CONT);
        if !self.ends_within(patience) {
            let _ = pidfd_send_signal(&self.0, Signal::KILL);
            self.ends_within(patience);
        }
    }

    fn ends_within(&self, patience: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let deadline = std::time::Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                ended => return ended.is_ok_and(|ended| ended > 0),
            }
        }
    }
}

/// Elsewhere a process cannot be known by more than a number, so none is ended.
#[cfg(not(target_os = "linux"))]
impl Watched {
    fn of(_number: u32) -> Option<Self> {
        None
    }

    /// Does nothing.
    pub fn end(&self, _patience: Duration) {}
}
