//! Everything that a plan is made from.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use super::etcd::{Etcd, Row, View};
use super::follower::Mirrored;
use super::pod;
use crate::certificates::Certificates;
use crate::crd::auth::AuthStatus;
use crate::crd::condition::Reason;
use crate::crd::member::Leaves;
use crate::crd::storage::{Medium, Policy};
use crate::crd::{EtcdCluster, EtcdMember};
use crate::desired::origin::From;

/// A volume is there after seconds, if somebody provides it.
const PROVIDED: SignedDuration = SignedDuration::from_secs(30);

/// Everything that a plan is made from.
#[derive(Clone, Debug)]
pub struct World {
    pub cluster: EtcdCluster,
    /// By name, ascending.
    pub members: Vec<Member>,
    /// Members that make room for a backup's data: they don't run, and none of their data is lost yet.
    pub retired: Vec<Member>,
    /// Such a backup.
    pub order: Option<Order>,
    /// Names of records that an earlier cluster of this name has left.
    pub left: Vec<String>,
    /// What the mirror of another etcd says; an error is why it says nothing.
    pub mirrored: Option<Result<Mirrored, String>>,
    pub etcd: Etcd,
    pub now: Timestamp,
    /// Of members whose resource names none.
    pub default_image: String,
    /// Of what carries data.
    pub worker_image: String,
    /// What the first member begins with.
    pub from: From,
    pub certificates: Certificates,
    /// A name that no member has or ever had.
    pub fresh_name: String,
    /// What was made of `spec.auth` in this look, if anything could be.
    pub auth: Option<Authentication>,
}

/// Users, roles, and whether clients have to say who they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Authentication {
    pub status: AuthStatus,
    /// As the resource says.
    pub is_ready: bool,
    pub reason: Reason,
    pub message: String,
    /// What was changed, in words.
    pub done: Vec<String>,
}

impl Authentication {
    pub fn new(status: AuthStatus, reason: Reason, message: String) -> Self {
        let is_ready = matches!(reason, Reason::AuthAsDeclared | Reason::AuthOff);
        Self { status, is_ready, reason, message, done: Vec::new() }
    }
}

/// Ids of members whose pods have been told to end, or have ended.
pub fn leaving(members: &[Member], rows: &[Row]) -> BTreeSet<u64> {
    let goes = |member: &&Member| member.pod.as_ref().is_none_or(pod::is_leaving);
    members.iter().filter(goes).filter_map(|member| Some(member.row(rows)?.id)).collect()
}

/// An EtcdRestore that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub name: String,
    pub uid: String,
    /// Of the cluster whose data is replaced.
    pub replaces: u64,
    pub old_volumes: Policy,
}

/// A member's objects.
#[derive(Clone, Debug)]
pub struct Member {
    pub object: EtcdMember,
    pub pod: Option<Pod>,
    pub volume: Option<PersistentVolumeClaim>,
}

impl World {
    pub fn wanted(&self) -> usize {
        usize::try_from(self.cluster.spec.replicas).unwrap_or_default()
    }

    /// As the cluster said when it had formed.
    pub fn cluster_id(&self) -> Option<u64> {
        let id = self.cluster.formed_id()?;
        // What is replaced is no cluster any more.
        self.order.as_ref().is_none_or(|order| order.replaces != id).then_some(id)
    }

    /// Some members are looked after by others.
    pub fn is_spanning(&self) -> bool {
        self.cluster.spec.spanning().is_some()
    }

    /// This resource's, or a stranger's that is nobody's.
    pub fn is_own(&self, row: &Row) -> bool {
        !self.is_spanning() || self.member_of(row).is_some()
    }

    /// Voters that this resource looks after.
    pub fn own_voters<'a>(&self, view: &'a View) -> impl Iterator<Item = &'a Row> {
        view.voters().filter(|row| self.is_own(row))
    }

    pub fn member_of(&self, row: &Row) -> Option<&Member> {
        self.members.iter().find(|member| member.is(row))
    }

    pub fn has_volumes(&self) -> bool {
        self.cluster.spec.storage.medium == Medium::Disk
    }
}

impl Member {
    pub fn name(&self) -> String {
        self.object.name_any()
    }

    /// What keeps it from running: of its pod, or of a volume that nobody provides.
    pub fn obstacle(&self, now: Timestamp) -> Option<String> {
        self.pod.as_ref().and_then(pod::obstacle).or_else(|| self.unprovided(now))
    }

    fn unprovided(&self, now: Timestamp) -> Option<String> {
        let claim = self.volume.as_ref()?;
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let made = claim.metadata.creation_timestamp.as_ref()?.0;
        let waits = phase == Some("Pending") && now.duration_since(made) > PROVIDED;
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
        waits.then(|| {
            format!(
                "its volume {} isn't provided: look at the events of the claim, and at its storage class {class:?}",
                claim.name_any()
            )
        })
    }

    /// It makes room for a backup's data.
    pub fn is_retired(&self) -> bool {
        self.object.spec.leaves == Some(Leaves::Restored)
    }

    pub fn id(&self) -> Option<u64> {
        u64::from_str_radix(self.object.spec.id.as_ref()?, 16).ok()
    }

    pub fn row<'a>(&self, rows: &'a [Row]) -> Option<&'a Row> {
        rows.iter().find(|row| self.is(row))
    }

    /// By its id, as soon as that is known: how others reach it may change.
    fn is(&self, row: &Row) -> bool {
        match self.id() {
            Some(id) => id == row.id,
            None => row.peer_urls.contains(&self.object.spec.peer_url),
        }
    }
}
