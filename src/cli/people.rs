//! Whose a recipient is, as far as the comments of the nearest `.sops.yaml` say.
//!
//! For display alone: whoever can change that file can call anybody anything.

use super::failure::short;
use crate::config::Config;
use crate::keys::age::recipient::is_same;
use crate::keys::{Kind, shown};

/// Names of recipients.
#[derive(Default)]
pub struct People(Vec<(Kind, String, String)>);

impl People {
    /// Those of `config`.
    pub fn of(config: &Config) -> Self {
        let rules = config.rules().filter_map(Result::ok);
        let keys = rules.flat_map(|rule| &rule.groups).flat_map(|group| &group.keys);
        Self(keys.filter_map(|key| Some((key.kind, key.identity(), key.name.clone()?))).collect())
    }

    /// Those of the config that is found from the working directory, if it can be read.
    pub fn nearby() -> Self {
        let config = std::env::current_dir().ok().and_then(|here| Config::find(&here).ok().flatten());
        config.as_ref().map(Self::of).unwrap_or_default()
    }

    /// The recipient, as far as it fits into a line of its own, and the name if it is known.
    pub fn whole(&self, kind: Kind, recipient: &str) -> String {
        self.named(kind, recipient, ssh_end(recipient).unwrap_or_else(|| shown(recipient).to_owned()))
    }

    /// The beginning of the recipient, and the name if it is known.
    pub fn brief(&self, kind: Kind, recipient: &str) -> String {
        self.named(kind, recipient, ssh_end(recipient).unwrap_or_else(|| short(recipient)))
    }

    /// The name alone, if it is known.
    pub fn name(&self, kind: Kind, recipient: &str) -> Option<&str> {
        let is_theirs = |known: &&(Kind, String, String)| known.0 == kind && is_same(&known.1, recipient);
        self.0.iter().find(is_theirs).map(|(.., name)| name.as_str())
    }

    fn named(&self, kind: Kind, recipient: &str, text: String) -> String {
        let text = if kind == Kind::Age { text } else { format!("{} {text}", kind.title()) };
        match self.name(kind, recipient) {
            Some(name) => format!("{text} ({name})"),
            None => text,
        }
    }
}

/// An SSH key by its end and its comment: it is too long for a line, and all of one sort begin alike.
fn ssh_end(recipient: &str) -> Option<String> {
    let words: Vec<&str> = shown(recipient).split_whitespace().collect();
    let [sort, key, comment @ ..] = words.as_slice() else { return None };
    let (at, _) = key.char_indices().nth_back(11).filter(|_| sort.starts_with("ssh-"))?;
    let end = format!("…{}", &key[at..]);
    Some([&[*sort, end.as_str()][..], comment].concat().join(" "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ALICE: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAt0JClVNvL55xys/klWTChNQLBWMAGKHnHDYsEw+TE1";

    #[test]
    fn recipients_are_named_by_the_comments_of_the_config() {
        let text = format!("creation_rules:\n  - age:\n      - {ALICE} # alice\n      - {SSH} # bob\n");
        let people = People::of(&Config::parse(Path::new("/r/.sops.yaml"), &text).unwrap());
        assert_eq!(people.whole(Kind::Age, ALICE), format!("{ALICE} (alice)"));
        assert_eq!(people.brief(Kind::Age, ALICE), "age1syfl80l704uvg7exdg67… (alice)");
        assert_eq!(people.whole(Kind::Age, &format!("{SSH} bob@home")), "ssh-ed25519 …HnHDYsEw+TE1 bob@home (bob)");
        assert_eq!(people.whole(Kind::Pgp, "AB12"), "PGP AB12");
    }

    #[test]
    fn a_private_key_in_the_wrong_place_is_not_shown() {
        let people = People::default();
        for text in [people.whole(Kind::Age, "AGE-SECRET-KEY-1X"), people.brief(Kind::Age, "AGE-SECRET-KEY-1X")] {
            assert_eq!(text, "(a private key)");
        }
    }
}
