//! A connection that another member opened: whose it is shows in its first call.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;

use super::identity;
use crate::raft::{Handle, Observer};
use crate::traffic::Meter;

pub struct Connection {
    observer: Arc<dyn Observer>,
    /// Of the member; what came before its first call was read is not counted.
    meter: OnceLock<Arc<dyn Meter>>,
}

impl Connection {
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, meter: OnceLock::new() }
    }

    /// Looks at a call's headers, until one says whose connection this is.
    pub fn look_at(&self, headers: &HeaderMap, raft: &Handle) {
        if self.meter.get().is_none()
            && let Some(member_id) = identity::caller(headers, raft.identity())
            && raft.status().members.iter().any(|member| member.id == member_id)
        {
            self.meter.get_or_init(|| self.observer.meter(member_id));
        }
    }
}

impl Meter for Connection {
    fn received(&self, bytes: u64) {
        if let Some(meter) = self.meter.get() {
            meter.received(bytes);
        }
    }

    fn sent(&self, bytes: u64) {
        if let Some(meter) = self.meter.get() {
            meter.sent(bytes);
        }
    }
}
