//! What a full disk, a half-finished copy or `head` leaves of an encrypted file: at every byte of it.

use std::path::Path;

use dotsops::document::EncryptedDocument;
use dotsops::ops::file::{self, FileError};

use super::sealed::{sealed, sealed_with};
use super::table::{CANARY, FILE, Group, VERBS, prepare, refuses};
use crate::support::document::keyring;
use crate::support::sandbox::Sandbox;

/// Where the first token can be told for one: before that, what is left is a plaintext.
fn first_token(file: &str) -> usize {
    file.find("ENC[").unwrap() + "ENC[".len()
}

#[test]
fn no_beginning_of_a_file_opens_or_passes_for_a_plaintext() {
    for file in [sealed(), sealed_with("API_KEY=cnry-1\nLAST=cnry-2\n")] {
        no_beginning_opens_or_passes(&file);
    }
}

fn no_beginning_opens_or_passes(file: &str) {
    let keyring = keyring();
    for end in 0..file.len() - 1 {
        let part = &file.as_bytes()[..end];
        if end >= first_token(file) {
            let taken = file::is_encrypted(Path::new(FILE), part);
            assert!(!matches!(taken, Ok(false)), "cut at {end} it would be taken for a plaintext");
        }
        let Ok((_, contents)) = file::parse(Path::new(FILE), part, None) else { continue };
        let Ok(document) = EncryptedDocument::new(contents) else { continue };
        assert!(document.open(&keyring).is_err(), "cut at {end} it opens");
    }
    // The last line end is no part of what was written.
    let whole = file.trim_end();
    let Ok((_, contents)) = file::parse(Path::new(FILE), whole.as_bytes(), None) else { panic!("it does not parse") };
    assert!(EncryptedDocument::new(contents).ok().unwrap().open(&keyring).is_ok());
    assert!(matches!(
        file::is_encrypted(Path::new(FILE), &file.as_bytes()[..first_token(file)]),
        Err(FileError::CutShort { .. })
    ));
}

#[test]
fn no_verb_that_reads_values_goes_on_with_the_beginning_of_a_file() {
    let sandbox = Sandbox::with_identity();
    prepare(&sandbox);
    let file = sealed_with("API_KEY=cnry-1\n# cnry: a note\nLAST=cnry-2\n");
    let start = first_token(&file);
    let ends = file.match_indices(['=', '\n', ',']).flat_map(|(at, _)| [at, at + 1]).filter(|end| *end > start);
    let within_token = [start, start + 5, start + "AES256_GCM".len()];
    for (round, end) in within_token.into_iter().chain(ends).filter(|end| *end < file.len() - 1).enumerate() {
        let part = &file[..end];
        sandbox.write(FILE, part);
        // Each verb in its turn: a fifth of all pairs of place and verb.
        let verbs = VERBS.iter().filter(|(group, ..)| *group != Group::Keyless);
        for (_, (group, verb, arguments)) in verbs.enumerate().filter(|(index, _)| index % 5 == round % 5) {
            let ended = sandbox.run_with(arguments, "other\n");
            let is_exec = *group == Group::Exec;
            let code = if is_exec { 125 } else { ended.code };
            let printed = if *verb == "updatekeys" { "" } else { &ended.stdout };
            let faults = refuses(code, printed, &ended, &[FILE]);
            assert!(faults.is_empty(), "{verb}, cut at {end}: {}\n{}", faults.join(", "), ended.stderr);
            assert!(is_exec || [3, 5].contains(&ended.code), "{verb}, cut at {end}: {}\n{}", ended.code, ended.stderr);
            assert!(!ended.stderr.contains("--fix") && !ended.stderr.contains("`dotsops encrypt"), "{}", ended.stderr);
            assert_eq!(sandbox.read(FILE), part, "{verb}, cut at {end}");
            assert!(!ended.stdout.contains(CANARY));
        }
    }
}
