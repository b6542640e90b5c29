//! A program on a terminal of its own, before which nobody sits.
//!
//! Knows keys and silence, not what is shown. Its one invariant: the program is in a session of its own, out of reach of the real
//! terminal, and ends no later than this.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, ioctl_tiocsctty, kill_process, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long a program shows nothing when it waits for a key.
const SILENCE: Duration = Duration::from_millis(200);

/// A program on a terminal of its own.
pub struct PseudoTerminal {
    controller: File,
    child: Child,
    has_shown: bool,
}

impl PseudoTerminal {
    /// Starts `command` on a new terminal.
    ///
    /// # Errors
    /// The system's.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        fcntl_setfd(&controller, FdFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let name = ptsname(&controller, Vec::new())?;
        let terminal: OwnedFd = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        tcsetwinsize(&controller, Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 })?;
        command
            .stdin(Stdio::from(terminal.try_clone()?))
            .stdout(Stdio::from(terminal.try_clone()?))
            .stderr(Stdio::from(terminal));
        lead_session(&mut command);
        Ok(Self { controller: File::from(controller), child: command.spawn()?, has_shown: false })
    }

    /// Types `keys` once the program has shown something and then nothing for a while; `false` if it has ended, or goes on past `deadline`.
    ///
    /// # Errors
    /// The system's.
    pub fn type_keys(&mut self, keys: &[u8], deadline: Instant) -> io::Result<bool> {
        while Instant::now() < deadline {
            match self.is_showing(SILENCE)? {
                Some(false) if self.has_shown => return self.controller.write_all(keys).map(|()| true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Kills the program.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Hangs the program up.
    pub fn hang_up(&mut self) {
        // As long as it has not been waited for, the number is its own.
        if let (Ok(None), Ok(number)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            let _ = Pid::from_raw(number).map(|pid| kill_process(pid, Signal::HUP));
        }
    }

    /// Waits for the end of the program; `false` if it goes on past `deadline`.
    ///
    /// # Errors
    /// The system's.
    pub fn ends(&mut self, deadline: Instant) -> io::Result<bool> {
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            // What it shows has to be read, or it would wait for that.
            if self.is_showing(Duration::from_millis(10))?.is_none() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(true)
    }

    /// Whether the program shows something within `patience`; `None` if nothing holds its terminal any more.
    fn is_showing(&mut self, patience: Duration) -> io::Result<Option<bool>> {
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.controller, PollFlags::IN)], Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Some(false)),
            ready => ready?,
        };
        match self.controller.read(&mut [0; 4096]) {
            // The end, as the systems say it.
            Ok(0) => Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(None),
            read => {
                self.has_shown = true;
                read.map(|_| Some(true))
            }
        }
    }
}

impl Drop for PseudoTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(unsafe_code)]
fn lead_session(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes two system calls and nothing else.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            Ok(ioctl_tiocsctty(rustix::stdio::stdin())?)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> PseudoTerminal {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        PseudoTerminal::start(command).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_program_is_typed_to_on_a_terminal_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note");
        let script = format!(
            "test -t 0 && test -t 1 || exit; printf 'ready? '; read answer < /dev/tty; echo $answer > {}",
            note.display()
        );
        let mut program = shell(&script);
        assert!(program.type_keys(b"typed\r", soon()).unwrap());
        assert!(program.ends(soon()).unwrap());
        assert_eq!(std::fs::read_to_string(note).unwrap(), "typed\n");
        assert!(!program.type_keys(b"more", soon()).unwrap(), "nobody is there");
    }

    #[test]
    fn one_that_goes_on_is_ended_with_it() {
        let mut program = shell("trap '' HUP TERM; echo here; exec sleep 600");
        let pid = Pid::from_raw(program.child.id() as i32).unwrap();
        assert!(!program.ends(Instant::now() + Duration::from_millis(100)).unwrap());
        drop(program);
        assert!(kill_process(pid, Signal::HUP).is_err());
        let mut hung_up = shell("echo here; exec sleep 600");
        assert!(hung_up.type_keys(b"", soon()).unwrap());
        hung_up.hang_up();
        assert!(hung_up.ends(soon()).unwrap());
    }
}
