//! Everything that a plan is made from.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use super::etcd::{Etcd, Row, View};
use super::pod;
use crate::certificates::Certificates;
use crate::crd::storage::Medium;
use crate::crd::{EtcdCluster, EtcdMember};

/// Everything that a plan is made from.
#[derive(Clone, Debug)]
pub struct World {
    pub cluster: EtcdCluster,
    /// By name, ascending.
    pub members: Vec<Member>,
    pub etcd: Etcd,
    pub now: Timestamp,
    /// Of members whose resource names none.
    pub default_image: String,
    pub certificates: Certificates,
    /// A name that no member has or ever had.
    pub fresh_name: String,
}

/// Ids of members whose pods have been told to end, or have ended.
pub fn leaving(members: &[Member], rows: &[Row]) -> BTreeSet<u64> {
    let goes = |member: &&Member| member.pod.as_ref().is_none_or(pod::is_leaving);
    members.iter().filter(goes).filter_map(|member| Some(member.row(rows)?.id)).collect()
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
        let text = self.cluster.status.as_ref()?.cluster_id.as_ref()?;
        u64::from_str_radix(text, 16).ok()
    }

    /// Some members are looked after by others.
    pub fn is_spanning(&self) -> bool {
        self.cluster.spec.bootstrap.is_some()
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
