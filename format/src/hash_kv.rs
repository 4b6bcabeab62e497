//! etcd's HashKV: one number over the history of keys, equal on all members, whatever each has already compacted.
//!
//! CRC-32C over the bucket name `key`, then the key and value bytes of the rows in revision order, up to a revision.
//! A row at or below the compact revision counts only if it is kept: if it would survive a compaction at the *hashed*
//! revision, that is, if it is the version of a live key at that revision. A deletion exactly at the compact revision
//! never counts. The rules are those of etcd's `server/storage/mvcc/hash.go` and `key_index.go` (3.7).

use std::collections::{HashMap, HashSet};

use crate::protobuf::{Value, take_field};
use crate::revision::{Revision, RevisionKey};

/// Takes rows in revision order.
#[derive(Debug, Clone)]
pub struct Hasher {
    crc: u32,
    compact_revision: i64,
    revision: i64,
}

impl Hasher {
    /// `compact_revision`: the last compaction asked for, -1 if there was none. `revision`: the last one to hash.
    pub fn new(compact_revision: i64, revision: i64) -> Self {
        Self { crc: crc32c::crc32c(b"key"), compact_revision, revision }
    }

    /// `bytes` is the row's key as stored, 17 or 18 bytes, and `key` what it says. `kept` is asked only about rows at or
    /// below the compact revision.
    ///
    /// etcd has a quirk to be copied by whoever answers: if no revision at all is kept, because no key is alive at the
    /// hashed revision, the answer is yes for every row that is there.
    pub fn row(&mut self, key: RevisionKey, bytes: &[u8], value: &[u8], kept: impl FnOnce(Revision) -> bool) {
        let RevisionKey { revision, tombstone } = key;
        if revision.main > self.revision || (tombstone && revision.main == self.compact_revision) {
            return;
        }
        if revision.main <= self.compact_revision && !kept(revision) {
            return;
        }
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, bytes), value);
    }

    pub fn finish(&self) -> u32 {
        self.crc
    }
}

/// Finds the kept revisions of a plain file, whose rows come in revision order. Memory: each key and one revision.
#[derive(Debug, Default)]
pub struct KeepSet {
    at_revision: i64,
    keys: HashMap<Vec<u8>, Key>,
}

/// A key's current generation, from its creation to its deletion.
#[derive(Debug, Default)]
struct Key {
    exists: bool,
    /// Newest version of this generation that isn't beyond the revision.
    newest: Option<Revision>,
    /// The generation that the revision falls into has ended: later rows change nothing.
    settled: bool,
}

/// A row's value that isn't an encoded `mvccpb.KeyValue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value at revision {0} is not an encoded KeyValue")]
pub struct NotAKeyValue(pub Revision);

impl KeepSet {
    /// `at_revision`: the hashed revision.
    pub fn new(at_revision: i64) -> Self {
        Self { at_revision, keys: HashMap::new() }
    }

    pub fn row(&mut self, key: RevisionKey, value: &[u8]) -> Result<(), NotAKeyValue> {
        let user_key = user_key(value).ok_or(NotAKeyValue(key.revision))?;
        // Not the entry API: it would copy every row's key.
        if !self.keys.contains_key(user_key) {
            // A deletion whose versions are compacted away still ends a generation.
            self.keys.insert(user_key.to_vec(), Key { exists: true, ..Key::default() });
        }
        let Some(state) = self.keys.get_mut(user_key) else { return Ok(()) };
        if state.settled {
            return Ok(());
        }
        if !key.tombstone {
            state.exists = true;
            if key.revision.main <= self.at_revision {
                state.newest = Some(key.revision);
            }
            return Ok(());
        }
        // A second deletion in a row has no generation to end.
        if !state.exists {
            return Ok(());
        }
        state.exists = false;
        state.settled = key.revision.main >= self.at_revision;
        if key.revision.main <= self.at_revision {
            state.newest = None;
        }
        Ok(())
    }

    /// What to answer the [`Hasher`]: everything is kept if nothing is.
    pub fn finish(self) -> impl Fn(Revision) -> bool {
        let kept: HashSet<Revision> = self.keys.into_values().filter_map(|key| key.newest).collect();
        move |revision| kept.is_empty() || kept.contains(&revision)
    }
}

/// Field 1 of a `mvccpb.KeyValue`; empty if it has none.
pub fn user_key(mut value: &[u8]) -> Option<&[u8]> {
    let mut key: &[u8] = &[];
    while !value.is_empty() {
        if let (1, Value::Bytes(bytes)) = take_field(&mut value)? {
            key = bytes;
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(key: &str) -> Vec<u8> {
        let mut value = vec![0x0a, key.len() as u8];
        value.extend(key.as_bytes());
        value
    }

    /// (main, key, is a deletion)
    fn kept(rows: &[(i64, &str, bool)], at_revision: i64) -> Vec<i64> {
        let mut set = KeepSet::new(at_revision);
        for (main, key, tombstone) in rows {
            set.row(RevisionKey { revision: Revision::new(*main, 0), tombstone: *tombstone }, &value(key)).unwrap();
        }
        let kept = set.finish();
        rows.iter().map(|row| row.0).filter(|main| kept(Revision::new(*main, 0))).collect()
    }

    #[test]
    fn the_version_of_each_live_key_is_kept() {
        let rows =
            [(2, "a", false), (3, "b", false), (4, "a", false), (5, "b", true), (6, "b", false), (7, "a", false)];
        assert_eq!(kept(&rows, 2), [2]);
        assert_eq!(kept(&rows, 3), [2, 3]);
        assert_eq!(kept(&rows, 4), [3, 4]);
        assert_eq!(kept(&rows, 5), [4], "a deletion exactly there isn't kept");
        assert_eq!(kept(&rows, 6), [4, 6]);
        assert_eq!(kept(&rows, 9), [6, 7]);
    }

    #[test]
    fn everything_is_kept_if_no_key_is_alive() {
        let rows = [(2, "a", false), (3, "a", true)];
        assert_eq!(kept(&rows, 3), [2, 3]);
    }

    #[test]
    fn a_deletion_whose_versions_are_gone_ends_its_generation() {
        let rows = [(5, "a", true), (6, "a", true), (7, "a", false), (8, "b", false)];
        assert_eq!(kept(&rows, 7), [7]);
        assert_eq!(kept(&rows, 8), [7, 8]);
    }

    #[test]
    fn rows_beyond_the_revision_and_a_deletion_at_the_compact_revision_do_not_count() {
        let hash = |rows: &[(i64, bool)]| {
            let mut hasher = Hasher::new(3, 5);
            for (main, tombstone) in rows {
                let key = RevisionKey { revision: Revision::new(*main, 0), tombstone: *tombstone };
                let (bytes, len) = key.to_bytes();
                hasher.row(key, &bytes[..len], &value("a"), |revision| revision.main == 2);
            }
            hasher.finish()
        };
        let plain = hash(&[(2, false), (4, false), (5, true)]);
        assert_eq!(hash(&[(1, false), (2, false), (3, true), (4, false), (5, true), (6, false)]), plain);
        assert_ne!(hash(&[(2, false), (4, false)]), plain);
    }
}
