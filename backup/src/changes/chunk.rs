use bytes::Bytes;
use prost::Message;
use quorate_format::revision::{Revision, RevisionKey};
use sha2::{Digest, Sha256};

/// Of the message below. A reader refuses a larger number.
pub const FORMAT: u32 = 1;

/// A chunk is ended when it has more; what comes with one response of the watch stays together.
pub const CHUNK_BYTES: usize = 4 << 20;

/// The changes of the revisions `after + 1` to `last`, as they were received from one watch.
///
/// A revision with more rows than fit is told in several: `unfinished` says that the rows of `last` go on in another chunk, whose
/// first row is not its revision's first.
#[derive(Clone, PartialEq, Message)]
pub struct Chunk {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(uint64, tag = "2")]
    pub cluster_id: u64,
    #[prost(int64, tag = "3")]
    pub after: i64,
    #[prost(int64, tag = "4")]
    pub last: i64,
    #[prost(bool, tag = "5")]
    pub unfinished: bool,
    /// What was there before, if it was seen.
    #[prost(message, optional, tag = "6")]
    pub link: Option<Link>,
    #[prost(uint64, tag = "7")]
    pub raft_term: u64,
    /// Both numbers ascend; equal revisions say that nothing was written between.
    #[prost(message, repeated, tag = "8")]
    pub moments: Vec<Moment>,
    /// Those that rows name, unless an earlier chunk of this recorder's run has told of them.
    #[prost(message, repeated, tag = "9")]
    pub leases: Vec<Lease>,
    #[prost(message, repeated, tag = "10")]
    pub rows: Vec<Row>,
}

/// Everything up to the revision, and nothing beyond, had been received.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Moment {
    #[prost(int64, tag = "1")]
    pub revision: i64,
    #[prost(int64, tag = "2")]
    pub unix_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Lease {
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// As granted. 0: it had ended before the recorder could ask.
    #[prost(int64, tag = "2")]
    pub ttl_s: i64,
}

/// As etcd stores it in its bucket `key`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Row {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// A row that must be the same on both sides of a seam: a cluster that was recovered from a lost quorum may have gone back, and
/// have written something else since.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Link {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value_sha256: Bytes,
}

/// Not what a recorder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is no chunk of changes")]
    Encoding,
    #[error("it has format {0}, which needs a newer version of this program")]
    Newer(u32),
    #[error("its rows are not those of its revisions")]
    Rows,
    #[error("its moments are out of order")]
    Moments,
}

impl Chunk {
    /// Refuses what is not in order.
    pub fn open(bytes: Bytes) -> Result<Self, Malformed> {
        let chunk = Self::decode(bytes).map_err(|_| Malformed::Encoding)?;
        if chunk.format > FORMAT {
            return Err(Malformed::Newer(chunk.format));
        }
        chunk.check_rows()?;
        let in_order = chunk.moments.is_sorted_by(|a, b| a.revision <= b.revision && a.unix_ms <= b.unix_ms);
        let in_range = chunk.moments.iter().all(|moment| (chunk.after..=chunk.last).contains(&moment.revision));
        if in_order && in_range { Ok(chunk) } else { Err(Malformed::Moments) }
    }

    /// Each row follows the one before: none is missing between the first and the last.
    fn check_rows(&self) -> Result<(), Malformed> {
        let mut before: Option<Revision> = None;
        for row in &self.rows {
            let revision = row.revision()?;
            let follows = match before {
                None => revision.main == self.after + 1,
                Some(before) => follows(before, revision),
            };
            if !follows {
                return Err(Malformed::Rows);
            }
            before = Some(revision);
        }
        let last = before.map_or(self.after, |revision| revision.main);
        if last == self.last && (self.last > self.after || !self.unfinished) { Ok(()) } else { Err(Malformed::Rows) }
    }

    /// The last revision whose rows are all there, here or in earlier chunks.
    pub fn done(&self) -> i64 {
        if self.unfinished { self.last - 1 } else { self.last }
    }

    /// The number of rows that its first revision has in earlier chunks.
    pub fn first_sub(&self) -> i64 {
        self.rows.first().and_then(|row| row.revision().ok()).map_or(0, |revision| revision.sub)
    }
}

/// Each change has the next revision, and the writes of one are counted from 0.
pub(super) fn follows(before: Revision, revision: Revision) -> bool {
    let same = before.main == revision.main && before.sub + 1 == revision.sub;
    same || (before.main + 1 == revision.main && revision.sub == 0)
}

impl Row {
    pub fn revision(&self) -> Result<Revision, Malformed> {
        RevisionKey::parse(&self.key).map(|key| key.revision).map_err(|_| Malformed::Rows)
    }

    pub fn link(&self) -> Link {
        Link::new(self.key.clone(), &self.value)
    }
}

impl Link {
    pub fn new(key: Bytes, value: &[u8]) -> Self {
        let value_sha256: [u8; 32] = Sha256::digest(value).into();
        Self { key, value_sha256: Bytes::copy_from_slice(&value_sha256) }
    }

    pub fn is_tombstone(&self) -> bool {
        RevisionKey::parse(&self.key).is_ok_and(|key| key.tombstone)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A put or, without a value, a deletion.
    pub(in crate::changes) fn row(main: i64, sub: i64, value: &str) -> Row {
        let key = RevisionKey { revision: Revision::new(main, sub), tombstone: value.is_empty() };
        let (bytes, len) = key.to_bytes();
        Row { key: Bytes::copy_from_slice(&bytes[..len]), value: Bytes::copy_from_slice(value.as_bytes()) }
    }

    /// One row a revision, each received at 1000 ms times its number.
    pub(in crate::changes) fn chunk(after: i64, last: i64) -> Chunk {
        let mains = after + 1..=last;
        let mut chunk = Chunk { format: FORMAT, cluster_id: 7, after, last, raft_term: 2, ..Chunk::default() };
        chunk.link = Some(row(after, 0, "v").link());
        chunk.moments = mains.clone().map(|revision| Moment { revision, unix_ms: revision * 1000 }).collect();
        chunk.rows = mains.map(|main| row(main, 0, "v")).collect();
        chunk
    }

    fn open(chunk: &Chunk) -> Result<Chunk, Malformed> {
        Chunk::open(chunk.encode_to_vec().into())
    }

    #[test]
    fn a_chunk_reads_back() {
        let whole = chunk(4, 9);
        assert_eq!(open(&whole), Ok(whole));
        let idle = chunk(4, 4);
        assert_eq!(open(&idle), Ok(idle));
    }

    #[test]
    fn a_chunk_with_a_row_missing_or_twice_is_refused() {
        for at in 0..5 {
            let mut missing = chunk(4, 9);
            missing.rows.remove(at);
            assert_eq!(open(&missing), Err(Malformed::Rows), "without {at}");
            let mut twice = chunk(4, 9);
            twice.rows.insert(at, twice.rows[at].clone());
            assert_eq!(open(&twice), Err(Malformed::Rows), "{at} twice");
        }
    }

    #[test]
    fn other_bytes_newer_formats_and_moments_out_of_order_are_refused() {
        assert_eq!(Chunk::open(Bytes::from_static(b"\xff\xff")), Err(Malformed::Encoding));
        assert_eq!(open(&Chunk { format: 2, ..chunk(4, 9) }), Err(Malformed::Newer(2)));
        let mut swapped = chunk(4, 9);
        swapped.moments.swap(0, 1);
        assert_eq!(open(&swapped), Err(Malformed::Moments));
    }
}
