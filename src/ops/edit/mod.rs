//! One edit, from the encrypted file to the encrypted file.
//!
//! The text is in clear only in a session folder in memory, between [`session::edit`] writing it and wiping it. What the user saved is
//! kept as a sealed draft before anything that can fail.

mod base;
mod blocks;
pub mod check;
pub mod dialog;
pub mod draft;
pub mod draft_place;
pub mod editors;
pub mod error;
pub mod example;
pub mod guard;
mod hidden_lines;
pub mod kept;
pub mod meanwhile;
mod meta;
pub mod session;
pub mod sweep;
