//! A lease that is renewed in the background.

use std::{convert::Infallible, time::Duration};

use quorate_proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest};
use tokio::{task::JoinSet, time::Instant};

use crate::client::{Client, Error, keep_alive};

/// Renewed until it is dropped.
pub(in crate::command) struct Session {
    client: Client,
    lease: i64,
    /// Holds one task, which ends with the lease.
    renewal: JoinSet<()>,
}

impl Session {
    pub(in crate::command) async fn open(client: &mut Client, ttl: i64) -> Result<Self, Error> {
        let asked = Instant::now();
        let granted = client.call(LeaseGrantRequest { ttl, id: 0 }).await?;
        let alive_until = asked + Duration::from_secs(granted.ttl.unsigned_abs());
        let mut renewing = client.clone();
        let mut renewal = JoinSet::new();
        renewal.spawn(async move {
            let Ok(()) = keep_alive(&mut renewing, granted.id, alive_until, |_| Ok::<(), Infallible>(())).await;
        });
        Ok(Self { client: client.clone(), lease: granted.id, renewal })
    }

    pub(in crate::command) fn lease(&self) -> i64 {
        self.lease
    }

    /// Resolves when the lease is gone, or when it may be because nobody has answered for its time.
    pub(in crate::command) async fn ended(&mut self) {
        self.renewal.join_next().await;
    }

    /// [`Session::ended`] has resolved.
    pub(in crate::command) fn is_over(&self) -> bool {
        self.renewal.is_empty()
    }

    /// Leaves nothing behind. If that fails, the lease goes by itself.
    pub(in crate::command) async fn close(mut self) {
        self.renewal.abort_all();
        let _ = self.client.call(LeaseRevokeRequest { id: self.lease }).await;
    }
}
