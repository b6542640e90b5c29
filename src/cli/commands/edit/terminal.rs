//! An edit's questions and what it tells, in words on the terminal.
//!
//! Its one invariant: where nobody answers, the answer is one that loses and exposes nothing.

use std::path::Path;

use super::words::{by_name, merged};
use crate::cli::Surroundings;
use crate::cli::commands::{clear_comments, clear_marks, encrypt};
use crate::cli::departures;
use crate::cli::failure::{Failure, chain, from_here};
use crate::cli::left_behind;
use crate::cli::output::{Output, shortened};
use crate::ops::edit::check::{Changes, Mistakes};
use crate::ops::edit::dialog::{Choice, Consent, Dialog, Fact, Finding};
use crate::ops::edit::error::DraftFailure;
use crate::ops::edit::meanwhile::Meanwhile;
use crate::sys::signals::DeathSignals;
use crate::sys::terminal::{ask_line, show_line};

/// How many mistakes are told at a time: the first is often what makes the others.
const MOST_MISTAKES: usize = 10;

/// Asks on the terminal.
pub(super) struct Terminal<'a> {
    path: &'a Path,
    surroundings: &'a Surroundings,
    output: &'a Output,
    signals: &'a DeathSignals,
    /// How the file's own rule differs from that of `.sops.yaml`, if it does.
    departure: Option<String>,
    /// Why it does not go on.
    pub refusal: Option<Failure>,
}

impl<'a> Terminal<'a> {
    pub fn new(path: &'a Path, surroundings: &'a Surroundings, signals: &'a DeathSignals) -> Self {
        Self { path, surroundings, output: &surroundings.output, signals, departure: None, refusal: None }
    }

    /// Shows `lines` and asks until the answer begins with one of `letters`; `None` if nobody answers.
    fn menu(&self, question: &str, letters: &str) -> Option<char> {
        loop {
            let answer = ask_line(question, Some(self.signals)).ok().flatten()?;
            match answer.trim().to_ascii_lowercase().chars().next() {
                Some(letter) if letters.contains(letter) => return Some(letter),
                _ => {}
            }
        }
    }
}

