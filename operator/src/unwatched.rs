//! Objects that aren't watched, because their kind need not be there: they are made what they should be when that changes, and now and
//! then.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const OFTEN: Duration = Duration::from_secs(3600);

/// What was last made, and when, by the uid of the cluster and the kind.
#[derive(Default)]
pub struct Unwatched {
    made: Mutex<HashMap<Key, Made>>,
}

type Key = (String, &'static str);
type Made = (String, Instant);

impl Unwatched {
    pub fn is_due(&self, uid: &str, kind: &'static str, wanted: &str) -> bool {
        let made = self.made.lock();
        made.get(&(uid.to_owned(), kind)).is_none_or(|(made, at)| made != wanted || at.elapsed() >= OFTEN)
    }

    pub fn made(&self, uid: &str, kind: &'static str, wanted: String) {
        self.made.lock().insert((uid.to_owned(), kind), (wanted, Instant::now()));
    }

    /// Drops what is about others than these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.made.lock().retain(|(uid, _), _| uids.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_due_again_when_something_else_is_wanted() {
        let unwatched = Unwatched::default();
        assert!(unwatched.is_due("a", "PodMonitor", "x"));
        unwatched.made("a", "PodMonitor", "x".to_owned());
        assert!(!unwatched.is_due("a", "PodMonitor", "x"));
        assert!(unwatched.is_due("a", "PodMonitor", "y") && unwatched.is_due("a", "Certificate", "x"));
        unwatched.retain(&HashSet::new());
        assert!(unwatched.is_due("a", "PodMonitor", "x"));
    }
}
