//! Files, folders and disks that are not as usual, and two edits at once: rows 38, 42, 43, 46.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use crate::support::editing::{CANARY, Editing};
use crate::support::peers::has;
use crate::support::pty::{Pty, wait, wait_until};
use crate::support::sandbox::{Ended, ended};

const APPENDS: &str = r#"printf 'B=canary+5f/3a"91e7\n' >> "$1""#;

#[test]
fn row_38_a_second_edit_of_the_file_is_refused_under_every_name() {
    let editing = Editing::of("A=old-value\n");
    let work = editing.sandbox.work();
    symlink("secrets.env", editing.sandbox.path("link.env")).unwrap();
    symlink(&work, editing.sandbox.root().join("other")).unwrap();
    let other = editing.sandbox.root().join("other/secrets.env");
    let script = r#": > "$NOTES/ready"; while [ ! -e "$NOTES/go" ]; do sleep 0.02; done; echo B=2 >> "$1""#;
    let mut first = editing.command(script, &["secrets.env"]).stderr(Stdio::null()).spawn().unwrap();
    wait_until("editor", || editing.note("ready").exists());
    let memory = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir_in("/dev/shm").unwrap();
    for (path, runtime) in [
        (Path::new("secrets.env"), editing.memory()),
        (Path::new("link.env"), editing.memory()),
        (&other, editing.memory()),
        (Path::new("secrets.env"), memory.path()),
    ] {
        let mut second = editing.command(": > \"$NOTES/second\"", &[path.to_str().unwrap()]);
        let second = ended(second.env("XDG_RUNTIME_DIR", runtime));
        assert_eq!(second.code, 6, "{}", second.stderr);
        assert!(second.stderr.contains(&format!("process {}", first.id())), "{}", second.stderr);
        assert!(!editing.note("second").exists());
    }
    let discarding = ended(&mut editing.dotsops(&["edit", "--discard", "secrets.env"]));
    assert_eq!(discarding.code, 6, "{}", discarding.stderr);
    fs::write(editing.note("go"), "").unwrap();
    assert_eq!(wait(&mut first), 0);
    assert_eq!(editing.text(), "A=old-value\nB=2\n");
    assert_eq!(editing.edit(":").code, 0, "the lock is free again");
}

fn edit_among_mounts(editing: &Editing, mounts: &str, script: &str) -> Option<Ended> {
    Some(ended(&mut editing.among_mounts(mounts, &editing.command(script, &["secrets.env"]))?))
}

#[test]
fn row_42_a_full_disk_under_the_file_leaves_it_as_it_was_and_a_draft() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    // The file on a disk of 64 KiB, and hardly any of it free.
    let mounts = "cp secrets.env ../kept; mount -t tmpfs -o size=64k none .; cd ..; cd work; cp ../kept secrets.env; \
        dd if=/dev/zero of=rest bs=4k count=15 2>/dev/null || true; rm ../kept";
    let script = r#"printf 'B=' >> "$1"; head -c 30000 /dev/zero | tr '\0' x >> "$1"; cp secrets.env "$NOTES/before"
trap 'cp secrets.env "$NOTES/after"' EXIT"#;
    let wrapped = format!(
        "{mounts}; trap 'cp secrets.env {0}/after; ls -A > {0}/names' EXIT; set +e; \"$@\"; exit $?; :",
        editing.note("").display()
    );
    let Some(full) = edit_among_mounts(&editing, &wrapped, script) else { return };
    assert_eq!(full.code, 7, "{}", full.stderr);
    assert!(full.stderr.contains("No space left") && full.stderr.contains("--resume secrets.env"), "{}", full.stderr);
    assert_eq!(fs::read(editing.note("after")).unwrap(), before);
    assert_eq!(editing.noted("names"), "rest\nsecrets.env\n");
    assert!(editing.has_draft());
    editing.assert_no_plaintext(&["old-value", "xxxxxxxxxxxxxxxx"]);
}

