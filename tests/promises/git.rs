//! git shows and merges encrypted files by name, in repositories that `dotsops init` alone made ready.

use std::os::unix::fs::PermissionsExt;

use crate::support::repository::{Repository, changed_lines};
use crate::support::sandbox::{STRANGER, ended};

const OURS: &[&[&str]] = &[&["set", "HOST", "db.internal"], &["set", "OURS", "1"]];
const THEIRS: &[&[&str]] = &[&["set", "PORT", "6432"], &["unset", "NAME"], &["set", "THEIRS", "2"]];
const BOTH: &str = "# canary-of-shop\nHOST=db.internal\nPORT=6432\n\nTOKEN=canary-1\nOURS=1\nTHEIRS=2\n";

/// The line of `name` in what git shows, without its sign.
fn line_of<'a>(shown: &'a str, name: &str) -> &'a str {
    let found = shown.lines().find(|line| line[line.len().min(1)..].starts_with(&format!("{name}=")));
    &found.unwrap_or_else(|| panic!("no {name} in {shown}"))[1..]
}

#[test]
fn a_changed_value_is_a_changed_line_whatever_shows_it_and_no_value_is_in_it() {
    let Some(repository) = Repository::new() else { return };
    let start = repository.git(&["show", "HEAD", "--", "secrets.env"]);
    repository.change(&[&["set", "TOKEN", "canary-2"]]);
    let diff = repository.git(&["diff"]);
    let [before, after] = [&start, &diff].map(|shown| line_of(shown, "TOKEN"));
    let now = diff.lines().find(|line| line.starts_with("+TOKEN=")).unwrap();
    assert_eq!(changed_lines(&diff), [format!("-{before}").as_str(), now], "{diff}");
    assert_eq!(before, after);
    assert!(line_of(&diff, "HOST") == line_of(&start, "HOST") && start.contains("\n+#<masked "), "{diff}");

    repository.git(&["stash", "-q"]);
    let stashed = repository.git(&["stash", "show", "-p", "--textconv"]);
    repository.git(&["stash", "pop", "-q"]);
    repository.git(&["add", "-A"]);
    let staged = repository.git(&["diff", "--cached"]);
    repository.commit("token");
    let shown = [repository.git(&["show"]), repository.git(&["log", "-p", "-1"]), stashed, staged];
    for shown in &shown {
        assert_eq!(changed_lines(shown), changed_lines(&diff), "{shown}");
    }

    // A new data key changes no value.
    repository.change(&[&["rotate", "secrets.env"]]);
    let rotated = repository.git(&["diff"]);
    let changed = changed_lines(&rotated);
    assert!(changed.len() == 2 && changed.iter().all(|line| line[1..].starts_with("data key: <masked ")), "{rotated}");
    repository.commit("rotate");
    // A value that returns has its old mask.
    repository.change(&[&["set", "TOKEN", "canary-1"]]);
    assert!(repository.git(&["diff"]).contains(&format!("\n+{before}\n")));

    let all = [repository.git(&["log", "-p"]), repository.git(&["diff", "HEAD~2"]), start, diff].concat();
    assert!(all.contains("+HOST=<masked ") && !all.contains("canary") && !all.contains("ENC["), "{all}");
    assert!(!all.contains("lastmodified") && !all.contains("sops_"), "{all}");
    let revealed = "diff.dotsops.textconv=".to_owned() + env!("CARGO_BIN_EXE_dotsops") + " textconv --reveal";
    let revealed = repository.git(&["-c", &revealed, "diff", "HEAD~2", "HEAD"]);
    assert_eq!(changed_lines(&revealed), ["-TOKEN=canary-1", "+TOKEN=canary-2"], "{revealed}");
}

