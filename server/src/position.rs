//! Where an entry stands in the replicated log.

/// Term and index of a log entry, in etcd's numbering: indexes start at 1, and `{0, 0}` stands before the first entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub term: u64,
    pub index: u64,
}

impl Position {
    pub const fn new(term: u64, index: u64) -> Self {
        Self { term, index }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.term, self.index)
    }
}
