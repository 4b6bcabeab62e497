//! Members get another scheme for each other, one at a time: its record says so first, then the cluster's list, and then it restarts. Before
//! that, all have certificates, so that whoever has changed is reached by whoever has not.

use kube::ResourceExt;

use super::step::{Decision, Situation, Step};
use super::{quorum, shrink};
use crate::crd::EtcdMember;
use crate::crd::condition::Reason;
use crate::crd::status::Phase;
use crate::crd::tls::Mode;
use crate::desired::name;
use crate::observe::{Member, View, World, pod};

fn changing(message: String) -> Situation {
    Situation::new(Phase::Changing, Reason::RollingOut, message)
}

/// The scheme of members that join now: secured, as soon as all have certificates by which they can reach it.
pub fn mode_of_newcomers(world: &World) -> Mode {
    let wanted = world.cluster.spec.tls.peer.mode;
    let can_reach = |member: &Member| member.pod.as_ref().is_none_or(pod::has_peer_certificates);
    if world.members.iter().all(can_reach) { wanted } else { Mode::Disabled }
}

/// It is listed in another way than it listens, until it restarts.
pub fn is_under_way(member: &Member) -> bool {
    let is_secured = name::is_secured(&member.object.spec.peer_url);
    member.pod.as_ref().is_some_and(|pod| pod::has_secured_peers(pod) != is_secured)
}

/// Members need certificates for each other, as long as any of them is reached by TLS.
pub fn needs_certificates(world: &World) -> bool {
    let is_secured = |member: &Member| name::is_secured(&member.object.spec.peer_url);
    world.cluster.spec.tls.peer.mode != Mode::Disabled || world.members.iter().any(is_secured)
}

/// The list still has a member's former address.
pub fn update(world: &World, view: &View) -> Option<Decision> {
    let (member, row) = world.members.iter().find_map(|member| {
        let row = member.row(&view.rows)?;
        (row.peer_urls != [member.object.spec.peer_url.clone()]).then_some((member, row))
    })?;
    let peer_url = member.object.spec.peer_url.clone();
    let message = format!("the cluster learns that {} is at {peer_url}", member.name());
    Some(changing(message).with(Step::Update { member: member.name(), id: row.id, peer_url }))
}

/// The next member that is to change. Everything else is as wanted: no restart is under way.
pub fn next(world: &World, view: &View) -> Option<Decision> {
    // What others are told to dial is not the operator's to change.
    if world.is_spanning() {
        return None;
    }
    let wanted =
        |object: &EtcdMember| name::peer_url(&world.cluster, &object.name_any(), world.cluster.spec.tls.peer.mode);
    let is_other = |member: &&Member| member.object.spec.peer_url != wanted(&member.object);
    let left = world.members.iter().filter(is_other).count();
    let (member, id) = world
        .members
        .iter()
        .filter(is_other)
        .filter_map(|member| Some((member, member.row(&view.rows)?.id)))
        .min_by_key(|(member, id)| (*id == view.leader(), member.name()))?;
    let name = member.name();
    if let Some(other) = view.rows.iter().find(|row| row.id != id && !view.is_ready(row.id)) {
        let message =
            format!("{left} members are to change how others reach them; waiting for {} to serve", other.name);
        return Some(changing(message).waiting());
    }
    if !quorum::can_restart(view, id) {
        return Some(
            changing(format!("{name} is to be reached in another way; waiting for the others to have a quorum"))
                .waiting(),
        );
    }
    if view.leader() == id
        && let Some(to) = shrink::heir(view, id)
    {
        let message = format!("{name} leads, and hands over before others reach it in another way");
        return Some(changing(message).with(Step::HandOver { from: id, to }));
    }
    let peer_url = wanted(&member.object);
    let message = format!("{name} is to be reached at {peer_url}; {left} to go");
    Some(changing(message).with(Step::Readdress { member: name, peer_url }))
}
