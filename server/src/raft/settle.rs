//! What a leader completes by itself after the members have changed: votes for members that wait for them, and changes
//! that an earlier leader left half done. Any member notices here that it was removed.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::{Duration, Instant};

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use super::handle::{Error, Inner};
use super::types::StoredMembership;

const LOOK: Duration = Duration::from_millis(100);
/// Between two questions of a member that no leader calls.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// Looks until raft ends.
pub fn keep(inner: Weak<Inner>, mut removed: watch::Receiver<bool>) {
    tokio::spawn(async move {
        let mut has_had_leader = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = removed.wait_for(|removed| *removed) => return,
            }
            let Some(inner) = inner.upgrade() else { return };
            inner.notice_own_removal().await;
            has_had_leader |= inner.status.borrow().leader != 0;
            if !has_had_leader {
                inner.notice_other_cluster();
            }
            if inner.status.borrow().leader != inner.identity.member_id {
                continue;
            }
            // A change that a client asked for is under way: it completes what it finds itself.
            let Ok(_one_at_a_time) = inner.reconfiguring.try_lock() else { continue };
            match inner.settle().await {
                Ok(()) | Err(Error::NotLeader) => {}
                Err(Error::Stopped) => return,
                Err(error) => tracing::warn!(%error, "the members are not settled yet"),
            }
        }
    });
}

impl Inner {
    async fn settle(&self) -> Result<(), Error> {
        let membership = self.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let is_joint = membership.membership().get_joint_config().len() > 1;
        let waiting = membership.nodes().find(|(id, node)| node.wants_vote && !voters.contains(id)).map(|(id, _)| *id);
        if is_joint {
            self.read_index().await?;
            return self.finish_joint_change().await;
        }
        match waiting {
            Some(id) if self.has_caught_up(id) && self.transport.is_active(id) => {
                tracing::info!(member_id = format!("{id:x}"), "a member has caught up and gets its vote");
                self.write(ChangeMembers::AddVoterIds(BTreeSet::from([id])), &membership).await
            }
            _ => Ok(()),
        }
    }

    /// No leader calls, and the others were not asked since, or long ago.
    fn is_left_alone(&self) -> bool {
        let silence = self.heard.lock().elapsed();
        // At least two calls of a leader did not come.
        let silent =
            self.status.borrow().leader != self.identity.member_id && silence >= self.transport.timing().call / 2;
        let mut asked = self.asked.lock();
        let is_time = silent && (asked.elapsed() > silence || asked.elapsed() >= ASK_AGAIN);
        if is_time {
            *asked = Instant::now();
        }
        is_time
    }

    /// So many of the others belong to another cluster that this member can't ever have a quorum. Once it has had a leader it
    /// bears strangers: addresses get recycled.
    fn notice_other_cluster(&self) {
        let own = self.identity.member_id;
        let others: Vec<u64> = self.membership().voter_ids().filter(|id| *id != own).collect();
        if let Some(cluster_id) = self.transport.cluster_of_most(&others) {
            self.unfit.send_replace(Some(format!(
                "the members at the addresses of this cluster belong to cluster {cluster_id:x}, and this member to cluster {:x}: \
                 its data folder is of another cluster, or --initial-cluster or --initial-cluster-token was another one at its \
                 first start",
                self.identity.cluster_id
            )));
        }
    }

    async fn notice_own_removal(&self) {
        let own = self.identity.member_id;
        if self.store.is_removed_member(own) {
            return self.transport.note_removal();
        }
        let removal_is_under_way = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            let has_own = |members: &StoredMembership| members.nodes().any(|(id, _)| *id == own);
            has_own(&metrics.committed_membership_config) && !has_own(&metrics.membership_config)
        };
        // The leader owes it nothing any more, so that it may never hear that its removal is committed. Nor does it, if it
        // was removed while this member was away; and one without a vote never asks for others'.
        if removal_is_under_way || self.is_left_alone() {
            self.transport.ask_whether_removed().await;
        }
    }
}
