//! dotsops keeps a `.env` in git, encrypted value by value in the format of [SOPS](https://github.com/getsops/sops), and gives the
//! values to programs. This is the library behind the program of that name.
//!
//! ```
//! use dotsops::keys::keyring::Keyring;
//! use dotsops::keys::source::{IdentitySource, Material, Origin};
//!
//! let material = Material::File { path: "keys.example".into(), optional: false };
//! let keyring = Keyring::new(vec![IdentitySource { origin: Origin::File("keys.example".into()), material }]);
//! let document = dotsops::ops::file::read("examples/secrets.env".as_ref(), None)?.document()?;
//! let opened = document.open(&keyring)?; // every value is authentic and the MAC is right, or this fails
//! assert!(opened.tree.documents[0].get("DATABASE_URL").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What most uses need
//!
//! - [`ops::file::read`]: a file, read once and parsed;
//! - [`EncryptedDocument`](document::EncryptedDocument) and [`DecryptedDocument`](document::DecryptedDocument): the file shut and open;
//! - [`Keyring`](keys::keyring::Keyring): what the user can open files with, and where each identity came from;
//! - [`Tree`](tree::Tree): names, values and comments in their order;
//! - [`SecretBytes`](secret::SecretBytes) and [`SecretString`](secret::SecretString): what can be neither printed nor copied by chance;
//! - [`ops::exec::environment`] and [`ops::edit::session::edit`]: the two verbs that are more than a call.
//!
//! # The map
//!
//! A SOPS file is three independent things: *text* with a tree inside, *values* encrypted one by one, and a *data key* wrapped for its
//! readers. Each is a pillar that knows nothing of the others, and a fourth knows what a program reads out of a plaintext `.env`. The
//! first three meet in [`document`], the fourth joins them in [`ops`].
//!
//! ```text
//! cli → ops → config → document → { format | crypto | keys | dialect } → { tree | yaml | sys } → secret
//! ```
//!
//! Imports point right, never left, and never between two in one brace; a test reads every path. Where something belongs, the first
//! that fits:
//!
//! | | |
//! |---|---|
//! | [`secret`] | bytes that must not leak |
//! | [`sys`] | a service of the operating system; the only `unsafe` code |
//! | [`tree`] | what a file says, in any syntax |
//! | [`yaml`] | YAML with byte spans and comments |
//! | [`format`](mod@format) | text ⇄ tree |
//! | [`crypto`] | one value ⇄ its token |
//! | [`dialect`] | what a program reads out of a plaintext `.env` |
//! | [`keys`] | data key ⇄ wrapped data key |
//! | [`document`] | the meaning of a whole file |
//! | [`config`] | `.sops.yaml`: policy by path |
//! | [`ops`] | a verb of more than one step |
//! | `cli` | flags, words, exit codes; the only printer and the only reader of the environment (feature `cli`) |
//!
//! Reasons and promises are in the [`manual`].

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod crypto;
pub mod dialect;
pub mod document;
pub mod format;
pub mod keys;
#[cfg(doc)]
pub mod manual;
pub mod ops;
pub mod secret;
pub mod sys;
pub mod tree;
pub mod yaml;
