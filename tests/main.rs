//! The one test binary.

mod architecture;
mod dialect;
mod man_pages;
mod merge_laws;
mod promises;
mod promises_page;
mod properties;
mod scenarios_page;
mod support;
mod transcripts;
