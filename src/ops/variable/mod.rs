//! One variable of a file: found as python-dotenv reads it, and changed.
//!
//! Its one invariant: after a change a program sees what it saw before but for the one thing that was asked for, and every other line
//! keeps its bytes. Where that cannot be had, nothing is changed.

mod change;
mod error;
mod find;
mod value;

pub use change::{Plan, Referring};
pub use error::VariableError;
pub use find::Variables;
pub use value::{Found, Notice};
