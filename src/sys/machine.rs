//! Where this machine could put memory on a disk: swap.
//!
//! Only looks. Its one invariant: a device is said to be encrypted only if the system says so of it, or of all that it lies on.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One place that the system swaps to.
#[derive(Debug, PartialEq, Eq)]
pub struct Swap {
    /// The device or file.
    pub path: PathBuf,
    /// What is known of it.
    pub kind: SwapKind,
}

/// What becomes of memory that is swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapKind {
    /// It stays in memory (zram).
    Memory,
    /// It is encrypted.
    Encrypted,
    /// It lies on a disk as it was.
    Open,
}

/// All that is swapped to, as `/proc/swaps` and `/sys` below `root` say.
///
/// # Errors
/// The system's, as where there is no such list.
pub fn swaps(root: &Path) -> io::Result<Vec<Swap>> {
    let list = fs::read(root.join("proc/swaps"))?;
    // The first line names the columns.
    let lines = list.split(|byte| *byte == b'\n').skip(1);
    let names = lines.filter_map(|line| line.split(|byte| byte.is_ascii_whitespace()).next()).filter(|name| !name.is_empty());
    Ok(names.map(|name| swap(root, unescaped(name))).collect())
}

fn swap(root: &Path, path: PathBuf) -> Swap {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let device = match path.starts_with("/dev") {
        true => root.join("sys/class/block").join(&name),
        false => device_of(root, &path).unwrap_or_default(),
    };
    let kind = match name {
        _ if path.starts_with("/dev") && name.starts_with("zram") => SwapKind::Memory,
        _ if is_encrypted(&device, 0) => SwapKind::Encrypted,
        _ => SwapKind::Open,
    };
    Swap { path, kind }
}

/// The device on which a swap file lies.
fn device_of(root: &Path, file: &Path) -> Option<PathBuf> {
    let device = fs::metadata(root.join(file.strip_prefix("/").ok()?)).ok()?.dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    Some(root.join("sys/dev/block").join(number))
}

/// Whether the block device that `/sys` describes in `device` is one of dm-crypt's, or lies on such ones alone, as a logical volume does.
fn is_encrypted(device: &Path, depth: usize) -> bool {
    if fs::read(device.join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with(b"CRYPT-")) {
        return true;
    }
    let below: Vec<PathBuf> =
        fs::read_dir(device.join("slaves")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    depth < 8 && !below.is_empty() && below.iter().all(|device| is_encrypted(device, depth + 1))
}

/// A name of the list, in which a space is `\040`.
fn unescaped(name: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_told_by_what_it_lies_on() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "proc/swaps",
            "Filename\t\tType\t\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 100\n/dev/dm-1 partition 1 0 -2\n\
             /dev/dm-2  partition 1 0 -2\n/dev/dm-3 partition 1 0 -2\n/dev/sda2 partition 1 0 -2\n/swap\\040file file 1 0 -2\n",
        );
        write("sys/class/block/dm-1/dm/uuid", "CRYPT-PLAIN-swap\n");
        write("sys/class/block/dm-2/dm/uuid", "LVM-x\n");
        write("sys/class/block/dm-2/slaves/dm-0/dm/uuid", "CRYPT-LUKS2-x\n");
        write("sys/class/block/dm-3/dm/uuid", "LVM-x\n");
        write("sys/class/block/dm-3/slaves/dm-0/dm/uuid", "CRYPT-LUKS2-x\n");
        write("sys/class/block/dm-3/slaves/sdb1/size", "1\n");
        let found: Vec<_> = swaps(root.path()).unwrap().into_iter().map(|swap| (swap.path, swap.kind)).collect();
        let expected = [
            ("/dev/zram0", SwapKind::Memory),
            ("/dev/dm-1", SwapKind::Encrypted),
            ("/dev/dm-2", SwapKind::Encrypted),
            ("/dev/dm-3", SwapKind::Open),
            ("/dev/sda2", SwapKind::Open),
            ("/swap file", SwapKind::Open),
        ];
        assert_eq!(found, expected.map(|(path, kind)| (PathBuf::from(path), kind)));
    }

    #[test]
    fn a_swap_file_is_as_safe_as_the_device_it_lies_on() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/swaps"), "Filename\n/swapfile file 1 0 -2\n").unwrap();
        fs::write(root.path().join("swapfile"), "").unwrap();
        assert_eq!(swaps(root.path()).unwrap()[0].kind, SwapKind::Open);
        let device = device_of(root.path(), Path::new("/swapfile")).unwrap();
        fs::create_dir_all(device.join("dm")).unwrap();
        fs::write(device.join("dm/uuid"), "CRYPT-LUKS2-x\n").unwrap();
        assert_eq!(swaps(root.path()).unwrap()[0].kind, SwapKind::Encrypted);
    }

    #[test]
    fn a_machine_without_swap_or_without_such_a_list_has_none() {
        let root = tempfile::tempdir().unwrap();
        assert!(swaps(root.path()).is_err());
        fs::create_dir_all(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/swaps"), "Filename\tType\n").unwrap();
        assert_eq!(swaps(root.path()).unwrap(), []);
    }
}
