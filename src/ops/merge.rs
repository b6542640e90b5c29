//! Three versions of a file → one.

pub mod items;