/// Makes the state folder a disk that is full but for the lock.
const FULL_STATE: &str = "state=$HOME/.local/state/dotsops; mkdir -p $state; mount -t tmpfs -o size=16k none $state; \
    mkdir -p $state/locks $state/drafts; dd if=/dev/zero of=$state/rest bs=4k count=3 2>/dev/null || true";

#[test]
fn row_42_a_full_disk_under_the_draft_leaves_the_text_where_it_is_and_says_where() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let large = r#"printf 'B=canary+5f/3a"91e7' >> "$1"; head -c 30000 /dev/zero | tr '\0' x >> "$1""#;
    let Some(full) = edit_among_mounts(&editing, FULL_STATE, large) else { return };
    assert_eq!(full.code, 7, "{}", full.stderr);
    assert_eq!(editing.bytes(), before);
    let session = editing.sessions().pop().unwrap();
    assert!(full.stderr.contains(&format!("your text is still in {}", session.display())), "{}", full.stderr);
    assert!(fs::read_to_string(session.join("secrets.env")).unwrap().contains(CANARY));
    assert_eq!(session.metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn row_42_on_a_terminal_the_draft_can_be_tried_again() {
    let editing = Editing::of("A=old-value\n");
    let large = r#"printf 'B=canary+5f/3a"91e7' >> "$1"; head -c 30000 /dev/zero | tr '\0' x >> "$1""#;
    // Nobody but those who see the mount can make room on it: a helper does, when told.
    let helped = format!(
        "{FULL_STATE}; (while [ ! -e {0}/go ]; do sleep 0.02; done; mount -o remount,size=1m none $state; : > {0}/made) & :",
        editing.note("").display()
    );
    let command = editing.command(large, &["secrets.env"]);
    let Some(mut among) = editing.among_mounts(&helped, &command) else { return };
    let mut pty = Pty::run(&mut among);
    pty.wait_for("No space left");
    pty.wait_for("What now?");
    fs::write(editing.note("go"), "").unwrap();
    pty.wait_until("room", || editing.note("made").exists());
    pty.type_keys("t\r");
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    assert!(editing.text().contains(CANARY));
    editing.assert_no_plaintext(&[CANARY, "old-value"]);
}

#[test]
fn row_42_a_full_scratch_folder_changes_nothing() {
    let text: String = (0..2000).map(|number| format!("KEY_{number}=old-value\n")).collect();
    let editing = Editing::of(&text);
    let before = editing.bytes();
    let mounts = "mount -t tmpfs -o size=16k,mode=700 none $XDG_RUNTIME_DIR";
    let Some(full) = edit_among_mounts(&editing, mounts, ": > \"$NOTES/ran\"") else { return };
    assert_eq!(full.code, 7, "{}", full.stderr);
    assert!(full.stderr.contains("No space left"), "{}", full.stderr);
    assert!(!editing.note("ran").exists() && !editing.has_draft());
    assert_eq!(editing.bytes(), before);
}

#[test]
fn row_42_a_limit_on_file_sizes_does_not_kill_us_over_the_plaintext() {
    let text: String = (0..500).map(|number| format!("KEY_{number}=old-value-{number}\n")).collect();
    let editing = Editing::of(&text);
    let before = editing.bytes();
    // The text fits (about 11 KiB), the encrypted file (about 60 KiB) and the draft do not.
    let edit = editing.command(APPENDS, &["secrets.env"]);
    let mut limited = editing.sandbox.program(Path::new("/bin/sh"));
    limited.args(["-c", "ulimit -f 40; exec \"$@\"", "sh"]).arg(edit.get_program()).args(edit.get_args());
    limited.env("XDG_RUNTIME_DIR", editing.memory());
    let ended = ended(&mut limited);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert_eq!(editing.bytes(), before);
    let session = editing.sessions().pop().unwrap();
    assert!(ended.stderr.contains(session.to_str().unwrap()), "{}", ended.stderr);
}

#[test]
fn row_43_what_could_not_be_replaced_is_refused_before_anything_is_decrypted() {
    let editing = Editing::of("A=old-value\n");
    let refused = |said: &str| {
        let ended = editing.edit(": > \"$NOTES/ran\"");
        assert_eq!(ended.code, 6, "{}", ended.stderr);
        assert!(ended.stderr.contains(said) && ended.stderr.contains("nothing was decrypted"), "{}", ended.stderr);
        assert!(!editing.note("ran").exists());
    };
    let path = editing.sandbox.path("secrets.env");
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    refused("read-only (mode 0444)");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(&path, editing.sandbox.path("second.env")).unwrap();
    refused("has 2 hard links");
    fs::remove_file(editing.sandbox.path("second.env")).unwrap();

    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(editing.sandbox.work(), Permissions::from_mode(0o555)).unwrap();
        refused("its directory cannot be written");
        fs::set_permissions(editing.sandbox.work(), Permissions::from_mode(0o755)).unwrap();
    }
    let mounts = "mount --bind . .; mount -o remount,bind,ro .; cd ..; cd work";
    let Some(read_only) = edit_among_mounts(&editing, mounts, ": > \"$NOTES/ran\"") else { return };
    assert_eq!(read_only.code, 6, "{}", read_only.stderr);
    assert!(read_only.stderr.contains("its directory cannot be written"), "{}", read_only.stderr);
    assert!(!editing.note("ran").exists());
}

