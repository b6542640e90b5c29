//! Lines whose text does not tell what they are: numbers, truth values, times, a backslash followed by n, a carriage return inside.
//!
//! dotenv files get them from `sops set`, from `sops encrypt --output-type dotenv` and from odd plaintexts. An edit of another line
//! leaves them alone.

use dotsops::format::dotenv::Dotenv;
use dotsops::ops::encrypt::encrypt;
use dotsops::tree::{Mapping, Scalar, Tree, Value};
use time::UtcDateTime;

use crate::support::document::{encrypted, keyring, lines, metadata};
use crate::support::sandbox::{RECIPIENT, Sandbox};
use crate::support::sops::Sops;

#[test]
fn an_edit_of_another_line_keeps_their_tokens() {
    let mut data = Mapping::default();
    data.push("FLOAT", Value::Scalar(Scalar::Float(5.0)));
    data.push("LARGE", Value::Scalar(Scalar::Float(1e21)));
    data.push("INT", Value::Scalar(Scalar::Int(-5)));
    data.push("TRUTH", Value::Scalar(Scalar::Bool(true)));
    data.push("TIME", Value::Scalar(Scalar::Time("2024-05-06T07:08:09.5Z".to_owned())));
    data.push("BACKSLASH", Value::text(b"c:\\new"));
    data.push("BREAK", Value::text(b"c:\new"));
    data.push("OTHER", Value::text(b"hunter2"));
    let metadata = metadata(&[RECIPIENT], None, false);
    let file = encrypt(Tree::of(data), metadata, &Dotenv, &keyring(), UtcDateTime::from_unix_timestamp(1_700_000_000).unwrap())
        .ok()
        .unwrap();
    let expected = "FLOAT=5.0\nLARGE=1E+21\nINT=-5\nTRUTH=true\nTIME=2024-05-06T07:08:09Z\nBACKSLASH=c:\\new\nBREAK=c:\\new\n";
    edit_of_other_changes_one_line(file.expose(), expected);
}

#[test]
fn so_it_is_for_what_sops_itself_sets() {
    let Some(sops) = Sops::find() else { return };
    let plaintext = "FLOAT=\nLARGE=\nTRUTH=\nBACKSLASH=\nOTHER=hunter2\n";
    let mut file = sops.run(&["encrypt", "--age", RECIPIENT, "plain.env"], "plain.env", plaintext.as_bytes()).unwrap();
    for (name, json) in [("FLOAT", "5"), ("LARGE", "12345678"), ("TRUTH", "true"), ("BACKSLASH", r#""c:\\new""#)] {
        file = sops.set(&file, name, json).unwrap();
    }
    let expected = "FLOAT=5.0\nLARGE=1.2345678E+07\nTRUTH=true\nBACKSLASH=c:\\new\n";
    let edited = edit_of_other_changes_one_line(&file, expected);
    assert_eq!(String::from_utf8(sops.decrypt(&edited).unwrap()).unwrap(), format!("{expected}OTHER=hunter3\n"));
}

#[test]
fn so_it_is_for_carriage_returns_and_a_byte_order_mark() {
    let expected = "\u{feff}MARK=1\nONE=x\ry=1\nTWO='a\r\nTHREE=b'\r\n#a\rb\nONE=x\ry=1\n#\r\n#\n";
    let file = encrypted(format!("{expected}OTHER=hunter2\n").as_bytes(), metadata(&[RECIPIENT], None, false)).unwrap();
    edit_of_other_changes_one_line(&file, expected);

    let sandbox = Sandbox::with_identity();
    sandbox.write("secrets.env", &file);
    let ended = sandbox.run(&["edit", "--editor", "true", "secrets.env"]);
    assert!(ended.code == 0 && ended.stderr.contains("is unchanged"), "{}", ended.stderr);
    assert_eq!(sandbox.read("secrets.env").as_bytes(), file);
}

#[test]
fn a_number_that_is_edited_becomes_a_text() {
    let Some(sops) = Sops::find() else { return };
    let file = sops.run(&["encrypt", "--age", RECIPIENT, "plain.env"], "plain.env", b"FLOAT=\n").unwrap();
    let file = sops.set(&file, "FLOAT", "5").unwrap();
    let sandbox = Sandbox::with_identity();
    let path = sandbox.write("secrets.env", &file);
    let prepared = sandbox.write("prepared", "FLOAT=5\n");
    let ended = sandbox.run(&["edit", "--editor", &format!("cp {}", prepared.display()), "secrets.env"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sandbox.read("secrets.env").lines().next().unwrap().ends_with(",type:str]"));
    assert_eq!(sops.decrypt(&std::fs::read(path).unwrap()).unwrap(), b"FLOAT=5\n");
}

/// Changes `OTHER`, the last value, with the program, and gives the new file. The values before it print as `expected`.
fn edit_of_other_changes_one_line(file: &[u8], expected: &str) -> Vec<u8> {
    let sandbox = Sandbox::with_identity();
    let path = sandbox.write("secrets.env", file);
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, format!("{expected}OTHER=hunter2\n"));
    let prepared = sandbox.write("prepared", format!("{expected}OTHER=hunter3\n"));
    let ended = sandbox.run(&["edit", "--editor", &format!("cp {}", prepared.display()), "secrets.env"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let edited = std::fs::read(path).unwrap();
    let changed = lines(file).into_iter().zip(lines(&edited)).filter(|(before, after)| before != after).map(|(_, after)| after);
    let names = changed.map(|line| String::from_utf8_lossy(line).split('=').next().unwrap().to_owned());
    // sops and we may have written within one second.
    let names: Vec<String> = names.filter(|name| name != "sops_lastmodified").collect();
    assert_eq!(names, ["OTHER", "sops_mac"], "{}", ended.stderr);
    assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, format!("{expected}OTHER=hunter3\n"));
    edited
}
