//! What is in the file: values, the MAC, the metadata, bytes that are no text.

use aes_gcm::{AeadInPlace, Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::sealed::{PLAINTEXT, other_byte, sealed, sealed_with, spoiled, spoiled_file};
use super::table::{Cell, FILE, Group, State, User, check, prepare, put, row};
use crate::support::document::{keyring, open, with_value};
use crate::support::sandbox::Sandbox;

#[test]
fn without_the_right_key_nothing_is_shown_run_or_changed() {
    let says: &[&str] = &["none of your identities is a recipient", "age1syfl80l704uvg7exdg67", "keygen"];
    check(vec![
        row("no key", sealed()).by(User::Nobody).refused(4, says),
        row("a wrong key", sealed()).by(User::Stranger).refused(4, &["tried 1 identity", "ask somebody who can read it"]),
    ]);
}

#[test]
fn a_value_that_was_changed_moved_or_replaced_is_named() {
    let of_another = sealed();
    let token = spoiled_value(&of_another);
    let named: &[&str] = &["`API_KEY`", "git checkout -- secrets.env"];
    let mac: &[&str] = &["MAC", "git checkout -- secrets.env"];
    let token_parts = ["data", "iv", "tag"].map(|part| {
        let file = spoiled(|lines| lines.set("API_KEY=", &other_byte(&lines.value("API_KEY="), part)));
        row(part, file).forged(named)
    });
    let mut rows = vec![
        row("two values are swapped", {
            spoiled(|lines| {
                let (first, second) = (lines.value("API_KEY="), lines.value("TOKEN="));
                lines.set("API_KEY=", &second);
                lines.set("TOKEN=", &first);
            })
        })
        .forged(named),
        row("a value of another file", spoiled(|lines| lines.set("API_KEY=", &token))).forged(named),
        row("a line is renamed", spoiled(|lines| lines.replace("API_KEY=", "API_KEY", "API_KEX"))).forged(&["`API_KEX`"]),
        row("a line is deleted", spoiled(|lines| drop(lines.remove("TOKEN=")))).forged(mac),
        row("a line is moved", {
            spoiled(|lines| {
                let line = lines.remove("API_KEY=");
                lines.insert("LAST=", &line);
            })
        })
        .forged(mac),
        row("a value in clear", spoiled(|lines| lines.set("API_KEY=", "cnry"))).in_clear(named),
        row("a value is emptied", spoiled(|lines| lines.set("API_KEY=", ""))).forged(mac),
        row("a value in clear is changed", spoiled(|lines| lines.set("MODE_unencrypted=", "prod"))).forged(mac),
        row("a value in clear is added", spoiled(|lines| lines.insert("LAST=", "X_unencrypted=cnry"))).forged(mac),
        row("the type is another", spoiled(|lines| lines.replace("API_KEY=", "type:str", "type:int"))).forged(named),
        row("the type is comment", spoiled(|lines| lines.replace("API_KEY=", "type:str", "type:comment"))).forged(named),
        row("the type is bytes", spoiled(|lines| lines.replace("API_KEY=", "type:str", "type:bytes"))).forged(named),
        row("the type is unknown", spoiled(|lines| lines.replace("API_KEY=", "type:str", "type:cnry"))).forged(named),
        row("bytes follow the value", spoiled(|lines| lines.replace("API_KEY=", "type:str]", "type:str]cnry"))).in_clear(named),
        row("a blank follows the value", spoiled(|lines| lines.replace("API_KEY=", "type:str]", "type:str] "))).in_clear(named),
        row("one stray CR", spoiled(|lines| lines.replace("API_KEY=", "type:str]", "type:str]\r"))).in_clear(named),
        row("a tag of 15 bytes", spoiled(|lines| shorten(lines, "tag:", 20))).forged(named),
        row("a tag of 12 bytes", spoiled(|lines| shorten(lines, "tag:", 16))).forged(named),
        row("no nonce", spoiled(|lines| shorten(lines, "iv:", 0))).forged(named),
        row("a comment as a value", {
            spoiled(|lines| {
                let comment = lines.value("#");
                lines.set("API_KEY=", &comment);
            })
        })
        .forged(named),
        row("a value as a comment", {
            spoiled(|lines| {
                let value = lines.value("API_KEY=");
                lines.push(&format!("#{value}"));
            })
        }),
        row("an encrypted comment that is a value", spoiled(|lines| lines.replace("#", "type:comment", "type:str")))
            .forged(&["an encrypted comment is damaged"]),
    ];
    rows.extend(token_parts);
    check(rows);
}

#[test]
fn what_anybody_may_do_to_a_file_is_read_and_said() {
    check(vec![
        row("a name without a value is added", spoiled(|lines| lines.insert("LAST=", "NEW="))),
        row("a comment is added", spoiled(|lines| lines.insert("LAST=", "# by hand")))
            .group(Group::Reading, Cell::Runs(&[]))
            .verb("decrypt", Cell::Runs(&["a comment stands in clear"]))
            .group(Group::Changing, Cell::Runs(&["a comment stands in clear"]))
            .verb("rotate", Cell::Runs(&["a comment stands in clear"])),
        row("a comment is taken out", spoiled(|lines| drop(lines.remove("#")))),
        row("blank lines are added", spoiled(|lines| lines.insert("LAST=", "\n\n"))),
        row("a comment hides a line behind a CR", spoiled(|lines| lines.insert("LAST=", "# x\rLD_PRELOAD=cnry")))
            .group(Group::Exec, Cell::Refuses(125, &["line 6", "git log -p secrets.env"]))
            .verb("exec --literal", Cell::Runs(&[]))
            .verb("get", Cell::Runs(&[]))
            .group(Group::Changing, Cell::Refuses(5, &["carriage return", "git log -p secrets.env"]))
            .verb("rotate", Cell::Refuses(5, &["carriage return", "git log -p secrets.env"])),
    ]);
}

/// A nonce of another length is read, for sops reads it, and never written.
#[test]
fn a_nonce_of_another_length_is_read_and_replaced() {
    let file = with_short_nonce();
    check(vec![row("a nonce of 12 bytes", file.clone())]);
    let sandbox = Sandbox::with_identity();
    let changes: [&[&str]; 3] =
        [&["set", "-f", FILE, "LAST"], &["edit", "--allow-disk-plaintext", "--editor", "../tmp/types", FILE], &["rotate", FILE]];
    prepare(&sandbox);
    for arguments in changes {
        sandbox.write(FILE, &file);
        let ended = sandbox.run_with(arguments, "other\n");
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        let token = spoiled_value(&sandbox.read(FILE));
        let nonce = token.split("iv:").nth(1).unwrap().split(',').next().unwrap();
        assert_eq!(nonce.len(), 44, "{arguments:?}: {token}");
        assert!(sandbox.run(&["get", "-f", FILE, "API_KEY"]).stdout.contains("cnry-cnry-1"));
    }
}

/// What names a service is kept and never asked: this version opens files with age keys alone.
#[test]
fn a_vault_that_the_file_names_is_contacted_by_no_verb() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let vault = format!(
        "sops_hc_vault__list_0__map_created_at=2026-01-02T03:04:05Z\nsops_hc_vault__list_0__map_enc=vault:v1:AAAA\n\
         sops_hc_vault__list_0__map_engine_path=transit\nsops_hc_vault__list_0__map_key_name=k\n\
         sops_hc_vault__list_0__map_vault_address=http://{}",
        listener.local_addr().unwrap()
    );
    let beside = spoiled(|lines| lines.push(&vault));
    let alone = spoiled_file(&beside, |lines| {
        lines.remove("sops_age__list_0__map_enc=");
        lines.remove("sops_age__list_0__map_recipient=");
    });
    let not_here = Cell::NotHere("a data key is wrapped for age keys only so far");
    check(vec![
        row("a Vault beside our key", beside).group(Group::Wrapping, not_here),
        row("a Vault alone", alone).refused(4, &["HashiCorp Vault", "use sops for this one"]),
    ]);
    listener.set_nonblocking(true).unwrap();
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "{nobody}");
}

