//! A client for age plugins: programs that wrap and unwrap a file key for recipients and identities of their own.
//!
//! Written here rather than taken from the age crate, whose client waits and reads for ever, leaves the program unreaped, hands it our
//! whole environment and looks in relative folders. Knows the two conversations. Its one invariant: whatever the program does, the
//! conversation ends, and the program with it.
//!
//! Source: C2SP `age-plugin.md`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use age_core::format::{FileKey, Stanza, is_arbitrary_string};
use age_core::primitives::bech32_decode;
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::keys::age::header::MAX_STANZAS as MAX_STANZAS_READ;
use crate::keys::fields::MAX_WRAPPED_LENGTH;
use crate::keys::outside::{NoAnswer, Outside, Question};
use crate::secret::SecretBytes;
use crate::sys::piped::{PipeError, Piped, Start};

/// How many bytes a plugin may say in all.
const MAX_SAID: usize = 1 << 20;

/// How many stanzas a plugin may say.
const MAX_STANZAS: usize = 256;

/// How many stanzas a plugin may wrap a file key in: the reader of the file takes twice as many.
const MAX_WRAPPED: usize = MAX_STANZAS_READ / 2;

/// How much of a plugin's message is repeated in an error.
const MAX_MESSAGE: usize = 200;

const COLUMNS: usize = 64;

/// The name in a plugin's recipient (`age1NAME1…`); `None` if it is no such recipient, or damaged, or has no valid name.
pub(super) fn name_in_recipient(text: &str) -> Option<String> {
    name_in(text, "age1", "")
}

/// The name in a plugin's identity (`AGE-PLUGIN-NAME-1…`).
pub(super) fn name_in_identity(text: &str) -> Option<String> {
    name_in(text, "age-plugin-", "-")
}

fn name_in(text: &str, before: &str, after: &str) -> Option<String> {
    let prefix = bech32_decode(text, |_| (), |_| Ok(()), |prefix, _| Ok(prefix.to_string())).ok()?;
    let prefix = prefix.to_ascii_lowercase();
    let name = prefix.strip_prefix(before)?.strip_suffix(after)?;
    is_valid_name(name).then(|| name.to_owned())
}

/// Whether a plugin may have this name: a part of a file's name, and nothing that leads elsewhere.
pub(super) fn is_valid_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain)
}

/// Has the plugin `name` wrap `file_key` for its `recipient`. If it `is_own`, as one that an identity of the user's needs, it just runs;
/// else that is asked first.
pub(super) fn wrap(
    name: &str,
    recipient: &str,
    file_key: &FileKey,
    is_own: bool,
    outside: &Outside,
) -> Result<Vec<Stanza>, PluginError> {
    let program = find(name, outside)?;
    let turn = turn(outside);
    if !is_own {
        agree(name, &program, outside)?;
    }
    let mut talk = Talk::begin(name, &program, "recipient-v1", outside, turn)?;
    talk.say("add-recipient", &[recipient], &[])?;
    talk.say("wrap-file-key", &[], file_key.expose_secret())?;
    talk.say("extension-labels", &[], &[])?;
    talk.say("done", &[], &[])?;
    let mut stanzas = Vec::new();
    talk.listen(|heard| match heard.command.as_str() {
        "recipient-stanza" => {
            let [index, tag, arguments @ ..] = heard.arguments.as_slice() else { return Err(Malformed) };
            if index != "0" {
                return Err(Malformed);
            }
            stanzas.push(Stanza { tag: tag.clone(), args: arguments.to_vec(), body: heard.body.expose().to_vec() });
            Ok(true)
        }
        // Each recipient has an age file of its own, so what may stand beside it does not matter.
        "labels" => Ok(true),
        _ => Ok(false),
    })?;
    // More than that nobody reads.
    let length: usize = stanzas.iter().map(|stanza| stanza.body.len() + stanza.args.iter().map(String::len).sum::<usize>()).sum();
    match stanzas.len() {
        0 => Err(PluginError::Silent { plugin: name.to_owned() }),
        1..=MAX_WRAPPED if length <= MAX_WRAPPED_LENGTH / 4 => Ok(stanzas),
        _ => Err(PluginError::TooMuch { plugin: name.to_owned() }),
    }
}

