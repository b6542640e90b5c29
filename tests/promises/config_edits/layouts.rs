//! What `.sops.yaml` files are made of: on each axis one choice, the first of which is the plain one. Long because all choices that a
//! config is laid out by meet in one page.

use super::pairwise::Space;

/// One thing in which layouts differ.
pub struct Axis {
    pub name: &'static str,
    pub choices: &'static [&'static str],
}

macro_rules! axes {
    ($($constant:ident $name:literal [$($choice:literal),+ $(,)?])+) => {
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Order { $($constant),+ }
        $(const $constant: usize = Order::$constant as usize;)+
        pub const AXES: &[Axis] = &[$(Axis { name: $name, choices: &[$($choice),+] }),+];
    };
}

axes! {
    FORM "form" [
        "block list", "items of several", "list on one line", "list over lines", "wrapped list", "plain text", "single quotes",
        "double quotes", "folded text", "literal text", "text over lines", "quotes over lines", "missing", "null", "empty list",
        "empty text",
    ]
    HOLDER "holder" ["rule", "rule in braces", "rule on one line", "only group", "second group", "group that merges"]
    NUMBER "recipients" ["one", "two", "three"]
    VICTIM "who leaves" ["first", "last"]
    QUOTES "quotes of items" ["none", "single", "double"]
    INDENT "indentation" ["2", "4", "in line", "1"]
    GAP "behind dashes" ["1 blank", "3 blanks"]
    COMMA "commas" ["between", "at the end too", "blanks around"]
    NAMES "names" ["none", "behind", "behind two blanks", "above", "non-ASCII", "of the first only"]
    COMMENTS "comments" ["none", "above items", "behind the key", "above the field", "below the field"]
    KEY "key" ["plain", "single quotes", "double quotes"]
    BEFORE "before" ["path_regex", "nothing", "literal path_regex", "quoted path_regex", "a comment with a recipient"]
    BEHIND "behind" ["nothing", "a field", "a folded text", "a blank line and a field"]
    RULES "rules" ["one", "first of two", "last of three"]
    ELSEWHERE "elsewhere" ["nothing", "anchors", "stores", "non-ASCII"]
    ENDS "line breaks" ["LF", "CRLF"]
    START "start" ["nothing", "byte order mark", "---", "comment", "directive"]
    FINISH "finish" ["line break", "none", "blank lines", "comment", "..."]
    NEW "who comes" ["age", "ssh"]
    NAMED "new name" ["yes", "no", "non-ASCII"]
    STRING "beside each other" ["a list", "name above"]
}

/// Every axis and what may not meet on two of them.
pub fn space() -> Space<'static> {
    Space { sizes: AXES.iter().map(|axis| axis.choices.len()).collect(), may_meet: &may_meet }
}

