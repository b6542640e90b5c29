//! Once per process: no core dump, not readable by other processes of the user, keys in a locked arena, quiet panics.
//!
//! Knows nothing of what the process will do. Its one invariant: nothing here can fail the program; a system that refuses a
//! measure is reported, not fought. The umask is deliberately left alone: it would leak into the program that `exec` runs, so
//! every file of ours is created with an explicit mode instead.

use std::io::Write;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

use super::signals::Disposition;
use crate::secret::key_arena;

/// Which measures took hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hardening {
    /// Other processes of the same user cannot read this one's memory and environment, and no core dump handler is called.
    pub not_dumpable: bool,
    /// The soft limit on core files is 0.
    pub no_core_file: bool,
    /// Data keys never reach swap.
    pub keys_locked: bool,
    /// Data keys are left out of core dumps.
    pub keys_not_dumped: bool,
    /// A forked copy of this process has no data keys.
    pub keys_not_inherited: bool,
}

/// Hardens this process. Call it first in `main`, before there are threads and before any secret is read.
///
/// `execve` makes the process dumpable again by itself; what else has to be undone for a child, [`restore_limits`] undoes.
pub fn harden() -> Hardening {
    let keys = protect_keys();
    survive_file_size_limit();
    Hardening { not_dumpable: forbid_dumps(), no_core_file: forbid_core_files(), ..keys }
}

/// Puts the limit on core files, and the signal of the limit on file sizes, back to where they were before [`harden`], for the
/// program that is about to replace this one.
pub fn restore_limits() {
    if let Some(before) = FILE_SIZE_SIGNAL.get() {
        Disposition::set(SIGXFSZ, *before);
    }
    if let Some(limit) = CORE_LIMIT.get() {
        let _ = setrlimit(Resource::Core, *limit);
    }
}

/// Undoes [`restore_limits`] after a program could not be run, unless nothing was ever hardened.
pub(super) fn forbid_core_files_again() {
    if CORE_LIMIT.get().is_some() {
        forbid_core_files();
    }
    if FILE_SIZE_SIGNAL.get().is_some() {
        Disposition::set(SIGXFSZ, Disposition::IGNORE);
    }
}

/// Makes panics say where they happened and nothing else.
///
/// The message of a panic can hold a whole string it was about, so it is shown only if `show_message`: that is for debugging
/// with values that are no secrets.
pub fn install_panic_hook(show_message: bool) {
    std::panic::set_hook(Box::new(move |panic| {
        // `eprintln!` would panic again where stderr is gone, as after a hang-up, and so skip the clean-up of unwinding.
        let mut stderr = std::io::stderr().lock();
        let _ = match panic.location() {
            Some(place) => writeln!(stderr, "dotsops: internal error at {}:{}", place.file(), place.line()),
            None => writeln!(stderr, "dotsops: internal error"),
        };
        if let (true, Some(message)) = (show_message, panic.payload_as_str()) {
            let _ = writeln!(stderr, "dotsops: cause: {message}");
        }
    }));
}

/// What happened on the signal of the limit on file sizes before it was ignored.
static FILE_SIZE_SIGNAL: OnceLock<Disposition> = OnceLock::new();

/// A file that grows beyond `ulimit -f` becomes an error of the write, which cleans up, instead of the end of this process.
fn survive_file_size_limit() {
    FILE_SIZE_SIGNAL.get_or_init(|| Disposition::set(SIGXFSZ, Disposition::IGNORE));
}

/// The limit on core files before it was lowered.
static CORE_LIMIT: OnceLock<Rlimit> = OnceLock::new();

fn forbid_core_files() -> bool {
    let before = CORE_LIMIT.get_or_init(|| getrlimit(Resource::Core));
    // The hard limit stays, so that the old soft one can be put back.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum }).is_ok()
}

#[cfg(target_os = "linux")]
fn forbid_dumps() -> bool {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // The limit on core files alone is not enough: a core handler behind a pipe is called all the same.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> bool {
    // macOS would have PT_DENY_ATTACH: it breaks debuggers and stops nobody.
    false
}

