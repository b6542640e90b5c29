//! What std cannot do alone: the services of the operating system that keep secrets off disks, terminals and other processes.
//!
//! Knows bytes, paths, descriptors and processes; must not know what a secret file says, who can open it, or which variable of
//! the environment means what. Its one invariant: plaintext that passes through here lies in [`crate::secret`] types or in files
//! that only this user can read, and nothing here prints it. The only module with `unsafe` code and with `cfg(unix)`.

#[cfg(not(unix))]
compile_error!(
    "dotsops runs on Linux and macOS; on Windows, use it in WSL. The parts a port would have to replace are in src/sys"
);

pub mod atomic_write;
mod attributes;
pub mod companion;
pub mod editor;
pub mod environment;
#[doc(hidden)]
pub mod fault;
pub mod file_lock;
pub mod file_systems;
pub mod hardening;
pub mod hidden;
pub mod https;
pub mod left_session;
pub mod letting_go;
pub mod log_file;
pub mod machine;
pub mod own_lines;
pub mod piped;
pub mod private_file;
pub mod process;
pub mod pseudo_terminal;
pub mod regular_file;
pub mod scratch;
pub mod signals;
pub mod standard_output;
pub mod temporary;
pub mod terminal;
mod wipe;

#[cfg(test)]
mod testing;
