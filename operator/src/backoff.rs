//! How long to wait before a cluster is tried again after a failure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// Failures in a row, by the uid of the cluster.
#[derive(Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// Twice the time before, and spread so that clusters that failed together aren't tried together.
    pub fn next(&self, uid: &str) -> Duration {
        let mut failures = self.failures.lock();
        let count = failures.entry(uid.to_owned()).or_default();
        let delay = FIRST.saturating_mul(1 << (*count).min(10)).min(LONGEST);
        *count += 1;
        delay.mul_f64(rand::random_range(0.75..1.25))
    }

    /// In a row, until now.
    pub fn failures(&self, uid: &str) -> u32 {
        self.failures.lock().get(uid).copied().unwrap_or_default()
    }

    pub fn forget(&self, uid: &str) {
        self.failures.lock().remove(uid);
    }

    /// Drops what is about others than these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.failures.lock().retain(|uid, _| uids.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_begin_anew_after_a_success() {
        let backoff = Backoff::default();
        let first = backoff.next("a");
        assert!((0.375..=0.625).contains(&first.as_secs_f64()), "{first:?}");
        let later: Vec<f64> = (0..12).map(|_| backoff.next("a").as_secs_f64()).collect();
        assert!(later[1] > first.as_secs_f64() && later[11] >= 45.0 && later[11] <= 75.0, "{later:?}");
        assert_eq!(backoff.failures("a"), 13);
        backoff.forget("a");
        assert!(backoff.next("a") < Duration::from_secs(1));
    }
}