/// Pairs that YAML or sops have no form for, or of which one choice would mean nothing.
fn may_meet(one: (usize, usize), other: (usize, usize)) -> bool {
    let said = [one, other].map(|(axis, choice)| (AXES[axis].name, AXES[axis].choices[choice]));
    let [(first, a), (second, b)] = said;
    let is_text = |form: &str| form.contains("text") && form != "empty text" || form.contains("quotes");
    let is_empty = |form: &str| ["missing", "null", "empty list", "empty text"].contains(&form);
    match (first, second) {
        // Groups have lists only; braces have no block style in them.
        ("form", "holder") if b.contains("group") => !is_text(a) && a != "empty text",
        ("form", "holder") if b == "rule in braces" => {
            !["block list", "items of several", "plain text", "folded text", "literal text", "text over lines"].contains(&a)
        }
        ("form", "holder") if b == "rule on one line" => {
            ["list on one line", "single quotes", "double quotes", "missing", "null", "empty list", "empty text"].contains(&a)
        }
        // Where nobody is, nothing is said about them.
        ("form", "recipients" | "who leaves" | "quotes of items" | "names" | "commas") if is_empty(a) => {
            b == AXES[axis_of(second)].choices[0]
        }
        ("form", "key") if a == "missing" => b == "plain",
        ("form", "comments") if a == "missing" => b == "none",
        ("form", "before") if a == "missing" => b != "nothing",
        ("form", "quotes of items") => !is_text(a) && a != "items of several" || b == "none",
        ("form", "behind dashes") => ["block list", "items of several"].contains(&a) || b == "1 blank",
        ("form", "commas") if ["block list", "items of several"].contains(&a) => b == "between",
        ("form", "commas") if a == "wrapped list" => b != "at the end too",
        ("form", "recipients") if ["items of several", "wrapped list", "text over lines", "quotes over lines"].contains(&a) => {
            b != "one"
        }
        ("form", "comments") => b != "above items" || ["block list", "items of several", "list over lines"].contains(&a),
        ("form", "beside each other") => is_text(a) || a == "list on one line" || b == "a list",
        ("holder", "names") if a == "rule on one line" => ["none", "above"].contains(&b),
        ("holder", "comments") if a == "rule on one line" => ["none", "above the field"].contains(&b),
        ("holder", "before") if a == "rule on one line" => ["path_regex", "nothing"].contains(&b),
        ("holder", "before") if a == "rule in braces" => b != "literal path_regex",
        ("holder", "behind") if a == "rule on one line" => ["nothing", "a field"].contains(&b),
        ("holder", "behind") if a == "rule in braces" => b != "a folded text",
        ("holder", "behind") if a.contains("group") => b != "a folded text",
        ("recipients", "who leaves") => a != "one" || b == "first",
        _ => true,
    }
}

fn axis_of(name: &str) -> usize {
    AXES.iter().position(|axis| axis.name == name).unwrap()
}

/// Some recipient and its name.
pub type Member = (String, Option<String>);

/// One layout.
#[derive(Clone)]
pub struct Case {
    choices: Vec<usize>,
}

/// A config in pieces, and what it says.
pub struct Laid {
    /// What no edit may touch.
    pub before: String,
    /// The lines of the one field.
    pub field: String,
    /// What no edit may touch either.
    pub behind: String,
    /// The line on which the rule starts, from 1.
    pub line: usize,
    /// Which group is edited.
    pub group: usize,
    /// The members of every group.
    pub groups: Vec<Vec<Member>>,
    /// How many of the edited group's members stand before those of the field.
    pub merged: usize,
}

impl Laid {
    pub fn text(&self) -> String {
        format!("{}{}{}", self.before, self.field, self.behind)
    }
}

/// Good recipients, of which nobody has the other half, but the first.
pub const PEOPLE: [&str; 6] = [
    crate::support::sandbox::RECIPIENT,
    "age1lazl6hv28lc59f9wnta25spkedzpnugjvygsaxavxyg2g8g3u9qskshs2c",
    "age1cn4n4rjxjyaay5xsg7hl9g2gyhxxvvntuqarcp6x07j52nu3x3hsapay9y",
    "age1puxd9xnpnafqsje0c5jze3kf4u89c4q4t3dvusyuzfa0d9nhs39szxjdsm",
    "age1m5w0gepv275saqeca7cgkq8ld8dr9ua73vpwdl4dcq03lyuudssq8szx2p",
    "age1sa0ug7tm325ge3wxrtzp56kykc5jpuh5nyq8wpwzd86z8rkekpnsr6tdev",
];
const SSH: &str = include_str!("../../vectors/ssh/throwaway_ed25519.pub");

impl Case {
    pub fn of(choices: Vec<usize>) -> Self {
        Self { choices }
    }

    fn is(&self, axis: usize, choice: &str) -> bool {
        debug_assert!(AXES[axis].choices.contains(&choice), "{choice}");
        AXES[axis].choices[self.choices[axis]] == choice
    }

    fn is_one_of(&self, axis: usize, choices: &[&str]) -> bool {
        choices.iter().any(|choice| self.is(axis, choice))
    }

