//! Who can read which files, and letting people in and out.

pub mod affected;
pub mod roster;
pub mod rules;
