use std::fmt;
use std::str::FromStr;

/// A segment's file name: `%016x-%016x.wal`, its place in the row of segments and the index its first entry will have.
///
/// Ordered as the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentName {
    /// Counts segments from 0 without a hole.
    pub sequence: u64,
    /// Index of the first entry that can be in it; 0 for the first segment.
    pub first_index: u64,
}

/// A file name that isn't a segment's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a WAL segment name (16 hex digits, '-', 16 hex digits, '.wal')")]
pub struct NotASegment;

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}.wal", self.sequence, self.first_index)
    }
}

impl FromStr for SegmentName {
    type Err = NotASegment;

    fn from_str(name: &str) -> Result<Self, NotASegment> {
        let (sequence, first_index) =
            name.strip_suffix(".wal").and_then(|stem| stem.split_once('-')).ok_or(NotASegment)?;
        let number = |digits: &str| match digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            true => u64::from_str_radix(digits, 16).map_err(|_| NotASegment),
            false => Err(NotASegment),
        };
        Ok(Self { sequence: number(sequence)?, first_index: number(first_index)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_name_reads_back() {
        let name = SegmentName { sequence: 3, first_index: 0x1f_4242 };
        assert_eq!(name.to_string(), "0000000000000003-00000000001f4242.wal");
        assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn other_files_are_not_segments() {
        for name in [
            "",
            "0.tmp",
            "0-0.wal",
            "0000000000000003-00000000001f4242.wal.broken",
            "+000000000000003-00000000001f4242.wal",
        ] {
            assert_eq!(name.parse::<SegmentName>(), Err(NotASegment), "{name}");
        }
    }
}
