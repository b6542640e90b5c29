//! Looks for what must not be there.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The ways in which programs write a text: as it is, as base64 (at each of three offsets), in a URL, in JSON, in hexadecimal.
pub fn shapes(canary: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut shapes = vec![("raw", canary.as_bytes().to_vec())];
    for offset in 0..3 {
        let padded = [&vec![0; offset][..], canary.as_bytes()].concat();
        let whole = (padded.len() / 3) * 3;
        for (name, engine) in [("base64", &STANDARD_NO_PAD), ("base64url", &URL_SAFE_NO_PAD)] {
            // Characters that hold bits of a neighbour are left out.
            let skipped = if offset == 0 { 0 } else { 4 };
            shapes.push((name, engine.encode(&padded[..whole]).into_bytes().split_off(skipped)));
        }
    }
    let url: String = canary
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    shapes.push(("URL", url.into_bytes()));
    let json = serde_json::to_string(canary).unwrap();
    shapes.push(("JSON", json.as_bytes()[1..json.len() - 1].to_vec()));
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    shapes.push(("hex", hex.to_uppercase().into_bytes()));
    shapes.push(("hex", hex.into_bytes()));
    shapes
}

/// Every place below `roots` where one of `canaries` stands in any shape: in a file, a file's name, or a link.
///
/// Only files changed at or after `since` are read; links are not followed.
pub fn leaks(roots: &[&Path], canaries: &[&str], since: SystemTime) -> Vec<String> {
    leaks_within(roots, canaries, since, usize::MAX)
}

/// The same in the folders' own entries and those of folders in them, `depth` levels in all.
pub fn leaks_within(roots: &[&Path], canaries: &[&str], since: SystemTime, depth: usize) -> Vec<String> {
    assert!(canaries.iter().all(|canary| canary.len() >= 8), "shorter ones would be found by chance");
    let shapes: Vec<_> = canaries.iter().flat_map(|canary| shapes(canary)).collect();
    // One search for all of them, as fast as memory can be read: folders of the system hold other people's large files.
    let patterns: Vec<String> =
        shapes.iter().map(|(_, wanted)| wanted.iter().map(|byte| format!("\\x{byte:02x}")).collect()).collect();
    let any = regex::bytes::Regex::new(&format!("(?-u){}", patterns.join("|"))).unwrap();
    let mut found = Vec::new();
    let mut folders: Vec<(PathBuf, usize)> = roots.iter().map(|root| (root.to_path_buf(), depth)).collect();
    while let Some((folder, depth)) = folders.pop() {
        // What goes away meanwhile belongs to somebody else.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let mut bytes = entry.file_name().as_bytes().to_vec();
            bytes.push(b'\n');
            if metadata.is_dir() {
                if depth > 1 {
                    folders.push((path.clone(), depth - 1));
                }
            } else if metadata.is_symlink() {
                bytes.extend(fs::read_link(&path).unwrap_or_default().as_os_str().as_bytes());
            } else if metadata.is_file() && metadata.modified().is_ok_and(|modified| modified >= since) {
                bytes.extend(fs::read(&path).unwrap_or_default());
            }
            if let Some(leak) = any.find(&bytes) {
                let (shape, _) = shapes.iter().find(|(_, wanted)| wanted == leak.as_bytes()).unwrap();
                found.push(format!("{} ({shape})", path.display()));
            }
        }
    }
    found
}