    /// What was chosen besides the plain.
    pub fn names(&self) -> String {
        let chosen = AXES.iter().zip(&self.choices).filter(|(_, choice)| **choice != 0);
        chosen.map(|(axis, choice)| format!("{}: {}", axis.name, axis.choices[*choice])).collect::<Vec<_>>().join(" · ")
    }

    pub fn new_recipient(&self) -> &'static str {
        if self.is(NEW, "ssh") { SSH.trim_end() } else { PEOPLE[5] }
    }

    pub fn new_name(&self) -> &'static str {
        match AXES[NAMED].choices[self.choices[NAMED]] {
            "yes" => "carol",
            "no" => "",
            _ => "Zoë 日本",
        }
    }

    pub fn wants_list(&self) -> bool {
        self.is(STRING, "a list")
    }

    /// Who is to leave, among those of the field.
    pub fn victim(&self) -> Option<usize> {
        let count = self.count();
        (count > 0).then(|| if self.is(VICTIM, "first") { 0 } else { count - 1 })
    }

    fn is_in_flow(&self) -> bool {
        self.is_one_of(HOLDER, &["rule in braces", "rule on one line"])
    }

    /// Whether recipients stand beside each other without room for names.
    pub fn is_tight(&self) -> bool {
        self.is_text() || self.is(FORM, "list on one line")
    }

    /// Whether the field becomes a list of another form when somebody is added.
    pub fn becomes_list(&self) -> bool {
        self.is_tight() && self.wants_list() && !self.new_name().is_empty() && !self.is_in_flow()
    }

    fn is_text(&self) -> bool {
        self.is_one_of(
            FORM,
            &[
                "plain text",
                "single quotes",
                "double quotes",
                "folded text",
                "literal text",
                "text over lines",
                "quotes over lines",
            ],
        )
    }

    pub fn is_empty(&self) -> bool {
        self.is_one_of(FORM, &["missing", "null", "empty list", "empty text"])
    }

    /// Whether who is added and removed again leaves no trace.
    pub fn comes_back(&self) -> bool {
        let name_moves = self.is_tight() && self.count() == 1 && self.has_name_behind();
        !self.becomes_list() && !name_moves && !self.is_empty() && !self.is(FORM, "wrapped list")
    }

    fn count(&self) -> usize {
        if self.is_empty() { 0 } else { self.choices[NUMBER] + 1 }
    }

    /// Whether names stand in lines of their own.
    pub fn has_names_above(&self) -> bool {
        self.is(NAMES, "above") || !self.is(NAMES, "none") && self.is_one_of(FORM, &["folded text", "literal text"])
    }

    fn has_name_behind(&self) -> bool {
        if self.is(FORM, "list on one line") && self.is(COMMENTS, "behind the key") && self.is(NAMES, "none") {
            return true;
        }
        let behind = self.is_one_of(NAMES, &["behind", "behind two blanks", "non-ASCII", "of the first only"]);
        behind && !self.is_one_of(FORM, &["folded text", "literal text"])
    }

    /// The config.
    pub fn laid(&self) -> Laid {
        let mut page = Page::of(self);
        page.top();
        page.rule();
        page.bottom();
        page.laid()
    }
}

/// A config that is being written, line by line.
struct Page<'case> {
    case: &'case Case,
    lines: Vec<(Part, String)>,
    rule_line: usize,
    members: Vec<Member>,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Before,
    Field,
    Behind,
}

impl<'case> Page<'case> {
    fn of(case: &'case Case) -> Self {
        Self { case, lines: Vec::new(), rule_line: 0, members: Vec::new() }
    }

    fn push(&mut self, part: Part, line: impl Into<String>) {
        self.lines.push((part, line.into()));
    }

