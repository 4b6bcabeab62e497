//! A started member tells the cluster its name and client URLs.

use std::time::Duration;

use quorate_proto::membershippb;
use quorate_proto::served::etcdserverpb as pb;

use crate::raft;
use crate::store::Store;

const AGAIN: Duration = Duration::from_millis(100);

/// Proposes until it is agreed; without a quorum that lasts. Nothing is proposed when the cluster knows it already.
pub async fn publish_attributes(raft: &raft::Handle, store: &Store, name: &str, client_urls: Vec<String>) {
    let member_id = raft.identity().member_id;
    let own = membershippb::Attributes { name: name.to_owned(), client_urls };
    loop {
        if raft.read_barrier().await.is_ok()
            && store.member_attributes().iter().any(|(id, known)| *id == member_id && *known == own)
        {
            return;
        }
        let request = membershippb::ClusterMemberAttrSetRequest { member_id, member_attributes: Some(own.clone()) };
        let request = pb::InternalRaftRequest { cluster_member_attr_set: Some(request), ..Default::default() };
        match raft.propose(request).await {
            Ok(_) => return,
            Err(raft::Error::Stopped) => return,
            Err(error) => {
                tracing::warn!(%error, "failed to publish local member to cluster through raft");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
