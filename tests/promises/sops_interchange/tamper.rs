//! What somebody without a key can do to an encrypted file.

use crate::support::document::lines;
use crate::support::random::Random;

/// A changed file, and what is to be expected of whoever reads it.
pub struct Tampered {
    pub how: &'static str,
    pub file: Vec<u8>,
    pub expected: Expected,
}

/// Whether a changed file is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Both read it as the same, or both refuse it.
    AsSops,
    /// Nobody reads it.
    Refused,
    /// We refuse it, whatever sops does: see the table of untrusted files in the manual.
    RefusedByUs,
    /// We refuse it or read it as sops does.
    StricterThanSops,
}

/// Changes `file` in one way out of many; `None` if that way is not open.
pub fn tampered(file: &[u8], random: &mut Random) -> Option<Tampered> {
    let mut lines: Vec<Vec<u8>> = lines(file).into_iter().map(<[u8]>::to_vec).collect();
    let metadata = lines.iter().position(|line| line.starts_with(b"sops_")).unwrap();
    let entries: Vec<usize> = (0..metadata).filter(|at| !lines[*at].starts_with(b"#") && !lines[*at].is_empty()).collect();
    let tokens: Vec<usize> = (0..metadata).filter(|at| is_token(value_of(&lines[*at]))).collect();
    let comments: Vec<usize> = (0..metadata).filter(|at| lines[*at].starts_with(b"#")).collect();
    let mut some = |of: &[usize]| (!of.is_empty()).then(|| random.pick(of));

    let (one_entry, other_entry, token, other_token, comment) =
        (some(&entries), some(&entries), some(&tokens), some(&tokens), some(&comments));
    let field = |lines: &[Vec<u8>], name: &str| lines.iter().position(|line| line.starts_with(name.as_bytes())).unwrap();
    let (mac, date) = (field(&lines, "sops_mac="), field(&lines, "sops_lastmodified="));
    let (how, expected) = match random.below(23) {
        0 => {
            let (one, other) = (token?, other_token?);
            let (first, second) = (value_of(&lines[one]).to_vec(), value_of(&lines[other]).to_vec());
            set_value(&mut lines[one], &second);
            set_value(&mut lines[other], &first);
            ("two tokens are swapped", Expected::AsSops)
        }
        1 => {
            let at = token?;
            lines[at].insert(0, b'Z');
            ("a name is changed whose value is encrypted", Expected::Refused)
        }
        2 => {
            let at = one_entry?;
            lines[at].insert(0, b'Z');
            ("a name is changed", Expected::AsSops)
        }
        3 => {
            lines.remove(one_entry?);
            ("a line is deleted", Expected::AsSops)
        }
        4 => {
            lines.remove(token?);
            ("a line with a token is deleted", Expected::Refused)
        }
        5 => {
            flip(&mut lines[mac], random);
            ("the MAC is changed", Expected::AsSops)
        }
        6 => {
            lines[date] = b"sops_lastmodified=2031-01-02T03:04:05Z".to_vec();
            ("the date is changed", Expected::Refused)
        }
        7 => {
            let insecure: &[u8] = random.pick(&[b"X=".as_slice(), b"#X", b"A="]);
            lines.insert(random.below(metadata + 1), insecure.to_vec());
            ("an empty line is added", Expected::AsSops)
        }
        8 => {
            lines.insert(random.below(metadata + 1), b"X=plain".to_vec());
            ("a value in clear is added", Expected::AsSops)
        }
        9 => {
            flip(&mut lines[token?], random);
            ("a token is changed", Expected::AsSops)
        }
        10 => {
            lines.swap(one_entry?, other_entry?);
            ("two lines are swapped", Expected::AsSops)
        }
        11 => {
            let at = one_entry?;
            let line = lines[at].clone();
            lines.insert(at, line);
            ("a line is there twice", Expected::AsSops)
        }
        12 => {
            set_value(&mut lines[token?], b"hunter3");
            ("a token is replaced by a value in clear", Expected::Refused)
        }
        13 => {
            let kind = random.pick(&["int", "float", "bool", "time", "str", "other"]);
            relabel(&mut lines[token?], kind);
            ("the type of a token is changed", Expected::StricterThanSops)
        }
        14 => {
            relabel(&mut lines[token?], random.pick(&["comment", "bytes"]));
            ("the type of a token is changed to one that no value has", Expected::RefusedByUs)
        }
        15 => {
            let trailing: &[u8] = random.pick(&[b"x".as_slice(), b"]", b"\r", b" "]);
            lines[token?].extend_from_slice(trailing);
            ("bytes follow a token", Expected::RefusedByUs)
        }
        16 => {
            let at = comment?;
            match random.below(3) {
                0 => drop(lines.remove(at)),
                1 => flip(&mut lines[at], random),
                _ => lines[at] = b"# by hand".to_vec(),
            }
            ("a comment is changed", Expected::AsSops)
        }
        21 => {
            let at = comment.filter(|at| is_token(&lines[*at][1..]))?;
            relabel(&mut lines[at], random.pick(&["str", "int", "other"]));
            ("the type of a comment's token is changed", Expected::AsSops)
        }
        17 => {
            lines.remove(mac);
            ("the MAC is deleted", Expected::Refused)
        }
        18 => {
            let line = lines[random.pick(&[mac, date])].clone();
            lines.push(line);
            ("a metadata line is there twice", Expected::Refused)
        }
        19 => {
            lines.retain(|line| !line.starts_with(b"sops_unencrypted_suffix="));
            lines.push(b"sops_unencrypted_suffix=A".to_vec());
            ("another selection option is set", Expected::AsSops)
        }
        20 => {
            let before = lines.len();
            lines.retain(|line| !line.starts_with(b"sops_mac_only_encrypted="));
            if lines.len() == before {
                lines.push(b"sops_mac_only_encrypted=true".to_vec());
            }
            ("mac_only_encrypted is turned round", Expected::Refused)
        }
        _ => {
            set_value(&mut lines[token?], b"");
            ("a token is emptied", Expected::Refused)
        }
    };
    Some(Tampered { how, file: lines.iter().flat_map(|line| [line, b"\n".as_slice()].concat()).collect(), expected })
}

