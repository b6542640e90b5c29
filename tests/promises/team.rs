//! README's chapter "Team in five minutes", played: its commands in the homes of three, over a bare repository.
//!
//! A block fenced as `sh` belongs to whoever its first line names. `age1…` stands for the public key that was shown last, which people
//! send each other, and the address for the bare repository. After each block the real sops says who can read what was pushed.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::peers::peer;
use crate::support::sandbox::{Ended, Sandbox, ended};
use crate::support::sops::Sops;

const CHAPTER: &str = "## Team in five minutes";
const ADDRESS: &str = "git@example.org:shop.git";

/// Who can read what was pushed after each block, in the order of the chapter.
const READERS: [(&str, &[&str]); 7] = [
    ("the lead", &["the lead"]),
    ("alice", &["the lead"]),
    ("the lead", &["the lead", "alice"]),
    ("alice", &["the lead", "alice"]),
    ("the lead", &["the lead", "alice", "ci"]),
    ("ci", &["the lead", "alice", "ci"]),
    ("the lead", &["the lead", "ci"]),
];

/// Types what the chapter says is typed.
const EDITOR: &str = "#!/bin/sh\nfor file; do :; done\necho DATABASE_URL=postgresql://db >> \"$file\"\n";

#[test]
fn a_team_comes_together_and_somebody_leaves_as_the_readme_says() {
    let (Some(sops), Some(_)) = (Sops::find(), peer("git", which::which("git").ok())) else { return };
    let mut team = Team::new();
    let blocks = blocks();
    assert_eq!(blocks.iter().map(|(who, _)| who.as_str()).collect::<Vec<_>>(), READERS.map(|(who, _)| who));
    for (at, ((who, commands), (_, readers))) in blocks.iter().zip(READERS).enumerate() {
        let ended = team.plays(who, commands);
        let said = format!("block {at} of {who}\n{commands}\n{}\n{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, 0, "{said}");
        if commands.contains("printenv DATABASE_URL") {
            assert!(ended.stdout.lines().any(|line| line == "postgresql://db"), "{said}");
        }
        let pushed = team.pushed("main");
        for person in ["the lead", "alice", "ci"] {
            let Some(identity) = team.identity(person) else { continue };
            let opened = sops.another().with_identities(&identity).decrypt(&pushed);
            match readers.contains(&person) {
                true => assert_eq!(opened.as_deref(), Ok(&b"DATABASE_URL=postgresql://db\n"[..]), "{person} after {said}"),
                false => assert!(opened.is_err(), "{person} can read after {said}"),
            }
        }
    }
    // What the chapter warns of: the past stays open, and so its value is named.
    let alice = sops.another().with_identities(&team.identity("alice").unwrap());
    let before = team.pushed("main~1");
    assert!(alice.decrypt(&before).is_ok());
    let token =
        |file: &[u8]| String::from_utf8_lossy(file).lines().find(|line| line.starts_with("DATABASE_URL=")).map(str::to_owned);
    assert_ne!(token(&before), token(&team.pushed("main")), "the value is encrypted afresh");
    assert!(team.last_said.lines().any(|line| line == "secrets.env: DATABASE_URL"), "{}", team.last_said);
}

#[test]
fn whoever_is_let_into_one_rule_reads_nothing_of_another_at_any_step() {
    const PROD: &str = "DATABASE_URL=postgresql://prod\n";
    let (Some(sops), Some(_)) = (Sops::find(), peer("git", which::which("git").ok())) else { return };
    let mut team = Team::new();
    for (at, ((who, commands), (_, readers))) in blocks().iter().zip(READERS).enumerate() {
        // With two rules, the one that is meant is named.
        let commands = commands.replace("recipients add ", "recipients add -f secrets.env ");
        let played = team.plays(who, &commands);
        assert_eq!(played.code, 0, "{who}\n{commands}\n{}\n{}", played.stdout, played.stderr);
        if at == 0 {
            team.lead_adds("prod.env", PROD);
        }
        for person in ["the lead", "alice", "ci"] {
            let Some(identity) = team.identity(person) else { continue };
            let sops = sops.another().with_identities(&identity);
            let prod = sops.decrypt(&team.pushed_file("main", "prod.env"));
            match person {
                "the lead" => assert_eq!(prod.as_deref(), Ok(PROD.as_bytes()), "block {at}"),
                _ => assert!(prod.is_err(), "{person} reads prod.env after block {at}"),
            }
            assert_eq!(sops.decrypt(&team.pushed("main")).is_ok(), readers.contains(&person), "{person} after block {at}");
        }
    }
    assert!(!team.last_said.contains("prod.env"), "{}", team.last_said);
}

/// The commands of the chapter and who runs them.
fn blocks() -> Vec<(String, String)> {
    let readme = include_str!("../../README.md");
    let start = readme.find(CHAPTER).unwrap() + CHAPTER.len();
    let chapter = &readme[start..];
    let chapter = &chapter[..chapter.find("\n## ").unwrap()];
    let block = |block: &str| {
        let (who, commands) = block.split("\n```").next().unwrap().split_once('\n').unwrap();
        (who.trim_start_matches("# ").to_owned(), commands.to_owned())
    };
    chapter.split("```sh\n").skip(1).map(block).collect()
}

/// Three people, each with a home of their own, and what they share.
struct Team {
    remote: Sandbox,
    people: HashMap<String, Sandbox>,
    /// What people send each other: the public key that was shown last.
    public_key: String,
    last_said: String,
}

impl Team {
    fn new() -> Self {
        let remote = Sandbox::empty();
        let made = ended(remote.program(Path::new("git")).args(["init", "-q", "--bare", "-b", "main", "shop.git"]));
        assert_eq!(made.code, 0, "{}", made.stderr);
        Self { remote, people: HashMap::new(), public_key: String::new(), last_said: String::new() }
    }

    fn plays(&mut self, who: &str, commands: &str) -> Ended {
        let key_of_ci = (who == "ci").then(|| self.identity("ci")).flatten();
        let person = self.people.entry(who.to_owned()).or_insert_with(|| newcomer(who));
        let commands =
            commands.replace(ADDRESS, self.remote.path("shop.git").to_str().unwrap()).replace("age1…", &self.public_key);
        let clone = person.path("shop");
        let bin = person.root().join("bin");
        let mut shell = person.program(Path::new("sh"));
        shell.args(["-ec", &commands]).current_dir(if clone.exists() { clone } else { person.work() });
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", bin.display())).env("EDITOR", bin.join("editor")).env("TERM", "xterm");
        shell.envs(key_of_ci.map(|key| ("SOPS_AGE_KEY", key)));
        let ended = ended(&mut shell);
        let mut words = ended.stdout.split(|c: char| !c.is_ascii_alphanumeric());
        if let Some(key) = words.rfind(|word| word.starts_with("age1") && word.len() == 62) {
            self.public_key = key.to_owned();
        }
        self.last_said = ended.stdout.clone();
        ended
    }

    /// The key that somebody holds, if they have one by now. That of ci lies with the lead until it is in the CI's store.
    fn identity(&self, who: &str) -> Option<String> {
        let file = |who: &str, name: &str| -> Option<PathBuf> { Some(self.people.get(who)?.home().join(name)) };
        let file = if who == "ci" { file("the lead", "ci.key") } else { file(who, ".config/sops/age/keys.txt") };
        let text = fs::read_to_string(file?).ok()?;
        Some(text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-"))?.to_owned())
    }

    /// The `secrets.env` of a version that was pushed.
    fn pushed(&self, version: &str) -> Vec<u8> {
        self.pushed_file(version, "secrets.env")
    }

    fn pushed_file(&self, version: &str, name: &str) -> Vec<u8> {
        let git = ["--git-dir", "shop.git", "show", &format!("{version}:{name}")].map(str::to_owned);
        let shown = ended(self.remote.program(Path::new("git")).args(git));
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        shown.stdout.into_bytes()
    }

    /// A file for the lead alone, with a rule of its own before the others, pushed.
    fn lead_adds(&mut self, name: &str, text: &str) {
        let clone = self.people["the lead"].path("shop");
        let rules = fs::read_to_string(clone.join(".sops.yaml")).unwrap();
        let own = rules.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| word.starts_with("age1")).unwrap();
        let rule = format!("creation_rules:\n  - path_regex: ^prod\\.env$\n    age:\n      - {own} # the lead\n");
        fs::write(clone.join(".sops.yaml"), rules.replacen("creation_rules:\n", &rule, 1)).unwrap();
        fs::write(clone.join("../plain.txt"), text).unwrap();
        let commands =
            format!("dotsops encrypt -o {name} ../plain.txt && git add -A && git commit -qm prod && git push -q origin HEAD");
        let added = self.plays("the lead", &commands);
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
}

/// Somebody on a machine where git knows their name, and nothing else is set up.
fn newcomer(who: &str) -> Sandbox {
    let person = Sandbox::empty();
    fs::write(
        person.home().join(".gitconfig"),
        format!("[user]\n\tname = {who}\n\temail = {}@example.org\n", who.replace(' ', "-")),
    )
    .unwrap();
    let bin = person.root().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_dotsops"), bin.join("dotsops")).unwrap();
    fs::write(bin.join("editor"), EDITOR).unwrap();
    fs::set_permissions(bin.join("editor"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    person
}
