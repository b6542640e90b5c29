//! Any file dotsops writes sops reads, and the other way round: over random dotenv files, with every selection option.
//!
//! Needs the sops whose format we write. `$DOTSOPS_DIFFERENTIAL` is the number of files, `$DOTSOPS_SEED` the seed; a failure prints
//! the seed of its file and the fewest lines it still fails with.

mod case;
mod tamper;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dotsops::document::EncryptedDocument;
use dotsops::format::dotenv::Dotenv;
use dotsops::format::{Contents, Format};
use dotsops::keys::keyring::Keyring;
use dotsops::tree::Item;

use crate::support::document::{self, decrypted, encrypted, lines, open, text_of, with_value, without_blank_lines};
use crate::support::peers;
use crate::support::random::{Random, number_from, seed};
use crate::support::sandbox::Sandbox;
use crate::support::sops::Sops;
use case::Case;
use tamper::{Expected, tampered, value_of};

/// A law that a pair of files keeps, or how it does not.
type Law = fn(&Pair, &Side) -> Result<(), String>;

/// A plaintext, encrypted by us and by sops.
struct Pair<'a> {
    case: &'a Case,
    ours: Vec<u8>,
    theirs: Vec<u8>,
}

/// One of each, so that two threads do not meet.
struct Side {
    sops: Sops,
    keyring: Keyring,
    done: &'static Mutex<BTreeMap<&'static str, usize>>,
}

impl Side {
    /// Notes that something was compared.
    fn count(&self, what: &'static str) {
        *self.done.lock().unwrap().entry(what).or_default() += 1;
    }

    fn open(&self, file: &[u8]) -> Result<Vec<u8>, String> {
        decrypted(file, &self.keyring)
    }
}

#[test]
fn random_files_go_both_ways_between_sops_and_us() {
    static DONE: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());
    let Some(sops) = Sops::find() else { return };
    let number = number_from("DOTSOPS_DIFFERENTIAL").unwrap_or(if peers::are_required() { 2_000 } else { 150 }) as usize;
    let seed = seed();
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let side = Side { sops: sops.another(), keyring: document::keyring(), done: &DONE };
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= number || failure.lock().unwrap().is_some() {
                        return;
                    }
                    let seed = seed.wrapping_add(n as u64);
                    let case = Case::of(seed);
                    if let Err((law, why)) = check(&case, LAWS, &side) {
                        let (smallest, last) = shrunk(case.clone(), law, &side).unwrap_or((case, why));
                        *failure.lock().unwrap() =
                            Some(format!("DOTSOPS_SEED={seed} DOTSOPS_DIFFERENTIAL=1\n{last}\n{smallest:?}"));
                        return;
                    }
                }
            });
        }
    });
    if let Some(failure) = failure.into_inner().unwrap() {
        panic!("{failure}");
    }
    let done: Vec<_> = DONE.lock().unwrap().iter().map(|(what, times)| format!("{times} {what}")).collect();
    let seconds = start.elapsed().as_secs_f32();
    peers::say(&format!("sops: {number} files, {seconds:.0} s, DOTSOPS_SEED={seed}: {}", done.join(", ")));
}

