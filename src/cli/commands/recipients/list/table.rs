//! Files × people, in lines that fit a terminal.
//!
//! Its one invariant: whatever people and files are called, no line gets longer than 80 columns because of a person, and nobody is
//! left out: people who do not fit get a table of their own below.

use std::borrow::Cow;

use crate::cli::people::People;
use crate::keys::Kind;
use crate::ops::recipients::roster::{Entry, Roster, Standing};

/// How wide a line may get.
const WIDTH: usize = 80;

/// How wide the names of files may make the first column; a longer one has a line of its own.
const WIDEST_FILE: usize = 36;

/// How much of a person's name heads a column.
const WIDEST_NAME: usize = 20;

/// A file.
pub struct Row<'a> {
    /// What it is called.
    pub name: String,
    /// Who reads it.
    pub roster: &'a Roster,
}

/// Somebody with one or several keys.
struct Person {
    name: String,
    keys: Vec<(Kind, String)>,
}

/// The tables, and below them whose keys they are about.
pub fn lines(rows: &[Row], people: &People) -> Vec<String> {
    let persons = persons(rows, people);
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
    let columns = persons.iter().map(|person| Column {
        head: shortened(&person.name, WIDEST_NAME).into_owned(),
        cells: rows.iter().map(|row| cell(row.roster, person)).collect(),
    });
    let mut lines = Vec::new();
    for table in tables(first, columns.collect()) {
        lines.extend(table);
        lines.push(String::new());
    }
    let widest = persons.iter().map(|person| width(&person.name)).max().unwrap_or_default().min(WIDEST_NAME);
    for person in &persons {
        for (kind, recipient) in &person.keys {
            let key = People::default();
            let key = if recipient.len() > 70 { key.brief(*kind, recipient) } else { key.whole(*kind, recipient) };
            lines.push(format!("{:widest$}  {key}", person.name).trim_end().to_owned());
        }
    }
    lines
}

/// Everybody in the order of their first mention, a person with several keys once.
fn persons(rows: &[Row], people: &People) -> Vec<Person> {
    let mut persons: Vec<Person> = Vec::new();
    for Entry { member, .. } in rows.iter().flat_map(|row| &row.roster.entries) {
        let key = (member.kind, member.recipient.clone());
        if persons.iter().any(|person| person.keys.contains(&key)) {
            continue;
        }
        let name = people.name(member.kind, &member.recipient).map(one_line);
        match persons.iter_mut().find(|person| name.as_ref().is_some_and(|name| *name == person.name)) {
            Some(person) => person.keys.push(key),
            None => persons.push(Person { name: name.unwrap_or_else(|| beginning(&member.recipient)), keys: vec![key] }),
        }
    }
    persons
}

/// Where a person stands, as to one file.
fn cell(roster: &Roster, person: &Person) -> String {
    let theirs = |entry: &&Entry| person.keys.contains(&(entry.member.kind, entry.member.recipient.clone()));
    let mut parts = Vec::new();
    for standing in [Standing::Reads, Standing::Extra, Standing::Missing] {
        let mut groups: Vec<usize> =
            roster.entries.iter().filter(theirs).filter(|entry| entry.standing == standing).map(|entry| entry.group).collect();
        groups.dedup();
        if groups.is_empty() {
            continue;
        }
        let place = match groups.as_slice() {
            _ if roster.needed.1 == 1 && groups == [0] => String::new(),
            [group] => format!("group {group}"),
            groups => format!("groups {}", groups.iter().map(usize::to_string).collect::<Vec<_>>().join("+")),
        };
        parts.push(match (standing, place.as_str()) {
            (Standing::Reads, "") => "yes".to_owned(),
            (Standing::Reads, _) => place,
            (Standing::Extra, "") => "extra".to_owned(),
            (Standing::Missing, "") => "missing".to_owned(),
            (Standing::Extra, _) => format!("extra in {place}"),
            (Standing::Missing, _) => format!("missing in {place}"),
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
