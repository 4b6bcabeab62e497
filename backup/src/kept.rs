//! Which rows of a snapshot would outlive a compaction at its revision, in memory with a bound.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use quorate_format::bbolt::Bucket;
use quorate_format::hash_kv::{NotAKeyValue, user_key};
use quorate_format::revision::RevisionKey;

use crate::contents::Error;

/// Of one pass over the rows; 18 MB. More keys take more passes.
pub const KEYS_MAX: usize = 900_000;

/// No version of the key is alive.
const NONE: u32 = u32::MAX;
/// Deleted exactly at the revision: what the same change writes later doesn't count. That is etcd's rule.
const ENDED: u32 = u32::MAX - 1;

/// A bit for each row, by its number in the order of revisions.
#[derive(Debug, Default)]
pub struct Kept {
    bits: Vec<u64>,
    is_any: bool,
}

impl Kept {
    /// Keys are told apart by hashes of 64 bits, whose seed differs each time: among a million keys, two have the same in one of
    /// 37 million runs, which then finds another hash than the member's.
    pub fn find(keys: &Bucket<'_>, revision: i64, keys_max: usize) -> Result<Self, Error> {
        let seed = RandomState::new();
        let mut kept = Self::default();
        let mut from = 0;
        loop {
            let (newest, to) = pass(keys, revision, keys_max, &seed, from)?;
            for number in newest.into_values().filter(|number| *number < ENDED) {
                kept.set(number);
            }
            match to.checked_add(1) {
                Some(next) => from = next,
                None => return Ok(kept),
            }
        }
    }

    fn set(&mut self, number: u32) {
        let (word, bit) = (number as usize / 64, number % 64);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << bit;
        self.is_any = true;
    }

    /// Everything is kept if nothing is. That is etcd's rule, too.
    pub fn has(&self, number: u32) -> bool {
        let word = self.bits.get(number as usize / 64).copied().unwrap_or_default();
        !self.is_any || word >> (number % 64) & 1 == 1
    }
}

/// The newest row of each key whose hash is `from` or above, up to a hash that is returned.
fn pass(
    keys: &Bucket<'_>,
    revision: i64,
    keys_max: usize,
    seed: &RandomState,
    from: u64,
) -> Result<(HashMap<u64, u32>, u64), Error> {
    let mut newest: HashMap<u64, u32> = HashMap::with_capacity(keys_max);
    let mut to = u64::MAX;
    let mut rows = keys.rows();
    for number in 0.. {
        let Some(row) = rows.next()? else { break };
        let key = RevisionKey::parse(&row.key)?;
        if key.revision.main > revision {
            break;
        }
        if number >= ENDED {
            return Err(Error::TooMany);
        }
        let hash = seed.hash_one(user_key(&row.value).ok_or(NotAKeyValue(key.revision))?);
        if hash < from {
            continue;
        }
        while newest.len() >= keys_max && hash <= to && !newest.contains_key(&hash) {
            to = from.midpoint(to);
            newest.retain(|hash, _| *hash <= to);
        }
        if hash > to {
            continue;
        }
        let ends = if key.revision.main == revision { ENDED } else { NONE };
        let is_put = !key.tombstone;
        newest
            .entry(hash)
            .and_modify(|state| match *state {
                ENDED => {}
                // A second deletion in a row has nothing to end.
                NONE if !is_put => {}
                _ => *state = if is_put { number } else { ends },
            })
            .or_insert(if is_put { number } else { ends });
    }
    Ok((newest, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quorate_format::bbolt::{Reader, Writer};
    use quorate_format::hash_kv::KeepSet;
    use quorate_format::revision::Revision;

    use super::*;

    /// (main, sub, key, is a deletion)
    type Rows = Vec<(i64, i64, u8, bool)>;

    fn database(rows: &Rows) -> Reader {
        let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
        let mut bucket = writer.bucket("key").unwrap();
        for (main, sub, key, tombstone) in rows {
            let (bytes, len) = RevisionKey { revision: Revision::new(*main, *sub), tombstone: *tombstone }.to_bytes();
            bucket.put(&bytes[..len], &[0x0a, 1, *key]).unwrap();
        }
        bucket.finish().unwrap();
        Reader::new(writer.finish().unwrap().0).unwrap()
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let change = prop::collection::vec((0u8..6, any::<bool>()), 1..4);
        prop::collection::vec(change, 0..20).prop_map(|changes| {
            let numbered = (2..).zip(changes);
            let rows = numbered.flat_map(|(main, writes)| {
                (0..).zip(writes).map(move |(sub, (key, tombstone))| (main, sub, key, tombstone))
            });
            rows.collect()
        })
    }

    proptest! {
        #[test]
        fn the_same_rows_are_kept_as_by_the_set_of_keys(rows in rows(), revision in 1i64..24, keys_max in 2usize..8) {
            let reader = database(&rows);
            let kept = Kept::find(&reader.bucket(b"key").unwrap().unwrap(), revision, keys_max).unwrap();
            let mut set = KeepSet::new(revision);
            for (main, sub, key, tombstone) in &rows {
                let at = RevisionKey { revision: Revision::new(*main, *sub), tombstone: *tombstone };
                set.row(at, &[0x0a, 1, *key]).unwrap();
            }
            let expected = set.finish();
            for (number, (main, sub, ..)) in (0..).zip(rows.iter()).filter(|(_, row)| row.0 <= revision) {
                prop_assert_eq!(kept.has(number), expected(Revision::new(*main, *sub)), "{}", number);
            }
        }
    }
}
