//! One member fewer: the decision is written down, leadership goes elsewhere, the cluster forgets it, then its pod, its volume by
//! policy, and its record go.

use super::quorum;
use super::replace;
use super::step::{Decision, Situation, Step};
use crate::crd::condition::Reason;
use crate::crd::member::{Begins, Leaves};
use crate::crd::status::Phase;
use crate::crd::storage::Policy;
use crate::observe::{Member, Row, View, World, pod};

fn shrinking(why: Leaves, message: String) -> Situation {
    let reason = match why {
        Leaves::ScaleDown => Reason::Shrinking,
        Leaves::Replaced => Reason::Replacing,
        Leaves::Restored => Reason::Restoring,
    };
    Situation::new(Phase::Changing, reason, message)
}

/// The cluster has forgotten a member that it knew: what is left of it goes.
pub fn finish_departure(world: &World, view: &View) -> Option<Decision> {
    // A pod that takes its time to end, or never will on a dead node, holds up nobody else.
    let is_ending = |member: &Member| {
        member.pod.as_ref().is_some_and(|pod| pod::is_leaving(pod) && !pod::is_out_of_reach(pod, world.now))
    };
    let has_left = |member: &&Member| {
        member.id().is_some_and(|id| view.row(id).is_none()) && member.row(&view.rows).is_none() && !is_ending(member)
    };
    let member = world.members.iter().find(has_left)?;
    // Removed by hand, it is treated like one that was in the way.
    let why = member.object.spec.leaves.unwrap_or(Leaves::Replaced);
    let situation = shrinking(why, format!("{} is no member any more, and is cleared away", member.name()));
    match &member.pod {
        Some(pod) if !pod::is_leaving(pod) => Some(situation.with(replace::delete_pod(pod))),
        _ => Some(clear(member, policy(world, member, why), situation)),
    }
}

fn policy(world: &World, member: &Member, why: Leaves) -> Policy {
    let reclaim = &world.cluster.spec.storage.reclaim;
    match why {
        // It has never served: nothing is in it that others don't have.
        Leaves::Replaced if member.object.spec.begins == Begins::Joining => Policy::Delete,
        Leaves::ScaleDown => reclaim.on_scale_down,
        Leaves::Replaced => reclaim.on_replace,
        // Retired members are cleared away by whom they were retired.
        Leaves::Restored => Policy::Retain,
    }
}

/// What is left of a member that doesn't run any more: its volume by policy, and its record last.
pub fn clear(member: &Member, policy: Policy, situation: Situation) -> Decision {
    match &member.volume {
        Some(volume) if policy == Policy::Delete && volume.metadata.deletion_timestamp.is_none() => {
            let name = volume.metadata.name.clone().unwrap_or_default();
            let uid = volume.metadata.uid.clone().unwrap_or_default();
            situation.with(Step::DeleteVolume { volume: name, uid })
        }
        _ => situation.with(Step::Forget { member: member.name() }),
    }
}

/// In the member list, and no record knows it. One that never started is a left-over; one that runs is somebody's.
pub fn remove_strangers(world: &World, view: &View) -> Option<Decision> {
    if world.is_spanning() {
        return None;
    }
    let stranger = view.rows.iter().find(|row| world.member_of(row).is_none())?;
    let id = stranger.id;
    if stranger.name.is_empty() && quorum::can_remove(view, id) {
        let message = format!("member {id:x} was announced and never started, and no EtcdMember knows it");
        return Some(shrinking(Leaves::Replaced, message).with(Step::Remove { member: None, id }));
    }
    let message = format!(
        "member {id:x} ({}, {}) is in the cluster, and no EtcdMember knows it; remove it by `etcdctl member remove {id:x}` if it is \
         not meant to be there",
        stranger.name,
        stranger.peer_urls.join(", ")
    );
    Some(Situation::new(Phase::Degraded, Reason::UnknownMember, message).waiting())
}

/// A member whose leaving is decided.
pub fn depart(world: &World, view: &View) -> Option<Decision> {
    let (member, why, row) = world.members.iter().find_map(|member| {
        let why = member.object.spec.leaves?;
        Some((member, why, member.row(&view.rows)?))
    })?;
    let name = member.name();
    if !quorum::can_remove(view, row.id) {
        let message = format!("{name} is to leave, but the others would not have a quorum; waiting for them to serve");
        return Some(shrinking(why, message).waiting());
    }
    if view.leader() == row.id
        && let Some(heir) = heir(view, row.id)
    {
        let step = Step::HandOver { from: row.id, to: heir };
        return Some(shrinking(why, format!("{name} leads, and hands over before it leaves")).with(step));
    }
    let step = Step::Remove { member: Some(name.clone()), id: row.id };
    Some(shrinking(why, format!("{name} leaves the cluster")).with(step))
}

/// The voter with the most of the log.
pub fn heir(view: &View, except: u64) -> Option<u64> {
    let applied = |id: u64| view.answers.get(&id).map(|answer| answer.applied);
    view.ready_voters().into_iter().filter(|id| *id != except).max_by_key(|id| applied(*id))
}

/// More voters than wanted: the least useful one goes.
pub fn dismiss_surplus(world: &World, view: &View) -> Option<Decision> {
    if world.own_voters(view).count() <= world.wanted() {
        return None;
    }
    let victim = world.own_voters(view).min_by_key(|row| usefulness(world, view, row))?;
    let member = world.member_of(victim)?;
    let message = format!("{} members are wanted, and {} is the one to leave", world.wanted(), member.name());
    Some(shrinking(Leaves::ScaleDown, message).with(Step::Dismiss { member: member.name(), why: Leaves::ScaleDown }))
}

/// Less is less useful: not serving, on a node with another member, newest; the leader is the most useful.
fn usefulness(
    world: &World,
    view: &View,
    row: &Row,
) -> (bool, bool, bool, std::cmp::Reverse<Option<jiff::Timestamp>>, String) {
    let member = world.member_of(row);
    let node = member.and_then(|member| member.pod.as_ref()?.spec.as_ref()?.node_name.clone());
    let shares_node = node.is_some()
        && world
            .members
            .iter()
            .filter_map(|member| member.pod.as_ref()?.spec.as_ref()?.node_name.clone())
            .filter(|other| Some(other) == node.as_ref())
            .count()
            > 1;
    let made = member.and_then(|member| member.object.metadata.creation_timestamp.as_ref().map(|time| time.0));
    (view.leader() == row.id, view.is_ready(row.id), !shares_node, std::cmp::Reverse(made), row.name.clone())
}
