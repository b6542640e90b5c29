//! Metadata that sops would not write itself: we refuse what it refuses, and read what it reads but for a few oddities.

use crate::support::document::{decrypted, keyring, without_blank_lines};
use crate::support::sops::Sops;

const FILE: &str = include_str!("../vectors/known_answer.env");

/// Lines to take out, by their beginning, and lines to add instead.
type Change = (&'static [&'static str], &'static str);

/// What sops reads and we refuse: times and numbers that only Go understands, and a field that stands there twice.
const REFUSED: &[Change] = &[
    (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T02:47:38,5Z"),
    (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T2:47:38Z"),
    (&[], "sops_shamir_threshold=0_2"),
    (&[], "sops_shamir_threshold=-1"),
    (&[], "sops_age__list_0__map_Recipient=other"),
];

#[test]
fn metadata_is_read_as_leniently_as_sops_reads_it() {
    let Some(sops) = Sops::find() else { return };
    let changes: &[Change] = &[
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T02:47:38.123Z"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T02:47:38.999999999999Z"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T02:47:38+00:00"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T02:47:38-00:00"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T03:47:38+01:00"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22t02:47:38z"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22 02:47:38Z"),
        (&["sops_lastmodified"], "sops_lastmodified=2026-11-22T02:47:38"),
        (&["sops_lastmodified"], "sops_lastmodified="),
        (&["sops_lastmodified"], ""),
        (&["sops_lastmodified"], "sops_LastModified=2026-11-22T02:47:38Z"),
        (&["sops_version"], "sops_version=3.9"),
        (&["sops_version"], "sops_version=3.9.0"),
        (&["sops_version"], "sops_version=v3.9.0"),
        (&["sops_version"], "sops_version=vv3.9.0"),
        (&["sops_version"], "sops_version=1.0.0"),
        (&["sops_version"], "sops_version=1.x"),
        (&["sops_version"], "sops_version=3.09.0"),
        (&["sops_version"], "sops_version=4.0.0-rc.1+build"),
        (&["sops_version"], "sops_version=3.13.3-"),
        (&["sops_version"], "sops_version=3.13.3-01"),
        (&["sops_version"], "sops_version=3.13.3+"),
        (&["sops_version"], "sops_version=3.13.3.1"),
        (&["sops_version"], "sops_version=99999999999.0.0"),
        (&["sops_version"], "sops_version=+3.0.0"),
        (&["sops_version"], "sops_version= 3.13.2"),
        (&["sops_version"], "sops_version=three"),
        (&["sops_version"], "sops_version="),
        (&["sops_version"], ""),
        (&["sops_mac"], ""),
        (&["sops_mac"], "sops_mac="),
        (&["sops_mac"], "sops_mac=13D0410D"),
        (&[], "sops_mac_only_encrypted=false"),
        (&[], "sops_mac_only_encrypted=F"),
        (&[], "sops_mac_only_encrypted="),
        (&[], "sops_mac_only_encrypted=no"),
        (&[], "sops_mac_only_encrypted=true"),
        (&[], "sops_MAC_Only_Encrypted=0"),
        (&[], "sops_shamir_threshold=2"),
        (&[], "sops_shamir_threshold=0x2"),
        (&[], "sops_shamir_threshold=0b10"),
        (&[], "sops_shamir_threshold=010"),
        (&[], "sops_shamir_threshold=+2"),
        (&[], "sops_shamir_threshold=2.0"),
        (&[], "sops_shamir_threshold= 2"),
        (&[], "sops_shamir_threshold=many"),
        (&[], "sops_shamir_threshold="),
        (&["sops_unencrypted_suffix"], ""),
        (&["sops_unencrypted_suffix"], "sops_unencrypted_suffix="),
        (&["sops_unencrypted_suffix"], "sops_unencrypted_regex=_unencrypted$"),
        (&["sops_unencrypted_suffix"], "sops_Unencrypted_Regex=_unencrypted$"),
        (&["sops_unencrypted_suffix"], "sops_encrypted_regex=^(URL|PEM)$"),
        (&[], "sops_encrypted_regex="),
        (&[], "sops_encrypted_regex=^U"),
        (&[], "sops_future=1"),
        (&[], "sops_future__map_a__list_0=1"),
        (&[], "sops_future__list_1=1"),
        (&[], "sops_=1"),
        (&[], "sops_mac__map_a=1"),
        (&[], "sops_age__list_1__map_recipient=age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"),
        (&[], "sops_age__list_2__map_recipient=age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"),
        (&[], "sops_age__list_1__map_recipient=nonsense\nsops_age__list_1__map_enc=nonsense"),
        (&[], "sops_age__list_0__map_created_at=yesterday"),
        (&[], "sops_age__list_1=text"),
        (&[], "sops_age__map_enc=text"),
        (&[], "sops_AGE__list_0__map_enc=other"),
        (&[], "sops_pgp__list_0__map_fp=AB"),
        (&[], "sops_pgp__list_0__map_fp=AB\nsops_pgp__list_0__map_created_at=2026-01-02"),
        (&[], "sops_pgp__list_0__map_fp=AB\nsops_pgp__list_0__map_created_at=2026-01-02T03:04:05Z"),
        (&[], "sops_pgp__map_fp=AB\nsops_pgp__map_created_at=2026-01-02T03:04:05Z"),
        (&[], "sops_pgp="),
        (&[], "sops_kms=text"),
        (
            &[],
            "sops_kms__list_0__map_arn=a\nsops_kms__list_0__map_created_at=2026-01-02T03:04:05Z\nsops_kms__list_0__map_context=x",
        ),
        (&[], "sops_key_groups__list_0__map_age__list_0__map_recipient=x"),
        (&[], "sops_key_groups__list_0=text"),
        (&["sops_age"], ""),
        (&["sops_age"], "sops_key_groups__list_0__map_age__list_0__map_recipient=x"),
        (&[], "# a comment behind the metadata"),
        (&[], "\n\nLATE_unencrypted="),
        (&[], "LATE_unencrypted=x"),
    ];
    let mut different = Vec::new();
    for (change, is_refused) in changes.iter().map(|change| (change, false)).chain(REFUSED.iter().map(|change| (change, true))) {
        let (without, added) = change;
        let kept = FILE.lines().filter(|line| !without.iter().any(|start| line.starts_with(start)));
        let file: String = kept.chain([*added]).map(|line| format!("{line}\n")).collect();
        let ours = decrypted(file.as_bytes(), &keyring()).map(|text| without_blank_lines(&text));
        let theirs = sops.decrypt(file.as_bytes());
        let as_meant = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs && !is_refused,
            (Err(_), Ok(_)) => is_refused,
            (ours, _) => ours.is_err() && !is_refused,
        };
        if !as_meant {
            let said = |outcome: &Result<Vec<u8>, String>| {
                outcome.as_ref().map_or_else(|error| error.trim().to_owned(), |_| "read".to_owned())
            };
            different.push(format!("{added:?} for {without:?}\n  we:   {}\n  sops: {}", said(&ours), said(&theirs)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