#[test]
fn random_files_go_through_the_program_and_sops() {
    let Some(sops) = Sops::find() else { return };
    let number = number_from("DOTSOPS_DIFFERENTIAL").unwrap_or(if peers::are_required() { 2_000 } else { 150 }) / 10;
    let seed = seed();
    let sandbox = Sandbox::with_identity();
    let (mut encrypted, mut edited) = (0, 0);
    for seed in (0..number).map(|n| seed.wrapping_add(n)) {
        let mut case = Case::of(seed);
        case.lines.retain(|line| std::str::from_utf8(line).is_ok());
        let told = |what: &str| format!("DOTSOPS_SEED={seed} DOTSOPS_DIFFERENTIAL=10\n{what}\n{case:?}");
        sandbox.write(".sops.yaml", case.config());
        std::fs::write(sops.folder().join(".sops.yaml"), case.config()).unwrap();

        // What the program takes: a text that python-dotenv understands.
        sandbox.write("plain.env", case.plaintext());
        let ended = sandbox.run(&["encrypt", "--force", "--allow-plaintext", "*", "-o", "ours.env", "plain.env"]);
        if ended.code == 0 {
            let plaintext = sandbox.run(&["decrypt", "ours.env"]).stdout;
            let theirs = sops.decrypt(&std::fs::read(sandbox.path("ours.env")).unwrap());
            assert_eq!(theirs, Ok(without_blank_lines(plaintext.as_bytes())), "{}", told("sops of what the program encrypted"));
            encrypted += 1;
        } else {
            assert_eq!(ended.code, 3, "{}", told(&ended.stderr));
        }

        // Every file of sops can be edited, as far as the new line makes sense where it stands.
        let Ok(theirs) = sops.run(&["encrypt", "plain.env"], "plain.env", &case.plaintext()) else { continue };
        sandbox.write("theirs.env", &theirs);
        let mut plaintext = without_blank_lines(&case.plaintext());
        plaintext.extend_from_slice(b"ADDED=1\n");
        let prepared = sandbox.write("prepared", &plaintext);
        let command = format!("cp {}", prepared.display());
        let ended = sandbox.run(&["edit", "--allow-plaintext", "*", "--editor", &command, "theirs.env"]);
        if ended.code == 0 {
            let now = std::fs::read(sandbox.path("theirs.env")).unwrap();
            assert_eq!(sops.decrypt(&now), Ok(plaintext), "{}", told("sops of what the program edited"));
            let data = lines(&theirs).iter().position(|line| line.starts_with(b"sops_")).unwrap();
            assert_eq!(lines(&theirs)[..data], lines(&now)[..data], "{}", told("an untouched line was written anew"));
            edited += 1;
        } else {
            // A carriage return in a comment in clear would be a line that nobody signed.
            let hides_line = case.lines.iter().any(|line| line.starts_with(b"#") && line.contains(&b'\r'));
            assert!(ended.code == 3 || (ended.code == 5 && hides_line), "{}", told(&ended.stderr));
            assert_eq!(std::fs::read(sandbox.path("theirs.env")).unwrap(), theirs);
            sandbox.run(&["edit", "--discard", "theirs.env"]);
        }
    }
    peers::say(&format!("sops and the program: {number} files, {encrypted} encrypted, {edited} edited, DOTSOPS_SEED={seed}"));
    assert!(number < 10 || (encrypted * 8 > number && edited * 2 > number), "{encrypted} {edited}");
}

const LAWS: &[Law] = &[reads, edits, sets, refuses];

/// The first law that is broken, and how.
fn check(case: &Case, laws: &[Law], side: &Side) -> Result<(), (Law, String)> {
    let pair = both(case, side).map_err(|why| (laws[0], why))?;
    let Some(pair) = pair else {
        side.count("files refused by both");
        return Ok(());
    };
    laws.iter().try_for_each(|law| law(&pair, side).map_err(|why| (*law, why)))
}

/// Leaves out ever smaller runs of lines as long as the law is still broken.
fn shrunk(mut case: Case, law: Law, side: &Side) -> Option<(Case, String)> {
    let mut last = None;
    let mut run = case.lines.len();
    while run > 0 {
        let mut start = 0;
        while start < case.lines.len() {
            let mut fewer = case.clone();
            fewer.lines.drain(start..(start + run).min(case.lines.len()));
            match check(&fewer, &[law], side) {
                Err((_, why)) => {
                    case = fewer;
                    last = Some(why);
                }
                Ok(()) => start += run,
            }
        }
        run /= 2;
    }
    last.map(|why| (case, why))
}

/// The same file by us and by sops; `None` if both refuse it.
fn both<'a>(case: &'a Case, side: &Side) -> Result<Option<Pair<'a>>, String> {
    std::fs::write(side.sops.folder().join(".sops.yaml"), case.config()).unwrap();
    let theirs = side.sops.run(&["encrypt", "plain.env"], "plain.env", &case.plaintext());
    match (encrypted(&case.plaintext(), case.metadata()), theirs) {
        (Ok(ours), Ok(theirs)) => Ok(Some(Pair { case, ours, theirs })),
        (Err(_), Err(_)) => Ok(None),
        (Ok(_), Err(error)) => Err(format!("we encrypt it, sops does not: {error}")),
        (Err(error), Ok(_)) => Err(format!("sops encrypts it, we do not: {error}")),
    }
}

