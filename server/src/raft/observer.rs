//! What is learned about the other members and the store's pace, for whoever counts it.

use std::sync::Arc;
use std::time::Duration;

use crate::traffic::Meter;

/// Called often: implementations must be cheap and must not block.
pub trait Observer: Send + Sync {
    /// Counts the bytes of connections with a member, whoever opened them.
    fn meter(&self, member_id: u64) -> Arc<dyn Meter>;
    /// A member answered a heartbeat.
    fn round_trip(&self, member_id: u64, took: Duration);
    /// A call to a member failed.
    fn send_failed(&self, member_id: u64);
    /// A member began or ceased to answer.
    fn active(&self, member_id: u64, active: bool);
    /// A batch of committed entries is in the store.
    fn applied(&self, took: Duration);
}
