//! Files that are too much: every limit with what is one more, and memory that stays in proportion.

use std::fs::File;
use std::path::Path;

use super::sealed::{sealed, spoiled, spoiled_file};
use super::table::{Cell, Group, check, row, row_made};

/// Debug builds need a second for each of these.
const SLOW: &str = "one verb of each group is asked, for the others read the file the same way";
const ONE_EACH: &[&str] = &["keys", "decrypt", "exec", "set", "rotate", "encrypt"];

#[test]
fn a_file_of_more_than_64_mib_is_not_even_read() {
    let hundred_mib = |path: &Path| File::create(path).unwrap().set_len(100 << 20).unwrap();
    check(vec![row_made("100 MB", hundred_mib).malformed(&["larger than 64 MiB", "split it"]).within_mib(64)]);
}

#[test]
fn a_line_of_60_mb_costs_no_more_than_its_share() {
    let long = "A".repeat(60 << 20);
    let no_equals = spoiled(|lines| lines.insert("API_KEY=", &long));
    check(vec![
        row("60 MB without a `=`", no_equals).malformed(&["line 2", "no `=`"]).only(&["keys", "exec"], SLOW).within_mib(700),
        row("a value of 60 MB that is no token", spoiled(|lines| lines.set("API_KEY=", &long)))
            .in_clear(&["`API_KEY`"])
            .only(&["decrypt"], SLOW)
            .within_mib(700),
        row("a name of 60 MB", spoiled(|lines| lines.insert("API_KEY=", &format!("{long}=cnry"))))
            .in_clear(&["is not encrypted", "bytes left out"])
            .only(&["set"], SLOW)
            .within_mib(1000),
    ]);
}

#[test]
fn more_than_a_million_entries_are_refused() {
    let million = "A=\n".repeat(1_000_000);
    check(vec![
        row("1,000,006 entries", format!("{million}{}", sealed()))
            .malformed(&["line 1000001", "more than 1000000 entries", "split it"])
            .only(&["decrypt", "exec", "set"], SLOW),
    ]);
}

#[test]
fn more_than_a_thousand_master_keys_are_refused() {
    let list = |kind: &str, count: usize| -> String {
        let entry =
            |at| format!("sops_{kind}__list_{at}__map_enc=x\nsops_{kind}__list_{at}__map_created_at=2026-01-02T03:04:05Z\n");
        (0..count).map(entry).collect()
    };
    let with = |more: String| spoiled_file(&sealed(), |lines| lines.push(more.trim_end()));
    check(vec![
        row("a list of 1,001", with(list("pgp", 1001))).malformed(&["more than 1000 elements"]),
        row("two lists of 501", with(list("pgp", 501) + &list("kms", 501))).unusable(&["more than 1000 master keys"]),
        row("1,000 besides ours", with(list("pgp", 999)))
            .group(Group::Wrapping, Cell::NotHere("a data key is wrapped for age keys only so far")),
        row("an index of a billion", with("sops_pgp__list_1000000000__map_enc=x".into())).malformed(&["more than 1000 elements"]),
    ]);
}

#[test]
fn metadata_beyond_its_limits_is_refused() {
    let nested = |depth: usize| spoiled(|lines| lines.push(&format!("sops_x{}=1", "__map_a".repeat(depth - 1))));
    let many: String = (0..100_001).map(|at| format!("sops_x{at}=\n")).collect();
    check(vec![
        row("a wrapped key of 64 KiB and a byte", {
            spoiled(|lines| lines.set("sops_age__list_0__map_enc=", &"A".repeat((64 << 10) + 1)))
        })
        .unusable(&["`enc`", "longer than 65536 bytes"]),
        row("nested 65 deep", nested(65)).malformed(&["line 13", "nested more than 64 deep"]),
        row("nested 64 deep", nested(64)),
        row("nested 100,000 deep", nested(100_000)).malformed(&["nested more than 64 deep"]),
        row("more than 100,000 lines of it", sealed() + &many).malformed(&["more than 100000 lines"]).only(ONE_EACH, SLOW),
    ]);
}
