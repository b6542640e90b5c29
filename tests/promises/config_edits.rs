//! Edits of `.sops.yaml`: for every layout only the lines about the one recipient change, and the result means what was asked for.
//!
//! A config is one choice on each of the axes in [`layouts`], so that every two choices that can meet do meet in some config. Each is
//! edited by add and by remove. What it means then is told by our own reading, and by the real sops, which encrypts a file by it.

mod laws;
mod layouts;
mod pairwise;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use dotsops::config::Config;
use dotsops::config::editing::{self, EditError, NewRecipient, StringForm};
use dotsops::keys::Kind;

use crate::support::peers::say;
use crate::support::random::{Random, number_from, seed};
use crate::support::sops::Sops;
use layouts::{AXES, Axis, Case, Laid, Member, PEOPLE, space};
use pairwise::pairs_of;

/// How many configs there are at least; `$DOTSOPS_CONFIGS` changes it.
const COUNT: usize = 300;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let count = number_from("DOTSOPS_CONFIGS").map_or(COUNT, |count| count as usize);
    let space = space();
    let mut cases = BTreeSet::new();
    let mut random = Random(8);
    while cases.len() < count {
        cases.extend(space.cases(&mut random));
    }
    cases.into_iter().map(Case::of).collect()
});

#[test]
fn every_two_choices_of_layout_meet_in_some_config() {
    let space = space();
    let made = space.cases(&mut Random(8));
    let met: BTreeSet<_> = made.iter().flat_map(|case| pairs_of(case)).collect();
    let wanted = space.pairs();
    assert!(AXES.len() >= 12 && wanted.len() > 2000, "{} axes, {} pairs", AXES.len(), wanted.len());
    assert!(wanted.is_subset(&met));
    assert!(met.iter().all(|(one, other)| (space.may_meet)(*one, *other)), "two choices met that may not");
    // Each choice is used, and each pair that is left out is left out on purpose.
    for (axis, Axis { name, choices }) in AXES.iter().enumerate() {
        for choice in 0..choices.len() {
            assert!(made.iter().any(|case| case[axis] == choice), "{name}: {}", choices[choice]);
        }
    }
    say(&format!("{} axes, {} pairs, {} configs cover them", AXES.len(), wanted.len(), made.len()));
}

