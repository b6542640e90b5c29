//! What is protected, from whom, and from whom not.
//!
//! Protected are values and comments, data keys and identities, what a user typed and has not saved, and the encrypted file itself.
//!
//! | attacker or accident | | answer |
//! |---|---|---|
//! | other users of the machine, backups, a disk that somebody reads, a lost laptop | yes | plaintext lies in memory, in a folder that one user can enter; editors write no copies; drafts are encrypted |
//! | a crash, a hang-up, a full disk, a power cut | yes | at each step the old or the new file is there; what was saved in the editor is in a sealed draft first; [a guard](crate::ops::edit::guard) makes one and removes the plaintext if dotsops is killed |
//! | somebody who can change the file but holds no key, as in a pull request | yes | refused, or warned of; see below |
//! | a second editor, or `git pull` meanwhile | yes | a lock; the file is replaced only if it still is what was opened, else [both changes are merged by name](crate::ops::merge), and what both changed is shown with both values |
//! | careless programs of the same user: plugins, loggers, crash handlers | yes | flags for editors; no core dump; nothing secret in errors, arguments and logs |
//! | a hostile program of the same user, root, a hypervisor, a hibernation image | no | made harder: not dumpable, keys locked in memory and wiped |
//! | a recipient | no | holds the data key, and so can write anything |
//!
//! # What somebody without a key can do to a file
//!
//! The format has limits that dotsops shares with SOPS, since it writes the same bytes:
//!
//! - nobody signs a file: whoever knows the recipients' public keys can write a whole new one;
//! - the metadata is not authentic: recipients and selection rules can be changed;
//! - the MAC covers values only. A line whose value is empty can be added unnoticed, and comments and names of values in clear are not
//!   protected. With `mac_only_encrypted`, values in clear are not either;
//! - a file does not know its name, and an old version of it stays valid; so do the encrypted marks of an old conflict, which somebody can
//!   put back without a key: `exec` then passes nothing on until somebody has decided.
//!
//! Hence, beyond what the MAC finds:
//!
//! - [`exec`](crate::ops::exec) lets a line that is empty or in clear decide nothing: it neither hides nor blanks nor extends another
//!   line, and it never carries a [name that makes programs load code](crate::ops::exec::policy). If such a name is encrypted, the user is
//!   asked, once for the [file, data key and name](crate::ops::exec::known), or has to name it with `--allow`;
//! - a pattern of a selection rule that cannot be used as sops would use it [is refused](crate::document::pattern), because a pattern
//!   that silently matches nothing would leave everything in clear;
//! - [`updatekeys` and `groups`](crate::ops::rewrap) wrap a data key for others only if it opens the file: one that somebody slipped in
//!   would take the place of the right one for everybody. Who comes and who goes is shown and asked;
//! - before a *new* value is stored in clear, the user is asked;
//! - [what a terminal shows](crate::sys::terminal::escape_for_terminal) of a file is escaped;
//! - no program runs because a file names it: [commands](crate::keys::command) come from the user's environment,
//!   [plugins](crate::keys::age::plugin) from identities of the user's own or from recipients that the user named. For a recipient that a
//!   file or `.sops.yaml` names, the user is asked [once for the program's path](crate::ops::known_plugins). They are looked for in absolute
//!   folders, see no key of ours, have a deadline, and cannot drive the terminal;
//! - no [connection](crate::sys::https) is made because a file says so, only to [an address that the user gave for a
//!   key](crate::keys::given). What comes from there is untrusted text: which of its keys is let in, the user decides by their fingerprints,
//!   and from then on the key itself stands in `.sops.yaml`, not the address;
//! - sizes are limited before anything is decrypted: 64 MiB a file, 64 stanzas and 64 KiB a wrapped key.
//!
//! # What is not there yet
//!
//! If an edit is ended by a signal, the editor is ended with it, but not one that a script in between started without `exec`.
//!
//! On macOS there is no file system in memory; the per-user temporary
//! folder is used instead, and [the guard](crate::ops::edit::guard) of an edit that was killed ends no editor; that code was never run.
