//! Gives a new file what the one it replaces has beside its bytes: owner, group, mode, access control list, security label.
//!
//! Knows nothing of names and renames. Its one invariant: the new file never grants more than the old one did, not even by a list
//! that it inherited from its directory; what cannot be kept is an error.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Gid, Mode, RawMode, Uid, fchmod, fchown};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use super::atomic_write::ReplaceError;

/// Gives `new` the attributes of `old`, which `metadata` describes.
pub(super) fn keep_attributes(old: &File, metadata: &Metadata, new: &File) -> Result<(), ReplaceError> {
    let made = new.metadata()?;
    let owner = (made.uid() != metadata.uid()).then(|| Uid::from_raw(metadata.uid()));
    let group = (made.gid() != metadata.gid()).then(|| Gid::from_raw(metadata.gid()));
    if owner.is_some() || group.is_some() {
        fchown(new, owner, group).map_err(|error| ReplaceError::CannotKeep { what: "owner and group", source: error.into() })?;
    }
    #[cfg(target_os = "linux")]
    {
        keep_attribute(old, new, c"security.selinux", "security label")?;
        keep_attribute(old, new, c"system.posix_acl_access", "access control list")?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = old;
    // Last: a new owner or access list changes the mode.
    let mode = Mode::from_raw_mode((metadata.mode() & 0o7777) as RawMode);
    fchmod(new, mode).map_err(|error| ReplaceError::CannotKeep { what: "mode", source: error.into() })
}

/// Gives `new` the extended attribute that `old` has, or takes away the one it got from its directory.
#[cfg(target_os = "linux")]
fn keep_attribute(old: &File, new: &File, name: &std::ffi::CStr, what: &'static str) -> Result<(), ReplaceError> {
    use rustix::fs::{XattrFlags, fremovexattr, fsetxattr};
    let cannot = |error: Errno| ReplaceError::CannotKeep { what, source: error.into() };
    let wanted = attribute(old, name).map_err(cannot)?;
    let made = attribute(new, name).map_err(cannot)?;
    match wanted {
        wanted if wanted == made => Ok(()),
        Some(wanted) => fsetxattr(new, name, &wanted, XattrFlags::empty()).map_err(cannot),
        None => fremovexattr(new, name).map_err(cannot),
    }
}

#[cfg(target_os = "linux")]
fn attribute(file: impl std::os::fd::AsFd, name: &std::ffi::CStr) -> Result<Option<Vec<u8>>, Errno> {
    // The largest value Linux allows.
    let mut value = vec![0; 64 << 10];
    match rustix::fs::fgetxattr(file, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use rustix::fs::{XattrFlags, setxattr};

    use super::super::atomic_write::{Expected, ReadOnly, replace};
    use super::*;

    #[test]
    fn the_access_list_is_kept_and_none_is_inherited() {
        // user::rw- user:12345:r-- group::r-- mask::r-- other::---
        let list = |permissions: [(u16, u16, u32); 5]| {
            let mut list = 2u32.to_le_bytes().to_vec();
            for (tag, permission, id) in permissions {
                list.extend(tag.to_le_bytes());
                list.extend(permission.to_le_bytes());
                list.extend(id.to_le_bytes());
            }
            list
        };
        let none = u32::MAX;
        let list = list([(1, 6, none), (2, 4, 12345), (4, 4, none), (16, 4, none), (32, 0, none)]);
        let name = c"system.posix_acl_access";
        let read = |path: &Path| attribute(File::open(path).unwrap(), name).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("prod.env");
        fs::write(&target, b"old").unwrap();
        if setxattr(&target, name, &list, XattrFlags::empty()) == Err(Errno::NOTSUP) {
            return;
        }
        assert!(read(&target).is_some());
        replace(&target, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse).unwrap();
        assert_eq!(read(&target), Some(list.clone()));

        let plain = folder.path().join("plain.env");
        fs::write(&plain, b"old").unwrap();
        fs::set_permissions(&plain, Permissions::from_mode(0o640)).unwrap();
        setxattr(folder.path(), c"system.posix_acl_default", &list, XattrFlags::empty()).unwrap();
        replace(&plain, b"new", Expected::Bytes(b"old"), ReadOnly::Refuse).unwrap();
        assert_eq!(read(&plain), None);
        assert_eq!(fs::metadata(&plain).unwrap().mode() & 0o7777, 0o640);
    }
}