#[test]
fn who_is_added_stands_in_one_more_line_and_whoever_was_there_keeps_name_and_place() {
    let mut wrong = Vec::new();
    for case in CASES.iter() {
        let laid = case.laid();
        if let Err(why) = said(&laid.text(), &laid.groups).and_then(|()| added(case, &laid)) {
            wrong.push(format!("{}\n{}\n{why}\n", case.names(), laid.text()));
        }
    }
    assert!(CASES.len() >= COUNT);
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn who_is_removed_leaves_with_the_name_and_everybody_else_stays() {
    let mut wrong = Vec::new();
    for case in CASES.iter() {
        let laid = case.laid();
        if let Err(why) = removed(case, &laid) {
            wrong.push(format!("{}\n{}\n{why}\n", case.names(), laid.text()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn sops_encrypts_for_exactly_those_whom_an_edited_config_names() {
    let Some(sops) = Sops::find() else { return };
    let next = AtomicUsize::new(0);
    let run = || {
        let (sops, mut wrong) = (sops.another(), Vec::new());
        while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
            let laid = case.laid();
            let mut edited = vec![(add(case, &laid).unwrap(), with_new(case, &laid))];
            if let (Some(victim), Ok(text)) = (case.victim(), remove(case, &laid)) {
                edited.push((text, without(&laid, victim)));
            }
            for (text, groups) in edited {
                let recipients = recipients_by_sops(&sops, &text);
                let expected: Vec<String> = groups.into_iter().flatten().map(|(recipient, _)| recipient).collect();
                if recipients.as_ref() != Ok(&expected) {
                    wrong.push(format!("{}\n{text}\nexpected {expected:?}\nfound {recipients:?}\n", case.names()));
                }
            }
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// How many spoilt texts are edited; `$DOTSOPS_SPOILT_CONFIGS` changes it.
const SPOILT: usize = 300;

#[test]
fn whatever_a_text_is_an_edit_is_right_or_refused() {
    let seed = seed();
    say(&format!("spoilt configs: DOTSOPS_SEED={seed}"));
    let mut random = Random(seed);
    let count = number_from("DOTSOPS_SPOILT_CONFIGS").map_or(SPOILT, |count| count as usize);
    let edits: usize = (0..count).map(|_| laws::edit_everywhere(&spoilt(&mut random))).sum();
    assert!(edits > count / 2, "only {edits} edits were not refused");
}

/// The text of some layout with a few bits put in or taken out.
fn spoilt(random: &mut Random) -> String {
    const BITS: [&str; 36] = [
        "\n", "\n", "\r", " ", "  ", "\t", "-", "- ", ":", ": ", " # ", "#", "'", "\"", "[", "]", "{", "}", ",", ",", "&x ",
        "*x", "<<: ", "|", ">", "!t ", "%", "?", "\\", "é", "\u{feff}", "~", "---\n", "...", "age: ", PEOPLE[1],
    ];
    let mut text = CASES[random.below(CASES.len())].laid().text();
    for _ in 0..random.below(4) {
        let mut at = random.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let rest = text.split_off(at);
        let cut: String = rest.chars().skip(random.below(4)).collect();
        text.push_str(random.pick(&BITS));
        text.push_str(if random.once_in(2) { &cut } else { &rest });
    }
    text
}

fn add(case: &Case, laid: &Laid) -> Result<String, EditError> {
    let new = NewRecipient { kind: Kind::Age, recipient: case.new_recipient(), name: case.new_name() };
    let form = if case.wants_list() { StringForm::MakeList } else { StringForm::CommentAbove };
    editing::add(&laid.text(), laid.line, laid.group, &new, form)
}

fn remove(case: &Case, laid: &Laid) -> Result<String, EditError> {
    editing::remove(&laid.text(), laid.line, Kind::Age, PEOPLE[1 + case.victim().unwrap_or(0)])
}

fn with_new(case: &Case, laid: &Laid) -> Vec<Vec<Member>> {
    let mut groups = laid.groups.clone();
    let name = Some(case.new_name().to_owned()).filter(|name| !name.is_empty());
    groups[laid.group].push((case.new_recipient().to_owned(), name));
    groups
}

fn without(laid: &Laid, victim: usize) -> Vec<Vec<Member>> {
    let mut groups = laid.groups.clone();
    groups[laid.group].remove(laid.merged + victim);
    groups
}

fn added(case: &Case, laid: &Laid) -> Result<(), String> {
    let text = add(case, laid).map_err(|error| error.to_string())?;
    said(&text, &with_new(case, laid))?;
    let field = only_the_field(laid, &text)?;
    // A comma, the recipient, its name, and the name of the one who had room behind it until now.
    let limits = if case.becomes_list() { (usize::MAX, usize::MAX) } else { (1, if case.is_tight() { 3 } else { 2 }) };
    few_lines_differ(&laid.field, field, limits)?;
    let line = rule_line(&text);
    let back = editing::remove(&text, line, Kind::Age, case.new_recipient());
    match back {
        Ok(back) if case.comes_back() && back != laid.text() => Err(format!("does not come back:\n{text}\n{back}")),
        Ok(back) => said(&back, &laid.groups),
        Err(EditError::LastOfGroup { .. }) if case.is_empty() => Ok(()),
        Err(error) => Err(format!("{error}\n{text}")),
    }
}

fn removed(case: &Case, laid: &Laid) -> Result<(), String> {
    let Some(victim) = case.victim() else {
        let stranger = remove(case, laid);
        return matches!(stranger, Err(EditError::NotThere { .. })).then_some(()).ok_or(format!("{stranger:?}"));
    };
    let groups = without(laid, victim);
    let text = match remove(case, laid) {
        Err(EditError::LastOfGroup { .. }) if groups[laid.group].is_empty() => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(text) => text,
    };
    said(&text, &groups)?;
    let field = only_the_field(laid, &text)?;
    if let Some(trace) =
        [PEOPLE[1 + victim].to_owned(), format!("# person {victim}")].iter().find(|trace| field.contains(&**trace))
    {
        return Err(format!("`{trace}` is left:\n{text}"));
    }
    // The recipient, a comma before it, and a name of its own line; a list that nobody is left in may lose one more.
    let is_emptied = laid.groups[laid.group].len() == laid.merged + 1;
    let gone = 2 + usize::from(is_emptied) + usize::from(case.has_names_above());
    few_lines_differ(&laid.field, field, (gone, 2)).map_err(|why| format!("{why}\n{text}"))
}

/// What became of the field, if nothing around it changed.
fn only_the_field<'text>(laid: &Laid, text: &'text str) -> Result<&'text str, String> {
    let inner = text.strip_prefix(laid.before.as_str()).and_then(|rest| rest.strip_suffix(laid.behind.as_str()));
    inner.ok_or_else(|| format!("something besides the field has changed:\n{text}"))
}

/// At most so many lines are gone and so many are new, and the others stand in their order.
fn few_lines_differ(before: &str, after: &str, (gone, new): (usize, usize)) -> Result<(), String> {
    let lines = |text: &str| -> Vec<String> { text.split_inclusive('\n').map(|line| line.trim_end().to_owned()).collect() };
    let (before, after) = (lines(before), lines(after));
    let mut rest = after.as_slice();
    let mut kept = 0;
    for line in &before {
        if let Some(at) = rest.iter().position(|other| other == line) {
            rest = &rest[at + 1..];
            kept += 1;
        }
    }
    match before.len() - kept <= gone && after.len() - kept <= new {
        true => Ok(()),
        false => Err(format!("{} lines are gone and {} are new:\n{}", before.len() - kept, after.len() - kept, after.join("\n"))),
    }
}

/// Whether our own reading finds these members in the rule for an `s.env`.
fn said(text: &str, expected: &[Vec<Member>]) -> Result<(), String> {
    let config = Config::parse(Path::new("/repo/.sops.yaml"), text).map_err(|error| format!("{error}\n{text}"))?;
    let rule = config.rule_for(Path::new("/repo/s.env")).map_err(|error| error.to_string())?.ok_or("no rule")?;
    let members =
        |group: &dotsops::config::RuleGroup| group.keys.iter().map(|key| (key.recipient.clone(), key.name.clone())).collect();
    let found: Vec<Vec<Member>> = rule.groups.iter().map(members).collect();
    (found == expected).then_some(()).ok_or_else(|| format!("expected {expected:?}\nfound {found:?}\n{text}"))
}

fn rule_line(text: &str) -> usize {
    let config = Config::parse(Path::new("/repo/.sops.yaml"), text).unwrap();
    config.rule_for(Path::new("/repo/s.env")).unwrap().unwrap().line
}

/// For whom sops encrypts an `s.env`, group after group.
fn recipients_by_sops(sops: &Sops, config: &str) -> Result<Vec<String>, String> {
    std::fs::write(sops.folder().join(".sops.yaml"), config).unwrap();
    let file = sops.run(&["encrypt", "s.env"], "s.env", b"A=1\n")?;
    let file = String::from_utf8(file).map_err(|error| error.to_string())?;
    Ok(file.lines().filter_map(|line| Some(line.split_once("_recipient=")?.1.to_owned())).collect())
}
