//! What is no file: it is named and never waited for, and nothing of it is read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::table::{Cell, Group, Row, VERBS, check, make_fifo, row_made};

fn refused(what: &'static str, make: fn(&Path)) -> Row {
    row_made(what, make).malformed(&["not a regular file", "secrets.env"]).within_mib(256)
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let make_folder = |path: &Path| {
        let _ = fs::remove_dir(path);
        fs::create_dir(path).unwrap();
    };
    check(vec![
        refused("a folder", make_folder),
        refused("a FIFO", make_fifo),
        refused("/dev/zero", |path| symlink("/dev/zero", path).unwrap()),
        refused("/dev/null", |path| symlink("/dev/null", path).unwrap()),
        refused("a link to a folder", |path| symlink("..", path).unwrap()),
        refused("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
    ]);
}

#[test]
fn a_link_that_leads_nowhere_is_said_to_be_one() {
    let dangling = |path: &Path| symlink("nowhere.env", path).unwrap();
    let round = |path: &Path| symlink("secrets.env", path).unwrap();
    let says: &[&str] = &["secrets.env", "link"];
    let loops: &[&str] = &["symbolic links", "ls -l secrets.env"];
    let all = [Group::Keyless, Group::Reading, Group::Exec, Group::Wrapping, Group::Encrypting];
    let row = |what, make| all.into_iter().fold(row_made(what, make), |row, group| row.group(group, Cell::Refuses(7, says)));
    check(vec![
        row("a dangling link", dangling).group(Group::Changing, Cell::Refuses(6, says)).verb("rotate", Cell::Refuses(6, says)),
        VERBS.iter().fold(row_made("a link to itself", round), |row, (_, verb, _)| row.verb(verb, Cell::Refuses(7, loops))),
    ]);
}
