//! `dotsops doctor`: each finding where there is something to find, and none where there is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::document::{encrypted, metadata};
use crate::support::editing::Editing;
use crate::support::peers::{given, peer};
use crate::support::pty::Pty;
use crate::support::sandbox::{IDENTITY, RECIPIENT, STRANGER, ended};

const VALUE: &str = "canary-5f3a91e7";

/// One line of the report.
#[derive(Clone, Debug)]
struct Line {
    topic: String,
    level: String,
    text: String,
    hint: Option<String>,
}

/// A user with whom everything is as it should be.
fn healthy() -> Editing {
    let editing = Editing::of(&format!("A={VALUE}\n"));
    let keys = keys(&editing);
    fs::set_permissions(keys, Permissions::from_mode(0o600)).unwrap();
    let editor = "for file; do :; done\nprintf 'SECOND=1\\n' >> \"$file\"\n";
    script(&editing.sandbox.root().join("vim"), editor);
    // The state folder is there, as after any change.
    assert_eq!(editing.sandbox.run(&["set", "B", VALUE]).code, 0);
    editing
}

fn keys(editing: &Editing) -> PathBuf {
    editing.sandbox.home().join(".config/sops/age/keys.txt")
}

fn state(editing: &Editing) -> PathBuf {
    editing.sandbox.home().join(".local/state/dotsops")
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn command(editing: &Editing, arguments: &[&str]) -> Command {
    let mut command = editing.dotsops(&[&["doctor", "--format", "json"], arguments].concat());
    command.env("DOTSOPS_EDITOR", editing.sandbox.root().join("vim"));
    command
}

/// The report, whose exit code says whether something was found.
fn report(command: &mut Command) -> Vec<Line> {
    let ended = ended(command);
    assert_eq!(ended.stderr, "");
    assert!(!ended.stdout.contains(VALUE) && !ended.stdout.contains(&IDENTITY[16..32]), "{}", ended.stdout);
    let lines: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |line: &serde_json::Value, field: &str| line[field].as_str().map(str::to_owned);
    let lines: Vec<Line> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| Line {
            topic: text(line, "topic").unwrap(),
            level: text(line, "level").unwrap(),
            text: text(line, "text").unwrap(),
            hint: text(line, "do"),
        })
        .collect();
    assert!(lines.iter().all(|line| (line.level == "ok") == line.hint.is_none()), "{lines:#?}");
    let is_found = lines.iter().any(|line| line.level == "finding");
    assert_eq!(ended.code, i32::from(is_found), "{lines:#?}");
    lines
}

/// All of one level; what this machine swaps to is its own affair.
fn of_level<'a>(lines: &'a [Line], level: &str) -> Vec<&'a Line> {
    lines.iter().filter(|line| line.level == level && line.topic != "swap").collect()
}

fn assert_nothing_found(editing: &Editing) {
    let lines = report(&mut command(editing, &[]));
    assert!(of_level(&lines, "finding").is_empty(), "{lines:#?}");
}

/// Exactly one line of the level `level`: about `topic`, with `text`, and with `hint` to do.
fn assert_only(lines: &[Line], level: &str, (topic, text, hint): (&str, &str, &str)) {
    let found = of_level(lines, level);
    let [line] = found.as_slice() else { panic!("not one {level} about {text:?}: {lines:#?}") };
    assert!(line.topic == topic && line.text.contains(text), "{text:?}: {line:#?}");
    assert!(line.hint.as_ref().unwrap().contains(hint), "{hint:?}: {line:#?}");
}