impl Dialog for Terminal<'_> {
    fn mistakes(&mut self, mistakes: &Mistakes) -> Choice {
        let said = mistakes.to_string();
        let lines: Vec<&str> = said.lines().collect();
        for line in lines.iter().take(MOST_MISTAKES) {
            self.output.problem(format_args!("{}: {line}", self.path.display()));
        }
        if lines.len() > MOST_MISTAKES {
            self.output.problem(format_args!("{}: and {} more lines", self.path.display(), lines.len() - MOST_MISTAKES));
        }
        match self.menu("What now? [e]dit again, [k]eep your text as a draft and quit, [d]iscard your changes: ", "ekd") {
            Some('e') => Choice::EditAgain,
            Some('d') => Choice::Discard,
            _ => Choice::KeepDraft,
        }
    }

    fn draft_failed(&mut self, error: &DraftFailure) -> bool {
        self.output.problem(format_args!("no encrypted draft of your text can be kept: {}", chain(error)));
        let question = "What now? [t]ry again, [l]eave the text unencrypted where it is, readable for you alone, and quit: ";
        matches!(self.menu(question, "tl"), Some('t'))
    }

    fn left_as_shown(&mut self, changes: &Changes) -> Consent {
        let (shown, changes) = (self.path.display(), by_name(changes));
        let said = format!("You left the text as it was shown. What it changes in {shown}: {changes}");
        if !show_line(&shortened(said)) {
            return Consent::Given;
        }
        match self.menu("What now? [y]es save it, [e]dit it again, [k]eep it as a draft and quit: ", "yek") {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn accept_clear(&mut self, names: &[String]) -> Consent {
        if let Some(departure) = self.departure.take() {
            self.output.problem(departure);
        }
        self.output.problem(format_args!(
            "the file's rule does not encrypt these values, anybody could read them: {}",
            names.join(", ")
        ));
        match self.menu("What now? [e]dit again, [y]es save them unencrypted, [k]eep your text as a draft and quit: ", "eyk") {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn accept_empty(&mut self) -> Consent {
        self.output.problem("nothing would be left in the file");
        match self.menu("What now? [e]dit again, [y]es make it empty, [k]eep your text as a draft and quit: ", "eyk") {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn merged(&mut self, meanwhile: &Meanwhile) -> Consent {
        let shown = self.path.display();
        self.output.problem(format_args!("{shown} was changed by someone else meanwhile{}", merged(meanwhile)));
        let choice = match meanwhile.conflicts.is_empty() {
            true => self.menu("What now? [y]es save both, [e]dit the merged text, [k]eep your text as a draft and quit: ", "yek"),
            false => {
                self.menu("What now? [e]dit the merged text, with both values, [k]eep your text as a draft and quit: ", "ek")
            }
        };
        match choice {
            Some('y') => Consent::Given,
            Some('e') => Consent::EditAgain,
            _ => Consent::Withheld,
        }
    }

    fn make_again(&mut self) -> bool {
        self.output.problem(format_args!("{} was removed by someone else meanwhile", self.path.display()));
        matches!(self.menu("What now? [m]ake it again with your text, [k]eep your text as a draft and quit: ", "mk"), Some('m'))
    }

    fn wait_until_closed(&mut self) {
        let question = "The editor was back at once; it may still be open. Press Enter when you have saved and closed it: ";
        if matches!(ask_line(question, Some(self.signals)), Ok(None)) {
            self.output.warning("the editor was back at once; if it is still open, what is saved there from now on is lost");
        }
    }

    fn goes_on(&mut self, finding: Finding) -> bool {
        let said = match finding {
            Finding::Opened(metadata) => {
                self.departure = departures::other_rule(self.path, metadata, self.surroundings).map(|(_, said)| said);
                departures::of_changing(self.path, metadata, self.surroundings)
            }
            Finding::ClearComments(count) => self.surroundings.finding(clear_comments(count)),
            Finding::ClearMarks(count) => self.surroundings.finding(clear_marks(count)),
            Finding::Notable(name, effect) => self.surroundings.finding(encrypt::notable(name, effect)),
        };
        self.refusal = said.err();
        self.refusal.is_none()
    }

    fn tell(&mut self, fact: Fact) {
        let output = self.output;
        match fact {
            Fact::Stored(note) => output.note(note),
            Fact::LineEndings => output.note("Windows line endings became LF"),
            Fact::EditorKeeps(editor, what) => output.warning(format_args!("{editor}: {what}")),
            Fact::Unguarded(error) => output.warning(format_args!(
                "no guard could be started: {error}; if dotsops is killed, the plaintext stays in memory until the next edit"
            )),
            Fact::BehindLink(path) => output.note(format_args!("the link leads to {}, which is edited", path.display())),
            Fact::StartsFrom(path) => {
                output.note(format_args!("the new file starts from the names in {}", from_here(path).display()));
            }
            Fact::ExampleNotUsed(path, problem) => {
                output.warning(format_args!("{} is not used: {}", from_here(path).display(), chain(problem)));
            }
            Fact::Found(found) => left_behind::tell(found, output),
            Fact::Merged(meanwhile) => {
                output.warning(format_args!("the file changed since the draft was kept; both are merged{}", merged(meanwhile)));
                if !meanwhile.conflicts.is_empty() {
                    output.warning("where both changed a name, the text has both values, in lines that begin with `#!dotsops`");
                }
            }
            Fact::MergedLater => output.warning(
                "the file changed since the draft was kept; you see your text as you left it, since it has mistakes: \
                 it is merged when you save it",
            ),
            Fact::NotWiped(path) => output.warning(format_args!(
                "the plaintext could not be removed from {}: close what uses it, then remove that folder",
                path.display()
            )),
            Fact::NotDurable => output.warning(
                "the system did not confirm that the file would survive a power cut now, so a draft is kept too; the next edit drops it",
            ),
            Fact::DraftStays => output.warning("the draft of this edit could not be removed; the next edit drops it"),
        }
    }
}
