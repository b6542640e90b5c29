//! The map of `src/` as a rule: imports point right, never left, never between two in one brace.
//!
//! ```text
//! cli → ops → config → document → { format | crypto | keys | dialect } → { tree | yaml | sys } → secret
//! ```
//!
//! Reads every `crate::` and `super::` path of the sources, inside braces too; comments and texts do not count. Below `cli` nothing
//! prints, reads the environment or ends the process, and `unsafe` stands in `sys` alone; tests inside `src/` may do the first three.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from left to right; those of one brace together.
const MAP: &[&[&str]] = &[
    &["cli"],
    &["ops"],
    &["config"],
    &["document"],
    &["format", "crypto", "keys", "dialect"],
    &["tree", "yaml", "sys"],
    &["secret"],
];

/// What reads the environment. `split_paths`, `current_dir` and `current_exe` do not.
const ENVIRONMENT: &[&str] =
    &["var", "var_os", "vars", "vars_os", "args", "args_os", "set_var", "remove_var", "temp_dir", "home_dir"];

const PRINTERS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

#[test]
fn imports_point_right() {
    assert_none(sources().iter().flat_map(|(file, text)| import_violations(file, text)).collect());
}

#[test]
fn only_cli_prints_reads_the_environment_and_ends_the_process() {
    assert_none(sources().iter().flat_map(|(file, text)| conduct_violations(file, text)).collect());
}

#[test]
fn every_room_is_on_the_map() {
    let is_on_map = |name: &String| name == "manual" || MAP.iter().any(|rooms| rooms.contains(&name.as_str()));
    let rooms: BTreeSet<String> = sources().iter().filter_map(|(file, _)| module_of(file).first().cloned()).collect();
    assert_none(rooms.into_iter().filter(|name| !is_on_map(name)).collect());
}

#[test]
fn every_test_file_is_run() {
    let mut reached = BTreeSet::new();
    reach(Path::new("tests/main.rs"), Path::new("tests"), &mut reached);
    reach(Path::new("tests/faults/main.rs"), Path::new("tests/faults"), &mut reached);
    let all: BTreeSet<PathBuf> = rust_files(Path::new("tests")).into_iter().collect();
    assert_none(all.difference(&reached).map(|file| format!("{}: no `mod` line leads to it", file.display())).collect());
}

#[test]
fn a_path_to_the_left_is_found() {
    let found = |file: &str, text: &str| import_violations(file, text);
    assert_eq!(found("src/keys/age.rs", "\nuse crate::document::Thing;"), ["src/keys/age.rs:2: keys must not use document"]);
    assert_eq!(
        found("src/keys/age.rs", "use crate::{\n  secret::A,\n  ops::B\n};"),
        ["src/keys/age.rs:3: keys must not use ops"]
    );
    assert_eq!(found("src/tree.rs", "fn f() -> crate::sys::X {}"), ["src/tree.rs:1: tree must not use sys"]);
    assert_eq!(found("src/tree.rs", "use super::format::X;"), ["src/tree.rs:1: tree must not use format"]);
    assert_eq!(found("src/keys/age.rs", "use super::super::{crypto, secret};"), ["src/keys/age.rs:1: keys must not use crypto"]);
    assert_eq!(found("src/keys/mod.rs", "mod tests { use super::super::ops::X; }"), ["src/keys/mod.rs:1: keys must not use ops"]);
    assert_eq!(found("src/keys/mod.rs", "use crate::*;"), ["src/keys/mod.rs:1: keys must not use everything at once"]);
}

#[test]
fn paths_to_the_right_within_a_room_and_in_words_are_none_of_its_business() {
    let text = "//! crate::cli\n/* crate::cli /* crate::ops */ crate::ops */ use crate::secret::{A, B}; use super::fields;\n\
                const A: &str = \"crate::cli\\\" crate::ops\"; const B: &str = r#\"crate::cli\" crate::ops\"#; const C: char = '\"';\n\
                fn f<'a>(x: &'a crate::tree::T) { self::cli::x(); other_crate::cli::y(); pub(crate) fn g() {} }\n\
                mod tests { use super::super::fields; use super::*; }";
    assert_eq!(import_violations("src/keys/age.rs", text), Vec::<String>::new());
    assert_eq!(import_violations("src/cli/commands/x.rs", "use crate::{ops::a, sys, secret::{B, C}};"), Vec::<String>::new());
}

