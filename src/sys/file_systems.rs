//! The file systems that many files lie on: what is done on each once, and not for every file.
//!
//! Knows nothing of what is in the files. Its one invariant: what [`FileSystems::sync`] confirms has been put on the disk.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::fault::fault_point;
use super::temporary::create_unnamed;

/// Whether [`FileSystems::sync`] reaches files that were not synced one by one.
pub const CAN_SYNC_TOGETHER: bool = cfg!(target_os = "linux");

/// Each with a folder on it.
pub struct FileSystems(Vec<(u64, OwnedFd)>);

impl FileSystems {
    /// Those of the files `targets`, which are absolute and without links.
    ///
    /// # Errors
    /// The system's, if a folder is not there.
    pub fn of<'a>(targets: impl Iterator<Item = &'a Path>) -> io::Result<Self> {
        let folders: HashSet<&Path> = targets.filter_map(Path::parent).collect();
        let mut known: Vec<(u64, OwnedFd)> = Vec::new();
        for folder in folders {
            let device = folder.metadata()?.dev();
            if !known.iter().any(|(other, _)| *other == device) {
                let opened = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                known.push((fstat(&opened)?.st_dev, opened));
            }
        }
        Ok(Self(known))
    }

    /// Makes sure that there is room for `needed` bytes where the device has that number, and keeps `kept` of them until what is given
    /// back is dropped. `None` where the system cannot tell.
    ///
    /// # Errors
    /// The system's, if there is not.
    pub fn set_aside(&self, device: u64, needed: u64, kept: u64) -> io::Result<Option<SetAside>> {
        fault_point!(RoomTake);
        let Some((_, folder)) = self.0.iter().find(|(known, _)| *known == device) else { return Ok(None) };
        let Some(file) = create_unnamed(folder, true)? else { return Ok(None) };
        match reserve(&file, needed.max(kept)).and_then(|()| file.set_len(kept)) {
            Ok(()) => Ok(Some(SetAside(file))),
            Err(error) if [Some(Errno::NOTSUP), Some(Errno::NOSYS)].contains(&Errno::from_io_error(&error)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts everything on them on the disk.
    ///
    /// # Errors
    /// The system's, for the first that fails.
    pub fn sync(&self) -> io::Result<()> {
        fault_point!(AllReplaced);
        let failed = self.0.iter().filter_map(|(_, folder)| sync(folder).err()).next();
        fault_point!(kill AllSynced);
        failed.map_or(Ok(()), Err)
    }
}

/// Space on a file system, free again when this is dropped.
pub struct SetAside(#[allow(dead_code)] File);

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match bytes {
        0 => Ok(()),
        bytes => Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _bytes: u64) -> io::Result<()> {
    Err(Errno::NOTSUP.into())
}

#[cfg(target_os = "linux")]
fn sync(folder: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

/// Each file was synced by itself.
#[cfg(not(target_os = "linux"))]
fn sync(_folder: &OwnedFd) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_file_system_are_synced_together_and_a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let targets = ["a.env", "b.env", "sub/a.env"].map(|name| folder.path().join(name));
        let systems = FileSystems::of(targets.iter().map(|target| target.as_path())).unwrap();
        assert_eq!(systems.0.len(), 1);
        systems.sync().unwrap();
        assert!(FileSystems::of([folder.path().join("none/a.env").as_path()].into_iter()).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_set_aside_is_free_again_and_leaves_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let systems = FileSystems::of([folder.path().join("a.env").as_path()].into_iter()).unwrap();
        let device = folder.path().metadata().unwrap().dev();
        let aside = systems.set_aside(device, 1 << 20, 1 << 16).unwrap();
        if let Some(SetAside(file)) = &aside {
            assert_eq!(file.metadata().unwrap().len(), 1 << 16);
            assert!(file.metadata().unwrap().blocks() * 512 >= 1 << 16);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // More than any disk has.
        assert!(systems.set_aside(device, 1 << 60, 0).is_err() || aside.is_none());
    }
}
