//! Removes a directory with all that is in it, and overwrites its files.
//!
//! Knows nothing of sessions. Its one invariant: it works through descriptors and never follows a symbolic link, so nothing outside
//! the directory is changed, whatever a program has put inside. A file loses its name before its bytes: whoever finds it under its name
//! finds it whole.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, openat, statat, unlinkat};
use rustix::io::Errno;

/// Removes and overwrites everything in `directory` but the entries named in `keep`.
///
/// It goes on after a failure and returns the first one.
pub(super) fn wipe_contents(directory: BorrowedFd<'_>, keep: &[&CStr]) -> io::Result<()> {
    let mut result = Ok(());
    for name in names(directory)? {
        if !keep.contains(&name.as_c_str()) {
            result = result.and(wipe_entry(directory, &name));
        }
    }
    result
}

/// Removes and overwrites the entry `name`; it is no error if there is none.
pub(super) fn wipe_entry(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let kind = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => FileType::from_raw_mode(stat?.st_mode),
    };
    let mut flags = AtFlags::empty();
    let mut emptied = Ok(());
    let mut file = None;
    if kind.is_dir() {
        flags = AtFlags::REMOVEDIR;
        emptied = empty_directory(directory, name);
    } else if kind.is_file() {
        // A file that cannot be overwritten is removed all the same.
        file = open_to_overwrite(directory, name).ok().flatten();
    }
    let removed = match unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => emptied,
        Err(error) => emptied.and(Err(error.into())),
    };
    if let Some(file) = file {
        let _ = overwrite(&file);
    }
    removed
}

fn empty_directory(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    // Programs leave directories that not even their owner may change, such as a cache of modules.
    let _ = fchmod(&directory, Mode::RWXU);
    wipe_contents(directory.as_fd(), &[])
}

/// The names of everything in `directory`.
pub(super) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// The regular file `name`, to be overwritten; `None` if it has another name.
fn open_to_overwrite(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<File>> {
    // Without waiting: a pipe may have taken the file's place since it was looked at.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(match openat(directory, name, flags | OFlags::WRONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            fchmod(openat(directory, name, flags | OFlags::RDONLY, Mode::empty())?, Mode::RUSR | Mode::WUSR)?;
            openat(directory, name, flags | OFlags::WRONLY, Mode::empty())
        }
        file => file,
    }?);
    let metadata = file.metadata()?;
    // A file with another name may be somebody's work outside. If the other name is in here, the bytes go with that one.
    Ok((metadata.is_file() && metadata.nlink() == 1).then_some(file))
}

/// Writes zeros over the bytes of `file`. In memory that wipes them; on a disk it promises nothing.
fn overwrite(file: &File) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut from = 0;
    while let Some((start, end)) = next_data(file, from, size)? {
        zero(file, start, end)?;
        from = end;
    }
    Ok(())
}

fn zero(file: &File, start: u64, end: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(start))?;
    let mut left = end - start;
    while left > 0 {
        let length = left.min(ZEROS.len() as u64);
        (&mut &*file).write_all(&ZEROS[..length as usize])?;
        left -= length;
    }
    Ok(())
}

/// The next range of bytes that takes up space. Holes are left out: filling those of a huge sparse file could take all memory.
#[cfg(target_os = "linux")]
fn next_data(file: &File, from: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    if from >= size {
        return Ok(None);
    }
    match seek(file, SeekFrom::Data(from)) {
        Ok(start) => Ok(Some((start, seek(file, SeekFrom::Hole(start))?.min(size)))),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Ok(Some((from, size))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data(_file: &File, from: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    Ok((from < size).then_some((from, size)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::super::testing::make_pipe;
    use super::*;

    fn wipe(path: &Path) -> io::Result<()> {
        wipe_contents(File::open(path).unwrap().as_fd(), &[])
    }

    #[test]
    fn nested_directories_go_and_links_are_not_followed() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = outside.path().join("kept");
        fs::write(&kept, b"kept").unwrap();
        let deep = inside.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), b"secret").unwrap();
        symlink(&kept, deep.join("link to a file")).unwrap();
        symlink(outside.path(), inside.path().join("link to a directory")).unwrap();
        symlink("nowhere", inside.path().join("dangling")).unwrap();
        wipe(inside.path()).unwrap();
        assert!(fs::read_dir(inside.path()).unwrap().next().is_none());
        assert_eq!(fs::read(&kept).unwrap(), b"kept");
    }

    #[test]
    fn the_bytes_go_with_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![b'x'; 100_000]).unwrap();
        let open = File::open(&path).unwrap();
        wipe(folder.path()).unwrap();
        let mut left = Vec::new();
        io::Read::read_to_end(&mut &open, &mut left).unwrap();
        assert_eq!(left, vec![0; 100_000]);
    }

    #[test]
    fn a_file_that_also_has_a_name_outside_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, b"mine").unwrap();
        fs::hard_link(&outside, inside.join("linked")).unwrap();
        wipe(&inside).unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"mine");
    }

    #[test]
    fn read_only_files_and_directories_go_too() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), b"secret").unwrap();
        let open = File::open(closed.join("file")).unwrap();
        fs::set_permissions(closed.join("file"), fs::Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        wipe(folder.path()).unwrap();
        assert!(!closed.exists());
        let mut left = String::new();
        io::Read::read_to_string(&mut &open, &mut left).unwrap();
        assert_eq!(left, "\0".repeat(6));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_huge_sparse_file_takes_no_space_to_wipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        (&file).write_all(b"secret").unwrap();
        let open = File::open(&path).unwrap();
        wipe(folder.path()).unwrap();
        let blocks = open.metadata().unwrap().blocks();
        assert!(blocks < 1024, "{blocks} blocks");
    }

    #[test]
    fn pipes_are_removed_without_waiting_for_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        wipe(folder.path()).unwrap();
        assert!(!pipe.exists());
    }
}
