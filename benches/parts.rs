//! What the parts cost of which a command is made: each alone, in memory, with 20,000 values as they stand in a file.
//!
//! `cargo bench --bench parts`. `$DOTSOPS_ROUNDS` runs (25) over all values each: the median, and the quickest, which is nearest to the
//! truth where the machine has other work. What each part made is checked.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use dotsops::crypto::{Cipher, Mac, Nonces, Token, ValueType};
use dotsops::dialect::interpolation::Precedence;
use dotsops::dialect::{self, scanner, store};
use dotsops::document::{EncryptedDocument, encrypt_new};
use dotsops::format::Format;
use dotsops::format::dotenv::Dotenv;
use dotsops::keys::keyring::Keyring;
use dotsops::ops::new_file::{self, Choice};
use time::UtcDateTime;

const VALUES: usize = 20_000;

/// Nobody's: what is wrapped for it here, nobody unwraps.
const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";

fn main() {
    let rounds = std::env::var("DOTSOPS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(25);
    let names: Vec<String> = (0..VALUES).map(|n| format!("SERVICE_{n}_URL")).collect();
    let values: Vec<String> = (0..VALUES).map(|n| format!("https://user:{n:032}@service-{n}.example.org/")).collect();
    let text: String = names.iter().zip(&values).map(|(name, value)| format!("{name}={value}\n")).collect();
    let aads: Vec<String> = names.iter().map(|name| format!("{name}:")).collect();

    let choice = Choice { age: vec![RECIPIENT.to_owned()], ..Choice::default() };
    let metadata = || new_file::metadata(Path::new("/secrets.env"), &choice, None).unwrap();
    let keyring = Keyring::new(Vec::new());
    let mut wrapped = metadata();
    let data_key = new_file::data_key(&mut wrapped, &keyring).unwrap();
    let cipher = Cipher::new(&data_key);

    let tree = Dotenv.parse(text.as_bytes()).unwrap().tree;
    let encrypted = encrypt_new(&tree, wrapped, &data_key, UtcDateTime::now()).unwrap();
    let file = Dotenv.emit(&encrypted.tree, encrypted.metadata.as_ref(), None).unwrap().shared();
    let document = || EncryptedDocument::new(Dotenv.parse_secret(&file).unwrap()).unwrap();

    let mut nonces = Nonces::new();
    let tokens: Vec<Token> = values
        .iter()
        .zip(&aads)
        .map(|(value, aad)| cipher.encrypt(value.as_bytes(), ValueType::Str, aad.as_bytes(), &nonces.draw().unwrap()))
        .collect();
    let printed: Vec<Vec<u8>> = tokens.iter().map(Token::print).collect();

    let plain_bytes: usize = values.iter().map(String::len).sum();
    let token_bytes: usize = printed.iter().map(Vec::len).sum();
    println!("{VALUES} values of {} bytes, a file of {:.1} MB; {rounds} runs", plain_bytes / VALUES, file.len() as f64 / 1e6);
    println!("{:<44}{:>14}{:>12}{:>12}", "ns per value", "median", "quickest", "MB/s");
    let row = |name: &str, bytes: usize, part: &mut dyn FnMut()| {
        let (median, quickest) = times(rounds, part);
        let each = |time: Duration| time.as_secs_f64() * 1e9 / VALUES as f64;
        let rate = bytes as f64 / 1e6 / quickest.as_secs_f64();
        println!("{name:<44}{:>14.0}{:>12.0}{rate:>12.0}", each(median), each(quickest));
    };

    row("draw a nonce", VALUES * 32, &mut || {
        let mut nonces = Nonces::new();
        (0..VALUES).for_each(|_| assert!(black_box(nonces.draw()).is_ok()));
    });
    row("encrypt a value", plain_bytes, &mut || {
        for (value, aad) in values.iter().zip(&aads) {
            black_box(cipher.encrypt(value.as_bytes(), ValueType::Str, aad.as_bytes(), &[7; 32]));
        }
    });
    row("decrypt a value", plain_bytes, &mut || {
        for ((token, value), aad) in tokens.iter().zip(&values).zip(&aads) {
            let decrypted = cipher.decrypt(token, aad.as_bytes()).ok().unwrap();
            assert!(decrypted.expose() == value.as_bytes());
        }
    });
    row("print a token", token_bytes, &mut || tokens.iter().for_each(|token| drop(black_box(token.print()))));
    row("parse a token", token_bytes, &mut || printed.iter().for_each(|text| drop(black_box(Token::parse(text)))));
    assert!(tokens.iter().zip(&printed).all(|(token, text)| Token::parse(text).as_ref() == Ok(token)));
    row("hash a value into the MAC", plain_bytes, &mut || {
        let mut mac = Mac::new(false);
        values.iter().for_each(|value| mac.update(value.as_bytes()));
        black_box(mac.finish());
    });
    row("read the lines of the encrypted file", file.len(), &mut || drop(black_box(Dotenv.parse_secret(&file).ok())));
    row("write the lines of the encrypted file", file.len(), &mut || {
        let written = Dotenv.emit(&encrypted.tree, encrypted.metadata.as_ref(), None).unwrap();
        assert_eq!(written.len(), file.len());
    });
    row("decrypt the file and check its MAC", file.len(), &mut || drop(document().open_with(copy_of(&data_key)).ok().unwrap()));
    row("encrypt the file", file.len(), &mut || {
        black_box(encrypt_new(&tree, metadata(), &data_key, UtcDateTime::now()).unwrap());
    });
    row("find the statements of the plaintext", text.len(), &mut || {
        assert_eq!(scanner::scan(&text).len(), VALUES);
    });
    row("read the plaintext as a program would", text.len(), &mut || {
        assert_eq!(dialect::read(&text, Precedence::FileFirst, &|_| None).bindings.len(), VALUES);
    });
    row("make the plaintext storable", text.len(), &mut || {
        assert!(store::store(&text, &|_| true).is_ok_and(|stored| stored.text.expose() == text));
    });
}

fn copy_of(data_key: &dotsops::secret::DataKey) -> dotsops::secret::DataKey {
    dotsops::secret::DataKey::from_slice(data_key.expose()).unwrap()
}

/// The median and the shortest.
fn times(rounds: usize, part: &mut dyn FnMut()) -> (Duration, Duration) {
    part();
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            part();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[times.len() / 2], times[0])
}