#[test]
fn bad_conduct_is_found() {
    let found = |file: &str, text: &str| conduct_violations(file, text);
    assert_eq!(found("src/ops/x.rs", "\n println!(\"\");"), ["src/ops/x.rs:2: `println!` below cli"]);
    assert_eq!(found("src/ops/x.rs", "std::env::var(\"A\")"), ["src/ops/x.rs:1: `env::var` below cli"]);
    assert_eq!(found("src/ops/x.rs", "use std::env::{split_paths, var_os};"), ["src/ops/x.rs:1: `env::var_os` below cli"]);
    assert_eq!(found("src/ops/x.rs", "std::process::exit(1)"), ["src/ops/x.rs:1: `process::exit` below cli"]);
    assert_eq!(found("src/ops/x.rs", "unsafe { f() }"), ["src/ops/x.rs:1: `unsafe` outside sys"]);
    assert_eq!(found("src/cli/mod.rs", "unsafe { f() }"), ["src/cli/mod.rs:1: `unsafe` outside sys"]);
    assert_eq!(found("src/cli/mod.rs", "std::env::var(\"A\")"), ["src/cli/mod.rs:1: `env::var` outside cli/environment.rs"]);
    let fine =
        "unsafe { f() } #[cfg(test)] mod tests { fn f() { println!(\"\"); std::env::var(\"A\"); } } std::env::split_paths(x)";
    assert_eq!(found("src/sys/x.rs", fine), Vec::<String>::new());
}

#[test]
fn a_test_file_that_nobody_lists_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("part")).unwrap();
    for (file, text) in
        [("main.rs", "mod part;"), ("part/mod.rs", "// mod lost;\npub mod kept;"), ("part/kept.rs", ""), ("part/lost.rs", "")]
    {
        fs::write(root.join(file), text).unwrap();
    }
    let mut reached = BTreeSet::new();
    reach(&root.join("main.rs"), root, &mut reached);
    let lost: Vec<PathBuf> = rust_files(root).into_iter().filter(|file| !reached.contains(file)).collect();
    assert_eq!(lost, [root.join("part/lost.rs")]);
}

fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// All sources with their texts, but for the two roots, which belong to no room.
fn sources() -> Vec<(String, String)> {
    let files = rust_files(Path::new("src")).into_iter().map(|file| file.to_str().unwrap().to_owned());
    files.filter(|file| !module_of(file).is_empty()).map(|file| (file.clone(), fs::read_to_string(&file).unwrap())).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("fuzz") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `src/keys/age/armor.rs` → keys, age, armor; nothing for the crate's roots.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|name| !["lib", "main"].contains(name)).map(str::to_owned).collect()
}

/// Follows `mod name;` from `file`, whose modules lie in `folder`.
fn reach(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    reached.insert(file.to_owned());
    let words = words(&fs::read_to_string(file).unwrap());
    for three in words.windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";") {
        let name = &three[1].text;
        for candidate in [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")] {
            if candidate.exists() {
                reach(&candidate, &folder.join(name), reached);
            }
        }
    }
}

fn import_violations(file: &str, text: &str) -> Vec<String> {
    let home = module_of(file);
    let room = home[0].clone();
    let rank = |room: &str| MAP.iter().position(|rooms| rooms.contains(&room));
    let mut violations = Vec::new();
    for path in paths(&home, &words(text)) {
        let (line, target) = (path.line, path.name.as_str());
        match (rank(&room), rank(target)) {
            _ if target == room => {}
            (_, _) if target == "*" => violations.push(format!("{file}:{line}: {room} must not use everything at once")),
            (Some(own), Some(other)) if own >= other => violations.push(format!("{file}:{line}: {room} must not use {target}")),
            _ => {}
        }
    }
    violations
}

