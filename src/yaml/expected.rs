//! What the parser expected, in our words.
//!
//! Knows granit's kinds of error; must not know trees. One invariant: nothing of the text is repeated, as granit's own messages do.

use granit_parser::ErrorKind;

use super::YamlProblem;

/// What is wrong, for an error of `kind`.
pub(super) fn problem(kind: &ErrorKind) -> YamlProblem {
    let expected = match kind {
        ErrorKind::UnknownAnchor => return YamlProblem::UnknownAnchor,
        ErrorKind::RecursionLimitExceeded => return YamlProblem::TooDeep,
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => "a closing quote",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. } => "brackets in pairs",
        ErrorKind::ExpectedFlowMappingSeparator => "`,` or `}`",
        ErrorKind::ExpectedFlowSequenceSeparator => "`,` or `]`",
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "spaces, not a tab",
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::MappingKeyNotAllowed => "a key in line with the keys above",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "`:` after a key on one line",
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => "no `: ` here, or quotes around the text",
        ErrorKind::InvalidMappingValueWhitespace => "a blank after `:`",
        ErrorKind::ExpectedBlockSequenceEntry => "`- ` in line with the items above",
        ErrorKind::BlockEntryInFlowCollection | ErrorKind::BlockSequenceEntryNotAllowed => {
            "no `- ` here, or quotes around the text"
        }
        ErrorKind::InvalidBlockEntryWhitespace => "a blank after `-`",
        ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidFlowScalarIndent => "a different indentation",
        ErrorKind::CommentNotSeparated => "a blank before `#`",
        ErrorKind::UnknownQuotedScalarEscape | ErrorKind::InvalidQuotedScalarHexEscape | ErrorKind::InvalidUnicodeEscape => {
            return YamlProblem::UnknownEscape;
        }
        ErrorKind::UnexpectedCharacter { .. } => "quotes around text that starts with this character",
        ErrorKind::ExpectedDocumentStart | ErrorKind::InvalidDocumentEnd => "a line `---` before another document",
        ErrorKind::BomInsideDocument => "a byte order mark at the start only",
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "nothing after a quoted text"
        }
        _ => "something that is YAML",
    };
    YamlProblem::Syntax { expected }
}