    fn top(&mut self) {
        match AXES[START].choices[self.case.choices[START]] {
            "---" => self.push(Part::Before, "---"),
            "comment" => self.push(Part::Before, "# who reads what"),
            "directive" => {
                self.push(Part::Before, "%YAML 1.1");
                self.push(Part::Before, "--- # start");
            }
            _ => {}
        }
        match AXES[ELSEWHERE].choices[self.case.choices[ELSEWHERE]] {
            "anchors" => {
                for line in ["keys:", "  - &p 'x' # not a name", "  - &m {age: *p}", "more:", "  <<: *m", "  tagged: !!str 12"] {
                    self.push(Part::Before, line);
                }
            }
            "stores" => self.push(Part::Before, "stores: {yaml: {indent: 2}} # layout"),
            "non-ASCII" => self.push(Part::Before, "größe: \"日本\" # größer"),
            _ => {}
        }
        self.push(Part::Before, "creation_rules:");
        if self.case.is(RULES, "last of three") {
            let dash = self.dash();
            self.push(Part::Before, format!("{dash}{{path_regex: ^a/, age: [{}]}} # {}", PEOPLE[0], "other"));
            self.push(Part::Before, format!("{dash}path_regex: ^b/"));
            self.push(Part::Before, format!("{}age: {},{}", self.column(), PEOPLE[1], PEOPLE[2]));
        }
    }

    fn bottom(&mut self) {
        if self.case.is(RULES, "first of two") {
            let dash = self.dash();
            self.push(Part::Behind, "# others");
            self.push(Part::Behind, format!("{dash}path_regex: ^a/"));
            self.push(Part::Behind, format!("{}age: >-", self.column()));
            self.push(Part::Behind, format!("{}  {}", self.column(), PEOPLE[1]));
        }
        match AXES[FINISH].choices[self.case.choices[FINISH]] {
            "blank lines" => {
                self.push(Part::Behind, "");
                self.push(Part::Behind, "  ");
            }
            "comment" => self.push(Part::Behind, "# the end"),
            "..." => self.push(Part::Behind, "..."),
            _ => {}
        }
    }