#[test]
fn who_comes_and_who_goes_stands_in_the_log_by_name() {
    let Some(repository) = Repository::new() else { return };
    let rules = repository.sandbox.read(".sops.yaml");
    let both = rules.replacen("age: ", &format!("age:\n      - {STRANGER} # bob\n      - "), 1);
    repository.sandbox.write(".sops.yaml", &both);
    repository.change(&[&["updatekeys", "--yes", "secrets.env"]]);
    let joined = repository.git(&["diff", "secrets.env"]);
    assert_eq!(changed_lines(&joined), [format!("+recipient: {STRANGER} (bob)")], "{joined}");
    repository.commit("bob");
    repository.sandbox.write(".sops.yaml", &rules);
    repository.change(&[&["updatekeys", "--yes", "secrets.env"]]);
    let left = repository.git(&["diff", "secrets.env"]);
    assert_eq!(changed_lines(&left), [format!("-recipient: {STRANGER}")], "{left}");
}

#[test]
fn after_init_alone_merge_rebase_cherry_pick_and_stash_merge_by_name() {
    for how in ["merge", "rebase", "cherry-pick", "stash"] {
        let Some(repository) = Repository::new() else { return };
        repository.branch("theirs", THEIRS);
        repository.branch("ours", OURS);
        match how {
            "merge" => drop(repository.git(&["merge", "-q", "--no-edit", "theirs"])),
            "rebase" => drop(repository.git(&["rebase", "-q", "theirs"])),
            "cherry-pick" => drop(repository.git(&["cherry-pick", "theirs"])),
            _ => {
                repository.git(&["checkout", "-q", "main"]);
                repository.change(THEIRS);
                repository.git(&["stash", "-q"]);
                repository.git(&["merge", "-q", "ours"]);
                repository.git(&["stash", "pop", "-q"]);
            }
        }
        let plaintext = repository.dotsops(&["decrypt", "secrets.env"]);
        assert_eq!(plaintext.stdout, BOTH, "{how}: {}", plaintext.stderr);
    }
}