#[test]
fn a_plaintext_with_mistakes_is_refused_with_the_first_of_them() {
    let sandbox = Sandbox::with_identity();
    let many: String = (0..1000).map(|at| format!("cnry {at}\n")).collect();
    for (text, says) in
        [(many.as_str(), &["line 1", "line 10", "and 990 lines more like these"][..]), ("A=1\nB='cnry\n", &["line 2"])]
    {
        put(&sandbox, text.as_bytes());
        let before = State::of(&sandbox);
        let ended = sandbox.run(&["encrypt", "-i", FILE]);
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        assert!(ended.stderr.lines().count() <= 14 && !ended.stderr.contains("cnry"), "{}", ended.stderr);
        assert!(
            says.iter().all(|text| ended.stderr.contains(text)) && ended.stderr.contains("dotsops: hint: "),
            "{}",
            ended.stderr
        );
        assert_eq!(before.differs(&State::of(&sandbox)), [""; 0]);
    }
}

#[test]
fn a_mac_that_is_missing_wrong_or_anothers_is_refused() {
    let other = sealed();
    check(vec![
        row("no MAC", spoiled(|lines| drop(lines.remove("sops_mac=")))).forged(&["no MAC"]),
        row("an empty MAC", spoiled(|lines| lines.set("sops_mac=", ""))).forged(&["no MAC"]),
        row("a MAC that is no token", spoiled(|lines| lines.set("sops_mac=", "A1B2"))).forged(&["MAC", "git checkout"]),
        row("an edited MAC", spoiled(|lines| lines.set("sops_mac=", &other_byte(&lines.value("sops_mac="), "data"))))
            .forged(&["MAC", "was edited"]),
        row("the MAC of another file", {
            spoiled(|lines| drop(spoiled_file(&other, |other| lines.set("sops_mac=", &other.value("sops_mac=")))))
        })
        .forged(&["MAC"]),
        row("the MAC of an older version", older_mac()).forged(&["MAC"]),
        row("another date", spoiled(|lines| lines.set("sops_lastmodified=", "2031-01-02T03:04:05Z"))).forged(&["date", "edited"]),
        row("no date", spoiled(|lines| drop(lines.remove("sops_lastmodified=")))).unusable(&["lastmodified"]),
        row("a date that is none", spoiled(|lines| lines.set("sops_lastmodified=", "cnry"))).unusable(&["lastmodified"]),
        row("mac_only_encrypted is set", spoiled(|lines| lines.push("sops_mac_only_encrypted=true"))).forged(&["MAC"]),
    ]);
}

