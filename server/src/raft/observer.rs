//! What is learned about the other members and the store's pace, for whoever counts it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::operation::Operation;
use crate::traffic::Meter;

/// Called often: implementations must be cheap and must not block.
pub trait Observer: Send + Sync {
    /// Counts the bytes of connections with a member, whoever opened them.
    fn meter(&self, member_id: u64) -> Arc<dyn Meter>;
    /// A member answered a heartbeat.
    fn round_trip(&self, member_id: u64, took: Duration);
    /// The leader had no answer to a heartbeat.
    fn heartbeat_failed(&self);
    /// A round of read barriers had no answer in time and is begun again, or a caller gave up.
    fn read_barrier_failed(&self, gave_up: bool);
    /// The leader promoted a learner, or refused to.
    fn promoted(&self, refusal: Option<&str>);
    /// A call to a member failed.
    fn send_failed(&self, member_id: u64);
    /// A member began or ceased to answer.
    fn active(&self, member_id: u64, active: bool);
    /// A request of this member was decided, or had no leader or no time.
    fn proposed(&self, operation: Operation, decided: bool, took: Duration);
    /// A batch of committed entries is in the store; `last` is the index of its last.
    fn applied(&self, entries: usize, last: u64, took: Duration);
    /// A snapshot's transfer with a member began.
    fn transfer_began(&self, member_id: u64, direction: Direction);
    /// It ended; `took`: `None` if it failed.
    fn transfer_ended(&self, member_id: u64, direction: Direction, took: Option<Duration>);
    /// A received snapshot takes the store's place, or has.
    fn installing(&self, begins: bool);
}

/// Which way a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Send,
    Receive,
}

/// A snapshot's transfer. Dropped before it has succeeded, it has failed.
pub struct Transfer {
    observer: Arc<dyn Observer>,
    member_id: u64,
    direction: Direction,
    begun: Instant,
    took: Option<Duration>,
}

impl Transfer {
    pub(super) fn begin(observer: Arc<dyn Observer>, member_id: u64, direction: Direction) -> Self {
        observer.transfer_began(member_id, direction);
        Self { observer, member_id, direction, begun: Instant::now(), took: None }
    }

    pub fn succeeded(mut self) {
        self.took = Some(self.begun.elapsed());
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.observer.transfer_ended(self.member_id, self.direction, self.took);
    }
}
