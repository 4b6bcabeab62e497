//! One more member: a record of it, the cluster learns of it, it starts without a vote, catches up, and gets its vote.

use jiff::SignedDuration;
use kube::ResourceExt;

use super::step::{Decision, Situation, Step};
use super::{quorum, readdress, replace};
use crate::crd::condition::Reason;
use crate::crd::member::{Begins, Leaves};
use crate::crd::status::Phase;
use crate::desired;
use crate::desired::origin::From;
use crate::observe::{Member, View, World};

/// Bytes of the database, on a slow disk or network.
const COPIED_PER_SECOND: i64 = 10 << 20;

/// The first member of a cluster that never was.
pub fn form(world: &World) -> Decision {
    if let From::Missing(why) = &world.from {
        return Situation::new(Phase::Forming, Reason::Restoring, why).waiting();
    }
    let mut member = desired::member::first(&world.cluster, &world.fresh_name);
    member.spec.incarnation = world.order.as_ref().map(|order| order.uid.clone());
    let message = format!("{} is to form the cluster", member.name_any());
    Situation::new(Phase::Forming, Reason::Forming, message).with(Step::Intend(Box::new(member)))
}

/// The first member is on its way; `why` is what came instead of its answer.
pub fn begin(world: &World, why: &str) -> Decision {
    let reason = match &world.from {
        From::Nothing => Reason::Forming,
        From::Missing(missing) => {
            let message = format!("waiting for the data to begin with: {missing}");
            return Situation::new(Phase::Forming, Reason::Restoring, message).waiting();
        }
        From::Backup(_) => Reason::Restoring,
        From::Etcd(_) => Reason::Migrating,
    };
    let obstacle = world.members.iter().find_map(|member| member.obstacle(world.now));
    let why = obstacle.map_or_else(|| why.to_owned(), |obstacle| format!(" ({obstacle})"));
    Situation::new(Phase::Forming, reason, format!("waiting for the first member to serve{why}")).waiting()
}

/// The next of the first members of a cluster that spans several Kubernetes; all start at once and find each other.
pub fn found(world: &World) -> Option<Decision> {
    let spanning = world.cluster.spec.spanning()?;
    if world.members.len() >= world.wanted() {
        return None;
    }
    let is_there = |name: &&String| world.members.iter().any(|member| member.name() == **name);
    let name = spanning.members.iter().find(|name| !is_there(name)).unwrap_or(&world.fresh_name);
    let member = desired::member::founding(&world.cluster, spanning, name);
    let message = format!("{name} is to form the cluster with others");
    Some(Situation::new(Phase::Forming, Reason::Forming, message).with(Step::Intend(Box::new(member))))
}

fn growing(message: String) -> Situation {
    Situation::new(Phase::Changing, Reason::Growing, message)
}

/// The cluster knows a member, and its record doesn't say so yet: the answer to the announcement was lost, or it was not written down.
pub fn record(world: &World, view: &View) -> Option<Decision> {
    let (member, row) = world.members.iter().find_map(|member| {
        let row = member.row(&view.rows)?;
        let spec = &member.object.spec;
        (spec.id.is_none() || spec.initial_cluster.is_none()).then_some((member, row))
    })?;
    let step = Step::Record {
        member: member.name(),
        id: row.id,
        initial_cluster: view.initial_cluster(&member.name(), row.id),
    };
    Some(growing(format!("the cluster knows {}", member.name())).with(step))
}

/// A record that the cluster knows nothing of yet.
fn is_intent(member: &Member, view: &View) -> bool {
    member.object.spec.id.is_none() && member.row(&view.rows).is_none()
}

/// Voters that will be there when everything that leaves has left.
fn staying(world: &World, view: &View) -> usize {
    let leaves = |id| world.members.iter().any(|member| member.id() == Some(id) && member.object.spec.leaves.is_some());
    world.own_voters(view).filter(|row| !leaves(row.id)).count()
}

pub fn announce(world: &World, view: &View) -> Option<Decision> {
    let member = world.members.iter().find(|member| is_intent(member, view))?;
    let name = member.name();
    if staying(world, view) >= world.wanted() {
        return Some(growing(format!("{name} is not wanted any more")).with(Step::Forget { member: name }));
    }
    // One of ours would have been settled first.
    if let Some(learner) = view.learners().next() {
        let message = format!("{name} is to join after member {:x}, which has no vote yet", learner.id);
        return Some(growing(message).waiting());
    }
    let step = Step::Announce { member: name.clone(), peer_url: member.object.spec.peer_url.clone() };
    Some(growing(format!("{name} is to join")).with(step))
}

/// What a new member has to catch up: a copy of much data is slow, and alive.
fn patience(world: &World, view: &View) -> SignedDuration {
    let bytes = view.answers.values().map(|answer| answer.database_bytes).max().unwrap_or_default();
    SignedDuration::from_secs(world.cluster.spec.repair.learner_timeout_seconds + bytes / COPIED_PER_SECOND)
}

/// The learner, if there is one: it gets its vote, or it is given up, or it needs time.
pub fn settle_learner(world: &World, view: &View) -> Option<Decision> {
    let (row, member) = view.learners().find_map(|row| Some((row, world.member_of(row)?)))?;
    let name = member.name();
    if staying(world, view) >= world.wanted() {
        let step = Step::Dismiss { member: name.clone(), why: Leaves::ScaleDown };
        return Some(growing(format!("{name} is not wanted any more")).with(step));
    }
    if row.name.is_empty() || !view.has_caught_up(row.id) {
        let since = member.object.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let limit = patience(world, view);
        let why = if since.is_some_and(|since| world.now.duration_since(since) > limit) {
            Some(format!("it has not caught up within {} s, see spec.repair.learnerTimeoutSeconds", limit.as_secs()))
        } else {
            replace::lost_data(world, view, member, row)
        };
        if let Some(why) = why {
            let message = format!("{name} is given up ({why}), and another takes its place");
            let step = Step::Dismiss { member: name, why: Leaves::Replaced };
            return Some(Situation::new(Phase::Changing, Reason::Replacing, message).with(step));
        }
        let what = if row.name.is_empty() { "start" } else { "catch up" };
        let obstacle = member.obstacle(world.now).map(|why| format!(" ({why})")).unwrap_or_default();
        return Some(growing(format!("waiting for {name} to {what}{obstacle}")).waiting());
    }
    if !quorum::can_promote(view, row.id) {
        return Some(
            growing(format!("{name} has caught up; waiting for the other members to serve before it votes")).waiting(),
        );
    }
    Some(growing(format!("{name} has caught up and gets its vote")).with(Step::Promote { member: name, id: row.id }))
}

/// Fewer voters than wanted, and nothing under way.
pub fn intend(world: &World, view: &View) -> Option<Decision> {
    if view.rows.iter().filter(|row| world.is_own(row)).count() >= world.wanted() {
        return None;
    }
    let mut member = desired::member::joining(&world.cluster, &world.fresh_name, readdress::mode_of_newcomers(world));
    member.spec.incarnation = world.order.as_ref().map(|order| order.uid.clone());
    debug_assert_eq!(member.spec.begins, Begins::Joining);
    Some(growing(format!("{} is to join", member.name_any())).with(Step::Intend(Box::new(member))))
}
