use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;

use super::recovery::{Found, Pending, pending, recover};
use super::*;

struct World {
    folder: TempDir,
}

impl World {
    /// Three files in two folders.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("work/sub")).unwrap();
        let world = Self { folder };
        NAMES.iter().for_each(|name| fs::write(world.path(name), format!("old {name}")).unwrap());
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn texts(&self) -> Vec<String> {
        NAMES.iter().map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).collect()
    }

    fn planned(&self) -> Vec<Planned> {
        let planned = |name: &&str| Planned {
            path: self.path(name),
            bytes: SecretBytes::copy_of(format!("new {name}").as_bytes()),
            before: FileDigest::of(format!("old {name}").as_bytes()),
        };
        NAMES.iter().map(planned).collect()
    }

    fn replace(&self) -> Result<Durability, JournalError> {
        replace_all(Some(&self.state()), "rotate", self.planned(), &mut |_, _| {})
    }

    /// What a process leaves that was killed when its log was complete.
    fn killed(&self) {
        let planned = self.planned();
        let old: Vec<SecretBytes> = planned.iter().map(|file| SecretBytes::copy_of(&fs::read(&file.path).unwrap())).collect();
        let paths: Vec<PathBuf> = planned.iter().map(|file| file.path.canonicalize().unwrap()).collect();
        let files = paths.iter().zip(&old).zip(&planned).map(|((path, old), new)| (path.as_path(), old, &new.bytes));
        Log::write(&folder(&self.state()), "rotate", files).unwrap();
    }

    fn recovered(&self) -> Vec<String> {
        let mut all = Vec::new();
        recover(&self.state(), &mut |found| {
            let path =
                |path: &PathBuf| path.strip_prefix(self.folder.path().canonicalize().unwrap()).unwrap().display().to_string();
            let left = |left: &[PathBuf]| left.iter().map(path).collect::<Vec<_>>().join(" ");
            all.push(match found {
                Found::RolledBack => "rolled back".to_owned(),
                Found::Finished { verb, files, left: of } => format!("finished {verb} of {files}, not {}", left(of)),
                Found::PutBack { verb, files, path: of, left: alone, .. } => {
                    format!("put back {verb} of {files} for {}, not {}", path(of), left(alone))
                }
                Found::Stuck { verb, files, path: of, .. } => format!("stuck {verb} of {files} at {}", path(of)),
                Found::Damaged { .. } => "damaged".to_owned(),
            });
        });
        all
    }

    fn log(&self) -> PathBuf {
        fs::read_dir(folder(&self.state())).unwrap().next().unwrap().unwrap().path()
    }
}

const NAMES: [&str; 3] = ["a.env", "sub/b.env", "c.env"];
const OLD: [&str; 3] = ["old a.env", "old sub/b.env", "old c.env"];
const NEW: [&str; 3] = ["new a.env", "new sub/b.env", "new c.env"];

