//! The ways in which an edit is ended from outside.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::pty::Pty;

/// How an edit is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Killed,
    KilledWithItsGuard,
    Terminated,
    HungUp,
    TerminalClosed,
}

impl End {
    pub const ALL: [Self; 5] = [Self::Killed, Self::KilledWithItsGuard, Self::Terminated, Self::HungUp, Self::TerminalClosed];

    /// The fault that ends an edit so at a point; one whose terminal is to be closed is only stopped by it, for [`close_when_stopped`].
    pub fn fault(self) -> &'static str {
        match self {
            Self::Killed => "kill",
            Self::KilledWithItsGuard => "both",
            Self::Terminated => "term",
            Self::HungUp => "hup",
            Self::TerminalClosed => "stop",
        }
    }

    /// What the edit gets.
    pub fn signal(self) -> Signal {
        match self {
            Self::Killed | Self::KilledWithItsGuard => Signal::KILL,
            Self::Terminated => Signal::TERM,
            Self::HungUp | Self::TerminalClosed => Signal::HUP,
        }
    }

    /// How it ends then, as a shell counts.
    pub fn code(self) -> i32 {
        128 + self.signal().as_raw()
    }

    /// Whether the edit itself cleans up.
    pub fn is_caught(self) -> bool {
        self.signal() != Signal::KILL
    }
}

/// Waits until the program on the terminal has stopped, and closes that; returns how it ended. The system lets it go on to hear of it.
pub fn close_when_stopped(mut pty: Pty) -> i32 {
    pty.wait_until_stopped();
    pty.hang_up()
}

/// `command` with nothing to read, whose words nobody reads.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
