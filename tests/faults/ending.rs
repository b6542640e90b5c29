//! The ways in which an edit is ended from outside.

use std::process::{Command, Stdio};

use rustix::process::Signal;

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

/// `command` with nothing to read, whose words nobody reads.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
