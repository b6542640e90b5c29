//! Names that stand twice. Whether both values are encrypted makes the difference: only then nobody without a key put one there.

use super::sealed::{sealed_with, spoiled, spoiled_file};
use super::table::{Cell, Group, Row, check, row};
use crate::support::document::{encrypted, metadata};
use crate::support::sandbox::RECIPIENT;

/// Everybody but `exec` and the verbs that resolve it goes on, and says so.
fn warned(row: Row) -> Row {
    row.verb("keys", Cell::Runs(&["`API_KEY` stands more than once"]))
        .verb("decrypt", Cell::Runs(&["`API_KEY` stands more than once; the last value counts"]))
        .verb("get", Cell::Runs(&["`API_KEY` is defined several times, and the last counts: lines "]))
        .verb("set", Cell::Runs(&["defined several times; taken out: line "]))
        .verb("rotate", Cell::Runs(&["several times: API_KEY"]))
        .verb("updatekeys", Cell::Runs(&["`API_KEY` stands more than once"]))
        .verb("groups add", Cell::Runs(&["`API_KEY` stands more than once"]))
}

#[test]
fn of_two_encrypted_values_the_last_counts_and_that_is_said() {
    let file = sealed_with("API_KEY=cnry-1\nTOKEN=cnry-2\nAPI_KEY=cnry-3\nLAST=cnry-4\n");
    let swapped = spoiled_file(&file, |lines| {
        let first = lines.remove("API_KEY=");
        lines.insert("LAST=", &first);
    });
    let says = Cell::Runs(&["`API_KEY` stands more than once; the last value counts"]);
    check(vec![
        warned(row("a name twice", file)).group(Group::Exec, says),
        row("the same in another order", swapped).forged(&["MAC"]).verb("keys", Cell::Runs(&["`API_KEY` stands more than once"])),
    ]);
}

#[test]
fn a_second_line_that_anybody_can_add_never_reaches_a_program() {
    let refuses = Cell::Refuses(125, &["`API_KEY`", "line 2", "git log -p secrets.env"]);
    // Nobody without a key can add a value in clear, unless the MAC covers encrypted ones alone.
    let unsure = metadata(&[RECIPIENT], None, true);
    let clear = encrypted(b"# cnry\nAPI_KEY=cnry-1\nMODE_unencrypted=dev\nLAST=cnry-2\n", unsure).unwrap();
    let clear = spoiled_file(&String::from_utf8(clear).unwrap(), |lines| lines.insert("LAST=", "MODE_unencrypted=evil"));
    let mode = Cell::Refuses(125, &["`MODE_unencrypted`", "line 3"]);
    let told = Cell::Runs(&["`MODE_unencrypted` stands more than once"]);
    check(vec![
        warned(row("an empty value behind it", spoiled(|lines| lines.insert("LAST=", "API_KEY=")))).group(Group::Exec, refuses),
        warned(row("an empty value before it", spoiled(|lines| lines.insert("API_KEY=", "API_KEY="))))
            .group(Group::Exec, refuses),
        row("`export` before it", spoiled(|lines| lines.insert("LAST=", "export API_KEY=")))
            .group(Group::Exec, refuses)
            .verb("exec --literal", Cell::Runs(&["`export API_KEY` is no name for a shell"]))
            .verb("keys", Cell::Runs(&["`API_KEY` stands more than once"])),
        row("a second value in clear", clear)
            .group(Group::Exec, mode)
            .verb("decrypt", told)
            .verb("updatekeys", told)
            .verb("groups add", told)
            .verb("rotate", Cell::Runs(&["several times: MODE_unencrypted"])),
    ]);
}
