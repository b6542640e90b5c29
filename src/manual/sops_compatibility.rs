//! What is the same as in sops, what is deliberately not, and what is missing.
//!
//! Compared with sops 3.13.3 and, for what a program sees, python-dotenv 1.2.4; `tests/vectors` and `tests/promises` pin it.
//!
//! # The same
//!
//! - Every file that is written is read by sops with the same values, comments and order, and the other way round, for dotenv files
//!   with age (X25519, post-quantum) and SSH recipients.
//! - Metadata is [written as sops writes it](crate::document::metadata), and what of it is unknown is kept. Untouched values keep their
//!   bytes: changing one value changes its line, the MAC and the date.
//! - Key groups: [shares](crate::keys::shamir) of sops open here, and ours there.
//! - All six [selection options](crate::document::selection::SelectionOption) and `mac_only_encrypted`. `.sops.yaml` is searched and
//!   matched [as in sops](crate::config), patterns in [Go's syntax](crate::document::pattern) included.
//! - Identities come from the [same places](crate::keys::source); commands get the same words and `SOPS_AGE_RECIPIENT`.
//! - `--config` and `SOPS_CONFIG`, key options and `SOPS_AGE_RECIPIENTS` in front of the rule's keys, and each selection option in front
//!   of the rule's value of the same kind; of two kinds neither wins.
//! - `exec --literal` passes what `sops exec-env` passes.
//!
//! # Deliberately different
//!
//! - Blank lines stay; sops drops them when it writes. It reads files that have them.
//! - A file is replaced by rename after it was read back, not truncated and written.
//! - No message holds a value or the text of a line.
//! - A selection pattern that cannot be used is an error. In sops it matches nothing, and everything is stored in clear.
//! - `.sops.yaml` is asked only where readers are chosen; elsewhere a file is at most compared with it, so a broken one keeps nobody
//!   from decrypting. Its `destination_rules` are not
//!   looked at, a negative `shamir_threshold` is an error, and blanks may be tabs in a few places where go-yaml wants spaces.
//! - To encrypt to people none of whom is oneself has to be meant: `encrypt --blind`.
//! - Variables that name keys of kinds not known here are an error where a new file is made, for sops would encrypt to those keys.
//! - `exec` takes a program and its arguments, runs no shell, and by default gives the values that python-dotenv would read.
//! - Two equal values under one name keep different tokens. After an edit with sops they get the same one, which shows that they are equal.
//! - Encrypted files whose line ends git turned into CR LF are read.
//! - A bad line in a file of identities makes only itself unusable, and an encrypted file may hold a plugin's identities.
//! - Commands, passphrases and plugins [wait](crate::keys::step) until nothing cheaper opens any key of the file; sops runs commands
//!   first, for each key, and asks for each key.
//! - A command may print an SSH key with a passphrase.
//! - Output in plaintext is created for its owner alone.
//! - `encrypt` of a file that is encrypted already changes nothing and succeeds.
//! - With several key groups no more are [tried](crate::keys::group) than are needed. sops tries all of them.
//! - `updatekeys` takes the `shamir_threshold` of the rule, [and says so](crate::ops::update_keys); sops keeps the file's. Before it
//!   wraps a data key anew it checks that the key is the file's own. It works on all files that git tracks.
//! - `groups add` and `groups delete` refuse where a key cannot be wrapped; sops writes a file that lacks it. With one group no threshold
//!   is left behind.
//! - `.env.production` and the like are taken for dotenv. sops takes them for binary, so a note says so.
//!
//! # Missing
//!
//! YAML, JSON, INI and binary files; key kinds other than age (entries are [kept and named](crate::keys::foreign)); gpg-agent as the one
//! who is asked for the passphrase of an identity file; sops's own command line.
