//! What can be told of the leaves of an encrypted file without its key.

use std::convert::Infallible;

use super::selection::Selection;
use super::walk::{Leaf, Leaves, NOTHING, Place, walk};
use crate::crypto::token::{Token, ValueType};
use crate::tree::{Comment, Scalar, Tree};

/// How a value or a comment stands in an encrypted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Encrypted, as the selection says.
    Encrypted,
    /// Empty, and so never encrypted.
    Empty,
    /// In clear, as the selection says.
    LeftInClear,
    /// In clear, although the selection encrypts it.
    InClear,
    /// It begins like a token and is none that any key opens.
    Broken,
    /// A token where the selection leaves things in clear: whoever reads the file gets the token for the value.
    Stray,
}

/// How each value and comment of the encrypted `tree` stands, in file order.
pub fn standings(tree: &Tree, selection: &Selection) -> Vec<Standing> {
    let mut found = Standings(Vec::new());
    let _ = walk(tree, selection, &mut found);
    found.0
}

struct Standings(Vec<Standing>);

impl Leaves for Standings {
    type Error = Infallible;
    const MAKES_TREE: bool = false;

    fn scalar(&mut self, place: &Place, scalar: &Scalar) -> Result<Leaf, Infallible> {
        let text = if let Scalar::Text(text) = scalar { text.expose() } else { b"?" };
        let holds = |token: &Token| !matches!(token.kind, ValueType::Comment | ValueType::Bytes);
        self.0.push(standing(text, place.encrypted, holds));
        Ok(NOTHING)
    }

    fn comment(&mut self, place: &Place, comment: &Comment) -> Result<Leaf, Infallible> {
        self.0.push(standing(comment.text.expose(), place.encrypted, |_| true));
        Ok(NOTHING)
    }
}

fn standing(text: &[u8], is_selected: bool, is_good: impl Fn(&Token) -> bool) -> Standing {
    match (text, is_selected) {
        ([], _) => Standing::Empty,
        (token, true) if Token::is_token(token) => match Token::parse(token).is_ok_and(|token| is_good(&token)) {
            true => Standing::Encrypted,
            false => Standing::Broken,
        },
        (_, true) => Standing::InClear,
        (token, false) if Token::parse(token).is_ok() => Standing::Stray,
        (_, false) => Standing::LeftInClear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::selection::SelectionOption;
    use crate::format::{Format, dotenv::Dotenv};

    const TOKEN: &str =
        "ENC[AES256_GCM,data:AA==,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]";

    fn told(text: &str, selection: &Selection) -> Vec<Standing> {
        standings(&Dotenv.parse(text.as_bytes()).unwrap().tree, selection)
    }

    #[test]
    fn what_the_selection_encrypts_is_a_whole_token_or_else_told() {
        let broken = TOKEN.replace("tag:AAAA", "tag:");
        let comment = TOKEN.replace(":str]", ":comment]");
        let text = format!("#{comment}\nA={TOKEN}\n\nB=\nC=x\nD={broken}\nE={TOKEN}]\nF={comment}\n# x\nG_unencrypted=x\n");
        let expected = [
            Standing::Encrypted,
            Standing::Encrypted,
            Standing::Empty,
            Standing::InClear,
            Standing::Broken,
            Standing::Broken,
            Standing::Broken,
            Standing::InClear,
            Standing::LeftInClear,
        ];
        assert_eq!(told(&text, &Selection::default()), expected);
    }

    #[test]
    fn a_token_that_the_selection_takes_for_clear_text_is_told() {
        let selection = Selection::new(SelectionOption::EncryptedRegex, "^SECRET").unwrap();
        let text = format!("# words\nOTHER={TOKEN}\nSECRET={TOKEN}\nPORT=1\n");
        let expected = [Standing::LeftInClear, Standing::Stray, Standing::Encrypted, Standing::LeftInClear];
        assert_eq!(told(&text, &selection), expected);
    }
}