#[test]
fn row_43_a_file_that_is_a_mount_of_its_own_is_left_and_the_edit_kept() {
    let editing = Editing::of("A=old-value\n");
    let before = editing.bytes();
    let Some(ended) = edit_among_mounts(&editing, "mount --bind secrets.env secrets.env", APPENDS) else { return };
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(ended.stderr.contains("mount point") && ended.stderr.contains("--resume secrets.env"), "{}", ended.stderr);
    assert_eq!(editing.bytes(), before);
    assert_eq!(fs::read_dir(editing.sandbox.work()).unwrap().count(), 2, "nothing is left beside it");
    assert_eq!(editing.resume(":").code, 0);
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"));
}

#[test]
fn row_43_a_links_target_is_replaced_and_mode_and_group_stay() {
    let editing = Editing::of("A=old-value\n");
    fs::create_dir(editing.sandbox.path("real")).unwrap();
    let real = editing.sandbox.path("real/prod.env");
    fs::rename(editing.sandbox.path("secrets.env"), &real).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    let folder = real.parent().unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder, None, Some(12345)).unwrap();
    }
    fs::set_permissions(folder, Permissions::from_mode(0o2755)).unwrap();
    let group = real.metadata().unwrap().gid();
    symlink("real/prod.env", editing.sandbox.path("secrets.env")).unwrap();
    let ended = editing.edit(APPENDS);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("real/prod.env"), "the link is said: {}", ended.stderr);
    assert!(editing.sandbox.path("secrets.env").is_symlink());
    let after = real.metadata().unwrap();
    assert_eq!((after.mode() & 0o7777, after.gid()), (0o640, group));
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"));
}

