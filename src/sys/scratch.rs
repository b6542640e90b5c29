//! Finds a place for plaintext files: in memory, and mine alone.
//!
//! Knows nothing of what will lie there. Its one invariant: a [`Scratch`] is a directory, reached through no symbolic link in its
//! last step, that only this user can enter, and it is on a disk only if that was allowed.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatFs, mkdirat, open, openat};
use rustix::io::Errno;

const SHARED_MEMORY: &str = "/dev/shm";

/// The candidates for a scratch directory that depend on the user; the system's own are known here.
pub struct ScratchCandidates {
    /// The one the user chose (`DOTSOPS_EDIT_DIR`).
    pub chosen: Option<PathBuf>,
    /// The session's (`XDG_RUNTIME_DIR`).
    pub runtime_directory: Option<PathBuf>,
    /// The effective user, who must own it.
    pub uid: u32,
}

impl ScratchCandidates {
    /// The candidates of the user this process runs as.
    pub fn of_current_user(chosen: Option<PathBuf>, runtime_directory: Option<PathBuf>) -> Self {
        Self { chosen, runtime_directory, uid: rustix::process::geteuid().as_raw() }
    }
}

/// A directory that may hold plaintext.
#[derive(Debug)]
pub struct Scratch {
    pub(super) directory: File,
    pub(super) path: PathBuf,
    pub(super) uid: u32,
    /// Whether it is in memory; on macOS this is never known.
    pub in_memory: bool,
    /// The candidates before it, and why they did not qualify.
    pub skipped: Vec<(PathBuf, Unfit)>,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the first candidate that qualifies: the chosen directory, `dotsops` in the runtime directory, `/dev/shm/dotsops-UID`,
/// and last, if `disk` is given, `dotsops-UID` in that directory. The last three are made if they are missing, with mode 0700.
///
/// `disk` (the system's temporary directory) is the user's consent to plaintext on a disk; it then holds for every candidate.
/// On macOS, which has no file system in memory, the per-user temporary directory is the last candidate without any consent.
///
/// # Errors
/// [`ScratchError`] with all candidates and why each was refused.
pub fn find_scratch(candidates: &ScratchCandidates, disk: Option<&Path>) -> Result<Scratch, ScratchError> {
    find_among(candidates, disk, Path::new(SHARED_MEMORY))
}

/// Every candidate that is there, in memory or on the given `disk`, and mine alone; none is made.
pub fn existing_scratches(candidates: &ScratchCandidates, disk: &Path) -> Vec<Scratch> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let uid = candidates.uid;
    let mut found: Vec<Scratch> = Vec::new();
    for Place { path, .. } in places(candidates, Some(disk), Path::new(SHARED_MEMORY)) {
        let Ok(directory) = open(&path, flags, Mode::empty()).map(File::from) else { continue };
        let is_known = found.iter().any(|known| known.path == path);
        if path.is_absolute() && !is_known && check_private(&directory, uid).is_ok() {
            let in_memory = is_in_memory(&directory).unwrap_or(false);
            found.push(Scratch { directory, path, uid, in_memory, skipped: Vec::new() });
        }
    }
    found
}

/// The candidates up to the one that [`find_scratch`] would return, and what each is good for: whether it is, or would be, in memory.
/// None is made.
pub fn survey(candidates: &ScratchCandidates) -> Vec<(PathBuf, Result<bool, Unfit>)> {
    let mut surveyed = Vec::new();
    for place in places(candidates, None, Path::new(SHARED_MEMORY)) {
        let fit = place.look(candidates.uid);
        let is_found = fit.is_ok();
        surveyed.push((place.path, fit));
        if is_found {
            break;
        }
    }
    surveyed
}

fn find_among(candidates: &ScratchCandidates, disk: Option<&Path>, shared_memory: &Path) -> Result<Scratch, ScratchError> {
    let uid = candidates.uid;
    let mut skipped = Vec::new();
    for place in places(candidates, disk, shared_memory) {
        match place.qualify(uid) {
            Ok((directory, in_memory)) => return Ok(Scratch { directory, path: place.path, uid, in_memory, skipped }),
            Err(unfit) => skipped.push((place.path, unfit)),
        }
    }
    Err(ScratchError { tried: skipped })
}

