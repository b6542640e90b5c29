//! Recipients put into a `.sops.yaml` and taken out. Laws: an edit is refused, or the text can be read and names one recipient more or
//! less; everybody else keeps name and place; no byte outside of the rule is changed, and no comment is lost but names.

#![no_main]

#[path = "../../promises/config_edits/laws.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        laws::edit_everywhere(text);
    }
});
