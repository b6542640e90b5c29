//! `set`, `unset` and `rename` change one variable and nothing else: over random files, for our reader, python-dotenv and sops.
//!
//! Files are what dotsops stores of a random text, or lines with a `=` as sops takes them, however odd. Needs a Python with
//! python-dotenv 1.2.4 and the sops whose format we write; the laws that need neither run without them. `$DOTSOPS_DIFFERENTIAL` is the
//! number of files, `$DOTSOPS_SEED` the seed; every 25th file is given to sops, whose start takes longer than all the rest.

use std::collections::BTreeMap;

use dotsops::dialect::decode;
use dotsops::dialect::scanner::{Kind, scan};
use dotsops::dialect::store::store;
use dotsops::format::dotenv::Dotenv;
use dotsops::ops::variable::{Notice, Plan, VariableError, Variables};
use dotsops::secret::SecretString;
use dotsops::sys::file_lock::FileLock;
use serde_json::Value;

use super::python_dotenv::{Python, find_python};
use crate::support::document::{decrypted, encrypted, encrypted_again, keyring, lines, metadata, open, without_blank_lines};
use crate::support::peers;
use crate::support::random::{Random, number_from, seed};
use crate::support::sandbox::{RECIPIENT, Sandbox};
use crate::support::sops::Sops;

/// What is done to a file.
#[derive(Clone, Debug)]
enum Change {
    Set(String, String),
    Unset(String),
    Rename(String, String),
}

/// A file before and after, as it is and in plaintext.
struct Changed {
    before: Vec<u8>,
    after: Vec<u8>,
    plain_before: Vec<u8>,
    plain_after: Vec<u8>,
}

/// Definitions in order: names, and values before interpolation.
type Definitions = Vec<(String, Option<String>)>;

const NAMES: &[&str] = &["A", "B", "C", "E", "X", "a.b", "NEW"];

impl Change {
    /// Of a name that is there, for the most part.
    fn of(random: &mut Random, plain: &[u8]) -> Self {
        let there = definitions(plain);
        let name = match there.is_empty() || random.once_in(4) {
            true => random.pick(NAMES).to_owned(),
            false => there[random.below(there.len())].0.clone(),
        };
        match random.below(3) {
            0 => Self::Unset(name),
            1 => Self::Rename(name, random.pick(NAMES).to_owned()),
            _ => {
                let mut value = String::new();
                random.pieces(&mut value, 8);
                Self::Set(name, value.replace('\0', ""))
            }
        }
    }

    fn plan(&self, variables: &Variables) -> Result<Option<Plan>, VariableError> {
        match self {
            Self::Set(name, value) => variables.set(name, &SecretString::copy_of(value), false),
            Self::Unset(name) => variables.unset(std::slice::from_ref(name), false),
            Self::Rename(old, new) => variables.rename(old, new),
        }
    }

    /// The definitions that should be there after it: the last of several counts, and is the one that stays.
    fn applied(&self, before: &Definitions, was_there: bool) -> Definitions {
        let mut after = before.clone();
        match self {
            Self::Unset(name) => after.retain(|(other, _)| other != name),
            Self::Rename(old, new) => {
                after.iter_mut().filter(|(name, _)| name == old).for_each(|(name, _)| name.clone_from(new));
            }
            Self::Set(name, _) => {
                after.retain(|(other, _)| other != name);
                // Where it stands is compared line by line; what it says by its own reading.
                assert!(was_there || after.len() == before.len());
            }
        }
        after
    }
}

/// A file that sops or dotsops could have written.
fn file(random: &mut Random) -> Option<Vec<u8>> {
    let bytes = random.file();
    let text = decode(&bytes).ok()?.text;
    if random.below(2) == 0
        && let Ok(stored) = store(text.expose(), &|_| true)
    {
        return Some(stored.text.expose().as_bytes().to_vec());
    }
    let given = String::from_utf8(bytes).ok()?;
    let mut file = String::new();
    for line in given.split('\n') {
        file.push_str(line);
        if !line.is_empty() && !line.starts_with('#') && !line.contains('=') {
            file.push_str("=x");
        }
        file.push('\n');
    }
    (!file.lines().any(|line| line.starts_with("sops_"))).then(|| file.into_bytes())
}

