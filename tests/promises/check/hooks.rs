//! What will be committed is looked at, not what lies in the work tree: as git's own hook, and under the pre-commit framework.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{STRANGER, rule, whole};
use crate::support::peers::peer;
use crate::support::repository::Repository;
use crate::support::sandbox::{Ended, ended};

/// A repository with a good commit, in which somebody without a key works.
fn repository() -> Option<Repository> {
    let repository = Repository::empty("")?;
    repository.sandbox.write(".sops.yaml", rule(""));
    repository.sandbox.write("secrets.env", whole());
    repository.sandbox.write("second.env", whole());
    repository.commit("good");
    Some(repository)
}

fn bad() -> String {
    whole().replacen("\nAPI_KEY=", "\nAPI_KEY=canary", 1)
}

fn staged(repository: &Repository, more: &[&str]) -> (i32, Vec<String>) {
    let ended = repository.dotsops(&[&["check", "--staged"], more].concat());
    (ended.code, ended.stdout.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect())
}

#[test]
fn what_is_staged_counts_whatever_lies_in_the_work_tree() {
    let Some(repository) = repository() else { return };
    let sandbox = &repository.sandbox;
    sandbox.write("secrets.env", bad());
    assert_eq!(staged(&repository, &[]), (0, vec![]), "nothing of it is staged");
    repository.git(&["add", "secrets.env"]);
    sandbox.write("secrets.env", whole());
    assert_eq!(staged(&repository, &[]), (1, vec!["secrets.env".to_owned()]));
    assert_eq!(staged(&repository, &["second.env", "none.env"]), (0, vec![]), "of named files those that git has");
    assert_eq!(staged(&repository, &["secrets.env", "second.env", "none.env"]).0, 1);
    assert_eq!(repository.dotsops(&["check"]).code, 0, "without --staged the work tree counts");

    repository.git(&["reset", "-q"]);
    sandbox.write("mistake.env", "A=canary\n");
    repository.git(&["add", "mistake.env"]);
    std::fs::remove_file(sandbox.path("mistake.env")).unwrap();
    assert_eq!(staged(&repository, &[]), (1, vec!["mistake.env".to_owned()]));
}

#[test]
fn a_staged_rule_or_example_is_about_every_file() {
    let Some(repository) = repository() else { return };
    let sandbox = &repository.sandbox;
    sandbox.write(".sops.yaml", rule("").replace(&format!(",{STRANGER}"), ""));
    assert_eq!(staged(&repository, &[]), (0, vec![]), "it is not staged");
    repository.git(&["add", ".sops.yaml"]);
    sandbox.write(".sops.yaml", rule(""));
    assert_eq!(staged(&repository, &[]), (1, ["second.env", "secrets.env"].map(str::to_owned).to_vec()));
    repository.git(&["reset", "-q"]);
    sandbox.write(".env.example", "NEW=\n");
    assert_eq!(staged(&repository, &[]).0, 0);
    repository.git(&["add", ".env.example"]);
    for named in [&[][..], &[".env.example"]] {
        assert_eq!(staged(&repository, named).1.len(), 2, "{named:?}");
    }
}

#[test]
fn the_first_commit_is_looked_at_too() {
    let Some(repository) = Repository::empty("") else { return };
    repository.sandbox.write(".sops.yaml", rule(""));
    repository.sandbox.write("secrets.env", bad());
    repository.git(&["add", "-A"]);
    assert_eq!(staged(&repository, &[]), (1, vec!["secrets.env".to_owned()]));
}

