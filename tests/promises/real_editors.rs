//! Real editors with a configuration that asks for copies of everything: row 33.
//!
//! Each changes a value, yanks, deletes and searches for the canary; then no copy may be anywhere but in memory, and there only until
//! the edit ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::editing::Editing;
use crate::support::leaks::{leaks, leaks_within};
use crate::support::peers::peer;
use crate::support::pty::Pty;

/// The plaintext begins with these. No test shares them: they are looked for outside of the sandbox too.
struct Secrets {
    old: String,
    new: String,
}

struct RealEditor {
    editing: Editing,
    secrets: Secrets,
    program: PathBuf,
    begun: SystemTime,
}

/// Where the configurations below want copies.
const HOARDS: [&str; 6] = ["undo", "backup", "swap", ".local/share/nano", ".local/state/nvim", ".config/nvim"];

const VIMRC: &str = "set nocompatible
set undofile undodir=~/undo
set backup writebackup backupdir=~/backup backupskip=
set swapfile directory=~/swap updatecount=1 updatetime=50
set viminfo='1000,f1,<500,:500,@500,/500,h,n~/.viminfo history=1000
set modeline modelines=5
autocmd VimEnter,BufReadPost * set undofile backup writebackup
";

const NVIMRC: &str = "set undofile undodir=~/undo
set backup writebackup backupdir=~/backup backupskip=
set swapfile directory=~/swap updatecount=1 updatetime=50
set shada='1000,f1,<500,:500,@500,/500
";

const NANORC: &str = "set backup\nset backupdir \"HOME/backup\"\nset historylog\nset positionlog\nset allow_insecure_backup\n";

const EMACS: &str =
    "(setq make-backup-files t backup-directory-alist '((\".\" . \"~/backup\")) auto-save-default t auto-save-interval 20
  auto-save-file-name-transforms '((\".*\" \"~/swap/\" t)) vc-make-backup-files t backup-inhibited nil)
(savehist-mode 1) (recentf-mode 1) (setq savehist-additional-variables '(kill-ring search-ring))
";

impl RealEditor {
    /// The editor `name`, if it is there, in a home that hoards.
    fn find(name: &str) -> Option<Self> {
        let program = peer(name, which::which(name).ok())?;
        Some(Self::of(program))
    }

    fn of(program: PathBuf) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let unique = format!("{}x{number}", std::process::id());
        let secrets = Secrets { old: format!("oldcanary{unique}old"), new: format!("newcanary{unique}new") };
        let begun = SystemTime::now();
        let editing = Editing::of(&format!("# vim: set undofile:\nFIRST={}\nLAST=1\n", secrets.old));
        let home = editing.sandbox.home();
        HOARDS.iter().for_each(|folder| std::fs::create_dir_all(home.join(folder)).unwrap());
        for (file, text) in [
            (".vimrc", VIMRC),
            (".config/nvim/init.vim", NVIMRC),
            (".nanorc", &NANORC.replace("HOME", home.to_str().unwrap())),
            (".emacs", EMACS),
        ] {
            std::fs::write(home.join(file), text).unwrap();
        }
        Self { editing, secrets, program, begun }
    }

    fn open(&self) -> Pty {
        Self::wait_until_open(self.command(), &self.secrets.old)
    }

    fn command(&self) -> Command {
        let mut command = self.editing.dotsops(&["edit", "secrets.env"]);
        command.env("EDITOR", &self.program);
        command
    }

    /// As [`Self::open`], for programs that find root's home by its name and not by `HOME`.
    fn open_with_roots_home(&self) -> Option<Pty> {
        if !rustix::process::geteuid().is_root() {
            return Some(self.open());
        }
        let command = self.editing.among_mounts("mount --bind \"$HOME\" ~root", &self.command())?;
        Some(Self::wait_until_open(command, &self.secrets.old))
    }

    fn wait_until_open(mut command: Command, shown: &str) -> Pty {
        let mut pty = Pty::run(&mut command);
        pty.wait_for(shown);
        pty
    }

    /// No copy outside of memory, at any time: neither below the sandbox nor where programs put things by themselves.
    fn assert_no_copies(&self) {
        let system = [PathBuf::from("/tmp"), PathBuf::from("/var/tmp"), std::env::temp_dir()];
        let own_home = std::env::var_os("HOME").map(PathBuf::from);
        let system: Vec<&Path> = system.iter().chain(&own_home).map(PathBuf::as_path).collect();
        let secrets = [self.secrets.old.as_str(), &self.secrets.new];
        let mut found = leaks(&[self.editing.sandbox.root()], &secrets, SystemTime::UNIX_EPOCH);
        found.extend(leaks_within(&system, &secrets, self.begun, 3));
        assert!(found.is_empty(), "{} left copies: {found:#?}", self.program.display());
    }

    /// No copy anywhere, once the edit is over.
    fn assert_clean(&self) {
        self.assert_no_copies();
        self.editing.assert_no_plaintext(&[&self.secrets.old, &self.secrets.new]);
    }

    fn expected(&self) -> String {
        format!("# vim: set undofile:\nFIRST={}\nLAST=1\n", self.secrets.new)
    }

    /// The session's files, by name; those of editors too.
    fn session_files(&self) -> Vec<String> {
        let session = self.editing.sessions().pop().unwrap();
        let mut names: Vec<String> = [session.clone(), session.join("tmp")]
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The editor's own number: the last child of dotsops, whose first is the guard.
    fn pid_of_editor(&self, pty: &mut Pty) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", pty.pid());
        let child = std::fs::read_to_string(children).unwrap();
        Pid::from_raw(child.split_whitespace().last().unwrap().parse().unwrap()).unwrap()
    }

    fn has_saved(&self) -> bool {
        let text = self.editing.sessions().pop().map(|session| session.join("secrets.env"));
        text.and_then(|text| std::fs::read_to_string(text).ok()).is_some_and(|text| text.contains(&self.secrets.new))
    }

    /// Ends the editor by `signal`, saved or not, and checks what is left.
    fn end_by(&self, mut pty: Pty, signal: Signal, saved: bool) {
        self.assert_no_copies();
        kill_process(self.pid_of_editor(&mut pty), signal).unwrap();
        let (code, shown) = pty.end();
        assert_eq!(code, 7, "{shown}");
        assert_eq!(self.editing.has_draft(), saved, "{shown}");
        self.assert_clean();
        if saved {
            assert_eq!(self.editing.resume(":").code, 0);
            assert_eq!(self.editing.text(), self.expected());
        }
    }
}

