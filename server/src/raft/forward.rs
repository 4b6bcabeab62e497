//! Requests on their way to the leader, many in one call.

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::peer::{ProposeOutcome, ProposeRequest};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::transport::{Traffic, Transport};

/// Requests that may wait for a call.
const QUEUE: usize = 16 << 10;
/// Requests and bytes in one call.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;
/// Calls under way at once; each lasts until its requests are applied.
const CALLS: usize = 64;

pub struct Forwarder {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    leader: u64,
    data: Bytes,
    /// Dropped when the call failed and nothing is known.
    decided: oneshot::Sender<ProposeOutcome>,
}

impl Forwarder {
    pub fn start(transport: Transport) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(transport, waiting));
        Self { queue }
    }

    /// `None`: the call failed and the request may or may not have been appended.
    pub async fn send(&self, leader: u64, data: Bytes) -> Option<ProposeOutcome> {
        let (decided, decision) = oneshot::channel();
        if self.queue.send(Waiting { leader, data, decided }).await.is_err() {
            return None;
        }
        decision.await.ok()
    }
}

async fn run(transport: Transport, mut waiting: mpsc::Receiver<Waiting>) {
    let calls = Arc::new(Semaphore::new(CALLS));
    let mut held = None;
    loop {
        let Some(first) = (match held.take() {
            Some(held) => Some(held),
            None => waiting.recv().await,
        }) else {
            return;
        };
        let Ok(call) = calls.clone().acquire_owned().await else { return };
        let leader = first.leader;
        let mut bytes = first.data.len();
        let mut batch = vec![first];
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            match waiting.try_recv() {
                Ok(next) if next.leader == leader => {
                    bytes += next.data.len();
                    batch.push(next);
                }
                Ok(next) => {
                    held = Some(next);
                    break;
                }
                Err(_) => break,
            }
        }
        let transport = transport.clone();
        tokio::spawn(async move {
            call_leader(&transport, leader, batch).await;
            drop(call);
        });
    }
}

async fn call_leader(transport: &Transport, leader: u64, batch: Vec<Waiting>) {
    let (data, decided): (Vec<_>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.data, waiting.decided)).unzip();
    let mut client = match transport.client(leader, Traffic::Forward) {
        Ok(client) => client,
        Err(error) => {
            // It is no member any more, or not yet known as one.
            tracing::warn!(leader = format!("{leader:x}"), %error, "failed to reach the leader");
            for decided in decided {
                // The requester may have gone.
                let _ = decided.send(ProposeOutcome::NotLeader);
            }
            return;
        }
    };
    match client.propose(transport.request(leader, ProposeRequest { requests: data })).await {
        Ok(response) => {
            let response = response.into_inner();
            for (decided, outcome) in decided.into_iter().zip(response.outcomes()) {
                let _ = decided.send(outcome);
            }
        }
        Err(status) => {
            // Dropping the senders says that nothing is known.
            tracing::debug!(leader = format!("{leader:x}"), %status, "a forwarded batch got no answer");
        }
    }
}