#[test]
fn a_plaintext_of_the_same_kind_is_shown_and_merged_as_git_does_it() {
    let Some(repository) = Repository::new() else { return };
    let lines = |first: &str, last: &str| format!("A={first}\n\n\n\n\nB={last}\n");
    let write = |text: String| drop(repository.sandbox.write("defaults.env", text));
    write(lines("1", "1"));
    repository.commit("defaults");
    for (name, text) in [("theirs", lines("1", "2")), ("both", lines("3", "2")), ("ours", lines("2", "1"))] {
        repository.git(&["checkout", "-q", "-b", name, "main"]);
        write(text);
        repository.commit(name);
    }
    assert_eq!(changed_lines(&repository.git(&["show"])), ["-A=1", "+A=2"]);
    repository.git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_eq!(repository.sandbox.read("defaults.env"), lines("2", "2"));
    assert_eq!(repository.try_git(&["merge", "-q", "both"]).code, 1);
    let text = repository.sandbox.read("defaults.env");
    assert_eq!(text, lines("2", "2").replacen("A=2\n", "<<<<<<< ours\nA=2\n=======\nA=3\n>>>>>>> theirs\n", 1));
    // Not so where a version is encrypted, or where it is no text.
    repository.git(&["merge", "--abort"]);
    repository.sandbox.write("binary", b"\0\n");
    for (ours, theirs) in [("defaults.env", "secrets.env"), ("secrets.env", "defaults.env"), ("binary", "binary")] {
        let refused = repository.dotsops(&["merge", "defaults.env", ours, theirs]);
        assert_eq!(refused.code, 129, "{ours} {theirs}");
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
}

#[test]
fn a_conflict_is_shown_by_name_and_no_program_runs_with_it() {
    let Some(repository) = Repository::new() else { return };
    repository.branch("theirs", &[&["set", "TOKEN", "canary-2"]]);
    repository.branch("ours", &[&["set", "TOKEN", "canary-3"]]);
    assert_eq!(repository.try_git(&["merge", "-q", "--no-edit", "theirs"]).code, 1);
    repository.git(&["add", "-A"]);
    let shown = repository.git(&["diff", "--cached", "HEAD"]);
    let marks: Vec<&str> = changed_lines(&shown).into_iter().map(|line| line.split_once('<').unwrap().0).collect();
    assert_eq!(marks, ["+#!dotsops mine TOKEN=", "+#!dotsops theirs TOKEN="], "{shown}");

    for arguments in [&["exec", "--", "env"][..], &["exec", "--literal", "--only", "HOST", "--", "env"]] {
        let refused = repository.dotsops(arguments);
        assert_eq!((refused.code, refused.stdout.as_str()), (125, ""), "{}", refused.stderr);
        for text in ["secrets.env, line 5: `TOKEN`", "nobody has decided", "hint: `dotsops edit secrets.env` shows both values"] {
            assert!(refused.stderr.contains(text), "{}", refused.stderr);
        }
    }
    let got = repository.dotsops(&["get", "TOKEN"]);
    assert_eq!((got.code, got.stdout.as_str()), (6, ""), "{}", got.stderr);
    assert!(got.stderr.contains("`TOKEN` has two values") && got.stderr.contains("dotsops edit secrets.env"), "{}", got.stderr);
    for arguments in [&["get", "HOST"][..], &["decrypt"]] {
        let read = repository.dotsops(arguments);
        assert_eq!(read.code, 0, "{}", read.stderr);
        assert!(read.stderr.contains("changed `TOKEN`, and nobody has decided yet"), "{}", read.stderr);
    }
    assert!(![&got.stderr, &shown].iter().any(|said| said.contains("canary")), "{shown}");
    // Resolved, it runs.
    repository.change(&[&["edit", "--allow-disk-plaintext", "--editor", "sed -i /^#!dotsops/d", "secrets.env"]]);
    assert_eq!(repository.dotsops(&["exec", "--", "printenv", "TOKEN"]).stdout, "canary-3\n");
}

#[test]
fn a_mark_that_anybody_could_have_added_keeps_no_program_from_running() {
    let Some(repository) = Repository::new() else { return };
    let file = repository.root.join("secrets.env");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("#!dotsops mine HOST=good\n#!dotsops theirs HOST=evil\n{text}")).unwrap();
    let ran = repository.dotsops(&["exec", "--", "printenv", "HOST"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains("good") && !ran.stdout.contains("evil"), "{}", ran.stdout);
}

#[test]
fn git_is_not_taken_out_of_the_folder_somebody_stands_in() {
    let Some(repository) = Repository::new() else { return };
    let (planted, ran) = (repository.root.join("git"), repository.root.join("ran"));
    std::fs::write(&planted, format!("#!/bin/sh\n: > '{}'\n", ran.display())).unwrap();
    std::fs::set_permissions(&planted, PermissionsExt::from_mode(0o755)).unwrap();
    for path in [":/usr/bin:/bin", ".:/usr/bin:/bin", ":", "."] {
        for arguments in [&["doctor"][..], &["diff"], &["init", "--yes"], &["updatekeys", "--yes"]] {
            ended(repository.sandbox.dotsops(arguments).current_dir(&repository.root).env("PATH", path));
            assert!(!ran.exists(), "PATH={path} dotsops {arguments:?}");
        }
    }
}

#[test]
fn who_clones_runs_init_once_and_sees_names_and_hashes_without_a_key_and_changes_no_file() {
    let Some(repository) = Repository::new() else { return };
    repository.change(&[&["set", "TOKEN", "canary-2"]]);
    repository.commit("token");
    let clone = repository.cloned();
    assert!(clone.git(&["log", "-p"]).contains("ENC["), "git shows the file as it stands until it is told better");
    let made = clone.dotsops(&["init"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let settings =
        "git config: added diff.dotsops.textconv, diff.dotsops.cachetextconv, merge.dotsops.name, merge.dotsops.driver\n";
    assert!(made.stdout.contains(settings), "{}", made.stdout);
    for kept in ["rule: line 2 of .sops.yaml", ".gitattributes: nothing to add", ".gitignore: nothing to add"] {
        assert!(made.stdout.contains(kept), "{}", made.stdout);
    }
    assert_eq!(clone.git(&["status", "--porcelain"]), "");
    let again = clone.dotsops(&["init"]);
    assert!(again.stdout.contains("git config: nothing to add\n"), "{}", again.stdout);

    let shown = clone.git(&["log", "-p", "-1"]);
    let changed = changed_lines(&shown);
    assert!(changed.len() == 2 && changed.iter().all(|line| line[1..].starts_with("TOKEN=<encrypted ")), "{shown}");
    assert!(shown.contains(" HOST=<encrypted ") && !shown.contains("masked"), "{shown}");
    let all = clone.git(&["log", "-p"]);
    assert!(all.contains("+recipient: age1") && !all.contains("ENC[") && !all.contains("canary"), "{all}");
    assert!(!clone.sandbox.home().join(".local/state/dotsops/mask-key").exists(), "there was nothing to mask");
    // Without a key nothing is merged either, and our version stays.
    clone.git(&["checkout", "-q", "-b", "other", "HEAD~1"]);
    clone.sandbox.write("clone/secrets.env", repository.sandbox.read("secrets.env").replacen("canary", "", 1));
    assert_ne!(clone.try_git(&["merge", "main"]).code, 0);
}

#[test]
fn a_mask_of_one_user_tells_another_nothing() {
    let Some(repository) = Repository::new() else { return };
    let clone = repository.cloned();
    let keys = clone.sandbox.home().join(".config/sops/age");
    std::fs::create_dir_all(&keys).unwrap();
    std::fs::copy(repository.sandbox.home().join(".config/sops/age/keys.txt"), keys.join("keys.txt")).unwrap();
    assert_eq!(clone.dotsops(&["init"]).code, 0);
    let [mine, theirs] = [&repository, &clone].map(|of| of.git(&["log", "-p", "--", "secrets.env"]));
    for name in ["HOST", "TOKEN"] {
        assert!(line_of(&mine, name).contains("<masked ") && line_of(&theirs, name).contains("<masked "));
        assert_ne!(line_of(&mine, name), line_of(&theirs, name));
    }
    let key = repository.sandbox.home().join(".local/state/dotsops/mask-key");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn settings_and_attributes_of_ones_own_stay_and_are_said() {
    let Some(repository) = Repository::empty("") else { return };
    repository.sandbox.write(".gitattributes", "* text=auto\n*.env -diff merge=union\n");
    repository.git(&["config", "--global", "diff.dotsops.cachetextconv", "true"]);
    repository.git(&["config", "merge.dotsops.driver", "mine %A"]);
    let made = repository.dotsops(&["init"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    for said in [
        ".gitattributes: added *.env text eol=lf\n",
        ".gitattributes: `diff` is `unset` for secrets.env, and stays so\n",
        ".gitattributes: `merge` is `union` for secrets.env, and stays so\n",
        "git config: added diff.dotsops.textconv, merge.dotsops.name\n",
        "git config: diff.dotsops.cachetextconv is `true`, and stays so\n",
        "git config: merge.dotsops.driver is `mine %A`, and stays so\n",
    ] {
        assert!(made.stdout.contains(said), "{said} {}", made.stdout);
    }
    assert_eq!(repository.git(&["config", "--get-all", "merge.dotsops.driver"]), "mine %A\n");
    assert!(repository.git(&["check-attr", "diff", "merge", "eol", "--", "a.env"]).ends_with("merge: union\na.env: eol: lf\n"));

    // A repository of an earlier time lacks one part alone; what another file includes counts.
    let Some(earlier) = Repository::empty("") else { return };
    earlier.sandbox.write(".gitattributes", "# encrypted files keep their line ends\n*.env text eol=lf\n");
    let included = earlier.sandbox.root().join("included");
    std::fs::write(&included, "[diff \"dotsops\"]\n\tcachetextconv = false\n").unwrap();
    earlier.git(&["config", "include.path", included.to_str().unwrap()]);
    let made = earlier.dotsops(&["init"]);
    assert!(made.stdout.contains(".gitattributes: added *.env diff=dotsops merge=dotsops\n"), "{}", made.stdout);
    let settings = "git config: added diff.dotsops.textconv, merge.dotsops.name, merge.dotsops.driver\n";
    assert!(made.stdout.contains(settings), "{}", made.stdout);
}

#[test]
fn worktrees_submodules_odd_names_and_another_repositorys_hook_lead_to_the_right_settings() {
    let Some(repository) = Repository::empty("a b's/[x]") else { return };
    let driver = |of: &Repository| of.try_git(&["config", "--local", "merge.dotsops.driver"]).stdout;
    // In a hook of another repository, git's variables lead to that one.
    let Some(other) = Repository::empty("") else { return };
    let mut command = repository.sandbox.dotsops(["init", "my secrets"]);
    let variables = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"].map(|name| (name, other.root.join(".git")));
    let made = ended(command.current_dir(&repository.root).envs(variables));
    assert_eq!(made.code, 2, "{}", made.stderr);
    let mut command = repository.sandbox.dotsops(["init", "my secrets.env.prod"]);
    let made = ended(command.current_dir(&repository.root).env("GIT_DIR", other.root.join(".git")));
    assert!(made.stdout.contains("git config: added diff.dotsops.textconv"), "{} {}", made.stdout, made.stderr);
    assert!(made.stdout.contains(r#"added "my secrets.env.prod" text eol=lf diff=dotsops merge=dotsops"#), "{}", made.stdout);
    assert!(driver(&repository).contains(" merge %O %A %B %P") && driver(&other).is_empty());
    assert!(repository.git(&["check-attr", "diff", "--", "my secrets.env.prod"]).ends_with("diff: dotsops\n"));

    // A file whose name is odd is shown and merged like any other.
    let name = "-x 'y' \"$(touch z)`touch z`;&%P.env";
    let rules = "creation_rules:\n  - age: ".to_owned() + crate::support::sandbox::RECIPIENT + "\n";
    std::fs::write(repository.root.join(".sops.yaml"), rules).unwrap();
    assert_eq!(repository.dotsops(&["init"]).code, 0);
    repository.sandbox.encrypted("made.env", "A=1\nB=1\n");
    std::fs::rename(repository.sandbox.path("made.env"), repository.root.join(name)).unwrap();
    repository.commit("start");
    let path = format!("./{name}");
    repository.branch("theirs", &[&["set", "-f", &path, "A", "2"]]);
    repository.branch("ours", &[&["set", "-f", &path, "B", "2"]]);
    assert!(repository.git(&["show"]).contains("+B=<masked "));
    repository.git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_eq!(repository.dotsops(&["decrypt", &path]).stdout, "A=2\nB=2\n");
    assert!(!repository.root.join("z").exists());

    // A worktree shares the settings; a submodule has its own.
    let tree = repository.sandbox.root().join("tree");
    repository.git(&["worktree", "add", "-q", tree.to_str().unwrap(), "-b", "tree"]);
    let made = ended(repository.sandbox.dotsops(["init"]).current_dir(&tree));
    assert!(made.stdout.contains("git config: nothing to add"), "{} {}", made.stdout, made.stderr);
    other.git(&["commit", "-q", "--allow-empty", "-m", "start"]);
    repository.git(&["submodule", "--quiet", "add", other.root.to_str().unwrap(), "sub"]);
    let made = ended(repository.sandbox.dotsops(["init"]).current_dir(repository.root.join("sub")));
    assert!(made.stdout.contains("git config: added diff.dotsops.textconv"), "{} {}", made.stdout, made.stderr);
}

#[test]
fn a_folder_that_git_takes_for_no_repository_leads_to_none_above() {
    let Some(repository) = Repository::empty("") else { return };
    std::fs::create_dir_all(repository.root.join("below/.git")).unwrap();
    let made = ended(repository.sandbox.dotsops(["init"]).current_dir(repository.root.join("below")));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("git refuses its settings") && made.stderr.contains("says why"), "{}", made.stderr);
    assert_eq!(repository.try_git(&["config", "--local", "merge.dotsops.driver"]).stdout, "");
}

#[test]
fn a_clone_whose_rules_are_for_other_files_is_made_ready_all_the_same() {
    let Some(repository) = Repository::empty("") else { return };
    let rules = repository.sandbox.read(".sops.yaml").replacen(r"\.env$", r"^prod\.env$", 1);
    repository.sandbox.write(".sops.yaml", rules);
    let made = repository.dotsops(&["init"]);
    assert!(made.code == 3 && made.stderr.contains("`dotsops rule secrets.env` says why"), "{}", made.stderr);
    assert!(made.stdout.contains("git config: added diff.dotsops.textconv"), "{}", made.stdout);
}

#[test]
fn outside_of_a_repository_and_without_git_init_says_what_is_missing() {
    let Some(repository) = Repository::empty("") else { return };
    let elsewhere = repository.sandbox.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let without = ended(repository.sandbox.dotsops(["init"]).current_dir(&elsewhere));
    assert!(without.code == 0 && without.stdout.contains("git: no repository here"), "{} {}", without.stdout, without.stderr);
    let without = ended(repository.sandbox.dotsops(["init"]).env("PATH", "/nonexistent"));
    assert!(without.code == 0 && without.stdout.contains("git: there is no program `git`"), "{}", without.stdout);
}

#[test]
fn init_runs_nothing_that_the_repositorys_configuration_names_and_fetches_nothing() {
    let Some(repository) = Repository::empty("") else { return };
    let ran = repository.sandbox.root().join("ran");
    let script = repository.sandbox.root().join("script");
    std::fs::write(&script, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\n", ran.display())).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    repository.sandbox.write(".env", "A=1\n");
    repository.git(&["add", "-f", ".env"]);
    repository.git(&["commit", "-q", "-m", "start"]);
    // A commit with a signature, which the log would have checked.
    let commit = repository.git(&["cat-file", "commit", "HEAD"]);
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n";
    std::fs::write(repository.root.join("commit"), commit.replacen("\n\n", &format!("\n{signature}"), 1)).unwrap();
    let signed = repository.git(&["hash-object", "-t", "commit", "-w", "commit"]);
    repository.git(&["update-ref", "HEAD", signed.trim()]);
    let script = script.to_str().unwrap();
    for (name, value) in [
        ("core.fsmonitor", script),
        ("gpg.program", script),
        ("log.showSignature", "true"),
        ("core.pager", script),
        ("core.sshCommand", script),
        ("core.editor", script),
        ("alias.config", &format!("!{script}")),
        ("diff.dotsops.command", script),
        ("remote.origin.url", "ssh://example.org/x"),
        ("remote.origin.promisor", "true"),
        ("extensions.partialClone", "origin"),
        ("core.repositoryformatversion", "1"),
    ] {
        repository.git(&["config", name, value]);
    }
    let _ = std::fs::remove_file(&ran);
    let made = repository.dotsops(&["init", "--yes"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("whoever has the history knows its values"), "{}", made.stderr);
    assert!(!ran.exists(), "{}", std::fs::read_to_string(&ran).unwrap());
    // What a partial clone lacks is not fetched either.
    let blob = repository.git(&["rev-parse", "HEAD:.env"]);
    let (folder, rest) = blob.trim().split_at(2);
    std::fs::remove_file(repository.root.join(".git/objects").join(folder).join(rest)).unwrap();
    let missing = repository.dotsops(&["diff", "HEAD:.env", ".env"]);
    assert_eq!(missing.code, 7, "{}", missing.stderr);
    assert!(!ran.exists(), "{}", std::fs::read_to_string(&ran).unwrap());
    // The traps are some: git itself falls into them.
    for trap in [&["log", "-1"][..], &["cat-file", "-p", "HEAD:.env"]] {
        repository.try_git(trap);
        assert!(std::fs::remove_file(&ran).is_ok(), "{trap:?}");
    }
}