/// Has the plugin `name` unwrap the file key in one of `stanzas` with its `identity`; `None` if none is for it.
pub(super) fn unwrap(name: &str, identity: &str, stanzas: &[Stanza], outside: &Outside) -> Result<Option<FileKey>, PluginError> {
    let mut talk = Talk::begin(name, &find(name, outside)?, "identity-v1", outside, turn(outside))?;
    talk.say("add-identity", &[identity], &[])?;
    for stanza in stanzas {
        let mut arguments = vec!["0", stanza.tag.as_str()];
        arguments.extend(stanza.args.iter().map(String::as_str));
        talk.say("recipient-stanza", &arguments, &stanza.body)?;
    }
    talk.say("done", &[], &[])?;
    let mut file_key = None;
    talk.listen(|heard| match heard.command.as_str() {
        "file-key" => {
            if heard.arguments.as_slice() != ["0"] || file_key.is_some() {
                return Err(Malformed);
            }
            let copy = |key: &mut [u8; 16]| match heard.body.expose().first_chunk::<16>() {
                Some(bytes) if heard.body.len() == 16 => {
                    key.copy_from_slice(bytes);
                    Ok(())
                }
                _ => Err(Malformed),
            };
            file_key = Some(FileKey::try_init_with_mut(copy)?);
            Ok(true)
        }
        _ => Ok(false),
    })?;
    Ok(file_key)
}

/// The program of the plugin `name`: the same path is asked about and run.
fn find(name: &str, outside: &Outside) -> Result<PathBuf, PluginError> {
    let missing = || PluginError::Missing { plugin: name.to_owned() };
    if !is_valid_name(name) {
        return Err(missing());
    }
    outside.find(OsStr::new(&format!("age-plugin-{name}"))).map_err(|_| missing())
}

/// Waits until no other plugin runs, or is asked about.
fn turn(outside: &Outside) -> MutexGuard<'_, ()> {
    outside.turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks whether `program` may run.
fn agree(name: &str, program: &Path, outside: &Outside) -> Result<(), PluginError> {
    let refused = |was_asked| PluginError::NotAgreed { plugin: name.to_owned(), program: program.to_owned(), was_asked };
    match outside.ask.confirm(&Question::RunPlugin { plugin: name, program }) {
        Ok(true) => Ok(()),
        Ok(false) | Err(NoAnswer::Declined) => Err(refused(true)),
        Err(NoAnswer::Nobody) => Err(refused(false)),
    }
}

/// A conversation with a plugin.
struct Talk<'a> {
    plugin: &'a str,
    outside: &'a Outside,
    program: Piped,
    /// What was read and not used yet.
    ahead: SecretBytes,
    heard: usize,
    /// Whether it asked for something that nobody was there to give.
    was_alone: bool,
    _turn: MutexGuard<'a, ()>,
}

/// What a plugin says at once.
struct Heard {
    command: String,
    arguments: Vec<String>,
    body: SecretBytes,
}

/// Against the protocol.
struct Malformed;

impl<'a> Talk<'a> {
    fn begin(
        plugin: &'a str,
        program: &Path,
        conversation: &str,
        outside: &'a Outside,
        turn: MutexGuard<'a, ()>,
    ) -> Result<Self, PluginError> {
        let program = Piped::start(&Start {
            program,
            arguments: &[format!("--age-plugin={conversation}").into()],
            set: &[],
            remove: &outside.hidden,
            patience: outside.patience,
        })
        .map_err(|error| PluginError::NotStarted { plugin: plugin.to_owned(), kind: error.kind() })?;
        Ok(Self { plugin, outside, program, ahead: SecretBytes::default(), heard: 0, was_alone: false, _turn: turn })
    }

    fn say(&mut self, command: &str, arguments: &[&str], body: &[u8]) -> Result<(), PluginError> {
        let mut text = SecretBytes::with_capacity(body.len() * 2 + 256);
        text.push(b"-> ");
        text.push(command.as_bytes());
        for argument in arguments {
            text.push(b" ");
            text.push(argument.as_bytes());
        }
        text.push(b"\n");
        let base64 = SecretBytes::from_vec(STANDARD_NO_PAD.encode(body).into_bytes());
        // The last line is the first that is not full: an empty one if need be.
        let mut lines = base64.expose().chunks(COLUMNS).peekable();
        let is_full = lines.clone().last().is_none_or(|line| line.len() == COLUMNS);
        for line in lines.by_ref() {
            text.push(line);
            text.push(b"\n");
        }
        if is_full {
            text.push(b"\n");
        }
        self.program.send(text.expose()).map_err(|error| self.failed(error))
    }

