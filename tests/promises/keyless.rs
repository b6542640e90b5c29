//! What somebody can do who changes the encrypted file and holds no key: nothing that reaches a program unnoticed.

use crate::support::sandbox::{Ended, Sandbox, ended};

const PLAINTEXT: &str = "# a note\nURL=https://${HOST}/?t=tok\nPW=${MISSING:-fallback}\nAPI_KEY=canary\n";

fn with_lines_before(lines: &str) -> Sandbox {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", PLAINTEXT);
    let changed = format!("{lines}{}", sandbox.read("s.env"));
    sandbox.write("s.env", changed);
    sandbox
}

fn exec(sandbox: &Sandbox, more: &[&str]) -> Ended {
    let arguments = ["exec", "-f", "s.env"].iter().chain(more).chain(&["--", "env"]);
    ended(sandbox.dotsops(arguments).env("HOST", "good.example"))
}

#[test]
fn a_line_hidden_in_a_comment_is_no_variable() {
    let sandbox = with_lines_before("#x\rHOST=evil.example\rINJECTED=1\n");
    let refused = exec(&sandbox, &[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (125, ""));
    assert!(refused.stderr.contains("line 1") && refused.stderr.contains("comment"), "{}", refused.stderr);
    // Nor does an edit make one of it.
    let before = sandbox.read("s.env");
    let edited = sandbox.run(&["edit", "--editor", "sh -c 'echo NEW=1 >> \"$0\"'", "s.env"]);
    assert_eq!(edited.code, 5, "{}", edited.stderr);
    assert_eq!(sandbox.read("s.env"), before);
}

#[test]
fn an_added_empty_line_that_a_value_refers_to_is_told() {
    let sandbox = with_lines_before("HOST=\nMISSING=\n");
    let told = exec(&sandbox, &[]);
    assert!(
        told.stderr.contains("`URL` refers to `HOST`") && told.stderr.contains("`PW` refers to `MISSING`"),
        "{}",
        told.stderr
    );
    let allowed = exec(&sandbox, &["--allow", "HOST", "--allow", "MISSING"]);
    assert!(!allowed.stderr.contains("refers to"), "{}", allowed.stderr);
}

#[test]
fn a_value_refers_to_no_clear_line_that_the_mac_does_not_cover() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "HOST=good.example\nURL=https://${HOST}/\n");
    let arguments =
        ["encrypt", "--mac-only-encrypted", "--encrypted-regex", "^URL$", "--allow-plaintext", "*", "-o", "s.env", "p.env"];
    assert_eq!(sandbox.run(&arguments).code, 0);
    let changed = sandbox.read("s.env").replace("HOST=good", "HOST=evil");
    sandbox.write("s.env", changed);
    let refused = exec(&sandbox, &[]);
    assert_eq!(refused.code, 125, "{}", refused.stdout);
    assert!(refused.stderr.contains("refers to `HOST`") && refused.stderr.contains("--allow HOST"), "{}", refused.stderr);
    assert!(exec(&sandbox, &["--allow", "HOST"]).stdout.contains("URL=https://evil.example/\n"));
}

#[test]
fn an_added_line_of_a_later_file_takes_no_place_of_an_encrypted_value() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "API_KEY=canary\n");
    sandbox.encrypted("later.env", "OTHER=1\n");
    let changed = format!("API_KEY=\n{}", sandbox.read("later.env"));
    sandbox.write("later.env", changed);
    let refused = sandbox.run(&["exec", "-f", "s.env", "-f", "later.env", "--", "env"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (125, ""));
    assert!(refused.stderr.contains("API_KEY") && !refused.stderr.contains("canary"), "{}", refused.stderr);
    let allowed = sandbox.run(&["exec", "-f", "s.env", "-f", "later.env", "--allow", "API_KEY", "--", "env"]);
    assert!(allowed.stdout.contains("API_KEY=\n"), "{}", allowed.stderr);
}

#[test]
fn no_comment_takes_part_in_a_value() {
    let sandbox = Sandbox::with_identity();
    // What plain sops makes of a value with line breaks: a line with a `#` becomes a comment, which the MAC does not cover.
    let lines = "CFG=\"a=1\n#b=2\nc=3\"\n";
    let contents = crate::support::document::encrypted(
        lines.as_bytes(),
        crate::support::document::metadata(&[crate::support::sandbox::RECIPIENT], None, false),
    );
    sandbox.write("s.env", contents.unwrap());
    let refused = exec(&sandbox, &[]);
    assert_eq!(refused.code, 125, "{}", refused.stdout);
    assert!(refused.stderr.contains("comment"), "{}", refused.stderr);
}

#[test]
fn a_changed_type_is_told() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "PORT=8080\n");
    let changed = sandbox.read("s.env").replacen("type:str", "type:float", 1);
    sandbox.write("s.env", changed);
    let told = exec(&sandbox, &[]);
    assert!(told.stderr.contains("`PORT` is stored as a number"), "{}", told.stderr);
}

#[test]
fn a_default_file_that_became_a_plaintext_is_not_run_with() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("secrets.env", "A=1\n");
    let refused = sandbox.run(&["-q", "exec", "--", "env"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (125, ""));
    assert!(refused.stderr.contains("-f secrets.env"), "{}", refused.stderr);
    assert_eq!(sandbox.run(&["exec", "-f", "secrets.env", "--", "true"]).code, 0);
}

