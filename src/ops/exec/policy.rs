//! Which variable names can do harm in a process that gets them.
//!
//! A file in git can be changed by people who hold no key: they cannot forge an encrypted value, but they can add names with empty
//! or clear ones. Hence the question is asked of names, and `exec` decides by how the value is protected.

use std::ffi::OsStr;
use std::sync::LazyLock;

use crate::ops::glob::glob_matches;

/// What a program does with a variable of this name; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing that others than the program itself decide.
    Ordinary,
    /// Chooses a program, a host or a certificate: worth a warning.
    Redirects,
    /// Makes the process load code or run commands.
    LoadsCode,
}

/// Names that make loaders, interpreters and git run code. `*` stands for any text.
pub const LOADS_CODE: &[&str] = &[
    "PATH",
    "LD_*",
    "DYLD_*",
    "GCONV_PATH",
    "BASH_ENV",
    "BASH_FUNC_*",
    "SHELLOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONBREAKPOINT",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "PERL5LIB",
    "PERLLIB",
    "PERL5OPT",
    "PERL5DB",
    "RUBYOPT",
    "RUBYLIB",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "DOTNET_STARTUP_HOOKS",
    "GIT_SSH*",
    "GIT_CONFIG*",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_DIR",
    "*_ASKPASS",
    "LESSOPEN",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "R_PROFILE*",
    "R_ENVIRON*",
    "LUA_INIT*",
    "LUA_PATH*",
    "LUA_CPATH*",
    "VIMINIT",
    "EXINIT",
    "JUPYTER_PATH",
    "JUPYTER_CONFIG_*",
    "IPYTHONDIR",
    "SOPS_*",
    "DOTSOPS_*",
];

/// Names that choose helpers, hosts, certificates or clusters.
const REDIRECTS: &[&str] = &[
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "NODE_PATH",
    "HOME",
    "*_PROXY",
    "*_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_*",
    "KUBECONFIG",
    "GIT_SSL_NO_VERIFY",
    "AWS_ENDPOINT_URL*",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
];

/// The patterns of both lists by the byte that they begin with: nearly all of thousands of names are asked about in vain.
static BY_FIRST_BYTE: LazyLock<[Vec<(&str, Effect)>; 256]> = LazyLock::new(|| {
    let mut patterns = [const { Vec::new() }; 256];
    let listed = [(LOADS_CODE, Effect::LoadsCode), (REDIRECTS, Effect::Redirects)];
    for (pattern, effect) in listed.iter().flat_map(|(list, effect)| list.iter().map(move |pattern| (*pattern, *effect))) {
        patterns[usize::from(pattern.as_bytes()[0])].push((pattern, effect));
    }
    patterns
});

/// What a variable named `name` makes a process do.
pub fn effect(name: &str) -> Effect {
    let Some(first) = name.bytes().next() else { return Effect::Ordinary };
    let candidates = [first, b'*'].into_iter().flat_map(|byte| &BY_FIRST_BYTE[usize::from(byte)]);
    let effects = candidates.filter(|(pattern, _)| glob_matches(pattern, name)).map(|(_, effect)| *effect);
    effects.max().unwrap_or(Effect::Ordinary)
}

/// The variables that hold a key of ours, as against those that only point to one.
const HOLDS_KEYS: &[&str] = &["SOPS_AGE_KEY", "DOTSOPS_AGE_KEY"];

/// Whether a variable of the caller's environment holds a key of ours and so must reach no child.
pub fn holds_key(name: &OsStr) -> bool {
    HOLDS_KEYS.iter().any(|held| name == *held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_load_code_are_told_from_those_that_only_redirect() {
        let cases = [
            ("LD_PRELOAD", Effect::LoadsCode),
            ("PYTHONPATH", Effect::LoadsCode),
            ("GIT_SSH_COMMAND", Effect::LoadsCode),
            ("SSH_ASKPASS", Effect::LoadsCode),
            ("SOPS_AGE_KEY_CMD", Effect::LoadsCode),
            ("HTTPS_PROXY", Effect::Redirects),
            ("NODE_TLS_REJECT_UNAUTHORIZED", Effect::Redirects),
            ("ENV", Effect::Ordinary),
            ("DATABASE_URL", Effect::Ordinary),
            ("MY_PATH", Effect::Ordinary),
            ("PATHS", Effect::Ordinary),
        ];
        for (name, expected) in cases {
            assert_eq!(effect(name), expected, "{name}");
        }
    }

    #[test]
    fn every_listed_pattern_is_found_whatever_its_star_stands_for() {
        for (patterns, least) in [(LOADS_CODE, Effect::LoadsCode), (REDIRECTS, Effect::Redirects)] {
            for (pattern, text) in patterns.iter().flat_map(|pattern| ["", "X", "a_b"].map(|text| (pattern, text))) {
                let found = effect(&pattern.replace('*', text));
                assert!(found == least || found == Effect::LoadsCode, "{pattern} with {text:?}");
            }
        }
    }

    #[test]
    fn what_points_to_a_key_is_not_what_holds_one() {
        assert!(holds_key(OsStr::new("SOPS_AGE_KEY")));
        assert!(!holds_key(OsStr::new("SOPS_AGE_KEY_FILE")));
        assert!(!holds_key(OsStr::new("AWS_SECRET_ACCESS_KEY")));
    }
}
