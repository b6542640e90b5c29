//! Decisions and their reasons, as questions.
//!
//! # Why the age crate, and why pinned to 0.12.1?
//!
//! It is the maintained implementation of age in Rust, and interchange with the age program works both ways for every kind of key used
//! here. But it has traps, found in this very version: it panics on a bad recipient in its simple interface, parses headers in
//! quadratic time, stops at the first identity that fails, takes some SSH keys apart carelessly, and knows no
//! post-quantum keys. [`keys::age`](crate::keys::age) handles each; a new version has to be looked at again, hence `=`.
//!
//! # Why granit-parser for `.sops.yaml`?
//!
//! It is the only YAML parser found that has byte spans, comments and no unsafe code. `serde_yaml` is archived, has no spans, and
//! ignores merge keys, so that a rule silently loses its recipients; others run out of stack or memory on hostile texts. It has one
//! maintainer, so it is pinned, and everything else goes through [`yaml`](crate::yaml).
//!
//! # Why `ghash` and `ctr` beside `aes-gcm`?
//!
//! sops writes nonces of 32 bytes, which `aes-gcm` does at compile time. But it *reads* tokens with nonces of any length, and no crate
//! takes the length at run time. So decryption of such tokens is put together from the same crates that `aes-gcm` is made of, and the tag
//! is checked before anything is decrypted. What is written always has 32 bytes.
//!
//! # Why our own Shamir?
//!
//! A share of sops is its bytes and then its place. The crates of this kind put the place first, most look the field up in tables by
//! secret bytes, and none wipes what it gives back. The field is forty lines; FIPS 197, sops's own shares and laws over random sharings
//! [prove it](crate::keys::shamir).
//!
//! # Why does an unchanged value keep its token, and how if two are equal?
//!
//! Because a diff should show what changed. A nonce may come again only for the same value under the same name and data key, which gives
//! the same token and tells nothing new. sops remembers one nonce for each name and value; here it is a queue, one entry for each
//! position in the file, so that two equal lines keep their two tokens.
//!
//! # Why does a draft carry the file it was typed on?
//!
//! A [draft](crate::ops::edit::draft) is sealed with XChaCha20-Poly1305 under a key derived from the file's data key: who can open
//! the file can open the draft, and nobody else. But the file may get a new data key, or vanish, before the draft is resumed. With the
//! encrypted file inside, the draft opens by itself, and it is known what was typed against what.
//!
//! # Why does a process guard each edit?
//!
//! Nothing can be done in a process that is killed, and plaintext in memory would stay until somebody runs the next command. So [a second
//! one](crate::ops::edit::guard) waits for the end of the first, ends the editor, seals what was saved, and wipes. It is the program itself,
//! started afresh rather than forked: a fork would hold every value that the edit has. It is told the draft's key, from which the data key
//! does not follow. An edit that can have no guard goes on, and says so.
//!
//! # Why a log for several files, and why does it finish instead of undo?
//!
//! Each file is replaced by a rename, which is whole; several renames are not. So what all files had and are to have is on the disk in a
//! [log](crate::ops::journal) before the first of them. From then on the change is made: after a kill it is finished, because its user
//! wanted it, was asked, and may have been told; and because nothing but the log is needed for that, no key and no question. A file that
//! cannot be replaced is another matter, since somebody is there to be told: the others are put back. The log lies in the state folder,
//! where no repository has a say, holds ciphertext alone, and is believed only as far as a file still has what the log says it had.
//!
//! # Why merge by name?
//!
//! Ciphertext cannot be merged by lines: two changes anywhere change the MAC, and a new data key changes all. A `.env` file is a list of
//! names, and people change names; so [a merge](crate::ops::merge) compares what each side did to each name, and keeps the tokens of what
//! nobody changed. What both changed, each in its own way, is never decided for them: both values stand in the file, encrypted and marked,
//! until somebody has decided in the editor. `edit` does the same with a file that was changed meanwhile.
//!
//! # Why does `textconv` show masks?
//!
//! What git shows gets into pagers, logs and screens, so it holds no value. But ciphertext says of each line of a rotated file that it
//! changed. A [mask](crate::ops::mask) of name and value under a key of the user's own is the same for the same value, and tells others
//! nothing, as a bare hash of a short value would. Without a key that opens the file the ciphertext is hashed instead.
//!
//! # Who may be asked, and where does nobody answer?
//!
//! git runs `textconv` for every file of a log, so it never asks, runs no command and no plugin, and never fails. `diff` and `merge` are run
//! by a person, the latter by way of `git merge`: like every other verb they may ask for a passphrase at the terminal, and run the
//! commands and plugins that the user named. Without a terminal nothing is asked, and what stays shut is said.
//!
//! # Why is there `encrypt --blind`, but no `edit --blind`?
//!
//! A file may well be made for others alone; only it should not happen by oversight, so it [has to be said](crate::ops::readers). That
//! is judged by public keys: no passphrase is asked for and no plugin run to find out, and where it cannot be told, nothing is refused.
//! An edit is another matter: what was typed is kept in a draft that opens with the file's data key, so somebody who cannot open the
//! file could not go on from the draft either.
//!
//! # Why `/dev/shm`, and not an anonymous file in memory?
//!
//! Editors want a path, replace files by rename, and read the name's ending to choose colours. So [the place](crate::sys::scratch) has to
//! be a folder: the one of the login session (`XDG_RUNTIME_DIR`), or one made in `/dev/shm`; checked to be in memory, mode 0700, owned by
//! the user and reached through no link. A disk is used only if that was allowed.
//!
//! # Why does `exec` replace the process instead of staying?
//!
//! Signals, job control, the terminal and the exit code are then the program's own, and no parent is left that holds the secrets. The
//! price is that nothing can be done afterwards; nothing has to be.
//!
//! # Why python-dotenv's reading, and not sops's?
//!
//! Because notebooks and services read `.env` with it, and shall see the same values as before. sops passes quotes, `export` and
//! escapes on as they stand; `--literal` does the same.
//!
//! # Why types of our own for secrets?
//!
//! [`secret`](crate::secret) has no `Debug`, `Display`, `Clone`, `PartialEq` or `Deref`, so that nothing that holds one can derive them:
//! the compiler reviews every use. The common crate for this allows `Debug` and `Clone` by convention.
//!
//! # Why a plugin client of our own?
//!
//! The age crate has one, but it waits and reads for ever, never reaps its program, hands it the whole environment and looks for it in
//! relative folders too. [Ours](crate::keys::age::plugin) is one file with one invariant: the conversation ends.
//!
//! # When is a plugin run unasked, and why is its path what is remembered?
//!
//! Whoever holds an identity of a plugin, or types its recipient, has chosen the plugin. A name in a file or in `.sops.yaml` may be anybody's
//! choice, and picks one of all the programs on the machine that are called so. The answer to that question is kept for the
//! [absolute path](crate::ops::known_plugins), so a program that gets in front of the one that was agreed to, in the search path, is asked
//! about anew; a new version in the same place is not, as with any program.
//!
//! # Why is there network code, and how is it kept away from everything else?
//!
//! People publish their SSH keys at GitHub and elsewhere, and who copies them by hand copies them wrong. So [one
//! module](crate::sys::https) makes one request, [for an address that was given](crate::keys::given), with a library that blocks and with
//! the certificates of the system, as curl has them; nothing of it is initialised before. The feature `https` leaves it out.
//!
//! # Why are commands run for each recipient of a file?
//!
//! Because sops does, and tells them the recipient: a command may choose by it, and fail for all but one. The identities of each run are
//! tried on all keys of the file before the next run, so a command that always prints the same is run once.
//!
//! # Why no async?
//!
//! Nothing waits for more than one thing at a time; the one request that is ever made blocks. If a kind of key needs more, that stays
//! within its file.
//!
//! # Why are keys locked in memory, but not everything?
//!
//! With the usual limit of 8 MiB, locking all memory makes an allocation fail after a few MiB, and Rust aborts. So data keys lie in [one
//! small arena](crate::secret::key_arena) that is locked; everything else secret is wiped as soon as it is dropped.
//!
//! # Why own completion scripts on clap's completion engine?
//!
//! The engine of `clap_complete` knows where in a line of ours the cursor stands. Its scripts are not used: that for bash puts a name into
//! the command line unquoted, so that a file called `;rm -rf ~` would run once Enter is pressed, and all of them need an environment
//! variable that every start of the program would have to look at, that of [`exec`](crate::ops::exec) too. With
//! `completions SHELL -- …` a shell asks as any other caller does. Names that could drive a terminal are not offered at all.
//!
//! # What do `set` and `unset` do with a name that is defined several times?
//!
//! For a program the last definition counts. `set` gives that one the value and takes the others out, unless a line between them refers
//! to the name and would see something else; then it refuses and names the lines. `unset` takes all of them out: otherwise an older value
//! would come to life. After any such change the file's definitions are [compared](crate::ops::variable) with what was meant, and what
//! would change another one, by a quote that somebody left open, is refused.
//!
//! # Why is an empty value stored as `''`?
//!
//! SOPS leaves an empty value unencrypted and out of the MAC, so anybody can add or remove one unnoticed. The two quotes are a value like
//! any other, and mean the same to a program.
