//! Each finding in words: what it is, and what to do.

use std::path::Path;

use crate::cli::failure::{Failure, chain, from_here, shell_word};
use crate::cli::people::People;
use crate::ops::check::{Finding, Recipient, Sort};
use crate::ops::encrypt::proposed_name;

/// What was found.
pub fn text(finding: &Finding, people: &People) -> String {
    let name = finding.name.as_deref().map(|name| format!("`{name}`")).unwrap_or_default();
    match &finding.sort {
        Sort::Plaintext { rule: None } => "it is not encrypted".to_owned(),
        Sort::Plaintext { rule: Some((config, line)) } => {
            format!("it is not encrypted, although line {line} of {} wants it to be", config.display())
        }
        Sort::Damaged(error) => chain(&**error),
        Sort::CarriageReturns => "its lines end as on Windows, and sops cannot read it so".to_owned(),
        Sort::InClear => format!("{name} is in clear, although this file encrypts it"),
        Sort::HiddenByExport => {
            format!(
                "{name} is in clear: what is encrypted is asked with the `export` or the blanks beside the name, and that finds nothing"
            )
        }
        Sort::Broken => format!("{name} begins like an encrypted value, and is none that any key opens"),
        Sort::Stray => format!("{name} is encrypted, but this file says that it is in clear: programs would get the ciphertext"),
        Sort::LeftInClear { names } => match names.as_slice() {
            [one] => format!("`{one}` is in clear, as the file says"),
            several => format!("{} values are in clear, as the file says: {}", several.len(), several.join(", ")),
        },
        Sort::SecretInComment => {
            format!("a comment in clear gives {name} a value, which would be encrypted if it were no comment")
        }
        Sort::CommentInClear => "this comment is in clear, although this file encrypts comments".to_owned(),
        Sort::BrokenComment => "this comment begins like an encrypted one, and is none that any key opens".to_owned(),
        Sort::LineInComment => "this comment has a carriage return in it, behind which programs see a line of its own".to_owned(),
        Sort::Undecided => "a merge left two values here, in clear, and nobody has decided yet".to_owned(),
        Sort::Duplicate { first_line } => format!("{name} stands in line {first_line} already; the last value counts"),
        Sort::NoVariable(reason) => format!("no program gets a variable from this line: {reason}"),
        Sort::LoadsCode { is_encrypted: true } => {
            format!("{name} makes programs load code, so `dotsops exec` asks before it passes it on")
        }
        Sort::LoadsCode { is_encrypted: false } => {
            format!("{name} makes programs load code, and anybody can change it, so `dotsops exec` refuses it")
        }
        Sort::Export => format!("{name} has an `export` before it, which sops, docker and systemd take for a part of the name"),
        Sort::Wrapped => format!("{name} stands in quotes or beside blanks, which sops and docker take for a part of the name"),
        Sort::Narrow => format!("{name} is no name for shells, systemd and VS Code, which know letters, digits and `_` only"),
        Sort::NoRule { config } => {
            format!("no rule of {} is for it, so nothing says who is to read it", from_here(config).display())
        }
        Sort::NoConfig => "there is no .sops.yaml that says who is to read it".to_owned(),
        Sort::BadRule(error) => chain(&**error),
        Sort::Missing(recipient) => format!("{} cannot read it, although the rule says so", who(recipient, people)),
        Sort::Unknown(recipient) => format!("{} can read it, and the rule does not say so", who(recipient, people)),
        Sort::Threshold { file, rule } => {
            format!("it opens with {} of {} key groups, and the rule says {} of {}", file.0, file.1, rule.0, rule.1)
        }
        Sort::OtherSelection { file, rule } => format!(
            "what is encrypted follows `{}: {}`, and the rule says `{}: {}`",
            file.0.field(),
            file.1,
            rule.0.field(),
            rule.1
        ),
        Sort::MacOnlyEncrypted { .. } => {
            "nobody would notice if its values in clear were changed (`mac_only_encrypted`)".to_owned()
        }
        Sort::NoMac => "its MAC is missing or broken, so anything in it could have been changed".to_owned(),
        Sort::OneRecipient => "if one key is lost, nobody can read it any more".to_owned(),
        Sort::Quantum { recipients } => {
            let classic: Vec<String> = recipients.iter().map(|(kind, recipient)| people.brief(*kind, recipient)).collect();
            format!(
                "its post-quantum recipients protect nothing, because a quantum computer would open it by {}",
                classic.join(", ")
            )
        }
        Sort::NewerVersion { version } => format!("sops {version} made it, which is newer than this dotsops knows"),
        Sort::MissingName(example) => format!("{name} is missing: line {} of {} lists it", example.line, example.path.display()),
        Sort::BadExample { path, problem } => format!("its names cannot be compared with {}: {}", path.display(), chain(problem)),
        Sort::IgnoredConfig => "nobody reads this file: the name must be .sops.yaml".to_owned(),
        Sort::Misspelled { field, meant } => format!("`{field}` has no meaning here; `{meant}` would"),
        Sort::WritableBy(stranger) => format!("it decides who reads new files, and {stranger}"),
    }
}

