//! The entries and comments of an encrypted file: how they are protected, and what programs make of their names.

use std::collections::HashMap;

use super::finding::{Finding, Reason, Sort};
use crate::dialect::scanner::{Failure, Kind, scan};
use crate::document::selection::Selection;
use crate::document::{EncryptedDocument, Standing, standings};
use crate::ops::encrypt::secret_in_comment;
use crate::ops::exec::policy::{Effect, effect};
use crate::ops::merge::marks::is_mark;
use crate::tree::{Comment, Item, Key};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Looks at each entry and comment of a file; `lines` are those of its items, `text` is all of it.
pub fn judge(document: &EncryptedDocument, lines: &[usize], text: &[u8]) -> Vec<Finding> {
    let selection = &document.metadata.selection;
    let mut standings = standings(&document.tree, selection).into_iter();
    let mut entries = Entries { selection, first: HashMap::new(), left_in_clear: Vec::new(), findings: Vec::new() };
    for (item, line) in document.tree.first().iter().zip(lines) {
        match item {
            Item::BlankLine => {}
            Item::Comment(comment) => entries.comment(comment, *line, standings.next()),
            Item::Entry(key, _) => entries.entry(key, *line, standings.next()),
        }
    }
    let Entries { left_in_clear: names, mut findings, .. } = entries;
    if !names.is_empty() {
        findings.push(Finding::of(Sort::LeftInClear { names }));
    }
    if text.ends_with(b"\r\n") {
        findings.push(Finding::of(Sort::CarriageReturns));
    }
    findings
}

struct Entries<'a> {
    selection: &'a Selection,
    /// Where each variable stands first.
    first: HashMap<String, usize>,
    left_in_clear: Vec<String>,
    findings: Vec<Finding>,
}

impl Entries<'_> {
    fn entry(&mut self, key: &Key, line: usize, standing: Option<Standing>) {
        let is_encrypted = standing == Some(Standing::Encrypted);
        let name = match Written::of(key) {
            Ok(written) => {
                self.name(&written, line);
                if effect(&written.name) == Effect::LoadsCode {
                    self.find(line, &written.name, Sort::LoadsCode { is_encrypted });
                }
                written.name
            }
            Err(reason) => {
                let shown = key.to_string();
                self.find(line, &shown, Sort::NoVariable(reason));
                shown
            }
        };
        match standing {
            Some(Standing::InClear) => self.find(line, &name, Sort::InClear),
            Some(Standing::Broken) => self.find(line, &name, Sort::Broken),
            Some(Standing::Stray) => self.find(line, &name, Sort::Stray),
            Some(Standing::LeftInClear) if self.is_hidden(key, &name) => self.find(line, &name, Sort::HiddenByExport),
            Some(Standing::LeftInClear) => self.left_in_clear.push(name.clone()),
            Some(Standing::Encrypted | Standing::Empty) | None => {}
        }
        match self.first.get(&name) {
            Some(first_line) => self.find(line, &name, Sort::Duplicate { first_line: *first_line }),
            None => drop(self.first.insert(name, line)),
        }
    }

    fn name(&mut self, written: &Written, line: usize) {
        if written.has_export {
            self.find(line, &written.name, Sort::Export);
        } else if written.is_wrapped {
            self.find(line, &written.name, Sort::Wrapped);
        }
        if !is_narrow(&written.name) {
            self.find(line, &written.name, Sort::Narrow);
        }
    }

    /// Whether the selection would encrypt the variable if its name stood alone.
    fn is_hidden(&self, key: &Key, name: &str) -> bool {
        key.as_bytes() != name.as_bytes() && !self.selection.looks_at_comments() && self.selection.encrypts_key(name.as_bytes())
    }

    fn comment(&mut self, comment: &Comment, line: usize, standing: Option<Standing>) {
        let sort = match standing {
            Some(Standing::Broken) => Sort::BrokenComment,
            Some(Standing::InClear | Standing::LeftInClear) => {
                if is_mark(comment) {
                    Sort::Undecided
                } else if comment.text.expose().contains(&b'\r') {
                    Sort::LineInComment
                } else if let Some(name) = secret_in_comment(&comment.text, self.selection) {
                    return self.find(line, name.trim_start_matches('#'), Sort::SecretInComment);
                } else if standing == Some(Standing::InClear) {
                    Sort::CommentInClear
                } else {
                    return;
                }
            }
            _ => return,
        };
        self.findings.push(Finding { line: Some(line), ..Finding::of(sort) });
    }

    fn find(&mut self, line: usize, name: &str, sort: Sort) {
        self.findings.push(Finding { line: Some(line), name: Some(name.to_owned()), sort });
    }
}

/// A key as it is stored, and the variable it stands for.
struct Written {
    name: String,
    has_export: bool,
    is_wrapped: bool,
}

impl Written {
    /// What python-dotenv makes of `key` with some value behind it.
    fn of(key: &Key) -> Result<Self, Reason> {
        let text = key.as_str().ok_or(Reason::NotUtf8)?;
        if text.starts_with(BYTE_ORDER_MARK) {
            return Err(Reason::ByteOrderMark);
        }
        if text.contains('\0') {
            return Err(Reason::Nul);
        }
        let line = format!("{text}=x");
        match scan(&line).into_iter().next().map(|statement| statement.kind) {
            Some(Kind::Definition(definition)) if definition.value.is_some() => {
                let (name, has_export) = (definition.name.to_owned(), definition.export);
                Ok(Self { is_wrapped: name != text, name, has_export })
            }
            Some(Kind::Failed { failure: Failure::NoName, .. }) => Err(Reason::Empty),
            Some(Kind::Failed { failure: Failure::UnclosedQuote, .. }) => Err(Reason::OpenQuote),
            _ => Err(Reason::Words),
        }
    }
}

/// Whether every reader takes the name: shells, systemd and editors know no dots and dashes.
fn is_narrow(name: &str) -> bool {
    let begins_well = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    begins_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str) -> Result<(String, bool, bool), Reason> {
        Written::of(&Key::from(key)).map(|written| (written.name, written.has_export, written.is_wrapped))
    }

    #[test]
    fn a_name_is_what_python_dotenv_takes_for_it() {
        let plain = |name: &str| Ok((name.to_owned(), false, false));
        assert_eq!(read("A"), plain("A"));
        assert_eq!(read("a.b-c"), plain("a.b-c"));
        assert_eq!(read("export A"), Ok(("A".to_owned(), true, true)));
        assert_eq!(read("A "), Ok(("A".to_owned(), false, true)));
        assert_eq!(read("'A B'"), Ok(("A B".to_owned(), false, true)));
    }

    #[test]
    fn what_gives_no_variable_is_told_why() {
        let cases = [
            ("", Reason::Empty),
            ("A B", Reason::Words),
            ("A #", Reason::Words),
            ("'", Reason::OpenQuote),
            ("A\0", Reason::Nul),
            ("\u{feff}A", Reason::ByteOrderMark),
        ];
        for (key, reason) in cases {
            assert_eq!(read(key), Err(reason), "{key:?}");
        }
        assert_eq!(Written::of(&Key::from(&b"\xff"[..])).err(), Some(Reason::NotUtf8));
    }

    #[test]
    fn dots_dashes_digits_and_letters_of_others_are_not_for_everybody() {
        assert!(is_narrow("A_1") && is_narrow("_a"));
        assert!(["a.b", "a-b", "1A", "É", "A B", ""].iter().all(|name| !is_narrow(name)));
    }
}