/// What either writes the other reads; we leave a file of sops as it is; and both files have the same shape.
fn reads(Pair { case, ours, theirs }: &Pair, side: &Side) -> Result<(), String> {
    let plaintext = case.plaintext();
    let kept = without_blank_lines(&plaintext);
    same("sops of ours", &side.sops.decrypt(ours)?, &kept)?;
    same("sops of theirs", &side.sops.decrypt(theirs)?, &kept)?;
    same("we of ours", &side.open(ours)?, &plaintext)?;
    same("we of theirs", &side.open(theirs)?, &kept)?;
    same("shape", &shape(&without_blank_lines(ours)), &shape(theirs))?;

    let contents = Dotenv.parse(theirs).map_err(|error| error.to_string())?;
    same("parsed and written", &text_of(&contents), theirs)?;
    let read = EncryptedDocument::new(contents).map_err(|error| error.to_string())?;
    let again = Contents { tree: read.tree, metadata: Some(read.metadata.to_mapping()) };
    same("metadata read and written", &text_of(&again), theirs)?;
    side.count("files read by both");
    Ok(())
}

/// Changing one value changes its line, the MAC and the date, and sops reads the result.
fn edits(Pair { case, ours, theirs }: &Pair, side: &Side) -> Result<(), String> {
    for file in [ours, theirs] {
        let mut random = Random(case.seed);
        let Some(edited) = edited(file, &mut random, side)? else { return Ok(()) };
        same("sops of our edit", &side.sops.decrypt(&edited.file)?, &without_blank_lines(&edited.plaintext))?;
        same("we of our edit", &side.open(&edited.file)?, &edited.plaintext)?;
        side.count("edits of ours read by both");
    }
    Ok(())
}

/// What `sops set` makes of our file we read and edit, and what we make of it sops reads. Lines that nobody touched keep their bytes.
fn sets(Pair { case, ours, .. }: &Pair, side: &Side) -> Result<(), String> {
    let plaintext = without_blank_lines(&case.plaintext());
    let mut random = Random(case.seed);
    let name = random.pick(&["A", "B", "API_KEY", "ADDED", "ADDED_PUB"]);
    let value = random.pick(&["new", "", "two words", "a=b # c", "ü😀"]);
    let set = side.sops.set(ours, name, &serde_json::Value::from(value).to_string())?;

    let line = format!("{name}={value}").into_bytes();
    let mut expected: Vec<&[u8]> = lines(&plaintext);
    let at = expected.iter().position(|line| line.starts_with(format!("{name}=").as_bytes())).unwrap_or(expected.len());
    expected.splice(at..(at + 1).min(expected.len()), [line.as_slice()]);
    let expected: Vec<u8> = expected.iter().flat_map(|line| [line, b"\n".as_slice()].concat()).collect();
    same("we of what sops set", &side.open(&set)?, &expected)?;

    // Of equal lines sops writes all but the last anew.
    let ours = without_blank_lines(ours);
    for ((n, plain), (before, after)) in lines(&plaintext).iter().enumerate().zip(lines(&ours).iter().zip(lines(&set))) {
        if n != at && lines(&plaintext).iter().filter(|other| *other == plain).count() == 1 {
            same("a line that sops did not set", after, before)?;
        }
    }
    side.count("`sops set` on ours");
    if let Some(edited) = edited(&set, &mut random, side)? {
        same("sops of our edit of what it set", &side.sops.decrypt(&edited.file)?, &edited.plaintext)?;
        side.count("edits of ours after `sops set`");
    }
    Ok(())
}

