//! What a kill while the plaintext is being removed leaves.

use std::process::Command;

use crate::support::editing::{CANARY, Editing};
use crate::support::pty::wait_until;
use crate::support::sandbox::ended;
use crate::support::trace::strace;

/// More files than an edit removes of its session.
const REMOVALS: usize = 8;

#[test]
fn a_kill_at_any_removal_loses_nothing_that_was_saved() {
    let Some(strace) = strace() else { return };
    let mut killed = 0;
    for removal in 1..=REMOVALS {
        let editing = Editing::of("A=old-value\n");
        // Only the draft has it.
        let edit =
            editing.command(&format!("printf 'NEW={CANARY}\\n' >> \"$1\"; : > \"$NOTES/saved\"; exit 1"), &["secrets.env"]);
        let mut traced = Command::new(&strace);
        traced.args(["-qq", "-o", "/dev/null", "-e", "trace=unlinkat", "-e"]);
        traced.arg(format!("inject=unlinkat:signal=SIGKILL:when={removal}")).arg(edit.get_program()).args(edit.get_args());
        traced.env_clear().envs(edit.get_envs().filter_map(|(name, value)| Some((name, value?))));
        traced.current_dir(edit.get_current_dir().unwrap());
        let was_killed = ended(&mut traced).code != 7;
        wait_until("guard", || editing.sessions().is_empty());
        // The first removals are those of an edit that begins.
        if !editing.note("saved").exists() {
            continue;
        }
        killed += usize::from(was_killed);
        let resumed = editing.resume(":");
        assert_eq!(resumed.code, 0, "removal {removal}: {}", resumed.stderr);
        assert_eq!(editing.text(), format!("A=old-value\nNEW={CANARY}\n"), "removal {removal}");
        editing.assert_no_plaintext(&[CANARY, "old-value"]);
    }
    assert!(killed >= 2, "no removal was met");
}
