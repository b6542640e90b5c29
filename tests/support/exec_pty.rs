//! A terminal for one program, and its absence.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Longer than any step takes, however busy the machine is.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A program on a terminal of its own, which it controls.
pub struct Terminal {
    master: File,
    child: Child,
    seen: String,
    /// How much of `seen` was waited for already.
    read_to: usize,
}

impl Terminal {
    /// Starts `command` as the leader of a session on a new terminal of 24 rows and 80 columns.
    #[allow(unsafe_code)]
    pub fn start(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || OwnedFd::from(File::options().read(true).write(true).open(&name).unwrap());
        let master = File::from(master);
        resize(&master, 24, 80);
        command.stdin(slave()).stdout(slave()).stderr(slave());
        // SAFETY: both are plain system calls on descriptors that the child has; nothing is allocated.
        unsafe {
            command.pre_exec(|| {
                let _ = rustix::process::setsid();
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command holds the slave's descriptors; without them the end is seen when the program ends.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { master, child, seen: String::new(), read_to: 0 }
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types `keys`.
    pub fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Changes the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        resize(&self.master, rows, columns);
    }

    /// Waits until `text` is shown, behind what was waited for before, and gives what stands between.
    ///
    /// # Panics
    /// If it does not come.
    pub fn shows(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let rest = &self.seen[self.read_to..];
            if let Some(at) = rest.find(text) {
                let before = rest[..at].to_owned();
                self.read_to += at + text.len();
                return before;
            }
            let more = start.elapsed() < DEADLINE && self.read_more();
            assert!(more, "{text:?} was not shown, but this:\n{}", self.seen);
        }
    }

    /// Waits for the end: exit code, or 128 and the signal, and all that was shown.
    pub fn ends(mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt;
        let start = Instant::now();
        while start.elapsed() < DEADLINE && self.read_more() {}
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if start.elapsed() > DEADLINE => panic!("it does not end:\n{}", self.seen),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap();
        (code, std::mem::take(&mut self.seen))
    }

    /// Reads what there is; waits a while for it. False at the end.
    fn read_more(&mut self) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if poll(&mut [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)], Some(&wait)).unwrap_or(0) == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
                true
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(master: &File, rows: u16, columns: u16) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// Lets `command` run without any terminal that it could ask on, also where the tests are run from one.
#[allow(unsafe_code)]
pub fn without_terminal(command: &mut Command) -> &mut Command {
    // SAFETY: a plain system call; nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            let _ = rustix::process::setsid();
            Ok(())
        })
    }
}
