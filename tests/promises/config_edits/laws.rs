//! What holds for an edit of any text at all: it is refused, or the text says what was asked for and nothing around the rule is touched.
//!
//! The fuzz target `config_edits` reads this file too, so it knows the library alone.

use std::path::Path;

use dotsops::config::editing::{self, EditError, NewRecipient, StringForm};
use dotsops::config::{Config, CreationRule, RuleKey};
use dotsops::keys::Kind;
use dotsops::yaml::{self, NodeKind};

const NEW: &str = "age1sa0ug7tm325ge3wxrtzp56kykc5jpuh5nyq8wpwzd86z8rkekpnsr6tdev";

/// How many rules, groups and keys of one text are edited.
const FEW: usize = 4;

/// Adds to and removes from rules of a text, and gives the number of edits that were not refused.
///
/// # Panics
/// If a law does not hold.
pub fn edit_everywhere(text: &str) -> usize {
    let Ok(config) = parsed(text) else { return 0 };
    let mut edits = 0;
    for (at, rule) in config.rules().take(FEW).enumerate() {
        let Ok(rule) = rule else { continue };
        for group in 0..rule.groups.len().min(FEW) {
            for (form, name) in
                [(StringForm::MakeList, "carol"), (StringForm::CommentAbove, "Zoë [x]: - y"), (StringForm::MakeList, "")]
            {
                edits += usize::from(added(text, &config, at, rule, group, form, name));
            }
        }
        for key in rule.groups.iter().flat_map(|group| &group.keys).take(FEW) {
            edits += usize::from(removed(text, &config, at, rule, key));
        }
    }
    edits
}

fn added(text: &str, config: &Config, at: usize, rule: &CreationRule, group: usize, form: StringForm, name: &str) -> bool {
    let new = NewRecipient { kind: Kind::Age, recipient: NEW, name };
    let edited = match editing::add(text, rule.line, group, &new, form) {
        Ok(edited) => edited,
        Err(error) => return refused(text, &error),
    };
    let after = parsed(&edited).expect("an edited config can be read");
    let mut members = members(config);
    let mut changed = self::members(&after);
    let place = changed[at][group].iter().position(|(_, recipient, _)| recipient == NEW).expect("who was added is there");
    let (_, _, found) = changed[at][group].remove(place);
    assert_eq!(found.unwrap_or_default(), name, "the name of the one who was added\n{text}\n---\n{edited}");
    assert_eq!(members, changed, "everybody else\n{text}\n---\n{edited}");
    only_around_the_rule(text, &edited, at);
    let line = line_of(&after, at);
    if let Ok(back) = editing::remove(&edited, line, Kind::Age, NEW) {
        changed = self::members(&parsed(&back).unwrap());
        members[at][group].retain(|(_, recipient, _)| recipient != NEW);
        assert_eq!(members, changed, "added and removed again\n{text}\n---\n{back}");
    }
    true
}

fn removed(text: &str, config: &Config, at: usize, rule: &CreationRule, key: &RuleKey) -> bool {
    let edited = match editing::remove(text, rule.line, key.kind, &key.recipient) {
        Ok(edited) => edited,
        Err(error) => return refused(text, &error),
    };
    let after = parsed(&edited).expect("an edited config can be read");
    let mut members = members(config);
    for group in &mut members[at] {
        group.retain(|(kind, recipient, _)| (*kind, recipient) != (key.kind, &key.recipient));
    }
    assert_eq!(members, self::members(&after), "everybody else\n{text}\n---\n{edited}");
    only_around_the_rule(text, &edited, at);
    true
}

fn refused(text: &str, error: &EditError) -> bool {
    if let EditError::Unsafe { line, .. } = error {
        let lines = text.split(['\n', '\r']).count();
        assert!((1..=lines).contains(line), "no such line: {error}");
    }
    false
}

type Member = (Kind, String, Option<String>);

/// Who stands in each group of each rule, under which name; nothing for a broken rule.
fn members(config: &Config) -> Vec<Vec<Vec<Member>>> {
    let member = |key: &RuleKey| (key.kind, key.recipient.clone(), key.name.clone());
    let rules = config.rules().map(|rule| {
        rule.map_or(Vec::new(), |rule| rule.groups.iter().map(|group| group.keys.iter().map(member).collect()).collect())
    });
    rules.collect()
}

fn line_of(config: &Config, at: usize) -> usize {
    config.rules().nth(at).unwrap().unwrap().line
}

/// Before the rule and the comments above it, and behind the line on which it ends, no byte is another one. No comment is lost but names.
fn only_around_the_rule(text: &str, edited: &str, at: usize) {
    let document = yaml::load(text).unwrap();
    let rules = document.root.as_ref().unwrap().get("creation_rules").unwrap();
    let NodeKind::Sequence(rules) = &rules.kind else { panic!("no list") };
    let rule = rules.iter().filter(|rule| !rule.is_null()).nth(at).unwrap();
    let mut start = text[..rule.span.start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    while let Some(before) = text[..start].strip_suffix(['\n', '\r']) {
        let before = before.strip_suffix('\r').unwrap_or(before);
        let line = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        if !before[line..].trim_start_matches(['\u{feff}', ' ', '\t']).starts_with('#') {
            break;
        }
        start = line;
    }
    let start = if start == 0 && text.starts_with('\u{feff}') { 3 } else { start };
    let end = rule.span.start + text[rule.span.clone()].trim_end().len();
    let end = text[end..].find(['\n', '\r']).map_or(text.len(), |length| end + length);
    assert!(edited.starts_with(&text[..start]), "before the rule\n{text}\n---\n{edited}");
    assert!(edited.ends_with(&text[end..]), "behind the rule\n{text}\n---\n{edited}");
    let after = yaml::load(edited).unwrap();
    let words: Vec<&str> = after.comments.iter().map(|comment| comment.words(edited)).collect();
    let is_kept = |said: &str| words.iter().any(|words| words.ends_with(said));
    let lost = document.comments.iter().filter(|comment| !is_kept(comment.words(text))).count();
    assert!(lost <= document.comments.len().saturating_sub(words.len()), "comments are lost\n{text}\n---\n{edited}");
}

fn parsed(text: &str) -> Result<Config, dotsops::config::ConfigError> {
    Config::parse(Path::new("/repo/.sops.yaml"), text)
}
