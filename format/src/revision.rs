use std::fmt;

/// etcd's revision: which change, and which write within it. Ordered as they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    /// One a transaction that writes; from 1 (an empty store), never negative.
    pub main: i64,
    /// Counts the writes of one transaction from 0.
    pub sub: i64,
}

/// The key of a row of etcd's `key` bucket: 8 bytes main, `_`, 8 bytes sub, all big-endian, and `t` behind a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RevisionKey {
    pub revision: Revision,
    pub tombstone: bool,
}

/// Bytes of a key without the mark of a deletion.
pub const REVISION_BYTES: usize = 17;

const SEPARATOR: u8 = b'_';
const TOMBSTONE: u8 = b't';

/// Bytes that are no revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("invalid revision length: {0} (17 or 18 bytes expected)")]
    Length(usize),
    #[error("invalid separator in a revision: {0:#04x} ('_' expected)")]
    Separator(u8),
    #[error("negative revision: main={main} sub={sub}")]
    Negative { main: i64, sub: i64 },
}

impl Revision {
    pub const fn new(main: i64, sub: i64) -> Self {
        Self { main, sub }
    }

    pub fn to_bytes(self) -> [u8; REVISION_BYTES] {
        let mut bytes = [SEPARATOR; REVISION_BYTES];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[9..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.main, self.sub)
    }
}

impl RevisionKey {
    pub const fn put(revision: Revision) -> Self {
        Self { revision, tombstone: false }
    }

    pub const fn tombstone(revision: Revision) -> Self {
        Self { revision, tombstone: true }
    }

    /// The bytes and how many of them count: 17, or 18 for a tombstone.
    pub fn to_bytes(self) -> ([u8; REVISION_BYTES + 1], usize) {
        let mut bytes = [TOMBSTONE; REVISION_BYTES + 1];
        bytes[..REVISION_BYTES].copy_from_slice(&self.revision.to_bytes());
        (bytes, REVISION_BYTES + usize::from(self.tombstone))
    }

    /// As etcd does, an 18th byte other than `t` is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (Some((main, rest)), REVISION_BYTES..=18) = (bytes.split_first_chunk(), bytes.len()) else {
            return Err(Error::Length(bytes.len()));
        };
        let Some(sub) = rest.get(1..).and_then(|rest| rest.first_chunk()) else {
            return Err(Error::Length(bytes.len()));
        };
        let (main, sub) = (i64::from_be_bytes(*main), i64::from_be_bytes(*sub));
        if rest[0] != SEPARATOR {
            return Err(Error::Separator(rest[0]));
        }
        if main < 0 || sub < 0 {
            return Err(Error::Negative { main, sub });
        }
        Ok(Self { revision: Revision { main, sub }, tombstone: bytes.get(REVISION_BYTES) == Some(&TOMBSTONE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_key_has_etcds_bytes_and_reads_back() {
        let (bytes, len) = RevisionKey::put(Revision::new(2, 1)).to_bytes();
        assert_eq!(&bytes[..len], b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01");
        let (bytes, len) = RevisionKey::tombstone(Revision::new(i64::MAX, 0)).to_bytes();
        assert_eq!(&bytes[..len], b"\x7f\xff\xff\xff\xff\xff\xff\xff_\0\0\0\0\0\0\0\0t");
        assert_eq!(RevisionKey::parse(&bytes[..len]), Ok(RevisionKey::tombstone(Revision::new(i64::MAX, 0))));
        assert_eq!(RevisionKey::parse(&bytes[..17]), Ok(RevisionKey::put(Revision::new(i64::MAX, 0))));
    }

    #[test]
    fn other_bytes_are_not_revisions() {
        assert_eq!(RevisionKey::parse(b""), Err(Error::Length(0)));
        assert_eq!(RevisionKey::parse(&[0; 19]), Err(Error::Length(19)));
        assert_eq!(RevisionKey::parse(&[0; 17]), Err(Error::Separator(0)));
        assert_eq!(RevisionKey::parse(&[b'_'; 17]).map(|_| ()), Ok(()));
        let negative = b"\xff\0\0\0\0\0\0\0_\0\0\0\0\0\0\0\0";
        assert!(matches!(RevisionKey::parse(negative), Err(Error::Negative { .. })));
    }
}