/// A file that somebody without a key has changed: both refuse it or both read the same, except where we mean to be stricter.
fn refuses(Pair { case, ours, theirs }: &Pair, side: &Side) -> Result<(), String> {
    let mut random = Random(case.seed);
    let file = if random.once_in(2) { ours } else { theirs };
    let Some(tampered) = tampered(file, &mut random) else { return Ok(()) };
    let (we, they) = (side.open(&tampered.file), side.sops.decrypt(&tampered.file));
    let shown = |outcome: &Result<Vec<u8>, String>| match outcome {
        Ok(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Err(error) => format!("refused: {}", error.trim()),
    };
    let agree = match tampered.expected {
        Expected::AsSops => match (&we, &they) {
            (Ok(we), Ok(they)) => without_blank_lines(we) == *they,
            (we, they) => we.is_err() && they.is_err(),
        },
        Expected::Refused => we.is_err() && they.is_err(),
        Expected::RefusedByUs => we.is_err(),
        Expected::StricterThanSops => we.as_ref().map_or(true, |we| Ok(without_blank_lines(we)) == they),
    };
    if !agree {
        return Err(format!(
            "{}\n{}we: {}\nsops: {}",
            tampered.how,
            String::from_utf8_lossy(&tampered.file),
            shown(&we),
            shown(&they)
        ));
    }
    side.count(if we.is_ok() { "changed files read by both" } else { "changed files refused" });
    Ok(())
}

/// A file with one value changed by us, and its new plaintext.
struct Edited {
    file: Vec<u8>,
    plaintext: Vec<u8>,
}

/// Changes one value of `file`; `None` if it has none.
fn edited(file: &[u8], random: &mut Random, side: &Side) -> Result<Option<Edited>, String> {
    let mut document = open(file, &side.keyring)?;
    let items = document.tree.first();
    let entries: Vec<usize> = (0..items.len()).filter(|at| matches!(items[*at], Item::Entry(..))).collect();
    if entries.is_empty() {
        return Ok(None);
    }
    let at = random.pick(&entries);
    let mut plaintext: Vec<Vec<u8>> = lines(&side.open(file)?).into_iter().map(<[u8]>::to_vec).collect();
    let name = plaintext[at].split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
    let mut value = random.bytes(6);
    value.push(b'!');
    let line = [name.as_slice(), b"=", &value].concat();
    if plaintext[at] == line {
        value.push(b'!');
    }
    plaintext[at] = [name.as_slice(), b"=", &value].concat();
    let after = with_value(&mut document, at, &unescaped(&value));

    let (before, now) = (lines(file), lines(&after));
    if before.len() != now.len() {
        return Err("an edit changed the number of lines".to_owned());
    }
    for (n, (before, now)) in before.iter().zip(&now).enumerate() {
        let is_to_change = n == at || now.starts_with(b"sops_mac=") || now.starts_with(b"sops_lastmodified=");
        if is_to_change == (before == now) {
            let shown = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            return Err(format!("an edit of line {} wrote line {}:\n{}\n{}", at + 1, n + 1, shown(before), shown(now)));
        }
    }
    let plaintext = plaintext.iter().flat_map(|line| [line, b"\n".as_slice()].concat()).collect();
    Ok(Some(Edited { file: after, plaintext }))
}

/// The names of all lines, and their values where these are no tokens and nothing random.
fn shape(file: &[u8]) -> Vec<u8> {
    let mut shape = Vec::new();
    for line in lines(file) {
        let (start, value) = match line.strip_prefix(b"#") {
            Some(text) => (b"#".as_slice(), text),
            None => line.split_at(line.len() - value_of(line).len()),
        };
        shape.extend_from_slice(start);
        let random = start.ends_with(b"__map_enc=") || start == b"sops_lastmodified=";
        let token = dotsops::crypto::Token::parse(value);
        match token {
            _ if random => {}
            Ok(token) => shape.extend_from_slice(format!("{} bytes of {}", token.data.len(), token.kind.tag()).as_bytes()),
            Err(_) => shape.extend_from_slice(value),
        }
        shape.push(b'\n');
    }
    shape
}

fn same(what: &str, found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let shown = |text: &[u8]| format!("{:?}", String::from_utf8_lossy(&text[..text.len().min(4000)]));
    Err(format!("{what}:\n   found {}\nexpected {}", shown(found), shown(expected)))
}

fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        match tail {
            [b'n', after @ ..] if *first == b'\\' => {
                text.push(b'\n');
                rest = after;
            }
            _ => {
                text.push(*first);
                rest = tail;
            }
        }
    }
    text
}
