//! A verb's meaning, provable without a terminal.

pub mod change;
pub mod check;
pub mod departures;
pub mod diff;
pub mod edit;
pub mod editor_check;
pub mod encrypt;
pub mod exec;
pub mod file;
pub mod generate;
pub mod git;
pub mod glob;
pub mod governed;
pub mod in_threads;
pub mod init;
pub mod journal;
pub mod known_plugins;
pub mod mask;
pub mod merge;
pub mod new_file;
pub mod readers;
pub mod rewrap;
pub mod rotate;
pub mod textconv;
pub mod update_keys;
pub mod variable;
