//! What a leader completes by itself after the members have changed: votes for members that wait for them, and changes
//! that an earlier leader left half done. Any member notices here that it was removed.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use super::handle::{Error, Inner};

const LOOK: Duration = Duration::from_millis(100);

/// Looks until raft ends.
pub fn keep(inner: Weak<Inner>, mut removed: watch::Receiver<bool>) {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = removed.wait_for(|removed| *removed) => return,
            }
            let Some(inner) = inner.upgrade() else { return };
            inner.notice_own_removal();
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

    /// A committed membership without this member follows one that had it.
    fn notice_own_removal(&self) {
        let metrics = self.raft.server_metrics();
        let is_member =
            metrics.borrow_watched().committed_membership_config.nodes().any(|(id, _)| *id == self.identity.member_id);
        if is_member {
            self.was_member.store(true, std::sync::atomic::Ordering::Relaxed);
        } else if self.was_member.load(std::sync::atomic::Ordering::Relaxed) {
            self.transport.note_removal();
        }
    }
}
