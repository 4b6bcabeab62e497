//! `--force-new-cluster`: the survivor of a cluster that has lost its quorum for good goes on alone, with its data and its ids.
//!
//! One entry behind the end of the log makes this member the only one. Entries that no quorum was known to have stay: nobody
//! is left to say that they were not acknowledged, and a write that seemed to fail may take effect anyway.

use tokio::sync::oneshot;

use super::Error;
use crate::raft;
use crate::store::Store;
use crate::wal::{self, EntryKind, Wal};

/// Bytes of entries looked through at a time.
const CHUNK_BYTES: usize = 8 << 20;

/// Makes this member the only one; does nothing where it is already. `peer_urls`: its own, if the cluster's record has none.
pub async fn force_new_cluster(wal: &Wal, store: &Store, member_id: u64, peer_urls: Vec<String>) -> Result<(), Error> {
    let members = newest_members(wal, store)?;
    if let [only] = members.as_slice()
        && only.id == member_id
        && !only.is_learner
    {
        tracing::info!("--force-new-cluster: this member is the only one already");
        return Ok(());
    }
    let own = members.iter().find(|member| member.id == member_id);
    let own_urls = own.map_or(peer_urls, |own| own.peer_urls.clone());
    let lost: Vec<String> =
        members.iter().filter(|member| member.id != member_id).map(|member| format!("{:x}", member.id)).collect();
    let last = wal.last();
    let position = crate::position::Position::new(last.term, last.index + 1);
    let data = raft::membership_entry(vec![(member_id, own_urls, false)]).map_err(Error::Membership)?;
    let (done, written) = oneshot::channel();
    let entry = wal::Entry { kind: EntryKind::ConfChangeV2, position, data };
    wal.append(vec![entry], move |result| {
        // The receiver waits below.
        let _ = done.send(result);
    })
    .await?;
    written
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other("the log ended")))
        .map_err(|source| Error::Force { source })?;
    tracing::warn!(
        local_member_id = format!("{member_id:x}"),
        removed_members = lost.join(","),
        "forced to be a cluster of one; the removed members must never run again with their data"
    );
    Ok(())
}

/// The last membership in the log, or else the store's.
fn newest_members(wal: &Wal, store: &Store) -> Result<Vec<raft::Member>, Error> {
    let (mut next, last) = (wal.first_index().max(store.applied().index + 1), wal.last().index);
    let mut newest = store.membership().map(|(_, data)| data);
    while next <= last {
        let entries = wal.read(next..last + 1, CHUNK_BYTES)?;
        let Some(end) = entries.last() else { break };
        next = end.position.index + 1;
        let changes =
            entries.into_iter().filter(|entry| matches!(entry.kind, EntryKind::ConfChange | EntryKind::ConfChangeV2));
        newest = changes.last().map(|entry| entry.data).or(newest);
    }
    newest.map_or(Ok(Vec::new()), |data| raft::members_of(&data).map_err(Error::Membership))
}