    /// Answers what the plugin says until it is done. `take` says of a command whether it is one of its own.
    fn listen(mut self, mut take: impl FnMut(&Heard) -> Result<bool, Malformed>) -> Result<(), PluginError> {
        for _ in 0..MAX_STANZAS {
            let heard = self.hear()?;
            match heard.command.as_str() {
                "done" => {
                    // It may have something to put away; it is given no reason to wait.
                    self.program.go_on();
                    let _ = self.program.end();
                    return Ok(());
                }
                "error" => {
                    // It is over; whether the plugin still wants to know does not matter.
                    let _ = self.say("ok", &[], &[]);
                    return Err(match self.was_alone {
                        true => PluginError::NobodyToAsk { plugin: self.plugin.to_owned() },
                        false => PluginError::Failed { plugin: self.plugin.to_owned(), message: in_one_line(&heard.body) },
                    });
                }
                _ => match take(&heard) {
                    Ok(true) => self.say("ok", &[], &[])?,
                    Ok(false) => self.answer(&heard)?,
                    Err(Malformed) => return Err(self.malformed()),
                },
            }
            self.program.go_on();
        }
        Err(PluginError::TooMuch { plugin: self.plugin.to_owned() })
    }

    /// Answers what any plugin may say or ask.
    fn answer(&mut self, heard: &Heard) -> Result<(), PluginError> {
        let message = String::from_utf8_lossy(heard.body.expose()).into_owned();
        let (plugin, ask) = (self.plugin, &self.outside.ask);
        match heard.command.as_str() {
            "msg" => match ask.show(plugin, &message) {
                Ok(()) => self.say("ok", &[], &[]),
                Err(_) => self.say("fail", &[], &[]),
            },
            "request-secret" | "request-public" => {
                let is_secret = heard.command == "request-secret";
                match ask.answer(&Question::Plugin { plugin, message: &message, is_secret }) {
                    Ok(answer) => {
                        self.program.go_on();
                        self.say("ok", &[], answer.expose().as_bytes())
                    }
                    Err(_) => self.fail(),
                }
            }
            "confirm" => {
                let decoded = |word: &String| STANDARD_NO_PAD.decode(word).ok().and_then(|text| String::from_utf8(text).ok());
                let words: Option<Vec<String>> = heard.arguments.iter().map(decoded).collect();
                let (yes, no) = match words.as_deref() {
                    Some([yes]) => (yes, None),
                    Some([yes, no]) => (yes, Some(no.as_str())),
                    _ => return Err(self.malformed()),
                };
                match ask.confirm(&Question::PluginChoice { plugin, message: &message, yes, no }) {
                    Ok(is_yes) => {
                        self.program.go_on();
                        self.say("ok", &[if is_yes { "yes" } else { "no" }], &[])
                    }
                    Err(_) => self.fail(),
                }
            }
            _ => self.say("unsupported", &[], &[]),
        }
    }

    fn fail(&mut self) -> Result<(), PluginError> {
        self.was_alone = true;
        self.program.go_on();
        self.say("fail", &[], &[])
    }