#[test]
fn metadata_that_cannot_be_used_is_refused_and_never_half_used() {
    check(vec![
        row(
            "nobody can open it",
            spoiled(|lines| {
                lines.remove("sops_age__list_0__map_enc=");
                lines.remove("sops_age__list_0__map_recipient=");
            }),
        )
        .unusable(&["no master key"]),
        row("no version", spoiled(|lines| drop(lines.remove("sops_version="))))
            .unusable(&["version"])
            .verb("filestatus", Cell::Runs(&[])),
        row(
            "a line twice",
            spoiled(|lines| {
                let mac = lines.value("sops_mac=");
                lines.push(&format!("sops_mac={mac}"));
            }),
        )
        .malformed(&["line 13", "`mac` twice"]),
        row("two versions after a careless merge", spoiled(|lines| lines.push("sops_lastmodified=2031-01-02T03:04:05Z")))
            .malformed(&["line 13", "`lastmodified` twice", "git"]),
        row("a field twice, in another case", spoiled(|lines| lines.push("sops_age__list_0__map_ENC=cnry")))
            .unusable(&["`enc`", "twice"]),
        row("a list with a hole", spoiled(|lines| lines.push("sops_age__list_2__map_enc=cnry"))).malformed(&[
            "line 7",
            "`age`",
            "incomplete",
        ]),
        row("a text and a list", spoiled(|lines| lines.push("sops_age=cnry"))).malformed(&["line 13", "`age`"]),
        row("a text for a list", spoiled(|lines| lines.push("sops_pgp=cnry"))).unusable(&["`pgp`"]),
        row("a threshold that is no number", spoiled(|lines| lines.push("sops_shamir_threshold=cnry")))
            .unusable(&["`shamir_threshold`"]),
        row("a metadata line without `=`", spoiled(|lines| lines.push("sops_cnry"))).malformed(&["line 13", "no `=`"]),
        row("the wrapped key is damaged", spoiled(|lines| lines.replace("sops_age__list_0__map_enc=", "\\nYWdl", "\\nYWdm")))
            .forged(&["age1syfl80l704uvg7exdg67", "`sops_…` lines"]),
        row("the wrapped key is no armor", spoiled(|lines| lines.set("sops_age__list_0__map_enc=", "cnry")))
            .forged(&["age1syfl80l704uvg7exdg67", "`sops_…` lines"]),
        row("a field that nobody knows", spoiled(|lines| lines.push("sops_future=1"))),
        row("metadata in the middle", spoiled(|lines| lines.metadata_before("TOKEN="))),
        row("metadata at the beginning", spoiled(|lines| lines.metadata_before("#"))),
    ]);
}

#[test]
fn a_selection_that_is_not_clear_is_refused_for_it_could_mean_nothing_is_encrypted() {
    let suffix = "sops_unencrypted_suffix=";
    let pattern = |pattern: &str| {
        spoiled(|lines| {
            lines.remove(suffix);
            lines.push(&format!("sops_encrypted_regex={pattern}"));
        })
    };
    let says: &[&str] = &["`encrypted_regex`", "pattern", "nothing is encrypted"];
    check(vec![
        row("a pattern that does not compile", pattern("^(API")).unusable(says),
        row("a glob", pattern("*_KEY")).unusable(says),
        row("a pattern that Go does not know", pattern("(?=API)")).unusable(says),
        row("a pattern of 4,097 bytes", pattern(&"A".repeat(4097))).unusable(&["`encrypted_regex`", "longer than 4 KiB"]),
        row("a pattern that is large once compiled", pattern("((((a{100}){100}){100}){100})")).unusable(says),
        row("a pattern of 2,000 brackets", pattern(&format!("{}{}", "(".repeat(2000), ")".repeat(2000)))).unusable(says),
        row("two selection options", spoiled(|lines| lines.push("sops_encrypted_regex=^API")))
            .unusable(&["more than one selection option", "git"]),
    ]);
}

