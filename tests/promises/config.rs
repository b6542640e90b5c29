//! `.sops.yaml`, `--config` and `SOPS_CONFIG`: where rules come from, who asks for them and who does not.

use crate::support::sandbox::{Ended, RECIPIENT, STRANGER, Sandbox, ended};

fn rule_for(recipient: &str) -> String {
    format!("creation_rules:\n  - age: {recipient}\n")
}

/// A sandbox with a plaintext `p.env`, and a rule for a stranger in `rules/other.yaml`.
fn with_two_configs() -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    sandbox.write("rules/other.yaml", rule_for(STRANGER));
    sandbox
}

#[test]
fn the_option_stands_before_or_behind_the_verb_and_wins_over_the_variable() {
    let sandbox = with_two_configs();
    let by_option: [&[&str]; 3] = [
        &["--config", "rules/other.yaml", "encrypt", "--blind", "p.env"],
        &["encrypt", "--blind", "p.env", "--config", "rules/other.yaml"],
        &["--config=rules/other.yaml", "encrypt", "--blind", "p.env"],
    ];
    for arguments in by_option {
        let made = ended(sandbox.dotsops(arguments).env("SOPS_CONFIG", sandbox.path(".sops.yaml")));
        assert!(made.stdout.contains(STRANGER), "{arguments:?}: {}", made.stderr);
    }
    let made = ended(sandbox.dotsops(["encrypt", "--blind", "p.env"]).env("SOPS_CONFIG", "rules/other.yaml"));
    assert!(made.stdout.contains(STRANGER), "{}", made.stderr);
    let made = ended(sandbox.dotsops(["encrypt", "p.env"]).env("SOPS_CONFIG", ""));
    assert!(made.stdout.contains(RECIPIENT), "{}", made.stderr);
}

#[test]
fn a_config_that_is_not_there_is_named() {
    let sandbox = with_two_configs();
    let of_option = sandbox.run(&["--config", "none.yaml", "encrypt", "p.env"]);
    let of_variable = ended(sandbox.dotsops(["encrypt", "p.env"]).env("SOPS_CONFIG", "none.yaml"));
    for missing in [of_option, of_variable] {
        assert_eq!((missing.code, missing.stdout.as_str()), (7, ""), "{}", missing.stderr);
        assert!(
            missing.stderr.contains("cannot read none.yaml") && missing.stderr.contains("no such file"),
            "{}",
            missing.stderr
        );
    }
    assert_eq!(sandbox.run(&["encrypt", "--config", "", "p.env"]).code, 2);
}

#[test]
fn a_broken_config_keeps_nobody_from_what_is_there_already() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "A=1\n");
    for broken in ["creation_rules: [", "creation_rules: x", "creation_rules:\n  - age: 12\n"] {
        sandbox.write(".sops.yaml", broken);
        let runs: [&[&str]; 5] = [
            &["decrypt", "s.env"],
            &["--config", "none.yaml", "decrypt", "s.env"],
            &["exec", "-f", "s.env", "--", "printenv", "A"],
            &["keys", "s.env"],
            &["edit", "--editor", "sh -c ': > \"$0\"; echo A=2 > \"$0\"'", "s.env"],
        ];
        for arguments in runs {
            let done = sandbox.run(arguments);
            assert_eq!(done.code, 0, "{broken}: {arguments:?}: {}", done.stderr);
        }
        sandbox.write("p.env", "A=1\n");
        for arguments in [&["encrypt", "p.env"][..], &["edit", "--editor", "true", "new.env"], &["rule", "p.env"], &["init"]] {
            let refused = sandbox.run(arguments);
            assert_eq!(refused.code, 3, "{broken}: {arguments:?}: {}", refused.stderr);
            assert!(refused.stderr.contains("line "), "{}", refused.stderr);
        }
    }
}

#[test]
fn keys_of_other_kinds_in_the_environment_do_not_matter_to_a_file_that_is_there() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "A=1\n");
    let edit = |file: &str| {
        let fingerprint = "85D77543B3D624B63CEA9E6DBC17301B491B3F21";
        ended(sandbox.dotsops(["edit", "--editor", "true", file]).env("SOPS_PGP_FP", fingerprint))
    };
    assert_eq!(edit("s.env").code, 0, "{}", edit("s.env").stderr);
    assert_eq!(edit("new.env").code, 2);
}

