//! Files that it takes several key groups to open: which sets of keys do, what is said to those that do not, and that sops agrees.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dotsops::document::EncryptedDocument;
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::keys::group::unwrap_data_key;
use dotsops::keys::step::Step;

use crate::support::groups::{Person, config, identities, keyring, people, without_wraps};
use crate::support::sandbox::Sandbox;
use crate::support::sops::Sops;

const PLAINTEXT: &str = "# who may deploy\nAPI_KEY=hunter2\nEMPTY=\nMODE_unencrypted=dev\n";

/// Every choice of some of `all`.
fn choices(all: &[Person]) -> Vec<Vec<&Person>> {
    let chosen = |bits: u32| all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, person)| person).collect();
    (1..1 << all.len()).map(chosen).collect()
}

fn three() -> ([Person; 3], String) {
    let all = people(["alice", "bob", "carol"]);
    let [alice, bob, carol] = &all;
    let config = config(&[&[alice], &[bob], &[carol]], 2);
    (all, config)
}

fn two_of_three() -> (Sandbox, [Person; 3]) {
    let (all, config) = three();
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config, "secrets.env", PLAINTEXT);
    (sandbox, all)
}

/// What sops, holding the keys of `holders`, makes of `file`.
fn sops_reads(sops: &Sops, holders: &[&Person], file: &str) -> Result<Vec<u8>, String> {
    sops.another().with_identities(&identities(holders)).decrypt(file.as_bytes())
}

#[test]
fn any_two_of_three_groups_open_a_file_and_one_alone_does_not() {
    let (sandbox, all) = two_of_three();
    let file = sandbox.read("secrets.env");
    assert!(file.contains("sops_shamir_threshold=2\n") && file.contains("sops_key_groups__list_2__map_age__list_0__map_enc="));
    for holders in choices(&all) {
        let ended = sandbox.run_as(&holders, &["decrypt", "secrets.env"]);
        match holders.len() {
            1 => assert_eq!((ended.code, ended.stdout.as_str()), (4, ""), "{}", ended.stderr),
            _ => assert_eq!((ended.code, ended.stdout.as_str()), (0, PLAINTEXT), "{}", ended.stderr),
        }
    }
    let [alice, _, carol] = &all;
    let ran = sandbox.run_as(&[carol, alice], &["exec", "-f", "secrets.env", "--", "printenv", "API_KEY"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "hunter2\n"), "{}", ran.stderr);
    let edit = ["edit", "--allow-disk-plaintext", "--editor", "sed -i s/hunter2/hunter3/", "secrets.env"];
    let edited = sandbox.run_as(&[carol, alice], &edit);
    assert_eq!(edited.code, 0, "{}", edited.stderr);
    let groups = |file: &str| file.lines().filter(|line| line.starts_with("sops_key_groups")).collect::<Vec<_>>().join("\n");
    assert_eq!(groups(&sandbox.read("secrets.env")), groups(&file));
}

#[test]
fn who_is_missing_is_said_by_group_and_name() {
    let (sandbox, [alice, ..]) = two_of_three();
    let said = sandbox.run_as(&[&alice], &["decrypt", "secrets.env"]).stderr;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(lines[0], "dotsops: error: cannot decrypt secrets.env: 1 of its 3 key groups opened, 2 are needed");
    assert!(lines[1].contains("group 1 needs age1") && lines[1].contains("(bob); group 2 needs age1"), "{said}");
    assert!(
        lines[1].contains("(carol)") && lines[1].contains("tried 1 identity: age1") && lines[1].contains("from SOPS_AGE_KEY"),
        "{said}"
    );
    assert!(!lines[1].split("; tried").next().unwrap().contains("alice") && lines[2].contains("2 groups"), "{said}");
    // Of several, any one will do.
    let [bob, carol] = people(["bob", "carol"]);
    sandbox.encrypted_under(&config(&[&[&alice], &[&bob, &carol]], 0), "both.env", PLAINTEXT);
    let said = sandbox.run_as(&[&alice], &["exec", "-f", "both.env", "--", "true"]);
    assert_eq!(said.code, 125);
    assert!(said.stderr.contains("group 1 needs one of age1") && said.stderr.contains("(bob), age1"), "{}", said.stderr);
    let nobody = sandbox.run_as(&[], &["decrypt", "both.env"]).stderr;
    assert!(nobody.contains("0 of its 2 key groups opened, 2 are needed") && nobody.contains("no identity"), "{nobody}");
}