/// Makes the change as the program does; an error is its reason to refuse.
fn change(plain: &[u8], change: &Change) -> Result<Option<Changed>, VariableError> {
    let keyring = keyring();
    let before = encrypted(plain, metadata(&[RECIPIENT], None, false)).unwrap();
    let mut document = open(&before, &keyring).unwrap();
    let Some(plan) = change.plan(&Variables::of(&document, &Dotenv)?)? else { return Ok(None) };
    let after = encrypted_again(&mut document, &plan.tree);
    let plain_before = decrypted(&before, &keyring).unwrap();
    let plain_after = decrypted(&after, &keyring).unwrap();
    Ok(Some(Changed { before, after, plain_before, plain_after }))
}

/// What the dialect reads, without interpolation, which may well change by a change.
fn definitions(plain: &[u8]) -> Definitions {
    let text = decode(plain).unwrap().text;
    let statements = scan(text.expose());
    let defined = statements.iter().filter_map(|statement| match &statement.kind {
        Kind::Definition(definition) => {
            let value = definition.value.as_ref().map(|(_, value)| value.decode().expose().to_owned());
            Some((definition.name.to_owned(), value))
        }
        _ => None,
    });
    defined.collect()
}

/// The laws that need nobody else; an error says which is broken.
fn check(change: &Change, changed: &Changed) -> Result<(), String> {
    let (before, after) = (definitions(&changed.plain_before), definitions(&changed.plain_after));
    let name = match change {
        Change::Set(name, _) | Change::Unset(name) | Change::Rename(name, _) => name,
    };
    let was_there = before.iter().any(|(other, _)| other == name);
    let mut seen = after.clone();
    if let Change::Set(name, _) = change {
        let count = seen.len();
        seen.retain(|(other, _)| other != name);
        if seen.len() + 1 != count {
            return Err("not exactly one line defines the name".to_owned());
        }
    }
    let expected = change.applied(&before, was_there);
    if seen != expected {
        return Err(format!("definitions\nexpected {expected:?}\nread     {seen:?}"));
    }

    // Line by line, in the file itself: at most one line is new, and its place is that of the old one.
    let data = |file: &[u8]| -> Vec<Vec<u8>> {
        lines(file).iter().filter(|line| !line.starts_with(b"sops_")).map(|line| line.to_vec()).collect()
    };
    let (before, after) = (data(&changed.before), data(&changed.after));
    let may_be_new = usize::from(!matches!(change, Change::Unset(_)));
    let new: Vec<usize> = (0..after.len()).filter(|at| !before.contains(&after[*at])).collect();
    if new.len() > may_be_new {
        return Err(format!("{} lines are new", new.len()));
    }
    let kept: Vec<&Vec<u8>> = after.iter().enumerate().filter(|(at, _)| !new.contains(at)).map(|(_, line)| line).collect();
    let mut rest = before.iter();
    if !kept.iter().all(|line| rest.any(|old| old == *line)) {
        return Err("other lines moved or changed".to_owned());
    }
    let comments = |lines: &[Vec<u8>]| lines.iter().filter(|line| line.is_empty() || line.starts_with(b"#")).count();
    if comments(&before) != comments(&after) {
        return Err("a comment or a blank line is gone".to_owned());
    }
    Ok(())
}

/// What python-dotenv reads: with values as written, or replaced.
fn read(python: &mut Python, plain: &[u8], interpolate: bool) -> BTreeMap<String, Value> {
    let answer = python.read_as(plain, true, interpolate);
    let pairs = answer["bindings"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    pairs.into_iter().map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone())).collect()
}

/// The same laws by python-dotenv's word.
fn check_with_python(change: &Change, changed: &Changed, python: &mut Python) -> Result<(), String> {
    let mut expected = read(python, &changed.plain_before, false);
    let mut seen = read(python, &changed.plain_after, false);
    match change {
        Change::Unset(name) => drop(expected.remove(name)),
        Change::Rename(old, new) => {
            let value = expected.remove(old).ok_or("python-dotenv knew no such name")?;
            expected.insert(new.clone(), value);
        }
        Change::Set(name, value) => {
            let read = read(python, &changed.plain_after, true).remove(name);
            if read != Some(Value::from(value.as_str())) {
                return Err(format!("python-dotenv reads {read:?}"));
            }
            expected.remove(name);
            seen.remove(name);
        }
    }
    match seen == expected {
        true => Ok(()),
        false => Err(format!("python-dotenv\nexpected {expected:?}\nreads    {seen:?}")),
    }
}