/// What stands behind the first `=` of an entry.
pub fn value_of(line: &[u8]) -> &[u8] {
    let equals = line.iter().position(|byte| *byte == b'=').filter(|_| !line.starts_with(b"#"));
    equals.map_or(&[], |equals| &line[equals + 1..])
}

/// Whether a value that was written by sops or us is a token. A random value may begin like one.
pub fn is_token(value: &[u8]) -> bool {
    dotsops::crypto::Token::parse(value).is_ok()
}

fn set_value(line: &mut Vec<u8>, value: &[u8]) {
    let start = line.len() - value_of(line).len();
    line.truncate(start);
    line.extend_from_slice(value);
}

fn relabel(line: &mut Vec<u8>, kind: &str) {
    let start = line.windows(6).rposition(|part| part == b",type:").unwrap();
    line.truncate(start);
    line.extend_from_slice(format!(",type:{kind}]").as_bytes());
}

/// Replaces one byte of what stands behind the name and its `=`, or behind the `#`: not the last digit of base64, some of whose bits
/// nobody but us looks at.
fn flip(line: &mut [u8], random: &mut Random) {
    let start = if line.starts_with(b"#") { 1 } else { line.len() - value_of(line).len() };
    if start < line.len() {
        let at = start + random.below(line.len() - start);
        let at = if at > start && line[at] != b'=' && line.get(at + 1) == Some(&b'=') { at - 1 } else { at };
        let letters = b"ABCXYZabcxyz0189+/".map(|letter| if letter == line[at] { b'Q' } else { letter });
        line[at] = random.pick(&letters);
    }
}
