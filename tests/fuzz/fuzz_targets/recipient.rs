//! Age recipients: `age1…` and the lines of SSH public keys. Laws: what is accepted is kept as it is written, is accepted again, and an
//! SSH key is one that the age crate reads as the same key; no error repeats a text that may be secret.

#![no_main]

use age::ssh;
use dotsops::keys::keyring::Keyring;
use dotsops::keys::{Kind, from_fields, new_master_key};
use dotsops::secret::SecretBytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut key = match new_master_key(Kind::Age, text) {
        Ok(key) => key,
        Err(error) => {
            // A word of that length is none of ours: the longest is the name of a key type.
            let mut long = text.split_whitespace().filter(|word| word.len() > 50);
            return assert!(!long.any(|word| format!("{error} {error:?}").contains(word)), "an error repeats the text");
        }
    };
    assert_eq!(key.recipient(), text.trim());
    let again = from_fields(Kind::Age, &key.to_fields()).ok().expect("what was made is read");
    assert_eq!(again.recipient(), text.trim());
    if text.trim().starts_with("ssh-") {
        let words: Vec<&str> = text.trim().split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        let read: ssh::Recipient = words[..2].join(" ").parse().expect("the age crate reads it");
        assert_eq!(read.to_string().split(' ').take(2).collect::<Vec<_>>(), words[..2], "the age crate reads another key");
        key.wrap_data_key(&SecretBytes::copy_of(&[7; 32]), &Keyring::new(Vec::new())).expect("it can be encrypted to");
    }
});
