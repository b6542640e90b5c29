//! Age's armor. Laws: what is armored comes back; a text is accepted exactly if it is what we would write for its bytes, but for white
//! space around it and CR LF; the age crate reads the same bytes out of it.

#![no_main]

use std::io::Read;

use age::armor::ArmoredReader;
use dotsops::keys::age::armor::decode;
use dotsops::keys::age::fuzzing::armored;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    assert_eq!(decode(&armored(input)).as_deref(), Ok(input), "what was armored does not come back");

    let Ok(text) = std::str::from_utf8(input) else { return };
    let white = |letter: char| letter.is_ascii_whitespace();
    let plain = text.trim_matches(white).replace("\r\n", "\n");
    match decode(text) {
        Ok(bytes) => {
            assert_eq!(plain, armored(&bytes).trim_matches(white), "more than one armor for the same bytes");
            let mut read = Vec::new();
            let result = ArmoredReader::new(text.trim_matches(white).as_bytes()).read_to_end(&mut read);
            assert!(result.is_ok() && read == bytes, "the age crate reads something else");
        }
        Err(_) => {
            let mut read = Vec::new();
            let is_armor =
                plain.starts_with("-----BEGIN AGE") && ArmoredReader::new(plain.as_bytes()).read_to_end(&mut read).is_ok();
            assert!(!is_armor || armored(&read).trim_matches(white) != plain, "what we would write is refused");
        }
    }
});
