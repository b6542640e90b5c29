//! Files that could not be changed, and names that could not be got.

use std::path::Path;

use super::{ExitCode, Failure, chain, first_lines, shell_word};
use crate::document::EncryptError;
use crate::document::access::{KeyPathError, NotFound};
use crate::keys::WrapError;
use crate::keys::keyring::Keyring;
use crate::ops::change::ChangeError;
use crate::ops::edit::check::Mistakes;
use crate::ops::new_file::NewFileError;
use crate::ops::rotate::RotateError;
use crate::ops::variable::VariableError;
use crate::sys::atomic_write::ReplaceError;
use crate::sys::terminal::AskError;

impl Failure {
    /// A file that was not changed. `kept` says what became of what the user gave.
    pub fn change(path: &Path, error: ChangeError, kept: &str, keyring: &Keyring) -> Self {
        let (shown, word) = (path.display(), shell_word(path));
        let what = format!("{shown} is not saved");
        match error {
            ChangeError::Lock(error) => Self::lock(path, &error),
            ChangeError::File(error) => error.into(),
            ChangeError::Open(error) => Self::cannot_open(path, &error, keyring),
            ChangeError::LineInComment => Self::of(ExitCode::NotAuthentic, &error)
                .hint(format!("take that comment out of {shown}; `git log -p {shown}` shows who added it")),
            ChangeError::NotText { .. } => {
                Self::of(ExitCode::Malformed, &error).hint("use `dotsops decrypt` and `encrypt` for it")
            }
            ChangeError::NotReplaceable(source) => {
                let failure = Self::new(ExitCode::Refused, format!("{shown} could not be saved")).because(chain(&source));
                match source {
                    ReplaceError::HardLinked { .. } => failure
                        .hint("nothing was decrypted; its other names would go on leading to the old file: remove them first"),
                    ReplaceError::ReadOnly { .. } => {
                        failure.hint(format!("nothing was decrypted; `chmod u+w {word}` first, or edit it with --force"))
                    }
                    _ => failure.hint("nothing was decrypted"),
                }
            }
            ChangeError::Overtaken(_) => Self::new(ExitCode::Refused, what).because(&error).hint(kept),
            ChangeError::Replace(ref source) => {
                Self::new(ExitCode::World, what).because(chain(source)).hint(kept).of_sops(ExitCode::SOPS_NOT_WRITTEN)
            }
            ChangeError::Encrypt(EncryptError::CommentLooksLikeMarker) => {
                Self::new(ExitCode::Malformed, what).because(chain(&error)).hint(kept)
            }
            ChangeError::Encrypt(_) | ChangeError::Emit(_) | ChangeError::Seal(_) => {
                Self::new(ExitCode::Bug, what).because(chain(&error)).hint(kept)
            }
        }
    }

    /// A variable for which a merge left two values.
    pub fn undecided(path: &Path, name: &str) -> Self {
        Self::new(ExitCode::Refused, format!("{}: `{name}` has two values", path.display()))
            .because("both sides of a merge changed it, and nobody has decided which value counts")
            .hint(format!("`dotsops edit {}` shows both values; leave one of them, and no line `#!dotsops`", shell_word(path)))
    }

    /// A variable that is not there, or that cannot be changed.
    pub fn variable(path: &Path, error: VariableError, keyring: &Keyring) -> Self {
        let (shown, word) = (path.display(), shell_word(path));
        let by_editor = format!("`dotsops edit {word}` shows the lines, and can change them");
        let refused = |error: &VariableError| Self::new(ExitCode::Refused, format!("{shown} is not changed")).because(error);
        match &error {
            VariableError::Missing { names, known } => {
                let failure = Self::new(ExitCode::No, format!("{error} in {shown}"));
                match names.first().and_then(|name| nearest(name, known)) {
                    Some(near) => failure.hint(format!("`{near}` is there")),
                    None => failure.hint(format!("`dotsops keys {word}` lists what is there")),
                }
            }
            VariableError::Ignored { name, .. } => Self::of(ExitCode::No, &error)
                .hint(format!("`dotsops set {name}` writes it anew; `dotsops get --literal {name}` shows what is stored")),
            VariableError::NoValue { name, .. } => {
                Self::of(ExitCode::No, &error).hint(format!("`dotsops set {name}` gives it one"))
            }
            VariableError::Hidden { .. } | VariableError::Tangled { .. } | VariableError::Ambiguous { .. } => {
                Self::of(ExitCode::Refused, &error).hint(by_editor)
            }
            VariableError::WouldChangeOthers => refused(&error).hint(by_editor),
            VariableError::OpenLines { .. } => Self::of(ExitCode::Refused, &error)
                .hint(format!("look at who added them (`git log -p {word}`), and take them out")),
            VariableError::Exists { .. } => Self::of(ExitCode::Refused, &error)
                .hint("`set` gives a name that is there another value, `generate --replace` a fresh one, `unset` takes it out"),
            VariableError::NewName => {
                Self::new(ExitCode::Usage, "no new variable can have that name").because(&error).hint("choose another name")
            }
            VariableError::Mistakes(Mistakes::Lines(lines)) => {
                Self::new(ExitCode::Malformed, format!("{shown} is not changed")).because(first_lines(lines)).hint(by_editor)
            }
            VariableError::Mistakes(_) | VariableError::Decode(_) | VariableError::Emit(_) => {
                Self::new(ExitCode::Malformed, format!("{shown} is not changed")).because(chain(&error)).hint(by_editor)
            }
            VariableError::Text(_) => match error {
                VariableError::Text(error) => Self::change(path, error, "nothing was changed", keyring),
                error => Self::of(ExitCode::Malformed, &error),
            },
        }
    }