fn hook(repository: &Repository) {
    let program = env!("CARGO_BIN_EXE_dotsops");
    let hook = repository.sandbox.write(".git/hooks/pre-commit", format!("#!/bin/sh\nexec {program} check --staged\n"));
    std::fs::set_permissions(hook, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn as_gits_own_hook_it_keeps_a_bad_file_out_of_each_way_to_commit() {
    let Some(repository) = repository() else { return };
    hook(&repository);
    let sandbox = &repository.sandbox;
    let head = || repository.git(&["rev-parse", "HEAD"]);
    let start = head();
    let refused = |arguments: &[&str]| {
        let ended = repository.try_git(arguments);
        assert_ne!(ended.code, 0, "{arguments:?}");
        assert!(ended.stdout.contains("secrets.env:2") || ended.stderr.contains("secrets.env:2"), "{}", ended.stderr);
        assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"));
        assert_eq!(head(), start);
    };
    sandbox.write("secrets.env", bad());
    // git makes another index for these two.
    refused(&["commit", "-qam", "all"]);
    refused(&["commit", "-qm", "some", "secrets.env"]);
    sandbox.write("second.env", whole().replacen("\n\n", "\n", 1));
    let other = repository.try_git(&["commit", "-qm", "the other", "second.env"]);
    assert_eq!(other.code, 0, "{}{}", other.stdout, other.stderr);
    let start = head();
    repository.git(&["add", "-A"]);
    let bad = repository.try_git(&["commit", "-qm", "staged"]);
    assert_ne!(bad.code, 0);
    assert_eq!(head(), start);
    sandbox.write("secrets.env", whole());
    repository.git(&["add", "-A"]);
    sandbox.write("third.env", whole());
    repository.git(&["add", "third.env"]);
    let good = repository.try_git(&["commit", "-qm", "good"]);
    assert_eq!(good.code, 0, "{}{}", good.stdout, good.stderr);
}

/// pre-commit in a repository whose configuration names this one's hooks.
fn pre_commit(repository: &Repository, program: &Path, arguments: &[&str]) -> Ended {
    let bin = repository.sandbox.root().join("bin");
    let paths = [bin, program.parent().unwrap().to_owned()];
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(paths.into_iter().chain(std::env::split_paths(&inherited))).unwrap();
    let who = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "protocol.file.allow=always"];
    let (program, arguments) = match arguments {
        ["git", rest @ ..] => (Path::new("git"), [&who[..], rest].concat()),
        arguments => (program, arguments.to_vec()),
    };
    let cache = repository.sandbox.root().join("cache");
    let mut command = repository.sandbox.program(program);
    ended(
        command
            .args(arguments)
            .env("PATH", path)
            .env("PRE_COMMIT_HOME", cache)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "protocol.file.allow")
            .env("GIT_CONFIG_VALUE_0", "always"),
    )
}

#[test]
fn the_pre_commit_framework_runs_the_hook_as_this_repository_defines_it() {
    let Some(program) = peer("pre-commit", which::which("pre-commit").ok()) else { return };
    let Some(hooks) = Repository::empty("") else { return };
    std::fs::copy(".pre-commit-hooks.yaml", hooks.sandbox.path(".pre-commit-hooks.yaml")).unwrap();
    hooks.commit("hooks");
    let revision = hooks.git(&["rev-parse", "HEAD"]);
    let Some(repository) = repository() else { return };
    let sandbox = &repository.sandbox;
    std::fs::create_dir(sandbox.root().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dotsops"), sandbox.root().join("bin/dotsops")).unwrap();
    let config = format!(
        "repos:\n  - repo: {}\n    rev: {}\n    hooks:\n      - id: dotsops-check-system\n",
        hooks.root.display(),
        revision.trim()
    );
    sandbox.write(".pre-commit-config.yaml", config);
    repository.commit("with a hook");
    let installed = pre_commit(&repository, &program, &["install"]);
    assert_eq!(installed.code, 0, "{}{}", installed.stdout, installed.stderr);

    sandbox.write("secrets.env", bad());
    repository.git(&["add", "secrets.env"]);
    sandbox.write("secrets.env", whole());
    let refused = pre_commit(&repository, &program, &["git", "commit", "-qm", "bad"]);
    assert_ne!(refused.code, 0);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("secrets.env:2: `API_KEY` is in clear") && said.contains("Failed"), "{said}");
    assert!(!said.contains("canary"), "{said}");

    repository.git(&["add", "secrets.env"]);
    sandbox.write("new.env", whole());
    repository.git(&["add", "new.env"]);
    let taken = pre_commit(&repository, &program, &["git", "commit", "-qm", "good"]);
    assert_eq!(taken.code, 0, "{}{}", taken.stdout, taken.stderr);
    assert!(format!("{}{}", taken.stdout, taken.stderr).contains("Passed"), "{}", taken.stderr);
    // As CI runs it: nothing is staged then, and all files are named.
    let all = pre_commit(&repository, &program, &["run", "--all-files"]);
    assert_eq!(all.code, 0, "{}{}", all.stdout, all.stderr);
    sandbox.write("secrets.env", bad());
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "--no-verify", "-m", "bad"]);
    assert_ne!(pre_commit(&repository, &program, &["run", "--all-files"]).code, 0);
}
