//! What dotsops promises and why it is made as it is. Documentation only.

pub mod decisions;
pub mod sops_compatibility;
pub mod threat_model;