fn run(number: u64, mut check_more: impl FnMut(u64, &Change, &Changed) -> Result<(), String>) {
    let seed = seed();
    peers::say(&format!("one value: {number} files, DOTSOPS_SEED={seed}"));
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for n in 0..number {
        let mut random = Random(seed.wrapping_add(n));
        let Some(plain) = file(&mut random) else { continue };
        let wanted = Change::of(&mut random, &plain);
        let told = |what: &str| {
            format!(
                "DOTSOPS_SEED={} DOTSOPS_DIFFERENTIAL=1\n{wanted:?}\n{:?}\n{what}",
                seed.wrapping_add(n),
                String::from_utf8_lossy(&plain)
            )
        };
        let verb = match wanted {
            Change::Set(..) => "set",
            Change::Unset(_) => "unset",
            Change::Rename(..) => "rename",
        };
        let outcome = match change(&plain, &wanted) {
            Ok(None) => "unchanged",
            Ok(Some(changed)) => {
                let checked = check(&wanted, &changed).and_then(|()| check_more(n, &wanted, &changed));
                checked.unwrap_or_else(|what| panic!("{}", told(&what)));
                "changed"
            }
            Err(VariableError::Missing { .. } | VariableError::Exists { .. }) => "not there, or there already",
            Err(VariableError::WouldChangeOthers | VariableError::Mistakes(_)) => "an open quote is in the way",
            Err(VariableError::Text(_)) => "not text",
            Err(_) => "tangled lines",
        };
        *outcomes.entry(format!("{verb}: {outcome}")).or_default() += 1;
    }
    let told: Vec<String> = outcomes.iter().map(|(outcome, times)| format!("{outcome} {times}")).collect();
    peers::say(&format!("one value: {}", told.join(", ")));
    let count = |outcome: &str| outcomes.get(outcome).copied().unwrap_or_default();
    // Of every verb enough went through: most refusals are of names that are not there.
    assert!(number < 500 || (count("set: changed") * 6 > number && count("unset: changed") * 10 > number));
    assert!(number < 500 || count("rename: changed") * 15 > number);
}

#[test]
fn a_change_of_one_variable_changes_nothing_else() {
    run(number_from("DOTSOPS_DIFFERENTIAL").unwrap_or(1_000), |_, _, _| Ok(()));
}

#[test]
fn python_dotenv_sees_exactly_the_change_and_sops_reads_the_file() {
    let Some(python) = peers::peer("a Python with python-dotenv 1.2.4", find_python()) else { return };
    let sops = Sops::find();
    let mut python = Python::start(&python);
    let number = number_from("DOTSOPS_DIFFERENTIAL").unwrap_or(if peers::are_required() { 5_000 } else { 1_000 });
    let mut read_by_sops = 0;
    run(number, |n, change, changed| {
        check_with_python(change, changed, &mut python)?;
        if let Some(sops) = sops.as_ref().filter(|_| n % 25 == 0 || number == 1) {
            let theirs = sops.decrypt(&changed.after)?;
            if theirs != without_blank_lines(&changed.plain_after) {
                return Err(format!("sops reads {:?}", String::from_utf8_lossy(&theirs)));
            }
            read_by_sops += 1;
        }
        Ok(())
    });
    peers::say(&format!("one value: every 25th file was read by sops, {read_by_sops} in all"));
}

