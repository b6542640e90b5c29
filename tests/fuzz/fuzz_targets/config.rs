//! `.sops.yaml`. Laws: the same text gives the same answer; the explanation names the rule that is chosen; rules stand in the order of
//! the file, and what is wrong is wrong in a line of it. Time and memory are limited by the way this is run.

#![no_main]

use std::path::Path;

use dotsops::config::{Config, ConfigError};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = "/repo/.sops.yaml";
const FILES: [&str; 6] = [
    "/repo/secrets.env",
    "/repo/prod/.env",
    "/repo/a/../b/dev.env",
    "/elsewhere/x.env",
    "/repo/sub/K\u{e9}y.ENV",
    "/repo/.sops.yaml",
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    let (config, again) = match (parsed(text), parsed(text)) {
        (Ok(config), Ok(again)) => (config, again),
        (Err(error), Err(again)) => {
            assert_eq!(error.to_string(), again.to_string());
            return assert!(line_of(&error).is_none_or(|line| (1..=lines).contains(&line)), "no such line: {error}");
        }
        _ => panic!("the same text is accepted once and refused once"),
    };
    let mut line = 0;
    for rule in config.rules() {
        let this = match &rule {
            Ok(rule) => rule.line,
            Err(error) => line_of(error).expect("a broken rule has a line"),
        };
        assert!(this >= line && this <= lines);
        line = rule.map_or(line, |rule| rule.line);
    }
    for file in FILES.map(Path::new) {
        let chosen = config.rule_for(file);
        match (&chosen, again.rule_for(file)) {
            (Ok(rule), Ok(again)) => assert_eq!(*rule, again),
            (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
            _ => panic!("the same config has a rule once and none once"),
        }
        explained(&config, file, chosen);
    }
});

fn explained(config: &Config, file: &Path, chosen: Result<Option<&dotsops::config::CreationRule>, ConfigError>) {
    let told = match (config.explain(file), chosen) {
        (Ok(None), Ok(None)) => return,
        (Ok(Some(told)), Ok(rule)) if rule.is_some() => {
            assert_eq!(told.rule, rule);
            told
        }
        (Ok(Some(told)), Err(ConfigError::NoMatchingRule { .. })) if told.rule.is_none() => told,
        (Err(ConfigError::Invalid { fault: told, .. }), Err(ConfigError::Invalid { fault, .. })) => {
            return assert_eq!(told, fault);
        }
        _ => panic!("the explanation says something else than the choice"),
    };
    let own = told.rule.map(|rule| rule.line);
    assert!(told.passed_over.iter().all(|rule| own.is_none_or(|own| rule.line <= own)));
    assert!(told.too_late.iter().all(|line| own.is_some_and(|own| own <= *line)));
}

fn parsed(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new(CONFIG), text)
}

fn line_of(error: &ConfigError) -> Option<usize> {
    match error {
        ConfigError::Yaml { source, .. } => Some(source.line),
        ConfigError::Invalid { fault, .. } => Some(fault.line),
        _ => None,
    }
}
