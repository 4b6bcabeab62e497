//! Leases and the keys that hang on them. Times are only numbers here: who runs the clock is the leader's duty.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message;
use quorate_proto::leasepb;

/// etcd's longest time to live, in seconds.
pub const MAX_TTL_SECONDS: i64 = 9_000_000_000;

/// A lease as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    pub id: i64,
    /// Seconds, as granted.
    pub ttl: i64,
    /// Seconds left at the last checkpoint, 0 if there was none since the lease was renewed.
    pub remaining_ttl: i64,
    /// Sorted.
    pub keys: Vec<Bytes>,
}

/// All leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_id: HashMap<i64, Lease>,
    by_key: HashMap<Bytes, i64>,
}

#[derive(Debug)]
struct Lease {
    ttl: i64,
    remaining_ttl: i64,
    keys: BTreeSet<Bytes>,
}

impl Leases {
    pub(super) fn contains(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn view(&self, id: i64) -> Option<LeaseView> {
        let lease = self.by_id.get(&id)?;
        Some(LeaseView {
            id,
            ttl: lease.ttl,
            remaining_ttl: lease.remaining_ttl,
            keys: lease.keys.iter().cloned().collect(),
        })
    }

    /// A lease without its keys.
    pub(super) fn time(&self, id: i64) -> Option<LeaseView> {
        let lease = self.by_id.get(&id)?;
        Some(LeaseView { id, ttl: lease.ttl, remaining_ttl: lease.remaining_ttl, keys: Vec::new() })
    }

    /// Every lease without its keys, ordered by id.
    pub(super) fn times(&self) -> Vec<LeaseView> {
        let mut times: Vec<LeaseView> = self
            .by_id
            .iter()
            .map(|(&id, lease)| LeaseView { id, ttl: lease.ttl, remaining_ttl: lease.remaining_ttl, keys: Vec::new() })
            .collect();
        times.sort_unstable_by_key(|lease| lease.id);
        times
    }

    /// Adds a lease, or restores one.
    pub(super) fn insert(&mut self, id: i64, ttl: i64, remaining_ttl: i64) {
        self.by_id.insert(id, Lease { ttl, remaining_ttl, keys: BTreeSet::new() });
    }

    /// Notes what is left of a lease; `None` if there is no such lease.
    pub(super) fn checkpoint(&mut self, id: i64, remaining_ttl: i64) -> Option<()> {
        self.by_id.get_mut(&id)?.remaining_ttl = remaining_ttl;
        Some(())
    }

    /// The keys of a lease, sorted.
    pub(super) fn keys(&self, id: i64) -> Vec<Bytes> {
        self.by_id.get(&id).map(|lease| lease.keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets a lease; its keys must be gone.
    pub(super) fn remove(&mut self, id: i64) {
        if let Some(lease) = self.by_id.remove(&id) {
            for key in &lease.keys {
                self.by_key.remove(key);
            }
        }
    }

    /// Hangs a key on lease `id` and on no other; 0 is no lease. A lease that does not exist holds nothing.
    pub(super) fn attach(&mut self, key: &[u8], id: i64) {
        if id == 0 {
            return self.detach(key);
        }
        if self.by_key.get(key) == Some(&id) {
            return;
        }
        self.detach(key);
        if let Some(lease) = self.by_id.get_mut(&id) {
            let key = Bytes::copy_from_slice(key);
            lease.keys.insert(key.clone());
            self.by_key.insert(key, id);
        }
    }

    /// Takes a key off its lease, if it has one.
    pub(super) fn detach(&mut self, key: &[u8]) {
        // Most stores have no key on a lease: this is every put's path.
        if self.by_key.is_empty() {
            return;
        }
        if let Some(id) = self.by_key.remove(key)
            && let Some(lease) = self.by_id.get_mut(&id)
        {
            lease.keys.remove(key);
        }
    }

    /// The stored form of a lease: key and value of its row.
    pub(super) fn row(&self, id: i64) -> Option<(Bytes, Bytes)> {
        let lease = self.by_id.get(&id)?;
        let value = leasepb::Lease { id, ttl: lease.ttl, remaining_ttl: lease.remaining_ttl };
        Some((row_key(id), value.encode_to_vec().into()))
    }
}

pub(super) fn row_key(id: i64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}
