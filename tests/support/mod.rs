//! What several tests need. A tool that no test uses at the moment is no fault.
#![allow(dead_code)]

pub mod document;
pub mod editing;
pub mod exec_pty;
pub mod groups;
#[cfg(feature = "https")]
pub mod https_server;
pub mod leaks;
pub mod memory;
pub mod own_process;
pub mod peers;
pub mod pty;
pub mod random;
pub mod repository;
pub mod sandbox;
pub mod sops;
pub mod trace;
pub mod writing;