    /// A file that was not rotated.
    pub fn rotate(path: &Path, error: RotateError, kept: &str, keyring: &Keyring) -> Self {
        let what = format!("{} is not rotated", path.display());
        match error {
            RotateError::Change(error) => Self::change(path, error, kept, keyring),
            RotateError::Recipient(source) => {
                Self::new(ExitCode::Malformed, what).because(chain(&source)).hint(super::readers::recipient_hint(&source))
            }
            RotateError::LastRecipient => {
                Self::new(ExitCode::Refused, what).because(&error).hint("add somebody in the same go: --add-age RECIPIENT")
            }
            // Recipients that were to be added have been read by then, so it is the file that has what nobody can be encrypted to.
            RotateError::Wrap(NewFileError::Wrap(error @ (WrapError::Recipient { .. } | WrapError::Threshold { .. }))) => {
                Self::new(ExitCode::Malformed, what).because(chain(&error)).hint(super::metadata_changed(path))
            }
            RotateError::Wrap(error) => Self::new_file(&error),
        }
    }

    /// Recipients that no rule names, and nobody agreed to.
    pub fn unnamed_recipients(path: &Path) -> Self {
        Self::new(ExitCode::Refused, format!("{} is not changed: it has recipients that no rule names", path.display()))
            .because("anybody can write a recipient into a file; it could read what is written from now on")
            .hint("take them out (`dotsops rotate --rm-age`), name them in .sops.yaml, or agree with --yes")
    }

    /// A rotation after which the user could not read the file, which nobody asked for.
    pub fn rotated_away(path: &Path) -> Self {
        let (shown, word) = (path.display(), shell_word(path));
        Self::new(ExitCode::Refused, format!("{shown} is not rotated: none of your identities could read it then"))
            .because("its recipients are not those that its key was wrapped for; anybody can write another one there")
            .hint(format!("`git log -p {word}` shows who changed them; if that is meant, agree with --yes"))
    }

    /// `set` without a value. An empty one is probably the end of a program that failed.
    pub fn no_value(why: &str) -> Self {
        Self::new(ExitCode::Usage, format!("there is no value: {why}"))
            .hint("type or pipe it in; an empty value is set with `dotsops set KEY ''`")
    }

    /// A value that no variable can hold.
    pub fn value_with_nul(name: &str) -> Self {
        Self::new(ExitCode::Malformed, format!("`{name}` is not set"))
            .because("the value has a NUL character, which no variable can hold")
    }

    /// A value that is no text.
    pub fn value_not_text(offset: usize) -> Self {
        Self::new(ExitCode::Malformed, "the value is not set")
            .because(format!("it is not UTF-8 at byte {offset}"))
            .hint("encode it first, for instance with `base64`")
    }

    /// A question that got no usable answer.
    pub fn answer(error: &AskError) -> Self {
        let code = match error {
            AskError::Io(_) => ExitCode::World,
            _ => ExitCode::Malformed,
        };
        Self::new(code, "the value is not set").because(chain(error)).hint("several lines, or a long text, can be piped in")
    }

    /// A path of `--extract` that is none.
    pub fn key_path(error: &KeyPathError) -> Self {
        Self::of(ExitCode::Usage, error).hint("as in --extract '[\"API_KEY\"]'")
    }

    /// A path of `--extract` that leads nowhere.
    pub fn no_part(path: &Path, error: &NotFound) -> Self {
        let word = shell_word(path);
        Self::new(ExitCode::No, format!("that is not in {}", path.display())).because(error).hint(format!(
            "a path has the names as they are stored, `export` included; `dotsops get -f {word} NAME` takes the variable's name"
        ))
    }

    /// A path of `--extract` that leads to something that is no value.
    pub fn no_value_there(path: &Path) -> Self {
        Self::new(ExitCode::No, format!("that is no single value in {}", path.display()))
    }
}

/// The name that was probably meant.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let distance = |known: &String| strsim::osa_distance(&name.to_uppercase(), &known.to_uppercase());
    let nearest = known.iter().min_by_key(|known| distance(known))?;
    (distance(nearest) <= (name.chars().count() / 3).max(1)).then_some(nearest)
}