#[test]
fn without_a_threshold_all_groups_are_needed_and_that_is_written_down() {
    let all = people(["alice", "bob"]);
    let [alice, bob] = &all;
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[alice], &[bob]], 0), "secrets.env", PLAINTEXT);
    assert!(sandbox.read("secrets.env").contains("sops_shamir_threshold=2\n"));
    assert_eq!(sandbox.run_as(&[alice], &["decrypt", "secrets.env"]).code, 4);
    assert_eq!(sandbox.run_as(&[alice, bob], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    // A file that lost the number needs all of them too.
    let without = sandbox.read("secrets.env").replace("sops_shamir_threshold=2\n", "");
    sandbox.write("secrets.env", without);
    assert_eq!(sandbox.run_as(&[bob], &["decrypt", "secrets.env"]).code, 4);
    assert_eq!(sandbox.run_as(&[bob, alice], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
}

#[test]
fn the_option_overrules_the_threshold_of_the_rule() {
    let (sandbox, all) = two_of_three();
    sandbox.write("plain.env", PLAINTEXT);
    let options = ["encrypt", "--allow-plaintext", "*", "--threshold", "3", "-o", "s.env", "plain.env"];
    assert_eq!(sandbox.run(&options).code, 0);
    let [alice, bob, carol] = &all;
    assert_eq!(sandbox.run_as(&[alice, bob], &["decrypt", "s.env"]).code, 4);
    assert_eq!(sandbox.run_as(&[alice, bob, carol], &["decrypt", "s.env"]).stdout, PLAINTEXT);
    let refused = sandbox.run(&["encrypt", "--allow-plaintext", "*", "--shamir-secret-sharing-threshold", "4", "plain.env"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains("4 of 3 key groups"), "{}", refused.stderr);
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_with_its_line() {
    let (sandbox, all) = two_of_three();
    let [alice, bob, _] = &all;
    let groups = config(&[&[alice], &[bob]], 0);
    let cases = [
        (config(&[&[alice], &[bob]], 1), ".sops.yaml: line 2: the rule asks for 1 of its 2 key groups"),
        (config(&[&[alice], &[bob]], 3), ".sops.yaml: line 2: the rule asks for 3 of its 2 key groups"),
        (format!("{groups}      - age: []\n"), ".sops.yaml: line 2: the rule has a key group without keys"),
        (format!("{groups}      - pgp:\n          - AB12\n"), "here is a PGP key"),
    ];
    for (text, expected) in cases {
        sandbox.write(".sops.yaml", &text);
        let refused = sandbox.run_with(&["encrypt", "--filename-override", "s.env"], "A=1\n");
        assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{text}");
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn a_group_of_another_kind_keeps_nobody_out_who_opens_enough_others() {
    let (sandbox, [alice, bob, carol]) = two_of_three();
    let foreign: String = sandbox
        .read("secrets.env")
        .lines()
        .map(|line| match line.strip_prefix("sops_key_groups__list_1__map_age__list_0__map_") {
            Some(field) if field.starts_with("recipient=") => {
                let pgp = "sops_key_groups__list_1__map_pgp__list_0__map_";
                format!("{pgp}created_at=2026-01-02T03:04:05Z\n{pgp}enc=PGP\n{pgp}fp=AB12\n")
            }
            Some(_) => String::new(),
            None => format!("{line}\n"),
        })
        .collect();
    sandbox.write("secrets.env", &foreign);
    assert_eq!(sandbox.run_as(&[&carol, &alice], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    let alone = sandbox.run_as(&[&alice, &bob], &["decrypt", "secrets.env"]);
    assert_eq!(alone.code, 4);
    assert!(alone.stderr.contains("group 1 needs PGP AB12; group 2 needs age1"), "{}", alone.stderr);
    // Its share could not be made anew.
    for change in [&["groups", "add", "-i", "-y", "--age", bob.recipient.as_str()][..], &["groups", "delete", "-i", "-y", "0"]] {
        let arguments: Vec<&str> = change.iter().copied().chain(["-f", "secrets.env"]).collect();
        let refused = sandbox.run_as(&[&carol, &alice], &arguments);
        assert_eq!(refused.code, 6, "{}", refused.stderr);
        assert!(refused.stderr.contains("PGP keys are not supported yet"), "{}", refused.stderr);
        assert_eq!(sandbox.read("secrets.env"), foreign);
    }
}

#[test]
fn metadata_that_does_not_go_together_is_told_from_missing_keys() {
    let (sandbox, all) = two_of_three();
    let holders: Vec<&Person> = all.iter().collect();
    let file = sandbox.read("secrets.env");
    let enc = |group: usize| {
        let start = format!("sops_key_groups__list_{group}__map_age__list_0__map_enc=");
        file.lines().find(|line| line.starts_with(&start)).unwrap().to_owned()
    };
    let first = enc(0);
    let first_share = first.split_once('=').unwrap().1;
    let second = enc(1);
    let copied = file.replace(second.split_once('=').unwrap().1, first_share);
    let cut = file.replace(first_share, &first_share[..first_share.len() / 2]);
    let cases = [
        (file.replace("threshold=2", "threshold=4"), 3, "asks for 4 of its 3 key groups"),
        (copied, 5, "a share is there twice"),
        (cut.replace("threshold=2", "threshold=3"), 5, "the wrapped data key is malformed"),
        // Two shares of a secret that took three give another secret, which opens nothing.
        (three_needed(&sandbox).replace("threshold=3", "threshold=2"), 5, "is not authentic"),
    ];
    for (text, code, expected) in cases {
        sandbox.write("changed.env", text);
        let ended = sandbox.run_as(&holders, &["decrypt", "changed.env"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

/// The file of `sandbox`, encrypted again so that it takes all three groups.
fn three_needed(sandbox: &Sandbox) -> String {
    let encrypt = ["encrypt", "--allow-plaintext", "*", "--threshold", "3", "--filename-override", "s.env"];
    sandbox.run_with(&encrypt, PLAINTEXT).stdout
}

#[test]
fn a_file_of_ours_opens_for_sops_with_any_two_of_three_groups_and_the_other_way_round() {
    let Some(sops) = Sops::find() else { return };
    let (sandbox, all) = two_of_three();
    fs::copy(sandbox.path(".sops.yaml"), sops.folder().join(".sops.yaml")).unwrap();
    let theirs = sops.run(&["encrypt", "plain.env"], "plain.env", PLAINTEXT.as_bytes()).unwrap();
    let (ours, theirs) = (sandbox.read("secrets.env"), String::from_utf8(theirs).unwrap());
    let names = |file: &str| file.lines().map(|line| line.split(['=', ',']).next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    sandbox.write("theirs.env", &theirs);
    for holders in choices(&all) {
        let by_us = sandbox.run_as(&holders, &["decrypt", "theirs.env"]);
        let by_sops = sops_reads(&sops, &holders, &ours);
        match holders.len() {
            1 => assert!(by_us.code == 4 && by_sops.is_err(), "{}", by_us.stderr),
            _ => {
                assert_eq!((by_us.code, by_us.stdout.as_str()), (0, PLAINTEXT), "{}", by_us.stderr);
                assert_eq!(by_sops.unwrap(), PLAINTEXT.as_bytes());
            }
        }
    }
}

#[test]
fn groups_are_listed_without_a_key() {
    let (sandbox, all) = two_of_three();
    let [alice, bob, carol] = &all;
    let listed = sandbox.run_as(&[], &["groups", "list", "-f", "secrets.env"]);
    let line = |at: usize, person: &Person| format!("group {at}: {} ({})\n", person.recipient, person.name);
    let expected = format!("2 of 3 key groups are needed\n{}{}{}", line(0, alice), line(1, bob), line(2, carol));
    assert_eq!((listed.code, listed.stdout), (0, expected), "{}", listed.stderr);
}

#[test]
fn a_group_is_added_and_deleted_as_sops_does_it() {
    let Some(sops) = Sops::find() else { return };
    let all = people(["alice", "bob", "carol"]);
    let [alice, bob, carol] = &all;
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[alice]], 0), "secrets.env", PLAINTEXT);
    let threshold = ["--shamir-secret-sharing-threshold", "2"];
    let steps: [(&[&Person], &[&str], &[&str]); 4] = [
        (&[alice], &["add", "--age", &bob.recipient], &[]),
        (&[alice, bob], &["add", "--age", &carol.recipient], &threshold),
        (&[bob, carol], &["delete", "0"], &[]),
        (&[bob, carol], &["add", "--age", &alice.recipient, "--age", &bob.recipient], &[]),
    ];
    for (holders, action, options) in steps {
        let before = sandbox.read("secrets.env");
        let sops = sops.another().with_identities(&identities(holders));
        let (verb, rest) = action.split_first().unwrap();
        let arguments = [&["groups", *verb, "-f", "secrets.env", "-i"][..], options, rest].concat();
        sops.run(&arguments, "secrets.env", before.as_bytes()).unwrap();
        let theirs = fs::read_to_string(sops.folder().join("secrets.env")).unwrap();

        // The rule names nobody but the first, so the others are asked about.
        let ended = sandbox.run_as(holders, &[&arguments[..], &["--yes"]].concat());
        assert_eq!(ended.code, 0, "{arguments:?} {}", ended.stderr);
        let ours = sandbox.read("secrets.env");
        assert_eq!(without_wraps(&ours), without_wraps(&theirs), "{arguments:?}");
        for holders in choices(&all) {
            let by_sops = sops_reads(&sops, &holders, &ours).is_ok();
            assert_eq!(by_sops, sops_reads(&sops, &holders, &theirs).is_ok(), "{arguments:?}");
            assert_eq!(by_sops, sandbox.run_as(&holders, &["decrypt", "secrets.env"]).code == 0, "{arguments:?}");
        }
    }
    // Without -i the result is printed, and the file stays.
    let before = sandbox.read("secrets.env");
    let printed = sandbox.run_as(&[bob, carol], &["groups", "add", "--yes", "-f", "secrets.env", "--age", &carol.recipient]);
    assert_eq!((printed.code, sandbox.read("secrets.env")), (0, before));
    assert_eq!(sops_reads(&sops, &[alice, carol], &printed.stdout).unwrap(), PLAINTEXT.as_bytes());
}

#[test]
fn fewer_groups_than_are_needed_are_never_left() {
    let (sandbox, all) = two_of_three();
    let [alice, bob, _] = &all;
    let delete = |more: &[&str]| {
        let arguments: Vec<&str> = ["groups", "delete", "-f", "secrets.env", "-i"].iter().chain(more).copied().collect();
        sandbox.run_as(&[alice, bob], &arguments)
    };
    let before = sandbox.read("secrets.env");
    let refusals = [
        (&["7"][..], 2, "there is no key group 7"),
        (&["-1"], 2, "-1"),
        (&["2", "--threshold", "3"], 6, "2 key groups would be left"),
        (&["2", "--threshold", "1"], 2, "1 of 2 key groups"),
        (&["0"], 6, "your identities could not read secrets.env any more"),
    ];
    for (arguments, code, expected) in refusals {
        let refused = delete(arguments);
        assert_eq!(refused.code, code, "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
        assert_eq!(sandbox.read("secrets.env"), before);
    }
    assert_eq!(delete(&["2"]).code, 0);
    let refused = delete(&["1"]);
    assert_eq!(refused.code, 6);
    assert!(refused.stderr.contains("--threshold 1"), "{}", refused.stderr);
    assert_eq!(delete(&["1", "--threshold", "1"]).code, 0);
    assert_eq!(sandbox.run_as(&[alice], &["decrypt", "secrets.env"]).stdout, PLAINTEXT);
    assert!(!sandbox.read("secrets.env").contains("key_groups"));
    let refused = delete(&["0"]);
    assert_eq!(refused.code, 6);
    assert!(refused.stderr.contains("nobody could read the file"), "{}", refused.stderr);
}

#[test]
fn whoever_cannot_open_a_file_changes_no_group_of_it() {
    let (sandbox, all) = two_of_three();
    let [alice, bob, _] = &all;
    let before = sandbox.read("secrets.env");
    for arguments in [&["add", "--age", &alice.recipient][..], &["delete", "1"]] {
        let arguments: Vec<&str> = ["groups"].iter().chain(arguments).chain(&["-f", "secrets.env", "-i"]).copied().collect();
        assert_eq!(sandbox.run_as(&[alice], &arguments).code, 4);
    }
    // Nor does anybody change a file whose values are not what its writer wrote.
    sandbox.write("secrets.env", before.replace("MODE_unencrypted=dev", "MODE_unencrypted=prod"));
    let tampered = sandbox.run_as(&[alice, bob], &["groups", "delete", "-f", "secrets.env", "-i", "2"]);
    assert_eq!(tampered.code, 5, "{}", tampered.stderr);
    let private = sandbox.run_as(&[alice, bob], &["groups", "add", "-f", "secrets.env", "--age", &alice.identity]);
    assert_eq!(private.code, 3);
    assert!(private.stderr.contains("private key") && !private.stderr.contains(&alice.identity[20..40]), "{}", private.stderr);
}

#[test]
fn no_share_and_no_data_key_is_printed() {
    let (sandbox, all) = two_of_three();
    let holders: Vec<&Person> = all.iter().collect();
    let document = EncryptedDocument::new(Dotenv.parse(sandbox.read("secrets.env").as_bytes()).unwrap()).ok().unwrap();
    let groups = &document.metadata.key_groups;
    let everybody = keyring(&holders);
    let mut secrets = vec![unwrap_data_key(groups, 2, &everybody).ok().unwrap().expose().to_vec()];
    // Without their place, which says nothing and would change the last characters of base64.
    secrets.extend(
        groups.iter().map(|group| group.keys[0].unwrap_data_key(&everybody, Step::Native).ok().unwrap().expose()[..30].to_vec()),
    );
    sandbox.write(".sops.yaml", config(&[&[holders[0], holders[1]], &[holders[2]]], 0));
    let rows: [&[&str]; 8] = [
        &["decrypt", "secrets.env"],
        &["groups", "list", "-f", "secrets.env"],
        &["groups", "add", "-f", "secrets.env", "--age", &holders[0].recipient],
        &["groups", "delete", "-f", "secrets.env", "0"],
        &["groups", "delete", "-f", "secrets.env", "9"],
        &["updatekeys", "--dry-run", "secrets.env"],
        &["updatekeys", "secrets.env"],
        &["updatekeys", "--yes", "secrets.env"],
    ];
    for row in rows {
        for holders in [&holders[..], &holders[..1], &[]] {
            let ended = sandbox.run_as(holders, row);
            let said = format!("{}{}", ended.stdout, ended.stderr);
            for secret in &secrets {
                let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
                let debug = format!("{secret:?}");
                let shapes = [STANDARD.encode(secret)[..39].to_owned(), hex, debug[1..debug.len() - 1].to_owned()];
                assert!(shapes.iter().all(|shape| !said.to_lowercase().contains(&shape.to_lowercase())), "{row:?}: {said}");
            }
        }
    }
}

#[test]
fn a_rotated_file_needs_as_many_groups_as_before() {
    let (sandbox, all) = two_of_three();
    let before = sandbox.read("secrets.env");
    let [alice, _, carol] = &all;
    let rotated = sandbox.run_as(&[carol, alice], &["rotate", "--yes", "secrets.env"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    let after = sandbox.read("secrets.env");
    assert!(after.contains("sops_shamir_threshold=2\n"));
    let tokens = |file: &str| file.lines().filter(|line| line.contains("ENC[")).map(str::to_owned).collect::<Vec<_>>();
    assert!(tokens(&before).iter().all(|token| !after.contains(token)));
    for holders in choices(&all) {
        let ended = sandbox.run_as(&holders, &["decrypt", "secrets.env"]);
        let expected = if holders.len() == 1 { (4, "") } else { (0, PLAINTEXT) };
        assert_eq!((ended.code, ended.stdout.as_str()), expected, "{}", ended.stderr);
    }
}

#[test]
fn a_recipient_that_somebody_without_a_key_wrote_in_gets_no_data_key_when_groups_change() {
    let all = people(["alice", "bob", "mallory", "carol"]);
    let [alice, bob, mallory, carol] = &all;
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[alice], &[bob]], 2), "secrets.env", PLAINTEXT);
    let whole = sandbox.read("secrets.env");
    let first = format!("sops_key_groups__list_0__map_age__list_0__map_recipient={}\n", alice.recipient);
    let second = first.replace("age__list_0", "age__list_1").replace(&alice.recipient, &mallory.recipient);
    let wrapped = "sops_key_groups__list_0__map_age__list_1__map_enc=x\n";
    let forged = whole.replace(&first, &format!("{first}{wrapped}{second}"));
    assert_ne!(forged, whole);
    for change in [
        &["groups", "delete", "-i", "--threshold", "1", "-f", "secrets.env", "1"][..],
        &["groups", "add", "-i", "--age", &carol.recipient, "-f", "secrets.env"],
    ] {
        sandbox.write("secrets.env", &forged);
        let ended = sandbox.run_as(&[alice, bob], change);
        assert_eq!(ended.code, 6, "{change:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(&mallory.recipient), "{change:?}: {}", ended.stderr);
        assert_eq!(sandbox.read("secrets.env"), forged, "{change:?}");
        assert_ne!(sandbox.run_as(&[mallory], &["decrypt", "secrets.env"]).code, 0, "{change:?}");
    }
}

#[test]
fn a_threshold_that_somebody_wrote_into_a_file_is_the_files_fault() {
    let all = people(["alice", "bob"]);
    let [alice, bob] = &all;
    let sandbox = Sandbox::empty();
    sandbox.encrypted_under(&config(&[&[alice], &[bob]], 2), "secrets.env", PLAINTEXT);
    let damaged = sandbox.read("secrets.env").replace("sops_shamir_threshold=2", "sops_shamir_threshold=1");
    sandbox.write("secrets.env", &damaged);
    let ended = sandbox.run_as(&[alice, bob], &["rotate", "secrets.env"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("git checkout -- secrets.env") && !ended.stderr.contains("--threshold"), "{}", ended.stderr);
    assert_eq!(sandbox.read("secrets.env"), damaged);
}
