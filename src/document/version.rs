//! The version of sops that a file names.
//!
//! Knows how versions are written and compared, not what they change. Its one invariant: what sops takes for no version is none here.

/// A version of sops. One with a pre-release part comes before the one without; the part itself is not compared.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    numbers: [u64; 3],
    is_release: bool,
}

impl Version {
    /// Reads a semantic version with or without a `v`. Whatever begins with `1.` is an old version to sops.
    ///
    /// Source: getsops/sops `version/version.go` and `cmd/sops/common/common.go`; semver.org 2.0.0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.starts_with("1.") {
            return Some(Self { numbers: [1, 0, 0], is_release: true });
        }
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (core, before) = text.split_once('-').map_or((text, None), |(core, before)| (core, Some(before)));
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|letter| letter.is_ascii_digit());
        let is_padded = |part: &str| part.len() > 1 && part.starts_with('0') && is_digits(part);
        let parts_are = |parts: Option<&str>, good: &dyn Fn(&str) -> bool| parts.is_none_or(|parts| parts.split('.').all(good));
        if !parts_are(build, &is_word) || !parts_are(before, &|part| is_word(part) && !is_padded(part)) {
            return None;
        }
        let numbers: Option<Vec<u64>> =
            core.split('.').map(|part| if is_digits(part) && !is_padded(part) { part.parse().ok() } else { None }).collect();
        Some(Self { numbers: numbers?.try_into().ok()?, is_release: before.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_in_sops() {
        let ascending = ["1.x", "2.0.0", "v3.7.3", "3.9.0", "3.13.3-rc.1", "3.13.3", "3.13.10", "99999999999.0.0"];
        let parsed: Vec<_> = ascending.iter().map(|text| Version::parse(text)).collect();
        assert!(parsed.iter().all(Option::is_some) && parsed.is_sorted_by(|one, other| one < other));
        assert!(Version::parse("3.13.3+build.01") == Version::parse("v3.13.3"));
    }

    #[test]
    fn what_sops_refuses_is_no_version() {
        for text in
            ["", "3.9", "3.9.0.1", "3.09.0", "vv3.9.0", " 3.9.0", "+3.9.0", "3.9.0-", "3.9.0-01", "3.9.0-a..b", "3.9.0+", "three"]
        {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }
}