#[test]
fn row_43_an_access_list_stays() {
    let editing = Editing::of("A=old-value\n");
    let path = editing.sandbox.path("secrets.env");
    // user::rw- user:12345:r-- group::r-- mask::r-- other::---
    let entries: [(u16, u16, u32); 5] = [(1, 6, u32::MAX), (2, 4, 12345), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let entry =
        |(tag, permission, id): (u16, u16, u32)| [&tag.to_le_bytes()[..], &permission.to_le_bytes(), &id.to_le_bytes()].concat();
    let list = [&2u32.to_le_bytes()[..], &entries.map(entry).concat()].concat();
    let set = rustix::fs::setxattr(&path, c"system.posix_acl_access", &list, rustix::fs::XattrFlags::empty());
    if !has(set.is_ok(), "the temporary folder knows no access lists") {
        return;
    }
    let ended = editing.edit(APPENDS);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut kept = [0; 256];
    let length = rustix::fs::getxattr(&path, c"system.posix_acl_access", &mut kept[..]).unwrap();
    assert_eq!(kept[..length], list);
    assert_eq!(editing.text(), format!("A=old-value\nB={CANARY}\n"));
}

#[test]
fn row_46_a_scratch_folder_that_does_not_qualify_is_not_used() {
    let editing = Editing::of("A=old-value\n");
    let open = editing.memory().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let link = editing.memory().join("link");
    let own = editing.memory().join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    symlink(&own, &link).unwrap();
    let disk = editing.sandbox.root().join("runtime");
    let strangers = editing.memory().join("strangers");
    let mut unfit = vec![(&open, "open to others"), (&link, "not a directory"), (&disk, "on a disk")];
    if rustix::process::geteuid().is_root() {
        fs::create_dir(&strangers).unwrap();
        fs::set_permissions(&strangers, Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&strangers, Some(12345), None).unwrap();
        unfit.push((&strangers, "owned by user 12345"));
    }
    for (chosen, said) in unfit {
        let mut command = editing.command(r#"echo "$1" > "$NOTES/path""#, &["secrets.env"]);
        let ended = ended(command.env("DOTSOPS_EDIT_DIR", chosen));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let is_on_disk = rustix::fs::statfs(&disk).unwrap().f_type != 0x0102_1994;
        if chosen != &disk || is_on_disk {
            assert!(ended.stderr.contains("DOTSOPS_EDIT_DIR") && ended.stderr.contains(said), "{}", ended.stderr);
            assert!(editing.noted("path").starts_with(editing.memory().join("dotsops").to_str().unwrap()));
        }
    }
    let mut command = editing.command(r#"echo "$1" > "$NOTES/path""#, &["secrets.env"]);
    assert_eq!(ended(command.env("DOTSOPS_EDIT_DIR", &own)).code, 0);
    assert!(editing.noted("path").starts_with(own.to_str().unwrap()));
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn row_46_without_any_memory_the_plaintext_is_kept_off_the_disk_unless_allowed() {
    let editing = Editing::of("A=old-value\n");
    let disk = editing.sandbox.root().join("disk");
    fs::create_dir(&disk).unwrap();
    if !has(rustix::fs::statfs(&disk).unwrap().f_type != 0x0102_1994, "the temporary folder is in memory") {
        return;
    }
    // The system's shared memory becomes a disk.
    let mounts = format!("mount --bind {} /dev/shm; unset XDG_RUNTIME_DIR", disk.display());
    let script = r#"echo "$1" > "$NOTES/path""#;
    let Some(refused) = edit_among_mounts(&editing, &mounts, script) else { return };
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-disk-plaintext"), "{}", refused.stderr);
    assert!(!editing.note("path").exists());
    let allowed = editing.command(script, &["--allow-disk-plaintext", "secrets.env"]);
    let Some(mut allowed) = editing.among_mounts(&mounts, &allowed) else { return };
    assert_eq!(ended(&mut allowed).code, 0);
    assert!(editing.noted("path").starts_with("/dev/shm/dotsops-"));
    editing.assert_no_plaintext(&["old-value"]);
}

#[test]
fn a_read_only_file_is_edited_by_force_and_stays_read_only() {
    let editing = Editing::of("A=old-value\n");
    let path = editing.sandbox.path("secrets.env");
    fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
    let refused = ended(&mut editing.command(APPENDS, &["secrets.env"]));
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    let forced = ended(&mut editing.command(APPENDS, &["--force", "secrets.env"]));
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o440);
    assert!(editing.text().ends_with(&format!("B={CANARY}\n")));
}
