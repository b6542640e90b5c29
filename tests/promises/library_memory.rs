//! Who uses the library has a value in memory where a type holds it, and nowhere once that is dropped; also after an error and a panic.
#![cfg(target_os = "linux")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dotsops::dialect::interpolation::Precedence;
use dotsops::dialect::{decode, read};
use dotsops::document::{DecryptedDocument, EncryptedDocument};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::secret::with_clean_stack;
use dotsops::sys::hardening::install_panic_hook;

use crate::support::document::keyring;
use crate::support::memory::{memory, places};
use crate::support::own_process::{at_step, is_own_process, own_process};
use crate::support::sandbox::Sandbox;

/// Short; with a blank, in quotes and decoded; long; in a comment. What is looked for is never what stands in this program's code: the
/// process that decrypts only reads the encrypted file.
const VALUES: [&str; 4] = ["canary-2718281828459", "canary 1414213562373", "canary-1732050807568", "canary 2236067977499"];

const FILE: &str = "DOTSOPS_TEST_FILE";

#[test]
fn the_library_holds_a_value_once_for_each_type_that_has_it_and_never_afterwards() {
    let test = "promises::library_memory::the_library_holds_a_value_once_for_each_type_that_has_it_and_never_afterwards";
    // Before anything else, so that no value is ever written down in there.
    if is_own_process(test) {
        return inside();
    }
    let sandbox = Sandbox::with_identity();
    let [short, quoted, long, comment] = VALUES;
    let text = format!("# {comment}\nA={short}\nB=\"{quoted}\\\" x\"\nC={}{long}\n", "x".repeat(9000));
    let file = sandbox.encrypted("secrets.env", &text);
    let mut process = own_process(test, (FILE, file.to_str().unwrap()));
    let mut expect = |step: &str, copies: usize, of_the_comment: usize| {
        process.wait_for(step);
        let regions = memory(process.id()).unwrap();
        for (value, copies) in [(short, copies), (quoted, copies), (long, copies), (comment, of_the_comment)] {
            let found = places(&regions, value.as_bytes());
            assert_eq!(found.len(), copies, "{value} at `{step}`: {found:?}");
        }
        process.go_on();
    };
    expect("parsed", 0, 0);
    expect("opened", 1, 1);
    expect("spilled", 2, 1);
    expect("overwritten", 1, 1);
    expect("written as text", 2, 2);
    expect("decoded", 3, 3);
    // Python's reading has values, and no comments.
    expect("read", 4, 3);
    expect("dropped", 0, 0);
    expect("refused", 0, 0);
    expect("panicked", 0, 0);
    let said = process.end();
    assert!(said.matches("internal error at tests/promises/library_memory.rs:").count() == 2, "{said}");
    assert!(!said.contains("canary"), "{said}");
}

/// What the process of its own does.
fn inside() {
    let file = fs::read(std::env::var_os(FILE).unwrap()).unwrap();
    let keyring = keyring();
    let parsed = |file: &[u8]| EncryptedDocument::new(Dotenv.parse(file).unwrap()).unwrap();
    let document = parsed(&file);
    at_step("parsed");
    let document = document.open(&keyring).unwrap();
    at_step("opened");
    spill(&document);
    at_step("spilled");
    with_clean_stack(|| spill(&document));
    at_step("overwritten");
    let text = Dotenv.emit(&document.tree, None, None).unwrap();
    at_step("written as text");
    let decoded = decode(text.expose()).unwrap();
    at_step("decoded");
    let reading = read(decoded.text.expose(), Precedence::FileFirst, &|_| None);
    assert_eq!(reading.bindings.len(), 3);
    at_step("read");
    drop((reading, decoded, text, document));
    at_step("dropped");

    // Every value is authentic, and the MAC is another file's.
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"C=")).collect();
    assert!(parsed(&lines.concat()).open(&keyring).is_err());
    at_step("refused");

    install_panic_hook(false);
    let panics = |panic: &dyn Fn(&str)| {
        let document = parsed(&file).open(&keyring).unwrap();
        let text = Dotenv.emit(&document.tree, None, None).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| panic(std::str::from_utf8(text.expose()).unwrap()))).is_err());
        catch_unwind(AssertUnwindSafe(move || {
            let _both = (document, text);
        }))
        .unwrap();
    };
    panics(&|text| panic!("{}", text.len()));
    at_step("panicked");
    // The message of this one is all of the text.
    panics(&|text| panic!("{}", text[text.len() + 1..].len()));
}

/// Leaves a copy of every value far down on the stack, as optimised code does with pieces of them.
#[inline(never)]
fn spill(document: &DecryptedDocument) {
    let mut stack = [0u8; 16 << 10];
    let mut from = 0;
    for (_, value) in document.tree.documents[0].entries() {
        let value = value.as_text().unwrap();
        let end = &value[value.len().saturating_sub(32)..];
        stack[from..from + end.len()].copy_from_slice(end);
        from += 64;
    }
    std::hint::black_box(&mut stack);
}
