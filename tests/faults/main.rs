//! Faults at every step of every write, in a program built with the Cargo feature `faults`:
//! `cargo test --features faults --test faults`.

mod ending;
mod every_end;
mod every_step;
mod journal;
mod overtaken;
mod people;
mod random_kills;
mod rows;
mod saves;
mod window;

#[path = "../support/mod.rs"]
mod support;
