//! Finds a program, checks that its environment fits, and replaces this process by it.
//!
//! Knows nothing of which variables are set and why. Its one invariant: the program gets exactly the arguments and the environment
//! it is given and no trace of what this process changed for itself; if it cannot be started, every copy of a value is wiped. It is
//! longer than most files here because its limits are tested by real programs.

use std::ffi::{CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::hardening::{forbid_core_files_again, restore_limits};
use super::signals::{default_broken_pipe, restore_broken_pipe};
use crate::secret::SecretBytes;

/// The most bytes one `NAME=value` or one argument may have on Linux, without its NUL.
///
/// Source: Linux `include/uapi/linux/binfmts.h`, MAX_ARG_STRLEN: 32 pages of 4096 bytes.
pub const LONGEST_STRING: usize = 32 * 4096 - 1;

/// A program about to be run: with what arguments, in what environment.
pub struct Program<'a> {
    /// Its absolute path, as [`resolve_program`] found it.
    pub path: &'a Path,
    /// What it is told it was called.
    pub argv0: &'a OsStr,
    /// The arguments after that.
    pub arguments: &'a [OsString],
    /// The whole environment; nothing is inherited. Each name once.
    pub environment: &'a [(OsString, SecretBytes)],
}

impl Program<'_> {
    /// Checks that the system can pass these arguments and this environment.
    ///
    /// # Errors
    /// [`TooLarge`], naming the variable.
    pub fn check_size(&self) -> Result<(), TooLarge> {
        self.check_size_against(total_limit())
    }

    fn check_size_against(&self, limit: usize) -> Result<(), TooLarge> {
        let pointer = size_of::<*const c_char>();
        let arguments = || std::iter::once(self.argv0).chain(self.arguments.iter().map(OsString::as_os_str));
        let variables = || self.environment.iter().map(|(name, value)| (name, name.len() + 1 + value.len()));
        if let Some((position, argument)) = arguments().enumerate().find(|(_, argument)| argument.len() > LONGEST_STRING) {
            return Err(TooLarge::Argument { position, size: argument.len(), limit: LONGEST_STRING });
        }
        if let Some((name, size)) = variables().find(|(_, size)| *size > LONGEST_STRING) {
            return Err(TooLarge::Variable { name: name.clone(), size, limit: LONGEST_STRING });
        }
        // Each string is counted with its NUL. Linux also keeps a copy of the path.
        let path = self.path.as_os_str().len() + 1;
        let size = arguments().map(|argument| argument.len() + 1 + pointer).sum::<usize>()
            + variables().map(|(_, size)| size + 1 + pointer).sum::<usize>()
            + path;
        if size > limit {
            let largest = variables().max_by_key(|(_, size)| *size).map(|(name, _)| name.clone());
            return Err(TooLarge::Total { size, limit, largest });
        }
        Ok(())
    }

    /// Replaces this process by the program; it returns only if that fails.
    ///
    /// Process id, terminal, working directory and signal mask stay; the limit on core files and the signal of broken pipes are put
    /// back first. `execve` itself makes the process dumpable again and drops our signal handlers. It is called directly and not
    /// through [`std::process::Command`], which would copy every value into memory that nobody wipes, and clear the signal mask
    /// that the program should inherit. A script without `#!` is not handed to a shell.
    pub fn replace_self(&self) -> ExecError {
        match self.execute() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    #[allow(unsafe_code)]
    fn execute(&self) -> Result<std::convert::Infallible, ExecError> {
        unsafe extern "C" {
            fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
        }
        let argument = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| ExecError::NulInArgument);
        let path = argument(self.path.as_os_str())?;
        let mut arguments = vec![argument(self.argv0)?];
        for text in self.arguments {
            arguments.push(argument(text)?);
        }
        let mut environment = Vec::with_capacity(self.environment.len());
        for (name, value) in self.environment {
            environment.push(assignment(name, value)?);
        }
        let argument_pointers: Vec<*const c_char> =
            arguments.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        let environment_pointers: Vec<*const c_char> =
            environment.iter().map(|text| text.expose().as_ptr().cast()).chain([std::ptr::null()]).collect();

        restore_limits();
        let broken_pipe = default_broken_pipe();
        // SAFETY: every pointer leads to a NUL-terminated string that lives beyond the call, and both arrays end with a null one.
        unsafe { execve(path.as_ptr(), argument_pointers.as_ptr(), environment_pointers.as_ptr()) };
        let error = io::Error::last_os_error();
        // Still here: back to how we live.
        restore_broken_pipe(broken_pipe);
        forbid_core_files_again();
        Err(error.into())
    }
}