#[test]
fn a_file_called_yml_is_pointed_out() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    sandbox.write("sub/.sops.yml", rule_for(STRANGER));
    let below = |arguments: &[&str]| -> Ended { ended(sandbox.dotsops(arguments).current_dir(sandbox.path("sub"))) };
    let made = below(&["encrypt", "../p.env"]);
    assert!(made.stdout.contains(RECIPIENT), "{}", made.stderr);
    assert!(made.stderr.contains("sub/.sops.yml is not used: the name must be .sops.yaml"), "{}", made.stderr);
    std::fs::remove_file(sandbox.path(".sops.yaml")).unwrap();
    for arguments in [&["encrypt", "../p.env"][..], &["rule", "../p.env"]] {
        let none = below(arguments);
        assert!(none.stderr.contains("sub/.sops.yml is not used"), "{}", none.stderr);
    }
}

#[test]
fn an_option_stands_in_for_the_rules_value_and_another_one_conflicts_with_it() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\nB=2\n");
    sandbox.write(".sops.yaml", format!("creation_rules:\n  - age: {RECIPIENT}\n    encrypted_regex: ^A$\n"));
    let encrypt = |more: &[&str]| {
        let arguments = ["encrypt", "--allow-plaintext", "*", "p.env"].iter().chain(more);
        sandbox.run(&arguments.copied().collect::<Vec<_>>())
    };
    assert!(encrypt(&[]).stdout.contains("\nB=2\n"));
    assert!(encrypt(&["--encrypted-regex", ""]).stdout.contains("\nB=2\n"), "empty is the same as absent");
    assert!(encrypt(&["--encrypted-regex", "^B$"]).stdout.starts_with("A=1\n"));
    for other in ["--encrypted-suffix", "--unencrypted-suffix", "--unencrypted-regex", "--encrypted-comment-regex"] {
        let refused = encrypt(&[other, "B"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{other}");
        assert!(refused.stderr.contains("`encrypted_regex`"), "{}", refused.stderr);
    }
}

#[test]
fn recipients_that_are_no_text_are_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    let odd = std::ffi::OsStr::from_bytes(b"age1\xff");
    let refused = ended(sandbox.dotsops(["encrypt", "p.env"]).env("SOPS_AGE_RECIPIENTS", odd));
    assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{}", refused.stderr);
}

#[test]
fn a_named_config_may_lie_anywhere_but_a_found_one_that_others_can_change_may_not() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    std::fs::set_permissions(sandbox.path(".sops.yaml"), PermissionsExt::from_mode(0o666)).unwrap();
    std::fs::create_dir_all(sandbox.path("sub/.git")).unwrap();
    let below = |arguments: &[&str]| -> Ended { ended(sandbox.dotsops(arguments).current_dir(sandbox.path("sub"))) };
    assert_eq!(below(&["encrypt", "../p.env"]).code, 6);
    let named = below(&["--config", "../.sops.yaml", "encrypt", "../p.env"]);
    assert_eq!(named.code, 0, "{}", named.stderr);
    assert!(named.stderr.contains("everybody may write it"), "{}", named.stderr);
}

#[test]
fn a_failure_of_exec_behind_the_option_keeps_its_own_code() {
    let sandbox = Sandbox::empty();
    assert_eq!(sandbox.run(&["--config", "exec", "exec", "-f", "none.env", "--", "true"]).code, 125);
    assert_eq!(sandbox.run(&["--config", "exec", "keys", "--nonsense"]).code, 2);
}

#[test]
fn rule_tells_which_rule_counts_and_why_not_the_others() {
    let sandbox = Sandbox::with_identity();
    let config = format!(
        "creation_rules:\n  - path_regex: ^\\./sub\n  - path_regex: SUB/\n  - path_regex: sub/*.env\n  - path_regex: ^s\\.env$\n    age: {STRANGER}\n  \
         - age: >-\n      {RECIPIENT},\n      {STRANGER}\n    encrypted_regex: ^API_\n    mac_only_encrypted: yes\n  - path_regex: env$\n"
    );
    sandbox.write(".sops.yaml", config);
    let told = sandbox.run(&["rule", "sub/s.env"]);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));
    let expected = format!(
        "config: .sops.yaml\npath: sub/s.env\n\
         not line 2: `^\\./sub` does not match; it would match `./sub/s.env`, but the path is not written so\n\
         not line 3: `SUB/` does not match; it would if capitals did not count\n\
         not line 4: `sub/*.env` does not match; it would as a glob, but this is a regular expression: `^sub/[^/]*\\.env$`\n\
         not line 5: `^s\\.env$` does not match; it would match `s.env`, but the path is not written so\n\
         rule: line 7, which is for every path\nrecipient: {RECIPIENT}\nrecipient: {STRANGER}\n\
         encrypted: only values of names that match `^API_`\nMAC: over encrypted values only\n\
         too late: line 12 matches as well, but only the first rule counts\n"
    );
    assert_eq!(told.stdout, expected);
}

