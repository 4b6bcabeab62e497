//! Time as the server sees it, behind a trait so that leases and timers can be tested without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two times of a machine. Deadlines and leases use the first only: wall time jumps.
pub trait Clock: Send + Sync + 'static {
    /// Time since an arbitrary point; never goes back.
    fn monotonic(&self) -> Duration;

    /// Time since 1970 in UTC.
    fn wall(&self) -> Duration;
}

/// A clock that is handed around.
pub type Shared = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct System {
    start: Instant,
}

impl System {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for System {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct Manual {
    /// Nanoseconds since the start; enough for 584 years.
    elapsed: AtomicU64,
    wall_at_start: Duration,
}

impl Manual {
    pub fn new(wall_at_start: Duration) -> Self {
        Self { elapsed: AtomicU64::new(0), wall_at_start }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        self.elapsed.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.elapsed.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Duration {
        self.wall_at_start + self.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Manual::new(Duration::from_secs(1_000));
        assert_eq!(clock.monotonic(), Duration::ZERO);
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.monotonic(), clock.wall()), (Duration::from_secs(2), Duration::from_secs(1_002)));
    }

    #[test]
    fn the_systems_clock_does_not_go_back() {
        let clock = System::new();
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first && clock.wall() > Duration::from_secs(1_600_000_000));
    }
}
