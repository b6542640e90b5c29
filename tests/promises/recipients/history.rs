//! Which names `recipients remove` says somebody could read.

use super::{commit, done, encrypt, git, repository};
use crate::support::groups::{Person, config, people};
use crate::support::sandbox::Sandbox;

/// The lines of the result that name values.
fn names(sandbox: &Sandbox, lead: &Person, more: &[&str]) -> (Vec<String>, String) {
    let arguments = [&["remove", "alice", "--dry-run"], more].concat();
    let dry = done(sandbox, &[lead], &arguments);
    let is_name = |line: &&str| !line.starts_with(['-', ' ']);
    (dry.stdout.lines().filter(is_name).map(str::to_owned).collect(), dry.stderr)
}

#[test]
fn names_of_every_version_that_the_person_could_read_are_told_and_no_others() {
    let [lead, alice] = people(["lead", "alice"]);
    let (with, without) = (config(&[&[&lead, &alice]], 0), config(&[&[&lead]], 0));
    let Some(sandbox) = repository(&without, &[("a.env", "BEFORE=1\n"), ("never.env", "NEVER=1\n")]) else { return };
    encrypt(&sandbox, &with, "a.env", "A=1\nGONE=1\nEMPTY=\nexport SHELL_NAME=1\n");
    commit(&sandbox, "alice");
    encrypt(&sandbox, &with, "a.env", "A=1\n");
    encrypt(&sandbox, &with, "gone.env", "DROPPED=1\n");
    commit(&sandbox, "less");
    std::fs::remove_file(sandbox.path("gone.env")).unwrap();
    commit(&sandbox, "dropped");
    // On a branch that nobody merged.
    git(&sandbox, &["checkout", "-q", "-b", "side"]);
    encrypt(&sandbox, &with, "a.env", "SIDE=1\n");
    commit(&sandbox, "side");
    git(&sandbox, &["checkout", "-q", "main"]);
    // While she was out.
    encrypt(&sandbox, &without, "a.env", "A=1\nOUT=1\n");
    commit(&sandbox, "out");
    encrypt(&sandbox, &with, "a.env", "A=1\n");
    commit(&sandbox, "in again");
    encrypt(&sandbox, &with, "a.env", "A=1\nNEW=1\n");
    sandbox.write("notes.md", format!("alice has {}\n", alice.recipient));
    let (told, said) = names(&sandbox, &lead, &[]);
    let expected =
        ["a.env: A", "a.env: GONE", "a.env: NEW", "a.env: SHELL_NAME", "a.env: SIDE", "gone.env: DROPPED (not there any more)"];
    assert_eq!(told, expected, "{said}");
    assert!(said.contains("these 6 values"), "{said}");
}

#[test]
fn a_merge_that_made_a_version_of_its_own_counts() {
    let [lead, alice] = people(["lead", "alice"]);
    let with = config(&[&[&lead, &alice]], 0);
    let Some(sandbox) = repository(&with, &[("a.env", "A=1\n")]) else { return };
    git(&sandbox, &["checkout", "-q", "-b", "side"]);
    commit(&sandbox, "side");
    git(&sandbox, &["checkout", "-q", "main"]);
    commit(&sandbox, "main");
    git(&sandbox, &["merge", "-q", "--no-ff", "--no-commit", "side"]);
    encrypt(&sandbox, &with, "a.env", "A=1\nEVIL_MERGE=1\n");
    commit(&sandbox, "merged");
    encrypt(&sandbox, &with, "a.env", "A=1\n");
    commit(&sandbox, "after");
    assert_eq!(names(&sandbox, &lead, &[]).0, ["a.env: A", "a.env: EVIL_MERGE"]);
}

#[test]
fn a_file_that_was_renamed_is_told_under_its_latest_name() {
    let [lead, alice] = people(["lead", "alice"]);
    let with = config(&[&[&lead, &alice]], 0);
    let Some(sandbox) = repository(&with, &[("old name.env.txt", "A=1\nB=1\n")]) else { return };
    git(&sandbox, &["mv", "old name.env.txt", "new.env"]);
    commit(&sandbox, "moved");
    encrypt(&sandbox, &with, "new.env", "C=1\n");
    commit(&sandbox, "changed");
    assert_eq!(names(&sandbox, &lead, &[]).0, ["new.env: A", "new.env: B", "new.env: C"]);
}

