//! A version of a key as it is stored: etcd's revision key, and the wire bytes of an `mvccpb.KeyValue`.

use bytes::Bytes;
use quorate_format::revision::{REVISION_BYTES, RevisionKey};

use super::revision::Revision;

const MARKED: usize = REVISION_BYTES + 1;

/// The key of a row ([`RevisionKey`]), encoded. Rows sort in the order they were written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    bytes: [u8; MARKED],
    length: u8,
}

impl RowKey {
    pub fn put(revision: Revision) -> Self {
        RevisionKey::put(revision).into()
    }

    pub fn tombstone(revision: Revision) -> Self {
        RevisionKey::tombstone(revision).into()
    }

    /// `None` if these bytes are no row key.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        RevisionKey::parse(bytes).ok().map(Self::from)
    }

    pub fn revision(&self) -> Revision {
        let [a, b, c, d, e, f, g, h, _, i, j, k, l, m, n, o, p, _] = self.bytes;
        Revision::new(i64::from_be_bytes([a, b, c, d, e, f, g, h]), i64::from_be_bytes([i, j, k, l, m, n, o, p]))
    }

    pub fn is_tombstone(&self) -> bool {
        usize::from(self.length) == MARKED
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Sorts before every row of this main revision and behind all of those before it.
    pub fn bound(main: i64) -> [u8; 8] {
        main.to_be_bytes()
    }
}

impl From<RevisionKey> for RowKey {
    fn from(key: RevisionKey) -> Self {
        let (mut bytes, length) = key.to_bytes();
        bytes[length..].fill(0);
        Self { bytes, length: length as u8 }
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.revision(), if self.is_tombstone() { "t" } else { "" })
    }
}

/// The fields of an `mvccpb.KeyValue`, borrowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair<'a> {
    pub key: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub value: &'a [u8],
    pub lease: i64,
}

// Field number and wire type, as one byte: all fields are below 16.
const KEY: u8 = 1 << 3 | 2;
const CREATE_REVISION: u8 = 2 << 3;
const MOD_REVISION: u8 = 3 << 3;
const VERSION: u8 = 4 << 3;
const VALUE: u8 = 5 << 3 | 2;
const LEASE: u8 = 6 << 3;

impl<'a> Pair<'a> {
    /// Encodes in tag order without zero fields, into one allocation of exactly the size: as every etcd does, so that hashes agree.
    pub fn encode(&self) -> Bytes {
        let length = bytes_length(self.key)
            + number_length(self.create_revision)
            + number_length(self.mod_revision)
            + number_length(self.version)
            + bytes_length(self.value)
            + number_length(self.lease);
        let mut to = Vec::with_capacity(length);
        push_bytes(&mut to, KEY, self.key);
        push_number(&mut to, CREATE_REVISION, self.create_revision);
        push_number(&mut to, MOD_REVISION, self.mod_revision);
        push_number(&mut to, VERSION, self.version);
        push_bytes(&mut to, VALUE, self.value);
        push_number(&mut to, LEASE, self.lease);
        Bytes::from(to)
    }

    /// Reads an encoding; fields of later versions are passed over. `None` if it is cut short or malformed.
    pub fn parse(mut from: &'a [u8]) -> Option<Self> {
        let mut pair = Self::default();
        while !from.is_empty() {
            let tag = take_varint(&mut from)?;
            match (tag >> 3, tag & 7) {
                (1, 2) => pair.key = take_bytes(&mut from)?,
                (5, 2) => pair.value = take_bytes(&mut from)?,
                (2, 0) => pair.create_revision = take_varint(&mut from)? as i64,
                (3, 0) => pair.mod_revision = take_varint(&mut from)? as i64,
                (4, 0) => pair.version = take_varint(&mut from)? as i64,
                (6, 0) => pair.lease = take_varint(&mut from)? as i64,
                (_, 0) => drop(take_varint(&mut from)?),
                (_, 1) => from = from.get(8..)?,
                (_, 2) => drop(take_bytes(&mut from)?),
                (_, 5) => from = from.get(4..)?,
                _ => return None,
            }
        }
        Some(pair)
    }
}

/// Where the key's bytes lie in an encoding of [`Pair::encode`].
pub fn key_range(key: &[u8]) -> std::ops::Range<usize> {
    let end = bytes_length(key);
    end - key.len()..end
}

/// Bytes that a field of bytes takes, 0 if it is empty.
pub fn bytes_length(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { 1 + varint_length(bytes.len() as u64) + bytes.len() }
}

fn number_length(number: i64) -> usize {
    if number == 0 { 0 } else { 1 + varint_length(number as u64) }
}

fn varint_length(value: u64) -> usize {
    // Seven bits a byte, at least one byte.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn push_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn push_bytes(to: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        to.push(tag);
        push_varint(to, bytes.len() as u64);
        to.extend_from_slice(bytes);
    }
}

fn push_number(to: &mut Vec<u8>, tag: u8, number: i64) {
    if number != 0 {
        to.push(tag);
        push_varint(to, number as u64);
    }
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use quorate_proto::mvccpb::KeyValue;

    proptest::proptest! {
        #[test]
        fn a_pair_is_encoded_as_protobuf_does(
            key: Vec<u8>, create_revision: i64, mod_revision: i64, version: i64, value: Vec<u8>, lease: i64,
        ) {
            let pair = Pair { key: &key, create_revision, mod_revision, version, value: &value, lease };
            let encoded = pair.encode();
            let theirs = KeyValue {
                key: key.clone().into(), create_revision, mod_revision, version, value: value.clone().into(), lease,
            };
            proptest::prop_assert_eq!(&encoded[..], &theirs.encode_to_vec()[..]);
            proptest::prop_assert_eq!(Pair::parse(&encoded), Some(pair));
            proptest::prop_assert_eq!(&encoded[key_range(&key)], &key[..]);
        }

        #[test]
        fn reading_any_bytes_ends(bytes: Vec<u8>) {
            let _ = Pair::parse(&bytes);
            let _ = RowKey::parse(&bytes);
        }
    }

    #[test]
    fn row_keys_sort_by_revision_and_read_back() {
        let rows = [
            RowKey::put(Revision::new(2, 0)),
            RowKey::tombstone(Revision::new(2, 1)),
            RowKey::put(Revision::new(300, 0)),
        ];
        assert!(rows.is_sorted());
        for row in rows {
            assert_eq!(RowKey::parse(row.as_bytes()), Some(row));
        }
        assert_eq!(RowKey::bound(2).as_slice().cmp(rows[0].as_bytes()), std::cmp::Ordering::Less);
        assert_eq!(rows[1].as_bytes(), b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01t");
    }
}