#[test]
fn rule_needs_neither_a_key_nor_the_file_and_says_no_by_its_exit_code() {
    let sandbox = Sandbox::empty();
    let none = sandbox.run(&["rule", "x.env"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, "rule: none, for there is no .sops.yaml here or above\n"));
    sandbox.write(".sops.yaml", "stores: {}\n");
    let none = sandbox.run(&["rule", "x.env"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, "config: .sops.yaml\nrule: none, for it has no `creation_rules`\n"));
    sandbox.write(".sops.yaml", "creation_rules:\n  - path_regex: yaml$\n");
    let none = sandbox.run(&["rule", "x.env"]);
    assert_eq!(none.code, 1);
    assert!(none.stdout.ends_with("not line 2: `yaml$` does not match\nrule: none\n"), "{}", none.stdout);
    // What makes a file says where to look.
    sandbox.write("x.env", "A=1\n");
    let refused = sandbox.run(&["encrypt", "x.env"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("`dotsops rule x.env`"), "{}", refused.stderr);
}

#[test]
fn rule_points_out_what_a_config_probably_means() {
    let sandbox = Sandbox::empty();
    let told = |config: &str| {
        sandbox.write(".sops.yaml", config.replace("$A", RECIPIENT));
        sandbox.run(&["rule", "s.env"])
    };
    let misspelt = told("creation_rules:\n  - path_regexp: yaml$\n    age: $A\n");
    assert!(misspelt.stdout.contains("for every path"), "{}", misspelt.stdout);
    assert!(misspelt.stderr.contains("`path_regexp` has no meaning here; `path_regex` would"), "{}", misspelt.stderr);
    let escape = told("creation_rules:\n  - path_regex: \"\\.env$\"\n    age: $A\n");
    assert_eq!(escape.code, 3);
    assert!(escape.stderr.contains("line 2") && escape.stderr.contains(r"'\.env$'"), "{}", escape.stderr);
    let glob = told("creation_rules:\n  - path_regex: '*.env'\n    age: $A\n");
    assert_eq!(glob.code, 3);
    assert!(glob.stderr.contains("line 2") && glob.stderr.contains(r"\.env$"), "{}", glob.stderr);
    let nobody = told("creation_rules:\n  - path_regex: env$\n");
    assert!(nobody.code == 0 && nobody.stdout.contains("recipient: nobody"), "{}", nobody.stdout);
    let damaged = told("creation_rules:\n  - age: age1nonsense\n");
    assert!(
        damaged.code == 0 && damaged.stderr.contains(".sops.yaml, line 2: the age recipient is damaged"),
        "{}",
        damaged.stderr
    );
    let groups = told("creation_rules:\n  - key_groups: [{age: [$A]}, {pgp: [FF]}, {}]\n    shamir_threshold: 2\n");
    assert!(
        groups.stdout.contains("groups: 2 of 3 must open\ngroup 0: age1")
            && groups.stdout.contains("group 1: PGP FF\ngroup 2: nobody\n"),
        "{}",
        groups.stdout
    );
    let private = told(&format!("creation_rules:\n  - age: {}\n", crate::support::sandbox::IDENTITY));
    assert!(!private.stdout.contains("AGE-SECRET-KEY-1U") && !private.stderr.contains("AGE-SECRET-KEY-1U"), "{}", private.stdout);
}

#[test]
fn rule_says_what_takes_the_place_of_its_recipients() {
    let sandbox = Sandbox::with_identity();
    let told = ended(sandbox.dotsops(["rule", "s.env"]).env("SOPS_AGE_RECIPIENTS", STRANGER).env("SOPS_KMS_ARN", "arn:x"));
    assert_eq!(told.code, 0);
    assert!(told.stderr.contains("SOPS_AGE_RECIPIENTS is set") && told.stderr.contains("SOPS_KMS_ARN is set"), "{}", told.stderr);
}
