//! Which values are encrypted: suffix, regex and comment rules.
//!
//! Knows key names and comment texts, never values. Its one invariant: a file has exactly one rule, and a rule that cannot be
//! understood is an error: sops takes a pattern that does not compile for one that never matches, and so writes secrets in clear.
//!
//! Source: getsops/sops `sops.go` (`shouldBeEncrypted`), `stores/stores.go` (`Metadata`), v3.13.3.

use super::pattern::{Pattern, PatternError};

/// The six options of which a file may have at most one.
///
/// Source: getsops/sops `stores/stores.go`, `Metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectionOption {
    /// Encrypted unless a key ends with the text.
    UnencryptedSuffix,
    /// Encrypted if a key ends with the text.
    EncryptedSuffix,
    /// Encrypted unless the pattern matches a key.
    UnencryptedRegex,
    /// Encrypted if the pattern matches a key.
    EncryptedRegex,
    /// Encrypted unless the pattern matches an active comment.
    UnencryptedCommentRegex,
    /// Encrypted if the pattern matches an active comment.
    EncryptedCommentRegex,
}

impl SelectionOption {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::UnencryptedSuffix,
        Self::EncryptedSuffix,
        Self::UnencryptedRegex,
        Self::EncryptedRegex,
        Self::UnencryptedCommentRegex,
        Self::EncryptedCommentRegex,
    ];

    /// Its name in a `sops` block and in `.sops.yaml`.
    pub fn field(self) -> &'static str {
        match self {
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    /// Whether a match means that a value stays in clear.
    fn excludes(self) -> bool {
        matches!(self, Self::UnencryptedSuffix | Self::UnencryptedRegex | Self::UnencryptedCommentRegex)
    }
}

/// One file's selection rule.
pub struct Selection {
    option: SelectionOption,
    text: String,
    matcher: Matcher,
}

enum Matcher {
    KeySuffix,
    Key(Pattern),
    Comment(Pattern),
}

impl Selection {
    /// The rule `option: text`.
    ///
    /// # Errors
    /// [`PatternError`] if the option is a pattern and the text does not compile.
    pub fn new(option: SelectionOption, text: &str) -> Result<Self, PatternError> {
        let matcher = match option {
            SelectionOption::UnencryptedSuffix | SelectionOption::EncryptedSuffix => Matcher::KeySuffix,
            SelectionOption::UnencryptedRegex | SelectionOption::EncryptedRegex => Matcher::Key(Pattern::compile(text)?),
            SelectionOption::UnencryptedCommentRegex | SelectionOption::EncryptedCommentRegex => {
                Matcher::Comment(Pattern::compile(text)?)
            }
        };
        Ok(Self { option, text: text.to_owned(), matcher })
    }

    /// Which of the six it is.
    pub fn option(&self) -> SelectionOption {
        self.option
    }

    /// The suffix or pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a top-level entry named `key` is encrypted if no comment says otherwise.
    ///
    /// Comment rules are answered as if no comment stood above the entry.
    pub fn encrypts_key(&self, key: &[u8]) -> bool {
        self.option.excludes() != self.matches_key(key)
    }

    /// Whether the rule looks at comments, so that an entry's place in the file decides about it.
    pub fn looks_at_comments(&self) -> bool {
        matches!(self.matcher, Matcher::Comment(_))
    }

    /// Whether comments at the top of the file are encrypted, if the rule does not look at comments.
    ///
    /// No key stands above them, so a rule that encrypts some keys leaves them in clear.
    pub fn encrypts_top_comments(&self) -> bool {
        self.option.excludes()
    }

    fn matches_key(&self, key: &[u8]) -> bool {
        match &self.matcher {
            Matcher::KeySuffix => key.ends_with(self.text.as_bytes()),
            Matcher::Key(pattern) => pattern.matches(key),
            Matcher::Comment(_) => false,
        }
    }

    /// Whether a comment's text matches the rule's pattern; `false` for rules about keys.
    pub(super) fn matches_comment(&self, text: &[u8]) -> bool {
        matches!(&self.matcher, Matcher::Comment(pattern) if pattern.matches(text))
    }
}

/// sops's rule for a file that names none: keys that end with `_unencrypted` stay in clear.
impl Default for Selection {
    fn default() -> Self {
        Self { option: SelectionOption::UnencryptedSuffix, text: "_unencrypted".to_owned(), matcher: Matcher::KeySuffix }
    }
}

/// A walk through a file, and what the rule says about the place it has reached.
///
/// Every key of the path counts, so that a match on an ancestor covers all below it. A comment, or an unbroken run of comments,
/// counts for the next sibling and all below it.
pub(super) struct SelectionWalk<'a> {
    selection: &'a Selection,
    /// For each key of the path: whether the rule matches it.
    keys: Vec<bool>,
    /// For each open mapping or list: its pending comments.
    pending: Vec<Pending>,
}

/// The comments that count for the next sibling.
#[derive(Clone, Copy, Default)]
struct Pending {
    /// Whether the rule matches the last of them.
    last: bool,
    /// Whether it matches one before that.
    before: bool,
}

impl<'a> SelectionWalk<'a> {
    pub(super) fn new(selection: &'a Selection) -> Self {
        Self { selection, keys: Vec::new(), pending: Vec::new() }
    }

