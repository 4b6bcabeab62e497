use std::fmt;

use super::Chunk;

/// What the name of a chunk says, behind `changes/CLUSTER/`: `AFTER-LAST-SHA256`, and behind it `-PIECE` if a revision is told in
/// several chunks, with a `+` at the end if it goes on.
///
/// In the order in which chunks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub after: i64,
    /// Rows of the first revision that are in earlier chunks.
    pub first_sub: i64,
    pub last: i64,
    pub unfinished: bool,
    /// Of the object's bytes; the begin.
    pub sha256: [u8; 8],
}

impl Name {
    pub fn parse(text: &str) -> Option<Self> {
        let (text, unfinished) = text.strip_suffix('+').map_or((text, false), |text| (text, true));
        let mut parts = text.split('-');
        let mut number = || -> Option<i64> {
            let digits = parts.next()?;
            let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            if valid { digits.parse().ok() } else { None }
        };
        let (after, last) = (number()?, number()?);
        let sha256 = parts.next().filter(|digits| digits.len() == 16)?;
        let sha256 = u64::from_str_radix(sha256, 16).ok()?.to_be_bytes();
        let first_sub = parts.next().map_or(Some(0), |digits| digits.parse().ok())?;
        let name = Self { after, first_sub, last, unfinished, sha256 };
        (parts.next().is_none() && after <= last).then_some(name)
    }

    /// Of a chunk that is sealed in bytes with this SHA-256.
    pub fn of(chunk: &Chunk, sha256: &[u8; 32]) -> Self {
        let Chunk { after, last, unfinished, .. } = *chunk;
        let sha256 = sha256.first_chunk().copied().unwrap_or_default();
        Self { after, first_sub: chunk.first_sub(), last, unfinished, sha256 }
    }

    /// The last revision whose rows are all there, here or in earlier chunks.
    pub fn done(&self) -> i64 {
        if self.unfinished { self.last - 1 } else { self.last }
    }

    /// Whether an object with this SHA-256 may have the name.
    pub fn is_of(&self, sha256: &[u8; 32]) -> bool {
        sha256.starts_with(&self.sha256)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, first_sub, last, unfinished, sha256 } = self;
        write!(f, "{after:019}-{last:019}-{:016x}", u64::from_be_bytes(*sha256))?;
        match (first_sub, unfinished) {
            (0, false) => Ok(()),
            (_, true) => write!(f, "-{first_sub:07}+"),
            (_, false) => write!(f, "-{first_sub:07}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_are_those_of_the_layout() {
        let plain = Name { after: 4, first_sub: 0, last: 9, unfinished: false, sha256: *b"\x01234567\xff" };
        let whole = crate::layout::changes("7", 4, 9, "01323334353637ff00");
        assert_eq!(whole, format!("changes/7/{plain}"));
        for name in [plain, Name { first_sub: 12, ..plain }, Name { unfinished: true, ..plain }] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn other_names_are_none() {
        let sha = "0132333435363738";
        for text in [
            "",
            "4-9",
            "manifest.json",
            &format!("9-4-{sha}"),
            &format!("-4-9-{sha}"),
            &format!("4-9-{sha}-0-0"),
            "4-9-12",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
