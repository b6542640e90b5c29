//! Patterns over names, as options and lists give them.
//!
//! Its one invariant: in a pattern `*` stands for any text, also for none, and everything else for itself.

/// Whether `name` matches `pattern`, in which `*` stands for any text.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("A", "A", true),
            ("A", "AB", false),
            ("*", "", true),
            ("*_KEY", "API_KEY", true),
            ("*_KEY", "_KEYS", false),
            ("A*B*C", "AxxByyC", true),
            ("A*B*C", "ACB", false),
            ("A*A", "A", false),
            ("**", "x", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(glob_matches(pattern, name), expected, "{pattern} against {name}");
        }
    }
}
