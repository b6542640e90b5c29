//! A list of lines in a file of this user's own, to which several processes may add at the same time.
//!
//! Knows nothing of what the lines say. Its one invariant: nothing is read or written through a link, or in a file that somebody else
//! could have written; and a line is added by one write at the end, so that no writer takes anything from another.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::process::geteuid;

use super::file_lock::create_private_directories;

/// How long a list may be, in bytes. A longer one is not read, and begins anew with the next line.
const LONGEST: u64 = 1 << 20;

/// Whether `line` is one of the lines of the file `path`. A file that is not there, or that is none of ours, has none.
pub fn has_line(path: &Path, line: &str) -> bool {
    let Ok(file) = open_own(path, OFlags::RDONLY) else { return false };
    let mut bytes = Vec::new();
    match file.take(LONGEST + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 <= LONGEST => bytes.split(|byte| *byte == b'\n').any(|known| known == line.as_bytes()),
        _ => false,
    }
}

/// Adds `line`, which has no line break, to the file `path`. The file is made if it is missing, with mode 0600, and so are the folders
/// above it.
///
/// # Errors
/// The system's, and that the file is none of ours.
pub fn add_line(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_private_directories(folder)?;
    }
    let mut file = open_own(path, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)?;
    // Locked, so that only one begins it anew; whoever is late adds to what is there.
    if file.metadata()?.len() > LONGEST
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && file.metadata()?.len() > LONGEST
    {
        file.set_len(0)?;
    }
    // A power cut may have left a piece of a line.
    let begin = if ends_within_a_line(&file)? { "\n" } else { "" };
    file.write_all(format!("{begin}{line}\n").as_bytes())
}

/// Whether the file `path` would be used, if it is there.
///
/// # Errors
/// Why not.
pub fn check_own(path: &Path) -> io::Result<()> {
    match open_own(path, OFlags::RDONLY) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if file.metadata()?.len() > LONGEST => Err(io::Error::new(ErrorKind::InvalidData, "it is too large")),
        Ok(_) => Ok(()),
    }
}

fn open_own(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let metadata = file.metadata()?;
    let not_ours = |why| Err(io::Error::new(ErrorKind::InvalidData, why));
    match metadata {
        _ if !metadata.is_file() => not_ours("it is no regular file"),
        _ if metadata.uid() != geteuid().as_raw() => not_ours("it belongs to somebody else"),
        _ if metadata.mode() & 0o022 != 0 => not_ours("others can write it"),
        _ => Ok(file),
    }
}

fn ends_within_a_line(file: &File) -> io::Result<bool> {
    let mut last = [b'\n'];
    match file.metadata()?.len().checked_sub(1) {
        Some(end) => file.read_exact_at(&mut last, end)?,
        None => return Ok(false),
    }
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::testing::make_pipe;
    use super::*;

    #[test]
    fn what_was_added_is_there_and_the_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/list");
        assert!(!has_line(&path, "one"));
        add_line(&path, "one").unwrap();
        add_line(&path, "two").unwrap();
        assert!(has_line(&path, "one") && has_line(&path, "two") && !has_line(&path, "tw") && !has_line(&path, "three"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_spoils_no_other_and_one_that_is_no_text_neither() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, b"one\n\xff\0\nthr").unwrap();
        add_line(&path, "two").unwrap();
        assert!(has_line(&path, "one") && has_line(&path, "two") && !has_line(&path, "three"));
    }

    #[test]
    fn writers_at_the_same_time_take_nothing_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    (0..50).for_each(|line| add_line(path, &format!("{writer} {line} {}", "x".repeat(150))).unwrap())
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        // Who sees half of another's line begins a new one, which may leave an empty one behind.
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 400);
        assert!((0..8).all(|writer| has_line(&path, &format!("{writer} 49 {}", "x".repeat(150)))));
    }

    #[test]
    fn what_is_none_of_ours_is_neither_read_nor_written() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link, pipe) = (folder.path().join("real"), folder.path().join("link"), folder.path().join("pipe"));
        fs::write(&real, "one\n").unwrap();
        symlink(&real, &link).unwrap();
        make_pipe(&pipe);
        for path in [&link, &pipe, &folder.path().to_owned()] {
            assert!(!has_line(path, "one") && add_line(path, "two").is_err() && check_own(path).is_err(), "{}", path.display());
        }
        fs::set_permissions(&real, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(!has_line(&real, "one") && add_line(&real, "two").is_err() && check_own(&real).is_err());
        assert_eq!(fs::read_to_string(&real).unwrap(), "one\n");
    }

    #[test]
    fn a_list_that_grew_too_long_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, "one\n".repeat(1 << 19)).unwrap();
        assert!(!has_line(&path, "one") && check_own(&path).is_err());
        add_line(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert!(check_own(&path).is_ok() && check_own(&folder.path().join("none")).is_ok());
    }
}
