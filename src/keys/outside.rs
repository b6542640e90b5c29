//! What identities may need from outside of this library: an answer of their user, a program.
//!
//! States what is needed; who asks, and in which words, is the caller's, and so is whether an answer is remembered. Its one invariant:
//! without an [`Ask`] nobody is waited for and nothing agreed to, and without a search path no program is run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::keys::age::identity::IdentityProblem;
use crate::keys::source::Origin;
use crate::secret::SecretString;
use crate::sys::process::{ResolveError, resolve_helper};

/// How often a wrong passphrase may be corrected.
const TRIES: usize = 3;

/// Somebody who can be asked, usually the person at the terminal.
pub trait Ask: Send + Sync {
    /// An answer in one line.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn answer(&self, question: &Question<'_>) -> Result<SecretString, NoAnswer>;

    /// A yes or a no.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn confirm(&self, question: &Question<'_>) -> Result<bool, NoAnswer>;

    /// Shows what `plugin` says: untrusted text.
    ///
    /// # Errors
    /// [`NoAnswer::Nobody`] if there is nobody to show it to.
    fn show(&self, plugin: &str, message: &str) -> Result<(), NoAnswer>;
}

/// What has to be known. The texts of plugins are untrusted.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question<'a> {
    /// The passphrase of an SSH key or an identity file. Secret.
    Passphrase {
        /// Where that is.
        of: &'a Origin,
        /// Whether the last answer was wrong.
        again: bool,
    },
    /// Whether to unlock an identity file that takes very long to unlock.
    Work {
        /// Where it is.
        of: &'a Origin,
        /// How much memory it takes.
        gibibytes: u32,
    },
    /// Whether a plugin's program may run, which no identity of the user's needs: somebody else named it, in a file or a rule.
    RunPlugin {
        /// The plugin.
        plugin: &'a str,
        /// Its program.
        program: &'a Path,
    },
    /// What a plugin asks for.
    Plugin {
        /// The plugin.
        plugin: &'a str,
        /// Its question.
        message: &'a str,
        /// Whether the answer is a secret.
        is_secret: bool,
    },
    /// What a plugin wants confirmed.
    PluginChoice {
        /// The plugin.
        plugin: &'a str,
        /// Its question.
        message: &'a str,
        /// What yes means.
        yes: &'a str,
        /// What no means, if the plugin says it.
        no: Option<&'a str>,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is nobody to ask, as in a job without a terminal.
    Nobody,
    /// Whoever was asked did not want to answer.
    Declined,
}

/// An answer of the user, and programs: all that is not in this process.
pub struct Outside {
    /// Who is asked.
    pub ask: Box<dyn Ask>,
    /// The folders in which programs are looked for, as in `PATH`; only absolute ones count. Without it no program is run.
    pub path: Option<OsString>,
    /// Variables that no program gets to see: those that hold keys.
    pub hidden: Vec<OsString>,
    /// How long a program may be silent.
    pub patience: Duration,
    /// Held while a plugin is asked about and runs: several would do it at once where several files are opened.
    pub turn: Mutex<()>,
}

impl Default for Outside {
    /// Nobody is asked, no program is run.
    fn default() -> Self {
        Self { ask: Box::new(Nobody), path: None, hidden: Vec::new(), patience: Duration::from_secs(120), turn: Mutex::default() }
    }
}

impl Outside {
    /// The absolute path of `program`. A name with a slash in it is not looked for; a relative one counts from the working directory.
    pub(super) fn find(&self, program: &OsStr) -> Result<PathBuf, ResolveError> {
        resolve_helper(program, Some(self.path.as_deref().ok_or(ResolveError::NotFound)?))
    }

    /// Asks for the passphrase of what is at `of` until `open` takes it: it gives `None` for a wrong one.
    pub(super) fn with_passphrase<T>(
        &self,
        of: &Origin,
        mut open: impl FnMut(&SecretString) -> Result<Option<T>, IdentityProblem>,
    ) -> Result<T, IdentityProblem> {
        for again in (0..TRIES).map(|nth| nth > 0) {
            let passphrase = self.ask.answer(&Question::Passphrase { of, again }).map_err(|none| match none {
                NoAnswer::Nobody => IdentityProblem::NobodyToAsk,
                NoAnswer::Declined => IdentityProblem::Declined,
            })?;
            if let Some(opened) = open(&passphrase)? {
                return Ok(opened);
            }
        }
        Err(IdentityProblem::WrongPassphrase)
    }
}

/// Answers nothing.
struct Nobody;

impl Ask for Nobody {
    fn answer(&self, _question: &Question<'_>) -> Result<SecretString, NoAnswer> {
        Err(NoAnswer::Nobody)
    }

    fn confirm(&self, _question: &Question<'_>) -> Result<bool, NoAnswer> {
        Err(NoAnswer::Nobody)
    }

    fn show(&self, _plugin: &str, _message: &str) -> Result<(), NoAnswer> {
        Err(NoAnswer::Nobody)
    }
}
