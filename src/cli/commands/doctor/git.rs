//! What git is told about encrypted files, and whether this clone can do it.

use std::path::Path;

use super::report::Report;
use crate::cli::Surroundings;
use crate::ops::git::Repository;

/// Each attribute that names a driver of ours, and the setting that says what that is.
const DRIVERS: [(&str, &str); 2] = [("merge", "merge.dotsops.driver"), ("diff", "diff.dotsops.textconv")];

/// Looks at the attributes of `path` and the settings that make them work.
pub fn look(report: &mut Report, path: &Path, surroundings: &Surroundings) {
    let Ok(here) = std::env::current_dir() else { return };
    let Some(repository) = surroundings.environment.git().and_then(|git| Repository::find(&here, git)) else { return };
    let path = here.join(path);
    for (attribute, setting) in DRIVERS {
        let is_for_us = repository.attributes(&path, &[attribute]).is_some_and(|values| values == ["dotsops"]);
        match (is_for_us, repository.setting(setting).ok().flatten()) {
            (true, Some(command)) if !command.contains("dotsops") => report.note(
                "git",
                format!("{attribute}: {setting} runs something else than dotsops: `{command}`"),
                format!("`git config --show-origin {setting}` says where that stands"),
            ),
            (true, Some(command)) => report.good("git", format!("{attribute}: `{command}`")),
            (true, None) => report.finding(
                "git",
                format!("{attribute}: .gitattributes names dotsops, but this clone does not know what that is ({setting})"),
                match attribute {
                    "merge" => "`git config merge.dotsops.driver 'dotsops merge %O %A %B %P'`",
                    _ => "`git config diff.dotsops.textconv 'dotsops textconv'`",
                },
            ),
            (false, Some(_)) => report.note(
                "git",
                format!("{attribute}: {setting} is set, but .gitattributes does not use it for this file"),
                format!("`echo '*.env {attribute}=dotsops' >> .gitattributes`"),
            ),
            (false, None) => {}
        }
    }
}
