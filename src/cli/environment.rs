//! The only reader of environment variables.
//!
//! Takes the variables that hold a key out of the process's environment at once; tells where identities, state and scratch are, and
//! builds the [`Keyring`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::prompt::Prompt;
use crate::keys::age::recipient::plugin_of;
use crate::keys::keyring::Keyring;
use crate::keys::outside::Outside;
use crate::keys::source::{IdentitySource, Material, Origin};
use crate::ops::exec::policy::holds_key;
use crate::ops::known_plugins::KnownPlugins;
use crate::secret::{SecretBytes, SecretString};
use crate::sys::environment::take_secret_variable;
#[cfg(feature = "faults")]
use crate::sys::fault;
use crate::sys::https::Network;
use crate::sys::process::resolve_helper;

/// What the user is called on this machine, if that is a plain word.
pub fn user_name() -> Option<String> {
    let is_plain = |name: &String| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&letter))
    };
    let named = |variable| std::env::var_os(variable)?.into_string().ok();
    ["USER", "LOGNAME"].into_iter().find_map(named).filter(|name| is_plain(name) && !name.starts_with('-'))
}

/// The process's environment, without the keys in it.
pub struct Environment {
    /// `SOPS_AGE_KEY`, if it was set.
    age_key: Option<SecretBytes>,
    /// The plugins that may run although nobody here named them, from the command line.
    allowed_plugins: Vec<String>,
}

impl Environment {
    /// Takes the key variables out. Call it before there are threads.
    pub fn capture() -> Self {
        #[cfg(feature = "faults")]
        fault::arm(std::env::var_os(fault::ARMED_BY), std::env::var_os(fault::LOGGED_TO));
        Self { age_key: take_secret_variable(OsStr::new("SOPS_AGE_KEY")), allowed_plugins: Vec::new() }
    }

    /// The same, where the plugins of these names may run whoever named them.
    pub fn allowing_plugins(self, names: Vec<String>) -> Self {
        Self { allowed_plugins: names, ..self }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    /// A variable that is set, not empty, and text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.var(name)?.into_string().ok()
    }

    /// Any variable's value, `None` if it is not set. Key variables are not there.
    pub fn value(&self, name: &str) -> Option<SecretString> {
        // `var_os` panics on such names.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        std::env::var_os(name)?.into_string().ok().map(SecretString::from_string)
    }

    /// Whether there is a variable of this name, also an empty one. Key variables are not there.
    pub fn is_set(&self, name: &OsStr) -> bool {
        std::env::var_os(name).is_some()
    }

    /// Everything a child inherits. The key variables are among it only if `keep_keys`.
    pub fn inherited(&self, keep_keys: bool) -> Vec<(OsString, SecretBytes)> {
        let mut inherited: Vec<_> = std::env::vars_os()
            .filter(|(name, _)| !holds_key(name))
            .map(|(name, value)| (name, SecretBytes::from_vec(value.into_vec())))
            .collect();
        if let Some(key) = self.age_key.as_ref().filter(|_| keep_keys) {
            inherited.push(("SOPS_AGE_KEY".into(), SecretBytes::copy_of(key.expose())));
        }
        inherited
    }

    /// The names of those variables, of what is left of the environment, that hold a key.
    pub fn key_variables(&self) -> Vec<OsString> {
        std::env::vars_os().map(|(name, _)| name).filter(|name| holds_key(name)).collect()
    }

    /// The home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }

    /// Where identities made by `keygen` go, and where sops looks for them.
    ///
    /// Source: getsops/sops `age/keysource.go`, `getUserConfigDir`.
    pub fn key_file(&self) -> Option<PathBuf> {
        let configured = self.var("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let usual = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
        let folder = configured.or_else(|| Some(self.home()?.join(usual)))?;
        Some(folder.join("sops/age/keys.txt"))
    }

    /// Where drafts and locks are kept.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let configured = self.var("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let usual = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/state" };
        Some(configured.or_else(|| Some(self.home()?.join(usual)))?.join("dotsops"))
    }

    /// Where the system keeps temporary files, usually on a disk.
    pub fn temporary_folder(&self) -> PathBuf {
        std::env::temp_dir()
    }

    /// All that this user can unwrap with. Nothing is read, run or asked yet.
    ///
    /// Source: sops-format §5.2; getsops/sops `age/keysource.go`, `loadIdentities`.
    pub fn keyring(&self) -> Keyring {
        self.keyring_naming(&[])
    }

    /// The same for a user who names these `recipients` on the command line, lists of them or one each. Their plugins are the user's own
    /// choice, and so are those of `SOPS_AGE_RECIPIENTS`.
    pub fn keyring_naming(&self, recipients: &[String]) -> Keyring {
        let mut plugins = self.allowed_plugins.clone();
        let listed = self.text("DOTSOPS_ALLOW_PLUGINS").unwrap_or_default();
        plugins.extend(listed.split([' ', ',']).map(str::to_owned));
        let variable = self.text("SOPS_AGE_RECIPIENTS");
        let words = recipients.iter().chain(&variable).flat_map(|list| list.split(','));
        plugins.extend(words.filter_map(|recipient| plugin_of(recipient.trim())));
        let known_plugins = self.state_folder().map(|state| KnownPlugins::in_folder(&state));
        let prompt = Prompt { plugins, known_plugins, ..Prompt::default() };
        let outside = Outside { ask: Box::new(prompt), path: self.path(), hidden: self.key_variables(), ..Outside::default() };
        Keyring::with_outside(self.identity_sources(), outside)
    }