/// Finds the program `name` as `execvp` would, and returns its absolute path.
///
/// A name with a slash is taken relative to `directory` (which must be absolute), any other is looked for in `path`, the value of
/// the caller's own PATH; an empty part of it means `directory`. Without `path` it is `/bin:/usr/bin`.
///
/// # Errors
/// [`ResolveError::NotExecutable`] if there is only a file without permission to run it, or a directory,
/// [`ResolveError::NotFound`] if there is nothing.
pub fn resolve_program(name: &OsStr, path: Option<&OsStr>, directory: &Path) -> Result<PathBuf, ResolveError> {
    if name.is_empty() {
        return Err(ResolveError::NotFound);
    }
    if name.as_bytes().contains(&b'/') {
        let candidate = directory.join(name);
        return check_executable(&candidate).map(|()| candidate);
    }
    let mut result = Err(ResolveError::NotFound);
    for part in std::env::split_paths(path.unwrap_or(OsStr::new("/bin:/usr/bin"))) {
        let candidate = directory.join(part).join(name);
        match check_executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(ResolveError::NotFound) => {}
            // A program further on is better; this is the reason if there is none. A directory of that name is not one.
            Err(error) if candidate.is_file() => result = Err(error),
            Err(_) => {}
        }
    }
    result
}

/// Finds a program that we run for ourselves. Of `path` only absolute folders count, so that nothing is taken out of whatever folder
/// somebody stands in; a name with a slash is taken relative to the working directory.
///
/// # Errors
/// As [`resolve_program`].
pub fn resolve_helper(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, ResolveError> {
    let absolute = path.map(|path| std::env::join_paths(std::env::split_paths(path).filter(|folder| folder.is_absolute())));
    let path = absolute.transpose().map_err(|_| ResolveError::NotFound)?;
    if path.as_ref().is_some_and(|path| path.is_empty()) && !name.as_bytes().contains(&b'/') {
        return Err(ResolveError::NotFound);
    }
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    resolve_program(name, path.as_deref(), &here)
}

/// Why a program cannot be run (exit code 127 or 126).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is none of that name.
    #[error("no such program")]
    NotFound,
    /// It is there, but cannot be run.
    #[error("not executable")]
    NotExecutable,
}

/// Arguments and environment are too large for the system (exit code 126). Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooLarge {
    /// One variable is, with its name and `=`.
    #[error("the variable {} has {size} bytes with its name; the system allows {limit}", name.display())]
    Variable {
        /// Its name.
        name: OsString,
        /// How many bytes `NAME=value` has.
        size: usize,
        /// How many it may have.
        limit: usize,
    },
    /// One argument is.
    #[error("argument {position} has {size} bytes; the system allows {limit}")]
    Argument {
        /// Which one; 0 is the program's name.
        position: usize,
        /// How many bytes it has.
        size: usize,
        /// How many it may have.
        limit: usize,
    },
    /// All of them together are.
    #[error("arguments and environment have {size} bytes; the system allows {limit}")]
    Total {
        /// How many bytes they take.
        size: usize,
        /// How many they may take.
        limit: usize,
        /// The name of the largest variable.
        largest: Option<OsString>,
    },
}

/// Why this process was not replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The program, or the interpreter it names, is not there.
    #[error("no such program or interpreter")]
    NotFound,
    /// It cannot be run: no permission, or in no format the system knows.
    #[error("not executable")]
    NotExecutable(#[source] io::Error),
    /// The system finds arguments and environment too large.
    #[error("arguments and environment are too large for the system")]
    TooLarge,
    /// An argument has a NUL in it.
    #[error("an argument contains a NUL byte")]
    NulInArgument,
    /// A variable has a name that is empty or has `=` or NUL in it, or a value with NUL in it.
    #[error("the variable {} cannot be in an environment", name.display())]
    BadVariable {
        /// Its name.
        name: OsString,
    },
    /// The system's reason.
    #[error("cannot run the program")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ExecError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Self::NotFound,
            Some(Errno::TOOBIG) => Self::TooLarge,
            Some(Errno::ACCESS | Errno::PERM | Errno::NOEXEC | Errno::ISDIR | Errno::TXTBSY) => Self::NotExecutable(error),
            _ => Self::Io(error),
        }
    }
}

/// `NAME=value` and a NUL, in a buffer of exactly that size.
fn assignment(name: &OsStr, value: &SecretBytes) -> Result<SecretBytes, ExecError> {
    let bad = name.is_empty() || name.as_bytes().iter().any(|byte| matches!(byte, b'=' | 0)) || value.expose().contains(&0);
    if bad {
        return Err(ExecError::BadVariable { name: name.to_owned() });
    }
    let mut entry = SecretBytes::with_capacity(name.len() + 1 + value.len() + 1);
    for part in [name.as_bytes(), b"=", value.expose(), b"\0"] {
        entry.push(part);
    }
    Ok(entry)
}

