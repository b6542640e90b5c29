//! The one test binary.

mod architecture;
mod dialect;
mod man_pages;
mod promises;
mod properties;
mod support;
mod transcripts;
