//! Value ⇄ token. Never sees a file.
//!
//! A plaintext scalar becomes bytes in [`scalar`], the bytes become ciphertext in [`cipher`], the ciphertext becomes text in
//! [`token`]; [`mac`] hashes the same bytes. Which values are encrypted, and under which key path, is known above. The one
//! invariant: nothing that was not authenticated leaves as plaintext.

pub mod cipher;
pub mod mac;
mod odd_nonce;
pub mod scalar;
pub mod token;

pub use cipher::{Cipher, DecryptError, Nonces};
pub use mac::Mac;
pub use scalar::{Decoded, Encoded, ScalarError};
pub use token::{Token, TokenError, ValueType};