fn check_executable(candidate: &Path) -> Result<(), ResolveError> {
    match accessat(CWD, candidate, Access::EXEC_OK, AtFlags::EACCESS) {
        // The bit means something else for a directory.
        Ok(()) if candidate.is_file() => Ok(()),
        Ok(()) => Err(ResolveError::NotExecutable),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(ResolveError::NotFound),
        Err(_) => Err(ResolveError::NotExecutable),
    }
}

/// How many bytes all strings, with 8 more for each, may have.
///
/// Source: Linux `fs/exec.c`, `bprm_stack_limits`: a quarter of the stack's soft limit, at least 128 KiB, at most 6 MiB.
#[cfg(target_os = "linux")]
fn total_limit() -> usize {
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current.unwrap_or(u64::MAX);
    (stack / 4).clamp(128 << 10, 6 << 20) as usize
}

#[cfg(not(target_os = "linux"))]
fn total_limit() -> usize {
    // ARG_MAX of macOS.
    1 << 20
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::hardening::harden;
    use super::super::testing::own_process;
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn variables(variables: &[(&str, &[u8])]) -> Vec<(OsString, SecretBytes)> {
        variables.iter().map(|(name, value)| (name.into(), SecretBytes::copy_of(value))).collect()
    }

    fn shell(script: &str, environment: &[(OsString, SecretBytes)]) -> ExecError {
        let arguments = words(&["-c", script, "zero", "one two"]);
        Program { path: Path::new("/bin/sh"), argv0: OsStr::new("shell-as-typed"), arguments: &arguments, environment }
            .replace_self()
    }

    #[test]
    fn the_program_gets_its_arguments_and_nothing_but_its_environment() {
        let test = "sys::process::tests::the_program_gets_its_arguments_and_nothing_but_its_environment";
        let Some(output) = own_process(test, |_| ()) else {
            harden();
            let environment = variables(&[("A", b"1\n2"), ("B.b", b"\xff"), ("EMPTY", b"")]);
            let script = "tr '\\0' '|' < /proc/$$/environ; tr '\\0' '|' < /proc/$$/cmdline; echo $$; exit 42";
            panic!("{:?}", shell(script, &environment));
        };
        let said = output.stdout;
        let found = |wanted: &[u8]| said.windows(wanted.len()).any(|window| window == wanted);
        assert!(found(b"A=1\n2|B.b=\xff|EMPTY=|shell-as-typed|-c|"), "{}", String::from_utf8_lossy(&said));
        assert!(found(b"|zero|one two|"));
        assert_eq!(output.status.code(), Some(42));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_program_finds_signals_limits_and_dumps_as_they_were() {
        let test = "sys::process::tests::the_program_finds_signals_limits_and_dumps_as_they_were";
        let Some(output) = own_process(test, |_| ()) else {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let maximum = getrlimit(Resource::Core).maximum;
            setrlimit(Resource::Core, Rlimit { current: maximum.map(|most| most.min(1 << 20)).or(Some(1 << 20)), maximum })
                .unwrap();
            harden();
            let script = "grep SigIgn /proc/$$/status; stat -c 'owner %u' /proc/$$/environ; ulimit -c";
            panic!("{:?}", shell(script, &variables(&[("PATH", b"/bin:/usr/bin")])));
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let ignored = said.split("SigIgn:\t").nth(1).and_then(|rest| u64::from_str_radix(rest.get(..16)?, 16).ok());
        assert_eq!(ignored.map(|ignored| ignored >> (signal_hook::consts::SIGPIPE - 1) & 1), Some(0), "{said}");
        assert!(said.contains(&format!("owner {}", rustix::process::geteuid().as_raw())), "{said}");
        assert!(!said.ends_with("\n0\n"), "{said}");
    }

    #[test]
    fn what_cannot_be_run_says_so_and_leaves_this_process_alive() {
        let folder = tempfile::tempdir().unwrap();
        let run = |path: &Path| Program { path, argv0: OsStr::new("x"), arguments: &[], environment: &[] }.replace_self();
        assert!(matches!(run(&folder.path().join("none")), ExecError::NotFound));
        assert!(matches!(run(folder.path()), ExecError::NotExecutable(_)));
        let file = folder.path().join("file");
        fs::write(&file, "not a program").unwrap();
        assert!(matches!(run(&file), ExecError::NotExecutable(_)));
        fs::set_permissions(&file, Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(run(&file), ExecError::NotExecutable(_)));
    }

    #[test]
    fn names_and_values_that_no_environment_can_hold_are_refused() {
        for (name, value) in [("", b"1".as_slice()), ("A=B", b"1"), ("A\0", b"1"), ("A", b"1\x002")] {
            assert!(matches!(shell("true", &variables(&[(name, value)])), ExecError::BadVariable { name: bad } if bad == name));
        }
        let arguments = words(&["a\0b"]);
        let program =
            Program { path: Path::new("/bin/true"), argv0: OsStr::new("true"), arguments: &arguments, environment: &[] };
        assert!(matches!(program.replace_self(), ExecError::NulInArgument));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_longest_variable_that_is_let_through_is_the_longest_that_runs() {
        let test = "sys::process::tests::the_longest_variable_that_is_let_through_is_the_longest_that_runs";
        let Some(output) = own_process(test, |_| ()) else {
            let program =
                |environment| Program { path: Path::new("/bin/sh"), argv0: OsStr::new("sh"), arguments: &[], environment };
            let too_long = variables(&[("SMALL", b"1"), ("KEY", &[b'x'; LONGEST_STRING - 3])]);
            let error = program(&too_long).check_size().unwrap_err();
            assert_eq!(error, TooLarge::Variable { name: "KEY".into(), size: 131_072, limit: 131_071 });
            assert!(matches!(program(&too_long).replace_self(), ExecError::TooLarge));
            let longest = variables(&[("KEY", &[b'x'; LONGEST_STRING - 4])]);
            program(&longest).check_size().unwrap();
            panic!("{:?}", shell("exit ${#KEY}7", &longest));
        };
        // 131,067 bytes and a 7, of which an exit code keeps the last 8 bits.
        assert_eq!(output.status.code(), Some(1_310_677 & 0xff), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_largest_environment_that_is_let_through_runs() {
        let test = "sys::process::tests::the_largest_environment_that_is_let_through_runs";
        let Some(output) = own_process(test, |_| ()) else {
            let arguments = words(&["-c", "exit 42"]);
            fn program<'a>(arguments: &'a [OsString], environment: &'a [(OsString, SecretBytes)]) -> Program<'a> {
                Program { path: Path::new("/bin/sh"), argv0: OsStr::new("sh"), arguments, environment }
            }
            let mut environment = Vec::new();
            let over = loop {
                environment.push((format!("V{}", environment.len()).into(), SecretBytes::copy_of(&[b'x'; 100_000])));
                if let Err(TooLarge::Total { size, limit, largest: Some(_) }) = program(&arguments, &environment).check_size() {
                    break size - limit;
                }
            };
            environment.last_mut().unwrap().1.truncate(100_000 - over);
            program(&arguments, &environment).check_size().unwrap();
            panic!("{:?}", program(&arguments, &environment).replace_self());
        };
        assert_eq!(output.status.code(), Some(42), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn sizes_are_counted_with_names_terminators_and_pointers() {
        let arguments = words(&["ab"]);
        let environment = variables(&[("K", b"value"), ("L", b"")]);
        let program = Program { path: Path::new("/p"), argv0: OsStr::new("p"), arguments: &arguments, environment: &environment };
        // /p p ab K=value L= with a NUL each, and four pointers.
        let exact = 3 + 2 + 3 + 8 + 3 + 4 * size_of::<usize>();
        assert_eq!(program.check_size_against(exact), Ok(()));
        let error = program.check_size_against(exact - 1).unwrap_err();
        assert_eq!(error, TooLarge::Total { size: exact, limit: exact - 1, largest: Some("K".into()) });
    }

    #[test]
    fn programs_are_found_along_the_path_and_relative_to_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        let plain = place("first/tool", 0o644);
        let tool = place("second/tool", 0o755);
        let here = place("here", 0o755);
        place("first/plain", 0o644);
        fs::create_dir(folder.path().join("first/dir")).unwrap();
        let find = |name: &str, path: &str| resolve_program(OsStr::new(name), Some(OsStr::new(path)), folder.path());
        assert_eq!(find("tool", "first:none:second"), Ok(tool.clone()));
        assert_eq!(find("tool", "first"), Err(ResolveError::NotExecutable));
        assert_eq!(find("plain", "first:second"), Err(ResolveError::NotExecutable));
        assert_eq!(find("dir", "first:second"), Err(ResolveError::NotFound));
        assert_eq!(find("missing", "first:second"), Err(ResolveError::NotFound));
        assert_eq!(find("", "first"), Err(ResolveError::NotFound));
        assert_eq!(find("here", "first::second"), Ok(here));
        assert_eq!(find("second/tool", ""), Ok(tool.clone()));
        assert_eq!(find(tool.to_str().unwrap(), ""), Ok(tool));
        assert_eq!(find(plain.to_str().unwrap(), "second"), Err(ResolveError::NotExecutable));
        assert_eq!(find("./first", "second"), Err(ResolveError::NotExecutable));
        assert_eq!(find("./none", "second"), Err(ResolveError::NotFound));
        assert!(resolve_program(OsStr::new("sh"), None, folder.path()).is_ok());
    }
}
