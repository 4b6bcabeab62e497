//! The keys that a watcher watches.

use bytes::Bytes;

/// One key, or the keys from a start up to an end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Range {
    Key(Bytes),
    /// `start <= key < end`; no end means every key from `start` on.
    Span {
        start: Bytes,
        end: Option<Bytes>,
    },
}

impl Range {
    /// Reads `key` and `range_end` as a request states them: an empty key is the smallest key (a zero byte), an empty
    /// range_end means one key, a single zero byte means no end. `None`: the range cannot contain any key.
    pub fn from_request(key: Bytes, range_end: Bytes) -> Option<Self> {
        let key = if key.is_empty() { Bytes::from_static(&[0]) } else { key };
        match &range_end[..] {
            [] => Some(Self::Key(key)),
            [0] => Some(Self::Span { start: key, end: None }),
            end if key >= end => None,
            _ => Some(Self::Span { start: key, end: Some(range_end) }),
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(only) => only == key,
            Self::Span { start, end } => start <= key && end.as_ref().is_none_or(|end| key < end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static [u8], end: &'static [u8]) -> Option<Range> {
        Range::from_request(Bytes::from_static(key), Bytes::from_static(end))
    }

    #[test]
    fn an_empty_range_end_means_one_key() {
        let range = range(b"a", b"").unwrap();
        assert!(range.contains(b"a"));
        assert!(!range.contains(b"aa"));
    }

    #[test]
    fn a_zero_byte_as_range_end_means_every_key_from_the_start_on() {
        let range = range(b"b", b"\0").unwrap();
        assert!(!range.contains(b"a"));
        assert!(range.contains(b"b"));
        assert!(range.contains(b"\xff\xff"));
    }

    #[test]
    fn an_empty_key_is_the_smallest_key() {
        assert_eq!(range(b"", b""), Some(Range::Key(Bytes::from_static(b"\0"))));
        assert!(range(b"", b"\0").unwrap().contains(b"\0"));
    }

    #[test]
    fn a_range_that_ends_at_or_before_its_start_is_refused() {
        assert_eq!(range(b"b", b"b"), None);
        assert_eq!(range(b"b", b"a"), None);
    }
}