/// All candidates, the best first.
fn places(candidates: &ScratchCandidates, disk: Option<&Path>, shared_memory: &Path) -> Vec<Place> {
    let uid = candidates.uid;
    let mine = format!("dotsops-{uid}");
    let mut places = Vec::new();
    if let Some(chosen) = &candidates.chosen {
        places.push(Place { path: chosen.clone(), make_in: None, disk: disk.is_some() });
    }
    if let Some(runtime) = &candidates.runtime_directory {
        let owned = Owned::ByMe(uid);
        places.push(Place { path: runtime.join("dotsops"), make_in: Some((runtime.clone(), owned)), disk: disk.is_some() });
    }
    for (parent, disk) in [(Some(shared_memory.to_path_buf()), disk.is_some()), (system_directory(), true)] {
        if let Some(parent) = parent {
            places.push(Place { path: parent.join(&mine), make_in: Some((parent, Owned::ByAnyone)), disk });
        }
    }
    if let Some(parent) = disk {
        places.push(Place { path: parent.join(&mine), make_in: Some((parent.to_path_buf(), Owned::ByAnyone)), disk: true });
    }
    places
}

/// No place for plaintext was found.
#[derive(Debug, thiserror::Error)]
#[error("no directory in memory for plaintext: {}", Tried(tried))]
pub struct ScratchError {
    /// Each candidate and why it was refused.
    pub tried: Vec<(PathBuf, Unfit)>,
}

/// Why a directory may not hold plaintext.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The path is relative.
    #[error("not an absolute path")]
    NotAbsolute,
    /// There is no such directory.
    #[error("does not exist")]
    Missing,
    /// It is a symbolic link or no directory.
    #[error("not a directory")]
    NotADirectory,
    /// It belongs to someone else.
    #[error("owned by user {owner}")]
    NotMine {
        /// The number of the user who owns it.
        owner: u32,
    },
    /// Group or others have access.
    #[error("open to others (mode {mode:04o}, not 0700)")]
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
    },
    /// It is not on tmpfs or ramfs.
    #[error("on a disk, not in memory")]
    OnDisk,
    /// The system's reason.
    #[error("{0}")]
    Io(#[source] io::Error),
}

impl From<Errno> for Unfit {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            Errno::LOOP | Errno::NOTDIR => Self::NotADirectory,
            other => Self::Io(other.into()),
        }
    }
}

struct Place {
    path: PathBuf,
    /// The directory it is made in if it is missing, and who may own that one.
    make_in: Option<(PathBuf, Owned)>,
    disk: bool,
}

enum Owned {
    ByMe(u32),
    ByAnyone,
}

