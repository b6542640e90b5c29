//! `dotsops recipients add`

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::work::{Work, counted};
use crate::cli::consent::{Answer, ask};
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, short};
use crate::cli::{Surroundings, absolute};
use crate::config::CreationRule;
use crate::config::editing::{NewRecipient, StringForm};
use crate::keys::Kind;
use crate::keys::age::recipient::looks_private;
use crate::keys::given::{Candidate, GivenKey, Offer};
use crate::ops::recipients::affected::Affected;
use crate::ops::recipients::rules::{Key, Rules, names};

/// Let somebody read the files
///
/// Writes the key and the person's name into .sops.yaml, and wraps the data key of every file that the rule is for for them too. No
/// value is encrypted anew. It takes a key that opens the files as they are. All files are replaced as one with the .sops.yaml: whatever
/// happens in between, the next command finishes it or takes it back.
///
/// The key is a public one: age1… as `dotsops keygen` shows it, an SSH public key, a file with one of them (alice.pub), github:USER, or
/// an https address of such keys.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dotsops recipients add alice age1…\n  dotsops recipients add bob github:bob --dry-run")]
pub struct Arguments {
    /// What the person is called in .sops.yaml
    #[arg(value_name = "PERSON")]
    name: String,

    /// Their public key; one of SSH may be several words
    #[arg(value_name = "PUBLIC_KEY", required = true, num_args = 1..)]
    key: Vec<OsString>,

    /// Into the rule that is for FILE
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Into every rule that names somebody
    #[arg(long, conflicts_with = "file")]
    all_rules: bool,

    /// Into key group N, from 0, where there are several
    #[arg(long, value_name = "N")]
    group: Option<usize>,

    /// Do it without asking
    #[arg(long, short)]
    yes: bool,

    /// Show what would change, and change nothing; needs no key of yours
    #[arg(long)]
    dry_run: bool,
}

/// Shows who comes and where, asks; then writes the config and all files as one.
pub fn run(arguments: Arguments, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let Arguments { name, key, file, all_rules, group, yes, dry_run } = arguments;
    let name = name.trim().to_owned();
    if name.is_empty()
        || looks_private(&name)
        || GivenKey::parse(OsStr::new(&name)).is_ok_and(|given| !matches!(given, GivenKey::File(_)))
    {
        return Err(Failure::no_person_name());
    }
    let given = GivenKey::parse(&words(key)?)?;
    let typed: &[String] = if let GivenKey::Recipient(recipient) = &given { std::slice::from_ref(recipient) } else { &[] };
    let work = Work {
        keyring: surroundings.environment.keyring_naming(typed),
        ..Work::begin(format!("recipients add {name}"), yes, dry_run, surroundings)?
    };
    let output = &surroundings.output;
    let into = chosen_rules(&work, &name, file.as_ref(), all_rules)?;
    let groups = into.iter().map(|rule| group_of(&work, *rule, group)).collect::<Result<Vec<_>, _>>()?;

    let offer = given.read(&surroundings.environment.network(), work.keyring.outside())?;
    let keys = chosen_keys(&work, &given, offer)?;
    let people = work.people();
    for (kind, key) in &keys {
        if let Some(known) = people.name(*kind, key).filter(|known| *known != name) {
            return Err(Failure::known_by_another_name(&short(key), known, &name));
        }
    }
    let edited = |form: &dyn Fn(&Rules, usize, usize) -> StringForm| -> Result<Rules, Failure> {
        let mut rules = work.rules.again();
        for (kind, key) in &keys {
            for (rule, group) in into.iter().zip(&groups) {
                if rules.rule(*rule).is_some_and(|rule| is_in(rule, *group, &(*kind, key.clone()))) {
                    continue;
                }
                let form = form(&rules, *rule, *group);
                rules = rules.with(*rule, *group, &NewRecipient { kind: *kind, recipient: key, name: &name }, form)?;
            }
        }
        Ok(rules)
    };
    let planned = edited(&|_, _, _| StringForm::CommentAbove)?;
    let is_written = planned.differs_from(&work.rules);

    let mut affected = Vec::new();
    for (file, number) in work.files(&planned, file.as_deref())? {
        let Some(rule) = number.filter(|number| into.contains(number)).and_then(|number| planned.rule(number)) else { continue };
        let path = file.path.clone();
        let file = Affected::by_rule(file, rule).map_err(|error| Failure::new_file(&error).about(&path))?;
        if file.change.is_some() {
            affected.push(file);
        }
    }
    if !is_written && affected.is_empty() {
        output.note(format_args!("{name} can read these files already; there is nothing to do"));
        return Ok(ExitCode::Done);
    }

    let others: Vec<Key> = work.rules.keys_of(&name).into_iter().filter(|key| !keys.contains(key)).collect();
    for (kind, key) in &others {
        output.note(format_args!(
            "{name} has another key already, which stays: {}",
            crate::cli::people::People::default().brief(*kind, key)
        ));
    }
    for (kind, key) in &keys {
        output.line(&format!("+ {} ({name})", crate::cli::people::People::default().whole(*kind, key)))?;
    }
    for rule in into.iter().filter_map(|rule| work.rules.rule(*rule)).filter(|rule| keys.iter().any(|key| !names(rule, key))) {
        output.line(&format!("  into {}, the rule on {}", work.config().display(), work.described(rule)))?;
    }
    work.show_files(&affected, "  and so into")?;
    work.show_drift(&affected, &keys)?;
    work.warn_of_weak_links(&affected);
    let is_known = !work.keyring.may_hold_more();
    for file in affected.iter().filter(|file| is_known && !file.stays_readable(&work.keyring)) {
        output.warning(format_args!("your identities cannot read {} afterwards", file.file.path.display()));
    }
    let question = match affected.len() {
        0 => format!("Write {name} into {}?", work.config().display()),
        count => {
            format!("Let {name} read {}?", if count == 1 { "this file".to_owned() } else { format!("these {}", counted(count)) })
        }
    };
    if !work.is_agreed(&question)? {
        return Ok(ExitCode::Done);
    }
    let rules = edited(&|rules, rule, group| form(&work, rules, rule, group))?;
    let count = affected.len();
    let prepared = work.prepare(affected, |unlocked, groups, threshold| unlocked.wrap_for(groups, threshold, &work.keyring))?;
    work.replace(prepared, rules)?;
    output.note(format_args!(
        "{name} can read {} from now on: commit {} with {}, and push",
        if count == 0 { "new files".to_owned() } else { counted(count) },
        work.config().display(),
        if count == 1 { "it" } else { "them" }
    ));
    Ok(ExitCode::Done)
}

