//! Files from people who hold no key, and files that something broke: what every verb makes of each of them.
//!
//! One row is one finding, one verb is one cell. Whatever is refused: the exit code is the table's, the message names the file and what
//! to do next in at most three short lines and holds no value, nothing is printed or run, and the file is the same down to its inode and
//! the time of its last change, with nothing left beside it.
//!
//! Not here, because no verb does it yet: merging in `edit`, and keys that only a service opens.

mod content;
mod creation_rules;
mod duplicates;
mod elsewhere;
#[cfg(target_os = "linux")]
mod limits;
mod loaders;
#[cfg(target_os = "linux")]
mod no_file;
mod readers;
mod sealed;
mod strict;
mod table;
mod terminal;
mod truncated;