impl Place {
    /// The directory, opened, and whether it is in memory.
    fn qualify(&self, uid: u32) -> Result<(File, bool), Unfit> {
        if !self.path.is_absolute() {
            return Err(Unfit::NotAbsolute);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = File::from(match (&self.make_in, self.path.file_name()) {
            (Some((parent, owned)), Some(name)) => {
                let parent = File::from(open(parent, flags, Mode::empty())?);
                if let Owned::ByMe(uid) = owned {
                    check_private(&parent, *uid)?;
                }
                // Looked at first: nothing is made in a place that cannot qualify.
                self.check_memory(&parent)?;
                match mkdirat(&parent, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat(&parent, name, flags | OFlags::NOFOLLOW, Mode::empty())?
            }
            _ => open(&self.path, flags | OFlags::NOFOLLOW, Mode::empty())?,
        });
        check_private(&directory, uid)?;
        let in_memory = self.check_memory(&directory)?;
        Ok((directory, in_memory))
    }

    /// The same without making or opening anything: whether it is in memory, or would be.
    fn look(&self, uid: u32) -> Result<bool, Unfit> {
        if !self.path.is_absolute() {
            return Err(Unfit::NotAbsolute);
        }
        let in_memory = |path: &Path| match is_memory(rustix::fs::statfs(path)?) {
            false if !self.disk => Err(Unfit::OnDisk),
            in_memory => Ok(in_memory),
        };
        let would_be = match &self.make_in {
            Some((parent, owned)) => {
                let metadata = looked_at(parent.metadata())?;
                if let Owned::ByMe(uid) = owned {
                    check_owner_and_mode(&metadata, *uid)?;
                }
                Some(in_memory(parent)?)
            }
            None => None,
        };
        match (looked_at(self.path.symlink_metadata()), would_be) {
            (Err(Unfit::Missing), Some(in_memory)) => Ok(in_memory),
            (metadata, _) => {
                check_owner_and_mode(&metadata?, uid)?;
                in_memory(&self.path)
            }
        }
    }

    fn check_memory(&self, directory: &File) -> Result<bool, Unfit> {
        let in_memory = is_in_memory(directory)?;
        if in_memory || self.disk { Ok(in_memory) } else { Err(Unfit::OnDisk) }
    }
}

fn check_private(directory: &File, uid: u32) -> Result<(), Unfit> {
    check_owner_and_mode(&directory.metadata().map_err(Unfit::Io)?, uid)
}

/// What was found at a path, if that is a directory.
fn looked_at(found: io::Result<Metadata>) -> Result<Metadata, Unfit> {
    match found {
        Ok(metadata) if metadata.is_dir() => Ok(metadata),
        Ok(_) => Err(Unfit::NotADirectory),
        Err(error) => Err(Errno::from_io_error(&error).map_or(Unfit::Io(error), Unfit::from)),
    }
}

fn check_owner_and_mode(metadata: &Metadata, uid: u32) -> Result<(), Unfit> {
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() != uid {
        return Err(Unfit::NotMine { owner: metadata.uid() });
    }
    if mode & 0o077 != 0 {
        return Err(Unfit::OpenToOthers { mode });
    }
    Ok(())
}

fn is_in_memory(directory: &File) -> Result<bool, Errno> {
    Ok(is_memory(rustix::fs::fstatfs(directory)?))
}

#[cfg(target_os = "linux")]
fn is_memory(file_system: StatFs) -> bool {
    // Source: Linux `include/uapi/linux/magic.h`. The field's sign and width differ between machines, its low 32 bits do not.
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    let kind = file_system.f_type as u32;
    kind == TMPFS || kind == RAMFS
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_file_system: StatFs) -> bool {
    false
}

#[cfg(target_os = "macos")]
#[allow(unsafe_code)]
fn system_directory() -> Option<PathBuf> {
    use std::ffi::{OsString, c_char, c_int};
    use std::os::unix::ffi::OsStringExt;
    const CS_DARWIN_USER_TEMP_DIR: c_int = 65537;
    unsafe extern "C" {
        fn confstr(name: c_int, buffer: *mut c_char, length: usize) -> usize;
    }
    let mut path = vec![0u8; 1024];
    // SAFETY: it writes at most the given number of bytes, the terminating NUL included.
    let length = unsafe { confstr(CS_DARWIN_USER_TEMP_DIR, path.as_mut_ptr().cast(), path.len()) };
    // The result counts the NUL; 0 is a failure, more than the buffer a path that was cut.
    (1..=path.len()).contains(&length).then(|| {
        path.truncate(length - 1);
        PathBuf::from(OsString::from_vec(path))
    })
}

#[cfg(not(target_os = "macos"))]
fn system_directory() -> Option<PathBuf> {
    None
}

struct Tried<'a>(&'a [(PathBuf, Unfit)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (path, unfit)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{} {unfit}", path.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn candidates(chosen: Option<&Path>, runtime: Option<&Path>) -> ScratchCandidates {
        ScratchCandidates::of_current_user(chosen.map(Path::to_path_buf), runtime.map(Path::to_path_buf))
    }

    fn private(parent: &Path) -> tempfile::TempDir {
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o700)).tempdir_in(parent).unwrap()
    }

    fn memory() -> tempfile::TempDir {
        private(Path::new("/dev/shm"))
    }

    /// A directory on a disk: beside this test's program.
    fn disk() -> tempfile::TempDir {
        let folder = private(std::env::current_exe().unwrap().parent().unwrap());
        let opened = File::open(folder.path()).unwrap();
        assert!(!is_in_memory(&opened).unwrap(), "these tests need a target directory on a disk");
        folder
    }

    #[test]
    fn the_runtime_directory_gets_a_private_directory_of_ours() {
        let runtime = memory();
        let scratch = find_scratch(&candidates(None, Some(runtime.path())), None).unwrap();
        assert_eq!(scratch.path(), runtime.path().join("dotsops"));
        assert_eq!(fs::metadata(scratch.path()).unwrap().mode() & 0o7777, 0o700);
        assert!(scratch.in_memory);
    }

    #[test]
    fn shared_memory_is_used_when_nothing_is_set() {
        let shared = memory();
        let scratch = find_among(&candidates(None, None), None, shared.path()).unwrap();
        assert_eq!(scratch.path(), shared.path().join(format!("dotsops-{}", scratch.uid)));
        let again = find_among(&candidates(None, None), None, shared.path()).unwrap();
        assert_eq!(scratch.path(), again.path());
    }

    #[test]
    fn unfit_candidates_are_skipped_and_named() {
        let (open_to_others, shared) = (memory(), memory());
        fs::set_permissions(open_to_others.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let found = find_among(&candidates(Some(open_to_others.path()), Some(Path::new("run"))), None, shared.path()).unwrap();
        assert!(matches!(found.skipped.as_slice(), [(_, Unfit::OpenToOthers { mode: 0o750 }), (_, Unfit::NotAbsolute)]));
    }

    #[test]
    fn links_files_strangers_and_disks_do_not_qualify() {
        let (disk, memory, missing) = (disk(), memory(), Path::new("/dev/shm/dotsops-test-missing"));
        let (link, file) = (memory.path().join("link"), memory.path().join("file"));
        let real = memory.path().join("real");
        fs::create_dir(&real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&real, &link).unwrap();
        fs::write(&file, b"").unwrap();
        let unfit = |chosen: &Path| find_among(&candidates(Some(chosen), None), None, missing).unwrap_err().tried.remove(0).1;
        assert!(matches!(unfit(&link), Unfit::NotADirectory));
        assert!(matches!(unfit(&file), Unfit::NotADirectory));
        assert!(matches!(unfit(missing), Unfit::Missing));
        assert!(matches!(unfit(disk.path()), Unfit::OnDisk));
        let stranger = ScratchCandidates { uid: 54321, ..candidates(Some(&real), None) };
        let tried = find_among(&stranger, None, missing).unwrap_err().tried;
        assert!(matches!(tried[0].1, Unfit::NotMine { .. }));
        assert!(find_among(&candidates(Some(&real), None), None, missing).is_ok());
    }

    #[test]
    fn a_planted_link_in_shared_memory_is_not_followed() {
        let (shared, elsewhere) = (memory(), memory());
        let uid = rustix::process::geteuid().as_raw();
        symlink(elsewhere.path(), shared.path().join(format!("dotsops-{uid}"))).unwrap();
        assert!(find_among(&candidates(None, None), None, shared.path()).is_err());
    }

    #[test]
    fn a_disk_is_used_only_when_that_is_allowed() {
        let disk = disk();
        let refused = find_among(&candidates(None, Some(disk.path())), None, disk.path()).unwrap_err();
        assert!(refused.tried.iter().all(|(_, unfit)| matches!(unfit, Unfit::OnDisk)));
        assert!(fs::read_dir(disk.path()).unwrap().next().is_none(), "nothing is made where nothing is allowed");
        let missing = Path::new("/dev/shm/dotsops-test-missing");
        let scratch = find_among(&candidates(None, None), Some(disk.path()), missing).unwrap();
        assert!(!scratch.in_memory);
        assert!(scratch.path().starts_with(disk.path()));
    }

    #[test]
    fn a_look_judges_as_a_search_does_and_makes_nothing() {
        let (open_to_others, runtime, disk) = (memory(), memory(), disk());
        fs::set_permissions(open_to_others.path(), fs::Permissions::from_mode(0o750)).unwrap();
        for chosen in [open_to_others.path(), disk.path(), Path::new("run")] {
            let candidates = candidates(Some(chosen), Some(runtime.path()));
            let surveyed = survey(&candidates);
            assert!(matches!(surveyed[1], (_, Ok(true))) && fs::read_dir(runtime.path()).unwrap().next().is_none());
            let found = find_scratch(&candidates, None).unwrap();
            assert_eq!(found.path(), surveyed[1].0);
            let why = |unfit: &Unfit| unfit.to_string();
            assert_eq!(surveyed[0].1.as_ref().map_err(why), Err(why(&found.skipped[0].1)));
            assert!(matches!(survey(&candidates)[1], (_, Ok(true))), "also once it is there");
            fs::remove_dir(found.path()).unwrap();
        }
    }

    #[test]
    fn what_is_there_is_found_without_making_anything() {
        let (chosen, runtime, disk) = (memory(), memory(), disk());
        let found = |chosen: &Path| {
            let found = existing_scratches(&candidates(Some(chosen), Some(runtime.path())), disk.path());
            let paths = found.into_iter().map(|scratch| scratch.path).filter(|path| !path.starts_with(SHARED_MEMORY));
            paths.chain(fs::read_dir(runtime.path()).unwrap().map(|entry| entry.unwrap().path())).collect::<Vec<_>>()
        };
        assert!(found(chosen.path()).is_empty());
        let mine = disk.path().join(format!("dotsops-{}", rustix::process::geteuid().as_raw()));
        fs::create_dir(&mine).unwrap();
        fs::set_permissions(&mine, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(found(chosen.path()).is_empty());
        fs::set_permissions(&mine, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(found(chosen.path()), [mine]);
    }

    #[test]
    fn the_error_names_every_candidate() {
        let error = find_among(&candidates(Some(Path::new("relative")), None), None, Path::new("/none")).unwrap_err();
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(
            error.to_string(),
            format!("no directory in memory for plaintext: relative not an absolute path; /none/dotsops-{uid} does not exist")
        );
    }
}
