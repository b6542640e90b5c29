//! A look at an age header before the age crate reads it.
//!
//! The crate's parser starts again at each line, so many stanzas take quadratic time: 48 KB of them kept it busy for 4.7 seconds. Sops
//! writes one stanza per file, age a second one as grease. Within the limits on stanzas and bytes no header was found that takes more
//! than 40 ms. Checks the outline alone; the crate checks the rest.
//!
//! Source: C2SP `age.md`, "Header".

/// How many stanzas a wrapped data key may have.
pub const MAX_STANZAS: usize = 64;

const FIRST_LINE: &[u8] = b"age-encryption.org/v1";
const MAGIC: &[u8] = b"age-encryption.org/";

/// Refuses what is no age file of version 1, has no whole header, or more stanzas than [`MAX_STANZAS`].
///
/// # Errors
/// [`HeaderError`].
pub(super) fn check(file: &[u8]) -> Result<(), HeaderError> {
    let mut lines = file.split(|byte| *byte == b'\n');
    match lines.next() {
        Some(FIRST_LINE) => {}
        Some(line) if line.starts_with(MAGIC) => return Err(HeaderError::Version),
        _ => return Err(HeaderError::NotAge),
    }
    let mut stanzas = 0;
    for line in lines {
        if line.starts_with(b"---") {
            return Ok(());
        }
        stanzas += usize::from(line.starts_with(b"->"));
        if stanzas > MAX_STANZAS {
            return Err(HeaderError::TooManyStanzas);
        }
    }
    Err(HeaderError::Malformed)
}

/// Why bytes are no age file that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// No age file at all.
    #[error("it is no age file")]
    NotAge,
    /// A later version of age's format.
    #[error("it is an age file of an unknown version")]
    Version,
    /// More stanzas than any wrapped data key needs.
    #[error("its age header has more than {MAX_STANZAS} stanzas")]
    TooManyStanzas,
    /// Cut short, or against age's grammar.
    #[error("its age header is malformed")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: &[String]) -> Vec<u8> {
        format!("age-encryption.org/v1\n{}--- mac\nbody", lines.concat()).into_bytes()
    }

    #[test]
    fn sixty_four_stanzas_pass_and_one_more_does_not() {
        let stanza = "-> a b\nAAAA\n".to_owned();
        assert_eq!(check(&file(&vec![stanza.clone(); 64])), Ok(()));
        assert_eq!(check(&file(&vec![stanza; 65])), Err(HeaderError::TooManyStanzas));
    }

    #[test]
    fn stanzas_in_the_body_do_not_count() {
        let mut bytes = file(&["-> a\n\n".to_owned()]);
        bytes.extend_from_slice("\n-> b".repeat(1000).as_bytes());
        assert_eq!(check(&bytes), Ok(()));
    }

    #[test]
    fn what_is_no_age_file_is_told_apart() {
        assert_eq!(check(b""), Err(HeaderError::NotAge));
        assert_eq!(check(b"age-encryption.org/v2\n-> a\n\n--- x\n"), Err(HeaderError::Version));
        assert_eq!(check(b"age-encryption.org/v1\n-> a\n"), Err(HeaderError::Malformed));
    }
}
