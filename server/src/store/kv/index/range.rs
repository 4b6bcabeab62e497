//! Which keys a request means.

/// etcd's pair of `key` and `range_end`, resolved to what it selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Box<[u8]>,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// Only `start` itself.
    Single,
    /// Everything from `start`.
    Unbounded,
    /// Keys below this one; the range is empty when it is not above `start`.
    Before(Box<[u8]>),
}

impl KeyRange {
    /// Resolves by etcd's rules: an empty `range_end` means the single key, one zero byte means every key from `key` on,
    /// anything else is the exclusive end, so that an end at or below `key` selects nothing.
    pub fn new(key: &[u8], range_end: &[u8]) -> Self {
        let end = match range_end {
            [] => End::Single,
            [0] => End::Unbounded,
            end => End::Before(end.into()),
        };
        Self { start: key.into(), end }
    }

    /// Every key there is.
    pub fn all() -> Self {
        Self { start: Box::default(), end: End::Unbounded }
    }

    /// The key, when the range is a single one.
    pub fn single(&self) -> Option<&[u8]> {
        matches!(self.end, End::Single).then_some(&*self.start)
    }

    /// The first key that can be in the range.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == &*self.start,
            End::Unbounded => key >= &*self.start,
            End::Before(end) => key >= &*self.start && key < &**end,
        }
    }

    /// What is left of the range behind `key`: where a chunked walk in key order goes on.
    pub fn after(&self, key: &[u8]) -> Self {
        let next = [key, &[0]].concat().into_boxed_slice();
        match &self.end {
            _ if key < &*self.start => self.clone(),
            End::Single => Self { end: End::Before(next.clone()), start: next },
            end => Self { start: next, end: end.clone() },
        }
    }

    /// What is left of the range in front of `key`: where a chunked walk in reverse order goes on.
    pub fn before(&self, key: &[u8]) -> Self {
        match &self.end {
            End::Single if key > &*self.start => self.clone(),
            End::Before(end) if key >= &**end => self.clone(),
            _ => Self { start: self.start.clone(), end: End::Before(key.into()) },
        }
    }

    /// Bounds for walking the tree: from `start`, up to but without the second part (`None` = no upper bound).
    /// Not for single keys, which the tree looks up instead.
    pub(super) fn bounds(&self) -> (&[u8], Option<&[u8]>) {
        match &self.end {
            End::Single | End::Unbounded => (&self.start, None),
            End::Before(end) => (&self.start, Some(end)),
        }
    }

    /// True when no key whatever can be in the range.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if **end <= *self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_range_follows_etcds_rules() {
        let keys: [&[u8]; 6] = [b"\0", b"a", b"a\0", b"ab", b"b", b"c"];
        let selected = |key: &[u8], end: &[u8]| -> Vec<&[u8]> {
            let range = KeyRange::new(key, end);
            keys.into_iter().filter(|k| range.contains(k)).collect()
        };
        assert_eq!(selected(b"a", b""), [b"a"]);
        assert_eq!(selected(b"a", b"b"), [b"a" as &[u8], b"a\0", b"ab"]);
        assert_eq!(selected(b"ab", b"\0"), [b"ab" as &[u8], b"b", b"c"]);
        assert_eq!(selected(b"\0", b"\0").len(), 6);
        assert!(selected(b"b", b"a").is_empty() && selected(b"b", b"b").is_empty());
        assert!(KeyRange::new(b"b", b"b").is_empty() && !KeyRange::new(b"b", b"").is_empty());
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped() {
        let range = KeyRange::new(b"a", b"c");
        assert!(!range.after(b"b").contains(b"b") && range.after(b"b").contains(b"b\0"));
        assert!(!range.after(b"b").contains(b"c"));
        assert!(!range.before(b"b").contains(b"b") && range.before(b"b").contains(b"az"));
        assert!(!KeyRange::new(b"b", b"\0").before(b"d").contains(b"a"));
        assert!(KeyRange::new(b"b", b"").after(b"b").is_empty());
        assert!(KeyRange::new(b"b", b"").before(b"b").is_empty());
    }
}
