//! The target's leases, and when they are to be renewed so that none ends by itself: what ends there would be written there, and not
//! by the mirror.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::member::Found;

/// Of a lease that the source no longer has, since nobody knows what it had; its deletions follow. A day does no harm.
pub(super) const TTL_GONE_S: i64 = 86_400;
/// A lease out of a copy has a day, which renewing would cut down to what was granted. So it is left alone until its last hour.
const LAST_HOUR: Duration = Duration::from_secs(3600);
/// What is left of a lease that a put may name.
const USABLE: Duration = Duration::from_millis(500);

/// 115 days.
const MARK_TTL_S: i64 = 10_000_000;
/// The longest that etcd grants.
const TTL_MAX_S: i64 = 9_000_000_000;

/// Id of a lease that says that the target was cut off. A lease has no revision and isn't hashed, so that the target stays equal to the
/// source; and the id is that of no other cluster, so that a copy of the target isn't cut off.
pub(super) fn mark_id(target_cluster_id: u64) -> i64 {
    let digest =
        Sha256::new().chain_update(b"cut off by a mirror").chain_update(target_cluster_id.to_be_bytes()).finalize();
    digest.iter().take(8).fold(0, |id, byte| id << 8 | i64::from(*byte)) & i64::MAX
}

/// TTL of that lease: the revision, and enough for it to stay.
pub(super) fn mark_ttl_s(revision: i64) -> i64 {
    revision.saturating_add(MARK_TTL_S).min(TTL_MAX_S)
}

/// What [`mark_ttl_s`] was made of.
pub(super) fn marked_revision(ttl_s: i64) -> i64 {
    ttl_s - MARK_TTL_S
}

/// Clones are the same leases. Some 40 bytes each.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<i64, Lease>>>);

#[derive(Clone, Copy, Debug)]
struct Lease {
    due: Instant,
    ends: Instant,
}

impl Lease {
    fn renewed(granted_s: i64, now: Instant) -> Self {
        let granted = seconds(granted_s);
        Self { due: now + granted / 3, ends: now + granted }
    }

    fn found(found: Found, now: Instant) -> Self {
        let (granted, remaining) = (seconds(found.granted_s), seconds(found.remaining_s));
        let is_extended = remaining > granted + granted / 10 + LAST_HOUR / 2;
        let due = if is_extended { now + remaining.saturating_sub(LAST_HOUR) } else { now };
        Self { due, ends: now + remaining }
    }
}

impl Leases {
    pub(super) fn add_found(&self, found: &[Found], now: Instant) {
        self.0.lock().extend(found.iter().map(|found| (found.id, Lease::found(*found, now))));
    }

    /// Granted or renewed, for so long.
    pub(super) fn renewed(&self, id: i64, ttl_s: i64, now: Instant) {
        self.0.lock().insert(id, Lease::renewed(ttl_s, now));
    }

    pub(super) fn remove(&self, id: i64) {
        self.0.lock().remove(&id);
    }

    /// Whether a put may name it now.
    pub(super) fn has(&self, id: i64, now: Instant) -> bool {
        self.0.lock().get(&id).is_some_and(|lease| lease.ends > now + USABLE)
    }

    pub(super) fn ids(&self) -> Vec<i64> {
        self.0.lock().keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Those to be renewed now, the most urgent first.
    pub(super) fn due(&self, now: Instant, max: usize) -> Vec<i64> {
        let mut due: Vec<(Instant, i64)> =
            self.0.lock().iter().filter(|(_, lease)| lease.due <= now).map(|(id, lease)| (lease.ends, *id)).collect();
        due.sort_unstable();
        due.truncate(max);
        due.into_iter().map(|(_, id)| id).collect()
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(TTL_MAX_S.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_when_a_third_of_it_is_over() {
        let (leases, now) = (Leases::default(), Instant::now());
        leases.renewed(1, 30, now);
        leases.renewed(2, 60, now);
        let after = |s| now + Duration::from_secs(s);
        assert!(leases.due(after(9), 10).is_empty());
        assert_eq!(leases.due(after(10), 10), [1]);
        assert_eq!(leases.due(after(20), 10), [1, 2]);
        assert_eq!(leases.due(after(20), 1), [1]);
        assert!(leases.has(1, after(29)) && !leases.has(1, after(30)) && !leases.has(3, now));
    }

    #[test]
    fn a_day_out_of_a_copy_is_left_alone_until_its_last_hour() {
        let (leases, now) = (Leases::default(), Instant::now());
        let day = Found { id: 1, granted_s: 60, remaining_s: 86_400 };
        leases.add_found(&[day, Found { id: 2, granted_s: 60, remaining_s: 20 }], now);
        assert_eq!(leases.due(now, 10), [2]);
        assert_eq!(leases.due(now + Duration::from_secs(86_400 - 3601), 10), [2]);
        assert_eq!(leases.due(now + Duration::from_secs(86_400 - 3600), 10), [2, 1]);
    }

    #[test]
    fn the_mark_tells_the_revision() {
        assert_eq!(marked_revision(mark_ttl_s(1234)), 1234);
    }
}
