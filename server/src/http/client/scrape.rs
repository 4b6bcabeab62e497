//! Values that other parts keep, copied into the metrics when somebody asks.

use std::sync::Arc;

use super::member::Member;
use crate::metrics::{Metrics, set_counter};
use crate::traffic::Totals;

/// The hook of [`Metrics::on_scrape`].
pub fn scrape(member: &Member, traffic: &Arc<Totals>) -> impl Fn(&Metrics) + Send + Sync + 'static {
    let (member, traffic) = (member.clone(), traffic.clone());
    move |metrics| {
        let status = member.raft().status();
        let own = member.raft().identity().member_id;
        metrics.server.set_id(own);
        metrics.server.set_version(crate::config::API_VERSION);
        if let Some(version) = member.store().cluster_version() {
            metrics.server.set_cluster_version(&version);
        }
        metrics.server.has_leader.set(i64::from(status.leader != 0));
        metrics.server.is_leader.set(i64::from(status.leader == own));
        metrics.server.is_learner.set(i64::from(status.is_learner));
        set_counter(&metrics.server.leader_changes, member.raft().leader_changes());
        metrics.server.proposals_committed.set(signed(member.raft().committed()));
        metrics.server.proposals_applied.set(signed(member.raft().applied()));
        metrics.server.proposals_pending.set(signed(member.raft().pending()));
        set_counter(&metrics.server.proposals_failed, member.raft().failed_proposals());
        metrics.server.quota_backend_bytes.set(member.limits().quota_bytes.map_or(0, signed));

        set_counter(&metrics.network.client_grpc_received_bytes, traffic.received_bytes());
        set_counter(&metrics.network.client_grpc_sent_bytes, traffic.sent_bytes());
        let members: Vec<u64> = status.members.iter().map(|member| member.id).collect();
        metrics.peers.set_known(own, &members);

        let store = member.store();
        let size = store.size();
        metrics.mvcc.db_total_size.set(size.total);
        metrics.mvcc.db_total_size_in_use.set(size.in_use);
        metrics.mvcc.keys.set(store.keys() as i64);
        metrics.mvcc.current_revision.set(store.revision());
        metrics.mvcc.compact_revision.set(store.compact_revision());
        metrics.lease.auth_revision.set(signed(store.auth().revision()));
        metrics
            .server
            .set_alarms(store.alarms().into_iter().map(|alarm| (alarm.member_id, alarm.alarm().as_str_name())));
        let watch = store.watch().counters();
        metrics.mvcc.watchers.set(watch.watchers());
        metrics.mvcc.watch_streams.set(watch.streams());
        metrics.mvcc.slow_watchers.set(watch.slow_watchers());
        metrics.mvcc.pending_events.set(watch.pending_events());
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