    /// The git program, if there is one. None is taken out of the working directory, which may be anybody's.
    pub fn git(&self) -> Option<PathBuf> {
        resolve_helper("git".as_ref(), self.path().as_deref()).ok()
    }

    /// The same for a program that nobody looks after: it asks nobody, and runs nothing.
    pub fn unattended_keyring(&self) -> Keyring {
        Keyring::unattended(self.identity_sources())
    }

    /// The variables that name commands for identities, as far as they are set.
    pub fn key_commands(&self) -> Vec<String> {
        let is_command = |source: &IdentitySource| matches!(source.material, Material::Command { .. });
        self.identity_sources().iter().filter(|source| is_command(source)).map(|source| source.origin.to_string()).collect()
    }

    /// The files of identities, whether they are there or not.
    pub fn identity_files(&self) -> Vec<PathBuf> {
        let file = |source: IdentitySource| match source.material {
            Material::File { path, .. } | Material::SshFile { path, .. } => Some(path),
            _ => None,
        };
        self.identity_sources().into_iter().filter_map(file).collect()
    }

    /// Whether `SOPS_AGE_KEY` was set.
    pub fn holds_age_key(&self) -> bool {
        self.age_key.as_ref().is_some_and(|key| !key.is_empty())
    }

    fn identity_sources(&self) -> Vec<IdentitySource> {
        let mut sources = Vec::new();
        if let Some(path) = self.var("SOPS_AGE_SSH_PRIVATE_KEY_FILE").map(PathBuf::from) {
            let origin = Origin::VariableFile { variable: "SOPS_AGE_SSH_PRIVATE_KEY_FILE".into(), path: path.clone() };
            sources.push(IdentitySource { origin, material: Material::SshFile { path, optional: false } });
        }
        sources.extend(self.command("SOPS_AGE_SSH_PRIVATE_KEY_CMD", true));
        for name in ["id_ed25519", "id_rsa"] {
            if let Some(home) = self.home() {
                let origin = Origin::File(Path::new("~/.ssh").join(name));
                let path = home.join(".ssh").join(name);
                sources.push(IdentitySource { origin, material: Material::SshFile { path, optional: true } });
            }
        }
        if let Some(key) = &self.age_key {
            // Bytes that are no text hold no identity; as an empty text they are reported as an empty source.
            let text = SecretBytes::copy_of(key.expose()).into_string().unwrap_or_default();
            sources.push(IdentitySource { origin: Origin::Variable("SOPS_AGE_KEY".into()), material: Material::Text(text) });
        }
        if let Some(path) = self.var("SOPS_AGE_KEY_FILE").map(PathBuf::from) {
            let origin = Origin::VariableFile { variable: "SOPS_AGE_KEY_FILE".into(), path: path.clone() };
            sources.push(IdentitySource { origin, material: Material::File { path, optional: false } });
        }
        sources.extend(self.command("SOPS_AGE_KEY_CMD", false));
        if let Some(path) = self.key_file() {
            sources
                .push(IdentitySource { origin: Origin::File(path.clone()), material: Material::File { path, optional: true } });
        }
        sources
    }

    fn command(&self, variable: &str, is_ssh: bool) -> Option<IdentitySource> {
        // A command that is no text cannot be split into words.
        let command = self.text(variable)?;
        Some(IdentitySource { origin: Origin::Variable(variable.into()), material: Material::Command { command, is_ssh } })
    }

    /// The editor's command and what it was taken from, in the order of precedence.
    pub fn editor(&self, option: Option<&str>) -> Option<String> {
        if let Some(command) = option {
            return Some(command.to_owned());
        }
        let dumb = self.var("TERM").is_none_or(|term| term == "dumb");
        let names = ["DOTSOPS_EDITOR", "SOPS_EDITOR", "VISUAL", "EDITOR"];
        names.into_iter().filter(|name| !(dumb && *name == "VISUAL")).find_map(|name| self.text(name))
    }

    /// How this machine reaches others: the variables that curl and sops go by.
    pub fn network(&self) -> Network {
        let first = |names: &[&str]| names.iter().find_map(|name| self.text(name));
        let folders = self.var("SSL_CERT_DIR").map(|folders| std::env::split_paths(&folders).collect());
        Network {
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            direct: first(&["no_proxy", "NO_PROXY"]),
            certificates: self.var("SSL_CERT_FILE").map(PathBuf::from),
            certificate_folders: folders.unwrap_or_default(),
            ..Network::default()
        }
    }

    /// The folders in which programs are looked up.
    pub fn path(&self) -> Option<OsString> {
        std::env::var_os("PATH")
    }
}
