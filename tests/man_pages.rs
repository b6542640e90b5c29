//! `man/` is what the command line's definition makes of it: one page for the program and one for each command.

use std::collections::BTreeMap;
use std::fs;

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

fn pages() -> BTreeMap<String, String> {
    // Wrapping is the reader's, and the program's name is part of each command's.
    let mut program = dotsops::cli::definition().disable_help_flag(true).disable_version_flag(true);
    program.build();
    let mut pages = BTreeMap::from([("dotsops.1".to_owned(), page(program.clone()))]);
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("dotsops-{}", command.get_name());
        let command = command.clone().display_name(&name).bin_name(format!("dotsops {}", command.get_name()));
        pages.insert(format!("{name}.1"), page(command));
    }
    pages
}

fn page(command: clap::Command) -> String {
    let mut text = Vec::new();
    // No date: a page is as old as the definition.
    clap_mangen::Man::new(command).manual("dotsops").render(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}
