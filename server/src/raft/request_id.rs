//! Ids of requests, unique in the cluster for as long as any of them may still be decided.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

/// Two bytes of the member id, five of the time in milliseconds at the start, one to count with: etcd's layout, which
/// starts above every id of an earlier run unless that run made more than 256 a millisecond throughout.
pub struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

const SUFFIX_BITS: u32 = 48;

impl RequestIds {
    pub fn new(member_id: u64, clock: &dyn Clock) -> Self {
        let since_epoch_ms = clock.wall().as_millis() as u64;
        Self {
            prefix: member_id << SUFFIX_BITS,
            next: AtomicU64::new((since_epoch_ms << 8) & ((1 << SUFFIX_BITS) - 1)),
        }
    }

    pub fn next(&self) -> u64 {
        let suffix = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.prefix | (suffix & ((1 << SUFFIX_BITS) - 1))
    }
}
