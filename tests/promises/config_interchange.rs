//! `.sops.yaml` against the real sops: the same rule, the same recipients, the same refusal.
//!
//! A config is one choice on each of the axes in [`axes`]. First every choice alone, where also the kind of refusal must be the same;
//! then random ones together, from a seed that is printed. Each config is used by both programs to really encrypt a file. Where we
//! differ on purpose, [`DEVIATIONS`] says why: what is not listed fails, and so does what is listed and does not differ any more.

mod axes;

use std::path::Path;
use std::process::Command;

use crate::support::peers::say;
use crate::support::random::{Random, number_from, seed};
use crate::support::sandbox::{Ended, Sandbox, ended};
use crate::support::sops::Sops;
use axes::{AXES, Case, Lay};

/// How many random configs are tried, besides those with one choice alone.
const RANDOM: usize = 60;

const PLAINTEXT: &str = "# note\nA=1\nB_unencrypted=2\n# secret\nAPI_KEY=3\nX_secret=4\n";

/// What became of a file, as far as both programs tell the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Made,
    NoRule,
    Nobody,
    TwoSelections,
    Pattern,
    Recipient,
    Threshold,
    Malformed,
    Unreadable,
}

/// A choice for which sops (first) and dotsops (second) end differently, and why.
const DEVIATIONS: [(&str, End, End, &str); 5] = [
    (
        "selection: bad pattern",
        End::Made,
        End::Malformed,
        "sops takes it for one that never matches, and leaves secrets in clear (9.2, 5)",
    ),
    ("threshold: negative", End::Made, End::Malformed, "no number of groups is below 0"),
    ("threshold: 1.5", End::Made, End::Malformed, "sops cuts it to 1; no number of groups is broken"),
    ("envelope: broken destination rule", End::Malformed, End::Made, "they are for sops's publish alone (9.2, 19)"),
    ("envelope: tab after dash", End::Malformed, End::Made, "our parser takes more blanks than go-yaml; the meaning is clear"),
];