fn conduct_violations(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    let is_test_file = module.iter().any(|name| ["tests", "testing"].contains(&name.as_str()));
    let in_cli = module[0] == "cli";
    let may_read = ["src/cli/environment.rs", "src/sys/environment.rs"].contains(&file) || is_test_file;
    let words = without_tests(words(text));
    let mut violations = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let text = word.text.as_str();
        let follows = |nth: usize, text: &str| words.get(at + nth).is_some_and(|word| word.text == text);
        let mut found = |what: String| violations.push(format!("{file}:{}: {what}", word.line));
        if text == "unsafe" && module[0] != "sys" {
            found("`unsafe` outside sys".into());
        }
        if PRINTERS.contains(&text) && follows(1, "!") && !in_cli && !is_test_file {
            found(format!("`{text}!` below cli"));
        }
        if text == "process" && follows(1, "::") && follows(2, "exit") && !in_cli {
            found("`process::exit` below cli".into());
        }
        if text == "env" && follows(1, "::") && !may_read {
            let place = if in_cli { "outside cli/environment.rs" } else { "below cli" };
            for name in firsts(&words[at + 2..]).iter().map(|path| &path.name).filter(|name| ENVIRONMENT.contains(&name.as_str()))
            {
                found(format!("`env::{name}` {place}"));
            }
        }
    }
    violations
}

/// A word of the source, or one of its signs; `::` is one sign.
#[derive(Clone)]
struct Word {
    text: String,
    line: usize,
}

/// A path: its first name, which for one from the crate's root is the room it leads to.
struct FirstName {
    name: String,
    line: usize,
}

/// All paths that begin with `crate` or leave the module by `super`.
fn paths(home: &[String], words: &[Word]) -> Vec<FirstName> {
    let mut found = Vec::new();
    // Inline modules: how many braces were open where each began.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    for (at, word) in words.iter().enumerate() {
        let before = |nth: usize| at.checked_sub(nth).map_or("", |index| words[index].text.as_str());
        match word.text.as_str() {
            "{" => {
                if before(2) == "mod" {
                    inline.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth -= 1;
                inline.pop_if(|start| *start == depth);
            }
            "crate" | "super" if before(1) != "::" && words.get(at + 1).is_some_and(|next| next.text == "::") => {
                let mut ups = 0;
                let mut next = at;
                while words[next].text == "super" && words.get(next + 1).is_some_and(|sign| sign.text == "::") {
                    ups += 1;
                    next += 2;
                }
                let levels = home.len() + inline.len();
                let starts_at_root = word.text == "crate" || ups == levels;
                let rest = if word.text == "crate" { at + 2 } else { next };
                if starts_at_root {
                    found.extend(firsts(&words[rest..]));
                }
            }
            _ => {}
        }
    }
    found
}

/// The first names of what follows a `::`: one, or all of a brace.
fn firsts(words: &[Word]) -> Vec<FirstName> {
    let mut found = Vec::new();
    let mut depth = 0;
    for (at, word) in words.iter().enumerate() {
        match word.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if at == 0 || (depth == 1 && ["{", ","].contains(&words[at - 1].text.as_str())) => {
                found.push(FirstName { name: word.text.clone(), line: word.line });
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// Leaves out what stands in `#[cfg(test)] mod … { … }`.
fn without_tests(words: Vec<Word>) -> Vec<Word> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let begins = attribute.iter().enumerate().all(|(nth, text)| words.get(at + nth).is_some_and(|word| word.text == *text));
        if begins && words.get(at + attribute.len() + 1).is_some_and(|word| word.text == "{") {
            at += attribute.len() + 2;
            let mut depth = 1;
            while depth > 0 && at < words.len() {
                depth += match words[at].text.as_str() {
                    "{" => 1,
                    "}" => -1,
                    _ => 0,
                };
                at += 1;
            }
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// The words and signs of a source, without its comments, texts and characters.
fn words(source: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment_length(rest)
        } else if let Some(length) = text_length(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(Word { text: rest[..length].to_owned(), line });
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                words.push(Word { text: rest[..length].to_owned(), line });
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    words
}

/// The length of a comment in `/* */`, which may hold others.
fn comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (change, length) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth += change;
        at += length;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the text or character that `rest` begins with, prefixes such as `b` and `r#` included; `None` if it begins none.
fn text_length(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| rest.starts_with(prefix)).unwrap_or("");
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if prefix.ends_with('r') && after[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix.len() + hashes + 1;
        return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
    }
    let quote = match after.chars().next()? {
        '"' if !prefix.ends_with('r') => b'"',
        // A lifetime has no quote behind its name.
        '\'' if prefix != "r" && (after[1..].starts_with('\\') || after[1..].chars().nth(1) == Some('\'')) => b'\'',
        _ => return None,
    };
    let mut at = prefix.len() + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some((at + 1).min(bytes.len()))
}
