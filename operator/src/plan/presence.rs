//! Which members are to have a pod and a volume.

use crate::crd::member::Begins;
use crate::observe::{Etcd, Member, World};

/// It runs, or is to run. A member that the cluster has forgotten is not started again; while no list can be had, one more voter may
/// be what a quorum needs.
pub fn wants_pod(world: &World, member: &Member) -> bool {
    let is_forgotten = match &world.etcd {
        Etcd::Seen(view) => member.id().is_some_and(|id| view.row(id).is_none()),
        Etcd::Nobody | Etcd::Silent(_) => false,
    };
    let has_data = !world.has_volumes() || member.volume.is_some() || may_begin(member);
    world.wanted() > 0 && member.object.spec.initial_cluster.is_some() && !is_forgotten && has_data
}

/// A volume that is missing is made for a member that has none yet, and never for one whose data was in it.
pub fn wants_volume(world: &World, member: &Member) -> bool {
    world.has_volumes() && member.volume.is_none() && may_begin(member) && wants_pod(world, member)
}

fn may_begin(member: &Member) -> bool {
    member.object.spec.begins != Begins::Joined
}