#[test]
fn a_text_that_is_no_clean_dotenv_is_named_by_line() {
    let merged = spoiled(|lines| {
        let mine = lines.value("API_KEY=");
        lines.insert("API_KEY=", "<<<<<<< HEAD");
        lines.insert("TOKEN=", "=======");
        lines.insert("TOKEN=", &format!("API_KEY={mine}"));
        lines.insert("TOKEN=", ">>>>>>> theirs");
    });
    let crlf = sealed().replace('\n', "\r\n");
    let mixed = crlf.replacen("\r\n", "\n", 1);
    let in_clear = |value: &[u8]| [sealed().as_bytes(), b"Z_unencrypted=", value, b"\n"].concat();
    let named = |name: &[u8]| [b"A".as_slice(), name, b"B=cnry\n", sealed().as_bytes()].concat();
    check(vec![
        row("merge markers", merged).malformed(&["line 2", "merge conflict", "git checkout --ours secrets.env"]),
        row("a line without `=`", spoiled(|lines| lines.insert("TOKEN=", "cnry cnry"))).malformed(&["line 3", "no `=`", "git"]),
        row("every line ends in CRLF", crlf),
        row("all lines but one end in CRLF", mixed).malformed(&["line 7", "carriage return", "git"]),
        row("a BOM", format!("\u{feff}{}", sealed())).in_clear(&["byte order mark"]),
        row("a BOM before a name", format!("\u{feff}{}", sealed_with(PLAINTEXT.split_once('\n').unwrap().1)))
            .forged(&["byte order mark"]),
        row("a value in clear that is not UTF-8", in_clear(b"\xff\xfe")).forged(&["MAC"]),
        row("a value in clear with a NUL", in_clear(b"a\0b")).forged(&["MAC"]),
        row("a name that is not UTF-8", named(b"\xff")).in_clear(&["is not encrypted"]),
        row("a name with a NUL", named(b"\0")).in_clear(&["is not encrypted"]),
        row("metadata that is not UTF-8", [sealed().as_bytes(), b"sops_shamir_threshold=\xff\n"].concat())
            .unusable(&["`shamir_threshold`"]),
    ]);
}

/// The token of `API_KEY` in `file`.
fn spoiled_value(file: &str) -> String {
    let mut token = String::new();
    spoiled_file(file, |lines| token = lines.value("API_KEY="));
    token
}

/// Cuts the base64 behind `part` of `API_KEY` down to `length` letters.
fn shorten(lines: &mut super::sealed::Lines, part: &str, length: usize) {
    let token = lines.value("API_KEY=");
    let start = token.find(part).unwrap() + part.len();
    let end = start + token[start..].find([',', ']']).unwrap();
    lines.set("API_KEY=", &format!("{}{}{}", &token[..start], &token[start..start + length], &token[end..]));
}

/// A file whose `API_KEY` was encrypted with a nonce of 12 bytes, as no sops writes it.
fn with_short_nonce() -> String {
    let file = sealed();
    let opened = open(file.as_bytes(), &keyring()).unwrap();
    let cipher = Aes256Gcm::new(opened.data_key().expose().into());
    let mut value = b"cnry-cnry-1".to_vec();
    let tag = cipher.encrypt_in_place_detached(&[7; 12].into(), b"API_KEY:", &mut value).unwrap();
    let token = format!(
        "ENC[AES256_GCM,data:{},iv:{},tag:{},type:str]",
        STANDARD.encode(value),
        STANDARD.encode([7; 12]),
        STANDARD.encode(tag)
    );
    spoiled_file(&file, |lines| lines.set("API_KEY=", &token))
}

/// A file with the MAC, and its date, that it had before its last change.
fn older_mac() -> String {
    let before = sealed();
    let mut opened = open(before.as_bytes(), &keyring()).unwrap();
    let after = String::from_utf8(with_value(&mut opened, 1, b"cnry-cnry-new")).unwrap();
    let mut old = (String::new(), String::new());
    spoiled_file(&before, |lines| old = (lines.value("sops_mac="), lines.value("sops_lastmodified=")));
    spoiled_file(&after, |lines| {
        lines.set("sops_mac=", &old.0);
        lines.set("sops_lastmodified=", &old.1);
    })
}
