//! What a `.env` means, against the vectors of real programs and over random texts.

mod laws;
mod vectors;
