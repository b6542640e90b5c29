//! Which editor runs, and the flags that keep it from writing copies of what it shows.
//!
//! Knows programs by their base name after links are resolved, so that `vi` which is vim gets vim's flags and busybox's gets none.
//! Each flag was tried against a configuration that asks for undo files, backups, swap files and history.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Vim's settings against copies, given before and after a vimrc is read, and once more at the moments when copies are made, since a
/// vimrc may have commands of its own for these. Each alone leaks.
macro_rules! vim_arguments {
    ($settings:literal) => {
        &[
            "-n",
            "-i",
            "NONE",
            "--cmd",
            concat!("set ", $settings),
            "-c",
            concat!("set ", $settings),
            "-c",
            concat!("silent! autocmd VimEnter,BufReadPost,BufWritePre,VimLeavePre * set ", $settings),
        ]
    };
}

const VIM: &[&str] = vim_arguments!("nobackup nowritebackup noswapfile noundofile nomodeline viminfo=");
const NVIM: &[&str] = vim_arguments!("nobackup nowritebackup noswapfile noundofile nomodeline shada=");

const EMACS: &str = "(progn (setq make-backup-files nil auto-save-default nil create-lockfiles nil \
    auto-save-list-file-prefix nil savehist-file nil enable-local-variables nil kill-emacs-hook nil) \
    (when (fboundp 'savehist-mode) (savehist-mode -1)) (when (fboundp 'recentf-mode) (recentf-mode -1)))";

/// An editor: the program and the user's own words behind it.
pub struct Editor {
    /// The program as an absolute path.
    pub program: PathBuf,
    /// What the user wrote it as, for messages.
    pub name: String,
    /// The user's own arguments.
    pub arguments: Vec<OsString>,
}

/// How an editor must be run so that it keeps nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Precautions {
    /// Arguments to put before the user's own.
    pub arguments: Vec<OsString>,
    /// Whether it runs in the terminal, so that its temporary files can be pointed into the session.
    pub in_terminal: bool,
    /// What it may still keep, if anything: one sentence for the user.
    pub warning: Option<&'static str>,
}

impl Editor {
    /// Splits `command` into words as a shell would, without running one, and finds the program with `find`.
    ///
    /// # Errors
    /// [`EditorError`] if there is no word in it, a quote is open, or the program is not there.
    pub fn parse(command: &str, find: impl FnOnce(&str) -> Option<PathBuf>) -> Result<Self, EditorError> {
        let words = shlex::split(command).ok_or(EditorError::OpenQuote)?;
        let (name, arguments) = words.split_first().ok_or(EditorError::Empty)?;
        let program = find(name).ok_or_else(|| EditorError::NotFound { name: name.clone() })?;
        Ok(Self { program, name: name.clone(), arguments: arguments.iter().map(OsString::from).collect() })
    }

    /// The flags for this editor. `scratch` is a folder of the session for what the editor insists on keeping.
    pub fn precautions(&self, scratch: &Path) -> Precautions {
        let resolved = std::fs::canonicalize(&self.program).unwrap_or_else(|_| self.program.clone());
        precautions(&base_name(&self.program), &base_name(&resolved), scratch)
    }
}

fn base_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn precautions(called: &str, resolved: &str, scratch: &Path) -> Precautions {
    let terminal = |arguments: &[&str]| Precautions {
        arguments: arguments.iter().map(OsString::from).collect(),
        in_terminal: true,
        warning: None,
    };
    let window = |arguments: &[&str], warning| Precautions {
        arguments: arguments.iter().map(OsString::from).collect(),
        in_terminal: false,
        warning: Some(warning),
    };
    // The resolved name knows the program behind `vi` or `editor`; the called one knows scripts like `code`.
    for name in [resolved, called] {
        match name {
            "nvim" => return terminal(NVIM),
            "gvim" | "mvim" | "vim.gtk3" if called.starts_with("gvim") || called.starts_with("mvim") => {
                return Precautions { in_terminal: false, ..terminal(&[&["-f"], VIM].concat()) };
            }
            _ if name == "vim" || name.starts_with("vim.") => return terminal(VIM),
            "nano" | "rnano" => return terminal(&["-R"]),
            "emacs" => return terminal(&["--eval", EMACS]),
            _ if name.starts_with("emacs-") || name.starts_with("emacs2") || name.starts_with("emacs3") => {
                return terminal(&["--eval", EMACS]);
            }
            "emacsclient" => return window(&[], "emacsclient keeps what its server is set to keep (backups, history)"),
            "micro" => return terminal(&["-backup", "false", "-savehistory", "false", "-saveundo", "false"]),
            "hx" | "helix" | "kak" | "ed" => return terminal(&[]),
            "code" | "code-insiders" | "codium" | "vscodium" | "cursor" => {
                let folder = scratch.join("code");
                let mut precautions = window(
                    &["--wait", "--new-window", "--disable-extensions", "--user-data-dir"],
                    "it starts with a fresh profile, so that no local history keeps the values; this takes a moment",
                );
                precautions.arguments.push(folder.into());
                return precautions;
            }
            "subl" | "sublime_text" => return window(&["-w"], "Sublime Text may keep unsaved text in its session"),
            "zed" | "zeditor" => return window(&["--wait"], "Zed may keep text in its database"),
            "kate" => return window(&["--block"], "Kate may keep a swap file beside the text"),
            _ => {}
        }
    }
    window(&[], "its habits are not known: it may keep copies (backups, swap files, history)")
}

/// Why there is no editor to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditorError {
    /// The command is empty.
    #[error("the editor's command is empty")]
    Empty,
    /// The command has an unclosed quote.
    #[error("the editor's command has a quote that is not closed")]
    OpenQuote,
    /// No such program.
    #[error("the editor `{name}` is not there")]
    NotFound {
        /// Its name as given.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_argument(called: &str, resolved: &str) -> Option<OsString> {
        precautions(called, resolved, Path::new("/s")).arguments.into_iter().next()
    }

    #[test]
    fn vi_gets_vims_flags_only_where_it_is_vim() {
        assert_eq!(first_argument("vi", "vim.basic"), Some("-n".into()));
        assert_eq!(first_argument("vi", "vim.tiny"), Some("-n".into()));
        assert_eq!(first_argument("vi", "busybox"), None);
        assert!(precautions("vi", "busybox", Path::new("/s")).warning.is_some());
    }

    #[test]
    fn neovim_has_no_viminfo_and_vim_no_shada() {
        let all = |called: &str| format!("{:?}", precautions(called, called, Path::new("/s")).arguments);
        assert!(all("nvim").contains("shada=") && !all("nvim").contains("viminfo"));
        assert!(all("vim").contains("viminfo=") && !all("vim").contains("shada"));
    }

    #[test]
    fn a_window_editor_waits_and_keeps_its_profile_in_the_session() {
        let code = precautions("code", "code", Path::new("/s"));
        assert_eq!(code.arguments.last().unwrap(), "/s/code");
        assert_eq!(code.arguments[0], "--wait");
        assert!(!code.in_terminal);
    }

    #[test]
    fn the_command_is_split_into_words_and_never_run_by_a_shell() {
        let editor = Editor::parse("'my editor' --flag '$(touch x)'", |name| Some(PathBuf::from("/bin").join(name))).unwrap();
        assert_eq!(editor.program, Path::new("/bin/my editor"));
        assert_eq!(editor.arguments, ["--flag", "$(touch x)"]);
        assert!(matches!(Editor::parse("  ", |_| None).err(), Some(EditorError::Empty)));
        assert!(matches!(Editor::parse("vi 'x", |_| None).err(), Some(EditorError::OpenQuote)));
    }
}