    /// Goes into a mapping or a list.
    pub(super) fn enter(&mut self) {
        self.pending.push(Pending::default());
    }

    /// Comes out of it again.
    pub(super) fn leave(&mut self) {
        self.pending.pop();
    }

    /// Goes to an entry's value.
    pub(super) fn enter_key(&mut self, key: &[u8]) {
        self.keys.push(self.selection.matches_key(key));
    }

    /// Comes back from it.
    pub(super) fn leave_key(&mut self) {
        self.keys.pop();
    }

    /// Notes a comment, before anything is decided about it.
    pub(super) fn meet_comment(&mut self, text: &[u8]) {
        let matches = self.selection.matches_comment(text);
        if let Some(pending) = self.pending.last_mut() {
            *pending = Pending { last: matches, before: pending.before || pending.last };
        }
    }

    /// Notes the end of an entry or element that is no comment: the comments above it are used up.
    pub(super) fn finish_sibling(&mut self) {
        if let Some(pending) = self.pending.last_mut() {
            *pending = Pending::default();
        }
    }

    /// Whether the value here is encrypted.
    pub(super) fn encrypts_value(&self) -> bool {
        self.selection.option.excludes()
            != (self.keys.contains(&true) || self.pending.iter().any(|pending| pending.last || pending.before))
    }

    /// Whether the comment just met is encrypted.
    ///
    /// Under `encrypted_comment_regex` a comment does not count for itself, so that the marker stays readable.
    pub(super) fn encrypts_comment(&self) -> bool {
        if self.selection.option != SelectionOption::EncryptedCommentRegex {
            return self.encrypts_value();
        }
        let Some((top, enclosing)) = self.pending.split_last() else { return false };
        top.before || enclosing.iter().any(|pending| pending.last || pending.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_and_pattern_rules_ask_the_key() {
        let cases = [
            (SelectionOption::UnencryptedSuffix, "_clear", "PORT_clear", false),
            (SelectionOption::UnencryptedSuffix, "_clear", "PORT", true),
            (SelectionOption::EncryptedSuffix, "_KEY", "API_KEY", true),
            (SelectionOption::EncryptedSuffix, "_KEY", "API", false),
            (SelectionOption::UnencryptedRegex, "^PUBLIC", "PUBLIC_URL", false),
            (SelectionOption::UnencryptedRegex, "^PUBLIC", "URL_PUBLIC", true),
            (SelectionOption::EncryptedRegex, "^API_", "API_KEY", true),
            (SelectionOption::EncryptedRegex, "^API_", "export API_KEY", false),
        ];
        for (option, text, key, encrypted) in cases {
            let selection = Selection::new(option, text).unwrap();
            assert_eq!(selection.encrypts_key(key.as_bytes()), encrypted, "{}: {text} against {key}", option.field());
        }
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_refused() {
        assert!(Selection::new(SelectionOption::EncryptedRegex, "(").is_err());
        assert!(Selection::new(SelectionOption::UnencryptedSuffix, "(").is_ok());
    }

    /// The worked example of `encrypted_comment_regex: ENCME`, run against sops.
    #[test]
    fn comments_count_for_the_next_sibling_and_all_below_it() {
        let selection = Selection::new(SelectionOption::EncryptedCommentRegex, "ENCME").unwrap();
        let mut walk = SelectionWalk::new(&selection);
        let comment = |walk: &mut SelectionWalk, text: &str| {
            walk.meet_comment(text.as_bytes());
            walk.encrypts_comment()
        };
        let scalar = |walk: &mut SelectionWalk, key: &str| {
            walk.enter_key(key.as_bytes());
            let encrypted = walk.encrypts_value();
            walk.leave_key();
            walk.finish_sibling();
            encrypted
        };
        walk.enter();
        assert!(!comment(&mut walk, " ENCME"));
        assert!(comment(&mut walk, " second"));
        assert!(scalar(&mut walk, "a"));
        assert!(!scalar(&mut walk, "b"));
        walk.enter_key(b"c");
        walk.enter();
        assert!(!comment(&mut walk, " ENCME"));
        walk.enter_key(b"d");
        walk.enter();
        assert!(scalar(&mut walk, "e"));
        assert!(comment(&mut walk, " plain"));
        assert!(scalar(&mut walk, "f"));
        walk.leave();
        walk.leave_key();
        walk.finish_sibling();
        assert!(!scalar(&mut walk, "g"));
        walk.leave();
        walk.leave_key();
        walk.finish_sibling();
        assert!(!comment(&mut walk, " ENCME"));
        assert!(scalar(&mut walk, "h"));
    }

    #[test]
    fn a_comment_that_keeps_its_value_in_clear_stays_in_clear_itself() {
        let selection = Selection::new(SelectionOption::UnencryptedCommentRegex, "public").unwrap();
        let mut walk = SelectionWalk::new(&selection);
        walk.enter();
        walk.meet_comment(b" public");
        assert!(!walk.encrypts_comment());
        walk.enter_key(b"URL");
        assert!(!walk.encrypts_value());
        walk.leave_key();
        walk.finish_sibling();
        walk.meet_comment(b" other");
        assert!(walk.encrypts_comment());
    }
}