fn who(recipient: &Recipient, people: &People) -> String {
    let member = people.brief(recipient.member.kind, &recipient.member.recipient);
    match recipient.group {
        Some(group) => format!("{member} of group {group}"),
        None => member,
    }
}

/// What to do about it, for `path` as it was given.
pub fn hint(finding: &Finding, path: &Path) -> String {
    let file = shell_word(path);
    let name = finding.name.as_deref().unwrap_or_default();
    let edit = format!("`dotsops edit {file}`");
    match &finding.sort {
        Sort::Plaintext { .. } => {
            let remedy = match proposed_name(path) {
                same if same == path => format!("`dotsops encrypt -i {file}` encrypts it"),
                twin => format!(
                    "`git rm --cached {file}` takes it out of git, `dotsops encrypt -o {} {file}` encrypts it",
                    shell_word(&twin)
                ),
            };
            format!("{remedy}; if it was ever committed, whoever has the history knows its values: change them at their source")
        }
        Sort::Damaged(error) => Failure::file(error).hint.unwrap_or_default(),
        Sort::CarriageReturns => {
            "`dotsops init` has git keep them as they are; `dotsops edit` and save writes them anew".to_owned()
        }
        Sort::InClear | Sort::HiddenByExport => format!(
            "take the line out, `dotsops set -f {file} {}`, and change the value at its source if it was ever committed",
            shell_word(Path::new(name))
        ),
        Sort::Broken | Sort::BrokenComment => {
            format!("`git log -p {file}` shows who changed it; `git checkout -- {file}` brings the last commit back")
        }
        Sort::Stray => format!("see `dotsops rule {file}`; then take the line out and add it again with {edit}"),
        Sort::LeftInClear { .. } => format!("if that is not meant: `dotsops rule {file}` shows which rule says so"),
        Sort::SecretInComment => format!("take it out with {edit}, and change the value at its source if it was ever committed"),
        Sort::CommentInClear => format!("take it out with an editor, and write it again with {edit}"),
        Sort::LineInComment => format!("take it out; `git log -p {file}` shows who added it"),
        Sort::Undecided => format!("decide with {edit}"),
        Sort::Duplicate { .. } => format!("take one of them out with {edit}; `git log -p {file}` shows who added it"),
        Sort::NoVariable(_) => format!("take the line out, and write it again with {edit}"),
        Sort::LoadsCode { is_encrypted: true } => format!("without a terminal it takes `dotsops exec --allow {name}`"),
        Sort::LoadsCode { is_encrypted: false } => format!("take the line out; `git log -p {file}` shows who added it"),
        Sort::Export | Sort::Wrapped => format!("only if others than python-dotenv, shells and `dotsops exec` read it: {edit}"),
        Sort::Narrow => {
            format!("only if one of these reads it: `dotsops rename -f {file} {} NEW_NAME`", shell_word(Path::new(name)))
        }
        Sort::NoRule { .. } => format!("`dotsops rule {file}` says why"),
        Sort::NoConfig => "`dotsops init` writes one".to_owned(),
        Sort::BadRule(error) => Failure::new_file(error).hint.unwrap_or_default(),
        Sort::Missing(_) | Sort::Unknown(_) | Sort::Threshold { .. } => {
            format!("if the rule is right: `dotsops updatekeys {file}`; else correct .sops.yaml")
        }
        Sort::OtherSelection { .. } => {
            format!("if that is not meant: decrypt it, and encrypt it again; `git log -p {file}` shows who changed it")
        }
        Sort::MacOnlyEncrypted { is_meant: true } => "the rule says so".to_owned(),
        Sort::MacOnlyEncrypted { is_meant: false } => {
            format!("the rule does not say so: decrypt it, and encrypt it again; `git log -p {file}` shows who changed it")
        }
        Sort::NoMac => format!("`git checkout -- {file}` brings the last commit back; `git log -p {file}` shows who changed it"),
        Sort::OneRecipient => {
            "add a second key, such as one that lies in a safe place: `dotsops keygen -o RECOVERY_FILE`".to_owned()
        }
        Sort::Quantum { .. } => "each of them needs a key of `dotsops keygen --pq`".to_owned(),
        Sort::NewerVersion { .. } => "look for a newer dotsops".to_owned(),
        Sort::MissingName(example) => format!("`dotsops set -f {file} {name}`, or take it out of {}", example.path.display()),
        Sort::BadExample { path, .. } => format!("correct {}", path.display()),
        Sort::IgnoredConfig => format!("`git mv {file} {}`", shell_word(&path.with_file_name(".sops.yaml"))),
        Sort::Misspelled { .. } => "correct it there".to_owned(),
        Sort::WritableBy(_) => format!("`ls -l {file}` shows who; `chmod go-w {file}`"),
    }
}
