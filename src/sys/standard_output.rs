//! Whether this process was given a standard output at all.
//!
//! Its one invariant: what it tells was found before Rust's runtime began, which opens `/dev/null` in the place of a standard stream
//! that is closed, so that a result would be gone and nobody told.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, fcntl_getfd};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether standard output was closed when this process started. Where the system cannot tell, it was not.
pub fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

// SAFETY: what stands in this section are addresses of functions of this type, which the loader calls once, before `main`.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
#[allow(unsafe_code)]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[used]
static LOOK: extern "C" fn() = look;

/// One system call; nothing of the runtime is needed for it.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
extern "C" fn look() {
    let is_closed = fcntl_getfd(rustix::stdio::stdout()) == Err(Errno::BADF);
    WAS_CLOSED.store(is_closed, Ordering::Relaxed);
}
