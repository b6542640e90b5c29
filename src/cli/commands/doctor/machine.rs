//! Where plaintext would lie, and what could put it on a disk.

use super::report::Report;
use crate::cli::Surroundings;
use crate::cli::failure::shell_word;
use crate::cli::left_behind;
use crate::sys::hardening;
use crate::sys::machine::{SwapKind, swaps};
use crate::sys::scratch::survey;

/// Memory, swap, and what other programs could see of this one.
pub fn look(report: &mut Report, surroundings: &Surroundings) {
    scratch(report, surroundings);
    swap(report);
    process(report);
}

fn scratch(report: &mut Report, surroundings: &Surroundings) {
    let candidates = left_behind::candidates(surroundings);
    let mut found = false;
    for (path, fit) in survey(&candidates) {
        let (shown, is_chosen) = (path.display(), Some(&path) == candidates.chosen.as_ref());
        match fit {
            Ok(in_memory) => {
                found = true;
                match in_memory {
                    true => report.good("memory", format!("`edit` keeps plaintext in {shown}, in memory")),
                    false => report.note(
                        "memory",
                        format!("`edit` keeps plaintext in {shown}; whether that is in memory is not known"),
                        "switch on the encryption of the disk",
                    ),
                }
            }
            Err(unfit) if is_chosen => report.finding(
                "memory",
                format!("DOTSOPS_EDIT_DIR ({shown}) is not used: {unfit}"),
                "let it name a folder in memory that only you can enter (mode 0700), or unset it",
            ),
            Err(unfit) => report.note(
                "memory",
                format!("{shown} is not used for plaintext: {unfit}"),
                "nothing, as long as another place is found; XDG_RUNTIME_DIR is usually made at login",
            ),
        }
    }
    if !found {
        report.finding(
            "memory",
            "no folder in memory is found, so `edit` refuses",
            "mount one (tmpfs) and let DOTSOPS_EDIT_DIR name a folder of yours in it, with mode 0700",
        );
    }
}

fn swap(report: &mut Report) {
    let Ok(swaps) = swaps("/".as_ref()) else {
        return report.note("swap", "the system does not say what it swaps to", "see to it that it is encrypted");
    };
    for swap in swaps.iter().filter(|swap| swap.kind == SwapKind::Open) {
        report.finding(
            "swap",
            format!("{} is not encrypted: plaintext in memory may get to the disk, and stay there", swap.path.display()),
            format!(
                "encrypt it (crypttab) or use zram; `swapoff {}` does without it until the next start",
                shell_word(&swap.path)
            ),
        );
    }
    if swaps.iter().all(|swap| swap.kind != SwapKind::Open) {
        report.good("swap", if swaps.is_empty() { "there is none" } else { "it is encrypted, or in memory" });
    }
}

fn process(report: &mut Report) {
    // What was done at the start, once more: only then is known what took hold.
    let hardening = hardening::harden();
    let mut is_good = true;
    if cfg!(target_os = "linux") && !(hardening.not_dumpable && hardening.no_core_file) {
        is_good = false;
        report.finding(
            "process",
            "the system lets a crash write memory to a core dump",
            "`ulimit -c 0` in the shell that starts dotsops, and no sandbox that forbids prctl",
        );
    }
    if !hardening.keys_locked {
        is_good = false;
        report.note(
            "process",
            "the system does not let dotsops lock its keys in memory, so they may be swapped",
            "raise the limit: `ulimit -l` shows it, 64 is enough",
        );
    }
    if is_good {
        report.good("process", "keys are locked in memory, and a crash dumps nothing");
    }
}
