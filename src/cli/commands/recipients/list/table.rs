//! Files × people, in lines that fit a terminal.
//!
//! Its one invariant: whatever people and files are called, no line gets longer than 80 columns because of a person, and nobody is
//! left out: people who do not fit get a table of their own below.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::cli::people::People;
use crate::ops::recipients::roster::{Entry, Roster, Standing};
use crate::ops::update_keys::Member;

/// How wide a line may get.
const WIDTH: usize = 80;

/// How wide the names of files may make the first column; a longer one has a line of its own.
const WIDEST_FILE: usize = 36;

/// How much of a person's name heads a column.
const WIDEST_NAME: usize = 20;

/// How long a key may be to be shown whole.
const LONGEST_KEY: usize = 200;

/// A file.
pub struct Row<'a> {
    /// What it is called.
    pub name: String,
    /// Who reads it.
    pub roster: &'a Roster,
}

/// Somebody with one or several keys.
struct Person<'a> {
    name: String,
    keys: Vec<&'a Member>,
}

/// The tables, and below them whose keys they are about.
pub fn lines(rows: &[Row], people: &People) -> Vec<String> {
    let (persons, numbers) = persons(rows, people);
    let names: Vec<String> = rows.iter().map(|row| one_line(&row.name)).collect();
    let several_groups = rows.iter().any(|row| row.roster.needed.1 > 1);
    let mut first = vec![Column { head: "FILE".to_owned(), cells: names }];
    if several_groups {
        let needed = |row: &Row| match row.roster.needed {
            (_, 1) => "-".to_owned(),
            (needed, groups) => format!("{needed} of {groups}"),
        };
        first.push(Column { head: "GROUPS".to_owned(), cells: rows.iter().map(needed).collect() });
    }
    let head = |person: &Person| Column { head: shortened(&person.name, WIDEST_NAME).into_owned(), cells: Vec::new() };
    let mut columns: Vec<Column> = persons.iter().map(head).collect();
    for row in rows {
        let mut entries: Vec<Vec<&Entry>> = persons.iter().map(|_| Vec::new()).collect();
        row.roster.entries.iter().for_each(|entry| entries[numbers[&entry.member]].push(entry));
        let cells = entries.iter().map(|entries| cell(entries, row.roster.needed.1));
        columns.iter_mut().zip(cells).for_each(|(column, cell)| column.cells.push(cell));
    }
    let mut lines = Vec::new();
    for table in tables(first, columns) {
        lines.extend(table);
        lines.push(String::new());
    }
    let heads = persons.iter().map(|person| shortened(&person.name, WIDEST_NAME));
    let widest = heads.map(|head| width(&head)).max().unwrap_or_default();
    for person in &persons {
        for Member { kind, recipient } in &person.keys {
            // A post-quantum key would fill a page.
            let key = match recipient.len() > LONGEST_KEY {
                true => People::default().brief(*kind, recipient),
                false => People::default().whole(*kind, recipient),
            };
            lines.push(format!("{:widest$}  {key}", person.name));
        }
    }
    lines
}

/// Everybody in the order of their first mention, a person with several keys once; and who has which key.
fn persons<'a>(rows: &'a [Row], people: &People) -> (Vec<Person<'a>>, HashMap<&'a Member, usize>) {
    let (mut persons, mut numbers, mut named) = (Vec::new(), HashMap::new(), HashMap::new());
    for Entry { member, .. } in rows.iter().flat_map(|row| &row.roster.entries) {
        if numbers.contains_key(member) {
            continue;
        }
        let name = people.name(member.kind, &member.recipient).map(one_line);
        let number = match name.as_ref().and_then(|name| named.get(name)) {
            Some(number) => *number,
            None => {
                let number = persons.len();
                named.extend(name.clone().map(|name| (name, number)));
                persons.push(Person { name: name.unwrap_or_else(|| beginning(&member.recipient)), keys: Vec::new() });
                number
            }
        };
        persons[number].keys.push(member);
        numbers.insert(member, number);
    }
    (persons, numbers)
}

/// Where a person's keys stand in a file of so many groups.
fn cell(entries: &[&Entry], groups: usize) -> String {
    let mut parts = Vec::new();
    for (standing, word) in [(Standing::Reads, "yes"), (Standing::Extra, "extra"), (Standing::Missing, "missing")] {
        let mut numbers: Vec<usize> =
            entries.iter().filter(|entry| entry.standing == standing).map(|entry| entry.group).collect();
        numbers.dedup();
        let place = match numbers.as_slice() {
            [] => continue,
            [0] if groups == 1 => String::new(),
            [group] => format!("group {group}"),
            several => format!("groups {}", several.iter().map(usize::to_string).collect::<Vec<_>>().join("+")),
        };
        parts.push(match (standing, place.is_empty()) {
            (_, true) => word.to_owned(),
            (Standing::Reads, false) => place,
            (_, false) => format!("{word} in {place}"),
        });
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

struct Column {
    head: String,
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        self.cells.iter().chain([&self.head]).map(|cell| width(cell)).max().unwrap_or_default()
    }
}

/// As many of `columns` beside `first` as fit, then the next.
fn tables(first: Vec<Column>, columns: Vec<Column>) -> Vec<Vec<String>> {
    let file_width =
        first[0].cells.iter().map(|name| width(name)).filter(|width| *width <= WIDEST_FILE).max().unwrap_or(4).max(4);
    let fixed = file_width + first[1..].iter().map(|column| column.width() + 2).sum::<usize>();
    let mut tables = Vec::new();
    let mut rest = columns.as_slice();
    loop {
        let mut used = fixed;
        let fitting = rest.iter().take_while(|column| {
            used += column.width() + 2;
            used <= WIDTH
        });
        let (now, later) = rest.split_at(fitting.count().max(1).min(rest.len()));
        let shown: Vec<&Column> = first[1..].iter().chain(now).collect();
        let line = |name: &str, cell: &dyn Fn(&Column) -> String| {
            let mut line = format!("{name:file_width$}");
            shown.iter().for_each(|column| line.push_str(&format!("  {:1$}", cell(column), column.width())));
            line.trim_end().to_owned()
        };
        let mut table = vec![line("FILE", &|column| column.head.clone())];
        for (at, name) in first[0].cells.iter().enumerate() {
            let cell = |column: &Column| column.cells[at].clone();
            if width(name) > file_width {
                table.push(name.clone());
                table.push(line("", &cell));
            } else {
                table.push(line(name, &cell));
            }
        }
        tables.push(table);
        rest = later;
        if rest.is_empty() {
            return tables;
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some(_) => text.chars().take(longest - 1).chain(['…']).collect(),
        None => Cow::Borrowed(text),
    }
}

/// What tells a key without a name from others, in a column's head.
fn beginning(recipient: &str) -> String {
    match recipient.split_whitespace().collect::<Vec<_>>().as_slice() {
        // All SSH keys of one sort begin alike.
        [_, key, ..] => format!("…{}", &key[key.char_indices().nth_back(11).map_or(0, |(at, _)| at)..]),
        _ => shortened(recipient, 13).into_owned(),
    }
}

/// A name in one line, whatever is in it.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
