//! Old lines that reading an edited text would not recognise: with a carriage return inside, or at the end where the same line is
//! there without it, or with a byte-order mark before.
//!
//! Files of sops may have them. A text that is read as python-dotenv reads it has a line break there, and no mark. So before it is
//! read, such a line that nobody touched makes room for a comment that stands for it. Knows lines, not what they mean.

use std::collections::{HashMap, HashSet};

use crate::secret::{SecretBytes, SecretString};

/// An edited text and the one before, each with comments in the place of the lines.
pub(super) struct Hidden {
    pub(super) edited: SecretBytes,
    pub(super) before: SecretString,
    /// How every one of the comments begins, and nothing else in the texts.
    mark: String,
    lines: Vec<(String, SecretString)>,
}

impl Hidden {
    /// Hides the lines that `edited` still has of those of `before`; `None` if there are none.
    pub(super) fn of(edited: &[u8], before: &str) -> Option<Self> {
        if !before.contains('\r') && !before.starts_with('\u{feff}') {
            return None;
        }
        let all: HashSet<&str> = before.split('\n').collect();
        let hidden = |(at, line): &(usize, &str)| {
            let stripped = line.strip_suffix('\r');
            stripped.unwrap_or(line).contains('\r')
                || stripped.is_some_and(|stripped| all.contains(stripped))
                || (*at == 0 && line.starts_with('\u{feff}'))
        };
        let mut found: Vec<&str> = before.split('\n').enumerate().filter(hidden).map(|(_, line)| line).collect();
        let standing: HashSet<&[u8]> = edited.split(|byte| *byte == b'\n').collect();
        found.retain(|line| standing.contains(line.as_bytes()));
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return None;
        }
        let is_free = |mark: &String| !contains(edited, mark.as_bytes()) && !before.contains(mark.as_str());
        let mark = (0..).map(|n| format!("#kept-{n}-")).find(is_free)?;
        let lines: Vec<_> =
            found.iter().enumerate().map(|(n, line)| (format!("{mark}{n}"), SecretString::copy_of(line))).collect();
        Some(Self { edited: hide(edited, &lines), before: hide(before.as_bytes(), &lines).into_string().ok()?, mark, lines })
    }

    /// `stored` with the lines back in their places; `None` if one of them was taken into another line.
    pub(super) fn reveal(&self, stored: &str) -> Option<SecretString> {
        let lines: HashMap<&str, &SecretString> = self.lines.iter().map(|(name, line)| (name.as_str(), line)).collect();
        let mut text = SecretString::with_capacity(stored.len() + self.lines.iter().map(|(_, line)| line.len()).sum::<usize>());
        for line in stored.split_inclusive('\n') {
            let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
            match lines.get(content) {
                Some(line) => text.push(line.expose()),
                None if content.contains(&self.mark) => return None,
                None => text.push(content),
            }
            text.push(end);
        }
        Some(text)
    }
}

fn hide(text: &[u8], lines: &[(String, SecretString)]) -> SecretBytes {
    let names: HashMap<&[u8], &[u8]> = lines.iter().map(|(name, line)| (line.expose().as_bytes(), name.as_bytes())).collect();
    let mut hidden = SecretBytes::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (content, end) = line.strip_suffix(b"\n").map_or((line, b"".as_slice()), |content| (content, b"\n"));
        hidden.push(names.get(content).unwrap_or(&content));
        hidden.push(end);
    }
    hidden
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\u{feff}A=1\nB=x\ry\r\nC=2\r\nB=x\ry\r\n";

    #[test]
    fn lines_that_stand_are_hidden_and_come_back() {
        let edited = format!("{BEFORE}D=3\n");
        let hidden = Hidden::of(edited.as_bytes(), BEFORE).unwrap();
        assert_eq!(hidden.edited.expose(), b"#kept-0-1\n#kept-0-0\nC=2\r\n#kept-0-0\nD=3\n");
        assert_eq!(hidden.before.expose(), "#kept-0-1\n#kept-0-0\nC=2\r\n#kept-0-0\n");
        let stored = std::str::from_utf8(hidden.edited.expose()).unwrap();
        assert_eq!(hidden.reveal(stored).unwrap().expose(), edited);
        assert!(hidden.reveal("D=\"#kept-0-0\"\n").is_none());
    }

    #[test]
    fn a_carriage_return_at_the_end_counts_where_the_line_is_there_without_it_too() {
        let hidden = Hidden::of(b"#\r\n#\nA=1\r\n", "#\r\n#\nA=1\r\n").unwrap();
        assert_eq!(hidden.edited.expose(), b"#kept-0-0\n#\nA=1\r\n");
    }

    #[test]
    fn lines_that_were_touched_are_not() {
        assert!(Hidden::of(b"A=1\nB=x\ny\nC=2\r\n", BEFORE).is_none());
        assert!(Hidden::of(b"A=1\r\nB=2\r\n", "A=1\r\nB=2\r\n").is_none());
        assert!(Hidden::of(b"#kept-0-0\nB=x\ry\r\n", BEFORE).unwrap().edited.expose() == b"#kept-0-0\n#kept-1-0\n");
    }
}
