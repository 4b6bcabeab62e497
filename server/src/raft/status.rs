//! Who leads and who is a member, as this member sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use tokio::sync::watch;

use super::contact::Contact;
use super::types::{self, TypeConfig};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The leader's member id; 0 while none is known, or the known one is silent.
    pub leader: u64,
    /// Since when, as this member saw it.
    pub leader_since: Option<Instant>,
    pub term: u64,
    /// This member does not vote.
    pub is_learner: bool,
    /// By id, ascending.
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    pub peer_urls: Vec<String>,
    /// It was added without a vote; one that waits for its vote is none.
    pub is_learner: bool,
}

impl Status {
    fn of(metrics: &RaftServerMetrics<TypeConfig>) -> Self {
        let voters: std::collections::BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let members: Vec<Member> = metrics
            .membership_config
            .nodes()
            .map(|(id, node)| Member {
                id: *id,
                peer_urls: node.peer_urls.clone(),
                is_learner: !voters.contains(id) && !node.wants_vote,
            })
            .collect();
        Self {
            leader: metrics.current_leader.unwrap_or_default(),
            leader_since: None,
            term: types::term(metrics.vote.leader_id.term),
            is_learner: members.iter().any(|member| member.id == metrics.id && member.is_learner),
            members,
        }
    }
}

/// Follows openraft's own reports; the sender's task ends with raft.
pub fn follow(
    mut metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
    contact: Contact,
    leader_changes: Arc<AtomicU64>,
) -> watch::Receiver<Status> {
    let status = watch::Sender::new(Status::of(&metrics.borrow_and_update()));
    let receiver = status.subscribe();
    tokio::spawn(async move {
        loop {
            match tokio::time::timeout(contact.pace(), metrics.changed()).await {
                // Nothing new in raft, but the leader may have fallen silent.
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(_)) => return,
            }
            let mut now = Status::of(&metrics.borrow_and_update());
            if now.leader != 0 && !contact.is_alive(now.leader) {
                now.leader = 0;
            }
            status.send_if_modified(|before| {
                now.leader_since = if before.leader == now.leader { before.leader_since } else { Some(Instant::now()) };
                let changed = *before != now;
                if before.leader != now.leader {
                    if now.leader != 0 {
                        leader_changes.fetch_add(1, Ordering::Relaxed);
                    }
                    tracing::info!(
                        leader = format!("{:x}", now.leader),
                        before = format!("{:x}", before.leader),
                        term = now.term,
                        "leader changed"
                    );
                }
                *before = now;
                changed
            });
        }
    });
    receiver
}
