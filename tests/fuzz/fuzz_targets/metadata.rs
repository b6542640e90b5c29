//! Metadata, as the lines of a dotenv file. Laws: flattening and nesting are inverse; a block that is accepted loses nothing when it is
//! written, and the second writing is the first.

#![no_main]

use dotsops::document::metadata::Metadata;
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::format::flatten::{Nesting, flatten};
use dotsops::secret::SecretBytes;
use dotsops::tree::{Mapping, Scalar, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(contents) = Dotenv.parse(text) else { return };
    let Some(block) = contents.metadata else { return };
    let flat = flat(&block);
    let nested = nested(&flat);
    assert_eq!(self::flat(&nested), flat, "nesting and flattening are not inverse");

    let Ok(metadata) = Metadata::from_mapping(block) else { return };
    let written = metadata.to_mapping();
    let lines = emitted(&written);
    let read = Dotenv.parse(&lines).unwrap().metadata.expect("metadata are metadata");
    let again = Metadata::from_mapping(read).unwrap_or_else(|error| panic!("what was written is refused: {error}"));
    assert_eq!(emitted(&again.to_mapping()), lines);
    assert_eq!(again.mac_aad().unwrap(), metadata.mac_aad().unwrap());
    assert_eq!((again.shamir_threshold, again.mac_only_encrypted), (metadata.shamir_threshold, metadata.mac_only_encrypted));
    let recipients = |metadata: &Metadata| -> Vec<Vec<String>> {
        let of_group = |keys: &[Box<dyn dotsops::keys::MasterKey>]| keys.iter().map(|key| key.recipient().to_owned()).collect();
        metadata.key_groups.iter().map(|group| of_group(&group.keys)).collect()
    };
    assert_eq!(recipients(&again), recipients(&metadata));
});

fn flat(block: &Mapping) -> Vec<(Vec<u8>, Vec<u8>)> {
    let leaves = flatten(block).unwrap_or_else(|error| panic!("what was nested cannot be flattened: {error}"));
    let text = |scalar: &Scalar| match scalar {
        Scalar::Text(text) => text.expose().to_vec(),
        _ => panic!("flat metadata are texts"),
    };
    leaves.into_iter().map(|(key, scalar)| (key, text(scalar))).collect()
}

fn nested(flat: &[(Vec<u8>, Vec<u8>)]) -> Mapping {
    let mut nesting = Nesting::default();
    for (key, text) in flat {
        nesting.insert(key, SecretBytes::copy_of(text)).unwrap_or_else(|error| panic!("flat keys of ours are refused: {error}"));
    }
    nesting.into_mapping().unwrap_or_else(|error| panic!("flat keys of ours are refused: {error}"))
}

fn emitted(block: &Mapping) -> Vec<u8> {
    let written = Dotenv.emit(&Tree::default(), Some(block), None);
    written.unwrap_or_else(|error| panic!("what was read cannot be written: {error}")).expose().to_vec()
}
