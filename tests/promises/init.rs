//! `init` makes a repository ready, says what it did, and does nothing twice.

mod plaintext;
mod recovery;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::support::sandbox::{Ended, RECIPIENT, Sandbox, ended};

fn git(sandbox: &Sandbox, arguments: &[&str]) -> Ended {
    let mut command = sandbox.program(Path::new("git"));
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(arguments);
    let ended = ended(&mut command);
    assert_eq!(ended.code, 0, "git {arguments:?}: {}", ended.stderr);
    ended
}

/// git is part of what a developer has; without it these tests have no subject.
fn repository() -> Option<Sandbox> {
    crate::support::peers::peer("git", which::which("git").ok())?;
    let sandbox = Sandbox::empty();
    git(&sandbox, &["init", "-q"]);
    Some(sandbox)
}

/// Every file and folder below `folder`: mode, time of the last change, and bytes.
fn everything_below(folder: &Path) -> BTreeMap<String, (u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let bytes = if metadata.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            found.insert(path.display().to_string(), (metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), bytes));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn running_it_again_changes_no_byte_no_mode_and_no_time_anywhere() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "A=canary\n");
    sandbox.write(".gitignore", "*.env\n");
    assert_eq!(sandbox.run(&["init", "--yes"]).code, 0);
    git(&sandbox, &["add", "-A"]);
    let before = everything_below(sandbox.root());
    for arguments in [&["init", "--yes"][..], &["init"], &["init", "--dry-run"]] {
        let again = sandbox.run(arguments);
        assert_eq!(again.code, 0, "{}", again.stderr);
        assert!(everything_below(sandbox.root()) == before, "{arguments:?} changes something");
        assert!(!again.stdout.contains("would add") && !again.stdout.contains("added"), "{}", again.stdout);
    }
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_the_run_behind_it_does() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "TOKEN=canary\nPORT_unencrypted=1\n");
    git(&sandbox, &["add", "-f", ".env"]);
    git(&sandbox, &["commit", "-qm", "oops"]);
    let before = everything_below(sandbox.root());
    for arguments in [
        &["init", "--dry-run"][..],
        &["init", "-n", "--yes", "--allow-plaintext", "PORT*"],
        &["init", "-n", "--recovery", RECIPIENT],
    ] {
        let said = sandbox.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        assert!(everything_below(sandbox.root()) == before, "{arguments:?} changes something");
        for text in [
            "identity: would be new in ",
            "rule: would be new in .sops.yaml",
            ".gitignore: would add .env, .env.local",
            ".gitattributes: would add *.env text",
            "git config: would add diff.dotsops.textconv",
            "secrets.env: would be made from .env",
            "to do: git rm --cached .env",
            "to do: change these at their source: TOKEN",
        ] {
            assert!(said.stdout.contains(text), "{arguments:?}, `{text}`: {}", said.stdout);
        }
        let asks = said.stdout.contains("would stay in clear, if you agree: PORT_unencrypted");
        assert_eq!(asks, !arguments.contains(&"--allow-plaintext"), "{}", said.stdout);
    }
    let done = sandbox.run(&["init", "--yes", "--allow-plaintext", "*"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for path in [".sops.yaml", ".gitignore", ".gitattributes", "secrets.env"] {
        assert!(sandbox.path(path).exists(), "{path}");
    }
}

fn everything(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(sandbox.work())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_newcomer_gets_an_identity_a_rule_and_an_encrypted_file_and_the_second_run_changes_nothing() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "A=canary\nexport B='x y'\n");
    let first = sandbox.run(&["init", "--yes"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(sandbox.read(".sops.yaml").contains(r"path_regex: \.env$"));
    assert!(sandbox.read(".gitattributes").contains("*.env text eol=lf"));
    assert!(!sandbox.read("secrets.env").contains("canary"));
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, "A=canary\nexport B='x y'\n");
    assert!(sandbox.path(".env").exists(), "nobody agreed to delete the plaintext");
    let before = everything(&sandbox);
    let second = sandbox.run(&["init", "--yes"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(everything(&sandbox), before);
    assert!(second.stderr.contains("still there in clear"), "{}", second.stderr);
    assert!(git(&sandbox, &["status", "--porcelain"]).stdout.contains("secrets.env"));
    assert!(!git(&sandbox, &["status", "--porcelain"]).stdout.contains(" .env\n"));
}

#[test]
fn without_a_terminal_nothing_is_encrypted_unasked() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "A=1\n");
    let ended = sandbox.run(&["init"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!sandbox.path("secrets.env").exists());
    assert!(ended.stdout.contains("dotsops encrypt -o secrets.env .env"), "{}", ended.stdout);
}

#[test]
fn a_plaintext_that_git_ever_tracked_is_called_public_with_the_names_to_change() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "TOKEN=canary\nEMPTY=\n");
    git(&sandbox, &["add", "-f", ".env"]);
    git(&sandbox, &["commit", "-qm", "oops"]);
    let ended = sandbox.run(&["init", "--yes"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("whoever has the history knows its values"), "{}", ended.stderr);
    assert!(ended.stdout.contains("git rm --cached .env"), "{}", ended.stdout);
    assert!(ended.stdout.contains("change these at their source: TOKEN\n"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"));

    // Taken out of the index, it is still in the history.
    git(&sandbox, &["rm", "-q", "--cached", ".env"]);
    git(&sandbox, &["commit", "-qm", "out"]);
    std::fs::remove_file(sandbox.path("secrets.env")).unwrap();
    let again = sandbox.run(&["init", "--yes"]);
    assert!(again.stderr.contains("whoever has the history knows its values"), "{}", again.stderr);
    assert!(!again.stdout.contains("git rm"), "{}", again.stdout);
}

#[test]
fn an_ignored_encrypted_file_is_let_into_git_again() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".gitignore", "*.env\n");
    let ended = sandbox.run(&["init"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sandbox.read(".gitignore").ends_with("!secrets.env\n"));
    sandbox.encrypted("secrets.env", "A=1\n");
    assert!(git(&sandbox, &["status", "--porcelain"]).stdout.contains("?? secrets.env"));
}

#[test]
fn rules_that_are_there_are_kept_and_one_that_is_missing_is_spelled_out() {
    let Some(sandbox) = repository() else { return };
    let rules = format!("# ours\ncreation_rules:\n  - path_regex: \\.yaml$\n    age: {RECIPIENT}\n");
    sandbox.write(".sops.yaml", &rules);
    let ended = sandbox.run(&["init"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert_eq!(sandbox.read(".sops.yaml"), rules);
    let rule = ended.stderr.split("this rule: `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    sandbox.write(".sops.yaml", format!("{rules}  {rule}\n"));
    let again = sandbox.run(&["init"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.contains("rule: line 5 of .sops.yaml"), "{}", again.stdout);
}

#[test]
fn a_name_that_is_no_dotenv_is_refused_before_anything_is_made() {
    let Some(sandbox) = repository() else { return };
    let ended = sandbox.run(&["init", "prod.yaml"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("prod.yaml: yaml files are not supported yet"), "{}", ended.stderr);
    assert!(!sandbox.path(".sops.yaml").exists());
}

#[test]
fn lines_that_cannot_be_stored_are_mended_by_the_command_that_is_named() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "A=1\nB\n");
    let refused = sandbox.run(&["init", "--yes"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    let command = "dotsops encrypt --fix -o secrets.env .env";
    assert!(refused.stderr.contains(command), "{}", refused.stderr);
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(sandbox.run(&arguments).code, 0);
    assert_eq!(sandbox.run(&["decrypt"]).stdout, "A=1\n#B\n");
    sandbox.write(".env", "sops_x=1\n");
    assert!(!sandbox.run(&["encrypt", ".env"]).stderr.contains("--fix"), "it cannot mend that");
}

#[test]
fn an_identity_in_the_work_tree_is_warned_about() {
    let Some(sandbox) = repository() else { return };
    let ended = sandbox.run(&["keygen", "-o", "keys.txt"]);
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("must never be committed"), "{}", ended.stderr);
    let elsewhere = sandbox.run(&["keygen", "-o", "../elsewhere.txt"]);
    assert!(!elsewhere.stderr.contains("committed"), "{}", elsewhere.stderr);
}

#[test]
fn a_subfolder_belongs_to_the_repository_above_it() {
    let Some(sandbox) = repository() else { return };
    sandbox.write("service/.env", "A=1\n");
    let ended = ended(sandbox.dotsops(["init", "--yes"]).current_dir(sandbox.path("service")));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sandbox.path(".sops.yaml").exists() && sandbox.path("service/secrets.env").exists());
    assert!(!sandbox.path("service/.sops.yaml").exists());
}

#[test]
fn a_plaintext_that_cannot_be_stored_stays_and_says_why() {
    let Some(sandbox) = repository() else { return };
    sandbox.write(".env", "A=1\nJSON=\"{\"a\": \"canary\"}\"\n");
    let ended = sandbox.run(&["init", "--yes"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("line 2") && !ended.stderr.contains("canary"), "{}", ended.stderr);
    assert!(!sandbox.path("secrets.env").exists());
}

#[test]
fn a_rule_for_somebody_else_never_replaces_the_plaintext() {
    let Some(sandbox) = repository() else { return };
    let stranger = crate::support::sandbox::STRANGER;
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {stranger}\n"));
    sandbox.write(".env", "A=1\n");
    let ended = sandbox.run(&["init", "--yes"]);
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(!sandbox.path("secrets.env").exists() && sandbox.path(".env").exists());
}

#[test]
fn keygen_never_overwrites_and_its_file_works_with_its_public_key() {
    let sandbox = Sandbox::empty();
    let made = sandbox.run(&["keygen", "-o", "k.txt"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let recipient = made.stdout.trim();
    assert!(recipient.starts_with("age1"));
    assert_eq!(std::fs::metadata(sandbox.path("k.txt")).unwrap().permissions().mode() & 0o777, 0o600);
    let before = sandbox.read("k.txt");
    assert_eq!(sandbox.run(&["keygen", "-o", "k.txt"]).code, 6);
    assert_eq!(sandbox.read("k.txt"), before);
    let encrypted = sandbox.run_with(&["encrypt", "--age", recipient, "-o", "s.env"], "A=1\n");
    assert_eq!(encrypted.code, 0, "{}", encrypted.stderr);
    let mut decrypt = sandbox.dotsops(["decrypt", "s.env"]);
    assert_eq!(ended(decrypt.env("SOPS_AGE_KEY_FILE", sandbox.path("k.txt"))).stdout, "A=1\n");
    assert!(!made.stderr.contains("SECRET") && !made.stdout.contains("SECRET"));
}

#[test]
fn an_existing_ssh_key_is_an_identity_too() {
    let Some(sandbox) = repository() else { return };
    std::fs::create_dir(sandbox.home().join(".ssh")).unwrap();
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ssh/throwaway_ed25519");
    std::fs::copy(key, sandbox.home().join(".ssh/id_ed25519")).unwrap();
    sandbox.write(".env", "A=1\n");
    let done = sandbox.run(&["init", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(sandbox.read(".sops.yaml").contains("ssh-ed25519 "));
    assert!(!sandbox.home().join(".config/sops").exists());
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, "A=1\n");
}

#[test]
fn git_is_not_needed() {
    let sandbox = Sandbox::empty();
    sandbox.write(".env", "A=1\n");
    let mut command: Command = sandbox.dotsops(["init", "--yes"]);
    let done = ended(command.env("PATH", "/nonexistent"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, "A=1\n");
}

#[test]
fn the_folders_of_a_new_identity_can_be_entered_whatever_the_umask() {
    let sandbox = Sandbox::empty();
    let mut command = sandbox.program(std::path::Path::new("sh"));
    let made = ended(command.args(["-c", "umask 777; exec \"$0\" keygen", env!("CARGO_BIN_EXE_dotsops")]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    for folder in [".config", ".config/sops", ".config/sops/age"] {
        let mode = std::fs::metadata(sandbox.home().join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{folder}");
    }
}