/// The plaintext after `change`, or the error's words.
fn after(plain: &str, wanted: Change) -> String {
    match change(plain.as_bytes(), &wanted) {
        Ok(Some(changed)) => String::from_utf8(changed.plain_after).unwrap(),
        Ok(None) => "unchanged".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn set(plain: &str, name: &str, value: &str) -> String {
    after(plain, Change::Set(name.to_owned(), value.to_owned()))
}

#[test]
fn a_line_keeps_its_export_its_comment_and_its_place() {
    assert_eq!(set("export A=1 # c\nB=2\n", "A", "x y"), "export A='x y' # c\nB=2\n");
    assert_eq!(set("A=\"1\"#c\n", "A", "x"), "A=x #c\n");
    assert_eq!(set("A= # c\n", "A", "x"), "A=x # c\n");
    assert_eq!(set("'A'=1\n", "A", "x"), "'A'=x\n");
    assert_eq!(set("A=1\n", "A", "it's\n${B}"), "A=\"it's\\n${:-${B}}\"\n");
    assert_eq!(set("", "A", "x"), "A=x\n");
    assert_eq!(set("B=1\n\n", "A", ""), "B=1\n\nA=''\n");
    let rename = |plain: &str| after(plain, Change::Rename("A".to_owned(), "Z".to_owned()));
    assert_eq!(rename("B=1\nexport A=\"1\" # c\n"), "B=1\nexport Z=\"1\" # c\n");
    assert_eq!(rename("'A'=1\n"), "Z=1\n");
}

#[test]
fn the_same_value_changes_nothing_however_it_is_written() {
    assert_eq!(set("A=\"x y\" # c\n", "A", "x y"), "unchanged");
    // `${B}` is not the text that is asked for, whatever B holds.
    assert_eq!(set("B=1\nA=${B}\n", "A", "1"), "B=1\nA=1\n");
}

#[test]
fn of_several_lines_the_last_stays() {
    assert_eq!(set("A=1\nB=2\nA=3 # c\n", "A", "x"), "B=2\nA=x # c\n");
    assert_eq!(set("A=1\nA=\n", "A", "x"), "A=x\n");
    assert_eq!(after("A=1\nB=2\nA=3\n", Change::Unset("A".to_owned())), "B=2\n");
    // Without the first line B would see something else.
    assert_eq!(set("A=1\nB=${A}\nA=3\n", "A", "x"), "`A` is defined several times: lines 1, 3");
    let renamed = after("A=1\nB=2\nA=3\n", Change::Rename("A".to_owned(), "Z".to_owned()));
    assert_eq!(renamed, "`A` is defined several times: lines 1, 3");
}

#[test]
fn a_value_over_several_lines_as_plain_sops_stores_it_is_one_value() {
    let spread = "A=\"x=1\ny=2\" # c\nB=1\n";
    assert_eq!(set(spread, "A", "z"), "A=z # c\nB=1\n");
    assert_eq!(after(spread, Change::Unset("A".to_owned())), "B=1\n");
    assert_eq!(after(spread, Change::Rename("A".to_owned(), "Z".to_owned())), "Z=\"x=1\\ny=2\" # c\nB=1\n");
    // A line that anybody can add must not be able to take others with it.
    let taken_in = "the value of `A`, which begins in line 1, takes in lines that anybody can have added unnoticed";
    assert_eq!(set("A=\"x=1\n#\"\nB=1\n", "A", "z"), taken_in);
    assert_eq!(set("A='x\nB=1\n'=\n", "A", "z"), taken_in);
}

#[test]
fn a_line_that_python_dotenv_ignores_is_written_anew() {
    assert_eq!(set("export J=\"{\"a\": 1}\"\nB=1\n", "J", "{\"a\": 1}"), "export J='{\"a\": 1}'\nB=1\n");
}

#[test]
fn what_only_an_editor_can_change_is_refused() {
    let hidden = "line 2 has `B=`, but an open quote above makes it part of something else";
    assert_eq!(set("A=\"x=1\nB=2\"\n", "B", "z"), hidden);
    let tangled = "line 1 defines `A` together with something else, or across lines, in a way that only an editor can change";
    assert_eq!(set("A=1\rB=2\n", "A", "z"), tangled);
    let open = "other lines would be read differently then, since a quote is left open in one of them";
    assert_eq!(set("X=\"abc\nA=1\n", "A", "two\nlines"), open);
}

#[test]
fn an_export_that_the_selection_rule_would_miss_goes_as_it_does_in_an_edit() {
    use dotsops::document::selection::SelectionOption::EncryptedRegex;
    let keyring = keyring();
    let file = encrypted(b"export API_KEY=old\n", metadata(&[RECIPIENT], Some((EncryptedRegex, "^API_")), false)).unwrap();
    let mut document = open(&file, &keyring).unwrap();
    let variables = Variables::of(&document, &Dotenv).unwrap();
    let plan = variables.set("API_KEY", &SecretString::copy_of("new"), false).ok().flatten().unwrap();
    assert_eq!(plan.notes.len(), 1);
    let after = encrypted_again(&mut document, &plan.tree);
    assert!(after.starts_with(b"API_KEY=ENC["), "{}", String::from_utf8_lossy(&after));
}

#[test]
fn a_value_below_a_comment_that_is_taken_out_is_asked_about() {
    use dotsops::document::selection::SelectionOption::UnencryptedCommentRegex;
    let keyring = keyring();
    let rule = Some((UnencryptedCommentRegex, "public"));
    let file = encrypted(b"# public\nA=1\nB=2\n", metadata(&[RECIPIENT], rule, false)).unwrap();
    let document = open(&file, &keyring).unwrap();
    let variables = Variables::of(&document, &Dotenv).unwrap();
    let plan = variables.unset(&["A".to_owned()], false).ok().flatten().unwrap();
    assert_eq!(plan.newly_clear, ["B"]);
}

/// The value of `A` and what is said about it, or the error's words.
fn value(plain: &str) -> Result<(String, Vec<Notice>), String> {
    let file = encrypted(plain.as_bytes(), metadata(&[RECIPIENT], None, false)).unwrap();
    let document = open(&file, &keyring()).unwrap();
    let environment = |name: &str| (name == "HOME").then(|| SecretString::copy_of("/home/you"));
    let found = Variables::of(&document, &Dotenv).and_then(|variables| variables.value("A", &environment));
    found.map(|found| (found.value.expose().to_owned(), found.notices)).map_err(|error| error.to_string())
}

#[test]
fn a_value_is_what_a_program_would_get() {
    assert_eq!(value("B=b\nexport A=\"${B} ${HOME}\" # c\n"), Ok(("b /home/you".to_owned(), vec![])));
    assert_eq!(value("A=1\nB=2\nA=3\n"), Ok(("3".to_owned(), vec![Notice::Duplicate { lines: vec![1, 3] }])));
    // As `sops set` stores a text with a line break: sops gives a line break, python-dotenv a backslash and an n.
    assert_eq!(value("A=x\\ny\n"), Ok(("x\\ny".to_owned(), vec![Notice::BareLineBreak])));
    assert_eq!(value("A=\"x\\ny\"\n"), Ok(("x\ny".to_owned(), vec![])));
}

#[test]
fn a_name_without_a_value_says_why() {
    assert_eq!(value("B=1\n"), Err("there is no `A`".to_owned()));
    let ignored = "python-dotenv ignores line 2 (text after the closing quote), so `A` has no value";
    assert_eq!(value("B=1\nA=\"{\"x\": 1}\"\n"), Err(ignored.to_owned()));
    assert_eq!(value("A #=1\n"), Err("line 1 has `A` without a value".to_owned()));
    let hidden = "line 2 has `A=`, but an open quote above makes it part of something else";
    assert_eq!(value("B=\"x=1\nA=2\"\n"), Err(hidden.to_owned()));
    // A comment can be added by anybody.
    let open = "the value of `A`, which begins in line 1, takes in lines that anybody can have added unnoticed";
    assert_eq!(value("A=\"x=1\n#\"\n"), Err(open.to_owned()));
    assert_eq!(value("#\rA=1\n"), Err(open.to_owned()));
}

#[test]
fn while_another_dotsops_changes_the_file_it_is_left_alone() {
    let sandbox = Sandbox::with_identity();
    let path = sandbox.encrypted("secrets.env", "A=1\n");
    let before = sandbox.read("secrets.env");
    let lock = FileLock::acquire(&sandbox.home().join(".local/state/dotsops"), &path).unwrap();
    for arguments in [["unset", "A"].as_slice(), &["rename", "A", "B"], &["generate", "B"], &["set", "A", "2"], &["rotate"]] {
        let refused = sandbox.run(arguments);
        assert_eq!(refused.code, 6, "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(sandbox.read("secrets.env"), before);
    assert_eq!(sandbox.run(&["get", "A"]).stdout, "1");
    drop(lock);
    assert_eq!(sandbox.run(&["unset", "A"]).code, 0);
}

#[test]
fn a_generated_value_is_shown_nowhere() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    for shape in [[].as_slice(), &["--hex"], &["--alphanumeric", "--length", "16"]] {
        let ended = sandbox.run(&[["generate", "--replace", "KEY"].as_slice(), shape].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
        let value = sandbox.run(&["get", "KEY"]).stdout;
        assert!(value.len() >= 22 && !ended.stderr.contains(&value) && !sandbox.read("secrets.env").contains(&value));
    }
}

#[test]
fn a_value_that_no_program_can_be_given_is_stored_with_a_warning() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    for (length, is_warned, code) in [(131_069, false, 0), (131_070, true, 126)] {
        let set = sandbox.run_with(&["set", "A"], &"x".repeat(length));
        assert_eq!((set.code, set.stderr.contains("131072 bytes")), (0, is_warned), "{}", set.stderr);
        assert_eq!(sandbox.run(&["exec", "--", "true"]).code, code);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_value_that_cannot_be_printed_says_so() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("secrets.env", "A=1\n");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox.dotsops(["get", "A"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output cannot be written"));
}
