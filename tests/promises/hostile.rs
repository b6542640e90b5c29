//! Files from people who hold no key, and files that something broke: what every verb makes of each of them.
//!
//! One row is one finding, one verb is one cell. Whatever is refused: the exit code is the table's, the message names the file and what
//! to do next in at most three short lines and holds no value, nothing is printed or run, and the file is the same down to its inode and
//! the time of its last change, with nothing left beside it.
//!
//! The rows of what is done about a finding, and where they are:
//!
//! | finding | test |
//! |---|---|
//! | MAC missing or wrong | `a_mac_that_is_missing_wrong_or_anothers_is_refused` |
//! | a pattern that does not compile, two selection options | `a_selection_that_is_not_clear_is_refused_for_it_could_mean_nothing_is_encrypted` |
//! | a damaged token | `a_value_that_was_changed_moved_or_replaced_is_named` |
//! | a nonce of another length | `a_nonce_of_another_length_is_read_and_replaced` |
//! | a name twice | `of_two_encrypted_values_the_last_counts_and_that_is_said`, `a_second_line_that_anybody_can_add_never_reaches_a_program` |
//! | an empty value, a comment | `what_anybody_may_do_to_a_file_is_read_and_said` |
//! | another selection than the rule's | `a_rule_that_somebody_slipped_in_stores_nothing_in_clear_unasked` and, in `strict`, `row_61_a_value_in_clear_is_…` |
//! | a recipient that no rule names | `a_recipient_that_no_rule_names_is_said_on_a_change_and_asked_about_before_it_gains_anything` |
//! | names that load code, or redirect | the tests of `loaders` |
//! | a Vault's address | `a_vault_that_the_file_names_is_contacted_by_no_verb` |
//! | a plugin | `a_plugin_that_the_file_names_is_not_run_to_read_it_and_must_have_a_plain_name` |
//! | escapes; too large | the tests of `terminal` and `limits` |
//! | every warning under `--strict` | `row_61_every_warning_about_a_file_is_a_refusal` |
//! | a whole file forged, or an older one put back | `row_61_what_nobody_can_tell_from_the_real_file_is_read_and_sops_reads_it_too` |
//!
//! Not here, because no verb does it yet: merging in `edit`, and keys that only a service opens.

mod accepted;
mod content;
mod creation_rules;
mod duplicates;
mod elsewhere;
#[cfg(target_os = "linux")]
mod limits;
mod loaders;
#[cfg(target_os = "linux")]
mod no_file;
mod readers;
mod sealed;
mod strict;
mod table;
mod terminal;
mod truncated;