#[allow(unsafe_code)]
fn protect_keys() -> Hardening {
    let (address, length) = key_arena();
    let arena = address as *mut std::ffi::c_void;
    // SAFETY: the arena is leaked, so the range stays mapped for good; locking changes no byte of it.
    let keys_locked = unsafe { rustix::mm::mlock(arena, length) }.is_ok();
    #[cfg(target_os = "linux")]
    let (keys_not_dumped, keys_not_inherited) = {
        use rustix::mm::{Advice, madvise};
        // SAFETY: as above. The first concerns core dumps alone; the second changes what a forked child sees, and no child of
        // ours touches the arena between fork and exec.
        unsafe {
            (madvise(arena, length, Advice::LinuxDontDump).is_ok(), madvise(arena, length, Advice::LinuxWipeOnFork).is_ok())
        }
    };
    #[cfg(not(target_os = "linux"))]
    let (keys_not_dumped, keys_not_inherited) = (false, false);
    Hardening { not_dumpable: false, no_core_file: false, keys_locked, keys_not_dumped, keys_not_inherited }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{in_own_process, own_process};
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_hardened_process_is_not_dumpable_and_its_child_is_again() {
        in_own_process("sys::hardening::tests::a_hardened_process_is_not_dumpable_and_its_child_is_again", || {
            let done = harden();
            assert!(done.not_dumpable && done.no_core_file && done.keys_not_dumped && done.keys_not_inherited);
            assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
            // The files of a process that is not dumpable belong to root.
            let owner = |path: &str| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
            assert_eq!(owner("/proc/self/environ"), 0);
            let child = std::process::Command::new("sh").args(["-c", "exec stat -c %u /proc/self/environ"]).output().unwrap();
            let me = rustix::process::geteuid().as_raw().to_string();
            assert_eq!(String::from_utf8_lossy(&child.stdout).trim(), me);
        });
    }

    #[test]
    fn the_core_limit_is_lowered_and_put_back() {
        in_own_process("sys::hardening::tests::the_core_limit_is_lowered_and_put_back", || {
            let maximum = getrlimit(Resource::Core).maximum;
            let before = Rlimit { current: maximum.or(Some(4096)).map(|most| most.min(4096)), maximum };
            setrlimit(Resource::Core, before).unwrap();
            harden();
            assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum });
            restore_limits();
            assert_eq!(getrlimit(Resource::Core), before);
        });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_arena_of_keys_is_left_out_of_dumps_and_forks() {
        in_own_process("sys::hardening::tests::the_arena_of_keys_is_left_out_of_dumps_and_forks", || {
            let done = harden();
            let address = key_arena().0;
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
            let mut flags = "";
            let mut inside = false;
            for line in maps.lines() {
                if let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) {
                    let bounds = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16));
                    inside = matches!(bounds, (Ok(from), Ok(to)) if (from..to).contains(&address));
                } else if let (true, Some(found)) = (inside, line.strip_prefix("VmFlags:")) {
                    flags = found;
                }
            }
            // A process that is not dumpable may be unable to read its own map.
            if !maps.is_empty() {
                assert!(flags.contains(" dd") && flags.contains(" wf"), "{flags}");
                assert_eq!(flags.contains(" lo"), done.keys_locked, "{flags}");
            }
        });
    }

    #[test]
    fn a_panic_says_where_and_not_what() {
        let test = "sys::hardening::tests::a_panic_says_where_and_not_what";
        match own_process(test, |_| ()) {
            None => {
                install_panic_hook(false);
                panic!("canary-of-a-secret");
            }
            Some(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(said.contains("internal error at src/sys/hardening.rs:"), "{said}");
                assert!(!said.contains("canary"), "{said}");
            }
        }
    }

    #[test]
    fn a_panic_says_what_when_told_to() {
        match own_process("sys::hardening::tests::a_panic_says_what_when_told_to", |_| ()) {
            None => {
                install_panic_hook(true);
                panic!("canary-of-no-secret");
            }
            Some(output) => assert!(String::from_utf8_lossy(&output.stderr).contains("cause: canary-of-no-secret")),
        }
    }
}
