//! Reads a cluster's objects from Kubernetes itself.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::pod;
use super::world::Member;
use crate::crd::{EtcdCluster, EtcdMember, label};
use crate::desired::name;
use crate::etcd_client::Target;

/// What there is under a cluster's name.
pub struct Objects {
    /// Its members, by name.
    pub members: Vec<Member>,
    /// Names of records that an earlier cluster of this name has left.
    pub left: Vec<String>,
}

/// As they are now. The resource is `None` if it has gone.
pub async fn read(client: &Client, cluster: &EtcdCluster) -> kube::Result<Option<(EtcdCluster, Objects)>> {
    let namespace = cluster.namespace().unwrap_or_default();
    let of_cluster = ListParams::default().labels(&format!("{}={}", label::CLUSTER, cluster.name_any()));
    let clusters: Api<EtcdCluster> = Api::namespaced(client.clone(), &namespace);
    let records: Api<EtcdMember> = Api::namespaced(client.clone(), &namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let volumes: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let name = cluster.name_any();
    let (fresh, records, pods, volumes) = futures::try_join!(
        clusters.get_opt(&name),
        records.list(&of_cluster),
        pods.list(&of_cluster),
        volumes.list(&of_cluster)
    )?;
    let is_same = |fresh: &EtcdCluster| fresh.uid() == cluster.uid() && fresh.metadata.deletion_timestamp.is_none();
    Ok(fresh.filter(is_same).map(|fresh| {
        let objects = gather(&fresh, records.items, &pods.items, &volumes.items);
        (fresh, objects)
    }))
}

/// What belongs together. Of an earlier cluster of this name, something may be left: that is nobody's.
pub fn gather(
    cluster: &EtcdCluster,
    records: Vec<EtcdMember>,
    pods: &[Pod],
    volumes: &[PersistentVolumeClaim],
) -> Objects {
    let uid = cluster.uid().unwrap_or_default();
    let is_ours = |record: &EtcdMember| record.owner_references().iter().any(|owner| owner.uid == uid);
    let (records, left): (Vec<EtcdMember>, Vec<EtcdMember>) = records.into_iter().partition(is_ours);
    let members = records.into_iter().map(|object| {
        let member = object.name_any();
        let record = object.uid().unwrap_or_default();
        let owned =
            |pod: &&Pod| pod.name_any() == member && pod.owner_references().iter().any(|owner| owner.uid == record);
        let volume = name::volume(&member);
        Member {
            pod: pods.iter().find(owned).cloned(),
            volume: volumes.iter().find(|claim| claim.name_any() == volume).cloned(),
            object,
        }
    });
    let mut members: Vec<Member> = members.collect();
    members.sort_by_key(Member::name);
    Objects { members, left: left.iter().map(ResourceExt::name_any).collect() }
}

/// Where members can be asked.
pub fn targets(members: &[Member]) -> Vec<Target> {
    members.iter().filter_map(target).collect()
}

fn target(member: &Member) -> Option<Target> {
    let pod = member.pod.as_ref()?;
    let address: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    Some(Target {
        member: member.name(),
        address,
        port: u16::try_from(name::CLIENT_PORT).unwrap_or_default(),
        host: name::host(&member.object),
        is_secured: pod::has_server_certificate(pod),
        has_secured_peers: pod::has_secured_peers(pod),
    })
}
