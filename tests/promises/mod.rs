//! What a transcript cannot show.

#[cfg(target_os = "linux")]
pub mod age_interchange;
pub mod age_vectors;
pub mod edit;
pub mod encrypt;
pub mod examples;
pub mod exec;
pub mod exec_peers;
pub mod exec_values;
pub mod filestatus;
pub mod help;
pub mod hygiene;
pub mod init;
pub mod jupyter;
pub mod keyless;
pub mod known_answer;
pub mod leaks;
pub mod metadata;
pub mod post_quantum;
pub mod python_dotenv;
#[cfg(target_os = "linux")]
pub mod real_editors;
pub mod round_trip;
pub mod sops_interchange;
pub mod sops_leniency;
pub mod typed_values;
