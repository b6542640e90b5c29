//! What somebody else must run so that the user can read a file.
//!
//! Its one invariant: the command can be pasted as it stands. It names the file, and the user's public key whole, or else says how to send it.

use std::path::Path;

use super::{listed, shell_word};
use crate::cli::environment::user_name;
use crate::cli::people::People;
use crate::config::Config;
use crate::keys::Kind;
use crate::keys::age::recipient::is_same;
use crate::keys::source::Origin;

/// The longest public key that is shown in a command: age's own and those of ed25519 are shorter.
const LONGEST: usize = 128;

/// Who is asked for what.
pub struct Wanted<'a> {
    /// The file that stays shut.
    pub path: &'a Path,
    /// Who can read it.
    pub readers: &'a [(Kind, String)],
    /// The key group to come into, where there are several.
    pub group: Option<usize>,
}

impl Wanted<'_> {
    /// The hint for somebody who holds one of the public keys `held`, or none.
    pub fn hint(&self, held: &[(Origin, String)], people: &People) -> String {
        // An age key of one's own before an SSH key, which is also used to log in.
        let own = held.iter().find(|(_, key)| key.starts_with("age1")).or(held.first());
        let who = self.who(people);
        let Some((origin, own)) = own else {
            let command = self.command("PUBLIC_KEY");
            return format!(
                "`dotsops keygen` makes you an identity and prints its public key; then ask {who} to run `{command}`. If you have \
                 one elsewhere: SOPS_AGE_KEY_FILE=FILE"
            );
        };
        if self.is_in_rule(own) {
            return format!("a rule names you already: ask {who} to run `dotsops updatekeys {}`", shell_word(self.path));
        }
        if own.len() <= LONGEST {
            let key = shlex::try_quote(own).map_or(own.as_str().into(), |quoted| quoted);
            return format!("ask {who} to run `{}`", self.command(&key));
        }
        let (what, file) = match origin {
            Origin::File(path) if own.starts_with("ssh-") => (format!("{}.pub", path.display()), "that file"),
            _ if own.starts_with("ssh-") => ("the public half of your SSH key".to_owned(), "a file with it"),
            origin => (format!("your public key, the line behind `# public key:` in {origin},"), "a file with it"),
        };
        format!("send {what} to {who}, who runs `{}` ({file})", self.command("KEY_FILE"))
    }

    fn command(&self, key: &str) -> String {
        let file = shell_word(self.path);
        if !self.has_rule() {
            return format!("dotsops rotate --add-age {key} {file}");
        }
        let group = self.group.map(|group| format!(" --group {group}")).unwrap_or_default();
        let name = user_name().unwrap_or_else(|| "YOUR_NAME".to_owned());
        format!("dotsops recipients add -f {file}{group} {name} {key}")
    }

    /// Those of the readers whose names are known.
    fn who(&self, people: &People) -> String {
        let mut names: Vec<String> =
            self.readers.iter().filter_map(|(kind, key)| people.name(*kind, key).map(str::to_owned)).collect();
        names.dedup();
        match names.as_slice() {
            [] => "somebody who can read it".to_owned(),
            [one, other] => format!("{one} or {other}"),
            names => listed(names),
        }
    }

    fn is_in_rule(&self, own: &str) -> bool {
        self.keys_of_rule().is_some_and(|keys| keys.iter().any(|(kind, key)| *kind == Kind::Age && is_same(key, own)))
    }

    fn has_rule(&self) -> bool {
        self.keys_of_rule().is_some()
    }

    /// The keys that the rule of the file names; `None` if there is none.
    fn keys_of_rule(&self) -> Option<Vec<(Kind, String)>> {
        let path = std::path::absolute(self.path).ok()?;
        let config = Config::find(&std::env::current_dir().ok()?).ok().flatten()?;
        let rule = config.rule_for(&path).ok().flatten()?;
        Some(rule.groups.iter().flat_map(|group| &group.keys).map(|key| (key.kind, key.identity())).collect())
    }
}
