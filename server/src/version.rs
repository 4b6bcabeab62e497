//! Versions as a cluster agrees on them: the major and the minor number of the API.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u64,
    minor: u64,
}

impl Version {
    /// Of the API that this server speaks.
    pub const OWN: Self = Self { major: 3, minor: 7 };

    /// Reads `X.Y.Z` or `X.Y` by etcd's rules: the patch counts for nothing, nor does what follows it after `-` or `+`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_release(text).or_else(|| Self::of_release(&format!("{text}.0")))
    }

    fn of_release(text: &str) -> Option<Self> {
        let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (text, stage) = text.split_once('-').unwrap_or((text, ""));
        let is_label = |label: &str| label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let mut numbers = text.splitn(3, '.').map(number);
        let (major, minor, _patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        (is_label(metadata) && is_label(stage)).then_some(Self { major, minor })
    }

    /// What a cluster of this version may be downgraded to.
    pub fn previous(self) -> Option<Self> {
        Some(Self { minor: self.minor.checked_sub(1)?, ..self })
    }

    /// Without the patch, as replies about downgrades have it.
    pub fn short(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

/// As it is agreed on and kept: `X.Y.0`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.0", self.major, self.minor)
    }
}

/// Digits only, up to Go's `int64`.
fn number(text: &str) -> Option<u64> {
    let number = text.parse::<i64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_left_out_and_may_be_missing() {
        for text in ["3.6", "3.6.0", "3.6.9", "3.6.1-rc.2", "3.6.0+build.7", "03.06.0"] {
            assert_eq!(Version::parse(text), Some(Version { major: 3, minor: 6 }), "{text}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", "3", "x", "3.", ".6", "3.x", "3.6.x", "3.6.0.1", "v3.6", "3.+6.0", "-3.6.0", "3.6.0-?", "3.6-rc"]
        {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn versions_are_compared_by_number_and_shown_with_a_patch_of_0() {
        let [older, newer] = ["3.9.4", "3.10"].map(|text| Version::parse(text).unwrap());
        assert!(older < newer);
        assert_eq!(newer.previous(), Some(older));
        assert_eq!(Version::parse("3.0").unwrap().previous(), None);
        assert_eq!((older.to_string(), older.short()), ("3.9.0".to_owned(), "3.9".to_owned()));
    }

    #[test]
    fn our_own_version_is_that_of_our_release() {
        assert_eq!(Version::parse(crate::config::API_VERSION), Some(Version::OWN));
    }
}
