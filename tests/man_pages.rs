//! `man/` is what `dotsops man` prints: one page for the program and one for each command.

use std::collections::BTreeMap;
use std::fs;

use crate::support::sandbox::Sandbox;

#[test]
fn man_pages_say_what_the_command_line_says() {
    let pages = pages();
    if std::env::var_os("DOTSOPS_UPDATE_MAN").is_some_and(|value| value == "1") {
        let _ = fs::remove_dir_all("man");
        fs::create_dir("man").unwrap();
        for (name, text) in &pages {
            fs::write(format!("man/{name}"), text).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("man").unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    }
    let stale: Vec<&String> = pages.keys().chain(found.keys()).filter(|name| pages.get(*name) != found.get(*name)).collect();
    assert!(stale.is_empty(), "stale: {stale:?}; `DOTSOPS_UPDATE_MAN=1 cargo test man_pages` writes them anew");
}

/// What `dotsops man` prints, for the program and for each command.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::from([("dotsops.1".to_owned(), page(&[]))]);
    add_pages(&dotsops::cli::definition(), &[], &mut pages);
    pages
}

/// A page for each command below `above`, and for those below it.
fn add_pages(above: &clap::Command, words: &[&str], pages: &mut BTreeMap<String, String>) {
    for command in above.get_subcommands() {
        let words = [words, &[command.get_name()]].concat();
        pages.insert(format!("dotsops-{}.1", words.join("-")), page(&words));
        add_pages(command, &words, pages);
    }
}

fn page(command: &[&str]) -> String {
    let printed = Sandbox::empty().run(&[&["man"], command].concat());
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""), "{command:?}");
    printed.stdout
}