#[test]
fn since_when_and_until_when_is_told_if_asked_for() {
    let [lead, alice] = people(["lead", "alice"]);
    let with = config(&[&[&lead, &alice]], 0);
    let Some(sandbox) = repository(&config(&[&[&lead]], 0), &[("a.env", "A=1\n")]) else { return };
    let on = |day: &str, text: &str| {
        encrypt(&sandbox, &with, "a.env", text);
        git(&sandbox, &["add", "-A"]);
        let mut command = sandbox.program("git".as_ref());
        command.args(["-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "-qm", day]);
        let date = format!("{day}T12:00:00Z");
        let ended = crate::support::sandbox::ended(command.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        git(&sandbox, &["rev-parse", "HEAD"])[..10].to_owned()
    };
    let first = on("2031-01-02", "A=1\nB=1\n");
    let second = on("2032-03-04", "A=1\n");
    encrypt(&sandbox, &with, "a.env", "A=1\nNEW=1\n");
    assert_eq!(
        names(&sandbox, &lead, &["--history"]).0,
        [
            format!("a.env: A (since 2031-01-02 in {first}, last written 2032-03-04 in {second})"),
            format!("a.env: B (since 2031-01-02 in {first}, last written 2031-01-02 in {first})"),
            "a.env: NEW (not committed)".to_owned(),
        ]
    );
}

#[test]
fn what_takes_keys_of_other_groups_too_is_said() {
    let [lead, alice, bob] = people(["lead", "alice", "bob"]);
    let alone = config(&[&[&lead, &alice]], 0);
    let Some(sandbox) = repository(&alone, &[("a.env", "A=1\n")]) else { return };
    encrypt(&sandbox, &config(&[&[&lead, &alice], &[&lead, &bob]], 2), "a.env", "A=1\nB=1\n");
    commit(&sandbox, "groups");
    assert_eq!(names(&sandbox, &lead, &[]).0, ["a.env: A", "a.env: B (only together with another key group)"]);
}

#[test]
fn a_hostile_history_is_bounded_and_what_is_left_out_is_named() {
    let [lead, alice] = people(["lead", "alice"]);
    let with = config(&[&[&lead, &alice]], 0);
    let Some(sandbox) = repository(&with, &[("a.env", "A=1\n")]) else { return };
    let good = sandbox.read("a.env");
    // Metadata that do not read, one with and one without its recipient; another syntax; bytes that are none.
    sandbox.write("a.env", good.replacen("A=", "BROKEN=", 1).replace("sops_lastmodified=", "sops_lastmodified=x"));
    commit(&sandbox, "broken");
    sandbox.write(
        "a.env",
        good.replacen("A=", "OTHERS=", 1).replace("sops_lastmodified=", "sops_x=").replace(&alice.recipient, "x"),
    );
    commit(&sandbox, "not hers");
    let yaml = format!(
        "A: ENC[AES256_GCM,data:x]\nsops:\n    age:\n        - recipient: {}\n    mac: x\n    version: 3.13.3\n",
        alice.recipient
    );
    sandbox.write("b.yaml", yaml);
    sandbox.write("\u{1b}[2J\n.env", [b"\xff\0\n".repeat(1000), alice.recipient.clone().into_bytes()].concat());
    commit(&sandbox, "odd");
    // A blob larger than any file that is read.
    let huge = std::fs::File::create(sandbox.path("huge.env")).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    commit(&sandbox, "huge");
    std::fs::remove_file(sandbox.path("huge.env")).unwrap();
    std::fs::remove_file(sandbox.path("b.yaml")).unwrap();
    std::fs::remove_file(sandbox.path("\u{1b}[2J\n.env")).unwrap();
    sandbox.write("a.env", &good);
    commit(&sandbox, "good again");
    let (told, said) = names(&sandbox, &lead, &[]);
    assert_eq!(told, ["a.env: A", "a.env: BROKEN"], "{said}");
    assert!(said.contains("damaged, so that some names may be missing or wrong: a.env in "), "{said}");
    assert!(said.contains("not looked at: huge.env in "), "{said}");
    assert!(said.contains("not dotenv") && said.contains("b.yaml in "), "{said}");
}

#[test]
fn thousands_of_commits_are_looked_through() {
    let [lead, alice] = people(["lead", "alice"]);
    let with = config(&[&[&lead, &alice]], 0);
    let Some(sandbox) = repository(&with, &[("a.env", "A=1\n")]) else { return };
    let good = sandbox.read("a.env");
    let mut stream = String::new();
    for number in 0..3000 {
        let text = good.replacen("A=", &format!("A_{number}="), 1);
        let from = if number == 0 { "from refs/heads/main^0\n" } else { "" };
        stream.push_str(&format!(
            "commit refs/heads/main\ncommitter me <me@example.org> {} +0000\ndata 1\nx\n{from}M 100644 inline a.env\ndata {}\n{text}\n",
            1_900_000_000 + number,
            text.len()
        ));
    }
    sandbox.write("stream", stream);
    let import = format!("git fast-import --quiet < {}", sandbox.path("stream").display());
    let ended = crate::support::sandbox::ended(sandbox.program("sh".as_ref()).args(["-c", &import]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (told, said) = names(&sandbox, &lead, &[]);
    assert_eq!(told.len(), 3001, "{said}");
    // A clone that does not have all of it says so.
    git(&sandbox, &["checkout", "-q", "-f", "main"]);
    let url = format!("file://{}", sandbox.work().display());
    git(&sandbox, &["-c", "protocol.file.allow=always", "clone", "-q", "--depth", "2", &url, "shallow"]);
    let mut command = sandbox.dotsops(["recipients", "remove", "alice", "--dry-run"]);
    let shallow = crate::support::sandbox::ended(command.current_dir(sandbox.path("shallow")));
    assert_eq!(shallow.code, 0, "{}", shallow.stderr);
    assert!(shallow.stderr.contains("older commits were not looked at"), "{}", shallow.stderr);
    assert_eq!(shallow.stdout.lines().filter(|line| line.starts_with("a.env: ")).count(), 2, "{}", shallow.stdout);
}
