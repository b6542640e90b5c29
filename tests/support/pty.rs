//! A terminal with a person before it: types, reads what is shown, resizes, walks away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take. A machine under load is slow; a hang is for ever.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A program on a terminal of its own.
pub struct Pty {
    controller: File,
    child: Child,
    /// What was shown, without what moves the cursor or sets colours.
    shown: String,
    /// Up to where `shown` was looked at.
    seen: usize,
    undecoded: Vec<u8>,
}

impl Pty {
    /// Runs `command` as the leader of a new session with a terminal of 80 × 24.
    pub fn run(command: &mut Command) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let terminal: OwnedFd = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
        // Before the program looks: a change of size while it draws would make it draw again.
        set_size(&controller, 80, 24);
        command.stdin(Stdio::from(terminal.try_clone().unwrap()));
        command.stdout(Stdio::from(terminal.try_clone().unwrap()));
        command.stderr(Stdio::from(terminal));
        command.env("TERM", "xterm");
        take_terminal(command);
        let child = command.spawn().unwrap();
        // The command holds ends of the terminal too; with them open, the terminal would never seem closed.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { controller: File::from(controller), child, shown: String::new(), seen: 0, undecoded: Vec::new() }
    }

    /// The program's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types `keys`.
    pub fn type_keys(&self, keys: &str) {
        (&self.controller).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is shown after what was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(Instant::now() < deadline, "`{text}` is not shown after:\n{}", self.shown);
            self.look(Duration::from_millis(50));
        }
    }

    /// Waits until `condition` holds, while whatever is shown is read.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "no {what} after:\n{}", self.shown);
            self.look(Duration::from_millis(20));
        }
    }

    /// Waits until the program has stopped.
    pub fn wait_until_stopped(&mut self) {
        let stat = format!("/proc/{}/stat", self.pid());
        self.wait_until("stop", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    }

    /// Everything shown so far.
    pub fn shown(&mut self) -> &str {
        self.look(Duration::ZERO);
        &self.shown
    }

    /// Changes the terminal's size.
    pub fn resize(&self, columns: u16, rows: u16) {
        set_size(&self.controller, columns, rows);
    }

    /// Whether the terminal shows what is typed and waits for whole lines, as a shell needs it.
    pub fn is_cooked(&self) -> bool {
        tcgetattr(&self.controller).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for the end and returns the exit code, 128 and the signal's number if one ended it, and all that was shown.
    pub fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                panic!("still running after:\n{}", self.shown);
            }
            self.look(Duration::from_millis(20));
        };
        while self.look(Duration::ZERO) {}
        (code(status), self.shown)
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Closes the terminal, as a window that is closed, and returns how the program ended.
    pub fn hang_up(self) -> i32 {
        let Self { controller, mut child, .. } = self;
        drop(controller);
        wait(&mut child)
    }

    /// Reads what is there within `patience`; `false` if there was nothing.
    fn look(&mut self, patience: Duration) -> bool {
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&self.controller, PollFlags::IN)], Some(&timeout)).unwrap_or(0);
        let mut bytes = [0; 4096];
        // With no program left on it, reading a terminal fails.
        let Some(read) = (ready > 0).then(|| self.controller.read(&mut bytes).ok()).flatten().filter(|read| *read > 0) else {
            if ready > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            return false;
        };
        self.undecoded.extend_from_slice(&bytes[..read]);
        let whole = plain_text(&self.undecoded, &mut self.shown);
        self.undecoded.drain(..whole);
        true
    }
}

/// Has `command` run without any terminal, whatever the tests run on.
#[allow(unsafe_code)]
pub fn without_terminal(command: &mut Command) {
    // SAFETY: the closure makes one system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // It fails if the process leads its session already, as on a second call.
            let _ = rustix::process::setsid();
            Ok(())
        });
    }
}

/// Waits for the end of `child` and returns its exit code, 128 and the signal's number if one ended it.
pub fn wait(child: &mut Child) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return code(status);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("still running");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process with the number `pid` runs. One that nobody has waited for yet is dead all the same.
pub fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

fn set_size(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) {
    tcsetwinsize(terminal, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

fn code(status: std::process::ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}

#[allow(unsafe_code)]
fn take_terminal(command: &mut Command) {
    // SAFETY: the closure makes two system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let _ = rustix::process::setsid();
            Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
        });
    }
}

/// Pushes the text of `bytes`, without escape sequences, and returns how many bytes were whole.
fn plain_text(bytes: &[u8], shown: &mut String) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let length = match (byte, bytes.get(at + 1)) {
            (0x1b, None) => break,
            (0x1b, Some(b'[')) => match bytes[at + 2..].iter().position(|byte| (0x40..0x7f).contains(byte)) {
                Some(end) => end + 3,
                None => break,
            },
            (0x1b, Some(b']' | b'P')) => match bytes[at + 2..].iter().position(|byte| matches!(byte, 0x07 | b'\\')) {
                Some(end) => end + 3,
                None => break,
            },
            (0x1b, Some(b'(' | b')')) => 3,
            (0x1b, Some(_)) => 2,
            _ => {
                shown.push_str(&String::from_utf8_lossy(&bytes[at..=at]));
                1
            }
        };
        at += length;
    }
    at.min(bytes.len())
}
