//! The order in which a file's age keys are tried: what costs nothing first, what asks somebody last.
//!
//! A step is taken for all age keys of a file before the next one begins, so a question is asked, and a program run, only when nothing
//! cheaper opens any of them. Its one invariant: this list is the only place that says what comes before what.

use crate::keys::Kind;

/// How many recipients of one file the commands are run for.
const MAX_COMMAND_RUNS: usize = 100;

/// What is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// age's own identities that are there in plain text, or have been unlocked for an earlier file.
    Native,
    /// SSH keys without a passphrase.
    Ssh,
    /// What the commands give for this recipient. Sops runs them once for each, telling them the recipient.
    Command {
        /// The recipient of one of the file's keys.
        recipient: &'a str,
    },
    /// SSH keys with a passphrase, each only if the file names it.
    LockedSsh,
    /// The identity file with a passphrase that the source of this number holds, if it does.
    LockedFile {
        /// The number of the source in the keyring.
        source: usize,
    },
    /// Identities that a plugin holds.
    Plugin,
    /// Master keys of other kinds than age.
    OtherKinds,
}

impl<'a> Step<'a> {
    /// All steps for a file whose age keys have these `recipients`.
    pub(super) fn in_order(recipients: &[&'a str], has_commands: bool, sources: usize) -> Vec<Self> {
        let mut steps = Vec::new();
        if !recipients.is_empty() {
            steps.push(Self::Native);
            steps.push(Self::Ssh);
            if has_commands {
                steps.extend(recipients.iter().take(MAX_COMMAND_RUNS).map(|recipient| Self::Command { recipient }));
            }
            steps.push(Self::LockedSsh);
            steps.extend((0..sources).map(|source| Self::LockedFile { source }));
            steps.push(Self::Plugin);
        }
        steps.push(Self::OtherKinds);
        steps
    }

    /// The steps that take nothing but what lies there in plain text: nothing is run, nobody asked, and nothing reached over a network.
    pub(super) fn at_hand(recipients: &[&'a str]) -> Vec<Self> {
        if recipients.is_empty() { Vec::new() } else { vec![Self::Native, Self::Ssh] }
    }

    /// Whether keys of `kind` are tried in this step.
    pub(super) fn is_for(self, kind: Kind) -> bool {
        (kind == Kind::Age) != (self == Self::OtherKinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_or_runs_something_comes_behind_what_does_not() {
        use Step::{Command, LockedFile, LockedSsh, Native, OtherKinds, Plugin, Ssh};
        let (a, b) = (Command { recipient: "a" }, Command { recipient: "b" });
        let expected = [Native, Ssh, a, b, LockedSsh, LockedFile { source: 0 }, LockedFile { source: 1 }, Plugin, OtherKinds];
        assert_eq!(Step::in_order(&["a", "b"], true, 2), expected);
        assert_eq!(Step::in_order(&["a"], false, 0), [Native, Ssh, LockedSsh, Plugin, OtherKinds]);
        assert_eq!(Step::in_order(&[], true, 2), [OtherKinds]);
    }

    #[test]
    fn a_file_of_many_recipients_does_not_run_commands_without_end() {
        let steps = Step::in_order(&["x"; 1000], true, 0);
        assert_eq!(steps.iter().filter(|step| matches!(step, Step::Command { .. })).count(), MAX_COMMAND_RUNS);
    }
}
