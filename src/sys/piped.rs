//! A program at the other end of two pipes: what we write is its standard input, what it prints comes to us.
//!
//! Knows nothing of what is said. Its one invariant: neither a program that never ends nor one that never reads holds us up, and none is
//! left behind: when a [`Piped`] is dropped, its program has ended and the system has forgotten it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How often a program that is about to end is looked after.
const GLANCE: Duration = Duration::from_millis(2);

/// A program about to be run. It inherits this process's environment, changed as given here; its standard error is dropped.
pub struct Start<'a> {
    /// Its absolute path.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Variables it gets in addition.
    pub set: &'a [(OsString, OsString)],
    /// Variables it must not see.
    pub remove: &'a [OsString],
    /// How long it may take, or, with [`Piped::go_on`], be silent.
    pub patience: Duration,
}

/// A running program.
pub struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    patience: Duration,
    deadline: Instant,
}

impl Piped {
    /// Runs the program. It is in our process group, so the terminal's keys reach it too.
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub fn start(start: &Start<'_>) -> io::Result<Self> {
        let mut command = Command::new(start.program);
        command.args(start.arguments).envs(start.set.iter().map(|(name, value)| (name, value)));
        for name in start.remove {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let deadline = Instant::now() + start.patience;
        let piped = Self { child, input: Some(input), output, patience: start.patience, deadline };
        // From here on a failure ends the program.
        if let Some(input) = &piped.input {
            rustix::io::ioctl_fionbio(input, true)?;
        }
        rustix::io::ioctl_fionbio(&piped.output, true)?;
        Ok(piped)
    }

    /// Writes all of `bytes` to it.
    ///
    /// # Errors
    /// [`PipeError::TimedOut`] if it does not read them in time, [`PipeError::Io`] if it does not read any more.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), PipeError> {
        while !bytes.is_empty() {
            let Some(input) = &self.input else { return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()) };
            self.wait(input.as_fd(), PollFlags::OUT)?;
            let Some(input) = &mut self.input else { break };
            match input.write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what it has printed into `buffer`, waiting for it; 0 at the end.
    ///
    /// # Errors
    /// [`PipeError::TimedOut`] if nothing comes in time, [`PipeError::Io`] if the system does not read.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        loop {
            self.wait(self.output.as_fd(), PollFlags::IN)?;
            match self.output.read(buffer) {
                Err(error) if is_passing(&error) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Gives it as much time again as at the start.
    pub fn go_on(&mut self) {
        self.deadline = Instant::now() + self.patience;
    }

    /// Lets it see the end of its input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`PipeError::TimedOut`] if it does not end in time.
    pub fn end(mut self) -> Result<ExitStatus, PipeError> {
        self.close_input();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= self.deadline {
                return Err(self.timed_out());
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn wait(&self, descriptor: BorrowedFd<'_>, flags: PollFlags) -> Result<(), PipeError> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.timed_out());
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::from_borrowed_fd(descriptor, flags)], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    fn timed_out(&self) -> PipeError {
        PipeError::TimedOut { seconds: self.patience.as_secs() }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It fails if the program has ended already. A killed program ends at once, so the wait is short.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Why a program could not be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// It took too long.
    #[error("no answer within {seconds} seconds")]
    TimedOut {
        /// How long it had.
        seconds: u64,
    },
    /// The system's reason; a broken pipe if it does not read any more.
    #[error("the program cannot be talked to")]
    Io(#[from] io::Error),
}