#[test]
fn rules_are_those_of_sops() {
    let Some(sops) = Sops::find() else { return };
    let seed = seed();
    let random = number_from("DOTSOPS_CONFIGS").map_or(RANDOM, |count| count as usize);
    say(&format!("configs against sops: DOTSOPS_SEED={seed}"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in Case::alone() {
        count += 1;
        let [theirs, ours] = both(&sops, &case);
        let listed = DEVIATIONS.iter().find(|(name, ..)| case.chose(name));
        match listed {
            Some((_, sops_ends, we_end, _)) if (theirs.end, ours.end) == (*sops_ends, *we_end) => {}
            Some(_) => wrong.push(format!("a listed deviation is stale\n{}", shown(&case, &theirs, &ours))),
            None if theirs.end == ours.end && theirs.file == ours.file => {}
            None => wrong.push(shown(&case, &theirs, &ours)),
        }
    }
    for number in 0..random {
        count += 1;
        let case = Case::random(&mut Random(seed.wrapping_add(number as u64)));
        let [theirs, ours] = both(&sops, &case);
        let made = (theirs.end == End::Made, ours.end == End::Made);
        // With two mistakes in it, which one is named first is each program's own choice.
        let is_same = made.0 == made.1 && theirs.file == ours.file;
        let is_listed = DEVIATIONS
            .iter()
            .any(|(name, sops_ends, we_end, _)| case.chose(name) && made == (*sops_ends == End::Made, *we_end == End::Made));
        if !is_same && !is_listed {
            wrong.push(shown(&case, &theirs, &ours));
        }
    }
    assert!(count >= 150, "only {count} configs");
    assert!(wrong.is_empty(), "DOTSOPS_SEED={seed}, {} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_listed_deviation_is_about_a_choice_there_is() {
    let names: Vec<String> =
        AXES.iter().flat_map(|axis| axis.choices.iter().map(|(choice, _)| format!("{}: {choice}", axis.name))).collect();
    for (name, ..) in DEVIATIONS {
        assert!(names.iter().any(|there| there == name), "{name}");
    }
}

/// What one program made of a case.
struct Outcome {
    end: End,
    /// The encrypted file without what is random in it.
    file: Option<String>,
    said: String,
}

fn both(sops: &Sops, case: &Case) -> [Outcome; 2] {
    let sandbox = Sandbox::empty();
    let lay = case.lay(&sandbox.work(), PLAINTEXT);
    let arguments = |verb: &[&str]| -> Vec<String> {
        let words = lay.before.iter().map(String::as_str).chain(verb.iter().copied());
        words.chain(lay.options.iter().map(String::as_str)).chain([lay.file.as_str()]).map(str::to_owned).collect()
    };
    let theirs = arguments(&["encrypt"]);
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    let theirs = run(&mut sops.command(&theirs), &sandbox, &lay);
    let ours = run(&mut sandbox.dotsops(arguments(&["encrypt", "--blind", "--quiet", "--allow-plaintext", "*"])), &sandbox, &lay);
    [outcome(theirs, end_of_sops), outcome(ours, our_end)]
}

fn run(command: &mut Command, sandbox: &Sandbox, lay: &Lay) -> Ended {
    ended(command.current_dir(sandbox.path(&lay.folder)).envs(lay.variables.iter().map(|(name, value)| (name, value))))
}

fn outcome(ended: Ended, refusal: fn(&str) -> Option<End>) -> Outcome {
    let end = if ended.code == 0 { Some(End::Made) } else { refusal(&ended.stderr) };
    let end = end.unwrap_or_else(|| panic!("a refusal of no known kind: {}", ended.stderr));
    let file = (end == End::Made).then(|| without_random(&ended.stdout));
    Outcome { end, file, said: ended.stderr }
}

fn end_of_sops(said: &str) -> Option<End> {
    let kinds = [
        ("no matching creation rules found", End::NoRule),
        ("cannot use more than one of", End::TwoSelections),
        ("can not compile regexp", End::Pattern),
        ("config file not found, or has no creation rules", End::Nobody),
        ("empty key group provided", End::Nobody),
        ("could not read config file", End::Unreadable),
        ("Could not unmarshal config file", End::Malformed),
        ("invalid age key configuration", End::Malformed),
        ("could not split data key", End::Threshold),
        ("failed to parse input", End::Recipient),
        ("failed to parse age", End::Recipient),
    ];
    kinds.into_iter().find(|(text, _)| said.contains(text)).map(|(_, end)| end)
}

fn our_end(said: &str) -> Option<End> {
    let kinds = [
        ("no creation rule of", End::NoRule),
        ("cannot have both", End::TwoSelections),
        ("cannot be used for the same file", End::TwoSelections),
        ("`path_regex`: ", End::Pattern),
        ("nobody could read the file", End::Nobody),
        ("a key group without keys", End::Nobody),
        ("threshold", End::Threshold),
        ("of its", End::Threshold),
        ("has an empty entry", End::Recipient),
        ("no usable recipient", End::Recipient),
        ("cannot read", End::Unreadable),
        ("line ", End::Malformed),
    ];
    // A field of this name is malformed, not the number of groups.
    let said = said.replace("`shamir_threshold` must", "must");
    kinds.into_iter().find(|(text, _)| said.contains(text)).map(|(_, end)| end)
}

/// Names, clear values and metadata, but neither tokens nor wrapped keys nor the date.
fn without_random(file: &str) -> String {
    let masked = file.lines().map(|line| match line.split_once('=') {
        Some((name, _)) if name.ends_with("_enc") || name == "sops_lastmodified" => name.to_owned(),
        Some((name, value)) if value.starts_with("ENC[") => format!("{name}=ENC"),
        _ if line.starts_with("#ENC[") => "#ENC".to_owned(),
        _ => line.to_owned(),
    });
    masked.collect::<Vec<_>>().join("\n")
}

fn shown(case: &Case, theirs: &Outcome, ours: &Outcome) -> String {
    let told = |outcome: &Outcome| {
        format!("{:?} {}\n{}", outcome.end, outcome.said.trim_end(), outcome.file.as_deref().unwrap_or_default())
    };
    format!("--- {}\n{}\n--- sops: {}\n--- dotsops: {}", case.names(), case.config(), told(theirs), told(ours))
}

/// A folder that a case needs.
fn make_folder(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
}