/// What is done to a healthy user, and the one finding that makes.
type Case = (fn(&Editing), (&'static str, &'static str, &'static str));

fn check(cases: &[Case]) {
    for (spoil, expected) in cases {
        let editing = healthy();
        assert_nothing_found(&editing);
        spoil(&editing);
        assert_only(&report(&mut command(&editing, &[])), "finding", *expected);
    }
}

#[test]
fn where_all_is_well_everything_is_named_and_nothing_found() {
    let editing = healthy();
    let lines = report(&mut command(&editing, &[]));
    for (topic, text) in [
        ("dotsops", env!("CARGO_PKG_VERSION")),
        ("memory", "in memory"),
        ("process", "a crash dumps nothing"),
        ("identities", RECIPIENT),
        ("state", "/.local/state/dotsops"),
        ("editor", "-n -i NONE --cmd"),
        ("file", "secrets.env opens"),
        ("rule", "line 2 of "),
    ] {
        let is_said = |line: &Line| line.topic == topic && line.level == "ok" && line.text.contains(text);
        assert!(lines.iter().any(is_said), "{topic}: {text:?} is not in {lines:#?}");
    }
    assert!(of_level(&lines, "finding").is_empty() && of_level(&lines, "note").is_empty(), "{lines:#?}");
    let plain = ended(editing.dotsops(&["doctor"]).env("DOTSOPS_EDITOR", editing.sandbox.root().join("vim")));
    assert!(
        plain.stdout.starts_with("ok: dotsops: ") && plain.stdout.contains("\nok: file: secrets.env opens"),
        "{}",
        plain.stdout
    );
}

#[test]
fn an_identity_that_is_missing_damaged_or_open_to_others_is_found() {
    check(&[
        (
            |editing| fs::set_permissions(keys(editing), Permissions::from_mode(0o640)).unwrap(),
            ("identities", "keys.txt is open to others (mode 0640)", "`chmod 600 "),
        ),
        (
            |editing| fs::write(keys(editing), format!("{IDENTITY}\nAGE-SECRET-KEY-1QQQQ\n")).unwrap(),
            ("identities", "keys.txt: line 2", "correct it there"),
        ),
        (
            |editing| {
                fs::create_dir(editing.sandbox.home().join(".ssh")).unwrap();
                fs::write(editing.sandbox.home().join(".ssh/id_ed25519"), include_str!("../vectors/ssh/throwaway_ed25519"))
                    .unwrap();
                fs::set_permissions(editing.sandbox.home().join(".ssh/id_ed25519"), Permissions::from_mode(0o604)).unwrap();
            },
            ("identities", "id_ed25519 is open to others (mode 0604)", "`chmod 600 "),
        ),
    ]);
    let editing = healthy();
    fs::remove_file(keys(&editing)).unwrap();
    let lines = report(&mut command(&editing, &[]));
    let none = |line: &&Line| line.topic == "identities" && line.text.contains("you have none");
    assert!(of_level(&lines, "finding").into_iter().any(|line| none(&line)), "{lines:#?}");
}

#[test]
fn what_belongs_to_somebody_else_is_found() {
    let is_root = rustix::process::geteuid().is_root();
    if peer("root, who can give files away,", is_root.then(|| "/".into())).is_none() {
        return;
    }
    let give = |path: PathBuf| std::os::unix::fs::chown(path, Some(65534), None).unwrap();
    let cases: [(PathBuf, (&str, &str, &str)); 3] = [
        (".config/sops/age/keys.txt".into(), ("identities", "belongs to user 65534", "`ls -l ")),
        (".local/state/dotsops".into(), ("state", "belongs to user 65534", "chown")),
        ("../work/.sops.yaml".into(), ("rule", "it belongs to user 65534", "`ls -l ")),
    ];
    for (path, expected) in cases {
        let editing = healthy();
        give(editing.sandbox.home().join(path));
        assert_only(&report(&mut command(&editing, &[])), "finding", expected);
    }
}

#[test]
fn an_identity_in_the_environment_is_noted_and_not_shown() {
    let editing = healthy();
    let lines = report(command(&editing, &[]).env("SOPS_AGE_KEY", IDENTITY));
    assert_only(&lines, "note", ("identities", "SOPS_AGE_KEY holds an identity", "SOPS_AGE_KEY_FILE"));
    assert!(of_level(&lines, "finding").is_empty(), "{lines:#?}");
}

#[test]
fn nobody_is_asked_and_no_command_is_run_for_an_identity() {
    let editing = healthy();
    let locked = include_str!("../vectors/ssh/throwaway_ed25519_passphrase");
    fs::create_dir(editing.sandbox.home().join(".ssh")).unwrap();
    let key = editing.sandbox.home().join(".ssh/id_ed25519");
    fs::write(&key, locked).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let public = include_str!("../vectors/ssh/throwaway_ed25519_passphrase.pub").trim_end();
    editing.sandbox.write("locked.env", encrypted(b"A=1\n", metadata(&[public], None, false)).unwrap());
    let mut command = editing.dotsops(&["doctor", "locked.env"]);
    command.env("SOPS_AGE_KEY_CMD", format!("touch {}", editing.sandbox.path("ran").display()));
    let (_, shown) = Pty::run(&mut command).end();
    assert!(shown.contains("SOPS_AGE_KEY_CMD: a command, which is not run here"), "{shown}");
    assert!(!shown.contains("passphrase for") && !editing.sandbox.path("ran").exists(), "{shown}");
    assert!(shown.contains("locked.env"), "{shown}");
}

#[test]
fn a_state_folder_that_cannot_be_trusted_or_used_is_found() {
    check(&[
        (
            |editing| fs::set_permissions(state(editing), Permissions::from_mode(0o755)).unwrap(),
            ("state", "is open to others (mode 0755)", "`chmod 700 "),
        ),
        (
            |editing| {
                fs::remove_dir_all(state(editing)).unwrap();
                fs::write(state(editing), "").unwrap();
            },
            ("state", "is no folder", "move it away"),
        ),
        (|editing| symlink("/dev/null", state(editing).join("known")).unwrap(), ("state", "known is not used", "`rm -r ")),
        (|editing| fs::write(state(editing).join("known"), vec![0; 2 << 20]).unwrap(), ("state", "it is too large", "`rm -r ")),
    ]);
    let editing = healthy();
    let lines = report(command(&editing, &[]).env("XDG_STATE_HOME", "/proc/self"));
    assert_only(&lines, "finding", ("state", "/proc/self/dotsops cannot be made", "set XDG_STATE_HOME"));
    let lines = report(command(&editing, &[]).env_remove("HOME").env("SOPS_AGE_KEY", IDENTITY));
    assert_only(&lines, "finding", ("state", "no folder for locks and drafts", "set HOME"));
}

#[test]
fn a_state_folder_that_cannot_be_written_is_found_where_a_mode_means_anything() {
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        return crate::support::peers::say("not asked here: a mode keeps root from nothing");
    }
    check(&[(
        |editing| fs::set_permissions(state(editing), Permissions::from_mode(0o500)).unwrap(),
        ("state", "cannot be written", "`ls -ld "),
    )]);
}

#[test]
fn a_draft_is_found_with_its_age_and_so_is_what_is_none() {
    check(&[
        (
            |editing| {
                let edit = editing.edit("echo NEW=1 >> \"$1\"; exit 3");
                assert!(edit.code == 7 && editing.has_draft(), "{}", edit.stderr);
            },
            ("drafts", "secrets.env just now is not saved in it", "`dotsops edit --resume "),
        ),
        (
            |editing| {
                fs::create_dir_all(state(editing).join("drafts")).unwrap();
                fs::write(state(editing).join("drafts/0123"), "nonsense").unwrap();
            },
            ("drafts", "drafts/0123: the kept draft is damaged", "`rm "),
        ),
    ]);
}

#[test]
fn plaintext_of_a_killed_edit_is_found_and_left_where_it_is() {
    let editing = healthy();
    let session = editing.memory().join("dotsops/s-0123456789abcdef");
    fs::create_dir_all(&session).unwrap();
    for folder in [editing.memory().join("dotsops"), session.clone()] {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    }
    fs::write(session.join("owner.lock"), "").unwrap();
    fs::write(session.join("secrets.env"), "A=1\n").unwrap();
    assert_only(
        &report(&mut command(&editing, &[])),
        "finding",
        ("drafts", "s-0123456789abcdef", "the next command that writes a file"),
    );
    assert!(session.join("secrets.env").exists());
    // One whose edit still runs is none.
    let lock = fs::File::open(session.join("owner.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_nothing_found(&editing);
}

#[test]
fn an_editor_that_is_missing_or_whose_habits_are_not_known_is_found() {
    let editing = healthy();
    script(&editing.sandbox.root().join("ours"), "");
    let cases = [("../ours", "its habits are not known", "DOTSOPS_EDITOR"), ("no-such-editor -x", "is not there", "")];
    for (editor, text, hint) in cases {
        let lines = report(command(&editing, &[]).env("DOTSOPS_EDITOR", editor));
        assert_only(&lines, "finding", ("editor", text, hint));
    }
    // One that is told what it can be told, and may keep something all the same.
    script(&editing.sandbox.root().join("subl"), "");
    let lines = report(command(&editing, &[]).env("DOTSOPS_EDITOR", "../subl"));
    assert_only(&lines, "note", ("editor", "Sublime Text may keep unsaved text", "DOTSOPS_EDITOR"));
}

#[test]
fn an_editor_is_tried_out_on_a_text_that_is_no_secret() {
    let editing = healthy();
    let vim = editing.sandbox.root().join("vim");
    let check = |arguments: &[&str]| report(&mut command(&editing, arguments));
    let lines = check(&["--editor-check"]);
    assert!(lines.iter().any(|line| line.level == "ok" && line.text.contains("left no copy in your home")), "{lines:#?}");
    // It copies what it shows into a folder of the home: found only if it is tried out.
    let leaks =
        "for file; do :; done\nmkdir -p ~/.cache/deep\ncp \"$file\" ~/.cache/deep/copy\nprintf 'SECOND=1\\n' >> \"$file\"\n";
    script(&vim, leaks);
    assert_nothing_found(&editing);
    assert_only(&check(&["--editor-check"]), "finding", ("editor", ".cache/deep/copy", "take out of its configuration"));
    assert!(editing.sessions().is_empty(), "the text of the check is gone");
    // An editor that does not do what it is told proves nothing.
    fs::remove_dir_all(editing.sandbox.home().join(".cache")).unwrap();
    script(&vim, "exit 0\n");
    assert_only(&check(&["--editor-check"]), "note", ("editor", "did not save what it was told to type", "by hand"));
    script(&editing.sandbox.root().join("micro"), "exit 0\n");
    let lines = report(command(&editing, &["--editor-check"]).env("DOTSOPS_EDITOR", "../micro"));
    assert_only(&lines, "note", ("editor", "known of vim, neovim, nano and emacs only", "look for copies"));
}

#[test]
fn vim_and_neovim_are_told_to_keep_nothing_and_what_their_configuration_keeps_all_the_same_is_found() {
    for (name, settings) in [("vim", ".vimrc"), ("nvim", ".config/nvim/init.vim")] {
        let Some(program) = peer(name, which::which(name).ok()) else { continue };
        let editing = healthy();
        let rc = editing.sandbox.home().join(settings);
        fs::create_dir_all(rc.parent().unwrap()).unwrap();
        fs::create_dir(editing.sandbox.home().join("kept")).unwrap();
        let keeps = "set undofile backup writebackup swapfile undodir=~/kept backupdir=~/kept directory=~/kept\n";
        fs::write(&rc, keeps).unwrap();
        let check = || report(command(&editing, &["--editor-check"]).env("DOTSOPS_EDITOR", &program));
        let lines = check();
        assert!(lines.iter().any(|line| line.text.contains("left no copy in your home")), "{name}: {lines:#?}");
        assert!(of_level(&lines, "finding").is_empty(), "{name}: {lines:#?}");
        fs::write(&rc, format!("{keeps}autocmd BufWritePost * silent! call writefile(getline(1, '$'), expand('~/kept/copy'))\n"))
            .unwrap();
        assert_only(&check(), "finding", ("editor", "kept/copy", "take out of its configuration"));
    }
}

#[test]
fn emacs_is_tried_out_with_its_own_configuration() {
    let Some(program) = peer("emacs", which::which("emacs").ok()) else { return };
    let editing = healthy();
    let init = editing.sandbox.home().join(".emacs");
    fs::create_dir(editing.sandbox.home().join("kept")).unwrap();
    let keeps = "(setq backup-directory-alist '((\".\" . \"~/kept\")) auto-save-default t auto-save-file-name-transforms '((\".*\" \"~/kept/\" t)))
(savehist-mode 1) (recentf-mode 1) (setq savehist-additional-variables '(kill-ring search-ring))\n";
    fs::write(&init, keeps).unwrap();
    let check = || report(command(&editing, &["--editor-check"]).env("DOTSOPS_EDITOR", &program));
    let lines = check();
    assert!(lines.iter().any(|line| line.text.contains("left no copy in your home")), "{lines:#?}");
    assert!(of_level(&lines, "finding").is_empty(), "{lines:#?}");
    let copies = "(add-hook 'after-save-hook (lambda () (copy-file buffer-file-name \"~/kept/copy\" t)))\n";
    fs::write(&init, format!("{keeps}{copies}")).unwrap();
    assert_only(&check(), "finding", ("editor", "kept/copy", "take out of its configuration"));
    assert!(editing.sessions().is_empty());
}

#[test]
fn nano_is_tried_out_with_its_own_configuration() {
    let Some(nano) = peer("nano", which::which("nano").ok()) else { return };
    let editing = healthy();
    let home = editing.sandbox.home();
    fs::create_dir_all(home.join("kept")).unwrap();
    fs::create_dir_all(home.join(".local/share/nano")).unwrap();
    let keeps = format!("set backup\nset backupdir \"{}/kept\"\nset historylog\nset allow_insecure_backup\n", home.display());
    fs::write(home.join(".nanorc"), keeps).unwrap();
    let check = |program: &Path| {
        let mut doctor = command(&editing, &["--editor-check"]);
        doctor.env("DOTSOPS_EDITOR", program);
        // It finds root's home by its name.
        match rustix::process::geteuid().is_root() {
            true => editing.among_mounts("mount --bind \"$HOME\" ~root", &doctor).map(|mut doctor| report(&mut doctor)),
            false => Some(report(&mut doctor)),
        }
    };
    let Some(lines) = check(&nano) else { return };
    assert!(lines.iter().any(|line| line.text.contains("left no copy in your home")), "{lines:#?}");
    assert!(of_level(&lines, "finding").is_empty(), "{lines:#?}");
    // One that does not hear what it is told.
    let deaf = editing.sandbox.root().join("nano");
    script(&deaf, &format!("shift\nexec '{}' \"$@\"\n", nano.display()));
    let lines = check(&deaf).unwrap();
    let found = of_level(&lines, "finding");
    assert!(!found.is_empty() && found.iter().all(|line| line.topic == "editor" && line.text.contains("/kept/")), "{lines:#?}");
    assert!(editing.sessions().is_empty());
}

#[test]
fn a_file_that_is_not_encrypted_shut_tampered_with_or_ambiguous_is_found() {
    check(&[
        (
            |editing| drop(editing.sandbox.write("secrets.env", "A=1\n")),
            ("file", "secrets.env is not encrypted", "`dotsops encrypt -i "),
        ),
        (
            |editing| {
                let text = String::from_utf8(editing.bytes()).unwrap();
                editing.sandbox.write("secrets.env", text.replacen("tag:", "tag:A", 1));
            },
            ("file", "cannot decrypt secrets.env", "git log -p"),
        ),
        (
            |editing| {
                let text = String::from_utf8(editing.bytes()).unwrap();
                editing.sandbox.write("secrets.env", format!("B=\n{text}"));
            },
            ("file", "`B` stands more than once", "`dotsops edit secrets.env`"),
        ),
        (
            |editing| {
                let text = String::from_utf8(editing.bytes()).unwrap();
                editing.sandbox.write("secrets.env", format!("# by hand\n{text}"));
            },
            ("file", "comment stands in clear", "git log -p secrets.env"),
        ),
        (
            |editing| drop(editing.sandbox.write("secrets.env", "A=1\n<<<<<<< ours\nB=1\n=======\n>>>>>>> theirs\nsops_mac=x\n")),
            ("file", "secrets.env", ""),
        ),
    ]);
    let editing = healthy();
    editing.sandbox.write("secrets.env", encrypted(b"A=1\n", metadata(&[STRANGER], None, false)).unwrap());
    let lines = report(&mut command(&editing, &[]));
    let found: Vec<_> = of_level(&lines, "finding").iter().map(|line| (line.topic.as_str(), line.text.as_str())).collect();
    assert!(
        matches!(found.as_slice(), [("file", shut), ("rule", unnamed)]
        if shut.contains("none of your identities is a recipient") && unnamed.contains(STRANGER)),
        "{lines:#?}"
    );
    // Another file may be meant, or none.
    editing.sandbox.encrypted("other.env", "A=1\n");
    assert!(of_level(&report(&mut command(&editing, &["other.env"])), "finding").is_empty());
    fs::remove_file(editing.sandbox.path("secrets.env")).unwrap();
    let lines = report(&mut command(&editing, &[]));
    assert_only(&lines, "note", ("file", "no secrets.env", "`dotsops init`"));
    assert!(of_level(&lines, "finding").is_empty(), "{lines:#?}");
}

#[test]
fn a_rule_that_the_file_departs_from_or_that_does_not_name_me_is_found() {
    let rules: [Case; 6] = [
        (
            |editing| {
                let both = metadata(&[RECIPIENT, STRANGER], None, false);
                editing.sandbox.write("secrets.env", encrypted(b"A=1\n", both).unwrap());
            },
            ("rule", "recipients that no rule names: age1lggyhqrw2", "`dotsops updatekeys secrets.env`"),
        ),
        (
            |editing| {
                let rule = format!("creation_rules:\n  - age: {RECIPIENT}\n    encrypted_regex: ^A\n");
                editing.sandbox.write(".sops.yaml", rule);
            },
            ("rule", "encrypts other values than its rule says", "git log -p"),
        ),
        (
            |editing| drop(editing.sandbox.write(".sops.yaml", format!("creation_rules:\n  - agee: x\n    age: {RECIPIENT}\n"))),
            ("rule", "`agee` has no meaning", "correct it there"),
        ),
        (
            |editing| fs::set_permissions(editing.sandbox.path(".sops.yaml"), Permissions::from_mode(0o666)).unwrap(),
            ("rule", "everybody may write it", "`chmod go-w "),
        ),
        (|editing| drop(editing.sandbox.write(".sops.yaml", "creation_rules: [\n")), ("rule", ".sops.yaml: line 1", "")),
        (
            |editing| {
                fs::remove_file(editing.sandbox.path("secrets.env")).unwrap();
                editing.sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {STRANGER}\n"));
            },
            ("rule", "none of which is one of your identities", "`dotsops updatekeys`"),
        ),
    ];
    check(&rules);
    let editing = healthy();
    editing.sandbox.write(".sops.yaml", format!("creation_rules:\n  - path_regex: nothing\n    age: {RECIPIENT}\n"));
    let lines = report(&mut command(&editing, &[]));
    assert!(of_level(&lines, "finding").iter().any(|line| line.topic == "rule" && line.text.contains("no rule")), "{lines:#?}");
}

#[test]
fn a_driver_that_this_clone_does_not_know_is_found() {
    let editing = healthy();
    let git = |arguments: &[&str]| {
        let ended = ended(editing.sandbox.program(Path::new("git")).args(arguments));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    };
    git(&["init", "-q"]);
    assert_nothing_found(&editing);
    editing.sandbox.write(".gitattributes", "*.env merge=dotsops diff=dotsops\n");
    let lines = report(&mut command(&editing, &[]));
    let found: Vec<_> = of_level(&lines, "finding").iter().map(|line| line.text.as_str()).collect();
    assert!(
        matches!(found.as_slice(), [merge, diff] if merge.contains("merge.dotsops.driver") && diff.contains("diff.dotsops.textconv"))
    );
    git(&["config", "merge.dotsops.driver", "dotsops merge %O %A %B %P"]);
    git(&["config", "diff.dotsops.textconv", "dotsops textconv"]);
    assert_nothing_found(&editing);
    editing.sandbox.write(".gitattributes", "*.env merge=dotsops\n");
    let lines = report(&mut command(&editing, &[]));
    assert_only(&lines, "note", ("git", "diff.dotsops.textconv is set, but", ".gitattributes"));
    editing.sandbox.write(".gitattributes", "*.env merge=dotsops diff=dotsops\n");
    git(&["config", "diff.dotsops.textconv", "/elsewhere/prints"]);
    let lines = report(&mut command(&editing, &[]));
    assert_only(&lines, "note", ("git", "runs something else than dotsops: `/elsewhere/prints`", "--show-origin"));
}

#[test]
fn a_place_for_plaintext_that_is_not_fit_is_found() {
    let editing = healthy();
    let open = editing.memory().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let lines = report(command(&editing, &[]).env("DOTSOPS_EDIT_DIR", &open));
    assert_only(&lines, "finding", ("memory", "open to others (mode 0755", "0700"));
    let lines = report(command(&editing, &[]).env("XDG_RUNTIME_DIR", &open));
    assert_only(&lines, "note", ("memory", "is not used for plaintext: open to others", "XDG_RUNTIME_DIR"));
    assert!(of_level(&lines, "finding").is_empty(), "{lines:#?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_machine_without_memory_for_plaintext_and_one_that_swaps_in_the_open_are_found() {
    let editing = healthy();
    let disk = editing.sandbox.root().join("disk");
    fs::create_dir(&disk).unwrap();
    let mut without = command(&editing, &[]);
    without.env_remove("XDG_RUNTIME_DIR");
    let is_on_disk = ended(Command::new("stat").args(["-f", "-c", "%T"]).arg(&disk)).stdout.trim() != "tmpfs";
    if given(is_on_disk, "the temporary folder is in memory")
        && let Some(mut command) = editing.among_mounts(&format!("mount --bind '{}' /dev/shm", disk.display()), &without)
    {
        let lines = report(&mut command);
        assert_only(&lines, "finding", ("memory", "no folder in memory is found", "DOTSOPS_EDIT_DIR"));
    }
    // In a name space of its own even root is bound by this limit.
    if let Some(mut command) = editing.among_mounts("ulimit -l 0", &command(&editing, &[])) {
        let lines = report(&mut command);
        assert_only(&lines, "note", ("process", "does not let dotsops lock its keys in memory", "`ulimit -l`"));
    }
    let swaps = editing.sandbox.root().join("swaps");
    let mount = format!("mount --bind '{}' /proc/swaps", swaps.display());
    for (list, finding) in [
        ("Filename\n/dev/nothing9 partition 1 0 -2\n", Some("/dev/nothing9 is not encrypted")),
        ("Filename\n/dev/zram0 partition 1 0 100\n", None),
        ("Filename\n", None),
    ] {
        fs::write(&swaps, list).unwrap();
        let Some(mut command) = editing.among_mounts(&mount, &command(&editing, &[])) else { return };
        let lines = report(&mut command);
        let found: Vec<&Line> = lines.iter().filter(|line| line.topic == "swap").collect();
        let [line] = found.as_slice() else { panic!("{lines:#?}") };
        match finding {
            Some(text) => assert!(line.level == "finding" && line.text.contains(text), "{line:#?}"),
            None => assert_eq!(line.level, "ok", "{line:#?}"),
        }
    }
}

#[test]
fn nothing_is_changed_and_nothing_made() {
    let editing = Editing::without_file();
    let before = fs::read_dir(editing.sandbox.home()).unwrap().count();
    ended(&mut command(&editing, &["none.env"]));
    assert_eq!(fs::read_dir(editing.sandbox.home()).unwrap().count(), before);
    assert!(fs::read_dir(editing.memory()).unwrap().next().is_none());
    assert_eq!(fs::read_dir(editing.sandbox.work()).unwrap().count(), 1);
}
