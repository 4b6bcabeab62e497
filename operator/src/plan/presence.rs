//! Which members are to have a pod and a volume.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{readdress, restore, version};
use crate::crd::member::Begins;
use crate::crd::{EtcdMember, label};
use crate::desired;
use crate::desired::origin::From;
use crate::desired::pod::Build;
use crate::observe::{Etcd, Member, World, pod};

/// It runs, or is to run. A member that the cluster has forgotten is not started again; while no list can be had, one more voter may
/// be what a quorum needs.
pub fn wants_pod(world: &World, member: &Member) -> bool {
    let is_forgotten = match &world.etcd {
        Etcd::Seen(view) => member.id().is_some_and(|id| view.row(id).is_none()),
        Etcd::Nobody | Etcd::Silent(_) => false,
    };
    // Memory goes with its pod.
    let is_kept = if world.has_volumes() { member.volume.is_some() } else { member.pod.is_some() };
    let has_data = is_kept || may_begin(member);
    let lacks_source = member.object.spec.begins == Begins::Forming && matches!(world.from, From::Missing(_));
    world.wanted() > 0
        && may_run_now(world, member)
        && member.object.spec.initial_cluster.is_some()
        && !is_forgotten
        && has_data
        && !lacks_source
        && !restore::is_taken_back(world, member)
}

/// As it is to be.
pub fn pod_of(world: &World, member: &EtcdMember) -> Pod {
    let image = version::choose(world).image;
    let build = Build {
        image: &image,
        restart_for: world.certificates.restart_for.as_deref(),
        certificates: world.certificates.hash.as_deref(),
        has_peer_certificates: readdress::needs_certificates(world),
        from: &world.from,
        worker_image: &world.worker_image,
    };
    desired::pod::pod(&world.cluster, member, &build)
}

/// A pod is to be made.
pub fn lacks_pod(world: &World, member: &Member) -> bool {
    member.pod.is_none() && wants_pod(world, member)
}

/// Its files may be older than its Secrets.
pub fn has_old_files(world: &World, pod: &Pod) -> bool {
    let is_noted = |hash: &String| pod.annotations().get(label::CERTIFICATES) == Some(hash);
    pod.metadata.deletion_timestamp.is_none() && world.certificates.hash.as_ref().is_some_and(|hash| !is_noted(hash))
}

/// While one member starts a new cluster from its data, it is the only one, and the others are gone before.
fn may_run_now(world: &World, member: &Member) -> bool {
    let is_survivor = |member: &Member| member.object.spec.begins == Begins::Recovering;
    let Some(survivor) = world.members.iter().find(|member| is_survivor(member)) else { return true };
    let is_gone = |other: &Member| other.pod.as_ref().is_none_or(|pod| pod::is_out_of_reach(pod, world.now));
    is_survivor(member) && world.members.iter().filter(|other| other.name() != survivor.name()).all(is_gone)
}

/// A volume that is missing is made for a member that has none yet, and never for one whose data was in it.
pub fn wants_volume(world: &World, member: &Member) -> bool {
    world.has_volumes() && member.volume.is_none() && may_begin(member) && wants_pod(world, member)
}

fn may_begin(member: &Member) -> bool {
    matches!(member.object.spec.begins, Begins::Forming | Begins::Joining)
}
