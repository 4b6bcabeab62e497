//! Everything that a plan is made from.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use super::etcd::{Etcd, Row};
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
    /// A name that no member has or ever had.
    pub fresh_name: String,
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

    pub fn member_of(&self, row: &Row) -> Option<&Member> {
        self.members.iter().find(|member| row.peer_urls.contains(&member.object.spec.peer_url))
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
        rows.iter().find(|row| row.peer_urls.contains(&self.object.spec.peer_url))
    }
}