    fn hear(&mut self) -> Result<Heard, PluginError> {
        let first = self.line()?;
        let first = std::str::from_utf8(first.expose()).ok().and_then(|line| line.strip_prefix("-> "));
        let words: Vec<String> = first.unwrap_or_default().split(' ').map(str::to_owned).collect();
        if !words.iter().all(is_arbitrary_string) {
            return Err(self.malformed());
        }
        let mut base64 = SecretBytes::with_capacity(COLUMNS * 2);
        loop {
            let line = self.line()?;
            base64.push(line.expose());
            match line.len() {
                COLUMNS => {}
                0..COLUMNS => break,
                _ => return Err(self.malformed()),
            }
        }
        let mut body = SecretBytes::from_vec(vec![0; base64.len()]);
        let Ok(length) = STANDARD_NO_PAD.decode_slice(base64.expose(), body.expose_mut()) else { return Err(self.malformed()) };
        body.truncate(length);
        let mut words = words.into_iter();
        Ok(Heard { command: words.next().unwrap_or_default(), arguments: words.collect(), body })
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<SecretBytes, PluginError> {
        loop {
            if let Some(end) = self.ahead.expose().iter().position(|byte| *byte == b'\n') {
                let (line, rest) = self.ahead.expose().split_at(end);
                let line = SecretBytes::copy_of(line);
                self.ahead = SecretBytes::copy_of(rest.get(1..).unwrap_or_default());
                return Ok(line);
            }
            let mut chunk = SecretBytes::from_vec(vec![0; 8192]);
            let length = self.program.receive(chunk.expose_mut()).map_err(|error| self.failed(error))?;
            self.heard += length;
            if length == 0 {
                return Err(PluginError::Ended { plugin: self.plugin.to_owned() });
            }
            if self.heard > MAX_SAID {
                return Err(PluginError::TooMuch { plugin: self.plugin.to_owned() });
            }
            self.ahead.push(chunk.expose().get(..length).unwrap_or_default());
        }
    }

    fn malformed(&self) -> PluginError {
        PluginError::Malformed { plugin: self.plugin.to_owned() }
    }

    fn failed(&self, error: PipeError) -> PluginError {
        let plugin = self.plugin.to_owned();
        match error {
            PipeError::TimedOut { seconds } => PluginError::TimedOut { plugin, seconds },
            PipeError::Io(_) => PluginError::Ended { plugin },
        }
    }
}

impl From<Malformed> for io::Error {
    fn from(_: Malformed) -> Self {
        io::ErrorKind::InvalidData.into()
    }
}

/// A plugin's message as a part of one of our lines.
fn in_one_line(message: &SecretBytes) -> String {
    let text = String::from_utf8_lossy(message.expose());
    let mut words = text.split(|character: char| character.is_control() || character == ' ').filter(|word| !word.is_empty());
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    line.chars().take(MAX_MESSAGE).collect()
}

/// Why a plugin did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// Its program is in no absolute folder of the search path.
    #[error("needs the program age-plugin-{plugin}, which is not installed")]
    Missing {
        /// The plugin.
        plugin: String,
    },
    /// Somebody else named it, and the user did not agree that it runs.
    #[error(
        "needs the program {program} to run, {}",
        if *.was_asked { "which was not agreed to" } else { "and there is nobody to ask whether it may" }
    )]
    NotAgreed {
        /// The plugin.
        plugin: String,
        /// Its program.
        program: PathBuf,
        /// Whether somebody could be asked.
        was_asked: bool,
    },
    /// The system did not start it.
    #[error("needs the program age-plugin-{plugin}, which did not start: {kind}")]
    NotStarted {
        /// The plugin.
        plugin: String,
        /// Why.
        kind: io::ErrorKind,
    },
    /// It said what is wrong.
    #[error("was tried by age-plugin-{plugin}, which says: {message}")]
    Failed {
        /// The plugin.
        plugin: String,
        /// Its words, in one line. Untrusted.
        message: String,
    },
    /// It asked for something, and nobody could answer.
    #[error("was tried by age-plugin-{plugin}, which asked for something and got no answer")]
    NobodyToAsk {
        /// The plugin.
        plugin: String,
    },
    /// It ended before it was done.
    #[error("was tried by age-plugin-{plugin}, which ended before it was done")]
    Ended {
        /// The plugin.
        plugin: String,
    },
    /// It was silent for too long.
    #[error("was tried by age-plugin-{plugin}, which was silent for {seconds} seconds, and was ended")]
    TimedOut {
        /// The plugin.
        plugin: String,
        /// How long it had.
        seconds: u64,
    },
    /// It said more than any plugin has to say.
    #[error("was tried by age-plugin-{plugin}, which said too much, and was ended")]
    TooMuch {
        /// The plugin.
        plugin: String,
    },
    /// It did not keep to the protocol.
    #[error("was tried by age-plugin-{plugin}, which does not keep to the plugin protocol")]
    Malformed {
        /// The plugin.
        plugin: String,
    },
    /// It was done without having wrapped anything.
    #[error("was tried by age-plugin-{plugin}, which wrapped nothing")]
    Silent {
        /// The plugin.
        plugin: String,
    },
}

#[cfg(test)]
mod tests;