/// Vim's commands, each shown on the last line before the next: search, yank, delete, change.
fn change_in_vim(editor: &RealEditor, pty: &mut Pty) {
    pty.type_keys(&format!("/{}\r", editor.secrets.old));
    pty.type_keys("yyp\"add");
    pty.type_keys(&format!(":%s/{}/{}/\r", editor.secrets.old, editor.secrets.new));
    pty.type_keys(":let @z=getline(2)\r");
    pty.type_keys(":2\r");
    // Typed text, so that a swap file would be due.
    pty.type_keys("Ax\x1b:2s/x$//\r");
    pty.type_keys(":echo 'all' . 'changed'\r");
    pty.wait_for("allchanged");
}

/// Neovim listens for programs that would remote-control it; some versions do so in their folder for temporary files.
fn is_folder_of_sockets(editor: &RealEditor, name: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let folder = editor.editing.sessions().pop().unwrap().join("tmp").join(name);
    let is_socket = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_type().unwrap().is_socket();
    name.starts_with("nvim") && std::fs::read_dir(folder).unwrap().all(is_socket)
}

fn vim_saves_and_leaves_nothing(editor: &RealEditor) {
    let mut pty = editor.open();
    change_in_vim(editor, &mut pty);
    pty.resize(60, 20);
    // With `updatetime` so short a swap file would be there by now; the name of none says so for sure.
    pty.type_keys(":echo 'swap is [' . (swapname('%')) . ']'\r");
    pty.wait_for("swap is []");
    let mut files = editor.session_files();
    files.retain(|name| !is_folder_of_sockets(editor, name));
    assert_eq!(files, ["base", "meta", "owner.lock", "secrets.env", "tmp"]);
    editor.assert_no_copies();
    let text = editor.editing.sessions().pop().unwrap().join("secrets.env");
    let inode = || std::os::unix::fs::MetadataExt::ino(&text.metadata().unwrap());
    let before = inode();
    pty.type_keys(":w\r");
    pty.wait_until("save", || editor.has_saved());
    assert_eq!(inode(), before, "no new file under the old name");
    pty.type_keys(":q\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editor.editing.text(), editor.expected());
    editor.assert_clean();
}

fn vim_killed_leaves_nothing(find: impl Fn() -> Option<RealEditor>) {
    for signal in [Signal::KILL, Signal::HUP, Signal::TERM] {
        for saved in [false, true] {
            let Some(editor) = find() else { return };
            let mut pty = editor.open();
            change_in_vim(&editor, &mut pty);
            if saved {
                pty.type_keys(":w\r");
                pty.wait_until("save", || editor.has_saved());
                pty.type_keys(&format!("Go#{}\x1b:echo 'more' . 'typed'\r", editor.secrets.new));
                pty.wait_for("moretyped");
            }
            editor.end_by(pty, signal, saved);
        }
    }
}

#[test]
fn vim_saves_and_leaves_no_copy() {
    let Some(editor) = RealEditor::find("vim") else { return };
    vim_saves_and_leaves_nothing(&editor);
}

#[test]
fn vim_killed_leaves_no_copy() {
    vim_killed_leaves_nothing(|| RealEditor::find("vim"));
}

#[test]
fn vi_that_is_vim_leaves_no_copy() {
    let Some(vim) = peer("vim", which::which("vim").ok()) else { return };
    // A link as Debian's alternatives make it.
    let folder = tempfile::tempdir().unwrap();
    let vi = folder.path().join("vi");
    std::os::unix::fs::symlink(vim.canonicalize().unwrap(), &vi).unwrap();
    vim_saves_and_leaves_nothing(&RealEditor::of(vi));
}

#[test]
fn neovim_saves_and_leaves_no_copy() {
    let Some(editor) = RealEditor::find("nvim") else { return };
    vim_saves_and_leaves_nothing(&editor);
}

#[test]
fn neovim_killed_leaves_no_copy() {
    vim_killed_leaves_nothing(|| RealEditor::find("nvim"));
}

/// What shows that the configuration above hoards, and that the search finds it.
fn vim_hoards(name: &str, hoards: [&str; 3]) {
    let Some(vim) = peer(name, which::which(name).ok()) else { return };
    let editor = RealEditor::of(vim.clone());
    let unknown = editor.editing.editor(&format!("exec '{}' \"$@\"", vim.display()));
    let hoarder = RealEditor { program: unknown, ..editor };
    let mut pty = hoarder.open();
    change_in_vim(&hoarder, &mut pty);
    pty.type_keys(":wq\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    let found = leaks(&[&hoarder.editing.sandbox.home()], &[&hoarder.secrets.old, &hoarder.secrets.new], hoarder.begun).join(" ");
    for hoard in hoards {
        assert!(found.contains(hoard), "{hoard} is not among {found}");
    }
}

#[test]
fn without_the_precautions_vim_does_leave_copies() {
    vim_hoards("vim", ["/undo/", "/backup/", ".viminfo"]);
}

#[test]
fn without_the_precautions_neovim_does_leave_copies() {
    vim_hoards("nvim", ["/undo/", "/backup/", ".shada"]);
}

/// Searches for the canary, cuts its line, pastes it again, and replaces the value.
fn change_in_nano(editor: &RealEditor, pty: &mut Pty) {
    pty.type_keys("\x17");
    pty.wait_for("Search");
    pty.type_keys(&format!("{}\r", editor.secrets.old));
    pty.type_keys("\x0b\x15\x1c");
    pty.wait_for("(to replace)");
    pty.type_keys(&format!("{}\r", editor.secrets.old));
    pty.wait_for("Replace with");
    pty.type_keys(&format!("{}\r", editor.secrets.new));
    // Only what differs from what stood there is drawn.
    pty.wait_for("this instance?");
    pty.type_keys("A");
    pty.wait_for("1 occurrence");
}

fn save_in_nano(editor: &RealEditor, pty: &mut Pty) {
    pty.type_keys("\x0f");
    pty.wait_for("Name to Write");
    pty.type_keys("\r");
    pty.wait_until("save", || editor.has_saved());
    pty.wait_for("Wrote 3 lines");
}

#[test]
fn without_the_precautions_nano_does_leave_copies() {
    let Some(nano) = peer("nano", which::which("nano").ok()) else { return };
    let editor = RealEditor::of(nano.clone());
    let unknown = editor.editing.editor(&format!("exec '{}' \"$@\"", nano.display()));
    let hoarder = RealEditor { program: unknown, ..editor };
    let Some(mut pty) = hoarder.open_with_roots_home() else { return };
    change_in_nano(&hoarder, &mut pty);
    save_in_nano(&hoarder, &mut pty);
    pty.type_keys("\x18");
    assert_eq!(pty.end().0, 0);
    let found = leaks(&[&hoarder.editing.sandbox.home()], &[&hoarder.secrets.old, &hoarder.secrets.new], hoarder.begun).join(" ");
    assert!(found.contains("search_history"), "{found}");
}

#[test]
fn nano_saves_and_leaves_no_copy() {
    let Some(editor) = RealEditor::find("nano") else { return };
    let Some(mut pty) = editor.open_with_roots_home() else { return };
    change_in_nano(&editor, &mut pty);
    editor.assert_no_copies();
    save_in_nano(&editor, &mut pty);
    pty.type_keys("\x18");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editor.editing.text(), editor.expected());
    editor.assert_clean();
}

#[test]
fn nano_killed_leaves_no_copy() {
    for signal in [Signal::KILL, Signal::HUP, Signal::TERM] {
        for saved in [false, true] {
            let Some(editor) = RealEditor::find("nano") else { return };
            let Some(mut pty) = editor.open_with_roots_home() else { return };
            change_in_nano(&editor, &mut pty);
            if saved {
                save_in_nano(&editor, &mut pty);
                pty.type_keys("# more");
                pty.wait_for("# more");
            }
            editor.end_by(pty, signal, saved);
        }
    }
}

/// Searches for the canary, cuts its line, pastes it again, and replaces the value.
fn change_in_emacs(editor: &RealEditor, pty: &mut Pty) {
    pty.type_keys(&format!("\x13{}\r", editor.secrets.old));
    pty.type_keys("\x01\x0b\x19\x1b<\x1b%");
    pty.wait_for("Query replace");
    pty.type_keys(&format!("{}\r", editor.secrets.old));
    pty.wait_for(" with: ");
    pty.type_keys(&format!("{}\r!", editor.secrets.new));
    pty.wait_for("Replaced 1 occurrence");
}

fn save_in_emacs(editor: &RealEditor, pty: &mut Pty) {
    pty.type_keys("\x18\x13");
    pty.wait_until("save", || editor.has_saved());
    pty.wait_for("Wrote");
}

#[test]
fn emacs_saves_and_leaves_no_copy() {
    let Some(editor) = RealEditor::find("emacs") else { return };
    let mut pty = editor.open();
    change_in_emacs(&editor, &mut pty);
    save_in_emacs(&editor, &mut pty);
    let mut files = editor.session_files();
    // What it compiles of its own for the next time, in the folder for temporary files.
    files.retain(|name| !name.starts_with("emacs-async-comp-") && !name.starts_with("libgccjit-"));
    assert_eq!(files, ["base", "meta", "owner.lock", "secrets.env", "tmp"]);
    editor.assert_no_copies();
    pty.type_keys("\x18\x03");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(editor.editing.text(), editor.expected());
    editor.assert_clean();
}

#[test]
fn emacs_killed_leaves_no_copy() {
    for signal in [Signal::KILL, Signal::HUP, Signal::TERM] {
        for saved in [false, true] {
            let Some(editor) = RealEditor::find("emacs") else { return };
            let mut pty = editor.open();
            change_in_emacs(&editor, &mut pty);
            if saved {
                save_in_emacs(&editor, &mut pty);
                pty.type_keys("\x1b># more");
                pty.wait_for("more");
            }
            editor.end_by(pty, signal, saved);
        }
    }
}

#[test]
fn without_the_precautions_emacs_does_leave_copies() {
    let Some(emacs) = peer("emacs", which::which("emacs").ok()) else { return };
    let editor = RealEditor::of(emacs.clone());
    let unknown = editor.editing.editor(&format!("exec '{}' \"$@\"", emacs.display()));
    let hoarder = RealEditor { program: unknown, ..editor };
    let mut pty = hoarder.open();
    change_in_emacs(&hoarder, &mut pty);
    save_in_emacs(&hoarder, &mut pty);
    pty.type_keys("\x18\x03");
    assert_eq!(pty.end().0, 0);
    let found = leaks(&[&hoarder.editing.sandbox.home()], &[&hoarder.secrets.old, &hoarder.secrets.new], hoarder.begun).join(" ");
    for hoard in ["/backup/", "/history"] {
        assert!(found.contains(hoard), "{hoard} is not among {found}");
    }
}
