//! What a program gets: the values of one or more files, as python-dotenv would have read them.
//!
//! Makes the list of variables and nothing else; `sys::process` runs the program with it. No plaintext file, no shell, and no text in
//! between that would have to be read again. Its one invariant: a line that anybody can add without a key never decides anything.

pub mod known;
mod names;
pub mod policy;
mod report;
mod source;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use self::known::Known;
pub use self::names::Names;
pub use self::report::{ExecError, Reason, Warning};
use self::source::Source;
use crate::keys::keyring::Keyring;
use crate::secret::{SecretBytes, SecretString};

/// How values are read and what is allowed.
pub struct Options<'a> {
    /// The items as sops gives them to a program: names and values verbatim, no quotes removed, nothing interpolated.
    pub literal: bool,
    /// What the environment has already stays, and counts first in `${NAME}`.
    pub keep_existing: bool,
    /// Whether a file may be a plaintext: only one that the user named.
    pub plaintext_allowed: bool,
    /// Which variables are passed, and under which names.
    pub names: Names<'a>,
    /// Names that load code, as the program sees them, or names in a file that another file or line decides about, which may be
    /// passed all the same.
    pub allow: &'a [String],
    /// What the program inherits of the caller's environment, for `${NAME}`; what is no text is not there.
    pub inherited: &'a dyn Fn(&str) -> Option<SecretString>,
    /// Whether the program inherits a variable of this name, text or not.
    pub is_inherited: &'a dyn Fn(&[u8]) -> bool,
    /// Where a yes about such a name is remembered, if anywhere.
    pub known: Option<&'a Known>,
    /// Asks the user about an encrypted variable whose name loads code; `false` where nobody can be asked. Told are the file, the name
    /// and whether a yes is to be remembered.
    pub ask: &'a dyn Fn(&Path, &str, bool) -> bool,
}

/// A variable for the program.
pub struct Variable {
    /// Its name; no NUL, no `=`, not empty.
    pub name: Vec<u8>,
    /// Its value; no NUL.
    pub value: SecretBytes,
    /// Whether nobody without a key could have added or changed it.
    is_protected: bool,
}

/// The variables, and what the user should know about them.
#[derive(Default)]
pub struct Environment {
    /// Each name once, in order of first appearance.
    pub variables: Vec<Variable>,
    /// One line each.
    pub warnings: Vec<Warning>,
}

/// Reads `files` in order; later ones win. Everything is read and interpolated, and only then chosen and renamed.
///
/// # Errors
/// [`ExecError`]: a file cannot be opened, or something in it must not reach a program unnoticed.
pub fn environment(files: &[PathBuf], keyring: &Keyring, options: &Options) -> Result<Environment, ExecError> {
    let mut environment = Environment::default();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for path in files {
        let source = Source::read(path, keyring, options.plaintext_allowed, &mut environment.warnings)?;
        let earlier = |name: &str| {
            let place = *places.get(name.as_bytes())?;
            std::str::from_utf8(environment.variables[place].value.expose()).ok().map(SecretString::copy_of)
        };
        let variables = match options.literal {
            true => source.literal(options, &mut environment.warnings)?,
            false => source.values(&earlier, options, &mut environment.warnings)?,
        };
        for variable in variables {
            let Some(place) = places.get(&variable.name) else {
                places.insert(variable.name.clone(), environment.variables.len());
                environment.variables.push(variable);
                continue;
            };
            let known = &mut environment.variables[*place];
            if known.is_protected && !variable.is_protected {
                let name = String::from_utf8_lossy(&variable.name).into_owned();
                if !options.allow.contains(&name) {
                    return Err(ExecError::OpenOverride { path: path.clone(), name });
                }
            }
            *known = variable;
        }
    }
    if let Some(pattern) = options.names.missing() {
        return Err(ExecError::NoSuchName { pattern, files: files.to_vec() });
    }
    environment.warnings.extend(options.names.without_effect().map(|pattern| Warning::NothingExcepted { pattern }));
    environment.variables.retain_mut(|variable| match options.names.bytes_passed_as(&variable.name) {
        Some(name) => {
            variable.name = name;
            true
        }
        None => false,
    });
    if options.keep_existing {
        environment.variables.retain(|variable| !(options.is_inherited)(&variable.name));
    }
    Ok(environment)
}