    fn offset(&self) -> &'static str {
        match AXES[INDENT].choices[self.case.choices[INDENT]] {
            "2" => "  ",
            "4" => "    ",
            "in line" => "",
            _ => " ",
        }
    }

    /// A dash and the blanks around it.
    fn dash(&self) -> String {
        format!("{}-{}", self.offset(), if self.case.is(GAP, "1 blank") { " " } else { "   " })
    }

    /// The column of keys in a rule.
    fn column(&self) -> String {
        " ".repeat(self.dash().len())
    }

    fn rule(&mut self) {
        self.rule_line = self.lines.len() + 1;
        match AXES[HOLDER].choices[self.case.choices[HOLDER]] {
            "rule on one line" => return self.rule_on_one_line(),
            "rule in braces" => return self.rule_in_braces(),
            _ => {}
        }
        let first = self.lines.len();
        let column = self.column();
        let mut lines = self.head();
        match self.case.is(HOLDER, "rule") {
            true => lines.extend(self.field(&column)),
            false => lines.extend(self.groups(&column)),
        }
        lines.extend(self.tail());
        for (part, line) in lines {
            self.push(part, if line.is_empty() { line } else { format!("{column}{line}") });
        }
        self.put_dash(first);
    }

    /// Comments above the first key stay above the dash.
    fn put_dash(&mut self, first: usize) {
        let dash = self.dash();
        let at = (first..self.lines.len()).find(|at| !self.lines[*at].1.trim_start().starts_with('#')).unwrap();
        self.rule_line = at + 1;
        let line = self.lines[at].1.split_off(dash.len());
        self.lines[at].1 = dash + &line;
    }

    fn head(&self) -> Vec<(Part, String)> {
        let lines: &[&str] = match AXES[BEFORE].choices[self.case.choices[BEFORE]] {
            "path_regex" => &["path_regex: env$ # files"],
            "nothing" => &[],
            "literal path_regex" => &["path_regex: |-", "  env$"],
            "quoted path_regex" => &["path_regex: '(env$|", "  never)'"],
            _ => &["path_regex: env$", "# - age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg # mallory"],
        };
        lines.iter().map(|line| (Part::Before, (*line).to_owned())).collect()
    }

    fn tail(&self) -> Vec<(Part, String)> {
        let lines: &[&str] = match AXES[BEHIND].choices[self.case.choices[BEHIND]] {
            "nothing" => &[],
            "a field" => &["mac_only_encrypted: yes # why"],
            "a folded text" => &["unencrypted_regex: >-", "  ^X_"],
            _ => &["", "mac_only_encrypted: yes"],
        };
        lines.iter().map(|line| (Part::Behind, (*line).to_owned())).collect()
    }

    fn groups(&mut self, column: &str) -> Vec<(Part, String)> {
        let dash = self.dash();
        let inner = format!("{column}{}", self.column());
        let mut lines = vec![(Part::Before, "key_groups:".to_owned())];
        if self.case.is(HOLDER, "second group") {
            lines.push((Part::Before, format!("{dash}age: [{}] # root", PEOPLE[0])));
        }
        let mut group = Vec::new();
        if self.case.is(HOLDER, "group that merges") {
            group.push((Part::Before, "merge:".to_owned()));
            group.push((Part::Before, format!("{dash}age: ['{}']", PEOPLE[0])));
        } else if self.case.is(FORM, "missing") {
            group.push((Part::Before, "pgp: []".to_owned()));
        }
        group.extend(self.field(&inner));
        let start = group.iter().position(|(_, line)| !line.starts_with('#')).unwrap();
        for (at, (part, line)) in group.into_iter().enumerate() {
            let column = if at == start { dash.clone() } else { self.column() };
            lines.push((part, format!("{column}{line}")));
        }
        lines
    }

    fn rule_on_one_line(&mut self) {
        let mut fields = Vec::new();
        if !self.case.is(BEFORE, "nothing") {
            fields.push("path_regex: env$".to_owned());
        }
        let field = self.field("");
        let (last, above) = field.split_last().map_or((None, &[][..]), |(last, above)| (Some(last), above));
        fields.extend(last.map(|(_, line)| line.clone()));
        if !self.case.is(BEHIND, "nothing") {
            fields.push("mac_only_encrypted: yes".to_owned());
        }
        let dash = self.dash();
        for (_, line) in above {
            self.push(Part::Field, format!("{}{line}", self.offset()));
        }
        self.rule_line = self.lines.len() + 1;
        self.push(Part::Field, format!("{dash}{{{}}}", fields.join(", ")));
    }

    fn rule_in_braces(&mut self) {
        let (dash, column) = (self.dash(), self.column());
        self.push(Part::Before, format!("{dash}{{"));
        let mut head = self.head();
        let mut field = self.field(&column);
        if field.is_empty() {
            head.iter_mut().for_each(|(part, _)| *part = Part::Field);
        }
        let is_last = self.case.is(BEHIND, "nothing");
        let has_field = !field.is_empty();
        for (lines, is_last) in [(&mut head, is_last && !has_field), (&mut field, is_last)] {
            let end = lines.iter().rposition(|(_, line)| !line.trim_start().starts_with('#'));
            if let Some((_, line)) = end.filter(|_| !is_last).map(|at| &mut lines[at]) {
                let end = line.find(" #").map_or(line.len(), |at| line[..at].trim_end().len());
                line.insert(end, ',');
            }
        }
        let tail = self.tail();
        for (part, line) in head.into_iter().chain(field).chain(tail) {
            self.push(part, if line.is_empty() { line } else { format!("{column}  {line}") });
        }
        self.push(Part::Behind, format!("{column}}}"));
    }

    /// The field itself, indented as if its key stood in the first column.
    fn field(&mut self, _column: &str) -> Vec<(Part, String)> {
        let case = self.case;
        let count = case.count();
        let has_names = !case.is(NAMES, "none");
        let stands_above = case.has_names_above();
        let name = |at: usize| -> Option<String> {
            let is_first_only = case.is(NAMES, "of the first only");
            let name = if case.is(NAMES, "non-ASCII") { format!("Jürgen {at} 日本") } else { format!("person {at}") };
            (has_names && (at == 0 || !is_first_only)).then_some(name)
        };
        let people = &PEOPLE[1..1 + count];
        let is_alone = |at: usize| match AXES[FORM].choices[case.choices[FORM]] {
            "block list" | "list over lines" | "wrapped list" => true,
            // The first two share an item.
            "items of several" => at > 1,
            _ => count == 1,
        };
        let members = people.iter().enumerate().map(|(at, person)| {
            let is_named = stands_above || is_alone(at);
            ((*person).to_owned(), name(at).filter(|_| is_named))
        });
        self.members = members.collect();
        let mut lines = Vec::new();
        if case.is(COMMENTS, "above the field") {
            lines.push("# those who read it".to_owned());
        }
        if stands_above {
            lines.extend(people.iter().enumerate().filter_map(|(at, person)| Some(format!("# {person} {}", name(at)?))));
        }
        let blanks = if case.is(NAMES, "behind two blanks") { "  " } else { " " };
        let behind = |at: usize| match name(at).filter(|_| !stands_above) {
            Some(name) => format!("{blanks}# {name}"),
            None => String::new(),
        };
        let team = if stands_above || !has_names {
            String::new()
        } else if count == 1 {
            behind(0)
        } else {
            format!("{blanks}# team")
        };
        let quoted = |person: &str| match AXES[QUOTES].choices[case.choices[QUOTES]] {
            "none" => person.to_owned(),
            "single" => format!("'{person}'"),
            _ => format!("\"{person}\""),
        };
        let key = match AXES[KEY].choices[case.choices[KEY]] {
            "plain" => "age:",
            "single quotes" => "'age':",
            _ => "\"age\":",
        };
        let has_key_comment = case.is(COMMENTS, "behind the key");
        let key_comment = if has_key_comment { " # readers" } else { "" };
        let comma = if case.is(COMMA, "at the end too") { "," } else { "" };
        let (pad, separator) = if case.is(COMMA, "blanks around") { (" ", " , ") } else { ("", ", ") };
        let text = people.join(if case.is(COMMA, "blanks around") { " , " } else { "," }) + comma;
        let note = |lines: &mut Vec<String>, indentation: &str, at: usize| {
            if case.is(COMMENTS, "above items") {
                lines.push(format!("{indentation}# note {at}"));
            }
        };
        let dash = self.dash();
        match AXES[FORM].choices[case.choices[FORM]] {
            "block list" => {
                lines.push(format!("{key}{key_comment}"));
                for (at, person) in people.iter().enumerate() {
                    note(&mut lines, self.offset(), at);
                    lines.push(format!("{dash}{}{}", quoted(person), behind(at)));
                }
            }
            "items of several" => {
                lines.push(format!("{key}{key_comment}"));
                note(&mut lines, self.offset(), 0);
                let both = if has_names && !stands_above { format!("{blanks}# both") } else { String::new() };
                lines.push(format!("{dash}{}{both}", people[..2].join(", ")));
                for (at, person) in people.iter().enumerate().skip(2) {
                    note(&mut lines, self.offset(), at);
                    lines.push(format!("{dash}{person}{}", behind(at)));
                }
            }
            "list on one line" => {
                let items: Vec<String> = people.iter().map(|person| quoted(person)).collect();
                lines.push(format!(
                    "{key} [{pad}{}{comma}{pad}]{}",
                    items.join(separator),
                    if team.is_empty() { key_comment } else { &team }
                ));
                // A comment behind the only one is its name.
                if team.is_empty() && has_key_comment && count == 1 && !stands_above {
                    self.members[0].1 = Some("readers".to_owned());
                }
            }
            "list over lines" => {
                lines.push(format!("{key} [{key_comment}"));
                for (at, person) in people.iter().enumerate() {
                    note(&mut lines, "  ", at);
                    let comma = if at + 1 < count { "," } else { comma };
                    lines.push(format!("  {}{}{comma}{}", quoted(person), if comma.is_empty() { "" } else { pad }, behind(at)));
                }
                lines.push("  ]".to_owned());
            }
            "wrapped list" => {
                for (at, person) in people.iter().enumerate() {
                    let start = if at == 0 { format!("{key} [{pad}") } else { "      ".to_owned() };
                    let end = if at + 1 < count { ",".to_owned() } else { format!("{pad}]") };
                    lines.push(format!("{start}{}{end}{}", quoted(person), behind(at)));
                }
            }
            "plain text" => lines.push(format!("{key} {text}{team}")),
            "single quotes" => lines.push(format!("{key} '{pad}{text}'{team}")),
            "double quotes" => lines.push(format!("{key} \"{pad}{text}\"{team}")),
            form @ ("folded text" | "literal text") => {
                lines.push(format!("{key} {}{key_comment}", if form == "folded text" { ">-" } else { "|" }));
                for (at, person) in people.iter().enumerate() {
                    lines.push(format!("  {person}{}", if at + 1 < count { "," } else { comma }));
                }
            }
            form @ ("text over lines" | "quotes over lines") => {
                let quote = if form == "text over lines" { "" } else { "\"" };
                for (at, person) in people.iter().enumerate() {
                    let start = if at == 0 { format!("{key} {quote}") } else { "   ".to_owned() };
                    let end = if at + 1 < count { ",".to_owned() } else { format!("{comma}{quote}{team}") };
                    lines.push(format!("{start}{person}{end}"));
                }
            }
            "missing" => {}
            "null" => lines.push(format!("{key}{key_comment}")),
            "empty list" => lines.push(format!("{key} []{key_comment}")),
            "empty text" => lines.push(format!("{key} ''{key_comment}")),
            other => panic!("{other}"),
        }
        let mut lines: Vec<_> = lines.into_iter().map(|line| (Part::Field, line)).collect();
        if case.is(COMMENTS, "below the field") {
            // Further in, it would be one more line of a text.
            let column = if case.is_one_of(FORM, &["folded text", "literal text"]) { "" } else { "  " };
            lines.push((Part::Field, format!("{column}# below")));
        }
        lines
    }

    fn laid(self) -> Laid {
        let case = self.case;
        let ending = if case.is(ENDS, "LF") { "\n" } else { "\r\n" };
        let mut text = [String::new(), String::new(), String::new()];
        if case.is(START, "byte order mark") {
            text[0].push('\u{feff}');
        }
        // Lines between the first and the last of the field are all part of it.
        let first = self.lines.iter().position(|(part, _)| *part == Part::Field);
        let first =
            first.unwrap_or_else(|| self.lines.iter().position(|(part, _)| *part == Part::Behind).unwrap_or(self.lines.len()));
        let last = self.lines.iter().rposition(|(part, _)| *part == Part::Field).map_or(first, |last| last + 1);
        for (at, (_, line)) in self.lines.iter().enumerate() {
            let part = if at < first { 0 } else { usize::from(at >= last) + 1 };
            text[part].push_str(line);
            text[part].push_str(ending);
        }
        if case.is(FINISH, "none") {
            let last = text.iter_mut().rev().find(|text| !text.is_empty()).unwrap();
            last.truncate(last.len() - ending.len());
        }
        let root = (PEOPLE[0].to_owned(), None);
        let named_root = (PEOPLE[0].to_owned(), Some("root".to_owned()));
        let (groups, group, merged) = match AXES[HOLDER].choices[case.choices[HOLDER]] {
            "second group" => (vec![vec![named_root], self.members], 1, 0),
            "group that merges" => (vec![[vec![root], self.members].concat()], 0, 1),
            _ => (vec![self.members], 0, 0),
        };
        let [before, field, behind] = text;
        Laid { before, field, behind, line: self.rule_line, group, groups, merged }
    }
}