/// An SSH key that was pasted without quotes is several words.
fn words(words: Vec<OsString>) -> Result<OsString, Failure> {
    match words.as_slice() {
        [word] => Ok(word.clone()),
        [first, ..] if first.as_encoded_bytes().starts_with(b"ssh-") => Ok(words.join(OsStr::new(" "))),
        _ => Err(Failure::usage("several keys are given", "add one after the other, each with the person's name before it")),
    }
}

/// The numbers of the rules that the person is to be in.
fn chosen_rules(work: &Work, name: &str, file: Option<&PathBuf>, all: bool) -> Result<Vec<usize>, Failure> {
    if let Some(file) = file {
        let number = work.rules.governing(&absolute(file)?)?;
        return Ok(vec![number.ok_or_else(|| Failure::no_rules(Some(work.rules.path())))?]);
    }
    let has_keys = |rule: &CreationRule| rule.groups.iter().any(|group| !group.keys.is_empty());
    let with_keys: Vec<usize> = work.rules.numbered().filter(|(_, rule)| has_keys(rule)).map(|(number, _)| number).collect();
    match with_keys.as_slice() {
        [] => Err(Failure::no_rule_with_keys(&work.config())),
        [_] => Ok(with_keys),
        _ if all => Ok(with_keys),
        several => {
            let described: Vec<String> =
                several.iter().filter_map(|number| work.rules.rule(*number)).map(|rule| work.described(rule)).collect();
            let question = format!(
                "{} has several rules: {}. Let {name} read the files of all of them?",
                work.config().display(),
                described.join(", ")
            );
            // Without `--yes`: that agrees to what is shown, and does not choose.
            match if work.yes || work.dry_run { Answer::Nobody } else { ask(&question) } {
                Answer::Yes => Ok(with_keys),
                Answer::No | Answer::Nobody => Err(Failure::several_rules(&work.config(), &described)),
            }
        }
    }
}

/// The key group of the rule that is meant.
fn group_of(work: &Work, number: usize, chosen: Option<usize>) -> Result<usize, Failure> {
    let Some(rule) = work.rules.rule(number) else { return Ok(0) };
    match (chosen, rule.groups.len()) {
        (None, 0 | 1) => Ok(0),
        (Some(group), groups) if group < groups.max(1) => Ok(group),
        (Some(group), groups) => Err(Failure::no_such_rule_group(&work.described(rule), group, groups)),
        (None, groups) => Err(Failure::which_group(&work.described(rule), groups)),
    }
}

/// What of the offer is let in: all of it, once its fingerprints were looked at.
fn chosen_keys(work: &Work, given: &GivenKey, offer: Offer) -> Result<Vec<Key>, Failure> {
    let output = &work.surroundings.output;
    for unusable in &offer.unusable {
        output.warning(format_args!("{given}: {unusable}"));
    }
    if offer.is_private {
        output.warning(format_args!("{given} holds a private key, of which only the public half is used: do not send it around"));
    }
    if offer.candidates.is_empty() {
        return Err(Failure::no_usable_key(&given.to_string()));
    }
    if !matches!(given, GivenKey::Recipient(_)) {
        for Candidate { recipient, comment, fingerprint } in &offer.candidates {
            let sort = recipient.split_whitespace().next().unwrap_or_default();
            let sort = if sort.starts_with("ssh-") { format!("{sort} ") } else { String::new() };
            let comment = comment.as_ref().map(|comment| format!(" ({comment})")).unwrap_or_default();
            output.line(&format!("{given}: {sort}{fingerprint}{comment}"))?;
        }
    }
    Ok(offer.candidates.into_iter().map(|candidate| (Kind::Age, candidate.recipient)).collect())
}

fn is_in(rule: &CreationRule, group: usize, (kind, recipient): &Key) -> bool {
    let keys = rule.groups.get(group).map(|group| group.keys.as_slice()).unwrap_or_default();
    keys.iter().any(|key| key.kind == *kind && crate::keys::age::recipient::is_same(&key.recipient, recipient))
}

/// How recipients that stand beside each other are to be written.
fn form(work: &Work, rules: &Rules, rule: usize, group: usize) -> StringForm {
    if !rules.needs_form(rule, group) {
        return StringForm::MakeList;
    }
    let place = rules.rule(rule).map(|rule| work.described(rule)).unwrap_or_default();
    let question = format!(
        "The keys of the rule on {place} stand on one line. Write them as a list, so that each has room for a name? Else a comment \
         above says whose the new one is."
    );
    if work.yes || ask(&question) == Answer::Yes { StringForm::MakeList } else { StringForm::CommentAbove }
}