#[test]
fn all_files_are_replaced_with_their_modes_and_no_log_is_left() {
    let world = World::new();
    fs::set_permissions(world.path("c.env"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("c.env", world.path("link")).unwrap();
    let mut planned = world.planned();
    planned[2].path = world.path("link");
    let mut told = Vec::new();
    replace_all(Some(&world.state()), "rotate", planned, &mut |done, of| told.push((done, of))).unwrap();
    assert_eq!(world.texts(), NEW);
    assert_eq!(fs::metadata(world.path("c.env")).unwrap().mode() & 0o777, 0o640);
    assert!(world.path("link").is_symlink());
    assert_eq!(told, [(0, 3), (1, 3), (2, 3)]);
    assert!(!folder(&world.state()).exists() && world.recovered().is_empty());
}

#[test]
fn without_a_state_folder_one_file_is_replaced_and_several_are_refused() {
    let world = World::new();
    let several = replace_all(None, "rotate", world.planned(), &mut |_, _| {});
    assert!(matches!(several, Err(JournalError::NoState { files: 3 })));
    let one = world.planned().into_iter().take(1).collect();
    replace_all(None, "rotate", one, &mut |_, _| {}).unwrap();
    assert_eq!(world.texts(), [NEW[0], OLD[1], OLD[2]]);
}

#[test]
fn a_file_that_cannot_be_replaced_is_found_before_any_is() {
    let path_of = |world: &World| match world.replace() {
        Err(JournalError::NotReplaced { path, .. } | JournalError::Lock { path, .. }) => path,
        other => panic!("{:?}", other.err()),
    };
    let world = World::new();
    fs::write(world.path("c.env"), "theirs").unwrap();
    assert_eq!(path_of(&world), world.path("c.env"));
    assert_eq!(world.texts(), [OLD[0], OLD[1], "theirs"]);

    let world = World::new();
    fs::remove_file(world.path("c.env")).unwrap();
    assert_eq!(path_of(&world), world.path("c.env"));

    let world = World::new();
    fs::hard_link(world.path("sub/b.env"), world.path("twin")).unwrap();
    assert_eq!(path_of(&world), world.path("sub/b.env"));
    assert_eq!(world.texts(), OLD);

    let world = World::new();
    fs::set_permissions(world.path("c.env"), fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(path_of(&world), world.path("c.env"));
    assert_eq!(world.texts(), OLD);

    let world = World::new();
    let lock = FileLock::acquire(&world.state(), &world.path("c.env")).unwrap();
    assert_eq!(path_of(&world), world.path("c.env"));
    drop(lock);
    assert_eq!(world.texts(), OLD);
    assert!(!folder(&world.state()).exists());
    world.replace().unwrap();
    assert_eq!(world.texts(), NEW);
}

#[test]
fn whatever_was_replaced_by_the_time_of_a_kill_the_next_one_finishes() {
    for replaced in 0_usize..8 {
        let world = World::new();
        world.killed();
        for at in (0..3).filter(|at| replaced >> at & 1 == 1) {
            fs::write(world.path(NAMES[at]), NEW[at]).unwrap();
        }
        let before = world.texts();
        assert_eq!(pending(&world.state()), [Pending { verb: "rotate".to_owned(), files: 3 }]);
        assert_eq!(world.texts(), before, "who only asks changes nothing");
        assert_eq!(world.recovered(), ["finished rotate of 3, not "]);
        assert_eq!(world.texts(), NEW);
        assert!(!folder(&world.state()).exists() && pending(&world.state()).is_empty());
    }
}

#[test]
fn what_somebody_changed_removed_or_led_elsewhere_meanwhile_is_left_alone() {
    let world = World::new();
    world.killed();
    fs::write(world.path("c.env"), "theirs").unwrap();
    // A folder that is a link now leads to a file with the same bytes, which is none of the change's.
    fs::rename(world.path("sub"), world.path("moved")).unwrap();
    symlink("moved", world.path("sub")).unwrap();
    assert_eq!(world.recovered(), ["finished rotate of 3, not work/sub/b.env work/c.env"]);
    assert_eq!(world.texts(), [NEW[0], OLD[1], "theirs"]);

    let world = World::new();
    world.killed();
    fs::remove_dir_all(world.folder.path().join("work")).unwrap();
    assert_eq!(world.recovered(), ["finished rotate of 3, not work/a.env work/sub/b.env work/c.env"]);
    assert!(pending(&world.state()).is_empty());
}

#[test]
fn what_a_power_cut_made_of_a_new_file_is_no_change_of_somebody_else() {
    let torn: [&[u8]; 4] = [b"", b"\0\0\0\0\0\0\0\0\0", b"new \0\0\0\0\0", b"new a"];
    for torn in torn {
        let world = World::new();
        world.killed();
        fs::write(world.path("a.env"), torn).unwrap();
        assert_eq!(world.recovered(), ["finished rotate of 3, not "], "{torn:?}");
        assert_eq!(world.texts(), NEW);
    }
}

#[test]
fn a_file_that_cannot_be_replaced_any_more_has_the_others_put_back() {
    let world = World::new();
    world.killed();
    fs::write(world.path("a.env"), NEW[0]).unwrap();
    fs::set_permissions(world.path("c.env"), fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(world.recovered(), ["put back rotate of 3 for work/c.env, not "]);
    assert_eq!(world.texts(), OLD);
    assert!(world.recovered().is_empty());
}

#[test]
fn what_can_be_neither_finished_nor_put_back_is_tried_again() {
    let world = World::new();
    world.killed();
    fs::write(world.path("a.env"), NEW[0]).unwrap();
    for name in ["a.env", "c.env"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o444)).unwrap();
    }
    assert_eq!(world.recovered(), ["stuck rotate of 3 at work/c.env"]);
    // Another change of other files does not wait for it.
    let other = |name: &str| {
        fs::write(world.path(name), "old").unwrap();
        Planned { path: world.path(name), bytes: SecretBytes::copy_of(b"new"), before: FileDigest::of(b"old") }
    };
    replace_all(Some(&world.state()), "updatekeys", vec![other("x.env"), other("y.env")], &mut |_, _| {}).unwrap();
    for name in ["a.env", "c.env"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(world.recovered(), ["finished rotate of 3, not "]);
    assert_eq!(world.texts(), NEW);
}

#[test]
fn while_one_of_its_files_is_edited_a_change_waits() {
    let world = World::new();
    world.killed();
    let lock = FileLock::acquire(&world.state(), &world.path("c.env")).unwrap();
    assert_eq!(world.recovered(), ["stuck rotate of 3 at work/c.env"]);
    assert_eq!(world.texts(), OLD);
    drop(lock);
    assert_eq!(world.recovered(), ["finished rotate of 3, not "]);
}

#[test]
fn a_log_that_was_cut_or_changed_replaces_nothing() {
    let whole = {
        let world = World::new();
        world.killed();
        fs::read(world.log()).unwrap()
    };
    for at in 0..whole.len() {
        let world = World::new();
        world.killed();
        let mut changed = fs::read(world.log()).unwrap();
        changed[at] ^= 0x41;
        for bytes in [&changed, &changed[..at]] {
            fs::write(world.log(), bytes).unwrap();
            assert_eq!(world.recovered(), ["damaged"], "byte {at}");
            assert_eq!(world.texts(), OLD, "byte {at}");
        }
    }
}

#[test]
fn a_log_that_was_not_completed_is_dropped_and_said_to_be() {
    let world = World::new();
    world.killed();
    fs::rename(world.log(), world.log().with_extension("new")).unwrap();
    assert!(pending(&world.state()).is_empty());
    assert_eq!(world.recovered(), ["rolled back"]);
    assert_eq!(world.texts(), OLD);
    assert!(!folder(&world.state()).exists());
}