#[test]
fn a_plaintext_file_may_hold_values_over_several_lines() {
    let sandbox = Sandbox::empty();
    sandbox.write("p.env", "A=\"one\n# two\n\nthree\"\nB=2\n");
    let done = sandbox.run(&["exec", "-f", "p.env", "--", "sh", "-c", "printf %s \"$A\""]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "one\n# two\n\nthree"), "{}", done.stderr);
}

#[test]
fn many_added_lines_cost_no_quadratic_time() {
    let added: String = (0..60_000).map(|number| format!("#{number}\nZZ{number}=\n")).collect();
    let sandbox = with_lines_before(&added);
    let started = std::time::Instant::now();
    assert_eq!(sandbox.run(&["exec", "-f", "s.env", "--", "true"]).code, 0);
    // Twice the limit of what one pass needs in a debug build on a slow machine; quadratic time needs minutes.
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn a_commented_out_secret_is_asked_about_where_comments_stay_in_clear() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "API_KEY=canary\n");
    assert_eq!(sandbox.run(&["encrypt", "--encrypted-regex", "^API_", "-o", "s.env", "p.env"]).code, 0);
    let before = sandbox.read("s.env");
    let refused = sandbox.run(&["edit", "--editor", "sed -i s/^API/#API/", "s.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("#API_KEY") && !refused.stderr.contains("canary"), "{}", refused.stderr);
    assert_eq!(sandbox.read("s.env"), before);
    // And by `--fix`.
    sandbox.write("p.env", "API_KEY=\"canary\"junk\n");
    let fixed = sandbox.run(&["encrypt", "--fix", "--encrypted-regex", "^API_", "p.env"]);
    assert_eq!((fixed.code, fixed.stdout.as_str()), (6, ""), "{}", fixed.stderr);
}

#[test]
fn pasted_plaintext_under_a_comment_rule_is_noticed() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "# secret\nA=h\nB=2\n");
    let rule = ["encrypt", "--encrypted-comment-regex", "secret", "--allow-plaintext", "B", "-o", "s.env", "p.env"];
    assert_eq!(sandbox.run(&rule).code, 0);
    let pasted: String = sandbox
        .read("s.env")
        .lines()
        .map(|line| if line.starts_with("A=") { "A=canary\n".into() } else { format!("{line}\n") })
        .collect();
    sandbox.write("s.env", pasted);
    let refused = sandbox.run(&["encrypt", "-i", "s.env"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
}

#[test]
fn no_encrypted_file_is_replaced_by_oversight() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", "A=1\n");
    sandbox.write("p.env", "B=2\n");
    let before = sandbox.read("s.env");
    assert_eq!(sandbox.run(&["encrypt", "-o", "s.env", "p.env"]).code, 6);
    assert_eq!(sandbox.run(&["decrypt", "-o", "s.env", "s.env"]).code, 6);
    assert_eq!(sandbox.read("s.env"), before);
    assert_eq!(sandbox.run(&["encrypt", "--force", "-o", "s.env", "p.env"]).code, 0);
    assert_eq!(sandbox.run(&["decrypt", "s.env"]).stdout, "B=2\n");
}

#[test]
fn init_never_takes_a_plaintext_for_its_encrypted_file() {
    let sandbox = Sandbox::with_identity();
    sandbox.write(".env", "A=canary\n");
    let refused = sandbox.run(&["init", ".env", "--yes"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("encrypt -i .env"), "{}", refused.stderr);
    assert!(!sandbox.path(".gitignore").exists());
}

#[test]
fn keys_of_other_kinds_in_the_environment_are_not_passed_over() {
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    let refused = ended(sandbox.dotsops(["encrypt", "p.env"]).env("SOPS_PGP_FP", "85D77543B3D624B63CEA9E6DBC17301B491B3F21"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("SOPS_PGP_FP"), "{}", refused.stderr);
}

#[test]
fn a_config_that_is_no_file_does_not_hang() {
    let sandbox = Sandbox::empty();
    sandbox.write("p.env", "A=1\n");
    let made = std::process::Command::new("mkfifo").arg(sandbox.path(".sops.yaml")).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(sandbox.run(&["encrypt", "p.env"]).code, 3);
    }
}

#[test]
fn a_config_that_everybody_may_write_is_named_and_refused_outside_of_the_repository() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::with_identity();
    sandbox.write("p.env", "A=1\n");
    std::fs::set_permissions(sandbox.path(".sops.yaml"), PermissionsExt::from_mode(0o666)).unwrap();
    let named = sandbox.run(&["encrypt", "p.env"]);
    assert_eq!(named.code, 0, "{}", named.stderr);
    assert!(named.stderr.contains("everybody may write it"), "{}", named.stderr);
    std::fs::create_dir_all(sandbox.path("sub/.git")).unwrap();
    let refused = ended(sandbox.dotsops(["encrypt", "../p.env"]).current_dir(sandbox.path("sub")));
    assert_eq!(refused.code, 6, "{}", refused.stderr);
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_leaves_nothing_behind() {
    let sandbox = Sandbox::with_identity();
    sandbox.encrypted("s.env", &format!("A={}\n", "canary".repeat(2000)));
    let mut command = sandbox.program(std::path::Path::new("/bin/sh"));
    let line = format!("ulimit -f 1; exec '{}' decrypt -o plain.txt s.env", env!("CARGO_BIN_EXE_dotsops"));
    let failed = ended(command.args(["-c", &line]));
    assert_eq!(failed.code, 7, "{}", failed.stderr);
    let left: Vec<_> = std::fs::read_dir(sandbox.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("plain")), "{left:?}");
}
