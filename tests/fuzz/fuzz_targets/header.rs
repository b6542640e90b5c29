//! Age headers. Laws: what is accepted ends in the line of its MAC, is accepted without what follows, and not if it is cut; the age
//! crate accepts it too, and in one piece.

#![no_main]

use age::{DecryptError, Decryptor};
use dotsops::keys::age::fuzzing::header_length;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(length) = header_length(file) else { return };
    let header = &file[..length];
    let last = header[..length - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    assert!(header[last..].starts_with(b"--- ") && header.ends_with(b"\n"));
    assert_eq!(header_length(header), Ok(length));
    assert!(header_length(&header[..length - 1]).is_err() && header_length(&header[..last]).is_err());

    let whole = [header, &[0; 16]].concat();
    match Decryptor::new_buffered(whole.as_slice()) {
        Ok(_) => {}
        // A stanza for a passphrase has to stand alone, which is for the crate to know.
        Err(DecryptError::InvalidHeader) => assert!(header.windows(9).any(|part| part == b"-> scrypt")),
        Err(error) => panic!("the age crate refuses it: {error}"),
    }
});
