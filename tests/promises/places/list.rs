//! The list of places, and what each means in one call.

use std::path::{Path, PathBuf};

use crate::support::sandbox::Sandbox;
use crate::support::trace::{Access, UNNAMED};

/// A place that may be opened, as `docs/places.md` has it, row by row.
pub struct Place {
    pub name: &'static str,
    /// The most that is done there.
    pub most: Access,
    pub why: &'static str,
    pub holds: fn(&Run, &Path) -> bool,
}

/// The whole list.
pub const PLACES: &[Place] = &[
    Place {
        name: "the file that is named, else `DOTSOPS_FILE`, else the nearest `secrets.env` or `.env`",
        most: Access::Write,
        why: "what the command is about; only a command that changes it, or makes it, writes there; `drafts` compares each draft with its file",
        holds: |run, path| {
            run.files.iter().any(|file| file == path) || has_name(path, &["secrets.env", ".env"]) && run.is_here(path)
        },
    },
    Place {
        name: "the files that git tracks below the `.sops.yaml`, with `updatekeys` and `recipients list` without a file, with `recipients add` and `remove`, and with `rotate --all`",
        most: Access::Write,
        why: "those among them that are encrypted are what the command is about",
        holds: |run, path| run.line.iter().any(|word| word == "--all") && run.files.iter().any(|file| file == path),
    },
    Place {
        name: "a file without a name, then `.NAME.dotsops-…`, beside a file that is written",
        most: Access::Write,
        why: "the new file until it takes the old one's place; it has no name until it is whole",
        holds: |run, path| run.written().any(|file| is_new_file_beside(&file, path)),
    },
    Place {
        name: "the folder of a file that is written",
        most: Access::Read,
        why: "opened to write the file in it, and to have the system put the change on the disk",
        holds: |run, path| run.files.iter().chain([&run.keys]).any(|file| file.parent() == Some(path)),
    },
    Place {
        name: "`.sops.yaml` here or in a folder above; the file of `--config` or `SOPS_CONFIG`",
        most: Access::Write,
        why: "the rules for new files, which are also compared with who reads a file that exists and what is encrypted in it; `init` makes it, `recipients add` and `remove` change it. A `.sops.yml` is looked for too, to say that it is not read",
        holds: |run, path| {
            has_name(path, &[".sops.yaml", ".sops.yml"]) && run.is_here(path) || run.config.as_deref() == Some(path)
        },
    },
    Place {
        name: "`NAME.example`, `.env.example`, `.env.sample`, `.env.template` beside a file and at the root of its repository",
        most: Access::Read,
        why: "`edit` starts a new file from the names and comments of the first of them that is there; `check` compares the names of a file with those beside it",
        holds: |run, path| {
            let is_example = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".example"));
            (is_example || has_name(path, &[".env.sample", ".env.template"])) && run.is_here(path)
        },
    },
    Place {
        name: "`.gitignore` and `.gitattributes` at the root of the repository",
        most: Access::Write,
        why: "`init` adds lines to them, if that is agreed to",
        holds: |run, path| has_name(path, &[".gitignore", ".gitattributes"]) && run.is_here(path),
    },
    Place {
        name: "`.git` here or in a folder above, and above a new key file",
        most: Access::Look,
        why: "where the search for the other files ends; an identity in a repository is warned about",
        holds: |run, path| has_name(path, &[".git"]) && (run.is_here(path) || run.keys.starts_with(path.parent().unwrap())),
    },
    Place {
        name: "`sops/age/keys.txt` in `XDG_CONFIG_HOME` or `~/.config`",
        most: Access::Write,
        why: "your identities; `keygen` and `init` make it, and the folders above it that are missing",
        holds: |run, path| path == run.keys || path.starts_with(run.home.join(".config")) && run.keys.starts_with(path),
    },
    Place {
        name: "`~/.ssh/id_ed25519`, `~/.ssh/id_rsa`; the files that `SOPS_AGE_KEY_FILE` and `SOPS_AGE_SSH_PRIVATE_KEY_FILE` name",
        most: Access::Read,
        why: "more identities of yours",
        holds: |run, path| {
            ["id_ed25519", "id_rsa"].iter().any(|name| path == run.home.join(".ssh").join(name))
                || run.key_files.iter().any(|file| file == path)
        },
    },
    Place {
        name: "`dotsops` in `XDG_STATE_HOME` or `~/.local/state`",
        most: Access::Write,
        why: "locks, which say who holds them, drafts, which are encrypted, the key of the masks that `textconv` shows, `known` and `plugins`, the names and the programs that need not be asked about again, and in `journal`, while several files are replaced as one, their old and new encrypted bytes; made with the folders above it that are missing. Every command but `rule`, `filestatus`, `textconv`, `merge`, `completions` and `man` looks whether such a change was interrupted",
        holds: |run, path| {
            let state = run.home.join(".local/state/dotsops");
            path.starts_with(&state) || path.starts_with(run.home.join(".local")) && state.starts_with(path)
        },
    },
    Place {
        name: "`DOTSOPS_EDIT_DIR`, else `dotsops` in `XDG_RUNTIME_DIR`, else `/dev/shm/dotsops-UID`",
        most: Access::Write,
        why: "the plaintext while `edit` runs, in memory and yours alone; a disk, `dotsops-UID` in `TMPDIR`, only with `--allow-disk-plaintext`. Every command that writes a file looks into all of them for what a killed edit left, removes it if nothing had been saved, and names it else",
        holds: |run, path| run.scratch.iter().any(|scratch| path.starts_with(scratch) || path.parent() == Some(scratch)),
    },
    Place {
        name: "the folders of `PATH`, and the programs that are named",
        most: Access::Look,
        why: "to find an editor, a command, a plugin, git, or the program of `exec`",
        holds: |run, path| path.parent().is_some_and(|folder| run.path.iter().any(|part| part == folder)),
    },
    Place {
        name: "the folders above all of these",
        most: Access::Look,
        why: "to follow links and to see who else may write there",
        holds: |run, path| {
            let drafts = run.home.join(".local/state/dotsops/drafts");
            let files = run.path.iter().chain(&run.scratch).chain(&run.files);
            [&run.here, &run.keys, &drafts].into_iter().chain(files).any(|end| end.starts_with(path))
        },
    },
    Place {
        name: "`/proc/swaps`, and `/sys/class/block` and `/sys/dev/block` of what stands there",
        most: Access::Read,
        why: "`doctor` says where memory could get to a disk unencrypted",
        holds: |_, path| {
            path == Path::new("/proc/swaps")
                || ["/sys/class/block", "/sys/dev/block"].iter().any(|folder| path.starts_with(folder))
        },
    },
    Place {
        name: "`/proc/self/cgroup`, and what it leads to below `/sys/fs/cgroup`",
        most: Access::Read,
        why: "how many processors there are, where several files, or a large one, are worked on at the same time",
        holds: |_, path| path == Path::new("/proc/self/cgroup") || path.starts_with("/sys/fs/cgroup"),
    },
    Place {
        name: "`/dev/tty`",
        most: Access::Write,
        why: "to ask a person: a value, a passphrase, yes or no",
        holds: |_, path| path == Path::new("/dev/tty"),
    },
    Place {
        name: "`/dev/stdin`",
        most: Access::Look,
        why: "`set` asks what its input is, for a value may be piped in",
        holds: |_, path| path == Path::new("/dev/stdin"),
    },
    Place {
        name: "`/proc/self/fd`, and the terminal that standard input leads to",
        most: Access::Read,
        why: "a new file gets its name from there; the terminal's name stands in the lock, for whoever finds the file in use; a guard closes what it does not need",
        holds: |_, path| path.starts_with("/proc/self/fd") || path.starts_with("/dev/pts"),
    },
    Place {
        name: "`/dev/null`",
        most: Access::Write,
        why: "the input and the messages of programs that are to have none",
        holds: |_, path| path == Path::new("/dev/null"),
    },
    Place {
        name: "`/proc/self/maps`, `/proc/self/task`, `/proc/self/exe`",
        most: Access::Read,
        why: "Rust's runtime learns where the stack ends; we learn that there is one thread before the environment is changed; \
              `edit` starts the program once more, as its guard",
        holds: |_, path| ["/proc/self/maps", "/proc/self/task", "/proc/self/exe"].iter().any(|name| path == Path::new(name)),
    },
    Place {
        name: "`/etc/ld.so.cache`, `/etc/ld.so.preload`, and the system's C libraries",
        most: Access::Read,
        why: "the system loads the program",
        holds: |_, path| {
            path.starts_with("/etc/ld.so.cache")
                || path.starts_with("/etc/ld.so.preload")
                || ["/lib", "/usr/lib", "/lib64"].iter().any(|folder| path.starts_with(folder))
                    && path.to_string_lossy().contains(".so.")
        },
    },
];

