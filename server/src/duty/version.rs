//! The cluster version: the newest API that every member speaks, decided by the leader.

use std::time::Duration;

use quorate_proto::membershippb;
use quorate_proto::served::etcdserverpb as pb;

use super::releases;
use crate::dial::Dial;
use crate::raft;
use crate::store::Store;
use crate::version::Version;

const LOOK: Duration = Duration::from_millis(200);
/// When the others were asked and nothing came of it; etcd's time between two questions.
const ASK_AGAIN: Duration = Duration::from_secs(4);

/// Raises the cluster's version to what all members speak, and lowers it to the target of a downgrade.
pub async fn settle_cluster_version(raft: raft::Handle, store: Store, dial: Dial) {
    let mut changes = raft.changes();
    loop {
        changes.mark_unchanged();
        let known = Known::of(&store);
        let mut wait = LOOK;
        if raft.is_leader() && known.is_open(Version::OWN) {
            let releases = releases::of_members(&raft, &dial).await;
            match known.next(&releases) {
                Some(version) => match propose(&raft, version).await {
                    Ok(()) => tracing::info!(cluster_version = %version, "set cluster version"),
                    Err(raft::Error::Stopped) => return,
                    Err(error) => tracing::debug!(%error, "the cluster version is not settled yet"),
                },
                None => wait = ASK_AGAIN,
            }
        }
        // A new leader decides at once: clients may come as soon as there is one.
        if let Ok(Err(_)) = tokio::time::timeout(wait, changes.changed()).await {
            return;
        }
    }
}

/// Ends a downgrade when every member is of the target's release. `every`: `None` never looks.
pub async fn end_downgrade(raft: raft::Handle, store: Store, dial: Dial, every: Option<Duration>) {
    let Some(every) = every else { return };
    loop {
        tokio::time::sleep(every).await;
        // This member is one of all: while it is of another release there is no need to ask.
        let Some(target) = Known::of(&store).downgrade.filter(|target| *target == Version::OWN) else { continue };
        if !raft.is_leader() || releases::of_members(&raft, &dial).await.iter().any(|own| *own != Some(target)) {
            continue;
        }
        tracing::info!(cluster_version = %target, "the cluster has been downgraded");
        let request = membershippb::DowngradeInfoSetRequest { enabled: false, ver: String::new() };
        let request = pb::InternalRaftRequest { downgrade_info_set: Some(request), ..Default::default() };
        if let Err(error) = raft.propose(request).await {
            tracing::warn!(%error, "failed to cancel downgrade");
        }
    }
}

async fn propose(raft: &raft::Handle, version: Version) -> Result<(), raft::Error> {
    let request = membershippb::ClusterVersionSetRequest { ver: version.to_string() };
    let request = pb::InternalRaftRequest { cluster_version_set: Some(request), ..Default::default() };
    raft.propose(request).await.map(drop)
}

/// What the cluster has agreed on.
#[derive(Debug, Clone, Copy)]
struct Known {
    cluster: Option<Version>,
    /// The target of a downgrade in progress.
    downgrade: Option<Version>,
}

impl Known {
    fn of(store: &Store) -> Self {
        Self {
            cluster: store.cluster_version().as_deref().and_then(Version::parse),
            downgrade: store.downgrade().and_then(|downgrade| Version::parse(&downgrade.target_version)),
        }
    }

    /// Whether members' releases could ask for another version.
    fn is_open(self, own: Version) -> bool {
        match (self.cluster, self.downgrade) {
            (None, _) => true,
            (Some(cluster), Some(target)) => cluster != target,
            (Some(cluster), None) => cluster < own,
        }
    }

    /// The version that the cluster should agree on next; `None` if nothing is to change, or a member's release is not known.
    fn next(self, releases: &[Option<Version>]) -> Option<Version> {
        let Some(cluster) = self.cluster else {
            // A cluster that begins doesn't wait for members that haven't started: they join what is there.
            return releases.iter().flatten().min().copied();
        };
        let lowest = releases.iter().copied().min().flatten()?;
        match self.downgrade {
            Some(target) => {
                let is_one_below = |version: Version| version.previous() == Some(target);
                (is_one_below(cluster) && is_one_below(lowest)).then_some(target)
            }
            None => (cluster < lowest).then_some(lowest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<Version> {
        (!text.is_empty()).then(|| Version::parse(text).unwrap())
    }

    /// An empty text is what is not known, or not there.
    #[track_caller]
    fn check(cluster: &str, downgrade: &str, releases: &[&str], expected: &str) {
        let known = Known { cluster: version(cluster), downgrade: version(downgrade) };
        let releases: Vec<_> = releases.iter().map(|text| version(text)).collect();
        assert_eq!(known.next(&releases), version(expected));
        let own = releases.first().copied().flatten().unwrap();
        assert!(expected.is_empty() || known.is_open(own), "the question is not asked");
    }

    #[test]
    fn a_cluster_that_begins_takes_the_oldest_release_that_answers() {
        check("", "", &["3.7"], "3.7");
        check("", "", &["3.7", "3.6", "3.7"], "3.6");
        check("", "", &["3.7", "", ""], "3.7");
    }

    #[test]
    fn a_version_rises_when_every_member_has_answered_and_is_newer() {
        check("3.6", "", &["3.7", "3.7"], "3.7");
        check("3.6", "", &["3.7", "3.6"], "");
        check("3.6", "", &["3.7", ""], "");
        check("3.7", "", &["3.7", "3.8"], "");
    }

    #[test]
    fn a_version_never_falls_by_itself() {
        check("3.7", "", &["3.6", "3.6"], "");
    }

    #[test]
    fn a_downgrade_lowers_it_by_one_when_every_member_can() {
        check("3.7", "3.6", &["3.7", "3.7"], "3.6");
        check("3.7", "3.5", &["3.7", "3.7"], "");
        check("3.7", "3.6", &["3.7", ""], "");
        check("3.7", "3.6", &["3.7", "3.6"], "");
    }

    #[test]
    fn while_a_downgrade_goes_on_it_does_not_rise() {
        check("3.6", "3.6", &["3.7", "3.7"], "");
        check("3.6", "", &["3.7", "3.7"], "3.7");
    }
}
