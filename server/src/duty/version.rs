//! The cluster version: the newest API that every member speaks, decided once by the leader.

use std::time::Duration;

use quorate_proto::membershippb;
use quorate_proto::served::etcdserverpb as pb;

use crate::raft;
use crate::store::Store;

const LOOK: Duration = Duration::from_millis(200);

/// Proposes `version` while this member leads and the cluster has not agreed on it.
///
/// All members run this server, whose API version is one; mixed versions are an upgrade's matter.
pub async fn settle_cluster_version(raft: raft::Handle, store: Store, version: String) {
    loop {
        if raft.is_leader() && store.cluster_version().as_deref() != Some(version.as_str()) {
            let request = membershippb::ClusterVersionSetRequest { ver: version.clone() };
            let request = pb::InternalRaftRequest { cluster_version_set: Some(request), ..Default::default() };
            match raft.propose(request).await {
                Ok(_) => tracing::info!(cluster_version = %version, "set cluster version"),
                Err(raft::Error::Stopped) => return,
                Err(error) => tracing::debug!(%error, "the cluster version is not settled yet"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