/// One call, and what the places mean in it.
#[derive(Default)]
pub struct Run {
    pub line: Vec<String>,
    here: PathBuf,
    home: PathBuf,
    keys: PathBuf,
    files: Vec<PathBuf>,
    key_files: Vec<PathBuf>,
    config: Option<PathBuf>,
    scratch: Vec<PathBuf>,
    path: Vec<PathBuf>,
}

impl Run {
    pub fn new(sandbox: &Sandbox, line: &[&str], variables: &[(&str, String)]) -> Self {
        let tracked = match line.contains(&"--all") {
            true => std::fs::read_dir(sandbox.work()).unwrap().map(|entry| entry.unwrap().path()).collect(),
            false => Vec::new(),
        };
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let here = sandbox.work();
        let mine = format!("dotsops-{}", rustix::process::geteuid().as_raw());
        let searched = variable("PATH").unwrap_or_else(|| std::env::var("PATH").unwrap());
        Self {
            line: line.iter().map(|word| (*word).to_owned()).collect(),
            home: sandbox.home(),
            keys: sandbox.home().join(".config/sops/age/keys.txt"),
            files: line
                .iter()
                .map(|word| here.join(word))
                .chain(variable("DOTSOPS_FILE").map(PathBuf::from))
                .chain(tracked.into_iter().filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "env")))
                .collect(),
            key_files: ["SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"]
                .iter()
                .filter_map(|name| variable(name))
                .map(PathBuf::from)
                .collect(),
            config: variable("SOPS_CONFIG").map(PathBuf::from),
            scratch: ["DOTSOPS_EDIT_DIR", "XDG_RUNTIME_DIR"]
                .iter()
                .filter_map(|name| variable(name))
                .map(PathBuf::from)
                .chain([PathBuf::from("/dev/shm").join(&mine), sandbox.root().join("tmp").join(&mine)])
                .collect(),
            path: std::env::split_paths(&searched).chain([here.clone()]).collect(),
            here,
        }
    }

    /// Every file that the command may write: named, found, or made by `init` and `keygen`.
    fn written(&self) -> impl Iterator<Item = PathBuf> {
        let usual = ["secrets.env", ".sops.yaml", ".gitignore", ".gitattributes"].map(|name| self.here.join(name));
        self.files.iter().chain([&self.keys]).cloned().chain(usual)
    }

    /// Whether `path` lies in the working directory or in a folder above.
    fn is_here(&self, path: &Path) -> bool {
        path.parent().is_some_and(|folder| self.here.starts_with(folder))
    }
}

fn is_new_file_beside(file: &Path, path: &Path) -> bool {
    let (Some(old), Some(new)) = (file.file_name(), path.file_name()) else { return false };
    let new = new.to_string_lossy();
    path.parent() == file.parent() && (new == UNNAMED || new.starts_with(&format!(".{}.dotsops-", old.to_string_lossy())))
}

fn has_name(path: &Path, names: &[&str]) -> bool {
    path.file_name().is_some_and(|name| names.iter().any(|known| name == *known))
}
